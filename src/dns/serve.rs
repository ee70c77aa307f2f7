//! The life of one query as two steps: what can be said at once, and what an outcome says later.
//!
//! Source: RFC 1034 §4.3.2 (aliases), RFC 8767 §5 (client timer), RFC 6891 §6.1.3 (BADVERS), RFC 8914 §4 (reasons), RFC 8482
//! §4.2 (ANY).
//! Classes besides IN and CH (HS, NONE, ANY and unknown ones) are refused, as BIND does without a view
//! for them. Questions for any type get a HINFO, by TCP too: the whole of what a name has serves those
//! who want a large answer to a small question, and no resolver needs it. Deviates from RFC 8482 §4.2
//! (an alias is told instead, a missing name as such): that would need an upstream's answer.
//! A question without RD is answered from what is at hand and never passed on (RFC 1034 §4.3.1).
//! Serving never writes to the cache: see [`super::shared::store`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::access::Access;
use super::answer::{self, Answer};
use super::cache::clean::Cleaned;
use super::cache::{Entry, Lookup, Scratch};
use super::client::{Asker, Prefix};
use super::code::{ExtendedError, Rcode};
use super::counters::WorkerCounters;
use super::forward::Wish;
use super::key::Key;
use super::prefetch::Budget;
use super::request::{KeptRequest, Request, Transport};
use super::sections::Sections;
use super::shared::{Failed, Shared};
use super::walk::{class, rtype};

mod alias;
mod odd;
mod peer;
mod refresh;
mod standing;

/// How long a sibling is kept waiting while there is an expired answer: its own client has waited
/// before it asked.
const SIBLING_PATIENCE: Duration = Duration::from_millis(500);

/// One query worker: the shared parts, and its own counters.
#[derive(Clone, Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    index: usize,
}

/// What is used again for every question of a worker.
#[derive(Debug)]
pub struct Buffers {
    /// Of the question last read.
    pub key: Key,
    /// For what the cache knows.
    pub scratch: Scratch,
    /// Whether the address of who asked last is proven: TCP, or a good cookie.
    pub verified: bool,
    /// Whether it was a sibling, which no limit of clients holds for.
    pub is_sibling: bool,
    /// Why the key is to be fetched again, beside the answer that has been given; for
    /// [`Worker::refresh`].
    pub refresh: Option<Wish>,
    /// For answers that are fetched before they expire.
    pub budget: Budget,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            key: Key::empty(),
            scratch: Scratch::new(),
            verified: false,
            is_sibling: false,
            refresh: None,
            budget: Budget::default(),
        }
    }
}

/// What has become of a message.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation for each miss"
)]
pub enum Step {
    /// The answer has been appended to the buffer.
    Reply,
    /// The answer to a self-probe or to a sibling's question about this node has been appended: it is
    /// no client's, and counts nowhere.
    ProbeReply,
    /// Nothing is to be sent.
    Drop,
    /// Upstreams have to be asked for the key in the buffers; their outcome goes to
    /// [`Worker::answer_late`].
    Miss(Ticket),
}

/// A question that waits for an answer.
#[derive(Debug)]
pub struct Ticket {
    request: KeptRequest,
    transport: Transport,
    started: Instant,
    /// There was an expired answer.
    stale: bool,
    /// The question is for a local alias, the key for the name that it leads to.
    is_alias: bool,
}

impl Worker {
    /// The worker with the number `index`; `None` when `shared` has no counters for it.
    #[must_use]
    pub fn new(index: usize, shared: Arc<Shared>) -> Option<Self> {
        (index < shared.workers().len()).then_some(Self { shared, index })
    }

    /// What all workers share.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The counters that this worker alone writes.
    #[must_use]
    pub fn counters(&self) -> &WorkerCounters {
        // `new` has checked the index.
        &self.shared.workers()[self.index]
    }

    /// Whether a client may hold a TCP connection. The self-probe comes from a loopback address.
    pub(super) fn may_connect(&self, client: IpAddr) -> bool {
        let may_have_any = !self.shared.access().of(client).is_none();
        may_have_any || client.to_canonical().is_loopback() || self.shared.is_sibling(client)
    }

    /// What the sender of a request may have.
    fn access(&self, request: &Request<'_>, client: IpAddr) -> Access {
        if request.standing.is_sibling {
            Access::EVERYTHING
        } else {
            self.shared.access().of(client)
        }
    }

