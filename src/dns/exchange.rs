//! Asking upstreams on behalf of one worker: identical questions joined, several upstreams raced.
//!
//! One question ([`Race`]) asks the best upstream; the next one is asked when the last has taken
//! longer than usual, at once when it failed or answered with an error. All that were asked are
//! listened to until one gives an acceptable answer (NOERROR, NXDOMAIN, YXDOMAIN). An error is
//! handed on only when nothing better can come. Each upstream is asked at most twice, since one
//! datagram may be lost. Nothing waits on upstreams that are known to be dead.
//!
//! Source: RFC 1035 §7.2 (sending the queries), RFC 6891 §7 (FORMERR: again without EDNS).

#![expect(
    clippy::disallowed_methods,
    reason = "a shell: reads the clock and starts the tasks of the questions under way"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

use super::forward::{Failure, Forward, Outcome, Reply};
use super::inflight::{Inflight, Join};
use super::key::Key;
use super::upstream::{Asked, FailureKind, UpstreamIndex, Upstreams, ZoneIndex};

pub mod query;
pub mod response;
mod tcp;
pub(super) mod udp;

use query::Edns;
use udp::{Arrival, Sockets};

/// How often a race looks whether all that it waits for has been found dead.
const HOPE_CHECK: Duration = Duration::from_millis(50);
/// How often one question may be sent to one upstream.
const TRIES: u32 = 2;

/// Bounds of one worker's forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Different questions under way. Default 4096.
    pub questions: usize,
    /// Waiters for all of them together. Default 16384.
    pub waiters: usize,
    /// TCP connections to upstreams at a time. Default 64.
    pub tcp: usize,
    /// From a question to its outcome. Default 2 s: less than any client's own timer (5 s in
    /// glibc, 3 s in `nslookup`'s first try), so that it hears from us and not from its timer.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            questions: 4096,
            waiters: 16_384,
            tcp: 64,
            deadline: Duration::from_secs(2),
        }
    }
}

/// Asks upstreams for one worker. Lives on its thread, inside a `LocalSet` or a local runtime.
#[derive(Clone)]
pub struct Forwarder {
    inner: Rc<Inner>,
}

struct Inner {
    upstreams: Arc<Upstreams>,
    /// By [`UpstreamIndex::position`].
    sockets: Vec<Sockets>,
    inflight: RefCell<Inflight<oneshot::Sender<Rc<Outcome>>>>,
    tcp: Semaphore,
    limits: Limits,
    on_done: OnDone,
}

type OnDone = Box<dyn Fn(&Key, &Outcome)>;

impl Forwarder {
    /// `on_done` is called once for each question that was sent to upstreams, before those who
    /// wait for it are woken. It must not call the forwarder.
    pub fn new(
        upstreams: Arc<Upstreams>,
        on_done: impl Fn(&Key, &Outcome) + 'static,
        limits: Limits,
    ) -> Self {
        let sockets = upstreams
            .indexes()
            .map(|index| Sockets::new(Arc::clone(&upstreams), index))
            .collect();
        let inner = Inner {
            sockets,
            inflight: RefCell::new(Inflight::new(limits.questions, limits.waiters)),
            tcp: Semaphore::new(limits.tcp),
            limits,
            on_done: Box::new(on_done),
            upstreams,
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// Different questions of this worker under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.inner.inflight.borrow().len()
    }

    fn zone(&self, key: &Key) -> ZoneIndex {
        self.inner
            .upstreams
            .zone_for_question(key.name(), key.qtype())
    }
}

impl Forward for Forwarder {
    async fn ask(&self, key: &Key) -> Rc<Outcome> {
        let zone = self.zone(key);
        if !self.inner.upstreams.zone_usable(zone) {
            return Rc::new(Outcome::Failed(Failure::NoneUsable));
        }
        let (waiter, outcome) = oneshot::channel();
        let join = self.inner.inflight.borrow_mut().join(key, waiter);
        match join {
            Join::Full => {
                self.inner.upstreams.count_saturated();
                return Rc::new(Outcome::Failed(Failure::Saturated));
            }
            Join::Started => {
                let flight = Flight {
                    inner: Rc::clone(&self.inner),
                    key: *key,
                };
                tokio::task::spawn_local(flight.fly(zone));
            }
            Join::Joined => {}
        }
        outcome
            .await
            .unwrap_or_else(|_| Rc::new(Outcome::Failed(Failure::TimedOut)))
    }

