//! UPDATEs of a peer: read with its own walk, for whoever follows routes.
//!
//! Source: RFC 4271 §4.3 and §6.3, RFC 7606 (which error has which consequence), RFC 4760 §3–4,
//! RFC 6793 §4.2.3 (AS4_PATH), RFC 4724 §2 (End-of-RIB), RFC 8950 §4 (IPv4 with an IPv6 next hop),
//! RFC 9774 §3 (AS_SET).
//! Not done on purpose: loop detection, route leak rules (RFC 9234 §5) and policy; the node itself
//! imports nothing.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::message::{Families, Family};
use super::notification::Notification;
use super::octets::Octets;

mod attributes;
mod path;

use attributes::Attributes;
pub use path::AsPath;

/// What decides how a peer's UPDATE is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// AS numbers in AS_PATH have four octets.
    pub four_octet: bool,
    /// The peer is in the own AS, so LOCAL_PREF counts.
    pub internal: bool,
    /// Prefixes of other families are passed over.
    pub families: Families,
    /// IPv4 prefixes may have an IPv6 next hop. RFC 8950 §4.
    pub ipv4_over_ipv6: bool,
}

/// A peer's UPDATE. First [`Self::withdrawn`] is to be applied, then [`Self::announced`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// No longer reachable through the peer; of both families.
    pub withdrawn: Vec<IpNet>,
    /// Reachable through the peer with the attributes below; of both families. Replaces what the
    /// peer said about the same prefix before.
    pub announced: Vec<IpNet>,
    /// Where the announced IPv4 prefixes lead; of two IPv6 addresses the first. RFC 8950 §3.
    pub next_hop_v4: Option<IpAddr>,
    /// Where the announced IPv6 prefixes lead; the global address of the two that may be there.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// AS_PATH, with AS4_PATH worked in.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF of an internal peer.
    pub local_pref: Option<u32>,
    /// COMMUNITIES, in the order of the message.
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY, in the order of the message. RFC 8092 §3.
    pub large_communities: Vec<[u32; 3]>,
    /// OTC: the AS below which the route must stay. RFC 9234 §5.
    pub only_to_customer: Option<u32>,
    /// The peer has sent all that it had of this family.
    pub end_of_rib: Option<Family>,
    /// An error for which the announced prefixes were counted as withdrawn. RFC 7606 §2.
    pub treated_as_withdraw: Option<AttributeError>,
}

impl Update {
    /// Where an announced prefix leads.
    #[must_use]
    pub fn next_hop(&self, prefix: &IpNet) -> Option<IpAddr> {
        match prefix {
            IpNet::V4(_) => self.next_hop_v4,
            IpNet::V6(_) => self.next_hop_v6.map(IpAddr::V6),
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`UpdateError`] where RFC 7606 still asks for a reset: when prefixes cannot be told.
    pub fn decode(body: &[u8], reading: &Reading) -> Result<Self, UpdateError> {
        let mut octets = Octets::new(body);
        let (withdrawn, attributes) = sections(&mut octets).ok_or(UpdateError::Lengths)?;
        let mut withdrawn = v4_prefixes(withdrawn).ok_or(UpdateError::Network)?;
        let mut announced = v4_prefixes(octets.rest()).ok_or(UpdateError::Network)?;
        if withdrawn.is_empty() && announced.is_empty() && attributes.is_empty() {
            return Ok(Self {
                end_of_rib: reading.families.ipv4.then_some(Family::Ipv4),
                ..Self::default()
            });
        }
        let mut read = Attributes::walk(attributes, reading)?;
        let has_v4 = !announced.is_empty();
        if has_v4 || !withdrawn.is_empty() {
            read.end_of_rib = None;
        }
        announced.append(&mut read.announced);
        withdrawn.append(&mut read.withdrawn);
        if !announced.is_empty() {
            read.check_mandatory(has_v4, reading);
        } else if read.has_stray_error() {
            return Err(UpdateError::Lengths);
        }
        for list in [&mut announced, &mut withdrawn] {
            list.retain(|prefix| reading.families.contains(Family::of(prefix)));
        }
        let mut update = Self {
            withdrawn,
            announced,
            next_hop_v4: read.next_hop_v4(has_v4),
            next_hop_v6: read.next_hop_v6,
            as_path: read.as_path(),
            med: read.med,
            local_pref: read.local_pref,
            communities: read.communities,
            large_communities: read.large_communities,
            only_to_customer: read.only_to_customer,
            end_of_rib: read.end_of_rib,
            treated_as_withdraw: read.error.or(read.set),
        };
        if update.treated_as_withdraw.is_some() {
            update.withdrawn.append(&mut update.announced);
        }
        Ok(update)
    }
}

/// An UPDATE that ends the session. RFC 4271 §6.3, as narrowed by RFC 7606.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The lengths of the three parts do not add up, or an attribute is broken and there is no prefix
    /// that could be withdrawn for it. RFC 4271 §6.3, RFC 7606 §5.2.
    #[error("malformed attribute list")]
    Lengths,
    /// MP_REACH or MP_UNREACH stands there twice. RFC 7606 §3 (g).
    #[error("attribute {0} stands there twice")]
    Twice(u8),
    /// A well-known attribute that is not known. RFC 4271 §6.3.
    #[error("unrecognized well-known attribute")]
    WellKnown(Vec<u8>),
    /// Prefixes of MP_REACH or MP_UNREACH cannot be told. RFC 7606 §5.3, §7.11.
    #[error("optional attribute error")]
    Multiprotocol(Vec<u8>),
    /// IPv4 prefixes cannot be told. RFC 7606 §5.3.
    #[error("invalid network field")]
    Network,
}

