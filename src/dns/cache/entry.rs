//! One answer in the cache, with the times between which it may be used.
//!
//! Source: RFC 1035 §3.2.1 (ageing), RFC 8767 §4 and §5 (expired answers), RFC 9520 §3.2 (failures).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::answer::Answer;
use super::super::code::{ExtendedError, Rcode};
use super::super::sections::{Sections, Ttl};
use super::clean::Cleaned;

/// How long a failure is remembered. RFC 9520 §3.2: at least 1 s; no longer, because an upstream
/// that is back should be used at once.
pub const FAILURE_LIFETIME: Duration = Duration::from_secs(1);
/// How long the upstreams are left alone after they failed while an expired answer is at hand.
// Deviates from RFC 8767 §5 (30 s): fresh answers are wanted within 5 s of an upstream's recovery.
pub const FAILURE_RECHECK: Duration = Duration::from_secs(5);

/// An answer with the time that it was stored at.
#[derive(Debug)]
pub struct Entry {
    rcode: Rcode,
    authentic: bool,
    extended_error: Option<ExtendedError>,
    sections: Sections,
    stored: Instant,
    expires: Instant,
    useless: Instant,
    /// Milliseconds from `stored` to the last failed refresh, plus one; 0: none failed.
    failed_after_ms: AtomicU64,
}

impl Entry {
    /// An answer that is fresh for `lifetime` from `now` and of use for `stale` after that.
    #[must_use]
    pub fn new(cleaned: Cleaned, lifetime: Duration, stale: Duration, now: Instant) -> Self {
        let expires = later(now, lifetime);
        Self {
            rcode: cleaned.rcode,
            authentic: cleaned.authentic,
            extended_error: None,
            sections: cleaned.sections,
            stored: now,
            expires,
            useless: later(expires, stale),
            failed_after_ms: AtomicU64::new(0),
        }
    }

    /// A failure to resolve; never of use once it has expired.
    #[must_use]
    pub fn failure(reason: ExtendedError, now: Instant) -> Self {
        let expires = later(now, FAILURE_LIFETIME);
        Self {
            rcode: Rcode::SERVFAIL,
            authentic: false,
            extended_error: Some(reason),
            sections: Sections::default(),
            stored: now,
            expires,
            useless: expires,
            failed_after_ms: AtomicU64::new(0),
        }
    }

    /// Whether the TTLs have not run out.
    #[must_use]
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.expires
    }

    /// Whether it may be sent, be it expired.
    #[must_use]
    pub fn is_useful(&self, now: Instant) -> bool {
        now < self.useless
    }

    /// Whether it says that resolving failed.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.rcode == Rcode::SERVFAIL
    }

    /// Remembers that a refresh failed.
    pub fn note_failure(&self, now: Instant) {
        let after = now.saturating_duration_since(self.stored).as_millis();
        let after_ms = u64::try_from(after).unwrap_or(u64::MAX).saturating_add(1);
        self.failed_after_ms.store(after_ms, Ordering::Relaxed);
    }

    /// Whether a refresh failed so recently that the upstreams should be left alone.
    #[must_use]
    pub fn failed_recently(&self, now: Instant) -> bool {
        let after_ms = self.failed_after_ms.load(Ordering::Relaxed);
        let Some(after_ms) = after_ms.checked_sub(1) else {
            return false;
        };
        let age = now.saturating_duration_since(self.stored);
        age < Duration::from_millis(after_ms).saturating_add(FAILURE_RECHECK)
    }

    /// What a client is told while the entry is fresh.
    #[must_use]
    pub fn fresh_answer(&self, now: Instant) -> Answer<'_> {
        let age = now.saturating_duration_since(self.stored).as_secs();
        Answer {
            rcode: self.rcode,
            authoritative: false,
            authentic: self.authentic,
            sections: Some(&self.sections),
            ttl: Ttl::Aged(u32::try_from(age).unwrap_or(u32::MAX)),
            extended_error: self.extended_error,
        }
    }

    /// What a client is told once the entry has expired. RFC 8914 §4.4 and §4.20.
    #[must_use]
    pub fn stale_answer(&self, reply_ttl_s: u32) -> Answer<'_> {
        let reason = if self.rcode == Rcode::NXDOMAIN {
            ExtendedError::STALE_NXDOMAIN
        } else {
            ExtendedError::STALE_ANSWER
        };
        Answer {
            ttl: Ttl::Fixed(reply_ttl_s),
            extended_error: Some(reason),
            // What was validated then may have expired signatures now.
            authentic: false,
            ..self.fresh_answer(self.stored)
        }
    }

    /// Octets that the entry owns on the heap.
    pub(super) fn heap_octets(&self) -> usize {
        self.sections.heap_octets()
    }
}

/// A time too far away to be represented is as good as a year away.
fn later(from: Instant, by: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    from.checked_add(by)
        .or_else(|| from.checked_add(YEAR))
        .unwrap_or(from)
}
