//! How often one target may become `preferred`, and the chance that spreads a fleet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What the limit is for.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The changes to `preferred` of the last hour; as many as the limit at most.
#[derive(Clone, Debug)]
pub(super) struct Promotions {
    limit: usize,
    times: VecDeque<Instant>,
}

impl Promotions {
    pub(super) fn new(per_hour: u32) -> Self {
        Self {
            limit: usize::try_from(per_hour).unwrap_or(usize::MAX).max(1),
            times: VecDeque::new(),
        }
    }

    /// Takes that there is one.
    pub(super) fn record(&mut self, now: Instant) {
        self.times.push_back(now);
        if self.times.len() > self.limit {
            self.times.pop_front();
        }
    }

    /// How many are the limit, and when the next is allowed; `None`: at once.
    pub(super) fn wait(&self, now: Instant) -> Option<(u32, Instant)> {
        let oldest = self
            .times
            .front()
            .filter(|_| self.times.len() >= self.limit)?;
        let until = *oldest + HOUR;
        let promotions = u32::try_from(self.limit).unwrap_or(u32::MAX);
        (now < until).then_some((promotions, until))
    }

    /// Whether half of those that an hour may have are in this one.
    pub(super) fn are_half_spent(&self, now: Instant) -> bool {
        let recent = |at: &&Instant| now.duration_since(**at) < HOUR;
        self.times.iter().filter(recent).count() >= self.limit / 2
    }

    /// Takes how long ago earlier ones were, as [`Self::memory`] told it before a restart.
    pub(super) fn recall(&mut self, now: Instant, ages: &[Duration]) {
        let mut ages: Vec<_> = ages.iter().filter(|age| **age < HOUR).collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        let surplus = ages.len().saturating_sub(self.limit);
        let times = ages.into_iter().skip(surplus);
        // A clock that has not run for that long cannot say it: then it was just now.
        self.times = times
            .map(|age| now.checked_sub(*age).unwrap_or(now))
            .collect();
    }

    /// How long ago each of the last hour was, the latest last.
    pub(super) fn memory(&self, now: Instant) -> Vec<Duration> {
        let ages = self.times.iter().map(|at| now.duration_since(*at));
        ages.filter(|age| *age < HOUR).collect()
    }
}

/// Numbers that look drawn by lot, the same for the same start: SplitMix64 (Steele and others, 2014).
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    /// One source for each of several targets.
    pub(super) fn new(seed: u64, target: u64) -> Self {
        let mut chance = Self(seed ^ target.wrapping_mul(Self::STEP));
        Self(chance.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A time from zero to just under `limit`, in steps of its 65,536th part.
    pub(super) fn below(&mut self, limit: Duration) -> Duration {
        let [high, low, ..] = self.next().to_be_bytes();
        limit * u32::from(u16::from_be_bytes([high, low])) / 0x1_0000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::tests::start;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_limit_allows_the_next_when_the_oldest_is_an_hour_old_and_not_before() {
        let start = start();
        let mut promotions = Promotions::new(2);
        promotions.record(start);
        assert_eq!(promotions.wait(start), None);
        promotions.record(start + SECOND);
        let until = start + HOUR;
        let before = until - Duration::from_nanos(1);
        assert_eq!(promotions.wait(before), Some((2, until)));
        assert_eq!(promotions.wait(until), None);
        promotions.record(until);
        assert_eq!(promotions.wait(until), Some((2, until + SECOND)));
    }

    #[test]
    fn half_of_the_changes_are_spent_until_one_of_them_is_an_hour_old() {
        let start = start();
        let mut promotions = Promotions::new(5);
        promotions.record(start);
        assert!(!promotions.are_half_spent(start));
        promotions.record(start + SECOND);
        assert!(promotions.are_half_spent(start + SECOND));
        let until = start + HOUR;
        assert!(promotions.are_half_spent(until - Duration::from_nanos(1)));
        assert!(!promotions.are_half_spent(until));
    }

    #[test]
    fn what_is_recalled_is_what_was_remembered_and_never_more_than_the_limit() {
        let start = start();
        let mut before = Promotions::new(3);
        for i in 0..5 {
            before.record(start + i * SECOND);
        }
        let now = start + 5 * SECOND;
        let ages = before.memory(now);
        assert_eq!(ages, [3 * SECOND, 2 * SECOND, SECOND]);
        let mut after = Promotions::new(2);
        after.recall(now, &[ages.as_slice(), &[HOUR, Duration::MAX]].concat());
        assert_eq!(after.memory(now), [2 * SECOND, SECOND]);
        assert_eq!(after.memory(now + HOUR), []);
    }

    #[test]
    fn chance_fills_the_whole_range_and_differs_from_node_to_node() {
        let mut chance = Chance::new(1, 0);
        let drawn: Vec<_> = (0..1000).map(|_| chance.below(SECOND)).collect();
        assert!(drawn.iter().all(|time| *time < SECOND));
        for tenth in 0..10 {
            let range = tenth * SECOND / 10..(tenth + 1) * SECOND / 10;
            let hits = drawn.iter().filter(|time| range.contains(time)).count();
            assert!((60..140).contains(&hits), "{hits} in {range:?}");
        }
        assert_ne!(
            Chance::new(1, 0).below(SECOND),
            Chance::new(2, 0).below(SECOND)
        );
        assert_ne!(
            Chance::new(1, 0).below(SECOND),
            Chance::new(1, 1).below(SECOND)
        );
        assert_eq!(chance.below(Duration::ZERO), Duration::ZERO);
    }
}
