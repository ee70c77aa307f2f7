//! Where a ring of words is written next and what is the oldest in it.

use super::plan::{Plan, STRIPE};

/// One of the two rings of a shard. Head and tail count words and never turn back.
#[derive(Debug)]
pub(super) struct Ring {
    start: usize,
    words: usize,
    tail: u64,
    head: u64,
}

impl Ring {
    /// An empty ring of `words` from position `start` on.
    pub(super) fn new(start: usize, words: usize) -> Self {
        Self {
            start,
            words,
            tail: 0,
            head: 0,
        }
    }

    pub(super) fn free(&self) -> usize {
        self.words - usize::try_from(self.head - self.tail).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// The place of the oldest entry.
    pub(super) fn tail(&self, plan: &Plan) -> u64 {
        self.place(plan, self.tail)
    }

    /// Gives up the `words` of the oldest entry.
    pub(super) fn pass(&mut self, words: usize) {
        let passed = self.tail + u64::try_from(words).unwrap_or_default();
        self.tail = passed.min(self.head);
    }

    /// Takes `words` that are free; returns their place.
    pub(super) fn take(&mut self, plan: &Plan, words: usize) -> u64 {
        let place = self.place(plan, self.head);
        self.head += u64::try_from(words).unwrap_or_default();
        place
    }

    /// Words in pages that have been written to.
    pub(super) fn touched(&self) -> usize {
        let written = usize::try_from(self.head).unwrap_or(usize::MAX);
        written.min(self.words).next_multiple_of(STRIPE)
    }

    fn place(&self, plan: &Plan, counted: u64) -> u64 {
        let words = u64::try_from(self.words).unwrap_or(u64::MAX);
        let position = usize::try_from(counted % words).unwrap_or_default();
        plan.place(counted / words, self.start + position)
    }
}
