//! What an operator sees of a neighbour.
//!
//! Source: RFC 4273 (the values that a BGP speaker is expected to show).

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::bgp::connection::{Counts, End, State};
use crate::bgp::message::Families;
use crate::bgp::open::Negotiated;

/// A snapshot of one neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Of the connection nearest to Established.
    pub state: State,
    /// When it entered that state.
    pub since: Instant,
    /// The own address of the newest TCP connection.
    pub local: Option<IpAddr>,
    /// What was agreed on with a peer whose OPEN fitted.
    pub hold_time: Option<Duration>,
    /// Agreed on; none while there is no agreement.
    pub families: Families,
    /// The peer's BGP identifier.
    pub peer_identifier: Option<Ipv4Addr>,
    /// The peer's AS number.
    pub peer_asn: Option<u32>,
    /// Messages since the start.
    pub messages: Counts,
    /// Prefixes that the peer has been told and that were not withdrawn since.
    pub announced: usize,
    /// How often the session was Established.
    pub established_total: u64,
    /// The last NOTIFICATION that was sent.
    pub last_error_sent: Option<String>,
    /// The last NOTIFICATION that was received, with the operator's text if there was one.
    pub last_error_received: Option<String>,
    /// Why the last connection ended.
    pub last_end: Option<String>,
    /// A withdraw on a stale lease did not arrive: there is no session until the lease is good.
    pub is_dead_man: bool,
}

impl PeerStatus {
    /// A neighbour of which nothing is known yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        History::new(now).status(State::Idle, None, Counts::default(), 0)
    }

    /// How long the session has been Established; `None` if it is not.
    #[must_use]
    pub fn uptime(&self, now: Instant) -> Option<Duration> {
        (self.state == State::Established).then(|| now.saturating_duration_since(self.since))
    }

    /// How often the session came back.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.established_total.saturating_sub(1)
    }
}

/// The part of a status that outlives connections.
#[derive(Debug)]
pub(super) struct History {
    pub(super) since: Instant,
    pub(super) local: Option<IpAddr>,
    established_total: u64,
    last_error_sent: Option<String>,
    last_error_received: Option<String>,
    last_end: Option<String>,
}

impl History {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            local: None,
            established_total: 0,
            last_error_sent: None,
            last_error_received: None,
            last_end: None,
        }
    }

    pub(super) fn established(&mut self) {
        self.established_total += 1;
    }

    pub(super) fn ended(&mut self, end: &End) {
        match end {
            End::Sent(notification) => self.last_error_sent = Some(notification.to_string()),
            End::Received(notification) => {
                self.last_error_received = Some(notification.to_string());
            }
            End::ConnectTimeout | End::ConnectFailed | End::Closed | End::Dropped => {}
        }
        self.last_end = Some(end.to_string());
    }

    pub(super) fn status(
        &self,
        state: State,
        agreed: Option<&Negotiated>,
        messages: Counts,
        announced: usize,
    ) -> PeerStatus {
        PeerStatus {
            state,
            since: self.since,
            local: self.local,
            hold_time: agreed.and_then(|agreed| agreed.hold_time),
            families: agreed.map(|agreed| agreed.families).unwrap_or_default(),
            peer_identifier: agreed.map(|agreed| agreed.peer_identifier),
            peer_asn: agreed.map(|agreed| agreed.peer_asn),
            messages,
            announced,
            established_total: self.established_total,
            last_error_sent: self.last_error_sent.clone(),
            last_error_received: self.last_error_received.clone(),
            last_end: self.last_end.clone(),
            is_dead_man: false,
        }
    }
}
