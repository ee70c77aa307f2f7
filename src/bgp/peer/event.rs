//! The two connections that a neighbour may have, and what it wants done.
//!
//! Source: RFC 4271 §8.2.1 (several connections).

use crate::bgp::connection::{End, State};
use crate::bgp::open::Negotiated;
use crate::bgp::update::Update;

/// Which of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Opened by this side.
    Dialled,
    /// Opened by the neighbour.
    Accepted,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dialled, Self::Accepted];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Dialled => Self::Accepted,
            Self::Accepted => Self::Dialled,
        }
    }
}

/// What the neighbour wants done, or has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Open TCP to the neighbour and report it with `handle_connected` or `handle_closed`.
    Dial,
    /// Write `last`, then close the slot's TCP, or give up the connect that is under way.
    HangUp {
        /// Whose TCP.
        slot: Slot,
        /// Whole messages.
        last: Vec<u8>,
        /// Nobody is expected to read: as much of `last` as there is room for, then a TCP reset.
        is_abrupt: bool,
    },
    /// The nearer of the two connections has changed its state.
    State {
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// A connection ended; not told for one that was merely no longer needed.
    Ended {
        /// Its last state.
        established: bool,
        /// Why.
        end: End,
    },
    /// Routes flow.
    Established(Negotiated),
    /// The neighbour announced or withdrew something.
    Update(Update),
    /// The neighbour could not be told that all routes are withdrawn, and gets no session until the
    /// lease is good again.
    DeadMan,
}
