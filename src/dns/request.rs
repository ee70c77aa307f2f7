//! What a client asked, read from wire bytes without allocation.
//!
//! Source: RFC 1035 §4.1, RFC 6891 §6.1 and §7 (OPT), RFC 5001 §2.1 (NSID), RFC 9619 (one question).
//! A request has no use for many records (OPT, TSIG, the SOA of an IXFR): more than a few are refused.
//! Octets behind the last counted record are ignored, as most resolvers do. EDNS options other than
//! NSID are ignored, TSIG and SIG(0) too: this server has no keys.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::code::Rcode;
use super::key::{Key, NAME_MAX};
use super::walk::{Cursor, HEADER, Malformed, options, rtype};

const RECORDS_MAX: u32 = 8;
const QUESTION_TAIL: usize = 4;
/// EDNS option code of NSID. RFC 5001 §2.3.
pub(super) const NSID: u16 = 3;
/// Least UDP payload that every client takes. RFC 1035 §4.2.1, RFC 6891 §6.2.3.
const UDP_MIN: u16 = 512;
/// Most that is sent by UDP: fits every path without fragments.
pub(super) const UDP_MAX: u16 = 1232;

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams; answers are truncated at the client's size.
    Udp,
    /// A stream with two octets of length before each message.
    Tcp,
}

/// A request with exactly one question, which it borrows from the message.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Copied into the answer.
    pub id: u16,
    /// The RD bit.
    pub recursion_desired: bool,
    /// The AD bit: the client wants to know whether the answer was validated. RFC 6840 §5.7.
    pub authentic_data: bool,
    /// The CD bit. RFC 4035 §3.2.2.
    pub checking_disabled: bool,
    /// What the OPT record said, if there was one.
    pub edns: Option<Edns>,
    question: &'a [u8],
}

/// A request that outlives its message.
#[derive(Clone)]
pub struct KeptRequest {
    /// All but the question.
    head: Request<'static>,
    octets: usize,
    question: [u8; NAME_MAX + QUESTION_TAIL],
}

/// The OPT record of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// 0 is the only version there is.
    pub version: u8,
    /// What the client can take by UDP, in octets, as sent.
    pub udp_size: u16,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// Whether the client wants to know which server this is.
    pub nsid: bool,
}

/// Why there is no [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not a query, or too short for a header: nothing is sent back.
    Ignore,
    /// To be answered with a header alone.
    Reject(Rejection),
}

/// The answer to a request whose question cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Copied from the request.
    pub id: u16,
    /// Copied from the request, 0 to 15.
    pub opcode: u8,
    /// Copied from the request.
    pub recursion_desired: bool,
    /// FORMERR or NOTIMP.
    pub rcode: Rcode,
}

impl<'a> Request<'a> {
    /// Reads a message; `key` becomes what the answer depends on.
    ///
    /// # Errors
    /// [`Unreadable`] says what to do with the message instead; `key` is of no use then.
    pub fn parse(message: &'a [u8], key: &mut Key) -> Result<Self, Unreadable> {
        let header = Header::parse(message).map_err(|Malformed| Unreadable::Ignore)?;
        if header.is_response() {
            return Err(Unreadable::Ignore);
        }
        if header.opcode() != 0 {
            return Err(header.reject(Rcode::NOTIMP));
        }
        if header.questions != 1 {
            return Err(header.reject(Rcode::FORMERR));
        }
        Self::parse_body(&header, message, key).map_err(|Malformed| header.reject(Rcode::FORMERR))
    }

