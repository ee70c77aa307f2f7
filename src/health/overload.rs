//! Signs of overload: each counts for a while, so that a flood that comes and goes is one event.

use std::time::{Duration, Instant};

use super::window::RateWindow;
use super::{Reason, WorkerSample};

/// A sign of overload counts for so long.
pub(super) const SIGN_VALIDITY: Duration = Duration::from_secs(10);
/// The routing thread may be late by this much: two intervals and the worst of a good scheduler.
pub(super) const LATENESS_MAX: Duration = Duration::from_millis(500);
/// So many answers for one query shed are no sign.
const ANSWERS_PER_SHED: u64 = 100;

/// The latest sign of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Sign {
    seen: Option<(Instant, Reason)>,
}

impl Sign {
    pub(super) fn see(&mut self, now: Instant, reason: Reason) {
        self.seen = Some((now, reason));
    }

    /// The sign, while it counts.
    pub(super) fn reason(&self, now: Instant) -> Option<&Reason> {
        let (at, reason) = self.seen.as_ref()?;
        (now < *at + SIGN_VALIDITY).then_some(reason)
    }

    /// When it counts no longer.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.seen.as_ref().map(|(at, _)| *at + SIGN_VALIDITY)
    }
}

/// Signs of overload of the node as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    answered: RateWindow,
    shed: RateWindow,
    shedding: Sign,
    late: Sign,
    /// Of each worker, drops at addresses of no service.
    drops: Vec<Option<u64>>,
    overflow: Sign,
}

impl Load {
    /// Of so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            drops: vec![None; workers],
            ..Self::default()
        }
    }

    /// Takes how many datagrams the sockets of one worker have dropped at addresses of no service: the
    /// same worker answers for all, and siblings ask it there.
    /// Whether there are more than before.
    pub(super) fn record_drops(&mut self, now: Instant, worker: usize, total: u64) -> bool {
        let Some(known) = self.drops.get_mut(worker) else {
            return false;
        };
        let before = known.replace(total).unwrap_or(total);
        let dropped = total.wrapping_sub(before);
        if dropped > 0 {
            self.overflow
                .see(now, Reason::QueueOverflow { worker, dropped });
        }
        dropped > 0
    }

    /// Takes the samples of all workers.
    pub(super) fn record(&mut self, now: Instant, samples: &[WorkerSample]) {
        let sum = |of: fn(&WorkerSample) -> u64| samples.iter().map(of).fold(0, u64::wrapping_add);
        self.answered.record(now, sum(|sample| sample.answered));
        self.shed.record(now, sum(|sample| sample.shed));
        let (shed, answered) = (self.shed.growth(), self.answered.growth());
        if shed > 0 && shed.saturating_mul(ANSWERS_PER_SHED) >= answered {
            self.shedding
                .see(now, Reason::QueriesShed { shed, answered });
        }
    }

    /// Takes how late the routing thread was.
    pub(super) fn record_lateness(&mut self, now: Instant, late: Duration) {
        if late > LATENESS_MAX {
            self.late.see(now, Reason::Late { late });
        }
    }

    /// The sign that counts at `now`.
    pub(super) fn reason(&self, now: Instant) -> Option<&Reason> {
        let mut signs = self.signs().into_iter();
        signs.find_map(|sign| sign.reason(now))
    }

    /// When signs count no longer.
    pub(super) fn ends(&self) -> impl Iterator<Item = Instant> {
        self.signs().into_iter().filter_map(Sign::ends_at)
    }

    fn signs(&self) -> [&Sign; 3] {
        [&self.shedding, &self.overflow, &self.late]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::tests::start;

    fn shed_after_a_second(answered: u64, shed: u64) -> Option<Reason> {
        let mut load = Load::default();
        let sample = |answered, shed| WorkerSample {
            answered,
            shed,
            ..WorkerSample::default()
        };
        let now = start();
        load.record(now, &[sample(7, 3), sample(0, 0)]);
        let end = now + Duration::from_secs(1);
        load.record(end, &[sample(7 + answered, 3), sample(0, shed)]);
        load.reason(end).cloned()
    }

    #[test]
    fn one_query_shed_for_a_hundred_answers_is_overload_and_less_is_not() {
        assert_eq!(shed_after_a_second(101, 1), None);
        assert_eq!(shed_after_a_second(0, 0), None);
        for answered in [0, 100] {
            let sign = Reason::QueriesShed { shed: 1, answered };
            assert_eq!(shed_after_a_second(answered, 1), Some(sign));
        }
    }

    #[test]
    fn drops_at_addresses_of_no_service_are_overload_when_they_grow() {
        let mut load = Load::new(2);
        let now = start();
        load.record_drops(now, 1, 40);
        load.record_drops(now, 0, 0);
        load.record_drops(now, 1, 40);
        assert_eq!(load.reason(now), None, "they are old ones");
        load.record_drops(now, 7, 1);
        load.record_drops(now, 1, 43);
        let (worker, dropped) = (1, 3);
        let sign = Reason::QueueOverflow { worker, dropped };
        assert_eq!(load.reason(now), Some(&sign));
        assert_eq!(load.reason(now + SIGN_VALIDITY), None);
    }

    #[test]
    fn lateness_counts_from_just_over_half_a_second_and_for_ten_seconds() {
        let mut load = Load::default();
        let now = start();
        load.record_lateness(now, LATENESS_MAX);
        assert_eq!(load.reason(now), None);
        load.record_lateness(now, LATENESS_MAX + Duration::from_nanos(1));
        let end = now + SIGN_VALIDITY;
        assert!(load.reason(end - Duration::from_nanos(1)).is_some());
        assert_eq!(load.reason(end), None);
        assert_eq!(load.ends().collect::<Vec<_>>(), [end]);
    }
}
