//! The scenarios: what is done to the fleet and when, by chance from the seed.

use std::fmt;

use crate::chance::Chance;
use crate::process::Pause;
use crate::setup::{Setup, Time, WORKERS};

/// Something that is done to the fleet.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// The upstreams of these nodes fall silent, or come back.
    Upstreams {
        nodes: Vec<usize>,
        is_connected: bool,
    },
    /// The sites for which this is true, and their regions, reach each other only.
    Cut(Vec<bool>),
    /// The clients of a region ask so much, in percent of what its own site can answer.
    Load {
        region: usize,
        site_percent: u64,
    },
    Wedge {
        node: usize,
        worker: usize,
    },
    Unwedge {
        node: usize,
    },
    /// A worker beats and reads nothing, or reads again.
    Unread {
        node: usize,
        worker: usize,
        is_unread: bool,
    },
    /// Packets to the service address are lost in front of its sockets.
    Deaf {
        node: usize,
        is_deaf: bool,
    },
    /// Packets of all others are lost, and its own probes are answered.
    Unheard {
        node: usize,
        is_unheard: bool,
    },
    /// The self-probe ends.
    Blind {
        node: usize,
    },
    Pause {
        node: usize,
        pause: Pause,
    },
    Resume {
        node: usize,
    },
    Kill {
        node: usize,
    },
    /// Killed now, and again so soon after each of so many starts.
    Loop {
        node: usize,
        kills: u32,
        after: Time,
    },
    /// So many percent of the new names fail.
    Failing {
        nodes: Vec<usize>,
        percent: u8,
    },
    /// So many clients ask what wedges a worker, again and again.
    Killers(usize),
    Upgrade {
        at_once: usize,
    },
}

type Script = Vec<(Time, Deed)>;

/// Until every node of a new fleet is announced, and its hour of changes has one entry.
const QUIET: Time = Time::from_secs(12);

