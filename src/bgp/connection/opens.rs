//! What the two OPENs of a connection said, for people.
//!
//! Source: RFC 4271 §4.2, RFC 5492 §4 (capabilities).

use crate::bgp::open::{CapabilityCodes, Open};

/// The two OPENs of a connection, as far as they have been sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opens {
    /// The own one.
    pub sent: Option<Offer>,
    /// The peer's.
    pub received: Option<Offer>,
}

/// What one OPEN offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Seconds; 0 means no hold timer.
    pub hold_time_s: u16,
    /// Whatever they say.
    pub capabilities: CapabilityCodes,
}

impl From<&Open> for Offer {
    fn from(open: &Open) -> Self {
        let codes = open.capabilities.iter().map(|known| known.code());
        Self {
            hold_time_s: open.hold_time_s,
            capabilities: codes.collect(),
        }
    }
}
