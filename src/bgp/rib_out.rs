//! Adj-RIB-Out: what a peer should know, what it knows, and the UPDATEs between the two.
//!
//! Source: RFC 4271 §5 (attributes), §9.2; RFC 4724 §2 (End-of-RIB); RFC 2918 §4 and RFC 7313 §4
//! (refresh); RFC 8326 §4 (graceful shutdown); RFC 8950 (IPv4 with an IPv6 next hop); RFC 9234 §5
//! (OTC of own routes).
//! Not done on purpose: RFC 9234's rules for routes that came from elsewhere, for nothing is imported.
//!
//! UPDATEs are built when there is room to write them, never in advance: a slow peer costs no memory
//! and gets the newest state at last. A change of attributes is one replacing UPDATE.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::message::{self, Families, Family, Kind, RefreshStep};
use super::open::Ipv4OverIpv6;
use super::wire::{self, Announcement, NextHop};
use super::{Attributes, GRACEFUL_SHUTDOWN, NeighborMarks, Role, Route};

mod marks;
mod refresh;
mod told;

use refresh::{Refresh, Step};
pub use told::Told;

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
    /// Of IPv4 routes, for a peer that takes it; preferred to `v4` then. RFC 8950 §4.
    pub(super) v4_over_v6: Option<Ipv6Addr>,
    pub(super) v6: Option<Ipv6Addr>,
    /// Sent beside a global `v6` on a session between link-local addresses. RFC 2545 §3.
    pub(super) link_local: Option<Ipv6Addr>,
}

impl NextHops {
    pub(super) fn families(&self) -> Families {
        Families {
            ipv4: self.v4.is_some() || self.v4_over_v6.is_some(),
            ipv6: self.v6.is_some(),
        }
    }

    pub(super) fn ipv4_over_ipv6(&self) -> Ipv4OverIpv6 {
        match (self.v4, self.v4_over_v6) {
            (_, None) => Ipv4OverIpv6::Never,
            (Some(_), Some(_)) => Ipv4OverIpv6::Preferred,
            (None, Some(_)) => Ipv4OverIpv6::Required,
        }
    }
}

/// What shapes the UPDATEs of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlet {
    pub(super) local_asn: u32,
    pub(super) internal: bool,
    pub(super) four_octet: bool,
    /// IPv4 routes have an IPv6 next hop.
    pub(super) ipv4_over_ipv6: bool,
    /// The peer knows the marks around an answer to its request. RFC 7313 §3.
    pub(super) enhanced_refresh: bool,
    /// What this side is to the peer.
    pub(super) role: Option<Role>,
    pub(super) families: Families,
    pub(super) next_hops: NextHops,
}

/// The table of one peer.
#[derive(Debug, Default)]
pub(super) struct RibOut {
    marks: NeighborMarks,
    desired: BTreeMap<IpNet, Attributes>,
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    outlet: Outlet,
    advertised: BTreeMap<IpNet, Attributes>,
    /// To be compared with `advertised`.
    changed: BTreeSet<IpNet>,
    /// Of `changed`, those that the peer knows with another next hop.
    misled: BTreeSet<IpNet>,
    /// To be sent though the peer should know them.
    refreshes: [Refresh; 2],
    /// Families whose End-of-RIB is still due.
    ends: Vec<Family>,
}

impl RibOut {
    /// An empty table of a peer that has `marks`.
    pub(super) fn new(marks: NeighborMarks) -> Self {
        Self {
            marks,
            ..Self::default()
        }
    }

    /// Sets the whole table. Returns the prefixes that cannot be sent, for too many communities or
    /// too much prepending; they count as not wanted.
    pub(super) fn set_routes(&mut self, routes: &[Route]) -> Vec<IpNet> {
        let mut refused = Vec::new();
        let mut desired = BTreeMap::new();
        for route in routes {
            match marks::apply(&self.marks, route) {
                Some(attributes) => {
                    desired.insert(route.prefix.trunc(), attributes);
                }
                None => refused.push(route.prefix),
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
            misled: BTreeSet::new(),
            refreshes: Family::ALL.map(Refresh::new),
            ends: outlet.families.iter().collect(),
        });
    }

