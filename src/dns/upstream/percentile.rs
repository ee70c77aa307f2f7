//! How long the slowest twentieth of answers takes: a histogram that forgets, without a lock.
//!
//! Four buckets for each doubling of the time, between a quarter of a millisecond and two seconds;
//! the value is interpolated within its bucket. Every [`MEMORY`] answers all counts are halved, so
//! that the last few hundred answers decide.

use std::array;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Fewer answers than this say nothing about the slowest twentieth of them.
pub(super) const ANSWERS_MIN: u32 = 20;

/// Counts are halved whenever so many answers have come.
const MEMORY: u32 = 512;
/// The value is worked out anew for each so many answers.
const STRIDE: u32 = 16;
/// Times below 2^8 µs fall into the first bucket.
const FIRST_EXPONENT: u32 = 8;
const PER_DOUBLING: u32 = 4;
/// The last bucket begins at 1.8 s.
const BUCKETS: usize = 52;

/// The times of an upstream's answers to questions.
#[derive(Debug)]
pub(super) struct AnswerTimes {
    counts: [AtomicU32; BUCKETS],
    /// Since the counts were halved.
    answers: AtomicU32,
    /// In microseconds; 0: not known yet.
    p95_us: AtomicU32,
}

impl Default for AnswerTimes {
    fn default() -> Self {
        Self {
            counts: array::from_fn(|_| AtomicU32::new(0)),
            answers: AtomicU32::new(0),
            p95_us: AtomicU32::new(0),
        }
    }
}

impl AnswerTimes {
    /// Adds the time that one answer took.
    pub(super) fn sample(&self, took: Duration) {
        if let Some(count) = self.counts.get(bucket(took)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let answers = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        if answers == ANSWERS_MIN || answers.is_multiple_of(STRIDE) {
            let p95_us = self.work_out().unwrap_or(0);
            self.p95_us.store(p95_us, Ordering::Relaxed);
        }
        if answers == MEMORY {
            // What others count meanwhile may be lost, which moves nothing.
            self.answers.store(0, Ordering::Relaxed);
            for count in &self.counts {
                count.store(count.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }

    /// The time within which 19 of 20 answers come; `None` while too few have come.
    pub(super) fn p95(&self) -> Option<Duration> {
        let us = self.p95_us.load(Ordering::Relaxed);
        (us > 0).then(|| Duration::from_micros(us.into()))
    }

    fn work_out(&self) -> Option<u32> {
        let counts: [u32; BUCKETS] =
            array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed));
        let total = counts.iter().copied().fold(0, u32::saturating_add);
        if total < ANSWERS_MIN {
            return None;
        }
        let mut above = total / 20;
        for (bucket, &count) in counts.iter().enumerate().rev() {
            if count > above {
                let (lower_us, upper_us) = (lower_edge_us(bucket), lower_edge_us(bucket + 1));
                let width_us = u64::from(upper_us - lower_us);
                let down_us = width_us * u64::from(above) / u64::from(count);
                return Some(upper_us - u32::try_from(down_us).unwrap_or(0));
            }
            above -= count;
        }
        None
    }
}

fn bucket(took: Duration) -> usize {
    let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    if us < 1 << FIRST_EXPONENT {
        return 0;
    }
    let exponent = us.ilog2();
    let quarter = (us >> (exponent - 2)) & (PER_DOUBLING - 1);
    let bucket = (exponent - FIRST_EXPONENT) * PER_DOUBLING + quarter;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// Where a bucket begins. The first one begins at 0 in truth, which nobody needs to know so well.
fn lower_edge_us(bucket: usize) -> u32 {
    let bucket = u32::try_from(bucket).unwrap_or(0);
    let (exponent, quarter) = (bucket / PER_DOUBLING, bucket % PER_DOUBLING);
    (PER_DOUBLING + quarter) << (exponent + FIRST_EXPONENT - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p95_ms(samples_us: impl Iterator<Item = u64>) -> f64 {
        let times = AnswerTimes::default();
        for us in samples_us {
            times.sample(Duration::from_micros(us));
        }
        times.p95().unwrap().as_secs_f64() * 1000.0
    }

    /// Numbers from 0 to 1, the same in each run.
    fn uniform() -> impl Iterator<Item = f64> {
        let mut state = 1_u64;
        std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        })
    }

    fn assert_near(found: f64, expected: f64) {
        let error = (found / expected - 1.0).abs();
        assert!(error <= 0.2, "{found} ms and not {expected} ms");
    }

    #[test]
    fn edges_meet_and_every_time_has_its_bucket() {
        for bucket_number in 0..BUCKETS - 1 {
            let (lower, upper) = (
                lower_edge_us(bucket_number),
                lower_edge_us(bucket_number + 1),
            );
            assert!(lower < upper);
            let at = |us: u32| bucket(Duration::from_micros(us.into()));
            assert_eq!(at(lower), bucket_number);
            assert_eq!(at(upper - 1), bucket_number);
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn known_distributions_are_met_within_a_fifth() {
        for scale_ms in [1.0, 7.0, 40.0, 150.0] {
            let us = |ms: f64| (ms * 1000.0) as u64;
            let even = uniform().map(|x| us(x * scale_ms));
            assert_near(p95_ms(even.take(2000)), 0.95 * scale_ms);
            let exponential = uniform().map(|x| us(-(1.0 - x).ln() * scale_ms));
            assert_near(p95_ms(exponential.take(2000)), 3.0 * scale_ms);
            assert_near(p95_ms((0..2000).map(|_| us(scale_ms))), scale_ms);
            // One in ten takes ten times as long, or one in fifty.
            let tails = |share: f64| {
                uniform().map(move |x| us(if x < share { 10.0 } else { 1.0 } * scale_ms))
            };
            assert_near(p95_ms(tails(0.02).take(2000)), scale_ms);
            assert_near(p95_ms(tails(0.1).take(2000)), 10.0 * scale_ms);
        }
    }

    #[test]
    fn nothing_is_said_of_too_few_answers() {
        let times = AnswerTimes::default();
        for _ in 1..ANSWERS_MIN {
            times.sample(Duration::from_millis(5));
            assert_eq!(times.p95(), None);
        }
        times.sample(Duration::from_millis(5));
        assert!(times.p95().is_some());
    }

    #[test]
    fn what_was_is_forgotten_within_some_thousand_answers() {
        let slow = std::iter::repeat_n(200_000, 5000);
        let quick = std::iter::repeat_n(2_000, 4000);
        assert_near(p95_ms(slow.clone().chain(quick.clone())), 2.0);
        // And a slow time is noticed at once.
        assert_near(p95_ms(quick.chain(slow.take(96))), 200.0);
    }
}
