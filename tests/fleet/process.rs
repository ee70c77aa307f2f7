//! One run of the program: the real cores, and what its threads do to them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sidestep::announce::{Action, Announcer};
use sidestep::health::peers::{PeerEvent, PeerQuestion, PeerWord, Peers};
use sidestep::health::{
    DrainPhase, Event, Health, Level, Memory, PeersView, ProbeOf, ProbeOutcome, ProbeReport,
    ServicePolicy, StartGate, Target, TargetMemory, Verdict, WorkerSample,
};

use crate::engine::address_of;
use crate::router::Offer;
use crate::setup::{Setup, TARGET, Time, WORKERS};
use crate::traffic::Traffic;

/// A worker shows a heartbeat this often.
const BEAT: Duration = Duration::from_millis(50);
/// Every so many ticks a probe goes over TCP.
const TCP_EVERY: u64 = 5;

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Process {
    health: Health,
    announcer: Announcer,
    /// What its clock showed when the simulation began.
    epoch: Instant,
    /// How much its clock is behind the world's by now.
    pub(crate) lag: Duration,
    pub(crate) pause: Option<Pause>,
    pub(crate) paused_at: Time,
    /// How often it stood still.
    pub(crate) pauses: u32,
    pub(crate) wedged: [bool; WORKERS],
    /// Workers whose loops turn and that do not read what clients send.
    pub(crate) unread: [bool; WORKERS],
    taken: [u64; WORKERS],
    /// When the last of the wedged stopped.
    pub(crate) wedged_at: Time,
    /// The self-probe has ended.
    pub(crate) is_blind: bool,
    beats: [u64; WORKERS],
    pub(crate) breaker_open: bool,
    pub(crate) finds_answers_poor: bool,
    pub(crate) peers: PeersView,
    pub(crate) ticks: u64,
    pub(crate) next_tick: Time,
    pub(crate) is_dozing: bool,
    /// Ticks in a row that told nothing new.
    pub(crate) calm: u32,
    /// When the owner will be called for a timeout.
    pub(crate) due: Option<Time>,
    pub(crate) has_session: bool,
    /// Whether it had a route to announce.
    pub(crate) was_ready: bool,
    pub(crate) effects: Vec<Effect>,
    siblings: Option<Peers>,
    /// When it will ask them.
    pub(crate) asks_at: Option<Time>,
}

/// How a process stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// SIGSTOP: nothing runs, the clock goes on.
    Stopped,
    /// A virtual machine is suspended: nothing runs, and the clock stands still as well.
    Suspended,
    /// The routing thread is stuck; the workers answer.
    Stalled,
}

/// What the owner of a node has to follow.
#[derive(Debug)]
pub(crate) enum Effect {
    Verdict { from: Level, verdict: Verdict },
    Phase(DrainPhase),
    Offers(Offer),
    Ended,
    Unanswered(ProbeReport),
}

/// What an interval shows from the outside.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Whether each worker's loop turns.
    pub(crate) turns: [bool; WORKERS],
    /// Whether each reads what comes, if only to drop it.
    pub(crate) reads: [bool; WORKERS],
    /// How the probe of each worker ends.
    pub(crate) outcomes: [ProbeOutcome; WORKERS],
    /// How one over TCP ends.
    pub(crate) tcp: ProbeOutcome,
}

