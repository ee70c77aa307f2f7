//! What the two OPENs of a connection said, for people.
//!
//! Source: RFC 4271 §4.2, RFC 5492 §4 (capabilities).

use std::sync::Arc;

use crate::bgp::open::{Capability, Open};

/// More than any speaker has; the rest is not shown.
const CAPABILITIES_MAX: usize = 64;

/// The two OPENs of a connection, as far as they have been sent and received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opens {
    /// The own one.
    pub sent: Option<Offer>,
    /// The peer's, even if it is refused.
    pub received: Option<Offer>,
}

/// What one OPEN offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Seconds; 0 means no hold timer.
    pub hold_time_s: u16,
    /// Codes in the order of the message, each once; at most 64.
    pub capabilities: Arc<[u8]>,
}

impl From<&Open> for Offer {
    fn from(open: &Open) -> Self {
        let mut codes = Vec::new();
        for code in open.capabilities.iter().map(code) {
            if !codes.contains(&code) && codes.len() < CAPABILITIES_MAX {
                codes.push(code);
            }
        }
        Self {
            hold_time_s: open.hold_time_s,
            capabilities: codes.into(),
        }
    }
}

const fn code(capability: &Capability) -> u8 {
    match capability {
        Capability::Unicast(_) => 1,
        Capability::RouteRefresh => 2,
        Capability::FourOctetAsn(_) => 65,
        Capability::Other(code) => *code,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::bgp::message::Family;

    fn offer(capabilities: Vec<Capability>) -> Offer {
        Offer::from(&Open {
            asn_field: 65_001,
            hold_time_s: 180,
            identifier: Ipv4Addr::LOCALHOST,
            capabilities,
        })
    }

    /// RFC 5492 §4: a capability may stand there several times, once for each family for example.
    #[test]
    fn each_code_is_shown_once_in_the_order_of_the_message() {
        let offer = offer(vec![
            Capability::Other(73),
            Capability::Unicast(Family::Ipv4),
            Capability::Unicast(Family::Ipv6),
            Capability::RouteRefresh,
            Capability::FourOctetAsn(65_001),
            Capability::Other(64),
        ]);
        assert_eq!(*offer.capabilities, [73, 1, 2, 65, 64]);
        assert_eq!(offer.hold_time_s, 180);
    }

    /// Just at and after the limit: a peer may send every code there is.
    #[test]
    fn no_more_than_64_codes_are_kept() {
        for (sent, kept) in [(64, 64), (65, 64), (255, 64)] {
            let capabilities = (0..sent).map(Capability::Other);
            assert_eq!(offer(capabilities.collect()).capabilities.len(), kept);
        }
    }
}
