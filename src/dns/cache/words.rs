//! The words of all rings in one piece of memory.
//!
//! The shards' pages take turns in it: shards fill at the same pace, so that memory comes into use
//! from one end to the other, whatever the size of the system's pages.

use super::atomics::{AtomicU64, Ordering, zeroed};
use super::plan::{Plan, STRIPE};
use super::slot;

/// Memory for entries, addressed by shard and position.
pub(super) struct Words {
    words: Box<[AtomicU64]>,
    shards_log2: u32,
    main: usize,
    all: usize,
}

impl Words {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            words: zeroed(plan.words() << plan.shards_log2),
            shards_log2: plan.shards_log2,
            main: plan.main,
            all: plan.words(),
        }
    }

    /// The word `offset` behind `position`, in the ring that `position` belongs to.
    pub(super) fn word(&self, shard: usize, position: usize, offset: usize) -> &AtomicU64 {
        &self.words[self.index(shard, self.step(position, offset))]
    }

    /// Copies words from `offset` behind `position` on.
    pub(super) fn copy_behind(&self, shard: usize, position: usize, offset: usize, to: &mut [u64]) {
        let mut rest = to;
        let mut at = self.step(position, offset);
        while !rest.is_empty() {
            let piece = self.piece(shard, at, rest.len());
            let (now, later) = rest.split_at_mut(piece.len());
            for (to, from) in now.iter_mut().zip(piece) {
                *to = from.load(Ordering::Relaxed);
            }
            at = self.step(at, piece.len());
            rest = later;
        }
    }

    /// Writes `count` words from `position` on; no slot leads there.
    pub(super) fn write(
        &self,
        shard: usize,
        position: usize,
        count: usize,
        value: impl Fn(usize) -> u64,
    ) {
        slot::before_reuse();
        let mut at = position;
        let mut done = 0;
        while done < count {
            let piece = self.piece(shard, at, count - done);
            for (offset, word) in piece.iter().enumerate() {
                word.store(value(done + offset), Ordering::Relaxed);
            }
            at = self.step(at, piece.len());
            done += piece.len();
        }
    }

    /// Up to `most` words from `at` on that lie together.
    fn piece(&self, shard: usize, at: usize, most: usize) -> &[AtomicU64] {
        let start = self.index(shard, at);
        // Rings are whole stripes: none ends within one.
        &self.words[start..start + most.min(STRIPE - at % STRIPE)]
    }

    fn index(&self, shard: usize, at: usize) -> usize {
        ((at / STRIPE) << self.shards_log2 | shard) * STRIPE + at % STRIPE
    }

    /// The position `by` words behind `position`, in the same ring.
    fn step(&self, position: usize, by: usize) -> usize {
        let at = position + by;
        if position < self.main {
            if at < self.main { at } else { at % self.main }
        } else if at < self.all {
            at
        } else {
            self.main + (at - self.main) % (self.all - self.main)
        }
    }
}
