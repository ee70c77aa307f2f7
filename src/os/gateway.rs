//! Neighbours from the routing table, and what this host is towards them.
//!
//! Source: RFC 4271 §4.2 (BGP identifier), RFC 4760 §3 and RFC 2545 §3 (next hops), RFC 4007 §6
//! (link-local addresses are good on one link).
//! `default-gateway` means every next hop of the lowest-metric default route in the main table;
//! the IPv6 one only when there is none for IPv4. No service address is ever a source, a next hop
//! or an identifier: it is the same on every node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::AddressFamily;

use super::advertisement::Attachment;
use super::netlink::{Netlink, NetlinkError, Route};

mod choose;
#[cfg(test)]
mod example;

use self::choose::Tables;

/// A next hop of the default route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Whom to talk to.
    pub address: IpAddr,
    /// Interface index if `address` is link-local, else 0.
    pub scope_id: u32,
    /// What this host is towards it.
    pub local: Local,
}

/// What this host is towards a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Index of the interface that leads there.
    pub interface_index: u32,
    /// Its name.
    pub interface: String,
    /// Administratively up, with carrier.
    pub link_up: bool,
    /// The neighbour is on the interface's own link, not behind a gateway.
    pub is_on_link: bool,
    /// What the session is sent from: an address of the neighbour's family.
    pub source: IpAddr,
    /// Next hop of IPv4 routes; without one, IPv4 is not offered.
    pub next_hop_v4: Result<Ipv4Addr, NoNextHop>,
    /// Next hop of IPv6 routes, global and stable; without one, IPv6 is not offered.
    pub next_hop_v6: Result<Ipv6Addr, NoNextHop>,
}

/// Why routes of a family cannot be offered over an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNextHop {
    /// The interface has no address that reaches further than the link.
    #[error("the interface has no global address of this family")]
    NoAddress,
    /// All that it has are service addresses.
    #[error("the interface has service addresses only")]
    OnlyService,
    /// Duplicate address detection is still under way: an address event will follow.
    #[error("the interface's address is still being checked for duplicates")]
    Tentative,
    /// All that it has are temporary, deprecated or duplicate.
    #[error("the interface has no stable address: all are temporary, deprecated or duplicate")]
    Unstable,
}

/// Why there is no neighbour or no way to it.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Neither family has a default route: wait for one.
    #[error("there is no default route in the main table")]
    NoDefaultRoute,
    /// The default route has no next hop with an address.
    #[error("the default route leads to {interface} without a gateway; name the neighbour instead")]
    NoAddress {
        /// Where it leads.
        interface: String,
    },
    /// The interface that is named does not exist.
    #[error("there is no interface {interface}")]
    NoInterface {
        /// As configured.
        interface: String,
    },
    /// Nothing can be on the other end.
    #[error("{interface} is down")]
    LinkDown {
        /// Which interface.
        interface: String,
    },
    /// Neither has it a link-local address to talk from, nor is one being checked.
    #[error("{interface} has no link-local IPv6 address that can be used (yet)")]
    NoLinkLocal {
        /// Which interface.
        interface: String,
    },
    /// Nobody has advertised itself.
    #[error("no router has been heard on {interface} yet")]
    NoRouter {
        /// Which interface.
        interface: String,
    },
    /// No address to talk from.
    #[error("{interface} has no usable address to reach {neighbor} from")]
    NoSource {
        /// Which interface.
        interface: String,
        /// Whom.
        neighbor: IpAddr,
    },
    /// The kernel has no route.
    #[error("there is no route to {neighbor}")]
    NoRoute {
        /// Whom.
        neighbor: IpAddr,
    },
    /// A link-local address means something on a given link only.
    #[error("{neighbor} is link-local: it needs an interface")]
    NeedsInterface {
        /// Whom.
        neighbor: IpAddr,
    },
    /// The kernel could not be asked.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// What will be asked of a [`View`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Whom [`View::local_for`] will be asked for.
    pub neighbors: Vec<IpAddr>,
    /// Whether [`View::known_routers`] will.
    pub with_routers: bool,
    /// Whether [`View::default_gateways`] or [`View::router_id`] will.
    pub with_defaults: bool,
}

