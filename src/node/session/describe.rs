//! A session in the words that go outwards.

use std::time::Instant;

use ipnet::IpNet;

use super::Session;
use crate::admin::status::{Neighbor, SessionState};
use crate::bgp::connection::State;
use crate::bgp::{PeerAsn, Route};

impl Session {
    /// Its state in the words that go outwards; `routes` is what every neighbour should have.
    pub(in crate::node) fn describe(&self, now: Instant, routes: &[Route]) -> Neighbor {
        let status = self.status.borrow();
        let is_up = status.state == State::Established;
        let offered = routes.iter().filter(|route| {
            is_up
                && match route.prefix {
                    IpNet::V4(_) => status.families.ipv4,
                    IpNet::V6(_) => status.families.ipv6,
                }
        });
        Neighbor {
            address: self.address().to_string(),
            state: match status.state {
                State::Idle => SessionState::Idle,
                State::Connect => SessionState::Connect,
                State::Active => SessionState::Active,
                State::OpenSent => SessionState::OpenSent,
                State::OpenConfirm => SessionState::OpenConfirm,
                State::Established => SessionState::Established,
            },
            since_s: now.saturating_duration_since(status.since).as_secs(),
            asn: status.peer_asn.or(match self.wanted.parameters.peer_asn {
                PeerAsn::Number(number) => Some(number),
                PeerAsn::Internal => Some(self.wanted.parameters.local_asn),
                PeerAsn::External => None,
            }),
            router_id: status.peer_identifier,
            source: status.local.or(self.wanted.parameters.local),
            hold_time_s: is_up.then(|| {
                let agreed = status.hold_time.unwrap_or_default().as_secs();
                u16::try_from(agreed).unwrap_or(u16::MAX)
            }),
            announced: offered.map(|route| route.prefix.to_string()).collect(),
            last_error: status.last_end.clone(),
        }
    }
}
