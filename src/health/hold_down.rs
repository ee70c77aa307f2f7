//! The hold-down: a target that fails again and again stays at `backup` longer and longer.
//!
//! It delays only the step from `backup` to `preferred`; a worsening never waits, and the return
//! from `withdrawn` to `backup` waits for good probes alone, so it cannot take the last route away.
//! From the third fault in ten minutes on more of these are wanted, so that a fault that comes
//! and goes cannot move the route at its own pace.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::delays::Delays;
use super::{FaultClass, Reason};

/// Faults further apart than this know nothing of each other.
pub(super) const MEMORY: Duration = Duration::from_secs(600);
/// The longest hold.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(300);
/// More good probes in a row than this are never wanted, unless `rise` itself is more.
pub(super) const RISE_MAX: u32 = 25;
/// Faults that are remembered; by then the hold has long been at its maximum.
const FAULTS_MAX: usize = 32;

/// The recent faults of one target.
#[derive(Clone, Debug, Default)]
pub(super) struct HoldDown {
    /// When each ended; the last one may still last.
    faults: VecDeque<Instant>,
    current: Option<FaultClass>,
    held: Option<Held>,
}

/// A hold in force, and the moment that chance adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// When the hold ends.
    until: Instant,
    /// When this node's turn is.
    pub(super) turn_at: Instant,
    /// How long the hold lasts in all.
    hold: Duration,
    /// Faults within the memory, the last one included.
    faults: u32,
    /// The class of the last fault.
    pub(super) class: FaultClass,
}

impl Held {
    fn within(self, delays: &Delays) -> Self {
        let hold = self.hold.min(delays.hold_max);
        let chance = (self.turn_at - self.until).min(delays.chance_max);
        let until = self.until - (self.hold - hold);
        Self {
            until,
            turn_at: until + chance,
            hold,
            ..self
        }
    }

    /// What is waited for at `now`.
    pub(super) fn reason(&self, now: Instant) -> Reason {
        let Self {
            until,
            turn_at,
            hold,
            faults,
            class: _,
        } = *self;
        if now < until {
            Reason::HeldDown {
                faults,
                hold,
                until,
            }
        } else {
            Reason::Staggered { until: turn_at }
        }
    }
}

impl HoldDown {
    /// Takes whether a fault lowers the level now; `hold` is that of the second fault, and `chance`
    /// what this node adds to the hold when a fault ends.
    pub(super) fn record(
        &mut self,
        now: Instant,
        fault: Option<FaultClass>,
        hold: Duration,
        chance: impl FnOnce() -> Duration,
    ) {
        match (self.current, fault) {
            (None, Some(_)) => {
                self.faults.retain(|at| now.duration_since(*at) < MEMORY);
                self.faults.push_back(now);
                if self.faults.len() > FAULTS_MAX {
                    self.faults.pop_front();
                }
                self.held = None;
            }
            (Some(class), None) => {
                self.prolong(now);
                self.held = Some(self.hold_from(now, class, hold, chance()));
            }
            (Some(_), Some(_)) => self.prolong(now),
            (None, None) => {}
        }
        self.current = fault;
    }

    /// Takes that the last fault lowers the level again, after a time in which it did not.
    pub(super) fn resume(&mut self, now: Instant, class: FaultClass) {
        if self.current.is_none() && !self.faults.is_empty() {
            self.prolong(now);
            self.held = None;
            self.current = Some(class);
        }
    }

    /// The hold that is in force at `now`, within `delays`.
    pub(super) fn held(&self, now: Instant, delays: &Delays) -> Option<Held> {
        let held = self.held.map(|held| held.within(delays));
        held.filter(|held| now < held.turn_at)
    }

    /// So many good probes in a row end a fault, where the settings say `rise`.
    pub(super) fn rise(&self, now: Instant, rise: u32) -> u32 {
        let doublings = self.count(now).saturating_sub(2);
        let factor = 2_u32.saturating_pow(doublings);
        rise.saturating_mul(factor).min(RISE_MAX.max(rise))
    }

    /// Faults within the memory.
    pub(super) fn count(&self, now: Instant) -> u32 {
        let recent = |at: &&Instant| now.duration_since(**at) < MEMORY;
        u32::try_from(self.faults.iter().filter(recent).count()).unwrap_or(u32::MAX)
    }

    /// Whether the next hold is more than none.
    pub(super) fn is_repeated(&self) -> bool {
        self.faults.len() > 1
    }

    /// Takes how long ago earlier faults ended, as [`Self::memory`] told it before a restart.
    pub(super) fn recall(
        &mut self,
        now: Instant,
        ages: &[Duration],
        hold: Duration,
        chance: impl FnOnce() -> Duration,
    ) {
        let mut ages: Vec<_> = ages.iter().filter(|age| **age < MEMORY).collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        let surplus = ages.len().saturating_sub(FAULTS_MAX);
        let times = ages.into_iter().skip(surplus);
        // A clock that has not run for that long cannot say it: then it was just now.
        self.faults = times
            .map(|age| now.checked_sub(*age).unwrap_or(now))
            .collect();
        if let Some(last) = self.faults.back() {
            // What failed is not remembered; it was this node that failed.
            self.held = Some(self.hold_from(*last, FaultClass::Local, hold, chance()));
        }
    }

    /// How long ago each fault ended, the latest last; zero for one that lasts.
    pub(super) fn memory(&self, now: Instant) -> Vec<Duration> {
        let ages = self.faults.iter().map(|at| now.duration_since(*at));
        let mut ages: Vec<_> = ages.filter(|age| *age < MEMORY).collect();
        if self.current.is_some()
            && let Some(last) = ages.last_mut()
        {
            *last = Duration::ZERO;
        }
        ages
    }

    fn prolong(&mut self, now: Instant) {
        if let Some(last) = self.faults.back_mut() {
            *last = now;
        }
    }

    fn hold_from(&self, end: Instant, class: FaultClass, hold: Duration, chance: Duration) -> Held {
        let faults = u32::try_from(self.faults.len()).unwrap_or(u32::MAX);
        let hold = match faults.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => hold
                .saturating_mul(2_u32.saturating_pow(doublings))
                .min(HOLD_MAX),
        };
        Held {
            until: end + hold,
            turn_at: end + hold + chance,
            hold,
            faults,
            class,
        }
    }
}

#[cfg(test)]
mod tests;
