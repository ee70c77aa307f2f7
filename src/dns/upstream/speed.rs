//! How fast an upstream is compared with others: the median of its last five probes.
//!
//! A probe that is not answered in time counts with the time that it was waited for. Two lost or slow
//! probes in five change nothing; three quick ones show that a slow upstream has recovered, which a
//! smoothed time would take half a minute to show.

use std::array;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PROBES: usize = 5;

/// Written by the one who probes, read by all.
#[derive(Debug)]
pub(super) struct Speed {
    /// In microseconds; 0: not filled yet.
    recent: [AtomicU32; PROBES],
    /// Counts the probes.
    count: AtomicU32,
    /// In microseconds; 0: not known yet.
    median_us: AtomicU32,
}

impl Default for Speed {
    fn default() -> Self {
        Self {
            recent: array::from_fn(|_| AtomicU32::new(0)),
            count: AtomicU32::new(0),
            median_us: AtomicU32::new(0),
        }
    }
}

impl Speed {
    /// Adds the time that one probe took.
    pub(super) fn sample(&self, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(count).unwrap_or(0) % PROBES;
        self.recent[place].store(us, Ordering::Relaxed);
        let mut known = self.recent.each_ref().map(|us| us.load(Ordering::Relaxed));
        known.sort_unstable();
        let empty = known.iter().take_while(|&&us| us == 0).count();
        // The faster one of two in the middle.
        let middle = empty + (PROBES - empty - 1) / 2;
        self.median_us.store(known[middle], Ordering::Relaxed);
    }

    /// `None` before the first probe has been answered or waited for.
    pub(super) fn median(&self) -> Option<Duration> {
        let us = self.median_us.load(Ordering::Relaxed);
        (us > 0).then(|| Duration::from_micros(us.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn two_slow_probes_of_five_change_nothing_and_three_do() {
        let speed = Speed::default();
        assert_eq!(speed.median(), None);
        for took in [1, 300, 1, 300, 1] {
            speed.sample(MS * took);
            assert_eq!(speed.median(), Some(MS), "{took}");
        }
        speed.sample(MS * 300);
        assert_eq!(speed.median(), Some(MS * 300));
    }

    #[test]
    fn three_quick_probes_show_a_recovery() {
        let speed = Speed::default();
        (0..20).for_each(|_| speed.sample(Duration::MAX));
        speed.sample(Duration::ZERO);
        speed.sample(MS);
        assert!(speed.median() > Some(MS * 1000));
        speed.sample(MS);
        assert_eq!(speed.median(), Some(MS));
    }
}
