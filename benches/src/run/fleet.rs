//! The servers that are up, and their turns.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{LOAD_CORE, SERVER_CORE};
use crate::load::{self, Mix, Outcome, Pace, Plan, Popularity, Transport};
use crate::process::CpuTime;
use crate::report::Turn;
use crate::scenario::{HOT, HOT_WHEN_FULL, Over, Scale, Speed};
use crate::subject::{Capacity, Role, Server, Subject};

/// Entries that a cache with room has room for: all names of a run.
const ROOM: u32 = 2_000_000;

/// So many turns without any answer are no accident.
const TRIES: usize = 3;

/// By name of the subject and whether its cache is full.
#[derive(Default)]
pub(super) struct Fleet {
    running: BTreeMap<(&'static str, bool), Running>,
}

/// A server that is up.
pub(super) struct Running {
    server: Server,
    /// The first of the names that this server was never asked for.
    next_new: u32,
    /// How often it was asked something.
    asks: u64,
    cold_over_tcp: bool,
}

/// The questions of a turn.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    pub(super) over: Over,
    pub(super) speed: Speed,
    /// Hits are asked from the names below this.
    pub(super) hot: u32,
    pub(super) new_percent: u8,
    pub(super) seed: u64,
}

impl Fleet {
    /// The server of a subject, started and warmed when it is not up yet; it rests.
    pub(super) fn server(
        &mut self,
        subject: &'static Subject,
        full: bool,
        scale: &Scale,
        upstream: SocketAddr,
    ) -> Result<&mut Running> {
        let entry = self.running.entry((subject.name, full));
        let vacant = match entry {
            Entry::Occupied(running) => return Ok(running.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let capacity = if full {
            Capacity::Tight(scale.full_entries)
        } else {
            Capacity::Roomy(ROOM)
        };
        let server = subject.start(capacity, upstream, SERVER_CORE)?;
        let mut running = Running::new(server, subject.keeps_tcp_apart);
        if full {
            let filled = running.overfill(scale.full_entries);
            filled.with_context(|| format!("its last words:\n{}", running.server.last_words()))?;
        } else if subject.role != Role::Limit {
            running.warm(0..HOT)?;
        }
        running.server.rest()?;
        Ok(vacant.insert(running))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // All at once; each is then waited for as its turn to be dropped comes.
        for running in self.running.values_mut() {
            running.server.ask_to_end();
        }
    }
}

impl Running {
    fn new(server: Server, cold_over_tcp: bool) -> Self {
        Self {
            server,
            next_new: 0,
            asks: 0,
            cold_over_tcp,
        }
    }

    /// Asks for cached names until each was answered.
    ///
    /// # Errors
    /// When some never were.
    fn warm(&self, numbers: Range<u32>) -> Result<()> {
        warm(self.server.address, numbers)
    }

    /// Asks for four times as many names as there is room for. The hot ones are the first, and
    /// are asked for again and again in between, so that every way of evicting keeps them.
    fn overfill(&self, entries: u32) -> Result<()> {
        let hot: Range<u32> = 0..HOT_WHEN_FULL;
        self.warm(hot.clone())?;
        let step = (entries / 4).max(1);
        for number in 0..16 {
            let start = HOT + number * step;
            self.warm(start..start + step)?;
            self.warm(hot.clone())?;
        }
        Ok(())
    }

    /// Wakes the server, asks, and lets it rest again.
    ///
    /// # Errors
    /// For any wrong answer, and when nothing was answered.
    pub(super) fn turn(&mut self, questions: &Questions, scale: &Scale) -> Result<Turn> {
        let turn = self.measured(questions, scale);
        turn.with_context(|| format!("its last words:\n{}", self.server.last_words()))
    }

    fn measured(&mut self, questions: &Questions, scale: &Scale) -> Result<Turn> {
        self.server.wake()?;
        if self.cold_over_tcp && matches!(questions.over, Over::Tcp { .. }) {
            self.warm_over_tcp(questions)?;
        }
        let (mut sent, mut lost) = (0, 0);
        for _ in 0..TRIES {
            self.ask(questions, scale.lead)?;
            let before = self.cpu()?;
            let outcome = self.ask(questions, scale.turn)?;
            let after = self.cpu()?;
            sent += outcome.sent;
            lost += outcome.lost;
            // A stall of the whole turn has no cost per answer; its losses are kept.
            if outcome.answered > 0 {
                self.server.rest()?;
                let used = after.iter().zip(&before);
                let used = used.map(|(after, before)| after.since(*before)).sum();
                let turn = turn_of(&outcome, used);
                return Ok(Turn { sent, lost, ..turn });
            }
        }
        bail!("nothing was answered in {TRIES} turns")
    }

    /// Asks for the names over TCP until hardly one can be left out: eight times as many questions
    /// as names, drawn at random, many at once.
    fn warm_over_tcp(&mut self, questions: &Questions) -> Result<()> {
        let questions = Questions {
            speed: Speed::Window(128),
            ..questions.clone()
        };
        let (mut sent, enough) = (0, 8 * u64::from(questions.hot));
        // Few long turns, because each has connections of its own.
        for seconds in [1, 2, 4, 8, 16] {
            sent += self.ask(&questions, Duration::from_secs(seconds))?.sent;
            if sent >= enough {
                self.cold_over_tcp = false;
                return Ok(());
            }
        }
        bail!("only {sent} questions over TCP in half a minute of warming")
    }

    /// Asks for so long; nothing is measured but what the generator sees.
    fn ask(&mut self, questions: &Questions, time: Duration) -> Result<Outcome> {
        let plan = Plan {
            // Other names than the last time.
            seed: questions.seed ^ (self.asks << 32),
            ..plan(self.server.address, questions, self.next_new, time)
        };
        self.asks += 1;
        let outcome = load::run(&plan)?;
        self.next_new = outcome.next_new;
        ensure!(outcome.wrong == 0, "{} answers were wrong", outcome.wrong);
        Ok(outcome)
    }

    fn cpu(&self) -> Result<Vec<CpuTime>> {
        let processes = self.server.processes().iter();
        processes.map(|process| process.cpu()).collect()
    }
}

/// Asks for cached names until each was answered.
///
/// # Errors
/// When some never were.
pub(super) fn warm(target: SocketAddr, numbers: Range<u32>) -> Result<()> {
    let missing = load::warm(target, numbers)?.missing;
    ensure!(
        missing.is_empty(),
        "{} names were never answered while warming, {:?} first",
        missing.len(),
        missing.first()
    );
    Ok(())
}

/// The generator's plan for these questions.
pub(super) fn plan(
    target: SocketAddr,
    questions: &Questions,
    first_new: u32,
    time: Duration,
) -> Plan {
    Plan {
        target,
        transport: match questions.over {
            Over::Udp { sockets } => Transport::Udp { sockets },
            Over::Tcp { connections } => Transport::Tcp { connections },
        },
        mix: Mix {
            cached: 0..questions.hot,
            popularity: Popularity::Uniform,
            new_percent: questions.new_percent,
            first_new,
        },
        pace: match questions.speed {
            Speed::Window(window) => Pace::Window(window),
            Speed::Rate(per_second) => Pace::Rate(per_second),
        },
        time,
        seed: questions.seed,
        core: LOAD_CORE,
    }
}

/// What the results keep of an outcome.
fn turn_of(outcome: &Outcome, used: Duration) -> Turn {
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Turn {
        sent: outcome.sent,
        answered: outcome.answered,
        lost: outcome.lost,
        elapsed_s: outcome.elapsed.as_secs_f64(),
        cpu_s: used.as_secs_f64(),
        p50_us: us(outcome.latency.p50()),
        p99_us: us(outcome.latency.p99()),
        p999_us: us(outcome.latency.p999()),
    }
}
