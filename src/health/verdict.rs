//! What health concludes about a target, and the words for it.
//!
//! How it gets there is in `policy`; the whole table is in the documentation of [`super`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{FaultClass, Level, Next, PeersView, PoorAnswers, PoorCanaries, ProbeOf};

/// Health's conclusion about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How attractively it may be announced.
    pub level: Level,
    /// Whose fault it is that all is not well; `None` when it is, while starting, and while nothing
    /// but the links is missing.
    pub class: Option<FaultClass>,
    /// The evidence, with its latest figures.
    pub reason: Reason,
    /// What it would take to change.
    pub next: Next,
    /// Since when level, class and kind of reason are these.
    pub since: Instant,
    /// Since when the level is this.
    pub level_since: Instant,
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
        /// How many in a row are wanted: `rise`, and more from the third fault in ten minutes on.
        probes: u32,
    },
    /// An extra check of the service fails.
    CheckFailed {
        /// Its name.
        check: Arc<str>,
        /// So many bad results in a row made it a failure.
        results: u32,
        /// What the latest bad result says.
        text: Arc<str>,
    },
    /// Siblings that this node reaches get no answer from it.
    Unheard {
        /// How many say so.
        blind: u16,
        /// How many answer this node.
        reached: u16,
    },
    /// No upstream of a critical forward zone answers.
    UpstreamsDead {
        /// The zone's apex, with the final dot.
        zone: Arc<str>,
    },
    /// Clients get failures from the upstreams of a critical forward zone.
    PoorAnswers {
        /// The zone's apex, with the final dot.
        zone: Arc<str>,
        /// The evidence.
        figures: PoorAnswers,
    },
    /// Too few canaries of a critical forward zone resolve.
    PoorCanaries {
        /// The zone's apex, with the final dot.
        zone: Arc<str>,
        /// The evidence.
        figures: PoorCanaries,
    },
    /// A shared fault of which the level takes no notice.
    Kept {
        /// The fault.
        evidence: Box<Self>,
        /// Why it changes nothing.
        why: Kept,
    },
    /// All is well again, but it was not too often.
    HeldDown {
        /// Faults within ten minutes.
        faults: u32,
        /// The whole time of the hold-down.
        hold: Duration,
        /// When it ends.
        until: Instant,
    },
    /// All is well again; chance spreads the nodes of a fleet over `jitter`.
    Staggered {
        /// This node's time.
        until: Instant,
    },
    /// All is well again, but it was too often: the changes of this hour are spent.
    PromotionsSpent {
        /// How many there were.
        promotions: u32,
        /// When the oldest is an hour old.
        until: Instant,
    },
    /// Probes in a row unanswered while clients are answered or queues overflow.
    Shed {
        /// What was asked.
        probe: ProbeOf,
    },
    /// Questions of clients are not passed on, for too many are under way.
    QueriesShed {
        /// How many in the last second.
        shed: u64,
        /// How many were answered in that second.
        answered: u64,
    },
    /// Queries are lost before a worker sees them.
    QueueOverflow {
        /// Whose receive queue overflows.
        worker: usize,
        /// How many were lost between two samples.
        dropped: u64,
    },
    /// The routing thread came late to look at its clock.
    Late {
        /// How late.
        late: Duration,
    },
    /// No link that a neighbour is behind is up: whatever the level, nothing can be announced.
    LinksDown {
        /// How many there are.
        of: usize,
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

/// Why a shared fault does not change the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// No sibling says that it can resolve, so that moving the clients would not help them.
    NoSibling(PeersView),
    /// It came while no link was up, or just after: the upstreams may be well.
    NoLink,
}

/// What a start still waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The address on the interface.
    Address,
    /// The first heartbeat of a worker.
    Heartbeat(usize),
    /// A good probe of a worker.
    Probe(usize),
    /// A good probe over UDP of a service that another program answers for.
    AddressProbe,
    /// A good probe over TCP.
    TcpProbe,
    /// A good result of an extra check whose failure would be a local fault.
    Check(Arc<str>),
    /// Each upstream reached, or given up on.
    Upstreams,
    /// The names that were hot before the restart.
    HotNames,
}

