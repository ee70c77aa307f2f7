//! What a client asked, read from wire bytes without allocation.
//!
//! Source: RFC 1035 §4.1, RFC 6891 §6.1 and §7 (OPT), RFC 9619 (one question), RFC 7873 §5.4 (none,
//! for a cookie).
//! What is not understood, after Unbound, BIND and Knot Resolver; TC is Unbound's:
//!
//! | message | answer |
//! |---|---|
//! | shorter than a header, or with QR set | none |
//! | another opcode (NOTIFY, UPDATE, STATUS, …) | NOTIMP |
//! | TC set, two questions, or none without a cookie | FORMERR |
//! | a compressed or unreadable question, fewer records than counted, or more than a few | FORMERR |
//! | two OPT, or one with an owner, outside of the additional section, or unreadable | FORMERR |
//! | octets behind the last record, other bits of the header, TSIG, SIG(0) | they are ignored |
//!
//! A request has no use for many records (OPT, TSIG, the SOA of an IXFR). FORMERR and NOTIMP are a
//! header alone here: what follows it in the request may be anything, and the answer is never larger.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::code::Rcode;
use super::cookie;
use super::key::{Key, NAME_MAX};
use super::walk::{Cursor, HEADER, Malformed};

mod edns;

pub use edns::{Edns, Keepalive};

const RECORDS_MAX: u32 = 8;
const QUESTION_TAIL: usize = 4;
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

/// A request with exactly one question, which it borrows from the message; the one that
/// [`Unreadable::NoQuestion`] holds has none.
#[derive(Clone, Copy, PartialEq, Eq)]
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
    /// What is known of who asks; nothing until somebody has looked.
    pub standing: Standing,
    question: &'a [u8],
}

/// What is known of the sender of a request, and what the options of the answer are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The source address is the sender's own: TCP, or a good cookie.
    pub is_verified: bool,
    /// It is another node of the service, which asks as its last resort.
    pub is_sibling: bool,
    /// It says so, which takes rights away, but gives none by itself.
    pub is_marked: bool,
    /// It has sent an option that has to be answered with FORMERR.
    pub has_bad_option: bool,
    /// It has sent a server cookie that is none of ours, or too old.
    pub has_bad_cookie: bool,
    /// The COOKIE option of the answer.
    pub cookie: Option<[u8; cookie::REPLY]>,
    /// The edns-tcp-keepalive option of the answer, in units of 100 ms.
    pub keepalive: Option<u16>,
}

/// A request that outlives its message.
#[derive(Clone)]
pub struct KeptRequest {
    /// All but the question.
    head: Request<'static>,
    octets: usize,
    question: [u8; NAME_MAX + QUESTION_TAIL],
}

/// Why there is no [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not a query, or too short for a header: nothing is sent back.
    Ignore,
    /// No question, but a cookie: the client wants one of ours. RFC 7873 §5.4.
    NoQuestion(Request<'static>),
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
        if header.is_truncated() || header.questions > 1 {
            return Err(header.reject(Rcode::FORMERR));
        }
        let malformed = |Malformed| header.reject(Rcode::FORMERR);
        if header.questions == 0 {
            let request = Self::parse_empty(&header, message).map_err(malformed)?;
            return Err(Unreadable::NoQuestion(request));
        }
        Self::parse_body(&header, message, key).map_err(malformed)
    }

    fn parse_body(header: &Header, message: &'a [u8], key: &mut Key) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(message, HEADER);
        let name = cursor.plain_name()?;
        let (qtype, qclass) = (cursor.u16()?, cursor.u16()?);
        let question = message.get(HEADER..cursor.position()).ok_or(Malformed)?;
        let request = header.request(question, header.edns(cursor)?);
        let dnssec_ok = request.edns.is_some_and(|edns| edns.dnssec_ok);
        key.set(name, qtype, qclass, dnssec_ok, request.checking_disabled)
            .ok_or(Malformed)?;
        Ok(request)
    }

    /// RFC 7873 §5.4: only a cookie makes sense of it.
    fn parse_empty(header: &Header, message: &[u8]) -> Result<Request<'static>, Malformed> {
        let edns = header.edns(Cursor::new(message, HEADER))?;
        let has_cookie = edns.is_some_and(|edns| edns.cookie.is_some());
        has_cookie
            .then(|| header.request(&[], edns))
            .ok_or(Malformed)
    }

    /// The answer to it if it turns out to be of no use.
    #[must_use]
    pub fn reject(&self, rcode: Rcode) -> Rejection {
        Rejection {
            id: self.id,
            opcode: 0,
            recursion_desired: self.recursion_desired,
            rcode,
        }
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
    /// What was known of who asked.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.head.standing
    }

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

    fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    fn opcode(&self) -> u8 {
        let [high, _] = self.flags.to_be_bytes();
        high >> 3 & 0x0F
    }

    fn recursion_desired(&self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// Walks the records behind the question.
    fn edns(&self, mut cursor: Cursor<'_>) -> Result<Option<Edns>, Malformed> {
        let before_additionals = self.answers + self.authorities;
        let count = before_additionals + self.additionals;
        if count > RECORDS_MAX {
            return Err(Malformed);
        }
        edns::find((0..count).map(|_| cursor.record()), before_additionals)
    }

    fn request<'a>(&self, question: &'a [u8], edns: Option<Edns>) -> Request<'a> {
        Request {
            id: self.id,
            recursion_desired: self.recursion_desired(),
            authentic_data: self.flags & 0x0020 != 0,
            checking_disabled: self.flags & 0x0010 != 0,
            edns,
            standing: Standing::default(),
            question,
        }
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
