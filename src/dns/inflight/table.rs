//! Where questions are kept: places that are used again and again, found by a keyed hash.
//!
//! Buckets are chains through the places, so that nothing is moved or allocated for a question that
//! comes or goes; as many buckets as questions at most keep the chains short.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};
use std::time::Instant;

use super::super::client::Prefix;
use super::super::key::Key;
use super::super::upstream::ZoneIndex;
use super::FlightId;
use super::race::Race;

/// Stands for "nothing" in chains.
pub(super) const NONE: usize = usize::MAX;

/// Places with and without a question.
#[derive(Debug)]
pub(super) struct Table<W> {
    hashing: RandomState,
    /// The first place of each.
    buckets: Box<[usize]>,
    places: Vec<Race<W>>,
    vacant: Vec<usize>,
}

impl<W> Table<W> {
    pub(super) fn new(questions_max: usize) -> Self {
        let buckets = questions_max.max(1).next_power_of_two();
        Self {
            hashing: RandomState::new(),
            buckets: vec![NONE; buckets].into(),
            places: Vec::new(),
            vacant: Vec::new(),
        }
    }

    /// How many questions there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.vacant.len()
    }

    /// Every place there has ever been.
    pub(super) fn places(&self) -> std::ops::Range<usize> {
        0..self.places.len()
    }

    pub(super) fn fingerprint(&self, key: &Key) -> u64 {
        self.hashing.hash_one(key)
    }

    /// The keyed hash of a client prefix.
    pub(super) fn hash_of(&self, prefix: Prefix) -> u64 {
        self.hashing.hash_one(prefix)
    }

    /// Where a question is.
    pub(super) fn find(&self, key: &Key, fingerprint: u64) -> Option<usize> {
        let mut place = self.buckets[self.bucket(fingerprint)];
        loop {
            let race = self.places.get(place)?;
            if race.fingerprint == fingerprint && race.key == *key {
                return Some(place);
            }
            place = race.chained;
        }
    }

    /// The question of that name, if it has not ended.
    pub(super) fn get(&self, flight: FlightId) -> Option<&Race<W>> {
        self.places
            .get(flight.place)
            .filter(|race| race.generation == flight.generation)
    }

    /// A place that is to be linked or given back.
    pub(super) fn take_vacant(&mut self, key: &Key, zone: ZoneIndex, now: Instant) -> usize {
        self.vacant.pop().unwrap_or_else(|| {
            self.places.push(Race::vacant(key, zone, now));
            self.places.len() - 1
        })
    }

    /// Lets the question at `place` be found.
    pub(super) fn link(&mut self, place: usize) {
        let bucket = self.bucket(self.places[place].fingerprint);
        self.places[place].chained = std::mem::replace(&mut self.buckets[bucket], place);
    }

    /// Lets it be found no longer.
    pub(super) fn unlink(&mut self, place: usize) {
        let chained = self.places[place].chained;
        let bucket = self.bucket(self.places[place].fingerprint);
        let mut before = self.buckets[bucket];
        if before == place {
            self.buckets[bucket] = chained;
        }
        while let Some(race) = self.places.get_mut(before) {
            if race.chained == place {
                race.chained = chained;
            }
            before = race.chained;
        }
    }

    /// Takes a place back that is not linked.
    pub(super) fn give_back(&mut self, place: usize) {
        self.vacant.push(place);
    }

    /// Below the number of buckets, which is a power of two.
    fn bucket(&self, fingerprint: u64) -> usize {
        fingerprint as usize & (self.buckets.len() - 1)
    }
}

impl<W> Index<usize> for Table<W> {
    type Output = Race<W>;

    fn index(&self, place: usize) -> &Race<W> {
        &self.places[place]
    }
}

impl<W> IndexMut<usize> for Table<W> {
    fn index_mut(&mut self, place: usize) -> &mut Race<W> {
        &mut self.places[place]
    }
}
