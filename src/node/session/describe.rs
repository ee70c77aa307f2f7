//! A session in the words that go outwards: in short at each tick, in full when somebody asks.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Session;
use crate::admin::Describe;
use crate::admin::status::neighbor::{
    AnnouncedRoute, BfdSession, Capability, MessageCounts, Messages, Mishap, NeighborDetail,
    Speaker, SpeakerRole, Timers, TtlGuard,
};
use crate::admin::status::{Family, Neighbor, SessionState};
use crate::bfd::status::Status;
use crate::bgp::connection::{self, Offer, State};
use crate::bgp::message;
use crate::bgp::open::capability_name;
use crate::bgp::peer::{PeerParameters, PeerStatus, Told};
use crate::bgp::{PeerAsn, Role, Ttl};

mod bfd;

/// What is known of a neighbour at one moment. Making one copies little: what is long is shared.
#[derive(Debug)]
pub(in crate::node) struct Record {
    parameters: PeerParameters,
    status: PeerStatus,
    bfd: Option<Status>,
}

impl Session {
    /// What is known now.
    pub(in crate::node) fn record(&self) -> Record {
        Record {
            parameters: self.wanted.parameters.clone(),
            status: self.status.borrow().clone(),
            bfd: self.bfd.as_ref().and_then(|watch| watch.status()),
        }
    }
}

impl Record {
    /// In short.
    pub(in crate::node) fn summary(&self, now: Instant) -> Neighbor {
        let (parameters, status) = (&self.parameters, &self.status);
        let is_up = status.state == State::Established;
        let hold_time_s = || {
            let agreed = status.hold_time.unwrap_or_default().as_secs();
            u16::try_from(agreed).unwrap_or(u16::MAX)
        };
        Neighbor {
            address: parameters.name(),
            state: session_state(status.state),
            since_s: age_s(now, status.since),
            asn: status.peer_asn.or(match parameters.peer_asn {
                PeerAsn::Number(number) => Some(number),
                PeerAsn::Internal => Some(parameters.local_asn),
                PeerAsn::External => None,
            }),
            router_id: status.peer_identifier,
            source: status.local.or(parameters.local),
            hold_time_s: is_up.then(hold_time_s),
            announced: status.routes.iter().map(|t| t.prefix.to_string()).collect(),
            bfd: self.bfd.map(|status| bfd::state(status.state)),
            last_error: status.last_end.clone(),
        }
    }

    /// Both ends of a link-local session are on the same link. RFC 4007 §11.
    fn own_name(&self, address: IpAddr) -> String {
        match &self.parameters.interface {
            Some(interface) if is_link_local(address) => format!("{address}%{interface}"),
            Some(_) | None => address.to_string(),
        }
    }

    fn local(&self) -> Speaker {
        let (parameters, status) = (&self.parameters, &self.status);
        let end = status.ends.map(|ends| ends.local);
        let address = end.map(|end| end.ip()).or(status.local);
        let sent = status.opens.sent.as_ref();
        let offered_s = parameters.hold_time.map_or(0, |time| time.as_secs());
        Speaker {
            address: address.or(parameters.local).map(|own| self.own_name(own)),
            port: end.map(|end| end.port()),
            asn: Some(parameters.local_asn),
            router_id: Some(parameters.identifier),
            hold_time_s: sent
                .map(|open| open.hold_time_s)
                .or(u16::try_from(offered_s).ok()),
            role: parameters.role.map(role),
            capabilities: capabilities(sent),
        }
    }

    fn remote(&self, summary: &Neighbor) -> Speaker {
        let received = self.status.opens.received.as_ref();
        Speaker {
            address: Some(summary.address.clone()),
            port: self.status.ends.map(|ends| ends.remote.port()),
            asn: summary.asn,
            router_id: summary.router_id,
            hold_time_s: received.map(|open| open.hold_time_s),
            role: self.status.peer_role.map(role),
            capabilities: capabilities(received),
        }
    }

    fn is_internal(&self) -> bool {
        let own = self.parameters.local_asn;
        match (self.status.peer_asn, self.parameters.peer_asn) {
            (Some(asn), _) | (None, PeerAsn::Number(asn)) => asn == own,
            (None, PeerAsn::Internal) => true,
            (None, PeerAsn::External) => false,
        }
    }

