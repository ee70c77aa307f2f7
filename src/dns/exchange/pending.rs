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
use super::response::{self, Response};

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
}

/// Questions by id.
#[derive(Debug, Default)]
pub(super) struct Pending {
    by_id: HashMap<u16, Question, BuildHasherDefault<IdHasher>>,
    /// In the order of their questions: when each was sent, and its id.
    expiries: VecDeque<(Instant, u16)>,
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
        Some(id)
    }

    /// Takes the question that a datagram answers; leaves all as it is if there is none.
    pub(super) fn take_match<W>(
        &mut self,
        datagram: &[u8],
        flights: &Flights<W>,
    ) -> Option<(Question, Response)> {
        let id = u16::from_be_bytes(*datagram.first_chunk()?);
        let question = self.by_id.get(&id)?;
        let response = match flights.question(question.attempt.flight) {
            Some((key, _)) => response::read(datagram, id, key),
            None => read_late(datagram, id, question, flights)?,
        };
        if response == Response::Foreign {
            return None;
        }
        Some((self.by_id.remove(&id)?, response))
    }

    /// Moves the attempts to `lost` that are awaited, except the latest `spared` questions: an error
    /// was reported, which does not say for which question, but all of them go to the same place.
    pub(super) fn abandon(&mut self, spared: usize, lost: &mut Vec<Attempt>) {
        let count = self.expiries.len().saturating_sub(spared);
        for (sent, id) in self.expiries.iter().take(count) {
            let Some(question) = self.by_id.get_mut(id) else {
                continue;
            };
            // The id may belong to a newer question by now.
            if question.sent == *sent && std::mem::take(&mut question.is_awaited) {
                lost.push(question.attempt);
            }
        }
    }

    /// Forgets the questions whose lifetime is over.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((sent, id)) = self.expiries.front() {
            let is_over = |sent: Instant| sent + QUESTION_LIFETIME <= now;
            match self.by_id.get(id) {
                Some(question) if is_over(question.sent) => {
                    self.by_id.remove(id);
                }
                Some(_) if !is_over(*sent) => return,
                // Answered, or the id belongs to a newer question.
                _ => {}
            }
            self.expiries.pop_front();
        }
    }
}

/// An answer whose question has ended: of that the hash alone is known.
fn read_late<W>(
    datagram: &[u8],
    id: u16,
    question: &Question,
    flights: &Flights<W>,
) -> Option<Response> {
    let (dnssec_ok, checking_disabled) = (question.dnssec_ok, question.checking_disabled);
    let key = match response::question(datagram) {
        Some((name, qtype, qclass)) => {
            let key = Key::new(name, qtype, qclass, dnssec_ok, checking_disabled)?;
            (flights.fingerprint(&key) == question.fingerprint).then_some(key)?
        }
        // An error without a question section can still be one for it.
        None => Key::new(&[0], 0, 0, dnssec_ok, checking_disabled)?,
    };
    Some(response::read(datagram, id, &key))
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
