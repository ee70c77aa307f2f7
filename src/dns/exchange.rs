//! Asking upstreams on behalf of one worker: the sockets and timers around [`Flights`].
//!
//! No task, timer or allocation for a question: the worker's one task asks, flushes and polls. What
//! has been asked leaves in batches, what has come is taken in batches, and a good answer goes to the
//! cache and the clients from the buffer that it was received in.
//!
//! # What somebody has to guess who forges answers
//!
//! Source: RFC 5452 §9.1 (what an answer must match), §9.2 (unpredictable ids and ports), §5 (many
//! questions at a time), §9.3 (guesses are noticed); RFC 7873 §3 (cookies).
//! The kernel drops what does not come from the upstream's address and port. (It filters what comes
//! after connect(2); what had been queued since bind(2) is thrown away before the first question.) The
//! rest has to carry the id (16 bits) to the port (one of 64,512, log2 = 15.98 bits) of the question,
//! both drawn by a cryptographic generator, and its name, type and class: about **32 bits** for one
//! question. To that come
//! - **64 bits** with cookies, once the upstream has returned one (RFC 7873; on by default, many servers
//!   know none): about 96;
//! - **one bit for each letter** of the name, at most 64, with `mixed_case`: 10 for `example.com`, none
//!   for a name of digits.
//!
//! An error without a question section (`Headless`) needs no more than id and port, with mixed case too;
//! from an upstream with cookies it needs the cookie. It ends no more than one attempt.
//! - *One socket for a batch* takes nothing from that: each socket's port is drawn for itself, and so
//!   is each id. Who sees one port of a worker (an upstream that he runs) knows nothing of the ports
//!   towards others, for each socket is connected to one upstream.
//! - *Many questions at a time* help a forger only if they are the same (RFC 5452 §5), and identical
//!   ones are joined by each worker: one name, type and class is asked of one upstream at most twice at
//!   a time by each, times four for the DO and CD flags, and clients reach every worker. With n forged
//!   answers during a question he succeeds with about n·k/2³² for these k ≤ 8 × workers.
//! - *A port that leaks* (a side channel that finds open ports, RFC 5452 §9.2's concern) leaves 16
//!   bits. It serves a quarter of the batches, takes no more questions after 1 to 5 s of chance or 4096
//!   questions, and listens for at most 2 s more. To scan 64,512 ports at the thousand probes a second
//!   that a kernel's ICMP limit answers takes a minute; in 5 s a socket is found with a chance of 8 %.
//! - *Guesses are noticed.* An answer before which three others came to its socket that answered
//!   nothing is fetched again over TCP, where nobody guesses. So a port that leaks is not enough either:
//!   the id has to be hit within three attempts (2⁻¹⁴). A flood of guesses takes at most half of what
//!   TCP has room for; what finds no place there, or whose upstream has no TCP as far as is known, is
//!   accepted as it is. Answers with the right cookie are
//!   never doubted.

#![expect(
    clippy::disallowed_methods,
    reason = "a shell: the timer of the worker's task is here"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use tokio::time::Sleep;

use super::client::Asker;
use super::forward::{Done, Failure, Forward, Progress};
use super::inflight::counters::FlightCounters;
use super::inflight::{Attempt, Command, Flights, Reply};
use super::key::Key;
use super::upstream::{Asked, FailureKind, Upstreams};
use crate::os::socket::batch::Inbox;

mod bell;
mod dialect;
mod pending;
pub mod query;
pub mod rehearsal;
pub mod response;
pub(super) mod socket;
mod sockets;
mod tcp;

pub use super::inflight::Limits;

use bell::{Bell, Button};
use dialect::Verdict;
use pending::Question;
use response::Response;
use sockets::Sockets;
use tcp::{Ask, Connections};

/// Answers that are taken with one system call.
const BATCH: usize = 64;
/// Batches of one socket before others get their turn.
const BATCHES: usize = 4;
/// More than any answer to a question that asked for [`query::UDP_SIZE`] octets. Not a power of two,
/// for the starts of all messages would then compete for the same lines of the processor's cache.
const ANSWER_MAX: usize = 4096 + 64;
/// The timer's number at the [`Bell`].
const TIMER: usize = usize::MAX;
/// How often one poll looks at what its own questions have come to.
const ROUNDS: usize = 4;

