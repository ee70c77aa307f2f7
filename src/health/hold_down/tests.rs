//! Each limit of the hold-down, just before, at and after it.

use super::*;
use crate::health::machine::tests::start;

const TEN: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);

/// A fault of one second from `at` on, and the hold after it.
fn fault(hold_down: &mut HoldDown, at: Instant) -> Option<Held> {
    let nothing = || Duration::ZERO;
    hold_down.record(at, Some(FaultClass::Local), TEN, nothing);
    let end = at + SECOND;
    hold_down.record(end, None, TEN, nothing);
    hold_down.held(end, &Delays::FULL)
}

#[test]
fn the_first_fault_holds_nothing_and_later_ones_double_up_to_five_minutes() {
    let mut at = start();
    let mut hold_down = HoldDown::default();
    assert_eq!(fault(&mut hold_down, at), None);
    for expected_s in [10, 20, 40, 80, 160, 300, 300] {
        at += Duration::from_secs(2);
        let held = fault(&mut hold_down, at).unwrap();
        assert_eq!(held.hold, Duration::from_secs(expected_s));
        assert_eq!(held.until, at + Duration::from_secs(1 + expected_s));
        assert!(
            hold_down
                .held(held.until - NANOSECOND, &Delays::FULL)
                .is_some()
        );
        assert_eq!(hold_down.held(held.until, &Delays::FULL), None);
    }
}

#[test]
fn a_fault_is_forgotten_ten_minutes_after_its_end_and_not_before() {
    let start = start();
    let mut hold_down = HoldDown::default();
    assert_eq!(fault(&mut hold_down, start), None);
    let limit = start + SECOND + MEMORY;
    assert!(fault(&mut hold_down.clone(), limit - NANOSECOND).is_some());
    assert_eq!(fault(&mut hold_down, limit), None);
}

#[test]
fn chance_is_added_to_the_hold_and_told_apart_from_it() {
    let start = start();
    let mut hold_down = HoldDown::default();
    for _ in 0..2 {
        hold_down.record(start, Some(FaultClass::Shared), TEN, || SECOND);
        hold_down.record(start, None, TEN, || SECOND);
    }
    let held = hold_down.held(start, &Delays::FULL).unwrap();
    assert_eq!(held.turn_at, start + TEN + SECOND);
    let end = start + TEN;
    assert!(matches!(
        held.reason(end - NANOSECOND),
        Reason::HeldDown { .. }
    ));
    let until = held.turn_at;
    assert_eq!(held.reason(end), Reason::Staggered { until });
    assert!(hold_down.held(until - NANOSECOND, &Delays::FULL).is_some());
    assert_eq!(hold_down.held(until, &Delays::FULL), None);
}

#[test]
fn more_proof_is_wanted_from_the_third_fault_on_up_to_twenty_five_probes() {
    let mut at = start();
    let mut hold_down = HoldDown::default();
    assert_eq!(hold_down.rise(at, 5), 5);
    for expected in [5, 5, 10, 20, 25, 25] {
        at += 2 * SECOND;
        fault(&mut hold_down, at);
        assert_eq!(hold_down.rise(at, 5), expected);
    }
    assert_eq!(hold_down.rise(at, 40), 40, "never less than the settings");
    assert_eq!(hold_down.rise(at + SECOND + MEMORY, 5), 5);
}

#[test]
fn what_is_recalled_holds_as_if_nothing_had_been_restarted() {
    let start = start();
    let mut before = HoldDown::default();
    for i in 0..3 {
        fault(&mut before, start + i * 2 * SECOND);
    }
    let now = start + 8 * SECOND;
    let mut after = HoldDown::default();
    let ages = before.memory(now);
    assert_eq!(ages, [7 * SECOND, 5 * SECOND, 3 * SECOND]);
    after.recall(now, &ages, TEN, || Duration::ZERO);
    assert_eq!(
        after.held(now, &Delays::FULL),
        before.held(now, &Delays::FULL)
    );
    assert_eq!(after.rise(now, 5), before.rise(now, 5));
}

#[test]
fn a_restart_in_the_middle_of_a_fault_is_a_fault_that_ends_with_the_restart() {
    let start = start();
    let mut before = HoldDown::default();
    fault(&mut before, start);
    before.record(start + TEN, Some(FaultClass::Local), TEN, || SECOND);
    let now = start + 20 * TEN;
    let ages = before.memory(now);
    assert_eq!(ages.last(), Some(&Duration::ZERO));
    let mut after = HoldDown::default();
    after.recall(now, &ages, TEN, || Duration::ZERO);
    assert_eq!(after.held(now, &Delays::FULL).unwrap().turn_at, now + TEN);
}

#[test]
fn too_old_too_many_and_unsorted_ages_do_no_harm() {
    let now = start();
    let mut hold_down = HoldDown::default();
    let mut ages = vec![MEMORY, Duration::MAX, 3 * SECOND, SECOND];
    hold_down.recall(now, &ages, TEN, || Duration::ZERO);
    assert_eq!(hold_down.memory(now), [3 * SECOND, SECOND]);
    ages.extend([2 * SECOND; 1000]);
    hold_down.recall(now, &ages, TEN, || Duration::ZERO);
    let kept = hold_down.memory(now);
    assert_eq!((kept.len(), kept.last()), (FAULTS_MAX, Some(&SECOND)));
}

#[test]
fn a_hold_is_no_longer_than_its_limit_and_chance_no_more_than_that_of_its_own() {
    let start = start();
    let mut hold_down = HoldDown::default();
    for _ in 0..4 {
        hold_down.record(start, Some(FaultClass::Local), TEN, || 2 * SECOND);
        hold_down.record(start, None, TEN, || 2 * SECOND);
    }
    let full = hold_down.held(start, &Delays::FULL).unwrap();
    assert_eq!(
        (full.hold, full.turn_at),
        (4 * TEN, start + 4 * TEN + 2 * SECOND)
    );
    for (hold_max, chance_max, turn_s) in [(TEN, 3 * SECOND, 12), (Duration::ZERO, SECOND, 1)] {
        let delays = Delays {
            hold_max,
            chance_max,
            is_limited: true,
        };
        let held = hold_down.held(start, &delays).unwrap();
        let turn_at = start + turn_s * SECOND;
        assert_eq!((held.hold, held.turn_at), (hold_max, turn_at));
        assert!(hold_down.held(turn_at - NANOSECOND, &delays).is_some());
        assert_eq!(hold_down.held(turn_at, &delays), None);
    }
}
