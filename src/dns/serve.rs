//! The life of one query: answered at once, or after asking upstreams.
//!
//! Source: RFC 8767 §5 (client timer), RFC 6891 §6.1.3 (BADVERS), RFC 5936 §2.2.1
//! (a transfer may be refused), RFC 8914 §4 (reasons).
//! A question without RD is answered from what is at hand and never passed on (RFC 1034 §4.3.1).
//! Serving never writes to the cache: see [`super::shared::store`].
#![expect(
    clippy::disallowed_methods,
    reason = "a query that has waited needs the time after waiting"
)]

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::answer::{self, Answer};
use super::cache::{Entry, Lookup, Scratch};
use super::code::{ExtendedError, Rcode};
use super::counters::WorkerCounters;
use super::forward::{Failure, Forward, Outcome};
use super::request::{Request, Transport, Unreadable};
use super::shared::{Shared, judge};
use super::walk::{class, rtype};

/// Most questions of one worker that wait for upstreams; more are shed.
pub const IN_FLIGHT_MAX: u64 = 4096;

/// One query worker: the shared parts, its own counters and its own forwarder.
#[derive(Debug)]
pub struct Worker<F> {
    shared: Arc<Shared>,
    index: usize,
    forwarder: Rc<F>,
    scratch: RefCell<Scratch>,
}

/// What has become of a message.
#[derive(Debug)]
pub enum Step {
    /// The answer has been appended to the buffer.
    Reply,
    /// The answer to a self-probe has been appended: it is no client's, and counts nowhere.
    ProbeReply,
    /// Nothing is to be sent.
    Drop,
    /// Upstreams have to be asked: [`Worker::answer_later`].
    Miss(Box<Ticket>),
}

/// A question that waits for an answer; holds its place among those under way.
#[derive(Debug)]
pub struct Ticket {
    request: Request,
    transport: Transport,
    started: Instant,
    /// Whether the cache had an expired answer.
    stale: bool,
    _place: Place,
}

impl<F: Forward> Worker<F> {
    /// The worker with the number `index`; `None` when `shared` has no counters for it.
    #[must_use]
    pub fn new(index: usize, shared: Arc<Shared>, forwarder: Rc<F>) -> Option<Self> {
        (index < shared.workers().len()).then_some(Self {
            shared,
            index,
            forwarder,
            scratch: RefCell::default(),
        })
    }

    /// The counters that this worker alone writes.
    #[must_use]
    pub fn counters(&self) -> &WorkerCounters {
        // `new` has checked the index.
        &self.shared.workers()[self.index]
    }

    /// Whether a client may hold a TCP connection. The self-probe comes from a loopback address.
    pub(super) fn may_connect(&self, client: IpAddr) -> bool {
        self.shared.access().allows(client) || client.to_canonical().is_loopback()
    }

    /// Does all that can be done without waiting; an answer is appended to `out`.
    pub fn answer_now(
        &self,
        message: &[u8],
        client: IpAddr,
        transport: Transport,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Step {
        let request = match Request::parse(message) {
            Ok(request) => request,
            Err(Unreadable::Ignore) => {
                self.counters().malformed.bump();
                return Step::Drop;
            }
            Err(Unreadable::Reject(rejection)) => {
                self.counters().malformed.bump();
                self.counters().count_response(rejection.rcode);
                answer::write_rejection(out, &rejection);
                return Step::Reply;
            }
        };
        let identity = self.shared.identity();
        if let Some(sections) = identity.probe_answer(request.key(), client, self.index) {
            self.counters().probes.bump();
            let answer = authoritative(sections);
            let limit = request.size_limit(transport);
            answer::write(out, &request, limit, identity.name(), &answer);
            return Step::ProbeReply;
        }
        self.counters().count_query(transport);
        if let Some(answer) = self.answer_without_cache(&request, client) {
            self.reply(out, &request, transport, &answer);
            return Step::Reply;
        }
        self.answer_from_cache(request, transport, now, out)
    }

    /// Asks upstreams and appends the answer to `out`, an expired one after the client timer.
    pub async fn answer_later(&self, ticket: &Ticket, out: &mut Vec<u8>) {
        let asked = self.forwarder.ask(ticket.request.key());
        let outcome = if ticket.stale {
            let deadline = ticket.started + self.shared.stale().client_timeout;
            // The exchange goes on without us, and its outcome reaches the cache.
            tokio::time::timeout_at(deadline.into(), asked).await.ok()
        } else {
            Some(asked.await)
        };
        let now = tokio::time::Instant::now().into_std().max(ticket.started);
        self.conclude(ticket, outcome.as_deref(), now, out);
        let waited = now - ticket.started;
        self.counters().miss_latency.record(waited, 1);
    }

    /// What is said without looking at the cache: refusals, the server itself, local records.
    fn answer_without_cache(&self, request: &Request, client: IpAddr) -> Option<Answer<'_>> {
        let key = request.key();
        if !self.shared.access().allows(client) {
            self.counters().refused_clients.bump();
            let reason = Some(ExtendedError::PROHIBITED);
            return Some(Answer::bare(Rcode::REFUSED, reason));
        }
        if request.edns.is_some_and(|edns| edns.version != 0) {
            return Some(Answer::bare(Rcode::BADVERS, None));
        }
        let refused = Answer::bare(Rcode::REFUSED, None);
        match (key.qclass(), key.qtype()) {
            (class::CH, _) => {
                let told = self.shared.identity().chaos_answer(key);
                Some(told.map_or(refused, authoritative))
            }
            (class::IN, rtype::OPT) => Some(Answer::bare(Rcode::FORMERR, None)),
            (class::IN, rtype::TKEY | rtype::TSIG | rtype::IXFR | rtype::AXFR) => Some(refused),
            (class::IN, qtype) => {
                let local = self.shared.local().find(key.name(), qtype);
                local.map(authoritative)
            }
            _ => Some(refused),
        }
    }

