//! What came of the questions to the upstreams, as clients see it: answered in time, or not.
//!
//! Counted once for each question that a client had asked of the upstreams; what the cache answers,
//! refreshes that nobody waits for and questions of other nodes count nowhere. A question has **failed**
//! when its answer was an error that is no verdict of DNSSEC (RFC 8914 §4.7 to §4.13, for those are
//! about the name), when there was none, when only a sibling had one, or when it came later than
//! [`Quality::set_late_after`] says. What was shed is load, and counts nowhere.
//!
//! One domain or one client prefix must not be able to make or to hide a fault, however loud it is. So
//! questions for a critical zone are counted in a table of [`DOMAINS`] × [`PREFIXES`] pairs by keyed
//! hashes of both: whoever judges them may give each pair one vote, and look at what remains without
//! any one row or column. Two that share a bucket count as one. Of IPv6 addresses a prefix is a /48 here,
//! whatever limits take for one, for whoever has one of these has many of the longer ones.
//!
//! Each worker is the only writer of its [`Tallies`], so that counting is a load and a store. A table
//! takes 2 KiB for each worker; the first [`TABLES_MAX`] critical zones have one, other zones have two
//! totals.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::client::Prefix;
use super::hash_key::HashKey;
use super::inflight::domain;
use super::key::Key;

mod failures;
mod tally;
mod witnesses;

use failures::Failures;
use tally::Tally;

pub use tally::{DOMAINS, PREFIXES, TIMES, time_bound};
pub use witnesses::{WITNESSES, Witness, Witnesses};

/// So many zones have a table.
pub const TABLES_MAX: usize = 64;
/// How late an answer may be as long as nobody has said otherwise.
const LATE_AFTER: Duration = Duration::from_millis(800);

/// What workers and whoever judges them share, for all zones of one [`super::upstream::Upstreams`].
#[derive(Debug)]
pub struct Quality {
    zones: Box<[ZoneQuality]>,
    /// One key for all workers: a prefix, or a domain, has to be the same one for each of them.
    key: HashKey,
    workers: Mutex<Vec<Arc<Tallies>>>,
    changes: Notify,
}

#[derive(Debug)]
struct ZoneQuality {
    apex: Box<[u8]>,
    has_table: bool,
    late_after_us: AtomicU64,
    is_watched: AtomicBool,
    /// Witnesses asked, and those that resolve: see [`Quality::witnesses`].
    asked_and_resolving: AtomicU64,
    failures: Failures,
}

/// What one worker counts, by zone.
#[derive(Debug)]
#[repr(align(128))]
pub struct Tallies {
    zones: Box<[Tally]>,
}

/// A question that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    pub(super) key: &'a Key,
    /// Of who asked first.
    pub(super) prefix: Prefix,
    /// How long a good answer took, without the time in the queue; `None`: it failed.
    pub(super) took: Option<Duration>,
}

impl Quality {
    /// For zones in order, each with its apex in wire form and whether it is critical. `key` says which
    /// prefixes share a bucket.
    #[must_use]
    pub fn new<'a>(
        zones: impl Iterator<Item = (&'a [u8], bool)>,
        started: Instant,
        key: HashKey,
    ) -> Self {
        let mut tables = 0;
        let zones = zones.map(|(apex, critical)| {
            let has_table = critical && tables < TABLES_MAX;
            tables += usize::from(has_table);
            ZoneQuality {
                apex: apex.into(),
                has_table,
                late_after_us: AtomicU64::new(micros(LATE_AFTER)),
                is_watched: AtomicBool::new(false),
                asked_and_resolving: AtomicU64::new(0),
                failures: Failures::new(started),
            }
        });
        Self {
            zones: zones.collect(),
            key,
            workers: Mutex::default(),
            changes: Notify::new(),
        }
    }

