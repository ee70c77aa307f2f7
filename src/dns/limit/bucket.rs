//! Tokens that come back with time.
//!
//! No RFC describes it: the usual token bucket, kept as what is missing in it, so that zero is a full
//! one. All arithmetic is in whole millionths of a token and whole microseconds: nothing is lost
//! by rounding, however often a bucket is looked at.

/// Parts of a token that a bucket counts in: a token a second is one part a microsecond.
const PARTS: u64 = 1_000_000;
/// More is as good as no limit, and would overflow.
const TOKENS_MAX: u64 = 1 << 40;

/// How fast tokens come back, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// At most 2^40 of each count.
    pub(super) fn new(per_second: u64, burst: u64) -> Self {
        Self {
            per_second: per_second.min(TOKENS_MAX),
            burst: burst.min(TOKENS_MAX),
        }
    }

    /// Tokens for one second at most.
    pub(super) fn of_a_second(per_second: u64) -> Self {
        Self::new(per_second, per_second)
    }
}

/// What is missing in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    missing: u64,
}

impl Bucket {
    /// Time has passed.
    pub(super) fn refill(&mut self, rate: Rate, elapsed_us: u64) {
        let come = rate.per_second.saturating_mul(elapsed_us);
        self.missing = self.missing.saturating_sub(come);
    }

    /// Tokens come from elsewhere; what does not fit is lost.
    pub(super) fn put(&mut self, tokens: u64) {
        self.missing = self.missing.saturating_sub(tokens.saturating_mul(PARTS));
    }

    /// Whether there are so many tokens.
    pub(super) fn has(self, rate: Rate, tokens: u64) -> bool {
        self.with_fewer(tokens) <= rate.burst * PARTS
    }

    /// Takes so many tokens; whether they were there. If not, the bucket stays as it is.
    pub(super) fn take(&mut self, rate: Rate, tokens: u64) -> bool {
        let enough = self.has(rate, tokens);
        if enough {
            self.missing = self.with_fewer(tokens);
        }
        enough
    }

    /// Whether no more than so many tokens are missing.
    pub(super) fn lacks_at_most(self, tokens: u64) -> bool {
        self.missing <= tokens.saturating_mul(PARTS)
    }

    fn with_fewer(self, tokens: u64) -> u64 {
        self.missing.saturating_add(tokens.saturating_mul(PARTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_what_comes_back() {
        let rate = Rate::new(10, 3);
        let mut bucket = Bucket::default();
        for expected in [true, true, true, false] {
            assert_eq!(bucket.take(rate, 1), expected);
        }
        bucket.refill(rate, 99_999);
        assert!(!bucket.take(rate, 1));
        bucket.refill(rate, 1);
        assert!(bucket.take(rate, 1));
        assert!(!bucket.has(rate, 1));
        // No more than the burst gathers.
        bucket.refill(rate, u64::MAX);
        assert!(bucket.has(rate, 3) && !bucket.has(rate, 4));
    }

    #[test]
    fn nothing_is_lost_by_looking_often() {
        let rate = Rate::of_a_second(7);
        let mut bucket = Bucket::default();
        assert!(bucket.take(rate, 7));
        for _ in 0..999_999 {
            bucket.refill(rate, 1);
        }
        assert!(!bucket.has(rate, 7));
        bucket.refill(rate, 1);
        assert!(bucket.has(rate, 7));
    }

    #[test]
    fn tokens_from_elsewhere_do_not_overfill() {
        let rate = Rate::new(0, 100);
        let mut bucket = Bucket::default();
        assert!(bucket.take(rate, 100));
        bucket.put(30);
        assert!(bucket.has(rate, 30) && !bucket.has(rate, 31));
        bucket.put(u64::MAX);
        assert!(bucket.lacks_at_most(0) && !bucket.has(rate, 101));
    }

    #[test]
    fn the_largest_rates_do_not_overflow() {
        let rate = Rate::of_a_second(u64::MAX);
        let mut bucket = Bucket::default();
        assert!(bucket.take(rate, TOKENS_MAX));
        assert!(!bucket.take(rate, u64::MAX));
        bucket.refill(rate, u64::MAX);
        assert!(bucket.lacks_at_most(0));
    }
}
