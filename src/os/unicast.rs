//! Which addresses this host has, and which of them are its own for good.
//!
//! Source: RFC 4862 §5.4 (tentative addresses), §5.5.4 (deprecated ones), RFC 8981 (temporary ones).
//! A service address is the same on other hosts, so it is never counted as one of this host.

use std::net::IpAddr;

use super::netlink::{Assigned, Link, Netlink, NetlinkError};

/// What the kernel told at one time.
#[derive(Clone, Debug, Default)]
pub struct Unicast {
    links: Vec<Link>,
    addresses: Vec<Assigned>,
    services: Vec<IpAddr>,
}

/// Addresses of an interface that clients may be told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usable {
    /// In the kernel's order.
    pub addresses: Vec<IpAddr>,
    /// More may come: duplicate address detection is under way.
    pub is_checking: bool,
}

impl Unicast {
    /// Asks the kernel; `services` are left out of all answers.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub async fn look(netlink: &Netlink, services: &[IpAddr]) -> Result<Self, NetlinkError> {
        Ok(Self {
            links: netlink.links().await?,
            addresses: netlink.addresses().await?,
            services: services.to_vec(),
        })
    }

    /// Every address of every interface, whatever its state.
    #[must_use]
    pub fn all(&self) -> Vec<IpAddr> {
        let addresses = self.addresses.iter().map(|found| found.address);
        addresses
            .filter(|own| !self.services.contains(own))
            .collect()
    }

    /// Addresses of an interface that reach further than its link and last: neither temporary nor
    /// deprecated, tentative or duplicate. `None` when there is no such interface.
    #[must_use]
    pub fn of_interface(&self, name: &str) -> Option<Usable> {
        let link = self.links.iter().find(|link| link.name == name)?;
        let mut usable = Usable::default();
        for found in &self.addresses {
            // The flag means "temporary" for IPv6 only.
            let is_temporary = found.address.is_ipv6() && found.secondary;
            let is_lasting = !is_temporary && !found.deprecated && !found.duplicate;
            if found.index != link.index
                || !found.global
                || !is_lasting
                || self.services.contains(&found.address)
            {
                continue;
            }
            if found.tentative {
                usable.is_checking = true;
            } else {
                usable.addresses.push(found.address);
            }
        }
        Some(usable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: u32 = 2;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn address(text: &str) -> Assigned {
        Assigned {
            index: ETH0,
            address: ip(text),
            prefix_length: 24,
            global: true,
            host_only: false,
            secondary: false,
            deprecated: false,
            tentative: false,
            duplicate: false,
            mark: None,
        }
    }

    fn host(addresses: Vec<Assigned>) -> Unicast {
        let link = |index, name: &str| Link {
            index,
            name: name.to_owned(),
            up: true,
            link_layer: Vec::new(),
        };
        Unicast {
            links: vec![link(1, "lo"), link(ETH0, "eth0")],
            addresses,
            services: vec![ip("10.53.53.53")],
        }
    }

    fn of_eth0(addresses: Vec<Assigned>) -> Vec<IpAddr> {
        host(addresses).of_interface("eth0").unwrap().addresses
    }

    #[test]
    fn an_interface_has_the_global_addresses_of_both_families() {
        let mut second = address("192.0.2.11");
        second.secondary = true;
        let mut link_local = address("fe80::10");
        link_local.global = false;
        let mut elsewhere = address("192.0.2.12");
        elsewhere.index = 1;
        let all = vec![
            address("192.0.2.10"),
            second,
            link_local,
            elsewhere,
            address("2001:db8::10"),
        ];
        assert_eq!(
            of_eth0(all),
            ["192.0.2.10", "192.0.2.11", "2001:db8::10"].map(ip)
        );
    }

    #[test]
    fn addresses_that_pass_and_those_of_services_are_left_out() {
        let changes: [fn(&mut Assigned); 3] = [
            |found| found.secondary = true,
            |found| found.deprecated = true,
            |found| found.duplicate = true,
        ];
        for change in changes {
            let mut passing = address("2001:db8::11");
            change(&mut passing);
            assert_eq!(
                of_eth0(vec![passing, address("2001:db8::10")]),
                [ip("2001:db8::10")]
            );
        }
        assert_eq!(of_eth0(vec![address("10.53.53.53")]), [] as [IpAddr; 0]);
    }

    /// RFC 4862 §5.4: a tentative address cannot be bound yet.
    #[test]
    fn a_tentative_address_is_worth_waiting_for() {
        let mut tentative = address("2001:db8::10");
        tentative.tentative = true;
        let found = host(vec![address("192.0.2.10"), tentative]).of_interface("eth0");
        let usable = Usable {
            addresses: vec![ip("192.0.2.10")],
            is_checking: true,
        };
        assert_eq!(found, Some(usable));
    }

    #[test]
    fn an_interface_without_addresses_differs_from_one_that_is_not_there() {
        assert_eq!(
            host(Vec::new()).of_interface("eth0"),
            Some(Usable::default())
        );
        assert_eq!(host(Vec::new()).of_interface("eth1"), None);
    }

    #[test]
    fn all_addresses_of_the_host_are_those_of_all_interfaces_but_for_services() {
        let mut loopback = address("127.0.0.1");
        loopback.index = 1;
        let host = host(vec![
            loopback,
            address("10.53.53.53"),
            address("192.0.2.10"),
        ]);
        assert_eq!(host.all(), ["127.0.0.1", "192.0.2.10"].map(ip));
    }
}
