//! What a worker leaves behind for health and metrics: plain counts in its own cache lines.
//!
//! Each worker is the only writer of its counters, so that a count is a load and a store without a
//! locked instruction. Readers see values of slightly different moments, never torn ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::code::Rcode;
use super::inflight::counters::FlightCounters;
use super::limit::Reason;
use super::request::Transport;

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The present value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one; for the worker that owns this counter.
    pub(super) fn bump(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: u64) {
        self.set(self.value().wrapping_add(more));
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The result codes that are counted apart; everything else is `other`.
pub const RCODES: [(&str, Option<Rcode>); 8] = [
    ("noerror", Some(Rcode::NOERROR)),
    ("formerr", Some(Rcode::FORMERR)),
    ("servfail", Some(Rcode::SERVFAIL)),
    ("nxdomain", Some(Rcode::NXDOMAIN)),
    ("notimp", Some(Rcode::NOTIMP)),
    ("refused", Some(Rcode::REFUSED)),
    ("badvers", Some(Rcode::BADVERS)),
    ("other", None),
];

/// Upper bounds of the latency buckets, in microseconds; a last one has no bound.
pub const LATENCY_BOUNDS_US: [u64; 15] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000,
    1_000_000, 2_000_000,
];

/// How long answers took.
#[derive(Debug, Default)]
pub struct Latency {
    /// One more than there are bounds.
    pub(super) buckets: [Count; LATENCY_BOUNDS_US.len() + 1],
    pub(super) sum_us: Count,
}

impl Latency {
    /// Counts `times` answers that took `elapsed` each.
    pub(super) fn record(&self, elapsed: Duration, times: u64) {
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|&bound| bound < elapsed_us);
        if let Some(count) = self.buckets.get(bucket) {
            count.add(times);
        }
        self.sum_us.add(elapsed_us.saturating_mul(times));
    }
}

/// Counts by the limit that was hit.
#[derive(Debug, Default)]
pub struct ByReason([Count; Reason::ALL.len()]);

impl ByReason {
    /// How often it was `reason`.
    #[must_use]
    pub fn value(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).map_or(0, Count::value)
    }

    pub(super) fn bump(&self, reason: Reason) {
        if let Some(count) = self.0.get(reason as usize) {
            count.bump();
        }
    }
}

/// Counts by the socket of a service, in cache lines of their own: they are written for each batch.
#[derive(Debug, Default)]
pub struct BySocket(Box<[Line]>);

/// How many counts a [`Line`] has.
const LINE: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([Count; LINE]);

impl BySocket {
    /// For so many sockets at least.
    pub(super) fn new(sockets: usize) -> Self {
        let lines = sockets.div_ceil(LINE);
        Self((0..lines).map(|_| Line::default()).collect())
    }

    /// What was counted at the socket with this number.
    #[must_use]
    pub fn value(&self, socket: usize) -> u64 {
        self.count(socket).map_or(0, Count::value)
    }

    /// Other sockets than those of services have no count.
    pub(super) fn add(&self, socket: usize, more: u64) {
        if let Some(count) = self.count(socket) {
            count.add(more);
        }
    }

    fn count(&self, socket: usize) -> Option<&Count> {
        self.0.get(socket / LINE)?.0.get(socket % LINE)
    }
}

/// All counters of one worker; two of them never share a pair of cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounters {
    /// Rises every [`super::listener::HEARTBEAT`] while the worker's loop runs.
    pub heartbeat: Count,
    /// Readable questions that came by UDP.
    pub udp_queries: Count,
    /// Datagrams that were read, whatever became of them.
    pub datagrams: Count,
    /// Readable questions that came by TCP.
    pub tcp_queries: Count,
    /// Answers by result code, in the order of [`RCODES`].
    pub responses: [Count; RCODES.len()],
    /// Answers that nobody was asked for; for UDP, up to the end of their batch.
    pub hit_latency: Latency,
    /// Answers that waited for an upstream.
    pub miss_latency: Latency,
    /// Questions that the cache answered.
    pub cache_hits: Count,
    /// Questions that the cache could not answer, or only with an expired answer.
    pub cache_misses: Count,
    /// Expired answers that were sent. RFC 8767.
    pub stale_answers: Count,
    /// Popular answers that were fetched again before they expired.
    pub prefetches: Count,
    /// Expired answers that were fetched again, after that had failed, with nobody waiting.
    pub rechecks: Count,
    /// Answers that were truncated.
    pub truncated: Count,
    /// Questions of clients that are not allowed to ask.
    pub refused_clients: Count,
    /// Questions and answers that were dropped because a client prefix was over a limit.
    pub limit_drops: ByReason,
    /// The same that became a truncated answer without records.
    pub limit_truncated: ByReason,
    /// How often a TCP connection was not read for a moment because its prefix was over the limit.
    pub limit_tcp_pauses: Count,
    /// Prefixes and answers that limits forgot within a second, for want of room.
    pub limit_evictions: Count,
    /// Messages that are no readable question: dropped, or answered with a header.
    pub malformed: Count,
    /// Questions that were not passed on because too many were under way.
    pub shed: Count,
    /// Questions under way now.
    pub in_flight: Count,
    /// Answers that the UDP socket did not take.
    pub send_errors: Count,
    /// Errors that the UDP socket reported instead of a message.
    pub receive_errors: Count,
    /// TCP connections that were accepted.
    pub tcp_accepted: Count,
    /// TCP connections that were closed at once or not accepted, because there were too many.
    pub tcp_rejected: Count,
    /// TCP connections that are open now.
    pub tcp_open: Count,
    /// What its forwarding counts.
    pub flights: Arc<FlightCounters>,
    /// How long a TCP connection may be silent now, in milliseconds; 0 means that none may be kept.
    pub tcp_idle_ms: Count,
    /// Good server cookies.
    pub cookies_good: Count,
    /// Server cookies that were not: forged, too old, of other secrets.
    pub cookies_bad: Count,
    /// Cookies of clients that had none of ours yet.
    pub cookies_new: Count,
    /// Questions of siblings.
    pub sibling_queries: Count,
    /// Self-probes that were answered; in no other counter.
    pub probes: Count,
    /// Questions of clients that are or will be answered, by the number of the service's socket in
    /// [`super::Settings::service_sockets`].
    pub asked_at: BySocket,
    /// Questions of siblings about this node that were answered; in no other counter.
    pub peer_questions: Count,
}

