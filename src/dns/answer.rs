//! Writes answers into a buffer of the caller.
//!
//! Source: RFC 1035 §4.1, RFC 6891 §6.1 and §7 (OPT), RFC 2181 §9 (TC), RFC 5001 §2.2 (NSID),
//! RFC 7873 §5.2 (COOKIE), RFC 7828 §3.3.2 (keepalive), RFC 8914 §2 (EDE), RFC 6840 §5.7 to §5.9 (AD,
//! CD).
//! RFC 2181 §9 has clients ignore the records of a truncated answer, so there are none for those that
//! use EDNS. Others get what fits: among them is musl before 1.2.4, which knows no TCP and takes a
//! name without records for one that does not exist.
//! RA is always set, Z never, whatever came in; an OPT is answered with an OPT of version 0 whose only
//! flag is DO as the client had it.
//! A refusal is its question and an OPT: it must not be worth more to a forger than it has cost him.
//! NSID, which may be long, is not in it unless the client is known to be who it says.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::code::{ExtendedError, Rcode};
use super::cookie;
use super::request::{Rejection, Request, UDP_MAX};
use super::sections::{Sections, Ttl};
use super::walk::{HEADER, option, rtype};

const OPT_FIXED: usize = 11;
const OPTION_HEAD: usize = 4;
const EDE_OPTION: usize = OPTION_HEAD + 2;
const KEEPALIVE_OPTION: usize = OPTION_HEAD + 2;
const COOKIE_OPTION: usize = OPTION_HEAD + cookie::REPLY;

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The result.
    pub rcode: Rcode,
    /// The AA bit.
    pub authoritative: bool,
    /// Whether an upstream set AD; told only to clients that ask.
    pub authentic: bool,
    /// The records.
    pub sections: Option<Sections<'a>>,
    /// How their TTLs are sent.
    pub ttl: Ttl,
    /// Told to clients that use EDNS.
    pub extended_error: Option<ExtendedError>,
    /// Where a local alias leads when upstreams know that name: wire form, lower case.
    pub target: Option<&'a [u8]>,
    /// The error is not new: an EDE says so, beside that of the error itself. RFC 8914 §4.14.
    pub is_cached_error: bool,
}

impl Answer<'_> {
    /// An answer without records.
    #[must_use]
    pub fn bare(rcode: Rcode, extended_error: Option<ExtendedError>) -> Self {
        Self {
            rcode,
            authoritative: false,
            authentic: false,
            sections: None,
            ttl: Ttl::Aged(0),
            extended_error,
            target: None,
            is_cached_error: false,
        }
    }

    /// The EDE options, in the order in which they are sent.
    fn extended_errors(&self) -> [Option<ExtendedError>; 2] {
        let cached = self.is_cached_error.then_some(ExtendedError::CACHED_ERROR);
        [self.extended_error, cached]
    }
}

/// Appends `answer` to `out`, at most `limit` octets; returns whether it had to be truncated.
///
/// `limit` is at least 512 ([`Request::size_limit`]), which the question and a bare OPT always fit.
pub fn write(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    limit: usize,
    node_name: &[u8],
    answer: &Answer<'_>,
) -> bool {
    let question = request.question();
    let fixed = HEADER + question.len() + opt_octets(request, answer);
    let records = answer.sections.map_or(0, |sections| sections.octets());
    let truncated = fixed + records > limit;
    let sections = answer.sections.map(|sections| {
        if !truncated {
            sections
        } else if request.edns.is_none() {
            sections.beginning(limit.saturating_sub(fixed))
        } else {
            sections.beginning(0)
        }
    });

    let flags = Flags {
        opcode: 0,
        authoritative: answer.authoritative,
        truncated,
        recursion_desired: request.recursion_desired,
        authentic: answer.authentic && !truncated && request.wants_authentic_data(),
        checking_disabled: request.checking_disabled,
        rcode: answer.rcode,
    };
    let [answers, authorities, additionals] = sections.map_or([0; 3], |sections| sections.counts());
    let additionals = additionals.saturating_add(u16::from(request.edns.is_some()));
    put_header(
        out,
        request.id,
        flags,
        [
            u16::from(!question.is_empty()),
            answers,
            authorities,
            additionals,
        ],
    );
    out.extend_from_slice(question);
    if let Some(sections) = sections {
        sections.write(out, answer.ttl);
    }
    let used = fixed + sections.map_or(0, |sections| sections.octets());
    put_opt(out, request, answer, node_name, limit.saturating_sub(used));
    truncated
}

