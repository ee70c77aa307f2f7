//! The BGP speaker: announces the node's own prefixes and imports nothing.
//!
//! Source: RFC 4271 (BGP-4), RFC 4760 (MP-BGP), RFC 6793 (four-octet AS), RFC 2918 (route refresh),
//! RFC 7606 (revised error handling), RFC 9003 (shutdown text), RFC 8326 (graceful shutdown).
//! Not done on purpose: graceful restart (RFC 4724) and LLGR, which keep a dead node's route alive.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

pub mod connection;
pub mod driver;
pub mod listener;
pub mod message;
pub mod metrics;
pub mod notification;
mod octets;
pub mod open;
pub mod peer;
mod rib_out;
mod throttle;
pub mod timers;
pub mod update;
mod wire;

/// GRACEFUL_SHUTDOWN. RFC 8326 §5.
pub const GRACEFUL_SHUTDOWN: u32 = 0xFFFF_0000;
/// The most communities that a route may carry, so that an UPDATE always has room for prefixes.
pub const COMMUNITIES_MAX: usize = 256;
/// The most that the own AS number may be prepended.
pub const PREPEND_MAX: u8 = 16;

/// What the speaker is told by the configuration; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node's AS number; not 0, 23456, 65535 or 4294967295.
    pub asn: u32,
    /// The BGP identifier; `None` means the primary unicast IPv4 address. Never a service address.
    pub router_id: Option<Ipv4Addr>,
    /// Offered hold time, at least 3 s; `None` offers 0 (no hold timer).
    pub hold_time: Option<Duration>,
    /// Where connections of neighbours are accepted; empty means nowhere.
    pub listen: Vec<SocketAddr>,
    /// Each at most once.
    pub neighbors: Vec<NeighborSettings>,
}

/// One `[[bgp.neighbor]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborSettings {
    /// Whom to talk to.
    pub address: NeighborAddress,
    /// The AS number that its OPEN must carry.
    pub asn: PeerAsn,
    /// The TCP port that is dialled. Default 179.
    pub port: u16,
    /// The local address; `None` means the primary address of the interface towards the neighbour.
    pub source: Option<IpAddr>,
    /// Waits for the neighbour to connect and never dials.
    pub passive: bool,
}

/// A neighbour as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeighborAddress {
    /// A fixed address.
    Ip(IpAddr),
    /// Every next hop of the default route with the lowest metric in the main table.
    DefaultGateway,
}

/// Which AS number a neighbour may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAsn {
    /// Any but the node's own (FRR's `remote-as external`).
    External,
    /// The node's own.
    Internal,
    /// Just this one.
    Number(u32),
}

/// A prefix that the node announces, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// IPv4 or IPv6 unicast.
    pub prefix: IpNet,
    /// What goes into the path attributes.
    pub attributes: Attributes,
}

/// How attractive a route is made. RFC 4271 §5.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// How often the own AS number stands in AS_PATH beyond the usual; 0 to [`PREPEND_MAX`].
    pub prepend: u8,
    /// MULTI_EXIT_DISC; `None` sends none.
    pub med: Option<u32>,
    /// LOCAL_PREF towards internal peers; `None` sends 100.
    pub local_pref: Option<u32>,
    /// COMMUNITIES (RFC 1997), sorted, each once; at most [`COMMUNITIES_MAX`].
    pub communities: Vec<u32>,
}
