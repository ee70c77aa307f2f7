//! As much of DNS messages as a client needs that wants to know who answered.
//!
//! Source: RFC 1035 §4.1 (format), §4.1.4 (compression), RFC 6891 §6.1 (OPT), RFC 5001 (NSID).

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::IpAddr;

/// A, RFC 1035 §3.2.2.
pub(crate) const TYPE_A: u16 = 1;
/// AAAA, RFC 3596 §2.1.
pub(crate) const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;
const OPTION_NSID: u16 = 3;
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
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]);
    bytes.extend_from_slice(question);
    bytes.push(0);
    for field in [TYPE_OPT, 1232, 0, 0, 4, OPTION_NSID, 0] {
        bytes.extend_from_slice(&field.to_be_bytes());
    }
    bytes
}

/// Reads a response; `None` when it is none, or broken.
pub(crate) fn read(message: &[u8]) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let id = reader.u16()?;
    let flags = reader.u16()?;
    let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let [questions, answers, authorities, additionals] = counts;
    if flags & 0x8000 == 0 || questions != 1 {
        return None;
    }
    let start = reader.at;
    reader.name()?;
    reader.take(4)?;
    let mut answer = Answer {
        id,
        question: message.get(start..reader.at)?.to_vec(),
        rcode: flags & 0x000F,
        addresses: Vec::new(),
        nsid: None,
    };
    for _ in 0..answers {
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
    for _ in 0..authorities {
        reader.record()?;
    }
    for _ in 0..additionals {
        let (rtype, ttl, data) = reader.record()?;
        if rtype == TYPE_OPT {
            let [upper, ..] = ttl;
            answer.rcode |= u16::from(upper) << 4;
            answer.nsid = nsid(data);
        }
    }
    Some(answer)
}

fn nsid(options: &[u8]) -> Option<String> {
    let mut reader = Reader {
        message: options,
        at: 0,
    };
    loop {
        let code = reader.u16()?;
        let length = reader.u16()?;
        let value = reader.take(length.into())?;
        if code == OPTION_NSID {
            return String::from_utf8(value.to_vec()).ok();
        }
    }
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

    /// Steps over a name; a pointer ends it.
    fn name(&mut self) -> Option<()> {
        loop {
            let [length] = *self.take(1)? else {
                return None;
            };
            match length {
                0 => return Some(()),
                1..=63 => self.take(length.into())?,
                0xC0.. => return self.take(1).map(drop),
                _ => return None,
            };
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
mod tests {
    use super::*;

    /// The answer of a server named `node1`: A 192.0.2.7 with a compressed owner name.
    fn response() -> Vec<u8> {
        let mut bytes = query(0x1234, &question("c7.cached.lab.test", TYPE_A));
        bytes[2] = 0x85;
        bytes[7] = 1;
        let opt = bytes.split_off(bytes.len() - 15);
        bytes.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 7]);
        bytes.extend_from_slice(&opt[..9]);
        bytes.extend_from_slice(&[0, 9, 0, 3, 0, 5]);
        bytes.extend_from_slice(b"node1");
        bytes
    }

    #[test]
    fn a_query_has_known_bytes() {
        let bytes = query(0xABCD, &question("a.bc", TYPE_AAAA));
        let known = b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\
            \x01a\x02bc\x00\x00\x1c\x00\x01\
            \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x04\x00\x03\x00\x00";
        assert_eq!(bytes, known);
    }

    #[test]
    fn address_question_and_server_are_read_from_an_answer() {
        let answer = read(&response()).unwrap();
        assert_eq!(answer.id, 0x1234);
        assert_eq!(answer.rcode, 0);
        assert_eq!(answer.question, question("c7.cached.lab.test", TYPE_A));
        assert_eq!(answer.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(answer.nsid.as_deref(), Some("node1"));
    }

    #[test]
    fn a_shortened_answer_is_no_answer() {
        let whole = response();
        for length in 0..whole.len() {
            let read = read(&whole[..length]);
            assert!(read.is_none_or(|a| a.nsid.is_none()), "{length} octets");
        }
    }

    #[test]
    fn a_query_is_no_answer() {
        assert_eq!(read(&query(1, &question("a", TYPE_A))), None);
    }
}
