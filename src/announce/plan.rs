//! The plan: which prefixes are announced, and how attractively. A pure function of what health
//! allows and of which addresses can take queries.
//!
//! A node that leaves does so while others may be at `backup` for a fault that all have, and that
//! level may have the community of those that leave. So each level below `backup` has its marks once
//! more than the one above: nobody moves away from what looks like all the rest.
//!
//! Source: RFC 8326 §4.1 (the community of a node that leaves).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{BackupSettings, ServiceSettings};
use crate::health::{Family, FloorLevel, Level};

/// GRACEFUL_SHUTDOWN. RFC 8326 §5.
const GRACEFUL_SHUTDOWN: u32 = 0xFFFF_0000;

/// A route that should be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRoute {
    /// What is announced.
    pub prefix: IpNet,
    /// How attractively.
    pub level: PlannedLevel,
    /// What that means in path attributes.
    pub marks: PathMarks,
}

/// How attractive a route is made; ordered from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlannedLevel {
    /// Worse than any backup: a covering prefix of a node with a local fault.
    LastResort,
    /// Worse than a backup, and asks its readers to move away before it goes. RFC 8326.
    Leaving,
    /// Less attractive than another site's normal route.
    Backup,
    /// The normal route.
    Preferred,
}

impl PlannedLevel {
    /// How many times over its marks count: a neighbour may have others than the service.
    #[must_use]
    pub const fn times(self) -> u8 {
        match self {
            Self::LastResort => 3,
            Self::Leaving => 2,
            Self::Backup | Self::Preferred => 1,
        }
    }
}

/// The path attributes that make a route less attractive; none of them for a normal one. They count
/// [`PlannedLevel::times`] over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathMarks {
    /// Own AS number so many more times in AS_PATH, 0 to 16.
    pub prepend: u8,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF towards internal neighbours.
    pub local_pref: Option<u32>,
    /// Sorted, each once.
    pub communities: Vec<u32>,
    /// Sorted, each once. RFC 8092.
    pub large_communities: Vec<[u32; 3]>,
}

impl PathMarks {
    /// What `level` means for a service with these backup settings.
    #[must_use]
    pub fn of(level: PlannedLevel, backup: &BackupSettings) -> Self {
        let marks = Self {
            prepend: backup.prepend,
            med: backup.med,
            local_pref: backup.local_pref,
            communities: backup.communities.clone(),
            large_communities: backup.large_communities.clone(),
        };
        match level {
            PlannedLevel::Preferred => Self::default(),
            PlannedLevel::Backup | PlannedLevel::LastResort => marks,
            PlannedLevel::Leaving => marks.with_community(GRACEFUL_SHUTDOWN),
        }
    }

    fn with_community(mut self, community: u32) -> Self {
        if let Err(position) = self.communities.binary_search(&community) {
            self.communities.insert(position, community);
        }
        self
    }
}

/// What may be announced for one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// Position of its service in the configuration.
    pub(super) service: usize,
    pub(super) address: IpAddr,
    /// For the address itself.
    pub(super) level: Level,
    /// The node is being drained.
    pub(super) is_leaving: bool,
    /// For the covering prefixes of the address's family.
    pub(super) floor: FloorLevel,
}

/// The whole table, sorted by prefix, each prefix once: of two that want the same the better one.
pub(super) fn plan(services: &[ServiceSettings], allowed: &[Allowed]) -> Vec<PlannedRoute> {
    let mut table: BTreeMap<IpNet, (PlannedLevel, usize)> = BTreeMap::new();
    for entry in allowed {
        let Some(service) = services.get(entry.service) else {
            continue;
        };
        let own = own_level(entry).map(|level| (IpNet::from(entry.address), level));
        let family = Family::of(entry.address);
        let floors = service
            .floor
            .iter()
            .filter(|floor| Family::of(floor.addr()) == family);
        let floors = floors.filter_map(|floor| Some((floor.trunc(), floor_level(entry)?)));
        for (prefix, level) in own.into_iter().chain(floors) {
            let best = table.entry(prefix).or_insert((level, entry.service));
            if level > best.0 {
                *best = (level, entry.service);
            }
        }
    }
    let routes = table.into_iter().filter_map(|(prefix, (level, service))| {
        let marks = PathMarks::of(level, &services.get(service)?.backup);
        Some(PlannedRoute {
            prefix,
            level,
            marks,
        })
    });
    routes.collect()
}

fn own_level(allowed: &Allowed) -> Option<PlannedLevel> {
    match allowed.level {
        Level::Withdrawn => None,
        Level::Backup | Level::Preferred if allowed.is_leaving => Some(PlannedLevel::Leaving),
        Level::Backup => Some(PlannedLevel::Backup),
        Level::Preferred => Some(PlannedLevel::Preferred),
    }
}

fn floor_level(allowed: &Allowed) -> Option<PlannedLevel> {
    match allowed.floor {
        FloorLevel::Withdrawn => None,
        FloorLevel::LastResort => Some(PlannedLevel::LastResort),
        FloorLevel::Backup if allowed.is_leaving => Some(PlannedLevel::Leaving),
        FloorLevel::Backup => Some(PlannedLevel::Backup),
    }
}

/// The prefixes that need an unreachable route on the host while they may be announced: the
/// unused addresses of a floor must not be sent back to the router.
#[must_use]
pub fn unreachable_prefixes(services: &[ServiceSettings]) -> Vec<IpNet> {
    let floors = services.iter().flat_map(|service| &service.floor);
    let mut prefixes: Vec<IpNet> = floors
        .filter(|p| p.prefix_len() < p.max_prefix_len())
        .map(IpNet::trunc)
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

#[cfg(test)]
mod tests;
