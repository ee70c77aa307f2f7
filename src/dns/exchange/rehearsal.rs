//! How one upstream is talked to, without sockets: what is sent, and what becomes of what comes.
//!
//! Source: RFC 5452 §9.1 (what an answer must match), RFC 7766 §5 (TCP after truncation).
//! For simulations on a virtual clock (`tests/scenarios`); the shells do the same with sockets.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::time::Instant;

use super::super::DialectSettings;
use super::super::inflight::Attempt;
use super::super::key::Key;
use super::dialect::{ClientCookie, Dialect, Heard, Verdict};
use super::pending::Question;
use super::query::{self, Edns, Manner};
use super::response::{self, Response};
use super::tcp::KEEPALIVE;

/// One worker's way to one upstream, as if there were one socket.
#[derive(Debug)]
pub struct Line {
    dialect: Dialect,
    cookie: Option<ClientCookie>,
    /// Messages that answered nothing.
    guesses: u32,
}

/// A question as it has been put.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    key: Key,
    id: u16,
    question: Question,
}

/// What a message over UDP has turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Nothing: the question goes on.
    Ignored,
    /// The question has to be put again, with a better cookie: [`Line::put_again`].
    Repeat,
    /// An answer; one that is to be had over TCP is told as truncated.
    Answer(Attempt, Response),
}

impl Line {
    /// Nothing is known yet. `cookie` is by chance.
    #[must_use]
    pub fn new(settings: DialectSettings, source: IpAddr, cookie: u64, now: Instant) -> Self {
        let mut dialect = Dialect::new(settings);
        let cookie = dialect.client_cookie(source, now, || cookie.to_be_bytes());
        Self {
            dialect,
            cookie,
            guesses: 0,
        }
    }

    /// Puts a question over UDP; `case` is by chance.
    pub fn put(
        &mut self,
        attempt: Attempt,
        key: &Key,
        (id, case): (u16, u64),
        now: Instant,
    ) -> (Put, Vec<u8>) {
        self.compose(attempt, key, (id, case), &[], now)
    }

    /// The same after [`Judged::Repeat`].
    pub fn put_again(
        &mut self,
        before: &Put,
        (id, case): (u16, u64),
        now: Instant,
    ) -> (Put, Vec<u8>) {
        let (mut put, message) =
            self.compose(before.question.attempt, &before.key, (id, case), &[], now);
        put.question.is_repeated = true;
        (put, message)
    }

    /// Puts a question over TCP; no length stands before it.
    pub fn put_over_tcp(
        &mut self,
        attempt: Attempt,
        key: &Key,
        (id, case): (u16, u64),
        now: Instant,
    ) -> (Put, Vec<u8>) {
        self.compose(attempt, key, (id, case), &KEEPALIVE, now)
    }

    fn compose(
        &mut self,
        attempt: Attempt,
        key: &Key,
        (id, case): (u16, u64),
        more: &[u8],
        now: Instant,
    ) -> (Put, Vec<u8>) {
        let client = self.cookie;
        // Always the same: nobody attacks a simulation.
        let fingerprint = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let asked = (attempt.edns, fingerprint);
        let sent_as = self.dialect.choose(asked, client, || case, now);
        let options = [self.dialect.options(sent_as), more].concat();
        let manner = Manner {
            edns: sent_as.edns,
            options: &options,
            case: sent_as.case,
        };
        let mut message = Vec::new();
        query::append(&mut message, key, id, &manner);
        let question = Question {
            attempt,
            fingerprint,
            dnssec_ok: key.dnssec_ok(),
            checking_disabled: key.checking_disabled(),
            sent: now,
            is_awaited: true,
            sent_as,
            is_repeated: false,
            guesses_before: self.guesses,
        };
        let key = *key;
        (Put { key, id, question }, message)
    }

    /// A message has come over UDP in answer to `put`, or so it says. `has_tcp`: it could be asked for
    /// over TCP as well.
    pub fn hear(&mut self, put: &Put, message: &[u8], has_tcp: bool, now: Instant) -> Judged {
        let Put { key, id, question } = put;
        let examined = response::examine(message, *id, key);
        if examined.response == Response::Foreign {
            self.guesses = self.guesses.wrapping_add(1);
            return Judged::Ignored;
        }
        let heard = Heard {
            examined,
            keeps_case: keeps_case(put, message),
            client: self.cookie,
            guesses: self.guesses.wrapping_sub(question.guesses_before),
        };
        let response = match self.dialect.judge(question, &heard, now) {
            Verdict::Ignore { is_guess, .. } => {
                self.guesses = self.guesses.wrapping_add(u32::from(is_guess));
                return Judged::Ignored;
            }
            Verdict::Repeat => return Judged::Repeat,
            Verdict::AskOverTcp(_) => Response::Truncated,
            Verdict::Suspect if has_tcp => Response::Truncated,
            Verdict::Accept | Verdict::Suspect => examined.response,
        };
        let edns = question.sent_as.edns;
        Judged::Answer(
            Attempt {
                edns,
                ..question.attempt
            },
            response,
        )
    }

    /// A message has come over TCP: what it is as an answer to `put`.
    pub fn hear_over_tcp(&mut self, put: &Put, message: &[u8], now: Instant) -> Response {
        let examined = response::examine(message, put.id, &put.key);
        if matches!(examined.response, Response::Complete { .. }) {
            let (sent_as, keeps_case) = (put.question.sent_as, keeps_case(put, message));
            self.dialect
                .heard_over_tcp(sent_as, self.cookie, examined.cookie, keeps_case, now);
        }
        examined.response
    }

    /// Nothing has come over UDP for as long as it would be recognised.
    pub fn unanswered(&mut self, put: &Put, now: Instant) {
        if put.question.sent_as.edns != Edns::Without {
            self.dialect.unanswered(put.question.fingerprint, now);
        }
    }
}

fn keeps_case(put: &Put, message: &[u8]) -> bool {
    put.question.sent_as.case.is_none_or(|case| {
        response::question(message).is_none_or(|(name, ..)| query::keeps_case(name, case))
    })
}
