//! Questions that failed and are asked again while the answers of their zone are poor.
//!
//! Source: RFC 9520 §3.2 (what fails for one name may well do for others: most of them have to agree).
//! When a fault has moved all clients to other nodes, these questions alone can tell that it is over.

use std::time::{Duration, Instant};

use super::super::key::Key;

/// So many are asked again for each zone.
pub const WITNESSES: usize = 8;
/// Between two times that one of them is asked.
const ROUND: Duration = Duration::from_secs(2);
/// Right answers in a row that make a name count as one that resolves.
const RISE: u8 = 2;
/// A name that has not resolved for so long is about itself, and no witness.
const PATIENCE: Duration = Duration::from_secs(600);

/// One such question.
#[derive(Clone, Debug)]
pub struct Witness {
    /// What is asked.
    pub key: Key,
    /// Of this zone's witnesses, which; used again for no other.
    pub number: u64,
    since: Instant,
    due: Instant,
    is_under_way: bool,
    good: u8,
}

/// The witnesses of one zone, as a value.
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    kept: Vec<Witness>,
    dropped: Vec<Key>,
    numbered: u64,
}

impl Witnesses {
    /// Takes questions that have failed, as far as there is room. They are asked one after the other
    /// within a round, for the others' first turn comes later.
    pub fn add(&mut self, failed: impl IntoIterator<Item = Key>, now: Instant) {
        for key in failed {
            let is_known = self.kept.iter().any(|witness| witness.key == key);
            if is_known || self.dropped.contains(&key) || self.kept.len() >= WITNESSES {
                continue;
            }
            let place = u32::try_from(self.kept.len()).unwrap_or_default();
            self.numbered += 1;
            self.kept.push(Witness {
                key,
                number: self.numbered,
                since: now,
                due: now + ROUND * place / WITNESSES as u32,
                is_under_way: false,
                good: 0,
            });
        }
    }

    /// Whether more are wanted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.kept.len() < WITNESSES
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The next question that is due at `now`: taken to be under way from then on.
    pub fn poll(&mut self, now: Instant) -> Option<(u64, Key)> {
        let mut idle = self.kept.iter_mut().filter(|one| !one.is_under_way);
        let witness = idle.find(|witness| witness.due <= now)?;
        witness.is_under_way = true;
        witness.due = now + ROUND;
        Some((witness.number, witness.key))
    }

    /// When the next question is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.kept.iter().filter(|witness| !witness.is_under_way);
        idle.map(|witness| witness.due).min()
    }

    /// What has become of a question.
    pub fn handle_result(&mut self, number: u64, is_good: bool, now: Instant) {
        let mut all = self.kept.iter_mut();
        let Some(witness) = all.find(|witness| witness.number == number) else {
            return;
        };
        witness.is_under_way = false;
        if is_good {
            witness.good = witness.good.saturating_add(1);
            return;
        }
        witness.good = 0;
        if now.saturating_duration_since(witness.since) >= PATIENCE {
            let key = witness.key;
            self.kept.retain(|witness| witness.number != number);
            // The places of all that can have been dropped by now, and no more.
            if self.dropped.len() < 4 * WITNESSES {
                self.dropped.push(key);
            }
        }
    }

    /// How many there are, and how many of them resolve.
    #[must_use]
    pub fn count(&self) -> (u8, u8) {
        let resolving = self.kept.iter().filter(|witness| witness.good >= RISE);
        let few = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        (few(self.kept.len()), few(resolving.count()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::shared::tests::start as now;
    use super::*;

    fn key(number: u8) -> Key {
        Key::new(&[1, b'a' + number, 0], 1, 1, false, false).unwrap()
    }

    #[test]
    fn questions_are_spread_over_a_round_and_asked_one_at_a_time() {
        let start = now();
        let mut witnesses = Witnesses::default();
        witnesses.add((0..12).map(key), start);
        assert!(!witnesses.has_room());
        assert_eq!(witnesses.poll(start), Some((1, key(0))));
        assert_eq!(witnesses.poll(start), None);
        let gap = ROUND / WITNESSES as u32;
        assert_eq!(witnesses.poll_timeout(), Some(start + gap));
        for place in 1..8 {
            assert_eq!(witnesses.poll(start + gap * u32::from(place)), {
                Some((u64::from(place) + 1, key(place)))
            });
        }
        assert_eq!(witnesses.poll(start + ROUND * 9), None, "all under way");
        witnesses.handle_result(1, true, start + ROUND * 9);
        assert_eq!(witnesses.poll(start + ROUND * 9), Some((1, key(0))));
    }

    #[test]
    fn a_name_resolves_after_two_right_answers_in_a_row() {
        let start = now();
        let mut witnesses = Witnesses::default();
        witnesses.add([key(0)], start);
        for (is_good, expected) in [(true, 0), (false, 0), (true, 0), (true, 1), (false, 0)] {
            witnesses.handle_result(1, is_good, start);
            assert_eq!(witnesses.count(), (1, expected));
        }
    }

    #[test]
    fn a_name_that_never_resolves_is_dropped_after_ten_minutes_and_does_not_come_back() {
        let start = now();
        let mut witnesses = Witnesses::default();
        witnesses.add([key(0)], start);
        let almost = start + PATIENCE - Duration::from_millis(1);
        witnesses.handle_result(1, false, almost);
        assert_eq!(witnesses.count(), (1, 0));
        witnesses.handle_result(1, false, start + PATIENCE);
        assert!(witnesses.is_empty());
        witnesses.add([key(0)], start + PATIENCE);
        assert!(witnesses.is_empty());
        witnesses.add([key(1)], start + PATIENCE);
        assert_eq!(witnesses.count(), (1, 0));
    }
}
