//! Health in simulated time: two workers, one service with two families, nothing sleeps.

use super::*;
use crate::health::{
    Awaited, DrainOrder, Family, FaultClass, FloorLevel, OnSharedFault, ProbeOf, ProbeOutcome,
    Reason,
};
use ProbeOutcome::{Bad, Good, Unanswered};

mod another;
mod company;
mod damping;
mod draining;
mod faults;
mod foreign;
mod leaving;
mod policy;
mod properties;
mod siblings;
mod signals;

pub(in crate::health) const INTERVAL: Duration = Duration::from_millis(200);
/// From a sample of the counters to the results of the probes.
const PROBE_TIME: Duration = Duration::from_millis(50);
const WORKERS: usize = 2;

pub(in crate::health) fn start() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "simulated time has to begin somewhere"
    )]
    Instant::now()
}

pub(in crate::health) fn settings() -> Settings {
    Settings {
        interval: INTERVAL,
        fall: 3,
        rise: 5,
        hold_down: Duration::from_secs(10),
        drain_wait: Duration::from_secs(5),
        linger: Duration::from_secs(1),
        jitter: Duration::ZERO,
        promotions_per_hour: 12,
        seed: 1,
    }
}

/// A node of which each part can be broken.
#[derive(Clone, Debug)]
pub(in crate::health) struct Bench {
    pub(in crate::health) health: Health,
    pub(in crate::health) now: Instant,
    /// Whether each worker's loop turns.
    beats: [bool; WORKERS],
    /// Answers to clients per interval at each address, by worker.
    answers: [u64; WORKERS],
    /// Where clients ask.
    asked: Vec<Target>,
    /// Datagrams that each reads in an interval.
    takes: [u64; WORKERS],
    /// Whether each worker's receive queue overflows.
    drops: [bool; WORKERS],
    is_tcp_full: bool,
    /// Queries shed per interval, by worker.
    shed: [u64; WORKERS],
    probes: [ProbeOutcome; WORKERS],
    tcp: ProbeOutcome,
    samples: [WorkerSample; WORKERS],
    dropped: [u64; WORKERS],
    /// By target and worker.
    answered: [[u64; WORKERS]; 2],
}

impl Bench {
    pub(in crate::health) const V4: Target = Target {
        service: 0,
        family: Family::V4,
    };
    const V6: Target = Target {
        service: 0,
        family: Family::V6,
    };
    const TARGETS: [Target; 2] = [Self::V4, Self::V6];

    fn new(on_shared_fault: OnSharedFault, settings: Settings) -> Self {
        let policy = ServicePolicy {
            on_shared_fault,
            ..ServicePolicy::new(vec![Family::V4, Family::V6])
        };
        Self::of(policy, settings)
    }

    fn of(policy: ServicePolicy, settings: Settings) -> Self {
        let now = start();
        Self {
            health: Health::new(settings, &[policy], WORKERS, now),
            now,
            beats: [true; WORKERS],
            answers: [0; WORKERS],
            asked: Self::TARGETS.to_vec(),
            takes: [1; WORKERS],
            drops: [false; WORKERS],
            is_tcp_full: false,
            shed: [0; WORKERS],
            probes: [Good; WORKERS],
            tcp: Good,
            samples: [WorkerSample::default(); WORKERS],
            dropped: [0; WORKERS],
            answered: [[0; WORKERS]; 2],
        }
    }

    /// A healthy node that has been announced since just now.
    pub(in crate::health) fn started() -> Self {
        Self::started_with(OnSharedFault::Backup)
    }

    fn started_with(on_shared_fault: OnSharedFault) -> Self {
        Self::new(on_shared_fault, settings()).announced()
    }

    /// Starts it.
    fn announced(mut self) -> Self {
        self.set_address(true);
        self.ticks(2);
        assert_eq!(self.level(), Level::Preferred, "{}", self.reason());
        while self.health.poll_event().is_some() {}
        self
    }

    /// The address is lost and found again, and all probes are good: a fault.
    fn fail(&mut self) {
        self.set_address(false);
        self.set_address(true);
    }

    fn set_address(&mut self, is_present: bool) {
        for target in Self::TARGETS {
            self.health.handle_address(self.now, target, is_present);
        }
    }

    /// An operator's wish that the node should leave.
    fn drain(&mut self, reason: &str) {
        let order = DrainOrder {
            service: None,
            who: "root".into(),
            reason: reason.into(),
            until: None,
        };
        self.health.handle_drain(self.now, &order);
    }

    /// One interval: the probes of the last one end, then the counters are read.
    fn tick(&mut self) {
        self.now += PROBE_TIME;
        for target in Self::TARGETS {
            for (worker, outcome) in self.probes.into_iter().enumerate() {
                self.probe(target, ProbeOf::Worker(worker), outcome);
            }
            self.probe(target, ProbeOf::Tcp, self.tcp);
        }
        self.now += INTERVAL - PROBE_TIME;
        self.sample();
    }

    fn probe(&mut self, target: Target, probe: ProbeOf, outcome: ProbeOutcome) {
        self.health.handle_timeout(self.now);
        self.health.handle_probe(
            self.now,
            ProbeReport {
                target,
                probe,
                outcome,
            },
        );
    }

    fn sample(&mut self) {
        for worker in 0..WORKERS {
            self.samples[worker].heartbeat += u64::from(self.beats[worker]);
            self.samples[worker].answered += self.answers[worker];
            self.samples[worker].taken += self.takes[worker];
            self.samples[worker].shed += self.shed[worker];
            self.samples[worker].tcp_shed += u64::from(self.is_tcp_full);
            self.dropped[worker] += u64::from(self.drops[worker]);
            for (target, answered) in Self::TARGETS.into_iter().zip(&mut self.answered) {
                let (now, answered) = (self.now, &mut answered[worker]);
                let asks = self.asked.contains(&target);
                *answered += if asks { self.answers[worker] } else { 0 };
                self.health.handle_served(now, target, worker, *answered);
                self.health
                    .handle_drops(now, target, worker, self.dropped[worker]);
            }
        }
        self.health.handle_workers(self.now, &self.samples);
    }

    fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.tick();
        }
    }

    /// Ticks until the level is `level`; the time that it took, counted from now.
    fn until(&mut self, level: Level) -> Duration {
        let begin = self.now;
        for _ in 0..5000 {
            if self.level() == level {
                return self.now - begin;
            }
            self.tick();
        }
        panic!("never {level}: {}", self.reason());
    }

    fn verdict(&self) -> &Verdict {
        let (target, verdict) = self.health.verdicts().next().unwrap();
        assert_eq!(target, Self::V4);
        verdict
    }

    /// What it would take to change, in words.
    fn next(&self) -> String {
        self.verdict().next.in_words(self.now).to_string()
    }

    fn level(&self) -> Level {
        self.verdict().level
    }

    fn class(&self) -> Option<FaultClass> {
        self.verdict().class
    }

    fn reason(&self) -> String {
        self.verdict().reason.to_string()
    }

    fn grant(&self) -> Option<Grant> {
        self.health.lease().grants(self.now).first().copied()
    }
}
