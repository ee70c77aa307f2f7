//! One neighbour as a value: at most two connections, the routes told to it, and when to come back.
//!
//! Source: RFC 4271 §6.8 (collision), §8.2.1 (several connections), RFC 6286 §2.3 (equal
//! identifiers), RFC 4486 and RFC 9003 (Cease).
//! Not done on purpose: CollisionDetectEstablishedState (§8.1.1): connections of a neighbour that is
//! Established are closed before their OPEN.
#![warn(clippy::wildcard_enum_match_arm)]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::Route;
use super::connection::{self, Connection, End, Role, State};
use super::notification::Notification;
use super::open::Negotiated;
use super::rib_out::{NextHops, Outlet, RibOut};

mod dead_man;
mod event;
mod orders;
mod pace;
mod parameters;
mod path;
mod status;

use dead_man::DeadMan;
pub use event::{Event, Slot};
use pace::Pace;
pub use parameters::PeerParameters;
use path::Path;
use status::History;
pub use status::{Ends, ErrorTimes, PeerStatus, Told};

/// A killed predecessor's BFD may be up at the neighbour for a detection time still, and FRR 8.4 lets
/// no newcomer end it: a session that is Established before that would be closed when it runs out.
/// What is sent last by the one and noticed by the other takes so much longer. Only a process that has
/// just begun can have had a predecessor.
const BFD_MARGIN: Duration = Duration::from_millis(100);
/// With longer detection times the one lost session of a quick restart costs less than the wait.
const BFD_PATIENCE: Duration = Duration::from_secs(3);

/// A neighbour.
#[derive(Debug)]
pub struct Peer {
    parameters: PeerParameters,
    dialled: Side,
    accepted: Side,
    rib_out: RibOut,
    established: Option<Slot>,
    running: bool,
    restart: Option<Instant>,
    pace: Pace,
    path: Path,
    dead_man: DeadMan,
    /// No connection before this.
    opens_at: Option<Instant>,
    state: State,
    history: History,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Side {
    connection: Connection,
    /// Of the latest connection.
    local: Option<IpAddr>,
    next_hops: NextHops,
}

impl Side {
    fn new(role: Role, seed: u64) -> Self {
        Self {
            connection: Connection::new(role, seed),
            local: None,
            next_hops: NextHops::default(),
        }
    }
}

impl Peer {
    /// A neighbour that is not started yet. The seed decides its jitter.
    #[must_use]
    pub fn new(parameters: PeerParameters, seed: u64, now: Instant) -> Self {
        let rib_out = RibOut::new(parameters.marks.clone());
        Self {
            parameters,
            dialled: Side::new(Role::Dialled, seed),
            accepted: Side::new(Role::Accepted, seed.wrapping_add(1)),
            rib_out,
            established: None,
            running: false,
            restart: None,
            pace: Pace::new(seed.wrapping_add(2)),
            path: Path::default(),
            dead_man: DeadMan::default(),
            opens_at: None,
            state: State::Idle,
            history: History::new(now),
            events: VecDeque::new(),
        }
    }

    /// Begins to dial, or to wait; with BFD not before a predecessor's has run out. Harmless when called
    /// again.
    pub fn handle_start(&mut self, now: Instant) {
        if std::mem::replace(&mut self.running, true) {
            return;
        }
        let (detection, start) = (self.parameters.bfd_detection, self.parameters.process_start);
        let opens_at = detection
            .zip(start)
            .map(|(time, start)| start + time.min(BFD_PATIENCE) + BFD_MARGIN);
        match opens_at.filter(|at| *at > now) {
            Some(at) => (self.opens_at, self.restart) = (Some(at), Some(at)),
            None => self.begin(now),
        }
        self.settle(now);
    }

    /// The slot's TCP is up; `local` is the own address of it.
    pub fn handle_connected(&mut self, now: Instant, slot: Slot, local: IpAddr) {
        let next_hops = self.parameters.next_hops(local);
        let opening = self.parameters.opening(&next_hops);
        let delay_open = self.parameters.delay_open;
        let side = self.side(slot);
        side.local = Some(local);
        side.next_hops = next_hops;
        side.connection.handle_connected(now, opening, delay_open);
        self.history.local = Some(local);
        self.settle(now);
    }

