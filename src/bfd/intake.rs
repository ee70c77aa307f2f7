//! How many packets of a neighbour are looked at.
//!
//! Source: RFC 5880 §9 (what forged packets could cost), §6.8.7 (how often a neighbour sends).

use std::time::{Duration, Instant};

/// So many packets may come at once: what gathers while the thread is busy, and answers to polls.
const BURST: u32 = 16;

/// Bounds the work that a neighbour, or somebody in its name, can make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intake {
    /// Between two packets in the long run.
    gap: Duration,
    /// Everything allowed is used up until then.
    paid_until: Instant,
}

impl Intake {
    /// Twice as many packets as are asked for, one per `interval`; a packet may come a quarter
    /// early (RFC 5880 §6.8.7).
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            gap: interval / 2,
            paid_until: now,
        }
    }

    /// Whether one more packet is worth looking at.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let paid_until = self.paid_until.max(now) + self.gap;
        let is_allowed = paid_until <= now + self.gap * BURST;
        if is_allowed {
            self.paid_until = paid_until;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use super::*;

    /// Just at and after the burst; then twice the wanted rate for ever.
    #[test]
    fn a_neighbour_is_heard_twice_as_often_as_asked_for_and_no_more() {
        let interval = Duration::from_millis(50);
        let start = Instant::now();
        let mut intake = Intake::new(interval, start);
        let taken = (0..1000).filter(|_| intake.take(start)).count();
        assert_eq!(taken, BURST as usize);
        let mut taken = 0;
        for ms in 1..=10_000 {
            let now = start + Duration::from_millis(ms);
            taken += (0..10).filter(|_| intake.take(now)).count();
        }
        assert_eq!(taken, 400);
        // RFC 5880 §6.8.7: the quickest that a neighbour may be.
        let (mut now, mut intake) = (start, Intake::new(interval, start));
        for _ in 0..1000 {
            now += interval * 3 / 4;
            assert!(intake.take(now));
        }
        // All that gathered while the thread slept for half a second.
        now += Duration::from_millis(500);
        assert!((0..14).all(|_| intake.take(now)));
    }
}
