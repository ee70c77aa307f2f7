//! Names that should always resolve (`[health.canary]`), and when each is asked for.
//!
//! Source: RFC 2308 §2 (that a name or a type does not exist is an answer), RFC 1035 §2.3.4 (the
//! length of names), RFC 4592 §2.1.1 (`*`, which stands for any label here too).
//!
//! Canaries show what probes of an apex cannot: whether the upstreams of a zone still resolve. They
//! are asked past the cache, one after the other over the interval, by [`asking`]. A name that begins
//! with `*.` is asked for with another label each time, so that no cache on the way knows it.

use std::time::{Duration, Instant};

use super::key::{Key, NAME_MAX};

pub mod asking;

/// So many may be configured.
pub const CANARIES_MAX: usize = 32;
/// A canary that has not resolved is asked for again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// So often, as long as it resolves; then it is asked for at its interval again.
const TIMES_AGAIN: u8 = 8;
const DIGITS: usize = 16;
const CLASS_IN: u16 = 1;

/// What the query path is told of canaries by the configuration; already checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CanarySettings {
    /// At most [`CANARIES_MAX`]. Default none.
    pub canaries: Vec<Canary>,
    /// How many of those of a zone have to resolve, or all where it has fewer; `None`: more than half.
    pub needed: Option<u8>,
    /// How often each is asked for, 1 s to 10 min. Default 5 s.
    pub interval: Duration,
}

/// A name that should always resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Uncompressed wire form, lower case; without the `*` that it may begin with.
    pub name: Vec<u8>,
    /// A label of chance is put before it.
    pub is_fresh: bool,
    /// Type code.
    pub rtype: u16,
}

impl Canary {
    /// The question, with a label of chance where one is wanted; `None`: the name leaves no room.
    #[must_use]
    pub fn question(&self, chance: u64) -> Option<Key> {
        if !self.is_fresh {
            return Key::new(&self.name, self.rtype, CLASS_IN, false, false);
        }
        let mut name: Vec<u8> = u8::try_from(DIGITS).ok().into_iter().collect();
        name.extend_from_slice(format!("{chance:016x}").as_bytes());
        name.extend_from_slice(&self.name);
        Key::new(&name, self.rtype, CLASS_IN, false, false)
    }

    /// Whether there is room for the label of chance.
    #[must_use]
    pub fn fits(&self) -> bool {
        !self.is_fresh || self.name.len() + DIGITS < NAME_MAX
    }
}

/// How a canary has fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryResult {
    /// Its place in [`CanarySettings::canaries`].
    pub canary: usize,
    /// Whether it resolved in time.
    pub is_good: bool,
}

/// When each canary is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    turns: Vec<Turn>,
    interval: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    due: Instant,
    is_under_way: bool,
    /// How often it is to be asked for soon after.
    again: u8,
}

impl Schedule {
    /// Spreads `count` canaries over the interval; `phase` of 0 to 1 is a matter of chance, so that
    /// nodes that start together do not ask together.
    #[must_use]
    pub fn new(count: usize, interval: Duration, phase: f64, now: Instant) -> Self {
        let gap = interval / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let first = now + gap.mul_f64(phase.clamp(0.0, 1.0));
        let turn = |place| Turn {
            due: first + gap * place,
            is_under_way: false,
            again: 0,
        };
        Self {
            turns: (0..).map(turn).take(count).collect(),
            interval,
        }
    }

    /// The next canary that is due at `now`: taken to be under way from then on.
    pub fn poll(&mut self, now: Instant) -> Option<usize> {
        let mut turns = self.turns.iter_mut().enumerate();
        let (place, turn) = turns.find(|(_, turn)| !turn.is_under_way && turn.due <= now)?;
        turn.is_under_way = true;
        // The place in the interval stays, unless it has been missed altogether.
        turn.due = (turn.due + self.interval).max(now);
        Some(place)
    }

