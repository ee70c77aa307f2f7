//! What all workers of the query path share, and what becomes of the upstreams' outcomes.
//!
//! Source: RFC 2308, RFC 8767 §4, RFC 9520 §3.2 (what is kept), RFC 8914 §4.23 and §4.24 (reasons).

use std::time::Instant;

use super::access::AccessList;
use super::cache::Cache;
use super::cache::clean::{Cleaned, clean};
use super::client::PrefixLengths;
use super::code::ExtendedError;
use super::counters::WorkerCounters;
use super::forward::{Failure, Outcome};
use super::identity::{Identity, ProbeName};
use super::key::Key;
use super::local::LocalRecords;
use super::{CacheSettings, Settings, StaleSettings};

/// The parts of the query path that are the same for every worker.
#[derive(Debug)]
pub struct Shared {
    cache: Cache,
    access: AccessList,
    identity: Identity,
    local: LocalRecords,
    stale: StaleSettings,
    prefix_lengths: PrefixLengths,
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
            upstreams_asked: true,
        }) => shared.cache.note_failure(key, *reason, now),
        // Nobody was asked: there is nothing that remembering it would spare.
        Err(Failed {
            upstreams_asked: false,
            ..
        }) => {}
    }
}

/// An outcome that is no answer for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Told to the client.
    pub reason: ExtendedError,
    upstreams_asked: bool,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let (reason, upstreams_asked) = match failure {
            Failure::TimedOut | Failure::Unanswered => {
                (ExtendedError::NO_REACHABLE_AUTHORITY, true)
            }
            Failure::NoneUsable => (ExtendedError::NO_REACHABLE_AUTHORITY, false),
            Failure::Saturated => (ExtendedError::NETWORK_ERROR, false),
        };
        Self {
            reason,
            upstreams_asked,
        }
    }
}

/// Whether an outcome answers `key`; the TTLs of its records are moved into their limits.
///
/// # Errors
/// [`Failed`] with the reason for the client; an upstream's own reason for an error is passed on.
pub fn judge<'a>(
    key: &Key,
    outcome: Outcome<'a>,
    limits: &CacheSettings,
) -> Result<Cleaned<'a>, Failed> {
    let asked = |reason| Failed {
        reason,
        upstreams_asked: true,
    };
    let message = match outcome {
        Outcome::Answered(message) => message,
        Outcome::Failed(failure) => return Err(failure.into()),
        Outcome::NotYet => {
            return Err(Failed {
                reason: ExtendedError::NO_REACHABLE_AUTHORITY,
                upstreams_asked: false,
            });
        }
    };
    match clean(key, message, limits) {
        Ok(cleaned) if cleaned.rcode.is_conclusive() => Ok(cleaned),
        Ok(cleaned) => {
            let reason = cleaned.extended_error;
            Err(asked(
                reason.unwrap_or(ExtendedError::NO_REACHABLE_AUTHORITY),
            ))
        }
        Err(_) => Err(asked(ExtendedError::NETWORK_ERROR)),
    }
}

#[cfg(test)]
pub(super) mod tests;
