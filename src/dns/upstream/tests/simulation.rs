//! Upkeep and 500 questions a second in simulated time, in steps of a millisecond.

use std::collections::{BTreeMap, HashSet};

mod failing;

use super::super::pacing::{DARK_GAP_MAX, PROBES_PER_SECOND, Pacing, STEADY_GAP};
use super::errors::error;
use super::*;

/// What something sent at a time comes to: after how many ms, and with which RCODE.
type Script = Box<dyn FnMut(u32, Asked, &mut Chance) -> Option<(u32, u16)>>;

const SERVFAIL: u16 = 2;
/// A question is given up after this time.
const DEADLINE_MS: u32 = 2000;
/// Between questions.
const QUESTION_MS: u32 = 2;

/// Numbers that are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

fn healthy() -> Script {
    Box::new(|_, _, _| Some((1, 0)))
}

/// What goes wrong from `from` on and until `until`.
fn ill(from: u32, until: u32, mut illness: Script) -> Script {
    Box::new(move |ms, asked, chance| {
        if (from..until).contains(&ms) {
            illness(ms, asked, chance)
        } else {
            Some((1, 0))
        }
    })
}

fn silent() -> Script {
    Box::new(|_, _, _| None)
}

/// All the ways to be ill.
fn illnesses() -> Vec<(&'static str, Script)> {
    vec![
        ("silent", silent()),
        ("failing", Box::new(|_, _, _| Some((1, SERVFAIL)))),
        (
            "failing but for the apex",
            Box::new(|_, asked, _| match asked {
                Asked::Question => Some((1, SERVFAIL)),
                Asked::Probe => Some((1, 0)),
            }),
        ),
        ("slow", Box::new(|_, _, _| Some((1900, 0)))),
        ("rather slow", Box::new(|_, _, _| Some((150, 0)))),
        (
            "losing",
            Box::new(|_, _, chance| (chance.below(2) == 0).then_some((1, 0))),
        ),
    ]
}

struct Question {
    begun: u32,
    /// Whom, and when.
    sent: Vec<(usize, u32)>,
    hedge_at: u32,
    poor: Vec<usize>,
    is_over: bool,
}

enum Event {
    /// To a probe, or to a question of this number.
    Answer(usize, Option<usize>, u32, u16),
    Late(usize, Asked, u32),
    Missed(usize, u32),
}

struct Simulation {
    world: World,
    members: [UpstreamIndex; 2],
    pacings: [Pacing; 2],
    scripts: [Script; 2],
    chance: Chance,
    is_asked: bool,
    /// As many clients, and as many domains.
    prefixes: usize,
    /// Another number of domains, all of which each of the prefixes asks for.
    domains: Option<usize>,
    /// Between questions.
    question_ms: u32,
    events: BTreeMap<u32, Vec<Event>>,
    questions: Vec<Question>,
    /// Of those the ones that are not over, and some that are.
    open: Vec<usize>,
    /// Of both upstreams.
    probes: [Vec<u32>; 2],
    heard: [HashSet<u32>; 2],
    /// What clients waited for, by when they asked.
    waited: Vec<(u32, u32)>,
    ms: u32,
}

impl Simulation {
    fn new(scripts: [Script; 2], is_asked: bool) -> Self {
        let world = world();
        Self {
            members: [world.first, world.second],
            pacings: [0, 1].map(|_| Pacing::new(world.start)),
            world,
            scripts,
            chance: Chance(1),
            is_asked,
            prefixes: 100,
            domains: None,
            question_ms: QUESTION_MS,
            events: BTreeMap::new(),
            questions: Vec::new(),
            open: Vec::new(),
            probes: [Vec::new(), Vec::new()],
            heard: [HashSet::new(), HashSet::new()],
            waited: Vec::new(),
            ms: 0,
        }
    }

    fn run_until(&mut self, end_ms: u32) {
        while self.ms < end_ms {
            self.step();
        }
    }

