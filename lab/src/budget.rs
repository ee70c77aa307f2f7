//! The loss budget: what each drill may cost, and whether what was measured holds it.
//!
//! | limit | median of the repetitions | each repetition |
//! |---|---|---|
//! | queries lost | – | none |
//! | gap, or time until something is back | within the budget | within twice the budget |
//! | a demand in words | – | holds |
//!
//! Of two repetitions the worse one is the median, and of one it is the only one: a drill that is done
//! once has to hold the budget itself. Repetitions in which the machine stood still for longer than
//! the sentinel allows are not among them; they are done again.

use crate::loss::{Loss, median, worst};
use crate::results::{Measured, Repetition};
use crate::setting::{self, Setting};

mod table;

pub(crate) use table::TABLE;

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
    /// All that the serving node asks its upstreams is answered by SERVFAIL.
    Refusing,
    /// The same, but for what probes ask: the apex.
    RefusingNames,
    /// Queries of all nodes to their upstreams vanish.
    AllUpstreams,
    /// The same; then the serving node is drained, so that clients come to one that they did not warm.
    AllUpstreamsThenDrain,
    /// What the serving node asks the upstreams of one zone vanishes.
    Zone,
    /// The same, and that zone is critical.
    CriticalZone,
    /// Upstreams of the serving node that come and go.
    Flapping,
    /// One worker of the serving node stands still; the others do not.
    Wedge,
    /// The switch between node and router drops all packets; both carriers stay.
    Silent,
    /// The node ends and its link with it; behind the switch the router's carrier stays.
    PowerOff,
    /// SIGKILL to the serving node, which has a lot of memory that the kernel has to free first.
    KillLarge,
    /// SIGKILL one second after each of many starts.
    CrashLoop,
    /// SIGTERM to the serving node.
    Stop,
    /// `sidestep drain` and `sidestep undrain`.
    Drain,
    /// A drain in the middle of which the node is stopped and started again.
    DrainAndRestart,
    /// A node that was stopped starts again.
    Return,
    /// SIGKILL to the resolver that the serving node announces.
    KillTarget,
    /// SIGSTOP to the resolver that the serving node announces.
    FreezeTarget,
    /// As many queries for cached names as can be sent.
    Flood,
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
    /// The median of the gaps is at most so many milliseconds, and none is longer than
    /// [`WORST_FACTOR`] times that.
    Gap(f64),
    /// Anything: this stream shows something else.
    Free,
}

/// A third stream, beside cached and new names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Third {
    /// Cached names over TCP connections that stay, 20 queries under way on each.
    Tcp,
    /// New names of the zone with upstreams of its own. To be told SERVFAIL with a reason at once is
    /// as good as an answer.
    Zone,
}

/// One line of the budget.
pub(crate) struct Budget {
    /// As on the command line and in the report.
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    pub(crate) text: &'static str,
    pub(crate) cached: Limit,
    pub(crate) new: Limit,
    pub(crate) third: Option<(Third, Limit)>,
    /// From the repair until the first site answers again, in milliseconds; as for gaps. `None`: that
    /// is not what this drill is about.
    pub(crate) back_ms: Option<f64>,
    /// From the repair until the last new name was asked that got no answer, in milliseconds; the same.
    pub(crate) renewed_ms: Option<f64>,
    /// What else has to hold, in words; what does not is a violation.
    pub(crate) demand: &'static str,
    pub(crate) setting: Setting,
    /// It is done once.
    pub(crate) is_long: bool,
    is_seldom: bool,
    /// Done only where it is named, or where more repetitions than usual are wanted.
    is_rare: bool,
}

/// How often a drill is repeated, at least, for its numbers to mean anything.
pub(crate) const REPETITIONS: u32 = 3;
/// Times the budget, and no single repetition may have a longer gap or take longer.
pub(crate) const WORST_FACTOR: f64 = 2.0;

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
        third: None,
        back_ms: None,
        renewed_ms: None,
        demand: "",
        setting: setting::ANYCAST,
        is_long: false,
        is_seldom: false,
        is_rare: false,
    }
}

impl Third {
    /// In the report.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Zone => "zone",
        }
    }
}

impl Budget {
    const fn back_within(mut self, limit_ms: f64) -> Self {
        self.back_ms = Some(limit_ms);
        self
    }

    const fn renewed_within(mut self, limit_ms: f64) -> Self {
        self.renewed_ms = Some(limit_ms);
        self
    }

    const fn and(mut self, third: Third, limit: Limit) -> Self {
        self.third = Some((third, limit));
        self
    }

    const fn demanding(mut self, demand: &'static str) -> Self {
        self.demand = demand;
        self
    }

