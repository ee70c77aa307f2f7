//! When the next probe of one upstream is due: a value without a clock.
//!
//! Whatever happens, no second has more than [`PROBES_PER_SECOND`] probes in it, and no more than
//! [`DOWN_GAP_MAX`] passes between two of them; no more than [`DARK_GAP_MAX`] while a zone has nobody
//! else, unless the second is full.

use std::time::{Duration, Instant};

/// Between probes of an upstream that answers.
pub const STEADY_GAP: Duration = Duration::from_secs(1);
/// Between probes of an upstream that is doubted.
pub const DOUBT_GAP: Duration = Duration::from_millis(340);
/// Between quick probes, as many as [`PROBES_PER_SECOND`] allows.
pub const QUICK_GAP: Duration = Duration::from_millis(75);
/// So many probes follow each other quickly when one upstream of a zone has become suspected: as
/// many as it takes to know whether the others are dead too. And when a breaker has closed.
pub const QUICK_PROBES: u8 = 3;
/// The most that any second may see.
pub const PROBES_PER_SECOND: usize = 4;
/// From the opening of a breaker to the first probe; doubles up to [`DOWN_GAP_MAX`].
pub const DOWN_GAP_MIN: Duration = Duration::from_millis(250);
/// The longest silence towards an upstream that is down: recovery is seen within this time.
pub const DOWN_GAP_MAX: Duration = Duration::from_secs(4);
/// The same while the zone has no other upstream either: its clients wait for this one.
pub const DARK_GAP_MAX: Duration = Duration::from_millis(500);
/// A breaker that opens again within this time goes on with the gap that it had come to: an
/// upstream that answers every other probe is not probed for ever as if it had just gone down.
pub const FLAP_TIME: Duration = Duration::from_secs(10);

const SECOND: Duration = Duration::from_secs(1);

/// What an upstream looks like to whoever probes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Up, nothing against it.
    Good,
    /// Up, but it loses, or has been down: asked after others until enough probes were answered.
    Doubted,
    /// Up, but a question is late that was sent after its last answer.
    Suspected,
    /// Its breaker is open, and another upstream of its zone is up.
    Down,
    /// Its breaker is open, and so are those of all upstreams of its zone.
    Dark,
}

impl Condition {
    const fn is_down(self) -> bool {
        matches!(self, Self::Down | Self::Dark)
    }

    /// The longest gap between probes of an upstream that is down.
    const fn gap_max(self) -> Duration {
        match self {
            Self::Dark => DARK_GAP_MAX,
            Self::Good | Self::Doubted | Self::Suspected | Self::Down => DOWN_GAP_MAX,
        }
    }
}

/// The schedule of probes of one upstream. `jitter` (any value) shortens a gap by up to a quarter, so
/// that nodes do not probe in step.
#[derive(Debug)]
pub struct Pacing {
    condition: Condition,
    /// Quick probes still to send, whatever the condition.
    quick_left: u8,
    /// The next gap while down.
    down_gap: Duration,
    /// When it was last known to be down.
    down_at: Option<Instant>,
    /// The last probes, the oldest first.
    sent: [Option<Instant>; PROBES_PER_SECOND],
    next: Instant,
}

impl Pacing {
    /// The first probe is due at once.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            condition: Condition::Good,
            quick_left: 0,
            down_gap: DOWN_GAP_MIN,
            down_at: None,
            sent: [None; PROBES_PER_SECOND],
            next: now,
        }
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.next
    }

    /// A probe was sent at `now`.
    pub fn sent(&mut self, condition: Condition, now: Instant, jitter: u8) {
        self.sent.rotate_left(1);
        self.sent[PROBES_PER_SECOND - 1] = Some(now);
        self.rested(condition, now, jitter);
    }

    /// The time has come, and no probe was sent.
    pub fn rested(&mut self, condition: Condition, now: Instant, jitter: u8) {
        self.enter(condition, now);
        let is_quick = self.quick_left > 1;
        self.quick_left = self.quick_left.saturating_sub(1);
        let gap = match condition {
            Condition::Good if !is_quick => STEADY_GAP,
            Condition::Doubted if !is_quick => DOUBT_GAP,
            Condition::Good | Condition::Doubted | Condition::Suspected => QUICK_GAP,
            Condition::Down | Condition::Dark => self.take_down_gap(),
        };
        self.next = self.within_limit(shortened(now, gap, jitter));
    }

    /// Something happened to this upstream, or another of its zone became suspected, went down or came
    /// back: probes it soon, unless it is down as before.
    pub fn woken(&mut self, condition: Condition, now: Instant, jitter: u8) {
        let before = self.condition;
        self.enter(condition, now);
        self.quick_left = QUICK_PROBES;
        let [.., last] = self.sent;
        match condition {
            Condition::Down | Condition::Dark if condition == before => {}
            // Another one is back, and what was wrong with both may be over.
            Condition::Down if before == Condition::Dark => {
                self.down_gap = DOWN_GAP_MIN;
                self.next = self.within_limit(self.next.min(now));
            }
            // Nobody is left, and the gap may have been long.
            Condition::Dark if before == Condition::Down => {
                let due = last.map_or(now, |sent| shortened(sent, DARK_GAP_MAX, jitter));
                self.next = self.within_limit(self.next.min(due.max(now)));
            }
            Condition::Down | Condition::Dark => {
                let gap = self.take_down_gap();
                let due = shortened(now, gap, jitter);
                // The gap is none between probes, of which one may have been sent a second ago.
                let limit = last.map(|sent| sent + condition.gap_max());
                let due = limit
                    .filter(|&limit| limit > now)
                    .map_or(due, |limit| due.min(limit));
                self.next = self.within_limit(due);
            }
            Condition::Good | Condition::Doubted | Condition::Suspected => {
                let due = last.map_or(now, |sent| sent + QUICK_GAP).max(now);
                self.next = self.within_limit(self.next.min(due));
            }
        }
    }

    /// The node's own way into the network has changed: silence until now says little, so gaps begin
    /// anew, and the next probe is due at once.
    pub fn way_changed(&mut self, now: Instant) {
        self.down_gap = DOWN_GAP_MIN;
        self.next = self.within_limit(self.next.min(now));
    }

    fn enter(&mut self, condition: Condition, now: Instant) {
        let (was_down, is_down) = (self.condition.is_down(), condition.is_down());
        let since = self.down_at.map(|at| now.saturating_duration_since(at));
        if is_down && !was_down && since.is_none_or(|since| since >= FLAP_TIME) {
            self.down_gap = DOWN_GAP_MIN;
        }
        if is_down || was_down {
            self.down_at = Some(now);
        }
        self.condition = condition;
    }

    fn take_down_gap(&mut self) -> Duration {
        let gap_max = self.condition.gap_max();
        let gap = self.down_gap.min(gap_max);
        self.down_gap = (gap * 2).min(gap_max);
        gap
    }

    fn within_limit(&self, due: Instant) -> Instant {
        let [oldest, ..] = self.sent;
        oldest.map_or(due, |oldest| due.max(oldest + SECOND))
    }
}

fn shortened(now: Instant, gap: Duration, jitter: u8) -> Instant {
    now + gap - gap * u32::from(jitter) / 1024
}

#[cfg(test)]
mod tests;
