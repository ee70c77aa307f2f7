//! Which of many siblings a node asks, and from which of its addresses.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher24;

/// So many addresses are asked at most.
pub const ASKED_MAX: usize = 16;

/// An address to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// As on the list.
    pub address: SocketAddr,
    /// This node's address on the list that it is asked from; `None`: there is none of that kind, so
    /// that it will not know who asks.
    pub source: Option<IpAddr>,
}

/// Chooses from `siblings`, the addresses on the list that are not this node's, which are `own`.
///
/// All of a short list. A long one is taken as a ring, and of it those beside this node's own address
/// on both sides: eight on each, or four where the list has addresses of both families, for then there
/// are two rings. So each node asks others, nobody is asked by many, and who is asked asks back,
/// without which nobody could say that he gets no answer. The order is that of hashes, the same on
/// all nodes: neighbours by address are neighbours in the network and lose their upstreams together.
/// A node that is not on the list stands where its number `node` puts it.
#[must_use]
pub fn choose(siblings: &[SocketAddr], own: &[IpAddr], node: u32) -> Vec<PeerAddress> {
    let all = || {
        siblings
            .iter()
            .map(SocketAddr::ip)
            .chain(own.iter().copied())
    };
    let is_mixed = all().any(|ip| ip.is_ipv4()) && all().any(|ip| ip.is_ipv6());
    let room = if is_mixed { ASKED_MAX / 2 } else { ASKED_MAX };
    let mut chosen = Vec::new();
    for is_v4 in [true, false] {
        let ring = siblings.iter().filter(|s| s.is_ipv4() == is_v4);
        let mut ring: Vec<_> = ring
            .map(|sibling| (place_of(sibling.ip()), sibling))
            .collect();
        ring.sort_unstable();
        ring.dedup();
        let own_here: Vec<_> = own.iter().filter(|ip| ip.is_ipv4() == is_v4).collect();
        let place = match own_here.iter().map(|own| place_of(**own)).min() {
            Some(own) => ring.partition_point(|(place, _)| *place < own),
            None => usize::try_from(node).unwrap_or(0) % ring.len().max(1),
        };
        let before = place + ring.len().saturating_sub(room / 2);
        let beside = ring.iter().cycle().skip(before % ring.len().max(1));
        chosen.extend(beside.take(room.min(ring.len())).map(|&(_, &address)| {
            let to = address.ip();
            let reaches = |own: &&&IpAddr| own.is_loopback() == to.is_loopback();
            PeerAddress {
                address,
                source: own_here.iter().find(reaches).map(|own| **own),
            }
        }));
    }
    chosen
}

/// Where an address stands among all. No secret: it has to be the same on all nodes.
fn place_of(address: IpAddr) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&[0; 16]);
    match address {
        IpAddr::V4(address) => hasher.write(&address.octets()),
        IpAddr::V6(address) => hasher.write(&address.octets()),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses 10.0.0.n and fd53::n.
    fn list(v4: std::ops::Range<u8>, v6: std::ops::Range<u16>) -> Vec<IpAddr> {
        let v4 = v4.map(|n| IpAddr::from([10, 0, 0, n]));
        let v6 = v6.map(|n| IpAddr::from([0xfd53, 0, 0, 0, 0, 0, 0, n]));
        v4.chain(v6).collect()
    }

    fn chosen(list: &[IpAddr], own: &[IpAddr], node: u32) -> Vec<IpAddr> {
        let siblings = list.iter().filter(|ip| !own.contains(ip));
        let siblings: Vec<_> = siblings.map(|ip| SocketAddr::new(*ip, 53)).collect();
        let chosen = choose(&siblings, own, node);
        let mut addresses: Vec<_> = chosen.iter().map(|peer| peer.address.ip()).collect();
        addresses.sort_unstable();
        let count = addresses.len();
        addresses.dedup();
        assert_eq!(addresses.len(), count, "each once");
        addresses
    }

    #[test]
    fn of_a_short_list_all_others_are_asked() {
        for list in [list(1..18, 0..0), list(0..0, 1..18), list(1..10, 1..10)] {
            for own in &list {
                // Of two families each has half of the room, and the other one's own is missing.
                let same = |ip: &&IpAddr| ip.is_ipv4() == own.is_ipv4();
                let found = chosen(&list, &[*own], 0);
                let of_family = found.iter().filter(same).count();
                assert_eq!(of_family, list.iter().filter(same).count() - 1);
            }
        }
        assert!(choose(&[], &list(1..2, 1..2), 7).is_empty());
    }

    #[test]
    fn of_a_long_list_sixteen_are_asked_and_they_ask_back() {
        let list = list(0..200, 0..0);
        for own in &list {
            let asked = chosen(&list, &[*own], 0);
            assert_eq!(asked.len(), ASKED_MAX);
            for other in asked {
                assert!(chosen(&list, &[other], 0).contains(own), "{own} {other}");
            }
        }
    }

    /// Three sites of a hundred nodes, each with a prefix of its own: what one site has lost the others
    /// may have.
    #[test]
    fn of_a_long_list_nodes_elsewhere_are_asked() {
        let sites = (0..3_u8).flat_map(|site| (0..100).map(move |n| [10, site, 0, n].into()));
        let list: Vec<IpAddr> = sites.collect();
        let is_near = |one: IpAddr, other: IpAddr| match (one, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[1] == other.octets()[1],
            _ => false,
        };
        for own in &list {
            let asked = chosen(&list, &[*own], 0);
            let elsewhere = asked.iter().filter(|other| !is_near(*own, **other));
            assert!(elsewhere.count() >= 4, "{own}: {asked:?}");
        }
    }

    #[test]
    fn nodes_with_two_addresses_have_eight_of_each_family() {
        let list = list(0..100, 0..100);
        for n in 0..100 {
            let own = [list[n], list[n + 100]];
            let asked = chosen(&list, &own, 0);
            assert_eq!(asked.len(), ASKED_MAX);
            assert_eq!(asked.iter().filter(|ip| ip.is_ipv4()).count(), 8);
        }
    }

    #[test]
    fn nodes_that_are_not_listed_ask_different_ones() {
        let list = list(0..200, 0..0);
        assert_eq!(chosen(&list, &[], 5).len(), ASKED_MAX);
        assert_ne!(chosen(&list, &[], 5), chosen(&list, &[], 100));
        assert_eq!(chosen(&list, &[], 5), chosen(&list, &[], 5));
    }

    #[test]
    fn questions_leave_from_the_own_address_of_the_family() {
        let own = list(5..6, 5..6);
        let siblings =
            ["10.0.0.1:53", "[fd53::1]:53", "127.0.0.1:5301"].map(|text| text.parse().unwrap());
        let mut chosen = choose(&siblings, &own, 0);
        chosen.sort_unstable_by_key(|peer| peer.address);
        let sources: Vec<_> = chosen.iter().map(|peer| peer.source).collect();
        assert_eq!(sources, [Some(own[0]), None, Some(own[1])]);
    }
}
