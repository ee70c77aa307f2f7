//! Scenarios of questions at a speed: rounds in which every entrant has its turn.

use anyhow::{Context, Result};

use super::Bench;
use super::fleet::Questions;
use crate::report::{Round, Turn, full, say};
use crate::scenario::Load;
use crate::subject::{Role, SUBJECTS, Subject};

/// Who has a turn in each round.
#[derive(Clone, Copy)]
struct Entrant {
    subject: &'static Subject,
    /// Its cache is full.
    full: bool,
}

impl Entrant {
    fn name(self) -> String {
        if self.full {
            full(self.subject.name)
        } else {
            self.subject.name.to_owned()
        }
    }

    /// Bare loops only do one thing each, whatever the mix.
    fn new_percent(self, load: &Load) -> u8 {
        match (self.subject.role, self.subject.name) {
            (Role::Limit, "limit-relay") => 100,
            (Role::Limit, _) => 0,
            (Role::Product | Role::Peer { .. }, _) => load.new_percent,
        }
    }
}

/// Every entrant in turns; the first round is thrown away, and each begins one entrant further on.
pub(super) fn measure(bench: &mut Bench, load: &Load) -> Result<()> {
    let entrants = entrants(bench, load);
    let mut rounds = Vec::new();
    for number in 0..=bench.scale.rounds_of(load) {
        let mut round = Round::new();
        let mut order = entrants.clone();
        order.rotate_left(number % entrants.len().max(1));
        for entrant in order {
            let turn = turn(bench, load, entrant, number);
            let turn = turn.with_context(|| format!("{}: {}", load.name, entrant.name()))?;
            round.insert(entrant.name(), turn);
        }
        say(&progress(number, &round));
        if number > 0 {
            rounds.push(round);
        }
    }
    bench.results.loads.insert(load.name.to_owned(), rounds);
    Ok(())
}

fn entrants(bench: &Bench, load: &Load) -> Vec<Entrant> {
    let is_limit = |subject: &&Subject| load.limits.iter().any(|(name, _)| *name == subject.name);
    let limits = SUBJECTS.iter().filter(is_limit);
    let plain = limits.chain(bench.subjects.iter().copied());
    let caches: &[bool] = if load.full { &[false, true] } else { &[false] };
    plain
        .flat_map(|subject| caches.iter().map(move |&full| Entrant { subject, full }))
        .collect()
}

fn turn(bench: &mut Bench, load: &Load, entrant: Entrant, number: usize) -> Result<Turn> {
    let questions = Questions {
        over: load.over,
        speed: load.speed,
        hot: load.hot(),
        new_percent: entrant.new_percent(load),
        seed: number as u64,
    };
    let Entrant { subject, full } = entrant;
    let upstream = bench.upstream.address;
    let running = bench.fleet.server(subject, full, &bench.scale, upstream)?;
    running.turn(&questions, &bench.scale)
}

fn progress(number: usize, round: &Round) -> String {
    let costs = round.iter();
    let costs = costs.map(|(name, turn)| format!("{name} {:.2}", turn.cpu_us()));
    let thrown = if number == 0 { " (thrown away)" } else { "" };
    format!(
        "round {number}{thrown}, µs/query: {}",
        costs.collect::<Vec<_>>().join(", ")
    )
}
