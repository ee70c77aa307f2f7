//! One node: the real cores of health and announcing, in a process that can be broken.

use std::time::{Duration, Instant};

use sidestep::health::{
    DrainOrder, DrainPhase, Health, Level, Memory, PeersView, PoorAnswers, ProbeOutcome, Verdict,
};

use crate::chance::Chance;
use crate::process::{Pause, Process, Seen, aged};
use crate::setup::{Setup, Time, WORKERS};
use crate::traffic::{Ability, Traffic};

/// What is needed before ticks may be skipped: with fewer samples a rate would come out otherwise.
const CALM: u32 = 8;
/// The same, in ticks that are made up for.
const MADE_UP: u64 = 8;
/// The one critical zone.
const ZONE: &str = ".";

/// A node as the world sees it, whether its process runs or not.
#[derive(Debug)]
pub(crate) struct Node {
    index: usize,
    pub(crate) site: usize,
    /// How often a process was started.
    pub(crate) boot: u32,
    pub(crate) process: Option<Process>,
    pub(crate) traffic: Traffic,
    /// Whether its upstreams can be reached.
    pub(crate) is_connected: bool,
    /// Counts the changes of the last.
    pub(crate) connection: u32,
    /// Whether packets to the service address get lost in front of its sockets.
    pub(crate) is_deaf: bool,
    /// Since when the same happens to the packets of all others, and its own probes are answered.
    pub(crate) unheard_since: Option<Time>,
    /// Percent of the new names that upstreams fail for.
    pub(crate) failing_percent: u8,
    pub(crate) collapses: bool,
    /// What the state directory holds, since when, and whether the process ended in order.
    kept: Option<(Memory, Time, bool)>,
    pub(crate) chance: Chance,
}

impl Node {
    pub(crate) fn new(setup: &Setup, index: usize, chance: Chance) -> Self {
        Self {
            index,
            site: setup.site_of(index),
            boot: 0,
            process: None,
            traffic: Traffic::default(),
            is_connected: true,
            connection: 0,
            is_deaf: false,
            unheard_since: None,
            failing_percent: 0,
            collapses: setup.collapses,
            kept: None,
            chance,
        }
    }

    /// Starts a process with what the last one left behind.
    pub(crate) fn start(&mut self, now: Time, setup: &Setup, epoch: Instant) {
        self.boot += 1;
        self.traffic.restart();
        let seed = self.chance.draw();
        let phase = self
            .chance
            .ms(0, setup.settings.interval.as_millis() as u64 - 1);
        let kept = self.kept.take();
        let memory =
            kept.map(|(memory, since, is_clean)| aged(memory, now.saturating_sub(since), is_clean));
        let mut process = Process::new(now, setup, self.index, epoch, seed, memory.as_ref());
        process.next_tick = now + phase;
        self.process = Some(process);
        self.settle(now);
    }

    /// Ends the process; `is_clean`: as it was asked to.
    pub(crate) fn end(&mut self, now: Time, is_clean: bool) {
        if let Some(process) = self.process.take() {
            let memory = process.memory(now);
            self.kept = Some((memory, now, is_clean));
        }
    }

    pub(crate) fn ability(&self) -> Ability {
        Ability {
            answers: std::array::from_fn(|worker| self.reads(worker)),
            hears: self.process.is_some() && self.is_heard(),
            failing_percent: if self.is_connected {
                self.failing_percent
            } else {
                100
            },
        }
    }

    /// Whether a worker's loop turns.
    pub(crate) fn runs(&self, worker: usize) -> bool {
        let is_thrashing = self.collapses && self.traffic.is_overloaded();
        self.process.as_ref().is_some_and(|process| {
            let stands = matches!(process.pause, Some(Pause::Stopped | Pause::Suspended));
            !stands && !process.wedged[worker] && !is_thrashing
        })
    }

    /// Whether a worker reads what reaches its sockets.
    pub(crate) fn reads(&self, worker: usize) -> bool {
        let process = self.process.as_ref();
        self.runs(worker) && process.is_some_and(|process| !process.unread[worker])
    }

    /// Whether questions of others reach it.
    pub(crate) fn is_heard(&self) -> bool {
        !self.is_deaf && self.unheard_since.is_none()
    }

    /// Whether all that is sent to it is answered, or shed because it is too much.
    pub(crate) fn answers(&self) -> bool {
        !self.is_deaf && (0..WORKERS).all(|worker| self.reads(worker))
    }

    /// Whether it can answer, prove it and announce it, and no operator minds.
    pub(crate) fn is_able(&self) -> bool {
        self.answers()
            && self.is_heard()
            && self.process.as_ref().is_some_and(|process| {
                let serves = process.phase() == DrainPhase::Serving;
                process.pause.is_none() && !process.is_blind && serves
            })
    }

