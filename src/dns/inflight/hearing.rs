//! What answers, and the lack of them, do to a question.

use std::time::Instant;

use super::super::cache::clean::is_usable;
use super::super::exchange::query::Edns;
use super::super::exchange::response::Response;
use super::super::forward::{Done, Outcome};
use super::super::upstream::{FailureKind, UpstreamIndex, is_acceptable};
use super::super::walk::HEADER;
use super::trace::{Came, End, Why};
use super::window::Fate;
use super::{Attempt, Command, Flights, Reply};

const SERVFAIL: u16 = 2;

impl<W> Flights<W> {
    /// An answer to an attempt has come, judged as `response`. Harmless when nobody waits for it.
    pub fn handle_reply(
        &mut self,
        attempt: Attempt,
        message: &mut [u8],
        response: Response,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        let is_under_way = self.table.get(attempt.flight).is_some();
        if !is_under_way || response == Response::Foreign {
            return;
        }
        let (place, upstream) = (attempt.flight.place, attempt.upstream);
        self.note_sign_of_life(place, upstream, now);
        match response {
            Response::Foreign => {}
            Response::Complete { rcode, .. } | Response::Headless { rcode }
                if attempt.edns == Edns::With && dislikes_edns(rcode) =>
            {
                self.note(
                    place,
                    upstream,
                    Came::Answered {
                        rcode,
                        reason: None,
                    },
                    now,
                );
                self.note_step(place, upstream, Why::Plain, now);
                let edns = Edns::Without;
                self.commands
                    .push_back(Command::Send(Attempt { edns, ..attempt }));
            }
            Response::Complete {
                rcode,
                length,
                reason,
            } => {
                let message = message.get_mut(..length).unwrap_or_default();
                let reply = Reply {
                    message,
                    rcode,
                    reason,
                };
                self.weigh(attempt, reply, now, done);
            }
            Response::Truncated => {
                self.note(place, upstream, Came::Truncated, now);
                self.note_step(place, upstream, Why::Tcp, now);
                self.commands.push_back(Command::AskOverTcp(attempt));
                self.watch_tcp(place, upstream, now);
            }
            Response::Headless { rcode } => {
                self.upstreams.failed(upstream, FailureKind::Rcode);
                self.table[place].note_poor(upstream, rcode, None);
                self.note(
                    place,
                    upstream,
                    Came::Answered {
                        rcode,
                        reason: None,
                    },
                    now,
                );
                self.conclude(place, upstream, now, done);
            }
            Response::Malformed => {
                self.upstreams.failed(upstream, FailureKind::Malformed);
                self.note(place, upstream, Came::Malformed, now);
                self.conclude(place, upstream, now, done);
            }
        }
        self.admit(now, done);
    }

    /// What [`Command::AskOverTcp`] has come to: `None` stands for no answer.
    pub fn handle_tcp(
        &mut self,
        attempt: Attempt,
        answer: Option<Reply<'_>>,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        let is_awaited = self.table.get(attempt.flight).is_some();
        self.tcp_ended(attempt.flight, attempt.upstream);
        if answer.is_some() {
            self.tcp_answered(attempt.upstream, now);
        }
        match answer {
            Some(answer) if is_awaited => {
                self.note_sign_of_life(attempt.flight.place, attempt.upstream, now);
                self.weigh(attempt, answer, now, done);
                self.admit(now, done);
            }
            Some(_) => {}
            None => {
                self.upstreams.failed(attempt.upstream, FailureKind::Tcp);
                self.handle_failure(attempt, now, done);
            }
        }
    }

    /// An attempt will get no answer; counted by who knows why. Harmless when nobody waits for it.
    pub fn handle_failure(&mut self, attempt: Attempt, now: Instant, done: &mut Done<'_, W>) {
        if self.table.get(attempt.flight).is_none() {
            return;
        }
        let (place, upstream) = (attempt.flight.place, attempt.upstream);
        self.note(place, upstream, Came::Failed, now);
        if self.table[place]
            .inside
            .is_some_and(|(_, whose)| whose == upstream)
        {
            self.leave_window(place, Fate::Unknown, now);
        }
        self.conclude(place, upstream, now, done);
        self.admit(now, done);
    }

