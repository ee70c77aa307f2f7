//! What all workers of the query path share, and what becomes of the upstreams' outcomes.
//!
//! Source: RFC 2308, RFC 8767 §4, RFC 9520 §3.2 (what is kept), RFC 8914 §4.23 to §4.25 (reasons).

use std::sync::atomic::{AtomicU64, Ordering};
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
use super::local::LocalRecords;
use super::rebinding::Rebinding;
use super::{Settings, StaleSettings};

/// The parts of the query path that are the same for every worker.
#[derive(Debug)]
pub struct Shared {
    cache: Cache,
    access: AccessList,
    identity: Identity,
    local: LocalRecords,
    stale: StaleSettings,
    prefix_lengths: PrefixLengths,
    prefetch: bool,
    rebinding: Option<Rebinding>,
    unusable_answers: AtomicU64,
    workers: Box<[WorkerCounters]>,
}

impl Shared {
    /// Builds everything for `settings.workers` workers; `started` is the time now.
    #[must_use]
    pub fn new(settings: &Settings, probe: ProbeName, started: Instant) -> Self {
        let workers = settings.workers.get();
        Self {
            cache: Cache::new(&settings.cache, &settings.stale, started),
            access: AccessList::new(&settings.access.allow),
            identity: Identity::new(&settings.node_name, probe, workers),
            local: LocalRecords::new(&settings.local),
            stale: settings.stale.clone(),
            prefix_lengths: settings.limits.prefix,
            prefetch: settings.prefetch,
            rebinding: Rebinding::new(&settings.rebinding, &settings.zones),
            unusable_answers: AtomicU64::new(0),
            workers: (0..workers).map(|_| WorkerCounters::default()).collect(),
        }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Who may ask.
    #[must_use]
    pub fn access(&self) -> &AccessList {
        &self.access
    }

    /// What the server says about itself.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The records of the configuration.
    #[must_use]
    pub fn local(&self) -> &LocalRecords {
        &self.local
    }

    /// How expired answers are used.
    #[must_use]
    pub fn stale(&self) -> &StaleSettings {
        &self.stale
    }

    /// Which clients count as one.
    #[must_use]
    pub fn prefix_lengths(&self) -> PrefixLengths {
        self.prefix_lengths
    }

    /// Whether popular answers are fetched again before they expire.
    #[must_use]
    pub fn prefetch(&self) -> bool {
        self.prefetch
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
    /// `None`: nobody was asked, and remembering it would spare nobody anything.
    remembered: Option<Backoff>,
}

impl Failed {
    /// What an upstream said about the name.
    fn of_name(reason: ExtendedError) -> Self {
        // What the upstream lacks is somebody to ask, as we may ourselves.
        let is_for_want = [
            ExtendedError::NO_REACHABLE_AUTHORITY,
            ExtendedError::NETWORK_ERROR,
        ]
        .contains(&reason);
        Self {
            reason,
            remembered: Some(if is_for_want {
                Backoff::Constant
            } else {
                Backoff::Doubling
            }),
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
        Self { reason, remembered }
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
                remembered: Some(Backoff::Doubling),
            })
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
