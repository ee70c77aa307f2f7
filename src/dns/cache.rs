//! Answers by question, bounded in octets and shared by all workers.
//!
//! Source: RFC 2308 (negative answers), RFC 8767 (expired answers), RFC 9520 §3.2 (failures).
//!
//! ```text
//! hash of the question → shard → two buckets of slots → words of the entry, copied for the reader
//! ```
//! Readers take no lock, allocate nothing and wait for nobody; what they copied is whole, or copied
//! again up to four times and then a miss (`slot` says why that is so). Writers hold the lock of one shard for one insert with the
//! evictions that it needs (`shard`). All memory is taken at the start, untouched, in four pieces
//! (`words`, `index`, `ghosts`, the shards themselves), and comes into use as the cache fills:
//! what [`Cache::octets`] reports is what has been written to.

use std::collections::hash_map::RandomState;
use std::time::{Duration, Instant};

use super::code::ExtendedError;
use super::key::Key;
use super::{CacheSettings, StaleSettings};

mod atomics;
pub mod clean;
pub mod entry;
mod ghosts;
mod hash;
mod index;
mod plan;
mod ring;
mod shard;
mod slot;
mod tables;
mod words;

pub use entry::{Entry, Scratch};
pub use shard::Evictions;

use clean::Cleaned;
use entry::{Content, Question, Use, ms_since};
use hash::Hash;
use plan::Plan;
use shard::Shard;
use tables::Tables;

/// The cache of one node.
pub struct Cache {
    hasher: RandomState,
    started: Instant,
    limits: CacheSettings,
    /// `None` when the configured size is too small to keep anything.
    store: Option<Store>,
}

struct Store {
    tables: Tables,
    shards: Box<[Shard]>,
}

/// What the cache knows about a question.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// An answer, or a failure of the last second.
    Fresh(Entry<'a>),
    /// An expired answer that may be sent when the upstreams do not answer.
    Stale(Entry<'a>),
    /// Nothing.
    Miss,
}

impl Cache {
    /// An empty cache; `started` is not after the first use.
    #[must_use]
    pub fn new(limits: &CacheSettings, stale: &StaleSettings, started: Instant) -> Self {
        let max_stale = if stale.enabled {
            stale.max_age
        } else {
            Duration::ZERO
        };
        let stale_ms = u64::try_from(max_stale.as_millis()).unwrap_or(u64::MAX);
        let store = Plan::new(limits.size_bytes).map(|plan| Store {
            shards: (0..plan.shards()).map(|_| Shard::new(&plan)).collect(),
            tables: Tables::new(plan, stale_ms),
        });
        Self {
            hasher: RandomState::new(),
            started,
            limits: limits.clone(),
            store,
        }
    }

    /// The limits that the cache was made with.
    #[must_use]
    pub fn limits(&self) -> &CacheSettings {
        &self.limits
    }

    /// What is known about `key` at `now`.
    #[must_use]
    pub fn lookup<'a>(&self, key: &Key, now: Instant, scratch: &'a mut Scratch) -> Lookup<'a> {
        let Some(store) = &self.store else {
            return Lookup::Miss;
        };
        let question = Question::new(key, Hash::of(&self.hasher, key));
        let number = question.hash.shard(store.shards.len());
        let layout = &store.shards[number].layout.0;
        let Some((head, cell, slot)) = store.tables.read(number, layout, &question, scratch) else {
            return Lookup::Miss;
        };
        let used_as = head.use_at(ms_since(self.started, now), store.tables.stale_ms);
        if used_as == Use::None {
            return Lookup::Miss;
        }
        slot::visit(cell, slot);
        let entry = Entry::new(head, self.started, scratch);
        match used_as {
            Use::Fresh => Lookup::Fresh(entry),
            Use::Stale | Use::None => Lookup::Stale(entry),
        }
    }

    /// Keeps a conclusive answer; one without a lifetime is not kept, nor one that is too large.
    pub fn insert(&self, key: &Key, cleaned: &Cleaned<'_>, now: Instant) {
        let Some(store) = &self.store else { return };
        let Some(lifetime) = cleaned.lifetime.filter(|_| cleaned.rcode.is_conclusive()) else {
            return;
        };
        if lifetime.is_zero() && store.tables.stale_ms == 0 {
            return;
        }
        let question = Question::new(key, Hash::of(&self.hasher, key));
        let now_ms = ms_since(self.started, now);
        if let Some(content) = Content::answer(&question, cleaned, lifetime, now_ms) {
            let mut writing = store.write(&question, now_ms);
            writing.insert(&question, &content);
        }
    }

    /// Remembers that `key` could not be resolved: for a second, or as a note at the answer that is
    /// still of use and stays.
    pub fn note_failure(&self, key: &Key, reason: ExtendedError, now: Instant) {
        let Some(store) = &self.store else { return };
        let question = Question::new(key, Hash::of(&self.hasher, key));
        let now_ms = ms_since(self.started, now);
        let mut writing = store.write(&question, now_ms);
        if !writing.note_failure(&question) {
            let content = Content::failure(&question, reason, now_ms);
            writing.insert(&question, &content);
        }
    }

    /// Octets of memory in use, with everything that the cache needs for itself.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| {
            let fixed = u64::try_from(store.tables.plan.fixed_octets).unwrap_or(u64::MAX);
            fixed + store.shards.iter().map(Shard::octets).sum::<u64>()
        })
    }

    /// How many questions have an entry.
    #[must_use]
    pub fn entries(&self) -> u64 {
        let shards = self.store.iter().flat_map(|store| &store.shards);
        shards.map(Shard::entries).sum()
    }

    /// What had to make room.
    #[must_use]
    pub fn evictions(&self) -> Evictions {
        let shards = self.store.iter().flat_map(|store| &store.shards);
        shards.fold(Evictions::default(), |sum, shard| {
            let of_shard = shard.evictions();
            Evictions {
                small: sum.small + of_shard.small,
                main: sum.main + of_shard.main,
                index: sum.index + of_shard.index,
            }
        })
    }
}

impl Store {
    fn write(&self, question: &Question<'_>, now_ms: u64) -> shard::Writing<'_> {
        let number = question.hash.shard(self.shards.len());
        self.shards[number].write(&self.tables, number, now_ms)
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

#[cfg(test)]
mod tests;
