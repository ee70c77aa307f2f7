//! The timers, the octets, and in `table` every state against every event.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};

use crate::bgp::PeerAsn;
use crate::bgp::message::{Families, Family};
use crate::bgp::open::Capability;
use crate::bgp::timers::{CONNECT_LIMIT, RETRY_MAX, RETRY_MIN};
use crate::bgp::wire;

mod table;

const BOTH: Families = Families {
    ipv4: true,
    ipv6: true,
};
const HOLD: Duration = Duration::from_secs(9);
const DELAY: Duration = Duration::from_secs(120);

fn local() -> Local {
    Local {
        asn: 65053,
        identifier: Ipv4Addr::new(192, 0, 2, 1),
        hold_time_s: 9,
        families: BOTH,
        peer_asn: PeerAsn::External,
        role: None,
        ipv4_over_ipv6: open::Ipv4OverIpv6::Never,
    }
}

fn peer_open() -> Open {
    Local {
        asn: 65000,
        identifier: Ipv4Addr::new(192, 0, 2, 254),
        hold_time_s: 180,
        ..local()
    }
    .open()
}

fn keepalive() -> Vec<u8> {
    message::keepalive()
}

fn end_of_rib() -> Vec<u8> {
    wire::withdrawal(Family::Ipv4, &[]).unwrap()
}

/// A machine in `state`, its output so far forgotten.
fn machine(role: Role, state: State, now: Instant) -> Connection {
    let mut machine = Connection::new(role, 7);
    if state > Idle {
        match role {
            Role::Dialled => machine.handle_start(now),
            Role::Accepted => machine.handle_start_passively(),
        }
    }
    if state == Active && role == Role::Dialled {
        machine.handle_closed(now);
    }
    if state >= OpenSent {
        machine.handle_connected(now, local(), Duration::ZERO);
    }
    if state >= OpenConfirm {
        machine.handle_bytes(now, &peer_open().encode());
    }
    if state == Established {
        machine.handle_bytes(now, &keepalive());
    }
    assert_eq!(machine.state(), state);
    while machine.poll_transmit().is_some() {}
    while machine.poll_event().is_some() {}
    machine
}

fn end(machine: &mut Connection) -> Option<End> {
    std::iter::from_fn(|| machine.poll_event()).find_map(|event| match event {
        Event::Ended { end, .. } => Some(end),
        Event::Dial
        | Event::Opened(_)
        | Event::Established(_)
        | Event::Update(_)
        | Event::RouteRefresh(_) => None,
    })
}

/// RFC 4271 §6.5: just before and at the hold time; UPDATE and KEEPALIVE restart it.
#[test]
fn silence_for_the_hold_time_ends_the_session() {
    let start = Instant::now();
    let tick = Duration::from_millis(1);
    for heard in [None, Some(keepalive()), Some(end_of_rib())] {
        let mut machine = machine(Role::Dialled, Established, start);
        let mut deadline = start + HOLD;
        if let Some(message) = heard {
            machine.handle_bytes(start + HOLD - tick, &message);
            deadline = start + HOLD - tick + HOLD;
        }
        machine.handle_timeout(deadline - tick);
        assert_eq!(machine.state(), Established);
        machine.handle_timeout(deadline);
        let expired = Notification::hold_timer_expired();
        assert_eq!(end(&mut machine), Some(End::Sent(expired)));
    }
}

/// RFC 4271 §4.4, §10: a KEEPALIVE at a third of the hold time, up to a quarter earlier.
#[test]
fn keepalives_go_out_at_a_third_of_the_hold_time() {
    let mut now = Instant::now();
    let mut machine = machine(Role::Dialled, Established, now);
    for _ in 0..20 {
        let due = machine.poll_timeout().unwrap();
        let third = HOLD / 3;
        assert!((third.mul_f64(0.749)..=third).contains(&(due - now)));
        now = due;
        machine.handle_timeout(now);
        assert_eq!(machine.poll_transmit(), Some(keepalive()));
        assert_eq!(machine.poll_transmit(), None);
        machine.handle_bytes(now, &keepalive());
    }
}

