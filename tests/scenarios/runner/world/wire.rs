//! What goes to the upstreams and comes back, as `dns::exchange` does it.

use std::time::Instant;

use fake_upstream::play::What;
use rand::RngExt;
use sidestep::dns::exchange::rehearsal::{Judged, Put};
use sidestep::dns::exchange::response::{self, Response};
use sidestep::dns::forward::Done;
use sidestep::dns::inflight::{Attempt, Command, Reply};
use sidestep::dns::listener::Waiter;
use sidestep::dns::upstream::{Asked, FailureKind};

use super::{By, Event, Heard, Pending, QUESTION_LIFETIME, ROUND_TRIP, TCP_TIME, World};

impl World {
    pub(super) fn carry_out(&mut self, now: Instant) {
        while let Some(command) = self.flights.poll_command() {
            match command {
                Command::Send(attempt) => self.ask(attempt, None, now),
                Command::AskOverTcp(attempt) => self.ask_over_tcp(attempt, now),
            }
        }
    }

    /// Over UDP; `before`: how it was put when the cookie was not good.
    fn ask(&mut self, attempt: Attempt, before: Option<&Put>, now: Instant) {
        let Some((key, _)) = self.flights.question(attempt.flight) else {
            return;
        };
        let chance = (self.random.random(), self.random.random());
        let line = &mut self.lines[attempt.upstream.position()];
        let (put, message) = match before {
            Some(before) => line.put_again(before, chance, now),
            None => line.put(attempt, key, chance, now),
        };
        let asker = By::Question(attempt, put);
        self.send(
            Pending {
                asker,
                index: attempt.upstream,
                sent: now,
            },
            message,
        );
    }

    fn ask_over_tcp(&mut self, attempt: Attempt, now: Instant) {
        let Some((key, _)) = self.flights.question(attempt.flight) else {
            return;
        };
        let chance = (self.random.random(), self.random.random());
        let line = &mut self.lines[attempt.upstream.position()];
        let (put, message) = line.put_over_tcp(attempt, key, chance, now);
        let asker = By::Tcp(attempt, put);
        let pending = Pending {
            asker,
            index: attempt.upstream,
            sent: now,
        };
        if self.upstreams.tcp_usable(attempt.upstream, now) {
            self.send(pending, message);
        } else {
            self.serial += 1;
            self.pending.insert(self.serial, pending);
            self.happens_at(now, Event::Closed(self.serial));
        }
    }

    /// Has an upstream hear a question, and notes what will follow from it.
    pub(super) fn send(&mut self, pending: Pending, message: Vec<u8>) -> u64 {
        self.serial += 1;
        let (serial, now) = (self.serial, pending.sent);
        self.pending.insert(serial, pending);
        let is_tcp = matches!(pending.asker, By::Tcp(..));
        let life = if is_tcp { TCP_TIME } else { QUESTION_LIFETIME };
        self.happens_at(now + life, Event::Forgotten(serial));
        let actor = self.keepers[pending.index.position()].actor;
        let Some(actor) = self.actors.get_mut(actor) else {
            return serial;
        };
        let due = actor.play.hear(now - self.start, &message, is_tcp);
        actor.heard.push(Heard {
            at: now,
            message,
            is_tcp,
            is_probe: matches!(pending.asker, By::Probe(..)),
        });
        for due in due {
            let event = match due.what {
                What::Message(message) => Event::Message(serial, message),
                What::Refused => Event::Refused(serial),
                What::Closed => Event::Closed(serial),
            };
            self.happens_at(now + ROUND_TRIP + due.after, event);
        }
        serial
    }

    pub(super) fn deliver(
        &mut self,
        serial: u64,
        mut message: Vec<u8>,
        now: Instant,
        done: &mut Done<'_, Waiter>,
    ) {
        let Some(pending) = self.pending.get(&serial).copied() else {
            return;
        };
        let (index, sent) = (pending.index, pending.sent);
        let has_tcp = self.upstreams.tcp_usable(index, now);
        let line = &mut self.lines[index.position()];
        match pending.asker {
            By::Probe(id, key) => {
                let response = response::read(&message, id, &key);
                if response == Response::Foreign {
                    return self.upstreams.failed(index, FailureKind::Ignored);
                }
                self.upstreams.answered(index, Asked::Probe, sent, now);
                if matches!(
                    response,
                    Response::Complete {
                        rcode: 0 | 3 | 6,
                        ..
                    }
                ) {
                    self.upstreams.probe_accepted(index, now);
                } else {
                    self.upstreams.probe_declined(index, now);
                }
            }
            By::Question(attempt, put) => match line.hear(&put, &message, has_tcp, now) {
                Judged::Ignored => return self.upstreams.failed(index, FailureKind::Ignored),
                Judged::Repeat => {
                    self.upstreams.answered(index, Asked::Question, sent, now);
                    self.ask(attempt, Some(&put), now);
                }
                Judged::Answer(attempt, response) => {
                    self.upstreams.answered(index, Asked::Question, sent, now);
                    self.flights
                        .handle_reply(attempt, &mut message, response, now, done);
                }
            },
            By::Tcp(attempt, put) => {
                let response = line.hear_over_tcp(&put, &message, now);
                if response == Response::Foreign {
                    return self.upstreams.failed(index, FailureKind::Ignored);
                }
                let reply = if let Response::Complete {
                    rcode,
                    length,
                    reason,
                } = response
                {
                    self.upstreams.tcp_answered(index, now);
                    message.truncate(length);
                    let message = &mut message;
                    Some(Reply {
                        message,
                        rcode,
                        reason,
                    })
                } else {
                    None
                };
                self.flights.handle_tcp(attempt, reply, now, done);
            }
        }
        self.pending.remove(&serial);
    }

    /// The network says that nobody is there.
    pub(super) fn refuse(&mut self, serial: u64, now: Instant, done: &mut Done<'_, Waiter>) {
        let Some(pending) = self.pending.remove(&serial) else {
            return;
        };
        match pending.asker {
            By::Tcp(attempt, _) => {
                self.upstreams.tcp_failed(pending.index, now);
                self.flights.handle_tcp(attempt, None, now, done);
            }
            By::Question(attempt, _) => {
                self.upstreams.refused(pending.index, now);
                self.flights.handle_failure(attempt, now, done);
            }
            By::Probe(..) => self.upstreams.refused(pending.index, now),
        }
    }

    /// Nothing has come in time.
    pub(super) fn forget(&mut self, serial: u64, now: Instant, done: &mut Done<'_, Waiter>) {
        let Some(pending) = self.pending.remove(&serial) else {
            return;
        };
        match pending.asker {
            // Most clients are of one prefix, whose questions alone do not speak against TCP.
            By::Tcp(attempt, _) => self.flights.handle_tcp(attempt, None, now, done),
            By::Question(_, put) => {
                self.lines[pending.index.position()].unanswered(&put, now);
            }
            By::Probe(..) => {}
        }
    }
}
