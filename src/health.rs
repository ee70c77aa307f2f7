//! Health: from signals to a fault class to a verdict per service and address family.
//!
//! Fail static: only a fault of this node alone (`local`) or the operator withdraws a route.

use std::time::Duration;

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
