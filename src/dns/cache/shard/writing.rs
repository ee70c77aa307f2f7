//! One change of a shard, under its lock: an insert with the evictions that it needs.
//!
//! The work is bounded: as many entries as an insert needs the room of, and a few more that get a
//! second round. Source of the notes about failed refreshes: RFC 8767 §5, RFC 9520 §3.2.

use std::sync::MutexGuard;

use super::super::super::code::ExtendedError;
use super::super::atomics::{AtomicU64, Ordering};
use super::super::backoff::Backoff;
use super::super::entry::{Content, HEAD, Head, Question, REFRESH, TIMES, Use};
use super::super::hash::KeptHash;
use super::super::index::{Added, Layout, Own};
use super::super::slot::{self, Slot};
use super::super::tables::Tables;
use super::{Reason, Rings, Written};

/// Entries that one insert may give a second round; the next ones go, visited or not.
const SECOND_CHANCES: u32 = 16;
/// Entries of no use that one insert clears from the main ring's tail, room or not.
const SWEPT: usize = 2;

/// The right to change a shard.
pub(in super::super) struct Writing<'a> {
    tables: &'a Tables,
    shard: usize,
    now_ms: u64,
    own: Own<'a>,
    written: &'a Written,
    rings: MutexGuard<'a, Rings>,
    chances: u32,
}

