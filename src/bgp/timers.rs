//! The timers of a connection, and their jitter.
//!
//! Source: RFC 4271 §8.1.3, §10 (values and jitter), RFC 9687 (send hold timer).
//! Not done on purpose: IdleHold of §8.1.1; when to come back is the peer's matter.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How long a TCP connect may take. A lost SYN alone would be repeated after 1 s, 3 s and 7 s.
pub const CONNECT_LIMIT: Duration = Duration::from_millis(500);
/// Shortest wait before the next attempt when nothing was refused.
pub const RETRY_MIN: Duration = Duration::from_millis(300);
/// Longest wait before the next attempt when nothing was refused.
pub const RETRY_MAX: Duration = Duration::from_millis(700);
/// How long the peer's OPEN may take. RFC 4271 §8.2.2 suggests 4 minutes.
pub const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long nothing may be written on a session without hold time. RFC 9687 §3.1.
pub const SEND_HOLD_WITHOUT_HOLD_TIME: Duration = Duration::from_secs(480);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// ConnectRetryTimer: a connect takes too long, or the next one is due.
    ConnectRetry,
    /// DelayOpenTimer: the own OPEN has waited long enough for the peer's.
    DelayOpen,
    /// HoldTimer: nothing was heard.
    Hold,
    /// KeepaliveTimer: something has to be said.
    Keepalive,
    /// SendHoldTimer: nothing could be written.
    SendHold,
}

/// Deadlines; `None` is a timer that does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    /// See [`Timer::ConnectRetry`].
    pub connect_retry: Option<Instant>,
    /// See [`Timer::DelayOpen`].
    pub delay_open: Option<Instant>,
    /// See [`Timer::Hold`].
    pub hold: Option<Instant>,
    /// See [`Timer::Keepalive`].
    pub keepalive: Option<Instant>,
    /// See [`Timer::SendHold`].
    pub send_hold: Option<Instant>,
}

impl Timers {
    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let all = [
            self.connect_retry,
            self.delay_open,
            self.hold,
            self.keepalive,
            self.send_hold,
        ];
        all.into_iter().flatten().min()
    }

    /// Takes a timer that is due; it no longer runs afterwards.
    pub fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let all = [
            (Timer::Hold, &mut self.hold),
            (Timer::SendHold, &mut self.send_hold),
            (Timer::ConnectRetry, &mut self.connect_retry),
            (Timer::DelayOpen, &mut self.delay_open),
            (Timer::Keepalive, &mut self.keepalive),
        ];
        for (timer, deadline) in all {
            if deadline.is_some_and(|deadline| deadline <= now) {
                *deadline = None;
                return Some(timer);
            }
        }
        None
    }
}

/// Randomness that the caller seeds, so that a simulation can be repeated.
#[derive(Debug)]
pub struct Jitter {
    generator: SmallRng,
}

impl Jitter {
    /// The same seed gives the same delays.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            generator: SmallRng::seed_from_u64(seed),
        }
    }

    /// The wait before the next connect when nothing was refused.
    pub fn retry(&mut self) -> Duration {
        self.generator.random_range(RETRY_MIN..=RETRY_MAX)
    }

    /// 75 % to 100 % of a time. RFC 4271 §10.
    pub fn shorten(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.generator.random_range(0.75..=1.0))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use super::*;

    /// RFC 4271 §8.1.3: just before, at and after a deadline.
    #[test]
    fn a_timer_is_due_at_its_deadline_and_only_once() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut timers = Timers {
            hold: Some(start + second),
            keepalive: Some(start + 2 * second),
            ..Timers::default()
        };
        assert_eq!(timers.next(), Some(start + second));
        let before = start + second - Duration::from_nanos(1);
        assert_eq!(timers.take_due(before), None);
        assert_eq!(timers.take_due(start + second), Some(Timer::Hold));
        assert_eq!(timers.take_due(start + second), None);
        assert_eq!(timers.next(), Some(start + 2 * second));
        assert_eq!(timers.take_due(start + 3 * second), Some(Timer::Keepalive));
        assert_eq!(timers.next(), None);
    }

    /// RFC 4271 §10: between 75 % and 100 %, and not always the same.
    #[test]
    fn jitter_stays_in_its_range_and_varies() {
        let mut jitter = Jitter::new(1);
        let whole = Duration::from_secs(3);
        let drawn: Vec<Duration> = (0..200).map(|_| jitter.shorten(whole)).collect();
        assert!(
            drawn
                .iter()
                .all(|d| (whole.mul_f64(0.749)..=whole).contains(d))
        );
        assert!(drawn.iter().any(|d| *d != drawn[0]));
        assert!((0..200).all(|_| (RETRY_MIN..=RETRY_MAX).contains(&jitter.retry())));
    }
}
