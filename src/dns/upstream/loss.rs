//! How much of what an upstream is asked it leaves unanswered, or answers late.
//!
//! Of questions it is known how many have come to an end and how many answers came in time: the
//! difference is lost, for whatever reason, and nobody has to wait to find out which. A healthy
//! upstream that is now and then overtaken by another loses nothing by it: its answers still come.
//!
//! An upstream is *doubted* when over an eighth is lost, and after its breaker has been open: it is
//! then asked after those that are not, until probes have been answered in time so many times in a
//! row. That takes less than 3 s, so that an upstream is in use again within 5 s of its recovery, and
//! is hard to pass for one that still loses: at 50 % loss one run in 256 gets there.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Good probes in a row that end a doubt.
pub(super) const OWED_IN_DOUBT: u32 = 8;
/// The same when a breaker has closed: the quick probes that follow each other then.
pub(super) const OWED_ON_TRIAL: u32 = 3;

/// So many questions are weighed together.
const BATCH: u64 = 16;
/// All of them.
const WHOLE: u32 = 1 << 16;
/// From here on an upstream is doubted.
const DOUBTED: u32 = WHOLE / 8;
const ANSWERED: u64 = (1 << 32) - 1;

/// Updated by several threads without a lock; an update that is lost in a race is no harm.
#[derive(Debug, Default)]
pub(super) struct Loss {
    /// Questions that have ended (upper half) and answers in time (lower half) of the present batch.
    batch: AtomicU64,
    /// Smoothed, of [`WHOLE`].
    share: AtomicU32,
    /// Good probes until it is no longer doubted.
    owed: AtomicU32,
}

impl Loss {
    /// An answer came in time.
    pub(super) fn answered(&self) {
        self.batch.fetch_add(1, Ordering::Relaxed);
    }

    /// Questions came to an end, answered or not.
    pub(super) fn ended(&self, questions: u32) {
        let ended = u64::from(questions);
        let before = self.batch.fetch_add(ended << 32, Ordering::Relaxed);
        if (before >> 32) + ended < BATCH {
            return;
        }
        let batch = self.batch.swap(0, Ordering::Relaxed);
        let (ended, answered) = (batch >> 32, batch & ANSWERED);
        if ended == 0 {
            return;
        }
        let lost = ended.saturating_sub(answered) * u64::from(WHOLE) / ended;
        let lost = u32::try_from(lost).unwrap_or(WHOLE);
        self.fold(lost, 4);
        if lost > DOUBTED && self.is_doubted() {
            self.owed.store(OWED_IN_DOUBT, Ordering::Relaxed);
        }
    }

    /// A probe was answered in time.
    pub(super) fn probe_answered(&self) {
        self.fold(0, 8);
        let owed = self.owed.load(Ordering::Relaxed);
        if owed > 0 {
            self.owed.store(owed - 1, Ordering::Relaxed);
        }
        if owed == 1 {
            self.share.store(0, Ordering::Relaxed);
        }
    }

    /// A probe was not answered in time.
    pub(super) fn probe_lost(&self) {
        self.fold(WHOLE, 8);
        if self.is_doubted() {
            self.owed.store(OWED_IN_DOUBT, Ordering::Relaxed);
        }
    }

    /// The breaker has closed.
    pub(super) fn begin_trial(&self) {
        // What was asked before is no part of the trial.
        self.batch.store(0, Ordering::Relaxed);
        self.owed.store(OWED_ON_TRIAL, Ordering::Relaxed);
    }

    /// Nothing is held against it any longer.
    pub(super) fn forget(&self) {
        self.share.store(0, Ordering::Relaxed);
        self.owed.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    /// 0 to 1000.
    pub(super) fn permille(&self) -> u32 {
        let share = u64::from(self.share.load(Ordering::Relaxed));
        u32::try_from(share * 1000 / u64::from(WHOLE)).unwrap_or(1000)
    }

    /// Moves the share by one `weight`-th of the way.
    fn fold(&self, lost: u32, weight: u32) {
        let share = self.share.load(Ordering::Relaxed);
        let share = share - share / weight + lost / weight;
        self.share.store(share.min(WHOLE), Ordering::Relaxed);
        if share > DOUBTED && !self.is_doubted() {
            self.owed.store(OWED_IN_DOUBT, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `one_in`-th of `count` questions is lost.
    fn ask(loss: &Loss, count: u32, one_in: u32) {
        for number in 0..count {
            if !number.is_multiple_of(one_in) {
                loss.answered();
            }
            loss.ended(1);
        }
    }

    #[test]
    fn half_of_the_questions_lost_raises_doubt_within_two_batches() {
        let loss = Loss::default();
        ask(&loss, 16, 2);
        assert!(!loss.is_doubted());
        ask(&loss, 16, 2);
        assert!(loss.is_doubted());
        ask(&loss, 1000, 2);
        assert!(
            (450..=550).contains(&loss.permille()),
            "{}",
            loss.permille()
        );
    }

    #[test]
    fn one_lost_in_twenty_is_no_reason_for_doubt() {
        let loss = Loss::default();
        ask(&loss, 10_000, 20);
        assert!(!loss.is_doubted());
        assert!((20..=100).contains(&loss.permille()), "{}", loss.permille());
    }

    /// The other upstream was faster, and the answer of this one comes all the same.
    #[test]
    fn answers_after_the_end_of_their_questions_count() {
        let loss = Loss::default();
        for _ in 0..1000 {
            loss.ended(1);
            loss.answered();
        }
        assert!(loss.permille() < 70, "{}", loss.permille());
        assert!(!loss.is_doubted());
    }

    #[test]
    fn one_lost_probe_raises_no_doubt_and_two_do() {
        let loss = Loss::default();
        loss.probe_lost();
        assert!(!loss.is_doubted());
        loss.probe_lost();
        assert!(loss.is_doubted());
    }

    #[test]
    fn doubt_ends_after_eight_good_probes_in_a_row_and_not_before() {
        let loss = Loss::default();
        ask(&loss, 64, 1);
        for round in 0..2 {
            for _ in 1..OWED_IN_DOUBT {
                loss.probe_answered();
                assert!(loss.is_doubted());
            }
            if round == 0 {
                loss.probe_lost();
            }
        }
        loss.probe_answered();
        assert!(!loss.is_doubted());
        assert_eq!(loss.permille(), 0);
    }

    #[test]
    fn a_trial_ends_after_three_good_probes_or_becomes_a_doubt() {
        let loss = Loss::default();
        loss.begin_trial();
        for _ in 0..OWED_ON_TRIAL {
            assert!(loss.is_doubted());
            loss.probe_answered();
        }
        assert!(!loss.is_doubted());
        loss.begin_trial();
        loss.probe_lost();
        for _ in 1..OWED_IN_DOUBT {
            loss.probe_answered();
        }
        assert!(loss.is_doubted());
    }
}
