//! A BFD session in the words that go outwards.

use std::time::{Duration, Instant};

use super::age_s;
use crate::admin::status::neighbor::{BfdPackets, BfdSession, BfdSide, BfdState, Diagnostic};
use crate::bfd;
use crate::bfd::status::{Offer, Status};

pub(super) fn session(now: Instant, status: &Status) -> BfdSession {
    let local = BfdSide {
        state: state(status.state),
        diagnostic: diagnostic(status.diagnostic),
        discriminator: Some(status.discriminator),
        ..offered(Some(status.offered))
    };
    let remote = BfdSide {
        state: state(status.remote_state),
        diagnostic: diagnostic(status.remote_diagnostic),
        discriminator: status.remote_discriminator,
        ..offered(status.remote_offered)
    };
    let counts = &status.counts;
    BfdSession {
        since_s: age_s(now, status.since),
        local,
        remote,
        last_loss: diagnostic(status.last_loss),
        held_down: status.is_held_down,
        transmit_interval_us: status.transmit_interval.map(microseconds),
        detection_time_us: status.detection_time.map(microseconds),
        receive_interval_us: status.receive_gap.map(microseconds),
        receive_interval_max_us: status.receive_gap_max.map(microseconds),
        packets: BfdPackets {
            sent: counts.sent,
            received: counts.received,
            rejected: counts.rejected,
        },
        ups: counts.ups,
        downs: counts.downs,
    }
}

pub(super) const fn state(state: bfd::State) -> BfdState {
    match state {
        bfd::State::AdminDown => BfdState::AdminDown,
        bfd::State::Down => BfdState::Down,
        bfd::State::Init => BfdState::Init,
        bfd::State::Up => BfdState::Up,
    }
}

/// A side of which nothing but its pace is known.
fn offered(offer: Option<Offer>) -> BfdSide {
    BfdSide {
        state: BfdState::Down,
        diagnostic: diagnostic(bfd::Diagnostic::None),
        discriminator: None,
        desired_transmit_us: offer.map(|offer| microseconds(offer.desired_tx)),
        required_receive_us: offer.map(|offer| microseconds(offer.required_rx)),
        multiplier: offer.map(|offer| offer.multiplier),
    }
}

fn diagnostic(diagnostic: bfd::Diagnostic) -> Diagnostic {
    Diagnostic {
        code: diagnostic.to_wire(),
        name: diagnostic.name().to_owned(),
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
