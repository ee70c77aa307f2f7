//! What all workers of the query path share, and what becomes of the upstreams' outcomes.
//!
//! Source: RFC 2308, RFC 8767 §4, RFC 9520 §3.2 (what is kept), RFC 8914 §4.23 to §4.25 (reasons),
//! RFC 8482 §4.2 (the answer to ANY).

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::access::AccessList;
use super::cache::clean::{Cleaned, Unusable, clean};
use super::cache::{Backoff, Cache};
use super::client::PrefixLengths;
use super::code::ExtendedError;
use super::counters::WorkerCounters;
use super::forward::{Failure, Outcome};
use super::identity::{Identity, ProbeName};
use super::key::Key;
use super::local::LocalTree;
use super::loops::LoopWatch;
use super::peers::Board;
use super::rebinding::Rebinding;
use super::sections::{BuiltSections, Sections};
use super::walk::{class, rtype};
use super::warm::WarmQueue;
use super::{CookieSecrets, LimitSettings, Settings, StaleSettings};

/// Type, class, TTL in seconds, RDATA: a HINFO of `"RFC8482" ""`. RFC 8482 §4.2.
const ANY_ANSWER: (u16, u16, u32, &[u8]) = (rtype::HINFO, class::IN, 3600, b"\x07RFC8482\x00");

/// The parts of the query path that are the same for every worker.
#[derive(Debug)]
pub struct Shared {
    cache: Cache,
    access: AccessList,
    identity: Identity,
    local: LocalTree,
    loops: LoopWatch,
    stale: StaleSettings,
    limits: LimitSettings,
    cookie_secrets: Option<CookieSecrets>,
    /// Sorted.
    siblings: Box<[IpAddr]>,
    peers: Board,
    any_answer: BuiltSections,
    unix_time_s: AtomicU32,
    is_draining: AtomicBool,
    /// The same for each socket of a service.
    draining: Box<[AtomicBool]>,
    prefetch: bool,
    rebinding: Option<Rebinding>,
    warm_queue: WarmQueue,
    unusable_answers: AtomicU64,
    workers: Box<[WorkerCounters]>,
}

impl Shared {
    /// Builds everything for `settings.workers` workers; `started` is the time now.
    #[must_use]
    pub fn new(settings: &Settings, probe: ProbeName, started: Instant) -> Self {
        let workers = settings.workers.get();
        let sockets = settings.service_sockets.len();
        Self {
            cache: Cache::new(&settings.cache, &settings.stale, started),
            access: AccessList::new(&settings.access, &settings.limits.exempt),
            identity: Identity::new(&settings.node_name, settings.show_version, probe, workers),
            local: LocalTree::new(&settings.local, &settings.zones, &settings.special_names),
            loops: LoopWatch::default(),
            stale: settings.stale.clone(),
            limits: settings.limits.clone(),
            cookie_secrets: settings.cookie_secrets.clone(),
            siblings: Box::default(),
            peers: Board::new(&[], 0),
            any_answer: BuiltSections::answers([ANY_ANSWER]),
            unix_time_s: AtomicU32::new(0),
            is_draining: AtomicBool::new(false),
            draining: (0..sockets).map(|_| AtomicBool::default()).collect(),
            prefetch: settings.prefetch,
            rebinding: Rebinding::new(&settings.rebinding, &settings.zones),
            warm_queue: WarmQueue::default(),
            unusable_answers: AtomicU64::new(0),
            workers: (0..workers).map(|_| WorkerCounters::new(sockets)).collect(),
        }
    }

    /// The same with the addresses that other nodes of the service ask from.
    #[must_use]
    pub fn with_siblings(self, siblings: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut siblings: Vec<_> = siblings.into_iter().map(|s| s.to_canonical()).collect();
        siblings.sort_unstable();
        siblings.dedup();
        Self {
            peers: Board::new(&siblings, 0),
            siblings: siblings.into(),
            ..self
        }
    }

    /// The same with the number that siblings know this node by; after [`Shared::with_siblings`].
    #[must_use]
    pub fn with_node(self, node: u32) -> Self {
        Self {
            peers: self.peers.named(node),
            ..self
        }
    }

