//! The TTLs of what is kept.
//!
//! Source: RFC 2181 §5.2 (one for an RRset) and §8, RFC 8767 §4 (large ones are bounded, not zero),
//! RFC 2308 §5 (those of negative answers).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::time::Duration;

use super::super::super::CacheSettings;
use super::super::super::code::Rcode;
use super::super::super::key::Key;
use super::super::super::walk::{Cursor, Malformed};
use super::{ANSWER, Chosen, is_asked_for};

/// The TTLs that the records of one response may have, in seconds.
pub(super) struct Bounds {
    min_s: u32,
    max_s: u32,
    /// Whether it may be kept at all.
    pub(super) cacheable: bool,
}

impl Bounds {
    pub(super) fn of(rcode: Rcode, chosen: &Chosen, limits: &CacheSettings) -> Self {
        let max_s = seconds(limits.max_ttl);
        if rcode == Rcode::NOERROR && chosen.answered {
            return Self {
                min_s: seconds(limits.min_ttl).min(max_s),
                max_s,
                cacheable: true,
            };
        }
        let negative = matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
        // RFC 2308 §5: without an SOA a negative answer should not be cached.
        match chosen.negative_ttl_s.filter(|_| negative) {
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

    /// Moves the TTLs of the `chosen` records, which begin at `at`, into the bounds; returns the
    /// lowest.
    pub(super) fn apply(
        &self,
        key: &Key,
        message: &mut [u8],
        mut at: usize,
        chosen: &Chosen,
    ) -> Result<Option<u32>, Malformed> {
        let mut lowest_s = None;
        for (section, count) in chosen.counts.into_iter().enumerate() {
            for _ in 0..count {
                let record = Cursor::new(message, at).checked_record()?;
                at = record.end();
                let is_of_rrset = section == ANSWER && is_asked_for(key, &record);
                let of_rrset_s = chosen.least_ttl_s.filter(|_| is_of_rrset);
                let ttl_s = of_rrset_s
                    .unwrap_or(record.ttl_s)
                    .clamp(self.min_s, self.max_s);
                lowest_s = Some(lowest_s.map_or(ttl_s, |lowest_s: u32| lowest_s.min(ttl_s)));
                // The TTL and the length of the RDATA stand before it. RFC 1035 §4.1.3.
                let place = record.rdata_at - 6..record.rdata_at - 2;
                let place = message.get_mut(place).ok_or(Malformed)?;
                place.copy_from_slice(&ttl_s.to_be_bytes());
            }
        }
        Ok(lowest_s)
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
