//! Answers by question, bounded in octets and shared by all workers.
//!
//! Source: RFC 2308 (negative answers), RFC 8767 (expired answers), RFC 9520 §3.2 (failures).
//!
//! ```text
//! hash of the question → shard → two buckets of slots → words of the entry, copied for the reader
//! ```
//! Readers take no lock, allocate nothing and wait for nobody; what they copied is whole, or copied
//! again up to four times and then a miss (`slot` says why that is so). Writers hold the lock of one shard for one insert with the
//! evictions that it needs (`shard`); who claims the refresh of an entry takes it for two words, and goes
//! on without when it is taken. All memory is taken at the start, untouched, in four pieces
//! (`words`, `index`, `ghosts`, the shards themselves), and comes into use as the cache fills:
//! what [`Cache::octets`] reports is what has been written to.

use std::collections::hash_map::RandomState;
use std::time::{Duration, Instant};

use super::code::ExtendedError;
use super::key::Key;
use super::{CacheSettings, StaleSettings};

mod atomics;
pub mod backoff;
pub mod clean;
pub mod entry;
mod ghosts;
mod hash;
mod hot;
mod index;
mod plan;
mod ring;
mod shard;
mod slot;
mod tables;
mod words;

pub use backoff::Backoff;
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
    /// An answer, or a failure that is still remembered.
    Fresh(Entry<'a>),
    /// An expired answer that may be sent when the upstreams do not answer.
    Stale(Entry<'a>),
    /// Nothing.
    Miss,
}

impl Cache {
    /// Whether the system would give so much memory; [`Cache::new`] panics where it would not.
    #[must_use]
    pub fn has_room(limits: &CacheSettings) -> bool {
        let mut room: Vec<u8> = Vec::new();
        let octets = usize::try_from(limits.size_bytes);
        let is_given = octets.is_ok_and(|octets| room.try_reserve_exact(octets).is_ok());
        // Else the compiler leaves out an allocation that nobody uses.
        std::hint::black_box(&room);
        is_given
    }

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
        let now_ms = ms_since(self.started, now);
        let used_as = head.use_at(now_ms, store.tables.stale_ms);
        let wants_refresh = match used_as {
            Use::Fresh => slot.is_visited() && head.is_ending(now_ms),
            Use::Stale => head.is_recheck_due(now_ms),
            Use::None => return Lookup::Miss,
        };
        slot::visit(cell, slot);
        let entry = Entry::new(head, wants_refresh, self.started, scratch);
        match used_as {
            Use::Fresh => Lookup::Fresh(entry),
            Use::Stale | Use::None => Lookup::Stale(entry),
        }
    }

    /// Keeps a conclusive answer; one that cannot be kept, for it has no lifetime or is too large,
    /// ends the use of an expired one all the same.
    pub fn insert(&self, key: &Key, cleaned: &Cleaned<'_>, now: Instant) {
        let Some(store) = &self.store else { return };
        if !cleaned.rcode.is_conclusive() {
            return;
        }
        let lifetime = cleaned
            .lifetime
            .filter(|lifetime| !lifetime.is_zero() || store.tables.stale_ms > 0);
        let question = Question::new(key, Hash::of(&self.hasher, key));
        let now_ms = ms_since(self.started, now);
        let content =
            lifetime.and_then(|lifetime| Content::answer(&question, cleaned, lifetime, now_ms));
        let mut writing = store.write(&question, now_ms);
        match content {
            Some(content) => writing.insert(&question, &content),
            None => writing.forget_expired(&question),
        }
    }

    /// Remembers that `key` could not be resolved: for as long as `backoff` says, or as a note at the
    /// answer that is still of use and stays.
    pub fn note_failure(&self, key: &Key, reason: ExtendedError, backoff: Backoff, now: Instant) {
        let Some(store) = &self.store else { return };
        let question = Question::new(key, Hash::of(&self.hasher, key));
        let mut writing = store.write(&question, ms_since(self.started, now));
        writing.note_failure(&question, reason, backoff);
    }

    /// Whether the caller is the one to have `key` fetched again, where [`Entry::wants_refresh`] said
    /// so: one caller in the life of an answer, or every [`entry::FAILURE_RECHECK`] while that fails.
    /// Waits for nobody: `false` too when somebody else writes at the moment.
    #[must_use]
    pub fn claim_refresh(&self, key: &Key, now: Instant) -> bool {
        let question = Question::new(key, Hash::of(&self.hasher, key));
        let now_ms = ms_since(self.started, now);
        let writing = self.store.as_ref();
        let writing = writing.and_then(|store| store.try_write(&question, now_ms));
        writing.is_some_and(|writing| writing.claim_refresh(&question))
    }

    /// Gives back what [`Cache::claim_refresh`] has given: nothing has begun, and the next caller may
    /// have it. Waits for nobody: when somebody else writes at the moment, the claim stands.
    pub fn give_back_refresh(&self, key: &Key, now: Instant) {
        let Some(store) = &self.store else { return };
        let question = Question::new(key, Hash::of(&self.hasher, key));
        if let Some(writing) = store.try_write(&question, ms_since(self.started, now)) {
            writing.give_back_refresh(&question);
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

    fn try_write(&self, question: &Question<'_>, now_ms: u64) -> Option<shard::Writing<'_>> {
        let number = question.hash.shard(self.shards.len());
        self.shards[number].try_write(&self.tables, number, now_ms)
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
