//! Whether bytes from an upstream answer a question, and whether all of them can be walked.
//!
//! Source: RFC 5452 §9.1 (what must match), RFC 1035 §4.1 (message) and §4.1.4 (compression),
//! RFC 6891 §6.1.1 (at most one OPT) and §6.1.3 (extended RCODE), RFC 3597 §4 (types whose names
//! may be compressed).

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::super::key::{Key, NAME_MAX};

const HEADER: usize = 12;
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const RCODE: u8 = 0x0f;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;

/// What a message is to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Not an answer to this question: ignore it and go on listening.
    Foreign,
    /// The right id, no question section, an error: some servers answer so what they cannot read.
    Headless {
        /// Not 0.
        rcode: u16,
    },
    /// Matches, but is cut short: ask over TCP. The records were not looked at.
    Truncated,
    /// Matches, but its records cannot be walked.
    Malformed,
    /// Matches and is well-formed.
    Complete {
        /// With the upper bits from OPT.
        rcode: u16,
        /// Octets of the message; what follows is no part of it.
        length: usize,
    },
}

/// Judges `message` as an answer to the question `key` sent with `id`.
#[must_use]
pub fn read(message: &[u8], id: u16, key: &Key) -> Response {
    let (Some([high, low, flags, more, ..]), Some(questions)) =
        (message.first_chunk::<HEADER>(), u16_at(message, 4))
    else {
        return Response::Foreign;
    };
    if [*high, *low] != id.to_be_bytes() || flags & (RESPONSE | OPCODE) != RESPONSE {
        return Response::Foreign;
    }
    let rcode = u16::from(more & RCODE);
    if questions == 0 && rcode != 0 {
        return Response::Headless { rcode };
    }
    let Some(records_at) = question_end(message, key).filter(|_| questions == 1) else {
        return Response::Foreign;
    };
    if flags & TRUNCATED != 0 {
        return Response::Truncated;
    }
    walk(message, records_at).map_or(Response::Malformed, |(length, extended)| {
        Response::Complete {
            rcode: u16::from(extended) << 4 | rcode,
            length,
        }
    })
}

/// Where the question ends, if it is the one of `key`. Letters compare without case, RFC 4343 §3.
fn question_end(message: &[u8], key: &Key) -> Option<usize> {
    let name_end = HEADER + key.name().len();
    let name = message.get(HEADER..name_end)?;
    let same = name.eq_ignore_ascii_case(key.name())
        && u16_at(message, name_end)? == key.qtype()
        && u16_at(message, name_end + 2)? == key.qclass();
    same.then_some(name_end + 4)
}

/// Walks all records; gives the end of the last one and the upper RCODE bits of OPT.
fn walk(message: &[u8], mut at: usize) -> Option<(usize, u8)> {
    let mut extended = None;
    for (section, count_at) in [6, 8, 10].into_iter().enumerate() {
        for _ in 0..u16_at(message, count_at)? {
            let owner = at;
            let fixed = name_end(message, at)?;
            let rtype = u16_at(message, fixed)?;
            let class = u16_at(message, fixed + 2)?;
            let data = fixed + 10;
            at = data + usize::from(u16_at(message, fixed + 8)?);
            if at > message.len() {
                return None;
            }
            if rtype == TYPE_OPT {
                // The root as owner, in the additional section, once.
                if extended.is_some() || section != 2 || message.get(owner) != Some(&0) {
                    return None;
                }
                extended = message.get(fixed + 4).copied();
            } else if class == CLASS_IN && !data_is_sound(message, rtype, data, at) {
                return None;
            }
        }
    }
    Some((at, extended.unwrap_or(0)))
}

/// Whether the RDATA of a type whose layout clients rely on is whole: compression may lead out of
/// it, so that its length alone says little.
fn data_is_sound(message: &[u8], rtype: u16, start: usize, end: usize) -> bool {
    let one_name = |at| name_end(message, at) == Some(end);
    match rtype {
        // A, AAAA
        1 => end - start == 4,
        28 => end - start == 16,
        // NS, CNAME, PTR, DNAME
        2 | 5 | 12 | 39 => one_name(start),
        // MX, SRV
        15 => one_name(start + 2),
        33 => one_name(start + 6),
        // SOA: two names, five times
        6 => name_end(message, start)
            .and_then(|second| name_end(message, second))
            .is_some_and(|numbers| numbers + 20 == end),
        _ => true,
    }
}

/// Where a name ends in the message; `None` for one that is too long, leaves the message or does
/// not end. Each pointer must lead to before what led there: no loop is possible.
fn name_end(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut end = None;
    let mut before = start;
    let mut length = 0;
    loop {
        let octet = *message.get(at)?;
        match octet >> 6 {
            0 => {
                length += 1 + usize::from(octet);
                if length > NAME_MAX {
                    return None;
                }
                at += 1 + usize::from(octet);
                if octet == 0 {
                    return Some(end.unwrap_or(at));
                }
            }
            3 => {
                let target = usize::from(u16_at(message, at)? & 0x3fff);
                if target < HEADER || target >= before {
                    return None;
                }
                end = end.or(Some(at + 2));
                before = target;
                at = target;
            }
            _ => return None,
        }
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests;
