//! A BFD control packet: read from octets of strangers, and written.
//!
//! Source: RFC 5880 §4.1 (format), §6.8.6 (the checks that need no session).
//! Not done on purpose: echo packets (§6.4) have no format, and are neither sent nor asked for.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::time::Duration;

use super::authentication::SECTION_LENGTH;
use super::{Diagnostic, State};

/// Octets of a packet without authentication section. RFC 5880 §4.1.
pub const HEADER_LENGTH: usize = 24;
/// Octets of the longest packet that this side sends.
pub const LENGTH_MAX: usize = HEADER_LENGTH + SECTION_LENGTH;

const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// The mandatory section of a control packet. RFC 5880 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's state last changed.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: asks for a packet with F.
    pub is_poll: bool,
    /// F: answers a packet with P.
    pub is_final: bool,
    /// C: the sender's BFD outlives a restart of its control plane.
    pub is_control_plane_independent: bool,
    /// A: an authentication section follows.
    pub is_authenticated: bool,
    /// D: the sender wants no periodic packets while both ends are Up.
    pub is_demand: bool,
    /// So many packets of the sender may be missed in a row; not 0.
    pub multiplier: u8,
    /// The sender's number for the session; not 0.
    pub my_discriminator: u32,
    /// The receiver's number for the session, as the sender knows it; 0 if it does not.
    pub your_discriminator: u32,
    /// The sender does not want to send more often. In whole microseconds, below 4295 s.
    pub desired_min_tx: Duration,
    /// The sender cannot receive more often; 0 asks for silence.
    pub required_min_rx: Duration,
    /// The sender cannot reflect echo packets more often; 0 if it does not reflect any.
    pub required_min_echo_rx: Duration,
}

/// Why octets are no control packet. RFC 5880 §6.8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Fewer octets than the header has.
    #[error("too short")]
    Short,
    /// Not version 1.
    #[error("unknown version")]
    Version,
    /// The length field is below the minimum or above what was received.
    #[error("bad length")]
    Length,
    /// Detect Mult is 0.
    #[error("multiplier is zero")]
    Multiplier,
    /// The M bit is set.
    #[error("multipoint bit is set")]
    Multipoint,
    /// My Discriminator is 0.
    #[error("sender's discriminator is zero")]
    MyDiscriminator,
    /// Your Discriminator is 0 in a state that needs it.
    #[error("receiver's discriminator is zero")]
    YourDiscriminator,
}

/// A packet as octets, on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    octets: [u8; LENGTH_MAX],
    is_authenticated: bool,
}

impl Encoded {
    /// What goes into the datagram.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        let length = if self.is_authenticated {
            LENGTH_MAX
        } else {
            HEADER_LENGTH
        };
        self.octets.get(..length).unwrap_or_default()
    }

    pub(super) fn octets_mut(&mut self) -> &mut [u8; LENGTH_MAX] {
        &mut self.octets
    }
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        self.octets()
    }
}

impl Packet {
    /// Reads a datagram. What follows the packet's own length is ignored, and the authentication
    /// section is only measured.
    ///
    /// # Errors
    /// [`Malformed`]: the datagram has to be dropped.
    pub fn decode(datagram: &[u8]) -> Result<Self, Malformed> {
        let Some(
            &[
                version_and_diagnostic,
                flags,
                multiplier,
                length,
                ref numbers @ ..,
            ],
        ) = datagram.first_chunk::<HEADER_LENGTH>()
        else {
            return Err(Malformed::Short);
        };
        if version_and_diagnostic >> 5 != VERSION {
            return Err(Malformed::Version);
        }
        let is_authenticated = flags & AUTHENTICATION != 0;
        check_length(datagram, usize::from(length), is_authenticated)?;
        if multiplier == 0 {
            return Err(Malformed::Multiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let (words, _) = numbers.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        let packet = Self {
            diagnostic: Diagnostic::from_wire(version_and_diagnostic),
            state: State::from_wire(flags >> 6),
            is_poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            is_control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            is_authenticated,
            is_demand: flags & DEMAND != 0,
            multiplier,
            my_discriminator: word(),
            your_discriminator: word(),
            desired_min_tx: Duration::from_micros(word().into()),
            required_min_rx: Duration::from_micros(word().into()),
            required_min_echo_rx: Duration::from_micros(word().into()),
        };
        if packet.my_discriminator == 0 {
            return Err(Malformed::MyDiscriminator);
        }
        let needs_discriminator = matches!(packet.state, State::Init | State::Up);
        if packet.your_discriminator == 0 && needs_discriminator {
            return Err(Malformed::YourDiscriminator);
        }
        Ok(packet)
    }

    /// Writes the packet. With A set the section's place is there, but has to be signed yet.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        let mut encoded = Encoded {
            octets: [0; LENGTH_MAX],
            is_authenticated: self.is_authenticated,
        };
        let length = encoded.octets().len();
        let head = [
            VERSION << 5 | self.diagnostic.to_wire(),
            self.flags(),
            self.multiplier,
            u8::try_from(length).unwrap_or(u8::MAX),
        ];
        let words = [
            u32::from_be_bytes(head),
            self.my_discriminator,
            self.your_discriminator,
            micros(self.desired_min_tx),
            micros(self.required_min_rx),
            micros(self.required_min_echo_rx),
        ];
        let (places, _) = encoded.octets.as_chunks_mut::<4>();
        for (place, word) in places.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        encoded
    }

    fn flags(&self) -> u8 {
        let flags = [
            (self.is_poll, POLL),
            (self.is_final, FINAL),
            (self.is_control_plane_independent, CONTROL_PLANE_INDEPENDENT),
            (self.is_authenticated, AUTHENTICATION),
            (self.is_demand, DEMAND),
        ];
        flags
            .into_iter()
            .filter(|(is_set, _)| *is_set)
            .fold(self.state.to_wire() << 6, |all, (_, flag)| all | flag)
    }
}

/// A section has two octets at least, and lies within the packet. RFC 5880 §4.1, §6.8.6.
fn check_length(datagram: &[u8], length: usize, is_authenticated: bool) -> Result<(), Malformed> {
    if length > datagram.len() || length < HEADER_LENGTH {
        return Err(Malformed::Length);
    }
    if is_authenticated {
        let section = datagram.get(HEADER_LENGTH..length).unwrap_or_default();
        let &[_, section_length, ..] = section else {
            return Err(Malformed::Length);
        };
        if section_length < 2 || usize::from(section_length) > section.len() {
            return Err(Malformed::Length);
        }
    }
    Ok(())
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
