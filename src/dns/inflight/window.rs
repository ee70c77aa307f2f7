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
//!   nobody answers is no congestion.

use std::time::{Duration, Instant};

/// At least so many questions may be under way.
pub(super) const MIN: u32 = 4;
/// So many may be at first.
pub(super) const START: u32 = 128;
/// Sending a batch takes at least this long,
const BATCH_TIME_MIN: Duration = Duration::from_millis(50);
/// and at most this long,
const BATCH_TIME_MAX: Duration = Duration::from_secs(1);
/// and it has at least this many questions.
const BATCH_MIN: u32 = 16;
/// After the window has become narrower, what it was too wide for has this time to go away.
const PAUSE: Duration = Duration::from_millis(250);
/// Prefixes and domains fall into so many buckets each.
const BUCKETS: usize = 16;
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
    answered: u32,
    lost: u32,
}

impl Window {
    pub(super) fn new(size_max: usize, now: Instant) -> Self {
        let size_max = u32::try_from(size_max).unwrap_or(u32::MAX).max(MIN);
        Self {
            size: START.min(size_max),
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
        let is_enough = batch.sent >= BATCH_MIN.max(self.size / 2) && took >= BATCH_TIME_MIN;
        batch.is_closed = is_enough || took >= BATCH_TIME_MAX;
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
            if batch.is_congested() {
                // As wide as what was answered, but never less than a quarter at a time.
                let fitting = u64::from(self.size) * u64::from(batch.all.answered) * 9
                    / (u64::from(batch.all.total()) * 8);
                let fitting = u32::try_from(fitting).unwrap_or(u32::MAX);
                let least = (self.size / 4).max(MIN);
                self.size = fitting.clamp(least, (self.size - self.size / 8).max(least));
                self.is_new = false;
                self.paused_until = now + PAUSE;
            } else {
                let more = if self.is_new {
                    self.size / 2
                } else {
                    self.size / 8
                };
                self.size = self.size.saturating_add(more.max(1)).min(self.size_max);
            }
        }
        let number = self.batch.number;
        self.batch = Batch {
            number,
            ..Batch::default()
        };
    }
}

impl Batch {
    fn is_congested(&self) -> bool {
        let rests = [&self.prefixes, &self.domains].map(|tallies| {
            let loudest = tallies.iter().max_by_key(|tally| tally.total());
            self.all.without(loudest.copied().unwrap_or_default())
        });
        self.all.is_lossy()
            && rests
                .iter()
                .all(|rest| rest.total() < TELLING || rest.is_lossy())
    }
}

impl Tally {
    fn total(self) -> u32 {
        self.answered + self.lost
    }

    fn without(self, other: Self) -> Self {
        Self {
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
