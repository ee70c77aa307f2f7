//! Keys of hashes that sort clients and domains into a few buckets.
//!
//! The key is an argument of whoever counts by such buckets, for it decides which two share one: what is
//! counted then follows from what happened and from the key alone, in a test as well.
//!
//! Source: SipHash as in RFC 9018 §3, with fewer rounds.

use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// The key of a SipHash-1-3.
#[derive(Clone, Copy)]
pub struct HashKey([u8; 16]);

impl HashKey {
    /// One that strangers cannot guess.
    #[must_use]
    pub fn drawn() -> Self {
        let mut key = [0; 16];
        rand::fill(&mut key);
        Self(key)
    }

    /// Always the same for the same number: where nobody is hostile, as in a simulation.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_be_bytes());
        Self(key)
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey")
    }
}
