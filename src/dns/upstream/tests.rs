//! States, order and notices in simulated time.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

mod errors;
mod simulation;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::super::hash_key::HashKey;
use super::*;

const MS: Duration = Duration::from_millis(1);

struct World {
    start: Instant,
    upstreams: Upstreams,
    root: ZoneIndex,
    first: UpstreamIndex,
    second: UpstreamIndex,
}

/// The root with two upstreams, `corp.` with one.
fn world() -> World {
    let start = Instant::now();
    let zone = |zone: &[u8], zone_text: &str, upstreams: &[&str]| ResolvedZone {
        zone: zone.to_vec(),
        zone_text: zone_text.to_owned(),
        critical: zone == [0],
        upstreams: upstreams.iter().map(|text| text.parse().unwrap()).collect(),
        ..ResolvedZone::default()
    };
    let upstreams = Upstreams::with_key(
        &[
            zone(b"\x04corp\x00", "corp.", &["10.0.0.1:53"]),
            zone(b"\x00", ".", &["192.0.2.1:53", "192.0.2.2:53"]),
        ],
        start,
        HashKey::numbered(1),
    );
    let indexes: Vec<_> = upstreams.indexes().collect();
    let root = upstreams.zone_for(b"\x00");
    World {
        start,
        upstreams,
        root,
        first: indexes[1],
        second: indexes[2],
    }
}

impl World {
    fn at(&self, ms: u32) -> Instant {
        self.start + MS * ms
    }

    fn miss(&self, index: UpstreamIndex, sent_ms: u32) {
        self.upstreams
            .probe_missed(index, self.at(sent_ms), self.at(sent_ms + 300));
    }

    fn probe_answered(&self, index: UpstreamIndex, sent_ms: u32, took_ms: u32) {
        let sent = self.at(sent_ms);
        self.upstreams
            .answered(index, Asked::Probe, sent, sent + MS * took_ms);
    }

    /// Of the root.
    fn order(&self) -> Vec<UpstreamIndex> {
        let mut best_first = Vec::new();
        self.upstreams.order(self.root, &mut best_first);
        best_first
    }

    fn take_down(&self, index: UpstreamIndex, from_ms: u32) {
        for gap in [0, 75, 150] {
            self.miss(index, from_ms + gap);
        }
        assert!(!self.upstreams.is_up(index));
    }
}

