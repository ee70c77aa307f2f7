//! Whether an answer is fetched again although no client waits for it.
//!
//! Source: RFC 8767 §4 and §5 (trying again behind an expired answer).

use std::time::Instant;

use super::super::key::Key;
use super::super::prefetch::Budget;
use super::Worker;

impl Worker {
    /// Whether a popular answer is to be fetched before it expires.
    #[cold]
    pub(super) fn prefetch(
        &self,
        key: &Key,
        now: Instant,
        is_usable: impl FnOnce(&Key) -> bool,
        budget: &mut Budget,
    ) -> bool {
        let begins = self.shared.prefetch()
            && budget.suffices(now)
            && is_usable(key)
            && self.shared.cache().claim_refresh(key, now);
        if begins {
            budget.spend();
            self.counters().prefetches.bump();
        }
        begins
    }

    /// Whether to try again what failed while there is an expired answer. It comes in place of a
    /// question that a client would wait for, and needs no budget.
    pub(super) fn recheck(&self, key: &Key, now: Instant) -> bool {
        let begins = self.shared.cache().claim_refresh(key, now);
        if begins {
            self.counters().rechecks.bump();
        }
        begins
    }
}
