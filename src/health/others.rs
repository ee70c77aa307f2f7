//! What health is told of the node as a whole beside counters, probes and addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::overload::Load;
use super::{PeersView, PoorAnswers, PoorCanaries, Reason, StartGate};

/// After a link is up again the upstreams are proven anew within this.
pub(super) const LINK_GRACE: Duration = Duration::from_secs(5);

/// The latest word on each.
#[derive(Clone, Debug, Default)]
pub(super) struct Others {
    pub(super) dead_zones: BTreeSet<Arc<str>>,
    pub(super) answers: BTreeMap<Arc<str>, PoorAnswers>,
    pub(super) canaries: BTreeMap<Arc<str>, PoorCanaries>,
    pub(super) peers: PeersView,
    pub(super) links: Links,
    pub(super) gates: Vec<StartGate>,
    pub(super) load: Load,
}

impl Others {
    /// Nothing is known; of so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            load: Load::new(workers),
            ..Self::default()
        }
    }

    /// The fault of the critical zones that is shown; the plainest evidence first.
    pub(super) fn shared_fault(&self) -> Option<Reason> {
        let dead = self.dead_zones.first();
        let dead = dead.map(|zone| Reason::UpstreamsDead { zone: zone.clone() });
        let answers = || {
            let (zone, figures) = self.answers.first_key_value()?;
            let (zone, figures) = (zone.clone(), *figures);
            Some(Reason::PoorAnswers { zone, figures })
        };
        let canaries = || {
            let (zone, figures) = self.canaries.first_key_value()?;
            let (zone, figures) = (zone.clone(), *figures);
            Some(Reason::PoorCanaries { zone, figures })
        };
        dead.or_else(answers).or_else(canaries)
    }
}

/// The links that neighbours are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    up: usize,
    of: usize,
    returned_at: Option<Instant>,
}

impl Links {
    pub(super) fn record(&mut self, now: Instant, up: usize, of: usize) {
        if self.are_down() && up > 0 {
            self.returned_at = Some(now);
        }
        (self.up, self.of) = (up, of);
    }

    /// How many are up, and of how many.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.up, self.of)
    }

    /// Whether there are links, and none is up.
    pub(super) fn are_down(&self) -> bool {
        self.of > 0 && self.up == 0
    }

    /// Whether what cannot be reached is no news: they are down, or were just now.
    pub(super) fn explain(&self, now: Instant) -> bool {
        self.are_down() || self.returned_at.is_some_and(|at| now < at + LINK_GRACE)
    }

    /// When they explain nothing any more.
    pub(super) fn grace_end(&self) -> Option<Instant> {
        self.returned_at.map(|at| at + LINK_GRACE)
    }
}