/// What the kernel told at one time: answers without waiting.
#[derive(Clone, Debug, Default)]
pub struct View {
    tables: Tables,
    /// Towards each neighbour that is named by its address.
    routes: Vec<(IpAddr, Option<Route>)>,
    /// Routers that the kernel itself knows, with the index of their interface.
    routers: Vec<(u32, Ipv6Addr)>,
}

impl View {
    /// Asks the kernel; `services` are left out of all answers.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub async fn look(
        netlink: &Netlink,
        services: &[IpAddr],
        questions: &Questions,
    ) -> Result<Self, NetlinkError> {
        let mut view = Self::default();
        for neighbor in &questions.neighbors {
            let route = netlink.route_to(*neighbor).await?;
            view.routes.push((*neighbor, route));
        }
        if questions.with_routers {
            view.routers = netlink.routers().await?;
        }
        view.tables = tables(netlink, services, questions.with_defaults).await?;
        Ok(view)
    }

    /// Every next hop that `default-gateway` stands for now, each once.
    ///
    /// Next hops that cannot be used are left out as long as there is another one.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn default_gateways(&self) -> Result<Vec<Gateway>, GatewayError> {
        self.tables.default_gateways()
    }

    /// What this host is towards a neighbour that is named by its address.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn local_for(&self, neighbor: IpAddr) -> Result<Local, GatewayError> {
        if choose::is_link_local(neighbor) && neighbor.is_ipv6() {
            return Err(GatewayError::NeedsInterface { neighbor });
        }
        let known = self.routes.iter().find(|(address, _)| *address == neighbor);
        let route = known.and_then(|(_, route)| route.as_ref());
        let hop = route.and_then(|route| route.hops.first());
        let (Some(route), Some(hop)) = (route, hop) else {
            return Err(GatewayError::NoRoute { neighbor });
        };
        let local = self
            .tables
            .local(hop.index, neighbor, route.preferred_source)?;
        Ok(Local {
            is_on_link: hop.gateway.is_none(),
            ..local
        })
    }

    /// What this host is towards a neighbour with a link-local address on this interface.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn local_on(&self, interface: &str, neighbor: Ipv6Addr) -> Result<Local, GatewayError> {
        let link = self.tables.link(interface)?;
        self.tables.local(link.index, neighbor.into(), None)
    }

    /// How this host is on an interface's link.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn attachment(&self, interface: &str) -> Result<Attachment, GatewayError> {
        self.tables.attachment(interface)
    }

    /// Routers on an interface that the kernel knows, whatever it does with their advertisements.
    pub fn known_routers(&self, interface_index: u32) -> impl Iterator<Item = Ipv6Addr> {
        let there = self.routers.iter();
        there
            .filter(move |(index, _)| *index == interface_index)
            .map(|(_, address)| *address)
    }

    /// Whether no other interface has an address that reaches further than its link.
    #[must_use]
    pub fn is_only_way(&self, interface_index: u32) -> bool {
        self.tables.is_only_way(interface_index)
    }

    /// See [`router_id`].
    #[must_use]
    pub fn router_id(&self) -> Option<Ipv4Addr> {
        self.tables.router_id()
    }
}

/// The BGP identifier: the primary unicast IPv4 address of the interface with the default route,
/// else of any interface; `None` when there is none.
///
/// # Errors
/// See [`GatewayError`].
pub async fn router_id(
    netlink: &Netlink,
    services: &[IpAddr],
) -> Result<Option<Ipv4Addr>, GatewayError> {
    Ok(tables(netlink, services, true).await?.router_id())
}

async fn tables(
    netlink: &Netlink,
    services: &[IpAddr],
    with_defaults: bool,
) -> Result<Tables, NetlinkError> {
    let mut tables = Tables {
        links: netlink.links().await?,
        addresses: netlink.addresses().await?,
        services: services.to_vec(),
        ..Tables::default()
    };
    // The kernel can only list the whole table, which others may have filled, anybody on a link with
    // router advertisements: only what is needed is asked for.
    if with_defaults {
        tables.defaults_v4 = netlink.default_routes(AddressFamily::Inet).await?;
    }
    if with_defaults && tables.needs_defaults_v6() {
        tables.defaults_v6 = netlink.default_routes(AddressFamily::Inet6).await?;
    }
    Ok(tables)
}
