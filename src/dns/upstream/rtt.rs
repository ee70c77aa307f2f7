//! A smoothed round-trip time that several threads update without a lock.
//!
//! Source: RFC 6298 §2 (smoothing factors 1/8 and 1/4, time-out = SRTT + 4·RTTVAR).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Smoothed time and its variation, both in microseconds, packed into one atomic word.
#[derive(Debug, Default)]
pub(super) struct Rtt(AtomicU64);

impl Rtt {
    /// Adds one measured round trip. Samples of over an hour count as an hour.
    pub(super) fn sample(&self, measured: Duration) {
        let measured_us = u32::try_from(measured.as_micros().min(3_600_000_000))
            .unwrap_or(u32::MAX)
            .max(1);
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
                Some(match unpack(packed) {
                    None => pack(measured_us, measured_us / 2),
                    Some((smoothed_us, variation_us)) => {
                        let error_us = smoothed_us.abs_diff(measured_us);
                        pack(
                            (smoothed_us - smoothed_us / 8 + measured_us / 8).max(1),
                            variation_us - variation_us / 4 + error_us / 4,
                        )
                    }
                })
            });
    }

    /// The smoothed time; `None` before the first sample.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        unpack(self.0.load(Ordering::Relaxed)).map(|(us, _)| Duration::from_micros(us.into()))
    }

    /// The time after which an answer is late: SRTT + 4·RTTVAR; `None` before the first sample.
    pub(super) fn patience(&self) -> Option<Duration> {
        unpack(self.0.load(Ordering::Relaxed)).map(|(smoothed_us, variation_us)| {
            Duration::from_micros(u64::from(smoothed_us) + 4 * u64::from(variation_us))
        })
    }
}

fn pack(smoothed_us: u32, variation_us: u32) -> u64 {
    u64::from(smoothed_us) << 32 | u64::from(variation_us)
}

/// A smoothed time of zero stands for "no sample yet".
fn unpack(packed: u64) -> Option<(u32, u32)> {
    let smoothed_us = u32::try_from(packed >> 32).unwrap_or(u32::MAX);
    let variation_us = u32::try_from(packed & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (smoothed_us != 0).then_some((smoothed_us, variation_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6298 §2.2: the first sample R gives SRTT = R, RTTVAR = R/2.
    #[test]
    fn the_first_sample_is_taken_as_it_is() {
        let rtt = Rtt::default();
        assert_eq!((rtt.smoothed(), rtt.patience()), (None, None));
        rtt.sample(Duration::from_millis(8));
        assert_eq!(rtt.smoothed(), Some(Duration::from_millis(8)));
        assert_eq!(rtt.patience(), Some(Duration::from_millis(24)));
    }

    /// RFC 6298 §2.3: SRTT = 7/8·SRTT + 1/8·R, RTTVAR = 3/4·RTTVAR + 1/4·|SRTT − R|.
    #[test]
    fn later_samples_are_smoothed() {
        let rtt = Rtt::default();
        rtt.sample(Duration::from_millis(8));
        rtt.sample(Duration::from_millis(16));
        assert_eq!(rtt.smoothed(), Some(Duration::from_millis(9)));
        assert_eq!(rtt.patience(), Some(Duration::from_millis(9 + 4 * 5)));
    }

    #[test]
    fn extreme_samples_neither_overflow_nor_read_as_unknown() {
        let rtt = Rtt::default();
        for _ in 0..100 {
            rtt.sample(Duration::ZERO);
        }
        assert!(rtt.smoothed().is_some());
        for _ in 0..100 {
            rtt.sample(Duration::MAX);
        }
        assert!(rtt.smoothed().unwrap() <= Duration::from_secs(3600));
    }
}
