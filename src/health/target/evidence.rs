//! What is known about one target, taken in and sorted by what it may prove.

use std::time::{Duration, Instant};

use super::{Standing, Surroundings, TargetState, Traffic, busy_window};
use crate::health::policy::{self, Evidence};
use crate::health::worker::{Worker, deaf_limit, is_recent, stuck_limit};
use crate::health::{
    AnsweredBy, Awaited, CheckFault, CheckOutcome, Level, Next, ProbeOf, ProbeOutcome, Reason,
    Settings,
};

/// Between two probes over TCP, with the interval before it. On a quiet node a probe that was turned
/// away is itself the only connection that was shed, and it is counted after its result is known:
/// so the one before it has to explain this one.
const TCP_GAP_MAX: Duration = Duration::from_millis(1200);

impl TargetState {
    pub(in crate::health) fn record_presence(&mut self, is_present: bool) {
        self.is_present = Some(is_present);
    }

    /// Whether there are more than before.
    pub(in crate::health) fn record_drops(
        &mut self,
        now: Instant,
        worker: usize,
        total: u64,
    ) -> bool {
        let traffic = self.traffic.get_mut(worker);
        let dropped = traffic.and_then(|traffic| traffic.dropped.record(now, total));
        if let Some(dropped) = dropped {
            self.overflow
                .see(now, Reason::QueueOverflow { worker, dropped });
        }
        dropped.is_some()
    }

    pub(in crate::health) fn record_answers(&mut self, now: Instant, worker: usize, total: u64) {
        if let Some(traffic) = self.traffic.get_mut(worker) {
            traffic.answered.record(now, total);
        }
    }

    pub(in crate::health) fn record_check(
        &mut self,
        now: Instant,
        check: usize,
        outcome: &CheckOutcome,
        around: &Surroundings<'_>,
    ) {
        let is_overloaded = self.overload(now, around).is_some();
        if let Some(run) = self.checks.get_mut(check) {
            run.record(outcome, is_overloaded);
        }
    }

    pub(in crate::health) fn record_probe(
        &mut self,
        now: Instant,
        probe: ProbeOf,
        outcome: ProbeOutcome,
        workers: &[Worker],
        settings: &Settings,
    ) {
        self.probed_at = Some(now);
        let is_busy = self.is_busy(now, probe, workers, settings);
        let rise = self.hold_down.rise(now, settings.rise);
        self.probes.record(probe, outcome, is_busy, settings, rise);
        let good_at = (outcome == ProbeOutcome::Good).then_some(now);
        let [address, tcp] = &mut self.good_at;
        match probe {
            ProbeOf::Address => *address = good_at,
            ProbeOf::Tcp => *tcp = good_at,
            ProbeOf::Worker(_) => {}
        }
    }

    /// Whether whom `probe` asked answers somebody else at this address, or loses queries before it
    /// could answer.
    fn is_busy(
        &self,
        now: Instant,
        probe: ProbeOf,
        workers: &[Worker],
        settings: &Settings,
    ) -> bool {
        let window = busy_window(settings.interval);
        let deaf_limit = deaf_limit(settings);
        let is_busy = |(worker, traffic): (&Worker, &Traffic)| {
            // A flood at one of its addresses takes its time from all of them.
            let overflows = worker.overflows(now, window);
            let is_deaf = overflows && worker.takes_nothing(deaf_limit);
            !is_deaf && (overflows || traffic.answered.is_rising(now, window))
        };
        let mut loads = workers.iter().zip(&self.traffic);
        match (self.policy.answered_by, probe) {
            (AnsweredBy::Workers, ProbeOf::Worker(worker)) => {
                loads.nth(worker).is_some_and(is_busy)
            }
            (AnsweredBy::Workers, ProbeOf::Address) => loads.any(is_busy),
            (AnsweredBy::Workers, ProbeOf::Tcp) => {
                let sheds = |worker: &Worker| worker.sheds_tcp(now, window + TCP_GAP_MAX);
                loads.any(is_busy) || workers.iter().any(sheds)
            }
            // Of another program no counters are known: while it answers one kind of probe it is
            // alive, and clients may be why it does not answer the other.
            (AnsweredBy::Another, ProbeOf::Tcp) => is_recent(self.good_at[0], now, window),
            (AnsweredBy::Another, ProbeOf::Address | ProbeOf::Worker(_)) => {
                is_recent(self.good_at[1], now, TCP_GAP_MAX)
            }
        }
    }

