//! What health is told beside heartbeats and self-probes, each with the figures that explain it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Target;

/// The answers that clients of one forward zone got from its upstreams, when most of them failed.
///
/// Counted by many domains and many client prefixes apart, so that none of them can make or hide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoorAnswers {
    /// Percent of the domains whose questions failed, or were answered too late.
    pub failed_percent: u8,
    /// The same in the time before the fault.
    pub baseline_percent: u8,
    /// How many domains were asked for, as far as they are told apart.
    pub domains: u16,
    /// How many client prefixes asked, as far as they are told apart.
    pub prefixes: u16,
}

/// Names that should always resolve, when too few of them do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoorCanaries {
    /// How many resolve.
    pub good: u8,
    /// How many are asked for.
    pub of: u8,
    /// How many have to resolve.
    pub needed: u8,
}

/// What the other nodes of the service say, as a count of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeersView {
    /// Nodes that are configured as siblings, this one not counted.
    pub known: u16,
    /// Of these, who answered lately: this node can reach them.
    pub reached: u16,
    /// Of these, who say that they can resolve and that their services are announced.
    pub able: u16,
    /// Of the reached, who say that they are not preferred for some service.
    pub lowered: u16,
    /// Of these, by the mark of a service, who say that this one is preferred all the same.
    pub spared: [u8; SERVICE_MARKS],
    /// Of the reached, who say that they ask this node and get no answer.
    pub blind: u16,
}

/// Services are told apart by so many marks.
pub const SERVICE_MARKS: usize = 32;

impl PeersView {
    /// Of the reached, who say that they are not preferred for the service with this mark.
    #[must_use]
    pub fn lowered_for(&self, mark: u8) -> u16 {
        let spared = self.spared.get(usize::from(mark)).copied();
        self.lowered.saturating_sub(spared.map_or(0, u16::from))
    }
}

/// How an extra check of a service ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// As it should.
    Good,
    /// Not so; the text says how.
    Bad(Arc<str>),
}

/// What a failing extra check is evidence of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckFault {
    /// Of something that other nodes may have as well: never more than `backup`.
    #[default]
    Shared,
    /// Of this node alone.
    Local,
}

/// What health has to know of an extra check of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPolicy {
    /// Unique within its service.
    pub name: Arc<str>,
    /// What its failure means.
    pub fault: CheckFault,
    /// So many bad results in a row are a failure.
    pub fall: u32,
    /// So many good results in a row end it.
    pub rise: u32,
}

/// What a start waits for beside its sockets; each is over for good once it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartGate {
    /// Each upstream was reached, or is given up on.
    Upstreams,
    /// The names that were hot before the restart are in the cache, or their time is up.
    HotNames,
}

impl StartGate {
    /// Each gate.
    pub const ALL: [Self; 2] = [Self::Upstreams, Self::HotNames];
}

/// A wish of an operator that a service, or all of them, should leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainOrder {
    /// Position of the service in the configuration; `None`: all.
    pub service: Option<usize>,
    /// Who wants it, such as `root`.
    pub who: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// When it ends by itself; `None`: when it is taken back.
    pub until: Option<Instant>,
}

/// What health wants to know again after a restart, of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetMemory {
    /// How long ago each fault of the last ten minutes ended, zero for one that lasts; the latest last.
    pub faults: Vec<Duration>,
    /// How long ago each change to `preferred` of the last hour was; the latest last.
    pub promotions: Vec<Duration>,
}

/// What health wants to know again after a restart.
pub type Memory = Vec<(Target, TargetMemory)>;