fn s(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// What happens in `setup.scenario`, and when it ends.
pub(crate) fn script(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    match setup.scenario {
        "outage" => outage(chance, (0..setup.nodes).collect()),
        "half" => {
            let half = chance.choose(setup.nodes / 2, setup.nodes);
            outage(chance, half)
        }
        "cut" => cut(setup, chance),
        "crowd" => crowd(setup, chance),
        "flapping" => flapping(setup, chance),
        "brownout" => brownout(setup, chance),
        "killer" => killer(setup),
        "crashes" => crashes(setup, chance),
        "upgrade" => upgrade(setup),
        "clocks" => clocks(setup, chance),
        "unheard" => unheard(setup, chance),
        "unread" => unread(setup, chance),
        "firewall" => firewall(setup, chance),
        "storm" => storm(setup, chance),
        other => panic!("no scenario is called {other}"),
    }
}

/// Their upstreams are gone for 20 to 90 seconds, after a first failure that is too short to count.
fn outage(chance: &mut Chance, nodes: Vec<usize>) -> (Script, Time) {
    let lose = |nodes: &[usize], is_connected| Deed::Upstreams {
        nodes: nodes.to_vec(),
        is_connected,
    };
    let begin = QUIET + s(3) + chance.ms(0, 1000);
    let end = begin + chance.ms(20_000, 90_000);
    let script = vec![
        (QUIET, lose(&nodes, false)),
        (QUIET + chance.ms(50, 400), lose(&nodes, true)),
        (begin, lose(&nodes, false)),
        (end, lose(&nodes, true)),
    ];
    (script, end + s(30))
}

/// A third of the sites, those nearest to each other by number, sees neither the others nor upstreams.
fn cut(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let sites = setup.sites();
    let first = chance.below(sites);
    let count = (sites / 3).max(1);
    let is_cut: Vec<bool> = (0..sites)
        .map(|site| (site + sites - first) % sites < count)
        .collect();
    let nodes: Vec<usize> = (0..setup.nodes)
        .filter(|node| is_cut[setup.site_of(*node)])
        .collect();
    let end = QUIET + chance.ms(20_000, 60_000);
    let script = vec![
        (QUIET, Deed::Cut(is_cut)),
        (
            QUIET,
            Deed::Upstreams {
                nodes: nodes.clone(),
                is_connected: false,
            },
        ),
        (end, Deed::Cut(vec![false; sites])),
        (
            end + chance.ms(0, 2000),
            Deed::Upstreams {
                nodes,
                is_connected: true,
            },
        ),
    ];
    (script, end + s(30))
}

/// The clients of some regions ask for ten times what their site can answer.
fn crowd(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    let regions = chance.choose((setup.sites() / 10).max(1), setup.sites());
    for region in regions {
        let begin = QUIET + chance.ms(0, 10_000);
        let end = begin + chance.ms(30_000, 60_000);
        let load = |site_percent| Deed::Load {
            region,
            site_percent,
        };
        script.extend([(begin, load(1000)), (end, load(40))]);
    }
    (script, QUIET + s(90))
}

/// The link of some nodes to their upstreams goes up and down, and workers of others stand still and
/// go on, each 0.2 to 30 seconds, for ten minutes.
fn flapping(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    let end = QUIET + s(600);
    let nodes = chance.choose((setup.nodes / 5).max(2), setup.nodes);
    for (number, node) in nodes.into_iter().enumerate() {
        let longest_ms = [2000, 8000, 30_000][chance.below(3)];
        let mut at = QUIET;
        while at < end {
            let until = at + chance.ms(200, longest_ms);
            let (breaks, mends) = if number % 2 == 0 {
                let link = |is_connected| Deed::Upstreams {
                    nodes: vec![node],
                    is_connected,
                };
                (link(false), link(true))
            } else {
                let worker = chance.below(WORKERS);
                (Deed::Wedge { node, worker }, Deed::Unwedge { node })
            };
            script.extend([(at, breaks), (until, mends)]);
            at = until + chance.ms(200, longest_ms);
        }
    }
    (script, end + s(40))
}

/// A third of the nodes fails for more and more names, over five minutes, and recovers as slowly.
fn brownout(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    let everywhere = chance.is(300);
    let count = if everywhere {
        setup.nodes
    } else {
        setup.nodes / 3
    };
    let nodes = chance.choose(count, setup.nodes);
    for step in 0..60_u64 {
        let height = if step < 30 { step } else { 59 - step };
        let wobble = chance.below(7) as u64;
        let percent = (height * 3 + wobble).min(100) as u8;
        let deed = Deed::Failing {
            nodes: nodes.clone(),
            percent,
        };
        script.push((QUIET + s(step * 5), deed));
    }
    (script, QUIET + s(330))
}

/// For each 20 nodes one client that asks for what wedges a worker each 1 to 2 seconds.
fn killer(setup: &Setup) -> (Script, Time) {
    let script = vec![
        (QUIET, Deed::Killers(setup.nodes.div_ceil(20))),
        (QUIET + s(90), Deed::Killers(0)),
    ];
    (script, QUIET + s(130))
}

/// A tenth of the nodes is killed soon after each of 20 starts.
fn crashes(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    for node in chance.choose((setup.nodes / 10).max(1), setup.nodes) {
        let after = chance.ms(1000, 6000);
        let deed = Deed::Loop {
            node,
            kills: 20,
            after,
        };
        script.push((QUIET + chance.ms(0, 2000), deed));
    }
    (script, QUIET + s(20 * 8 + 30))
}

/// All nodes, a twentieth at once.
fn upgrade(setup: &Setup) -> (Script, Time) {
    let at_once = (setup.nodes / 20).max(1);
    let rounds = setup.nodes.div_ceil(at_once) as u64;
    (
        vec![(QUIET, Deed::Upgrade { at_once })],
        QUIET + s(20 * rounds),
    )
}

/// A fifth of the nodes stands still for 0.1 to 20 seconds in one way or the other, and so does
/// the prober of some.
fn clocks(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    for node in chance.choose((setup.nodes / 5).max(1), setup.nodes) {
        let mut at = QUIET + chance.ms(0, 5000);
        for _ in 0..4 {
            let pause = [Pause::Stopped, Pause::Suspended, Pause::Stalled][chance.below(3)];
            let longest_ms = [300, 1200, 20_000][chance.below(3)];
            let until = at + chance.ms(100, longest_ms);
            script.extend([
                (at, Deed::Pause { node, pause }),
                (until, Deed::Resume { node }),
            ]);
            at = until + chance.ms(200, 15_000);
        }
    }
    let node = chance.below(setup.nodes);
    let at = QUIET + chance.ms(0, 60_000);
    script.extend([
        (at, Deed::Blind { node }),
        (at + s(10), Deed::Kill { node }),
    ]);
    (script, QUIET + s(130))
}

/// A tenth of the nodes is heard by nobody but itself for 15 to 40 seconds.
fn unheard(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    for node in chance.choose((setup.nodes / 10).max(1), setup.nodes) {
        let at = QUIET + chance.ms(0, 20_000);
        let until = at + chance.ms(15_000, 40_000);
        for (at, is_unheard) in [(at, true), (until, false)] {
            script.push((at, Deed::Unheard { node, is_unheard }));
        }
    }
    (script, QUIET + s(100))
}

/// A worker of a tenth of the nodes beats and reads nothing for 15 to 40 seconds.
fn unread(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    for node in chance.choose((setup.nodes / 10).max(1), setup.nodes) {
        let at = QUIET + chance.ms(0, 20_000);
        let until = at + chance.ms(15_000, 40_000);
        let worker = chance.below(WORKERS);
        for (at, is_unread) in [(at, true), (until, false)] {
            let deed = Deed::Unread {
                node,
                worker,
                is_unread,
            };
            script.push((at, deed));
        }
    }
    (script, QUIET + s(100))
}

/// Six times a rule is rolled out everywhere that lets no query through, and taken back.
fn firewall(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    for round in 0..6 {
        let at = QUIET + s(40 * round);
        let until = at + chance.ms(4000, 8000);
        for node in 0..setup.nodes {
            for (at, is_deaf) in [(at, true), (until, false)] {
                script.push((at + chance.ms(0, 500), Deed::Deaf { node, is_deaf }));
            }
        }
    }
    (script, QUIET + s(240))
}

/// Everything at once, on some nodes each.
fn storm(setup: &Setup, chance: &mut Chance) -> (Script, Time) {
    let mut script = Vec::new();
    for _ in 0..setup.nodes * 2 {
        let node = chance.below(setup.nodes);
        let at = QUIET + chance.ms(0, 90_000);
        let until = at + chance.ms(100, 15_000);
        let worker = chance.below(WORKERS);
        let link = |is_connected| Deed::Upstreams {
            nodes: vec![node],
            is_connected,
        };
        let (breaks, mends) = match chance.below(6) {
            0 | 1 => (link(false), link(true)),
            2 => (Deed::Wedge { node, worker }, Deed::Unwedge { node }),
            3 => {
                let deaf = |is_deaf| Deed::Deaf { node, is_deaf };
                (deaf(true), deaf(false))
            }
            4 => {
                let pause = [Pause::Stopped, Pause::Suspended, Pause::Stalled][chance.below(3)];
                (Deed::Pause { node, pause }, Deed::Resume { node })
            }
            _ => (Deed::Blind { node }, Deed::Kill { node }),
        };
        script.extend([(at, breaks), (until, mends)]);
    }
    (script, QUIET + s(145))
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstreams {
                nodes,
                is_connected,
            } => {
                let word = if *is_connected { "return" } else { "vanish" };
                write!(f, "upstreams {word} for {}", Few(nodes))
            }
            Self::Failing { nodes, percent } => {
                write!(f, "{percent} % of the names fail for {}", Few(nodes))
            }
            Self::Cut(is_cut) => {
                let count = is_cut.iter().filter(|is_cut| **is_cut).count();
                write!(f, "{count} sites are cut off")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// Some nodes, or how many there are.
struct Few<'a>(&'a [usize]);

impl fmt::Display for Few<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 8 {
            write!(f, "{} nodes", self.0.len())
        } else {
            write!(f, "nodes {:?}", self.0)
        }
    }
}
