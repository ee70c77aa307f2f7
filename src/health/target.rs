//! One service in one address family: how far it is between start and fault, and its verdict.

use std::time::{Duration, Instant};

use super::check_run::CheckRun;
use super::delays::Delays;
use super::hold_down::HoldDown;
use super::others::Others;
use super::overload::Sign;
use super::policy::{self, Evidence, Finding, SharedPolicy};
use super::probes::Probes;
use super::promotion::{Chance, Promotions};
use super::shared_fault::{SharedFault, Unheard};
use super::worker::{Worker, is_recent};
use super::{
    AnsweredBy, Awaited, FaultClass, FloorLevel, Grant, Level, Next, PeersView, Reason,
    ServicePolicy, Settings, Target, TargetMemory, Verdict,
};

mod evidence;

/// What health keeps of one target.
#[derive(Clone, Debug)]
pub(super) struct TargetState {
    pub(super) target: Target,
    policy: ServicePolicy,
    is_present: Option<bool>,
    probes: Probes,
    /// When the latest probe of the address and over TCP was good; `None` when it was not.
    good_at: [Option<Instant>; 2],
    checks: Vec<CheckRun>,
    traffic: Vec<Traffic>,
    overflow: Sign,
    probed_at: Option<Instant>,
    standing: Standing,
    /// The address was missing: good probes are due before it is announced at all.
    is_proof_due: bool,
    shared_fault: SharedFault,
    unheard: Unheard,
    hold_down: HoldDown,
    promotions: Promotions,
    chance: Chance,
    /// When the verdict may change by itself.
    due: Option<Instant>,
    pub(super) verdict: Verdict,
    /// The level of the last event that was taken, and since when it was; `None` when there is
    /// nothing to tell.
    pub(super) changed_from: Option<(Level, Instant)>,
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

/// The counters of one worker's socket.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    dropped: Rising,
    answered: Rising,
}

/// A counter, and when it was last seen to rise.
#[derive(Clone, Copy, Debug, Default)]
struct Rising {
    total: Option<u64>,
    rose_at: Option<Instant>,
}

impl Rising {
    /// Takes the total of `now`; how much it has risen by.
    fn record(&mut self, now: Instant, total: u64) -> Option<u64> {
        let last = self.total.replace(total)?;
        let risen = total.wrapping_sub(last);
        if risen == 0 {
            return None;
        }
        self.rose_at = Some(now);
        Some(risen)
    }

    fn is_rising(&self, now: Instant, window: Duration) -> bool {
        is_recent(self.rose_at, now, window)
    }
}

/// What is known of the node as a whole.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a Settings,
    pub(super) workers: &'a [Worker],
    pub(super) shared: Option<Reason>,
    pub(super) others: &'a Others,
    pub(super) drain: Option<(Level, Reason)>,
    pub(super) is_leaving: bool,
}

impl<'a> Surroundings<'a> {
    /// A node that nobody wants to leave.
    pub(super) fn of(settings: &'a Settings, workers: &'a [Worker], others: &'a Others) -> Self {
        Self {
            settings,
            workers,
            shared: others.shared_fault(),
            others,
            drain: None,
            is_leaving: false,
        }
    }
}

impl TargetState {
    pub(super) fn new(
        target: Target,
        policy: &ServicePolicy,
        workers: usize,
        settings: &Settings,
        now: Instant,
    ) -> Self {
        let workers = match policy.answered_by {
            AnsweredBy::Workers => workers,
            AnsweredBy::Another => 0,
        };
        let number = 2 * target.service + usize::from(target.family == super::Family::V6);
        let starting = policy::starting(Awaited::Address);
        Self {
            target,
            is_present: None,
            probes: Probes::new(workers, policy.tcp),
            good_at: [None; 2],
            checks: policy.checks.iter().cloned().map(CheckRun::new).collect(),
            policy: policy.clone(),
            traffic: vec![Traffic::default(); workers],
            overflow: Sign::default(),
            probed_at: None,
            standing: Standing::Starting,
            is_proof_due: false,
            shared_fault: SharedFault::default(),
            unheard: Unheard::default(),
            hold_down: HoldDown::default(),
            promotions: Promotions::new(settings.promotions_per_hour),
            chance: Chance::new(settings.seed, u64::try_from(number).unwrap_or(u64::MAX)),
            due: None,
            verdict: Verdict {
                level: starting.level,
                class: starting.class,
                reason: starting.reason,
                next: starting.next,
                since: now,
                level_since: now,
            },
            changed_from: None,
        }
    }