impl Process {
    /// A process that starts at `now` with what the last one left behind.
    pub(crate) fn new(
        now: Time,
        setup: &Setup,
        node: usize,
        epoch: Instant,
        seed: u64,
        memory: Option<&Memory>,
    ) -> Self {
        let mut settings = setup.settings.clone();
        settings.seed = seed;
        let policy: ServicePolicy = setup.service.policy();
        let linger = settings.linger;
        let local = epoch + now;
        let mut health = Health::new(settings, &[policy], WORKERS, local);
        health.expect(StartGate::Upstreams);
        health.expect(StartGate::HotNames);
        if let Some(memory) = memory {
            health.recall(local, memory);
        }
        Self {
            health,
            announcer: Announcer::new(vec![setup.service.clone()], linger, local),
            epoch,
            lag: Duration::ZERO,
            pause: None,
            paused_at: Time::ZERO,
            pauses: 0,
            wedged: [false; WORKERS],
            unread: [false; WORKERS],
            taken: [0; WORKERS],
            wedged_at: Time::ZERO,
            is_blind: false,
            beats: [0; WORKERS],
            breaker_open: false,
            finds_answers_poor: false,
            peers: PeersView::default(),
            ticks: 0,
            next_tick: now,
            is_dozing: false,
            calm: 0,
            due: None,
            has_session: false,
            was_ready: false,
            effects: Vec::new(),
            siblings: siblings(setup, node, seed, local),
            asks_at: None,
        }
    }

    /// Reads the counters, sends probes, and takes the answers that come at once.
    pub(crate) fn sample_and_probe(&mut self, at: Time, seen: &Seen, traffic: &Traffic) {
        let local = self.local(at);
        let mut samples = [WorkerSample::default(); WORKERS];
        for (worker, sample) in samples.iter_mut().enumerate() {
            if seen.turns[worker] {
                self.beats[worker] = (at.as_micros() / BEAT.as_micros()) as u64;
            }
            self.taken[worker] += u64::from(seen.reads[worker]);
            *sample = WorkerSample {
                heartbeat: self.beats[worker],
                answered: traffic.answered(worker, at),
                taken: self.taken[worker],
                ..WorkerSample::default()
            };
            let answered = sample.answered;
            self.health.handle_served(local, TARGET, worker, answered);
            let dropped = traffic.dropped(worker);
            self.health.handle_drops(local, TARGET, worker, dropped);
        }
        self.health.handle_workers(local, &samples);
        self.ticks += 1;
        if self.is_blind {
            return;
        }
        let over_tcp = (self.ticks % TCP_EVERY == 1).then_some((ProbeOf::Tcp, seen.tcp));
        let outcomes = seen.outcomes.iter().enumerate();
        let over_udp = outcomes.map(|(worker, outcome)| (ProbeOf::Worker(worker), *outcome));
        for (probe, outcome) in over_udp.chain(over_tcp) {
            let report = ProbeReport {
                target: TARGET,
                probe,
                outcome,
            };
            match outcome {
                ProbeOutcome::Good | ProbeOutcome::Bad | ProbeOutcome::Shed => {
                    self.health.handle_probe(local, report);
                }
                // It is known only when the time for an answer is over.
                ProbeOutcome::Unanswered => self.effects.push(Effect::Unanswered(report)),
            }
        }
    }

    /// Does what `input` says to health, and all that follows from it.
    pub(crate) fn tell(&mut self, now: Time, input: impl FnOnce(&mut Health, Instant)) {
        let local = self.local(now);
        input(&mut self.health, local);
        self.settle(now);
    }

    /// Announcing looks at the clock.
    pub(crate) fn pass_time(&mut self, now: Time) {
        self.announcer.handle_timeout(self.local(now));
    }

