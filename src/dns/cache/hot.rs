//! Which questions are asked again and again: what a successor should have in its cache.
//!
//! A sample and no ranking: counting every look-up would cost the query path more than it is worth.
//! What was asked for since it was last moved is marked; of these each shard gives an even share,
//! first from the main ring, where only that gets to which is asked for repeatedly.
//!
//! Source: RFC 1035 §3.2.4 (class IN), RFC 4035 §3.2 (DO and CD).

use std::time::Instant;

use super::super::code::Rcode;
use super::entry::{CLASS_SHIFT, HEAD, Head, Use, ms_since};
use super::index::Layout;
use super::slot;
use super::{Cache, Key, Store};

const CLASS_IN: u16 = 1;
/// Words of the longest name.
const NAME_WORDS: usize = 32;

impl Cache {
    /// At most `most` questions of class IN that have an answer with records and were asked for again,
    /// spread over all shards. Takes no lock, and copies no more than names.
    ///
    /// `start` is any number: where each shard is begun, so that no bucket is always the first.
    #[must_use]
    pub fn hot(&self, most: usize, start: usize, now: Instant) -> Vec<Key> {
        let Some(store) = &self.store else {
            return Vec::new();
        };
        let now_ms = ms_since(self.started, now);
        let shards = store.shards.len();
        let share = most.div_ceil(shards);
        let mut hot = Vec::with_capacity(most.min(share * shards));
        for shard in 0..shards {
            let left = most.saturating_sub(hot.len());
            hot.append(&mut store.hot_of(shard, share.min(left), start, now_ms));
        }
        hot
    }
}

impl Store {
    fn hot_of(&self, shard: usize, most: usize, start: usize, now_ms: u64) -> Vec<Key> {
        let (mut kept, mut young) = (Vec::new(), Vec::new());
        let buckets = Layout::buckets_of(self.shards[shard].layout.0.load());
        for number in 0..buckets {
            let number = (number + start % buckets) % buckets;
            for cell in self.tables.index.bucket(shard, number) {
                if kept.len() >= most {
                    return kept;
                }
                let slot = slot::load(cell);
                if slot.is_free() || !slot.is_visited() {
                    continue;
                }
                let position = self.tables.plan.position(slot.place());
                let hot = if position < self.tables.plan.main {
                    &mut kept
                } else {
                    &mut young
                };
                if hot.len() < most {
                    let key = self.key_at(shard, position, now_ms);
                    hot.extend(key.filter(|_| slot::vouches(cell, slot)));
                }
            }
        }
        kept.append(&mut young);
        kept.truncate(most);
        kept
    }

    /// The question of the entry at `position`, if its answer is worth having. Whether all of it was
    /// one entry's is to be asked afterwards.
    fn key_at(&self, shard: usize, position: usize, now_ms: u64) -> Option<Key> {
        let head = self.tables.head(shard, position);
        let is_of_use = head.use_at(now_ms, self.tables.stale_ms) != Use::None;
        if !is_of_use || !head.has_records() || head.qclass() != CLASS_IN {
            return None;
        }
        let mut words = [0; NAME_WORDS];
        let used = words.get_mut(..head.name_octets().div_ceil(8))?;
        self.tables.words.copy_behind(shard, position, HEAD, used);
        let octets: &[u8] = bytemuck::cast_slice(&words);
        let name = octets.get(..head.name_octets())?;
        let (dnssec_ok, checking_disabled) = head.flags();
        Key::new(name, head.qtype(), CLASS_IN, dnssec_ok, checking_disabled)
    }
}

impl Head {
    fn qtype(&self) -> u16 {
        (self.0[0] >> 32) as u16
    }

    fn qclass(&self) -> u16 {
        (self.0[3] >> CLASS_SHIFT) as u16
    }

    /// DO and CD.
    fn flags(&self) -> (bool, bool) {
        (self.0[0] >> 60 & 1 != 0, self.0[0] >> 61 & 1 != 0)
    }

    /// Whether it says that there are records, be they aliases.
    fn has_records(&self) -> bool {
        let [answers, ..] = self.counts();
        self.rcode() == Rcode::NOERROR && answers > 0
    }
}

#[cfg(test)]
mod tests;
