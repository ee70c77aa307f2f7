//! Errors in answers, and what closes what they have opened.

use proptest::prelude::*;

use super::super::super::client::{Prefix, PrefixLengths};
use super::*;

pub(super) fn error(number: u8, contradicted: bool) -> Evidence {
    Evidence {
        rcode: 2,
        reason: None,
        domain: number.into(),
        prefix: Prefix::of([10, 0, number, 1].into(), PrefixLengths::default()),
        contradicted,
    }
}

#[test]
fn errors_that_others_contradict_open_the_breaker_until_a_probe_is_accepted() {
    let world = world();
    let now = world.at(1000);
    for number in 0..100 {
        world
            .upstreams
            .poor_answer(world.first, &error(number, true), now);
    }
    assert_eq!(world.upstreams.breaker(world.first), Breaker::OpenByRcode);
    assert_eq!(world.upstreams.losses(), 1);
    world
        .upstreams
        .answered(world.first, Asked::Probe, now, now + MS);
    world.upstreams.probe_declined(world.first, now + MS);
    world.upstreams.good_answer(world.first, now + MS);
    assert!(!world.upstreams.is_up(world.first));
    world.upstreams.probe_accepted(world.first, now + MS);
    assert!(world.upstreams.is_up(world.first));
}

/// Contradiction says that another one is better; when there is none left, it says nothing.
#[test]
fn contradicted_errors_never_take_down_the_last_upstream_of_a_zone() {
    let world = world();
    world.take_down(world.second, 1000);
    for number in 0..100 {
        world
            .upstreams
            .poor_answer(world.first, &error(number, true), world.at(2000));
    }
    assert!(world.upstreams.is_up(world.first));
}

/// A question that no client chooses decides.
#[test]
fn uncontradicted_errors_open_the_breaker_only_when_the_apex_is_an_error_too() {
    let world = world();
    let now = world.at(1000);
    let flood = || {
        for number in 0..100 {
            world
                .upstreams
                .poor_answer(world.first, &error(number, false), now);
        }
    };
    flood();
    assert!(noticed(world.upstreams.wake(world.first)));
    world.upstreams.probe_accepted(world.first, now);
    flood();
    assert!(world.upstreams.is_up(world.first));
    world.upstreams.probe_declined(world.first, now);
    flood();
    assert_eq!(world.upstreams.breaker(world.first), Breaker::OpenByRcode);
}

/// Whoever asks seldom would else wait for one question more.
#[test]
fn most_answers_being_errors_the_breaker_opens_with_the_very_probe_that_is_declined() {
    let world = world();
    let now = world.at(1000);
    let errors = |count: u8| {
        for number in 0..count {
            let upstreams = &world.upstreams;
            upstreams.poor_answer(world.first, &error(number, false), now);
        }
    };
    errors(12);
    assert!(noticed(world.upstreams.wake(world.first)), "questionable");
    world.upstreams.probe_declined(world.first, now);
    assert!(world.upstreams.is_up(world.first), "too few");
    world.upstreams.probe_accepted(world.first, now);
    errors(20);
    assert!(world.upstreams.is_up(world.first), "the apex is answered");
    world.upstreams.probe_declined(world.first, now);
    assert_eq!(world.upstreams.breaker(world.first), Breaker::OpenByRcode);
    assert!(noticed(world.upstreams.flips()));
}

#[test]
fn an_upstream_that_others_contradict_is_asked_last_for_three_seconds() {
    let world = world();
    let upstreams = &world.upstreams;
    for _ in 0..100 {
        upstreams.poor_answer(world.first, &error(1, true), world.at(1000));
    }
    assert!(upstreams.is_up(world.first));
    assert_eq!(world.order(), [world.second, world.first]);
    upstreams.probe_accepted(world.first, world.at(3999));
    assert_eq!(world.order(), [world.second, world.first]);
    upstreams.probe_accepted(world.first, world.at(4000));
    assert_eq!(world.order(), [world.first, world.second]);
}

fn events() -> impl Strategy<Value = Vec<(u8, u32, u8)>> {
    proptest::collection::vec((0..10_u8, 0..500_u32, 0..20_u8), 1..200)
}

proptest! {
    /// Whatever has happened before: one accepted probe, and it is asked.
    #[test]
    fn no_breaker_stays_open_once_a_probe_is_accepted(events in events()) {
        let world = world();
        let upstreams = &world.upstreams;
        let mut ms = 1;
        for (event, later_ms, number) in events {
            ms += later_ms;
            let (sent, now) = (world.at(ms - 1), world.at(ms));
            match event {
                0 => upstreams.answered(world.first, Asked::Question, sent, now),
                1 => upstreams.answered(world.first, Asked::Probe, sent, now),
                2 => upstreams.overdue(world.first, Asked::Question, sent),
                3 | 4 => upstreams.probe_missed(world.first, now, now),
                5 => upstreams.refused(world.first, now),
                6 => upstreams.good_answer(world.first, now),
                7 => upstreams.probe_declined(world.first, now),
                // As in a burst.
                _ => (0..20).for_each(|one| {
                    let evidence = error((number + one) % 20, event == 8);
                    upstreams.poor_answer(world.first, &evidence, now);
                }),
            }
            let before = upstreams.losses();
            let was_up = upstreams.is_up(world.first);
            upstreams.answered(world.second, Asked::Probe, sent, now);
            upstreams.probe_accepted(world.second, now);
            prop_assert_eq!(upstreams.is_up(world.first), was_up);
            prop_assert_eq!(upstreams.losses(), before);
        }
        let now = world.at(ms + 1);
        upstreams.answered(world.first, Asked::Probe, now, now);
        upstreams.probe_accepted(world.first, now);
        prop_assert!(upstreams.is_up(world.first));
        prop_assert!(world.order().contains(&world.first));
    }
}
