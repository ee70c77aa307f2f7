//! How many questions of one zone may be at its upstreams at a time: found out, not configured.
//!
//! Source: RFC 5681 §3.1 (additive increase, multiplicative decrease), RFC 6937 (what is known to be
//! lost is no longer on its way).
//!
//! An upstream that is asked for more than it can answer drops or delays everybody's questions. The
//! window shrinks then, and what does not fit waits at this node, where prefixes take turns. It starts
//! wide, and narrows only on evidence:
//! - A question leaves the window when it is answered, and when it is past its time (it may be lost):
//!   names that nobody answers hold their places for that long only.
//! - Questions are judged by the batch. One counts as *lost* when it is past its time while the same
//!   upstream has answered others that were asked later or stay fast: a dead upstream loses nothing in
//!   this sense, for questions fail over from it.
//! - Over an eighth lost narrows the window, but only if it was nearly full meanwhile, and if an eighth
//!   is lost as well without the prefix, and without the domain, that had most: a flood of names that
//!   nobody answers is no congestion. Where nearly all is of one prefix or domain, so that there is
//!   nothing to compare with, it narrows to [`HARMLESS`] and no further.

use std::time::{Duration, Instant};

/// At least so many questions may be under way.
pub(super) const MIN: u32 = 4;
/// Sending a batch takes at least this long,
const BATCH_TIME_MIN: Duration = Duration::from_millis(50);
/// and at most this long,
const BATCH_TIME_MAX: Duration = Duration::from_millis(400);
/// and it has at least this many questions, and enough of them to compare with.
const BATCH_MIN: u32 = 16;
/// After the window has become narrower, what it was too wide for has this time to go away.
const PAUSE: Duration = Duration::from_millis(120);
/// Prefixes and domains fall into so many buckets each.
const BUCKETS: usize = 16;
/// A window up to this does no harm, whatever it is: it may widen while some are spared the losses.
const HARMLESS: u32 = 64;
/// With fewer questions nothing is said about losses.
const TELLING: u32 = 8;

/// The window of one zone.
#[derive(Debug)]
pub(super) struct Window {
    size: u32,
    size_max: u32,
    /// On their way to upstreams and not past their time.
    inside: u32,
    /// Never narrowed yet: it may widen faster.
    is_new: bool,
    /// No batch begins before.
    paused_until: Instant,
    batch: Batch,
}

/// A question within the window; 0: it belongs to no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    batch: u32,
    prefix: u8,
    domain: u8,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Whatever the answer says.
    Answered,
    /// Not in time, by an upstream that answers others.
    Lost,
    /// Nothing that says anything about congestion.
    Unknown,
}

