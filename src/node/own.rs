//! What this node has for itself: where `dns.listen` means, and what must never be asked.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::dns::bootstrap::Own;
use crate::dns::{ListenAddress, Settings};
use crate::os::gateway::{self, GatewayError};
use crate::os::netlink::{Netlink, NetlinkError};
use crate::os::unicast::Unicast;

/// A network that comes up together with the node gets so long. Duplicate address detection takes
/// up to 2 s of it.
const WAIT: Duration = Duration::from_secs(5);
/// Between two looks.
const GAP: Duration = Duration::from_millis(100);

/// Finds out where this node listens beside its services, and all that is its own.
///
/// Looked at once: addresses that come later are heard of at the next start.
pub(super) async fn find(settings: &Settings, services: &[IpAddr]) -> Result<Own, OwnError> {
    let mut own = Own {
        services: services.to_vec(),
        ..Own::default()
    };
    let is_literal = |address: &ListenAddress| matches!(address, ListenAddress::Socket(_));
    let has_siblings = settings
        .zones
        .iter()
        .any(|zone| !zone.last_resort.is_empty());
    let is_known = settings.listen.iter().all(is_literal);
    if is_known && !has_siblings {
        own.sockets = sockets(&settings.listen, None, &Unicast::default()).map(|found| found.0)?;
        return Ok(own);
    }
    let (netlink, connection) = Netlink::connect().map_err(OwnError::Open)?;
    tokio::task::spawn_local(connection);
    let deadline = Instant::now() + WAIT;
    let mut is_waiting = false;
    loop {
        let unicast = Unicast::look(&netlink, services).await?;
        let router_id = gateway::router_id(&netlink, services).await?;
        let found = sockets(&settings.listen, router_id.map(IpAddr::from), &unicast);
        let is_over = Instant::now() >= deadline;
        match found {
            Ok((sockets, is_complete)) if is_complete || is_over => {
                if !is_known {
                    tracing::info!(?sockets, "addresses of dns.listen found");
                }
                own.sockets = sockets;
                own.host = unicast.all();
                return Ok(own);
            }
            Err(error) if is_over => return Err(error),
            Ok(_) | Err(_) if is_waiting => {}
            Ok(_) | Err(_) => {
                is_waiting = true;
                tracing::info!(
                    limit_s = WAIT.as_secs(),
                    "waiting for addresses of dns.listen"
                );
            }
        }
        tokio::time::sleep(GAP).await;
    }
}

/// Every address once, and whether no more are to be expected.
fn sockets(
    listen: &[ListenAddress],
    router_id: Option<IpAddr>,
    unicast: &Unicast,
) -> Result<(Vec<SocketAddr>, bool), OwnError> {
    let mut sockets: Vec<SocketAddr> = Vec::new();
    let mut is_complete = true;
    for address in listen {
        match address {
            ListenAddress::Socket(socket) => sockets.push(*socket),
            ListenAddress::RouterId { port } => {
                let address = router_id.ok_or(OwnError::NoRouterId)?;
                sockets.push(SocketAddr::new(address, *port));
            }
            ListenAddress::Interface { name, port } => {
                let usable = unicast
                    .of_interface(name)
                    .ok_or_else(|| OwnError::NoInterface { name: name.clone() })?;
                if usable.addresses.is_empty() {
                    return Err(OwnError::NoAddress { name: name.clone() });
                }
                is_complete &= !usable.is_checking;
                let addresses = usable.addresses.into_iter();
                sockets.extend(addresses.map(|address| SocketAddr::new(address, *port)));
            }
        }
    }
    // One may be meant by several.
    let mut seen = std::collections::HashSet::new();
    sockets.retain(|socket| seen.insert(*socket));
    Ok((sockets, is_complete))
}

/// Why it is not known where to listen.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// Not within [`WAIT`].
    #[error(
        "dns.listen \"router-id\": no interface has a primary unicast IPv4 address: set \
         node.router_id, or listen on \"interface:NAME\""
    )]
    NoRouterId,
    /// Not within [`WAIT`].
    #[error(
        "dns.listen \"interface:{name}\": there is no such interface: correct the name, or start \
         the node once it is there"
    )]
    NoInterface {
        /// As configured.
        name: String,
    },
    /// Not within [`WAIT`].
    #[error(
        "dns.listen \"interface:{name}\": the interface has no address that is global, lasting and \
         of no service: give it one, or listen on another"
    )]
    NoAddress {
        /// As configured.
        name: String,
    },
    /// No netlink socket.
    #[error("addresses of this host: no netlink socket")]
    Open(#[source] std::io::Error),
    /// The kernel could not be asked for addresses.
    #[error("addresses of this host")]
    Netlink(#[from] NetlinkError),
    /// The kernel could not be asked for routes.
    #[error("the router id")]
    Gateway(#[from] GatewayError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_meant_twice_is_listened_on_once() {
        let listen = [
            ListenAddress::Socket("10.0.0.5:53".parse().unwrap()),
            ListenAddress::RouterId { port: 53 },
            ListenAddress::RouterId { port: 54 },
        ];
        let router_id = Some("10.0.0.5".parse().unwrap());
        let (found, is_complete) = sockets(&listen, router_id, &Unicast::default()).unwrap();
        let expected = ["10.0.0.5:53", "10.0.0.5:54"].map(|text| text.parse().unwrap());
        assert_eq!(found, expected);
        assert!(is_complete);
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        let none = |address| sockets(&[address], None, &Unicast::default()).unwrap_err();
        let error = none(ListenAddress::RouterId { port: 53 }).to_string();
        assert!(error.contains("set node.router_id"), "{error}");
        let name = "eth7".to_owned();
        let error = none(ListenAddress::Interface { name, port: 53 }).to_string();
        assert!(error.contains("\"interface:eth7\""), "{error}");
    }
}
