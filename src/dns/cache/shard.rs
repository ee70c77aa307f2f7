//! A part of the cache with a lock of its own for writing.
//!
//! Entries are written into two rings: new ones into a small one; those that are asked for again
//! before they have passed through it, or soon after, into the main one, together with everything
//! while that has room. What was asked for since gets a second round in the main ring. This is
//! S3-FIFO (Yang et al., SOSP 2023): names that are asked for once never reach the main ring.
//! Entries that are past their use, or whose slot leads elsewhere by now, go when the tail passes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use super::index::Layout;
use super::plan::Plan;
use super::ring::Ring;
use super::tables::Tables;

mod writing;

pub(super) use writing::Writing;

/// One shard: what readers look at, and what the holder of the lock changes.
pub(super) struct Shard {
    pub(super) layout: Apart<Layout>,
    written: Apart<Written>,
}

/// Shares no pair of cache lines with anything else.
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

/// What the holder of the lock changes, and what it tells the metrics.
struct Written {
    rings: Mutex<Rings>,
    octets: AtomicU64,
    entries: AtomicU64,
    evictions: [AtomicU64; 3],
}

impl Written {
    fn count_entries(&self, entries: u64) {
        self.entries.store(entries, Ordering::Relaxed);
    }

    fn count_eviction(&self, reason: Reason) {
        let [small, main, index] = &self.evictions;
        let count = match reason {
            Reason::Small => small,
            Reason::Main => main,
            Reason::Index => index,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

struct Rings {
    main: Ring,
    small: Ring,
    ghosts_used: bool,
}

/// Why an entry that was still of use had to go.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Small,
    Main,
    Index,
}

/// Entries that were still of use and had to make room, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// New ones that nobody asked for a second time.
    pub small: u64,
    /// Old ones that nobody had asked for lately.
    pub main: u64,
    /// Those whose two buckets of the index were full.
    pub index: u64,
}

impl Shard {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            layout: Apart(Layout::new()),
            written: Apart(Written {
                rings: Mutex::new(Rings {
                    main: Ring::new(0, plan.main),
                    small: Ring::new(plan.main, plan.small),
                    ghosts_used: false,
                }),
                octets: AtomicU64::new(0),
                entries: AtomicU64::new(0),
                evictions: [const { AtomicU64::new(0) }; 3],
            }),
        }
    }

    /// Octets in use besides the fixed ones.
    pub(super) fn octets(&self) -> u64 {
        self.written.0.octets.load(Ordering::Relaxed)
    }

    pub(super) fn entries(&self) -> u64 {
        self.written.0.entries.load(Ordering::Relaxed)
    }

    pub(super) fn evictions(&self) -> Evictions {
        let [small, main, index] = &self.written.0.evictions;
        Evictions {
            small: small.load(Ordering::Relaxed),
            main: main.load(Ordering::Relaxed),
            index: index.load(Ordering::Relaxed),
        }
    }

    /// Takes the lock; `number` is the shard's own.
    pub(super) fn write<'a>(
        &'a self,
        tables: &'a Tables,
        number: usize,
        now_ms: u64,
    ) -> Writing<'a> {
        let written = &self.written.0;
        // Nothing in there panics; if it did, the worst that a reader meets is a record that cannot
        // be walked, which ends the patching of its TTLs.
        let rings = written.rings.lock().unwrap_or_else(PoisonError::into_inner);
        Writing::new(tables, number, now_ms, &self.layout.0, written, rings)
    }

    /// Takes the lock unless somebody else has it.
    pub(super) fn try_write<'a>(
        &'a self,
        tables: &'a Tables,
        number: usize,
        now_ms: u64,
    ) -> Option<Writing<'a>> {
        let written = &self.written.0;
        let rings = match written.rings.try_lock() {
            Ok(rings) => rings,
            Err(TryLockError::Poisoned(rings)) => rings.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let layout = &self.layout.0;
        Some(Writing::new(tables, number, now_ms, layout, written, rings))
    }
}
