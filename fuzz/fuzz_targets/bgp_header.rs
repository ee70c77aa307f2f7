//! A neighbour's octets on an open connection: however TCP cuts them, the same comes of them.
#![no_main]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sidestep::bgp::PeerAsn;
use sidestep::bgp::connection::{Connection, Event, Role};
use sidestep::bgp::message::{self, Families};
use sidestep::bgp::open::{Ipv4OverIpv6, Local};

fn local(asn: u32, host: u8) -> Local {
    Local {
        asn,
        identifier: Ipv4Addr::new(192, 0, 2, host),
        hold_time_s: 9,
        families: Families::ALL,
        peer_asn: PeerAsn::External,
        role: None,
        ipv4_over_ipv6: Ipv4OverIpv6::Preferred,
    }
}

// Which messages of the neighbour came before, how long the pieces are, and the octets.
fuzz_target!(|input: &[u8]| {
    let Some(([before, pieces @ ..], octets)) = input.split_first_chunk::<4>() else {
        return;
    };
    let now = Instant::now();
    let mut before_them = Vec::new();
    if before & 1 != 0 {
        before_them.extend(local(65000, 2).open().encode());
        if before & 2 != 0 {
            before_them.extend(message::keepalive());
        }
    }
    let machine = || {
        let mut machine = Connection::new(Role::Accepted, 1);
        machine.handle_start_passively();
        machine.handle_connected(now, local(65053, 1), Duration::ZERO);
        machine.handle_bytes(now, &before_them);
        machine
    };
    let outcome = |mut machine: Connection| {
        let events: Vec<Event> = std::iter::from_fn(|| machine.poll_event()).collect();
        let written: Vec<Vec<u8>> = std::iter::from_fn(|| machine.poll_transmit()).collect();
        (machine.state(), events, written)
    };

    let mut whole = machine();
    whole.handle_bytes(now, octets);
    let mut cut = machine();
    let mut rest = octets;
    for length in pieces.iter().cycle() {
        let length = usize::from(*length).max(1).min(rest.len());
        let (piece, others) = rest.split_at(length);
        cut.handle_bytes(now, piece);
        rest = others;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(outcome(whole), outcome(cut));

    let mut rest = octets;
    while let Ok(Some(frame)) = message::frame(rest) {
        let again = message::encode(frame.kind, frame.body);
        assert_eq!(again.as_deref(), rest.get(..frame.length));
        rest = &rest[frame.length..];
    }
});
