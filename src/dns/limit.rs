//! What the clients of one prefix may have: questions, equal answers, and octets.
//!
//! Source: RFC 5358 (reflection), RFC 7873 §5.2.5 (who has a valid cookie is no forger), RFC 2181 §9
//! (TC). No RFC describes response-rate limiting; the classes of equal answers are like BIND's.
//!
//! | limit | whom it holds for | share of a worker | over it |
//! |---|---|---|---|
//! | questions a second | UDP without a cookie; beside it, TCP and cookies together | L / √N | UDP: every n-th gets a truncated answer, the others none; TCP: not read for a moment |
//! | equal answers a second | UDP without a cookie | L / N | truncated; not sent if not even that many octets may be, or n is 0 |
//! | octets out for octets in | UDP without a cookie | allowance / N | truncated |
//! | refusals a second | strangers, who get no answer but REFUSED | L / N | silence |
//!
//! **Shares.** A worker knows nothing of the others' buckets, and the kernel hashes each socket of a
//! client to a worker. L / N would be right for a prefix whose questions reach all N workers alike, and
//! N times too little for one that asks from a single socket; L would be right for that one, and let
//! the other have N times too much. What is there for the node's own sake (questions) takes the
//! middle, which is at most √N too much or too little. What is there for a third party's sake takes
//! L / N: whoever forges the sources also chooses their ports, and could use all workers. A client
//! that an uneven hash hits too early gets a truncated answer, and comes back by TCP.
//!
//! **Equal answers.** A truncated answer is no longer than its question: it is worth nothing to a forger,
//! and an honest client that gets one comes back by TCP at once, where silence would cost it a time-out.
//! Therefore each of them is sent. Errors, and answers without records that are hardly longer than their
//! question, need no cutting and have no limit of their own: a forwarder that asks for many names while
//! all upstreams are dead has to get its SERVFAIL for each. What bounds all of them is how many
//! questions there may be, and the octets.
//!
//! **Proof.** TCP and a cookie prove an address. Forged questions in a client's name must not use up
//! what the client itself has, therefore the proven have a bucket of their own.
//!
//! **Memory.** Tables of a fixed size (about 350 KiB a worker). Who comes to a full set takes the place
//! of the one that has been silent for longest: a client that asks more often than a flood goes round
//! the table keeps its place, one that is forgotten begins with all its questions. It also begins with
//! what its predecessor had left of answers and octets: going round the table is no way to have more
//! of these. Strangers have a table of their own, so that they push nobody out.
//!
//! **Cost.** One look into a table for a question; one more for the answer while the prefix gets more
//! answers than it may get equal ones, for fewer need no counting; one more for an answer that came late.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Instant;

use super::LimitSettings;
use super::client::Prefix;

mod bucket;
mod message;
mod table;

pub(super) use message::{has_additional, shorten, write_short};

use bucket::{Bucket, Rate};
use message::{is_small_and_empty, sameness, short_octets};
use table::{Place, Table};

/// Prefixes that a worker remembers.
const CLIENTS: usize = 4096;
/// Answers that it remembers, of prefixes that get many.
const ANSWERS: usize = 4096;
/// Prefixes of strangers.
const STRANGERS: usize = 1024;
/// Refusals a second for the strangers of one prefix.
const REFUSALS_PER_SECOND: u64 = 10;
/// Octets that a prefix may have beforehand, however small the allowance: a few answers.
const OCTETS_MIN: u64 = 4096;

/// Which limit was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Questions a second.
    Rate,
    /// Equal answers a second.
    Response,
    /// Octets out for octets in.
    Amplification,
    /// Refusals a second.
    Refused,
}

impl Reason {
    /// All of them, in the order of their counters, with their names in metrics.
    pub const ALL: [(&str, Self); 4] = [
        ("rate", Self::Rate),
        ("response", Self::Response),
        ("amplification", Self::Amplification),
        ("refused", Self::Refused),
    ];
}

/// What becomes of a question or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As if there were no limits.
    Serve,
    /// The client gets a truncated answer without records, so that it can come back by TCP.
    Slip(Reason),
    /// The client gets nothing.
    Drop(Reason),
}

/// Whether a question proves where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A valid server cookie.
    Cookie,
    /// Anybody could have sent it.
    None,
}

/// The limits of one worker.
#[derive(Debug)]
pub struct Limiter {
    started: Instant,
    questions: Option<Rate>,
    answers: Option<Rate>,
    octets: Option<Octets>,
    refusals: Rate,
    slip: u32,
    clients: Table<Client>,
    /// Answers that prefixes with many of them get, by [`sameness`].
    equal: Table<Bucket>,
    strangers: Table<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Octets {
    /// Octets out for each octet in.
    factor: u64,
    allowance: Rate,
}

/// What is remembered of a prefix.
#[derive(Clone, Debug, Default)]
struct Client {
    unproven: Bucket,
    proven: Bucket,
    /// Answers of any kind: while there are few, no kind can be over its limit.
    answers: Bucket,
    octets: Bucket,
    /// Questions over their limit.
    over: u32,
    /// There were too many answers lately, and each kind is counted.
    is_watched: bool,
}

/// The place of a client's prefix in the table; good until the next prefix is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    client: Prefix,
    now_us: u64,
    place: Place,
}

impl Limiter {
    /// The limits of one of so many workers; `started` is the time now.
    #[must_use]
    pub fn new(settings: &LimitSettings, workers: NonZeroUsize, started: Instant) -> Self {
        Self::with_room(settings, workers, started, CLIENTS)
    }