    /// Whether it can announce floors whatever its workers do: it was ready once.
    pub(crate) fn stands(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let serves = process.phase() == DrainPhase::Serving;
            process.was_ready && process.pause.is_none() && !process.is_blind && serves
        })
    }

    /// Whether it says to its siblings that it can take their clients over.
    pub(crate) fn takes_over(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|p| p.pause.is_none() && p.is_able())
    }

    /// Whether it says to its siblings that it is preferred.
    pub(crate) fn is_preferred(&self) -> bool {
        let level = self.verdict().map(|verdict| verdict.level);
        level == Some(Level::Preferred)
    }

    pub(crate) fn account(&mut self, now: Time) {
        let ability = self.ability();
        self.traffic.account(now, &ability);
    }

    /// One interval is over: counters are read, probes are sent.
    pub(crate) fn tick(&mut self, now: Time, interval: Duration) {
        self.account(now);
        self.sample_and_probe(now);
        self.settle(now);
        let is_calm = self.is_calm();
        if let Some(process) = &mut self.process {
            process.next_tick = now + interval;
            process.calm = if is_calm { process.calm + 1 } else { 0 };
        }
    }

    /// Whether the next ticks would tell nothing new.
    pub(crate) fn may_doze(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.calm >= CALM)
    }

    /// Makes up for the skipped ticks: for those that can still matter one by one.
    pub(crate) fn wake(&mut self, now: Time, interval: Duration) {
        self.account(now);
        let Some(process) = &mut self.process else {
            return;
        };
        if !std::mem::take(&mut process.is_dozing) {
            return;
        }
        process.calm = 0;
        let first = process.next_tick;
        if now < first {
            return;
        }
        let skipped = (now - first).as_micros() / interval.as_micros() + 1;
        let skipped = u64::try_from(skipped).unwrap_or(u64::MAX);
        let made_up = skipped.min(MADE_UP);
        process.ticks += skipped - made_up;
        for tick in skipped - made_up..skipped {
            let at = first + interval * tick as u32;
            self.sample_and_probe(at);
            self.settle(at);
            if let Some(process) = &mut self.process {
                process.next_tick = at + interval;
            }
        }
    }

    fn is_calm(&self) -> bool {
        let process = self.process.as_ref();
        let is_well = process.is_some_and(|process| {
            let verdict = process.verdict();
            verdict
                .is_some_and(|verdict| verdict.level == Level::Preferred && verdict.class.is_none())
                && process.phase() == DrainPhase::Serving
                && !process.breaker_open
                && process.has_session
        });
        is_well && self.is_connected && self.is_able() && !self.traffic.is_overloaded()
    }

    fn sample_and_probe(&mut self, at: Time) {
        let turns: [bool; WORKERS] = std::array::from_fn(|worker| self.runs(worker));
        let reads: [bool; WORKERS] = std::array::from_fn(|worker| self.reads(worker));
        let seen = Seen {
            turns,
            reads: reads.map(|reads| reads && !self.is_deaf),
            outcomes: reads.map(|reads| self.outcome(reads)),
            tcp: self.outcome(turns.iter().all(|turns| *turns)),
        };
        if let Some(process) = &mut self.process {
            process.sample_and_probe(at, &seen, &self.traffic);
        }
    }

    fn outcome(&mut self, turns: bool) -> ProbeOutcome {
        let excess = self.traffic.excess_per_mille();
        if !turns || self.is_deaf || (excess > 0 && self.chance.is(excess)) {
            ProbeOutcome::Unanswered
        } else {
            ProbeOutcome::Good
        }
    }

    /// Does what `input` says to health, and all that follows from it.
    pub(crate) fn tell(&mut self, now: Time, input: impl FnOnce(&mut Health, Instant)) {
        if let Some(process) = &mut self.process {
            process.calm = 0;
            process.tell(now, input);
        }
    }

    pub(crate) fn tell_upstreams(&mut self, now: Time) {
        let is_dead = self.process.as_ref().is_some_and(|p| p.breaker_open);
        self.tell(now, |health, local| {
            health.handle_zone(local, ZONE, is_dead);
        });
    }

    pub(crate) fn tell_answers(&mut self, now: Time, prefixes: u16) {
        let is_poor = self.process.as_ref().is_some_and(|p| p.finds_answers_poor);
        let poor = is_poor.then_some(PoorAnswers {
            failed_percent: self.failing_percent,
            baseline_percent: 2,
            domains: 64,
            prefixes,
        });
        self.tell(now, |health, local| {
            health.handle_answers(local, ZONE, poor)
        });
    }

    pub(crate) fn tell_peers(&mut self, now: Time, view: PeersView) {
        let process = self.process.as_mut();
        if process.is_some_and(|p| std::mem::replace(&mut p.peers, view) != view) {
            self.tell(now, |health, local| health.handle_peers(local, view));
        }
    }

    pub(crate) fn drain(&mut self, now: Time) {
        let order = DrainOrder {
            service: None,
            who: "root".into(),
            reason: "upgrade".into(),
            until: None,
        };
        self.tell(now, |health, local| health.handle_drain(local, &order));
    }

    /// What is due by itself.
    pub(crate) fn timeout(&mut self, now: Time) {
        if let Some(process) = &mut self.process {
            process.pass_time(now);
        }
        self.tell(now, Health::handle_timeout);
    }

    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        self.process.as_ref().and_then(Process::verdict)
    }

    fn settle(&mut self, now: Time) {
        if let Some(process) = &mut self.process {
            process.settle(now);
        }
    }
}
