//! The figures as they were measured, round by round; everything else is computed from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All of one run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// By subject.
    pub(crate) versions: BTreeMap<String, String>,
    /// Subjects that could not be measured.
    pub(crate) missing: Vec<String>,
    /// By scenario, then the rounds that were kept.
    pub(crate) loads: BTreeMap<String, Vec<Round>>,
    /// By subject: a cache filled with `entries` answers.
    #[serde(default)]
    pub(crate) memory: BTreeMap<String, Filled>,
    /// A cache of Sidestep, from empty to full.
    #[serde(default)]
    pub(crate) resident: Option<Filled>,
    #[serde(default)]
    pub(crate) dead_upstreams: Vec<Dead>,
    /// By subject: milliseconds from exec to the first right answer.
    #[serde(default)]
    pub(crate) start_ms: BTreeMap<String, Vec<f64>>,
    /// Nanoseconds of a look-up with two threads ÷ with one.
    #[serde(default)]
    pub(crate) lookups: Vec<f64>,
}

/// Where and when.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// UTC, RFC 3339.
    pub(crate) date: String,
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// A run for a look in between.
    pub(crate) quick: bool,
}

/// One turn of each entrant, by its name: a subject, or `SUBJECT (full)`.
pub(crate) type Round = BTreeMap<String, Turn>;

/// One entrant's turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) elapsed_s: f64,
    /// CPU time of the server.
    pub(crate) cpu_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// A process before and after its cache was filled, in octets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Filled {
    /// Names that were asked for.
    pub(crate) asked: u32,
    pub(crate) resident_before: u64,
    pub(crate) resident_after: u64,
    pub(crate) anonymous_before: u64,
    pub(crate) anonymous_after: u64,
    /// What the metrics say that the cache uses.
    pub(crate) reported_before: Option<u64>,
    pub(crate) reported_after: Option<u64>,
    /// Of those asked, how many had their right answer once the upstream was silent.
    pub(crate) kept: Option<u64>,
}

/// Hits at one rate, with and without working upstreams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dead {
    pub(crate) quiet: Turn,
    pub(crate) dead: Turn,
}

impl Turn {
    /// Microseconds of CPU time per answer.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_s * 1e6 / self.answered.max(1) as f64
    }

    /// Answers per second.
    pub(crate) fn qps(&self) -> f64 {
        self.answered as f64 / self.elapsed_s.max(f64::MIN_POSITIVE)
    }
}

impl Filled {
    /// Octets that the process grew by.
    pub(crate) fn growth(&self) -> f64 {
        self.resident_after as f64 - self.resident_before as f64
    }

    /// Growth for each name asked.
    pub(crate) fn octets_per_entry(&self) -> f64 {
        self.growth() / f64::from(self.asked.max(1))
    }

    /// Growth ÷ what the metrics say that the cache grew by.
    pub(crate) fn against_reported(&self) -> Option<f64> {
        let reported = self.reported_after?.checked_sub(self.reported_before?)?;
        (reported > 0).then(|| self.growth() / reported as f64)
    }
}