impl UpdateError {
    /// What the peer is told; the data is the attribute at fault.
    #[must_use]
    pub fn notification(self) -> Notification {
        match self {
            Self::Lengths | Self::Twice(_) => Notification::new(3, 1, Vec::new()),
            Self::WellKnown(attribute) => Notification::new(3, 2, attribute),
            Self::Multiprotocol(attribute) => Notification::new(3, 9, attribute),
            Self::Network => Notification::new(3, 10, Vec::new()),
        }
    }
}

/// An attribute error that costs the UPDATE's prefixes and nothing more. RFC 7606 §7, RFC 9774 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// An attribute reaches past the end of the list. RFC 7606 §4.
    #[error("an attribute reaches past the end of the list")]
    Overrun,
    /// Optional or transitive where it must not be, or the other way round. RFC 7606 §3 (c).
    #[error("wrong flags of attribute {0}")]
    Flags(u8),
    /// A length or value that the attribute cannot have.
    #[error("malformed attribute {0}")]
    Malformed(u8),
    /// It names ASes without their order, which nobody may do any more. RFC 9774 §3.
    #[error("AS_SET or AS_CONFED_SET in attribute {0}")]
    Set(u8),
    /// A mandatory attribute is not there. RFC 7606 §3 (d).
    #[error("missing attribute {0}")]
    Missing(u8),
}

fn sections<'a>(octets: &mut Octets<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let length = octets.u16()?;
    let withdrawn = octets.take(usize::from(length))?;
    let length = octets.u16()?;
    let attributes = octets.take(usize::from(length))?;
    Some((withdrawn, attributes))
}

fn v4_prefixes(field: &[u8]) -> Option<Vec<IpNet>> {
    prefixes(field, |length, octets: [u8; 4]| {
        let net = Ipv4Net::new(Ipv4Addr::from(octets), length).ok()?;
        Some(IpNet::V4(net.trunc()))
    })
}

fn v6_prefixes(field: &[u8]) -> Option<Vec<IpNet>> {
    prefixes(field, |length, octets: [u8; 16]| {
        let net = Ipv6Net::new(Ipv6Addr::from(octets), length).ok()?;
        Some(IpNet::V6(net.trunc()))
    })
}

/// Reads length and octets of each prefix; `None` where they run over. RFC 4271 §4.3.
fn prefixes<const N: usize>(
    field: &[u8],
    build: impl Fn(u8, [u8; N]) -> Option<IpNet>,
) -> Option<Vec<IpNet>> {
    let mut octets = Octets::new(field);
    let mut found = Vec::new();
    while !octets.is_empty() {
        let length = octets.u8()?;
        let taken = octets.take(usize::from(length.div_ceil(8)))?;
        let mut address = [0; N];
        address.get_mut(..taken.len())?.copy_from_slice(taken);
        found.push(build(length, address)?);
    }
    Some(found)
}

#[cfg(test)]
mod tests;
