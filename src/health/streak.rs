//! Results in a row: so many bad ones make a failure, so many good ones end it.

/// The current run of one probe's results, and whether the probe counts as failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Streak {
    good: u32,
    bad: u32,
    failed: bool,
}

impl Streak {
    /// Takes a good result; `rise` of them in a row end a failure.
    pub(super) fn good(&mut self, rise: u32) {
        self.bad = 0;
        self.good = self.good.saturating_add(1);
        if self.good >= rise {
            self.failed = false;
        }
    }

    /// Takes a bad result; `fall` of them in a row are a failure.
    pub(super) fn bad(&mut self, fall: u32) {
        self.good = 0;
        self.bad = self.bad.saturating_add(1);
        if self.bad >= fall {
            self.failed = true;
        }
    }

    /// Takes a result that proves nothing: both runs end, the failure stays as it is.
    pub(super) fn interrupt(&mut self) {
        self.good = 0;
        self.bad = 0;
    }

    /// Counts as failed until `rise` good results from now on.
    pub(super) fn distrust(&mut self) {
        self.good = 0;
        self.failed = true;
    }

    /// Forgives an old failure: `fall` bad results from now on are a new one.
    pub(super) fn trust(&mut self) {
        self.bad = 0;
        self.failed = false;
    }

    /// Whether it failed and has not recovered.
    pub(super) fn is_failed(&self) -> bool {
        self.failed
    }

    /// Whether the failure shows right now; else a failed probe is on its way to recovery.
    pub(super) fn is_failing(&self, fall: u32) -> bool {
        self.failed && self.bad >= fall
    }

    /// Whether the latest result was good.
    pub(super) fn was_good(&self) -> bool {
        self.good > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_result_less_than_fall_is_no_failure() {
        let mut streak = Streak::default();
        streak.bad(3);
        streak.bad(3);
        assert!(!streak.is_failed());
        streak.good(5);
        streak.bad(3);
        streak.bad(3);
        assert!(!streak.is_failed(), "a good result starts the count anew");
        streak.bad(3);
        assert!(streak.is_failed() && streak.is_failing(3));
    }

    #[test]
    fn one_good_result_less_than_rise_ends_no_failure() {
        let mut streak = Streak::default();
        streak.distrust();
        for _ in 0..4 {
            streak.good(5);
        }
        assert!(streak.is_failed() && !streak.is_failing(3));
        streak.good(5);
        assert!(!streak.is_failed());
    }

    #[test]
    fn a_result_that_proves_nothing_neither_fails_nor_recovers() {
        let mut streak = Streak::default();
        streak.bad(3);
        streak.bad(3);
        streak.interrupt();
        streak.bad(3);
        assert!(!streak.is_failed());
        streak.distrust();
        streak.interrupt();
        assert!(streak.is_failed());
    }
}
