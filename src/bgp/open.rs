//! OPEN: what a speaker says about itself, and what both sides agree on.
//!
//! Source: RFC 4271 §4.2 and §6.2, RFC 5492 (capabilities), RFC 9072 (extended parameters),
//! RFC 6793 (four-octet AS), RFC 6286 (identifiers), RFC 7607 (AS 0), RFC 2918 and RFC 7313 (route
//! refresh), RFC 8950 (IPv4 by way of IPv6), RFC 9234 (roles).
//! Not done on purpose: graceful restart (capabilities 64 and 71), which is never offered; RFC 9234's
//! strict mode: a peer that has no role is taken.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::Ipv4Addr;
use std::time::Duration;

pub use super::capability_name::capability_name;
use super::message::{self, Families, Kind};
use super::notification::Notification;
use super::octets::Octets;
use super::wire::AS_TRANS;
use super::{PeerAsn, Role};

mod capability;

pub use capability::{Capability, CapabilityCodes};

const VERSION: u8 = 4;
const CAPABILITIES: u8 = 2;
const EXTENDED: u8 = 255;
const MULTIPROTOCOL: u8 = 1;

/// An OPEN's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// "My Autonomous System": AS_TRANS (23456) where the number needs four octets.
    pub asn_field: u16,
    /// Seconds; 0 means no hold timer. Read as it came: 1 and 2 are refused by [`negotiate`].
    pub hold_time_s: u16,
    /// BGP identifier.
    pub identifier: Ipv4Addr,
    /// In the order of the message, each once; a few hundred at most, for there are 256 codes.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// Reads a body.
    ///
    /// # Errors
    /// [`OpenError`] for what RFC 4271 §6.2 refuses without knowing the neighbour.
    pub fn decode(body: &[u8]) -> Result<Self, OpenError> {
        let mut octets = Octets::new(body);
        let version = octets.u8().ok_or(OpenError::Malformed)?;
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        let asn_field = octets.u16().ok_or(OpenError::Malformed)?;
        let hold_time_s = octets.u16().ok_or(OpenError::Malformed)?;
        let identifier = octets.array::<4>().ok_or(OpenError::Malformed)?;
        Ok(Self {
            asn_field,
            hold_time_s,
            identifier: Ipv4Addr::from(identifier),
            capabilities: parameters(&mut octets).ok_or(OpenError::Malformed)??,
        })
    }

    /// The whole message: each capability in a parameter of its own, in the extended form if they
    /// need more than 255 octets (RFC 9072 §2). Empty if it would be longer than a message may be.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let known = self.capabilities.iter().map(|known| known.encode());
        let known: Vec<Vec<u8>> = known.filter(|octets| !octets.is_empty()).collect();
        let parameters: Vec<u8> = known.iter().flat_map(|octets| plain(octets)).collect();
        let mut body = vec![VERSION];
        body.extend(self.asn_field.to_be_bytes());
        body.extend(self.hold_time_s.to_be_bytes());
        body.extend(self.identifier.octets());
        match u8::try_from(parameters.len()) {
            Ok(length) => {
                body.push(length);
                body.extend(parameters);
            }
            Err(_) => {
                let parameters: Vec<u8> =
                    known.iter().flat_map(|octets| extended(octets)).collect();
                body.extend([EXTENDED, EXTENDED]);
                body.extend(
                    u16::try_from(parameters.len())
                        .unwrap_or(u16::MAX)
                        .to_be_bytes(),
                );
                body.extend(parameters);
            }
        }
        message::encode(Kind::Open, &body).unwrap_or_default()
    }

    /// The codes of its capabilities.
    #[must_use]
    pub fn codes(&self) -> CapabilityCodes {
        self.capabilities.iter().map(|known| known.code()).collect()
    }

    fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// The role that the sender claims. RFC 9234 §4.2: all that it claims have to be the same.
    fn role(&self) -> Result<Option<u8>, OpenError> {
        let mut claimed = None;
        for capability in &self.capabilities {
            if let Capability::Role(role) = capability {
                if claimed.is_some_and(|other| other != *role) {
                    return Err(OpenError::Role(*role));
                }
                claimed = Some(*role);
            }
        }
        Ok(claimed)
    }

    fn four_octet_asn(&self) -> Option<u32> {
        self.capabilities.iter().find_map(|known| match known {
            Capability::FourOctetAsn(asn) => Some(*asn),
            _ => None,
        })
    }

    /// RFC 4760 §8: a speaker without any multiprotocol capability does IPv4 unicast.
    fn families(&self) -> Families {
        let mut families = Families::default();
        let mut multiprotocol = false;
        for capability in &self.capabilities {
            match capability {
                Capability::Unicast(family) => {
                    families.insert(*family);
                    multiprotocol = true;
                }
                Capability::Other(MULTIPROTOCOL) => multiprotocol = true,
                _ => {}
            }
        }
        families.ipv4 |= !multiprotocol;
        families
    }
}

