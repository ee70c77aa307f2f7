//! What was dropped unvisited not long ago: who asks for it again has it kept for longer.
//!
//! A table of fingerprints, each at the one place that its hash names; the latest wins.

use std::sync::atomic::{AtomicU16, Ordering};

use super::hash::KeptHash;
use super::plan::Plan;

/// The fingerprints of all shards; those of one shard are for the holder of its lock.
pub(super) struct Ghosts {
    marks: Box<[AtomicU16]>,
    each: usize,
}

impl Ghosts {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            marks: bytemuck::zeroed_slice_box(plan.ghosts << plan.shards_log2),
            each: plan.ghosts,
        }
    }

    /// Remembers that an entry was dropped.
    pub(super) fn remember(&self, shard: usize, hash: KeptHash, tag: u16) {
        if let Some(mark) = self.mark(shard, hash) {
            mark.store(tag.max(1), Ordering::Relaxed);
        }
    }

    /// Whether the entry was dropped; it is forgotten with that.
    pub(super) fn take(&self, shard: usize, hash: KeptHash, tag: u16) -> bool {
        let found = self
            .mark(shard, hash)
            .filter(|mark| mark.load(Ordering::Relaxed) == tag.max(1));
        if let Some(mark) = found {
            mark.store(0, Ordering::Relaxed);
        }
        found.is_some()
    }

    fn mark(&self, shard: usize, hash: KeptHash) -> Option<&AtomicU16> {
        self.marks.get(shard * self.each + hash.scaled(self.each))
    }
}
