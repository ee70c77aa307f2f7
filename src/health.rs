//! Health: from signals to a fault class to a verdict per service and address family.
//!
//! Fail static: only a fault of this node alone (`local`) or the operator withdraws a route,
//! unless a service asks for more with `on_shared_fault = "withdraw"`.
//!
//! [`Health`] is a value: its owner calls a `handle_*` for each input, then takes the events and
//! reads the [`Lease`]; it never waits, asks or reads a clock. [`prober`] and [`checker`] are the
//! only shells here.
//!
#![doc = include_str!("health/policy.md")]

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub mod check;
mod check_run;
pub mod checker;
mod delays;
mod drain;
mod hold_down;
mod lease;
mod machine;
pub mod metrics;
mod next;
mod others;
mod overload;
pub mod peers;
mod policy;
pub mod prober;
mod probes;
mod promotion;
pub mod quality;
pub mod question;
mod rounds;
mod shared_fault;
mod signal;
mod streak;
mod target;
mod verdict;
mod window;
mod worker;

pub use drain::{Departure, DrainPhase, DrainView};
pub use lease::{FloorLevel, Grant, LEASE_VALIDITY, Lease};
pub use machine::{Event, Health};
pub use next::Next;
pub use signal::{
    CheckFault, CheckOutcome, CheckPolicy, DrainOrder, Memory, PeersView, PoorAnswers,
    PoorCanaries, SERVICE_MARKS, StartGate, TargetMemory,
};
pub use verdict::{Awaited, Kept, Reason, Verdict};

/// What health is told by the configuration; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between two probes and two evaluations, 20 ms to 10 s. Default 200 ms.
    pub interval: Duration,
    /// So many bad probes in a row make a local fault. Default 3.
    pub fall: u32,
    /// So many good probes in a row end it. Default 5.
    pub rise: u32,
    /// Delay of `backup` → `preferred` from the second fault in 10 minutes on; doubles up to 5 min.
    pub hold_down: Duration,
    /// Longest time at `backup` before the route is withdrawn for a drain. Default 5 s.
    pub drain_wait: Duration,
    /// How long queries are still answered after the withdrawal at a stop. Default 1 s.
    pub linger: Duration,
    /// A change to `preferred` after a fault waits a time between zero and this, by chance, so that a
    /// fleet does not turn as one. 0 to 1 min. Default 1 s.
    pub jitter: Duration,
    /// So many changes to `preferred` in an hour at most, for each target; 1 to 3600. Default 12.
    pub promotions_per_hour: u32,
    /// What chance starts from: another number on every node and at every start. The configuration
    /// says 0, and the node draws one.
    pub seed: u64,
}

/// How attractive a service is made to its neighbours; ordered from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Not announced.
    Withdrawn,
    /// Announced, but less attractive than any other site.
    Backup,
    /// Announced normally.
    Preferred,
}

impl Level {
    /// Each level, from worst to best.
    pub const ALL: [Self; 3] = [Self::Withdrawn, Self::Backup, Self::Preferred];

    /// The word for it in logs, metrics and `/status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Backup => "backup",
            Self::Preferred => "preferred",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose fault it is, and so what may be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// This node alone.
    Local,
    /// Others may have it too.
    Shared,
    /// Queries are shed.
    Overload,
    /// Somebody asked for it.
    Operator,
}

impl FaultClass {
    /// Each class.
    pub const ALL: [Self; 4] = [Self::Local, Self::Shared, Self::Overload, Self::Operator];

    /// The word for it in logs, metrics and `/status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Shared => "shared",
            Self::Overload => "overload",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a service does while a shared fault lasts (`on_shared_fault`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSharedFault {
    /// Announces less attractively.
    #[default]
    Backup,
    /// Changes nothing.
    Keep,
    /// Withdraws; takes every site dark when all have the fault.
    Withdraw,
}

/// What a service does while it has a local fault (`on_local_fault`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLocalFault {
    /// Withdraws: another site answers.
    #[default]
    Withdraw,
    /// Announces less attractively, for a service that would rather be ill than absent. A stale lease
    /// withdraws it all the same.
    Backup,
}

/// Who answers for a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The workers of this process.
    #[default]
    Workers,
    /// Another program (`target`), of which no more is known than what probes tell.
    Another,
}

/// An address family; each of a service has a level of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The word for it in logs, metrics and `/status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What has a level of its own: one service in one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Position of the service in the configuration.
    pub service: usize,
    /// Which of its addresses.
    pub family: Family,
}

/// What health has to know of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePolicy {
    /// The families it has an address in, each once.
    pub families: Vec<Family>,
    /// Policy for faults that others may share.
    pub on_shared_fault: OnSharedFault,
    /// Policy for faults of this node alone.
    pub on_local_fault: OnLocalFault,
    /// Who answers.
    pub answered_by: AnsweredBy,
    /// Whether it is probed over TCP: always when workers answer.
    pub tcp: bool,
    /// Further checks that it depends on.
    pub checks: Vec<CheckPolicy>,
    /// What siblings know it by, see [`peers::service_mark`].
    pub mark: u8,
}

impl ServicePolicy {
    /// A service of this node's workers that has all defaults.
    #[must_use]
    pub fn new(families: Vec<Family>) -> Self {
        Self {
            families,
            on_shared_fault: OnSharedFault::default(),
            on_local_fault: OnLocalFault::default(),
            answered_by: AnsweredBy::default(),
            tcp: true,
            checks: Vec::new(),
            mark: 0,
        }
    }
}

/// What a worker left in its atomics, read once per interval; every field only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerSample {
    /// Grows with each turn of the worker's loop, idle or not.
    pub heartbeat: u64,
    /// Answers sent to clients over UDP and TCP, at whatever address; self-probes are not counted.
    pub answered: u64,
    /// Datagrams read from UDP sockets of services, whatever became of them; errors that were read
    /// instead of one included.
    pub taken: u64,
    /// TCP connections that waited or were turned away because every slot was taken.
    pub tcp_shed: u64,
    /// Questions that were not passed on because too many were under way.
    pub shed: u64,
}

/// What a self-probe asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeOf {
    /// This worker, over UDP.
    Worker(usize),
    /// Over UDP from a port of which the worker is not known yet.
    Address,
    /// The address over TCP, whichever worker accepts.
    Tcp,
}

/// How a self-probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeOutcome {
    /// The right answer came in time.
    Good,
    /// An answer came, and it was wrong.
    Bad,
    /// No answer came in time.
    Unanswered,
    /// No answer came in time, and what was found out beside it explains that by load. Only of
    /// probes of another program; for the node's own workers health finds it out itself.
    Shed,
}

/// The result of one self-probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// Whose address was asked.
    pub target: Target,
    /// What was asked.
    pub probe: ProbeOf,
    /// How it ended.
    pub outcome: ProbeOutcome,
}
