//! Whether an answer is fetched again although no client waits for it.
//!
//! Source: RFC 8767 §4 and §5 (trying again behind an expired answer).

use std::time::Instant;

use super::super::forward::Wish;
use super::super::key::Key;
use super::super::prefetch::Budget;
use super::{Buffers, Worker};

impl Worker {
    /// Whether a popular answer is to be fetched before it expires.
    #[cold]
    pub(super) fn prefetch(&self, now: Instant, budget: &mut Budget) -> Option<Wish> {
        (self.shared.prefetch() && budget.suffices(now)).then_some(Wish::Early)
    }

    /// Lets what [`Buffers::refresh`] tells of `begin`, if it `may` and no other worker does; whether
    /// it has begun. What has not leaves no trace: it can be claimed again, and costs nothing. What
    /// has expired comes in place of a question that a client would wait for, and needs no budget.
    #[cold]
    pub fn refresh(
        &self,
        buffers: &mut Buffers,
        now: Instant,
        may: impl FnOnce(&Key, Wish) -> bool,
        begin: impl FnOnce(&Key) -> bool,
    ) -> bool {
        let (key, cache) = (&buffers.key, self.shared.cache());
        let wish = buffers.refresh.take();
        let Some(wish) = wish.filter(|wish| may(key, *wish) && cache.claim_refresh(key, now))
        else {
            return false;
        };
        if !begin(key) {
            cache.give_back_refresh(key, now);
            return false;
        }
        match wish {
            Wish::Early => {
                buffers.budget.spend();
                self.counters().prefetches.bump();
            }
            Wish::Again => self.counters().rechecks.bump(),
        }
        true
    }
}