#[derive(Debug, Default)]
struct Batch {
    number: u32,
    begun: Option<Instant>,
    is_closed: bool,
    sent: u32,
    /// The most that were in the window meanwhile.
    peak: u32,
    pending: u32,
    all: Tally,
    prefixes: [Tally; BUCKETS],
    domains: [Tally; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sent: u32,
    answered: u32,
    lost: u32,
}

impl Window {
    /// For `size` questions at first and `size_max` at most.
    pub(super) fn new(size: usize, size_max: usize, now: Instant) -> Self {
        let limit = |size| u32::try_from(size).unwrap_or(u32::MAX).max(MIN);
        let size_max = limit(size_max);
        Self {
            size: limit(size).min(size_max),
            size_max,
            inside: 0,
            is_new: true,
            paused_until: now,
            batch: Batch::default(),
        }
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// How many are within it.
    #[cfg(test)]
    pub(super) fn inside(&self) -> u32 {
        self.inside
    }

    pub(super) fn is_full(&self) -> bool {
        self.inside >= self.size
    }

    /// Whether little is free, if anything.
    pub(super) fn is_crowded(&self) -> bool {
        is_crowded(self.inside, self.size)
    }

    /// A question is on its way. `of` gives its hashes of prefix and domain, if they are wanted.
    pub(super) fn enter(&mut self, of: impl FnOnce() -> (u64, u64), now: Instant) -> Ticket {
        self.inside += 1;
        let mut ticket = Ticket {
            batch: 0,
            prefix: 0,
            domain: 0,
        };
        if now < self.paused_until || self.batch.is_closed {
            return ticket;
        }
        let batch = &mut self.batch;
        let begun = *batch.begun.get_or_insert_with(|| {
            batch.number = batch.number.wrapping_add(1).max(1);
            now
        });
        batch.sent += 1;
        batch.pending += 1;
        batch.peak = batch.peak.max(self.inside);
        let (prefix, domain) = of();
        ticket = Ticket {
            batch: batch.number,
            prefix: bucket(prefix),
            domain: bucket(domain),
        };
        let took = now.saturating_duration_since(begun);
        batch.prefixes[usize::from(ticket.prefix)].sent += 1;
        batch.domains[usize::from(ticket.domain)].sent += 1;
        let is_enough = batch.sent >= BATCH_MIN.max(self.size / 2) && took >= BATCH_TIME_MIN;
        batch.is_closed = took >= BATCH_TIME_MAX || is_enough && batch.is_varied();
        ticket
    }

    /// A question is on its way no longer.
    pub(super) fn leave(&mut self, ticket: Ticket, fate: Fate, now: Instant) {
        self.inside = self.inside.saturating_sub(1);
        let batch = &mut self.batch;
        if ticket.batch == 0 || ticket.batch != batch.number {
            return;
        }
        batch.pending = batch.pending.saturating_sub(1);
        let of_prefix = batch.prefixes.get_mut(usize::from(ticket.prefix));
        let of_domain = batch.domains.get_mut(usize::from(ticket.domain));
        for tally in [Some(&mut batch.all), of_prefix, of_domain] {
            match (tally, fate) {
                (Some(tally), Fate::Answered) => tally.answered += 1,
                (Some(tally), Fate::Lost) => tally.lost += 1,
                (_, Fate::Unknown) | (None, _) => {}
            }
        }
        if batch.is_closed && batch.pending == 0 {
            self.judge(now);
        }
    }

    /// The batch is over.
    fn judge(&mut self, now: Instant) {
        let batch = &self.batch;
        if is_crowded(batch.peak, self.size) && batch.all.total() >= TELLING {
            match batch.verdict() {
                Verdict::Free if self.is_new => self.widen(2),
                Verdict::Free => self.widen(8),
                Verdict::Spared if self.size < HARMLESS => self.widen(8),
                Verdict::Spared => {}
                Verdict::Congested => self.narrow(MIN, now),
                Verdict::Untold => self.narrow(HARMLESS.min(self.size), now),
            }
        }
        self.batch = Batch {
            number: self.batch.number,
            ..Batch::default()
        };
    }

    /// By a part of what it is.
    fn widen(&mut self, part: u32) {
        let more = (self.size / part).max(1);
        self.size = self.size.saturating_add(more).min(self.size_max);
    }

    /// To a little more than what was answered, but not below a quarter nor below `least`.
    fn narrow(&mut self, least: u32, now: Instant) {
        let all = self.batch.all;
        let fitting = u64::from(self.size) * u64::from(all.answered) * 9;
        let fitting = fitting / (u64::from(all.total()) * 8);
        let least = (self.size / 4).max(least);
        let most = (self.size - self.size / 8).max(least);
        self.size = u32::try_from(fitting)
            .unwrap_or(u32::MAX)
            .clamp(least, most);
        self.is_new = false;
        self.paused_until = now + PAUSE;
    }
}

/// What a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Hardly anything is lost.
    Free,
    /// Much is lost, but not of all prefixes, or not of all domains.
    Spared,
    /// Much is lost of everything.
    Congested,
    /// Much is lost, and there is too little to compare with: one prefix asks, or about one domain.
    Untold,
}

impl Batch {
    /// Whether the loudest prefix and the loudest domain have left enough to compare with.
    fn is_varied(&self) -> bool {
        [&self.prefixes, &self.domains].iter().all(|tallies| {
            let loudest = tallies.iter().map(|tally| tally.sent).max();
            // Not all that is sent comes to an end that says something.
            self.sent - loudest.unwrap_or(0) >= 2 * TELLING
        })
    }

    fn verdict(&self) -> Verdict {
        if !self.all.is_lossy() {
            return Verdict::Free;
        }
        let rests = [&self.prefixes, &self.domains].map(|tallies| {
            let loudest = tallies.iter().max_by_key(|tally| tally.total());
            self.all.without(loudest.copied().unwrap_or_default())
        });
        let is_telling = |rest: &Tally| rest.total() >= TELLING;
        if rests
            .iter()
            .any(|rest| is_telling(rest) && !rest.is_lossy())
        {
            Verdict::Spared
        } else if rests.iter().all(is_telling) {
            Verdict::Congested
        } else {
            Verdict::Untold
        }
    }
}

impl Tally {
    fn total(self) -> u32 {
        self.answered + self.lost
    }

    fn without(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(other.sent),
            answered: self.answered - other.answered,
            lost: self.lost - other.lost,
        }
    }

    /// Over an eighth.
    fn is_lossy(self) -> bool {
        self.lost * 8 > self.total()
    }
}

/// Three quarters.
fn is_crowded(inside: u32, size: u32) -> bool {
    inside.saturating_mul(4) >= size.saturating_mul(3)
}

/// Below [`BUCKETS`].
fn bucket(hash: u64) -> u8 {
    (hash >> 60) as u8
}

#[cfg(test)]
mod tests;
