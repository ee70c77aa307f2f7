//! How often a sibling is asked whose upstreams are dead too: a token bucket that all workers share.
//!
//! Such a question costs the sibling a look into its cache and a short answer; nothing of it is ever
//! under way there. The ration is for nodes whose clients invent names: it is far above what the
//! misses of an ordinary node come to, for whatever it denies may be a name that the sibling has.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Questions per second of this node to one sibling that is dry.
pub const RATION_PER_SECOND: u32 = 1000;
/// So many at once, after a time without any.
pub const RATION_BURST: u32 = 1000;

/// Between two questions.
const GAP_US: u64 = 1_000_000 / RATION_PER_SECOND as u64;
/// How far ahead of time the bucket may be.
const BURST_US: u64 = GAP_US * RATION_BURST as u64;

/// The ration of one sibling. Times are µs since the start.
#[derive(Debug, Default)]
pub(in super::super) struct Ration {
    is_dry: AtomicBool,
    /// When the bucket is full again.
    full_at_us: AtomicU64,
    denied: AtomicU64,
}

impl Ration {
    /// Whether questions are rationed.
    pub(in super::super) fn is_dry(&self) -> bool {
        self.is_dry.load(Ordering::Relaxed)
    }

    /// Questions are rationed from now on; whether they were not.
    pub(in super::super) fn begin(&self) -> bool {
        !self.is_dry() && !self.is_dry.swap(true, Ordering::Relaxed)
    }

    /// They are no longer.
    pub(in super::super) fn end(&self) {
        if self.is_dry() {
            self.is_dry.store(false, Ordering::Relaxed);
        }
    }

    /// Whether there is room for one more question.
    pub(super) fn has_share(&self, now_us: u64) -> bool {
        let full_at_us = self.full_at_us.load(Ordering::Relaxed);
        !self.is_dry() || full_at_us.saturating_sub(now_us) <= BURST_US - GAP_US
    }

    /// A question is sent. Several workers may have seen the same room: the debt is paid back before
    /// there is any again.
    pub(super) fn take(&self, now_us: u64) {
        if self.is_dry() {
            let spend = |full_at_us: u64| Some(full_at_us.max(now_us).saturating_add(GAP_US));
            let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
            // Never refused: `spend` always gives a value.
            let _ = self.full_at_us.fetch_update(set, fetch, spend);
        }
    }

    /// A question is not sent for want of room.
    pub(super) fn deny(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that has happened.
    pub(in super::super) fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    /// How many questions find room at a time.
    fn taken(ration: &Ration, now_us: u64) -> u32 {
        let mut count = 0;
        while ration.has_share(now_us) && count < 10 * RATION_BURST {
            ration.take(now_us);
            count += 1;
        }
        count
    }

    #[test]
    fn a_sibling_with_upstreams_is_asked_without_limit() {
        let ration = Ration::default();
        assert_eq!(taken(&ration, 5), 10 * RATION_BURST);
        assert!(ration.begin() && !ration.begin(), "told once");
        assert_eq!(taken(&ration, 5), RATION_BURST);
        ration.end();
        assert_eq!(taken(&ration, 5), 10 * RATION_BURST);
    }

    #[test]
    fn a_burst_is_followed_by_the_rate_and_a_rest_brings_back_the_burst() {
        let ration = Ration::default();
        ration.begin();
        let start_us = 77 * SECOND_US;
        assert_eq!(taken(&ration, start_us), RATION_BURST);
        assert_eq!(taken(&ration, start_us + GAP_US - 1), 0);
        assert_eq!(taken(&ration, start_us + GAP_US), 1);
        let later: u32 = (1..=100)
            .map(|step| taken(&ration, start_us + GAP_US + step * SECOND_US / 100))
            .sum();
        assert_eq!(later, RATION_PER_SECOND);
        let rested_us = start_us + GAP_US + SECOND_US + BURST_US;
        assert_eq!(taken(&ration, rested_us), RATION_BURST);
        assert_eq!(taken(&ration, rested_us + 100 * BURST_US), RATION_BURST);
    }

    /// Workers that saw the same room.
    #[test]
    fn what_was_taken_too_much_is_paid_back() {
        let ration = Ration::default();
        ration.begin();
        taken(&ration, SECOND_US);
        ration.take(SECOND_US);
        assert!(!ration.has_share(SECOND_US + GAP_US));
        assert!(ration.has_share(SECOND_US + 2 * GAP_US));
    }
}
