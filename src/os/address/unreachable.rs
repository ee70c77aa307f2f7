//! Unreachable routes for floors: addresses that no service uses are refused, not forwarded back.
//!
//! Source: ip-route(8). Without the route, a router and a node that has a default route would send
//! such packets to each other until their TTL is used up. Marked by the route's protocol number.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};

use super::{AddressError, Addresses, MARK, Ownership};
use crate::os::netlink::{NetlinkError, request};

impl Addresses {
    /// Makes sure that the main table has a route for exactly `prefix`, an unreachable one if it
    /// had none.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub async fn add_unreachable(&mut self, prefix: IpNet) -> Result<Ownership, AddressError> {
        if self.owned_routes.contains(&prefix) && self.marked_routes().await?.contains(&prefix) {
            return Ok(Ownership::Added);
        }
        let addition = self.netlink.handle().route().add(message(prefix));
        match request("add an unreachable route", addition.execute()).await {
            Ok(()) => {
                self.owned_routes.insert(prefix);
                Ok(Ownership::Added)
            }
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                if self.is_sole_node() && self.marked_routes().await?.contains(&prefix) {
                    self.owned_routes.insert(prefix);
                    return Ok(Ownership::Adopted);
                }
                Ok(Ownership::Foreign)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the route if this node added or adopted it; says whether it did.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub async fn remove_unreachable(&mut self, prefix: IpNet) -> Result<bool, AddressError> {
        if !self.owned_routes.remove(&prefix) {
            return Ok(false);
        }
        Ok(self.delete_route(prefix).await?)
    }

    /// Removes marked routes that a predecessor left and that are in `configured` no more.
    ///
    /// # Errors
    /// See [`AddressError`]; some may have been removed already.
    pub async fn remove_leftover_routes(
        &mut self,
        configured: &[IpNet],
    ) -> Result<Vec<IpNet>, AddressError> {
        if !self.is_sole_node() {
            return Ok(Vec::new());
        }
        let mut removed = Vec::new();
        for prefix in self.marked_routes().await? {
            if !configured.contains(&prefix) && self.delete_route(prefix).await? {
                removed.push(prefix);
            }
        }
        Ok(removed)
    }

    async fn marked_routes(&self) -> Result<Vec<IpNet>, NetlinkError> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let marked = self.netlink.main_table(family, |route| marked(&route));
            found.extend(marked.await?);
        }
        Ok(found)
    }

    /// The kernel matches type and protocol too, so nobody else's route can be hit.
    async fn delete_route(&self, prefix: IpNet) -> Result<bool, NetlinkError> {
        let deletion = self.netlink.handle().route().del(message(prefix));
        match request("remove an unreachable route", deletion.execute()).await {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(libc::ESRCH) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn message(prefix: IpNet) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = match prefix {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.destination_prefix_length = prefix.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Other(MARK);
    message.header.kind = RouteType::Unreachable;
    message
        .attributes
        .push(RouteAttribute::Destination(prefix.network().into()));
    message
}

/// The prefix of a route that a node added.
fn marked(message: &RouteMessage) -> Option<IpNet> {
    if message.header.kind != RouteType::Unreachable
        || message.header.protocol != RouteProtocol::Other(MARK)
    {
        return None;
    }
    let destination = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                Some(IpAddr::from(*address))
            }
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some((*address).into()),
            _ => None,
        })?;
    IpNet::new(destination, message.header.destination_prefix_length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unreachable_route_with_our_protocol_is_ours() {
        for prefix in ["10.53.53.52/30", "fd53::50/124"] {
            let prefix: IpNet = prefix.parse().unwrap();
            assert_eq!(marked(&message(prefix)), Some(prefix));
            let mut operators = message(prefix);
            operators.header.protocol = RouteProtocol::Static;
            assert_eq!(marked(&operators), None);
            let mut unicast = message(prefix);
            unicast.header.kind = RouteType::Unicast;
            assert_eq!(marked(&unicast), None);
        }
    }
}
