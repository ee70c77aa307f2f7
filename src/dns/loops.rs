//! Forwarding loops: questions of this node that come back to it.
//!
//! An upstream that is this node itself, or that forwards to it, lets every question for its zone die
//! of old age: the questions of a loop join (RFC 9520 §3.1), so that it does not grow, but none of
//! them has an answer. No message says where it has been, and what a client may send proves nothing.
//! Therefore the node [asks](search) each upstream now and then for a name that nobody else knows:
//!
//! `<16 hexadecimal digits>.sidestep-loop.<apex of the forward zone>`, type TXT
//!
//! and listens for it at its own door. One name is out at a time. Whoever forwards the zone forwards
//! the name; where the zone is known it does not exist, which a resolver may know of all names below
//! `sidestep-loop` (RFC 8020, RFC 8198). A node that may not ask us makes no loop, for it is refused
//! first.
//!
//! What is found is reported and counted. The upstream is still asked: others may come to the same
//! answer behind it, and a stranger who has overheard a name must not be able to take an upstream
//! away.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::key::NAME_MAX;

pub mod search;

/// How long a name is listened for.
pub const WINDOW: Duration = Duration::from_secs(1);
/// From the first round over all upstreams to the second, less at most a quarter by chance; each
/// further wait is twice as long. What leads back may have to come up first.
pub const INTERVAL_MIN: Duration = Duration::from_secs(2);
/// The longest wait between rounds.
pub const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Rounds without a sighting after which a loop counts as gone: an upstream that asks others as well
/// does not send every name back.
pub const QUIET_ROUNDS: u8 = 5;

const DIGITS: usize = 16;
const LABEL: &[u8] = b"\x0dsidestep-loop";

/// What workers and the search share; no more than atomics.
#[derive(Debug, Default)]
pub struct LoopWatch {
    /// The number in the name that is out; 0: none is.
    outstanding: AtomicU64,
    seen: AtomicBool,
    returned: AtomicU64,
    looping: AtomicU64,
}

impl LoopWatch {
    /// A name with this number is about to be sent. The one before is forgotten.
    pub fn begin(&self, number: NonZeroU64) {
        self.seen.store(false, Ordering::Relaxed);
        self.outstanding.store(number.get(), Ordering::Release);
    }

    /// Whether the name has come back since [`LoopWatch::begin`]; from now on it is a name like any
    /// other.
    #[must_use]
    pub fn end(&self) -> bool {
        self.outstanding.store(0, Ordering::Relaxed);
        self.seen.swap(false, Ordering::Acquire)
    }

    /// Whether a client asks for the name that is out: wire form, lower case.
    #[must_use]
    pub fn comes_back(&self, name: &[u8]) -> bool {
        let Some(number) = number_in(name) else {
            return false;
        };
        if self.outstanding.load(Ordering::Acquire) != number {
            return false;
        }
        self.seen.store(true, Ordering::Release);
        self.returned.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Questions that came back.
    #[must_use]
    pub fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// Upstreams that lead back here.
    #[must_use]
    pub fn looping(&self) -> u64 {
        self.looping.load(Ordering::Relaxed)
    }

    /// To be told after each round.
    pub fn set_looping(&self, upstreams: u64) {
        self.looping.store(upstreams, Ordering::Relaxed);
    }
}

/// What is known of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// Rounds until the loop counts as gone; 0: there is none.
    left: u8,
}

/// What a round has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A name came back for the first time.
    Found,
    /// None has come back for [`QUIET_ROUNDS`].
    Gone,
}

impl Sightings {
    /// A round has ended in which the name did or did not come back.
    pub fn handle_round(&mut self, came_back: bool) -> Option<Change> {
        let before = self.is_looping();
        self.left = if came_back {
            QUIET_ROUNDS
        } else {
            self.left.saturating_sub(1)
        };
        match (before, self.is_looping()) {
            (false, true) => Some(Change::Found),
            (true, false) => Some(Change::Gone),
            (false, false) | (true, true) => None,
        }
    }

    /// Whether the upstream leads back here.
    #[must_use]
    pub fn is_looping(&self) -> bool {
        self.left > 0
    }
}

/// The name to ask an upstream for; `None`: the apex leaves no room.
#[must_use]
pub fn name(number: NonZeroU64, apex: &[u8]) -> Option<Vec<u8>> {
    let mut name = u8::try_from(DIGITS).ok().into_iter().collect::<Vec<_>>();
    name.extend_from_slice(format!("{number:016x}").as_bytes());
    name.extend_from_slice(LABEL);
    name.extend_from_slice(apex);
    (name.len() <= NAME_MAX).then_some(name)
}

/// The number in such a name, whatever the apex. Most names end at the first comparison.
fn number_in(name: &[u8]) -> Option<u64> {
    let (&length, rest) = name.split_first()?;
    if usize::from(length) != DIGITS {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(DIGITS)?;
    if !rest.starts_with(LABEL) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests;
