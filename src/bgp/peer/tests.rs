//! Two neighbours joined back to back on a virtual clock, and the ways in which they part.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the events it is about"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::bgp::update::Update;
use crate::bgp::{Attributes, PeerAsn, Preference};

mod collision;
mod lifelines;
mod pair;
mod properties;
mod simulation;

use pair::Pair;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn parameters(local: IpAddr, remote: IpAddr, asn: u32) -> PeerParameters {
    let IpAddr::V4(identifier) = local else {
        panic!("the tests' sessions are IPv4");
    };
    PeerParameters {
        local: Some(local),
        next_hop_v6: Some("2001:db8::1".parse().unwrap()),
        ..PeerParameters::new(SocketAddr::new(remote, 179), asn, identifier)
    }
}

fn route(prefix: &str, med: u32) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        preference: Preference::Preferred,
        attributes: Attributes {
            med: Some(med),
            ..Attributes::default()
        },
    }
}

fn ends(events: &[Event]) -> Vec<End> {
    let ends = events.iter().filter_map(|event| match event {
        Event::Ended { end, .. } => Some(end.clone()),
        _ => None,
    });
    ends.collect()
}

const BOTH_UP: [State; 2] = [State::Established; 2];
const SECOND: Duration = Duration::from_secs(1);

/// Own rule: announce, replace, withdraw, each seen by the other side as it is.
#[test]
fn routes_arrive_are_replaced_and_withdrawn() {
    let mut pair = Pair::new(7, |_, b| b.passive = true);
    pair.nodes[0]
        .peer
        .handle_routes(&[route("10.53.53.53/32", 1), route("fd53::53/128", 1)]);
    pair.start();
    pair.run(SECOND);
    assert_eq!(pair.states(), BOTH_UP);
    let updates = |events: Vec<Event>| -> Vec<Update> {
        let updates = events.into_iter().filter_map(|event| match event {
            Event::Update(update) => Some(update),
            _ => None,
        });
        updates.collect()
    };
    let first = updates(pair.seen(1));
    assert_eq!(first.len(), 4);
    assert_eq!(first[0].next_hop(&first[0].announced[0]), Some(A));
    assert_eq!(
        first[1].next_hop(&first[1].announced[0]),
        Some("2001:db8::1".parse().unwrap())
    );
    assert_eq!(pair.nodes[0].peer.status().announced, 2);

    pair.nodes[0]
        .peer
        .handle_routes(&[route("10.53.53.53/32", 2), route("fd53::53/128", 1)]);
    pair.run(SECOND);
    let replaced = updates(pair.seen(1));
    assert_eq!(replaced.len(), 1);
    assert_eq!((replaced[0].med, replaced[0].withdrawn.len()), (Some(2), 0));

    pair.nodes[0].peer.handle_routes(&[]);
    pair.run(SECOND);
    let withdrawn = updates(pair.seen(1));
    assert_eq!(withdrawn.len(), 2);
    assert!(withdrawn.iter().all(|update| update.withdrawn.len() == 1));
    assert_eq!(pair.states(), BOTH_UP);
}

/// RFC 9003 §2: the text arrives, the one who said it stays away, the other comes back at its pace.
#[test]
fn a_shutdown_is_told_with_its_text() {
    let mut pair = Pair::new(9, |_, _| {});
    pair.start();
    pair.run(6 * SECOND);
    pair.seen(1);
    pair.nodes[0].listens = false;
    let now = pair.now;
    pair.nodes[0]
        .peer
        .handle_shutdown(now, "drained for upgrade");
    pair.run(30 * SECOND);
    let goodbye = Notification::administrative_shutdown("drained for upgrade");
    let seen = pair.seen(1);
    assert_eq!(ends(&seen)[0], End::Received(goodbye));
    assert_eq!(pair.nodes[0].peer.state(), State::Idle);
    assert_eq!(pair.nodes[0].peer.poll_timeout(), None);
    // Steady: at most 700 ms between attempts, so over 40 of them in 30 s.
    let dials = seen.iter().filter(|event| **event == Event::Dial).count();
    assert!(dials > 40, "{dials}");
    let status = pair.nodes[1].peer.status();
    assert_eq!(
        status.last_error_received.as_deref(),
        Some("6/2 cease: administrative shutdown: drained for upgrade")
    );
    // And when it is back, so is the session.
    pair.nodes[0].listens = true;
    let now = pair.now;
    pair.nodes[0].peer.handle_start(now);
    pair.run(6 * SECOND);
    assert_eq!(pair.states(), BOTH_UP);
    assert_eq!(pair.nodes[1].peer.status().reconnects(), 1);
}

