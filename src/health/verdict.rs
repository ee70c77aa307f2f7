//! The policy: from findings about one target to its level, with a class and a reason.
//!
//! ```text
//! finding                                      class     level
//! heartbeat stuck, address missing             local     withdrawn
//! probe without answer, nobody answered        local     withdrawn
//! all upstreams of a critical zone dead        shared    as on_shared_fault says
//! both of the last two                         shared    the same, and no better than backup
//! probe without answer, others answered        overload  no change
//! draining, then drained                       operator  backup, then withdrawn
//! soon after a repeated fault                  its class backup
//! ```
//! With several findings the worst level wins; among equal levels the order above, operator first.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hold_down::Held;
use super::{FaultClass, Level, OnSharedFault, ProbeOf};

/// Health's conclusion about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How attractively it may be announced.
    pub level: Level,
    /// Whose fault it is that all is not well; `None` when it is, and while starting.
    pub class: Option<FaultClass>,
    /// The evidence.
    pub reason: Reason,
    /// Since when level, class and reason are these.
    pub since: Instant,
}

/// Why a verdict is what it is. `Display` tells it to people, always in the same words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is wrong.
    Healthy,
    /// Not announced yet since the start.
    Starting(Awaited),
    /// A worker's loop does not turn.
    HeartbeatStuck {
        /// Which worker.
        worker: usize,
        /// How long it stood still when it was called stuck.
        limit: Duration,
    },
    /// The address is not on the interface.
    AddressMissing,
    /// Probes in a row without a right answer, and no load that would explain it.
    NoAnswer {
        /// What was asked.
        probe: ProbeOf,
        /// How many in a row.
        probes: u32,
    },
    /// A local fault is over; good probes are counted.
    Recovering {
        /// How many in a row are wanted of each worker.
        probes: u32,
    },
    /// No upstream of a critical forward zone answers.
    UpstreamsDead {
        /// The zone's apex, with the final dot.
        zone: Arc<str>,
    },
    /// All is well again, but it was not too often.
    HeldDown {
        /// Faults within ten minutes.
        faults: u32,
        /// The whole time of the hold-down.
        hold: Duration,
    },
    /// Probes in a row unanswered while clients are answered or queues overflow.
    Shed {
        /// What was asked.
        probe: ProbeOf,
    },
    /// The service is asked to leave, and clients are moving away.
    Draining {
        /// Who wants it; empty for a stop.
        who: Arc<str>,
        /// Why.
        reason: Arc<str>,
        /// When it ends by itself; `None`: when it is taken back.
        until: Option<Instant>,
    },
    /// The service has left.
    Drained {
        /// Who wanted it; empty for a stop.
        who: Arc<str>,
        /// Why.
        reason: Arc<str>,
        /// When it ends by itself; `None`: when it is taken back.
        until: Option<Instant>,
    },
}

/// What a start still waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The address on the interface.
    Address,
    /// The first heartbeat of a worker.
    Heartbeat(usize),
    /// A good probe of a worker.
    Probe(usize),
    /// A good probe over TCP.
    TcpProbe,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("all checks good"),
            Self::Starting(awaited) => write!(f, "starting: {awaited}"),
            Self::HeartbeatStuck { worker, limit } => {
                write!(
                    f,
                    "worker {worker} heartbeat stuck for {} ms",
                    limit.as_millis()
                )
            }
            Self::AddressMissing => f.write_str("address missing on the interface"),
            Self::NoAnswer { probe, probes } => {
                write!(
                    f,
                    "{} without a right answer {probes} times in a row",
                    Probe(*probe)
                )
            }
            Self::Recovering { probes } => {
                write!(
                    f,
                    "recovering: {probes} good probes in a row of each worker awaited"
                )
            }
            Self::UpstreamsDead { zone } => write!(f, "all upstreams of zone {zone} dead"),
            Self::HeldDown { faults, hold } => {
                write!(
                    f,
                    "held down for {} ms after {faults} faults in 10 min",
                    hold.as_millis()
                )
            }
            Self::Shed { probe } => write!(f, "{} unanswered under load", Probe(*probe)),
            Self::Draining { who, reason, .. } => write!(f, "draining: {reason}{}", By(who)),
            Self::Drained { who, reason, .. } => write!(f, "drained: {reason}{}", By(who)),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address not yet on the interface"),
            Self::Heartbeat(worker) => write!(f, "no heartbeat of worker {worker} yet"),
            Self::Probe(worker) => write!(f, "no good probe of worker {worker} yet"),
            Self::TcpProbe => f.write_str("no good tcp probe yet"),
        }
    }
}

/// Who it was, when it was somebody.
struct By<'a>(&'a str);

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            who => write!(f, " (by {who})"),
        }
    }
}

/// A probe as a sentence's subject.
struct Probe(ProbeOf);

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ProbeOf::Worker(worker) => write!(f, "probe of worker {worker}"),
            ProbeOf::Address => f.write_str("probe of the address"),
            ProbeOf::Tcp => f.write_str("tcp probe"),
        }
    }
}

/// Everything that is known about a target at one moment, sorted by what it may cause.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    /// The start is not over.
    pub(super) starting: Option<Awaited>,
    /// A fault of this node alone.
    pub(super) local: Option<Reason>,
    /// A fault that others may have too.
    pub(super) shared: Option<Reason>,
    /// A local fault is suspected, but the shared one may be behind it.
    pub(super) is_mixed: bool,
    /// Queries are shed.
    pub(super) overload: Option<Reason>,
    /// The hold-down in force.
    pub(super) held: Option<Held>,
    /// The best level that a drain allows.
    pub(super) drain: Option<(Level, Reason)>,
    /// The service's policy.
    pub(super) on_shared_fault: OnSharedFault,
}

/// The level that a shared fault leads to.
pub(super) fn shared_level(policy: OnSharedFault, is_mixed: bool) -> Level {
    match (policy, is_mixed) {
        (OnSharedFault::Keep, false) => Level::Preferred,
        (OnSharedFault::Keep, true) | (OnSharedFault::Backup, _) => Level::Backup,
        (OnSharedFault::Withdraw, _) => Level::Withdrawn,
    }
}

/// Draws the conclusion: the worst level that a finding leads to, and that finding.
pub(super) fn conclude(findings: Findings) -> (Level, Option<FaultClass>, Reason) {
    let shared_level = shared_level(findings.on_shared_fault, findings.is_mixed);
    let candidates = [
        findings
            .drain
            .map(|(level, reason)| (level, Some(FaultClass::Operator), reason)),
        findings
            .local
            .map(|reason| (Level::Withdrawn, Some(FaultClass::Local), reason)),
        findings
            .starting
            .map(|what| (Level::Withdrawn, None, Reason::Starting(what))),
        findings
            .shared
            .map(|reason| (shared_level, Some(FaultClass::Shared), reason)),
        findings.held.map(|held| {
            let reason = Reason::HeldDown {
                faults: held.faults,
                hold: held.hold,
            };
            (Level::Backup, Some(held.class), reason)
        }),
        findings
            .overload
            .map(|reason| (Level::Preferred, Some(FaultClass::Overload), reason)),
    ];
    // `min_by_key` returns the first of several equal ones.
    let worst = candidates
        .into_iter()
        .flatten()
        .min_by_key(|(level, ..)| *level);
    worst.unwrap_or((Level::Preferred, None, Reason::Healthy))
}
