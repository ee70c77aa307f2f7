//! What a session tells its driver, and why it drops datagrams.
//!
//! Source: RFC 5880 §6.2 (states), §6.8.6 (what has to be dropped), RFC 5882 §3.2 (AdminDown).

use super::{Diagnostic, State};
use crate::bfd::authentication::Unauthentic;
use crate::bfd::packet::Malformed;

/// What the session tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This side has changed its state. Only `from` Up says that a path was lost.
    State {
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Why, as this side tells the other one.
        diagnostic: Diagnostic,
        /// What the other side last gave as its reason.
        remote_diagnostic: Diagnostic,
        /// The other side's operator has switched the session off: that says nothing about the
        /// path. RFC 5882 §3.2.
        is_remote_admin_down: bool,
    },
    /// The other side's operator has switched the session off while this side was not Up.
    RemoteAdminDown,
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejected {
    /// No control packet.
    #[error("malformed packet")]
    Malformed(#[from] Malformed),
    /// Signed wrongly.
    #[error("unauthentic packet")]
    Unauthentic(#[from] Unauthentic),
    /// Your Discriminator is that of another session.
    #[error("packet of another session")]
    Stranger,
}

impl Rejected {
    /// All of them, for a counter each.
    pub const ALL: [Self; 14] = [
        Self::Malformed(Malformed::Short),
        Self::Malformed(Malformed::Version),
        Self::Malformed(Malformed::Length),
        Self::Malformed(Malformed::Multiplier),
        Self::Malformed(Malformed::Multipoint),
        Self::Malformed(Malformed::MyDiscriminator),
        Self::Malformed(Malformed::YourDiscriminator),
        Self::Unauthentic(Unauthentic::Unsigned),
        Self::Unauthentic(Unauthentic::Signed),
        Self::Unauthentic(Unauthentic::Kind),
        Self::Unauthentic(Unauthentic::KeyId),
        Self::Unauthentic(Unauthentic::Sequence),
        Self::Unauthentic(Unauthentic::Digest),
        Self::Stranger,
    ];

    /// A label for the counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed(Malformed::Short) => "short",
            Self::Malformed(Malformed::Version) => "version",
            Self::Malformed(Malformed::Length) => "length",
            Self::Malformed(Malformed::Multiplier) => "multiplier",
            Self::Malformed(Malformed::Multipoint) => "multipoint",
            Self::Malformed(Malformed::MyDiscriminator) => "my_discriminator",
            Self::Malformed(Malformed::YourDiscriminator) => "your_discriminator",
            Self::Unauthentic(Unauthentic::Unsigned) => "unsigned",
            Self::Unauthentic(Unauthentic::Signed) => "signed",
            Self::Unauthentic(Unauthentic::Kind) => "signature_kind",
            Self::Unauthentic(Unauthentic::KeyId) => "key_id",
            Self::Unauthentic(Unauthentic::Sequence) => "sequence",
            Self::Unauthentic(Unauthentic::Digest) => "digest",
            Self::Stranger => "stranger",
        }
    }
}
