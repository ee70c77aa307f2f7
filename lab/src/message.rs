//! As much of DNS messages as a client needs that wants to know who answered, and a listener on the
//! wire who was asked.
//!
//! Source: RFC 1035 §4.1 (format), §4.1.4 (compression), RFC 6891 §6.1 (OPT), RFC 5001 (NSID),
//! RFC 7828 §3.1 (edns-tcp-keepalive), RFC 8914 §2 (Extended DNS Errors).

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::IpAddr;

/// A, RFC 1035 §3.2.2.
pub(crate) const TYPE_A: u16 = 1;
/// AAAA, RFC 3596 §2.1.
pub(crate) const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;
const OPTION_NSID: u16 = 3;
const OPTION_KEEPALIVE: u16 = 11;
const OPTION_ERROR: u16 = 15;
const CLASS_IN: u16 = 1;

/// What an answer said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) id: u16,
    /// The question section, as it came.
    pub(crate) question: Vec<u8>,
    /// With the upper bits from OPT.
    pub(crate) rcode: u16,
    /// A and AAAA records of the answer section.
    pub(crate) addresses: Vec<IpAddr>,
    /// Which server it was, by its own word.
    pub(crate) nsid: Option<String>,
    /// Codes of its Extended DNS Errors.
    pub(crate) errors: Vec<u16>,
    /// How long the connection may be idle, in units of 100 ms; 0: it should be closed.
    pub(crate) keepalive: Option<u16>,
}

/// What a query wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// The name asked for, in lower case without a final dot.
    pub(crate) name: String,
    /// Codes of its EDNS options.
    pub(crate) options: Vec<u16>,
}

/// The question section for one name, given as text without a final dot.
pub(crate) fn question(name: &str, qtype: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 6);
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&qtype.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    bytes
}

/// A query with RD and an empty NSID option.
pub(crate) fn query(id: u16, question: &[u8]) -> Vec<u8> {
    with_options(id, question, &[OPTION_NSID])
}

/// The same for TCP, with its length before it, from a client that wants to be told how long the
/// connection may stay.
pub(crate) fn tcp_query(id: u16, question: &[u8]) -> Vec<u8> {
    let query = with_options(id, question, &[OPTION_NSID, OPTION_KEEPALIVE]);
    let mut bytes = u16::try_from(query.len())
        .unwrap_or(0)
        .to_be_bytes()
        .to_vec();
    bytes.extend_from_slice(&query);
    bytes
}

fn with_options(id: u16, question: &[u8], options: &[u16]) -> Vec<u8> {
    let length = u16::try_from(options.len() * 4).unwrap_or(0);
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]);
    bytes.extend_from_slice(question);
    bytes.push(0);
    for field in [TYPE_OPT, 1232, 0, 0, length] {
        bytes.extend_from_slice(&field.to_be_bytes());
    }
    for option in options {
        bytes.extend_from_slice(&option.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
    }
    bytes
}

/// The answer without records to a query, with its question; `None` to what is no query.
pub(crate) fn refusal(query: &[u8], rcode: u8) -> Option<Vec<u8>> {
    let mut reader = Reader {
        message: query,
        at: 0,
    };
    let header = reader.header()?;
    reader.name()?;
    reader.take(4)?;
    if header.is_response {
        return None;
    }
    let mut bytes = header.id.to_be_bytes().to_vec();
    // QR, RD, RA.
    bytes.extend_from_slice(&[0x81, 0x80 | (rcode & 0x0F), 0, 1, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(query.get(12..reader.at)?);
    Some(bytes)
}

/// Reads a response; `None` when it is none, or broken.
pub(crate) fn read(message: &[u8]) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let header = reader.header()?;
    if !header.is_response {
        return None;
    }
    let start = reader.at;
    reader.name()?;
    reader.take(4)?;
    let mut answer = Answer {
        id: header.id,
        question: message.get(start..reader.at)?.to_vec(),
        rcode: header.rcode,
        addresses: Vec::new(),
        nsid: None,
        errors: Vec::new(),
        keepalive: None,
    };
    for _ in 0..header.answers {
        let (rtype, _, data) = reader.record()?;
        match rtype {
            TYPE_A => answer
                .addresses
                .push(<[u8; 4]>::try_from(data).ok()?.into()),
            TYPE_AAAA => answer
                .addresses
                .push(<[u8; 16]>::try_from(data).ok()?.into()),
            _ => {}
        }
    }
    for _ in 0..header.authorities {
        reader.record()?;
    }
    for _ in 0..header.additionals {
        let (rtype, ttl, data) = reader.record()?;
        if rtype != TYPE_OPT {
            continue;
        }
        let [upper, ..] = ttl;
        answer.rcode |= u16::from(upper) << 4;
        for (code, value) in options(data) {
            match code {
                OPTION_NSID => answer.nsid = String::from_utf8(value.to_vec()).ok(),
                OPTION_ERROR => answer
                    .errors
                    .extend(value.first_chunk().map(|code| u16::from_be_bytes(*code))),
                OPTION_KEEPALIVE => {
                    answer.keepalive = value.first_chunk().map(|units| u16::from_be_bytes(*units));
                }
                _ => {}
            }
        }
    }
    Some(answer)
}

/// Reads a query; `None` when it is none, or broken.
pub(crate) fn read_query(message: &[u8]) -> Option<Query> {
    let mut reader = Reader { message, at: 0 };
    let header = reader.header()?;
    if header.is_response {
        return None;
    }
    let name = reader.name()?.to_ascii_lowercase();
    reader.take(4)?;
    let mut query = Query {
        name,
        options: Vec::new(),
    };
    for _ in 0..header.answers.checked_add(header.authorities)? {
        reader.record()?;
    }
    for _ in 0..header.additionals {
        let (rtype, _, data) = reader.record()?;
        if rtype == TYPE_OPT {
            query.options.extend(options(data).map(|(code, _)| code));
        }
    }
    Some(query)
}

/// The options of an OPT record, up to the first broken one.
fn options(data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut reader = Reader {
        message: data,
        at: 0,
    };
    std::iter::from_fn(move || {
        let code = reader.u16()?;
        let length = reader.u16()?;
        Some((code, reader.take(length.into())?))
    })
}

struct Header {
    id: u16,
    is_response: bool,
    rcode: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// The header of a message with one question.
    fn header(&mut self) -> Option<Header> {
        let id = self.u16()?;
        let flags = self.u16()?;
        let questions = self.u16()?;
        let header = Header {
            id,
            is_response: flags & 0x8000 != 0,
            rcode: flags & 0x000F,
            answers: self.u16()?,
            authorities: self.u16()?,
            additionals: self.u16()?,
        };
        (questions == 1).then_some(header)
    }

    /// Steps over a name and returns its labels; a pointer ends it.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            let [length] = *self.take(1)? else {
                return None;
            };
            match length {
                0 => return Some(name),
                1..=63 => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&String::from_utf8_lossy(self.take(length.into())?));
                }
                0xC0.. => return self.take(1).map(|_| name),
                _ => return None,
            }
        }
    }

    /// Type, the four octets of the TTL, data.
    fn record(&mut self) -> Option<(u16, [u8; 4], &'a [u8])> {
        self.name()?;
        let rtype = self.u16()?;
        self.take(2)?;
        let ttl = self.take(4)?.try_into().ok()?;
        let length = self.u16()?;
        Some((rtype, ttl, self.take(length.into())?))
    }
}

#[cfg(test)]
mod tests;
