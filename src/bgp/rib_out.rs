//! Adj-RIB-Out: what a peer should know, what it knows, and the UPDATEs between the two.
//!
//! Source: RFC 4271 §5 (attributes), §9.2; RFC 4724 §2 (End-of-RIB); RFC 2918 §4 (refresh);
//! RFC 8326 §4 (graceful shutdown).
//!
//! UPDATEs are built when there is room to write them, never in advance: a slow peer costs no memory
//! and gets the newest state at last. A change of attributes is one replacing UPDATE.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::message::{Families, Family};
use super::wire::{self, Announcement, NextHop};
use super::{Attributes, COMMUNITIES_MAX, GRACEFUL_SHUTDOWN, PREPEND_MAX, Route};

/// So many IPv4 prefixes of 5 octets leave room for all attributes.
const IPV4_PER_UPDATE: usize = 400;
/// So many IPv6 prefixes of 17 octets do.
const IPV6_PER_UPDATE: usize = 120;
/// RFC 4271 §5.1.5 leaves the default open; routers use 100.
const DEFAULT_LOCAL_PREF: u32 = 100;

/// Where a session's routes lead; a family without is not offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NextHops {
    pub(super) v4: Option<Ipv4Addr>,
    pub(super) v6: Option<Ipv6Addr>,
    /// Sent beside a global `v6` on a session between link-local addresses. RFC 2545 §3.
    pub(super) link_local: Option<Ipv6Addr>,
}

impl NextHops {
    pub(super) fn families(&self) -> Families {
        Families {
            ipv4: self.v4.is_some(),
            ipv6: self.v6.is_some(),
        }
    }

    fn of(&self, family: Family) -> Option<NextHop> {
        match family {
            Family::Ipv4 => self.v4.map(NextHop::V4),
            Family::Ipv6 => self.v6.map(|global| NextHop::V6(global, self.link_local)),
        }
    }
}

/// What shapes the UPDATEs of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlet {
    pub(super) local_asn: u32,
    pub(super) internal: bool,
    pub(super) four_octet: bool,
    pub(super) families: Families,
    pub(super) next_hops: NextHops,
}

/// The table of one peer.
#[derive(Debug, Default)]
pub(super) struct RibOut {
    desired: BTreeMap<IpNet, Attributes>,
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    outlet: Outlet,
    advertised: BTreeMap<IpNet, Attributes>,
    /// To be compared with `advertised`.
    changed: BTreeSet<IpNet>,
    /// To be sent though the peer should know them. RFC 2918 §4.
    refreshed: BTreeSet<IpNet>,
    /// Families whose End-of-RIB is still due.
    ends: Vec<Family>,
}

impl RibOut {
    /// Sets the whole table. Returns the prefixes that cannot be sent, for too many communities or
    /// too much prepending; they count as not wanted.
    pub(super) fn set_routes(&mut self, routes: &[Route]) -> Vec<IpNet> {
        let mut refused = Vec::new();
        let mut desired = BTreeMap::new();
        for route in routes {
            let attributes = &route.attributes;
            if attributes.communities.len() > COMMUNITIES_MAX || attributes.prepend > PREPEND_MAX {
                refused.push(route.prefix);
            } else {
                desired.insert(route.prefix.trunc(), attributes.clone());
            }
        }
        if let Some(session) = &mut self.session {
            let prefixes = desired.keys().chain(self.desired.keys());
            let families = session.outlet.families;
            let changed = prefixes.filter(|prefix| {
                desired.get(*prefix) != self.desired.get(*prefix)
                    && families.contains(Family::of(prefix))
            });
            session.changed.extend(changed.copied());
        }
        self.desired = desired;
        refused
    }

    /// A session begins, and its peer knows nothing.
    pub(super) fn open(&mut self, outlet: Outlet) {
        let carried = self.desired.keys();
        let carried = carried.filter(|prefix| outlet.families.contains(Family::of(prefix)));
        self.session = Some(Session {
            outlet,
            advertised: BTreeMap::new(),
            changed: carried.copied().collect(),
            refreshed: BTreeSet::new(),
            ends: outlet.families.iter().collect(),
        });
    }

    /// The routes lead elsewhere: those that the peer knows are told again, and not withdrawn.
    /// RFC 4271 §3.1 (an implicit replacement).
    pub(super) fn set_next_hops(&mut self, next_hops: NextHops) {
        if let Some(session) = &mut self.session {
            let former = std::mem::replace(&mut session.outlet.next_hops, next_hops);
            let again = session.advertised.keys().filter(|prefix| {
                let family = Family::of(prefix);
                former.of(family) != next_hops.of(family)
            });
            session.refreshed.extend(again.copied());
        }
    }

    /// The session is over.
    pub(super) fn close(&mut self) {
        self.session = None;
    }

