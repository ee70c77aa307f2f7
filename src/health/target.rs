//! One service in one address family: its evidence, and how far it is between start and fault.

use std::time::{Duration, Instant};

use super::hold_down::HoldDown;
use super::probes::Probes;
use super::verdict::{Findings, conclude, shared_level};
use super::worker::{Worker, is_recent, stuck_limit};
use super::{
    Awaited, FaultClass, FloorLevel, Grant, Level, OnSharedFault, ProbeOf, ProbeOutcome, Reason,
    Settings, Target, Verdict,
};

/// Between two probes over TCP, with the interval before it. On a quiet node a probe that was turned
/// away is itself the only connection that was shed, and it is counted after its result is known:
/// so the one before it has to explain this one.
const TCP_GAP_MAX: Duration = Duration::from_millis(1200);

/// What health keeps of one target.
#[derive(Clone, Debug)]
pub(super) struct TargetState {
    pub(super) target: Target,
    on_shared_fault: OnSharedFault,
    is_present: Option<bool>,
    probes: Probes,
    drops: Vec<Drops>,
    probed_at: Option<Instant>,
    standing: Standing,
    hold_down: HoldDown,
    pub(super) verdict: Verdict,
    /// The level of the last event that was taken; `None` when there is nothing to tell.
    pub(super) changed_from: Option<Level>,
}

/// Where a target is between start and fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not announced yet since the start.
    Starting,
    /// No local fault.
    Sound,
    /// A local fault that is not over, or from which it has not recovered.
    Faulty,
}

/// The overflow counter of one worker's socket.
#[derive(Clone, Copy, Debug, Default)]
struct Drops {
    total: Option<u64>,
    rose_at: Option<Instant>,
}

/// What is known of the node as a whole.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a Settings,
    pub(super) workers: &'a [Worker],
    pub(super) shared: Option<Reason>,
    pub(super) drain: Option<(Level, Reason)>,
    pub(super) is_leaving: bool,
}

impl TargetState {
    pub(super) fn new(
        target: Target,
        on_shared_fault: OnSharedFault,
        workers: usize,
        now: Instant,
    ) -> Self {
        Self {
            target,
            on_shared_fault,
            is_present: None,
            probes: Probes::new(workers),
            drops: vec![Drops::default(); workers],
            probed_at: None,
            standing: Standing::Starting,
            hold_down: HoldDown::default(),
            verdict: Verdict {
                level: Level::Withdrawn,
                class: None,
                reason: Reason::Starting(Awaited::Address),
                since: now,
            },
            changed_from: None,
        }
    }

    pub(super) fn record_presence(&mut self, is_present: bool) {
        self.is_present = Some(is_present);
    }

    pub(super) fn record_drops(&mut self, now: Instant, worker: usize, total: u64) {
        if let Some(drops) = self.drops.get_mut(worker) {
            if drops.total.is_some_and(|last| last != total) {
                drops.rose_at = Some(now);
            }
            drops.total = Some(total);
        }
    }

    pub(super) fn record_probe(
        &mut self,
        now: Instant,
        probe: ProbeOf,
        outcome: ProbeOutcome,
        workers: &[Worker],
        settings: &Settings,
    ) {
        self.probed_at = Some(now);
        let is_busy = self.is_busy(now, probe, workers, busy_window(settings.interval));
        self.probes.record(probe, outcome, is_busy, settings);
    }

    /// Whether whom `probe` asked answers clients, or loses queries before it could.
    fn is_busy(&self, now: Instant, probe: ProbeOf, workers: &[Worker], window: Duration) -> bool {
        let drops = |worker: &Drops| is_recent(worker.rose_at, now, window);
        let answers = |worker: &Worker| worker.answers(now, window);
        match probe {
            ProbeOf::Worker(worker) => {
                workers.get(worker).is_some_and(answers)
                    || self.drops.get(worker).is_some_and(drops)
            }
            ProbeOf::Address => workers.iter().any(answers) || self.drops.iter().any(drops),
            ProbeOf::Tcp => {
                workers
                    .iter()
                    .any(|w| answers(w) || w.sheds_tcp(now, window + TCP_GAP_MAX))
                    || self.drops.iter().any(drops)
            }
        }
    }

    /// Whether a probe result younger than two intervals is known, good or bad.
    pub(super) fn is_probed(&self, now: Instant, interval: Duration) -> bool {
        self.probed_at
            .is_some_and(|at| now.duration_since(at) < 2 * interval)
    }