/// RFC 4271 §4.2: with a hold time of 0 neither timer runs.
#[test]
fn without_hold_time_nothing_expires() {
    let now = Instant::now();
    let mut machine = machine(Role::Dialled, OpenSent, now);
    let mut open = peer_open();
    open.hold_time_s = 0;
    machine.handle_bytes(now, &open.encode());
    // But a peer that dies between its OPEN and its KEEPALIVE is not waited for without an end.
    assert_eq!(machine.poll_timeout(), Some(now + OPEN_LIMIT));
    machine.handle_bytes(now, &keepalive());
    assert_eq!(machine.state(), Established);
    assert_eq!(machine.poll_timeout(), None);
}

/// RFC 4271 §8.1.1: just before, at and after the wait; the peer's OPEN ends it.
#[test]
fn the_own_open_waits_for_the_peers_or_the_timer() {
    let start = Instant::now();
    let tick = Duration::from_millis(1);
    let mut machine = machine(Role::Accepted, Active, start);
    machine.handle_connected(start, local(), DELAY);
    assert_eq!(machine.poll_timeout(), Some(start + DELAY));
    machine.handle_timeout(start + DELAY - tick);
    assert_eq!(machine.poll_transmit(), None);
    machine.handle_timeout(start + DELAY);
    assert_eq!(machine.poll_transmit(), Some(local().open().encode()));
    assert_eq!(machine.poll_timeout(), Some(start + DELAY + OPEN_LIMIT));

    let mut machine = Connection::new(Role::Accepted, 3);
    machine.handle_start_passively();
    machine.handle_connected(start, local(), DELAY);
    let now = start + DELAY - tick;
    machine.handle_bytes(now, &peer_open().encode());
    assert_eq!(machine.poll_transmit(), Some(local().open().encode()));
    assert_eq!(machine.poll_transmit(), Some(keepalive()));
    machine.handle_timeout(start + DELAY);
    assert_eq!(machine.poll_transmit(), None);
    machine.handle_bytes(now, &keepalive());
    assert_eq!(machine.state(), Established);
}

/// RFC 4271 §8.1.1: what is left of a delay does not meet the next connection.
#[test]
fn a_connection_that_closes_while_its_open_waits_is_tried_again() {
    let start = Instant::now();
    let mut machine = machine(Role::Dialled, Connect, start);
    machine.handle_connected(start, local(), DELAY);
    machine.handle_closed(start);
    assert_eq!(end(&mut machine), Some(End::Closed));
    let due = machine.poll_timeout().unwrap();
    assert!((RETRY_MIN..=RETRY_MAX).contains(&(due - start)));
    machine.handle_timeout(due);
    assert_eq!(machine.poll_event(), Some(Event::Dial));
    machine.handle_timeout(due + CONNECT_LIMIT);
    assert_eq!(end(&mut machine), Some(End::ConnectTimeout));
}

/// RFC 4271 §6.5: octets alone are no message. An OPEN that trickles in is given up after its
/// limit, a KEEPALIVE or UPDATE that does restarts nothing, and neither takes memory.
#[test]
fn a_message_that_trickles_in_restarts_no_timer() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let cases = [
        (OpenSent, peer_open().encode(), OPEN_LIMIT),
        (Established, end_of_rib(), HOLD),
    ];
    for (state, message, limit) in cases {
        let mut machine = machine(Role::Accepted, state, start);
        for (octet, at) in message.iter().zip(0..) {
            machine.handle_bytes(start + at * second, &[*octet]);
            machine.handle_timeout(start + at * second);
            assert_eq!(machine.state() == state, at * second < limit);
            assert!(machine.received.len() <= message.len());
        }
        let expired = Notification::hold_timer_expired();
        assert_eq!(end(&mut machine), Some(End::Sent(expired)));
    }
}