/// A capability as a parameter. RFC 5492 §4.
fn plain(capability: &[u8]) -> Vec<u8> {
    let length = u8::try_from(capability.len()).unwrap_or(u8::MAX);
    [&[CAPABILITIES, length], capability].concat()
}

/// A capability as a parameter with a length of two octets. RFC 9072 §2.
fn extended(capability: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(capability.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    [&[CAPABILITIES, high, low], capability].concat()
}

/// `None` where lengths do not add up.
fn parameters(octets: &mut Octets<'_>) -> Option<Result<Vec<Capability>, OpenError>> {
    let length = octets.u8()?;
    // RFC 9072 §2: a first parameter of type 255 means lengths of two octets, whatever the old
    // length says, as long as it is not 0.
    let extended = length != 0 && octets.rest().first() == Some(&EXTENDED);
    let total = match extended {
        true => {
            octets.u8()?;
            usize::from(octets.u16()?)
        }
        false => usize::from(length),
    };
    let mut list = Octets::new(octets.take(total)?);
    if !octets.is_empty() {
        return None;
    }
    let mut capabilities = Vec::new();
    while !list.is_empty() {
        let kind = list.u8()?;
        let size = match extended {
            true => usize::from(list.u16()?),
            false => usize::from(list.u8()?),
        };
        let mut value = Octets::new(list.take(size)?);
        if kind != CAPABILITIES {
            return Some(Err(OpenError::Parameter(kind)));
        }
        while !value.is_empty() {
            let code = value.u8()?;
            let size = value.u8()?;
            let data = value.take(usize::from(size))?;
            let capability = Capability::decode(code, data).ok()?;
            if !capabilities.contains(&capability) {
                capabilities.push(capability);
            }
        }
    }
    Some(Ok(capabilities))
}

/// Why an OPEN is refused. RFC 4271 §6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not BGP-4.
    #[error("unsupported version {0}")]
    Version(u8),
    /// Not the AS number that is configured, or none that may be used.
    #[error("bad peer AS {0}")]
    PeerAsn(u32),
    /// 0.0.0.0, or the own one at an internal peer.
    #[error("bad BGP identifier {0}")]
    Identifier(Ipv4Addr),
    /// Other than capabilities.
    #[error("unsupported optional parameter {0}")]
    Parameter(u8),
    /// 1 s or 2 s.
    #[error("unacceptable hold time of {0} s")]
    HoldTime(u16),
    /// No address family that both carry.
    #[error("no common address family; offered ipv4 {}, ipv6 {}", .0.ipv4, .0.ipv6)]
    NoCommonFamily(Families),
    /// A role that does not go with the own one, or with another that the peer claims. RFC 9234 §4.2.
    #[error("role mismatch, peer's is {0}")]
    Role(u8),
    /// Lengths that do not add up.
    #[error("malformed")]
    Malformed,
}

impl OpenError {
    /// What the peer is told.
    #[must_use]
    pub fn notification(self) -> Notification {
        match self {
            Self::Malformed => Notification::new(2, 0, Vec::new()),
            Self::Version(_) => Notification::new(2, 1, vec![0, VERSION]),
            Self::PeerAsn(_) => Notification::new(2, 2, Vec::new()),
            Self::Identifier(_) => Notification::new(2, 3, Vec::new()),
            Self::Parameter(_) => Notification::new(2, 4, Vec::new()),
            Self::HoldTime(_) => Notification::new(2, 6, Vec::new()),
            Self::Role(_) => Notification::new(2, 11, Vec::new()),
            // RFC 5492 §5: the data lists the capabilities that are missed.
            Self::NoCommonFamily(offered) => {
                let missed = offered
                    .iter()
                    .flat_map(|family| Capability::Unicast(family).encode());
                Notification::new(2, 7, missed.collect())
            }
        }
    }
}

/// What this side of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The own AS number.
    pub asn: u32,
    /// The own BGP identifier.
    pub identifier: Ipv4Addr,
    /// Offered, in seconds: 0, or 3 and more.
    pub hold_time_s: u16,
    /// Offered.
    pub families: Families,
    /// Which AS number the peer must have.
    pub peer_asn: PeerAsn,
    /// What this side is to an external peer; `None` claims nothing. RFC 9234 §4.1.
    pub role: Option<Role>,
    /// Whether IPv4 routes may have an IPv6 next hop. RFC 8950.
    pub ipv4_over_ipv6: Ipv4OverIpv6,
}

/// Whether IPv4 routes lead to an IPv6 next hop. RFC 8950 §4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ipv4OverIpv6 {
    /// They never do.
    #[default]
    Never,
    /// They do when the peer can; there is an IPv4 next hop for one that cannot.
    Preferred,
    /// There is nothing else: with a peer that cannot, IPv4 is not carried.
    Required,
}