    /// Whether workers of this node answer for it.
    pub(super) fn is_answered_here(&self) -> bool {
        self.policy.answered_by == AnsweredBy::Workers
    }

    /// Its mark, while it is not preferred.
    pub(super) fn lowered_mark(&self) -> Option<u8> {
        (self.verdict.level < Level::Preferred).then_some(self.policy.mark)
    }

    /// Takes what was remembered of it before a restart.
    pub(super) fn recall(&mut self, now: Instant, memory: &TargetMemory, settings: &Settings) {
        let chance = || self.chance.below(settings.jitter);
        let hold = settings.hold_down;
        self.hold_down.recall(now, &memory.faults, hold, chance);
        self.promotions.recall(now, &memory.promotions);
    }

    /// What is to be remembered of it.
    pub(super) fn memory(&self, now: Instant) -> TargetMemory {
        TargetMemory {
            faults: self.hold_down.memory(now),
            promotions: self.promotions.memory(now),
        }
    }

    /// Draws the verdict of `now`.
    pub(super) fn evaluate(&mut self, now: Instant, around: &Surroundings<'_>) {
        let settings = around.settings;
        let rise = self.hold_down.rise(now, settings.rise);
        let hard = self.hard_evidence(around, rise);
        let soft = self.soft_evidence(settings, rise);
        let shared = self.shared_evidence(around);
        let overload = self.overload(now, around);
        // Probes may stay unanswered because of what the upstreams do to the workers. While that
        // cannot be told apart the safer class wins, except for a fault that was there before.
        // Another program says itself who it is, and asks nobody for that.
        let is_other_dead = self.policy.answered_by == AnsweredBy::Another
            && self.probes.fault(settings, rise).is_some();
        let is_mixed = hard.is_none()
            && !is_other_dead
            && soft.is_some()
            && shared.is_some()
            && self.standing == Standing::Sound;
        let awaited = self.awaited(around);
        self.advance_standing(
            hard.as_ref(),
            soft.is_some() && !is_mixed,
            awaited.is_some(),
        );
        let peers = self.peers(around);
        let links = &around.others.links;
        let effect = self
            .shared_fault
            .advance(now, shared.is_some(), links, peers);
        let shared_policy = SharedPolicy {
            on_shared_fault: self.policy.on_shared_fault,
            is_mixed,
            current: self.verdict.level,
            drain_wait: settings.drain_wait,
        };
        let shared = shared
            .zip(effect)
            .map(|(evidence, effect)| policy::shared(now, evidence, effect, shared_policy));
        let shared_due = shared.as_ref().and_then(|finding| finding.next.due());
        let is_unheard = self.unheard.advance(now, peers, overload.is_some());
        let unheard = is_unheard.then(|| policy::unheard(peers));
        self.record_fault(now, shared.as_ref(), is_unheard, settings);
        // Once more, for the fault that has just been counted may ask for more proof.
        let rise = self.hold_down.rise(now, settings.rise);
        let hard = self.hard_evidence(around, rise);
        let (starting, local) = match self.standing {
            Standing::Starting => (awaited, hard),
            Standing::Sound => (None, None),
            Standing::Faulty => (None, hard.or_else(|| self.soft_evidence(settings, rise))),
        };
        let level = policy::local_level(self.policy.on_local_fault, self.is_proof_due);
        let (up, of) = links.count();
        let due = policy::worst([
            around
                .drain
                .clone()
                .map(|(level, r)| policy::operator(level, r)),
            local.map(|evidence| policy::local(level, evidence)),
            starting.map(policy::starting),
            shared,
            unheard,
            overload.map(policy::overload),
            (of > 0 && up == 0).then(|| policy::links_down(of)),
        ]);
        let delays = self.delays(now, peers, settings);
        let verdict = self.damp(now, due, delays);
        self.due = self.next_change(now, around, &verdict, shared_due);
        self.replace_verdict(now, verdict);
    }