/// RFC 4271 §4.1: what is kept of a message is bounded, whatever its length says.
#[test]
fn no_more_than_one_message_is_kept() {
    let now = Instant::now();
    let mut machine = machine(Role::Accepted, Established, now);
    let mut large = vec![0xFF; 16];
    large.extend([16, 0, 2]);
    large.resize(message::MESSAGE_MAX - 1, 0);
    for octet in large {
        machine.handle_bytes(now, &[octet]);
    }
    assert_eq!(machine.received.len(), message::MESSAGE_MAX - 1);
    assert!(machine.received.capacity() <= 2 * message::MESSAGE_MAX);
    let mut too_large = vec![0xFF; 16];
    too_large.extend([16, 1, 2]);
    let mut machine = self::machine(Role::Accepted, Established, now);
    machine.handle_bytes(now, &too_large);
    let refused = Notification::new(1, 2, vec![16, 1]);
    assert_eq!(end(&mut machine), Some(End::Sent(refused)));
}

/// RFC 9687 §3: a peer that reads nothing is left after the hold time, and queues one KEEPALIVE.
#[test]
fn a_peer_that_never_reads_is_left_and_costs_no_memory() {
    let start = Instant::now();
    let mut machine = machine(Role::Dialled, Established, start);
    machine.handle_blocked(start);
    for third in 1..3 {
        let now = start + HOLD * third / 3;
        machine.handle_bytes(now, &keepalive());
        machine.handle_timeout(now);
    }
    assert_eq!(machine.control.len(), 1);
    machine.handle_timeout(start + HOLD - Duration::from_millis(1));
    assert_eq!(machine.state(), Established);
    machine.handle_timeout(start + HOLD);
    let expired = Notification::send_hold_timer_expired();
    assert_eq!(end(&mut machine), Some(End::Sent(expired)));
}

/// RFC 9687 §3: writing anything restarts it.
#[test]
fn a_peer_that_reads_slowly_is_kept() {
    let start = Instant::now();
    let mut machine = machine(Role::Dialled, Established, start);
    for second in 0..30 {
        let now = start + Duration::from_secs(second);
        machine.handle_blocked(now);
        machine.handle_bytes(now, &keepalive());
        machine.handle_timeout(now);
        if second % 5 == 0 {
            machine.handle_written();
        }
        assert_eq!(machine.state(), Established);
    }
}

/// Design: 500 ms for a connect, 300–700 ms between them, for ever and without growth.
#[test]
fn an_absent_router_is_dialled_at_a_steady_pace() {
    let mut now = Instant::now();
    let mut machine = Connection::new(Role::Dialled, 11);
    machine.handle_start(now);
    for _ in 0..200 {
        assert_eq!(machine.poll_event(), Some(Event::Dial));
        assert_eq!(machine.poll_timeout(), Some(now + CONNECT_LIMIT));
        now += CONNECT_LIMIT;
        machine.handle_timeout(now);
        assert_eq!(end(&mut machine), Some(End::ConnectTimeout));
        let due = machine.poll_timeout().unwrap();
        assert!((RETRY_MIN..=RETRY_MAX).contains(&(due - now)));
        now = due;
        machine.handle_timeout(now);
    }
}

/// RFC 4271 §4: TCP knows no messages, so any cut of the octets gives the same.
#[test]
fn octets_may_arrive_in_any_pieces() {
    let now = Instant::now();
    let stream = [
        peer_open().encode(),
        keepalive(),
        end_of_rib(),
        keepalive(),
        end_of_rib(),
    ]
    .concat();
    for piece in [1, 7, 19, 23, stream.len()] {
        let mut machine = machine(Role::Accepted, OpenSent, now);
        for bytes in stream.chunks(piece) {
            machine.handle_bytes(now, bytes);
        }
        let updates = std::iter::from_fn(|| machine.poll_event())
            .filter(|event| matches!(event, Event::Update(_)));
        assert_eq!(updates.count(), 2, "pieces of {piece}");
        assert_eq!(machine.counts().received.keepalive, 2);
        assert!(machine.received.is_empty());
    }
}

