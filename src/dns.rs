//! The query path: from a datagram or a TCP message to its answer.
//!
//! ```text
//! socket → listener → request → access → cache ─hit/stale─→ answer → socket
//!                                          └miss→ inflight → upstream (which?) → exchange (how?) → cache → answer
//! ```

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub mod access;
pub mod answer;
pub mod bootstrap;
pub mod cache;
pub mod canary;
pub mod client;
pub mod code;
pub mod cookie;
pub mod counters;
pub mod exchange;
pub mod forward;
pub mod hash_key;
pub mod identity;
pub mod inflight;
pub mod inquiry;
pub mod key;
pub mod limit;
pub mod listener;
pub mod local;
pub mod loops;
pub mod metrics;
pub mod peers;
pub mod prefetch;
pub mod quality;
pub mod rebinding;
pub mod record_text;
pub mod request;
pub mod sections;
pub mod serve;
pub mod shared;
pub mod sibling;
pub mod upkeep;
pub mod upstream;
mod walk;
pub mod warm;

/// Everything that the query path is told by the configuration; already checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, as NSID, `id.server` and `hostname.bind` tell it (1 to 255 octets).
    pub node_name: String,
    /// Whether `version.bind` and `version.server` are answered. Default false.
    pub show_version: bool,
    /// Addresses of services: bound even while the address is absent (`IP_FREEBIND`).
    pub service_sockets: Vec<SocketAddr>,
    /// Extra unicast addresses (`dns.listen`).
    pub listen: Vec<ListenAddress>,
    /// Who may ask what.
    pub access: AccessSettings,
    /// What one client prefix may have.
    pub limits: LimitSettings,
    /// The secrets of server cookies; `None`: clients get none. RFC 9018.
    pub cookie_secrets: Option<CookieSecrets>,
    /// Names that are answered here because no public server should be asked for them.
    pub special_names: SpecialNameSettings,
    /// Whether popular answers are fetched again before they expire. Default true.
    pub prefetch: bool,
    /// How a restarted node fills its cache.
    pub warm_start: WarmSettings,
    /// Private addresses in answers from public zones.
    pub rebinding: RebindingSettings,
    /// Hosts files, in the form of `hosts(5)`: what they say is in [`Settings::local`] already.
    pub hosts_files: Vec<PathBuf>,
    /// How many query workers run, each on a thread of its own.
    pub workers: NonZeroUsize,
    /// Size and time limits of the cache.
    pub cache: CacheSettings,
    /// What happens with expired answers.
    pub stale: StaleSettings,
    /// Records that are answered from the configuration and from hosts files.
    pub local: Vec<LocalRecord>,
    /// Where misses go. One of them is the root zone.
    pub zones: Vec<ForwardZone>,
}

/// The names that were hot before a restart, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmSettings {
    /// Whether they are kept and fetched again. Default true.
    pub enabled: bool,
    /// So many at most, 0 to 10,000. Default 1,000.
    pub names: usize,
    /// A start waits for them so long at most, 0 to 30 s. Default 2 s.
    pub wait: Duration,
    /// Between two writings of their file, 10 s to 1 d. Default 5 min.
    pub interval: Duration,
}

impl Default for WarmSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            names: 1000,
            wait: Duration::from_secs(2),
            interval: Duration::from_secs(300),
        }
    }
}

/// Where the node listens beside its services, as configured. What differs between nodes is found
/// out at the start, so that one file does for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and a port.
    Socket(SocketAddr),
    /// The primary unicast IPv4 address, which is the BGP identifier too.
    RouterId {
        /// Default 53.
        port: u16,
    },
    /// Every global and lasting address of an interface, but for those of services.
    Interface {
        /// 1 to 15 octets.
        name: String,
        /// Default 53.
        port: u16,
    },
}

/// Who may ask what; everybody else gets REFUSED.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// Gets answers of every kind.
    pub allow: Vec<IpNet>,
    /// Gets what the cache and local data hold; no upstream is asked on its behalf.
    pub allow_cached: Vec<IpNet>,
    /// Gets answers of class CHAOS: what this server is.
    pub allow_chaos: Vec<IpNet>,
}