    fn answer_from_cache(
        &self,
        request: Request,
        transport: Transport,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Step {
        let key = request.key();
        let mut scratch = self.scratch.borrow_mut();
        let stale = match self.shared.cache().lookup(key, now, &mut scratch) {
            Lookup::Fresh(entry) => {
                self.counters().cache_hits.bump();
                self.reply(out, &request, transport, &entry.fresh_answer(now));
                return Step::Reply;
            }
            Lookup::Stale(entry) => Some(entry),
            Lookup::Miss => None,
        };
        self.counters().cache_misses.bump();
        if !request.recursion_desired {
            let reason = Some(ExtendedError::NOT_AUTHORITATIVE);
            let answer = Answer::bare(Rcode::REFUSED, reason);
            self.reply(out, &request, transport, &answer);
            return Step::Reply;
        }
        if let Some(entry) = &stale
            && (entry.failed_recently(now) || !self.forwarder.is_usable(key))
        {
            self.reply_stale(out, &request, transport, entry);
            return Step::Reply;
        }
        let Some(place) = Place::take(&self.shared, self.index) else {
            self.counters().shed.bump();
            self.reply_failure(
                out,
                &request,
                transport,
                stale.as_ref(),
                ExtendedError::NETWORK_ERROR,
            );
            return Step::Reply;
        };
        let stale = stale.is_some();
        drop(scratch);
        Step::Miss(Box::new(Ticket {
            request,
            transport,
            started: now,
            stale,
            _place: place,
        }))
    }

    /// Answers with what the upstreams brought; `None`: the client timer has run out before.
    fn conclude(
        &self,
        ticket: &Ticket,
        outcome: Option<&Outcome>,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        let Ticket {
            request, transport, ..
        } = ticket;
        let limits = self.shared.cache().limits();
        let mut message = match outcome {
            Some(Outcome::Answered(reply)) => Ok(reply.message.clone()),
            Some(Outcome::Failed(failure)) => Err(*failure),
            None => Err(Failure::TimedOut),
        };
        let response = message.as_deref_mut().map_err(|failure| *failure);
        let reason = match judge(request.key(), response, limits) {
            Ok(cleaned) => {
                let answer = Answer {
                    authentic: cleaned.authentic,
                    sections: Some(cleaned.sections),
                    ..Answer::bare(cleaned.rcode, None)
                };
                self.reply(out, request, *transport, &answer);
                return;
            }
            Err(failed) => failed.reason,
        };
        let mut scratch = self.scratch.borrow_mut();
        let known = match self.shared.cache().lookup(request.key(), now, &mut scratch) {
            // Somebody else was answered meanwhile.
            Lookup::Fresh(entry) if !entry.is_failure() => {
                self.reply(out, request, *transport, &entry.fresh_answer(now));
                return;
            }
            Lookup::Stale(entry) => Some(entry),
            Lookup::Fresh(_) | Lookup::Miss => None,
        };
        self.reply_failure(out, request, *transport, known.as_ref(), reason);
    }

    /// An expired answer if there is one, else SERVFAIL with the reason.
    fn reply_failure(
        &self,
        out: &mut Vec<u8>,
        request: &Request,
        transport: Transport,
        stale: Option<&Entry<'_>>,
        reason: ExtendedError,
    ) {
        match stale {
            Some(entry) => self.reply_stale(out, request, transport, entry),
            None => {
                let answer = Answer::bare(Rcode::SERVFAIL, Some(reason));
                self.reply(out, request, transport, &answer);
            }
        }
    }

    fn reply_stale(
        &self,
        out: &mut Vec<u8>,
        request: &Request,
        transport: Transport,
        entry: &Entry<'_>,
    ) {
        self.counters().stale_answers.bump();
        let reply_ttl = self.shared.stale().reply_ttl.as_secs();
        let reply_ttl_s = u32::try_from(reply_ttl).unwrap_or(u32::MAX);
        self.reply(out, request, transport, &entry.stale_answer(reply_ttl_s));
    }

    fn reply(
        &self,
        out: &mut Vec<u8>,
        request: &Request,
        transport: Transport,
        answer: &Answer<'_>,
    ) {
        let limit = request.size_limit(transport);
        let name = self.shared.identity().name();
        if answer::write(out, request, limit, name, answer) {
            self.counters().truncated.bump();
        }
        self.counters().count_response(answer.rcode);
    }
}

/// An answer that this node is the source of.
fn authoritative(sections: super::sections::Sections<'_>) -> Answer<'_> {
    Answer {
        authoritative: true,
        sections: Some(sections),
        ..Answer::bare(Rcode::NOERROR, None)
    }
}

/// A place among the questions under way of one worker; given back when dropped.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    index: usize,
}

impl Place {
    fn take(shared: &Arc<Shared>, index: usize) -> Option<Self> {
        let in_flight = &shared.workers()[index].in_flight;
        if in_flight.value() >= IN_FLIGHT_MAX {
            return None;
        }
        in_flight.bump();
        Some(Self {
            shared: Arc::clone(shared),
            index,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let in_flight = &self.shared.workers()[self.index].in_flight;
        in_flight.set(in_flight.value().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
