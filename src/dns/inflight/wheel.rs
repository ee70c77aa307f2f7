//! Time-outs of many things at once: armed and cancelled at the same cost, however many there are.
//!
//! A hashed wheel: time is cut into ticks, and the entries of a tick hang on a chain in its slot. An
//! entry is a small number, the place of its owner in a slab. Nothing is allocated beyond the largest
//! number ever armed. Made for times within one [`TURN`]; what is later is passed over once each turn.

use std::time::{Duration, Instant};

/// How late an entry may be.
pub const TICK: Duration = Duration::from_millis(TICK_MS);
/// The time that the wheel goes round in: 2.56 s.
pub const TURN: Duration = Duration::from_millis(TICK_MS * SLOTS as u64);

const TICK_MS: u64 = 5;
const TICK_NS: u32 = 5_000_000;
const TICKS_PER_S: u64 = 200;
const SLOTS: usize = 512;
const WORD: usize = 64;
/// Stands for "nothing" in chains.
const NONE: usize = usize::MAX;

/// Entries and when they are due.
#[derive(Debug)]
pub struct Wheel {
    started: Instant,
    /// All ticks up to this one have been dealt with.
    tick: u64,
    heads: Box<[usize; SLOTS]>,
    /// A bit for each slot that has entries.
    occupied: [u64; SLOTS / WORD],
    links: Vec<Link>,
    armed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: usize,
    after: usize,
    /// 0 for an entry that is not armed.
    tick: u64,
}

const UNARMED: Link = Link {
    before: NONE,
    after: NONE,
    tick: 0,
};

impl Wheel {
    /// An empty wheel whose time begins at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            tick: 0,
            heads: Box::new([NONE; SLOTS]),
            occupied: [0; SLOTS / WORD],
            links: Vec::new(),
            armed: 0,
        }
    }

    /// Lets `entry` be due at `at`, and at no other time; up to a [`TICK`] later, never sooner.
    pub fn arm(&mut self, entry: usize, at: Instant) {
        self.cancel(entry);
        if entry >= self.links.len() {
            self.links.resize(entry + 1, UNARMED);
        }
        let tick = self.tick_from(at).max(self.tick + 1);
        let slot = slot(tick);
        let after = self.heads[slot];
        self.links[entry] = Link {
            before: NONE,
            after,
            tick,
        };
        if let Some(next) = self.links.get_mut(after) {
            next.before = entry;
        }
        self.heads[slot] = entry;
        self.occupied[slot / WORD] |= 1 << (slot % WORD);
        self.armed += 1;
    }

    /// Lets `entry` never be due. Harmless when it is not armed.
    pub fn cancel(&mut self, entry: usize) {
        let Some(link) = self.links.get(entry).copied().filter(|link| link.tick > 0) else {
            return;
        };
        self.links[entry] = UNARMED;
        self.armed -= 1;
        if let Some(next) = self.links.get_mut(link.after) {
            next.before = link.before;
        }
        if let Some(previous) = self.links.get_mut(link.before) {
            previous.after = link.after;
            return;
        }
        let slot = slot(link.tick);
        self.heads[slot] = link.after;
        if link.after == NONE {
            self.occupied[slot / WORD] &= !(1 << (slot % WORD));
        }
    }

    /// Takes an entry that is due at `now`, in the order of their ticks; `None`: no more.
    pub fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let now = self.tick_until(now);
        // After a long pause one look at each slot is enough.
        self.tick = self.tick.max(now.saturating_sub(SLOTS as u64));
        while self.armed > 0 {
            let mut entry = self.heads[slot(self.tick)];
            while let Some(link) = self.links.get(entry) {
                if link.tick <= now {
                    self.cancel(entry);
                    return Some(entry);
                }
                entry = link.after;
            }
            match self.next_occupied().filter(|&tick| tick <= now) {
                Some(tick) => self.tick = tick,
                None => break,
            }
        }
        self.tick = self.tick.max(now);
        None
    }

    /// When to call [`Wheel::pop_due`] next; `None` when nothing is armed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let tick = self.next_occupied()?;
        Some(self.started + Duration::from_millis(tick.saturating_mul(TICK_MS)))
    }

    /// The next tick whose slot has entries, be it for a later turn.
    fn next_occupied(&self) -> Option<u64> {
        let from = slot(self.tick + 1);
        // The word that `from` lies in comes first without its lower bits, and last without its upper.
        (0..=SLOTS / WORD).find_map(|step| {
            let position = (from / WORD + step) % (SLOTS / WORD);
            let low_bits = (1_u64 << (from % WORD)) - 1;
            let mask = match step {
                0 => !low_bits,
                _ if step == SLOTS / WORD => low_bits,
                _ => u64::MAX,
            };
            let bits = self.occupied[position] & mask;
            let found = position * WORD + bits.trailing_zeros() as usize;
            let distance = (found + SLOTS - from) % SLOTS;
            (bits != 0).then(|| self.tick + 1 + distance as u64)
        })
    }

    /// The last tick that is over at `at`.
    fn tick_until(&self, at: Instant) -> u64 {
        let since_start = at.saturating_duration_since(self.started);
        since_start.as_secs() * TICKS_PER_S + u64::from(since_start.subsec_nanos() / TICK_NS)
    }

    /// The first tick that is over at no earlier time than `at`.
    fn tick_from(&self, at: Instant) -> u64 {
        let since_start = at.saturating_duration_since(self.started);
        since_start.as_secs() * TICKS_PER_S
            + u64::from(since_start.subsec_nanos().div_ceil(TICK_NS))
    }
}

/// Less than [`SLOTS`], and therefore a `usize`.
fn slot(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests;
