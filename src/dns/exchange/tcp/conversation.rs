//! The questions and answers of one connection, as a value: no socket, no clock, no task.
//!
//! Source: RFC 1035 §4.2.2 (length prefix), RFC 7766 §6.2.1.1 (many questions at a time), §6.2.3 (idle
//! connections), §7 (answers in any order), RFC 7828 §3.3 (the upstream says how long one may idle).

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::time::{Duration, Instant};

use super::super::super::client::Prefix;
use super::super::super::inflight::{Attempt, domain};
use super::super::super::key::Key;
use super::super::dialect::{ClientCookie, Sent};
use super::super::query::{self, Manner};
use super::super::response::{self, Response};
use super::TcpError;

/// A connection that idles is closed after this time when the upstream says nothing about it.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(2);
/// The same whatever the upstream says: places are few.
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// After such a time without an answer it is looked whether there is anybody.
const SILENCE: Duration = Duration::from_secs(1);
/// So many messages that answer nothing, and the connection is closed.
pub(super) const FOREIGN_MAX: usize = 8;
/// Of the length in front of each message.
const PREFIX: usize = 2;

/// A question that is to be asked over TCP.
#[derive(Clone, Debug)]
pub(in super::super) struct Ask {
    pub(in super::super) attempt: Attempt,
    pub(in super::super) key: Key,
    /// On whose behalf.
    pub(in super::super) prefix: Prefix,
    pub(in super::super) sent_as: Sent,
    /// The cookie among the options.
    pub(in super::super) client: Option<ClientCookie>,
    /// EDNS options, ready to be sent.
    pub(in super::super) options: Vec<u8>,
    /// When it is given up.
    pub(in super::super) deadline: Instant,
    /// When it was asked; before that, when it was wanted.
    pub(in super::super) since: Instant,
    /// It was asked on a connection that the upstream has closed.
    pub(in super::super) is_again: bool,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Answer {
    /// Cut to its length.
    pub(in super::super) message: Vec<u8>,
    pub(in super::super) rcode: u16,
    /// The INFO-CODE of an Extended DNS Error.
    pub(in super::super) reason: Option<u16>,
    /// The COOKIE option.
    pub(in super::super) cookie: Option<Vec<u8>>,
    /// Its letters are in the case that was sent.
    pub(in super::super) keeps_case: bool,
}

/// What a question has come to.
#[derive(Debug)]
pub(in super::super) struct Outcome {
    pub(in super::super) ask: Ask,
    pub(in super::super) answer: Result<Answer, TcpError>,
}

/// What is under way on one connection.
#[derive(Debug)]
pub(super) struct Conversation {
    asked: Vec<(u16, Ask)>,
    received: Vec<u8>,
    answered: usize,
    foreign: usize,
    /// When something was last answered; before that, when it began.
    heard: Instant,
    /// When something was last asked or answered.
    used: Instant,
    idle_time: Duration,
    is_dead: bool,
}

impl Conversation {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            asked: Vec::new(),
            received: Vec::new(),
            answered: 0,
            foreign: 0,
            heard: now,
            used: now,
            idle_time: IDLE_TIME,
            is_dead: false,
        }
    }

    /// Notes a question and appends it to `out`, under an id of chance; its outcome is
    /// [`TcpError::Full`] if none is free.
    pub(super) fn ask(
        &mut self,
        ask: Ask,
        ids: impl FnMut() -> u16,
        out: &mut Vec<u8>,
        outcomes: &mut Vec<Outcome>,
        now: Instant,
    ) {
        let is_free = |id: &u16| self.asked.iter().all(|(taken, _)| taken != id);
        let free = std::iter::repeat_with(ids).take(8).find(is_free);
        let mut message = Vec::with_capacity(512);
        let manner = Manner {
            edns: ask.sent_as.edns,
            options: &ask.options,
            case: ask.sent_as.case,
        };
        query::append(&mut message, &ask.key, free.unwrap_or_default(), &manner);
        let (Some(id), Ok(length)) = (free, u16::try_from(message.len())) else {
            return outcomes.push(Outcome {
                ask,
                answer: Err(TcpError::Full),
            });
        };
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&message);
        self.asked.push((id, Ask { since: now, ..ask }));
        self.used = now;
    }

    /// Questions without an answer.
    pub(super) fn under_way(&self) -> usize {
        self.asked.len()
    }

    /// Answers so far.
    pub(super) fn answered(&self) -> usize {
        self.answered
    }

    /// Where received octets are appended. It never holds more than one message and what was read
    /// with it: memory grows with what arrives, not with what a length promises.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.received
    }

    /// Takes the messages that are whole.
    pub(super) fn handle_received(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        let received = std::mem::take(&mut self.received);
        let mut rest = received.as_slice();
        while let Some((message, after)) = split_message(rest) {
            self.hear(message, now, outcomes);
            rest = after;
        }
        self.received = rest.to_vec();
    }

    fn hear(&mut self, message: &[u8], now: Instant, outcomes: &mut Vec<Outcome>) {
        let id = message.first_chunk().copied().map(u16::from_be_bytes);
        let asked = self.asked.iter().position(|(asked, _)| Some(*asked) == id);
        let Some((place, (id, ask))) = asked.and_then(|at| Some((at, self.asked.get(at)?))) else {
            self.foreign += 1;
            return;
        };
        let examined = response::examine(message, *id, &ask.key);
        let answer = match examined.response {
            Response::Foreign => {
                self.foreign += 1;
                return;
            }
            Response::Complete {
                rcode,
                length,
                reason,
            } => Ok(Answer {
                message: message.get(..length).unwrap_or_default().to_vec(),
                rcode,
                reason,
                cookie: examined.cookie.map(<[u8]>::to_vec),
                keeps_case: ask.sent_as.case.is_none_or(|case| {
                    response::question(message)
                        .is_none_or(|(name, ..)| query::keeps_case(name, case))
                }),
            }),
            Response::Headless { .. } | Response::Truncated | Response::Malformed => {
                Err(TcpError::Unusable)
            }
        };
        if let Some(units) = examined.keepalive {
            let idle_time = Duration::from_millis(100) * u32::from(units);
            self.idle_time = idle_time.min(IDLE_TIME_MAX);
        }
        self.answered += 1;
        (self.heard, self.used) = (now, now);
        let (_, ask) = self.asked.swap_remove(place);
        outcomes.push(Outcome { ask, answer });
    }

    /// Gives up what is too late. Harmless when called early.
    pub(super) fn handle_timeout(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        let mut is_silent = !self.is_dead && self.is_silent(now);
        for (_, ask) in self.asked.extract_if(.., |(_, ask)| ask.deadline <= now) {
            // Nothing has come for as long as a question may take: it is not one slow name.
            self.is_dead |= is_silent || self.used + SILENCE <= now;
            let error = if std::mem::take(&mut is_silent) {
                TcpError::Silent
            } else {
                TcpError::Late
            };
            outcomes.push(Outcome {
                ask,
                answer: Err(error),
            });
        }
    }

    /// Whether it has been so for a second that nothing comes, whoever asks for whatever: questions of
    /// one client, or about one domain, may be slow by intent.
    fn is_silent(&self, now: Instant) -> bool {
        let since = |ask: &Ask| self.heard.max(ask.since) + SILENCE <= now;
        let mut waiting = self
            .asked
            .iter()
            .map(|(_, ask)| ask)
            .filter(|ask| since(ask));
        let Some(first) = waiting.next() else {
            return false;
        };
        let first_domain = domain::domain(&[0], first.key.name());
        let (mut other_prefix, mut other_domain) = (false, false);
        for ask in waiting {
            other_prefix |= ask.prefix != first.prefix;
            other_domain |= domain::domain(&[0], ask.key.name()) != first_domain;
        }
        other_prefix && other_domain
    }

    /// When to call [`Conversation::handle_timeout`] next, or to look whether it is over.
    pub(super) fn poll_timeout(&self) -> Instant {
        let deadlines = self.asked.iter().map(|(_, ask)| ask.deadline);
        deadlines.min().unwrap_or(self.used + self.idle_time)
    }

    /// Whether the connection is to be closed. `is_wanted`: there are questions that have not been
    /// asked yet.
    pub(super) fn is_over(&self, is_wanted: bool, now: Instant) -> bool {
        let is_idle = !is_wanted && self.under_way() == 0 && self.used + self.idle_time <= now;
        is_idle || self.is_dead || self.foreign >= FOREIGN_MAX
    }

    /// The questions that the end of the connection leaves without an answer.
    pub(super) fn into_unanswered(self) -> impl Iterator<Item = Ask> {
        self.asked.into_iter().map(|(_, ask)| ask)
    }
}

/// The first message of a stream, if it is whole, and what follows.
fn split_message(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u16::from_be_bytes(*stream.first_chunk::<PREFIX>()?);
    let rest = stream.get(PREFIX..)?;
    rest.split_at_checked(length.into())
}

#[cfg(test)]
mod tests;
