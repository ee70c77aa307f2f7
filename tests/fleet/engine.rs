//! The run: what happens is taken from the queue, done, and followed; then the invariants are
//! looked at.

use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::journal::{Journal, Note};
use crate::node::Node;
use crate::process::Effect;
use crate::queue::{Queue, What};
use crate::router::{Offer, Region};
use crate::scenario::{self, Deed};
use crate::setup::{CAPACITY_MILLI, Setup, Time};
use crate::watch::{PROBE_LIMIT, Summary, Watch};
use upgrade::Upgrade;

mod deeds;
mod life;
mod routes;
mod siblings;
mod upgrade;

pub(crate) use siblings::address_of;

/// A sibling is asked once a second.
const PEERS_MS: u64 = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// A fleet in the middle of its run.
#[derive(Debug)]
pub(crate) struct Fleet {
    setup: Setup,
    epoch: Instant,
    now: Time,
    queue: Queue,
    nodes: Vec<Node>,
    /// By site.
    members: Vec<Vec<usize>>,
    regions: Vec<Region>,
    dark: Vec<bool>,
    /// The number and the content of the latest news of each node.
    told: Vec<(u32, Offer)>,
    script: Vec<(Time, Deed)>,
    killers: usize,
    /// So many times more a node is killed soon after its start, and how soon.
    kills: Vec<(u32, Duration)>,
    upgrade: Option<Upgrade>,
    chance: Chance,
    journal: Journal,
    watch: Watch,
    breach: Option<String>,
}

/// How a run broke an invariant.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) text: String,
}

/// Plays one scenario to its end. Returns what it was like, and a number that two equal runs share.
///
/// # Errors
/// The first invariant that did not hold.
pub(crate) fn run(setup: Setup) -> Result<(Summary, u64), Failure> {
    let mut fleet = Fleet::new(setup);
    let end = fleet.prepare();
    while fleet.breach.is_none()
        && let Some((at, what)) = fleet.queue.pop()
    {
        if at > end {
            break;
        }
        fleet.now = at;
        fleet.watch.summary.events += 1;
        fleet.happen(what);
        fleet.look_for_darkness();
    }
    if fleet.breach.is_none() {
        fleet.look_back();
    }
    let (setup, now) = (&fleet.setup, fleet.now);
    fleet.breach.map_or(
        Ok((fleet.watch.summary, fleet.journal.digest)),
        |what| {
            let Setup { scenario, seed, nodes, .. } = setup;
            let text = format!(
                "{what}\n  at {:.3} s of scenario {scenario}, {nodes} nodes, seed {seed}; again with\n  \
                 SIDESTEP_FLEET_SEED={seed} SIDESTEP_FLEET_SCENARIO={scenario} \
                 SIDESTEP_FLEET_NODES={nodes} cargo test --test fleet\n  the last events:\n{}",
                now.as_secs_f64(),
                fleet.journal.text()
            );
            Err(Failure { what, text })
        },
    )
}

impl Fleet {
    fn new(setup: Setup) -> Self {
        let mut chance = Chance::new(setup.seed).fork(2);
        let sites = setup.sites();
        let mut members = vec![Vec::new(); sites];
        for node in 0..setup.nodes {
            members[setup.site_of(node)].push(node);
        }
        let places: Vec<(i64, i64)> = (0..sites)
            .map(|_| (chance.below(10_000) as i64, chance.below(10_000) as i64))
            .collect();
        let regions = (0..sites).map(|region| {
            let (x, y) = places[region];
            let mut near: Vec<usize> = (0..sites).collect();
            near.sort_by_key(|site| {
                let (other_x, other_y) = places[*site];
                (x - other_x).pow(2) + (y - other_y).pow(2)
            });
            let mut distance = vec![0; sites];
            for (rank, site) in near.into_iter().enumerate() {
                distance[site] = rank;
            }
            Region::new(distance, setup.nodes)
        });
        let fork = chance.fork(3);
        Self {
            epoch: epoch(),
            now: Time::ZERO,
            queue: Queue::default(),
            nodes: (0..setup.nodes)
                .map(|node| Node::new(&setup, node, fork.fork(node as u64)))
                .collect(),
            regions: regions.collect(),
            dark: vec![true; sites],
            members,
            told: vec![(0, Offer::Nothing); setup.nodes],
            script: Vec::new(),
            killers: 0,
            kills: vec![(0, SECOND); setup.nodes],
            upgrade: None,
            chance,
            journal: Journal::default(),
            watch: Watch::new(setup.nodes),
            breach: None,
            setup,
        }
    }

