//! A rate over the recent past, from samples of a counter that only grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// At most so many samples are kept; the oldest goes first.
const SAMPLES_MAX: usize = 64;

/// The growth of one counter over the last second, or over two samples when those are rarer.
#[derive(Clone, Debug, Default)]
pub(super) struct RateWindow {
    samples: VecDeque<(Instant, u64)>,
}

impl RateWindow {
    /// What the rate is taken over.
    pub(super) const SPAN: Duration = Duration::from_secs(1);

    /// Takes the counter's value at `now`.
    pub(super) fn record(&mut self, now: Instant, total: u64) {
        self.samples.push_back((now, total));
        // The second-oldest is old enough to start the window: the oldest is of no more use.
        while self.samples.len() > SAMPLES_MAX
            || self
                .samples
                .get(1)
                .is_some_and(|(at, _)| *at + Self::SPAN <= now)
        {
            self.samples.pop_front();
        }
    }

    /// How much it grew within the window.
    pub(super) fn growth(&self) -> u64 {
        let ends = self.samples.front().zip(self.samples.back());
        ends.map_or(0, |((_, first), (_, last))| last.saturating_sub(*first))
    }

    /// Per second; `None` before the second sample.
    pub(super) fn rate(&self) -> Option<f64> {
        let (first_at, _) = self.samples.front()?;
        let (last_at, _) = self.samples.back()?;
        let elapsed = last_at.duration_since(*first_at);
        if elapsed.is_zero() {
            return None;
        }
        let growth = u32::try_from(self.growth()).unwrap_or(u32::MAX);
        Some(f64::from(growth) / elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second_only() {
        let start = crate::health::machine::tests::start();
        let mut window = RateWindow::default();
        assert_eq!(window.rate(), None);
        for i in 0..50_u64 {
            // 100 per 200 ms for 5 s, then silence.
            let total = 100 * i.min(25);
            window.record(start + Duration::from_millis(200 * i), total);
            if i == 25 {
                assert_eq!(window.rate(), Some(500.0));
            }
        }
        assert_eq!(window.rate(), Some(0.0));
    }

    #[test]
    fn rare_samples_still_give_a_rate() {
        let start = crate::health::machine::tests::start();
        let mut window = RateWindow::default();
        window.record(start, 0);
        window.record(start + Duration::from_secs(10), 50);
        window.record(start + Duration::from_secs(20), 70);
        assert_eq!(window.rate(), Some(2.0));
    }
}
