//! Every state against every event, and the timers.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};

use crate::bgp::PeerAsn;
use crate::bgp::message::{Families, Family};
use crate::bgp::open::Capability;
use crate::bgp::timers::{RETRY_MAX, RETRY_MIN};
use crate::bgp::wire;

const BOTH: Families = Families {
    ipv4: true,
    ipv6: true,
};
const HOLD: Duration = Duration::from_secs(9);

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
        machine.handle_connected(now, local());
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

/// What an event does in a state: the next state, and the NOTIFICATION that is sent.
type Row = [(State, Option<(u8, u8)>); 6];

fn check(name: &str, role: Role, row: Row, event: impl Fn(&mut Connection, Instant)) {
    let start = Instant::now();
    for (from, (to, notification)) in State::ALL.into_iter().zip(row) {
        if role == Role::Accepted && from == Connect {
            continue; // never dials
        }
        let mut machine = machine(role, from, start);
        event(&mut machine, start);
        assert_eq!(machine.state(), to, "{name} in {from:?}");
        let sent = match end(&mut machine) {
            Some(End::Sent(sent)) => Some((sent.code, sent.subcode)),
            _ => None,
        };
        assert_eq!(sent, notification, "{name} in {from:?}");
    }
}

const fn quiet(states: [State; 6]) -> Row {
    let [a, b, c, d, e, f] = states;
    [
        (a, None),
        (b, None),
        (c, None),
        (d, None),
        (e, None),
        (f, None),
    ]
}

/// The row of an event that ends any connection that has TCP.
const fn ends_with(open_sent: (u8, u8), open_confirm: (u8, u8), established: (u8, u8)) -> Row {
    [
        (Idle, None),
        (Connect, None),
        (Active, None),
        (Idle, Some(open_sent)),
        (Idle, Some(open_confirm)),
        (Idle, Some(established)),
    ]
}

/// RFC 4271 §8.2.2, events 1–5, 9, 16–18: starting, stopping and TCP.
#[test]
fn starting_stopping_and_tcp_move_every_state_as_written() {
    let dialled = Role::Dialled;
    let row = quiet([Connect, Connect, Active, OpenSent, OpenConfirm, Established]);
    check("start", dialled, row, |m, now| m.handle_start(now));
    let row = quiet([Active, Connect, Active, OpenSent, OpenConfirm, Established]);
    check("passive", dialled, row, |m, _| m.handle_start_passively());
    let mut row = ends_with((6, 2), (6, 2), (6, 2));
    row[1].0 = Idle;
    row[2].0 = Idle;
    check("stop", dialled, row, |m, _| {
        m.handle_stop(Notification::administrative_shutdown("bye"));
    });
    let row = quiet([Idle; 6]);
    check("drop", dialled, row, |m, _| m.handle_drop());
    let row = quiet([Idle, OpenSent, OpenSent, OpenSent, OpenConfirm, Established]);
    check("connected", dialled, row, |m, now| {
        m.handle_connected(now, local())
    });
    let row = quiet([Idle, Active, Active, Active, Idle, Idle]);
    check("closed", dialled, row, |m, now| m.handle_closed(now));
    let row = quiet([Idle, Idle, Idle, Idle, Idle, Idle]);
    check("closed", Role::Accepted, row, |m, now| m.handle_closed(now));
    let row = quiet([Idle, Connect, Connect, OpenSent, OpenConfirm, Established]);
    check("hurry", dialled, row, |m, now| m.handle_hurry(now));
    let row = quiet([Idle, Active, Connect, OpenSent, OpenConfirm, Established]);
    check("retry", dialled, row, |m, now| {
        m.handle_timeout(now + RETRY_MAX);
    });
}

/// RFC 4271 §8.2.2, events 10, 19–28; RFC 6608 §3: what each message and the hold timer do.
#[test]
fn messages_move_every_state_as_written() {
    let fsm = ends_with((5, 1), (5, 2), (5, 3));
    for role in [Role::Dialled, Role::Accepted] {
        let mut row = fsm;
        row[3] = (OpenConfirm, None);
        check("open", role, row, |m, now| {
            m.handle_bytes(now, &peer_open().encode());
        });
        let mut row = fsm;
        row[4] = (Established, None);
        row[5] = (Established, None);
        check("keepalive", role, row, |m, now| {
            m.handle_bytes(now, &keepalive())
        });
        let mut row = fsm;
        row[5] = (Established, None);
        check("update", role, row, |m, now| {
            m.handle_bytes(now, &end_of_rib())
        });
        let refresh = message::encode(Kind::RouteRefresh, &[0, 1, 0, 1]).unwrap();
        check("refresh", role, row, |m, now| m.handle_bytes(now, &refresh));

        let mut bad_open = peer_open();
        bad_open.hold_time_s = 1;
        let row = ends_with((2, 6), (5, 2), (5, 3));
        check("bad open", role, row, |m, now| {
            m.handle_bytes(now, &bad_open.encode());
        });
        let bad_update = message::encode(Kind::Update, &[0, 9, 0, 0]).unwrap();
        let row = ends_with((5, 1), (5, 2), (3, 1));
        check("bad update", role, row, |m, now| {
            m.handle_bytes(now, &bad_update)
        });
        let row = ends_with((1, 1), (1, 1), (1, 1));
        check("garbage", role, row, |m, now| {
            m.handle_bytes(now, b"GET / HTTP/1.1")
        });
        let row = quiet([Idle, Connect, Active, Idle, Idle, Idle]);
        let goodbye = Notification::administrative_shutdown("bye").encode();
        check("notification", role, row, |m, now| {
            m.handle_bytes(now, &goodbye)
        });
        let row = ends_with((4, 0), (4, 0), (4, 0));
        check("hold timer", role, row, |m, now| {
            if m.state() >= OpenSent {
                m.handle_timeout(now + OPEN_LIMIT);
            }
        });
    }
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
    machine.handle_bytes(now, &keepalive());
    assert_eq!(machine.state(), Established);
    assert_eq!(machine.poll_timeout(), None);
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
    machine.handle_connected(now, local());
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
