//! What health knows of one query worker: whether its loop turns and whether it answers anybody.

use std::time::{Duration, Instant};

use super::{Settings, WorkerSample};

/// A worker shows a heartbeat every 50 ms, and timers of a busy loop are late: less silence than
/// this proves nothing, however short the interval is.
const STUCK_MIN: Duration = Duration::from_millis(200);

/// A worker that reads nothing for so long, out of a queue that overflows, does not read. No flood
/// makes it so: each turn of a loaded loop reads from each socket, if only to drop what it read.
pub(super) const DEAF_MIN: Duration = Duration::from_secs(10);

/// One worker, judged by the samples of its counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    last: Option<(Instant, WorkerSample)>,
    has_beaten: bool,
    still_for: Duration,
    untaken_for: Duration,
    overflowed_at: Option<Instant>,
    tcp_shed_at: Option<Instant>,
}

impl Worker {
    /// Takes the sample of `now`.
    ///
    /// A gap between two samples counts as two intervals at most: after a stop of the whole
    /// process the first sample cannot tell a stuck worker from one that has not run yet.
    pub(super) fn record(&mut self, now: Instant, sample: WorkerSample, interval: Duration) {
        if let Some((last_at, last)) = self.last {
            let gap = now.duration_since(last_at).min(2 * interval);
            if sample.taken == last.taken {
                self.untaken_for += gap;
            } else {
                self.untaken_for = Duration::ZERO;
            }
            if sample.heartbeat == last.heartbeat {
                self.still_for += gap;
            } else {
                self.still_for = Duration::ZERO;
                self.has_beaten = true;
            }
            if sample.tcp_shed != last.tcp_shed {
                self.tcp_shed_at = Some(now);
            }
        }
        self.last = Some((now, sample));
    }

    /// Takes that one of its sockets has lost datagrams.
    pub(super) fn record_overflow(&mut self, now: Instant) {
        self.overflowed_at = Some(now);
    }

    /// Whether any of its sockets lost datagrams within the last `window`.
    pub(super) fn overflows(&self, now: Instant, window: Duration) -> bool {
        is_recent(self.overflowed_at, now, window)
    }

    /// Whether a heartbeat was ever seen to advance.
    pub(super) fn has_beaten(&self) -> bool {
        self.has_beaten
    }

    /// Whether the heartbeat has stood still for `limit`.
    pub(super) fn is_stuck(&self, limit: Duration) -> bool {
        self.still_for >= limit
    }

    /// Whether it has read nothing for `limit`.
    pub(super) fn takes_nothing(&self, limit: Duration) -> bool {
        self.untaken_for >= limit
    }

    /// Whether TCP connections were shed within the last `window`.
    pub(super) fn sheds_tcp(&self, now: Instant, window: Duration) -> bool {
        is_recent(self.tcp_shed_at, now, window)
    }

    /// The answers counted in the latest sample.
    pub(super) fn answered(&self) -> u64 {
        self.last.map_or(0, |(_, sample)| sample.answered)
    }
}

/// How long a heartbeat must stand still to count as stuck: `fall` intervals, and never so little
/// that a healthy worker would be meant.
pub(super) fn stuck_limit(settings: &Settings) -> Duration {
    let silence = settings.interval.saturating_mul(settings.fall);
    silence.max(STUCK_MIN)
}

/// How long a worker must read nothing to count as deaf: a few probes have to be among it.
pub(super) fn deaf_limit(settings: &Settings) -> Duration {
    stuck_limit(settings).max(DEAF_MIN)
}

/// Whether `at` lies within the last `window`, both ends included.
pub(super) fn is_recent(at: Option<Instant>, now: Instant, window: Duration) -> bool {
    at.is_some_and(|at| now.duration_since(at) <= window)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);
    const LIMIT: Duration = Duration::from_millis(600);

    fn beat(heartbeat: u64) -> WorkerSample {
        WorkerSample {
            heartbeat,
            ..WorkerSample::default()
        }
    }

    #[test]
    fn a_heartbeat_is_stuck_at_the_limit_and_not_before() {
        let start = crate::health::machine::tests::start();
        let mut worker = Worker::default();
        worker.record(start, beat(7), INTERVAL);
        worker.record(start + Duration::from_millis(300), beat(7), INTERVAL);
        worker.record(start + Duration::from_millis(599), beat(7), INTERVAL);
        assert!(!worker.is_stuck(LIMIT) && !worker.has_beaten());
        worker.record(start + Duration::from_millis(600), beat(7), INTERVAL);
        assert!(worker.is_stuck(LIMIT));
        worker.record(start + Duration::from_millis(601), beat(8), INTERVAL);
        assert!(!worker.is_stuck(LIMIT) && worker.has_beaten());
    }

    /// Settings that the configuration allows: `interval = "20ms"`, `fall = 1`.
    #[test]
    fn a_worker_that_beats_every_50_ms_is_never_stuck_however_short_the_interval() {
        let settings = Settings {
            interval: Duration::from_millis(20),
            fall: 1,
            ..crate::health::machine::tests::settings()
        };
        let start = crate::health::machine::tests::start();
        let mut worker = Worker::default();
        for sample in 0..500 {
            let at_ms = 20 * sample;
            let at = start + Duration::from_millis(at_ms);
            worker.record(at, beat(at_ms / 50), settings.interval);
            assert!(!worker.is_stuck(stuck_limit(&settings)), "at {at_ms} ms");
        }
        let default = crate::health::machine::tests::settings();
        assert_eq!(stuck_limit(&default), LIMIT);
    }

    #[test]
    fn a_worker_that_reads_nothing_for_the_limit_is_deaf_and_a_stopped_process_is_not() {
        let start = crate::health::machine::tests::start();
        let limit = deaf_limit(&crate::health::machine::tests::settings());
        assert_eq!(limit, DEAF_MIN);
        let mut worker = Worker::default();
        worker.record(start, beat(0), INTERVAL);
        for tick in 1..50 {
            worker.record(start + INTERVAL * tick, beat(0), INTERVAL);
        }
        assert!(!worker.takes_nothing(limit), "9.8 s");
        let mut stopped = worker.clone();
        worker.record(start + INTERVAL * 50, beat(0), INTERVAL);
        assert!(worker.takes_nothing(limit), "10 s");
        let sample = WorkerSample {
            taken: 1,
            ..beat(0)
        };
        worker.record(start + INTERVAL * 51, sample, INTERVAL);
        assert!(!worker.takes_nothing(limit));
        stopped.untaken_for = Duration::ZERO;
        stopped.record(start + Duration::from_secs(60), beat(0), INTERVAL);
        assert!(!stopped.takes_nothing(limit));
    }

    #[test]
    fn a_stop_of_the_whole_process_does_not_make_its_workers_stuck() {
        let start = crate::health::machine::tests::start();
        let mut worker = Worker::default();
        worker.record(start, beat(7), INTERVAL);
        worker.record(start + Duration::from_secs(60), beat(7), INTERVAL);
        assert!(!worker.is_stuck(LIMIT));
        worker.record(start + Duration::from_millis(60_200), beat(7), INTERVAL);
        assert!(worker.is_stuck(LIMIT), "it had its time now");
    }
}
