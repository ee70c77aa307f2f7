//! How long a step to `preferred` may be delayed, as far as it is known how the rest of the fleet is.
//!
//! A target that is held at `backup` takes nothing from the fleet while others are preferred, and when
//! none is all are equal again. In between the few that are still preferred get the load of all. So
//! nothing but a moment of chance delays the step when most siblings are not preferred. A node that
//! cannot know it is held no longer than for the first time, until half of the hour's changes are
//! spent: a target that comes and goes by itself spends these within minutes.

use std::time::Duration;

use super::hold_down::HOLD_MAX;
use super::{PeersView, Settings};

/// So many siblings have to answer, or what they say is no picture of the fleet.
const REACHED_MIN: u16 = 2;
/// Chance adds so much at most when the step is urgent.
const URGENT_CHANCE: Duration = Duration::from_secs(1);

/// The limits of what delays a step to `preferred`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delays {
    /// Of the hold.
    pub(super) hold_max: Duration,
    /// Of what chance adds to it.
    pub(super) chance_max: Duration,
    /// Whether the changes of the hour are limited.
    pub(super) is_limited: bool,
}

impl Delays {
    /// All of them in full.
    pub(super) const FULL: Self = Self {
        hold_max: HOLD_MAX,
        chance_max: Duration::MAX,
        is_limited: true,
    };

    /// Those of a service with this mark on a node whose siblings say this; `has_changes`: half of the
    /// hour's are not spent yet.
    pub(super) fn of(peers: PeersView, mark: u8, has_changes: bool, settings: &Settings) -> Self {
        if peers.reached < REACHED_MIN {
            let hold_max = if has_changes {
                settings.hold_down
            } else {
                HOLD_MAX
            };
            return Self {
                hold_max,
                ..Self::FULL
            };
        }
        // With this node, that is more than half.
        if peers.lowered_for(mark) >= peers.reached.div_ceil(2) {
            return Self {
                hold_max: Duration::ZERO,
                chance_max: URGENT_CHANCE,
                is_limited: false,
            };
        }
        Self::FULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::tests::settings;

    fn delays(reached: u16, lowered: u16) -> Delays {
        let peers = PeersView {
            known: 16,
            reached,
            lowered,
            ..PeersView::default()
        };
        Delays::of(peers, 7, true, &settings())
    }

    #[test]
    fn one_sibling_is_no_picture_of_the_fleet_and_two_are() {
        for (reached, lowered) in [(0, 0), (1, 0), (1, 1)] {
            let delays = delays(reached, lowered);
            assert_eq!(delays.hold_max, settings().hold_down);
            assert!(delays.is_limited);
        }
        let alone = Delays::of(PeersView::default(), 7, false, &settings());
        assert_eq!(alone, Delays::FULL, "after too many changes");
        assert_eq!(delays(2, 0), Delays::FULL);
    }

    /// The trouble of another service switches off nothing.
    #[test]
    fn siblings_count_that_are_not_preferred_for_the_same_service() {
        let mut peers = PeersView {
            known: 4,
            reached: 4,
            lowered: 4,
            ..PeersView::default()
        };
        peers.spared[7] = 3;
        assert_eq!(Delays::of(peers, 7, true, &settings()), Delays::FULL);
        assert!(!Delays::of(peers, 6, true, &settings()).is_limited);
        peers.spared[7] = 2;
        assert!(!Delays::of(peers, 7, true, &settings()).is_limited);
    }

    #[test]
    fn a_step_is_urgent_when_fewer_than_half_of_the_nodes_that_answer_are_preferred() {
        for (reached, lowered) in [(2, 1), (3, 2), (4, 2), (16, 8), (16, 16)] {
            let delays = delays(reached, lowered);
            assert_eq!(delays.hold_max, Duration::ZERO, "{reached} {lowered}");
            assert!(!delays.is_limited && delays.chance_max == URGENT_CHANCE);
        }
        for (reached, lowered) in [(2, 0), (3, 1), (4, 1), (16, 7)] {
            let delays = delays(reached, lowered);
            assert_eq!(delays, Delays::FULL, "{reached} {lowered}");
        }
    }
}
