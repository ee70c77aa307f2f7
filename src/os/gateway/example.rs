//! A host for tests of those who ask about one.

use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::choose::Tables;
use crate::os::netlink::{Assigned, Hop, Link, Route};

impl View {
    /// A host with these interfaces, up unless their name begins with "down".
    pub(crate) fn example(interfaces: &[(u32, &str, &[&str])]) -> Self {
        let mut tables = Tables::default();
        for (index, name, addresses) in interfaces {
            tables.links.push(Link {
                index: *index,
                name: (*name).to_owned(),
                up: !name.starts_with("down"),
                link_layer: vec![2, 0, 0, 0, 0, 0x53],
            });
            let assigned = addresses.iter().map(|cidr| assigned(*index, cidr));
            tables.addresses.extend(assigned);
        }
        Self {
            tables,
            routes: Vec::new(),
            routers: Vec::new(),
        }
    }

    /// The way to a neighbour; an IPv4 default route, too, if it leads through a gateway.
    pub(crate) fn with_route(mut self, neighbor: &str, index: u32, gateway: Option<&str>) -> Self {
        let route = Route {
            priority: 0,
            preferred_source: None,
            hops: vec![Hop {
                gateway: gateway.map(|gateway| gateway.parse().unwrap()),
                index,
                dead: false,
            }],
        };
        self.tables
            .defaults_v4
            .extend(gateway.is_some().then(|| route.clone()));
        self.routes.push((neighbor.parse().unwrap(), Some(route)));
        self
    }

    /// One default route through several gateways.
    pub(crate) fn with_gateways(mut self, gateways: &[(u32, &str)]) -> Self {
        let hops = gateways.iter().map(|(index, gateway)| Hop {
            gateway: Some(gateway.parse().unwrap()),
            index: *index,
            dead: false,
        });
        self.tables.defaults_v6.push(Route {
            priority: 0,
            preferred_source: None,
            hops: hops.collect(),
        });
        self
    }

    /// A router that the kernel knows.
    pub(crate) fn with_router(mut self, index: u32, address: &str) -> Self {
        self.routers.push((index, address.parse().unwrap()));
        self
    }

    /// Changes every address of the host that is this one.
    pub(crate) fn tentative(mut self, address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        for found in &mut self.tables.addresses {
            found.tentative |= found.address == address;
        }
        self
    }
}

fn assigned(index: u32, cidr: &str) -> Assigned {
    let cidr: IpNet = cidr.parse().unwrap();
    let is_loopback = cidr.addr().is_loopback();
    let is_link_only = match cidr.addr() {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    Assigned {
        index,
        address: cidr.addr(),
        prefix_length: cidr.prefix_len(),
        global: !is_loopback && !is_link_only,
        host_only: is_loopback,
        secondary: false,
        deprecated: false,
        tentative: false,
        duplicate: false,
        mark: None,
    }
}