    fn step(&mut self) {
        let ms = self.ms;
        for event in self.events.remove(&ms).unwrap_or_default() {
            self.take(event);
        }
        for position in 0..2 {
            self.look_after(position);
        }
        if self.is_asked && ms.is_multiple_of(self.question_ms) {
            self.begin();
        }
        let questions = &self.questions;
        self.open.retain(|&place| !questions[place].is_over);
        for place in self.open.clone() {
            if self.questions[place].hedge_at <= ms {
                self.turn_to_next(place);
            }
            if self.questions[place].begun + DEADLINE_MS <= ms {
                self.end(place);
            }
        }
        self.ms += 1;
    }

    fn look_after(&mut self, position: usize) {
        let (index, now) = (self.members[position], self.world.at(self.ms));
        let condition = |world: &World| world.upstreams.condition(index);
        if noticed(self.world.upstreams.wake(index)) {
            self.pacings[position].woken(condition(&self.world), now, 0);
        }
        if self.pacings[position].next() > now {
            return;
        }
        self.probes[position].push(self.ms);
        let (late, missed) = self.world.upstreams.probe_patience(index);
        self.schedule(late, Event::Late(position, Asked::Probe, self.ms));
        self.schedule(missed, Event::Missed(position, self.ms));
        self.send(position, None);
        self.pacings[position].sent(condition(&self.world), now, 0);
    }

    fn send(&mut self, position: usize, question: Option<usize>) {
        let asked = question.map_or(Asked::Probe, |_| Asked::Question);
        if let Some((took_ms, rcode)) = self.scripts[position](self.ms, asked, &mut self.chance) {
            let answer = Event::Answer(position, question, self.ms, rcode);
            self.schedule(MS * took_ms, answer);
        }
    }

    fn schedule(&mut self, later: Duration, event: Event) {
        let at = self.ms
            + u32::try_from(later.as_micros().div_ceil(1000))
                .unwrap()
                .max(1);
        self.events.entry(at).or_default().push(event);
    }

    fn take(&mut self, event: Event) {
        let now = self.world.at(self.ms);
        let upstreams = &self.world.upstreams;
        match event {
            Event::Answer(position, None, sent, rcode) => {
                let index = self.members[position];
                self.heard[position].insert(sent);
                upstreams.answered(index, Asked::Probe, self.world.at(sent), now);
                if is_acceptable(rcode) {
                    upstreams.probe_accepted(index, now);
                } else {
                    upstreams.probe_declined(index, now);
                }
            }
            Event::Answer(position, Some(place), sent, rcode) => {
                let index = self.members[position];
                upstreams.answered(index, Asked::Question, self.world.at(sent), now);
                self.weigh(place, position, rcode);
            }
            Event::Late(position, asked, sent) => {
                upstreams.overdue(self.members[position], asked, self.world.at(sent));
            }
            Event::Missed(position, sent) => {
                if !self.heard[position].contains(&sent) {
                    upstreams.probe_missed(self.members[position], self.world.at(sent), now);
                }
            }
        }
    }

    fn begin(&mut self) {
        self.questions.push(Question {
            begun: self.ms,
            sent: Vec::new(),
            hedge_at: u32::MAX,
            poor: Vec::new(),
            is_over: false,
        });
        self.open.push(self.questions.len() - 1);
        self.turn_to_next(self.questions.len() - 1);
    }

    /// Asks the best upstream that has not been asked yet.
    fn turn_to_next(&mut self, place: usize) {
        let position_of = |index| self.members.iter().position(|&one| one == index).unwrap();
        let mut order = self.world.order().into_iter().map(position_of);
        let question = &mut self.questions[place];
        question.hedge_at = u32::MAX;
        let is_new = |position: &usize| question.sent.iter().all(|(one, _)| one != position);
        let Some(position) = order.find(is_new) else {
            return;
        };
        let index = self.members[position];
        question.sent.push((position, self.ms));
        let upstreams = &self.world.upstreams;
        upstreams.asked(index);
        let (hedge_after, patience) = (upstreams.hedge_after(index), upstreams.patience(index));
        let hedge_ms = u32::try_from(hedge_after.as_millis()).unwrap();
        question.hedge_at = self.ms + hedge_ms;
        self.schedule(patience, Event::Late(position, Asked::Question, self.ms));
        self.send(position, Some(place));
    }

