#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn an_upstream_that_answers_is_probed_once_a_second() {
    let start = Instant::now();
    let mut pacing = Pacing::new(start);
    assert_eq!(pacing.next(), start);
    pacing.sent(Condition::Good, start, 0);
    assert_eq!(pacing.next(), start + STEADY_GAP);
}

#[test]
fn jitter_shortens_by_at_most_a_quarter() {
    let start = Instant::now();
    let mut pacing = Pacing::new(start);
    pacing.sent(Condition::Good, start, u8::MAX);
    assert!(pacing.next() > start + STEADY_GAP * 3 / 4);
    assert!(pacing.next() < start + STEADY_GAP);
}

#[test]
fn suspicion_brings_the_next_probe_forward_but_keeps_the_quick_gap() {
    let start = Instant::now();
    let mut pacing = Pacing::new(start);
    pacing.sent(Condition::Good, start, 0);
    pacing.woken(Condition::Suspected, start + MS * 10, 0);
    assert_eq!(pacing.next(), start + QUICK_GAP);
    let later = start + MS * 500;
    let mut pacing = Pacing::new(start);
    pacing.sent(Condition::Good, start, 0);
    pacing.woken(Condition::Suspected, later, 0);
    assert_eq!(pacing.next(), later);
}

/// The gaps in ms between so many probes, sent as soon as they are due.
fn gaps(pacing: &mut Pacing, condition: Condition, count: usize) -> Vec<u128> {
    let mut gaps = Vec::new();
    for _ in 0..count {
        let now = pacing.next();
        pacing.sent(condition, now, 0);
        gaps.push((pacing.next() - now).as_millis());
    }
    gaps
}

/// The suspicion of one upstream has the others of its zone looked at as closely.
#[test]
fn a_wake_of_a_good_upstream_brings_three_quick_probes() {
    let mut pacing = Pacing::new(Instant::now());
    pacing.woken(Condition::Good, pacing.next(), 0);
    assert_eq!(gaps(&mut pacing, Condition::Good, 4), [75, 75, 1000, 1000]);
}

/// A suspected upstream that stays silent is down after its third probe; should it take longer, the
/// limit holds all the same.
#[test]
fn a_suspected_upstream_gets_four_quick_probes_and_then_waits_for_the_second_to_pass() {
    let mut pacing = Pacing::new(Instant::now());
    assert_eq!(
        gaps(&mut pacing, Condition::Suspected, 8),
        [75, 75, 75, 775, 75, 75, 75, 775]
    );
}

#[test]
fn a_doubted_upstream_is_probed_three_times_a_second() {
    let mut pacing = Pacing::new(Instant::now());
    assert_eq!(gaps(&mut pacing, Condition::Doubted, 3), [340, 340, 340]);
}

/// 250 ms, 500 ms, 1 s, 2 s, then 4 s for ever: a recovery is seen within 5 s.
#[test]
fn gaps_to_a_dead_upstream_grow_to_four_seconds_and_no_further() {
    let mut pacing = Pacing::new(Instant::now());
    assert_eq!(
        gaps(&mut pacing, Condition::Down, 7),
        [250, 500, 1000, 2000, 4000, 4000, 4000]
    );
}

#[test]
fn gaps_begin_anew_ten_seconds_after_the_breaker_closed_and_not_before() {
    for (up_ms, expected_ms) in [(9_999, 4000), (10_000, 250)] {
        let start = Instant::now();
        let mut pacing = Pacing::new(start);
        gaps(&mut pacing, Condition::Down, 6);
        let closed = pacing.next();
        pacing.woken(Condition::Good, closed, 0);
        let opened = closed + MS * up_ms;
        pacing.sent(Condition::Good, opened, 0);
        pacing.woken(Condition::Down, opened, 0);
        assert_eq!((pacing.next() - opened).as_millis(), expected_ms);
    }
}

#[test]
fn going_down_sets_the_first_gap_and_further_wakes_change_nothing() {
    let start = Instant::now();
    let mut pacing = Pacing::new(start);
    pacing.sent(Condition::Good, start, 0);
    pacing.woken(Condition::Down, start + MS, 0);
    assert_eq!(pacing.next(), start + MS + DOWN_GAP_MIN);
    pacing.sent(Condition::Down, pacing.next(), 0);
    let next = pacing.next();
    pacing.woken(Condition::Down, start, 0);
    assert_eq!(pacing.next(), next);
}

