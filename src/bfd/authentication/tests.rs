#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

use super::*;
use crate::bfd::packet::Packet;
use crate::bfd::{Diagnostic, State};

const MULTIPLIER: u8 = 3;
const DETECTION_TIME: Duration = Duration::from_millis(150);

fn settings(is_meticulous: bool) -> Authentication {
    Authentication {
        key_id: 7,
        is_meticulous,
        key: b"secret".as_slice().into(),
    }
}

fn packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state: State::Up,
        is_poll: true,
        is_final: false,
        is_control_plane_independent: false,
        is_authenticated: true,
        is_demand: false,
        multiplier: MULTIPLIER,
        my_discriminator: 0x1122_3344,
        your_discriminator: 0x5566_7788,
        desired_min_tx: Duration::from_millis(50),
        required_min_rx: Duration::from_millis(300),
        required_min_echo_rx: Duration::ZERO,
    }
}

/// The packet with this sequence number.
fn signed(settings: &Authentication, sequence: u32) -> Encoded {
    let mut guard = Guard::new(settings, sequence.wrapping_sub(1));
    let mut encoded = packet().encode();
    guard.sign(&mut encoded);
    encoded
}

/// A guard that has accepted this number just now.
fn after(settings: &Authentication, sequence: u32, now: Instant) -> Guard {
    let mut guard = Guard::new(settings, 0);
    guard.accept(now, Sequence(sequence), DETECTION_TIME);
    guard
}

/// RFC 5880 §4.4, §6.7.4: known octets. The digests are those of another implementation of SHA-1.
#[test]
fn a_signature_is_these_octets() {
    let cases = [
        (
            false,
            4,
            [
                0x2B, 0xF9, 0x89, 0x55, 0x59, 0xBF, 0x1F, 0xB8, 0x13, 0x71, 0x36, 0xC9, 0x26, 0xA7,
                0x69, 0xD0, 0xAA, 0xB9, 0x10, 0xEA,
            ],
        ),
        (
            true,
            5,
            [
                0xC4, 0x49, 0x35, 0x8D, 0xF9, 0x36, 0xAE, 0x42, 0x2C, 0x7A, 0x3E, 0xCD, 0x9A, 0xB8,
                0x06, 0x55, 0x03, 0xFA, 0x9E, 0x71,
            ],
        ),
    ];
    for (is_meticulous, kind, digest) in cases {
        let settings = settings(is_meticulous);
        let encoded = signed(&settings, 0x0102_0304);
        let section = &encoded.octets()[HEADER_LENGTH..];
        assert_eq!(section[..8], [kind, 28, 7, 0, 1, 2, 3, 4]);
        assert_eq!(section[8..], digest);
        let verified =
            Guard::new(&settings, 0).verify(Instant::now(), encoded.octets(), MULTIPLIER);
        assert_eq!(verified, Ok(Sequence(0x0102_0304)));
    }
}

/// RFC 5880 §6.7.4: the digest covers all of the packet.
#[test]
fn a_packet_with_one_changed_bit_is_refused() {
    let settings = settings(true);
    let encoded = signed(&settings, 1);
    let guard = Guard::new(&settings, 0);
    for bit in 0..LENGTH_MAX * 8 {
        let mut octets = encoded.octets().to_vec();
        octets[bit / 8] ^= 1 << (bit % 8);
        let verified = guard.verify(Instant::now(), &octets, MULTIPLIER);
        assert!(verified.is_err(), "bit {bit}");
    }
}

/// RFC 5880 §6.7.4: key, key number, kind and length have to be the configured ones.
#[test]
fn a_packet_signed_otherwise_is_refused() {
    let now = Instant::now();
    let guard = Guard::new(&settings(true), 0);
    let verify = |octets: &[u8]| guard.verify(now, octets, MULTIPLIER).unwrap_err();
    assert_eq!(
        verify(signed(&settings(false), 1).octets()),
        Unauthentic::Kind
    );
    let other = Authentication {
        key_id: 8,
        ..settings(true)
    };
    assert_eq!(verify(signed(&other, 1).octets()), Unauthentic::KeyId);
    let other = Authentication {
        key: b"Secret".as_slice().into(),
        ..settings(true)
    };
    assert_eq!(verify(signed(&other, 1).octets()), Unauthentic::Digest);
    let good = signed(&settings(true), 1);
    for (place, octet) in [(3, 51), (25, 27), (25, 29)] {
        let mut octets = good.octets().to_vec();
        octets[place] = octet;
        assert_eq!(verify(&octets), Unauthentic::Kind, "octet {place}");
    }
    assert_eq!(verify(&good.octets()[..51]), Unauthentic::Kind);
    assert_eq!(verify(&[]), Unauthentic::Kind);
}

