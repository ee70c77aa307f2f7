//! BGP messages, as far as the lab looks at them.
//!
//! Source: RFC 4271 §4, RFC 4760 §3 and §4 (MP_REACH_NLRI, MP_UNREACH_NLRI), RFC 5492 §4
//! (capabilities), RFC 7313 §3 (route refresh and its subtypes).

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of the marker and the header in all.
const MARKER: usize = 16;
const HEADER: usize = 19;
/// RFC 4760.
const MP_REACH: u8 = 14;
const MP_UNREACH: u8 = 15;
/// Of an attribute whose length takes two octets. RFC 4271 §4.3.
const EXTENDED: u8 = 0x10;
/// The optional parameter that holds capabilities. RFC 5492 §4.
const CAPABILITIES: u8 = 2;

/// Address and length.
pub(super) type Prefix = (IpAddr, u8);

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The hold time that is offered, in seconds, and the codes of the capabilities.
    Open { hold_s: u16, capabilities: Vec<u8> },
    /// What is announced, what is withdrawn, and the attributes by their types.
    Update {
        announced: Vec<Prefix>,
        withdrawn: Vec<Prefix>,
        attributes: BTreeMap<u8, Vec<u8>>,
    },
    /// Code and subcode.
    Notification(u8, u8),
    /// Nothing.
    Keepalive,
    /// RFC 7313 §3.2: 0 asks, 1 begins, 2 ends.
    Refresh { subtype: u8 },
    /// The state of a BFD session changed for who said this. RFC 5880 §4.1: 3 is Up.
    Bfd(u8),
    /// What this reader does not understand.
    Unknown,
}

/// Takes the first message off what a stream has brought so far.
pub(super) fn take(buffer: &mut Vec<u8>) -> Option<Message> {
    // The capture may begin in the middle of a message.
    while buffer.len() >= MARKER && !is_marker(buffer) {
        buffer.remove(0);
    }
    let header: &[u8; HEADER] = buffer.first_chunk()?;
    let [.., high, low, kind] = *header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < HEADER {
        buffer.clear();
        return None;
    }
    let body = buffer.get(HEADER..length)?.to_vec();
    buffer.drain(..length);
    let message = match kind {
        1 => open(&body),
        2 => update(&body),
        3 => body
            .first()
            .zip(body.get(1))
            .map(|(code, subcode)| Message::Notification(*code, *subcode)),
        4 => Some(Message::Keepalive),
        5 => body
            .get(2)
            .map(|subtype| Message::Refresh { subtype: *subtype }),
        _ => None,
    };
    Some(message.unwrap_or(Message::Unknown))
}

fn is_marker(buffer: &[u8]) -> bool {
    buffer
        .get(..MARKER)
        .is_some_and(|m| m.iter().all(|octet| *octet == 0xFF))
}

fn open(body: &[u8]) -> Option<Message> {
    let hold: &[u8; 2] = body.get(3..)?.first_chunk()?;
    let mut parameters = body.get(10..)?;
    let mut capabilities = Vec::new();
    while let [kind, length, rest @ ..] = parameters {
        let (mut value, after) = rest.split_at_checked(usize::from(*length))?;
        parameters = after;
        while let [code, length, rest @ ..] = value {
            if *kind != CAPABILITIES {
                break;
            }
            capabilities.push(*code);
            value = rest.get(usize::from(*length)..)?;
        }
    }
    Some(Message::Open {
        hold_s: u16::from_be_bytes(*hold),
        capabilities,
    })
}

fn update(body: &[u8]) -> Option<Message> {
    let (old, rest) = counted(body)?;
    let (mut all, new) = counted(rest)?;
    let mut withdrawn = prefixes(old, false)?;
    let mut announced = prefixes(new, false)?;
    let mut attributes = BTreeMap::new();
    while let [flags, kind, rest @ ..] = all {
        let (value, after) = if flags & EXTENDED == 0 {
            let (length, rest) = rest.split_first()?;
            rest.split_at_checked(usize::from(*length))?
        } else {
            counted(rest)?
        };
        all = after;
        match *kind {
            MP_REACH => {
                let (family, rest) = value.split_at_checked(3)?;
                let (length, rest) = rest.split_first()?;
                let routes = rest.get(usize::from(*length) + 1..)?;
                announced.extend(prefixes(routes, is_v6(family))?);
            }
            MP_UNREACH => {
                let (family, routes) = value.split_at_checked(3)?;
                withdrawn.extend(prefixes(routes, is_v6(family))?);
            }
            _ => {}
        }
        attributes.insert(*kind, value.to_vec());
    }
    Some(Message::Update {
        announced,
        withdrawn,
        attributes,
    })
}