    /// The neighbour has connected. `false`: not wanted now, close it at once. After `true` the
    /// events come first (an older connection may have to go), then the stream is the slot's.
    #[must_use]
    pub fn handle_accepted(&mut self, now: Instant, local: IpAddr) -> bool {
        let half_open = self.accepted.connection.state() < State::OpenConfirm;
        let may_run = self.running && !self.dead_man.has_fired();
        let may_run = may_run && self.opens_at.is_none_or(|at| at <= now);
        if !may_run || self.established.is_some() || !half_open {
            return false;
        }
        // A newer one replaces one that has not got anywhere: the neighbour was restarted.
        let collision = Notification::collision();
        self.accepted.connection.handle_stop(collision);
        self.settle(now);
        self.accepted.connection.handle_start_passively();
        self.handle_connected(now, Slot::Accepted, local);
        true
    }

    /// The slot's TCP could not be opened, was closed by the neighbour, or broke.
    pub fn handle_closed(&mut self, now: Instant, slot: Slot) {
        self.side(slot).connection.handle_closed(now);
        self.settle(now);
    }

    /// Octets from the slot's TCP.
    pub fn handle_bytes(&mut self, now: Instant, slot: Slot, bytes: &[u8]) {
        self.side(slot).connection.handle_bytes(now, bytes);
        self.settle(now);
    }

    /// Something was written to the slot's TCP.
    pub fn handle_written(&mut self, slot: Slot) {
        self.side(slot).connection.handle_written();
    }

    /// The slot's TCP takes nothing more for now.
    pub fn handle_blocked(&mut self, now: Instant, slot: Slot) {
        self.side(slot).connection.handle_blocked(now);
    }

    /// The table that the neighbour should know. Returns the prefixes that cannot be sent. On a stale
    /// lease the table counts as empty.
    pub fn handle_routes(&mut self, routes: &[Route]) -> Vec<IpNet> {
        match self.dead_man.is_stale() {
            true => self.rib_out.set_routes(&[]),
            false => self.rib_out.set_routes(routes),
        }
    }

    /// The routes lead elsewhere from now on; the families that there is a next hop for stay the
    /// same, for they are offered once in a session (RFC 4271 §4.2).
    pub fn handle_next_hops(&mut self, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) {
        self.parameters.next_hop_v4 = v4;
        self.parameters.next_hop_v6 = v6;
        for side in [&mut self.dialled, &mut self.accepted] {
            if let Some(local) = side.local {
                side.next_hops = self.parameters.next_hops(local);
            }
        }
        if let Some(slot) = self.established {
            let next_hops = self.side(slot).next_hops;
            self.rib_out.set_next_hops(next_hops);
        }
    }

    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.dead_man.is_overdue(now) {
            self.part();
        }
        if self.path.handle_timeout(now) {
            self.close_for_bfd();
        }
        if self.restart.is_some_and(|restart| restart <= now) {
            self.restart = None;
            self.begin(now);
        }
        for slot in Slot::ALL {
            self.side(slot).connection.handle_timeout(now);
        }
        self.settle(now);
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timers = [
            self.dialled.connection.poll_timeout(),
            self.accepted.connection.poll_timeout(),
            self.path.poll_timeout(),
            self.dead_man.poll_timeout(),
            self.restart,
        ];
        timers.into_iter().flatten().min()
    }

    /// The next message to write to the slot's TCP. UPDATEs are built only when asked for.
    pub fn poll_transmit(&mut self, slot: Slot) -> Option<Vec<u8>> {
        let side = match slot {
            Slot::Dialled => &mut self.dialled,
            Slot::Accepted => &mut self.accepted,
        };
        if let Some(message) = side.connection.poll_transmit() {
            return Some(message);
        }
        if self.established != Some(slot) {
            return None;
        }
        let (kind, message) = self.rib_out.next_message()?;
        side.connection.count_sent(kind);
        Some(message)
    }

    /// The next thing to do or to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the neighbour has not yet been told all that it should know.
    #[must_use]
    pub fn has_pending_routes(&self) -> bool {
        self.rib_out.is_pending()
    }

