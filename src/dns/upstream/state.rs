//! What is known of one upstream: alive or not, how fast, how often asked.
//!
//! Every worker and the upkeep thread write here, with atomics alone. An upstream is
//! - **suspected** while a question is late that was sent after its last answer: others are then
//!   asked first and upkeep probes it quickly;
//! - **down**, that is, its breaker is open, after [`MISSES_TO_GO_DOWN`] pieces of transport evidence
//!   without an answer since the first of them (a probe unanswered, or an error that the network
//!   reported), or by [`super::evidence`].
//!
//! Late client questions only raise suspicion, for they may ask for a name that is slow by itself;
//! the probe that follows asks for the zone's apex and decides. Any matching answer clears all, but
//! what was opened by RCODEs.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::hash_key::HashKey;
use super::breaker::{Breaker, SharedBreaker, Sign};
use super::evidence::{Evidence, Verdict, Window};
use super::last_resort::Ration;
use super::loss::Loss;
use super::percentile::AnswerTimes;
use super::rtt::Rtt;
use super::speed::Speed;
use super::tcp::TcpBreaker;
use super::{FailureKind, PATIENCE_MAX, PATIENCE_MIN};

/// Pieces of evidence without an answer in between that take an upstream down.
pub const MISSES_TO_GO_DOWN: u32 = 3;

/// An upstream that others contradict stays ill at least this long, for an apex that it has at hand
/// says little about all else. Short enough that it is in use again within 5 s of its recovery.
const ILL_TIME_US: u64 = 3_000_000;

/// State of one upstream of one zone, on cache lines of its own. Times are µs since the start.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct State {
    pub(super) address: SocketAddr,
    /// Position of its zone in the table.
    pub(super) zone: usize,
    breaker: SharedBreaker,
    suspected: AtomicBool,
    misses: AtomicU32,
    last_answer_us: AtomicU64,
    since_us: AtomicU64,
    /// Since when others answer better; 0: they do not.
    ill_since_us: AtomicU64,
    /// The last probe that was answered was answered with an error.
    probe_declined: AtomicBool,
    /// Its errors have had a probe brought forward.
    under_review: AtomicBool,
    /// Of client questions: includes the time that the upstream itself needs for a name.
    pub(super) question_rtt: Rtt,
    pub(super) answer_times: AnswerTimes,
    /// Of probes: for how long to wait for them.
    pub(super) probe_rtt: Rtt,
    /// Of probes, which ask all upstreams of a zone the same: comparable.
    pub(super) speed: Speed,
    pub(super) loss: Loss,
    pub(super) tcp: TcpBreaker,
    /// Of a sibling: what it is asked while its upstreams are dead too.
    pub(super) ration: Ration,
    /// `None` for a sibling, whose errors say at once what is wrong.
    window: Option<Box<Window>>,
    pub(super) in_flight: AtomicU32,
    pub(super) queries: AtomicU64,
    pub(super) timeouts: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    openings: [AtomicU64; 2],
    jitter: HashKey,
    /// Wakes the upkeep of this upstream.
    pub(super) wake: Notify,
}

/// Whether evidence changed a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Effect {
    Nothing,
    Suspected,
    /// A probe has to show whether its errors are its own fault, or when a sibling can help again.
    Questionable,
    WentDown,
    CameUp,
}

impl State {
    pub(super) fn new(address: SocketAddr, zone: usize, is_sibling: bool, key: HashKey) -> Self {
        Self {
            address,
            zone,
            breaker: SharedBreaker::default(),
            suspected: AtomicBool::new(false),
            misses: AtomicU32::new(0),
            last_answer_us: AtomicU64::new(0),
            since_us: AtomicU64::new(0),
            ill_since_us: AtomicU64::new(0),
            probe_declined: AtomicBool::new(false),
            under_review: AtomicBool::new(false),
            question_rtt: Rtt::default(),
            answer_times: AnswerTimes::default(),
            probe_rtt: Rtt::default(),
            speed: Speed::default(),
            loss: Loss::default(),
            tcp: TcpBreaker::default(),
            ration: Ration::default(),
            window: (!is_sibling).then(|| Box::new(Window::new(key))),
            in_flight: AtomicU32::new(0),
            queries: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            failures: std::array::from_fn(|_| AtomicU64::new(0)),
            openings: std::array::from_fn(|_| AtomicU64::new(0)),
            jitter: key,
            wake: Notify::new(),
        }
    }

    pub(super) fn is_sibling(&self) -> bool {
        self.window.is_none()
    }

    pub(super) fn breaker(&self) -> Breaker {
        self.breaker.state()
    }

    pub(super) fn is_up(&self) -> bool {
        self.breaker() == Breaker::Closed
    }

    pub(super) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    pub(super) fn is_ill(&self) -> bool {
        self.ill_since_us.load(Ordering::Relaxed) != 0
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
        self.clear_suspicion();
        self.take(Sign::Reply, now_us)
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
        if misses >= MISSES_TO_GO_DOWN && self.take(Sign::Dead, now_us) == Effect::WentDown {
            return Effect::WentDown;
        }
        if newly_suspected {
            Effect::Suspected
        } else {
            Effect::Nothing
        }
    }

