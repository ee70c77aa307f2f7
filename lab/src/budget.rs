//! The loss budget: what each drill may cost, and whether what was measured holds it.

use crate::loss::{Loss, median, worst};
use crate::results::{Measured, Repetition};

/// What is done to the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The core's tables are looked at; nothing is broken.
    Routes,
    /// SIGKILL to the serving node.
    Kill,
    /// SIGSTOP to the serving node.
    Freeze,
    /// The link between node and router is taken down at the node.
    NodeLink,
    /// The same link is taken down at the router.
    RouterLink,
    /// Queries of the serving node to its upstreams vanish.
    Upstreams,
    /// Queries of both nodes to their upstreams vanish.
    AllUpstreams,
    /// The switch between node and router drops all packets; both carriers stay.
    Silent,
    /// The node ends and its link with it; behind the switch the router's carrier stays.
    PowerOff,
    /// SIGKILL to the serving node, which has a lot of memory that the kernel has to free first.
    KillLarge,
    /// SIGTERM to the serving node.
    Drain,
    /// A node that was stopped starts again.
    Return,
    /// Random bytes at every port of the serving node.
    Garbage,
    /// What the serving node tells Prometheus is looked at; nothing is broken.
    Metrics,
}

/// What a stream of queries may lose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// Nothing, in any repetition.
    NoLoss,
    /// The median of the gaps is at most so many milliseconds, and the worst twice that.
    Gap(f64),
    /// Anything: this stream shows something else.
    Free,
}

/// One line of the budget.
pub(crate) struct Budget {
    /// As on the command line and in the report.
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    pub(crate) text: &'static str,
    pub(crate) cached: Limit,
    pub(crate) new: Limit,
    /// From the repair until the first site answers again, in milliseconds; as for gaps. `None`: that
    /// is not what this drill is about.
    pub(crate) back_ms: Option<f64>,
    /// What the first node reads, with BFD between nodes and routers; `None`: without BFD.
    pub(crate) bfd: Option<&'static str>,
}

/// How often a drill is repeated, at least, for its numbers to mean anything.
pub(crate) const REPETITIONS: u32 = 3;

/// The written budget. Two routers hold their best-path runs back by 50 ms each, so no move that
/// BGP drives takes under about 115 ms here.
pub(crate) const TABLE: [Budget; 16] = [
    line(
        "routes",
        Fault::Routes,
        "core sees both sites and prefers one",
        Limit::Free,
        Limit::Free,
    ),
    line(
        "a",
        Fault::Kill,
        "kill -9 of the serving node",
        Limit::Gap(250.0),
        Limit::Gap(250.0),
    ),
    // The hold time of 3 s and half a second.
    line(
        "b",
        Fault::Freeze,
        "SIGSTOP of the serving node",
        Limit::Gap(3500.0),
        Limit::Gap(3500.0),
    ),
    line(
        "c1",
        Fault::NodeLink,
        "link cut at the node",
        Limit::Gap(250.0),
        Limit::Gap(250.0),
    )
    .back_within(LINK_BACK_MS),
    line(
        "c2",
        Fault::RouterLink,
        "link cut at the router",
        Limit::Gap(250.0),
        Limit::Gap(250.0),
    )
    .back_within(LINK_BACK_MS),
    line(
        "d1",
        Fault::Upstreams,
        "upstreams of the serving node silent",
        Limit::NoLoss,
        Limit::Gap(1500.0),
    ),
    line(
        "d2",
        Fault::AllUpstreams,
        "upstreams of both sites silent",
        Limit::NoLoss,
        Limit::Free,
    ),
    line(
        "e",
        Fault::Drain,
        "SIGTERM of the serving node",
        Limit::NoLoss,
        Limit::NoLoss,
    ),
    line(
        "f",
        Fault::Return,
        "the node comes back",
        Limit::NoLoss,
        Limit::NoLoss,
    ),
    line(
        "garbage",
        Fault::Garbage,
        "random bytes on UDP 53, TCP 53 and 179",
        Limit::NoLoss,
        Limit::NoLoss,
    ),
    line(
        "metrics",
        Fault::Metrics,
        "`promtool check metrics` finds nothing",
        Limit::Free,
        Limit::Free,
    ),
    // Three times 50 ms, the routers' 115 ms, and the time between two packets.
    line(
        "b50",
        Fault::Freeze,
        "SIGSTOP, BFD 50 ms × 3",
        Limit::Gap(350.0),
        Limit::Gap(350.0),
    )
    .with_bfd(FAST),
    line(
        "silent50",
        Fault::Silent,
        "packets lost both ways without carrier loss, BFD 50 ms × 3",
        Limit::Gap(350.0),
        Limit::Gap(350.0),
    )
    .with_bfd(FAST)
    .back_within(LINK_BACK_MS),
    line(
        "power50",
        Fault::PowerOff,
        "power-off behind a switch, BFD 50 ms × 3",
        Limit::Gap(350.0),
        Limit::Gap(350.0),
    )
    .with_bfd(FAST),
    // The detection time and 200 ms, however long the kernel takes to close what the node had open.
    line(
        "k4g",
        Fault::KillLarge,
        "kill -9 with 4 GB resident, BFD 50 ms × 3",
        Limit::Gap(350.0),
        Limit::Gap(350.0),
    )
    .with_bfd(FAST),
    line(
        "b300",
        Fault::Freeze,
        "SIGSTOP, BFD 300 ms × 3",
        Limit::Gap(1300.0),
        Limit::Gap(1300.0),
    )
    .with_bfd(SLOW),
];

