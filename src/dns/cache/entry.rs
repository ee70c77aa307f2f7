//! One answer in the cache: how it is laid out, and what it says at what time.
//!
//! Source: RFC 1035 §3.2.1 (ageing), RFC 8767 §4 and §5 (expired answers), RFC 8914 §3 (reasons).
//!
//! ```text
//! word 0   hash 32 | type 16 | octets of the name 8 | RCODE 4 | DO, CD 2 | AD 1 | unused 1
//! word 1   stored, in ms since the cache began 40 | lifetime in s 24
//! word 2   last failed refresh, in ms since the cache began, plus one 40
//!          | octets of records, or the reason of a failure 16 | being fetched early 1
//!          | when it was last tried again, in quarters of a second since that failure 7
//! word 3   records in answer, authority, additional 3 × 13 | class 16
//!          | an upstream's reason beside an answer, plus one 9
//! then     name, records
//! ```
//! Words 1 and 2 may change while the entry lives; each stands for itself.

use std::time::{Duration, Instant};

use super::super::answer::Answer;
use super::super::code::{ExtendedError, Rcode};
use super::super::key::Key;
use super::super::sections::{Sections, Ttl};
use super::clean::Cleaned;
use super::hash::{Hash, KeptHash};

/// How long after a failed refresh an expired answer is sent without waiting. RFC 8767 §5.
pub const STALE_HOLD: Duration = Duration::from_secs(30);
/// How long after a failed refresh the next one is tried, with nobody waiting for it.
// Deviates from RFC 8767 §5 (30 s): fresh answers are wanted within 5 s of an upstream's recovery.
pub const FAILURE_RECHECK: Duration = Duration::from_secs(2);
/// Answers that live shorter are not fetched before they expire.
pub const EARLY_LIFETIME_MIN: Duration = Duration::from_secs(10);
/// The last part of a life, in which a popular answer is fetched again: one in so many.
const EARLY_PART: u64 = 10;

/// Words before the name.
pub(super) const HEAD: usize = 4;
/// Which word of the head tells the times.
pub(super) const TIMES: usize = 1;
/// Which word of the head tells the last failed refresh.
pub(super) const REFRESH: usize = 2;

const EARLY: u64 = 1 << 56;
const TRIED_SHIFT: u32 = 57;
const TRIED: u64 = u64::MAX << TRIED_SHIFT;
/// The whole of [`STALE_HOLD`] is 120 of them.
const TRIED_UNIT_MS: u64 = 250;
const MS_BITS: u32 = 40;
const MS_MAX: u64 = (1 << MS_BITS) - 1;
const LIFETIME_MAX_S: u64 = (1 << 24) - 1;
const COUNT_BITS: u32 = 13;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
/// Word 0 without RCODE and AD: what the question decides.
const QUESTION_MASK: u64 = 0x30FF_FFFF_FFFF_FFFF;
pub(super) const CLASS_SHIFT: u32 = 3 * COUNT_BITS;
const REASON_SHIFT: u32 = CLASS_SHIFT + 16;
const REASON_MAX: u64 = (1 << (64 - REASON_SHIFT)) - 1;

