//! Capabilities: what an OPEN says that its sender can do.
//!
//! Source: RFC 5492 §4 (the form), RFC 4760 §8 (families), RFC 2918 §2 and RFC 7313 §3.1 (refresh),
//! RFC 6793 §3 (four-octet AS), RFC 8950 §4 (extended next hop), RFC 9234 §4.1 (role).
//! Not done on purpose: graceful restart (64, RFC 4724) and LLGR (71, RFC 9494) have no name here, so
//! that no OPEN can be built that offers them; nor does the software's version.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use crate::bgp::Role;
use crate::bgp::message::Family;
use crate::bgp::octets::Octets;

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const ROLE: u8 = 9;
const FOUR_OCTET_ASN: u8 = 65;
const ENHANCED_ROUTE_REFRESH: u8 = 70;
/// AFI 1, SAFI 1, next hop AFI 2: unicast IPv4 by way of IPv6. RFC 8950 §4.
const IPV4_OVER_IPV6: [u8; 6] = [0, 1, 0, 1, 0, 2];

/// A capability, as far as it matters here. RFC 5492.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Code 1, unicast of one of the two families. RFC 4760 §8.
    Unicast(Family),
    /// Code 2. RFC 2918 §2.
    RouteRefresh,
    /// Code 5, with unicast IPv4 by way of IPv6 among what it lists. RFC 8950 §4.
    ExtendedNextHop,
    /// Code 9, with the role as it came, which may be an unknown one. RFC 9234 §4.1.
    Role(u8),
    /// Code 65. RFC 6793 §3.
    FourOctetAsn(u32),
    /// Code 70. RFC 7313 §3.1.
    EnhancedRouteRefresh,
    /// Anything else, by its code; never sent.
    Other(u8),
}

/// A capability without which there is no session, and with a length that it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedCapability;

impl Capability {
    /// The code. RFC 5492 §4.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unicast(_) => MULTIPROTOCOL,
            Self::RouteRefresh => ROUTE_REFRESH,
            Self::ExtendedNextHop => EXTENDED_NEXT_HOP,
            Self::Role(_) => ROLE,
            Self::FourOctetAsn(_) => FOUR_OCTET_ASN,
            Self::EnhancedRouteRefresh => ENHANCED_ROUTE_REFRESH,
            Self::Other(code) => code,
        }
    }

    /// Reads code and value.
    ///
    /// A wrong length is an error where reading on would mean guessing (codes 1, 2, 65). Of the
    /// others a session can do without, so that one that is malformed counts as not known.
    pub(super) fn decode(code: u8, value: &[u8]) -> Result<Self, MalformedCapability> {
        let known = match (code, value) {
            // RFC 4760 §8: the octet between AFI and SAFI is to be ignored.
            (MULTIPROTOCOL, [high, low, _, safi]) => {
                let afi = u16::from_be_bytes([*high, *low]);
                Family::from_wire(afi, *safi).map(Self::Unicast)
            }
            (ROUTE_REFRESH, []) => Some(Self::RouteRefresh),
            (FOUR_OCTET_ASN, [a, b, c, d]) => {
                Some(Self::FourOctetAsn(u32::from_be_bytes([*a, *b, *c, *d])))
            }
            (MULTIPROTOCOL | ROUTE_REFRESH | FOUR_OCTET_ASN, _) => return Err(MalformedCapability),
            (EXTENDED_NEXT_HOP, list) => lists_ipv4_over_ipv6(list),
            (ROLE, [role]) => Some(Self::Role(*role)),
            (ENHANCED_ROUTE_REFRESH, []) => Some(Self::EnhancedRouteRefresh),
            _ => None,
        };
        Ok(known.unwrap_or(Self::Other(code)))
    }

    /// Code, length and value; nothing for one that is not known.
    pub(super) fn encode(self) -> Vec<u8> {
        let value = match self {
            Self::Unicast(family) => {
                let [high, low] = family.afi().to_be_bytes();
                vec![high, low, 0, 1]
            }
            Self::RouteRefresh | Self::EnhancedRouteRefresh => Vec::new(),
            Self::ExtendedNextHop => IPV4_OVER_IPV6.to_vec(),
            Self::Role(role) => vec![role],
            Self::FourOctetAsn(asn) => asn.to_be_bytes().to_vec(),
            Self::Other(_) => return Vec::new(),
        };
        let length = u8::try_from(value.len()).unwrap_or(0);
        [vec![self.code(), length], value].concat()
    }
}

/// RFC 8950 §4: what else is listed is ignored.
fn lists_ipv4_over_ipv6(list: &[u8]) -> Option<Capability> {
    let mut octets = Octets::new(list);
    let mut is_listed = false;
    while let Some(entry) = octets.array::<6>() {
        is_listed |= entry == IPV4_OVER_IPV6;
    }
    (is_listed && octets.is_empty()).then_some(Capability::ExtendedNextHop)
}

/// Which codes an OPEN carried, each once, for whoever shows them. RFC 5492 §4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilityCodes([u64; 4]);

impl CapabilityCodes {
    /// Whether `code` is among them.
    #[must_use]
    pub fn contains(&self, code: u8) -> bool {
        let word = self.0.get(usize::from(code >> 6));
        word.is_some_and(|word| word >> (code & 63) & 1 != 0)
    }

    /// Each of them, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u8> + use<> {
        let codes = *self;
        (0..=u8::MAX).filter(move |code| codes.contains(*code))
    }
}

impl FromIterator<u8> for CapabilityCodes {
    fn from_iter<T: IntoIterator<Item = u8>>(codes: T) -> Self {
        let mut set = Self::default();
        for code in codes {
            if let Some(word) = set.0.get_mut(usize::from(code >> 6)) {
                *word |= 1 << (code & 63);
            }
        }
        set
    }
}

impl Role {
    /// The octet on the wire. RFC 9234 §4.1.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
        }
    }

    /// The role of an octet, if it has one. RFC 9234 §4.1.
    #[must_use]
    pub const fn from_wire(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            _ => return None,
        })
    }

    /// What the other side of such a session must be. RFC 9234 §4.2.
    #[must_use]
    pub const fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
        }
    }
}

#[cfg(test)]
mod tests;