    /// What siblings are told that ask how this node is.
    #[must_use]
    pub fn peers(&self) -> &Board {
        &self.peers
    }

    /// Whether `client` is on the list of siblings.
    #[must_use]
    pub fn is_sibling(&self, client: IpAddr) -> bool {
        self.siblings.binary_search(&client.to_canonical()).is_ok()
    }

    /// What server cookies are made with; `None`: there are none.
    #[must_use]
    pub fn cookie_secrets(&self) -> Option<&CookieSecrets> {
        self.cookie_secrets.as_ref()
    }

    /// What is said to questions for any type, without looking.
    #[must_use]
    pub fn any_answer(&self) -> Sections<'_> {
        self.any_answer.lend()
    }

    /// Seconds since 1970, modulo 2³², as last told.
    #[must_use]
    pub fn unix_time_s(&self) -> u32 {
        self.unix_time_s.load(Ordering::Relaxed)
    }

    /// Tells the time: seconds since 1970. Cookies are made by the clock that all nodes share, which
    /// may be put right while the node runs.
    pub fn tell_unix_time(&self, seconds: u64) {
        let seconds = (seconds & u64::from(u32::MAX)) as u32;
        // The line is written to once a second, and read by all the rest of the time.
        if self.unix_time_s() != seconds {
            self.unix_time_s.store(seconds, Ordering::Relaxed);
        }
    }

    /// Whether the clients of a socket are being moved to other nodes. `socket` is its number in
    /// [`Settings::service_sockets`]; other sockets have other numbers.
    #[must_use]
    pub fn is_draining(&self, socket: usize) -> bool {
        let of_socket = self.draining.get(socket);
        self.is_draining.load(Ordering::Relaxed)
            || of_socket.is_some_and(|of_socket| of_socket.load(Ordering::Relaxed))
    }

    /// Says that all clients are, or are no longer, being moved to other nodes.
    pub fn tell_draining(&self, is_draining: bool) {
        self.is_draining.store(is_draining, Ordering::Relaxed);
    }

    /// The same for the clients of one socket of a service.
    pub fn tell_socket_draining(&self, socket: usize, is_draining: bool) {
        if let Some(of_socket) = self.draining.get(socket) {
            of_socket.store(is_draining, Ordering::Relaxed);
        }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Who may have what.
    #[must_use]
    pub fn access(&self) -> &AccessList {
        &self.access
    }

    /// What the server says about itself.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What is answered here.
    #[must_use]
    pub fn local(&self) -> &LocalTree {
        &self.local
    }

    /// What has been found out about forwarding loops.
    #[must_use]
    pub fn loops(&self) -> &LoopWatch {
        &self.loops
    }

    /// How expired answers are used.
    #[must_use]
    pub fn stale(&self) -> &StaleSettings {
        &self.stale
    }

    /// Which clients count as one.
    #[must_use]
    pub fn prefix_lengths(&self) -> PrefixLengths {
        self.limits.prefix
    }

    /// What the clients of one prefix may have.
    #[must_use]
    pub fn limits(&self) -> &LimitSettings {
        &self.limits
    }

    /// Whether popular answers are fetched again before they expire.
    #[must_use]
    pub fn prefetch(&self) -> bool {
        self.prefetch
    }

    /// Names that were hot before a restart and are not in the cache yet.
    #[must_use]
    pub fn warm_queue(&self) -> &WarmQueue {
        &self.warm_queue
    }

    /// Answers whose private addresses were withheld.
    #[must_use]
    pub fn blocked_answers(&self) -> u64 {
        self.rebinding.as_ref().map_or(0, Rebinding::blocked)
    }

    /// Answers of upstreams that no client may see.
    #[must_use]
    pub fn unusable_answers(&self) -> u64 {
        self.unusable_answers.load(Ordering::Relaxed)
    }

    /// The counters of every worker, by index.
    #[must_use]
    pub fn workers(&self) -> &[WorkerCounters] {
        &self.workers
    }
}