    /// The routes lead elsewhere: they are told again, and not withdrawn unless they lead nowhere.
    /// RFC 4271 §3.1 (an implicit replacement).
    pub(super) fn set_next_hops(&mut self, next_hops: NextHops) {
        if let Some(session) = &mut self.session {
            let former = session.outlet;
            session.outlet.next_hops = next_hops;
            let again = self.desired.keys().filter(|prefix| {
                let family = Family::of(prefix);
                former.families.contains(family)
                    && former.next_hop(family) != session.outlet.next_hop(family)
            });
            let again: BTreeSet<IpNet> = again.copied().collect();
            session.changed.extend(&again);
            session.misled.extend(again);
        }
    }

    /// The session is over.
    pub(super) fn close(&mut self) {
        self.session = None;
    }

    /// The peer wants to hear `family` again, which the session carries.
    pub(super) fn refresh(&mut self, family: Family) {
        if let Some(session) = &mut self.session {
            let of_family = session.refreshes.iter_mut();
            of_family
                .filter(|refresh| refresh.family == family)
                .for_each(Refresh::want);
        }
    }

    /// How many prefixes the peer has been told.
    pub(super) fn advertised(&self) -> usize {
        let session = self.session.as_ref();
        session.map_or(0, |session| session.advertised.len())
    }

    /// Whether [`Self::next_message`] may have more to say.
    pub(super) fn is_pending(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            !session.changed.is_empty()
                || !session.ends.is_empty()
                || session.refreshes.iter().any(|one| one.step().is_some())
        })
    }

    /// The next message and its kind: withdrawals first, then announcements, then End-of-RIB, then
    /// what the peer has asked for once more.
    pub(super) fn next_message(&mut self) -> Option<(Kind, Vec<u8>)> {
        let session = self.session.as_mut()?;
        session.forget_what_is_known(&self.desired);
        if let Some(message) = session.next_update(&self.desired) {
            return Some((Kind::Update, message));
        }
        if let Some(family) = session.ends.first().copied() {
            session.ends.remove(0);
            return Some((Kind::Update, wire::withdrawal(family, &[])?));
        }
        session.next_refreshed(&self.desired)
    }
}

impl Session {
    fn forget_what_is_known(&mut self, desired: &BTreeMap<IpNet, Attributes>) {
        let (advertised, misled) = (&self.advertised, &self.misled);
        self.changed.retain(|prefix| {
            misled.contains(prefix) || desired.get(prefix) != advertised.get(prefix)
        });
    }

    /// Of what has changed.
    fn next_update(&mut self, desired: &BTreeMap<IpNet, Attributes>) -> Option<Vec<u8>> {
        if let Some(message) = self.withdrawal(desired) {
            return Some(message);
        }
        while !self.changed.is_empty() {
            let prefixes = alike(self.changed.iter(), desired);
            if let Some(message) = self.announcement(&prefixes, desired) {
                return Some(message);
            }
        }
        None
    }

    /// Of what is told once more.
    fn next_refreshed(&mut self, desired: &BTreeMap<IpNet, Attributes>) -> Option<(Kind, Vec<u8>)> {
        loop {
            let under_way = |one: &&mut Refresh| one.step().is_some();
            let refresh = self.refreshes.iter_mut().find(under_way)?;
            let family = refresh.family;
            let mark = match refresh.step()? {
                Step::Begin => {
                    let known = self.advertised.keys().copied();
                    refresh.begin(known.filter(|net| Family::of(net) == family).collect());
                    RefreshStep::Begin
                }
                Step::Tell => {
                    let prefixes = alike(refresh.rest(), desired);
                    match self.announcement(&prefixes, desired) {
                        Some(message) => return Some((Kind::Update, message)),
                        None => continue,
                    }
                }
                Step::End => {
                    refresh.end();
                    RefreshStep::End
                }
            };
            if self.outlet.enhanced_refresh {
                let message = message::route_refresh(family, mark);
                return Some((Kind::RouteRefresh, message));
            }
        }
    }

