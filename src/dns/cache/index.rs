//! From the hash of a question to its slot: two buckets of one cache line each.
//!
//! The index grows with the entries, one bucket at a time (linear hashing), so that its memory is in
//! proportion to what is kept. Readers look without a lock; one that has found nothing while a slot
//! moved sees that in the shard's [`Layout`] and looks again.

use super::atomics::{AtomicU64, Ordering, zeroed};
use super::hash::KeptHash;
use super::plan::{Plan, SLOTS};
use super::slot::{self, Slot};

const LINE: usize = 64;
/// Buckets of an empty shard.
const BUCKETS_MIN: u64 = 32;
/// How many buckets are added early when the two of an entry are full and cannot make way.
const BUCKETS_FOR_ONE: usize = 8;
/// A bucket is added when there are more entries per bucket: three quarters of its slots.
const ENTRIES_PER_BUCKET: u64 = 6;
/// How many slots more are moved to make way for one.
const MOVES_MAX: usize = 1;
/// From so many slots in use on, the emptier bucket is chosen; below, the first.
const CROWDED: usize = 5;

/// How many buckets a shard has (lower half), and how often slots have moved (upper half).
pub(super) struct Layout(AtomicU64);

impl Layout {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(BUCKETS_MIN))
    }

    pub(super) fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn buckets_of(layout: u64) -> usize {
        (layout & u64::from(u32::MAX)) as usize
    }

    fn buckets(&self) -> usize {
        Self::buckets_of(self.0.load(Ordering::Relaxed))
    }

    fn change(&self, more_buckets: u64) {
        let next = self.0.load(Ordering::Relaxed).wrapping_add(1 << 32);
        self.0.store(next + more_buckets, Ordering::Release);
    }
}

/// The slots of all shards in one piece of memory; the shards' buckets take turns in it.
pub(super) struct Index {
    slots: Box<[AtomicU64]>,
    /// Slots before the first whole cache line.
    skipped: usize,
    shards_log2: u32,
    buckets_max: usize,
}

pub(super) type Bucket = [AtomicU64; SLOTS];

impl Index {
    pub(super) fn new(plan: &Plan) -> Self {
        let slots = zeroed(((plan.buckets * SLOTS) << plan.shards_log2) + SLOTS);
        Self {
            skipped: slots.as_ptr().align_offset(LINE).min(SLOTS),
            slots,
            shards_log2: plan.shards_log2,
            buckets_max: plan.buckets,
        }
    }

    /// A bucket of a shard.
    pub(super) fn bucket(&self, shard: usize, number: usize) -> &Bucket {
        let (buckets, _) = self.slots[self.skipped..].as_chunks();
        &buckets[number << self.shards_log2 | shard]
    }

    /// The buckets that may lead to an entry.
    pub(super) fn choices(&self, shard: usize, hash: KeptHash, buckets: usize) -> [&Bucket; 2] {
        hash.choices(buckets)
            .map(|number| self.bucket(shard, number))
    }
}

/// The index of one shard in the hands of the holder of its lock.
pub(super) struct Own<'a> {
    pub(super) index: &'a Index,
    pub(super) layout: &'a Layout,
    pub(super) shard: usize,
}

/// Where a new slot has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// To a free place.
    Free,
    /// In place of another one.
    Replaced,
}

impl<'a> Own<'a> {
    fn buckets(&self, hash: KeptHash) -> [&'a Bucket; 2] {
        self.index.choices(self.shard, hash, self.layout.buckets())
    }

    /// The first slot in use that may belong to `hash` and is `wanted`.
    pub(super) fn find(
        &self,
        hash: KeptHash,
        wanted: impl Fn(Slot) -> bool,
    ) -> Option<(&'a AtomicU64, Slot)> {
        for bucket in self.buckets(hash) {
            for cell in bucket {
                let slot = slot::load(cell);
                if !slot.is_free() && wanted(slot) {
                    return Some((cell, slot));
                }
            }
        }
        None
    }

    /// The slot that leads to `place`, if any does.
    pub(super) fn leading_to(&self, hash: KeptHash, place: u64) -> Option<(&'a AtomicU64, Slot)> {
        self.find(hash, |slot| slot.place() == place)
    }

