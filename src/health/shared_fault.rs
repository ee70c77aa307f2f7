//! How far a fault that others may share has moved one target.
//!
//! Moving clients helps only when another site can resolve. So a node with siblings moves when one
//! of them says so. From then on it stays where it is for as long as the fault lasts, however their
//! words change; only when each that answers has been unable for [`UNABLE_MIN`] without a break is
//! the move taken back, for then all have the fault and should be equal again.
//!
//! A word is as old as the last question, and the nodes of a fleet notice a fault of all one after the
//! other: those that notice it early leave upon the word of those that do not know yet. Who notices it
//! late hears that nobody is able, and would stay with the load of all. So where those that answer are
//! unable and most of them are not preferred, a node moves as well: to what all others are at.
//!
//! When upstreams return to all, one node is the first to see it. The others are about to: so where
//! the move was refused once, a sibling's word has to last for [`ABLE_MIN`] before it counts.

use std::time::{Duration, Instant};

use super::others::Links;
use super::{Kept, PeersView};

/// Siblings that were unable for so long will not help soon.
pub(super) const UNABLE_MIN: Duration = Duration::from_secs(10);

/// After all were unable, some sibling has to be able for so long: the breakers of a node close within
/// 4 s of the return of its upstreams.
pub(super) const ABLE_MIN: Duration = Duration::from_secs(5);

/// The shared fault of one target, if it has one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SharedFault {
    current: Option<Current>,
}

/// What a shared fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It lowers the level as the policy says.
    Lowers {
        /// Since when.
        since: Instant,
        /// Since when somebody says without a break that it could take the clients over; without
        /// siblings nobody is asked. `None`: nobody does, so that the service must not be withdrawn.
        covered_since: Option<Instant>,
    },
    /// The level stays.
    Nothing(Kept),
}

#[derive(Clone, Copy, Debug, Default)]
struct Current {
    /// It came while no link was up, and that still explains it.
    is_excused: bool,
    moved_at: Option<Instant>,
    /// It has moved the level before, and that was taken back.
    has_moved: bool,
    /// There was nobody who could have helped.
    was_refused: bool,
    /// Since when some sibling is able.
    able_since: Option<Instant>,
    /// Since when siblings answer, and none of them is able.
    unable_since: Option<Instant>,
}

impl SharedFault {
    /// Takes whether there is one at `now`, and tells what it does.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        is_present: bool,
        links: &Links,
        peers: PeersView,
    ) -> Option<Effect> {
        if !is_present {
            self.current = None;
            return None;
        }
        let explains = links.explain(now);
        let current = self.current.get_or_insert(Current {
            is_excused: explains,
            ..Current::default()
        });
        current.is_excused &= explains;
        Some(current.effect(now, peers))
    }

    /// When it may do something else though nothing is told.
    pub(super) fn due(&self, links: &Links) -> impl Iterator<Item = Instant> {
        let grace = self.current.filter(|current| current.is_excused);
        let grace = grace.and_then(|_| links.grace_end());
        let turn = self.current.and_then(|current| match current.moved_at {
            Some(_) => current.unable_since.map(|since| since + UNABLE_MIN),
            None => current.able_since.map(|since| since + ABLE_MIN),
        });
        grace.into_iter().chain(turn)
    }

    /// Whether what it does now it has done before: one outage is one fault, however often the level
    /// was moved and moved back.
    pub(super) fn is_resumed(&self) -> bool {
        self.current
            .is_some_and(|current| current.has_moved && current.moved_at.is_some())
    }
}

impl Current {
    fn effect(&mut self, now: Instant, peers: PeersView) -> Effect {
        self.unable_since = if peers.reached > 0 && peers.able == 0 {
            self.unable_since.or(Some(now))
        } else {
            None
        };
        let is_alone = peers.known == 0;
        let is_able = peers.able > 0;
        self.able_since = is_able.then(|| self.able_since.unwrap_or(now));
        let has_lasted = |since: Option<Instant>, least| {
            since.is_some_and(|since| now.duration_since(since) >= least)
        };
        let is_hopeless = has_lasted(self.unable_since, UNABLE_MIN);
        if is_hopeless {
            self.has_moved |= self.moved_at.is_some();
            self.moved_at = None;
        }
        self.was_refused |= self.moved_at.is_none() && !is_alone && !is_able;
        let is_believed = is_able && !self.was_refused || has_lasted(self.able_since, ABLE_MIN);
        let is_left = self.unable_since.is_some() && !is_hopeless && are_most_lowered(peers);
        if (is_alone || is_believed || is_left) && !self.is_excused {
            self.moved_at = self.moved_at.or(Some(now));
        }
        match self.moved_at {
            Some(since) => Effect::Lowers {
                since,
                covered_since: if is_alone {
                    Some(since)
                } else {
                    self.able_since
                },
            },
            None if self.is_excused => Effect::Nothing(Kept::NoLink),
            None => Effect::Nothing(Kept::NoSibling(peers)),
        }
    }
}

/// Whether more than half of those that answer are not preferred: the rest has the load of all.
fn are_most_lowered(peers: PeersView) -> bool {
    u32::from(peers.lowered) * 2 > u32::from(peers.reached)
}

/// Whether siblings that this node reaches agree that they do not reach it: two at least, and most of
/// them, for two that are ill themselves must not move everybody else.
///
/// They ask through the service's own sockets, which a flood may fill: while the node is overloaded
/// their word proves nothing, except for a fault that was there before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unheard {
    is_fault: bool,
    /// Since when the siblings' word is against `is_fault`.
    turning_since: Option<Instant>,
}

impl Unheard {
    /// The siblings' word has to last so long, either way.
    pub(super) const PROOF: Duration = Duration::from_secs(5);
    /// So many have to agree, and as many have to be reached.
    const AGREEING: u16 = 2;

    /// Takes what they say at `now`, and tells whether it is a fault.
    pub(super) fn advance(&mut self, now: Instant, peers: PeersView, is_overloaded: bool) -> bool {
        let are_most = u32::from(peers.blind) * 2 > u32::from(peers.reached);
        let is_said = peers.blind >= Self::AGREEING && peers.reached >= Self::AGREEING && are_most;
        let is_turning = if self.is_fault {
            !is_said
        } else {
            is_said && !is_overloaded
        };
        self.turning_since = is_turning.then(|| self.turning_since.unwrap_or(now));
        if self.due().is_some_and(|due| due <= now) {
            self.is_fault = !self.is_fault;
            self.turning_since = None;
        }
        self.is_fault
    }

    /// When it turns if nothing else is said.
    pub(super) fn due(&self) -> Option<Instant> {
        self.turning_since.map(|since| since + Self::PROOF)
    }
}