    fn withdrawal(&mut self, desired: &BTreeMap<IpNet, Attributes>) -> Option<Vec<u8>> {
        let leads_nowhere = |prefix: &IpNet| {
            self.advertised.contains_key(prefix)
                && self.outlet.next_hop(Family::of(prefix)).is_none()
        };
        let gone = |prefix: &&IpNet| !desired.contains_key(*prefix) || leads_nowhere(prefix);
        let family = Family::of(self.changed.iter().find(gone)?);
        let of_family = |prefix: &&IpNet| Family::of(prefix) == family;
        let prefixes = self.changed.iter().filter(gone).filter(of_family);
        let prefixes: Vec<IpNet> = prefixes.take(per_update(family)).copied().collect();
        for prefix in &prefixes {
            self.strike(prefix);
            self.advertised.remove(prefix);
        }
        match self.outlet.ipv4_over_ipv6 {
            true => wire::mp_withdrawal(family, &prefixes),
            false => wire::withdrawal(family, &prefixes),
        }
    }

    /// Of `prefixes`, which are alike. `None`, excluded by the bounds on prefixes and attributes: it
    /// would be too long, and they are left out.
    fn announcement(
        &mut self,
        prefixes: &[IpNet],
        desired: &BTreeMap<IpNet, Attributes>,
    ) -> Option<Vec<u8>> {
        for prefix in prefixes {
            self.strike(prefix);
        }
        let first = prefixes.first()?;
        let attributes = desired.get(first)?;
        let family = Family::of(first);
        let message = self.outlet.announce(family, attributes, prefixes)?;
        for prefix in prefixes {
            self.advertised.insert(*prefix, attributes.clone());
        }
        Some(message)
    }

    /// Nothing is left to say of `prefix`.
    fn strike(&mut self, prefix: &IpNet) {
        self.changed.remove(prefix);
        self.misled.remove(prefix);
        for refresh in &mut self.refreshes {
            refresh.strike(prefix);
        }
    }
}

/// The first of the `candidates` and those that one UPDATE can tell with it.
fn alike<'a>(
    mut candidates: impl Iterator<Item = &'a IpNet>,
    desired: &BTreeMap<IpNet, Attributes>,
) -> Vec<IpNet> {
    let Some(first) = candidates.next() else {
        return Vec::new();
    };
    let family = Family::of(first);
    let attributes = desired.get(first);
    let others = candidates
        .filter(|prefix| Family::of(prefix) == family && desired.get(*prefix) == attributes);
    let mut prefixes = vec![*first];
    prefixes.extend(others.take(per_update(family) - 1));
    prefixes
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
            family,
            next_hop: self.next_hop(family)?,
            as_path: &path,
            four_octet: self.four_octet,
            med: attributes.med,
            local_pref: self.internal.then(|| local_pref(attributes)),
            communities: &attributes.communities,
            large_communities: &attributes.large_communities,
            only_to_customer: self.only_to_customer(),
        };
        wire::announcement(&announcement, prefixes)
    }

    fn next_hop(&self, family: Family) -> Option<NextHop> {
        let hops = &self.next_hops;
        match (family, self.ipv4_over_ipv6) {
            (Family::Ipv4, false) => hops.v4.map(NextHop::V4),
            (Family::Ipv4, true) => hops.v4_over_v6.map(|hop| NextHop::V6(hop, None)),
            (Family::Ipv6, _) => hops.v6.map(|global| NextHop::V6(global, hops.link_local)),
        }
    }

    /// RFC 9234 §5, egress rule 1: a route that goes down or sideways may go down only from there.
    fn only_to_customer(&self) -> Option<u32> {
        match self.role.filter(|_| !self.internal)? {
            Role::Provider | Role::Peer | Role::RouteServer => Some(self.local_asn),
            Role::Customer | Role::RouteServerClient => None,
        }
    }
}

/// RFC 8326 §4.2: inside an AS the lowest preference does what the community asks for; prepending
/// does nothing there. No other preference counts beside the community.
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