    /// An upstream has answered: it is neither silent nor, as far as this question goes, congested.
    fn note_sign_of_life(&mut self, place: usize, upstream: UpstreamIndex, now: Instant) {
        let race = &mut self.table[place];
        race.has_heard(upstream);
        if race.inside.is_some_and(|(_, whose)| whose == upstream) {
            self.leave_window(place, Fate::Answered, now);
        }
        if let Some(orphan) = self.orphans.get_mut(upstream.position()) {
            *orphan = None;
        }
    }

    fn note(&mut self, place: usize, upstream: UpstreamIndex, came: Came, now: Instant) {
        let race = &mut self.table[place];
        let age = race.age(now);
        race.steps.note(upstream, came, age);
    }

    fn note_step(&mut self, place: usize, upstream: UpstreamIndex, why: Why, now: Instant) {
        let race = &mut self.table[place];
        let age = race.age(now);
        race.steps.push(upstream, why, age);
    }

    /// Ends the question with an acceptable answer of use; keeps a poor one while there is hope.
    fn weigh(&mut self, attempt: Attempt, reply: Reply<'_>, now: Instant, done: &mut Done<'_, W>) {
        let (place, upstream) = (attempt.flight.place, attempt.upstream);
        let Reply {
            message,
            rcode,
            reason,
        } = reply;
        let race = &mut self.table[place];
        let name = race.key.name();
        // The case of its letters may be another in the answer.
        if let Some(asked) = message.get_mut(HEADER..HEADER + name.len()) {
            asked.copy_from_slice(name);
        }
        if is_acceptable(rcode) && !is_usable(&race.key, message) {
            // A server that does not resolve, or says nothing of the name: no better than SERVFAIL.
            self.upstreams.failed(upstream, FailureKind::Unusable);
            race.note_poor(upstream, SERVFAIL, None);
            race.keep(message, rcode);
            self.note(place, upstream, Came::Unusable, now);
            return self.conclude(place, upstream, now, done);
        }
        self.note(place, upstream, Came::Answered { rcode, reason }, now);
        let race = &mut self.table[place];
        if is_acceptable(rcode) {
            self.upstreams.good_answer(upstream, now);
            let answered = Outcome::Answered(message);
            return self.end(place, answered, End::Answered(rcode), now, done);
        }
        self.upstreams.failed(upstream, FailureKind::Rcode);
        race.note_poor(upstream, rcode, reason);
        if rcode == SERVFAIL && is_dnssec_verdict(reason) {
            let answered = Outcome::Answered(message);
            return self.end(place, answered, End::Answered(rcode), now, done);
        }
        if attempt.edns == Edns::Sibling && rcode == SERVFAIL && matches!(reason, Some(22 | 23)) {
            // Its upstreams are dead as well, or it has no room for us: nothing about the name.
            self.upstreams.sibling_refused(upstream);
        } else {
            race.keep(message, rcode);
        }
        self.conclude(place, upstream, now, done);
    }

    /// An upstream has given nothing that ends the question.
    fn conclude(
        &mut self,
        place: usize,
        upstream: UpstreamIndex,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        let turns_elsewhere = self.table[place].conclude(&self.upstreams, upstream);
        if turns_elsewhere && !self.fail_over(place, now) {
            self.look(place, now);
        }
        self.settle(place, now, done);
    }
}

/// DNSSEC Bogus to NSEC Missing: others that validate would say the same. RFC 8914 §4.7 to §4.13.
pub(super) fn is_dnssec_verdict(reason: Option<u16>) -> bool {
    matches!(reason, Some(6..=12))
}

/// FORMERR, NOTIMP and BADVERS: what servers say that do not know EDNS, or not this much of it.
fn dislikes_edns(rcode: u16) -> bool {
    matches!(rcode, 1 | 4 | 16)
}