/// Its clients wait for it: a recovery is seen within half a second.
#[test]
fn gaps_grow_to_half_a_second_only_while_a_zone_has_no_other_upstream() {
    let mut pacing = Pacing::new(Instant::now());
    assert_eq!(
        gaps(&mut pacing, Condition::Dark, 6),
        [250, 500, 500, 500, 500, 500]
    );
    // With another one up they grow on.
    assert_eq!(
        gaps(&mut pacing, Condition::Down, 5),
        [500, 1000, 2000, 4000, 4000]
    );
    assert_eq!(gaps(&mut pacing, Condition::Dark, 2), [500, 500]);
}

#[test]
fn jitter_shortens_the_half_second_too() {
    let start = Instant::now();
    let mut pacing = Pacing::new(start);
    gaps(&mut pacing, Condition::Dark, 3);
    let now = pacing.next();
    pacing.sent(Condition::Dark, now, u8::MAX);
    assert!(pacing.next() > now + DARK_GAP_MAX * 3 / 4);
    assert!(pacing.next() < now + DARK_GAP_MAX);
}

#[test]
fn a_long_gap_ends_half_a_second_after_its_probe_when_the_last_other_upstream_goes_down() {
    for (later_ms, expected_ms) in [(100, 500), (500, 500), (501, 501), (3000, 3000)] {
        let mut pacing = Pacing::new(Instant::now());
        gaps(&mut pacing, Condition::Down, 8);
        let last = pacing.next() - DOWN_GAP_MAX;
        pacing.woken(Condition::Dark, last + MS * later_ms, 0);
        assert_eq!((pacing.next() - last).as_millis(), expected_ms);
    }
}

#[test]
fn an_upstream_is_tried_at_once_when_another_of_its_dark_zone_is_back() {
    let mut pacing = Pacing::new(Instant::now());
    gaps(&mut pacing, Condition::Dark, 8);
    let now = pacing.next() - MS * 400;
    pacing.woken(Condition::Dark, now, 0);
    assert_eq!(pacing.next(), now + MS * 400, "nothing has changed");
    pacing.woken(Condition::Down, now, 0);
    assert_eq!(pacing.next(), now);
    pacing.sent(Condition::Down, now, 0);
    let next = pacing.next();
    assert_eq!(next, now + DOWN_GAP_MIN);
    pacing.woken(Condition::Down, now, 0);
    assert_eq!(pacing.next(), next);
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Good),
        Just(Condition::Doubted),
        Just(Condition::Suspected),
        Just(Condition::Down),
        Just(Condition::Dark),
    ]
}

/// A link that is back must not be followed by seconds without a probe.
#[test]
fn a_new_way_into_the_network_is_tried_at_once_and_gaps_begin_anew() {
    let mut pacing = Pacing::new(Instant::now());
    gaps(&mut pacing, Condition::Down, 8);
    let now = pacing.next() - SECOND;
    pacing.woken(Condition::Down, now, 0);
    assert_eq!(pacing.next(), now + SECOND, "a wake alone changes nothing");
    pacing.way_changed(now);
    assert_eq!(pacing.next(), now);
    assert_eq!(gaps(&mut pacing, Condition::Down, 3), [250, 500, 1000]);
}

proptest! {
    /// Whatever happens to it: at most four probes in any second, at most four seconds between two.
    #[test]
    fn no_second_has_more_than_four_probes_and_no_gap_is_over_four_seconds(
        events in proptest::collection::vec(
            (conditions(), any::<u8>(), 0..400_u32, any::<bool>(), any::<bool>()), 1..300),
    ) {
        let start = Instant::now();
        let mut now = start;
        let mut pacing = Pacing::new(start);
        let mut sent = Vec::new();
        for (condition, jitter, ms, is_wake, has_new_way) in events {
            if is_wake && now + MS * ms < pacing.next() {
                now += MS * ms;
                pacing.woken(condition, now, jitter);
                if has_new_way {
                    pacing.way_changed(now);
                }
            } else {
                now = pacing.next().max(now);
                sent.push(now);
                pacing.sent(condition, now, jitter);
            }
            prop_assert!(pacing.next() <= now + DOWN_GAP_MAX);
            let is_full = sent.len() >= PROBES_PER_SECOND
                && pacing.next() == sent[sent.len() - PROBES_PER_SECOND] + SECOND;
            if condition == Condition::Dark && !is_full {
                prop_assert!(pacing.next() <= now + DARK_GAP_MAX);
            }
        }
        for five in sent.windows(PROBES_PER_SECOND + 1) {
            prop_assert!(five[PROBES_PER_SECOND] >= five[0] + SECOND);
        }
        for two in sent.windows(2) {
            prop_assert!(two[1] <= two[0] + DOWN_GAP_MAX);
        }
    }
}