    fn with_room(
        settings: &LimitSettings,
        workers: NonZeroUsize,
        started: Instant,
        clients: usize,
    ) -> Self {
        let workers = u64::try_from(workers.get()).unwrap_or(u64::MAX);
        let middle = |limit: NonZeroU32| {
            let limit = u64::from(limit.get());
            Rate::of_a_second((limit * limit / workers).isqrt().max(1))
        };
        let divided = |limit: u64| Rate::of_a_second(limit.div_ceil(workers));
        let allowance = settings.allowance_bytes / workers;
        let octets = settings.amplification.map(|factor| Octets {
            factor: factor.get().into(),
            allowance: Rate::new(allowance, allowance.max(OCTETS_MIN)),
        });
        let answers = settings.responses_per_second;
        Self {
            started,
            questions: settings.queries_per_second.map(middle),
            answers: answers.map(|limit| divided(limit.get().into())),
            octets,
            refusals: divided(REFUSALS_PER_SECOND),
            slip: settings.slip,
            clients: Table::new(clients),
            equal: Table::new(ANSWERS),
            strangers: Table::new(STRANGERS),
        }
    }

    /// The seat of `client` at `now`.
    pub fn seat(&mut self, client: Prefix, now: Instant) -> Seat {
        let now_us = self.since_start(now);
        let found = self.clients.find(client.bits(), now_us);
        let state = self.clients.at(found.place);
        if found.is_taken_over {
            // Who comes anew has all its questions; what protects third parties goes on.
            *state = Client {
                answers: state.answers,
                octets: state.octets,
                is_watched: state.is_watched,
                ..Client::default()
            };
        }
        if let Some(rate) = self.questions {
            state.unproven.refill(rate, found.elapsed_us);
            state.proven.refill(rate, found.elapsed_us);
        }
        if let Some(rate) = self.answers {
            state.answers.refill(rate, found.elapsed_us);
        }
        if let Some(octets) = self.octets {
            state.octets.refill(octets.allowance, found.elapsed_us);
        }
        Seat {
            client,
            now_us,
            place: found.place,
        }
    }

    /// Judges a question that came by UDP; once for each.
    pub fn judge(&mut self, seat: Seat, proof: Proof, question: &[u8]) -> Verdict {
        let state = self.clients.at(seat.place);
        let bucket = match proof {
            Proof::Cookie => &mut state.proven,
            Proof::None => &mut state.unproven,
        };
        let is_within = self.questions.is_none_or(|rate| bucket.take(rate, 1));
        if let Some(Octets { factor, .. }) = self.octets {
            let octets = u64::try_from(question.len()).unwrap_or(u64::MAX);
            state.octets.put(octets.saturating_mul(factor));
        }
        if is_within {
            return Verdict::Serve;
        }
        state.over = state.over.wrapping_add(1);
        let slips = self.slip > 0 && state.over.is_multiple_of(self.slip);
        self.cut(seat, Reason::Rate, slips, question)
    }

    /// Whether a question that came by TCP is to be read; if not, it can be read later.
    pub fn admits_stream(&mut self, client: Prefix, now: Instant) -> bool {
        let Some(rate) = self.questions else {
            return true;
        };
        let seat = self.seat(client, now);
        self.clients.at(seat.place).proven.take(rate, 1)
    }

    /// Judges an answer to a question without proof, before it is sent.
    pub fn charge(&mut self, seat: Seat, answer: &[u8]) -> Verdict {
        if self.is_one_too_many(seat, answer) {
            return self.cut(seat, Reason::Response, self.slip > 0, answer);
        }
        if self.pay(seat, answer.len()) {
            Verdict::Serve
        } else if self.pay(seat, short_octets(answer)) {
            Verdict::Slip(Reason::Amplification)
        } else {
            Verdict::Drop(Reason::Amplification)
        }
    }

    /// Whether a stranger may be told that it may not ask.
    pub fn refuses_aloud(&mut self, client: Prefix, now: Instant) -> bool {
        let now_us = self.since_start(now);
        let found = self.strangers.find(client.bits(), now_us);
        // A new one begins with what its predecessor had left.
        let bucket = self.strangers.at(found.place);
        bucket.refill(self.refusals, found.elapsed_us);
        bucket.take(self.refusals, 1)
    }

    /// How often something was forgotten that was not a second old, for want of room.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.clients.evictions() + self.equal.evictions() + self.strangers.evictions()
    }

    /// Whether the prefix has had enough answers that are equal to this one.
    fn is_one_too_many(&mut self, seat: Seat, answer: &[u8]) -> bool {
        let Some(rate) = self.answers else {
            return false;
        };
        let state = self.clients.at(seat.place);
        if !state.answers.take(rate, 1) {
            state.is_watched = true;
        } else if state.answers.lacks_at_most(1) {
            state.is_watched = false;
        }
        if !state.is_watched || is_small_and_empty(answer) {
            return false;
        }
        let kind = sameness(self.equal.hasher(), seat.client.bits(), answer);
        let found = self.equal.find(kind, seat.now_us);
        let bucket = self.equal.at(found.place);
        if found.is_taken_over {
            *bucket = Bucket::default();
        }
        bucket.refill(rate, found.elapsed_us);
        !bucket.take(rate, 1)
    }

    /// What becomes of a message (a question, or the answer to one) over a limit; `slips`: it may lead
    /// to a truncated answer.
    fn cut(&mut self, seat: Seat, reason: Reason, slips: bool, message: &[u8]) -> Verdict {
        if slips && self.pay(seat, short_octets(message)) {
            Verdict::Slip(reason)
        } else {
            Verdict::Drop(reason)
        }
    }

    /// Whether so many octets may be sent; they count as sent then.
    fn pay(&mut self, seat: Seat, octets: usize) -> bool {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        let bucket = &mut self.clients.at(seat.place).octets;
        self.octets
            .is_none_or(|limit| bucket.take(limit.allowance, octets))
    }

    fn since_start(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
