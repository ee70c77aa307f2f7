//! What errors in answers say about an upstream: mostly nothing, for they are about names.
//!
//! Source: RFC 8914 §4 (reasons that blame the name, or the upstream's own surroundings).
//!
//! SERVFAIL, REFUSED, NOTIMP and FORMERR count against an upstream in two ways:
//! - *contradicted*, when another upstream gave an acceptable answer to the same question: they open
//!   the breaker when they are over a fifth of its answers, and another upstream is there to be asked;
//! - uncontradicted as well, when they are over half of its answers, and it answers the probe for the
//!   apex with an error too: that question no client chooses.
//!
//! Both are looked at in a window of 5 to 10 s. There, whoever has answered well for seconds would have to
//! fail for as long before half of its answers are errors. So the second is looked at in a window of 250
//! to 500 ms too, which is filled within 250 ms where enough is asked (some 90 questions a second); the
//! same number of errors is needed. That the probe is there by then, it is asked for as soon as errors
//! are over a fifth in this window, half as many as open the breaker.
//!
//! Either way they have to come from several client prefixes and be about several domains, and what
//! remains **without the loudest prefix, and without the loudest domain**, has to be enough by itself:
//! no single client and no single domain opens a breaker, not even on top of the few errors that there
//! always are. Where all clients of a node share one prefix, RCODEs therefore never open a breaker;
//! each question then turns to the next upstream by itself, and the *ill* upstream is asked last.
//!
//! Prefixes and domains are counted in a fixed number of buckets by a keyed hash. Two that share a
//! bucket count as one, which can only keep a breaker closed.

use std::array;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::super::client::Prefix;
use super::super::hash_key::HashKey;

/// Half of the long window: a window covers the present half and the one before.
const LONG_HALF_US: u64 = 5_000_000;
/// Half of the short window.
const SHORT_HALF_US: u64 = 250_000;
/// Prefixes and domains fall into so many buckets each.
const BUCKETS: usize = 32;
/// Prefixes, and domains, that errors have to span.
pub(super) const SEVERAL: usize = 3;
/// Contradicted errors, without the loudest prefix or domain, that are worth a look.
pub(super) const CONTRADICTED_MIN: u32 = 8;
/// The same of errors of which nobody knows better.
pub(super) const POOR_MIN: u32 = 16;
/// The same of those that bring a probe forward.
const QUESTIONABLE_MIN: u32 = 8;

/// One answer with an RCODE that ends no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// With the upper bits from OPT.
    pub rcode: u16,
    /// The INFO-CODE of an Extended DNS Error. RFC 8914 §2.
    pub reason: Option<u16>,
    /// A keyed hash of the domain that was asked about: the last two labels of the name, or the apex of
    /// the zone and one label more where the apex has two or more.
    pub domain: u64,
    /// Who asked first.
    pub prefix: Prefix,
    /// Another upstream gave an acceptable answer to the same question.
    pub contradicted: bool,
}

impl Evidence {
    /// Whether it may be the upstream's fault at all. FORMERR, SERVFAIL, NOTIMP and REFUSED may be;
    /// not when the reason is a DNSSEC verdict (RFC 8914 §4.7 to §4.13), or that whom the upstream
    /// asked in turn cannot be reached (§4.23, §4.24).
    fn counts(&self) -> bool {
        matches!(self.rcode, 1 | 2 | 4 | 5) && !matches!(self.reason, Some(6..=12 | 22 | 23))
    }
}

/// What an answer has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    /// Another upstream answers better, though for one prefix or one domain only.
    Ill,
    /// Another upstream answers better, in general.
    Contradicted,
    /// Lately many answers are errors, which may come to be most.
    Questionable,
    /// Most answers are errors.
    Poor,
}

/// The last answers of one upstream.
#[derive(Debug)]
pub(super) struct Window {
    long: Span,
    short: Span,
    key: HashKey,
}

/// The answers of a present half and of the one before.
#[derive(Debug)]
struct Span {
    half_us: u64,
    halves: [Half; 2],
}

#[derive(Debug, Default)]
struct Half {
    /// Which half it counts, from 1.
    number: AtomicU64,
    answers: AtomicU32,
    poor: Tally,
    contradicted: Tally,
}

#[derive(Debug)]
struct Tally {
    prefixes: [AtomicU32; BUCKETS],
    domains: [AtomicU32; BUCKETS],
}