    /// Goes on between start and fault; `has_soft`: probes or a check tell of a fault.
    fn advance_standing(&mut self, hard: Option<&Evidence>, has_soft: bool, is_awaited: bool) {
        let has_fault = hard.is_some() || has_soft;
        match self.standing {
            Standing::Starting if hard.is_none() && !is_awaited => {
                self.probes.trust();
                self.standing = Standing::Sound;
            }
            Standing::Starting => {}
            Standing::Sound if has_fault => {
                self.probes.distrust();
                self.standing = Standing::Faulty;
            }
            Standing::Sound => {}
            Standing::Faulty if !has_fault => {
                self.is_proof_due = false;
                self.standing = Standing::Sound;
            }
            Standing::Faulty => {}
        }
        if self.standing == Standing::Faulty {
            let is_missing = matches!(hard, Some((Reason::AddressMissing, _)));
            self.is_proof_due |= is_missing;
        }
    }

    /// What siblings say, as far as it concerns this target: they know nothing of programs that
    /// they do not ask.
    fn peers(&self, around: &Surroundings<'_>) -> PeersView {
        match self.policy.answered_by {
            AnsweredBy::Workers => around.others.peers,
            AnsweredBy::Another => PeersView::default(),
        }
    }

    fn record_fault(
        &mut self,
        now: Instant,
        shared: Option<&Finding>,
        is_unheard: bool,
        settings: &Settings,
    ) {
        let is_lowered = shared.is_some_and(|finding| finding.level < Level::Preferred);
        let fault = match self.standing {
            Standing::Starting => None,
            Standing::Faulty => Some(FaultClass::Local),
            Standing::Sound if is_lowered => Some(FaultClass::Shared),
            Standing::Sound if is_unheard => Some(FaultClass::Local),
            Standing::Sound => None,
        };
        if fault == Some(FaultClass::Shared) && self.shared_fault.is_resumed() {
            self.hold_down.resume(now, FaultClass::Shared);
        }
        let chance = || self.chance.below(settings.jitter);
        self.hold_down
            .record(now, fault, settings.hold_down, chance);
    }

    fn delays(&self, now: Instant, peers: PeersView, settings: &Settings) -> Delays {
        let has_changes = !self.promotions.are_half_spent(now);
        Delays::of(peers, self.policy.mark, has_changes, settings)
    }

    /// Delays a step to `preferred`, and nothing else.
    fn damp(&mut self, now: Instant, due: Finding, delays: Delays) -> Finding {
        if due.level < Level::Preferred || self.verdict.level == Level::Preferred {
            return due;
        }
        let spent = self.promotions.wait(now).filter(|_| delays.is_limited);
        let wait = policy::wait(now, self.hold_down.held(now, &delays), spent);
        wait.unwrap_or_else(|| {
            self.promotions.record(now);
            due
        })
    }

    /// When the verdict may change though nothing is told; `shared_due`: by a shared fault that
    /// another finding may hide.
    fn next_change(
        &self,
        now: Instant,
        around: &Surroundings<'_>,
        verdict: &Finding,
        shared_due: Option<Instant>,
    ) -> Option<Instant> {
        let held = match &verdict.reason {
            Reason::HeldDown { until, .. } | Reason::Staggered { until } => Some(*until),
            _ => None,
        };
        let others = around.others;
        [verdict.next.due(), shared_due, held, self.unheard.due()]
            .into_iter()
            .flatten()
            .chain(self.shared_fault.due(&others.links))
            .chain(self.overflow.ends_at())
            .chain(others.load.ends())
            .filter(|at| *at > now)
            .min()
    }

    fn replace_verdict(&mut self, now: Instant, new: Finding) {
        let Finding {
            level,
            class,
            reason,
            next,
        } = new;
        let old = &self.verdict;
        let is_news = (old.level, old.class) != (level, class) || !old.reason.is_like(&reason);
        if is_news {
            let from = (old.level, old.level_since);
            self.changed_from.get_or_insert(from);
        }
        let kept = |since, is_kept| if is_kept { since } else { now };
        self.verdict = Verdict {
            since: kept(old.since, !is_news),
            level_since: kept(old.level_since, old.level == level),
            level,
            class,
            reason,
            next,
        };
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
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Faults that are remembered at `now`.
    pub(super) fn faults(&self, now: Instant) -> u32 {
        self.hold_down.count(now)
    }

    /// Whether nothing but damping keeps it from `preferred`.
    pub(super) fn is_delayed(&self) -> bool {
        matches!(self.verdict.next, Next::PreferredAt { .. })
    }
}

/// How long an answer to a client or a drop explains an unanswered probe: the counters are read
/// once per interval, so they may be that old, and half an interval covers a late reading.
fn busy_window(interval: Duration) -> Duration {
    interval * 3 / 2
}
