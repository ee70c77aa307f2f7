//! Makes a response of an upstream fit to be kept: what does not belong to the question goes, TTLs
//! are bounded.
//!
//! Source: RFC 2308 §2, §3, §5 (negative answers), RFC 2181 §5.2 and §8 (TTLs), RFC 8767 §4 (large
//! TTLs are bounded, not zero), RFC 6891 §6.1.1 (OPT is not kept), RFC 8914 (EDE), RFC 5452 §6 (what
//! is out of place). Which records belong is in `belonging`, the aliases that lead there in `chain`.
//!
//! An answer is kept for its own question alone, so that nothing in it can speak for another name.
//! Still only that goes on which stubs and validators behind them use: the chain of aliases, what it
//! leads to, the SOA of a negative answer, and proofs for those who ask for them. The message itself
//! becomes what is kept, and nothing is allocated: what does not belong is nearly always at the end,
//! where cutting keeps every compression pointer true; otherwise `rewrite` closes the gaps.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::time::Duration;

use super::super::CacheSettings;
use super::super::code::{ExtendedError, Rcode};
use super::super::key::Key;
use super::super::sections::Sections;
use super::super::walk::{Cursor, HEADER, Malformed, Record, option, options, rtype};

mod belonging;
mod chain;
mod rewrite;
mod ttls;

use belonging::Belonging;
use chain::Chain;
use ttls::Bounds;

const ANSWER: usize = 0;
const AUTHORITY: usize = 1;
const ADDITIONAL: usize = 2;
/// Octets of the header before the numbers of records.
const COUNTS: usize = 6;

/// What is left of a response; the records stay in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaned<'a> {
    /// With the bits of the OPT record.
    pub rcode: Rcode,
    /// The AD bit.
    pub authentic: bool,
    /// The records that belong to the question, with bounded TTLs; none beside an error.
    pub sections: Sections<'a>,
    /// How long the records may be used; `None`: for this question alone.
    pub lifetime: Option<Duration>,
    /// What the upstream gave as the reason.
    pub extended_error: Option<ExtendedError>,
}

/// Why a response is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not a response, or not readable.
    #[error("malformed response")]
    Malformed,
    /// It answers another question.
    #[error("another question")]
    Question,
    /// Only a part of it is there. RFC 2181 §9.
    #[error("truncated response")]
    Truncated,
    /// Aliases that lead back to one of them, or too many. RFC 1034 §3.6.2.
    #[error("endless aliases")]
    Aliases,
    /// No record of its answer belongs to the question.
    #[error("unrelated records")]
    Unrelated,
    /// It names other servers instead of answering: that one does not resolve. RFC 2308 §2.2.
    #[error("referral")]
    Referral,
}

impl From<Malformed> for Unusable {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// Checks `message` as the response to `key` and makes it fit to be kept.
///
/// Doing so again changes nothing more.
///
/// # Errors
/// [`Unusable`] when it must not reach a client.
pub fn clean<'a>(
    key: &Key,
    message: &'a mut [u8],
    limits: &CacheSettings,
) -> Result<Cleaned<'a>, Unusable> {
    let head = Head::read(key, message)?;
    let opt = check_records(message, head)?;
    let rcode = Rcode::from_parts(head.flags_low, opt.extended_rcode);
    let mut cleaned = Cleaned {
        rcode,
        authentic: head.flags_low & 0x20 != 0,
        sections: Sections::default(),
        lifetime: None,
        extended_error: opt.extended_error,
    };
    if !rcode.is_conclusive() {
        return Ok(cleaned);
    }
    let chain = Chain::follow(key, message, head)?;
    let chosen = choose(key, message, head, &chain);
    chosen.check(head, rcode)?;
    let mut end = chosen.end;
    if chosen.has_gaps {
        let rewritten = rewrite::without_gaps(key, message, head, &chain)?;
        end = head.records_at + rewritten.len();
        let room = message.get_mut(head.records_at..end).ok_or(Malformed)?;
        room.copy_from_slice(&rewritten);
        put_counts(message, chosen.counts)?;
    }
    let bounds = Bounds::of(rcode, &chosen, limits);
    let shortest_s = bounds.apply(key, message, head.records_at, &chosen)?;
    let records = message.get(head.records_at..end).ok_or(Malformed)?;
    cleaned.sections = Sections::new(chosen.counts, records);
    cleaned.lifetime = shortest_s
        .filter(|_| bounds.cacheable)
        .map(|seconds| Duration::from_secs(seconds.into()));
    Ok(cleaned)
}

