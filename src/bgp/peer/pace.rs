//! When to come back after a connection ended.
//!
//! Source: RFC 4271 §8.1.1 (damping of oscillations), RFC 4486 (Cease).

use std::time::{Duration, Instant};

use crate::bgp::connection::End;
use crate::bgp::timers::Jitter;

/// Wait after the first refusal.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A session that lasted so long makes former refusals forgotten.
const GOOD_SESSION: Duration = Duration::from_secs(30);

/// Grows after refusals only: a router that is merely absent is tried again at a steady pace.
#[derive(Debug)]
pub(super) struct Pace {
    jitter: Jitter,
    refusals: u32,
    refused_last: bool,
    established: Option<Instant>,
}

impl Pace {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            jitter: Jitter::new(seed),
            refusals: 0,
            refused_last: false,
            established: None,
        }
    }

    pub(super) fn established(&mut self, now: Instant) {
        self.established = Some(now);
    }

    /// `session`: this was the connection that had been Established, not a surplus one.
    pub(super) fn ended(&mut self, now: Instant, end: &End, session: bool) {
        let lasted = self.established.take_if(|_| session);
        if lasted.is_some_and(|since| now.duration_since(since) >= GOOD_SESSION) {
            self.refusals = 0;
        }
        self.refused_last = match end {
            End::Sent(notification) | End::Received(notification) => {
                notification.asks_for_back_off()
            }
            End::ConnectTimeout
            | End::ConnectFailed
            | End::Closed
            | End::Dropped
            | End::Undelivered => false,
        };
        if self.refused_last {
            self.refusals = self.refusals.saturating_add(1);
        }
    }

    pub(super) fn next_delay(&mut self) -> Duration {
        if !self.refused_last {
            return self.jitter.retry();
        }
        let doublings = self.refusals.saturating_sub(1).min(6);
        let whole = BACK_OFF_MIN.saturating_mul(1 << doublings);
        self.jitter.shorten(whole.min(BACK_OFF_MAX))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use super::*;
    use crate::bgp::notification::Notification;

    fn refusal() -> End {
        End::Received(Notification::new(2, 2, vec![]))
    }

    /// RFC 4271 §8.1.1: a refusal costs 1 s, the next twice that, up to a minute.
    #[test]
    fn refusals_make_the_wait_grow_to_a_minute() {
        let now = Instant::now();
        let mut pace = Pace::new(3);
        for whole_s in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            pace.ended(now, &refusal(), false);
            let whole = Duration::from_secs(whole_s);
            let delay = pace.next_delay();
            assert!((whole.mul_f64(0.75)..=whole).contains(&delay), "{delay:?}");
        }
    }

    /// Design: an absent router is tried again at once, however long it is away.
    #[test]
    fn absence_never_makes_the_wait_grow() {
        let now = Instant::now();
        let mut pace = Pace::new(4);
        let steady = Duration::from_millis(300)..=Duration::from_millis(700);
        for _ in 0..100 {
            for end in [
                End::Closed,
                End::Dropped,
                End::Received(Notification::administrative_shutdown("")),
                End::Received(Notification::new(6, 10, vec![])),
                End::Sent(Notification::administrative_reset("")),
            ] {
                pace.ended(now, &end, true);
                assert!(steady.contains(&pace.next_delay()));
            }
        }
    }

    /// Just before and at the limit: half a minute of a session makes refusals forgotten.
    #[test]
    fn a_session_that_lasted_makes_refusals_forgotten() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        for (lasted, whole_s) in [(29 * second, 4), (30 * second, 1)] {
            let mut pace = Pace::new(5);
            pace.ended(start, &refusal(), false);
            pace.ended(start, &refusal(), false);
            pace.established(start);
            pace.ended(start + lasted, &refusal(), true);
            let whole = Duration::from_secs(whole_s);
            assert!((whole.mul_f64(0.75)..=whole).contains(&pace.next_delay()));
        }
    }
}