/// Milliseconds from `started` to `now`; 34 years at most.
pub(super) fn ms_since(started: Instant, now: Instant) -> u64 {
    let since = now.saturating_duration_since(started).as_millis();
    u64::try_from(since).unwrap_or(u64::MAX).min(MS_MAX - 1)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The words before the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head(pub(super) [u64; HEAD]);

impl Head {
    pub(super) fn hash(&self) -> KeptHash {
        // The lower half.
        KeptHash(self.0[0] as u32)
    }

    /// Whether it belongs to `question`, the name left aside.
    pub(super) fn asks(&self, question: &Question<'_>) -> bool {
        self.0[0] & QUESTION_MASK == question.word
            && self.0[3] >> CLASS_SHIFT & 0xFFFF == u64::from(question.key.qclass())
    }

    pub(super) fn name_octets(&self) -> usize {
        usize::from((self.0[0] >> 48) as u8)
    }

    pub(super) fn record_octets(&self) -> usize {
        if self.is_failure() {
            0
        } else {
            usize::from(self.tail())
        }
    }

    /// Octets of records, or the reason of a failure.
    fn tail(&self) -> u16 {
        (self.0[REFRESH] >> MS_BITS) as u16
    }

    /// Words of the whole entry.
    pub(super) fn words(&self) -> usize {
        HEAD + (self.name_octets() + self.record_octets()).div_ceil(8)
    }

    pub(super) fn rcode(&self) -> Rcode {
        Rcode::from_parts((self.0[0] >> 56) as u8, 0)
    }

    fn is_authentic(&self) -> bool {
        self.0[0] >> 62 & 1 != 0
    }

    pub(super) fn is_failure(&self) -> bool {
        self.rcode() == Rcode::SERVFAIL
    }

    /// What is told beside the answer. RFC 8914 §3.
    fn reason(&self) -> Option<ExtendedError> {
        if self.is_failure() {
            return Some(ExtendedError(self.tail()));
        }
        let kept = u16::try_from(self.0[3] >> REASON_SHIFT).ok()?;
        kept.checked_sub(1).map(ExtendedError)
    }

    pub(super) fn counts(&self) -> [u16; 3] {
        [0, 1, 2].map(|section| (self.0[3] >> (section * COUNT_BITS) & COUNT_MAX) as u16)
    }

    fn stored_ms(&self) -> u64 {
        self.0[TIMES] & MS_MAX
    }

    fn lifetime_ms(&self) -> u64 {
        (self.0[TIMES] >> MS_BITS) * 1000
    }

    fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.stored_ms())
    }

    /// Milliseconds since the last failed refresh, if one failed.
    fn failed_since_ms(&self, now_ms: u64) -> Option<u64> {
        let failed_ms = (self.0[REFRESH] & MS_MAX).checked_sub(1)?;
        Some(now_ms.saturating_sub(failed_ms))
    }

    /// How it may be used at `now_ms`; an answer is of use for `stale_ms` after it has expired.
    pub(super) fn use_at(&self, now_ms: u64, stale_ms: u64) -> Use {
        let (age_ms, lifetime_ms) = (self.age_ms(now_ms), self.lifetime_ms());
        if age_ms < lifetime_ms {
            Use::Fresh
        } else if !self.is_failure() && age_ms < lifetime_ms.saturating_add(stale_ms) {
            Use::Stale
        } else {
            Use::None
        }
    }

    /// Word 2 after a refresh that failed at `now_ms`.
    pub(super) fn refresh_failed(&self, now_ms: u64) -> u64 {
        self.0[REFRESH] & !(MS_MAX | TRIED) | (now_ms + 1)
    }

    /// Whether a fresh answer is to be fetched again, and nobody has begun.
    pub(super) fn is_ending(&self, now_ms: u64) -> bool {
        let lifetime_ms = self.lifetime_ms();
        let left_ms = lifetime_ms.saturating_sub(self.age_ms(now_ms));
        left_ms < lifetime_ms / EARLY_PART
            && lifetime_ms >= ms(EARLY_LIFETIME_MIN)
            && self.0[REFRESH] & EARLY == 0
            && !self.is_failure()
    }

    /// Word 2 once somebody has begun to fetch a fresh answer again.
    pub(super) fn refresh_begun(&self) -> u64 {
        self.0[REFRESH] | EARLY
    }

    /// Whether the refresh of an expired answer failed, and the next one is due behind the backs of
    /// clients; later than [`STALE_HOLD`] they wait for it.
    pub(super) fn is_recheck_due(&self, now_ms: u64) -> bool {
        let tried_ms = (self.0[REFRESH] >> TRIED_SHIFT) * TRIED_UNIT_MS;
        let due = tried_ms + ms(FAILURE_RECHECK)..ms(STALE_HOLD);
        self.failed_since_ms(now_ms)
            .is_some_and(|since_ms| due.contains(&since_ms))
    }

    /// Word 2 once somebody tries again; the time of the failure stays: only another holds clients back.
    pub(super) fn recheck_begun(&self, now_ms: u64) -> u64 {
        let since_ms = self.failed_since_ms(now_ms).unwrap_or(0);
        let tried = since_ms.div_ceil(TRIED_UNIT_MS).min(TRIED >> TRIED_SHIFT);
        self.0[REFRESH] & !TRIED | tried << TRIED_SHIFT
    }

    /// Word 2 when what has been said to begin has not.
    pub(super) fn refresh_dropped(&self) -> u64 {
        self.0[REFRESH] & !(EARLY | TRIED)
    }

    /// The lifetime of a failure, and for how long it has lasted.
    pub(super) fn failure_lifetime(&self, now_ms: u64) -> Option<(Duration, Duration)> {
        let times = (self.lifetime_ms(), self.age_ms(now_ms));
        self.is_failure().then_some((
            Duration::from_millis(times.0),
            Duration::from_millis(times.1),
        ))
    }

    /// Whether both say the same, times left aside.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.0[0] == other.0[0] && self.tail() == other.tail() && self.0[3] == other.0[3]
    }
}

