//! One interface's neighbour discovery as a value: when to speak, and which routers were heard.
//!
//! Source: RFC 4861 §6.2.4 and §6.2.6 (advertising), §6.3.7 (soliciting), §10 (constants).
//! Deviates from RFC 4861 §6.3.7: the first solicitation is not delayed, for a route waits for its
//! answer, and soliciting goes on as long as no router was heard.
#![warn(clippy::wildcard_enum_match_arm)]

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::packet::{self, LinkLayer, Message};

/// `MaxRtrAdvInterval`; routers' own for unnumbered BGP is the same.
const ADVERTISE_EVERY: Duration = Duration::from_secs(10);
/// The same, at its least, while the router does not talk to this node: it may have been restarted
/// and know nobody.
const ADVERTISE_WITHOUT_SESSION: Duration = Duration::from_secs(4);
/// `MIN_DELAY_BETWEEN_RAS`.
const ADVERTISE_GAP: Duration = Duration::from_secs(3);
/// `MAX_RA_DELAY_TIME`.
const ANSWER_DELAY_MAX: Duration = Duration::from_millis(500);
/// `MAX_INITIAL_RTR_ADVERTISEMENTS`, which come at the shortest gap.
const INITIAL_ADVERTISEMENTS: u8 = 3;
/// `RTR_SOLICITATION_INTERVAL`.
const SOLICIT_GAP: Duration = Duration::from_secs(4);
/// `MAX_RTR_SOLICITATIONS`; from then on it is asked as seldom as advertised.
const QUICK_SOLICITATIONS: u8 = 3;
/// One is right, two a mistake that is told; more are remembered by nobody.
const ROUTERS_MAX: usize = 4;
/// A router that has said nothing for so long may be replaced: it has left out two advertisements.
const SILENCE: Duration = Duration::from_secs(25);

/// A router on the interface's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// Link-local.
    pub address: Ipv6Addr,
    /// As its advertisement said.
    pub link_layer: Option<LinkLayer>,
    /// When it was heard first and last.
    pub heard: (Instant, Instant),
}

impl Router {
    fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard.1) > SILENCE
    }

    /// Whether `newer` is this very router under another address: it began to speak after this one
    /// had ended.
    fn is_now(&self, newer: &Self) -> bool {
        self.link_layer.is_some()
            && self.link_layer == newer.link_layer
            && newer.heard.0 > self.heard.1
    }
}

/// Which router is meant by an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The one to talk to.
    pub router: Option<Ipv6Addr>,
    /// Others on the same link, which nobody talks to.
    pub others: Vec<Ipv6Addr>,
}

/// The first router that was heard, as long as it is there. `current` is the one that is talked to
/// now; while `is_up`, its silence does not matter.
#[must_use]
pub fn choose(routers: &[Router], current: Option<Ipv6Addr>, is_up: bool, now: Instant) -> Choice {
    let is_alive = |router: &&Router| {
        let is_kept = is_up && Some(router.address) == current;
        let is_replaced = routers.iter().any(|other| router.is_now(other));
        !is_replaced && (is_kept || !router.is_silent(now))
    };
    let mut alive: Vec<&Router> = routers.iter().filter(is_alive).collect();
    alive.sort_by_key(|router| (Some(router.address) != current, router.heard.0));
    let is_known = |address: &Ipv6Addr| routers.iter().any(|router| router.address == *address);
    let unheard = current.filter(|address| is_up && !is_known(address));
    let mut addresses = unheard
        .into_iter()
        .chain(alive.iter().map(|router| router.address));
    match addresses.next() {
        Some(router) => Choice {
            router: Some(router),
            others: addresses.collect(),
        },
        // Nobody speaks now: it may be one that speaks seldom.
        None => Choice {
            router: current.or_else(|| {
                let latest = routers.iter().max_by_key(|router| router.heard.1);
                latest.map(|router| router.address)
            }),
            others: Vec::new(),
        },
    }
}

/// What to send, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transmit {
    /// To all nodes of the link.
    Advertisement(Vec<u8>),
    /// To all routers of the link.
    Solicitation(Vec<u8>),
}

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Solicitation,
    Advertisement,
    /// RFC 4861 §6.1 says to drop it.
    Malformed,
    /// A router more than are remembered.
    Surplus,
    /// The own voice, or no address yet to have one.
    Nothing,
}

/// What this host is on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Own {
    address: Ipv6Addr,
    link_layer: Option<LinkLayer>,
}

/// One interface.
#[derive(Debug)]
pub(super) struct Machine {
    own: Option<Own>,
    routers: Vec<Router>,
    is_changed: bool,
    advertise_at: Option<Instant>,
    advertised_at: Option<Instant>,
    advertisements: u8,
    is_session_up: bool,
    solicit_at: Option<Instant>,
    solicitations: u8,
    outgoing: Vec<Transmit>,
    random: SmallRng,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            own: None,
            routers: Vec::with_capacity(ROUTERS_MAX),
            is_changed: false,
            advertise_at: None,
            advertised_at: None,
            advertisements: 0,
            is_session_up: false,
            solicit_at: None,
            solicitations: 0,
            outgoing: Vec::with_capacity(2),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// The link is up and the interface has this link-local address on it, or has it anew.
    pub(super) fn handle_attached(
        &mut self,
        now: Instant,
        address: Ipv6Addr,
        link_layer: Option<LinkLayer>,
    ) {
        self.own = Some(Own {
            address,
            link_layer,
        });
        self.advertisements = 0;
        self.solicitations = 0;
        // The other end may have lost what it knew: it is told at once, gap or not.
        self.advertise_at = Some(now);
        self.solicit_at = Some(now);
    }

