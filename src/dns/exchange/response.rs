//! Whether bytes from an upstream answer a question, and whether all of them can be walked.
//!
//! Source: RFC 5452 §9.1 (what must match), RFC 1035 §4.1 (message) and §4.1.4 (compression),
//! RFC 6891 §6.1.1 (at most one OPT) and §6.1.3 (extended RCODE), RFC 3597 §4 (types whose names
//! may be compressed), RFC 7873 §4 (cookies), RFC 7828 §3.1 (how long a connection may idle).

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::super::key::Key;
use super::super::walk::{Cursor, HEADER, Malformed, Ttls, option, options, rtype};

/// Of questions.
const QUESTIONS: usize = 4;
/// Of answer, authority and additional records.
const COUNTS: usize = 6;
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const RCODE: u8 = 0x0f;

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
        /// The INFO-CODE of an Extended DNS Error. RFC 8914 §2.
        reason: Option<u16>,
    },
}

/// What a message is to a question, and what its EDNS options say to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examined<'a> {
    /// The message as an answer.
    pub response: Response,
    /// The first COOKIE option, whatever its length. RFC 7873 §5.3: others are ignored.
    pub cookie: Option<&'a [u8]>,
    /// How long the connection may idle, in units of 100 ms. RFC 7828 §3.1.
    pub keepalive: Option<u16>,
}

impl From<Response> for Examined<'_> {
    fn from(response: Response) -> Self {
        Self {
            response,
            cookie: None,
            keepalive: None,
        }
    }
}

/// Judges `message` as an answer to the question `key` sent with `id`.
#[must_use]
pub fn read(message: &[u8], id: u16, key: &Key) -> Response {
    examine(message, id, key).response
}

/// The same, with the options that are about the way between us and the upstream.
#[must_use]
pub fn examine<'a>(message: &'a [u8], id: u16, key: &Key) -> Examined<'a> {
    let Some([high, low, flags, more, many, few, ..]) = message.first_chunk::<HEADER>() else {
        return Response::Foreign.into();
    };
    let questions = u16::from_be_bytes([*many, *few]);
    if [*high, *low] != id.to_be_bytes() || flags & (RESPONSE | OPCODE) != RESPONSE {
        return Response::Foreign.into();
    }
    let rcode = u16::from(more & RCODE);
    if questions == 0 && rcode != 0 {
        return Response::Headless { rcode }.into();
    }
    let Some(records_at) = question_end(message, key).filter(|_| questions == 1) else {
        return Response::Foreign.into();
    };
    let walked = walk(message, records_at);
    // Nothing but a cookie is wanted from it.
    let is_truncated = flags & TRUNCATED != 0;
    let Ok(walked) = walked else {
        let truncated = is_truncated.then_some(Response::Truncated);
        return truncated.unwrap_or(Response::Malformed).into();
    };
    let complete = Response::Complete {
        rcode: u16::from(walked.extended_rcode) << 4 | rcode,
        length: walked.length,
        reason: walked.options.reason,
    };
    Examined {
        response: if is_truncated {
            Response::Truncated
        } else {
            complete
        },
        cookie: walked.options.cookie,
        keepalive: walked.options.keepalive,
    }
}

/// Name, type and class of the question of a message that has just one.
#[must_use]
pub fn question(message: &[u8]) -> Option<(&[u8], u16, u16)> {
    let questions = Cursor::new(message, QUESTIONS).u16().ok()?;
    let mut cursor = Cursor::new(message, HEADER);
    let name = cursor.plain_name().ok().filter(|_| questions == 1)?;
    Some((name, cursor.u16().ok()?, cursor.u16().ok()?))
}

/// Where the question ends, if it is the one of `key`. Letters compare without case, RFC 4343 §3.
fn question_end(message: &[u8], key: &Key) -> Option<usize> {
    let mut cursor = Cursor::new(message, HEADER);
    let name = cursor.take(key.name().len()).ok()?;
    let same = name.eq_ignore_ascii_case(key.name())
        && cursor.u16() == Ok(key.qtype())
        && cursor.u16() == Ok(key.qclass());
    same.then(|| cursor.position())
}

/// What walking all records has found.
#[derive(Default)]
struct Walked<'a> {
    /// Where the last one ends.
    length: usize,
    extended_rcode: u8,
    options: Options<'a>,
}

/// What stands in OPT.
#[derive(Default)]
struct Options<'a> {
    reason: Option<u16>,
    cookie: Option<&'a [u8]>,
    keepalive: Option<u16>,
}

fn walk(message: &[u8], records_at: usize) -> Result<Walked<'_>, Malformed> {
    let mut walked = Walked::default();
    let mut has_opt = false;
    let mut ttls = Ttls::new(records_at);
    let mut counts = Cursor::new(message, COUNTS);
    let mut cursor = Cursor::new(message, records_at);
    for is_additional in [false, false, true] {
        for _ in 0..counts.u16()? {
            let record = cursor.record_beside(&mut ttls)?;
            if record.rtype != rtype::OPT {
                continue;
            }
            // The root as owner, in the additional section, once.
            if has_opt || !is_additional || record.owner_octets != 1 {
                return Err(Malformed);
            }
            has_opt = true;
            [walked.extended_rcode, ..] = record.ttl_s.to_be_bytes();
            walked.options = read_options(record.rdata)?;
        }
    }
    walked.length = cursor.position();
    Ok(walked)
}

/// Of each kind the first one counts.
fn read_options(rdata: &[u8]) -> Result<Options<'_>, Malformed> {
    let mut read = Options::default();
    for option in options(rdata) {
        match option? {
            (option::EDE, value) if read.reason.is_none() => {
                let code = value.first_chunk().ok_or(Malformed)?;
                read.reason = Some(u16::from_be_bytes(*code));
            }
            (option::COOKIE, value) if read.cookie.is_none() => read.cookie = Some(value),
            (option::KEEPALIVE, value) if read.keepalive.is_none() => {
                // Any other length says nothing that could be used.
                read.keepalive = value.try_into().ok().map(u16::from_be_bytes);
            }
            _ => {}
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