/// RFC 5880 §6.7.4: from the last number (meticulous: the one after it) to three multipliers ahead.
#[test]
fn a_sequence_number_has_to_lie_in_the_window() {
    let now = Instant::now();
    for last in [5_u32, u32::MAX - 4, u32::MAX] {
        for is_meticulous in [false, true] {
            let settings = settings(is_meticulous);
            let guard = after(&settings, last, now);
            let takes = |ahead: u32| {
                let encoded = signed(&settings, last.wrapping_add(ahead));
                guard.verify(now, encoded.octets(), MULTIPLIER)
            };
            assert_eq!(takes(u32::MAX), Err(Unauthentic::Sequence));
            assert_eq!(takes(0).is_ok(), !is_meticulous);
            assert!(takes(1).is_ok());
            assert!(takes(9).is_ok());
            assert_eq!(takes(10), Err(Unauthentic::Sequence));
        }
    }
}

/// RFC 5880 §6.8.1 (bfd.AuthSeqKnown): forgotten after two detection times.
#[test]
fn a_neighbour_that_was_silent_for_two_detection_times_may_begin_anew() {
    let now = Instant::now();
    let settings = settings(true);
    let guard = after(&settings, 1000, now);
    let encoded = signed(&settings, 1);
    let at = |later| guard.verify(now + later, encoded.octets(), MULTIPLIER);
    let nanosecond = Duration::from_nanos(1);
    assert_eq!(
        at(DETECTION_TIME * 2 - nanosecond),
        Err(Unauthentic::Sequence)
    );
    assert!(at(DETECTION_TIME * 2).is_ok());
}

/// RFC 5880 §6.7.4: a forged packet moves no window.
#[test]
fn checking_a_packet_does_not_keep_its_number() {
    let now = Instant::now();
    let settings = settings(true);
    let guard = after(&settings, 5, now);
    for _ in 0..2 {
        assert!(guard.verify(now, signed(&settings, 6).octets(), 3).is_ok());
    }
}

/// RFC 5880 §6.7.4: meticulous numbers grow with each packet, others when the contents change.
#[test]
fn numbers_grow_as_their_kind_asks() {
    let number = |encoded: &Encoded| encoded.octets()[28..32].to_vec();
    for is_meticulous in [false, true] {
        let mut guard = Guard::new(&settings(is_meticulous), u32::MAX - 1);
        let mut sent = Vec::new();
        for is_poll in [true, true, false, false] {
            let packet = Packet {
                is_poll,
                ..packet()
            };
            let mut encoded = packet.encode();
            guard.sign(&mut encoded);
            sent.push(number(&encoded));
        }
        let numbers = if is_meticulous {
            [u32::MAX, 0, 1, 2]
        } else {
            [u32::MAX, u32::MAX, 0, 0]
        };
        assert_eq!(sent, numbers.map(|number| number.to_be_bytes().to_vec()));
    }
}

/// RFC 5880 §6.7: with another key the other side's numbers are learnt anew.
#[test]
fn a_new_key_begins_a_new_window_and_the_same_key_does_not() {
    let now = Instant::now();
    let old = settings(true);
    let mut guard = after(&old, 1000, now);
    guard.rekey(&old);
    let verified = guard.verify(now, signed(&old, 1).octets(), MULTIPLIER);
    assert_eq!(verified, Err(Unauthentic::Sequence));
    let new = Authentication {
        key: b"other".as_slice().into(),
        ..old
    };
    guard.rekey(&new);
    let verified = guard.verify(now, signed(&new, 1).octets(), MULTIPLIER);
    assert!(verified.is_ok());
}