impl WorkerCounters {
    /// Those of a worker that listens for so many services.
    pub(super) fn new(service_sockets: usize) -> Self {
        Self {
            asked_at: BySocket::new(service_sockets),
            ..Self::default()
        }
    }

    /// Counts a readable question.
    pub(super) fn count_query(&self, transport: Transport) {
        match transport {
            Transport::Udp => self.udp_queries.bump(),
            Transport::Tcp => self.tcp_queries.bump(),
        }
    }

    /// Counts an answer.
    pub(super) fn count_response(&self, rcode: Rcode) {
        let of_code = |&(_, code): &(_, Option<Rcode>)| code.is_none_or(|code| code == rcode);
        let index = RCODES.iter().position(of_code);
        if let Some(count) = index.and_then(|index| self.responses.get(index)) {
            count.bump();
        }
    }

    /// Readable questions of clients by either transport.
    #[must_use]
    pub fn queries_value(&self) -> u64 {
        self.udp_queries.value() + self.tcp_queries.value()
    }

    /// Answers to clients with any result code.
    #[must_use]
    pub fn responses_value(&self) -> u64 {
        self.responses.iter().map(Count::value).sum()
    }

    /// Answers to clients with the result code SERVFAIL.
    #[must_use]
    pub fn servfail_value(&self) -> u64 {
        let [_, _, servfail, ..] = &self.responses;
        servfail.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_have_their_counter_and_the_rest_share_one() {
        let counters = WorkerCounters::default();
        for rcode in [Rcode::SERVFAIL, Rcode::BADVERS, Rcode::YXDOMAIN] {
            counters.count_response(rcode);
        }
        let counted: Vec<_> = counters.responses.iter().map(Count::value).collect();
        assert_eq!(counted, [0, 0, 1, 0, 0, 0, 1, 1]);
        assert_eq!(counters.servfail_value(), 1);
        assert_eq!(counters.responses_value(), 3);
    }

    #[test]
    fn each_limit_has_its_own_counter() {
        let counts = ByReason::default();
        for (times, (_, reason)) in Reason::ALL.into_iter().enumerate() {
            for _ in 0..times {
                counts.bump(reason);
            }
        }
        let values = Reason::ALL.map(|(_, reason)| counts.value(reason));
        assert_eq!(values, [0, 1, 2, 3]);
    }

    #[test]
    fn an_answer_at_a_bound_belongs_to_its_bucket() {
        let latency = Latency::default();
        for (elapsed_us, bucket) in [(25, 0), (26, 1), (2_000_000, 14), (2_000_001, 15)] {
            let before = latency.buckets[bucket].value();
            latency.record(Duration::from_micros(elapsed_us), 2);
            assert_eq!(latency.buckets[bucket].value(), before + 2, "{elapsed_us}");
        }
        assert_eq!(latency.sum_us.value(), 2 * 4_000_052);
    }

    #[test]
    fn each_socket_of_a_service_has_its_count_and_others_have_none() {
        assert_eq!(BySocket::new(0).value(0), 0);
        for sockets in [1, LINE, LINE + 1] {
            let counts = BySocket::new(sockets);
            for socket in 0..sockets {
                counts.add(socket, 1 + socket as u64);
            }
            counts.add(usize::MAX, 7);
            for socket in 0..sockets {
                assert_eq!(counts.value(socket), 1 + socket as u64);
            }
            assert_eq!(counts.value(usize::MAX), 0);
        }
        assert_eq!(size_of::<Line>(), align_of::<Line>());
    }

    #[test]
    fn workers_do_not_share_cache_lines() {
        assert_eq!(align_of::<WorkerCounters>(), 128);
        assert_eq!(size_of::<WorkerCounters>() % 128, 0);
    }
}
