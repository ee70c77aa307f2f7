//! Signed packets: keyed SHA1 and meticulous keyed SHA1.
//!
//! Source: RFC 5880 §4.4 (section), §6.7.4 (procedures), §6.8.1 (sequence numbers).
//! Not done on purpose: the simple password (§6.7.2), which everybody on the path can read, and
//! keyed MD5 (§6.7.3).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

use super::Authentication;
use super::packet::{Encoded, HEADER_LENGTH, LENGTH_MAX};

/// Octets of the authentication section. RFC 5880 §4.4.
pub const SECTION_LENGTH: usize = 28;

const DIGEST_LENGTH: usize = 20;
const KEYED_SHA1: u8 = 4;
const METICULOUS_KEYED_SHA1: u8 = 5;

/// Why a signature is not taken. RFC 5880 §6.7.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unauthentic {
    /// The packet is not signed, and has to be.
    #[error("not signed")]
    Unsigned,
    /// The packet is signed, and this side has no key.
    #[error("signed without need")]
    Signed,
    /// Another kind of signature, or one of the wrong length.
    #[error("other kind of signature")]
    Kind,
    /// Another key.
    #[error("unknown key")]
    KeyId,
    /// A packet of the past, or from too far in the future.
    #[error("sequence number out of window")]
    Sequence,
    /// The octets were changed, or the keys differ.
    #[error("wrong digest")]
    Digest,
}

/// Signs what is sent, and checks what is received.
#[derive(Debug)]
pub(super) struct Guard {
    settings: Authentication,
    /// bfd.XmitAuthSeq: what the next packet carries.
    sequence: u32,
    /// What was last signed, without sequence number and digest.
    last_header: Option<[u8; HEADER_LENGTH]>,
    /// bfd.RcvAuthSeq, while bfd.AuthSeqKnown.
    received: Option<Received>,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    sequence: u32,
    /// From then on bfd.AuthSeqKnown is 0 again.
    forgotten_at: Instant,
}

/// A sequence number whose packet is authentic, to be kept once the packet is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence(u32);

impl Guard {
    /// `first_sequence` has to be random. RFC 5880 §6.8.1.
    pub(super) fn new(settings: &Authentication, first_sequence: u32) -> Self {
        Self {
            settings: settings.clone(),
            sequence: first_sequence,
            last_header: None,
            received: None,
        }
    }

    /// Takes over a new key. The own numbers go on, the other side's are learnt anew.
    pub(super) fn rekey(&mut self, settings: &Authentication) {
        if self.settings != *settings {
            self.settings = settings.clone();
            self.received = None;
        }
    }

    /// Fills the section of a packet that was encoded with A set.
    pub(super) fn sign(&mut self, packet: &mut Encoded) {
        let octets = packet.octets_mut();
        let header = octets.first_chunk::<HEADER_LENGTH>().copied();
        // Without meticulousness the number has to grow when the contents change.
        if self.settings.is_meticulous || header != self.last_header {
            self.sequence = self.sequence.wrapping_add(1);
            self.last_header = header;
        }
        let Some((_, section)) = octets.split_last_chunk_mut::<SECTION_LENGTH>() else {
            return;
        };
        let [kind, length, key_id, reserved, number @ ..] = section;
        [*kind, *length, *key_id, *reserved] = [self.kind(), 28, self.settings.key_id, 0];
        let Some((number, digest)) = number.split_first_chunk_mut::<4>() else {
            return;
        };
        *number = self.sequence.to_be_bytes();
        digest.copy_from_slice(&self.padded_key());
        let computed = Sha1::digest(octets.as_slice());
        if let Some(place) = octets.last_chunk_mut::<DIGEST_LENGTH>() {
            place.copy_from_slice(&computed);
        }
    }

    /// Checks a datagram whose header was decoded and has A set. Changes nothing, so that a forged
    /// packet cannot move the window: see [`Self::accept`].
    pub(super) fn verify(
        &self,
        now: Instant,
        datagram: &[u8],
        multiplier: u8,
    ) -> Result<Sequence, Unauthentic> {
        // Any other length of the packet is another kind of section, or octets after it that the
        // digest would have to cover.
        let is_whole = datagram.get(3).copied().map(usize::from) == Some(LENGTH_MAX);
        let packet = datagram.first_chunk::<LENGTH_MAX>().filter(|_| is_whole);
        let packet = packet.ok_or(Unauthentic::Kind)?;
        let Some(&[kind, length, key_id, _, a, b, c, d, ref digest @ ..]) =
            packet.last_chunk::<SECTION_LENGTH>()
        else {
            return Err(Unauthentic::Kind);
        };
        if kind != self.kind() || usize::from(length) != SECTION_LENGTH {
            return Err(Unauthentic::Kind);
        }
        if key_id != self.settings.key_id {
            return Err(Unauthentic::KeyId);
        }
        let sequence = u32::from_be_bytes([a, b, c, d]);
        if !self.is_in_window(now, sequence, multiplier) {
            return Err(Unauthentic::Sequence);
        }
        let mut keyed = *packet;
        if let Some(place) = keyed.last_chunk_mut::<DIGEST_LENGTH>() {
            *place = self.padded_key();
        }
        if is_same(&Sha1::digest(keyed), digest) {
            Ok(Sequence(sequence))
        } else {
            Err(Unauthentic::Digest)
        }
    }

    /// Keeps the number of an accepted packet. `detection_time` is the one that it has led to.
    pub(super) fn accept(&mut self, now: Instant, sequence: Sequence, detection_time: Duration) {
        self.received = Some(Received {
            sequence: sequence.0,
            forgotten_at: now + detection_time * 2,
        });
    }

    fn is_in_window(&self, now: Instant, sequence: u32, multiplier: u8) -> bool {
        let Some(last) = self.received.filter(|last| now < last.forgotten_at) else {
            return true;
        };
        let first = u32::from(self.settings.is_meticulous);
        let ahead = sequence.wrapping_sub(last.sequence);
        (first..=3 * u32::from(multiplier)).contains(&ahead)
    }

    fn kind(&self) -> u8 {
        if self.settings.is_meticulous {
            METICULOUS_KEYED_SHA1
        } else {
            KEYED_SHA1
        }
    }

    fn padded_key(&self) -> [u8; DIGEST_LENGTH] {
        let mut padded = [0; DIGEST_LENGTH];
        for (place, octet) in padded.iter_mut().zip(self.settings.key.iter()) {
            *place = *octet;
        }
        padded
    }
}

/// Takes the same time wherever the first difference is.
fn is_same(computed: &[u8], received: &[u8]) -> bool {
    let pairs = computed.iter().zip(received);
    let difference = pairs.fold(0, |all, (one, other)| black_box(all | (one ^ other)));
    computed.len() == received.len() && difference == 0
}

#[cfg(test)]
mod tests;
