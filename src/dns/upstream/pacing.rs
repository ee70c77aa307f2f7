//! When the next probe of one upstream is due: a value without a clock.

use std::time::{Duration, Instant};

/// Between probes of an upstream that answers.
pub const STEADY_GAP: Duration = Duration::from_secs(1);
/// Between probes of a suspected upstream.
pub const QUICK_GAP: Duration = Duration::from_millis(75);
/// So many probes follow each other quickly when one upstream of a zone has become suspected: as
/// many as it takes to know whether the others are dead too.
pub const QUICK_PROBES: u8 = 4;
/// Between the first probes of an upstream that is down; doubles up to [`DOWN_GAP_MAX`].
pub const DOWN_GAP_MIN: Duration = Duration::from_millis(250);
/// The longest silence towards an upstream that is down: recovery is seen within this time.
pub const DOWN_GAP_MAX: Duration = Duration::from_secs(4);

/// What an upstream looks like to whoever probes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Up, nothing against it.
    Good,
    /// Up, but a question is late that was sent after its last answer.
    Suspected,
    /// Known to be dead.
    Down,
}

/// The schedule of probes of one upstream.
#[derive(Debug)]
pub struct Pacing {
    condition: Condition,
    /// Quick probes still to send, whatever the condition.
    quick_left: u8,
    /// The gap while down.
    down_gap: Duration,
    last_sent: Option<Instant>,
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
            last_sent: None,
            next: now,
        }
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.next
    }

    /// A probe was sent at `now`. `jitter` (any value) shortens the gap by up to a quarter, so
    /// that nodes do not probe in step.
    pub fn sent(&mut self, condition: Condition, now: Instant, jitter: u8) {
        self.enter(condition);
        self.last_sent = Some(now);
        let is_quick = self.quick_left > 1;
        self.quick_left = self.quick_left.saturating_sub(1);
        let gap = match condition {
            Condition::Good if !is_quick => STEADY_GAP,
            Condition::Good | Condition::Suspected => QUICK_GAP,
            Condition::Down => {
                let gap = self.down_gap;
                self.down_gap = (gap * 2).min(DOWN_GAP_MAX);
                gap
            }
        };
        self.next = now + gap - gap * u32::from(jitter) / 1024;
    }

    /// Something happened to this upstream, or one of its zone became suspected: probes it soon,
    /// unless it is known to be dead.
    pub fn woken(&mut self, condition: Condition, now: Instant) {
        let was_down = self.condition == Condition::Down;
        self.enter(condition);
        self.quick_left = QUICK_PROBES;
        let gap = match condition {
            Condition::Good | Condition::Suspected => QUICK_GAP,
            Condition::Down if was_down => return,
            Condition::Down => DOWN_GAP_MIN,
        };
        let due = self.last_sent.map_or(now, |sent| sent + gap).max(now);
        self.next = self.next.min(due);
    }

    fn enter(&mut self, condition: Condition) {
        if condition == Condition::Down && self.condition != Condition::Down {
            self.down_gap = DOWN_GAP_MIN;
        }
        self.condition = condition;
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "simulated time needs a starting point"
    )]

    use super::*;

    #[test]
    fn an_upstream_that_answers_is_probed_once_a_second() {
        let start = Instant::now();
        let mut pacing = Pacing::new(start);
        assert_eq!(pacing.next(), start);
        pacing.sent(Condition::Good, start, 0);
        assert_eq!(pacing.next(), start + STEADY_GAP);
    }

    #[test]
    fn jitter_shortens_by_at_most_a_quarter() {
        let start = Instant::now();
        let mut pacing = Pacing::new(start);
        pacing.sent(Condition::Good, start, u8::MAX);
        assert!(pacing.next() > start + STEADY_GAP * 3 / 4);
        assert!(pacing.next() < start + STEADY_GAP);
    }

    #[test]
    fn suspicion_brings_the_next_probe_forward_but_keeps_the_quick_gap() {
        let start = Instant::now();
        let mut pacing = Pacing::new(start);
        pacing.sent(Condition::Good, start, 0);
        pacing.woken(Condition::Suspected, start + Duration::from_millis(10));
        assert_eq!(pacing.next(), start + QUICK_GAP);
        let later = start + Duration::from_millis(500);
        let mut pacing = Pacing::new(start);
        pacing.sent(Condition::Good, start, 0);
        pacing.woken(Condition::Suspected, later);
        assert_eq!(pacing.next(), later);
    }

    /// The suspicion of one upstream has the others of its zone looked at as closely.
    #[test]
    fn a_wake_of_a_good_upstream_brings_four_quick_probes() {
        let mut now = Instant::now();
        let mut pacing = Pacing::new(now);
        pacing.woken(Condition::Good, now);
        let mut gaps = Vec::new();
        for _ in 0..5 {
            pacing.sent(Condition::Good, now, 0);
            gaps.push(pacing.next() - now);
            now = pacing.next();
        }
        assert_eq!(
            gaps,
            [QUICK_GAP, QUICK_GAP, QUICK_GAP, STEADY_GAP, STEADY_GAP]
        );
    }

    /// 250 ms, 500 ms, 1 s, 2 s, then 4 s for ever: a recovery is seen within 5 s.
    #[test]
    fn gaps_to_a_dead_upstream_grow_to_four_seconds_and_no_further() {
        let mut now = Instant::now();
        let mut pacing = Pacing::new(now);
        let mut gaps = Vec::new();
        for _ in 0..7 {
            pacing.sent(Condition::Down, now, 0);
            gaps.push((pacing.next() - now).as_millis());
            now = pacing.next();
        }
        assert_eq!(gaps, [250, 500, 1000, 2000, 4000, 4000, 4000]);
        pacing.sent(Condition::Good, now, 0);
        pacing.sent(Condition::Down, now, 0);
        assert_eq!(pacing.next(), now + DOWN_GAP_MIN);
    }

    #[test]
    fn going_down_shortens_the_wait_and_further_wakes_do_not() {
        let start = Instant::now();
        let mut pacing = Pacing::new(start);
        pacing.sent(Condition::Good, start, 0);
        pacing.woken(Condition::Down, start);
        assert_eq!(pacing.next(), start + DOWN_GAP_MIN);
        pacing.sent(Condition::Down, start, 0);
        pacing.sent(Condition::Down, start, 0);
        let next = pacing.next();
        pacing.woken(Condition::Down, start);
        assert_eq!(pacing.next(), next);
    }
}