    /// The state of the connection that is nearest to Established.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    fn side(&mut self, slot: Slot) -> &mut Side {
        match slot {
            Slot::Dialled => &mut self.dialled,
            Slot::Accepted => &mut self.accepted,
        }
    }

    fn nearest(&self) -> Slot {
        match self.accepted.connection.state() > self.dialled.connection.state() {
            true => Slot::Accepted,
            false => Slot::Dialled,
        }
    }

    fn begin(&mut self, now: Instant) {
        if self.dead_man.has_fired() {
            return;
        }
        match self.parameters.passive {
            true => self.dialled.connection.handle_start_passively(),
            false => self.dialled.connection.handle_start(now),
        }
    }

    /// Works through what the connections have to say, and plans the next attempt.
    fn settle(&mut self, now: Instant) {
        loop {
            let (slot, event) = if let Some(event) = self.dialled.connection.poll_event() {
                (Slot::Dialled, event)
            } else if let Some(event) = self.accepted.connection.poll_event() {
                (Slot::Accepted, event)
            } else {
                break;
            };
            self.handle_connection_event(now, slot, event);
        }
        self.plan_restart(now);
        let nearest = self.nearest();
        let to = self.side(nearest).connection.state();
        if to < State::OpenConfirm {
            self.path.handle_end();
        }
        let from = std::mem::replace(&mut self.state, to);
        if from != to {
            self.history.since = now;
            self.events.push_back(Event::State { from, to });
        }
    }

    fn handle_connection_event(&mut self, now: Instant, slot: Slot, event: connection::Event) {
        match event {
            connection::Event::Dial => self.events.push_back(Event::Dial),
            connection::Event::Opened(agreed) => self.resolve_collision(slot, &agreed),
            connection::Event::Established(agreed) => self.establish(now, slot, agreed),
            connection::Event::Update(update) => {
                self.history.updated(&update);
                self.events.push_back(Event::Update(update));
            }
            connection::Event::RouteRefresh(family) => {
                if self.established == Some(slot) {
                    self.rib_out.refresh(family);
                }
            }
            connection::Event::Ended { end, last } => self.ended(now, slot, end, last),
        }
    }

    /// RFC 4271 §6.8: of two connections the one that the higher identifier opened stays; with equal
    /// identifiers the one of the higher AS number (RFC 6286 §2.3).
    fn resolve_collision(&mut self, slot: Slot, agreed: &Negotiated) {
        let other = slot.other();
        let loser = match self.side(other).connection.state() {
            State::Established => slot,
            State::OpenConfirm => {
                let own = (self.parameters.identifier, self.parameters.local_asn);
                match own > (agreed.peer_identifier, agreed.peer_asn) {
                    true => Slot::Accepted,
                    false => Slot::Dialled,
                }
            }
            State::Idle | State::Connect | State::Active | State::OpenSent => return,
        };
        let collision = Notification::collision();
        self.side(loser).connection.handle_stop(collision);
    }

    fn establish(&mut self, now: Instant, slot: Slot, agreed: Negotiated) {
        if self.side(slot).connection.state() != State::Established {
            // It ended within the same octets; its end is the next event.
            return;
        }
        let collision = Notification::collision();
        self.side(slot.other()).connection.handle_stop(collision);
        self.established = Some(slot);
        self.restart = None;
        self.pace.established(now);
        self.path.handle_established(now);
        self.history.established();
        let next_hops = self.side(slot).next_hops;
        self.rib_out.open(Outlet {
            local_asn: self.parameters.local_asn,
            internal: agreed.internal,
            four_octet: agreed.four_octet,
            ipv4_over_ipv6: agreed.ipv4_over_ipv6,
            enhanced_refresh: agreed.enhanced_refresh,
            role: self.parameters.role,
            families: agreed.families,
            next_hops,
        });
        self.events.push_back(Event::Established(agreed));
    }

    fn ended(&mut self, now: Instant, slot: Slot, end: End, last: Vec<u8>) {
        let established = self.established == Some(slot);
        let mut fires = false;
        if established {
            self.established = None;
            self.rib_out.close();
            fires = self.dead_man.handle_end(&end);
        }
        self.pace.ended(now, &end, established);
        let is_news = established || end != End::Dropped;
        if is_news {
            self.history.ended(now, &end);
        }
        self.events.push_back(Event::HangUp {
            slot,
            last,
            is_abrupt: fires || end.is_abrupt(),
        });
        if is_news {
            self.events.push_back(Event::Ended { established, end });
        }
        if fires {
            self.events.push_back(Event::DeadMan);
            self.part();
        }
    }

    /// The dialling side rests while the accepted one is about to carry the session.
    fn plan_restart(&mut self, now: Instant) {
        let dialled = self.dialled.connection.state();
        let carried = self.accepted.connection.state() >= State::OpenConfirm;
        let may_run = self.running && !self.dead_man.has_fired();
        if !may_run || dialled != State::Idle || carried {
            self.restart = None;
        } else if self.parameters.passive {
            self.dialled.connection.handle_start_passively();
        } else if self.restart.is_none() {
            self.restart = Some(now + self.pace.next_delay());
        }
    }
}

#[cfg(test)]
mod tests;
