//! How many second questions a zone may be asked beside the first ones.
//!
//! A bucket of tokens: each first question adds a tenth of one, a hedge takes a whole one. It holds
//! what ten seconds of the present rate add, so that a bad second after a long good time is paid from
//! savings, and never less than a few, so that a quiet node can hedge at all.

use std::time::{Duration, Instant};

/// What a hedge takes, in tenths of a token.
const HEDGE: u32 = 10;
/// What a bucket holds at least, in tenths of a token.
const FLOOR: u32 = 5 * HEDGE;
/// Seconds that the rate is looked at, and that are saved for.
const WINDOW_S: usize = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The tokens of one zone.
#[derive(Debug)]
pub(super) struct Budget {
    tenths: u32,
    /// First questions of the last seconds.
    seconds: [u32; WINDOW_S],
    sum: u32,
    present: usize,
    /// When the present second ends.
    ends: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            tenths: FLOOR,
            seconds: [0; WINDOW_S],
            sum: 0,
            present: 0,
            ends: now + SECOND,
        }
    }

    /// A question begins.
    pub(super) fn earn(&mut self, now: Instant) {
        self.turn(now);
        self.seconds[self.present] = self.seconds[self.present].saturating_add(1);
        self.sum = self.sum.saturating_add(1);
        self.tenths = (self.tenths + 1).min(self.cap());
    }

    /// Takes a token, if there is one.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        self.turn(now);
        let left = self.tenths.checked_sub(HEDGE);
        self.tenths = left.unwrap_or(self.tenths);
        left.is_some()
    }

    fn cap(&self) -> u32 {
        self.sum.max(FLOOR)
    }

    fn turn(&mut self, now: Instant) {
        for _ in 0..=WINDOW_S {
            if now < self.ends {
                return;
            }
            self.ends += SECOND;
            self.present = (self.present + 1) % WINDOW_S;
            self.sum -= std::mem::take(&mut self.seconds[self.present]);
            // Time fills no more than the least that a quiet node has.
            if self.tenths < FLOOR {
                self.tenths += 1;
            }
            self.tenths = self.tenths.min(self.cap());
        }
        self.ends = now + SECOND;
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "simulated time needs a starting point"
    )]

    use super::*;

    fn spend_all(budget: &mut Budget, now: Instant) -> usize {
        (0..100_000).take_while(|_| budget.spend(now)).count()
    }

    #[test]
    fn a_quiet_node_has_five_tokens_and_then_one_for_ten_questions() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        assert_eq!(spend_all(&mut budget, now), 5);
        for _ in 0..9 {
            budget.earn(now);
        }
        assert!(!budget.spend(now));
        budget.earn(now);
        assert!(budget.spend(now));
    }

    #[test]
    fn ten_seconds_of_the_present_rate_are_saved_and_no_more() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for ms in 0..30_000 {
            budget.earn(start + Duration::from_millis(ms));
        }
        let now = start + Duration::from_secs(30);
        let saved = spend_all(&mut budget, now);
        assert!((900..=1000).contains(&saved), "{saved}");
        // The savings of a busy time are gone after a quiet one.
        for ms in 0..30_000 {
            budget.earn(now + Duration::from_millis(ms));
        }
        assert_eq!(spend_all(&mut budget, now + Duration::from_secs(60)), 5);
    }

    #[test]
    fn time_alone_fills_it_slowly_and_to_the_floor_only() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        spend_all(&mut budget, start);
        assert!(!budget.spend(start + Duration::from_secs(9)));
        assert!(budget.spend(start + Duration::from_secs(10)));
        // After a longer pause than the window time is not made up for turn by turn.
        let late = start + Duration::from_secs(3600);
        assert!(spend_all(&mut budget, late) <= 5);
    }

    #[test]
    fn over_a_minute_hedges_are_a_tenth_of_the_questions_and_the_floor() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut hedges = 0;
        for ms in (0..60_000).step_by(2) {
            let now = start + Duration::from_millis(ms);
            budget.earn(now);
            hedges += usize::from(budget.spend(now));
        }
        assert!((2990..=3011).contains(&hedges), "{hedges}");
    }
}
