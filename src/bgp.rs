//! The BGP speaker: announces the node's own prefixes and imports nothing.
//!
//! Source: RFC 4271 (BGP-4), RFC 4760 (MP-BGP), RFC 6793 (four-octet AS), RFC 2918 and RFC 7313 (route
//! refresh), RFC 7606 (revised error handling), RFC 9003 (shutdown text), RFC 8326 (graceful
//! shutdown), RFC 8092 (large communities), RFC 8538 (hard reset), RFC 8950 (IPv4 with an IPv6 next
//! hop), RFC 9234 (roles), RFC 9384 (Cease for BFD), RFC 9774 (no AS_SET).
//! Not done on purpose: graceful restart (RFC 4724) and LLGR, which keep a dead node's route alive.

mod capability_name;
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
mod settings;
mod throttle;
pub mod timers;
pub mod update;
mod wire;

pub use settings::{
    Attributes, Marks, NeighborAddress, NeighborMarks, NeighborSettings, Password, PeerAsn,
    Preference, Role, Route, Security, Settings, Ttl,
};

/// GRACEFUL_SHUTDOWN. RFC 8326 §5.
pub const GRACEFUL_SHUTDOWN: u32 = 0xFFFF_0000;
/// The most communities that a route may carry, so that an UPDATE always has room for prefixes.
pub const COMMUNITIES_MAX: usize = 256;
/// The most large communities that a route may carry.
pub const LARGE_COMMUNITIES_MAX: usize = 64;
/// The most that the own AS number may be prepended.
pub const PREPEND_MAX: u8 = 16;

/// What BFD says about the path to a neighbour, in the speaker's words. RFC 5882 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BfdState {
    /// The neighbour answers.
    Up,
    /// The neighbour answered and does no more.
    Down,
    /// The neighbour's operator has switched BFD off: that says nothing about the path.
    AdminDown,
}