    /// What siblings are told.
    pub(crate) fn is_able(&self) -> bool {
        self.health.is_able()
    }

    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        self.health.verdicts().next().map(|(_, verdict)| verdict)
    }

    /// What is written to the state directory.
    pub(crate) fn memory(&self, now: Time) -> Memory {
        self.health.memory(self.local(now))
    }

    /// What its clock shows at `now`.
    fn local(&self, now: Time) -> Instant {
        self.epoch + now - self.lag
    }

    /// The questions to siblings that are due.
    pub(crate) fn ask(&mut self, now: Time) -> Vec<PeerQuestion> {
        let local = self.local(now);
        let Some(siblings) = &mut self.siblings else {
            return Vec::new();
        };
        siblings.handle_timeout(local);
        std::iter::from_fn(|| siblings.poll_transmit()).collect()
    }

    pub(crate) fn take_word(&mut self, now: Time, question: PeerQuestion, word: PeerWord) {
        let local = self.local(now);
        if let Some(siblings) = &mut self.siblings {
            siblings.handle_answer(local, question, word);
        }
    }

    pub(crate) fn poll_peers(&mut self) -> Option<PeerEvent> {
        self.siblings.as_mut()?.poll_event()
    }

    /// When it wants to ask, by the world's clock.
    pub(crate) fn wants_to_ask(&self) -> Option<Time> {
        let due = self.siblings.as_ref()?.poll_timeout()?;
        Some(due.duration_since(self.epoch) + self.lag)
    }

    /// What it tells the sibling at `address`: whether that one answers.
    pub(crate) fn hears(&self, address: SocketAddr) -> Option<bool> {
        let mut states = self.siblings.as_ref()?.states();
        states.find(|state| state.address == address)?.heard
    }

    /// When it wants to be called, by the world's clock.
    pub(crate) fn wants(&self) -> Option<Time> {
        let due = [self.health.poll_timeout(), self.announcer.poll_timeout()];
        let due = due.into_iter().flatten().min()?;
        Some(due.duration_since(self.epoch) + self.lag)
    }

    /// What it offers when it is asked anew.
    pub(crate) fn offer(&self) -> Offer {
        Offer::of(self.announcer.routes())
    }

    pub(crate) fn phase(&self) -> DrainPhase {
        self.health.drain_phase()
    }

    /// Does all that follows from what health was told.
    pub(crate) fn settle(&mut self, now: Time) {
        let local = self.local(now);
        loop {
            while let Some(event) = self.health.poll_event() {
                if let Event::Verdict { from, verdict, .. } = event {
                    self.effects.push(Effect::Verdict { from, verdict });
                } else if let Event::Drain(phase) = event {
                    if phase == DrainPhase::Finished {
                        self.announcer.handle_stop(local);
                    }
                    self.effects.push(Effect::Phase(phase));
                }
            }
            self.announcer.handle_lease(local, self.health.lease());
            let Some(action) = self.announcer.poll_action() else {
                return;
            };
            self.act(local, action);
        }
    }

    fn act(&mut self, local: Instant, action: Action) {
        match action {
            Action::Routes(routes) => {
                let offer = Offer::of(&routes);
                self.was_ready |= offer > Offer::Nothing;
                self.effects.push(Effect::Offers(offer));
            }
            Action::Bind(target, _) => self.take_address(local, target, true),
            Action::CloseSessions => self.announcer.handle_sessions_closed(local),
            Action::Unbind(target, _) => self.take_address(local, target, false),
            Action::Done => self.effects.push(Effect::Ended),
        }
    }

    fn take_address(&mut self, local: Instant, target: Target, is_present: bool) {
        self.health.handle_address(local, target, is_present);
        self.announcer.handle_address(local, target, is_present);
    }
}

fn siblings(setup: &Setup, node: usize, seed: u64, local: Instant) -> Option<Peers> {
    let own = address_of(node);
    let asks = setup.has_siblings && setup.asks_for_real;
    asks.then(|| {
        let others = (0..setup.nodes).filter(|other| *other != node);
        let others: Vec<SocketAddr> = others.map(address_of).collect();
        Peers::new(&others, &[own.ip()], node as u32, seed, local)
    })
}

/// What the state directory gives to the next process.
pub(crate) fn aged(memory: Memory, by: Duration, is_clean: bool) -> Memory {
    let age = |ages: Vec<Duration>| ages.into_iter().map(|age| age + by).collect::<Vec<_>>();
    let mut aged: Memory = memory
        .into_iter()
        .map(|(target, memory)| {
            let memory = TargetMemory {
                faults: age(memory.faults),
                promotions: age(memory.promotions),
            };
            (target, memory)
        })
        .collect();
    if !is_clean {
        if aged.is_empty() {
            aged.push((TARGET, TargetMemory::default()));
        }
        aged.iter_mut()
            .for_each(|(_, memory)| memory.faults.push(Duration::ZERO));
    }
    aged
}
