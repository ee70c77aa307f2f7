//! A histogram of times with a fixed size: 64 buckets for each power of two, so that a quantile
//! read from it is at most 1 % from a time that was recorded.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: u64 = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;
/// Longer times count as this one: 2³⁵ ns, 34 s.
const BITS: u32 = 35;
const BUCKETS: usize = (STEPS as usize) * (1 + (BITS - STEP_BITS) as usize);

/// Times, counted by size.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            count: 0,
        }
    }
}

impl Latency {
    /// Counts one time.
    pub(crate) fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.count += 1;
    }

    /// Adds what the other has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts.iter()) {
            *own += other;
        }
        self.count += other.count;
    }

    /// The time that half of those recorded do not exceed.
    pub(crate) fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    /// The time that 99 of 100 recorded do not exceed.
    pub(crate) fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// The time that 999 of 1,000 recorded do not exceed.
    pub(crate) fn p999(&self) -> Duration {
        self.quantile(0.999)
    }

    /// The time that this share (0 to 1) of those recorded does not exceed; zero when there is none.
    fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(middle(bucket as u64));
            }
        }
        Duration::ZERO
    }
}

/// The place of a time: below [`STEPS`] its own, above by its highest bits.
fn bucket(ns: u64) -> usize {
    let ns = ns.min((1 << BITS) - 1);
    if ns < STEPS {
        return ns as usize;
    }
    let octave = ns.ilog2() - STEP_BITS;
    (u64::from(octave + 1) * STEPS + ((ns >> octave) - STEPS)) as usize
}

/// The middle of what falls into a bucket, in ns.
fn middle(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    let octave = bucket / STEPS - 1;
    ((bucket % STEPS + STEPS) << octave) + ((1 << octave) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_more_than_one_percent_from_the_middle_of_its_bucket() {
        let mut ns = 1_u64;
        while ns < 1 << BITS {
            for ns in [ns - 1, ns, ns + 1, ns + ns / 3] {
                if ns < 1 << BITS {
                    let error = middle(bucket(ns) as u64).abs_diff(ns);
                    assert!(error * 100 <= ns, "{ns} ns is shown {error} ns off");
                }
            }
            ns += ns / 7 + 1;
        }
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        for edge in [63, 64, 127, 128, 255, 256, 1 << 20] {
            let step = bucket(edge + 1) - bucket(edge);
            assert!(step <= 1, "{step} buckets after {edge} ns");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded_and_merged() {
        let (mut low, mut high) = (Latency::default(), Latency::default());
        assert_eq!(low.p50(), Duration::ZERO);
        for ns in 1..=5_000_u64 {
            low.record(ns * 1_000);
            high.record((ns + 5_000) * 1_000);
        }
        low.merge(&high);
        assert_eq!(low.count, 10_000);
        for (shown, true_us) in [(low.p50(), 5_000), (low.p99(), 9_900), (low.p999(), 9_990)] {
            let off = shown.abs_diff(Duration::from_micros(true_us));
            assert!(off * 100 <= Duration::from_micros(true_us), "{shown:?}");
        }
    }
}