    fn timers(&self, now: Instant) -> Timers {
        let left =
            |at: Option<Instant>| at.map(|at| milliseconds(at.saturating_duration_since(now)));
        let timers = &self.status.timers;
        Timers {
            restart_ms: left(self.status.restart),
            connect_retry_ms: left(timers.connect_retry),
            delay_open_ms: left(timers.delay_open),
            hold_ms: left(timers.hold),
            keepalive_ms: left(timers.keepalive),
            send_hold_ms: left(timers.send_hold),
        }
    }

    fn bfd(&self, now: Instant) -> Option<BfdSession> {
        self.bfd.as_ref().map(|status| bfd::session(now, status))
    }
}

impl Describe for Record {
    fn describe(&self, now: Instant) -> NeighborDetail {
        let status = &self.status;
        let summary = self.summary(now);
        let times = &status.error_times;
        let mishap = |text: &Option<String>, at: Option<Instant>| {
            Some(Mishap {
                text: text.clone()?,
                ago_s: age_s(now, at?),
            })
        };
        let families = status.families.iter();
        NeighborDetail {
            established_total: status.established_total,
            passive: self.parameters.passive,
            interface: self.parameters.interface.clone(),
            local: self.local(),
            remote: self.remote(&summary),
            internal: self.is_internal(),
            families: families.map(family).collect(),
            keepalive_ms: status.hold_time.map(|time| milliseconds(time / 3)),
            timers: self.timers(now),
            ttl: match self.parameters.security.ttl {
                Ttl::Direct => ttl(255, None),
                Ttl::Security => ttl(255, Some(255)),
                Ttl::Multihop(hops) => ttl(hops, None),
            },
            md5: self.parameters.security.password.is_some(),
            routes: status.routes.iter().map(route).collect(),
            last_error_sent: mishap(&status.last_error_sent, times.sent),
            last_error_received: mishap(&status.last_error_received, times.received),
            last_end: mishap(&status.last_end, times.end),
            messages: Messages {
                sent: counts(&status.messages.sent),
                received: counts(&status.messages.received),
            },
            update_errors: status.update_errors,
            dead_man: status.is_dead_man,
            bfd_session: self.bfd(now),
            summary,
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

const fn session_state(state: State) -> SessionState {
    match state {
        State::Idle => SessionState::Idle,
        State::Connect => SessionState::Connect,
        State::Active => SessionState::Active,
        State::OpenSent => SessionState::OpenSent,
        State::OpenConfirm => SessionState::OpenConfirm,
        State::Established => SessionState::Established,
    }
}

const fn family(family: message::Family) -> Family {
    match family {
        message::Family::Ipv4 => Family::Ipv4,
        message::Family::Ipv6 => Family::Ipv6,
    }
}

const fn role(role: Role) -> SpeakerRole {
    match role {
        Role::Provider => SpeakerRole::Provider,
        Role::RouteServer => SpeakerRole::RouteServer,
        Role::RouteServerClient => SpeakerRole::RouteServerClient,
        Role::Customer => SpeakerRole::Customer,
        Role::Peer => SpeakerRole::Peer,
    }
}

const fn ttl(sent: u8, accepted_min: Option<u8>) -> TtlGuard {
    TtlGuard { sent, accepted_min }
}

fn capabilities(offer: Option<&Offer>) -> Vec<Capability> {
    let codes = offer.iter().flat_map(|offer| offer.capabilities.iter());
    let named = codes.map(|code| Capability {
        code,
        name: capability_name(code).to_owned(),
    });
    named.collect()
}

fn route(told: &Told) -> AnnouncedRoute {
    let communities = told.communities.iter();
    let large = told.large_communities.iter();
    AnnouncedRoute {
        prefix: told.prefix.to_string(),
        next_hops: told.next_hops.clone(),
        as_path: told.as_path.clone(),
        med: told.med,
        local_pref: told.local_pref,
        communities: communities.map(|value| community(*value)).collect(),
        large_communities: large
            .map(|[global, first, second]| format!("{global}:{first}:{second}"))
            .collect(),
        only_to_customer: told.only_to_customer,
    }
}

/// RFC 1997: the AS number stands in the upper half.
fn community(value: u32) -> String {
    format!("{}:{}", value >> 16, value & 0xFFFF)
}

const fn counts(counts: &connection::MessageCounts) -> MessageCounts {
    MessageCounts {
        open: counts.open,
        update: counts.update,
        notification: counts.notification,
        keepalive: counts.keepalive,
        route_refresh: counts.route_refresh,
    }
}

fn age_s(now: Instant, since: Instant) -> u64 {
    now.saturating_duration_since(since).as_secs()
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