/// Of the nodes of `anycast-bfd.clab.yml`.
const FAST: &str = "/etc/sidestep/sidestep.toml";
const SLOW: &str = "/etc/sidestep/sidestep-300.toml";
/// Traffic is back so soon after a link is.
const LINK_BACK_MS: f64 = 1500.0;

const fn line(
    name: &'static str,
    fault: Fault,
    text: &'static str,
    cached: Limit,
    new: Limit,
) -> Budget {
    Budget {
        name,
        fault,
        text,
        cached,
        new,
        back_ms: None,
        bfd: None,
    }
}

impl Fault {
    /// How often it has to be done: what does not depend on timing need not be repeated.
    pub(crate) fn repetitions(self, wanted: u32) -> usize {
        match self {
            Self::Routes | Self::Garbage | Self::Metrics => 1,
            _ => usize::try_from(wanted).unwrap_or(usize::MAX),
        }
    }
}

impl Budget {
    const fn back_within(mut self, limit_ms: f64) -> Self {
        self.back_ms = Some(limit_ms);
        self
    }

    const fn with_bfd(mut self, file: &'static str) -> Self {
        self.bfd = Some(file);
        self
    }

    /// Everything that is wrong with what was measured; nothing means that the budget holds.
    pub(crate) fn judge(&self, measured: Option<&Measured>) -> Vec<String> {
        let Some(measured) = measured else {
            return vec!["not measured".to_owned()];
        };
        let mut wrong = Vec::new();
        if let Some(reason) = &measured.not_measured {
            wrong.push(format!("not measured: {reason}"));
        }
        let repetitions = &measured.repetitions;
        let needed = self.fault.repetitions(REPETITIONS);
        if measured.not_measured.is_none() && repetitions.len() < needed {
            let done = repetitions.len();
            wrong.push(format!("not measured: {done} of {needed} repetitions"));
        }
        wrong.extend(judge_stream("cached", self.cached, repetitions, |r| {
            r.cached
        }));
        wrong.extend(judge_stream("new", self.new, repetitions, |r| r.new));
        wrong.extend(
            self.back_ms
                .and_then(|limit| judge_back(limit, repetitions)),
        );
        wrong.extend(
            repetitions
                .iter()
                .flat_map(|r| r.violations.iter().cloned()),
        );
        wrong
    }

    /// The limits in words.
    pub(crate) fn limits(&self) -> String {
        let streams = match (self.cached, self.new) {
            (cached, new) if cached == new => in_words(cached),
            (cached, Limit::Free) => format!("cached {}", in_words(cached)),
            (cached, new) => format!("cached {}, new {}", in_words(cached), in_words(new)),
        };
        match self.back_ms {
            Some(limit_ms) => format!("{streams}, back ≤ {:.1} s", limit_ms / 1000.0),
            None => streams,
        }
    }
}

fn in_words(limit: Limit) -> String {
    match limit {
        Limit::NoLoss => "0 lost".to_owned(),
        Limit::Gap(limit_ms) => format!("gap ≤ {limit_ms:.0} ms"),
        Limit::Free => "–".to_owned(),
    }
}

fn judge_back(limit_ms: f64, repetitions: &[Repetition]) -> Option<String> {
    let back = || {
        repetitions
            .iter()
            .map(|r| r.back_ms.unwrap_or(f64::INFINITY))
    };
    let (median_ms, worst_ms) = (median(back()), worst(back()));
    (median_ms > limit_ms || worst_ms > 2.0 * limit_ms)
        .then(|| format!("over budget: back after {median_ms:.0} ms, worst {worst_ms:.0} ms"))
}

fn judge_stream(
    name: &str,
    limit: Limit,
    repetitions: &[Repetition],
    stream: impl Fn(&Repetition) -> Loss,
) -> Option<String> {
    match limit {
        Limit::Free => None,
        Limit::NoLoss => {
            let lost: u32 = repetitions.iter().map(|r| stream(r).lost).sum();
            let unsent = repetitions.iter().any(|r| stream(r).sent == 0);
            (lost > 0 || unsent).then(|| format!("over budget: {name}: {lost} lost"))
        }
        Limit::Gap(limit_ms) => {
            let gaps = || repetitions.iter().map(|r| stream(r).gap_ms);
            let (median_ms, worst_ms) = (median(gaps()), worst(gaps()));
            let unsent = repetitions.iter().any(|r| stream(r).sent == 0);
            (median_ms > limit_ms || worst_ms > 2.0 * limit_ms || unsent).then(|| {
                format!("over budget: {name}: gap of {median_ms:.0} ms, worst {worst_ms:.0} ms")
            })
        }
    }
}

#[cfg(test)]
mod tests;
