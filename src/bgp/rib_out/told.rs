//! What a peer has been told, in the attributes that its UPDATEs carried.
//!
//! Source: RFC 4271 §5.1 (attributes), RFC 2545 §3 (next hops of IPv6).

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Outlet, RibOut, local_pref};
use crate::bgp::Attributes;
use crate::bgp::message::Family;
use crate::bgp::wire::NextHop;

/// A prefix that a peer has been told and that was not withdrawn since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub prefix: IpNet,
    /// Where it leads: the address in NEXT_HOP or MP_REACH_NLRI, and the link-local one beside it.
    pub next_hops: Vec<IpAddr>,
    /// AS_PATH, the nearest first.
    pub as_path: Vec<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF, which internal peers get.
    pub local_pref: Option<u32>,
    /// COMMUNITIES. RFC 1997.
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY. RFC 8092.
    pub large_communities: Vec<[u32; 3]>,
    /// ONLY_TO_CUSTOMER. RFC 9234 §5.
    pub only_to_customer: Option<u32>,
}

impl RibOut {
    /// All that the peer has been told, sorted by prefix.
    pub(in crate::bgp) fn told(&self) -> Arc<[Told]> {
        let sessions = self.session.iter();
        let told = sessions.flat_map(|session| {
            let advertised = session.advertised.iter();
            advertised.map(|(prefix, attributes)| session.outlet.told(*prefix, attributes))
        });
        told.collect()
    }
}

impl Outlet {
    /// What [`Outlet::announce`] writes; a test compares the two.
    fn told(&self, prefix: IpNet, attributes: &Attributes) -> Told {
        let as_path = match self.internal {
            true => Vec::new(),
            false => vec![self.local_asn; usize::from(attributes.prepend) + 1],
        };
        let next_hops = match self.next_hop(Family::of(&prefix)) {
            Some(NextHop::V4(address)) => vec![address.into()],
            Some(NextHop::V6(address, link_local)) => [Some(address), link_local]
                .into_iter()
                .flatten()
                .map(IpAddr::V6)
                .collect(),
            None => Vec::new(),
        };
        Told {
            prefix,
            next_hops,
            as_path,
            med: attributes.med,
            local_pref: self.internal.then(|| local_pref(attributes)),
            communities: attributes.communities.clone(),
            large_communities: attributes.large_communities.clone(),
            only_to_customer: self.only_to_customer(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::message::{Families, HEADER_LEN};
    use crate::bgp::rib_out::NextHops;
    use crate::bgp::update::{Reading, Update};
    use crate::bgp::{GRACEFUL_SHUTDOWN, Preference, Role, Route};

    fn outlet(internal: bool) -> Outlet {
        Outlet {
            local_asn: 65_053,
            internal,
            four_octet: true,
            ipv4_over_ipv6: false,
            enhanced_refresh: false,
            role: Some(Role::Provider),
            families: Families::ALL,
            next_hops: NextHops {
                v4: Some([192, 0, 2, 10].into()),
                v4_over_v6: Some("fe80::10".parse().unwrap()),
                v6: Some("2001:db8::10".parse().unwrap()),
                link_local: Some("fe80::10".parse().unwrap()),
            },
        }
    }

    fn routes() -> [Route; 2] {
        let attributes = Attributes {
            prepend: 2,
            med: Some(1000),
            local_pref: Some(50),
            communities: vec![65_001 << 16, GRACEFUL_SHUTDOWN],
            large_communities: vec![[65_001, 1, 2]],
        };
        ["10.53.53.53/32", "fd53::53/128"].map(|prefix| Route {
            prefix: prefix.parse().unwrap(),
            preference: Preference::Preferred,
            attributes: attributes.clone(),
        })
    }

    /// RFC 4271 §5: what an operator is shown is what a router reads out of the UPDATE.
    #[test]
    fn what_is_shown_as_told_is_what_stands_in_the_update() {
        for (internal, ipv4_over_ipv6) in [(false, false), (true, false), (false, true)] {
            let mut rib = RibOut::default();
            rib.set_routes(&routes());
            assert!(rib.told().is_empty());
            rib.open(Outlet {
                ipv4_over_ipv6,
                ..outlet(internal)
            });
            assert!(rib.told().is_empty());
            for place in 0..2 {
                let (_, message) = rib.next_message().unwrap();
                let reading = Reading {
                    four_octet: true,
                    internal,
                    families: Families::ALL,
                    ipv4_over_ipv6,
                };
                let read = Update::decode(&message[HEADER_LEN..], &reading).unwrap();
                let told = rib.told()[place].clone();
                assert_eq!(read.announced, [told.prefix]);
                assert_eq!(read.next_hop(&told.prefix), told.next_hops.first().copied());
                assert_eq!(read.as_path.asns().collect::<Vec<_>>(), told.as_path);
                assert_eq!(
                    (read.med, read.local_pref, read.communities),
                    (told.med, told.local_pref, told.communities)
                );
                assert_eq!(
                    (read.large_communities, read.only_to_customer),
                    (told.large_communities, told.only_to_customer)
                );
            }
            assert_eq!(rib.told()[1].next_hops.len(), 2);
            rib.close();
            assert!(rib.told().is_empty());
        }
    }

    #[test]
    fn a_withdrawn_prefix_is_no_longer_shown() {
        let mut rib = RibOut::default();
        rib.set_routes(&routes());
        rib.open(outlet(false));
        while rib.next_message().is_some() {}
        assert_eq!(rib.told().len(), 2);
        rib.set_routes(&routes()[1..]);
        // Not yet told so.
        assert_eq!(rib.told().len(), 2);
        while rib.next_message().is_some() {}
        assert_eq!(rib.told()[0].prefix, routes()[1].prefix);
        assert_eq!(rib.told().len(), 1);
    }
}