    const fn within(mut self, setting: Setting) -> Self {
        self.setting = setting;
        self
    }

    /// Once, however often the others are repeated.
    const fn once(mut self) -> Self {
        self.is_long = true;
        self
    }

    /// Once, unless more repetitions than usual are wanted: its timing is that of another drill.
    const fn seldom(mut self) -> Self {
        self.is_seldom = true;
        self
    }

    /// Not done unless more repetitions than usual are wanted: it shows little that the others do not,
    /// or its budget is not kept yet.
    const fn rare(mut self) -> Self {
        self.is_rare = true;
        self
    }

    /// Whether it is done where no drill is named and each is repeated so often.
    pub(crate) fn is_usual(&self, repetitions: u32) -> bool {
        !self.is_rare || repetitions > REPETITIONS
    }

    /// How often it has to be done: what does not depend on timing need not be repeated, nor what
    /// repeats itself.
    pub(crate) fn repetitions(&self, wanted: u32) -> usize {
        if self.is_long || (self.is_seldom && wanted <= REPETITIONS) {
            1
        } else {
            usize::try_from(wanted).unwrap_or(usize::MAX)
        }
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
        let needed = self.repetitions(REPETITIONS);
        if measured.not_measured.is_none() && repetitions.len() < needed {
            let done = repetitions.len();
            wrong.push(format!("not measured: {done} of {needed} repetitions"));
        }
        let cached = judge_stream("cached", self.cached, repetitions, |r| r.cached);
        let new = judge_stream("new", self.new, repetitions, |r| r.new);
        let third = self
            .third
            .and_then(|(third, limit)| judge_stream(third.word(), limit, repetitions, |r| r.third));
        let back = judge_time("back", self.back_ms, repetitions, |r| r.back_ms);
        let renewed = judge_time("new names", self.renewed_ms, repetitions, |r| r.renewed_ms);
        wrong.extend([cached, new, third, back, renewed].into_iter().flatten());
        wrong.extend(
            repetitions
                .iter()
                .flat_map(|r| r.violations.iter().cloned()),
        );
        wrong
    }

    /// The limits in words.
    pub(crate) fn limits(&self) -> String {
        let mut words = match (self.cached, self.new) {
            (Limit::Free, Limit::Free) => Vec::new(),
            (cached, new) if cached == new => vec![in_words(cached)],
            (cached, Limit::Free) => vec![format!("cached {}", in_words(cached))],
            (cached, new) => vec![format!(
                "cached {}, new {}",
                in_words(cached),
                in_words(new)
            )],
        };
        if let Some((third, limit)) = self.third {
            words.push(format!("{} {}", third.word(), in_words(limit)));
        }
        let seconds = |limit_ms: f64| limit_ms / 1000.0;
        if let Some(limit_ms) = self.back_ms {
            words.push(format!("back ≤ {:.1} s", seconds(limit_ms)));
        }
        if let Some(limit_ms) = self.renewed_ms {
            words.push(format!("new names well after ≤ {:.1} s", seconds(limit_ms)));
        }
        if !self.demand.is_empty() {
            words.push(self.demand.to_owned());
        }
        if words.is_empty() {
            words.push(in_words(Limit::Free));
        }
        words.join(", ")
    }
}

fn in_words(limit: Limit) -> String {
    match limit {
        Limit::NoLoss => "0 lost".to_owned(),
        Limit::Gap(limit_ms) => format!("gap ≤ {limit_ms:.0} ms"),
        Limit::Free => "–".to_owned(),
    }
}

fn is_over(limit_ms: f64, median_ms: f64, worst_ms: f64) -> bool {
    median_ms > limit_ms || worst_ms > WORST_FACTOR * limit_ms
}

fn judge_time(
    what: &str,
    limit_ms: Option<f64>,
    repetitions: &[Repetition],
    time_ms: impl Fn(&Repetition) -> Option<f64>,
) -> Option<String> {
    let limit_ms = limit_ms?;
    let times = || {
        repetitions
            .iter()
            .map(|r| time_ms(r).unwrap_or(f64::INFINITY))
    };
    let (median_ms, worst_ms) = (median(times()), worst(times()));
    is_over(limit_ms, median_ms, worst_ms)
        .then(|| format!("over budget: {what} after {median_ms:.0} ms, worst {worst_ms:.0} ms"))
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
            (is_over(limit_ms, median_ms, worst_ms) || unsent).then(|| {
                format!("over budget: {name}: gap of {median_ms:.0} ms, worst {worst_ms:.0} ms")
            })
        }
    }
}

#[cfg(test)]
mod tests;
