//! BFD and the lease: what ends a session from outside of BGP, and what keeps it from coming back.

use super::*;
use crate::bgp::BfdState;
use crate::bgp::message::keepalive;
use crate::bgp::update::Reading;

const TICK: Duration = Duration::from_millis(1);
const LIMIT: Duration = dead_man::LIMIT;

/// A session that has announced a route, with nothing left to say.
fn established(now: Instant) -> Peer {
    let mut peer = Peer::new(parameters(A, B, 65053), 1, now);
    peer.handle_routes(&[route("10.53.53.53/32", 1)]);
    peer.handle_start(now);
    peer.handle_connected(now, Slot::Dialled, A);
    open_confirm(&mut peer, now);
    peer.handle_bytes(now, Slot::Dialled, &keepalive());
    assert_eq!(peer.state(), State::Established);
    transmitted(&mut peer);
    std::iter::from_fn(|| peer.poll_event()).count();
    peer
}

fn open_confirm(peer: &mut Peer, now: Instant) {
    let theirs = parameters(B, A, 65000);
    let open = theirs.opening(&theirs.next_hops(B)).open().encode();
    peer.handle_bytes(now, Slot::Dialled, &open);
    assert_eq!(peer.state(), State::OpenConfirm);
}

/// The UPDATEs that are to be written.
fn transmitted(peer: &mut Peer) -> Vec<Update> {
    let messages = std::iter::from_fn(|| peer.poll_transmit(Slot::Dialled));
    messages.filter_map(|message| read(&message)).collect()
}

/// A message as the neighbour reads it; `None`: no UPDATE.
pub(super) fn read(message: &[u8]) -> Option<Update> {
    let frame = crate::bgp::message::frame(message).unwrap().unwrap();
    let reading = Reading {
        four_octet: true,
        internal: false,
        families: crate::bgp::message::Families::ALL,
        ipv4_over_ipv6: false,
    };
    (frame.kind == crate::bgp::message::Kind::Update)
        .then(|| Update::decode(frame.body, &reading).unwrap())
}

fn hung_up(peer: &mut Peer) -> Option<(Vec<u8>, bool)> {
    std::iter::from_fn(|| peer.poll_event()).find_map(|event| match event {
        Event::HangUp {
            last, is_abrupt, ..
        } => Some((last, is_abrupt)),
        _ => None,
    })
}

/// FRR 8.4 closes BGP when the BFD session of a killed predecessor runs out.
#[test]
fn with_bfd_nothing_connects_before_a_predecessors_detection_time_is_over() {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]
    let start = Instant::now();
    let detection = Duration::from_millis(150);
    let terms = PeerParameters {
        bfd_detection: Some(detection),
        process_start: Some(start),
        ..parameters(A, B, 65053)
    };
    let mut peer = Peer::new(terms, 1, start);
    peer.handle_start(start);
    let opens_at = start + detection + BFD_MARGIN;
    assert_eq!(peer.poll_timeout(), Some(opens_at));
    peer.handle_link_up(opens_at - TICK);
    assert!(!peer.handle_accepted(opens_at - TICK, A));
    assert_eq!(peer.poll_event(), None);
    peer.handle_timeout(opens_at);
    assert!(std::iter::from_fn(|| peer.poll_event()).any(|event| event == Event::Dial));
    assert!(peer.handle_accepted(opens_at, A));
}

/// Once every new neighbour waited, a gateway that the node had just been moved to included.
#[test]
fn a_neighbour_that_is_met_long_after_the_start_has_known_no_predecessor() {
    let start = Instant::now();
    let detection = Duration::from_millis(150);
    let opens_at = start + detection + BFD_MARGIN;
    for (met, dials) in [(opens_at - TICK, false), (opens_at, true)] {
        for process_start in [Some(start), None] {
            let terms = PeerParameters {
                bfd_detection: Some(detection),
                process_start,
                ..parameters(A, B, 65053)
            };
            let mut peer = Peer::new(terms, 1, met);
            peer.handle_start(met);
            let has_dialled = peer.poll_event() == Some(Event::Dial);
            assert_eq!(has_dialled, dials || process_start.is_none());
        }
    }
}

/// RFC 9384 §3: the neighbour is told why, TCP is reset, and the next attempt has the usual pace.
#[test]
fn bfd_down_closes_the_session_and_the_next_attempt_is_soon() {
    let start = Instant::now();
    let mut peer = established(start);
    peer.handle_bfd(start, BfdState::Up);
    let now = start + 6 * SECOND;
    peer.handle_bytes(now, Slot::Dialled, &keepalive());
    peer.handle_bfd(now, BfdState::Down);
    let told = Notification::bfd_down().encode();
    assert_eq!(hung_up(&mut peer), Some((told, true)));
    assert_eq!(peer.state(), State::Idle);
    let due = peer.poll_timeout().unwrap() - now;
    assert!((crate::bgp::timers::RETRY_MIN..=crate::bgp::timers::RETRY_MAX).contains(&due));
    // BFD is still Down, which is no reason not to try.
    peer.handle_timeout(now + due);
    peer.handle_connected(now + due, Slot::Dialled, A);
    open_confirm(&mut peer, now + due);
    peer.handle_bfd(now + due, BfdState::Down);
    assert_eq!(peer.state(), State::OpenConfirm);
}

