//! Who may have what: a class for each range of addresses of each family.
//!
//! Source: RFC 5358 §4 (a resolver for everybody is a reflector); RFC 4291 §2.5.5.2 (IPv4-mapped
//! addresses count as IPv4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::AccessSettings;

const LOOPBACK: [IpNet; 2] = [
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// What a client may have; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    const UPSTREAMS: u8 = 1;
    const CACHE: u8 = 1 << 1;
    const CHAOS: u8 = 1 << 2;
    const UNLIMITED: u8 = 1 << 3;
    /// All but freedom from limits.
    pub const EVERYTHING: Self = Self(Self::UPSTREAMS | Self::CACHE | Self::CHAOS);
    const BITS: [u8; 4] = [Self::UPSTREAMS, Self::CACHE, Self::CHAOS, Self::UNLIMITED];

    /// Whether upstreams are asked on the client's behalf.
    #[must_use]
    pub fn has_upstreams(self) -> bool {
        self.0 & Self::UPSTREAMS != 0
    }

    /// Whether the client gets what the cache and local data hold.
    #[must_use]
    pub fn has_cache(self) -> bool {
        self.0 & Self::CACHE != 0
    }

    /// Whether the client is told what this server is.
    #[must_use]
    pub fn has_chaos(self) -> bool {
        self.0 & Self::CHAOS != 0
    }

    /// Whether the client gets no answer but refusals.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 & Self::EVERYTHING.0 == 0
    }

    /// Whether no limit on questions and answers holds for the client.
    #[must_use]
    pub fn is_unlimited(self) -> bool {
        self.0 & Self::UNLIMITED != 0
    }
}

/// The class of every address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    v4: Steps<u32>,
    v6: Steps<u128>,
}

impl AccessList {
    /// `unlimited` are those for whom no limits hold. They never hold for loopback addresses: nobody
    /// can send from one over a network, and the self-probe does.
    ///
    /// A prefix on several lists gets what any of them gives.
    #[must_use]
    pub fn new(settings: &AccessSettings, unlimited: &[IpNet]) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for (prefixes, bits) in [
            (&settings.allow[..], Access::EVERYTHING.0),
            (&settings.allow_cached, Access::CACHE),
            (&settings.allow_chaos, Access::CHAOS),
            (unlimited, Access::UNLIMITED),
            (&LOOPBACK, Access::UNLIMITED),
        ] {
            for prefix in prefixes {
                match bounds(*prefix) {
                    Bounds::V4(first, last) => v4.push((first, last.checked_add(1), bits)),
                    Bounds::V6(first, last) => v6.push((first, last.checked_add(1), bits)),
                }
            }
        }
        Self {
            v4: Steps::new(&v4),
            v6: Steps::new(&v6),
        }
    }

    /// What `client` may have.
    #[must_use]
    pub fn of(&self, client: IpAddr) -> Access {
        match client.to_canonical() {
            IpAddr::V4(address) => self.v4.at(address.to_bits()),
            IpAddr::V6(address) => self.v6.at(address.to_bits()),
        }
    }
}

/// The first and the last address of a prefix.
enum Bounds {
    V4(u32, u32),
    V6(u128, u128),
}

fn bounds(prefix: IpNet) -> Bounds {
    match prefix {
        IpNet::V4(net) => Bounds::V4(net.network().to_bits(), net.broadcast().to_bits()),
        IpNet::V6(net) => {
            let (first, last) = (net.network(), net.broadcast());
            match (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                (Some(first), Some(last)) => Bounds::V4(first.to_bits(), last.to_bits()),
                _ => Bounds::V6(first.to_bits(), last.to_bits()),
            }
        }
    }
}

/// From which address on which class holds, in ascending order, for a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Steps<T>(Box<[(T, Access)]>);

impl<T: Copy + Ord> Steps<T> {
    /// Each range has its first address, the first one behind it (unless it goes to the end), and
    /// what it gives.
    fn new(ranges: &[(T, Option<T>, u8)]) -> Self {
        let mut changes: Vec<(T, i32, u8)> = Vec::new();
        for &(first, behind, bits) in ranges {
            changes.push((first, 1, bits));
            changes.extend(behind.map(|behind| (behind, -1, bits)));
        }
        changes.sort_unstable();
        // How many ranges give each bit at the place that the walk has come to.
        let mut giving = [0; Access::BITS.len()];
        let mut steps: Vec<(T, Access)> = Vec::new();
        for (from, change, bits) in changes {
            for (bit, giving) in Access::BITS.iter().zip(&mut giving) {
                *giving += if bits & bit == 0 { 0 } else { change };
            }
            let given = Access::BITS.iter().zip(&giving);
            let given = given.filter(|(_, giving)| **giving > 0);
            let access = Access(given.fold(0, |access, (bit, _)| access | bit));
            match steps.last_mut() {
                Some(step) if step.0 == from => step.1 = access,
                _ => steps.push((from, access)),
            }
        }
        steps.dedup_by_key(|&mut (_, access)| access);
        Self(steps.into())
    }