    /// The link is down, or the interface has no address to speak from: who was there may not be
    /// there later.
    pub(super) fn handle_detached(&mut self) {
        self.own = None;
        self.advertise_at = None;
        self.solicit_at = None;
        self.outgoing.clear();
        self.is_changed |= !self.routers.is_empty();
        self.routers.clear();
    }

    /// Whether the router's session is up. One that just went down may have ended with a router that
    /// now starts again.
    pub(super) fn handle_session(&mut self, now: Instant, is_up: bool) {
        let was_up = std::mem::replace(&mut self.is_session_up, is_up);
        if was_up && !is_up && self.own.is_some() {
            self.advertisements = 0;
            self.advertise_by(now);
        }
    }

    /// A packet that came in with hop limit 255.
    pub(super) fn handle_packet(&mut self, now: Instant, source: Ipv6Addr, octets: &[u8]) -> Heard {
        if self.own.is_none_or(|own| own.address == source) {
            return Heard::Nothing;
        }
        match packet::read(source, octets) {
            Ok(Message::Solicitation) => {
                self.answer(now);
                Heard::Solicitation
            }
            Ok(Message::Advertisement { link_layer }) => self.hear(now, source, link_layer),
            Err(packet::Malformed) => Heard::Malformed,
        }
    }

    /// Does what is due at `now`. Harmless when called early.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Some(own) = self.own else {
            return;
        };
        if self.advertise_at.is_some_and(|due| due <= now) {
            self.advertised_at = Some(now);
            self.advertisements = self.advertisements.saturating_add(1);
            let wait = match self.is_session_up {
                _ if self.advertisements < INITIAL_ADVERTISEMENTS => ADVERTISE_GAP,
                true => self.shorten(ADVERTISE_EVERY),
                false => self.shorten(ADVERTISE_WITHOUT_SESSION),
            };
            self.advertise_at = Some(now + wait);
            let packet = packet::advertisement(own.link_layer);
            self.outgoing.push(Transmit::Advertisement(packet));
        }
        if self.solicit_at.is_some_and(|due| due <= now) {
            self.solicitations = self.solicitations.saturating_add(1);
            let wait = match self.solicitations < QUICK_SOLICITATIONS {
                true => SOLICIT_GAP,
                false => self.shorten(ADVERTISE_EVERY),
            };
            self.solicit_at = Some(now + wait);
            if self.routers.is_empty() {
                let packet = packet::solicitation(own.link_layer);
                self.outgoing.push(Transmit::Solicitation(packet));
            }
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.advertise_at, self.solicit_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next packet to send; at most one of each kind waits.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        (!self.outgoing.is_empty()).then(|| self.outgoing.remove(0))
    }

    /// Whether the set of routers has changed since this was asked last.
    pub(super) fn poll_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Who was heard, in the order of being heard first; at most [`ROUTERS_MAX`].
    pub(super) fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// RFC 4861 §6.2.6: after a random delay.
    fn answer(&mut self, now: Instant) {
        let delay = ANSWER_DELAY_MAX.mul_f64(self.random.random_range(0.0..=1.0));
        self.advertise_by(now + delay);
    }

    /// Then, or before if that was planned; never twice in a short time.
    fn advertise_by(&mut self, wanted: Instant) {
        let allowed = self.advertised_at.map(|last| last + ADVERTISE_GAP);
        let due = allowed.map_or(wanted, |allowed| allowed.max(wanted));
        self.advertise_at = Some(self.advertise_at.map_or(due, |planned| planned.min(due)));
    }

    fn hear(&mut self, now: Instant, address: Ipv6Addr, link_layer: Option<LinkLayer>) -> Heard {
        if !self.is_session_up {
            // A router that speaks may just have started, and routers do not solicit.
            self.advertise_by(now);
        }
        let mut known = self.routers.iter_mut();
        if let Some(router) = known.find(|router| router.address == address) {
            router.heard.1 = now;
            router.link_layer = link_layer;
            return Heard::Advertisement;
        }
        if self.routers.len() == ROUTERS_MAX {
            let Some(gone) = self.routers.iter().position(|router| router.is_silent(now)) else {
                return Heard::Surplus;
            };
            self.routers.remove(gone);
        }
        self.routers.push(Router {
            address,
            link_layer,
            heard: (now, now),
        });
        self.is_changed = true;
        Heard::Advertisement
    }

    fn shorten(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.random.random_range(0.75..=1.0))
    }
}

#[cfg(test)]
mod tests;