/// Asks upstreams for one worker, whose queries wait as `W`. Lives within a runtime with I/O and time.
pub struct Forwarder<W> {
    upstreams: Arc<Upstreams>,
    flights: Flights<W>,
    sockets: Sockets,
    inbox: Inbox,
    tcp: Connections,
    bell: Arc<Bell>,
    rung: Vec<usize>,
    timer: Timer,
    /// The task that polls.
    task: Option<Waker>,
}

impl<W> Forwarder<W> {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(upstreams: Arc<Upstreams>, limits: Limits) -> Self {
        let bell = Arc::new(Bell::default());
        let now = tokio::time::Instant::now().into_std();
        Self {
            flights: Flights::new(Arc::clone(&upstreams), limits, now),
            sockets: Sockets::new(Arc::clone(&upstreams), Arc::clone(&bell)),
            inbox: Inbox::new(BATCH, ANSWER_MAX),
            tcp: Connections::new(Arc::clone(&upstreams), limits.tcp),
            rung: Vec::new(),
            timer: Timer {
                sleep: None,
                armed: None,
                button: bell.button(TIMER),
            },
            task: None,
            upstreams,
            bell,
        }
    }

    /// Lets `counters` be what this worker's forwarding is counted in.
    #[must_use]
    pub fn counted_in(mut self, counters: Arc<FlightCounters>) -> Self {
        self.flights.count_in(counters);
        self
    }

    /// Takes what has come on one socket, up to a few batches.
    fn hear(&mut self, number: usize, now: Instant, done: &mut Done<'_, W>) {
        for _ in 0..BATCHES {
            let Some(count) = self.sockets.receive(number, &mut self.inbox, now) else {
                return;
            };
            for index in 0..count {
                let message = self.inbox.message_mut(index);
                let matched = self.sockets.take_match(number, message, &self.flights, now);
                let Some((question, response, verdict)) = matched else {
                    continue;
                };
                let upstream = question.attempt.upstream;
                self.upstreams
                    .answered(upstream, Asked::Question, question.sent, now);
                if !question.is_awaited {
                    continue;
                }
                let response = match verdict {
                    Verdict::Ignore { .. } => continue,
                    Verdict::Repeat => {
                        self.repeat(&question, now);
                        continue;
                    }
                    Verdict::Accept => response,
                    // Whatever needs TCP is told to [`Flights`] as truncation.
                    Verdict::AskOverTcp(_) => Response::Truncated,
                    Verdict::Suspect if self.tcp.has_place(upstream, now) => {
                        self.upstreams.failed(upstream, FailureKind::Guessed);
                        Response::Truncated
                    }
                    Verdict::Suspect => response,
                };
                let attempt = Attempt {
                    edns: question.sent_as.edns,
                    ..question.attempt
                };
                let message = self.inbox.message_mut(index);
                self.flights
                    .handle_reply(attempt, message, response, now, done);
            }
        }
        self.sockets.ring(number);
    }

    fn repeat(&mut self, question: &Question, now: Instant) {
        let attempt = question.attempt;
        if let Some((key, fingerprint)) = self.flights.question(attempt.flight) {
            self.sockets
                .send_again(attempt, key, fingerprint, true, now);
        }
    }

    /// Does what follows from what has happened; whether that is not the end of it.
    fn settle(&mut self, cx: &mut Context<'_>, now: Instant, done: &mut Done<'_, W>) -> bool {
        for _ in 0..ROUNDS {
            while let Some(attempt) = self.sockets.poll_lost() {
                self.flights.handle_failure(attempt, now, done);
            }
            self.tcp.poll(cx, now);
            while let Some((ask, mut answer)) = self.tcp.poll_outcome(now) {
                let upstream = ask.attempt.upstream;
                if let Some(answer) = &answer {
                    self.sockets.heard_over_tcp(upstream, &ask, answer, now);
                }
                let reply = answer.as_mut().map(|answer| Reply {
                    message: &mut answer.message,
                    rcode: answer.rcode,
                    reason: answer.reason,
                });
                self.flights.handle_tcp(ask.attempt, reply, now, done);
            }
            if !self.carry_out(now) {
                return false;
            }
        }
        true
    }