/// What the clients of one prefix may have together, at one node. Cookies and TCP prove an address;
/// what comes by UDP without a cookie is unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Whom a prefix counts as.
    pub prefix: client::PrefixLengths,
    /// Questions a second; `None`: as many as come.
    pub queries_per_second: Option<NonZeroU32>,
    /// Equal answers a second to unverified clients; `None`: as many as come.
    pub responses_per_second: Option<NonZeroU32>,
    /// Of the questions over their limit every n-th gets a truncated answer, so that a client can come
    /// back by TCP, and the others get none; 1: all, 0: none. Of equal answers over their limit all are
    /// truncated, or, with 0, not sent.
    pub slip: u32,
    /// Octets to unverified clients for each octet of theirs, over [`LimitSettings::allowance_bytes`];
    /// `None`: no limit.
    pub amplification: Option<NonZeroU32>,
    /// Octets a second to unverified clients that count for nothing.
    pub allowance_bytes: u64,
    /// Whom no limit holds for.
    pub exempt: Vec<IpNet>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            prefix: client::PrefixLengths::default(),
            queries_per_second: NonZeroU32::new(20_000),
            responses_per_second: NonZeroU32::new(500),
            slip: 2,
            amplification: NonZeroU32::new(3),
            allowance_bytes: 1 << 20,
            exempt: Vec::new(),
        }
    }
}

/// Secrets that all nodes of a service share. RFC 9018 §4.4 and §5.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecrets {
    /// Cookies are made with this one.
    pub active: [u8; 16],
    /// Cookies made with this one are good too: the one before, or the one to come.
    pub other: Option<[u8; 16]>,
}

impl std::fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieSecrets").finish_non_exhaustive()
    }
}

/// Which names of RFC 6761 and RFC 6303 are answered here. A `local` record or a `forward` zone at
/// or above such a name (other than the root) has the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialNameSettings {
    /// `localhost.`, `invalid.`, `test.`, `onion.`, `alt.`, `home.arpa.`, `resolver.arpa.` and so on.
    /// Default true.
    pub enabled: bool,
    /// Reverse zones of private addresses. RFC 6303. Default true.
    pub private_reverse: bool,
    /// `use-application-dns.net.` does not exist, so that browsers keep to this resolver. Default
    /// false.
    pub canary: bool,
}

impl Default for SpecialNameSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            private_reverse: true,
            canary: false,
        }
    }
}

/// Answers from public zones that name private addresses are taken for an attack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebindingSettings {
    /// Default false.
    pub enabled: bool,
    /// Names at and below which such addresses are all right: wire form, lower case.
    pub allowed: Vec<Vec<u8>>,
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
    /// What happens to questions for its names.
    pub action: ZoneAction,
    /// In order of preference while nothing is known of their speed; empty unless the action is
    /// [`ZoneAction::Forward`].
    pub upstreams: Vec<UpstreamAddress>,
    /// Siblings: asked when no upstream is usable. Own addresses among them are left out.
    pub last_resort: Vec<UpstreamAddress>,
    /// How its upstreams are talked to.
    pub dialect: DialectSettings,
    /// Whether its failure is evidence for the level of the services.
    pub critical: bool,
}

/// What happens to questions for names in a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZoneAction {
    /// Upstreams are asked.
    #[default]
    Forward,
    /// Local records are all there is: other names do not exist.
    Local,
    /// REFUSED, but for local records.
    Refuse,
}

/// What is done beyond the plain question when the upstreams of a zone are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialectSettings {
    /// Letters of names in a case of chance, which the answer has to repeat: a forger has to guess
    /// it. Default false.
    pub mixed_case: bool,
    /// DNS cookies. RFC 7873. Default true.
    pub cookies: bool,
}

impl Default for DialectSettings {
    fn default() -> Self {
        Self {
            mixed_case: false,
            cookies: true,
        }
    }
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
