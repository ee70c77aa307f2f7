//! Who may connect, and where the connections of each go.
//!
//! Source: RFC 4007 §6 (a link-local address means somebody on one link only).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::bgp::Security;

/// The neighbours whose connections are taken.
pub type Neighbors = Arc<HashMap<PeerKey, Entry>>;

/// Which neighbour a connection comes from: its address, and the link that this is good on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    address: IpAddr,
    scope_id: u32,
}

impl PeerKey {
    /// The neighbour at one end of a connection; the port says nothing.
    #[must_use]
    pub fn of(end: SocketAddr) -> Self {
        let scope_id = match end {
            SocketAddr::V6(end) if end.ip().is_unicast_link_local() => end.scope_id(),
            SocketAddr::V4(_) | SocketAddr::V6(_) => 0,
        };
        Self {
            address: end.ip().to_canonical(),
            scope_id,
        }
    }

    /// Never an IPv4 address in IPv6 clothes.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The index of the interface, for a link-local address; 0 for all others.
    #[must_use]
    pub const fn scope_id(&self) -> u32 {
        self.scope_id
    }
}

/// For an address that is good everywhere.
impl From<IpAddr> for PeerKey {
    fn from(address: IpAddr) -> Self {
        Self::of(SocketAddr::new(address, 0))
    }
}

/// What is done with a neighbour's connections.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its task. One place per channel is enough: a connection that finds it taken is closed.
    pub inbound: mpsc::Sender<TcpStream>,
    /// What its packets have to show before anything is read.
    pub security: Security,
}

/// A neighbour that has to show nothing but its address.
impl From<mpsc::Sender<TcpStream>> for Entry {
    fn from(inbound: mpsc::Sender<TcpStream>) -> Self {
        Self {
            inbound,
            security: Security::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> PeerKey {
        PeerKey::of(text.parse().unwrap())
    }

    /// RFC 4007 §6: fe80::1 is somebody else on every link; other addresses have no link.
    #[test]
    fn a_link_tells_link_local_neighbours_apart_and_no_others() {
        assert_ne!(key("[fe80::1%2]:179"), key("[fe80::1%3]:179"));
        assert_eq!(key("[fe80::1%2]:179"), key("[fe80::1%2]:4242"));
        assert_eq!(key("[fd00::1%2]:179"), key("[fd00::1%3]:179"));
        assert_eq!(
            key("[fd00::1%2]:179"),
            PeerKey::from(key("[fd00::1]:1").address())
        );
        assert_eq!(key("[fe80::1%7]:179").scope_id(), 7);
    }

    #[test]
    fn an_ipv4_neighbour_is_the_same_one_in_ipv6_clothes() {
        assert_eq!(key("[::ffff:192.0.2.1]:179"), key("192.0.2.1:1"));
    }
}