/// Appends the answer to a request whose question cannot be used: a header alone.
pub fn write_rejection(out: &mut Vec<u8>, rejection: &Rejection) {
    let flags = Flags {
        opcode: rejection.opcode,
        authoritative: false,
        truncated: false,
        recursion_desired: rejection.recursion_desired,
        authentic: false,
        checking_disabled: false,
        rcode: rejection.rcode,
    };
    put_header(out, rejection.id, flags, [0; 4]);
}

struct Flags {
    opcode: u8,
    authoritative: bool,
    truncated: bool,
    recursion_desired: bool,
    authentic: bool,
    checking_disabled: bool,
    rcode: Rcode,
}

/// RFC 1035 §4.1.1; RA is always set.
fn put_header(out: &mut Vec<u8>, id: u16, flags: Flags, counts: [u16; 4]) {
    let high = 0x80
        | (flags.opcode & 0x0F) << 3
        | u8::from(flags.authoritative) << 2
        | u8::from(flags.truncated) << 1
        | u8::from(flags.recursion_desired);
    let low = 0x80
        | u8::from(flags.authentic) << 5
        | u8::from(flags.checking_disabled) << 4
        | flags.rcode.low();
    let [questions, answers, authorities, additionals] = counts;
    let flags = u16::from_be_bytes([high, low]);
    let words = [id, flags, questions, answers, authorities, additionals];
    let mut header = [0; HEADER];
    for (octets, word) in header.chunks_exact_mut(2).zip(words) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&header);
}

/// Octets of the OPT record without NSID.
fn opt_octets(request: &Request<'_>, answer: &Answer<'_>) -> usize {
    if request.edns.is_none() {
        return 0;
    }
    let standing = &request.standing;
    let reasons = answer.extended_errors().into_iter().flatten();
    OPT_FIXED
        + standing.cookie.map_or(0, |_| COOKIE_OPTION)
        + standing.keepalive.map_or(0, |_| KEEPALIVE_OPTION)
        + reasons.map(|_| EDE_OPTION).sum::<usize>()
}

/// RFC 6891 §6.1.2; NSID is left out when `room` is too small for it.
fn put_opt(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    answer: &Answer<'_>,
    node_name: &[u8],
    room: usize,
) {
    let Some(edns) = request.edns else { return };
    let standing = &request.standing;
    let nsid = Some(node_name).filter(|name| {
        let may_be_told = standing.is_verified || !answer.rcode.is_refusal();
        edns.nsid && may_be_told && OPTION_HEAD + name.len() <= room
    });
    let nsid_octets = nsid.map_or(0, |name| OPTION_HEAD + name.len());
    let rdata_octets = opt_octets(request, answer) - OPT_FIXED + nsid_octets;
    let rdata_octets = u16::try_from(rdata_octets).unwrap_or(u16::MAX);

    out.push(0);
    out.extend_from_slice(&rtype::OPT.to_be_bytes());
    out.extend_from_slice(&UDP_MAX.to_be_bytes());
    let dnssec_ok = u8::from(edns.dnssec_ok) << 7;
    out.extend_from_slice(&[answer.rcode.high(), 0, dnssec_ok, 0]);
    out.extend_from_slice(&rdata_octets.to_be_bytes());
    if let Some(name) = nsid {
        put_option(out, option::NSID, name);
    }
    if let Some(cookie) = &standing.cookie {
        put_option(out, option::COOKIE, cookie);
    }
    if let Some(units) = standing.keepalive {
        put_option(out, option::KEEPALIVE, &units.to_be_bytes());
    }
    for ExtendedError(code) in answer.extended_errors().into_iter().flatten() {
        put_option(out, option::EDE, &code.to_be_bytes());
    }
}

fn put_option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
