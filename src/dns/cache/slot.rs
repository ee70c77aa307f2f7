//! One word of the index: which entry it leads to, and how a reader knows that its copy is whole.
//!
//! A slot is the version of its entry. It names a *place*: the position of the entry's first word,
//! and how often the writing has come round to that position. Words of a live entry never change
//! (but for two that stand for themselves), so that a slot that holds the same place before and
//! after a copy vouches for every word in between:
//!
//! - The writer stores words, then the slot (release); the reader loads the slot (acquire), then
//!   words: it sees the entry's words or later ones.
//! - Before words are used again the writer has cleared or changed the slot that led to them, then
//!   passes a release fence, then stores the new words. The reader loads words, passes an acquire
//!   fence, then loads the slot again. If any load saw a new word, the two fences synchronize
//!   (C++20 [atomics.fences] §2), and the second load of the slot sees the change.
//! - One of the two words that may change in a live entry is stored with release by whoever holds the
//!   lock: who sees it sees the slots as they were changed before, by other threads too.
//! - A place never comes back while somebody copies: the count of rounds has at least
//!   [`PLACE_BITS`] − 32 bits, and place and round together tell apart 2^46 words, 512 TiB written
//!   to one shard between two loads. Slots move between buckets, with the words staying; a slot
//!   that leaves and returns meanwhile leads to the very same words.
//!
//! The visited bit is the reader's: set once by compare-and-exchange, and no part of the version.
//! That is a read-modify-write, so it continues the release sequence of the slot's store. The writer
//! changes slots by read-modify-write too: a mark comes before the change or sees it, never after it.
//!
//! `tests.rs` has loom play all of this out; each fence is needed there.

use super::atomics::{AtomicU64, Ordering, fence};

/// Bits of a place.
pub(super) const PLACE_BITS: u32 = 46;

const OCCUPIED: u64 = 1;
const VISITED: u64 = 2;
const TAG_SHIFT: u32 = 2;
const TAG_MASK: u64 = 0xFFFF << TAG_SHIFT;
const PLACE_SHIFT: u32 = 64 - PLACE_BITS;

/// What a word of the index says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u64);

impl Slot {
    /// Leads to `place`; `tag` tells most other questions apart without looking there.
    pub(super) fn new(tag: u16, place: u64) -> Self {
        Self(OCCUPIED | u64::from(tag) << TAG_SHIFT | place << PLACE_SHIFT)
    }

    pub(super) fn is_free(self) -> bool {
        self.0 == 0
    }

    /// Whether it leads to an entry whose question has this tag.
    pub(super) fn has_tag(self, tag: u16) -> bool {
        self.0 & (TAG_MASK | OCCUPIED) == u64::from(tag) << TAG_SHIFT | OCCUPIED
    }

    pub(super) fn tag(self) -> u16 {
        ((self.0 & TAG_MASK) >> TAG_SHIFT) as u16
    }

    pub(super) fn place(self) -> u64 {
        self.0 >> PLACE_SHIFT
    }

    /// Whether somebody has asked for the entry.
    pub(super) fn is_visited(self) -> bool {
        self.0 & VISITED != 0
    }

    /// The same question at another place, not yet visited there.
    pub(super) fn moved(self, place: u64) -> Self {
        Self(self.0 & TAG_MASK | OCCUPIED | place << PLACE_SHIFT)
    }

    fn version(self) -> u64 {
        self.0 & !VISITED
    }
}

/// What `cell` says now, with everything that was written before it.
pub(super) fn load(cell: &AtomicU64) -> Slot {
    Slot(cell.load(Ordering::Acquire))
}

/// Lets `cell` say `slot`; for the writer.
pub(super) fn set(cell: &AtomicU64, slot: Slot) {
    cell.swap(slot.0, Ordering::Release);
}

/// Lets `cell` lead nowhere; for the writer.
pub(super) fn clear(cell: &AtomicU64) {
    cell.swap(0, Ordering::Release);
}

/// Has to stand between the last change of slots and the first word that is used again.
pub(super) fn before_reuse() {
    fence(Ordering::Release);
}

/// Changes a word that may change while its entry lives; for the writer.
pub(super) fn store_live(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}

/// Whether all that was copied since `cell` said `seen` belongs to that entry.
pub(super) fn vouches(cell: &AtomicU64, seen: Slot) -> bool {
    fence(Ordering::Acquire);
    Slot(cell.load(Ordering::Relaxed)).version() == seen.version()
}

/// Remembers that somebody has asked; writes only the first time, so that readers share the line.
pub(super) fn visit(cell: &AtomicU64, seen: Slot) {
    if !seen.is_visited() {
        // When it fails the entry has moved or somebody was faster.
        let _ = cell.compare_exchange(
            seen.0,
            seen.0 | VISITED,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

#[cfg(all(test, cache_model))]
mod tests;
