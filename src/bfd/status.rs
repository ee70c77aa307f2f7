//! What an operator sees of a session.
//!
//! Source: RFC 5880 §6.8.1 (the variables that are shown), RFC 7331 (the values that a
//! BFD speaker is expected to show).

use std::time::{Duration, Instant};

use super::{Diagnostic, State};

/// A snapshot of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Of this side.
    pub state: State,
    /// When this side entered it.
    pub since: Instant,
    /// Why this side entered it; after Up has been reached, none.
    pub diagnostic: Diagnostic,
    /// Why the session was last lost; none if it never was.
    pub last_loss: Diagnostic,
    /// Of the other side; Down while it is unknown.
    pub remote_state: State,
    /// What the other side last gave as its reason.
    pub remote_diagnostic: Diagnostic,
    /// Kept Down until the node is fit again.
    pub is_held_down: bool,
    /// Not 0.
    pub discriminator: u32,
    /// `None`: unknown.
    pub remote_discriminator: Option<u32>,
    /// What this side offers now.
    pub offered: Offer,
    /// What the other side offered last; `None`: unknown.
    pub remote_offered: Option<Offer>,
    /// Between two own packets, before jitter; `None`: the other side wants none.
    pub transmit_interval: Option<Duration>,
    /// After such a silence the other side is lost; `None` while it is unknown.
    pub detection_time: Option<Duration>,
    /// Between two received packets, smoothed, since the session was last Up.
    pub receive_gap: Option<Duration>,
    /// The longest between two received packets since the session was last Up.
    pub receive_gap_max: Option<Duration>,
    /// Since the start.
    pub counts: Counts,
}

/// What a side's packets say about its pace. RFC 5880 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Wishes to send no faster than so.
    pub desired_tx: Duration,
    /// Can take no faster than so; zero: wants nothing periodic.
    pub required_rx: Duration,
    /// So many packets in a row may be missed.
    pub multiplier: u8,
}

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets handed out.
    pub sent: u64,
    /// Packets taken.
    pub received: u64,
    /// Datagrams that were not taken.
    pub rejected: u64,
    /// How often the session came Up.
    pub ups: u64,
    /// How often it left Up.
    pub downs: u64,
    /// Events that nobody fetched in time.
    pub lost_events: u64,
}

/// Measures how regularly packets come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    last: Option<Instant>,
    pub(super) smoothed: Option<Duration>,
    pub(super) longest: Option<Duration>,
}

impl Gaps {
    /// Begins anew, with a packet that came now.
    pub(super) fn start(now: Instant) -> Self {
        Self {
            last: Some(now),
            smoothed: None,
            longest: None,
        }
    }

    /// A packet came. An eighth of each gap is taken into the mean, as TCP does (RFC 6298 §2).
    pub(super) fn add(&mut self, now: Instant) {
        let Some(last) = self.last.replace(now) else {
            return;
        };
        let gap = now.saturating_duration_since(last);
        let smoothed = self.smoothed.map_or(gap, |mean| (mean * 7 + gap) / 8);
        self.smoothed = Some(smoothed);
        self.longest = self.longest.max(Some(gap));
    }
}