    fn weigh(&mut self, place: usize, position: usize, rcode: u16) {
        if self.questions[place].is_over {
            return;
        }
        let now = self.world.at(self.ms);
        if !is_acceptable(rcode) {
            self.questions[place].poor.push(position);
            self.turn_to_next(place);
            let question = &self.questions[place];
            if question.poor.len() == question.sent.len() {
                self.testify(place, false);
                self.end(place);
            }
            return;
        }
        let upstreams = &self.world.upstreams;
        upstreams.good_answer(self.members[position], now);
        self.testify(place, true);
        self.end(place);
    }

    fn testify(&self, place: usize, contradicted: bool) {
        let number = u8::try_from(place % self.prefixes).unwrap();
        let mut evidence = error(number, contradicted);
        if let Some(domains) = self.domains {
            evidence.domain = u64::try_from(place / self.prefixes % domains).unwrap();
        }
        let now = self.world.at(self.ms);
        for &poor in &self.questions[place].poor {
            let upstreams = &self.world.upstreams;
            upstreams.poor_answer(self.members[poor], &evidence, now);
        }
    }

    fn end(&mut self, place: usize) {
        let question = &mut self.questions[place];
        question.is_over = true;
        for &(position, _) in &question.sent {
            self.world.upstreams.settled(self.members[position], 1);
        }
        self.waited.push((question.begun, self.ms - question.begun));
    }

    /// Of the questions that began in a span, how many went to an upstream first; and how many times
    /// any upstream was asked.
    fn asked(&self, from: u32, until: u32, first: usize) -> (usize, usize, usize) {
        let questions = || {
            self.questions
                .iter()
                .filter(|question| (from..until).contains(&question.begun))
        };
        let to_first = questions()
            .filter(|question| question.sent.first().is_some_and(|(one, _)| *one == first))
            .count();
        let sent = questions().map(|question| question.sent.len()).sum();
        (questions().count(), to_first, sent)
    }

    fn unusable_at(&mut self) -> u32 {
        while self.world.upstreams.zone_usable(self.world.root) {
            assert!(self.ms < 20_000, "still usable");
            self.step();
        }
        self.ms
    }
}

/// 500 new names a second; the first of them is late after 20 ms.
#[test]
fn with_clients_asking_a_silent_zone_is_unusable_within_600_ms() {
    let scripts = [(); 2].map(|()| ill(2500, u32::MAX, silent()));
    let took_ms = Simulation::new(scripts, true).unusable_at() - 2500;
    assert!((450..=600).contains(&took_ms), "{took_ms} ms");
}

#[test]
fn on_an_idle_node_a_silent_zone_is_unusable_within_a_second_and_a_half() {
    for from in (2000..3000).step_by(190) {
        let scripts = [(); 2].map(|()| ill(from, u32::MAX, silent()));
        let took_ms = Simulation::new(scripts, false).unusable_at() - from;
        assert!((300..=1500).contains(&took_ms), "{took_ms} ms");
    }
}

#[test]
fn no_second_of_an_outage_sees_more_than_four_probes_of_an_upstream() {
    for (is_asked, from) in [(true, 2500), (true, 2010), (false, 2500), (false, 2990)] {
        let scripts = [(); 2].map(|()| ill(from, u32::MAX, silent()));
        let mut simulation = Simulation::new(scripts, is_asked);
        simulation.run_until(30_000);
        for probes in &simulation.probes {
            for five in probes.windows(PROBES_PER_SECOND + 1) {
                assert!(five[PROBES_PER_SECOND] - five[0] >= 1000, "{five:?}");
            }
            let gap_max = probes.windows(2).map(|two| two[1] - two[0]).max().unwrap();
            assert!(MS * gap_max <= STEADY_GAP);
            let later = probes.iter().filter(|&&at| at > from + 2000);
            let later: Vec<_> = later.collect();
            let is_short = |two: &[&u32]| MS * (two[1] - two[0]) <= DARK_GAP_MAX;
            assert!(later.windows(2).all(is_short), "{later:?}");
        }
    }
}

