//! The query path: from a datagram or a TCP message to its answer.
//!
//! ```text
//! socket → listener → request → access → cache ─hit/stale─→ answer → socket
//!                                          └miss→ inflight → upstream (which?) → exchange (how?) → cache → answer
//! ```

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

pub mod access;
pub mod answer;
pub mod bootstrap;
pub mod cache;
pub mod code;
pub mod counters;
pub mod exchange;
pub mod forward;
pub mod identity;
pub mod inflight;
pub mod key;
pub mod listener;
pub mod local;
pub mod metrics;
pub mod record_text;
pub mod request;
pub mod sections;
pub mod serve;
pub mod shared;
pub mod upkeep;
pub mod upstream;
mod walk;

/// Everything that the query path is told by the configuration; already checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, as NSID, `id.server` and `hostname.bind` tell it (1 to 255 octets).
    pub node_name: String,
    /// Addresses of services: bound even while the address is absent (`IP_FREEBIND`).
    pub service_sockets: Vec<SocketAddr>,
    /// Extra unicast addresses (`dns.listen`).
    pub listen: Vec<SocketAddr>,
    /// Who may ask; everybody else gets REFUSED.
    pub allow: Vec<IpNet>,
    /// How many query workers run, each on a thread of its own.
    pub workers: NonZeroUsize,
    /// Size and time limits of the cache.
    pub cache: CacheSettings,
    /// What happens with expired answers.
    pub stale: StaleSettings,
    /// Records that are answered from the configuration.
    pub local: Vec<LocalRecord>,
    /// Where misses go. One of them is the root zone.
    pub zones: Vec<ForwardZone>,
}

/// Limits of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Upper bound in octets, keys and bookkeeping included.
    pub size_bytes: u64,
    /// Positive answers are kept at least this long. Default 0 s.
    pub min_ttl: Duration,
    /// Positive answers are kept at most this long. Default 1 day.
    pub max_ttl: Duration,
    /// Negative answers (RFC 2308) are kept at most this long. Default 1 hour.
    pub max_negative_ttl: Duration,
}

/// Serving expired answers (RFC 8767).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleSettings {
    /// Whether expired answers are used at all.
    pub enabled: bool,
    /// A client waits at most this long before it gets the expired answer. RFC 8767 §5: 1.8 s.
    pub client_timeout: Duration,
    /// The TTL that an expired answer is sent with. RFC 8767 §4: 30 s.
    pub reply_ttl: Duration,
    /// An answer is of no more use when it has been expired for this long.
    pub max_age: Duration,
}

/// One `[[local]]` record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRecord {
    /// Owner name, uncompressed wire form, lower case.
    pub name: Vec<u8>,
    /// Type code (RFC 1035 §3.2.2).
    pub rtype: u16,
    /// Seconds.
    pub ttl_s: u32,
    /// RDATA in wire form, uncompressed.
    pub rdata: Vec<u8>,
}

/// One `[[forward]]` zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardZone {
    /// Apex, uncompressed wire form, lower case; the root is `[0]`.
    pub zone: Vec<u8>,
    /// The apex as text, with the final dot, for metrics and logs.
    pub zone_text: String,
    /// In order of preference while nothing is known of their speed.
    pub upstreams: Vec<UpstreamAddress>,
    /// Whether its failure is evidence for the level of the services.
    pub critical: bool,
}

/// Where an upstream is, as configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// An address and a port.
    Socket(SocketAddr),
    /// A host name, resolved through the system's resolvers at start.
    Host {
        /// The name as configured.
        name: String,
        /// Default 53.
        port: u16,
    },
    /// The system's resolvers (`/etc/resolv.conf`), without the service addresses.
    System,
}
