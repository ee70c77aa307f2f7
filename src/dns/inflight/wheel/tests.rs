//! Simulated time; a sorted list is the measure of what is right.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const NOBODY: [usize; 0] = [];

/// All that is due at `now`.
fn due(wheel: &mut Wheel, now: Instant) -> Vec<usize> {
    std::iter::from_fn(|| wheel.pop_due(now)).collect()
}

#[test]
fn an_entry_is_due_at_its_time_and_not_before() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    wheel.arm(0, start + TICK * 3);
    assert_eq!(wheel.poll_timeout(), Some(start + TICK * 3));
    assert_eq!(due(&mut wheel, start + TICK * 3 - MS), NOBODY);
    assert_eq!(due(&mut wheel, start + TICK * 3), [0]);
    assert_eq!(wheel.poll_timeout(), None);
}

#[test]
fn a_time_between_two_ticks_waits_for_the_later_one() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    wheel.arm(7, start + TICK + MS);
    assert_eq!(due(&mut wheel, start + TICK * 2 - MS), NOBODY);
    assert_eq!(due(&mut wheel, start + TICK * 2), [7]);
}

#[test]
fn what_is_armed_for_the_past_is_due_with_the_next_tick() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    let now = start + TICK * 1000;
    assert_eq!(due(&mut wheel, now), NOBODY);
    wheel.arm(1, start);
    assert_eq!(due(&mut wheel, now), NOBODY);
    assert_eq!(due(&mut wheel, now + TICK), [1]);
}

#[test]
fn an_entry_of_a_later_turn_waits_for_it() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    wheel.arm(0, start + TURN + TICK);
    wheel.arm(1, start + TICK);
    assert_eq!(due(&mut wheel, start + TICK), [1]);
    assert_eq!(due(&mut wheel, start + TURN), NOBODY);
    assert_eq!(due(&mut wheel, start + TURN + TICK), [0]);
}

#[test]
fn after_a_long_pause_all_that_is_due_is_found() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    for entry in 0..SLOTS {
        wheel.arm(entry, start + TICK * u32::try_from(entry * 3 + 1).unwrap());
    }
    let mut found = due(&mut wheel, start + Duration::from_secs(400 * 24 * 3600));
    found.sort_unstable();
    assert_eq!(found, Vec::from_iter(0..SLOTS));
    let after = start + Duration::from_secs(400 * 24 * 3600) + MS;
    wheel.arm(0, after);
    assert!(wheel.poll_timeout().unwrap() <= after + TICK);
}

#[derive(Clone, Debug)]
enum Event {
    Arm(usize, u64),
    Cancel(usize),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..20_usize, 0..6000_u64).prop_map(|(entry, ms)| Event::Arm(entry, ms)),
        1 => (0..25_usize).prop_map(Event::Cancel),
        3 => (0..300_u64).prop_map(Event::Pass),
        1 => (0..9000_u64).prop_map(Event::Pass),
    ]
}

proptest! {
    /// Never sooner, at most a tick later, each once, and never without being announced.
    #[test]
    fn entries_are_due_in_their_tick(events in proptest::collection::vec(event(), 1..200)) {
        let start = Instant::now();
        let mut now = start;
        let mut wheel = Wheel::new(start);
        let mut armed: [Option<Instant>; 25] = [None; 25];
        for event in events {
            match event {
                Event::Arm(entry, ms) => {
                    let at = now + Duration::from_micros(ms * 1000 + 17);
                    wheel.arm(entry, at);
                    armed[entry] = Some(at);
                }
                Event::Cancel(entry) => {
                    wheel.cancel(entry);
                    armed[entry] = None;
                }
                Event::Pass(ms) => now += Duration::from_millis(ms),
            }
            if let Some(next) = armed.iter().flatten().min() {
                prop_assert!(wheel.poll_timeout().unwrap() <= *next + TICK);
            }
            for entry in due(&mut wheel, now) {
                let at = armed[entry].take().unwrap();
                prop_assert!(at <= now);
            }
            for at in armed.iter().flatten() {
                prop_assert!(*at + TICK > now, "{:?} late", now - *at);
            }
            prop_assert_eq!(wheel.poll_timeout().is_none(), armed.iter().flatten().next().is_none());
        }
    }
}