fn is_v6(family: &[u8]) -> bool {
    family.starts_with(&[0, 2])
}

/// What two octets give the length of, and what follows.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn prefixes(mut bytes: &[u8], is_v6: bool) -> Option<Vec<Prefix>> {
    let mut found = Vec::new();
    while let [length, rest @ ..] = bytes {
        let (octets, after) = rest.split_at_checked(usize::from(length.div_ceil(8)))?;
        bytes = after;
        let mut address = [0; 16];
        address.get_mut(..octets.len())?.copy_from_slice(octets);
        let address = if is_v6 {
            IpAddr::V6(Ipv6Addr::from(address))
        } else {
            IpAddr::V4(Ipv4Addr::from(*address.first_chunk::<4>()?))
        };
        found.push((address, *length));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HEADER + body.len()).unwrap();
        [&[0xFF; MARKER][..], &length.to_be_bytes(), &[kind], body].concat()
    }

    #[test]
    fn an_update_shows_what_it_announces_and_withdraws_in_both_families() {
        let mp_reach = [0x80, 14, 8, 0, 2, 1, 0, 0, 16, 0xFD, 0x53];
        let attributes = [&[0x40, 1, 1, 0][..], &mp_reach].concat();
        let unreach = [0x90, 15, 0, 8, 0, 2, 1, 32, 0xFD, 0, 0, 1];
        let mut body = vec![0, 5, 32, 10, 53, 53, 54];
        body.extend([0, 4 + 11 + 12]);
        body.extend(&attributes);
        body.extend(unreach);
        body.extend([24, 10, 53, 53]);
        let mut stream = message(2, &body);
        let Some(Message::Update {
            announced,
            withdrawn,
            attributes,
        }) = take(&mut stream)
        else {
            panic!("not an update: {stream:?}");
        };
        let v4 = |last| IpAddr::V4(Ipv4Addr::new(10, 53, 53, last));
        assert_eq!(announced, [(v4(0), 24), ("fd53::".parse().unwrap(), 16)]);
        assert_eq!(withdrawn[0], (v4(54), 32));
        assert_eq!(withdrawn[1], ("fd00:1::".parse().unwrap(), 32));
        assert_eq!(attributes[&1], [0]);
    }

    #[test]
    fn messages_are_taken_one_by_one_even_from_the_middle_of_a_stream() {
        let open = [
            4, 0xFE, 0x1D, 0, 3, 10, 0, 0, 1, 8, 2, 6, 70, 0, 65, 2, 0, 1,
        ];
        let mut stream = [&[1, 2, 3][..], &message(4, &[]), &message(1, &open)].concat();
        stream.extend(message(3, &[6, 10]));
        stream.extend(message(5, &[0, 1, 2, 1]));
        assert_eq!(take(&mut stream), Some(Message::Keepalive));
        let capabilities = vec![70, 65];
        let hold_s = 3;
        assert_eq!(
            take(&mut stream),
            Some(Message::Open {
                hold_s,
                capabilities
            })
        );
        assert_eq!(take(&mut stream), Some(Message::Notification(6, 10)));
        assert_eq!(take(&mut stream), Some(Message::Refresh { subtype: 2 }));
        assert_eq!(take(&mut stream), None);
    }

    #[test]
    fn cut_messages_wait_and_broken_ones_are_unknown() {
        let whole = message(2, &[0, 0, 0, 0, 32, 10, 0, 0, 1]);
        for length in 0..whole.len() {
            assert_eq!(take(&mut whole[..length].to_vec()), None);
        }
        assert_eq!(take(&mut message(2, &[0, 9, 1])), Some(Message::Unknown));
        assert_eq!(take(&mut message(1, &[4])), Some(Message::Unknown));
        assert_eq!(take(&mut [&[0xFF; MARKER][..], &[0, 3, 2]].concat()), None);
    }
}
