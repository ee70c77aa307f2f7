//! The hold-down: a target that fails again and again stays at `backup` longer and longer.
//!
//! It delays only the step from `backup` to `preferred`; a worsening and the return from
//! `withdrawn` to `backup` never wait, so it cannot take the last route away.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::FaultClass;

/// Faults further apart than this know nothing of each other.
pub(super) const MEMORY: Duration = Duration::from_secs(600);
/// The longest hold.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(300);
/// Faults that are remembered; by then the hold has long been at its maximum.
const FAULTS_MAX: usize = 32;

/// The recent faults of one target.
#[derive(Clone, Debug, Default)]
pub(super) struct HoldDown {
    faults: VecDeque<Instant>,
    current: Option<FaultClass>,
    held: Option<Held>,
}

/// A hold in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// When it ends.
    pub(super) until: Instant,
    /// How long it lasts in all.
    pub(super) hold: Duration,
    /// Faults within the memory, the last one included.
    pub(super) faults: u32,
    /// The class of the last fault.
    pub(super) class: FaultClass,
}

impl HoldDown {
    /// Takes whether a fault lowers the level now; `hold` is that of the second fault.
    pub(super) fn record(&mut self, now: Instant, fault: Option<FaultClass>, hold: Duration) {
        match (self.current, fault) {
            (None, Some(_)) => {
                self.faults.retain(|at| now.duration_since(*at) < MEMORY);
                self.faults.push_back(now);
                if self.faults.len() > FAULTS_MAX {
                    self.faults.pop_front();
                }
                self.held = None;
            }
            (Some(class), None) => self.held = self.hold_after(now, class, hold),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.current = fault;
    }

    /// The hold that is in force at `now`.
    pub(super) fn held(&self, now: Instant) -> Option<Held> {
        self.held.filter(|held| now < held.until)
    }

    fn hold_after(&self, now: Instant, class: FaultClass, hold: Duration) -> Option<Held> {
        let faults = u32::try_from(self.faults.len()).unwrap_or(u32::MAX);
        let doublings = faults.checked_sub(2)?;
        let factor = 2_u32.saturating_pow(doublings);
        let hold = hold.saturating_mul(factor).min(HOLD_MAX);
        Some(Held {
            until: now + hold,
            hold,
            faults,
            class,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    fn fault(hold_down: &mut HoldDown, at: Instant) -> Option<Held> {
        hold_down.record(at, Some(FaultClass::Local), TEN);
        let end = at + Duration::from_secs(1);
        hold_down.record(end, None, TEN);
        hold_down.held(end)
    }

    #[test]
    fn the_first_fault_holds_nothing_and_later_ones_double_up_to_five_minutes() {
        let mut at = crate::health::machine::tests::start();
        let mut hold_down = HoldDown::default();
        assert_eq!(fault(&mut hold_down, at), None);
        for expected_s in [10, 20, 40, 80, 160, 300, 300] {
            at += Duration::from_secs(2);
            let held = fault(&mut hold_down, at).unwrap();
            assert_eq!(held.hold, Duration::from_secs(expected_s));
            assert_eq!(held.until, at + Duration::from_secs(1 + expected_s));
            assert!(
                hold_down
                    .held(held.until - Duration::from_nanos(1))
                    .is_some()
            );
            assert_eq!(hold_down.held(held.until), None);
        }
    }

    #[test]
    fn a_fault_is_forgotten_after_ten_minutes_and_not_before() {
        let start = crate::health::machine::tests::start();
        let mut hold_down = HoldDown::default();
        assert_eq!(fault(&mut hold_down, start), None);
        let before = start + MEMORY - Duration::from_nanos(1);
        assert!(fault(&mut hold_down.clone(), before).is_some());
        assert_eq!(fault(&mut hold_down, start + MEMORY), None);
    }
}
