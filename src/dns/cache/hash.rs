//! The hash of a question, and what each of its bits is for.
//!
//! Names are chosen by strangers, therefore the hash is the keyed one of the standard library.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::super::key::Key;

/// The hash of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) fn of(state: &RandomState, key: &Key) -> Self {
        let mut hasher = state.build_hasher();
        hasher.write(key.as_bytes());
        Self(hasher.finish())
    }

    /// What an entry keeps, so that it can be found in the index without hashing its key again.
    pub(super) fn kept(self) -> KeptHash {
        // The lower half.
        KeptHash(self.0 as u32)
    }

    /// What a slot keeps.
    pub(super) fn tag(self) -> u16 {
        (self.0 >> 32) as u16
    }

    pub(super) fn shard(self, shards: usize) -> usize {
        (self.0 >> 48) as usize & (shards - 1)
    }
}

/// The half of a hash that says where in the index of its shard an entry may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptHash(pub(super) u32);

impl KeptHash {
    /// The two buckets that may lead to the entry while there are `buckets`; they may be one.
    pub(super) fn choices(self, buckets: usize) -> [usize; 2] {
        [bucket(self.0, buckets), bucket(self.mixed(), buckets)]
    }

    /// A number below `count`.
    pub(super) fn scaled(self, count: usize) -> usize {
        ((u64::from(self.mixed().swap_bytes()) * count as u64) >> 32) as usize
    }

    fn mixed(self) -> u32 {
        (u64::from(self.0).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }
}

/// Linear hashing: the bits that number all buckets, or one bit less where the bucket does not
/// exist yet.
fn bucket(hash: u32, buckets: usize) -> usize {
    let mask = buckets.next_power_of_two() - 1;
    let bucket = hash as usize & mask;
    if bucket < buckets {
        bucket
    } else {
        bucket & (mask >> 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bucket_more_moves_only_what_was_in_its_buddy() {
        for buckets in 1..70_usize {
            let buddy = buckets - (1 << buckets.ilog2());
            for hash in 0..1000 {
                let (before, after) = (bucket(hash, buckets), bucket(hash, buckets + 1));
                assert!(before < buckets);
                assert!(before == after || (before, after) == (buddy, buckets));
            }
        }
    }
}
