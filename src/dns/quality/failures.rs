//! The questions of a zone that failed last: what is asked again to see whether a fault is over.
//!
//! Source: RFC 9520 §3.2 (a failure is about a name, so several names are kept). Written rarely, and
//! never waited for: a question that finds the list taken is not kept.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::key::Key;
use super::WITNESSES;

/// So many of them at most come from one prefix: it may well ask for what nobody can resolve.
const OF_ONE_PREFIX_MAX: usize = 2;
/// Between two that are kept.
const GAP: Duration = Duration::from_millis(50);
/// A question that failed longer ago is no longer told.
const LATELY: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug)]
pub(super) struct Failures {
    started: Instant,
    /// When the next one may be kept, in µs since the start.
    next_us: AtomicU64,
    kept: Mutex<Vec<Failed>>,
}

#[derive(Debug)]
struct Failed {
    key: Key,
    domain: usize,
    prefix: usize,
    at: Instant,
}

impl Failures {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            next_us: AtomicU64::new(0),
            kept: Mutex::default(),
        }
    }

    /// A question has failed; `domain` and `prefix` are the buckets that it was counted in.
    pub(super) fn note(&self, key: &Key, (domain, prefix): (usize, usize), now: Instant) {
        let now_us = super::micros(now.saturating_duration_since(self.started));
        if now_us < self.next_us.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut kept) = self.kept.try_lock() else {
            return;
        };
        self.next_us
            .store(now_us + super::micros(GAP), Ordering::Relaxed);
        let failed = Failed {
            key: *key,
            domain,
            prefix,
            at: now,
        };
        match place_for(&kept, domain, prefix) {
            Some(place) => kept[place] = failed,
            None => kept.push(failed),
        }
    }

    /// The latest first.
    pub(super) fn recent(&self, now: Instant) -> Vec<Key> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sort_by_key(|failed| std::cmp::Reverse(failed.at));
        let is_recent = |failed: &&Failed| now.saturating_duration_since(failed.at) <= LATELY;
        let recent = kept.iter().filter(is_recent);
        recent.map(|failed| failed.key).collect()
    }
}

/// Whose place a failure takes: that of its own domain, or of its prefix when that has its share, or
/// the oldest when all are taken; `None`: there is room.
fn place_for(kept: &[Failed], domain: usize, prefix: usize) -> Option<usize> {
    let oldest = |of: &dyn Fn(&Failed) -> bool| {
        let places = kept.iter().enumerate().filter(|(_, failed)| of(failed));
        places
            .min_by_key(|(_, failed)| failed.at)
            .map(|(place, _)| place)
    };
    let of_prefix = kept.iter().filter(|failed| failed.prefix == prefix).count();
    oldest(&|failed| failed.domain == domain).or_else(|| {
        if of_prefix >= OF_ONE_PREFIX_MAX {
            oldest(&|failed| failed.prefix == prefix)
        } else if kept.len() >= WITNESSES {
            oldest(&|_| true)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::shared::tests::start as now;
    use super::*;

    fn key(number: u8) -> Key {
        Key::new(&[1, b'a' + number, 0], 1, 1, false, false).unwrap()
    }

    fn world() -> (Failures, Instant) {
        let start = now();
        (Failures::new(start), start)
    }

    #[test]
    fn each_domain_has_one_place_and_the_oldest_goes_first() {
        let (failures, start) = world();
        for number in 0..9_u8 {
            let buckets = (usize::from(number), usize::from(number));
            failures.note(&key(number), buckets, start + GAP * u32::from(number));
        }
        let end = start + GAP * 9;
        let recent = failures.recent(end);
        assert_eq!(recent.len(), WITNESSES);
        assert_eq!(recent.first(), Some(&key(8)));
        assert!(!recent.contains(&key(0)));
        failures.note(&key(20), (8, 3), end);
        let recent = failures.recent(end);
        assert!(recent.contains(&key(20)) && !recent.contains(&key(8)));
    }

    #[test]
    fn one_prefix_has_two_places_at_most() {
        let (failures, start) = world();
        for number in 0..6_u8 {
            let at = start + GAP * u32::from(number);
            failures.note(&key(number), (usize::from(number), 4), at);
        }
        assert_eq!(failures.recent(start + GAP * 6), [key(5), key(4)]);
    }

    #[test]
    fn little_is_written_and_nothing_old_is_told() {
        let (failures, start) = world();
        failures.note(&key(0), (0, 0), start);
        failures.note(&key(1), (1, 1), start + GAP - Duration::from_nanos(1000));
        assert_eq!(failures.recent(start), [key(0)]);
        failures.note(&key(2), (2, 2), start + GAP);
        assert_eq!(failures.recent(start + LATELY), [key(2), key(0)]);
        assert_eq!(failures.recent(start + LATELY + GAP), [key(2)]);
    }
}