/// Facts on FRR: its new BFD session may be seen in OpenConfirm or just after Established.
#[test]
fn a_flap_while_the_session_begins_is_forgiven_once() {
    let start = Instant::now();
    let mut peer = established(start);
    peer.handle_bfd(start, BfdState::Up);
    peer.handle_bfd(start + SECOND, BfdState::Down);
    peer.handle_bfd(start + 3 * SECOND, BfdState::Up);
    peer.handle_bytes(start + 3 * SECOND, Slot::Dialled, &keepalive());
    peer.handle_timeout(start + 5 * SECOND);
    assert_eq!(peer.state(), State::Established);
    assert_eq!(hung_up(&mut peer), None);

    let mut peer = established(start);
    peer.handle_bfd(start, BfdState::Up);
    peer.handle_bfd(start + SECOND, BfdState::Down);
    let due = start + 4 * SECOND;
    peer.handle_timeout(due - TICK);
    assert_eq!(peer.state(), State::Established);
    assert!(peer.poll_timeout().unwrap() <= due);
    peer.handle_timeout(due);
    assert_eq!(peer.state(), State::Idle);
    assert!(hung_up(&mut peer).is_some_and(|(_, is_abrupt)| is_abrupt));
}

/// Own rule: an operator who switches BFD off takes no session down.
#[test]
fn bfd_that_is_switched_off_closes_nothing() {
    let start = Instant::now();
    let mut peer = established(start);
    let now = start + 6 * SECOND;
    peer.handle_bytes(now, Slot::Dialled, &keepalive());
    for report in [BfdState::Up, BfdState::AdminDown, BfdState::Down] {
        peer.handle_bfd(now, report);
        assert_eq!(peer.state(), State::Established);
    }
}

/// Own rule: on a stale lease everything is withdrawn, and nothing is announced whatever the table says.
#[test]
fn a_stale_lease_withdraws_everything_and_announces_nothing() {
    let now = Instant::now();
    let mut peer = established(now);
    peer.handle_lease(now, false);
    assert_eq!(
        peer.poll_delivery(),
        None,
        "the withdraw is not handed out yet"
    );
    let told = transmitted(&mut peer);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].withdrawn, ["10.53.53.53/32".parse().unwrap()]);
    assert_eq!(peer.poll_delivery(), Some(Slot::Dialled));
    peer.handle_delivered();
    assert_eq!(peer.poll_delivery(), None);

    peer.handle_routes(&[route("10.53.53.53/32", 1)]);
    assert_eq!(transmitted(&mut peer), []);
    peer.handle_timeout(now + 2 * LIMIT);
    assert_eq!(peer.state(), State::Established);
    assert!(!peer.status().is_dead_man);

    peer.handle_lease(now + 2 * LIMIT, true);
    assert_eq!(transmitted(&mut peer), [], "the table has to be told again");
    peer.handle_routes(&[route("10.53.53.53/32", 1)]);
    assert_eq!(transmitted(&mut peer)[0].announced.len(), 1);
}

/// Own rule: a withdraw that does not arrive costs the session, and it stays away till the lease is
/// good. Just before and at the limit.
#[test]
fn a_withdraw_that_does_not_arrive_resets_the_session_until_the_lease_is_good() {
    let start = Instant::now();
    for is_handed_out in [false, true] {
        let mut peer = established(start);
        peer.handle_lease(start, false);
        if is_handed_out {
            transmitted(&mut peer);
        }
        peer.handle_timeout(start + LIMIT - TICK);
        assert_eq!(peer.state(), State::Established);
        peer.handle_timeout(start + LIMIT);
        assert_eq!(peer.state(), State::Idle);
        let events: Vec<Event> = std::iter::from_fn(|| peer.poll_event()).collect();
        assert!(events.contains(&Event::DeadMan));
        assert!(events.contains(&Event::HangUp {
            slot: Slot::Dialled,
            last: Vec::new(),
            is_abrupt: true
        }));
        assert_eq!(ends(&events), [End::Undelivered]);
        assert!(peer.status().is_dead_man);

        let later = start + 3600 * SECOND;
        assert_eq!(peer.poll_timeout(), None);
        peer.handle_timeout(later);
        peer.handle_link_up(later);
        peer.handle_lease(later, false);
        peer.handle_start(later);
        assert!(!peer.handle_accepted(later, A));
        assert_eq!(peer.poll_event(), None);

        peer.handle_lease(later, true);
        assert_eq!(peer.poll_event(), Some(Event::Dial));
        assert!(!peer.status().is_dead_man);
        assert!(peer.handle_accepted(later, A));
    }
}

/// RFC 4271 §6.5: a session that ends while its withdraw is on the way may not have told anybody.
#[test]
fn a_session_that_breaks_before_its_withdraw_has_arrived_stays_away() {
    let now = Instant::now();
    let mut peer = established(now);
    peer.handle_lease(now, false);
    peer.handle_closed(now, Slot::Dialled);
    assert!(peer.status().is_dead_man);
    assert_eq!(peer.poll_timeout(), None);

    let mut peer = established(now);
    peer.handle_lease(now, false);
    let goodbye = Notification::administrative_shutdown("router is rebooted").encode();
    peer.handle_bytes(now, Slot::Dialled, &goodbye);
    assert!(!peer.status().is_dead_man);
    assert!(peer.poll_timeout().is_some());
}

/// Without a session there is nobody to tell, and a new one announces nothing.
#[test]
fn a_session_that_begins_on_a_stale_lease_announces_nothing() {
    let now = Instant::now();
    let mut peer = Peer::new(parameters(A, B, 65053), 1, now);
    peer.handle_lease(now, false);
    peer.handle_routes(&[route("10.53.53.53/32", 1)]);
    peer.handle_start(now);
    peer.handle_connected(now, Slot::Dialled, A);
    open_confirm(&mut peer, now);
    peer.handle_bytes(now, Slot::Dialled, &keepalive());
    assert_eq!(peer.poll_delivery(), None);
    let told = transmitted(&mut peer);
    assert!(told.iter().all(|update| update.end_of_rib.is_some()));
    peer.handle_timeout(now + LIMIT);
    assert_eq!(peer.state(), State::Established);
}
