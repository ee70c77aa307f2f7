//! What becomes of the queries that reach a node: a fluid, in billionths of a query.

use crate::setup::{CAPACITY_MILLI, Time, WORKERS};

/// Names that clients ask for again and again; the cache is warm when it has them.
const NAMES: f64 = 20_000.0;
const BILLION: u128 = 1_000_000_000;

/// The queries of one node.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Queries per second, in thousandths.
    pub(crate) rate_milli: u64,
    /// Until when it is accounted for.
    at: Time,
    /// Share of the names that are in the cache, fresh or stale.
    pub(crate) warm: f64,
    workers: [Counts; WORKERS],
    pub(crate) totals: Totals,
}

/// The counters of one worker, in billionths.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    answered: u128,
    dropped: u128,
}

/// What became of all queries, in billionths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Answered in any way.
    pub(crate) answered: u128,
    /// Of these, with SERVFAIL.
    pub(crate) failed: u128,
    /// Too many at once.
    pub(crate) shed: u128,
    /// Sent to a node that does not answer.
    pub(crate) lost: u128,
}

/// What a node can do at present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ability {
    /// Whether each worker answers.
    pub(crate) answers: [bool; WORKERS],
    /// Whether the queries get as far as a worker's queue.
    pub(crate) hears: bool,
    /// Percent of the names that are not in the cache which cannot be resolved.
    pub(crate) failing_percent: u8,
}

impl Traffic {
    /// Accounts for the time up to `now`.
    pub(crate) fn account(&mut self, now: Time, ability: &Ability) {
        let elapsed_us = now.saturating_sub(self.at).as_micros();
        self.at = now;
        let arrived = self.worker_milli() * elapsed_us;
        if arrived == 0 {
            return;
        }
        let possible = u128::from(CAPACITY_MILLI) / WORKERS as u128 * elapsed_us;
        let mut answered = 0;
        for (worker, answers) in self.workers.iter_mut().zip(ability.answers) {
            let done = if answers && ability.hears {
                arrived.min(possible)
            } else {
                0
            };
            worker.answered += done;
            answered += done;
            if ability.hears {
                worker.dropped += arrived - done;
            }
            if answers && ability.hears {
                self.totals.shed += arrived - done;
            } else {
                self.totals.lost += arrived;
            }
        }
        self.totals.answered += answered;
        let misses = answered as f64 * (1.0 - self.warm);
        let failed = misses * f64::from(ability.failing_percent) / 100.0;
        self.totals.failed += failed as u128;
        let learned = (misses - failed) / 1e9;
        self.warm = 1.0 - (1.0 - self.warm) * (-learned / NAMES).exp();
    }

    /// Answers to clients by `worker` until `at`, which is not after the time accounted for; if it
    /// is before, then the rate has not changed since, and all was answered.
    pub(crate) fn answered(&self, worker: usize, at: Time) -> u64 {
        let since_us = self.at.saturating_sub(at).as_micros();
        let later = self.worker_milli() * since_us;
        (self.workers[worker].answered.saturating_sub(later) / BILLION) as u64
    }

    /// Queries that overflowed the queue of `worker`.
    pub(crate) fn dropped(&self, worker: usize) -> u64 {
        (self.workers[worker].dropped / BILLION) as u64
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        self.rate_milli > CAPACITY_MILLI
    }

    /// Of a thousand queries, so many are too many.
    pub(crate) fn excess_per_mille(&self) -> usize {
        let excess = self.rate_milli.saturating_sub(CAPACITY_MILLI);
        (excess * 1000 / self.rate_milli.max(1)) as usize
    }

    /// A new process counts from zero, and its cache is empty.
    pub(crate) fn restart(&mut self) {
        self.workers = [Counts::default(); WORKERS];
        self.warm = 0.0;
    }

    fn worker_milli(&self) -> u128 {
        u128::from(self.rate_milli) / WORKERS as u128
    }
}
