//! Router advertisements and solicitations as octets: what is sent, and what may be believed.
//!
//! Source: RFC 4861 §4.1 and §4.2 (formats), §4.6.1 (link-layer address), §6.1.1 and §6.1.2
//! (validation), RFC 4191 §2.2 (preference of a router that is none).
//! Checked elsewhere: the checksum by the kernel, type and hop limit by the socket's filter.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::Ipv6Addr;

/// ICMPv6 type.
pub(super) const SOLICITATION: u8 = 133;
/// ICMPv6 type.
pub(super) const ADVERTISEMENT: u8 = 134;
/// The longest that is read; a link's MTU is seldom more, and options beyond it are not needed.
pub(super) const PACKET_MAX: usize = 1500;

/// Type, code, checksum, reserved.
const SOLICITATION_HEADER: usize = 8;
/// Type, code, checksum, hop limit, flags, lifetime, reachable time, retransmission timer.
const ADVERTISEMENT_HEADER: usize = 16;
const SOURCE_LINK_LAYER: u8 = 1;
/// Options are counted in these.
const UNIT: usize = 8;

/// The address of an Ethernet interface; interfaces of other kinds tell none.
pub type LinkLayer = [u8; 6];

/// A message that passed its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A host asks who the routers are.
    Solicitation,
    /// A router says that it is there, whatever its lifetime: 0 means "not your default router",
    /// which it need not be to speak BGP.
    Advertisement {
        /// Source link-layer address, if told.
        link_layer: Option<LinkLayer>,
    },
}

/// A message that must be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads an ICMPv6 message. RFC 4861 §6.1.1, §6.1.2.
pub(super) fn read(source: Ipv6Addr, packet: &[u8]) -> Result<Message, Malformed> {
    let [kind, 0, ..] = packet else {
        return Err(Malformed);
    };
    match *kind {
        SOLICITATION => {
            let options = packet.get(SOLICITATION_HEADER..).ok_or(Malformed)?;
            let link_layer = source_link_layer(options)?;
            match source.is_unspecified() && link_layer != Told::Nothing {
                true => Err(Malformed),
                false => Ok(Message::Solicitation),
            }
        }
        ADVERTISEMENT => {
            let options = packet.get(ADVERTISEMENT_HEADER..).ok_or(Malformed)?;
            let link_layer = source_link_layer(options)?;
            match source.is_unicast_link_local() {
                true => Ok(Message::Advertisement {
                    link_layer: match link_layer {
                        Told::Ethernet(address) => Some(address),
                        Told::Nothing | Told::Other => None,
                    },
                }),
                false => Err(Malformed),
            }
        }
        _ => Err(Malformed),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Ethernet(LinkLayer),
    /// Of some other length.
    Other,
}

/// The first such option; all options must be whole.
fn source_link_layer(mut options: &[u8]) -> Result<Told, Malformed> {
    let mut told = Told::Nothing;
    while let [kind, units, ..] = options {
        let length = usize::from(*units) * UNIT;
        if length == 0 {
            return Err(Malformed);
        }
        let (option, rest) = options.split_at_checked(length).ok_or(Malformed)?;
        if *kind == SOURCE_LINK_LAYER && told == Told::Nothing {
            let value = option.get(2..).unwrap_or_default();
            told = LinkLayer::try_from(value).map_or(Told::Other, Told::Ethernet);
        }
        options = rest;
    }
    match options.is_empty() {
        true => Ok(told),
        false => Err(Malformed),
    }
}

/// "I am here, and nobody's default router": lifetime 0, and no parameter of the link is set.
/// The kernel fills the checksum in.
pub(super) fn advertisement(link_layer: Option<LinkLayer>) -> Vec<u8> {
    let mut packet = vec![0; ADVERTISEMENT_HEADER];
    if let Some(kind) = packet.first_mut() {
        *kind = ADVERTISEMENT;
    }
    append_link_layer(&mut packet, link_layer);
    packet
}

/// "Who is a router here?"
pub(super) fn solicitation(link_layer: Option<LinkLayer>) -> Vec<u8> {
    let mut packet = vec![0; SOLICITATION_HEADER];
    if let Some(kind) = packet.first_mut() {
        *kind = SOLICITATION;
    }
    append_link_layer(&mut packet, link_layer);
    packet
}

fn append_link_layer(packet: &mut Vec<u8>, link_layer: Option<LinkLayer>) {
    if let Some(address) = link_layer {
        packet.extend_from_slice(&[SOURCE_LINK_LAYER, 1]);
        packet.extend_from_slice(&address);
    }
}

#[cfg(test)]
mod tests;