/// RFC 4271 §6.5: a silent link ends the session on both sides after the hold time, not before.
#[test]
fn a_silent_link_costs_one_hold_time() {
    let mut pair = Pair::new(12, |_, _| {});
    pair.start();
    pair.run(20 * SECOND);
    pair.flying.clear();
    pair.cut = true;
    pair.run(5 * SECOND);
    assert_eq!(pair.states(), BOTH_UP);
    pair.run(4 * SECOND + Duration::from_millis(1));
    assert!(
        pair.states()
            .iter()
            .all(|state| *state != State::Established)
    );
    pair.cut = false;
    pair.run(10 * SECOND);
    assert_eq!(pair.states(), BOTH_UP);
}

/// Design: a lost link ends the session at once, a link that is back is used at once.
#[test]
fn a_lost_link_ends_the_session_at_once_and_its_return_starts_it() {
    let mut pair = Pair::new(13, |_, b| b.passive = true);
    pair.start();
    pair.run(SECOND);
    pair.cut = true;
    pair.flying.clear();
    let now = pair.now;
    for node in &mut pair.nodes {
        node.peer.handle_link_down(now);
    }
    pair.act();
    assert!(
        pair.states()
            .iter()
            .all(|state| *state != State::Established)
    );
    pair.cut = false;
    pair.nodes[0].peer.handle_link_up(now);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.states(), BOTH_UP);
}

/// RFC 4271 §6.2, §8.1.1: a refused OPEN is told to both sides, and is not repeated every second.
#[test]
fn a_refused_open_makes_the_attempts_rare() {
    let mut pair = Pair::new(21, |a, b| {
        a.peer_asn = PeerAsn::Number(64999);
        b.passive = true;
    });
    pair.start();
    pair.run(120 * SECOND);
    let refused = Notification::new(2, 2, vec![]);
    let ended = ends(&pair.seen(0));
    assert!(ended.iter().all(|end| *end == End::Sent(refused.clone())));
    assert!((6..=10).contains(&ended.len()), "{}", ended.len());
    assert_eq!(
        pair.nodes[1].peer.status().last_error_received.as_deref(),
        Some("2/2 open refused: bad peer AS")
    );
}

/// Design: a family without a next hop is not offered.
#[test]
fn a_family_without_next_hop_is_not_offered() {
    let mut pair = Pair::new(31, |a, _| a.next_hop_v6 = None);
    pair.nodes[0]
        .peer
        .handle_routes(&[route("10.53.53.53/32", 1), route("fd53::53/128", 1)]);
    pair.start();
    pair.run(6 * SECOND);
    let status = pair.nodes[0].peer.status();
    assert!(status.families.ipv4 && !status.families.ipv6);
    assert_eq!(status.announced, 1);
}

/// RFC 2545 §3: a link-local session sends the global next hop with the link-local one beside it.
#[test]
fn a_link_local_session_sends_both_next_hops() {
    let link_local = "fe80::1".parse().unwrap();
    let hops = parameters(A, B, 1).next_hops(IpAddr::V6(link_local));
    assert_eq!(hops.v6, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(hops.link_local, Some(link_local));
    let mut alone = parameters(A, B, 1);
    alone.next_hop_v6 = None;
    let hops = alone.next_hops(IpAddr::V6(link_local));
    assert_eq!((hops.v6, hops.link_local), (Some(link_local), None));
}

/// RFC 4271 §3.1: the address of an interface changed, and the session stays.
#[test]
fn another_next_hop_is_told_on_the_same_session() {
    let mut pair = Pair::new(37, |_, _| {});
    pair.nodes[0]
        .peer
        .handle_routes(&[route("10.53.53.53/32", 1), route("fd53::53/128", 1)]);
    pair.start();
    pair.run(6 * SECOND);
    let before = pair.nodes[0].peer.status();
    let (v4, v6) = (None, Some("2001:db8::9".parse().unwrap()));
    pair.nodes[0].peer.handle_next_hops(v4, v6);
    assert!(pair.nodes[0].peer.has_pending_routes());
    pair.run(SECOND);
    let after = pair.nodes[0].peer.status();
    assert_eq!(after.since, before.since);
    assert_eq!(after.messages.sent.update, before.messages.sent.update + 1);
}
