//! A BFD session as it is told outwards.
//!
//! Source: RFC 5880 §4.1 (states, diagnostics), §6.8.1 (variables), RFC 7331 (what is shown).

use serde::{Deserialize, Serialize};

/// The states of RFC 5880 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their meaning is the RFC's")]
pub enum BfdState {
    AdminDown,
    Down,
    Init,
    Up,
}

impl BfdState {
    /// As RFC 5880 writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }
}

/// A BFD session in full. Intervals are in microseconds, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSession {
    /// Seconds in the present state.
    pub since_s: u64,
    /// What this side says.
    pub local: BfdSide,
    /// What the neighbour said last; Down while it was not heard.
    pub remote: BfdSide,
    /// Why the session was last lost; code 0: it never was.
    pub last_loss: Diagnostic,
    /// Kept Down until the node is fit again.
    pub held_down: bool,
    /// Agreed on between two packets that are sent, before jitter of 0 to 25 %; `None`: the neighbour
    /// wants none.
    pub transmit_interval_us: Option<u64>,
    /// Silence for so long takes the session down; `None`: nothing is agreed yet.
    pub detection_time_us: Option<u64>,
    /// Measured between two packets that were received, smoothed, since it was last Up.
    pub receive_interval_us: Option<u64>,
    /// The longest between two packets that were received since it was last Up.
    pub receive_interval_max_us: Option<u64>,
    /// Packets since the session was made.
    pub packets: BfdPackets,
    /// How often it came Up.
    pub ups: u64,
    /// How often it left Up.
    pub downs: u64,
}

/// What one side of a BFD session says in its packets. RFC 5880 §4.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSide {
    /// State.
    pub state: BfdState,
    /// Why it is in that state.
    pub diagnostic: Diagnostic,
    /// Tells its sessions apart; `None`: it was not heard, and the rest is not known either.
    pub discriminator: Option<u32>,
    /// Wishes to send no faster than so.
    pub desired_transmit_us: Option<u64>,
    /// Can take no faster than so; 0: wants nothing periodic.
    pub required_receive_us: Option<u64>,
    /// So many packets in a row may be missed.
    pub multiplier: Option<u8>,
}

/// Packets of a BFD session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdPackets {
    /// Handed out for sending.
    pub sent: u64,
    /// Taken.
    pub received: u64,
    /// Received and not taken.
    pub rejected: u64,
}

/// Why a session is in its state. RFC 5880 §4.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// On the wire.
    pub code: u8,
    /// In words.
    pub name: String,
}