/// Keeps what a question to the upstreams has brought.
///
/// To be called exactly once for each question that has ended, whether or not a client still waits
/// for it; serving a query only reads the cache.
pub fn store(shared: &Shared, key: &Key, judged: &Result<Cleaned<'_>, Failed>, now: Instant) {
    match judged {
        Ok(cleaned) => shared.cache.insert(key, cleaned, now),
        Err(Failed {
            reason,
            remembered: Some(backoff),
            ..
        }) => shared.cache.note_failure(key, *reason, *backoff, now),
        Err(Failed {
            remembered: None, ..
        }) => {}
    }
}

/// An outcome that is no answer for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Told to the client.
    pub reason: ExtendedError,
    /// What has failed without anybody having been asked: it is about this node, not the name.
    pub is_of_node: bool,
    /// `None`: nobody was asked, and remembering it would spare nobody anything.
    remembered: Option<Backoff>,
}

impl Failed {
    /// What an upstream said about the name.
    fn of_name(reason: ExtendedError) -> Self {
        Self {
            reason,
            is_of_node: false,
            // What the upstream lacks is somebody to ask, as we may ourselves; and a sibling says no more
            // than that something is wrong, see `of_name_to_sibling`.
            remembered: Some(if reason.is_for_want() || reason == ExtendedError::OTHER {
                Backoff::Constant
            } else {
                Backoff::Doubling
            }),
        }
    }

    /// The reason for one that has marked its question, if `is_marked`: see
    /// [`ExtendedError::of_name_to_sibling`].
    #[must_use]
    pub fn reason_for(self, is_marked: bool) -> ExtendedError {
        if is_marked && !self.is_of_node {
            self.reason.of_name_to_sibling()
        } else {
            self.reason
        }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let (reason, remembered) = match failure {
            Failure::TimedOut | Failure::Unanswered => (
                ExtendedError::NO_REACHABLE_AUTHORITY,
                Some(Backoff::Constant),
            ),
            Failure::NoneUsable => (ExtendedError::NO_REACHABLE_AUTHORITY, None),
            Failure::Saturated => (ExtendedError::NETWORK_ERROR, None),
        };
        Self {
            reason,
            is_of_node: matches!(failure, Failure::NoneUsable | Failure::Saturated),
            remembered,
        }
    }
}

/// Whether an outcome answers `key`; what does not belong to the answer is taken out of it.
///
/// # Errors
/// [`Failed`] with the reason for the client; an upstream's own reason for an error is passed on.
pub fn judge<'a>(shared: &Shared, key: &Key, outcome: Outcome<'a>) -> Result<Cleaned<'a>, Failed> {
    let message = match outcome {
        Outcome::Answered(message) => message,
        Outcome::Failed(failure) => return Err(failure.into()),
        Outcome::NotYet => {
            return Err(Failed {
                reason: ExtendedError::NO_REACHABLE_AUTHORITY,
                is_of_node: false,
                remembered: None,
            });
        }
    };
    let limits = shared.cache.limits();
    match clean(key, message, limits) {
        Ok(cleaned) if cleaned.rcode.is_conclusive() => {
            Ok(shared.rebinding.as_ref().map_or(cleaned, |rebinding| {
                rebinding.pass(key, cleaned, limits.max_negative_ttl)
            }))
        }
        Ok(cleaned) => Err(match cleaned.extended_error {
            Some(reason) => Failed::of_name(reason),
            None => Failed {
                reason: ExtendedError::NO_REACHABLE_AUTHORITY,
                is_of_node: false,
                remembered: Some(Backoff::Doubling),
            },
        }),
        Err(unusable) => {
            shared.unusable_answers.fetch_add(1, Ordering::Relaxed);
            Err(Failed {
                reason: match unusable {
                    Unusable::Malformed | Unusable::Question | Unusable::Truncated => {
                        ExtendedError::NETWORK_ERROR
                    }
                    Unusable::Aliases | Unusable::Unrelated => ExtendedError::INVALID_DATA,
                    Unusable::Referral => ExtendedError::NO_REACHABLE_AUTHORITY,
                },
                is_of_node: false,
                remembered: Some(Backoff::Doubling),
            })
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