    /// Adds a slot; `hash_at` tells the hash of the entry at a place.
    pub(super) fn add(
        &self,
        hash: KeptHash,
        new: Slot,
        hash_at: impl Fn(u64) -> KeptHash,
    ) -> Added {
        let mut room = self.room_for(hash, &hash_at);
        for _ in 0..BUCKETS_FOR_ONE {
            if room.is_some() || !self.add_bucket(&hash_at) {
                break;
            }
            room = self.room_for(hash, &hash_at);
        }
        if let Some(cell) = room {
            slot::set(cell, new);
            return Added::Free;
        }
        let unvisited = self.find(hash, |slot| !slot.is_visited());
        let [[any, ..], _] = self.buckets(hash);
        slot::set(unvisited.map_or(any, |(cell, _)| cell), new);
        Added::Replaced
    }

    /// A free cell that may lead to an entry with this hash.
    fn room_for(
        &self,
        hash: KeptHash,
        hash_at: &impl Fn(u64) -> KeptHash,
    ) -> Option<&'a AtomicU64> {
        let [first, second] = self.buckets(hash);
        let (used_first, used_second) = (used(first), used(second));
        let first_wins = used_first <= CROWDED || used_first <= used_second;
        let chosen = if first_wins { first } else { second };
        free(chosen).or_else(|| {
            (0..=MOVES_MAX)
                .flat_map(|moves| [(first, moves), (second, moves)])
                .find_map(|(bucket, moves)| self.make_way(bucket, moves, hash_at))
        })
    }

    /// Moves a slot of a full bucket to its other bucket, so that its cell is free; where that is
    /// full too, makes way there first, `moves` times at most.
    fn make_way(
        &self,
        bucket: &'a Bucket,
        moves: usize,
        hash_at: &impl Fn(u64) -> KeptHash,
    ) -> Option<&'a AtomicU64> {
        for cell in bucket {
            let moving = slot::load(cell);
            let choices = self.buckets(hash_at(moving.place()));
            let Some(other) = choices.into_iter().find(|at| !std::ptr::eq(*at, bucket)) else {
                continue;
            };
            let way = match moves.checked_sub(1) {
                None => free(other),
                Some(moves) => self.make_way(other, moves, hash_at),
            };
            if let Some(to) = way {
                slot::set(to, moving);
                self.layout.change(0);
                slot::clear(cell);
                return Some(cell);
            }
        }
        None
    }

    /// Adds a bucket or two when there are too few for so many entries.
    pub(super) fn grow(&self, entries: u64, hash_at: impl Fn(u64) -> KeptHash) {
        for _ in 0..2 {
            let buckets = u64::try_from(self.layout.buckets()).unwrap_or(u64::MAX);
            if entries <= buckets * ENTRIES_PER_BUCKET || !self.add_bucket(&hash_at) {
                return;
            }
        }
    }

    /// Adds one bucket; `false` when there are as many as may be.
    fn add_bucket(&self, hash_at: &impl Fn(u64) -> KeptHash) -> bool {
        let buckets = self.layout.buckets();
        let may_grow = buckets < self.index.buckets_max;
        if may_grow {
            self.split(buckets, hash_at);
        }
        may_grow
    }

    /// Octets of the buckets in use.
    pub(super) fn octets(&self) -> usize {
        self.layout.buckets() * size_of::<Bucket>()
    }

    /// Adds the bucket with the number `buckets`, with a part of its buddy's slots.
    fn split(&self, buckets: usize, hash_at: impl Fn(u64) -> KeptHash) {
        let buddy = buckets - (1 << buckets.ilog2());
        let from = self.index.bucket(self.shard, buddy);
        let to = self.index.bucket(self.shard, buckets);
        let leaves = from.each_ref().map(|cell| {
            let slot = slot::load(cell);
            if slot.is_free() {
                return false;
            }
            let hash = hash_at(slot.place());
            let came_by = hash.choices(buckets).iter().position(|at| *at == buddy);
            came_by.is_some_and(|choice| hash.choices(buckets + 1)[choice] == buckets)
        });
        let leaving = || from.iter().zip(leaves).filter(|(_, leaves)| *leaves);
        for ((cell, _), place) in leaving().zip(to) {
            slot::set(place, slot::load(cell));
        }
        self.layout.change(1);
        for (cell, _) in leaving() {
            slot::clear(cell);
        }
    }
}

fn used(bucket: &Bucket) -> usize {
    let cells = bucket.iter();
    cells.filter(|cell| !slot::load(cell).is_free()).count()
}

fn free(bucket: &Bucket) -> Option<&AtomicU64> {
    bucket.iter().find(|cell| slot::load(cell).is_free())
}
