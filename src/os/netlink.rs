//! The request connection to rtnetlink, and what it tells as plain data.
//!
//! Source: rtnetlink(7), RFC 3549 §3.1 (interfaces, addresses), §3.2 (routes).

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The kernel answers in microseconds; a dump that lost its end to an overrun never ends.
const REQUEST_LIMIT: Duration = Duration::from_millis(250);

/// Asks the kernel; cheap to clone.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
    /// Held during a dump: the kernel makes one at a time for a socket and refuses a second one
    /// (EBUSY).
    turn: Arc<Mutex<()>>,
}

/// Why the kernel did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused; the usual one is a missing CAP_NET_ADMIN.
    #[error("the kernel refused to {operation}: {source}")]
    Refused {
        /// What was asked for.
        operation: &'static str,
        /// The kernel's errno.
        source: io::Error,
    },
    /// The connection has ended or said something unexpected.
    #[error("netlink failed to {operation}: {text}")]
    Connection {
        /// What was asked for.
        operation: &'static str,
        /// What the netlink library said.
        text: String,
    },
    /// No answer within a quarter of a second.
    #[error("no answer from the kernel to: {operation}")]
    Silent {
        /// What was asked for.
        operation: &'static str,
    },
}

impl NetlinkError {
    /// The kernel's errno, when it refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            Self::Connection { .. } | Self::Silent { .. } => None,
        }
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// Administratively up, with carrier.
    pub(super) up: bool,
    /// IFLA_ADDRESS; 6 octets for Ethernet.
    pub(super) link_layer: Vec<u8>,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) index: u32,
    pub(super) address: IpAddr,
    pub(super) prefix_length: u8,
    /// Scope universe: usable towards other networks.
    pub(super) global: bool,
    /// Scope host: never a source towards another host.
    pub(super) host_only: bool,
    /// IPv4: not the first of its subnet. IPv6: temporary (RFC 8981).
    pub(super) secondary: bool,
    pub(super) deprecated: bool,
    /// Duplicate address detection is under way.
    pub(super) tentative: bool,
    /// Duplicate address detection found another owner.
    pub(super) duplicate: bool,
    /// IFA_PROTO, Linux 5.18 or later.
    pub(super) mark: Option<u8>,
}

/// A route as far as it matters for finding a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The metric; lower is better.
    pub(super) priority: u32,
    pub(super) preferred_source: Option<IpAddr>,
    pub(super) hops: Vec<Hop>,
}

/// One next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// `None`: the destination is on the link itself.
    pub(super) gateway: Option<IpAddr>,
    pub(super) index: u32,
    /// The kernel itself does not use it.
    pub(super) dead: bool,
}