/// What an entry is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// To be sent.
    Fresh,
    /// To be sent when there is nothing better.
    Stale,
    /// Nothing.
    None,
}

/// What is looked for.
pub(super) struct Question<'a> {
    pub(super) key: &'a Key,
    pub(super) hash: Hash,
    /// Word 0 of its entry, without RCODE and AD.
    word: u64,
}

impl<'a> Question<'a> {
    pub(super) fn new(key: &'a Key, hash: Hash) -> Self {
        let flags = u64::from(key.dnssec_ok()) | u64::from(key.checking_disabled()) << 1;
        // A key's name has at most 255 octets.
        let name_octets = key.name().len() as u64;
        let word = u64::from(hash.kept().0)
            | u64::from(key.qtype()) << 32
            | name_octets << 48
            | flags << 60;
        Self { key, hash, word }
    }
}

/// What is to be kept: the words of an entry before they are in place.
pub(super) struct Content<'a> {
    pub(super) head: Head,
    name: &'a [u8],
    records: &'a [u8],
}

impl<'a> Content<'a> {
    /// `None` when the layout has no room for it, which no message of 65,535 octets needs.
    pub(super) fn answer(
        question: &Question<'a>,
        cleaned: &Cleaned<'a>,
        lifetime: Duration,
        now_ms: u64,
    ) -> Option<Self> {
        let records = cleaned.sections.records();
        let octets = u16::try_from(records.len()).ok()?;
        let counts = cleaned.sections.counts();
        if counts.iter().any(|count| u64::from(*count) > COUNT_MAX) {
            return None;
        }
        let counts = counts.iter().rev();
        let counts = counts.fold(0, |sum, count| sum << COUNT_BITS | u64::from(*count));
        let result = u64::from(cleaned.rcode.low()) << 56 | u64::from(cleaned.authentic) << 62;
        let reason = cleaned.extended_error.map(|code| u64::from(code.0) + 1);
        // A code that has no room is none that is known yet.
        let reason = reason.filter(|kept| *kept <= REASON_MAX).unwrap_or(0) << REASON_SHIFT;
        let counts = counts | reason;
        Some(Self::new(question, result, counts, octets, lifetime, now_ms).with(records))
    }

    /// A failure to resolve.
    pub(super) fn failure(
        question: &Question<'a>,
        reason: ExtendedError,
        lifetime: Duration,
        now_ms: u64,
    ) -> Self {
        let result = u64::from(Rcode::SERVFAIL.low()) << 56;
        Self::new(question, result, 0, reason.0, lifetime, now_ms)
    }

    fn new(
        question: &Question<'a>,
        result: u64,
        counts: u64,
        tail: u16,
        lifetime: Duration,
        now_ms: u64,
    ) -> Self {
        let lifetime_s = lifetime.as_secs().min(LIFETIME_MAX_S);
        Self {
            head: Head([
                question.word | result,
                now_ms | lifetime_s << MS_BITS,
                u64::from(tail) << MS_BITS,
                counts | u64::from(question.key.qclass()) << CLASS_SHIFT,
            ]),
            name: question.key.name(),
            records: &[],
        }
    }

