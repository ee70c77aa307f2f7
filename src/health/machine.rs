//! The health of the node as a value: no socket, no clock, no task.
//!
//! Each input is judged at once, so that nothing but a step to `preferred` ever waits. Left out on
//! purpose: logging (the owner tells each [`Event`]), and any opinion on routes (`announce`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drain::{Departure, DrainPhase, Drains};
use super::others::Others;
use super::target::{Surroundings, TargetState};
use super::window::RateWindow;
use super::worker::Worker;
use super::{
    CheckOutcome, Grant, Lease, Level, Memory, PeersView, PoorAnswers, PoorCanaries, ProbeReport,
    ServicePolicy, Settings, StartGate, Target, TargetMemory, Verdict, WorkerSample,
};

mod draining;

/// The lease is renewed this often while inputs are fresh, however long the interval is.
const RENEWAL: Duration = Duration::from_millis(250);

/// All that health knows and has concluded.
#[derive(Clone, Debug)]
pub struct Health {
    settings: Settings,
    workers: Vec<Worker>,
    sampled_at: Option<Instant>,
    answered: RateWindow,
    others: Others,
    drain: Drains,
    told_phase: DrainPhase,
    targets: Vec<TargetState>,
    lease: Lease,
    evaluated_at: Instant,
}

/// What the owner of [`Health`] should tell and do.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Level, class or reason of a target changed.
    Verdict {
        /// Whose.
        target: Target,
        /// The level at the last event.
        from: Level,
        /// How long it was at that level.
        lasted: Duration,
        /// The new verdict.
        verdict: Verdict,
    },
    /// A service has begun to leave, has left, or is back.
    Departure(Departure),
    /// The same of a stop, or of a drain of all. `Finished` ends a stop.
    Drain(DrainPhase),
}

impl Health {
    /// A node that is starting: every target is withdrawn until its checks were good.
    #[must_use]
    pub fn new(
        settings: Settings,
        services: &[ServicePolicy],
        workers: usize,
        now: Instant,
    ) -> Self {
        let known = &settings;
        let targets = services.iter().enumerate().flat_map(|(service, policy)| {
            policy.families.iter().map(move |family| {
                let target = Target {
                    service,
                    family: *family,
                };
                TargetState::new(target, policy, workers, known, now)
            })
        });
        let targets = targets.collect();
        Self {
            drain: Drains::new(&settings, services),
            settings,
            workers: vec![Worker::default(); workers],
            sampled_at: None,
            answered: RateWindow::default(),
            others: Others::new(workers),
            told_phase: DrainPhase::Serving,
            targets,
            lease: Lease::default(),
            evaluated_at: now,
        }
    }

    /// Takes one sample per worker, in order. Due once per interval.
    pub fn handle_workers(&mut self, now: Instant, samples: &[WorkerSample]) {
        for (worker, sample) in self.workers.iter_mut().zip(samples) {
            worker.record(now, *sample, self.settings.interval);
        }
        self.sampled_at = Some(now);
        // How many clients another program answers nobody knows: that rate is never low.
        if self.targets.iter().all(TargetState::is_answered_here) {
            let answered = self.workers.iter().map(Worker::answered);
            self.answered
                .record(now, answered.fold(0, u64::wrapping_add));
        }
        self.others.load.record(now, samples);
        self.evaluate(now);
    }

    /// Takes the receive-queue overflow counter of one worker's socket. Due before
    /// [`Self::handle_workers`], once per interval.
    pub fn handle_drops(&mut self, now: Instant, target: Target, worker: usize, total: u64) {
        let state = self.target_mut(target);
        let has_lost = state.is_some_and(|state| state.record_drops(now, worker, total));
        if has_lost && let Some(worker) = self.workers.get_mut(worker) {
            worker.record_overflow(now);
        }
    }

    /// The same of all sockets together that one worker has at addresses of no service, such as those
    /// that siblings ask it at.
    pub fn handle_other_drops(&mut self, now: Instant, worker: usize, total: u64) {
        let has_lost = self.others.load.record_drops(now, worker, total);
        if has_lost && let Some(worker) = self.workers.get_mut(worker) {
            worker.record_overflow(now);
        }
    }

    /// Takes how many questions of clients one worker has answered at one address, or will. Due before
    /// [`Self::handle_workers`], once per interval.
    pub fn handle_served(&mut self, now: Instant, target: Target, worker: usize, total: u64) {
        if let Some(state) = self.target_mut(target) {
            state.record_answers(now, worker, total);
        }
    }