/// The oldest entry of a ring.
struct Oldest<'a> {
    position: usize,
    head: Head,
    /// `None` when no slot leads to it any more.
    slot: Option<(&'a AtomicU64, Slot)>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        tables: &'a Tables,
        shard: usize,
        now_ms: u64,
        layout: &'a Layout,
        written: &'a Written,
        rings: MutexGuard<'a, Rings>,
    ) -> Self {
        let own = Own {
            index: &tables.index,
            layout,
            shard,
        };
        Self {
            tables,
            shard,
            now_ms,
            own,
            written,
            rings,
            chances: SECOND_CHANCES,
        }
    }

    /// Keeps `content`, in place of what was known of its question.
    pub(in super::super) fn insert(&mut self, question: &Question<'_>, content: &Content<'_>) {
        let words = content.head.words();
        if words > self.tables.plan.entry_max() {
            self.forget_expired(question);
            return;
        }
        let known = self.find(question).map(|(_, slot)| slot);
        if let Some(slot) = known
            && self.is_the_same(slot, content)
        {
            let position = self.tables.plan.position(slot.place());
            for word in [REFRESH, TIMES] {
                self.store_word(position, word, content.head.0[word]);
            }
            return;
        }
        let place = self.take_room(question, known, words);
        let position = self.tables.plan.position(place);
        let word = |index| content.word(index);
        self.tables.words.write(self.shard, position, words, word);
        let slot = Slot::new(question.hash.tag(), place);
        // Looked for again: for the room it may have gone or moved.
        match self.find(question) {
            Some((cell, _)) => slot::set(cell, slot),
            None => self.add(question.hash.kept(), slot),
        }
        self.report();
    }

    /// Remembers a failure: as a note at an answer that is still of use, else in place of what was
    /// known.
    pub(in super::super) fn note_failure(
        &mut self,
        question: &Question<'_>,
        reason: ExtendedError,
        backoff: Backoff,
    ) {
        let mut last = None;
        if let Some((_, position, head)) = self.known(question) {
            let use_now = head.use_at(self.now_ms, self.tables.stale_ms);
            if !head.is_failure() && use_now != Use::None {
                self.store_word(position, REFRESH, head.refresh_failed(self.now_ms));
                return;
            }
            last = head.failure_lifetime(self.now_ms);
        }
        let lifetime = backoff.lifetime(last);
        let content = Content::failure(question, reason, lifetime, self.now_ms);
        self.insert(question, &content);
    }

    /// Lets go of an expired answer, or of a failure: something else is known now.
    pub(in super::super) fn forget_expired(&self, question: &Question<'_>) {
        if let Some((cell, _, head)) = self.known(question)
            && (head.is_failure() || head.use_at(self.now_ms, self.tables.stale_ms) != Use::Fresh)
        {
            self.forget(cell);
        }
    }

    /// Whether the entry wants a refresh that nobody has begun; the next one is told that it has.
    pub(in super::super) fn claim_refresh(&self, question: &Question<'_>) -> bool {
        let Some((_, position, head)) = self.known(question) else {
            return false;
        };
        let begun = match head.use_at(self.now_ms, self.tables.stale_ms) {
            Use::Fresh if head.is_ending(self.now_ms) => head.refresh_begun(),
            Use::Stale if head.is_recheck_due(self.now_ms) => head.recheck_begun(self.now_ms),
            Use::Fresh | Use::Stale | Use::None => return false,
        };
        self.store_word(position, REFRESH, begun);
        true
    }

    /// Lets the refresh be claimed again.
    pub(in super::super) fn give_back_refresh(&self, question: &Question<'_>) {
        if let Some((_, position, head)) = self.known(question)
            && !head.is_failure()
        {
            self.store_word(position, REFRESH, head.refresh_dropped());
        }
    }

    fn known(&self, question: &Question<'_>) -> Option<(&'a AtomicU64, usize, Head)> {
        let (cell, slot) = self.find(question)?;
        let position = self.tables.plan.position(slot.place());
        Some((cell, position, self.tables.head(self.shard, position)))
    }

    fn find(&self, question: &Question<'_>) -> Option<(&'a AtomicU64, Slot)> {
        let tag = question.hash.tag();
        self.own.find(question.hash.kept(), |slot| {
            slot.has_tag(tag) && {
                let position = self.tables.plan.position(slot.place());
                self.tables.asks(self.shard, position, question)
            }
        })
    }

    fn is_the_same(&self, slot: Slot, content: &Content<'_>) -> bool {
        let position = self.tables.plan.position(slot.place());
        let stored = self.tables.head(self.shard, position);
        stored.says_the_same(&content.head)
            && (HEAD..stored.words()).all(|index| {
                let word = self.tables.words.word(self.shard, position, index);
                word.load(Ordering::Relaxed) == content.word(index)
            })
    }

    fn store_word(&self, position: usize, index: usize, value: u64) {
        let word = self.tables.words.word(self.shard, position, index);
        slot::store_live(word, value);
    }

    /// Takes words in the ring that the question has earned; returns their place.
    fn take_room(&mut self, question: &Question<'_>, known: Option<Slot>, words: usize) -> u64 {
        let plan = &self.tables.plan;
        let hash = question.hash;
        let has_room = |rings: &Rings| rings.main.free() >= words + plan.gap;
        if !has_room(&self.rings) {
            self.sweep();
        }
        let asked_again =
            known.is_some_and(|slot| slot.is_visited() || plan.position(slot.place()) < plan.main);
        if asked_again
            || words > plan.small_entry_max()
            || has_room(&self.rings)
            || self.tables.ghosts.take(self.shard, hash.kept(), hash.tag())
        {
            self.take_main(words)
        } else {
            self.take_small(words)
        }
    }

    fn take_main(&mut self, words: usize) -> u64 {
        while self.rings.main.free() < words + self.tables.plan.gap {
            self.pass_main();
        }
        self.rings.main.take(&self.tables.plan, words)
    }

    fn take_small(&mut self, words: usize) -> u64 {
        while self.rings.small.free() < words {
            self.pass_small();
        }
        self.rings.small.take(&self.tables.plan, words)
    }

    /// Clears entries of no use away from the main ring's tail.
    fn sweep(&mut self) {
        for _ in 0..SWEPT {
            if self.rings.main.is_empty() {
                return;
            }
            let oldest = self.oldest(self.rings.main.tail(&self.tables.plan));
            if let Some((cell, _)) = oldest.slot {
                if oldest.head.use_at(self.now_ms, self.tables.stale_ms) != Use::None {
                    return;
                }
                self.forget(cell);
            }
            self.rings.main.pass(oldest.head.words());
        }
    }

    /// The main ring's oldest entry goes, or comes in again at its head.
    fn pass_main(&mut self) {
        let plan = &self.tables.plan;
        let oldest = self.oldest(self.rings.main.tail(plan));
        let words = oldest.head.words();
        if let Some((cell, slot)) = oldest.slot {
            if oldest.head.use_at(self.now_ms, self.tables.stale_ms) == Use::None {
                self.forget(cell);
            } else if slot.is_visited() && self.chances > 0 && self.rings.main.free() >= words {
                self.chances -= 1;
                let place = self.rings.main.take(plan, words);
                self.move_to(place, &oldest, cell, slot);
            } else {
                self.forget(cell);
                self.written.count_eviction(Reason::Main);
            }
        }
        self.rings.main.pass(words);
    }

    /// The small ring's oldest entry goes, or to the main ring when somebody has asked for it.
    fn pass_small(&mut self) {
        let oldest = self.oldest(self.rings.small.tail(&self.tables.plan));
        let words = oldest.head.words();
        if let Some((cell, slot)) = oldest.slot {
            if oldest.head.use_at(self.now_ms, self.tables.stale_ms) == Use::None {
                self.forget(cell);
            } else if slot.is_visited() {
                let place = self.take_main(words);
                self.move_to(place, &oldest, cell, slot);
            } else {
                self.forget(cell);
                self.written.count_eviction(Reason::Small);
                let hash = oldest.head.hash();
                self.tables.ghosts.remember(self.shard, hash, slot.tag());
                self.rings.ghosts_used = true;
            }
        }
        self.rings.small.pass(words);
    }

    fn oldest(&self, place: u64) -> Oldest<'a> {
        let position = self.tables.plan.position(place);
        let head = self.tables.head(self.shard, position);
        Oldest {
            position,
            head,
            slot: self.own.leading_to(head.hash(), place),
        }
    }

    /// Copies an entry to `place` before its slot leads there, so that no reader misses it.
    fn move_to(&self, place: u64, entry: &Oldest<'_>, cell: &AtomicU64, slot: Slot) {
        let position = self.tables.plan.position(place);
        let words = &self.tables.words;
        words.write(self.shard, position, entry.head.words(), |index| {
            let word = words.word(self.shard, entry.position, index);
            word.load(Ordering::Relaxed)
        });
        slot::set(cell, slot.moved(place));
    }

    fn forget(&self, cell: &AtomicU64) {
        slot::clear(cell);
        self.written.count_entries(self.entries().saturating_sub(1));
    }

    fn add(&self, hash: KeptHash, slot: Slot) {
        let plan = &self.tables.plan;
        let hash_at = |place| self.tables.head(self.shard, plan.position(place)).hash();
        match self.own.add(hash, slot, hash_at) {
            Added::Free => self.written.count_entries(self.entries() + 1),
            Added::Replaced => self.written.count_eviction(Reason::Index),
        }
        self.own.grow(self.entries(), hash_at);
    }

    fn entries(&self) -> u64 {
        self.written.entries.load(Ordering::Relaxed)
    }

    fn report(&self) {
        let words = self.rings.main.touched() + self.rings.small.touched();
        let ghosts = if self.rings.ghosts_used {
            self.tables.plan.ghosts * size_of::<u16>()
        } else {
            0
        };
        let octets = words * size_of::<u64>() + self.own.octets() + ghosts;
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.written.octets.store(octets, Ordering::Relaxed);
    }
}