/// Whether `message` would pass [`clean`] as the response to `key` with an acceptable RCODE; nothing
/// is written or allocated.
///
/// Gaps that cannot be closed are not seen: no sane server leaves them.
#[must_use]
pub fn is_usable(key: &Key, message: &[u8]) -> bool {
    let examine = || {
        let head = Head::read(key, message)?;
        let opt = check_records(message, head)?;
        let rcode = Rcode::from_parts(head.flags_low, opt.extended_rcode);
        if !rcode.is_conclusive() {
            return Ok(false);
        }
        let chain = Chain::follow(key, message, head)?;
        choose(key, message, head, &chain).check(head, rcode)?;
        Ok::<_, Unusable>(true)
    };
    examine().unwrap_or(false)
}

/// What stands before the records.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// RA, AD and RCODE among others. RFC 1035 §4.1.1.
    flags_low: u8,
    /// Records in answer, authority and additional section.
    counts: [u16; 3],
    /// Where the first record begins.
    records_at: usize,
}

impl Head {
    fn read(key: &Key, message: &[u8]) -> Result<Self, Unusable> {
        let mut cursor = Cursor::new(message, 2);
        let [high, flags_low] = cursor.u16()?.to_be_bytes();
        let questions = cursor.u16()?;
        let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?];
        if high & 0x80 == 0 || high & 0x78 != 0 || questions != 1 {
            return Err(Unusable::Malformed);
        }
        let name = cursor.plain_name()?;
        let question = (cursor.u16()?, cursor.u16()?);
        if !name.eq_ignore_ascii_case(key.name()) || question != (key.qtype(), key.qclass()) {
            return Err(Unusable::Question);
        }
        if high & 0x02 != 0 {
            return Err(Unusable::Truncated);
        }
        Ok(Self {
            flags_low,
            counts,
            records_at: cursor.position(),
        })
    }

    fn is_recursive(self) -> bool {
        self.flags_low & 0x80 != 0
    }

    /// The records of answer and authority section with their section; they have been checked.
    fn records(self, message: &[u8]) -> impl Iterator<Item = (usize, Record<'_>)> {
        let [answers, authorities, _] = self.counts.map(usize::from);
        let sections =
            std::iter::repeat_n(ANSWER, answers).chain(std::iter::repeat_n(AUTHORITY, authorities));
        let mut cursor = Cursor::new(message, self.records_at);
        sections.map_while(move |section| Some((section, cursor.checked_record().ok()?)))
    }
}

/// What the OPT record says.
#[derive(Default)]
struct Opt {
    extended_rcode: u8,
    extended_error: Option<ExtendedError>,
}

/// Walks all records; those that speak about the message are additional ones.
fn check_records(message: &[u8], head: Head) -> Result<Opt, Malformed> {
    let mut opt = None;
    let mut cursor = Cursor::new(message, head.records_at);
    for (section, count) in head.counts.into_iter().enumerate() {
        for _ in 0..count {
            let record = cursor.record()?;
            let is_opt = record.rtype == rtype::OPT;
            let is_signature = record.rtype == rtype::TSIG || is_transaction_sig(&record);
            if (is_opt || is_signature) && section != ADDITIONAL || is_opt && opt.is_some() {
                return Err(Malformed);
            }
            if is_opt {
                let [extended_rcode, ..] = record.ttl_s.to_be_bytes();
                opt = Some(Opt {
                    extended_rcode,
                    extended_error: extended_error(record.rdata)?,
                });
            }
        }
    }
    Ok(opt.unwrap_or_default())
}