    fn is_usable(&self, key: &Key) -> bool {
        self.inner.upstreams.zone_usable(self.zone(key))
    }
}

/// A place in the in-flight table, given back whatever happens to the task.
struct Flight {
    inner: Rc<Inner>,
    key: Key,
}

impl Flight {
    async fn fly(self, zone: ZoneIndex) {
        let outcome = Rc::new(Race::new(&self.inner, &self.key, zone).run().await);
        (self.inner.on_done)(&self.key, &outcome);
        let waiters = self.inner.inflight.borrow_mut().finish(&self.key);
        for waiter in waiters {
            // Whoever gave up waiting has dropped the other end.
            let _ = waiter.send(Rc::clone(&outcome));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        drop(self.inner.inflight.borrow_mut().finish(&self.key));
    }
}

/// What one attempt at one upstream came to.
enum Conclusion {
    Acceptable(Reply),
    /// An error for an answer, worth handing on if nothing better comes.
    Poor(Reply, u16),
    Failed,
}

/// One question on its way through the upstreams of its zone.
struct Race<'a> {
    inner: &'a Inner,
    key: &'a Key,
    /// Whom to ask next, and how often they were asked before.
    queue: VecDeque<(UpstreamIndex, u32)>,
    /// Asked, and neither failed nor answered.
    awaited: Vec<UpstreamIndex>,
    /// The last one asked, when, and from when on it is late.
    latest: Option<(UpstreamIndex, Instant, Instant)>,
    poor: Option<(Reply, u16)>,
}

impl<'a> Race<'a> {
    fn new(inner: &'a Inner, key: &'a Key, zone: ZoneIndex) -> Self {
        let order = inner.upstreams.order(zone);
        Self {
            inner,
            key,
            queue: order.into_iter().map(|index| (index, 0)).collect(),
            awaited: Vec::new(),
            latest: None,
            poor: None,
        }
    }

    async fn run(mut self) -> Outcome {
        let (inner, key) = (self.inner, self.key);
        let deadline = Instant::now() + inner.limits.deadline;
        let mut attempts = FuturesUnordered::new();
        attempts.extend(self.next().map(|index| inner.attempt(index, key)));
        while self.has_hope() {
            let now = Instant::now();
            if now >= deadline {
                return self.give_up(Failure::TimedOut);
            }
            let late_at = self.latest.map_or(deadline, |(_, _, late_at)| late_at);
            let wake = late_at.min(deadline).min(now + HOPE_CHECK);
            let turn_elsewhere = tokio::select! {
                biased;
                Some((index, conclusion)) = attempts.next() => match conclusion {
                    Conclusion::Acceptable(reply) => return Outcome::Answered(reply),
                    Conclusion::Poor(reply, rcode) => {
                        self.keep(reply, rcode);
                        self.conclude(index)
                    }
                    Conclusion::Failed => self.conclude(index),
                },
                () = sleep_until(wake) => self.check_late(Instant::now()),
            };
            if turn_elsewhere {
                attempts.extend(self.next().map(|index| inner.attempt(index, key)));
            }
        }
        self.give_up(Failure::NoneUsable)
    }

    /// The next upstream worth asking, noted as asked.
    fn next(&mut self) -> Option<UpstreamIndex> {
        let upstreams = &self.inner.upstreams;
        let place = self
            .queue
            .iter()
            .position(|&(index, _)| upstreams.is_up(index))?;
        let (index, tries) = self.queue.remove(place)?;
        if tries + 1 < TRIES {
            self.queue.push_back((index, tries + 1));
        }
        let now = Instant::now();
        let patience = upstreams.patience(index) * (tries + 1);
        self.latest = Some((index, now, now + patience));
        self.awaited.push(index);
        Some(index)
    }

    /// Whether the last one asked has become late: then it is time to ask another.
    fn check_late(&mut self, now: Instant) -> bool {
        let Some((index, sent, _)) = self.latest.take_if(|(_, _, late_at)| *late_at <= now) else {
            return false;
        };
        let upstreams = &self.inner.upstreams;
        upstreams.overdue(index, Asked::Question, sent.into_std());
        true
    }

