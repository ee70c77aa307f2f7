//! When siblings are asked, probed and left alone.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use std::time::Duration;

use super::super::{Asked, Breaker, ResolvedZone};
use super::*;

const MS: Duration = Duration::from_millis(1);

struct World {
    start: Instant,
    upstreams: Upstreams,
    root: ZoneIndex,
    ordinary: UpstreamIndex,
    siblings: Vec<UpstreamIndex>,
}

/// The root with one upstream and `count` siblings.
fn world(count: u8) -> World {
    let start = Instant::now();
    let zone = ResolvedZone {
        zone: vec![0],
        zone_text: ".".to_owned(),
        upstreams: vec![([192, 0, 2, 1], 53).into()],
        siblings: (0..count)
            .map(|number| ([198, 51, 100, number], 53).into())
            .collect(),
        ..ResolvedZone::default()
    };
    let upstreams = Upstreams::new(&[zone], start);
    let mut indexes = upstreams.indexes();
    World {
        start,
        root: upstreams.zone_for(b"\0"),
        ordinary: indexes.next().unwrap(),
        siblings: indexes.collect(),
        upstreams,
    }
}

impl World {
    fn at(&self, ms: u32) -> Instant {
        self.start + MS * ms
    }

    fn take_down_the_upstream(&self, ms: u32) {
        for later in 0..3 {
            let sent = self.at(ms + later);
            self.upstreams.probe_missed(self.ordinary, sent, sent);
        }
    }

    fn named(&self, rotation: u32) -> Vec<UpstreamIndex> {
        let mut named = Vec::new();
        self.upstreams.siblings_for(self.root, rotation, &mut named);
        named
    }
}

#[test]
fn siblings_are_no_members_of_the_order_and_do_not_make_a_zone_usable() {
    let world = world(3);
    let mut order = Vec::new();
    world.upstreams.order(world.root, &mut order);
    assert_eq!(order, [world.ordinary]);
    assert!(!world.upstreams.is_sibling(world.ordinary));
    assert!(
        world
            .siblings
            .iter()
            .all(|&one| world.upstreams.is_sibling(one))
    );
    world.take_down_the_upstream(1000);
    assert!(!world.upstreams.zone_usable(world.root));
    assert!(world.upstreams.has_last_resort(world.root));
    let zone = world.upstreams.zones().next().unwrap();
    assert!(!zone.usable && zone.last_resort);
}

#[test]
fn a_zone_without_siblings_has_no_last_resort() {
    let world = world(0);
    assert!(!world.upstreams.has_last_resort(world.root));
    assert_eq!(world.named(7), []);
}

#[test]
fn rotation_spreads_questions_over_all_siblings_and_names_four_at_most() {
    let world = world(7);
    let mut first = [0; 7];
    for rotation in 0..70 {
        let named = world.named(rotation);
        assert_eq!(named.len(), SIBLINGS_NAMED);
        first[named[0].position() - 1] += 1;
    }
    assert_eq!(first, [10; 7]);
    assert_eq!(world.named(u32::MAX).len(), SIBLINGS_NAMED);
}

#[test]
fn a_suspected_sibling_is_named_last_and_one_that_cannot_help_not_at_all() {
    let world = world(3);
    let [first, second, third] = world.siblings[..] else {
        panic!("three");
    };
    world
        .upstreams
        .overdue(first, Asked::Question, world.at(10));
    world.upstreams.sibling_refused(second, world.at(10));
    assert_eq!(world.named(0), [third, first]);
    assert_eq!(world.named(1), [third, first]);
    assert_eq!(world.upstreams.losses(), 1);
    assert_eq!(world.upstreams.breaker(second), Breaker::OpenByRcode);
}

#[test]
fn siblings_are_left_alone_until_one_has_failed_and_is_needed() {
    let world = world(1);
    let sibling = world.siblings[0];
    assert_eq!(world.upstreams.errand(world.ordinary), Errand::Probe);
    assert_eq!(world.upstreams.errand(sibling), Errand::Nothing);
    world.take_down_the_upstream(1000);
    assert_eq!(world.upstreams.errand(sibling), Errand::Nothing);
    world
        .upstreams
        .overdue(sibling, Asked::Question, world.at(1100));
    assert_eq!(world.upstreams.errand(sibling), Errand::Probe);
    world.upstreams.sibling_refused(sibling, world.at(1100));
    assert_eq!(world.upstreams.errand(sibling), Errand::Probe);
    let back = world.at(2000);
    world
        .upstreams
        .answered(world.ordinary, Asked::Probe, back, back);
    assert_eq!(world.upstreams.errand(sibling), Errand::Expire);
    world.upstreams.expire(sibling, world.at(2250));
    assert_eq!(world.upstreams.errand(sibling), Errand::Nothing);
    assert_eq!(world.named(0), [sibling]);
}

/// A sibling answers from its cache and with errors while its own upstreams are dead.
#[test]
fn only_an_accepted_probe_closes_the_breaker_of_a_sibling() {
    let world = world(1);
    let sibling = world.siblings[0];
    world.take_down_the_upstream(1000);
    for is_silent in [true, false] {
        let now = world.at(2000 + u32::from(is_silent));
        if is_silent {
            for _ in 0..3 {
                world.upstreams.refused(sibling, now);
            }
            assert_eq!(world.upstreams.breaker(sibling), Breaker::OpenByTransport);
        } else {
            world.upstreams.sibling_refused(sibling, now);
        }
        world
            .upstreams
            .answered(sibling, Asked::Question, now, now + MS);
        world.upstreams.good_answer(sibling, now + MS);
        world
            .upstreams
            .answered(sibling, Asked::Probe, now, now + MS);
        world.upstreams.probe_declined(sibling, now + MS);
        assert!(!world.upstreams.has_last_resort(world.root));
        world.upstreams.probe_accepted(sibling, now + MS * 2);
        assert!(world.upstreams.has_last_resort(world.root));
    }
}

#[test]
fn a_sibling_is_asked_from_the_address_that_it_knows_this_node_by() {
    let zone = |own: &[&str]| ResolvedZone {
        zone: vec![0],
        upstreams: vec!["192.0.2.1:53".parse().unwrap()],
        siblings: ["198.51.100.1:53", "[2001:db8::1]:53", "127.0.0.1:54"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
        own_siblings: own.iter().map(|text| text.parse().unwrap()).collect(),
        ..ResolvedZone::default()
    };
    for (own, expected) in [
        (&[][..], [None; 4]),
        (
            &["127.0.0.9", "198.51.100.7", "2001:db8::7", "198.51.100.8"],
            [
                None,
                Some("198.51.100.7"),
                Some("2001:db8::7"),
                Some("127.0.0.9"),
            ],
        ),
        (&["2001:db8::7"], [None, None, Some("2001:db8::7"), None]),
    ] {
        let upstreams = Upstreams::new(&[zone(own)], Instant::now());
        let sources = upstreams.indexes().map(|index| upstreams.source(index));
        let expected = expected.map(|text| text.map(|text| text.parse().unwrap()));
        assert_eq!(sources.collect::<Vec<_>>(), expected);
    }
}