    /// Does what [`Flights`] command; whether somebody has to look at what came of it.
    fn carry_out(&mut self, now: Instant) -> bool {
        let mut has_begun = false;
        while let Some(command) = self.flights.poll_command() {
            match command {
                Command::Send(attempt) => {
                    if let Some((key, fingerprint)) = self.flights.question(attempt.flight) {
                        self.sockets.send(attempt, key, fingerprint, now);
                    }
                }
                Command::AskOverTcp(attempt) => {
                    has_begun = true;
                    self.ask_over_tcp(attempt, now);
                }
            }
        }
        self.sockets.flush(now);
        has_begun || self.sockets.has_lost() || self.tcp.has_outcome()
    }

    fn ask_over_tcp(&mut self, attempt: Attempt, now: Instant) {
        let Some((key, fingerprint)) = self.flights.question(attempt.flight) else {
            return;
        };
        let Some(dialect) = self.sockets.dialect(attempt.upstream) else {
            return;
        };
        let client = dialect.latest_cookie();
        let sent_as = dialect.choose((attempt.edns, fingerprint), client, rand::random, now);
        let options = [dialect.options(sent_as), &tcp::KEEPALIVE].concat();
        let ask = Ask {
            attempt,
            key: *key,
            sent_as,
            client,
            options,
            deadline: now + tcp::ANSWER_TIME,
            is_again: false,
        };
        self.tcp.ask(ask, now);
    }

    fn arm_timer(&mut self) {
        let next = [
            self.flights.poll_timeout(),
            self.sockets.poll_timeout(),
            self.tcp.poll_timeout(),
        ];
        if let Some(next) = next.into_iter().flatten().min() {
            self.timer.arm(next);
        }
    }
}

impl<W> Forward<W> for Forwarder<W> {
    fn is_usable(&self, key: &Key) -> bool {
        self.flights.is_usable(key)
    }

    fn ask(
        &mut self,
        key: &Key,
        asker: Asker,
        waiter: W,
        give_up_at: Option<Instant>,
        now: Instant,
    ) -> Result<(), (Failure, W)> {
        self.flights.ask(key, asker, waiter, give_up_at, now)
    }

    fn refresh(&mut self, key: &Key, now: Instant) {
        self.flights.refresh(key, now);
    }

    fn flush(&mut self, now: Instant) {
        let has_more = self.carry_out(now);
        self.arm_timer();
        if let Some(task) = self.task.as_ref().filter(|_| has_more) {
            task.wake_by_ref();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, now: Instant, done: &mut Done<'_, W>) -> Progress {
        if !self
            .task
            .as_ref()
            .is_some_and(|task| task.will_wake(cx.waker()))
        {
            self.bell.attend(cx.waker());
            self.task = Some(cx.waker().clone());
        }
        let mut rung = std::mem::take(&mut self.rung);
        self.bell.take(&mut rung);
        for number in rung.drain(..) {
            if number == TIMER {
                self.timer.has_rung();
            } else {
                self.hear(number, now, done);
            }
        }
        self.rung = rung;
        if self.timer.is_due(now) {
            self.flights.handle_timeout(now, done);
            self.sockets.handle_timeout(now);
            self.tcp.handle_timeout(now);
        }
        let has_more = self.settle(cx, now, done);
        self.arm_timer();
        if has_more {
            Progress::More
        } else {
            Progress::Waiting
        }
    }

    fn under_way(&self) -> usize {
        self.flights.under_way()
    }

    fn waiting(&self) -> usize {
        self.flights.waiting()
    }
}

/// One timer of the runtime for all questions. It stays where it is until it has fired or somebody
/// needs it sooner: moving it for every question would cost more than an early wake-up now and then.
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
    button: Button,
}

impl Timer {
    /// Lets the task be woken at `at` or sooner.
    fn arm(&mut self, at: Instant) {
        if self.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        self.armed = Some(at);
        let at = tokio::time::Instant::from_std(at);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        sleep.as_mut().reset(at);
        let mut cx = Context::from_waker(self.button.waker());
        if sleep.as_mut().poll(&mut cx).is_ready() {
            self.button.press();
        }
    }

    fn has_rung(&mut self) {
        self.armed = None;
        self.button.release();
    }

    /// Whether something may be due: it is never armed for later than that.
    fn is_due(&self, now: Instant) -> bool {
        self.armed.is_none_or(|armed| armed <= now)
    }
}

#[cfg(test)]
mod tests;