    /// The peer wants to hear `family` again.
    pub(super) fn refresh(&mut self, family: Family) {
        if let Some(session) = &mut self.session {
            let again = session.advertised.keys();
            let again = again.filter(|prefix| Family::of(prefix) == family);
            session.refreshed.extend(again.copied());
        }
    }

    /// How many prefixes the peer has been told.
    pub(super) fn advertised(&self) -> usize {
        let session = self.session.as_ref();
        session.map_or(0, |session| session.advertised.len())
    }

    /// Whether [`Self::next_update`] may have more to say.
    pub(super) fn is_pending(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            !session.changed.is_empty() || !session.refreshed.is_empty() || !session.ends.is_empty()
        })
    }

    /// The next UPDATE: withdrawals first, then announcements, then End-of-RIB.
    pub(super) fn next_update(&mut self) -> Option<Vec<u8>> {
        let session = self.session.as_mut()?;
        session.forget_what_is_known(&self.desired);
        loop {
            if let Some(message) = session.withdrawal(&self.desired) {
                return Some(message);
            }
            match session.announcement(&self.desired) {
                Some(Ok(message)) => return Some(message),
                Some(Err(TooLong)) => {}
                None => break,
            }
        }
        let family = session.ends.first().copied()?;
        session.ends.remove(0);
        wire::withdrawal(family, &[])
    }
}

/// Bounds on prefixes and attributes exclude it; the prefixes are then left out.
struct TooLong;

impl Session {
    fn forget_what_is_known(&mut self, desired: &BTreeMap<IpNet, Attributes>) {
        let advertised = &self.advertised;
        self.changed
            .retain(|prefix| desired.get(prefix) != advertised.get(prefix));
        self.refreshed
            .retain(|prefix| advertised.contains_key(prefix));
    }

    fn withdrawal(&mut self, desired: &BTreeMap<IpNet, Attributes>) -> Option<Vec<u8>> {
        let gone = |prefix: &&IpNet| !desired.contains_key(*prefix);
        let family = Family::of(self.changed.iter().find(gone)?);
        let of_family = |prefix: &&IpNet| Family::of(prefix) == family;
        let prefixes = self.changed.iter().filter(gone).filter(of_family);
        let prefixes: Vec<IpNet> = prefixes.take(per_update(family)).copied().collect();
        for prefix in &prefixes {
            self.changed.remove(prefix);
            self.refreshed.remove(prefix);
            self.advertised.remove(prefix);
        }
        wire::withdrawal(family, &prefixes)
    }

    fn announcement(
        &mut self,
        desired: &BTreeMap<IpNet, Attributes>,
    ) -> Option<Result<Vec<u8>, TooLong>> {
        let first = self.changed.first().or(self.refreshed.first())?;
        let family = Family::of(first);
        let attributes = desired.get(first)?;
        let alike = |prefix: &&IpNet| {
            Family::of(prefix) == family && desired.get(*prefix) == Some(attributes)
        };
        let prefixes = self.changed.union(&self.refreshed).filter(alike);
        let prefixes: Vec<IpNet> = prefixes.take(per_update(family)).copied().collect();
        for prefix in &prefixes {
            self.changed.remove(prefix);
            self.refreshed.remove(prefix);
        }
        let Some(message) = self.outlet.announce(family, attributes, &prefixes) else {
            return Some(Err(TooLong));
        };
        for prefix in prefixes {
            self.advertised.insert(prefix, attributes.clone());
        }
        Some(Ok(message))
    }
}

impl Outlet {
    fn announce(
        &self,
        family: Family,
        attributes: &Attributes,
        prefixes: &[IpNet],
    ) -> Option<Vec<u8>> {
        let path = match self.internal {
            // RFC 4271 §5.1.2 b: towards an internal peer the originator's path is empty.
            true => Vec::new(),
            false => vec![self.local_asn; usize::from(attributes.prepend) + 1],
        };
        let announcement = Announcement {
            next_hop: self.next_hops.of(family)?,
            as_path: &path,
            four_octet: self.four_octet,
            med: attributes.med,
            local_pref: self.internal.then(|| local_pref(attributes)),
            communities: &attributes.communities,
        };
        wire::announcement(&announcement, prefixes)
    }
}

/// RFC 8326 §4.2: inside an AS the lowest preference does what the community asks for; prepending
/// does nothing there.
fn local_pref(attributes: &Attributes) -> u32 {
    match attributes.communities.contains(&GRACEFUL_SHUTDOWN) {
        true => 0,
        false => attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
    }
}

const fn per_update(family: Family) -> usize {
    match family {
        Family::Ipv4 => IPV4_PER_UPDATE,
        Family::Ipv6 => IPV6_PER_UPDATE,
    }
}

#[cfg(test)]
mod tests;