    /// This upstream has said its word; whether another is to be asked at once.
    fn conclude(&mut self, done: UpstreamIndex) -> bool {
        self.queue.retain(|&(index, _)| index != done);
        self.awaited.retain(|&index| index != done);
        let was_latest = self
            .latest
            .take_if(|(index, _, _)| *index == done)
            .is_some();
        was_latest || self.awaited.is_empty()
    }

    /// A SERVFAIL may carry the reason (RFC 8914) and is no claim about us, as REFUSED would be.
    fn keep(&mut self, reply: Reply, rcode: u16) {
        const SERVFAIL: u16 = 2;
        if self.poor.as_ref().is_none_or(|&(_, kept)| kept != SERVFAIL) {
            self.poor = Some((reply, rcode));
        }
    }

    fn has_hope(&self) -> bool {
        let queued = self.queue.iter().map(|&(index, _)| index);
        queued
            .chain(self.awaited.iter().copied())
            .any(|index| self.inner.upstreams.is_up(index))
    }

    fn give_up(self, failure: Failure) -> Outcome {
        match self.poor {
            Some((reply, _)) => Outcome::Answered(reply),
            None => Outcome::Failed(failure),
        }
    }
}

impl Inner {
    /// Asks one upstream: over UDP, over TCP when cut short, without EDNS when it chokes on it.
    async fn attempt(&self, index: UpstreamIndex, key: &Key) -> (UpstreamIndex, Conclusion) {
        let _in_flight = self.upstreams.asking(index);
        let mut edns = Edns::With;
        loop {
            let arrival = match self.sockets.get(index.position()) {
                Some(sockets) => sockets.ask(key, edns).await,
                None => Arrival::Nothing,
            };
            match &arrival {
                Arrival::Complete(_, rcode) | Arrival::Headless(rcode)
                    if edns == Edns::With && dislikes_edns(*rcode) =>
                {
                    edns = Edns::Without;
                }
                _ => return (index, self.conclude(index, key, arrival).await),
            }
        }
    }

    async fn conclude(&self, index: UpstreamIndex, key: &Key, arrival: Arrival) -> Conclusion {
        match arrival {
            Arrival::Complete(message, rcode) => self.weigh(index, message, rcode),
            Arrival::Truncated => match self.ask_over_tcp(index, key).await {
                Some((message, rcode)) => self.weigh(index, message, rcode),
                None => {
                    self.upstreams.failed(index, FailureKind::Tcp);
                    Conclusion::Failed
                }
            },
            Arrival::Headless(_) => {
                self.upstreams.failed(index, FailureKind::Rcode);
                Conclusion::Failed
            }
            Arrival::Malformed => {
                self.upstreams.failed(index, FailureKind::Malformed);
                Conclusion::Failed
            }
            // Counted where the reason is known.
            Arrival::Nothing => Conclusion::Failed,
        }
    }

    async fn ask_over_tcp(&self, index: UpstreamIndex, key: &Key) -> Option<(Vec<u8>, u16)> {
        // No queue: another upstream is asked rather than waiting for a place.
        let _place = self.tcp.try_acquire().ok()?;
        match tcp::ask(self.upstreams.address(index), key).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                let upstream = self.upstreams.address(index);
                tracing::debug!(%upstream, %error, "no answer over tcp");
                None
            }
        }
    }

    fn weigh(&self, index: UpstreamIndex, message: Vec<u8>, rcode: u16) -> Conclusion {
        let reply = Reply { message };
        // NOERROR, NXDOMAIN, YXDOMAIN (RFC 6672 §2.2): about the name, and final.
        if matches!(rcode, 0 | 3 | 6) {
            Conclusion::Acceptable(reply)
        } else {
            self.upstreams.failed(index, FailureKind::Rcode);
            Conclusion::Poor(reply, rcode)
        }
    }
}

/// FORMERR, NOTIMP and BADVERS: what servers say that do not know EDNS, or not this much of it.
fn dislikes_edns(rcode: u16) -> bool {
    matches!(rcode, 1 | 4 | 16)
}

#[cfg(test)]
mod tests;