/// However long it lasted, and whichever of them is back first.
#[test]
fn a_dark_zone_is_usable_within_600_ms_of_the_return_of_its_upstreams() {
    for lasts in [2000, 9000, 61_000, 61_130, 61_370] {
        for (late_ms, is_asked) in [(0, false), (0, true), (60, false), (5000, false)] {
            let back = 3000 + lasts;
            let scripts = [back + late_ms, back].map(|until| ill(3000, until, silent()));
            let mut simulation = Simulation::new(scripts, is_asked);
            simulation.run_until(back);
            assert!(
                !simulation
                    .world
                    .upstreams
                    .zone_usable(simulation.world.root)
            );
            let is_up = |simulation: &Simulation, position: usize| {
                let index = simulation.members[position];
                simulation.world.upstreams.is_up(index)
            };
            while !is_up(&simulation, 1) {
                simulation.step();
            }
            let second_ms = simulation.ms - back;
            assert!(second_ms <= 600, "{second_ms} ms after {lasts} ms");
            // The other one is probed at once then, and not by and by.
            while late_ms == 0 && !is_up(&simulation, 0) {
                simulation.step();
            }
            let both_ms = simulation.ms - back;
            assert!(both_ms <= 600, "{both_ms} ms after {lasts} ms");
            let before = simulation.probes[0].len();
            simulation.run_until(simulation.ms + 4000);
            assert!(simulation.probes[0].len() > before);
            for five in simulation.probes[0].windows(PROBES_PER_SECOND + 1) {
                assert!(five[PROBES_PER_SECOND] - five[0] >= 1000, "{five:?}");
            }
        }
    }
}

/// Whatever was wrong with it, for however long, and however few clients noticed.
#[test]
fn a_recovered_upstream_is_asked_first_again_within_five_seconds() {
    for (lasts, prefixes) in [(300, 100), (2700, 1), (9000, 100)] {
        for (what, illness) in illnesses() {
            let recovered = 3000 + lasts;
            let scripts = [ill(3000, recovered, illness), healthy()];
            let mut simulation = Simulation::new(scripts, true);
            simulation.prefixes = prefixes;
            simulation.run_until(recovered + 6000);
            let (all, to_first, _) = simulation.asked(recovered + 5000, recovered + 6000, 0);
            assert_eq!(all, to_first, "{what} for {lasts} ms");
        }
    }
}

#[test]
fn the_healthy_upstream_gets_the_questions_and_the_extra_load_is_under_a_tenth() {
    for prefixes in [1, 100] {
        for (what, illness) in illnesses() {
            let scripts = [ill(3000, u32::MAX, illness), healthy()];
            let mut simulation = Simulation::new(scripts, true);
            simulation.prefixes = prefixes;
            simulation.run_until(20_000);
            let (all, to_healthy, sent) = simulation.asked(5000, 18_000, 1);
            assert!(to_healthy * 10 > all * 9, "{what}: {to_healthy} of {all}");
            assert!(sent * 10 <= all * 11, "{what}: {sent} for {all}");
            let waited = simulation.waited.iter();
            let late = waited.filter(|(begun, waited)| *begun >= 4000 && *waited > 250);
            assert_eq!(late.count(), 0, "{what}");
        }
    }
}

#[test]
fn two_healthy_upstreams_keep_their_order() {
    let mut simulation = Simulation::new([healthy(), healthy()], true);
    simulation.run_until(10_000);
    let (all, to_first, sent) = simulation.asked(0, 10_000, 0);
    assert_eq!((to_first, sent), (all, all));
}
