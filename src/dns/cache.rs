//! Answers by question, bounded in octets and shared by all workers.
//!
//! Source: RFC 2308 (negative answers), RFC 8767 (expired answers), RFC 9520 §3.2 (failures).
//! The shards and the choice of what to drop are quick_cache's (CLOCK-PRO). Names are chosen by
//! strangers, therefore keys are hashed with the keyed hash of the standard library.

use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::{DefaultLifecycle, EntryAction, EntryResult};
use quick_cache::{OptionsBuilder, Weighter};

use super::code::ExtendedError;
use super::key::Key;
use super::{CacheSettings, StaleSettings};

pub mod clean;
pub mod entry;

use clean::Cleaned;
use entry::Entry;

/// Octets of an entry besides key and records: the entry with its reference counts, its slot in slab
/// and index of the shard (with the room that both keep when they grow, and a share of the ghosts),
/// and what the allocator adds to four blocks.
const BOOKKEEPING: usize = size_of::<Entry>() + 16 + 160 + 64;
/// For sizing tables before anything is known of the traffic.
const TYPICAL_ENTRY: u64 = 512;
/// A shard holds the largest possible answers, and many of them.
const SHARD_MIN: u64 = 1 << 20;
const SHARDS_MAX: u64 = 64;

type Table = quick_cache::sync::Cache<
    Box<[u8]>,
    Arc<Entry>,
    Octets,
    RandomState,
    DefaultLifecycle<Box<[u8]>, Arc<Entry>>,
>;

/// The cache of one node.
pub struct Cache {
    table: Table,
    limits: CacheSettings,
    max_stale: Duration,
}

/// What the cache knows about a question.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// An answer, or a failure of the last second.
    Fresh(Arc<Entry>),
    /// An expired answer that may be sent when the upstreams do not answer.
    Stale(Arc<Entry>),
    /// Nothing.
    Miss,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: &CacheSettings, stale: &StaleSettings) -> Self {
        let shards = (limits.size_bytes / SHARD_MIN).clamp(1, SHARDS_MAX);
        // The table rounds up to a power of two and gives each shard an equal share.
        let shards = 1_u64 << shards.ilog2();
        let items = (limits.size_bytes / TYPICAL_ENTRY).max(shards * 32);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(items).unwrap_or(usize::MAX))
            .weight_capacity(limits.size_bytes - limits.size_bytes % shards)
            .build();
        #[expect(
            clippy::expect_used,
            reason = "build fails only without capacities, and both are set above"
        )]
        let options = options.expect("both capacities are set");
        let table = Table::with_options(
            options,
            Octets,
            RandomState::new(),
            DefaultLifecycle::default(),
        );
        Self {
            table,
            limits: limits.clone(),
            max_stale: if stale.enabled {
                stale.max_age
            } else {
                Duration::ZERO
            },
        }
    }

    /// The limits that the cache was made with.
    #[must_use]
    pub fn limits(&self) -> &CacheSettings {
        &self.limits
    }

    /// What is known about `key` at `now`.
    #[must_use]
    pub fn lookup(&self, key: &Key, now: Instant) -> Lookup {
        match self.table.get(key.as_bytes()) {
            Some(entry) if entry.is_fresh(now) => Lookup::Fresh(entry),
            Some(entry) if entry.is_useful(now) => Lookup::Stale(entry),
            Some(_) | None => Lookup::Miss,
        }
    }

    /// Keeps a conclusive answer; one without a lifetime is not kept.
    pub fn insert(&self, key: &Key, cleaned: Cleaned, now: Instant) {
        let Some(lifetime) = cleaned.lifetime.filter(|_| cleaned.rcode.is_conclusive()) else {
            return;
        };
        let entry = Entry::new(cleaned, lifetime, self.max_stale, now);
        self.table.insert(key.as_bytes().into(), Arc::new(entry));
    }

    /// Remembers that `key` could not be resolved: for a second, or as a note at the answer that is
    /// still of use and stays.
    pub fn note_failure(&self, key: &Key, reason: ExtendedError, now: Instant) {
        let key: Box<[u8]> = key.as_bytes().into();
        let failure = || Arc::new(Entry::failure(reason, now));
        let known = self.table.entry(&key, Some(Duration::ZERO), |_, entry| {
            if entry.is_useful(now) && !entry.is_failure() {
                entry.note_failure(now);
            } else {
                *entry = failure();
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = known {
            // A refusal means that an answer has just come: that one stays.
            let _ = place.insert(failure());
        }
    }

    /// Octets in use, keys and bookkeeping included.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.table.weight()
    }

    /// How many questions have an entry.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.table.len()
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("octets", &self.octets())
            .field("entries", &self.entries())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Weighs an entry in octets.
#[derive(Clone, Copy, Debug)]
struct Octets;

impl Weighter<Box<[u8]>, Arc<Entry>> for Octets {
    fn weight(&self, key: &Box<[u8]>, entry: &Arc<Entry>) -> u64 {
        u64::try_from(key.len() + entry.heap_octets() + BOOKKEEPING).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