/// RFC 4271 §6.2: what was queued goes out before the NOTIFICATION, which is last.
#[test]
fn a_notification_is_the_last_message_after_all_that_was_queued() {
    let now = Instant::now();
    let mut machine = Connection::new(Role::Accepted, 1);
    machine.handle_start_passively();
    machine.handle_connected(now, local(), Duration::ZERO);
    machine.handle_stop(Notification::collision());
    let expected = [local().open().encode(), Notification::collision().encode()].concat();
    let Some(Event::Ended { last, .. }) = machine.poll_event() else {
        panic!("not ended");
    };
    assert_eq!(last, expected);
    assert_eq!(machine.poll_transmit(), None);
}

/// RFC 2918 §4: only for a family that the session carries.
#[test]
fn route_refresh_is_told_for_carried_families_only() {
    let now = Instant::now();
    let mut machine = machine(Role::Dialled, OpenSent, now);
    let mut open = peer_open();
    open.capabilities
        .retain(|known| *known != Capability::Unicast(Family::Ipv6));
    machine.handle_bytes(now, &open.encode());
    machine.handle_bytes(now, &keepalive());
    for afi in [1, 2, 25] {
        let refresh = message::encode(Kind::RouteRefresh, &[0, afi, 0, 1]).unwrap();
        machine.handle_bytes(now, &refresh);
    }
    let refreshes: Vec<Event> = std::iter::from_fn(|| machine.poll_event())
        .filter(|event| matches!(event, Event::RouteRefresh(_)))
        .collect();
    assert_eq!(refreshes, [Event::RouteRefresh(Family::Ipv4)]);
}

/// RFC 7313 §4, §5: the peer's marks are ignored, and a wrong length is answered 7/1.
#[test]
fn marks_of_a_refresh_are_ignored_and_a_wrong_length_is_not() {
    let now = Instant::now();
    let mut machine = machine(Role::Dialled, Established, now);
    for step in [RefreshStep::Begin, RefreshStep::End] {
        machine.handle_bytes(now, &message::route_refresh(Family::Ipv4, step));
    }
    assert_eq!(machine.state(), Established);
    assert_eq!(machine.poll_event(), None);
    let long = message::encode(Kind::RouteRefresh, &[0, 1, 1, 1, 0]).unwrap();
    machine.handle_bytes(now, &long);
    let told = Notification::new(7, 1, long);
    assert_eq!(end(&mut machine), Some(End::Sent(told)));
}

impl Connection {
    /// RFC 4271 §8.2.2, §10: timers that must run do, and nothing piles up.
    pub(in crate::bgp) fn check_bounds(&self) {
        let timers = &self.timers;
        let has_hold_time = self
            .negotiated
            .is_some_and(|agreed| agreed.hold_time.is_some());
        if matches!(self.state, OpenConfirm | Established) {
            assert_eq!(timers.keepalive.is_some(), has_hold_time, "keepalive timer");
        }
        // Before the first KEEPALIVE there is a limit even without a hold time.
        let is_opening = matches!(self.state, OpenSent | OpenConfirm);
        assert_eq!(
            timers.hold.is_some(),
            is_opening || has_hold_time,
            "hold timer"
        );
        assert!(timers.delay_open.is_none() || matches!(self.state, Connect | Active));
        assert!(
            self.control.len() <= 3,
            "{} messages wait",
            self.control.len()
        );
        assert!(self.received.len() < message::MESSAGE_MAX);
        assert!(
            self.events.is_empty(),
            "an event that the neighbour has not had"
        );
    }
}
