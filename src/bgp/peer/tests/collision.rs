//! Two connections with one neighbour: which one stays.

use super::pair::Node;
use super::*;
use crate::bgp::message::keepalive;

const DELAY: Duration = Duration::from_secs(120);
/// Identifier and AS number of the neighbour.
const THEIRS: ([u8; 4], u32) = ([192, 0, 2, 5], 65000);

/// A neighbour with both connections open, and the OPEN that it gets.
fn both_open(own: [u8; 4], asn: u32, delay_open: Duration, now: Instant) -> (Peer, Vec<u8>) {
    let mut ours = parameters(A, B, asn);
    ours.identifier = own.into();
    ours.delay_open = delay_open;
    let mut theirs = parameters(B, A, THEIRS.1);
    theirs.identifier = THEIRS.0.into();
    let hops = theirs.next_hops(B);
    let open = theirs.opening(&hops).open().encode();
    let mut peer = Peer::new(ours, 1, now);
    peer.handle_start(now);
    peer.handle_connected(now, Slot::Dialled, A);
    assert!(peer.handle_accepted(now, A));
    (peer, open)
}

/// The slots that were closed, each with Cease 6/7.
fn closed_for_collision(peer: &mut Peer) -> Vec<Slot> {
    let events = std::iter::from_fn(|| peer.poll_event());
    let slots = events.filter_map(|event| match event {
        Event::HangUp { slot, last, .. } => {
            assert!(last.ends_with(&Notification::collision().encode()));
            Some(slot)
        }
        _ => None,
    });
    slots.collect()
}

/// RFC 4271 §6.8: however two simultaneous connects interleave, and whoever waits with its OPEN, one
/// session comes out of them, and both sides agree on which TCP connection carries it.
#[test]
fn simultaneous_connects_always_leave_one_session() {
    for seed in 0..300 {
        let mut pair = Pair::new(seed, |a, b| {
            a.delay_open = SECOND * u32::from(seed % 3 == 1);
            b.delay_open = SECOND * u32::from(seed % 4 == 1);
        });
        pair.start();
        pair.run(8 * SECOND);
        assert_eq!(pair.states(), BOTH_UP, "seed {seed}");
        let tcp = |node: &Node| node.tcp.iter().flatten().copied().collect::<Vec<_>>();
        assert_eq!(tcp(&pair.nodes[0]), tcp(&pair.nodes[1]), "seed {seed}");
        assert_eq!(tcp(&pair.nodes[0]).len(), 1, "seed {seed}");
        // And it stays.
        for at in 0..2 {
            pair.seen(at);
        }
        pair.run(60 * SECOND);
        assert_eq!(pair.states(), BOTH_UP, "seed {seed}");
        assert_eq!(ends(&pair.seen(0)), [], "seed {seed}");
    }
}

/// RFC 4271 §6.8, RFC 6286 §2.3: the connection of the higher identifier stays, then that of the
/// higher AS: whichever OPEN comes first, and whether the own one waits or not.
#[test]
fn of_two_connections_the_one_of_the_higher_identifier_stays() {
    let now = Instant::now();
    for (own, asn, stays) in [
        ([192, 0, 2, 9], 65053, Slot::Dialled),
        ([192, 0, 2, 2], 65053, Slot::Accepted),
        ([192, 0, 2, 5], 65053, Slot::Dialled),
        ([192, 0, 2, 5], 64000, Slot::Accepted),
    ] {
        for first in Slot::ALL {
            for delay_open in [Duration::ZERO, DELAY] {
                let (mut peer, open) = both_open(own, asn, delay_open, now);
                peer.handle_bytes(now, first, &open);
                assert_eq!(
                    closed_for_collision(&mut peer),
                    [],
                    "before the second OPEN"
                );
                peer.handle_bytes(now, first.other(), &open);
                assert_eq!(closed_for_collision(&mut peer), [stays.other()]);
                peer.handle_bytes(now, stays, &keepalive());
                assert_eq!(peer.state(), State::Established);
                assert!(!peer.handle_accepted(now, A));
            }
        }
    }
}

/// RFC 4271 §8.1.1 (CollisionDetectEstablishedState is off): an Established session stays, whoever
/// has the higher identifier and whatever the other connection has got to.
#[test]
fn an_established_session_wins_over_any_other_connection() {
    let now = Instant::now();
    for own in [[192, 0, 2, 9], [192, 0, 2, 2]] {
        for stays in Slot::ALL {
            for delay_open in [Duration::ZERO, DELAY] {
                let (mut peer, open) = both_open(own, 65053, delay_open, now);
                peer.handle_bytes(now, stays, &open);
                peer.handle_bytes(now, stays, &keepalive());
                assert_eq!(closed_for_collision(&mut peer), [stays.other()]);
                assert_eq!(peer.established, Some(stays));
                assert!(!peer.handle_accepted(now, A));
                // What the other one's octets would say, they say to nobody.
                peer.handle_bytes(now, stays.other(), &[open, keepalive()].concat());
                assert_eq!(closed_for_collision(&mut peer), []);
                assert_eq!(peer.established, Some(stays));
                let restart = peer.restart;
                assert_eq!(restart, None, "nothing is dialled beside a session");
            }
        }
    }
}

/// RFC 4271 §6.8: OPEN and KEEPALIVE of the second connection may come in one piece.
#[test]
fn a_loser_that_is_already_established_goes_all_the_same() {
    let now = Instant::now();
    for (own, stays) in [
        ([192, 0, 2, 9], Slot::Dialled),
        ([192, 0, 2, 2], Slot::Accepted),
    ] {
        for first in Slot::ALL {
            let (mut peer, open) = both_open(own, 65053, Duration::ZERO, now);
            peer.handle_bytes(now, first, &open);
            let piece = [open, keepalive()].concat();
            peer.handle_bytes(now, first.other(), &piece);
            assert_eq!(closed_for_collision(&mut peer), [stays.other()]);
            peer.handle_bytes(now, stays, &keepalive());
            assert_eq!(peer.established, Some(stays));
        }
    }
}

/// A restarted neighbour's new connection replaces the old one that never got anywhere.
#[test]
fn a_newer_inbound_connection_replaces_a_half_open_one() {
    let now = Instant::now();
    let mut waiting = parameters(A, B, 65053);
    waiting.passive = true;
    let mut peer = Peer::new(waiting, 1, now);
    assert!(!peer.handle_accepted(now, A), "not before it is started");
    peer.handle_start(now);
    for _ in 0..50 {
        assert!(peer.handle_accepted(now, A));
    }
    assert_eq!(closed_for_collision(&mut peer), [Slot::Accepted; 49]);
    assert_eq!(peer.state(), State::OpenSent);
}