/// Whether a notice is waiting; takes it.
fn noticed(notify: &Notify) -> bool {
    pin!(notify.notified())
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

#[test]
fn two_missed_probes_leave_an_upstream_up_and_the_third_takes_it_down() {
    let world = world();
    world.miss(world.first, 1000);
    world.miss(world.first, 1075);
    assert_eq!(world.upstreams.condition(world.first), Condition::Suspected);
    assert!(world.upstreams.is_silent(world.first));
    assert!(!noticed(world.upstreams.flips()));
    world.miss(world.first, 1150);
    assert_eq!(world.upstreams.condition(world.first), Condition::Down);
    assert!(noticed(world.upstreams.flips()));
    let status = &world.upstreams.status()[1];
    assert_eq!((status.up, status.zone.as_str()), (false, "."));
    assert!(status.since.duration_since(world.at(1450)) < MS);
}

#[test]
fn an_answer_between_them_starts_the_count_again() {
    let world = world();
    world.miss(world.first, 1000);
    world.miss(world.first, 1075);
    world.probe_answered(world.first, 1380, 1);
    assert_eq!(world.upstreams.condition(world.first), Condition::Doubted);
    world.miss(world.first, 2000);
    world.miss(world.first, 2075);
    assert!(world.upstreams.is_up(world.first));
}

#[test]
fn what_was_sent_before_the_last_answer_is_no_evidence() {
    let world = world();
    world.probe_answered(world.first, 1490, 10);
    for sent_ms in [1000, 1400, 1499, 1500] {
        world.miss(world.first, sent_ms);
        world
            .upstreams
            .overdue(world.first, Asked::Question, world.at(sent_ms));
    }
    assert!(world.upstreams.is_up(world.first));
    assert!(!world.upstreams.is_silent(world.first));
    world
        .upstreams
        .overdue(world.first, Asked::Question, world.at(1501));
    assert_eq!(world.upstreams.condition(world.first), Condition::Suspected);
}

/// One slow domain must not take an upstream down: no client chooses what a probe asks.
#[test]
fn late_client_questions_raise_suspicion_and_nothing_more() {
    let world = world();
    for ms in 1..1000 {
        world
            .upstreams
            .overdue(world.first, Asked::Question, world.at(ms));
    }
    assert_eq!(world.upstreams.condition(world.first), Condition::Suspected);
    assert_eq!(world.upstreams.status()[1].timeouts, 999);
}

#[test]
fn three_refusals_take_an_upstream_down_at_once() {
    let world = world();
    for ms in 1..=2 {
        world.upstreams.refused(world.first, world.at(ms));
        assert!(world.upstreams.is_up(world.first));
    }
    world.upstreams.refused(world.first, world.at(3));
    assert!(!world.upstreams.is_up(world.first));
    assert_eq!(
        world.upstreams.failures(world.first, FailureKind::Refused),
        3
    );
}

#[test]
fn one_answer_brings_an_upstream_back_whatever_was_asked() {
    for asked in [Asked::Question, Asked::Probe] {
        let world = world();
        world.take_down(world.first, 1000);
        assert!(noticed(world.upstreams.flips()));
        world
            .upstreams
            .answered(world.first, asked, world.at(1100), world.at(3000));
        assert_eq!(world.upstreams.condition(world.first), Condition::Doubted);
        assert_eq!(world.order()[0], world.second);
        assert!(noticed(world.upstreams.flips()));
    }
}

#[test]
fn a_zone_is_usable_while_one_of_its_upstreams_is_up() {
    let world = world();
    world.take_down(world.first, 1000);
    assert!(world.upstreams.zone_usable(world.root));
    world.take_down(world.second, 1000);
    assert!(!world.upstreams.zone_usable(world.root));
    let zones: Vec<_> = world.upstreams.zones().collect();
    assert_eq!(
        (zones[0].zone, zones[0].critical, zones[0].usable),
        ("corp.", false, true)
    );
    assert_eq!(
        (zones[1].zone, zones[1].critical, zones[1].usable),
        (".", true, false)
    );
    assert!(world.order().is_empty());
}

#[test]
fn the_configured_order_holds_among_the_unknown_and_the_equally_fast() {
    let world = world();
    let (first, second) = (world.first, world.second);
    assert_eq!(world.order(), [first, second]);
    world.probe_answered(second, 0, 1);
    assert_eq!(world.order(), [first, second]);
    world.probe_answered(first, 0, 11);
    assert_eq!(world.order(), [first, second]);
}

#[test]
fn a_notably_faster_upstream_is_asked_first() {
    let world = world();
    world.probe_answered(world.second, 0, 1);
    world.probe_answered(world.first, 0, 12);
    assert_eq!(world.order(), [world.second, world.first]);
}

#[test]
fn a_suspected_upstream_is_asked_last_and_a_dead_one_not_at_all() {
    let world = world();
    world
        .upstreams
        .overdue(world.first, Asked::Question, world.at(10));
    assert_eq!(world.order(), [world.second, world.first]);
    world.take_down(world.first, 20);
    assert_eq!(world.order(), [world.second]);
}

#[test]
fn a_suspicion_wakes_the_upkeep_of_the_whole_zone_once() {
    let world = world();
    for _ in 0..2 {
        world
            .upstreams
            .overdue(world.first, Asked::Question, world.at(10));
    }
    assert!(noticed(world.upstreams.wake(world.first)));
    assert!(noticed(world.upstreams.wake(world.second)));
    assert!(!noticed(world.upstreams.wake(world.first)));
    let corp = world.upstreams.indexes().next().unwrap();
    assert!(!noticed(world.upstreams.wake(corp)));
}

#[test]
fn patience_follows_the_round_trip_time_within_its_limits() {
    let world = world();
    let upstreams = &world.upstreams;
    assert_eq!(upstreams.patience(world.first), PATIENCE_MAX);
    assert_eq!(
        upstreams.probe_patience(world.first),
        (PATIENCE_MAX, PROBE_PATIENCE_UNKNOWN)
    );
    for (took_ms, expected) in [(1, PATIENCE_MIN), (20, MS * 60), (2000, PATIENCE_MAX)] {
        let world = self::world();
        let sent = world.at(0);
        let upstreams = &world.upstreams;
        upstreams.answered(world.first, Asked::Question, sent, sent + MS * took_ms);
        assert_eq!(upstreams.patience(world.first), expected);
        world.probe_answered(world.first, 0, took_ms);
        assert_eq!(upstreams.probe_patience(world.first).0, expected);
    }
}

/// In the lab the probes answered after a link's return made the next outage go unnoticed for 1.3 s.
#[test]
fn a_burst_of_late_probes_hardly_lengthens_the_patience_and_steady_slowness_does() {
    let world = world();
    let patience = || world.upstreams.probe_patience(world.first).1;
    for second in 0..20 {
        world.probe_answered(world.first, second * 1000, 1);
    }
    assert_eq!(patience(), PROBE_PATIENCE_MIN);
    for sent_ms in (20_000..20_900).step_by(75) {
        world.probe_answered(world.first, sent_ms, 20_950 - sent_ms);
    }
    assert!(patience() < Duration::from_millis(500), "{:?}", patience());
    for second in 22..40 {
        world.probe_answered(world.first, second * 1000, 700);
    }
    assert!(patience() > Duration::from_millis(700), "{:?}", patience());
}

#[test]
fn questions_are_in_flight_until_they_are_settled() {
    let world = world();
    for _ in 0..3 {
        world.upstreams.asked(world.first);
    }
    world.upstreams.settled(world.first, 2);
    let status = &world.upstreams.status()[1];
    assert_eq!((status.in_flight, status.queries), (1, 3));
}

#[test]
fn losses_are_counted_and_returns_are_not() {
    let world = world();
    world.take_down(world.first, 1000);
    assert_eq!(world.upstreams.losses(), 1);
    world.probe_answered(world.first, 2000, 1);
    assert_eq!(world.upstreams.losses(), 1);
}

#[test]
fn without_a_configured_root_what_belongs_nowhere_is_unusable_at_once() {
    let upstreams = Upstreams::new(&[], Instant::now());
    let zone = upstreams.zone_for(b"\x03com\x00");
    assert!(!upstreams.zone_usable(zone));
}

/// Its own slowest twentieth decides when another is asked, and is never a reason for suspicion.
#[test]
fn hedging_follows_the_answer_times_within_its_limits_and_comes_before_suspicion() {
    for (took_ms, hedge_ms) in [(1, 20..=20), (100, 80..=120), (5000, 400..=400)] {
        let world = world();
        let upstreams = &world.upstreams;
        assert_eq!(upstreams.hedge_after(world.first), PATIENCE_MAX);
        for number in 0..100 {
            let sent = world.at(number);
            upstreams.answered(world.first, Asked::Question, sent, sent + MS * took_ms);
            assert!(upstreams.patience(world.first) >= upstreams.hedge_after(world.first));
        }
        let hedge_after = upstreams.hedge_after(world.first).as_millis();
        assert!(hedge_ms.contains(&hedge_after), "{took_ms}: {hedge_after}");
    }
}

#[test]
fn tcp_that_fails_says_nothing_about_udp() {
    let world = world();
    for _ in 0..10 {
        world.upstreams.tcp_failed(world.first, world.at(1000));
    }
    assert!(!world.upstreams.tcp_usable(world.first, world.at(1001)));
    assert!(world.upstreams.tcp_usable(world.first, world.at(1250)));
    assert_eq!(world.upstreams.condition(world.first), Condition::Good);
    world.upstreams.tcp_answered(world.first, world.at(1300));
    assert!(world.upstreams.tcp_usable(world.first, world.at(1300)));
    assert!(world.upstreams.status()[1].tcp_closed);
}

/// How often they are probed depends on whether a zone has another.
#[test]
fn upstreams_that_are_down_are_woken_when_the_last_one_goes_down_and_when_the_first_is_back() {
    let world = world();
    let woken = |index| noticed(world.upstreams.wake(index));
    world.take_down(world.first, 1000);
    assert_eq!(world.upstreams.condition(world.first), Condition::Down);
    woken(world.first);
    world.take_down(world.second, 2000);
    assert!(woken(world.first));
    for one in [world.first, world.second] {
        assert_eq!(world.upstreams.condition(one), Condition::Dark);
    }
    world.probe_answered(world.second, 9000, 1);
    assert!(woken(world.first));
    assert_eq!(world.upstreams.condition(world.first), Condition::Down);
    // Another zone is another matter.
    let corp = world.upstreams.indexes().next().unwrap();
    assert!(!woken(corp));
}