impl Netlink {
    /// Opens the connection; the caller runs the returned future as long as requests are made.
    ///
    /// # Errors
    /// No netlink socket, usually because the process may open no more files.
    pub fn connect() -> io::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let turn = Arc::default();
        Ok((Self { handle, turn }, connection))
    }

    pub(super) fn handle(&self) -> &rtnetlink::Handle {
        &self.handle
    }

    /// Every interface.
    pub(super) async fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let _turn = self.turn.lock().await;
        let dump = self.handle.link().get().execute();
        let links: Vec<LinkMessage> = request("list interfaces", dump.try_collect()).await?;
        Ok(links.iter().map(link).collect())
    }

    /// Link-local addresses of neighbours that have said to be routers, each with the index of its
    /// interface. RFC 4861 §7.2.5 (IsRouter).
    pub(super) async fn routers(&self) -> Result<Vec<(u32, Ipv6Addr)>, NetlinkError> {
        let _turn = self.turn.lock().await;
        let mut dump = self.handle.neighbours().get();
        dump = dump.set_address_family(AddressFamily::Inet6);
        let found = dump
            .execute()
            .try_filter_map(|message| std::future::ready(Ok(router(&message))));
        request("list neighbours", found.try_collect()).await
    }

    /// Every address of every interface.
    pub(super) async fn addresses(&self) -> Result<Vec<Assigned>, NetlinkError> {
        let _turn = self.turn.lock().await;
        let dump = self.handle.address().get().execute();
        let all: Vec<AddressMessage> = request("list addresses", dump.try_collect()).await?;
        Ok(all.iter().filter_map(assigned).collect())
    }

    /// The default routes of the main table of one family.
    pub(super) async fn default_routes(
        &self,
        family: AddressFamily,
    ) -> Result<Vec<Route>, NetlinkError> {
        let defaults = self
            .main_table(family, |route| default_route(&route))
            .await?;
        Ok(defaults)
    }

    /// What `pick` finds in the main table of one family; nothing else of it is kept.
    pub(super) async fn main_table<T>(
        &self,
        family: AddressFamily,
        pick: impl Fn(RouteMessage) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        let _turn = self.turn.lock().await;
        let dump = self.handle.route().get(message).execute();
        let picked = dump.try_filter_map(|route| {
            let found = in_main_table(&route).then(|| pick(route)).flatten();
            std::future::ready(Ok(found))
        });
        request("list routes", picked.try_collect()).await
    }

    /// The route that a packet to `destination` takes; `None` when there is no such route.
    pub(super) async fn route_to(
        &self,
        destination: IpAddr,
    ) -> Result<Option<Route>, NetlinkError> {
        let mut message = RouteMessage::default();
        let (family, length) = match destination {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        message.header.address_family = family;
        message.header.destination_prefix_length = length;
        message
            .attributes
            .push(RouteAttribute::Destination(destination.into()));
        let mut answers = Box::pin(self.handle.route().get(message).execute());
        match request("look up a route", answers.try_next()).await {
            Ok(Some(found)) if leads_somewhere(found.header.kind) => Ok(Some(route(&found))),
            Ok(_) => Ok(None),
            Err(error) if error.errno().is_some_and(is_unreachable) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Waits for the end of a request, but not for ever.
pub(super) async fn request<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T, NetlinkError> {
    match timeout(REQUEST_LIMIT, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(rtnetlink::Error::NetlinkError(refusal))) => Err(NetlinkError::Refused {
            operation,
            source: refusal.to_io(),
        }),
        Ok(Err(other)) => Err(NetlinkError::Connection {
            operation,
            text: other.to_string(),
        }),
        Err(_) => Err(NetlinkError::Silent { operation }),
    }
}

fn is_unreachable(errno: i32) -> bool {
    [
        libc::ENETUNREACH,
        libc::EHOSTUNREACH,
        libc::EACCES,
        libc::EINVAL,
        // A host without that family.
        libc::EOPNOTSUPP,
        libc::EAFNOSUPPORT,
    ]
    .contains(&errno)
}

fn leads_somewhere(kind: RouteType) -> bool {
    matches!(kind, RouteType::Unicast | RouteType::Local)
}

/// Reads a link message.
pub(super) fn link(message: &LinkMessage) -> Link {
    let name = message.attributes.iter().find_map(|attribute| {
        let LinkAttribute::IfName(name) = attribute else {
            return None;
        };
        Some(name.clone())
    });
    let link_layer = message.attributes.iter().find_map(|attribute| {
        let LinkAttribute::Address(address) = attribute else {
            return None;
        };
        Some(address.clone())
    });
    Link {
        index: message.header.index,
        name: name.unwrap_or_default(),
        link_layer: link_layer.unwrap_or_default(),
        up: message
            .header
            .flags
            .contains(LinkFlags::Up | LinkFlags::LowerUp),
    }
}

/// Reads a neighbour message; `None` unless it is of a router that was reached, by its link-local
/// address.
fn router(message: &NeighbourMessage) -> Option<(u32, Ipv6Addr)> {
    let header = &message.header;
    let was_reached = matches!(
        header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
    );
    let is_router = header.flags.contains(NeighbourFlags::Router);
    let address = message.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) = attribute else {
            return None;
        };
        Some(*address)
    })?;
    (was_reached && is_router && address.is_unicast_link_local())
        .then_some((header.ifindex, address))
}

/// Reads an address message; `None` when it carries no unicast address.
pub(super) fn assigned(message: &AddressMessage) -> Option<Assigned> {
    let mut own = None;
    let mut peer_or_own = None;
    let mut mark = None;
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => peer_or_own = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::Protocol(protocol) => mark = Some(u8::from(*protocol)),
            _ => {}
        }
    }
    Some(Assigned {
        index: message.header.index,
        address: own.or(peer_or_own)?,
        prefix_length: message.header.prefix_len,
        global: message.header.scope == AddressScope::Universe,
        host_only: message.header.scope == AddressScope::Host,
        secondary: flags.contains(AddressFlags::Secondary),
        deprecated: flags.contains(AddressFlags::Deprecated),
        tentative: flags.contains(AddressFlags::Tentative),
        duplicate: flags.contains(AddressFlags::Dadfailed),
        mark,
    })
}

/// Reads a route message; `None` unless it is a unicast default route of the main table.
pub(super) fn default_route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let is_default = header.destination_prefix_length == 0
        && header.source_prefix_length == 0
        && header.tos == 0
        && header.kind == RouteType::Unicast
        && !header.flags.contains(RouteFlags::Cloned)
        && in_main_table(message);
    is_default.then(|| route(message))
}

fn in_main_table(message: &RouteMessage) -> bool {
    let table = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
    table.unwrap_or_else(|| u32::from(message.header.table))
        == u32::from(RouteHeader::RT_TABLE_MAIN)
}

fn route(message: &RouteMessage) -> Route {
    let mut priority = 0;
    let mut preferred_source = None;
    let mut hops = Vec::new();
    let mut single = Hop {
        gateway: gateway(&message.attributes),
        index: 0,
        dead: message.header.flags.contains(RouteFlags::Dead),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Priority(metric) => priority = *metric,
            RouteAttribute::PrefSource(address) => preferred_source = ip(address),
            RouteAttribute::Oif(index) => single.index = *index,
            RouteAttribute::MultiPath(several) => hops.extend(several.iter().map(hop)),
            _ => {}
        }
    }
    if hops.is_empty() && single.index != 0 {
        hops.push(single);
    }
    Route {
        priority,
        preferred_source,
        hops,
    }
}

fn hop(next_hop: &RouteNextHop) -> Hop {
    Hop {
        gateway: gateway(&next_hop.attributes),
        index: next_hop.interface_index,
        dead: next_hop.flags.contains(RouteNextHopFlags::Dead),
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        // An IPv4 route through an IPv6 neighbour.
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
