//! Identical questions under way are one exchange with many waiters: the bounded table of them.
//!
//! When full, nothing waits in a queue: the question is turned away and counted by the caller.

use std::collections::HashMap;

use super::key::Key;

/// Questions of one worker that are under way, with those who wait for each.
#[derive(Debug)]
pub struct Inflight<W> {
    flights: HashMap<Key, Vec<W>>,
    waiting: usize,
    flights_max: usize,
    waiting_max: usize,
}

/// What became of somebody who wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Join {
    /// The question is under way: wait.
    Joined,
    /// The question was not under way: the caller begins it, and calls [`Inflight::finish`].
    Started,
    /// Too many exchanges or too many waiters: nobody waits.
    Full,
}

impl<W> Inflight<W> {
    /// At most `flights_max` different questions and `waiting_max` waiters altogether.
    #[must_use]
    pub fn new(flights_max: usize, waiting_max: usize) -> Self {
        Self {
            flights: HashMap::new(),
            waiting: 0,
            flights_max,
            waiting_max,
        }
    }

    /// Adds a waiter for a question.
    pub fn join(&mut self, key: &Key, waiter: W) -> Join {
        if self.waiting >= self.waiting_max {
            return Join::Full;
        }
        let outcome = if let Some(waiters) = self.flights.get_mut(key) {
            waiters.push(waiter);
            Join::Joined
        } else if self.flights.len() < self.flights_max {
            self.flights.insert(*key, vec![waiter]);
            Join::Started
        } else {
            return Join::Full;
        };
        self.waiting += 1;
        outcome
    }

    /// Ends a question and hands out its waiters; none when it was not under way.
    pub fn finish(&mut self, key: &Key) -> Vec<W> {
        let waiters = self.flights.remove(key).unwrap_or_default();
        self.waiting -= waiters.len();
        waiters
    }

    /// How many different questions are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Whether no question is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(label: u8) -> Key {
        Key::new(&[1, label, 0], 1, 1, false, false).unwrap()
    }

    #[test]
    fn identical_questions_share_one_exchange() {
        let mut inflight = Inflight::new(10, 10);
        assert_eq!(inflight.join(&key(b'a'), 1), Join::Started);
        assert_eq!(inflight.join(&key(b'A'), 2), Join::Joined);
        assert_eq!(inflight.join(&key(b'b'), 3), Join::Started);
        assert_eq!(inflight.finish(&key(b'a')), [1, 2]);
        assert!(inflight.finish(&key(b'a')).is_empty());
        assert_eq!(inflight.join(&key(b'a'), 4), Join::Started);
        assert_eq!(inflight.len(), 2);
    }

    #[test]
    fn the_last_place_is_given_and_one_more_is_not() {
        let mut inflight = Inflight::new(2, 10);
        assert_eq!(inflight.join(&key(b'a'), ()), Join::Started);
        assert_eq!(inflight.join(&key(b'b'), ()), Join::Started);
        assert_eq!(inflight.join(&key(b'c'), ()), Join::Full);
        assert_eq!(inflight.join(&key(b'a'), ()), Join::Joined);
        inflight.finish(&key(b'b'));
        assert_eq!(inflight.join(&key(b'c'), ()), Join::Started);
    }

    #[test]
    fn waiters_are_bounded_over_all_questions() {
        let mut inflight = Inflight::new(10, 3);
        assert_eq!(inflight.join(&key(b'a'), ()), Join::Started);
        assert_eq!(inflight.join(&key(b'a'), ()), Join::Joined);
        assert_eq!(inflight.join(&key(b'b'), ()), Join::Started);
        assert_eq!(inflight.join(&key(b'a'), ()), Join::Full);
        assert_eq!(inflight.join(&key(b'c'), ()), Join::Full);
        assert_eq!(inflight.finish(&key(b'a')).len(), 2);
        assert_eq!(inflight.join(&key(b'c'), ()), Join::Started);
        inflight.finish(&key(b'b'));
        inflight.finish(&key(b'c'));
        assert!(inflight.is_empty());
    }
}
