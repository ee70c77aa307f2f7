//! BFD control packets: read, and taken by sessions in several states, with and without a key.
#![no_main]

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sidestep::bfd::packet::Packet;
use sidestep::bfd::session::{Rejected, Session};
use sidestep::bfd::{Authentication, Settings, State};

const MINE: u32 = 7;

fn settings(is_meticulous: Option<bool>) -> Settings {
    Settings {
        interval: Duration::from_millis(50),
        multiplier: 3,
        authentication: is_meticulous.map(|is_meticulous| Authentication {
            key_id: 1,
            is_meticulous,
            key: b"key".as_slice().into(),
        }),
    }
}

/// In Down, Init, Up or AdminDown, or held Down, brought there by another session.
fn session(place: u8, settings: &Settings, now: Instant) -> Session {
    let new = |number| Session::new(settings, NonZeroU32::new(number).unwrap(), 1, now);
    let (mut mine, mut theirs) = (new(MINE), new(9));
    // Each round brings both a state further.
    for _ in 0..place % 5 {
        for packet in std::iter::from_fn(|| theirs.poll_transmit(now)) {
            let _ = mine.handle_datagram(now, packet.octets());
        }
        for packet in std::iter::from_fn(|| mine.poll_transmit(now)) {
            let _ = theirs.handle_datagram(now, packet.octets());
        }
    }
    match place / 5 % 4 {
        0 => mine.handle_admin_down(now),
        1 => mine.handle_hold_down(now, true),
        _ => {}
    }
    while mine.poll_event().is_some() {}
    mine
}

fuzz_target!(|input: &[u8]| {
    static START: OnceLock<Instant> = OnceLock::new();
    let Some((&place, mut rest)) = input.split_first() else {
        return;
    };
    let mut now = *START.get_or_init(Instant::now);
    let settings = settings([None, Some(false), Some(true)][usize::from(place / 20 % 3)]);
    let mut session = session(place, &settings, now);
    // So many octets, after so many milliseconds.
    while let Some((&[length, wait], octets)) = rest.split_first_chunk() {
        let (datagram, after) = octets.split_at(usize::from(length).min(octets.len()));
        rest = after;
        now += Duration::from_millis(u64::from(wait));
        let before = session.state();
        let decoded = Packet::decode(datagram);
        match session.handle_datagram(now, datagram) {
            Ok(()) => {
                let packet = decoded.unwrap();
                if before != State::Up && session.state() == State::Up {
                    assert_eq!(packet.your_discriminator, MINE);
                }
                let again = Packet::decode(packet.encode().octets());
                assert!(packet.is_authenticated || again == Ok(packet));
            }
            Err(Rejected::Malformed(error)) => assert_eq!(decoded, Err(error)),
            Err(Rejected::Unauthentic(_) | Rejected::Stranger) => {
                assert!(decoded.is_ok());
                assert_eq!(session.state(), before);
            }
        }
        session.handle_timeout(now);
        for count in 0.. {
            assert!(count < 3, "packets without end");
            let Some(packet) = session.poll_transmit(now) else {
                break;
            };
            let packet = Packet::decode(packet.octets()).unwrap();
            assert!(!(packet.is_poll && packet.is_final));
        }
        while session.poll_event().is_some() {}
        assert!(session.poll_timeout().is_none_or(|next| next > now));
    }
});
