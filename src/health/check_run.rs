//! The results of one extra check of a service in a row.

use std::sync::Arc;

use super::policy::Evidence;
use super::streak::Streak;
use super::{CheckFault, CheckOutcome, CheckPolicy, Next, Reason};

/// One extra check, as one target sees it.
#[derive(Clone, Debug)]
pub(super) struct CheckRun {
    policy: CheckPolicy,
    streak: Streak,
    /// What the latest bad result said.
    text: Arc<str>,
}

impl CheckRun {
    pub(super) fn new(policy: CheckPolicy) -> Self {
        Self {
            policy,
            streak: Streak::default(),
            text: "".into(),
        }
    }

    /// Takes a result. A bad one while `is_overloaded` proves no fault of this node alone.
    pub(super) fn record(&mut self, outcome: &CheckOutcome, is_overloaded: bool) {
        match outcome {
            CheckOutcome::Good => self.streak.good(self.policy.rise),
            CheckOutcome::Bad(text) => {
                self.text = Arc::clone(text);
                if is_overloaded && self.policy.fault == CheckFault::Local {
                    self.streak.interrupt();
                } else {
                    self.streak.bad(self.policy.fall);
                }
            }
        }
    }

    /// The failure, when it means `fault`.
    pub(super) fn failure(&self, fault: CheckFault) -> Option<Evidence> {
        if self.policy.fault != fault || !self.streak.is_failed() {
            return None;
        }
        let check = &self.policy.name;
        Some((
            Reason::CheckFailed {
                check: Arc::clone(check),
                results: self.policy.fall,
                text: Arc::clone(&self.text),
            },
            Next::Checked {
                check: Arc::clone(check),
                results: self.policy.rise,
            },
        ))
    }

    /// Its name, while a start has to wait for it: its failure would be a local fault.
    pub(super) fn awaited(&self) -> Option<Arc<str>> {
        let is_proven = self.streak.was_good() && !self.streak.is_failed();
        (self.policy.fault == CheckFault::Local && !is_proven)
            .then(|| Arc::clone(&self.policy.name))
    }
}
