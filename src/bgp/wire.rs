//! The only place that knows the foreign codec: what it does right is used, the rest is written here.
//!
//! Source: RFC 4271 §4.3 and §5 (UPDATE), RFC 4760 §3 and §4 (MP_REACH, MP_UNREACH), RFC 5492
//! (capabilities), RFC 6793 (four-octet AS), RFC 1997 (communities), RFC 2545 (IPv6 next hops).
//!
//! The codec's UPDATE, NOTIFICATION and header decoders never see a peer's octets: they panic or
//! loop on some. It writes an AS_SEQUENCE as an AS_SET, and cannot write a next hop of 32 octets, so
//! AS_PATH and MP_REACH are handed to it as unknown attributes, already in wire form.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use zettabgp::prelude::{
    BgpAddrV4, BgpAddrV6, BgpAddrs, BgpAttrItem, BgpAttrOrigin, BgpAttrUnknown, BgpCapability,
    BgpLocalpref, BgpMED, BgpMPWithdraws, BgpMessage, BgpNextHop, BgpOpenMessage, BgpOrigin,
    BgpSessionParams, BgpTransportMode, BgpUpdateMessage,
};

use super::message::{self, Family, Kind};
use super::open::{Capability, Open};

/// Stands for an AS number that does not fit two octets. RFC 6793 §9.
pub(super) const AS_TRANS: u16 = 23456;
/// More than any message that is built here, so that the codec never runs out of room.
const ROOM: usize = 4 * message::MESSAGE_MAX;
const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const EXTENDED_LENGTH: u8 = 0x10;
const AS_SEQUENCE: u8 = 2;

/// A capability that has a fixed length, and not the one received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedCapability;

/// Reads one capability. RFC 5492 §4.
pub(super) fn capability(code: u8, value: &[u8]) -> Result<Capability, MalformedCapability> {
    // Only codes that the codec reads right; its host name capability, for one, fails always.
    if !matches!(code, 1 | 2 | 65) {
        return Ok(Capability::Other(code));
    }
    let length = u8::try_from(value.len()).map_err(|_| MalformedCapability)?;
    let mut bytes = vec![code, length];
    bytes.extend_from_slice(value);
    let (read, _) = BgpCapability::from_buffer(&bytes).map_err(|_| MalformedCapability)?;
    Ok(match read {
        Ok(BgpCapability::SafiIPv4u) => Capability::Unicast(Family::Ipv4),
        Ok(BgpCapability::SafiIPv6u) => Capability::Unicast(Family::Ipv6),
        Ok(BgpCapability::CapRR) => Capability::RouteRefresh,
        Ok(BgpCapability::CapASN32(asn)) => Capability::FourOctetAsn(asn),
        _ => Capability::Other(code),
    })
}

/// The whole OPEN. RFC 4271 §4.2.
pub(super) fn open(open: &Open) -> Option<Vec<u8>> {
    let caps = open.capabilities.iter().filter_map(|known| match known {
        Capability::Unicast(Family::Ipv4) => Some(BgpCapability::SafiIPv4u),
        Capability::Unicast(Family::Ipv6) => Some(BgpCapability::SafiIPv6u),
        Capability::RouteRefresh => Some(BgpCapability::CapRR),
        Capability::FourOctetAsn(asn) => Some(BgpCapability::CapASN32(*asn)),
        Capability::Other(_) => None,
    });
    let message = BgpOpenMessage {
        as_num: u32::from(open.asn_field),
        hold_time: open.hold_time_s,
        router_id: open.identifier,
        caps: caps.collect(),
    };
    body(Kind::Open, &message)
}

/// Where announced traffic goes, as it stands in the UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextHop {
    /// In NEXT_HOP.
    V4(Ipv4Addr),
    /// In MP_REACH_NLRI; with a link-local address beside it where the session is on-link.
    V6(Ipv6Addr, Option<Ipv6Addr>),
}

/// What an announcement says beside its prefixes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement<'a> {
    pub(super) next_hop: NextHop,
    pub(super) as_path: &'a [u32],
    /// Whether both sides speak RFC 6793.
    pub(super) four_octet: bool,
    pub(super) med: Option<u32>,
    pub(super) local_pref: Option<u32>,
    pub(super) communities: &'a [u32],
}