    /// When the next one is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.turns.iter().filter(|turn| !turn.is_under_way);
        idle.map(|turn| turn.due).min()
    }

    /// What has become of a question. What fails is soon asked again: so many results in a row are
    /// wanted for a failure, and for its end.
    pub fn handle_result(&mut self, result: CanaryResult, now: Instant) {
        let Some(turn) = self.turns.get_mut(result.canary) else {
            return;
        };
        turn.is_under_way = false;
        turn.again = if result.is_good {
            turn.again.saturating_sub(1)
        } else {
            TIMES_AGAIN
        };
        if turn.again > 0 {
            turn.due = turn.due.min(now + AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shared::tests::start;
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn result(is_good: bool) -> CanaryResult {
        CanaryResult { canary: 0, is_good }
    }

    /// The times at which questions leave in the next `seconds`, in ms, when each has this result.
    fn times(schedule: &mut Schedule, start: Instant, seconds: u64, is_good: bool) -> Vec<u64> {
        let mut times = Vec::new();
        for ms in 0..seconds * 1000 {
            let now = start + Duration::from_millis(ms);
            while let Some(canary) = schedule.poll(now) {
                times.push(ms);
                schedule.handle_result(CanaryResult { canary, is_good }, now);
            }
        }
        times
    }

    #[test]
    fn canaries_are_spread_over_the_interval_and_never_asked_in_a_burst() {
        let begun = start();
        let mut schedule = Schedule::new(5, INTERVAL, 0.5, begun);
        let expected: Vec<u64> = (0..10).map(|turn| 500 + 1000 * turn).collect();
        assert_eq!(times(&mut schedule, begun, 10, true), expected);
    }

    #[test]
    fn a_canary_that_failed_is_asked_each_second_until_it_has_done_well_for_long() {
        let begun = start();
        let mut schedule = Schedule::new(1, INTERVAL, 0.0, begun);
        assert_eq!(times(&mut schedule, begun, 4, false), [0, 1000, 2000, 3000]);
        let later = begun + Duration::from_secs(4);
        let good = times(&mut schedule, later, 30, true);
        assert_eq!(good[..8], [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000]);
        assert!(good[9] - good[8] >= 4000, "{good:?}");
    }

    #[test]
    fn a_canary_under_way_is_not_asked_again() {
        let begun = start();
        let mut schedule = Schedule::new(1, INTERVAL, 0.0, begun);
        assert_eq!(schedule.poll(begun), Some(0));
        assert_eq!(schedule.poll(begun + INTERVAL * 9), None);
        assert_eq!(schedule.poll_timeout(), None);
        schedule.handle_result(result(true), begun + INTERVAL * 9);
        assert_eq!(schedule.poll(begun + INTERVAL * 9), Some(0));
        assert_eq!(schedule.poll(begun + INTERVAL * 9), None);
    }

    #[test]
    fn no_canary_is_never_due() {
        let mut schedule = Schedule::new(0, INTERVAL, 0.0, start());
        assert_eq!(
            (schedule.poll(start()), schedule.poll_timeout()),
            (None, None)
        );
    }

    #[test]
    fn a_fresh_name_is_another_one_each_time() {
        let canary = Canary {
            name: b"\x07example\x00".to_vec(),
            is_fresh: true,
            rtype: 1,
        };
        let name = |chance| canary.question(chance).unwrap().name().to_vec();
        assert_eq!(name(1), b"\x100000000000000001\x07example\x00");
        assert_ne!(name(1), name(2));
        let plain = Canary {
            is_fresh: false,
            ..canary
        };
        assert_eq!(plain.question(1).unwrap().name(), b"\x07example\x00");
    }

    /// RFC 1035 §2.3.4.
    #[test]
    fn a_label_of_chance_needs_room() {
        let of_length = |octets: usize| Canary {
            name: vec![0; octets],
            is_fresh: true,
            rtype: 1,
        };
        assert!(of_length(NAME_MAX - 17).fits() && of_length(NAME_MAX - 17).question(7).is_some());
        assert!(!of_length(NAME_MAX - 16).fits());
        assert!(of_length(NAME_MAX - 16).question(7).is_none());
    }
}
