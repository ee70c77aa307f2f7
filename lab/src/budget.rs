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
}

/// How often a drill is repeated, at least, for its numbers to mean anything.
pub(crate) const REPETITIONS: u32 = 3;

/// The written budget. Two routers hold their best-path runs back by 50 ms each, so no move that
/// BGP drives takes under about 115 ms here.
pub(crate) const TABLE: [Budget; 11] = [
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
    ),
    line(
        "c2",
        Fault::RouterLink,
        "link cut at the router",
        Limit::Gap(250.0),
        Limit::Gap(250.0),
    ),
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
];

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
            repetitions
                .iter()
                .flat_map(|r| r.violations.iter().cloned()),
        );
        wrong
    }

    /// The limits in words.
    pub(crate) fn limits(&self) -> String {
        match (self.cached, self.new) {
            (cached, new) if cached == new => in_words(cached),
            (cached, Limit::Free) => format!("cached {}", in_words(cached)),
            (cached, new) => format!("cached {}, new {}", in_words(cached), in_words(new)),
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
