//! Announcing: from verdicts to routes, in an order that never announces what cannot answer.
//!
//! Announce = bind address → sockets ready → self-probe good → route.
//! Withdraw = route → linger → (only at stop) unbind.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::health::OnSharedFault;

/// One `[[service]]`, as health and announcing see it; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Unique.
    pub name: String,
    /// At most one per family.
    pub addresses: Vec<IpAddr>,
    /// Usually 53.
    pub port: u16,
    /// Where the addresses are bound; `None`: somebody else binds them.
    pub interface: Option<String>,
    /// Policy for faults that others may share.
    pub on_shared_fault: OnSharedFault,
    /// How `backup` is made less attractive.
    pub backup: BackupSettings,
    /// Covering prefixes that stay announced as long as the node runs.
    pub floor: Vec<IpNet>,
}

/// What distinguishes a route at level `backup` from one at `preferred`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSettings {
    /// Own AS number so many more times in AS_PATH, 0 to 16. Default 3.
    pub prepend: u8,
    /// MULTI_EXIT_DISC. Default 1000.
    pub med: Option<u32>,
    /// Sorted, each once. Default GRACEFUL_SHUTDOWN (RFC 8326).
    pub communities: Vec<u32>,
}
