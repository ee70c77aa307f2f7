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
        let chance = (rotation, self.start);
        self.upstreams.siblings_for(self.root, chance, &mut named);
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
fn dry_siblings_are_named_last_suspected_ones_behind_others_and_dead_ones_not_at_all() {
    let world = world(5);
    let [suspected, dry, both, dead, good] = world.siblings[..] else {
        panic!("five");
    };
    let now = world.at(10);
    for one in [suspected, both] {
        world.upstreams.overdue(one, Asked::Question, now);
    }
    for one in [dry, both] {
        world.upstreams.sibling_refused(one);
    }
    for _ in 0..3 {
        world.upstreams.refused(dead, now);
    }
    for rotation in 0..5 {
        assert_eq!(world.named(rotation), [good, suspected, dry, both]);
    }
    assert_eq!(world.upstreams.losses(), 1, "a dry one is not lost");
    assert_eq!(world.upstreams.breaker(dry), Breaker::Closed);
}

/// Just before, at and after the limit.
#[test]
fn a_dry_sibling_is_named_until_its_ration_is_spent_and_again_when_there_is_more() {
    let world = world(2);
    let [dry, good] = world.siblings[..] else {
        panic!("two");
    };
    world.upstreams.sibling_refused(dry);
    for asked in 1..=RATION_BURST {
        assert_eq!(world.named(0), [good, dry], "{asked}");
        world.upstreams.take_share(dry, world.start);
        world.upstreams.take_share(good, world.start);
    }
    assert_eq!(world.named(0), [good]);
    assert!(world.upstreams.admits_last_resort(world.root, world.at(0)));
    world.upstreams.sibling_refused(good);
    for _ in 0..RATION_BURST {
        world.upstreams.take_share(good, world.start);
    }
    let denied = || {
        let status = world.upstreams.status();
        status.iter().map(|one| one.denied).collect::<Vec<_>>()
    };
    assert_eq!(denied(), [0, 0, 0]);
    assert!(!world.upstreams.admits_last_resort(world.root, world.at(0)));
    assert_eq!(denied(), [0, 1, 1]);
    assert!(world.upstreams.has_last_resort(world.root));
    let later = world.at(1000 / RATION_PER_SECOND);
    assert!(world.upstreams.admits_last_resort(world.root, later));
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
    world.upstreams.sibling_refused(sibling);
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

/// It answers from its cache and with errors while its own upstreams are dead.
#[test]
fn any_answer_closes_the_breaker_of_a_sibling_and_an_accepted_probe_ends_its_ration() {
    let world = world(1);
    let (sibling, upstreams) = (world.siblings[0], &world.upstreams);
    world.take_down_the_upstream(1000);
    let now = world.at(2000);
    for _ in 0..3 {
        upstreams.refused(sibling, now);
    }
    assert_eq!(upstreams.breaker(sibling), Breaker::OpenByTransport);
    assert!(!upstreams.has_last_resort(world.root));
    upstreams.answered(sibling, Asked::Probe, now, now + MS);
    upstreams.probe_declined(sibling, now + MS);
    assert!(upstreams.has_last_resort(world.root));
    assert!(upstreams.is_dry(sibling));
    upstreams.answered(sibling, Asked::Question, now, now + MS);
    upstreams.good_answer(sibling, now + MS);
    assert!(upstreams.is_dry(sibling), "it may be from the cache");
    assert_eq!(upstreams.condition(sibling), Condition::Down);
    upstreams.probe_accepted(sibling, now + MS * 2);
    assert!(!upstreams.is_dry(sibling));
    assert_eq!(upstreams.errand(sibling), Errand::Nothing);
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
