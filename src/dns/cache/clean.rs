//! Makes a response of an upstream fit to be kept: walked, without OPT, with bounded TTLs.
//!
//! Source: RFC 2308 §2, §3, §5 (negative answers), RFC 2181 §5.2 and §8 (TTLs), RFC 8767 §4 (large
//! TTLs are bounded, not zero), RFC 6891 §6.1.1 (OPT is not kept), RFC 8914 (EDE).
//! Records behind an OPT, TSIG or SIG(0) are dropped with it: they are additional ones, and cutting
//! keeps every compression pointer true. The message itself becomes what is kept: its TTLs are moved
//! into their bounds where they stand, so that nothing is allocated.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::time::Duration;

use super::super::CacheSettings;
use super::super::code::{ExtendedError, Rcode};
use super::super::key::Key;
use super::super::sections::{Sections, for_each_ttl};
use super::super::walk::{Cursor, HEADER, Malformed, Record, options, rtype};

const ANSWER: usize = 0;
const AUTHORITY: usize = 1;
const ADDITIONAL: usize = 2;
/// Option code of Extended DNS Errors. RFC 8914 §2.
const EDE: u16 = 15;

/// What is left of a response; the records stay in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaned<'a> {
    /// With the bits of the OPT record.
    pub rcode: Rcode,
    /// The AD bit.
    pub authentic: bool,
    /// The records, with bounded TTLs.
    pub sections: Sections<'a>,
    /// How long the records may be used; `None`: for this question alone.
    pub lifetime: Option<Duration>,
    /// What the upstream gave as the reason of its error.
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
    let mut cursor = Cursor::new(message, 2);
    let [high, low] = cursor.u16()?.to_be_bytes();
    let questions = cursor.u16()?;
    let counted = [cursor.u16()?, cursor.u16()?, cursor.u16()?];
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

    let walked = walk_records(key, cursor, counted)?;
    let rcode = Rcode::from_parts(low, walked.extended_rcode);
    let bounds = Bounds::of(rcode, &walked, limits);
    let start = HEADER + key.name().len() + 4;
    let records = message.get_mut(start..walked.end).ok_or(Malformed)?;
    let mut shortest_s = None;
    for_each_ttl(records, walked.counts, |received_s| {
        let ttl_s = received_s.clamp(bounds.min_s, bounds.max_s);
        shortest_s = Some(shortest_s.map_or(ttl_s, |shortest: u32| shortest.min(ttl_s)));
        ttl_s
    });
    Ok(Cleaned {
        rcode,
        authentic: low & 0x20 != 0,
        sections: Sections::new(walked.counts, records),
        lifetime: shortest_s
            .filter(|_| bounds.cacheable)
            .map(|seconds| Duration::from_secs(seconds.into())),
        extended_error: walked.extended_error,
    })
}

/// What walking the records found.
struct Walked {
    counts: [u16; 3],
    /// Behind the last record that is kept.
    end: usize,
    answered: bool,
    /// The lesser of an SOA's TTL and its MINIMUM. RFC 2308 §3.
    negative_ttl_s: Option<u32>,
    extended_rcode: u8,
    extended_error: Option<ExtendedError>,
}

fn walk_records(key: &Key, mut cursor: Cursor<'_>, counted: [u16; 3]) -> Result<Walked, Malformed> {
    let mut walked = Walked {
        counts: [0; 3],
        end: cursor.position(),
        answered: false,
        negative_ttl_s: None,
        extended_rcode: 0,
        extended_error: None,
    };
    let mut keeping = true;
    let mut opt_seen = false;
    for ((section, count), kept) in counted.into_iter().enumerate().zip(&mut walked.counts) {
        for _ in 0..count {
            let record = cursor.record()?;
            if matches!(record.rtype, rtype::OPT | rtype::TSIG) || is_transaction_sig(&record) {
                if section != ADDITIONAL || (record.rtype == rtype::OPT && opt_seen) {
                    return Err(Malformed);
                }
                if record.rtype == rtype::OPT {
                    opt_seen = true;
                    let [extended_rcode, ..] = record.ttl_s.to_be_bytes();
                    walked.extended_rcode = extended_rcode;
                    walked.extended_error = extended_error(record.rdata)?;
                }
                keeping = false;
            }
            if !keeping {
                continue;
            }
            *kept += 1;
            walked.end = cursor.position();
            if section == ANSWER {
                walked.answered |= [record.rtype, rtype::ANY].contains(&key.qtype());
            }
            if section == AUTHORITY && record.rtype == rtype::SOA {
                let minimum = record.rdata.last_chunk().ok_or(Malformed)?;
                let ttl_s = record.ttl_s.min(u32::from_be_bytes(*minimum));
                walked.negative_ttl_s = Some(ttl_s);
            }
        }
    }
    Ok(walked)
}

/// RFC 2931 §3.1: SIG(0) covers type 0.
fn is_transaction_sig(record: &Record<'_>) -> bool {
    record.rtype == rtype::SIG && record.rdata.starts_with(&[0, 0])
}

fn extended_error(rdata: &[u8]) -> Result<Option<ExtendedError>, Malformed> {
    for option in options(rdata) {
        if let (EDE, value) = option? {
            let code = value.first_chunk().ok_or(Malformed)?;
            return Ok(Some(ExtendedError(u16::from_be_bytes(*code))));
        }
    }
    Ok(None)
}

/// The TTLs that the records of one response may have, in seconds.
struct Bounds {
    min_s: u32,
    max_s: u32,
    cacheable: bool,
}

impl Bounds {
    fn of(rcode: Rcode, walked: &Walked, limits: &CacheSettings) -> Self {
        let max_s = seconds(limits.max_ttl);
        if rcode == Rcode::NOERROR && walked.answered {
            return Self {
                min_s: seconds(limits.min_ttl).min(max_s),
                max_s,
                cacheable: true,
            };
        }
        let negative = matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
        // RFC 2308 §5: without an SOA a negative answer should not be cached.
        match walked.negative_ttl_s.filter(|_| negative) {
            Some(negative_ttl_s) => Self {
                min_s: 0,
                max_s: negative_ttl_s.min(seconds(limits.max_negative_ttl)),
                cacheable: true,
            },
            None => Self {
                min_s: 0,
                max_s,
                cacheable: false,
            },
        }
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