    fn parse_body(header: &Header, message: &'a [u8], key: &mut Key) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(message, HEADER);
        let name = cursor.plain_name()?;
        let (qtype, qclass) = (cursor.u16()?, cursor.u16()?);
        let question = message.get(HEADER..cursor.position()).ok_or(Malformed)?;
        if header.answers + header.authorities + header.additionals > RECORDS_MAX {
            return Err(Malformed);
        }
        for _ in 0..header.answers + header.authorities {
            cursor.record()?;
        }
        let mut edns = None;
        for _ in 0..header.additionals {
            let record = cursor.record()?;
            if record.rtype != rtype::OPT {
                continue;
            }
            // RFC 6891 §6.1.1 (one OPT), §6.1.2 (its owner is the root).
            if edns.is_some() || record.owner_octets != 1 {
                return Err(Malformed);
            }
            edns = Some(Edns::parse(record.class, record.ttl_s, record.rdata)?);
        }
        let dnssec_ok = edns.is_some_and(|edns| edns.dnssec_ok);
        let checking_disabled = header.flags & 0x0010 != 0;
        key.set(name, qtype, qclass, dnssec_ok, checking_disabled)
            .ok_or(Malformed)?;
        Ok(Self {
            id: header.id,
            recursion_desired: header.recursion_desired(),
            authentic_data: header.flags & 0x0020 != 0,
            checking_disabled,
            edns,
            question,
        })
    }

    /// The question section as the client wrote it: name, type, class.
    #[must_use]
    pub fn question(&self) -> &'a [u8] {
        self.question
    }

    /// A copy that needs the message no longer.
    #[must_use]
    pub fn keep(&self) -> KeptRequest {
        let mut question = [0; NAME_MAX + QUESTION_TAIL];
        for (to, from) in question.iter_mut().zip(self.question) {
            *to = *from;
        }
        KeptRequest {
            head: Request {
                question: &[],
                ..*self
            },
            octets: self.question.len(),
            question,
        }
    }

    /// Most octets that the answer may have.
    #[must_use]
    pub fn size_limit(&self, transport: Transport) -> usize {
        usize::from(match (transport, self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => UDP_MIN,
            (Transport::Udp, Some(edns)) => edns.udp_size.clamp(UDP_MIN, UDP_MAX),
        })
    }

    /// Whether the client understands the AD bit in an answer. RFC 6840 §5.8.
    #[must_use]
    pub fn wants_authentic_data(&self) -> bool {
        self.authentic_data || self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

impl KeptRequest {
    /// What was kept.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        Request {
            question: self.question.get(..self.octets).unwrap_or_default(),
            ..self.head
        }
    }
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("question", &self.question.escape_ascii())
            .field("edns", &self.edns)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for KeptRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.request().fmt(f)
    }
}

impl Edns {
    fn parse(class: u16, ttl: u32, rdata: &[u8]) -> Result<Self, Malformed> {
        let [_extended_rcode, version, flags, _] = ttl.to_be_bytes();
        let mut nsid = false;
        // The options of a later version may have another form: BADVERS comes first. RFC 6891 §6.1.3.
        if version == 0 {
            for option in options(rdata) {
                let (code, _value) = option?;
                nsid |= code == NSID;
            }
        }
        Ok(Self {
            version,
            udp_size: class,
            dnssec_ok: flags & 0x80 != 0,
            nsid,
        })
    }
}

struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u32,
    authorities: u32,
    additionals: u32,
}

impl Header {
    fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(message, 0);
        Ok(Self {
            id: cursor.u16()?,
            flags: cursor.u16()?,
            questions: cursor.u16()?,
            answers: cursor.u16()?.into(),
            authorities: cursor.u16()?.into(),
            additionals: cursor.u16()?.into(),
        })
    }

    fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    fn opcode(&self) -> u8 {
        let [high, _] = self.flags.to_be_bytes();
        high >> 3 & 0x0F
    }

    fn recursion_desired(&self) -> bool {
        self.flags & 0x0100 != 0
    }

    fn reject(&self, rcode: Rcode) -> Unreadable {
        Unreadable::Reject(Rejection {
            id: self.id,
            opcode: self.opcode(),
            recursion_desired: self.recursion_desired(),
            rcode,
        })
    }
}

#[cfg(test)]
mod tests;
