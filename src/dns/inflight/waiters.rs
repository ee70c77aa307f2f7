//! Those who wait for one question, some of them not for long.

use std::time::Instant;
use std::vec::Drain;

/// Room that a place keeps for the next question in it; few questions have more waiters.
const KEPT: usize = 4;

/// In the order in which they came.
#[derive(Debug)]
pub(super) struct Waiters<W> {
    all: Vec<W>,
    /// Of each of them.
    terms: Vec<Terms>,
    soonest: Option<Instant>,
}

/// On which terms somebody waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// When it wants to hear that there is nothing yet.
    pub(super) give_up_at: Option<Instant>,
    /// The bucket of its client prefix.
    pub(super) bucket: usize,
    /// It asks for another node: siblings must not be asked for it.
    pub(super) is_marked: bool,
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            terms: Vec::new(),
            soonest: None,
        }
    }
}

impl<W> Waiters<W> {
    pub(super) fn push(&mut self, waiter: W, terms: Terms) {
        self.all.push(waiter);
        self.terms.push(terms);
        self.soonest = [self.soonest, terms.give_up_at].into_iter().flatten().min();
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// When the next of them gives up.
    pub(super) fn soonest(&self) -> Option<Instant> {
        self.soonest
    }

    /// The terms of all of them.
    pub(super) fn terms(&self) -> impl Iterator<Item = &Terms> {
        self.terms.iter()
    }

    pub(super) fn drain(&mut self) -> Drain<'_, W> {
        self.terms.clear();
        self.soonest = None;
        self.all.drain(..)
    }

    /// Moves those to `gone` whose terms are `over`, and tells `leaves` of each.
    pub(super) fn take(
        &mut self,
        over: impl Fn(&Terms) -> bool,
        gone: &mut Vec<W>,
        mut leaves: impl FnMut(&Terms),
    ) {
        let mut terms = self.terms.iter();
        let leaving = self.all.extract_if(.., |_| terms.next().is_some_and(&over));
        gone.extend(leaving);
        for terms in self.terms.extract_if(.., |terms| over(terms)) {
            leaves(&terms);
        }
        let times = self.terms.iter().filter_map(|terms| terms.give_up_at);
        self.soonest = times.min();
    }

    /// Gives back what an uncommon crowd has taken.
    pub(super) fn shrink(&mut self) {
        if self.all.capacity() > KEPT {
            *self = Self::default();
        }
    }
}
