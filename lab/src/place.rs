//! Where things are in the topologies of the drills, `anycast*.clab.yml`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::routes::Family;

/// The router between the client and the sites.
pub(crate) const CORE: &str = "core";
/// Where the queries come from.
pub(crate) const CLIENT: &str = "client";
/// The addresses that they come from, by turns: each is a client prefix of its own.
pub(crate) const CLIENT_PREFIXES: u8 = 4;
/// Two hosts with one link, which no drill touches.
pub(crate) const SENTINELS: [&str; 2] = ["sentinel1", "sentinel2"];
/// Where one sentinel finds the other.
pub(crate) const SENTINEL_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 99, 2);
/// What both sites announce.
pub(crate) const SERVICE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 53, 53, 53)),
    IpAddr::V6(Ipv6Addr::new(0xfd53, 0, 0, 0, 0, 0, 0, 0x53)),
];

/// The client's address with that number, from 0, in the family of `server`.
pub(crate) fn client_address(server: IpAddr, number: u8) -> IpAddr {
    let prefix = number % CLIENT_PREFIXES + 1;
    match server {
        IpAddr::V4(_) => Ipv4Addr::new(10, 1, prefix, 2).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd01, 0, 0, u16::from(prefix) << 8, 0, 0, 0, 2).into(),
    }
}

/// A site: a router and a node.
pub(crate) struct Site {
    pub(crate) router: &'static str,
    pub(crate) node: &'static str,
    /// The router's interface towards the node.
    pub(crate) router_interface: &'static str,
    /// The node's interface.
    pub(crate) node_interface: &'static str,
    /// What is between the two in `anycast-bfd.clab.yml`: eth1 towards the node, eth2 towards the
    /// router.
    pub(crate) switch: &'static str,
    /// The node's own address, which its session with the router also has.
    pub(crate) node_address: Ipv4Addr,
    /// The router, as the core names its peers, by family.
    pub(crate) core_peer: [&'static str; 2],
}

impl Site {
    /// The router, as the core names it in that family.
    pub(crate) fn peer(&self, family: Family) -> &'static str {
        let [v4, v6] = self.core_peer;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

/// The site that the core prefers.
pub(crate) const FIRST: Site = Site {
    router: "site1",
    node: "node1",
    router_interface: "eth2",
    node_interface: "eth1",
    switch: "switch1",
    node_address: Ipv4Addr::new(10, 0, 21, 2),
    core_peer: ["10.0.11.2", "fd00:11::2"],
};

/// The other one.
pub(crate) const SECOND: Site = Site {
    router: "site2",
    node: "node2",
    router_interface: "eth2",
    node_interface: "eth1",
    switch: "switch2",
    node_address: Ipv4Addr::new(10, 0, 22, 2),
    core_peer: ["10.0.12.2", "fd00:12::2"],
};

/// The last one, where there are three.
pub(crate) const THIRD: Site = Site {
    router: "site3",
    node: "node3",
    router_interface: "eth2",
    node_interface: "eth1",
    switch: "switch3",
    node_address: Ipv4Addr::new(10, 0, 23, 2),
    core_peer: ["10.0.13.2", "fd00:13::2"],
};

/// The upstreams, where the nodes ask them.
pub(crate) const UPSTREAMS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(10, 0, 31, 2), Ipv4Addr::new(10, 0, 32, 2)];
/// Where they are asked for the names of the second zone.
pub(crate) const ZONE_PORT: &str = "5353";
/// The networks of the upstreams.
pub(crate) const UPSTREAM_PREFIXES: [&str; 2] = ["10.0.31.0/24", "10.0.32.0/24"];