    /// Whether a probe result younger than two intervals is known, good or bad.
    pub(in crate::health) fn is_probed(&self, now: Instant, interval: Duration) -> bool {
        self.probed_at
            .is_some_and(|at| now.duration_since(at) < 2 * interval)
    }

    /// Evidence that neither an upstream nor a flood could make; `rise` good probes end it.
    pub(super) fn hard_evidence(&self, around: &Surroundings<'_>, rise: u32) -> Option<Evidence> {
        let next = Next::Mended {
            probes: rise,
            to: self.level_after_proof(),
        };
        if self.is_present == Some(false) && self.standing != Standing::Starting {
            return Some((Reason::AddressMissing, next));
        }
        let limit = stuck_limit(around.settings);
        let mut workers = self.workers(around).iter();
        let worker = workers.position(|worker| worker.is_stuck(limit))?;
        Some((Reason::HeartbeatStuck { worker, limit }, next))
    }

    /// Evidence of a local fault that may have another cause.
    pub(super) fn soft_evidence(&self, settings: &Settings, rise: u32) -> Option<Evidence> {
        // A check tells more than that probes are counted again.
        let mut checks = self.checks.iter();
        let check = checks.find_map(|check| check.failure(CheckFault::Local));
        check.or_else(|| {
            let reason = self.probes.fault(settings, rise)?;
            let to = self.level_after_proof();
            Some((reason, Next::Proven { probes: rise, to }))
        })
    }

    /// Evidence of a fault that others may have too.
    pub(super) fn shared_evidence(&self, around: &Surroundings<'_>) -> Option<Evidence> {
        let zones = match self.policy.answered_by {
            AnsweredBy::Workers => around.shared.clone(),
            // It does not ask this node's upstreams.
            AnsweredBy::Another => None,
        };
        let zones = zones.map(|reason| {
            let end = policy::end_of(&reason);
            (reason, end)
        });
        let mut checks = self.checks.iter();
        zones.or_else(|| checks.find_map(|check| check.failure(CheckFault::Shared)))
    }

    /// The sign of overload that is shown; the closest to the target first.
    pub(in crate::health) fn overload(
        &self,
        now: Instant,
        around: &Surroundings<'_>,
    ) -> Option<Reason> {
        let node = match self.policy.answered_by {
            AnsweredBy::Workers => around.others.load.reason(now),
            AnsweredBy::Another => None,
        };
        let probes = self.probes.overload();
        probes.or_else(|| self.overflow.reason(now).or(node).cloned())
    }

    /// What a start would still wait for.
    pub(super) fn awaited(&self, around: &Surroundings<'_>) -> Option<Awaited> {
        if self.is_present != Some(true) {
            return Some(Awaited::Address);
        }
        let mut workers = self.workers(around).iter();
        let silent = workers.position(|worker| !worker.has_beaten());
        let check = || self.checks.iter().find_map(|check| check.awaited());
        let gate = || match self.policy.answered_by {
            AnsweredBy::Workers => around.others.gates.first(),
            AnsweredBy::Another => None,
        };
        silent
            .map(Awaited::Heartbeat)
            .or_else(|| self.probes.awaited())
            .or_else(|| check().map(Awaited::Check))
            .or_else(|| gate().copied().map(policy::gate))
    }

    /// The workers that answer for it.
    fn workers<'a>(&self, around: &Surroundings<'a>) -> &'a [Worker] {
        match self.policy.answered_by {
            AnsweredBy::Workers => around.workers,
            AnsweredBy::Another => &[],
        }
    }

    /// Where the end of a local fault leads to: the second fault in ten minutes is held down.
    fn level_after_proof(&self) -> Level {
        if self.hold_down.is_repeated() {
            Level::Backup
        } else {
            Level::Preferred
        }
    }
}