    /// Takes the result of a self-probe.
    pub fn handle_probe(&mut self, now: Instant, report: ProbeReport) {
        let ProbeReport {
            target,
            probe,
            outcome,
        } = report;
        if let Some(state) = self.targets.iter_mut().find(|state| state.target == target) {
            state.record_probe(now, probe, outcome, &self.workers, &self.settings);
            self.evaluate(now);
        }
    }

    /// Takes whether a service address is on its interface. For a service that somebody else
    /// binds: whether it is on any.
    pub fn handle_address(&mut self, now: Instant, target: Target, is_present: bool) {
        if let Some(state) = self.target_mut(target) {
            state.record_presence(is_present);
            self.evaluate(now);
        }
    }

    /// Takes whether all upstreams of a *critical* zone are dead. Other zones are no evidence and
    /// must not be given.
    pub fn handle_zone(&mut self, now: Instant, zone: &str, is_dead: bool) {
        if is_dead {
            self.others.dead_zones.insert(zone.into());
        } else {
            self.others.dead_zones.remove(zone);
        }
        self.evaluate(now);
    }

    /// Takes how the answers of a *critical* zone are; `None`: as they should be.
    pub fn handle_answers(&mut self, now: Instant, zone: &str, poor: Option<PoorAnswers>) {
        put(&mut self.others.answers, zone, poor);
        self.evaluate(now);
    }

    /// Takes how the canaries of a *critical* zone are; `None`: enough of them resolve.
    pub fn handle_canaries(&mut self, now: Instant, zone: &str, poor: Option<PoorCanaries>) {
        put(&mut self.others.canaries, zone, poor);
        self.evaluate(now);
    }

    /// Takes what the other nodes of the service say.
    pub fn handle_peers(&mut self, now: Instant, view: PeersView) {
        self.others.peers = view;
        self.evaluate(now);
    }

    /// Takes the result of the check at `check` of the service at `service`.
    pub fn handle_check(
        &mut self,
        now: Instant,
        service: usize,
        check: usize,
        outcome: &CheckOutcome,
    ) {
        let around = Surroundings::of(&self.settings, &self.workers, &self.others);
        for state in &mut self.targets {
            if state.target.service == service {
                state.record_check(now, check, outcome, &around);
            }
        }
        self.evaluate(now);
    }

    /// Takes how many of the links that neighbours are behind are up.
    pub fn handle_links(&mut self, now: Instant, up: usize, of: usize) {
        self.others.links.record(now, up, of);
        self.evaluate(now);
    }

    /// Takes how late the routing thread came to look at its clock.
    pub fn handle_lateness(&mut self, now: Instant, late: Duration) {
        self.others.load.record_lateness(now, late);
        self.evaluate(now);
    }

    /// Takes that a start need not wait for `gate` (any more). Without [`Health::expect`] it does not.
    pub fn handle_gate(&mut self, now: Instant, gate: StartGate) {
        self.others.gates.retain(|closed| *closed != gate);
        self.evaluate(now);
    }

    /// Makes the start wait for `gate`. To be called before anything else.
    pub fn expect(&mut self, gate: StartGate) {
        self.others.gates.push(gate);
    }

    /// Takes what it knew before the restart. To be called before anything else.
    pub fn recall(&mut self, now: Instant, memory: &Memory) {
        for (target, memory) in memory {
            let state = self.targets.iter_mut().find(|s| s.target == *target);
            if let Some(state) = state {
                state.recall(now, memory, &self.settings);
            }
        }
    }

    /// What it wants to know again after a restart.
    #[must_use]
    pub fn memory(&self, now: Instant) -> Memory {
        let targets = self.targets.iter().map(|s| (s.target, s.memory(now)));
        targets
            .filter(|(_, memory)| *memory != TargetMemory::default())
            .collect()
    }

    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.evaluate(now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let held = self.targets.iter().filter_map(TargetState::poll_timeout);
        held.chain(self.drain.poll_timeout())
            .chain([self.evaluated_at + RENEWAL])
            .min()
    }

    /// The next thing to tell. Changes that were not taken in time are told as one.
    pub fn poll_event(&mut self) -> Option<Event> {
        for state in &mut self.targets {
            if let Some((from, since)) = state.changed_from.take() {
                let verdict = state.verdict.clone();
                return Some(Event::Verdict {
                    target: state.target,
                    from,
                    lasted: verdict.since.duration_since(since),
                    verdict,
                });
            }
        }
        if let Some(departure) = self.drain.poll_departure(self.answered.rate()) {
            return Some(Event::Departure(departure));
        }
        let phase = self.drain.phase();
        if phase != self.told_phase {
            self.told_phase = phase;
            return Some(Event::Drain(phase));
        }
        None
    }