    fn with(self, records: &'a [u8]) -> Self {
        Self { records, ..self }
    }

    /// The word at `index` of the entry.
    pub(super) fn word(&self, index: usize) -> u64 {
        let Some(index) = index.checked_sub(HEAD) else {
            return self.head.0[index];
        };
        let start = index * 8;
        if let Some(octets) = chunk(self.name, start) {
            return octets;
        }
        let behind = start.checked_sub(self.name.len());
        if let Some(octets) = behind.and_then(|start| chunk(self.records, start)) {
            return octets;
        }
        let mut both = self.name.iter().skip(start).chain(
            self.records
                .iter()
                .skip(start.saturating_sub(self.name.len())),
        );
        u64::from_ne_bytes([(); 8].map(|()| both.next().copied().unwrap_or_default()))
    }
}

fn chunk(octets: &[u8], start: usize) -> Option<u64> {
    let octets = octets.get(start..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*octets))
}

/// Room for the copy of one entry; made once and used for every look-up.
#[derive(Debug, Default)]
pub struct Scratch {
    words: Vec<u64>,
}

impl Scratch {
    /// Empty; grows to the largest entry that it has held, 65 KiB at most.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Room for `count` words with anything in them.
    pub(super) fn room(&mut self, count: usize) -> &mut [u64] {
        if self.words.len() < count {
            self.words.resize(count, 0);
        }
        &mut self.words[..count]
    }

    /// What has been copied behind the head.
    pub(super) fn octets(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }
}

/// The copy of an answer, in the scratch of who has asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    head: Head,
    records: &'a [u8],
    started: Instant,
    wants_refresh: bool,
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        head: Head,
        wants_refresh: bool,
        started: Instant,
        scratch: &'a Scratch,
    ) -> Self {
        let name_octets = head.name_octets();
        let records = name_octets..name_octets + head.record_octets();
        Self {
            head,
            records: scratch.octets().get(records).unwrap_or_default(),
            started,
            wants_refresh,
        }
    }

    /// Whether it says that resolving failed.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.head.is_failure()
    }

    /// Whether it should be fetched again now, with nobody waiting for it: a popular answer near its
    /// end, or an expired one whose last refresh failed. See [`super::Cache::claim_refresh`].
    #[must_use]
    pub fn wants_refresh(&self) -> bool {
        self.wants_refresh
    }

    /// Whether a refresh failed so recently that nobody should wait for the next one.
    #[must_use]
    pub fn failed_recently(&self, now: Instant) -> bool {
        let since_ms = self.head.failed_since_ms(ms_since(self.started, now));
        since_ms.is_some_and(|since_ms| since_ms < ms(STALE_HOLD))
    }

    /// What a client is told while the entry is fresh.
    #[must_use]
    pub fn fresh_answer(&self, now: Instant) -> Answer<'a> {
        let age_ms = ms_since(self.started, now).saturating_sub(self.head.stored_ms());
        let age_s = u32::try_from(age_ms / 1000).unwrap_or(u32::MAX);
        self.answer(Ttl::Aged(age_s))
    }

    /// What a client is told once the entry has expired. RFC 8914 §4.4 and §4.20.
    #[must_use]
    pub fn stale_answer(&self, reply_ttl_s: u32) -> Answer<'a> {
        let reason = if self.head.rcode() == Rcode::NXDOMAIN {
            ExtendedError::STALE_NXDOMAIN
        } else {
            ExtendedError::STALE_ANSWER
        };
        Answer {
            extended_error: Some(reason),
            // What was validated then may have expired signatures now.
            authentic: false,
            ..self.answer(Ttl::Fixed(reply_ttl_s))
        }
    }

    fn answer(&self, ttl: Ttl) -> Answer<'a> {
        Answer {
            authentic: self.head.is_authentic(),
            sections: Some(Sections::new(self.head.counts(), self.records)),
            ttl,
            is_cached_error: self.is_failure(),
            ..Answer::bare(self.head.rcode(), self.head.reason())
        }
    }
}