    /// What a new worker counts in.
    #[must_use]
    pub fn join(&self) -> Arc<Tallies> {
        let zones = self.zones.iter().map(|zone| Tally::new(zone.has_table));
        let tallies = Arc::new(Tallies {
            zones: zones.collect(),
        });
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::clone(&tallies));
        tallies
    }

    /// Whether the zone at this position is counted by domain and prefix.
    #[must_use]
    pub fn has_table(&self, zone: usize) -> bool {
        self.zones.get(zone).is_some_and(|zone| zone.has_table)
    }

    /// Good and failed questions of a zone since the start, of all workers together.
    #[must_use]
    pub fn totals(&self, zone: usize) -> (u64, u64) {
        self.of_each_worker(zone, |total: (u64, u64), tally| {
            let (good, failed) = tally.totals();
            (total.0.wrapping_add(good), total.1.wrapping_add(failed))
        })
    }

    /// The same for each pair of a domain and a prefix (a domain's prefixes stand together), and how
    /// many good answers took up to which [`time_bound`]. All of them wrap round.
    pub fn read(&self, zone: usize, pairs: &mut [(u16, u16)], times: &mut [u32]) {
        pairs.fill((0, 0));
        times.fill(0);
        self.of_each_worker(zone, |(), tally| tally.add_to(pairs, times));
    }

    fn of_each_worker<T: Default>(&self, zone: usize, add: impl FnMut(T, &Tally) -> T) -> T {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let tallies = workers.iter().filter_map(|worker| worker.zones.get(zone));
        tallies.fold(T::default(), add)
    }

    /// Says how long answers of a zone may take from now on.
    pub fn set_late_after(&self, zone: usize, limit: Duration) {
        if let Some(zone) = self.zones.get(zone) {
            zone.late_after_us.store(micros(limit), Ordering::Relaxed);
        }
    }

    /// How long they may take.
    #[must_use]
    pub fn late_after(&self, zone: usize) -> Duration {
        self.zones.get(zone).map_or(LATE_AFTER, |zone| {
            Duration::from_micros(zone.late_after_us.load(Ordering::Relaxed))
        })
    }

    /// Has questions of a zone that failed lately asked again and again, or no longer.
    pub fn watch(&self, zone: usize, is_watched: bool) {
        if let Some(zone) = self.zones.get(zone)
            && zone.is_watched.swap(is_watched, Ordering::AcqRel) != is_watched
        {
            self.changes.notify_one();
        }
    }

    /// Whether the questions that failed are to be asked again.
    #[must_use]
    pub fn is_watched(&self, zone: usize) -> bool {
        let zone = self.zones.get(zone);
        zone.is_some_and(|zone| zone.is_watched.load(Ordering::Acquire))
    }

    /// Wakes its one waiter after [`Quality::watch`] has changed something.
    #[must_use]
    pub fn changes(&self) -> &Notify {
        &self.changes
    }

    /// Of the questions that are asked again: how many there are, and how many of them resolve.
    #[must_use]
    pub fn witnesses(&self, zone: usize) -> (u8, u8) {
        let known = self
            .zones
            .get(zone)
            .map_or(0, |zone| zone.asked_and_resolving.load(Ordering::Acquire));
        let [.., of, resolving] = known.to_be_bytes();
        (of, resolving)
    }

    pub(super) fn tell_witnesses(&self, zone: usize, (of, resolving): (u8, u8)) {
        if let Some(zone) = self.zones.get(zone) {
            let known = u64::from_be_bytes([0, 0, 0, 0, 0, 0, of, resolving]);
            zone.asked_and_resolving.store(known, Ordering::Release);
        }
    }

    /// The questions of a zone that failed last, each about a domain of its own.
    pub(super) fn failed_lately(&self, zone: usize, now: Instant) -> Vec<Key> {
        let zone = self.zones.get(zone);
        zone.map_or_else(Vec::new, |zone| zone.failures.recent(now))
    }

    /// The zones of which questions that failed are kept.
    pub(super) fn with_tables(&self) -> impl Iterator<Item = usize> {
        let zones = self.zones.iter().enumerate();
        zones.filter_map(|(position, zone)| zone.has_table.then_some(position))
    }

    /// A question of the zone at this position has ended; for the worker that owns `tallies`.
    pub(super) fn ended(&self, tallies: &Tallies, zone: usize, ended: Ended<'_>, now: Instant) {
        let (Some(tally), Some(zone)) = (tallies.zones.get(zone), self.zones.get(zone)) else {
            return;
        };
        let late_after_us = zone.late_after_us.load(Ordering::Relaxed);
        let in_time = ended.took.filter(|took| micros(*took) <= late_after_us);
        tally.count_total(in_time.is_some());
        if !zone.has_table {
            return;
        }
        let domain = bucket(self.domain_hash(&zone.apex, ended.key.name()), DOMAINS);
        let prefix = bucket(self.key.hash_one(ended.prefix.as_witness()), PREFIXES);
        tally.count((domain, prefix), in_time.is_some());
        if let Some(took) = ended.took {
            tally.count_time(took);
        }
        if in_time.is_none() {
            zone.failures.note(ended.key, (domain, prefix), now);
        }
    }

    /// A keyed hash of the domain of a wire name in lower case, in the zone with this apex. Each worker
    /// gets the same one.
    pub(super) fn domain_hash(&self, apex: &[u8], name: &[u8]) -> u64 {
        self.key.hash_one(domain::domain(apex, name))
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn bucket(hash: u64, buckets: usize) -> usize {
    // The remainder is smaller than any `usize`.
    usize::try_from(hash % buckets as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
