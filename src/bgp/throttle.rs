//! Keeps a repeated fact from filling the log.
//!
//! Source: RFC 4271 §8.1.1 (a peer that oscillates must not cost much). Time is an argument.

use std::time::{Duration, Instant};

/// One message per this time and kind.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one through, then counts for a while.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    quiet_until: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// `Some` with the number left out since the last one: say it. `None`: leave it out.
    pub(super) fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.quiet_until.is_some_and(|until| now < until) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.quiet_until = Some(now + PAUSE);
        Some(std::mem::take(&mut self.suppressed))
    }

    /// The next one is news again.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use super::*;

    /// Just before and at the pause; what was left out is counted.
    #[test]
    fn one_in_ten_seconds_passes_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        assert_eq!(throttle.allow(start), Some(0));
        for _ in 0..1000 {
            assert_eq!(
                throttle.allow(start + PAUSE - Duration::from_nanos(1)),
                None
            );
        }
        assert_eq!(throttle.allow(start + PAUSE), Some(1000));
        throttle.reset();
        assert_eq!(throttle.allow(start + PAUSE), Some(0));
    }
}