    /// The conclusion about each target.
    pub fn verdicts(&self) -> impl Iterator<Item = (Target, &Verdict)> {
        self.targets
            .iter()
            .map(|state| (state.target, &state.verdict))
    }

    /// What may be announced. Announcing copies it after every input.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What the other nodes of the service said last.
    #[must_use]
    pub fn peers(&self) -> PeersView {
        self.others.peers
    }

    /// How many of the links that neighbours are behind are up, and of how many.
    #[must_use]
    pub fn links(&self) -> (usize, usize) {
        self.others.links.count()
    }

    /// Of each target: how many faults are remembered, and whether nothing but damping keeps it from
    /// `preferred`.
    pub fn damping(&self, now: Instant) -> impl Iterator<Item = (Target, u32, bool)> {
        let targets = self.targets.iter();
        targets.map(move |state| (state.target, state.faults(now), state.is_delayed()))
    }

    /// Whether clients whom others send away would be served here: what siblings are told. Nothing is
    /// held against the upstreams of critical zones, and each service that the workers answer for is
    /// announced, and is not about to leave.
    #[must_use]
    pub fn is_able(&self) -> bool {
        let mut targets = self.targets.iter().filter(|s| s.is_answered_here());
        let stays = |state: &TargetState| {
            let is_announced = state.verdict.level > Level::Withdrawn;
            is_announced && self.drain.limit(state.target.service).is_none()
        };
        self.others.shared_fault().is_none() && targets.all(stays)
    }

    /// Whether each service that the workers answer for is preferred: what siblings are told. `None`:
    /// there is none.
    #[must_use]
    pub fn is_preferred(&self) -> Option<bool> {
        let targets = self.targets.iter().filter(|s| s.is_answered_here());
        let mut levels = targets.map(|state| state.verdict.level).peekable();
        levels.peek()?;
        Some(levels.all(|level| level == Level::Preferred))
    }

    /// The marks of services that the workers answer for and that are not preferred, a bit for each: what
    /// siblings are told.
    #[must_use]
    pub fn lowered_marks(&self) -> u32 {
        let targets = self.targets.iter().filter(|s| s.is_answered_here());
        let marks = targets.filter_map(TargetState::lowered_mark);
        marks.fold(0, |marks, mark| {
            marks | 1_u32.checked_shl(mark.into()).unwrap_or(0)
        })
    }

    /// Whether there is any sign of overload of the query path.
    #[must_use]
    pub fn is_overloaded(&self, now: Instant) -> bool {
        let around = Surroundings::of(&self.settings, &self.workers, &self.others);
        let mut targets = self.targets.iter().filter(|s| s.is_answered_here());
        self.others.load.reason(now).is_some()
            || targets.any(|state| state.overload(now, &around).is_some())
    }

    fn target_mut(&mut self, target: Target) -> Option<&mut TargetState> {
        self.targets.iter_mut().find(|state| state.target == target)
    }

    fn evaluate(&mut self, now: Instant) {
        self.evaluated_at = now;
        self.drain.settle(now, self.answered.rate());
        self.evaluate_targets(now);
        if self.go_on_draining(now) {
            self.evaluate_targets(now);
        }
    }

    fn evaluate_targets(&mut self, now: Instant) {
        let mut around = Surroundings::of(&self.settings, &self.workers, &self.others);
        let mut grants: Vec<Grant> = Vec::with_capacity(self.targets.len());
        for state in &mut self.targets {
            around.drain = self.drain.limit(state.target.service);
            around.is_leaving = matches!(around.drain, Some((Level::Backup, _)));
            state.evaluate(now, &around);
            grants.push(state.grant(&around));
        }
        let interval = self.settings.interval;
        let is_sampled = self
            .sampled_at
            .is_some_and(|at| now.duration_since(at) < 2 * interval);
        if is_sampled
            && self
                .targets
                .iter()
                .all(|state| state.is_probed(now, interval))
        {
            self.lease = Lease::new(now, grants);
        } else {
            self.lease.restrict(&grants);
        }
    }
}

fn put<T>(by_zone: &mut BTreeMap<Arc<str>, T>, zone: &str, value: Option<T>) {
    match value {
        Some(value) => {
            by_zone.insert(zone.into(), value);
        }
        None => {
            by_zone.remove(zone);
        }
    }
}

#[cfg(test)]
pub(in crate::health) mod tests;