    /// Does all that can be done without waiting; an answer is appended to `out`.
    ///
    /// `is_usable` tells whether an upstream for a question is believed to answer.
    pub fn answer_now(
        &self,
        message: &[u8],
        (client, transport): (IpAddr, Transport),
        now: Instant,
        is_usable: impl FnOnce(&Key) -> bool,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Step {
        buffers.refresh = None;
        let Buffers {
            key,
            scratch,
            refresh,
            budget,
            ..
        } = buffers;
        let mut request = match Request::parse(message, key) {
            Ok(request) => request,
            Err(unreadable) => {
                buffers.verified = transport == Transport::Tcp;
                buffers.is_sibling = false;
                return self.answer_unreadable(unreadable, (client, transport), out);
            }
        };
        request.standing = self.standing(request.edns.as_ref(), (client, transport));
        buffers.verified = request.standing.is_verified;
        buffers.is_sibling = request.standing.is_sibling;
        if self.answer_probe(&request, key, (client, transport), out) {
            return Step::ProbeReply;
        }
        self.count(&request.standing, transport);
        let access = self.access(&request, client);
        let mut chain = None;
        if let Some(answer) = self.answer_without_cache(&request, key, access) {
            let Some(aimed) = alias::aimed(&request, &answer, key) else {
                self.reply(out, &request, transport, &answer);
                return Step::Reply;
            };
            (*key, chain) = (aimed, answer.sections);
        }
        let stale = match self.shared.cache().lookup(key, now, scratch) {
            Lookup::Fresh(entry) => {
                self.counters().cache_hits.bump();
                let answer = kept_answer(&entry, &request, now);
                self.reply_behind(out, &request, transport, (chain, key), answer);
                let may_fetch = request.recursion_desired && access.has_upstreams();
                if may_fetch && entry.wants_refresh() {
                    *refresh = self.prefetch(now, budget);
                }
                return Step::Reply;
            }
            Lookup::Stale(entry) => Some(entry),
            Lookup::Miss => None,
        };
        self.counters().cache_misses.bump();
        budget.note_miss();
        let may_ask = access.has_upstreams();
        if !request.recursion_desired || (!may_ask && stale.is_none()) {
            let reason = why_nobody_is_asked(&request);
            let answer = Answer::bare(Rcode::REFUSED, Some(reason));
            self.reply(out, &request, transport, &answer);
            return Step::Reply;
        }
        if let Some(entry) = &stale {
            let is_usable = may_ask && is_usable(key);
            if !is_usable || entry.failed_recently(now) {
                self.reply_stale(out, &request, transport, (chain, key), entry);
                *refresh = (is_usable && entry.wants_refresh()).then_some(Wish::Again);
                return Step::Reply;
            }
        }
        Step::Miss(Ticket {
            transport,
            started: now,
            stale: stale.is_some(),
            is_alias: chain.is_some(),
            request: request.keep(),
        })
    }

    /// Whether it was a self-probe, or a sibling's about this node, which is answered.
    fn answer_probe(
        &self,
        request: &Request<'_>,
        key: &Key,
        (client, transport): (IpAddr, Transport),
        out: &mut Vec<u8>,
    ) -> bool {
        let identity = self.shared.identity();
        let probed = identity.probe_answer(key, client, self.index);
        let probed = probed.inspect(|_| self.counters().probes.bump());
        let Some(sections) = probed.or_else(|| self.peer_answer(request, key, client)) else {
            return false;
        };
        let answer = authoritative(sections);
        let limit = request.size_limit(transport);
        answer::write(out, request, limit, identity.name(), &answer);
        true
    }

    /// On whose behalf upstreams are asked when the question of `client` waits.
    #[must_use]
    pub fn asker(&self, client: IpAddr, ticket: &Ticket) -> Asker {
        let standing = ticket.request.standing();
        Asker {
            prefix: Prefix::of(client, self.shared.prefix_lengths()),
            is_sibling: standing.is_sibling,
            is_marked: standing.is_marked,
        }
    }

    /// When a client is told an expired answer rather than kept waiting; `None`: there is none.
    #[must_use]
    pub fn give_up_at(&self, ticket: &Ticket) -> Option<Instant> {
        let mut client_timeout = self.shared.stale().client_timeout;
        if ticket.request.standing().is_sibling {
            client_timeout = client_timeout.min(SIBLING_PATIENCE);
        }
        ticket
            .stale
            .then(|| ticket.started.checked_add(client_timeout))?
    }

    /// Appends the answer to a question that had to wait: what the upstreams brought, an expired
    /// answer, or the reason for having neither.
    pub fn answer_late(
        &self,
        (key, ticket): (&Key, &Ticket),
        outcome: Result<&Cleaned<'_>, Failed>,
        now: Instant,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let request = self.kept(ticket);
        match outcome {
            Ok(cleaned) => {
                let answer = Answer {
                    authentic: cleaned.authentic,
                    sections: Some(cleaned.sections),
                    ..Answer::bare(cleaned.rcode, cleaned.extended_error)
                };
                let chain = self.chain(ticket, key);
                self.reply_behind(out, &request, ticket.transport, (chain, key), answer);
            }
            Err(failed) => {
                let reason = failed.reason_for(request.standing.is_marked);
                self.answer_without_upstream((key, ticket), reason, now, scratch, out);
            }
        }
        let waited = now.saturating_duration_since(ticket.started);
        self.counters().miss_latency.record(waited, 1);
    }

    /// The request of a ticket; how long its connection may be silent is what it is now.
    fn kept<'t>(&self, ticket: &'t Ticket) -> Request<'t> {
        let mut request = ticket.request.request();
        if let (Some(edns), Transport::Tcp) = (&request.edns, ticket.transport) {
            request.standing.keepalive = self.keepalive(edns);
        }
        request
    }

    /// An expired answer if there is one, else SERVFAIL with the reason.
    fn answer_without_upstream(
        &self,
        (key, ticket): (&Key, &Ticket),
        reason: ExtendedError,
        now: Instant,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        let (request, transport) = (&self.kept(ticket), ticket.transport);
        if ticket.stale {
            match self.shared.cache().lookup(key, now, scratch) {
                Lookup::Fresh(entry) if !entry.is_failure() => {
                    let chain = self.chain(ticket, key);
                    let answer = entry.fresh_answer(now);
                    self.reply_behind(out, request, transport, (chain, key), answer);
                    return;
                }
                Lookup::Stale(entry) => {
                    let chain = self.chain(ticket, key);
                    self.reply_stale(out, request, transport, (chain, key), &entry);
                    return;
                }
                Lookup::Fresh(_) | Lookup::Miss => {}
            }
        }
        let answer = Answer::bare(Rcode::SERVFAIL, Some(reason));
        self.reply(out, request, transport, &answer);
    }

    /// What is said without looking at the cache: refusals, the server itself, local names.
    fn answer_without_cache(
        &self,
        request: &Request<'_>,
        key: &Key,
        access: Access,
    ) -> Option<Answer<'_>> {
        let may_ask = match key.qclass() {
            class::CH => access.has_chaos(),
            _ => access.has_cache(),
        };
        if !may_ask {
            self.counters().refused_clients.bump();
            let reason = Some(ExtendedError::PROHIBITED);
            return Some(Answer::bare(Rcode::REFUSED, reason));
        }
        if request.edns.is_some_and(|edns| edns.version != 0) {
            return Some(Answer::bare(Rcode::BADVERS, None));
        }
        if request.standing.has_bad_option {
            return Some(Answer::bare(Rcode::FORMERR, None));
        }
        let refused = Answer::bare(Rcode::REFUSED, Some(ExtendedError::NOT_SUPPORTED));
        match (key.qclass(), key.qtype()) {
            (class::CH, _) => {
                let told = self.shared.identity().chaos_answer(key);
                Some(told.map_or(refused, authoritative))
            }
            // Ends the loop; to whom it is to be told is known where the question was sent.
            (class::IN, _) if self.shared.loops().comes_back(key.name()) => Some(refused),
            (class::IN, qtype) => odd::meta_answer(qtype).or_else(|| {
                let local = self.shared.local().find(key.name(), qtype);
                let any = || (qtype == rtype::ANY).then(|| self.any_answer());
                local.map(Answer::from).or_else(any)
            }),
            _ => Some(refused),
        }
    }

    /// RFC 8482 §4.2.
    fn any_answer(&self) -> Answer<'_> {
        Answer {
            sections: Some(self.shared.any_answer()),
            ..Answer::bare(Rcode::NOERROR, None)
        }
    }

    fn reply_stale(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
        transport: Transport,
        of: (Option<Sections<'_>>, &Key),
        entry: &Entry<'_>,
    ) {
        self.counters().stale_answers.bump();
        let reply_ttl = self.shared.stale().reply_ttl.as_secs();
        let reply_ttl_s = u32::try_from(reply_ttl).unwrap_or(u32::MAX);
        let answer = entry.stale_answer(reply_ttl_s);
        self.reply_behind(out, request, transport, of, answer);
    }

    fn reply(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
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

/// What the cache holds; a failure is about one name, whatever its reason is.
fn kept_answer<'a>(entry: &Entry<'a>, request: &Request<'_>, now: Instant) -> Answer<'a> {
    let mut answer = entry.fresh_answer(now);
    if entry.is_failure() && request.standing.is_marked {
        let reason = answer.extended_error;
        answer.extended_error = reason.map(ExtendedError::of_name_to_sibling);
    }
    answer
}

/// Of two reasons the one that the client can do something about.
fn why_nobody_is_asked(request: &Request<'_>) -> ExtendedError {
    if request.recursion_desired {
        ExtendedError::PROHIBITED
    } else {
        ExtendedError::NOT_AUTHORITATIVE
    }
}

/// An answer that this node is the source of.
fn authoritative(sections: Sections<'_>) -> Answer<'_> {
    Answer {
        authoritative: true,
        sections: Some(sections),
        ..Answer::bare(Rcode::NOERROR, None)
    }
}

#[cfg(test)]
mod tests;
