//! The questions that have left from one socket, by the id that their answers must have.
//!
//! Source: RFC 5452 §9.1 (what an answer must match), §9.2 (unpredictable ids).
//! A question stays after its asker has gone, because even an answer that nobody waits for says that
//! the upstream lives, and how fast it is; of its name only a keyed hash is kept then.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use super::super::inflight::{Attempt, Flights};
use super::super::key::Key;
use super::dialect::Sent;
use super::query::{self, Edns};
use super::response::{self, Examined, Response};

/// How long an answer is recognised.
pub(super) const QUESTION_LIFETIME: Duration = Duration::from_secs(2);

/// A question that has been sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) attempt: Attempt,
    /// See [`Flights::fingerprint`].
    pub(super) fingerprint: u64,
    /// The flags of the key.
    pub(super) dnssec_ok: bool,
    pub(super) checking_disabled: bool,
    pub(super) sent: Instant,
    /// Its asker has not been told that it failed.
    pub(super) is_awaited: bool,
    /// How it was put, whatever was wanted.
    pub(super) sent_as: Sent,
    /// It has been sent before, with a cookie that was not good.
    pub(super) is_repeated: bool,
    /// Messages that answered nothing on its socket before it left.
    pub(super) guesses_before: u32,
}

/// What a datagram is to the questions.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// An answer to none of them.
    Nothing,
    /// Perhaps an answer to a question that has been answered or forgotten a moment ago: networks
    /// double datagrams.
    Echo,
    /// An answer to this question, by its id and as much as it has of the question.
    Answer {
        id: u16,
        question: Question,
        examined: Examined<'a>,
        /// The letters of its name are in the case that was sent.
        keeps_case: bool,
    },
}

/// Ids that have just been done with.
const GONE_MAX: usize = 256;

/// Questions by id.
#[derive(Debug, Default)]
pub(super) struct Pending {
    by_id: HashMap<u16, Question, BuildHasherDefault<IdHasher>>,
    /// In the order of their questions: when each was sent, and its id.
    expiries: VecDeque<(Instant, u16)>,
    /// How many questions there have ever been.
    inserted: u64,
    /// The latest ids that were answered or forgotten, and where the next one goes.
    gone: Vec<u16>,
    gone_at: usize,
}

impl Pending {
    /// Notes a question under a free one of the `ids` of chance. With at most 4096 of 65,536 taken, a
    /// few attempts are plenty.
    pub(super) fn insert(&mut self, question: Question, ids: impl FnMut() -> u16) -> Option<u16> {
        let id = std::iter::repeat_with(ids)
            .take(8)
            .find(|id| !self.by_id.contains_key(id))?;
        self.by_id.insert(id, question);
        self.expiries.push_back((question.sent, id));
        self.inserted += 1;
        Some(id)
    }

    /// How many questions there have ever been.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// The question that a datagram answers. Everything stays as it is.
    pub(super) fn find<'a, W>(&self, datagram: &'a [u8], flights: &Flights<W>) -> Found<'a> {
        let Some(id) = datagram.first_chunk().copied().map(u16::from_be_bytes) else {
            return Found::Nothing;
        };
        let Some(question) = self.by_id.get(&id) else {
            return if self.gone.contains(&id) {
                Found::Echo
            } else {
                Found::Nothing
            };
        };
        let examined = match flights.question(question.attempt.flight) {
            Some((key, _)) => Some(response::examine(datagram, id, key)),
            None => examine_late(datagram, id, question, flights),
        };
        match examined {
            Some(examined) if examined.response != Response::Foreign => Found::Answer {
                id,
                question: *question,
                examined,
                keeps_case: question.sent_as.case.is_none_or(|case| {
                    response::question(datagram)
                        .is_none_or(|(name, ..)| query::keeps_case(name, case))
                }),
            },
            _ => Found::Nothing,
        }
    }

    /// Its question has been answered.
    pub(super) fn remove(&mut self, id: u16) {
        self.by_id.remove(&id);
        self.note_gone(id);
    }

    fn note_gone(&mut self, id: u16) {
        match self.gone.get_mut(self.gone_at) {
            Some(place) => *place = id,
            None => self.gone.push(id),
        }
        self.gone_at = (self.gone_at + 1) % GONE_MAX;
    }

    /// Moves the attempts to `lost` that are awaited, of the questions before the one with the number
    /// `end` as [`Pending::inserted`] counts them: an error was reported, which does not say for which
    /// question, but all of them went to the same place.
    pub(super) fn abandon(&mut self, end: u64, lost: &mut Vec<Attempt>) {
        let held = u64::try_from(self.expiries.len()).unwrap_or(u64::MAX);
        let first = self.inserted.saturating_sub(held);
        for ((sent, id), number) in self.expiries.iter().zip(first..) {
            if number >= end {
                return;
            }
            let Some(question) = self.by_id.get_mut(id) else {
                continue;
            };
            // The id may belong to a newer question by now.
            if question.sent == *sent && std::mem::take(&mut question.is_awaited) {
                lost.push(question.attempt);
            }
        }
    }

    /// Forgets the questions whose lifetime is over; `unanswered` is told the fingerprints of those that
    /// had OPT and got no answer.
    pub(super) fn sweep(&mut self, now: Instant, mut unanswered: impl FnMut(u64)) {
        while let Some((sent, id)) = self.expiries.front().copied() {
            let is_over = |sent: Instant| sent + QUESTION_LIFETIME <= now;
            match self.by_id.get(&id) {
                Some(question) if is_over(question.sent) => {
                    let had_opt = question.sent_as.edns != Edns::Without;
                    if had_opt && question.is_awaited {
                        unanswered(question.fingerprint);
                    }
                    self.remove(id);
                }
                Some(_) if !is_over(sent) => return,
                // Answered, or the id belongs to a newer question.
                _ => {}
            }
            self.expiries.pop_front();
        }
    }
}

/// An answer whose question has ended: of that the hash alone is known.
fn examine_late<'a, W>(
    datagram: &'a [u8],
    id: u16,
    question: &Question,
    flights: &Flights<W>,
) -> Option<Examined<'a>> {
    let (dnssec_ok, checking_disabled) = (question.dnssec_ok, question.checking_disabled);
    let key = match response::question(datagram) {
        Some((name, qtype, qclass)) => {
            let key = Key::new(name, qtype, qclass, dnssec_ok, checking_disabled)?;
            (flights.fingerprint(&key) == question.fingerprint).then_some(key)?
        }
        // An error without a question section can still be one for it.
        None => Key::new(&[0], 0, 0, dnssec_ok, checking_disabled)?,
    };
    Some(response::examine(datagram, id, &key))
}

/// Ids are drawn by us and by chance, so that spreading their bits is enough.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u16(u16::from(*byte));
        }
    }

    fn write_u16(&mut self, id: u16) {
        // 2^64 divided by the golden ratio: the table looks at the upper and at the lower bits.
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

#[cfg(test)]
mod tests;
