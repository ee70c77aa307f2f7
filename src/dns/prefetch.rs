//! How many questions a worker may ask that no client waits for, to renew answers before they expire.
//!
//! Ten a second, and one for every ten misses: an answer that is renewed spares a miss, but nobody
//! has to ask for it again.

use std::time::Instant;

/// A question costs so much.
const COST: u64 = 1000;
/// What a miss earns.
const MISS: u64 = COST / 10;
/// What a millisecond earns: ten questions a second.
const MILLISECOND: u64 = COST / 100;
/// More is not saved up.
const MOST: u64 = 100 * COST;
/// What is there from the start: a second's worth.
const FIRST: u64 = 1000 * MILLISECOND;

/// What one worker may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    saved: u64,
    filled: Option<Instant>,
}

impl Default for Budget {
    /// As a second without questions leaves it: when one is first wanted is not when time began.
    fn default() -> Self {
        Self {
            saved: FIRST,
            filled: None,
        }
    }
}

impl Budget {
    /// The cache had nothing for a question.
    pub fn note_miss(&mut self) {
        self.saved = (self.saved + MISS).min(MOST);
    }

    /// Whether there is enough for one question.
    pub fn suffices(&mut self, now: Instant) -> bool {
        let filled = *self.filled.get_or_insert(now);
        let elapsed = now.saturating_duration_since(filled);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms > 0 {
            self.filled = Some(now);
            let earned = elapsed_ms.saturating_mul(MILLISECOND);
            self.saved = self.saved.saturating_add(earned).min(MOST);
        }
        self.saved >= COST
    }

    /// Takes what one question costs.
    pub fn spend(&mut self) {
        self.saved = self.saved.saturating_sub(COST);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::shared::tests::start;

    /// A budget of which nothing is left.
    fn empty(now: Instant) -> Budget {
        let mut budget = Budget::default();
        spent(&mut budget, now);
        budget
    }

    fn spent(budget: &mut Budget, now: Instant) -> u32 {
        let mut count = 0;
        while budget.suffices(now) {
            budget.spend();
            count += 1;
        }
        count
    }

    #[test]
    fn an_idle_worker_has_ten_questions_at_once() {
        assert_eq!(spent(&mut Budget::default(), start()), 10);
    }

    #[test]
    fn ten_questions_a_second_are_always_there() {
        let began = start();
        let mut budget = empty(began);
        assert_eq!(spent(&mut budget, began), 0);
        assert_eq!(spent(&mut budget, began + Duration::from_millis(99)), 0);
        assert_eq!(spent(&mut budget, began + Duration::from_millis(100)), 1);
        assert_eq!(spent(&mut budget, began + Duration::from_millis(1100)), 10);
    }

    #[test]
    fn ten_misses_earn_one_question() {
        let now = start();
        let mut budget = empty(now);
        for misses in 1..=9 {
            budget.note_miss();
            assert!(!budget.suffices(now), "{misses}");
        }
        budget.note_miss();
        assert_eq!(spent(&mut budget, now), 1);
    }

    #[test]
    fn no_more_than_a_hundred_questions_are_saved_up() {
        let began = start();
        let mut budget = empty(began);
        (0..5000).for_each(|_| budget.note_miss());
        assert_eq!(spent(&mut budget, began + Duration::from_secs(3600)), 100);
    }

    #[test]
    fn a_clock_that_stands_still_earns_nothing() {
        let began = start();
        let mut budget = empty(began + Duration::from_secs(1));
        assert!(!budget.suffices(began + Duration::from_secs(1)));
        assert!(!budget.suffices(began));
    }
}
