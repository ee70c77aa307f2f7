//! Announcing: from verdicts to routes, in an order that never announces what cannot answer.
//!
//! Announce = bind address → sockets ready → self-probe good → route.
//! Withdraw = route → linger → (only at stop) unbind.
//!
//! [`Announcer`] is a value: its owner tells it of addresses and hands it health's lease, then
//! does the [`Action`]s. Levels come from the lease alone, so a stale one withdraws everything.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::health::peers::service_mark;
use crate::health::{AnsweredBy, CheckPolicy, Family, OnLocalFault, OnSharedFault, ServicePolicy};

mod machine;
mod order;
mod plan;

pub use machine::{Action, Announcer};
pub use order::Step;
pub use plan::{PathMarks, PlannedLevel, PlannedRoute, unreachable_prefixes};

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
    /// Policy for faults of this node alone.
    pub on_local_fault: OnLocalFault,
    /// Who answers on the addresses.
    pub answered_by: AnsweredBy,
    /// Whether it answers over TCP.
    pub tcp: bool,
    /// Further checks that the service depends on.
    pub checks: Vec<CheckPolicy>,
    /// How `backup` is made less attractive.
    pub backup: BackupSettings,
    /// Covering prefixes that stay announced as long as the node runs.
    pub floor: Vec<IpNet>,
}

impl ServiceSettings {
    /// What health has to know of it.
    #[must_use]
    pub fn policy(&self) -> ServicePolicy {
        ServicePolicy {
            on_shared_fault: self.on_shared_fault,
            on_local_fault: self.on_local_fault,
            answered_by: self.answered_by,
            tcp: self.tcp,
            checks: self.checks.clone(),
            mark: service_mark(&self.name),
            ..ServicePolicy::new(self.addresses.iter().copied().map(Family::of).collect())
        }
    }
}

/// What distinguishes a route at level `backup` from one at `preferred`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSettings {
    /// Own AS number so many more times in AS_PATH, 0 to 16. Default 3.
    pub prepend: u8,
    /// MULTI_EXIT_DISC. Default 1000.
    pub med: Option<u32>,
    /// LOCAL_PREF towards internal neighbours. Default none: the speaker's own choice.
    pub local_pref: Option<u32>,
    /// Sorted, each once. Default GRACEFUL_SHUTDOWN (RFC 8326).
    pub communities: Vec<u32>,
    /// Sorted, each once (RFC 8092). Default none.
    pub large_communities: Vec<[u32; 3]>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One service with both families and a floor for each.
    pub(crate) fn service() -> ServiceSettings {
        ServiceSettings {
            name: "resolver".to_owned(),
            addresses: vec!["10.53.53.53".parse().unwrap(), "fd53::53".parse().unwrap()],
            port: 53,
            interface: Some("lo".to_owned()),
            on_shared_fault: OnSharedFault::Backup,
            on_local_fault: OnLocalFault::Withdraw,
            answered_by: AnsweredBy::Workers,
            tcp: true,
            checks: Vec::new(),
            backup: BackupSettings {
                prepend: 3,
                med: Some(1000),
                local_pref: None,
                communities: vec![0xFFFF_0000],
                large_communities: Vec::new(),
            },
            floor: vec![
                "10.53.53.52/30".parse().unwrap(),
                "fd53::50/124".parse().unwrap(),
            ],
        }
    }
}
