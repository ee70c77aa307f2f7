//! What all workers of the query path share, and what becomes of the upstreams' outcomes.
//!
//! Source: RFC 2308, RFC 8767 §4, RFC 9520 §3.2 (what is kept), RFC 8914 §4.23 and §4.24 (reasons).

use std::time::Instant;

use super::access::AccessList;
use super::cache::Cache;
use super::cache::clean::{Cleaned, clean};
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
    workers: Box<[WorkerCounters]>,
}

impl Shared {
    /// Builds everything for `settings.workers` workers.
    #[must_use]
    pub fn new(settings: &Settings, probe: ProbeName) -> Self {
        let workers = settings.workers.get();
        Self {
            cache: Cache::new(&settings.cache, &settings.stale),
            access: AccessList::new(&settings.allow),
            identity: Identity::new(&settings.node_name, probe, workers),
            local: LocalRecords::new(&settings.local),
            stale: settings.stale.clone(),
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

    /// The counters of every worker, by index.
    #[must_use]
    pub fn workers(&self) -> &[WorkerCounters] {
        &self.workers
    }
}

/// Keeps what a question to the upstreams has brought.
///
/// The forwarder's owner has this called exactly once for each exchange, whether or not a client
/// still waits for it; serving a query only reads the cache.
pub fn store(shared: &Shared, key: &Key, outcome: &Outcome, now: Instant) {
    match judge(key, outcome, shared.cache.limits()) {
        Ok(cleaned) => shared.cache.insert(key, cleaned, now),
        Err(Failed {
            reason,
            upstreams_asked: true,
        }) => shared.cache.note_failure(key, reason, now),
        // Nobody was asked: there is nothing that remembering it would spare.
        Err(Failed {
            upstreams_asked: false,
            ..
        }) => {}
    }
}

/// An outcome that is no answer for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Told to the client.
    pub(super) reason: ExtendedError,
    upstreams_asked: bool,
}

/// Whether `outcome` answers `key`. An upstream's own reason for an error is passed on.
pub(super) fn judge(
    key: &Key,
    outcome: &Outcome,
    limits: &CacheSettings,
) -> Result<Cleaned, Failed> {
    let asked = |reason| Failed {
        reason,
        upstreams_asked: true,
    };
    match outcome {
        Outcome::Answered(reply) => match clean(key, &reply.message, limits) {
            Ok(cleaned) if cleaned.rcode.is_conclusive() => Ok(cleaned),
            Ok(cleaned) => {
                let reason = cleaned.extended_error;
                Err(asked(
                    reason.unwrap_or(ExtendedError::NO_REACHABLE_AUTHORITY),
                ))
            }
            Err(_) => Err(asked(ExtendedError::NETWORK_ERROR)),
        },
        Outcome::Failed(Failure::TimedOut) => Err(asked(ExtendedError::NO_REACHABLE_AUTHORITY)),
        Outcome::Failed(Failure::NoneUsable) => Err(Failed {
            reason: ExtendedError::NO_REACHABLE_AUTHORITY,
            upstreams_asked: false,
        }),
        Outcome::Failed(Failure::Saturated) => Err(Failed {
            reason: ExtendedError::NETWORK_ERROR,
            upstreams_asked: false,
        }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::dns::LocalRecord;
    use crate::dns::cache::Lookup;
    use crate::dns::forward::Reply;

    /// Two workers, 127.0.0.0/8 and ::1 allowed, `local.` has an address.
    pub(in crate::dns) fn settings() -> Settings {
        Settings {
            node_name: "node-1".into(),
            service_sockets: Vec::new(),
            listen: Vec::new(),
            allow: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            workers: NonZeroUsize::new(2).unwrap(),
            cache: CacheSettings {
                size_bytes: 1 << 20,
                min_ttl: Duration::ZERO,
                max_ttl: Duration::from_secs(86_400),
                max_negative_ttl: Duration::from_secs(3600),
            },
            stale: StaleSettings {
                enabled: true,
                client_timeout: Duration::from_millis(1800),
                reply_ttl: Duration::from_secs(30),
                max_age: Duration::from_secs(86_400),
            },
            local: vec![LocalRecord {
                name: b"\x05local\x00".to_vec(),
                rtype: 1,
                ttl_s: 60,
                rdata: vec![10, 0, 0, 40],
            }],
            zones: Vec::new(),
        }
    }

    pub(in crate::dns) fn shared() -> Shared {
        Shared::new(&settings(), ProbeName::new([7; 16]))
    }

    /// The response to a question for an address: `records` of 10.0.0.1 with a TTL of 60 s.
    pub(in crate::dns) fn response(key: &Key, rcode: u8, records: u16) -> Outcome {
        let mut message = vec![0, 0, 0x81, 0x80 | rcode, 0, 1];
        message.extend_from_slice(&records.to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, 0]);
        message.extend_from_slice(key.name());
        message.extend_from_slice(&key.qtype().to_be_bytes());
        message.extend_from_slice(&key.qclass().to_be_bytes());
        for _ in 0..records {
            message.extend_from_slice(
                b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01",
            );
        }
        Outcome::Answered(Reply { message })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do to start from"
    )]
    pub(in crate::dns) fn start() -> Instant {
        Instant::now()
    }

    /// RFC 9520 §3.2 for those that were asked; nothing to remember when nobody was.
    #[test]
    fn failures_are_kept_when_an_upstream_was_asked() {
        let key = Key::new(b"\x01a\x00", 1, 1, false, false).unwrap();
        for (outcome, kept) in [
            (response(&key, 2, 0), true),
            (response(&key, 5, 0), true),
            (Outcome::Answered(Reply { message: vec![1] }), true),
            (Outcome::Failed(Failure::TimedOut), true),
            (Outcome::Failed(Failure::NoneUsable), false),
            (Outcome::Failed(Failure::Saturated), false),
        ] {
            let (shared, now) = (shared(), start());
            store(&shared, &key, &outcome, now);
            let found = matches!(shared.cache.lookup(&key, now), Lookup::Fresh(entry) if entry.is_failure());
            assert_eq!(found, kept, "{outcome:?}");
        }
    }

    #[test]
    fn an_answer_is_kept_and_survives_a_failure() {
        let key = Key::new(b"\x01a\x00", 1, 1, false, false).unwrap();
        let (shared, now) = (shared(), start());
        store(&shared, &key, &response(&key, 0, 1), now);
        store(&shared, &key, &Outcome::Failed(Failure::TimedOut), now);
        assert!(
            matches!(shared.cache.lookup(&key, now), Lookup::Fresh(entry) if !entry.is_failure())
        );
    }
}