impl Reason {
    /// Whether both say the same but for figures that change all the time, so that it is no news.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::PoorAnswers { zone: a, .. }, Self::PoorAnswers { zone: b, .. })
            | (Self::PoorCanaries { zone: a, .. }, Self::PoorCanaries { zone: b, .. })
            | (Self::CheckFailed { check: a, .. }, Self::CheckFailed { check: b, .. }) => a == b,
            (Self::Unheard { .. }, Self::Unheard { .. })
            | (Self::QueriesShed { .. }, Self::QueriesShed { .. })
            | (Self::QueueOverflow { .. }, Self::QueueOverflow { .. })
            | (Self::Late { .. }, Self::Late { .. }) => true,
            (
                Self::Kept {
                    evidence: a,
                    why: x,
                },
                Self::Kept {
                    evidence: b,
                    why: y,
                },
            ) => a.is_like(b) && std::mem::discriminant(x) == std::mem::discriminant(y),
            _ => self == other,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("all checks good"),
            Self::Starting(awaited) => write!(f, "starting: {awaited}"),
            Self::HeartbeatStuck { .. }
            | Self::AddressMissing
            | Self::NoAnswer { .. }
            | Self::Recovering { .. }
            | Self::Unheard { .. } => self.tell_local(f),
            Self::CheckFailed {
                check,
                results,
                text,
            } => write!(f, "check {check} failed {results} times in a row: {text}"),
            Self::UpstreamsDead { .. }
            | Self::PoorAnswers { .. }
            | Self::PoorCanaries { .. }
            | Self::Kept { .. } => self.tell_shared(f),
            Self::HeldDown { faults, hold, .. } => {
                let hold_ms = hold.as_millis();
                write!(
                    f,
                    "held down for {hold_ms} ms after {faults} faults in 10 min"
                )
            }
            Self::Staggered { .. } => {
                f.write_str("well again; waits a moment so that not all nodes turn at once")
            }
            Self::PromotionsSpent { promotions, .. } => {
                write!(
                    f,
                    "well again, but {promotions} times preferred within an hour"
                )
            }
            Self::Shed { .. }
            | Self::QueriesShed { .. }
            | Self::QueueOverflow { .. }
            | Self::Late { .. } => self.tell_overload(f),
            Self::LinksDown { of } => write!(f, "none of {of} links to neighbours is up"),
            Self::Draining { who, reason, .. } => write!(f, "draining: {reason}{}", By(who)),
            Self::Drained { who, reason, .. } => write!(f, "drained: {reason}{}", By(who)),
        }
    }
}

impl Reason {
    fn tell_local(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeartbeatStuck { worker, limit } => {
                let limit_ms = limit.as_millis();
                write!(f, "worker {worker} heartbeat stuck for {limit_ms} ms")
            }
            Self::AddressMissing => f.write_str("address missing on the interface"),
            Self::NoAnswer { probe, probes } => {
                let probe = Probe(*probe);
                write!(f, "{probe} without a right answer {probes} times in a row")
            }
            Self::Recovering { probes } => {
                write!(
                    f,
                    "recovering: {probes} good probes in a row of each worker awaited"
                )
            }
            Self::Unheard { blind, reached } => write!(
                f,
                "{blind} of {reached} siblings that answer this node get no answer from it"
            ),
            _ => Ok(()),
        }
    }

    fn tell_shared(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpstreamsDead { zone } => write!(f, "all upstreams of zone {zone} dead"),
            Self::PoorAnswers { zone, figures } => write!(
                f,
                "{} % of {} domains fail in zone {zone} for {} client prefixes, {} % before",
                figures.failed_percent, figures.domains, figures.prefixes, figures.baseline_percent
            ),
            Self::PoorCanaries { zone, figures } => write!(
                f,
                "{} of {} canaries of zone {zone} resolve, {} have to",
                figures.good, figures.of, figures.needed
            ),
            Self::Kept { evidence, why } => write!(f, "{evidence}; the level stays, for {why}"),
            _ => Ok(()),
        }
    }

    fn tell_overload(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shed { probe } => write!(f, "{} unanswered under load", Probe(*probe)),
            Self::QueriesShed { shed, answered } => {
                write!(f, "{shed} queries shed and {answered} answered in a second")
            }
            Self::QueueOverflow { worker, dropped } => write!(
                f,
                "receive queue of worker {worker} overflows: {dropped} queries dropped"
            ),
            Self::Late { late } => {
                write!(f, "routing thread {} ms late", late.as_millis())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSibling(peers) => write!(
                f,
                "none of {} siblings says that it can resolve ({} answer)",
                peers.known, peers.reached
            ),
            Self::NoLink => {
                f.write_str("no link to a neighbour was up when that began, or within 5 s before")
            }
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address not yet on the interface"),
            Self::Heartbeat(worker) => write!(f, "no heartbeat of worker {worker} yet"),
            Self::Probe(worker) => write!(f, "no good probe of worker {worker} yet"),
            Self::AddressProbe => f.write_str("no good probe of the address yet"),
            Self::TcpProbe => f.write_str("no good tcp probe yet"),
            Self::Check(check) => write!(f, "no good result of check {check} yet"),
            Self::Upstreams => f.write_str("upstreams not yet reached, nor given up on"),
            Self::HotNames => f.write_str("hot names not yet fetched"),
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
