//! What is remembered of so many keys and no more: a set-associative table.
//!
//! No RFC describes it: a cache of eight ways, as processors have them.
//! A key belongs to one set of eight places. When none of them is its own, the place that has been
//! left alone for longest becomes it: who comes often stays, however many others come once. Which keys
//! share a set is not known outside, for the hash is keyed; the keys of a set stand in one cache line.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Places of a set.
pub(super) const WAYS: usize = 8;
/// A place that was not touched for this long has nothing to forget: its buckets are full again.
const FORGOTTEN_US: u64 = 1_000_000;

/// States by key.
#[derive(Debug)]
pub(super) struct Table<S> {
    /// A power of two of them.
    sets: Box<[Set<S>]>,
    hasher: RandomState,
    evictions: u64,
}

/// An empty place has the key 0 and a fresh state, which is what the key 0 would have.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Set<S> {
    keys: [u64; WAYS],
    touched_us: [u64; WAYS],
    states: [S; WAYS],
}

/// A place in a table; good until another key is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    set: usize,
    way: usize,
}

/// What [`Table::find`] has found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    /// Since the place was last touched.
    pub(super) elapsed_us: u64,
    /// The place was another key's, whose state is still there.
    pub(super) is_taken_over: bool,
}

impl<S: Clone + Default> Table<S> {
    /// At least `places`.
    pub(super) fn new(places: usize) -> Self {
        let sets = places.div_ceil(WAYS).next_power_of_two();
        Self {
            sets: vec![Set::default(); sets].into(),
            hasher: RandomState::new(),
            evictions: 0,
        }
    }

    /// The place of `key`, touched at `now_us`.
    pub(super) fn find(&mut self, key: u64, now_us: u64) -> Found {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash & (self.sets.len() as u64 - 1)).unwrap_or_default();
        let set = &mut self.sets[index];
        let own = set.keys.iter().position(|known| *known == key);
        let way = own.unwrap_or_else(|| set.oldest());
        let elapsed_us = now_us.saturating_sub(set.touched_us[way]);
        if own.is_none() {
            self.evictions += u64::from(set.keys[way] != 0 && elapsed_us < FORGOTTEN_US);
            set.keys[way] = key;
        }
        set.touched_us[way] = set.touched_us[way].max(now_us);
        Found {
            place: Place { set: index, way },
            elapsed_us,
            is_taken_over: own.is_none(),
        }
    }

    /// What is remembered there.
    pub(super) fn at(&mut self, place: Place) -> &mut S {
        // Only `find` makes places, and a table keeps its size.
        &mut self.sets[place.set].states[place.way]
    }

    /// How often something was forgotten that was not a second old.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Most keys that are remembered at a time.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Whether anything is remembered of `key`.
    #[cfg(test)]
    pub(super) fn knows(&self, key: u64) -> bool {
        self.sets.iter().any(|set| set.keys.contains(&key))
    }

    /// For hashing what the keys of this table are made of.
    pub(super) fn hasher(&self) -> &RandomState {
        &self.hasher
    }
}

impl<S> Set<S> {
    fn oldest(&self) -> usize {
        let ways = self.touched_us.iter().enumerate();
        let oldest = ways.min_by_key(|&(_, touched_us)| *touched_us);
        oldest.map_or(0, |(way, _)| way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one set.
    fn table() -> Table<u64> {
        Table::new(WAYS)
    }

    fn put(table: &mut Table<u64>, key: u64, now_us: u64) -> bool {
        let found = table.find(key, now_us);
        *table.at(found.place) = key;
        found.is_taken_over
    }

    #[test]
    fn the_place_that_was_left_alone_for_longest_is_taken_over() {
        let mut table = table();
        for key in 1..=8 {
            assert!(put(&mut table, key, key));
        }
        assert!(!put(&mut table, 1, 9));
        assert!(put(&mut table, 9, 10));
        let found = table.find(1, 11);
        assert_eq!((found.elapsed_us, found.is_taken_over), (2, false));
        assert_eq!(*table.at(found.place), 1);
        // 2 is gone, and comes to the place of 3.
        let found = table.find(2, 12);
        assert_eq!((found.elapsed_us, found.is_taken_over), (9, true));
        assert_eq!(*table.at(found.place), 3);
    }

    #[test]
    fn an_eviction_counts_when_something_is_lost() {
        let mut table = table();
        for key in 1..=8 {
            put(&mut table, key, 1);
        }
        assert_eq!(table.evictions(), 0);
        put(&mut table, 9, FORGOTTEN_US);
        assert_eq!(table.evictions(), 1);
        put(&mut table, 10, FORGOTTEN_US + 1);
        assert_eq!(table.evictions(), 1);
    }

    #[test]
    fn keys_of_a_set_share_a_cache_line() {
        assert_eq!(align_of::<Set<u64>>(), 64);
        assert_eq!(size_of::<[u64; WAYS]>(), 64);
    }

    #[test]
    fn a_table_has_room_for_what_it_was_made_for() {
        for (places, sets) in [(0, 1), (8, 1), (9, 2), (4096, 512)] {
            assert_eq!(Table::<u64>::new(places).sets.len(), sets, "{places}");
        }
    }
}