    /// Starts all nodes and lays out what the scenario says; returns its end.
    fn prepare(&mut self) -> Time {
        for region in 0..self.regions.len() {
            // A quarter to a half of what the region's own site can answer.
            let share = 250 + self.chance.below(250) as u64;
            let site = self.members[region].len() as u64 * CAPACITY_MILLI;
            self.regions[region].load_milli = site * share / 1000;
        }
        for node in 0..self.nodes.len() {
            let at = self.chance.ms(0, 1000);
            self.queue.push(at, What::Start { node });
        }
        let mut chance = self.chance.fork(4);
        let (script, end) = scenario::script(&self.setup, &mut chance);
        for (number, (at, _)) in script.iter().enumerate() {
            self.queue.push(*at, What::Deed(number));
        }
        self.script = script;
        self.queue.push(SECOND, What::Measure);
        end
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Tick { node } => self.tick(node),
            What::Unanswered { node, boot, report } => {
                if self.runs(node, boot) {
                    self.tell(node, |node, now| {
                        node.tell(now, |health, local| health.handle_probe(local, report));
                    });
                }
            }
            What::Due { node, boot } => self.time_out(node, boot),
            What::Route {
                region,
                node,
                number,
                offer,
            } => self.learn(region, node, number, offer),
            What::Session { node, boot } => self.connect(node, boot),
            What::Silence { node, boot, pauses } => self.lose_silent(node, boot, pauses),
            What::Gone { node, boot } => {
                if self.nodes[node].boot == boot {
                    self.publish(node, Offer::Nothing);
                }
            }
            What::Breaker {
                node,
                boot,
                connection,
                is_open,
            } => self.flip(node, boot, connection, is_open),
            What::Gate { node, boot, gate } => self.open(node, boot, gate),
            What::Start { node } => self.start(node),
            What::Kill { node, boot } => {
                if self.nodes[node].boot == boot {
                    self.end(node, false);
                }
            }
            What::Watchdog { node, boot } => self.watch_workers(node, boot),
            What::Peers { node } => self.hear_peers(node),
            What::Ask { node } => self.ask_siblings(node),
            What::Answered {
                node,
                boot,
                question,
            } => self.take_answer(node, boot, question),
            What::Deed(number) => self.do_deed(number),
            What::Killer => self.kill_by_query(),
            What::Stopped { node, since } => {
                let still = self.watch.stopped_since(node) == Some(since);
                if still && self.told[node].1 == Offer::Preferred {
                    let since_s = since.as_secs_f64();
                    self.breach = Some(format!(
                        "node {node} is still preferred, and it answers nobody since {since_s:.3} s"
                    ));
                }
            }
            What::Stale { node, boot } => {
                if self.runs(node, boot) && self.told[node].1 != Offer::Nothing {
                    self.breach = Some(format!("node {node} is announced with a stale lease"));
                }
            }
            What::Unheard { node, since } => self.look_for_unheard(node, since),
            What::Measure => self.measure(),
            What::Guide => self.guide(),
        }
    }

    fn look_for_unheard(&mut self, node: usize, since: Time) {
        let still = self.nodes[node].unheard_since == Some(since);
        if still && self.told[node].1 == Offer::Preferred {
            self.breach = Some(format!(
                "node {node} is still preferred, and only it hears its answers"
            ));
        }
    }

    /// Whether that process is there and not paused.
    fn runs(&self, node: usize, boot: u32) -> bool {
        let process = self.nodes[node].process.as_ref();
        self.nodes[node].boot == boot && process.is_some_and(|process| process.pause.is_none())
    }

    fn tick(&mut self, node: usize) {
        let process = self.nodes[node].process.as_ref();
        if process.is_none_or(|p| p.next_tick != self.now || p.pause.is_some() || p.is_dozing) {
            return;
        }
        let interval = self.setup.settings.interval;
        self.nodes[node].tick(self.now, interval);
        self.follow(node);
        let may_doze = self.setup.dozes && self.nodes[node].may_doze();
        if let Some(process) = &mut self.nodes[node].process {
            if may_doze {
                process.is_dozing = true;
            } else {
                self.queue.push(process.next_tick, What::Tick { node });
            }
        }
    }

    /// A node that skipped its ticks is brought up to date, and ticks again.
    fn rouse(&mut self, node: usize) {
        let process = self.nodes[node].process.as_ref();
        let dozed = process.is_some_and(|process| process.is_dozing);
        self.nodes[node].wake(self.now, self.setup.settings.interval);
        if dozed && let Some(process) = &self.nodes[node].process {
            self.queue.push(process.next_tick, What::Tick { node });
        }
    }

    /// Lets a node take something in, and follows it.
    fn tell(&mut self, node: usize, input: impl FnOnce(&mut Node, Time)) {
        self.rouse(node);
        input(&mut self.nodes[node], self.now);
        self.follow(node);
    }

    fn time_out(&mut self, node: usize, boot: u32) {
        if self.nodes[node].boot != boot {
            return;
        }
        if let Some(process) = &mut self.nodes[node].process {
            process.due = None;
        }
        if self.runs(node, boot) {
            self.tell(node, Node::timeout);
        }
    }

    /// Does what a node decided, and takes note of the truth about it.
    fn follow(&mut self, node: usize) {
        let mut has_ended = false;
        let boot = self.nodes[node].boot;
        let process = self.nodes[node].process.as_mut();
        let (effects, has_session) = process.map_or((Vec::new(), false), |process| {
            (std::mem::take(&mut process.effects), process.has_session)
        });
        for effect in effects {
            match effect {
                Effect::Verdict { from, verdict } => {
                    if from != verdict.level && self.setup.has_siblings {
                        self.tell_siblings(node);
                    }
                    let judged = self
                        .watch
                        .verdict(self.now, node, from, &verdict, &self.setup);
                    let note = Note::Verdict {
                        node,
                        from,
                        verdict,
                    };
                    self.journal.note(self.now, note);
                    self.judge(judged);
                }
                Effect::Phase(phase) => self.journal.note(self.now, Note::Phase { node, phase }),
                Effect::Offers(offer) if has_session => self.publish(node, offer),
                Effect::Offers(_) => {}
                Effect::Ended => has_ended = true,
                Effect::Unanswered(report) => {
                    let at = self.now + PROBE_LIMIT;
                    self.queue.push(at, What::Unanswered { node, boot, report });
                }
            }
        }
        self.take_truth(node);
        self.set_timer(node);
        if has_ended {
            self.end(node, true);
        }
    }

    fn take_truth(&mut self, node: usize) {
        let (answers, is_able) = (self.nodes[node].answers(), self.nodes[node].is_able());
        if let Some(since) = self.watch.truth(self.now, node, answers, is_able) {
            let at = since + Watch::stopped_max(&self.setup);
            self.queue.push(at, What::Stopped { node, since });
        }
        let has_floor = !self.setup.service.floor.is_empty();
        let stands = has_floor && self.nodes[node].stands();
        self.watch.standing(self.now, node, stands);
    }

    fn set_timer(&mut self, node: usize) {
        let boot = self.nodes[node].boot;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let Some(wanted) = process.wants().map(|at| at.max(self.now)) else {
            return;
        };
        let ticks = process.pause.is_none() && !process.is_dozing;
        if ticks && wanted < process.next_tick && process.due.is_none_or(|due| wanted < due) {
            // Not before the microsecond is over that the clock counts in.
            process.due = Some(wanted);
            self.queue.push(wanted, What::Due { node, boot });
        }
    }

    fn judge(&mut self, judged: Result<(), String>) {
        if let Err(what) = judged {
            self.breach.get_or_insert(what);
        }
    }

    /// What must be true at the end, whatever happened before.
    fn look_back(&mut self) {
        let lost: u128 = self.nodes.iter().map(|node| node.traffic.totals.lost).sum();
        if self.setup.is_lossless && lost > 0 {
            let lost = lost as f64 / 1e9;
            self.breach = Some(format!("{lost:.0} queries went to nodes that were gone"));
        } else if let Some(upgrade) = &self.upgrade
            && !upgrade.is_over()
        {
            self.breach = Some("the upgrade did not come to its end".to_owned());
        }
    }
}

/// Simulated time has to begin somewhere; that the machine has been up for an hour leaves room.
fn epoch() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "simulated time has to begin somewhere"
    )]
    Instant::now()
}