    /// An acceptable answer to a client's question.
    pub(super) fn good_answer(&self, now_us: u64) {
        if let Some(window) = &self.window {
            window.good(now_us);
        }
    }

    /// Any other answer to one. `has_others`: whether another upstream of the zone is up.
    pub(super) fn poor_answer(&self, evidence: &Evidence, has_others: bool, now_us: u64) -> Effect {
        let verdict = match &self.window {
            Some(window) => window.poor(evidence, now_us),
            None => Verdict::Nothing,
        };
        match verdict {
            Verdict::Nothing => Effect::Nothing,
            Verdict::Contradicted if has_others => self.take(Sign::Poor, now_us),
            Verdict::Contradicted | Verdict::Ill => {
                // Not moved on: it has to end by itself, whatever clients ask for.
                if !self.is_ill() {
                    self.ill_since_us.store(now_us, Ordering::Relaxed);
                }
                Effect::Nothing
            }
            Verdict::Poor if self.probe_declined.load(Ordering::Relaxed) => {
                self.take(Sign::Poor, now_us)
            }
            Verdict::Questionable if self.probe_declined.load(Ordering::Relaxed) => Effect::Nothing,
            Verdict::Poor | Verdict::Questionable => {
                if self.under_review.swap(true, Ordering::Relaxed) {
                    Effect::Nothing
                } else {
                    Effect::Questionable
                }
            }
        }
    }

    /// A sibling says that it cannot help with a name that it has not at hand.
    pub(super) fn declined(&self) -> Effect {
        if self.ration.begin() {
            Effect::Questionable
        } else {
            Effect::Nothing
        }
    }

    /// An error as the answer to a probe. Where most answers are errors already, no further one has
    /// to be waited for.
    pub(super) fn declined_probe(&self, now_us: u64) -> Effect {
        self.probe_declined.store(true, Ordering::Relaxed);
        self.under_review.store(false, Ordering::Relaxed);
        match &self.window {
            Some(window) if window.is_poor(now_us) => self.take(Sign::Poor, now_us),
            _ => Effect::Nothing,
        }
    }

    /// An acceptable answer to a probe.
    pub(super) fn recovered(&self, now_us: u64) -> Effect {
        self.probe_declined.store(false, Ordering::Relaxed);
        self.under_review.store(false, Ordering::Relaxed);
        self.ration.end();
        let ill_since_us = self.ill_since_us.load(Ordering::Relaxed);
        if ill_since_us != 0 && now_us.saturating_sub(ill_since_us) >= ILL_TIME_US {
            self.forget_errors();
        }
        self.take(Sign::Good, now_us)
    }

    /// What was held against it is too old to count.
    pub(super) fn expire(&self, now_us: u64) -> Effect {
        self.misses.store(0, Ordering::Relaxed);
        self.clear_suspicion();
        self.ration.end();
        let effect = self.take(Sign::Good, now_us);
        self.loss.forget();
        effect
    }

    fn take(&self, sign: Sign, now_us: u64) -> Effect {
        let Some(breaker) = self.breaker.take(sign) else {
            return Effect::Nothing;
        };
        self.since_us.store(now_us, Ordering::Relaxed);
        let [by_transport, by_rcode] = &self.openings;
        let openings = match breaker {
            Breaker::Closed => {
                self.loss.begin_trial();
                return Effect::CameUp;
            }
            Breaker::OpenByTransport => by_transport,
            Breaker::OpenByRcode => by_rcode,
        };
        openings.fetch_add(1, Ordering::Relaxed);
        // Once closed it is judged by what it answers then.
        self.forget_errors();
        Effect::WentDown
    }

    fn forget_errors(&self) {
        self.ill_since_us.store(0, Ordering::Relaxed);
        if let Some(window) = &self.window {
            window.forget();
        }
    }

    fn clear_suspicion(&self) {
        if self.is_suspected() {
            self.suspected.store(false, Ordering::Relaxed);
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

    /// How often the breaker was opened by transport, and by RCODEs.
    pub(super) fn openings(&self) -> [u64; 2] {
        self.openings
            .each_ref()
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    /// After which time a question is late, as far as its average tells.
    pub(super) fn usual_time(&self) -> Duration {
        let time = self.question_rtt.patience();
        time.map_or(PATIENCE_MAX, |time| time.clamp(PATIENCE_MIN, PATIENCE_MAX))
    }

    /// What is compared when upstreams are ranked.
    pub(super) fn median(&self) -> Option<Duration> {
        self.speed.median()
    }

    /// Whether others are to be asked first, even though it answers.
    pub(super) fn is_second_choice(&self) -> bool {
        self.loss.is_doubted() || self.is_ill()
    }

    pub(super) fn answered_since(&self, sent_us: u64) -> bool {
        self.last_answer_us.load(Ordering::Acquire) >= sent_us
    }

    /// A number of chance for this moment.
    pub(super) fn jitter(&self, now_us: u64) -> u8 {
        let [.., low] = self.jitter.hash_one((self.address, now_us)).to_be_bytes();
        low
    }
}
