//! A BGP neighbour as it is told outwards: in short for `/status`, in full for `/api/v1/neighbors`.
//!
//! Source: RFC 4273 and RFC 7331 (what is expected to be shown of BGP and BFD sessions).
//! Its JSON shape is an interface, and a test holds an example of it: fields are added, never
//! renamed. What is not known is `null`.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::Family;

mod bfd;

pub use bfd::{BfdPackets, BfdSession, BfdSide, BfdState, Diagnostic};

/// A BGP neighbour in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbor {
    /// Its address; with `%interface` if link-local.
    pub address: String,
    /// State of the session.
    pub state: SessionState,
    /// Seconds in this state.
    pub since_s: u64,
    /// AS number: from its OPEN, else as configured; `None`: not known yet.
    pub asn: Option<u32>,
    /// BGP identifier from its OPEN.
    pub router_id: Option<Ipv4Addr>,
    /// The local address of the session.
    pub source: Option<IpAddr>,
    /// Negotiated hold time, 0: none; `None`: no session.
    pub hold_time_s: Option<u16>,
    /// Prefixes that it has been told, as `ADDRESS/LENGTH`.
    pub announced: Vec<String>,
    /// State of the BFD session beside it; `None`: no BFD.
    pub bfd: Option<BfdState>,
    /// Why the last session ended or could not start.
    pub last_error: Option<String>,
}

/// The states of RFC 4271 §8.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their meaning is the RFC's")]
pub enum SessionState {
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

impl SessionState {
    /// As RFC 4271 writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

/// All neighbours: `/api/v1/neighbors`, `sidestep neighbors --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborList {
    /// The node's name.
    pub node: String,
    /// In the order of the configuration.
    pub neighbors: Vec<NeighborDetail>,
    /// Why there are fewer than configured, or fewer families.
    pub warnings: Vec<String>,
}

/// One neighbour in full: `/api/v1/neighbors/ADDRESS`, `sidestep neighbors ADDRESS --json`.
///
/// It has the fields of [`Neighbor`] and these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborDetail {
    /// What `/status` tells.
    #[serde(flatten)]
    pub summary: Neighbor,
    /// How often the session was Established since the node began to talk to this neighbour.
    pub established_total: u64,
    /// The node waits for the neighbour to connect and never dials.
    pub passive: bool,
    /// Name of the interface that it is on, if it is known with that only.
    pub interface: Option<String>,
    /// This side.
    pub local: Speaker,
    /// The neighbour's side.
    pub remote: Speaker,
    /// Whether both are in the same AS.
    pub internal: bool,
    /// Carried by the session.
    pub families: Vec<Family>,
    /// A third of the hold time: a KEEPALIVE goes out after 75 to 100 % of it. `None`: none does.
    pub keepalive_ms: Option<u64>,
    /// What is due when.
    pub timers: Timers,
    /// How far away packets may come from.
    pub ttl: TtlGuard,
    /// Segments are signed by TCP-MD5 (RFC 2385).
    pub md5: bool,
    /// What the neighbour has been told and that was not withdrawn since, sorted by prefix.
    pub routes: Vec<AnnouncedRoute>,
    /// The last NOTIFICATION that was sent.
    pub last_error_sent: Option<Mishap>,
    /// The last NOTIFICATION that was received.
    pub last_error_received: Option<Mishap>,
    /// Why the last connection ended or could not be opened.
    pub last_end: Option<Mishap>,
    /// Since the node began to talk to this neighbour.
    pub messages: Messages,
    /// Received UPDATEs whose prefixes counted as withdrawn for an error (RFC 7606).
    pub update_errors: u64,
    /// A withdraw could not be written while health was silent: there is no session until health
    /// speaks again.
    pub dead_man: bool,
    /// The BFD session in full; `None`: no BFD.
    pub bfd_session: Option<BfdSession>,
}

/// What one side of a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    /// Of the TCP connection; with `%interface` if link-local.
    pub address: Option<String>,
    /// Of the TCP connection; `None`: there is none.
    pub port: Option<u16>,
    /// AS number.
    pub asn: Option<u32>,
    /// BGP identifier.
    pub router_id: Option<Ipv4Addr>,
    /// Offered hold time, 0: none.
    pub hold_time_s: Option<u16>,
    /// RFC 9234 §4.
    pub role: Option<SpeakerRole>,
    /// In its OPEN; empty while there is none.
    pub capabilities: Vec<Capability>,
}

/// What a speaker says it is to the other. RFC 9234 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "their meaning is the RFC's")]
pub enum SpeakerRole {
    Provider,
    RouteServer,
    RouteServerClient,
    Customer,
    Peer,
}

/// A capability of an OPEN. RFC 5492.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// On the wire.
    pub code: u8,
    /// In words.
    pub name: String,
}

/// Milliseconds until a timer runs out; 0: it is due; `None`: it does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    /// The next attempt after a pause.
    pub restart_ms: Option<u64>,
    /// The present connect is given up, or the next one begins.
    pub connect_retry_ms: Option<u64>,
    /// The own OPEN no longer waits for the neighbour's. RFC 4271 §8.1.1 (DelayOpen).
    pub delay_open_ms: Option<u64>,
    /// The session ends for silence of the neighbour.
    pub hold_ms: Option<u64>,
    /// The next KEEPALIVE.
    pub keepalive_ms: Option<u64>,
    /// The session ends because nothing can be written. RFC 9687.
    pub send_hold_ms: Option<u64>,
}

/// TTL or hop limit of a session's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TtlGuard {
    /// In what is sent.
    pub sent: u8,
    /// The least that is taken (RFC 5082); `None`: anything.
    pub accepted_min: Option<u8>,
}

/// A prefix with the attributes that the neighbour has been told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedRoute {
    /// `ADDRESS/LENGTH`.
    pub prefix: String,
    /// NEXT_HOP, or those in MP_REACH_NLRI: the link-local one comes second.
    pub next_hops: Vec<IpAddr>,
    /// AS_PATH as sent, the nearest first; empty towards an internal neighbour.
    pub as_path: Vec<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; only towards an internal neighbour.
    pub local_pref: Option<u32>,
    /// As `ASN:VALUE`. RFC 1997.
    pub communities: Vec<String>,
    /// As `ASN:VALUE:VALUE`. RFC 8092.
    pub large_communities: Vec<String>,
    /// ONLY_TO_CUSTOMER. RFC 9234 §5.
    pub only_to_customer: Option<u32>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mishap {
    /// In words; with the code, the subcode and the other operator's text if it was a NOTIFICATION.
    pub text: String,
    /// Seconds since then.
    pub ago_s: u64,
}

/// Messages both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Handed out for writing.
    pub sent: MessageCounts,
    /// Read whole.
    pub received: MessageCounts,
}

/// Messages by type. RFC 4271 §4.1, RFC 2918 §3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their meaning is the RFC's")]
pub struct MessageCounts {
    pub open: u64,
    pub update: u64,
    pub notification: u64,
    pub keepalive: u64,
    pub route_refresh: u64,
}

impl MessageCounts {
    /// All together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::example;
