//! Whether something that answers should have is still to be asked for.
//!
//! Source: RFC 5452 §9.3 (a mismatch may be an attack, or an accident).

use std::time::{Duration, Instant};

use super::OFF_TIME;

/// So many answers without it within [`WINDOW`] are enough.
pub(super) const STRIKES: u32 = 3;
/// How long an answer without it is remembered.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// Counts answers that lack something.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    strikes: u32,
    first_strike: Option<Instant>,
    off_until: Option<Instant>,
}

impl Doubt {
    /// It is not to be asked for at the moment.
    pub(super) fn is_off(&self, now: Instant) -> bool {
        self.off_until.is_some_and(|until| now < until)
    }

    /// An answer lacks it; whether that was one too many.
    pub(super) fn strike(&mut self, now: Instant) -> bool {
        if !self.is_raised(now) {
            (self.strikes, self.first_strike) = (0, Some(now));
        }
        self.strikes += 1;
        let is_enough = self.strikes >= STRIKES;
        if is_enough {
            self.turn_off(now);
        }
        is_enough
    }

    /// An answer has lacked it of late.
    pub(super) fn is_raised(&self, now: Instant) -> bool {
        self.first_strike.is_some_and(|first| now < first + WINDOW)
    }

    /// It cannot be had.
    pub(super) fn turn_off(&mut self, now: Instant) {
        *self = Self {
            off_until: Some(now + OFF_TIME),
            ..Self::default()
        };
    }
}
