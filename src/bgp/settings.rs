//! What the speaker is told: settings, already checked, and routes.
//!
//! Source: RFC 4271 §5.1 (attributes), RFC 5082 (GTSM), RFC 2385 (TCP-MD5), RFC 8326 (graceful
//! shutdown), RFC 9234 (roles), RFC 8092 (large communities).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::message::Families;

/// What the speaker is told by the configuration; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node's AS number; not 0, 23456, 65535 or 4294967295.
    pub asn: u32,
    /// The BGP identifier; `None` means the primary unicast IPv4 address. Never a service address.
    pub router_id: Option<Ipv4Addr>,
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
    /// Offered hold time, at least 3 s; `None` offers 0 (no hold timer).
    pub hold_time: Option<Duration>,
    /// How long the own OPEN waits for the neighbour's, 0 to 240 s. RFC 4271 §8.1.1 (DelayOpen).
    pub delay_open: Duration,
    /// How the TCP connection is guarded.
    pub security: Security,
    /// What this side is to the neighbour; `None` offers no role. RFC 9234 §4.
    pub role: Option<Role>,
    /// Offered, as far as there is a next hop for them.
    pub families: Families,
    /// What distinguishes this neighbour's routes from everybody's.
    pub marks: NeighborMarks,
    /// BFD beside the session; `None`: no BFD.
    pub bfd: Option<crate::bfd::Settings>,
}

impl NeighborSettings {
    /// A neighbour of which the configuration says nothing else.
    #[must_use]
    pub fn new(address: NeighborAddress, asn: PeerAsn) -> Self {
        Self {
            address,
            asn,
            port: 179,
            source: None,
            passive: false,
            hold_time: Some(Duration::from_secs(9)),
            delay_open: Duration::ZERO,
            security: Security::default(),
            role: None,
            families: Families::ALL,
            marks: NeighborMarks::default(),
            bfd: None,
        }
    }
}

/// A neighbour as configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NeighborAddress {
    /// A fixed address.
    Ip(IpAddr),
    /// Every next hop of the default route with the lowest metric in the main table.
    DefaultGateway,
    /// The one router on this interface, by its link-local address (unnumbered).
    Interface(String),
    /// A link-local address, which means something on that link only (`fe80::1%eth1`).
    LinkLocal {
        /// In fe80::/10.
        address: Ipv6Addr,
        /// Name of the interface.
        interface: String,
    },
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

/// How a session's TCP connection is guarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Which TTL is sent and asked for.
    pub ttl: Ttl,
    /// TCP-MD5; `None`: segments are not signed. RFC 2385.
    pub password: Option<Password>,
}

/// TTL or hop limit of a session's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ttl {
    /// 255 is sent, anything is taken: the neighbour is one hop away.
    #[default]
    Direct,
    /// 255 is sent, and only 255 taken. RFC 5082 (GTSM).
    Security,
    /// So much is sent, 2 to 255, and anything taken: the neighbour may be that many hops away.
    Multihop(u8),
}

impl Ttl {
    /// What is sent.
    #[must_use]
    pub const fn sent(self) -> u8 {
        match self {
            Self::Direct | Self::Security => u8::MAX,
            Self::Multihop(hops) => hops,
        }
    }

    /// What is dropped if it arrives with less; 0 takes all.
    #[must_use]
    pub const fn least(self) -> u8 {
        match self {
            Self::Direct | Self::Multihop(_) => 0,
            Self::Security => u8::MAX,
        }
    }
}

/// A shared secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Arc<[u8]>);

impl Password {
    /// The longest that the kernel takes, in octets (tcp(7), TCP_MD5SIG_MAXKEYLEN).
    pub const MAX: usize = 80;

    /// `None`: empty or too long.
    #[must_use]
    pub fn new(octets: &[u8]) -> Option<Self> {
        ((1..=Self::MAX).contains(&octets.len())).then(|| Self(octets.into()))
    }

    /// 1 to [`Self::MAX`] octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// What a speaker is to its neighbour. RFC 9234 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// 0.
    Provider,
    /// 1.
    RouteServer,
    /// 2.
    RouteServerClient,
    /// 3.
    Customer,
    /// 4.
    Peer,
}

/// A prefix that the node announces, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// IPv4 or IPv6 unicast.
    pub prefix: IpNet,
    /// Chooses among a neighbour's marks.
    pub preference: Preference,
    /// What goes into the path attributes, before a neighbour's marks.
    pub attributes: Attributes,
}

/// How much the node wants a route to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preference {
    /// The normal route.
    #[default]
    Preferred,
    /// Less attractive than another site's normal route.
    Backup {
        /// How many times over the attributes count, those of a neighbour's marks too: 2 is less
        /// attractive than 1. AS_PATH grows by [`super::PREPEND_MAX`] at most.
        times: u8,
    },
}

/// How attractive a route is made. RFC 4271 §5.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// How often the own AS number stands in AS_PATH beyond the usual; 0 to [`super::PREPEND_MAX`].
    pub prepend: u8,
    /// MULTI_EXIT_DISC; `None` sends none.
    pub med: Option<u32>,
    /// LOCAL_PREF towards internal peers; `None` sends 100.
    pub local_pref: Option<u32>,
    /// COMMUNITIES (RFC 1997), sorted, each once; at most [`super::COMMUNITIES_MAX`].
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY (RFC 8092), sorted, each once; at most [`super::LARGE_COMMUNITIES_MAX`].
    pub large_communities: Vec<[u32; 3]>,
}

/// What a neighbour's routes have beside, or instead of, those of all neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeighborMarks {
    /// For [`Preference::Preferred`].
    pub preferred: Marks,
    /// For [`Preference::Backup`].
    pub backup: Marks,
}

/// What is changed in a route's [`Attributes`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Replaces the prepending; 0 to [`super::PREPEND_MAX`].
    pub prepend: Option<u8>,
    /// Replaces the metric; `Some(None)` sends none.
    pub med: Option<Option<u32>>,
    /// Replaces the preference.
    pub local_pref: Option<u32>,
    /// Added; sorted, each once.
    pub communities: Vec<u32>,
    /// Added; sorted, each once.
    pub large_communities: Vec<[u32; 3]>,
}
