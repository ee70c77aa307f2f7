//! Whether an upstream is worth a TCP connection: a breaker of its own, for TCP may be filtered or
//! overloaded where UDP works. It says nothing about UDP.
//!
//! It opens after [`FAILURES_TO_OPEN`] failures in a row. Then TCP is tried after 250 ms, 500 ms, 1 s,
//! 2 s and from then on every 4 s, each up to a quarter less, and by whoever asks within
//! [`TRIAL_MS`]: who asks twice about one connection must not be told two things. One answer closes
//! it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Failures without an answer in between that open the breaker.
pub(super) const FAILURES_TO_OPEN: u8 = 3;

/// How long a trial is open.
const TRIAL_MS: u64 = 20;
const GAP_MIN_MS: u64 = 250;
/// The gap has been doubled so often when it is at its longest.
const DOUBLINGS_MAX: u8 = 4;

/// The breaker as a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// In a row.
    failures: u8,
    /// Let through since it opened.
    trials: u8,
    /// Milliseconds since the start, below 2^48; 0: closed.
    retry_at_ms: u64,
}

impl Standing {
    fn after_failure(self, now_ms: u64, jitter: u8) -> Self {
        let failures = self.failures.saturating_add(1);
        let opens = failures >= FAILURES_TO_OPEN && self.retry_at_ms == 0;
        Self {
            failures,
            retry_at_ms: if opens {
                now_ms + gap_ms(self.trials, jitter)
            } else {
                self.retry_at_ms
            },
            ..self
        }
    }

    /// After a trial at `now_ms`; `None`: none is due.
    fn after_trial(self, now_ms: u64, jitter: u8) -> Option<Self> {
        let trials = self.trials.saturating_add(1).min(DOUBLINGS_MAX);
        (now_ms >= self.retry_at_ms).then(|| Self {
            trials,
            retry_at_ms: now_ms + gap_ms(trials, jitter),
            ..self
        })
    }

    fn pack(self) -> u64 {
        let [.., failures] = u64::from(self.failures).to_be_bytes();
        self.retry_at_ms << 16 | u64::from(self.trials) << 8 | u64::from(failures)
    }

    fn unpack(packed: u64) -> Self {
        let [.., trials, failures] = packed.to_be_bytes();
        Self {
            failures,
            trials,
            retry_at_ms: packed >> 16,
        }
    }
}

fn gap_ms(doublings: u8, jitter: u8) -> u64 {
    let gap_ms = GAP_MIN_MS << doublings.min(DOUBLINGS_MAX);
    gap_ms - gap_ms * u64::from(jitter) / 1024
}

/// The breaker that several threads use, and when its last trial began. Times are in microseconds since the start; `jitter` may be
/// any value.
#[derive(Debug, Default)]
pub(super) struct TcpBreaker {
    standing: AtomicU64,
    trial_at_ms: AtomicU64,
}

impl TcpBreaker {
    pub(super) fn failed(&self, now_us: u64, jitter: u8) {
        let next = |packed| {
            let standing = Standing::unpack(packed);
            Some(standing.after_failure(now_us / 1000, jitter).pack())
        };
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self
            .standing
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    pub(super) fn answered(&self) {
        if self.standing.load(Ordering::Relaxed) != 0 {
            self.standing.store(0, Ordering::Relaxed);
        }
    }

    /// Whether a connection may be tried now. While the breaker is open, a `true` begins a trial.
    pub(super) fn is_usable(&self, now_us: u64, jitter: u8) -> bool {
        let now_ms = now_us / 1000;
        let packed = self.standing.load(Ordering::Relaxed);
        let standing = Standing::unpack(packed);
        if standing.retry_at_ms == 0 {
            return true;
        }
        let Some(after) = standing.after_trial(now_ms, jitter) else {
            let trial_at_ms = self.trial_at_ms.load(Ordering::Relaxed);
            return standing.trials > 0 && now_ms < trial_at_ms + TRIAL_MS;
        };
        self.trial_at_ms.store(now_ms, Ordering::Relaxed);
        // Who comes second to this finds the trial begun.
        let _ = self.standing.compare_exchange(
            packed,
            after.pack(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        Standing::unpack(self.standing.load(Ordering::Relaxed)).retry_at_ms == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    fn opened() -> TcpBreaker {
        let breaker = TcpBreaker::default();
        (0..FAILURES_TO_OPEN).for_each(|_| breaker.failed(MS, 0));
        breaker
    }

    #[test]
    fn two_failures_leave_it_closed_and_the_third_in_a_row_opens_it() {
        let breaker = TcpBreaker::default();
        breaker.failed(MS, 0);
        breaker.failed(MS, 0);
        assert!(breaker.is_usable(MS, 0));
        breaker.answered();
        breaker.failed(MS, 0);
        breaker.failed(MS, 0);
        assert!(breaker.is_closed());
        breaker.failed(MS, 0);
        assert!(!breaker.is_closed());
        assert!(!breaker.is_usable(MS, 0));
    }

    #[test]
    fn tcp_is_tried_for_twenty_ms_after_each_gap_and_gaps_grow_to_four_seconds() {
        let breaker = opened();
        let usable: Vec<u64> = (2..26_000)
            .filter(|ms| breaker.is_usable(ms * MS, 0))
            .inspect(|ms| breaker.failed(ms * MS, 0))
            .collect();
        let trials: Vec<u64> = usable.iter().copied().step_by(20).collect();
        let gaps: Vec<u64> = trials.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(trials[0], 251);
        assert_eq!(gaps, [500, 1000, 2000, 4000, 4000, 4000, 4000, 4000]);
        assert!(usable.contains(&270) && !usable.contains(&271));
    }

    #[test]
    fn jitter_shortens_a_gap_by_less_than_a_quarter() {
        assert_eq!(gap_ms(4, 0), 4000);
        assert!(gap_ms(4, u8::MAX) > 3000);
        assert_eq!(gap_ms(u8::MAX, 0), 4000);
    }

    /// Of 64 connections that fail together all but one are not news.
    #[test]
    fn failures_while_it_is_open_do_not_lengthen_the_gap() {
        let breaker = opened();
        (0..200).for_each(|_| breaker.failed(2 * MS, 0));
        assert!(!breaker.is_usable(250 * MS, 0));
        assert!(breaker.is_usable(251 * MS, 0));
    }

    #[test]
    fn an_answer_closes_it_and_forgets_the_gaps() {
        let breaker = opened();
        assert!(breaker.is_usable(10_000 * MS, 0));
        breaker.answered();
        assert!(breaker.is_closed());
        (0..FAILURES_TO_OPEN).for_each(|_| breaker.failed(20_000 * MS, 0));
        assert!(!breaker.is_usable(20_249 * MS, 0));
        assert!(breaker.is_usable(20_250 * MS, 0));
    }
}
