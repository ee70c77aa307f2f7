//! Those who wait for one question, some of them not for long.

use std::time::Instant;
use std::vec::Drain;

/// Room that a place keeps for the next question in it; few questions have more waiters.
const KEPT: usize = 4;

/// In the order in which they came.
#[derive(Debug)]
pub(super) struct Waiters<W> {
    all: Vec<W>,
    /// For each of them, when it wants to hear that there is nothing yet.
    give_up_at: Vec<Option<Instant>>,
    soonest: Option<Instant>,
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            give_up_at: Vec::new(),
            soonest: None,
        }
    }
}

impl<W> Waiters<W> {
    pub(super) fn push(&mut self, waiter: W, give_up_at: Option<Instant>) {
        self.all.push(waiter);
        self.give_up_at.push(give_up_at);
        self.soonest = [self.soonest, give_up_at].into_iter().flatten().min();
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// When the next of them gives up.
    pub(super) fn soonest(&self) -> Option<Instant> {
        self.soonest
    }

    pub(super) fn drain(&mut self) -> Drain<'_, W> {
        self.give_up_at.clear();
        self.soonest = None;
        self.all.drain(..)
    }

    /// Moves those to `gone` who give up at `now`.
    pub(super) fn take_impatient(&mut self, now: Instant, gone: &mut Vec<W>) {
        let gives_up = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        let mut times = self.give_up_at.iter();
        let leaving = self
            .all
            .extract_if(.., |_| times.next().is_some_and(gives_up));
        gone.extend(leaving);
        self.give_up_at.retain(|at| !gives_up(at));
        self.soonest = self.give_up_at.iter().flatten().min().copied();
    }

    /// Gives back what an uncommon crowd has taken.
    pub(super) fn shrink(&mut self) {
        if self.all.capacity() > KEPT {
            *self = Self::default();
        }
    }
}
