//! Chance from one seed. SplitMix64, written out so that a seed means the same in every release.

use std::time::Duration;

/// A generator that is copied nowhere by accident.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for `who`: what one draws does not change what another gets.
    pub(crate) fn fork(&self, who: u64) -> Self {
        let mut fork = Self(self.0 ^ who.wrapping_mul(0xA076_1D64_78BD_642F));
        fork.draw();
        fork
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `limit` - 1. The bias of the remainder does not matter here.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit.max(1) as u64) as usize
    }

    /// True so many times in a thousand.
    pub(crate) fn is(&mut self, per_mille: usize) -> bool {
        self.below(1000) < per_mille
    }

    /// A time from `least` to `most` in milliseconds, to the microsecond.
    pub(crate) fn ms(&mut self, least: u64, most: u64) -> Duration {
        let span_us = (most - least) as usize * 1000 + 1;
        Duration::from_micros(least * 1000 + self.below(span_us) as u64)
    }

    /// `count` different numbers below `limit`.
    pub(crate) fn choose(&mut self, count: usize, limit: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..limit).collect();
        for position in 0..count.min(limit) {
            let other = position + self.below(limit - position);
            all.swap(position, other);
        }
        all.truncate(count);
        all
    }
}