    fn at(&self, address: T) -> Access {
        let behind = self.0.partition_point(|&(from, _)| from <= address);
        let step = self.0.get(..behind).and_then(<[_]>::last);
        step.map_or(Access::default(), |&(_, access)| access)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn list(allow: &[&str]) -> AccessList {
        let settings = AccessSettings {
            allow: prefixes(allow),
            ..AccessSettings::default()
        };
        AccessList::new(&settings, &[])
    }

    fn allowed(list: &AccessList, client: &str) -> bool {
        list.of(client.parse().unwrap()).has_upstreams()
    }

    #[test]
    fn an_empty_list_allows_nobody() {
        let list = list(&[]);
        for client in ["127.0.0.1", "::1", "192.0.2.1"] {
            assert!(list.of(client.parse().unwrap()).is_none(), "{client}");
        }
    }

    #[test]
    fn each_list_gives_its_own_and_a_client_on_several_gets_all_of_it() {
        let settings = AccessSettings {
            allow: prefixes(&["10.0.0.0/8"]),
            allow_cached: prefixes(&["192.0.2.0/24", "2001:db8::/32"]),
            allow_chaos: prefixes(&["192.0.2.128/25", "198.51.100.7/32"]),
        };
        let list = AccessList::new(&settings, &prefixes(&["10.1.0.0/16", "203.0.113.0/24"]));
        for (client, upstreams, cache, chaos, unlimited) in [
            ("10.0.0.1", true, true, true, false),
            ("10.1.0.0", true, true, true, true),
            ("10.2.0.0", true, true, true, false),
            ("192.0.2.127", false, true, false, false),
            ("192.0.2.128", false, true, true, false),
            ("192.0.3.0", false, false, false, false),
            ("198.51.100.6", false, false, false, false),
            ("198.51.100.7", false, false, true, false),
            ("198.51.100.8", false, false, false, false),
            ("203.0.113.1", false, false, false, true),
            ("2001:db8::1", false, true, false, false),
            ("2001:db9::", false, false, false, false),
        ] {
            let access = list.of(client.parse().unwrap());
            assert_eq!(access.has_upstreams(), upstreams, "{client}");
            assert_eq!(access.has_cache(), cache, "{client}");
            assert_eq!(access.has_chaos(), chaos, "{client}");
            assert_eq!(access.is_unlimited(), unlimited, "{client}");
            assert_eq!(access.is_none(), !cache && !chaos, "{client}");
        }
    }

    #[test]
    fn no_limit_holds_for_loopback_addresses_whether_they_may_ask_or_not() {
        for list in [list(&[]), list(&["0.0.0.0/0", "::/0"])] {
            for (client, expected) in [
                ("127.0.0.1", true),
                ("127.255.255.255", true),
                ("::ffff:127.0.0.1", true),
                ("::1", true),
                ("126.255.255.255", false),
                ("128.0.0.0", false),
                ("::", false),
                ("::2", false),
            ] {
                let access = list.of(client.parse().unwrap());
                assert_eq!(access.is_unlimited(), expected, "{client}");
            }
        }
    }

    #[test]
    fn a_prefix_allows_its_first_and_last_address_and_not_their_neighbours() {
        let list = list(&["10.1.0.0/16", "10.0.0.0/24", "fd53::/48"]);
        for (client, expected) in [
            ("10.0.255.255", false),
            ("10.1.0.0", true),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("10.0.0.255", true),
            ("10.0.1.0", false),
            ("fd53::", true),
            ("fd53:0:0:ffff:ffff:ffff:ffff:ffff", true),
            ("fd53:0:1::", false),
            ("fd52:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("::", false),
        ] {
            assert_eq!(allowed(&list, client), expected, "{client}");
        }
    }

    /// RFC 4291 §2.5.5.2.
    #[test]
    fn mapped_addresses_count_as_ipv4() {
        let plain = list(&["192.0.2.0/24"]);
        assert!(allowed(&plain, "::ffff:192.0.2.1"));
        assert!(!allowed(&plain, "::ffff:192.0.3.1"));
        let mapped = list(&["::ffff:192.0.2.0/120"]);
        assert!(allowed(&mapped, "192.0.2.1"));
        assert!(!allowed(&mapped, "192.0.3.1"));
    }

    #[test]
    fn everybody_is_everybody() {
        let list = list(&["0.0.0.0/0", "::/0"]);
        for client in ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1"] {
            assert!(allowed(&list, client), "{client}");
        }
    }

    proptest! {
        #[test]
        fn the_list_agrees_with_looking_at_each_prefix(
            prefixes in proptest::collection::vec((any::<u32>(), 0..=32_u8, 0..3_usize), 0..12),
            client: u32,
            near: proptest::sample::Index,
        ) {
            let mut settings = AccessSettings::default();
            for (bits, length, which) in &prefixes {
                let address = Ipv4Addr::from_bits(*bits);
                let prefix = IpNet::new(address.into(), *length).unwrap();
                let AccessSettings { allow, allow_cached, allow_chaos } = &mut settings;
                [allow, allow_cached, allow_chaos][*which].push(prefix);
            }
            // A chance address is hardly ever in a small prefix.
            let first = prefixes.get(near.index(prefixes.len().max(1)));
            for bits in [client, first.map_or(0, |(bits, ..)| *bits)] {
                let client = IpAddr::from(Ipv4Addr::from_bits(bits));
                let on = |list: &[IpNet]| list.iter().any(|prefix| prefix.contains(&client));
                let access = AccessList::new(&settings, &[]).of(client);
                let all = on(&settings.allow);
                prop_assert_eq!(access.has_upstreams(), all);
                prop_assert_eq!(access.has_cache(), all || on(&settings.allow_cached));
                prop_assert_eq!(access.has_chaos(), all || on(&settings.allow_chaos));
            }
        }
    }
}
