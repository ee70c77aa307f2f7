//! What a run starts from: how many nodes, which policy, and where the sites lie.

use std::time::Duration;

use sidestep::announce::{BackupSettings, ServiceSettings};
use sidestep::health::peers::ASKED_MAX;
use sidestep::health::{AnsweredBy, Family, OnLocalFault, OnSharedFault, Settings, Target};

use crate::chance::Chance;

/// Time since the run began.
pub(crate) type Time = Duration;

/// Query workers of each node.
pub(crate) const WORKERS: usize = 2;
/// Queries per second that a node can answer, in thousandths.
pub(crate) const CAPACITY_MILLI: u64 = 10_000_000;
/// Changes to `preferred` in any ten minutes: one at the start, one after the first fault, and one
/// after each hold of 10, 20, 40, 80, 160 and 300 s at most.
pub(crate) const PROMOTIONS_MAX: usize = 8;
/// The one service of every node.
pub(crate) const TARGET: Target = Target {
    service: 0,
    family: Family::V4,
};

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) scenario: &'static str,
    pub(crate) nodes: usize,
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) service: ServiceSettings,
    /// Whether nodes know what the others can resolve.
    pub(crate) has_siblings: bool,
    /// Whether they ask each other, once a second each; else a model tells them.
    pub(crate) asks_for_real: bool,
    /// Whether a node with more queries than it can answer answers none: the promise broken.
    pub(crate) collapses: bool,
    /// Whether ticks of a node without trouble are skipped, and made up for when it gets some.
    pub(crate) dozes: bool,
    /// How long a worker that only does not read is taken for one that is flooded.
    pub(crate) unread_for: Duration,
    /// Answered queries of the whole fleet over what it could answer, at least; in percent.
    pub(crate) carried_percent: u64,
    /// Only faults that all nodes share: nobody may withdraw.
    pub(crate) nobody_withdraws: bool,
    /// Changes to `preferred` of a node in ten minutes.
    pub(crate) promotions_max: usize,
    /// No query may be sent to a node that is gone.
    pub(crate) is_lossless: bool,
}

impl Setup {
    /// A fleet with the default settings; siblings and floors by chance.
    pub(crate) fn new(scenario: &'static str, nodes: usize, seed: u64) -> Self {
        let mut chance = Chance::new(seed).fork(1);
        let has_floor = chance.is(500);
        Self {
            scenario,
            nodes,
            seed,
            settings: Settings {
                interval: Duration::from_millis(200),
                fall: 3,
                rise: 5,
                hold_down: Duration::from_secs(10),
                drain_wait: Duration::from_secs(5),
                linger: Duration::from_secs(1),
                jitter: Duration::from_secs(1),
                promotions_per_hour: 12,
                seed: 0,
            },
            service: service(has_floor),
            has_siblings: chance.is(500),
            asks_for_real: false,
            collapses: false,
            dozes: true,
            unread_for: Duration::ZERO,
            carried_percent: 50,
            nobody_withdraws: false,
            promotions_max: PROMOTIONS_MAX,
            is_lossless: false,
        }
    }

    /// A site has at least two nodes; there are 50 at most.
    pub(crate) fn sites(&self) -> usize {
        (self.nodes / 2).clamp(1, 50)
    }

    pub(crate) fn site_of(&self, node: usize) -> usize {
        node % self.sites()
    }

    /// The nodes that `node` asks, and that ask it: those beside it on a ring.
    pub(crate) fn siblings_of(&self, node: usize) -> impl Iterator<Item = usize> {
        let nodes = self.nodes;
        let others = if self.has_siblings { nodes - 1 } else { 0 };
        let after = others.min(ASKED_MAX / 2);
        let before = (others - after).min(ASKED_MAX / 2);
        let after = (1..=after).map(move |step| (node + step) % nodes);
        after.chain((1..=before).map(move |step| (node + nodes - step) % nodes))
    }
}

fn service(has_floor: bool) -> ServiceSettings {
    let floor = has_floor.then(|| "10.53.53.52/30".parse().unwrap());
    ServiceSettings {
        name: "resolver".to_owned(),
        addresses: vec!["10.53.53.53".parse().unwrap()],
        port: 53,
        interface: Some("lo".to_owned()),
        on_shared_fault: OnSharedFault::Backup,
        on_local_fault: OnLocalFault::Withdraw,
        answered_by: AnsweredBy::Workers,
        tcp: true,
        checks: Vec::new(),
        backup: BackupSettings {
            prepend: 3,
            med: Some(1000),
            local_pref: None,
            communities: vec![0xFFFF_0000],
            large_communities: Vec::new(),
        },
        floor: floor.into_iter().collect(),
    }
}
