//! What a neighbour's task logs: one event per fact.
//!
//! Source: RFC 9003 §5 (a received shutdown text is logged).

use std::time::Instant;

use ipnet::IpNet;

use crate::bgp::connection::{End, State};
use crate::bgp::open::Negotiated;
use crate::bgp::throttle::Throttle;
use crate::bgp::update::AttributeError;

/// Writes about one neighbour, and holds back what repeats.
#[derive(Debug)]
pub(super) struct Journal {
    peer: String,
    attempts: Throttle,
    updates: Throttle,
}

impl Journal {
    pub(super) fn new(peer: String) -> Self {
        Self {
            peer,
            attempts: Throttle::default(),
            updates: Throttle::default(),
        }
    }

    pub(super) fn state(&self, from: State, to: State) {
        let (from, to) = (from.name(), to.name());
        tracing::debug!(peer = %self.peer, from, to, "bgp state changed");
    }

    pub(super) fn established(&mut self, agreed: &Negotiated) {
        self.attempts.reset();
        tracing::info!(
            peer = %self.peer,
            asn = agreed.peer_asn,
            identifier = %agreed.peer_identifier,
            hold_time_s = agreed.hold_time.map_or(0, |time| time.as_secs()),
            ipv4 = agreed.families.ipv4,
            ipv6 = agreed.families.ipv6,
            "bgp session established"
        );
    }

    pub(super) fn ended(
        &mut self,
        now: Instant,
        established: bool,
        end: &End,
        error: Option<std::io::Error>,
    ) {
        if let End::Sent(notification) = end
            && notification.is_administrative()
        {
            // Somebody asked for it: no trouble.
            tracing::info!(peer = %self.peer, reason = %end, "bgp session closed");
        } else if established {
            tracing::warn!(peer = %self.peer, reason = %end, "bgp session lost");
        } else if let Some(suppressed) = self.attempts.allow(now) {
            let error = error.map(tracing::field::display);
            tracing::warn!(
                peer = %self.peer, reason = %end, error, suppressed, "bgp connection attempt failed"
            );
        }
    }

    pub(super) fn update_error(&mut self, now: Instant, error: AttributeError) {
        if let Some(suppressed) = self.updates.allow(now) {
            tracing::warn!(peer = %self.peer, %error, suppressed, "bgp update treated as withdraw");
        }
    }

    pub(super) fn dead_man(&self) {
        tracing::error!(
            peer = %self.peer,
            "withdraw on a stale lease not delivered: no bgp session until the lease is good"
        );
    }

    pub(super) fn route_refused(&self, prefix: &IpNet) {
        tracing::error!(
            peer = %self.peer, %prefix, "route has too many communities or too much prepending"
        );
    }
}
