//! What one worker counts of one zone: plain numbers, of which it is the only writer.
//!
//! Source: none; RFC 2308 and RFC 8914 tell what is an answer and what a failure, see [`super`].

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::super::counters::Count;

/// Domains fall into so many buckets.
pub const DOMAINS: usize = 32;
/// Client prefixes fall into so many buckets.
pub const PREFIXES: usize = 16;
/// Times that good answers took fall into so many buckets.
pub const TIMES: usize = 16;
/// The upper bound of the first of them; each further one is twice as long.
const FIRST_TIME_US: u64 = 256;

/// Counts of one zone.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Tally {
    good: Count,
    failed: Count,
    table: Option<Box<Table>>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Table {
    /// By domain, then by prefix: good in the lower half, failed in the upper half. Read every second,
    /// which no pair can make them wrap round in.
    pairs: [[AtomicU32; PREFIXES]; DOMAINS],
    times: [AtomicU32; TIMES],
}

impl Tally {
    pub(super) fn new(has_table: bool) -> Self {
        let table = || Table {
            pairs: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
            times: std::array::from_fn(|_| AtomicU32::new(0)),
        };
        Self {
            good: Count::default(),
            failed: Count::default(),
            table: has_table.then(|| Box::new(table())),
        }
    }

    pub(super) fn count_total(&self, is_good: bool) {
        if is_good {
            self.good.bump();
        } else {
            self.failed.bump();
        }
    }

    pub(super) fn count(&self, (domain, prefix): (usize, usize), is_good: bool) {
        let Some(pair) = self.table.as_ref().and_then(|table| {
            let domain = table.pairs.get(domain)?;
            domain.get(prefix)
        }) else {
            return;
        };
        let (good, failed) = halves(pair.load(Ordering::Relaxed));
        let (good, failed) = if is_good {
            (good.wrapping_add(1), failed)
        } else {
            (good, failed.wrapping_add(1))
        };
        pair.store(u32::from(failed) << 16 | u32::from(good), Ordering::Relaxed);
    }

    pub(super) fn count_time(&self, took: Duration) {
        let time = self
            .table
            .as_ref()
            .and_then(|table| table.times.get(time_bucket(took)));
        if let Some(time) = time {
            let more = time.load(Ordering::Relaxed).wrapping_add(1);
            time.store(more, Ordering::Relaxed);
        }
    }

    pub(super) fn totals(&self) -> (u64, u64) {
        (self.good.value(), self.failed.value())
    }

    /// Adds what is in the table, as far as there is one.
    pub(super) fn add_to(&self, pairs: &mut [(u16, u16)], times: &mut [u32]) {
        let Some(table) = &self.table else {
            return;
        };
        for (sum, pair) in pairs.iter_mut().zip(table.pairs.iter().flatten()) {
            let (good, failed) = halves(pair.load(Ordering::Relaxed));
            *sum = (sum.0.wrapping_add(good), sum.1.wrapping_add(failed));
        }
        for (sum, time) in times.iter_mut().zip(&table.times) {
            *sum = sum.wrapping_add(time.load(Ordering::Relaxed));
        }
    }
}

/// Good and failed.
fn halves(pair: u32) -> (u16, u16) {
    let [first, second, third, fourth] = pair.to_be_bytes();
    (
        u16::from_be_bytes([third, fourth]),
        u16::from_be_bytes([first, second]),
    )
}

fn time_bucket(took: Duration) -> usize {
    let bounds = super::micros(took).saturating_sub(1) / FIRST_TIME_US;
    // 0 below the first bound, then one more for each doubling.
    let doublings = u64::BITS - bounds.leading_zeros();
    usize::try_from(doublings).map_or(TIMES - 1, |bucket| bucket.min(TIMES - 1))
}

/// The longest time that falls into this bucket; the last one has no bound.
#[must_use]
pub fn time_bound(bucket: usize) -> Duration {
    let doublings = u32::try_from(bucket.min(TIMES - 1)).unwrap_or_default();
    Duration::from_micros(FIRST_TIME_US << doublings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_at_a_bound_belongs_to_its_bucket() {
        let us = Duration::from_micros;
        for (took, bucket) in [
            (us(0), 0),
            (us(256), 0),
            (us(257), 1),
            (us(512), 1),
            (us(513), 2),
            (time_bound(TIMES - 1), TIMES - 1),
            (time_bound(TIMES - 2), TIMES - 2),
            (Duration::from_secs(3600), TIMES - 1),
        ] {
            assert_eq!(time_bucket(took), bucket, "{took:?}");
        }
        assert!(time_bound(TIMES - 2) > Duration::from_secs(2));
    }

    #[test]
    fn good_and_failed_wrap_round_without_touching_each_other() {
        let tally = Tally::new(true);
        for _ in 0..65_535 {
            tally.count((3, 5), true);
        }
        tally.count((3, 5), false);
        let read = || {
            let (mut pairs, mut times) = (vec![(0, 0); DOMAINS * PREFIXES], vec![0; TIMES]);
            tally.add_to(&mut pairs, &mut times);
            pairs[3 * PREFIXES + 5]
        };
        assert_eq!(read(), (65_535, 1));
        tally.count((3, 5), true);
        assert_eq!(read(), (0, 1));
    }

    #[test]
    fn a_table_takes_two_kibibytes_and_shares_no_cache_line() {
        assert_eq!(align_of::<Table>(), 128);
        assert_eq!(size_of::<[[AtomicU32; PREFIXES]; DOMAINS]>(), 2048);
        assert_eq!(size_of::<Tally>(), 128);
    }

    #[test]
    fn a_zone_without_a_table_counts_totals_alone() {
        let tally = Tally::new(false);
        tally.count_total(true);
        tally.count((0, 0), true);
        tally.count_time(Duration::ZERO);
        let mut pairs = vec![(0, 0); DOMAINS * PREFIXES];
        tally.add_to(&mut pairs, &mut []);
        assert_eq!((tally.totals(), pairs[0]), ((1, 0), (0, 0)));
    }
}
