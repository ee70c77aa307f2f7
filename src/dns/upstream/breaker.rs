//! The breaker of one upstream as a value: closed, or open by what made it open.
//!
//! Half-open is no state of its own: an open breaker is tried by probes alone, never by a client's
//! question, and [`super::pacing`] says when. What closes it depends on what opened it:
//!
//! | | [`Sign::Dead`] | [`Sign::Poor`] | [`Sign::Reply`] | [`Sign::Good`] |
//! |---|---|---|---|---|
//! | closed | open by transport | open by RCODE | closed | closed |
//! | open by transport | · | · | closed | closed |
//! | open by RCODE | · | · | · | closed |
//!
//! Silence of an upstream whose errors opened the breaker changes nothing: a SERVFAIL afterwards would
//! close it, and errors are what it was opened for.

#![warn(clippy::wildcard_enum_match_arm)]

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Breaker {
    /// It is asked.
    #[default]
    Closed,
    /// It is not asked until it says anything.
    OpenByTransport,
    /// It is not asked until it answers a probe with an acceptable RCODE.
    OpenByRcode,
}

/// What the breaker is told, already weighed: one sign is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It does not answer: enough evidence from the network, without an answer in between.
    Dead,
    /// Its answers are errors, and the names that were asked for are not to blame.
    Poor,
    /// A matching answer, whatever it says.
    Reply,
    /// An answer to a probe with an acceptable RCODE.
    Good,
}

impl Breaker {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Closed, Self::OpenByTransport, Self::OpenByRcode];

    /// The value of the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::OpenByTransport => "open_transport",
            Self::OpenByRcode => "open_rcode",
        }
    }

    /// What becomes of it.
    pub(super) const fn after(self, sign: Sign) -> Self {
        match (self, sign) {
            (Self::Closed | Self::OpenByTransport, Sign::Reply | Sign::Good)
            | (Self::OpenByRcode, Sign::Good) => Self::Closed,
            (Self::Closed | Self::OpenByTransport, Sign::Dead)
            | (Self::OpenByTransport, Sign::Poor) => Self::OpenByTransport,
            (Self::Closed, Sign::Poor)
            | (Self::OpenByRcode, Sign::Dead | Sign::Poor | Sign::Reply) => Self::OpenByRcode,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::OpenByTransport => 1,
            Self::OpenByRcode => 2,
        }
    }

    /// Only what [`Breaker::code`] has made is ever read.
    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::OpenByTransport,
            2 => Self::OpenByRcode,
            _ => Self::Closed,
        }
    }
}

/// A breaker that several threads tell signs to.
#[derive(Debug, Default)]
pub(super) struct SharedBreaker(AtomicU8);

impl SharedBreaker {
    pub(super) fn state(&self) -> Breaker {
        Breaker::from_code(self.0.load(Ordering::Acquire))
    }

    /// Takes a sign; the new state if this very sign changed it.
    pub(super) fn take(&self, sign: Sign) -> Option<Breaker> {
        let next = |code| {
            let before = Breaker::from_code(code);
            let after = before.after(sign);
            (after != before).then_some(after.code())
        };
        // In good times this only reads, and the line stays shared by the workers.
        let before = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        before.ok().map(|code| Breaker::from_code(code).after(sign))
    }
}

/// NOERROR, NXDOMAIN and YXDOMAIN (RFC 6672 §2.2): about the name, and final.
#[must_use]
pub const fn is_acceptable(rcode: u16) -> bool {
    matches!(rcode, 0 | 3 | 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_takes_every_sign_as_the_table_says() {
        use Breaker::{Closed, OpenByRcode, OpenByTransport};
        let signs = [Sign::Dead, Sign::Poor, Sign::Reply, Sign::Good];
        for (state, expected) in [
            (Closed, [OpenByTransport, OpenByRcode, Closed, Closed]),
            (
                OpenByTransport,
                [OpenByTransport, OpenByTransport, Closed, Closed],
            ),
            (OpenByRcode, [OpenByRcode, OpenByRcode, OpenByRcode, Closed]),
        ] {
            for (sign, expected) in signs.into_iter().zip(expected) {
                assert_eq!(state.after(sign), expected, "{state:?} {sign:?}");
                let shared = SharedBreaker(AtomicU8::new(state.code()));
                let changed = (expected != state).then_some(expected);
                assert_eq!(shared.take(sign), changed, "{state:?} {sign:?}");
                assert_eq!(shared.state(), expected);
            }
        }
    }

    #[test]
    fn a_name_that_does_not_exist_is_acceptable_and_an_error_is_not() {
        let acceptable: Vec<u16> = (0..5000).filter(|&rcode| is_acceptable(rcode)).collect();
        assert_eq!(acceptable, [0, 3, 6]);
    }
}
