//! Who may ask: a list of prefixes for each address family.
//!
//! Source: RFC 5358 §4 (a resolver for everybody is a reflector); RFC 4291 §2.5.5.2 (IPv4-mapped
//! addresses count as IPv4).

use std::net::IpAddr;

use ipnet::IpNet;

/// The prefixes whose hosts get answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl AccessList {
    /// Everybody in any of `allowed`; nobody when it is empty.
    #[must_use]
    pub fn new(allowed: &[IpNet]) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for prefix in allowed {
            match prefix {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => {
                    let (first, last) = (net.network(), net.broadcast());
                    match (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                        (Some(first), Some(last)) => v4.push((first.to_bits(), last.to_bits())),
                        _ => v6.push((first.to_bits(), last.to_bits())),
                    }
                }
            }
        }
        Self {
            v4: Ranges::new(v4),
            v6: Ranges::new(v6),
        }
    }

    /// Whether `client` gets answers.
    #[must_use]
    pub fn allows(&self, client: IpAddr) -> bool {
        match client.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }
}

/// Closed ranges, sorted and without overlap, for a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges<T>(Box<[(T, T)]>);

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged.into())
    }

    fn contains(&self, value: T) -> bool {
        let behind = self.0.partition_point(|&(first, _)| first <= value);
        self.0[..behind]
            .last()
            .is_some_and(|&(_, last)| value <= last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(prefixes: &[&str]) -> AccessList {
        let parsed: Vec<IpNet> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        AccessList::new(&parsed)
    }

    fn allowed(list: &AccessList, client: &str) -> bool {
        list.allows(client.parse().unwrap())
    }

    #[test]
    fn an_empty_list_allows_nobody() {
        let list = list(&[]);
        assert!(!allowed(&list, "127.0.0.1"));
        assert!(!allowed(&list, "::1"));
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
            prefixes in proptest::collection::vec((any::<u32>(), 0..=32_u8), 0..12),
            client: u32,
        ) {
            let prefixes: Vec<IpNet> = prefixes
                .into_iter()
                .map(|(bits, length)| IpNet::new(std::net::Ipv4Addr::from_bits(bits).into(), length).unwrap())
                .collect();
            let client = IpAddr::from(std::net::Ipv4Addr::from_bits(client));
            let expected = prefixes.iter().any(|prefix| prefix.contains(&client));
            prop_assert_eq!(AccessList::new(&prefixes).allows(client), expected);
        }
    }
}