/// RFC 2931 §3.1: SIG(0) covers type 0.
fn is_transaction_sig(record: &Record<'_>) -> bool {
    record.rtype == rtype::SIG && record.covered() == 0
}

fn extended_error(rdata: &[u8]) -> Result<Option<ExtendedError>, Malformed> {
    for option in options(rdata) {
        if let (option::EDE, value) = option? {
            let code = value.first_chunk().ok_or(Malformed)?;
            return Ok(Some(ExtendedError(u16::from_be_bytes(*code))));
        }
    }
    Ok(None)
}

/// What belongs to the question.
#[derive(Clone, Copy, Debug, Default)]
struct Chosen {
    counts: [u16; 3],
    /// Behind the last record that belongs.
    end: usize,
    /// Something before that does not.
    has_gaps: bool,
    /// There is what the question asks for.
    answered: bool,
    /// There is an NS record where the SOA of a negative answer should be.
    names_servers: bool,
    /// The lesser of an SOA's TTL and its MINIMUM. RFC 2308 §3.
    negative_ttl_s: Option<u32>,
    /// Of what the question asks for. RFC 2181 §5.2: an RRset has one TTL.
    least_ttl_s: Option<u32>,
}

fn choose(key: &Key, message: &[u8], head: Head, chain: &Chain) -> Chosen {
    let mut belonging = Belonging::new(key, message, chain);
    let mut chosen = Chosen {
        end: head.records_at,
        ..Chosen::default()
    };
    let mut gap = false;
    for (section, record) in head.records(message) {
        chosen.names_servers |= section == AUTHORITY && record.rtype == rtype::NS;
        if !belonging.includes(section, &record) {
            gap = true;
            continue;
        }
        chosen.has_gaps |= gap;
        chosen.end = record.end();
        if let Some(count) = chosen.counts.get_mut(section) {
            *count += 1;
        }
        if section == AUTHORITY && record.rtype == rtype::SOA {
            let minimum = record.rdata.last_chunk().copied().map(u32::from_be_bytes);
            chosen.negative_ttl_s = minimum.map(|minimum_s| minimum_s.min(record.ttl_s));
        }
        if section == ANSWER && is_asked_for(key, &record) {
            let least_s = chosen.least_ttl_s.unwrap_or(u32::MAX);
            chosen.least_ttl_s = Some(least_s.min(record.ttl_s));
        }
    }
    chosen.answered = belonging.is_answered();
    chosen
}

impl Chosen {
    /// # Errors
    /// What would be passed on as "there is no such record" without anybody having said so.
    fn check(&self, head: Head, rcode: Rcode) -> Result<(), Unusable> {
        let [answers, ..] = self.counts;
        let [received, ..] = head.counts;
        if rcode != Rcode::NOERROR || answers > 0 || self.negative_ttl_s.is_some() {
            return Ok(());
        }
        if received > 0 {
            return Err(Unusable::Unrelated);
        }
        if self.names_servers && !head.is_recursive() {
            return Err(Unusable::Referral);
        }
        Ok(())
    }
}

/// Whether a record of a cleaned answer is of the RRset that the question asks for, or signs it.
fn is_asked_for(key: &Key, record: &Record<'_>) -> bool {
    [record.rtype, record.covered(), rtype::ANY].contains(&key.qtype())
}

fn put_counts(message: &mut [u8], counts: [u16; 3]) -> Result<(), Malformed> {
    let places = message.get_mut(COUNTS..HEADER).ok_or(Malformed)?;
    for (place, count) in places.chunks_exact_mut(2).zip(counts) {
        place.copy_from_slice(&count.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