    /// Draws the verdict of `now`.
    pub(super) fn evaluate(&mut self, now: Instant, around: &Surroundings<'_>) {
        let settings = around.settings;
        let hard = self.hard_evidence(around);
        let soft = self.probes.fault(settings);
        // Probes may stay unanswered because of what the upstreams do to the workers. While that
        // cannot be told apart the safer class wins, except for a fault that was there before.
        let is_mixed = hard.is_none()
            && soft.is_some()
            && around.shared.is_some()
            && self.standing == Standing::Sound;
        let has_fault = hard.is_some() || (soft.is_some() && !is_mixed);
        let awaited = self.awaited(around);
        match self.standing {
            Standing::Starting if hard.is_none() && awaited.is_none() => {
                self.probes.trust();
                self.standing = Standing::Sound;
            }
            Standing::Starting => {}
            Standing::Sound if has_fault => {
                self.probes.distrust_workers();
                self.standing = Standing::Faulty;
            }
            Standing::Sound => {}
            Standing::Faulty if !has_fault => self.standing = Standing::Sound,
            Standing::Faulty => {}
        }
        let (starting, local) = match self.standing {
            Standing::Starting => (awaited, hard),
            Standing::Sound => (None, None),
            Standing::Faulty => (None, hard.or(soft)),
        };
        self.record_fault(now, around, is_mixed);
        self.replace_verdict(
            now,
            conclude(Findings {
                starting,
                local,
                shared: around.shared.clone(),
                is_mixed,
                overload: self.probes.overload(),
                held: self.hold_down.held(now),
                drain: around.drain.clone(),
                on_shared_fault: self.on_shared_fault,
            }),
        );
    }

    /// Evidence that neither an upstream nor a flood could make.
    fn hard_evidence(&self, around: &Surroundings<'_>) -> Option<Reason> {
        let limit = stuck_limit(around.settings);
        if self.is_present == Some(false) && self.standing != Standing::Starting {
            return Some(Reason::AddressMissing);
        }
        let worker = around
            .workers
            .iter()
            .position(|worker| worker.is_stuck(limit))?;
        Some(Reason::HeartbeatStuck { worker, limit })
    }

    /// What a start would still wait for.
    fn awaited(&self, around: &Surroundings<'_>) -> Option<Awaited> {
        if self.is_present != Some(true) {
            return Some(Awaited::Address);
        }
        let silent = around
            .workers
            .iter()
            .position(|worker| !worker.has_beaten());
        silent
            .map(Awaited::Heartbeat)
            .or_else(|| self.probes.awaited())
    }

    fn record_fault(&mut self, now: Instant, around: &Surroundings<'_>, is_mixed: bool) {
        let lowers = shared_level(self.on_shared_fault, is_mixed) < Level::Preferred;
        let fault = match self.standing {
            Standing::Starting => None,
            Standing::Faulty => Some(FaultClass::Local),
            Standing::Sound if lowers && around.shared.is_some() => Some(FaultClass::Shared),
            Standing::Sound => None,
        };
        self.hold_down.record(now, fault, around.settings.hold_down);
    }

    fn replace_verdict(&mut self, now: Instant, new: (Level, Option<FaultClass>, Reason)) {
        let (level, class, reason) = new;
        let old = &self.verdict;
        if (old.level, old.class, &old.reason) != (level, class, &reason) {
            self.changed_from.get_or_insert(old.level);
            self.verdict = Verdict {
                level,
                class,
                reason,
                since: now,
            };
        }
    }

    /// What the lease may say of it.
    pub(super) fn grant(&self, around: &Surroundings<'_>) -> Grant {
        let is_drained = around
            .drain
            .as_ref()
            .is_some_and(|(level, _)| *level == Level::Withdrawn);
        let floor = match self.standing {
            Standing::Starting => FloorLevel::Withdrawn,
            Standing::Sound | Standing::Faulty if is_drained => FloorLevel::Withdrawn,
            Standing::Sound => FloorLevel::Backup,
            Standing::Faulty => FloorLevel::LastResort,
        };
        Grant {
            target: self.target,
            ready: self.standing != Standing::Starting,
            level: self.verdict.level,
            leaving: around.is_leaving,
            floor,
        }
    }

    /// When the verdict changes by itself.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.hold_down.held(now).map(|held| held.until)
    }
}

/// How long an answer to a client or a drop explains an unanswered probe: the counters are read
/// once per interval, so they may be that old, and half an interval covers a late reading.
fn busy_window(interval: Duration) -> Duration {
    interval * 3 / 2
}