/// An UPDATE that announces `prefixes`, which are of the next hop's family; `None` if it is too long.
pub(super) fn announcement(what: &Announcement<'_>, prefixes: &[IpNet]) -> Option<Vec<u8>> {
    let mut update = BgpUpdateMessage::new();
    // RFC 7606 §5.1: MP_REACH_NLRI stands first.
    if let NextHop::V6(global, link_local) = what.next_hop {
        update.attrs.push(mp_reach(global, link_local, prefixes)?);
    }
    let origin = BgpOrigin::new(BgpAttrOrigin::Igp);
    update.attrs.push(BgpAttrItem::Origin(origin));
    update.attrs.push(as_path(what.as_path, what.four_octet)?);
    if let NextHop::V4(address) = what.next_hop {
        let next_hop = BgpNextHop::new(IpAddr::V4(address));
        update.attrs.push(BgpAttrItem::NextHop(next_hop));
        update.updates = BgpAddrs::IPV4U(v4_items(prefixes));
    }
    if let Some(med) = what.med {
        update.attrs.push(BgpAttrItem::MED(BgpMED::new(med)));
    }
    if let Some(preference) = what.local_pref {
        let local_pref = BgpLocalpref::new(preference);
        update.attrs.push(BgpAttrItem::LocalPref(local_pref));
    }
    if !what.communities.is_empty() {
        let value = what.communities.iter().flat_map(|c| c.to_be_bytes());
        update
            .attrs
            .push(raw(8, OPTIONAL | TRANSITIVE, value.collect()));
    }
    if !what.four_octet && what.as_path.iter().any(|asn| u16::try_from(*asn).is_err()) {
        let value = sequence(what.as_path, |asn, out| out.extend(asn.to_be_bytes()))?;
        update.attrs.push(raw(17, OPTIONAL | TRANSITIVE, value));
    }
    body(Kind::Update, &update)
}

/// An UPDATE that withdraws `prefixes`, all of `family`; none of them: End-of-RIB (RFC 4724 §2).
pub(super) fn withdrawal(family: Family, prefixes: &[IpNet]) -> Option<Vec<u8>> {
    let mut update = BgpUpdateMessage::new();
    match family {
        Family::Ipv4 => update.withdraws = BgpAddrs::IPV4U(v4_items(prefixes)),
        Family::Ipv6 => {
            let gone = BgpMPWithdraws::new(BgpAddrs::IPV6U(v6_items(prefixes)));
            update.attrs.push(BgpAttrItem::MPWithdraws(gone));
        }
    }
    body(Kind::Update, &update)
}

fn body(kind: Kind, message: &impl BgpMessage) -> Option<Vec<u8>> {
    let codec = BgpSessionParams::new(
        0,
        0,
        BgpTransportMode::IPv4,
        Ipv4Addr::UNSPECIFIED,
        Vec::new(),
    );
    let mut buffer = vec![0; ROOM];
    let length = message.encode_to(&codec, &mut buffer).ok()?;
    message::encode(kind, buffer.get(..length)?)
}

fn raw(code: u8, flags: u8, value: Vec<u8>) -> BgpAttrItem {
    let extended = if value.len() > 255 {
        EXTENDED_LENGTH
    } else {
        0
    };
    let mut attribute = BgpAttrUnknown::new(code, flags | extended);
    attribute.value = value;
    BgpAttrItem::Unknown(attribute)
}

/// AS_PATH. RFC 4271 §5.1.2: one AS_SEQUENCE, or nothing at all towards internal peers.
fn as_path(path: &[u32], four_octet: bool) -> Option<BgpAttrItem> {
    let value = sequence(path, |asn, out| match four_octet {
        true => out.extend(asn.to_be_bytes()),
        false => out.extend(u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes()),
    })?;
    Some(raw(2, TRANSITIVE, value))
}

fn sequence(path: &[u32], put: impl Fn(u32, &mut Vec<u8>)) -> Option<Vec<u8>> {
    if path.is_empty() {
        return Some(Vec::new());
    }
    let mut value = vec![AS_SEQUENCE, u8::try_from(path.len()).ok()?];
    for asn in path {
        put(*asn, &mut value);
    }
    Some(value)
}

/// MP_REACH_NLRI for IPv6 unicast. RFC 4760 §3, RFC 2545 §3.
fn mp_reach(
    global: Ipv6Addr,
    link_local: Option<Ipv6Addr>,
    prefixes: &[IpNet],
) -> Option<BgpAttrItem> {
    let mut value = Family::Ipv6.afi().to_be_bytes().to_vec();
    value.push(1);
    value.push(if link_local.is_some() { 32 } else { 16 });
    value.extend_from_slice(&global.octets());
    if let Some(address) = link_local {
        value.extend_from_slice(&address.octets());
    }
    value.push(0);
    for prefix in prefixes {
        let IpNet::V6(prefix) = prefix else { continue };
        let length = prefix.prefix_len();
        value.push(length);
        let octets = prefix.network().octets();
        value.extend_from_slice(octets.get(..usize::from(length.div_ceil(8)))?);
    }
    Some(raw(14, OPTIONAL, value))
}

fn v4_items(prefixes: &[IpNet]) -> Vec<BgpAddrV4> {
    let items = prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V4(net) => Some(BgpAddrV4::new(net.network(), net.prefix_len())),
        IpNet::V6(_) => None,
    });
    items.collect()
}

fn v6_items(prefixes: &[IpNet]) -> Vec<BgpAddrV6> {
    let items = prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V6(net) => Some(BgpAddrV6::new(net.network(), net.prefix_len())),
        IpNet::V4(_) => None,
    });
    items.collect()
}

#[cfg(test)]
mod tests;
