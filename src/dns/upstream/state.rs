//! What is known of one upstream: alive or not, how fast, how often asked.
//!
//! Every worker and the upkeep thread write here, with atomics alone. An upstream is
//! - **suspected** while a question is late that was sent after its last answer: others are then
//!   asked first and upkeep probes it quickly;
//! - **down** after [`MISSES_TO_GO_DOWN`] pieces of transport evidence without an answer since the
//!   first of them: a probe unanswered, or an error that the network reported.
//!
//! Late client questions only raise suspicion, for they may ask for a name that is slow by itself;
//! the probe that follows asks for the zone's apex and decides. Any matching answer clears all.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::FailureKind;
use super::rtt::Rtt;

/// Pieces of evidence without an answer in between that take an upstream down.
pub const MISSES_TO_GO_DOWN: u32 = 3;

/// State of one upstream of one zone, on cache lines of its own. Times are µs since the start.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct State {
    pub(super) address: SocketAddr,
    /// Position of its zone in the table.
    pub(super) zone: usize,
    down: AtomicBool,
    suspected: AtomicBool,
    misses: AtomicU32,
    last_answer_us: AtomicU64,
    since_us: AtomicU64,
    /// Of client questions: includes the time that the upstream itself needs for a name.
    pub(super) question_rtt: Rtt,
    /// Of probes, which ask all upstreams of a zone the same: comparable.
    pub(super) probe_rtt: Rtt,
    pub(super) in_flight: AtomicU32,
    pub(super) queries: AtomicU64,
    pub(super) timeouts: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    /// Wakes the upkeep of this upstream.
    pub(super) wake: Notify,
}

/// Whether evidence changed a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Effect {
    Nothing,
    Suspected,
    WentDown,
    CameUp,
}

impl State {
    pub(super) fn new(address: SocketAddr, zone: usize) -> Self {
        Self {
            address,
            zone,
            down: AtomicBool::new(false),
            suspected: AtomicBool::new(false),
            misses: AtomicU32::new(0),
            last_answer_us: AtomicU64::new(0),
            since_us: AtomicU64::new(0),
            question_rtt: Rtt::default(),
            probe_rtt: Rtt::default(),
            in_flight: AtomicU32::new(0),
            queries: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            failures: std::array::from_fn(|_| AtomicU64::new(0)),
            wake: Notify::new(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        !self.down.load(Ordering::Acquire)
    }

    pub(super) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    pub(super) fn since_us(&self) -> u64 {
        self.since_us.load(Ordering::Relaxed)
    }

    /// A matching answer arrived.
    pub(super) fn answered(&self, now_us: u64) -> Effect {
        self.last_answer_us.fetch_max(now_us, Ordering::AcqRel);
        // Read before writing: in good times the line stays shared by the workers.
        if self.misses.load(Ordering::Relaxed) != 0 {
            self.misses.store(0, Ordering::Relaxed);
        }
        if self.is_suspected() {
            self.suspected.store(false, Ordering::Relaxed);
        }
        if self.is_up() || !self.down.swap(false, Ordering::AcqRel) {
            return Effect::Nothing;
        }
        self.since_us.store(now_us, Ordering::Relaxed);
        Effect::CameUp
    }

    /// A question sent at `sent_us` has waited for longer than answers usually take.
    pub(super) fn overdue(&self, sent_us: u64) -> Effect {
        if self.answered_since(sent_us) || self.suspected.swap(true, Ordering::Relaxed) {
            return Effect::Nothing;
        }
        Effect::Suspected
    }

    /// A probe sent at `sent_us` counts as unanswered, or the network refused something sent then.
    pub(super) fn missed(&self, sent_us: u64, now_us: u64) -> Effect {
        if self.answered_since(sent_us) {
            return Effect::Nothing;
        }
        let newly_suspected = !self.suspected.swap(true, Ordering::Relaxed);
        let misses = self.misses.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        if misses >= MISSES_TO_GO_DOWN && self.is_up() && !self.down.swap(true, Ordering::AcqRel) {
            self.since_us.store(now_us, Ordering::Relaxed);
            return Effect::WentDown;
        }
        if newly_suspected {
            Effect::Suspected
        } else {
            Effect::Nothing
        }
    }

    pub(super) fn count_failure(&self, kind: FailureKind) {
        if let Some(counter) = self.failures.get(kind.position()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn failures(&self, kind: FailureKind) -> u64 {
        self.failures
            .get(kind.position())
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// What is compared when upstreams are ranked.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.probe_rtt.smoothed()
    }

    pub(super) fn answered_since(&self, sent_us: u64) -> bool {
        self.last_answer_us.load(Ordering::Acquire) >= sent_us
    }
}
