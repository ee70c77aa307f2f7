#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

use std::time::Instant;

use super::*;
use crate::bgp::notification::Notification;

const NEIGHBOR: &str = "192.0.2.1";

fn series(registry: &Registry) -> usize {
    registry
        .gather()
        .iter()
        .map(|family| family.get_metric().len())
        .sum()
}

fn told(prefix: &str) -> Told {
    Told {
        prefix: prefix.parse().unwrap(),
        next_hops: Vec::new(),
        as_path: Vec::new(),
        med: None,
        local_pref: None,
        communities: Vec::new(),
        large_communities: Vec::new(),
        only_to_customer: None,
    }
}

/// RFC 4273: the state as a number; counters follow the status; nothing stays behind.
#[test]
fn a_neighbours_series_follow_its_status_and_vanish_with_it() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let empty = series(&registry);
    let mut peer = metrics.peer(NEIGHBOR);
    peer.transition(State::Established, Duration::from_secs(1_700_000_000));
    peer.update_error();
    peer.ended(&End::Sent(Notification::hold_timer_expired()));
    peer.ended(&End::Received(Notification::new(200, 1, Vec::new())));
    peer.ended(&End::Closed);
    let mut status = PeerStatus::new(Instant::now());
    status.routes = [told("10.53.53.53/32"), told("10.53.53.54/32")].into();
    status.messages.sent.update = 3;
    status.established_total = 1;
    status.peer_asn = Some(65_001);
    status.hold_time = Some(Duration::from_secs(9));
    status.is_dead_man = true;
    peer.status(&status);
    status.messages.sent.update = 5;
    status.established_total = 2;
    peer.status(&status);
    let gauge = |gauge: &IntGaugeVec| gauge.with_label_values(&[NEIGHBOR]).get();
    assert_eq!(gauge(&metrics.state), 6);
    assert_eq!(gauge(&metrics.hold_time), 9);
    assert_eq!(gauge(&metrics.dead_man), 1);
    let announced = |family| {
        metrics
            .announced
            .with_label_values(&[NEIGHBOR, family])
            .get()
    };
    assert_eq!((announced("ipv4"), announced("ipv6")), (2, 0));
    let labels = [NEIGHBOR, "sent", "update"];
    assert_eq!(metrics.messages.with_label_values(&labels).get(), 5);
    assert_eq!(metrics.established.with_label_values(&[NEIGHBOR]).get(), 2);
    let notifications = |direction, code| {
        let labels = [NEIGHBOR, direction, code];
        metrics.notifications.with_label_values(&labels).get()
    };
    assert_eq!(notifications("sent", "hold_timer"), 1);
    assert_eq!(notifications("received", "other"), 1);
    drop(peer);
    assert_eq!(series(&registry), empty);
    assert!(Metrics::register(&registry).is_err());
}

/// RFC 4271 §4.5: whatever number a peer writes there, the labels are a closed set.
#[test]
fn every_error_code_has_one_of_nine_labels() {
    let names = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255].map(code);
    let known = &CODES[..8];
    assert_eq!(names[0], "other");
    assert_eq!(&names[1..9], known);
    assert_eq!(names[9..], ["other"; 3]);
}

/// A hold time that nobody agreed on must not be read as "none".
#[test]
fn the_hold_time_is_there_only_while_it_is_agreed_on() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let has_hold_time = || {
        let families = registry.gather();
        let mut names = families.iter().map(|family| family.name());
        names.any(|name| name == "sidestep_bgp_hold_time_seconds")
    };
    let mut peer = metrics.peer(NEIGHBOR);
    let mut status = PeerStatus::new(Instant::now());
    peer.status(&status);
    assert!(!has_hold_time());
    status.peer_asn = Some(65_001);
    peer.status(&status);
    assert!(has_hold_time());
    status.peer_asn = None;
    peer.status(&status);
    assert!(!has_hold_time());
}