impl Window {
    /// `key` says which prefixes, and which domains, share a bucket.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            long: Span::new(LONG_HALF_US),
            short: Span::new(SHORT_HALF_US),
            key,
        }
    }

    /// An acceptable answer.
    pub(super) fn good(&self, now_us: u64) {
        for span in [&self.long, &self.short] {
            span.half(now_us).answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Any other answer.
    pub(super) fn poor(&self, evidence: &Evidence, now_us: u64) -> Verdict {
        let counts = evidence.counts();
        let prefix = bucket(self.key.hash_one(evidence.prefix));
        let domain = bucket(self.key.hash_one(evidence.domain));
        for span in [&self.long, &self.short] {
            let half = span.half(now_us);
            half.answers.fetch_add(1, Ordering::Relaxed);
            if counts {
                half.poor.count(prefix, domain);
            }
            if counts && evidence.contradicted {
                half.contradicted.count(prefix, domain);
            }
        }
        if counts {
            self.verdict(evidence.contradicted, now_us)
        } else {
            Verdict::Nothing
        }
    }

    /// Whether most answers are errors.
    pub(super) fn is_poor(&self, now_us: u64) -> bool {
        [&self.long, &self.short].into_iter().any(|span| {
            let (answers, poor) = span.sum(now_us, |half| &half.poor);
            poor.is_general(answers, POOR_MIN, 2)
        })
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        for half in self.long.halves.iter().chain(&self.short.halves) {
            half.clear();
        }
    }

    fn verdict(&self, is_contradicted: bool, now_us: u64) -> Verdict {
        let (answers, contradicted) = self.long.sum(now_us, |half| &half.contradicted);
        let is_loud = contradicted.all >= CONTRADICTED_MIN && is_over(contradicted.all, answers, 5);
        if is_contradicted && contradicted.is_general(answers, CONTRADICTED_MIN, 5) {
            Verdict::Contradicted
        } else if self.is_poor(now_us) {
            Verdict::Poor
        } else if is_contradicted && is_loud {
            Verdict::Ill
        } else {
            let (answers, poor) = self.short.sum(now_us, |half| &half.poor);
            if poor.is_general(answers, QUESTIONABLE_MIN, 5) {
                Verdict::Questionable
            } else {
                Verdict::Nothing
            }
        }
    }
}

impl Span {
    fn new(half_us: u64) -> Self {
        Self {
            half_us,
            halves: array::from_fn(|_| Half::default()),
        }
    }

    /// All answers, and the errors of one kind.
    fn sum(&self, now_us: u64, kind: impl Fn(&Half) -> &Tally) -> (u32, Sum) {
        let present = self.number(now_us);
        let halves = || {
            self.halves.iter().filter(|half| {
                let number = half.number.load(Ordering::Relaxed);
                number <= present && number + 1 >= present
            })
        };
        let answers = halves()
            .map(|half| half.answers.load(Ordering::Relaxed))
            .fold(0, u32::saturating_add);
        (answers, Sum::of(halves().map(kind)))
    }

    /// The half that `now_us` falls into, emptied by the first who comes. Whoever counts at the very
    /// same time may lose that one count.
    fn half(&self, now_us: u64) -> &Half {
        let number = self.number(now_us);
        let [even, odd] = &self.halves;
        let half = if number.is_multiple_of(2) { even } else { odd };
        let found = half.number.load(Ordering::Relaxed);
        let is_first = found < number
            && half
                .number
                .compare_exchange(found, number, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_first {
            half.clear();
        }
        half
    }

    /// Never 0, which stands for a half that has counted nothing yet.
    fn number(&self, now_us: u64) -> u64 {
        now_us / self.half_us + 1
    }
}

impl Half {
    fn clear(&self) {
        self.answers.store(0, Ordering::Relaxed);
        for tally in [&self.poor, &self.contradicted] {
            for count in tally.prefixes.iter().chain(&tally.domains) {
                count.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            prefixes: array::from_fn(|_| AtomicU32::new(0)),
            domains: array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Tally {
    fn count(&self, prefix: usize, domain: usize) {
        for (buckets, bucket) in [(&self.prefixes, prefix), (&self.domains, domain)] {
            if let Some(count) = buckets.get(bucket) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Errors of one kind, with what the loudest have to do with it.
#[derive(Clone, Copy, Debug)]
struct Sum {
    all: u32,
    /// Of the loudest prefix or the loudest domain: whichever is louder.
    loudest: u32,
    /// Different prefixes or different domains: whichever are fewer.
    span: usize,
}

impl Sum {
    fn of<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Self {
        let mut prefixes = [0_u32; BUCKETS];
        let mut domains = [0_u32; BUCKETS];
        for tally in tallies {
            for (sums, counts) in [
                (&mut prefixes, &tally.prefixes),
                (&mut domains, &tally.domains),
            ] {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum = sum.saturating_add(count.load(Ordering::Relaxed));
                }
            }
        }
        let loudest = |sums: [u32; BUCKETS]| sums.into_iter().max().unwrap_or(0);
        let span = |sums: [u32; BUCKETS]| sums.into_iter().filter(|sum| *sum > 0).count();
        Self {
            all: prefixes.into_iter().fold(0, u32::saturating_add),
            loudest: loudest(prefixes).max(loudest(domains)),
            span: span(prefixes).min(span(domains)),
        }
    }

    /// Whether at least `min` remain without the loudest, and are more than one in `one_in`.
    fn is_general(self, answers: u32, min: u32, one_in: u32) -> bool {
        let rest = self.all.saturating_sub(self.loudest);
        let answers = answers.saturating_sub(self.loudest);
        self.span >= SEVERAL && rest >= min && is_over(rest, answers, one_in)
    }
}

/// Whether `part` is more than one in `one_in` of `whole`.
fn is_over(part: u32, whole: u32, one_in: u32) -> bool {
    u64::from(part) * u64::from(one_in) > u64::from(whole)
}

fn bucket(hash: u64) -> usize {
    // The remainder is smaller than any `usize`.
    usize::try_from(hash % BUCKETS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
