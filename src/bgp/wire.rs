//! The only place that knows the foreign codec: what it does right is used, the rest is written here.
//!
//! Source: RFC 4271 §4.3 and §5 (UPDATE), RFC 4760 §3 and §4 (MP_REACH, MP_UNREACH), RFC 6793
//! (four-octet AS), RFC 1997 and RFC 8092 (communities), RFC 2545 (IPv6 next hops), RFC 8950 (IPv4
//! with an IPv6 next hop), RFC 9234 §5 (OTC).
//!
//! The codec never sees a peer's octets: its decoders panic or loop on some. It writes an AS_SEQUENCE
//! as an AS_SET and OTC with a wrong flag, and cannot write a next hop of 32 octets, so these
//! attributes and both kinds of communities are handed to it as unknown ones, already in wire form.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use zettabgp::prelude::{
    BgpAddrV4, BgpAddrs, BgpAttrItem, BgpAttrOrigin, BgpAttrUnknown, BgpLocalpref, BgpMED,
    BgpMessage, BgpNextHop, BgpOrigin, BgpSessionParams, BgpTransportMode, BgpUpdateMessage,
};

use super::message::{self, Family, Kind};

/// Stands for an AS number that does not fit two octets. RFC 6793 §9.
pub(super) const AS_TRANS: u16 = 23456;
/// More than any message that is built here, so that the codec never runs out of room.
const ROOM: usize = 4 * message::MESSAGE_MAX;
const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const EXTENDED_LENGTH: u8 = 0x10;
const AS_SEQUENCE: u8 = 2;
/// SAFI. RFC 4760 §6.
const UNICAST: u8 = 1;

/// Where announced traffic goes, as it stands in the UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextHop {
    /// In NEXT_HOP; of IPv4 prefixes only.
    V4(Ipv4Addr),
    /// In MP_REACH_NLRI; with a link-local address beside it where the session is on-link. A
    /// link-local address may also stand alone, in 16 octets: where there is no global one, routers
    /// take that as well as the same address twice. Of prefixes of either family: RFC 8950 §3.
    V6(Ipv6Addr, Option<Ipv6Addr>),
}

/// What an announcement says beside its prefixes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement<'a> {
    /// Of all prefixes.
    pub(super) family: Family,
    pub(super) next_hop: NextHop,
    pub(super) as_path: &'a [u32],
    /// Whether both sides speak RFC 6793.
    pub(super) four_octet: bool,
    pub(super) med: Option<u32>,
    pub(super) local_pref: Option<u32>,
    pub(super) communities: &'a [u32],
    pub(super) large_communities: &'a [[u32; 3]],
    /// OTC: the AS below which the route must stay. RFC 9234 §5.
    pub(super) only_to_customer: Option<u32>,
}

/// An UPDATE that announces `prefixes`; `None` if it is too long.
pub(super) fn announcement(what: &Announcement<'_>, prefixes: &[IpNet]) -> Option<Vec<u8>> {
    let mut update = BgpUpdateMessage::new();
    // RFC 7606 §5.1: MP_REACH_NLRI stands first.
    if let NextHop::V6(global, link_local) = what.next_hop {
        update
            .attrs
            .push(mp_reach(what.family, global, link_local, prefixes));
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
    let optional = |code, value| raw(code, OPTIONAL | TRANSITIVE, value);
    if !what.communities.is_empty() {
        let value = what.communities.iter().flat_map(|c| c.to_be_bytes());
        update.attrs.push(optional(8, value.collect()));
    }
    if !what.four_octet && what.as_path.iter().any(|asn| u16::try_from(*asn).is_err()) {
        let value = sequence(what.as_path, |asn, out| out.extend(asn.to_be_bytes()))?;
        update.attrs.push(optional(17, value));
    }
    if !what.large_communities.is_empty() {
        let numbers = what.large_communities.iter().flatten();
        let value = numbers.flat_map(|number| number.to_be_bytes());
        update.attrs.push(optional(32, value.collect()));
    }
    if let Some(asn) = what.only_to_customer {
        update.attrs.push(optional(35, asn.to_be_bytes().to_vec()));
    }
    body(Kind::Update, &update)
}

/// An UPDATE that withdraws `prefixes`, all of `family`, where such prefixes usually stand; none of
/// them: End-of-RIB (RFC 4724 §2).
pub(super) fn withdrawal(family: Family, prefixes: &[IpNet]) -> Option<Vec<u8>> {
    match family {
        Family::Ipv4 => {
            let mut update = BgpUpdateMessage::new();
            update.withdraws = BgpAddrs::IPV4U(v4_items(prefixes));
            body(Kind::Update, &update)
        }
        Family::Ipv6 => mp_withdrawal(family, prefixes),
    }
}

/// An UPDATE that withdraws `prefixes`, all of `family`, in MP_UNREACH_NLRI, where they belong if they
/// were announced in MP_REACH_NLRI. RFC 4760 §4.
pub(super) fn mp_withdrawal(family: Family, prefixes: &[IpNet]) -> Option<Vec<u8>> {
    let mut update = BgpUpdateMessage::new();
    let [high, low] = family.afi().to_be_bytes();
    let mut value = vec![high, low, UNICAST];
    put_prefixes(family, prefixes, &mut value);
    update.attrs.push(raw(15, OPTIONAL, value));
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

/// MP_REACH_NLRI. RFC 4760 §3, RFC 2545 §3, RFC 8950 §3.
fn mp_reach(
    family: Family,
    global: Ipv6Addr,
    link_local: Option<Ipv6Addr>,
    prefixes: &[IpNet],
) -> BgpAttrItem {
    let [high, low] = family.afi().to_be_bytes();
    let mut value = vec![high, low, UNICAST];
    value.push(if link_local.is_some() { 32 } else { 16 });
    value.extend(global.octets());
    value.extend(link_local.iter().flat_map(Ipv6Addr::octets));
    value.push(0);
    put_prefixes(family, prefixes, &mut value);
    raw(14, OPTIONAL, value)
}

/// Length and octets of each prefix of `family`. RFC 4271 §4.3.
fn put_prefixes(family: Family, prefixes: &[IpNet], out: &mut Vec<u8>) {
    for prefix in prefixes.iter().filter(|net| Family::of(net) == family) {
        out.push(prefix.prefix_len());
        let count = usize::from(prefix.prefix_len().div_ceil(8));
        match prefix.network() {
            IpAddr::V4(address) => out.extend(address.octets().iter().take(count)),
            IpAddr::V6(address) => out.extend(address.octets().iter().take(count)),
        }
    }
}

fn v4_items(prefixes: &[IpNet]) -> Vec<BgpAddrV4> {
    let items = prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V4(net) => Some(BgpAddrV4::new(net.network(), net.prefix_len())),
        IpNet::V6(_) => None,
    });
    items.collect()
}

#[cfg(test)]
mod tests;
