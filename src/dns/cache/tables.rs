//! The memory of all shards, and reading it without a lock.
//!
//! Source of what a key is: RFC 4343 §3 (names in lower case).

use super::atomics::AtomicU64;
use super::entry::{HEAD, Head, Question, Scratch};
use super::ghosts::Ghosts;
use super::index::{Index, Layout};
use super::plan::Plan;
use super::slot;
use super::words::Words;

/// How often a reader begins again when the entry changes while it is copied.
const ATTEMPTS: usize = 4;
/// Words of the longest name.
const NAME_WORDS: usize = 32;

/// What all shards keep in common pieces of memory.
pub(super) struct Tables {
    pub(super) plan: Plan,
    pub(super) words: Words,
    pub(super) index: Index,
    pub(super) ghosts: Ghosts,
    /// Answers are of use for so long after they have expired.
    pub(super) stale_ms: u64,
}

/// What one look has brought.
enum Seen<'a> {
    /// The whole entry is in the scratch.
    Entry(Head, &'a AtomicU64, slot::Slot),
    /// It changed meanwhile.
    Changed,
    Nothing,
}

impl Tables {
    pub(super) fn new(plan: Plan, stale_ms: u64) -> Self {
        Self {
            words: Words::new(&plan),
            index: Index::new(&plan),
            ghosts: Ghosts::new(&plan),
            plan,
            stale_ms,
        }
    }

    /// Copies the entry of `question`; what is behind the head goes into `scratch`.
    pub(super) fn read(
        &self,
        shard: usize,
        layout: &Layout,
        question: &Question<'_>,
        scratch: &mut Scratch,
    ) -> Option<(Head, &AtomicU64, slot::Slot)> {
        for _ in 0..ATTEMPTS {
            let before = layout.load();
            let buckets = Layout::buckets_of(before);
            match self.look(shard, buckets, question, scratch) {
                Seen::Entry(head, cell, slot) => return Some((head, cell, slot)),
                Seen::Nothing if layout.load() == before => return None,
                Seen::Nothing | Seen::Changed => {}
            }
        }
        None
    }

    fn look(
        &self,
        shard: usize,
        buckets: usize,
        question: &Question<'_>,
        scratch: &mut Scratch,
    ) -> Seen<'_> {
        let tag = question.hash.tag();
        for bucket in self.index.choices(shard, question.hash.kept(), buckets) {
            for cell in bucket {
                let slot = slot::load(cell);
                if !slot.has_tag(tag) {
                    continue;
                }
                let position = self.plan.position(slot.place());
                let head = self.head(shard, position);
                if !head.asks(question) {
                    if slot::vouches(cell, slot) {
                        continue;
                    }
                    return Seen::Changed;
                }
                let copy = scratch.room(head.words() - HEAD);
                self.words.copy_behind(shard, position, HEAD, copy);
                if !slot::vouches(cell, slot) {
                    return Seen::Changed;
                }
                if scratch.octets().starts_with(question.key.name()) {
                    return Seen::Entry(head, cell, slot);
                }
            }
        }
        Seen::Nothing
    }

    /// The first words of the entry at `position`.
    pub(super) fn head(&self, shard: usize, position: usize) -> Head {
        let mut head = Head::default();
        self.words.copy_behind(shard, position, 0, &mut head.0);
        head
    }

    /// Whether the entry at `position` belongs to `question`; for the holder of the lock.
    pub(super) fn asks(&self, shard: usize, position: usize, question: &Question<'_>) -> bool {
        let head = self.head(shard, position);
        if !head.asks(question) {
            return false;
        }
        let mut words = [0; NAME_WORDS];
        let used = &mut words[..head.name_octets().div_ceil(8)];
        self.words.copy_behind(shard, position, HEAD, used);
        let octets: &[u8] = bytemuck::cast_slice(&words);
        octets.starts_with(question.key.name())
    }
}