impl Local {
    /// The OPEN that says so.
    #[must_use]
    pub fn open(&self) -> Open {
        let mut capabilities: Vec<Capability> =
            self.families.iter().map(Capability::Unicast).collect();
        capabilities.push(Capability::RouteRefresh);
        if self.families.ipv4 && self.ipv4_over_ipv6 != Ipv4OverIpv6::Never {
            capabilities.push(Capability::ExtendedNextHop);
        }
        let role = self.role.filter(|_| self.may_be_external());
        capabilities.extend(role.map(|role| Capability::Role(role.to_wire())));
        capabilities.push(Capability::FourOctetAsn(self.asn));
        capabilities.push(Capability::EnhancedRouteRefresh);
        Open {
            asn_field: u16::try_from(self.asn).unwrap_or(AS_TRANS),
            hold_time_s: self.hold_time_s,
            identifier: self.identifier,
            capabilities,
        }
    }

    /// RFC 9234 §4: inside an AS there are no roles.
    fn may_be_external(&self) -> bool {
        match self.peer_asn {
            PeerAsn::External => true,
            PeerAsn::Internal => false,
            PeerAsn::Number(asn) => asn != self.asn,
        }
    }
}

/// What two OPENs agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's AS number.
    pub peer_asn: u32,
    /// The peer's BGP identifier.
    pub peer_identifier: Ipv4Addr,
    /// Whether the peer is in the own AS.
    pub internal: bool,
    /// The smaller of both, at least 3 s; `None`: neither hold timer nor KEEPALIVEs.
    pub hold_time: Option<Duration>,
    /// Carried by both.
    pub families: Families,
    /// Whether the peer reads and writes AS numbers of four octets.
    pub four_octet: bool,
    /// Whether IPv4 routes have an IPv6 next hop. RFC 8950 §4.
    pub ipv4_over_ipv6: bool,
    /// Whether the peer answers requests for its routes. RFC 2918 §2.
    pub route_refresh: bool,
    /// Whether answers to such requests stand between marks. RFC 7313 §3.
    pub enhanced_refresh: bool,
    /// What the peer claims to be, if that has a name. RFC 9234 §4.1.
    pub peer_role: Option<Role>,
    /// What the own OPEN offered.
    pub sent_capabilities: CapabilityCodes,
    /// What the peer's OPEN offered.
    pub received_capabilities: CapabilityCodes,
}

/// Compares the peer's OPEN with the own side. RFC 4271 §6.2.
///
/// # Errors
/// [`OpenError`] with what the peer has to be told.
pub fn negotiate(local: &Local, received: &Open) -> Result<Negotiated, OpenError> {
    let four_octet_asn = received.four_octet_asn();
    let peer_asn = four_octet_asn.unwrap_or(u32::from(received.asn_field));
    let field_fits = match u16::try_from(peer_asn) {
        // RFC 6793 §4.1 does not keep a small number from the field that it fits; some write
        // AS_TRANS all the same.
        Ok(small) => received.asn_field == small || received.asn_field == AS_TRANS,
        Err(_) => received.asn_field == AS_TRANS,
    };
    let internal = peer_asn == local.asn;
    let expected = match local.peer_asn {
        PeerAsn::External => !internal,
        PeerAsn::Internal => internal,
        PeerAsn::Number(asn) => peer_asn == asn,
    };
    if !field_fits || !expected || peer_asn == 0 || peer_asn == u32::from(AS_TRANS) {
        return Err(OpenError::PeerAsn(peer_asn));
    }
    // RFC 6286 §2.1: external peers may have the same identifier.
    let identifier = received.identifier;
    if identifier.is_unspecified() || (internal && identifier == local.identifier) {
        return Err(OpenError::Identifier(identifier));
    }
    let hold_time_s = received.hold_time_s.min(local.hold_time_s);
    if matches!(received.hold_time_s, 1 | 2) {
        return Err(OpenError::HoldTime(received.hold_time_s));
    }
    let claimed = received.role()?;
    let peer_role = claimed.and_then(Role::from_wire);
    if let (false, Some(own), Some(theirs)) = (internal, local.role, claimed)
        && peer_role != Some(own.counterpart())
    {
        return Err(OpenError::Role(theirs));
    }
    let takes_ipv6_hops = received.has(Capability::ExtendedNextHop);
    let mut families = received.families().intersection(local.families);
    families.ipv4 &= takes_ipv6_hops || local.ipv4_over_ipv6 != Ipv4OverIpv6::Required;
    if families.is_empty() {
        return Err(OpenError::NoCommonFamily(local.families));
    }
    Ok(Negotiated {
        peer_asn,
        peer_identifier: identifier,
        internal,
        hold_time: (hold_time_s != 0).then(|| Duration::from_secs(u64::from(hold_time_s))),
        families,
        four_octet: four_octet_asn.is_some(),
        ipv4_over_ipv6: takes_ipv6_hops
            && families.ipv4
            && local.ipv4_over_ipv6 != Ipv4OverIpv6::Never,
        route_refresh: received.has(Capability::RouteRefresh),
        enhanced_refresh: received.has(Capability::EnhancedRouteRefresh),
        peer_role,
        sent_capabilities: local.open().codes(),
        received_capabilities: received.codes(),
    })
}

#[cfg(test)]
mod tests;
