//! How the configured octets are divided: shards, and in each of them rings, index and ghosts.

use super::shard::Shard;
use super::slot::PLACE_BITS;

/// Words that lie together: one page, so that what shards have in use lies together too.
pub(super) const STRIPE: usize = 512;
/// Slots of a bucket: one cache line.
pub(super) const SLOTS: usize = 8;
const WORD: usize = 8;

/// With fewer octets nothing is kept.
const SIZE_MIN: u64 = 64 << 10;
/// A shard holds the largest possible answers, and many of them.
const SHARD_MIN: u64 = 1 << 20;
const SHARDS_MAX: u64 = 64;
/// One remembered fingerprint for so many octets.
const OCTETS_PER_GHOST: usize = 128;
/// Thousandths of a shard for the index: one slot for 62 octets of entries, so that the smallest
/// common answer (72 octets: an address of a name of 24 octets) fills about 0.86 of it.
const INDEX_PERMILLE: usize = 115;
/// The ring for new entries has this part of all words.
const SMALL_SHARE: usize = 10;
/// Room that the main ring keeps, so that an entry with a second chance has two places for a moment
/// and no reader misses it.
const GAP_MAX: usize = 512;

/// The sizes of every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// There are two to the power of this many shards.
    pub(super) shards_log2: u32,
    /// Words of the main ring, which begins at position 0.
    pub(super) main: usize,
    /// Words of the ring for new entries, which follows.
    pub(super) small: usize,
    /// Buckets that the index may grow to.
    pub(super) buckets: usize,
    /// Fingerprints of dropped entries.
    pub(super) ghosts: usize,
    /// Words that stay free in the main ring.
    pub(super) gap: usize,
    /// Bits of a place that are the position.
    pub(super) position_bits: u32,
    /// Octets that are in use from the start.
    pub(super) fixed_octets: usize,
}

impl Plan {
    /// `None` when `size_bytes` is too small to keep anything.
    pub(super) fn new(size_bytes: u64) -> Option<Self> {
        if size_bytes < SIZE_MIN {
            return None;
        }
        let shards_log2 = (size_bytes / SHARD_MIN).clamp(1, SHARDS_MAX).ilog2();
        let size = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        let fixed_octets = (size_of::<Shard>() << shards_log2) + size_of::<super::Cache>() + 64;
        // Positions and hashes have 32 bits.
        let per_shard = ((size - fixed_octets) >> shards_log2).min(WORD << 31);
        let ghosts = per_shard / OCTETS_PER_GHOST;
        let rest = per_shard - ghosts * size_of::<u16>();
        // At least a hundred.
        let buckets = rest / 1000 * INDEX_PERMILLE / (SLOTS * WORD);
        let stripes = (rest - buckets * SLOTS * WORD) / WORD / STRIPE;
        let small = (stripes / SMALL_SHARE).max(1) * STRIPE;
        let main = stripes * STRIPE - small;
        Some(Self {
            shards_log2,
            main,
            small,
            buckets,
            ghosts,
            gap: GAP_MAX.min(main / 16),
            position_bits: (main + small).ilog2() + 1,
            fixed_octets,
        })
    }

    pub(super) fn shards(&self) -> usize {
        1 << self.shards_log2
    }

    /// Words of both rings.
    pub(super) fn words(&self) -> usize {
        self.main + self.small
    }

    /// Words of the largest entry that is kept.
    pub(super) fn entry_max(&self) -> usize {
        self.main / 4
    }

    /// Larger entries would sweep the ring for new ones: they go to the main ring.
    pub(super) fn small_entry_max(&self) -> usize {
        self.small / 4
    }

    /// The position in a shard that `place` names.
    pub(super) fn position(&self, place: u64) -> usize {
        let mask = (1_u64 << self.position_bits) - 1;
        usize::try_from(place & mask).unwrap_or_default()
    }

    /// The place that is reached when the writing comes to `position` for the `round`th time.
    pub(super) fn place(&self, round: u64, position: usize) -> u64 {
        let place = round << self.position_bits | u64::try_from(position).unwrap_or_default();
        place & ((1 << PLACE_BITS) - 1)
    }
}
