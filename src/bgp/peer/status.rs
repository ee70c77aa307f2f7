//! What an operator sees of a neighbour.
//!
//! Source: RFC 4273 (the values that a BGP speaker is expected to show).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Peer, Slot};
use crate::bgp::Role;
use crate::bgp::connection::{Connection, Counts, End, Opens, State};
use crate::bgp::message::Families;
use crate::bgp::open::Negotiated;
pub use crate::bgp::rib_out::Told;
use crate::bgp::timers::Timers;
use crate::bgp::update::Update;

/// A snapshot of one neighbour. It is made at each turn of a session, so what is long is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Of the connection nearest to Established.
    pub state: State,
    /// When it entered that state.
    pub since: Instant,
    /// The own address of the newest TCP connection.
    pub local: Option<IpAddr>,
    /// Of the TCP connection that carries the session; the driver knows them.
    pub ends: Option<Ends>,
    /// What was agreed on with a peer whose OPEN fitted.
    pub hold_time: Option<Duration>,
    /// Agreed on; none while there is no agreement.
    pub families: Families,
    /// The peer's BGP identifier.
    pub peer_identifier: Option<Ipv4Addr>,
    /// The peer's AS number.
    pub peer_asn: Option<u32>,
    /// What the peer claims to be. RFC 9234 §4.1.
    pub peer_role: Option<Role>,
    /// The OPENs of the connection nearest to Established.
    pub opens: Opens,
    /// The deadlines of that connection.
    pub timers: Timers,
    /// When the next attempt begins; `None` while one is under way.
    pub restart: Option<Instant>,
    /// Messages since the start.
    pub messages: Counts,
    /// Received UPDATEs whose prefixes counted as withdrawn for an error. RFC 7606 §2.
    pub update_errors: u64,
    /// Prefixes that the peer has been told and that were not withdrawn since.
    pub announced: usize,
    /// The same with their attributes, sorted by prefix.
    pub routes: Arc<[Told]>,
    /// How often the session was Established.
    pub established_total: u64,
    /// A withdraw could not be written while health was silent, so the session was reset; it stays
    /// away until health speaks again.
    pub is_dead_man: bool,
    /// The last NOTIFICATION that was sent.
    pub last_error_sent: Option<String>,
    /// The last NOTIFICATION that was received, with the operator's text if there was one.
    pub last_error_received: Option<String>,
    /// Why the last connection ended.
    pub last_end: Option<String>,
    /// When these three were.
    pub error_times: ErrorTimes,
}

/// The two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This one.
    pub local: SocketAddr,
    /// The neighbour's.
    pub remote: SocketAddr,
}

/// When the last errors of a [`PeerStatus`] were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorTimes {
    /// Of the last NOTIFICATION that was sent.
    pub sent: Option<Instant>,
    /// Of the last NOTIFICATION that was received.
    pub received: Option<Instant>,
    /// Of the last end.
    pub end: Option<Instant>,
}

impl PeerStatus {
    /// A neighbour of which nothing is known yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        History::new(now).status(State::Idle, None, None, Counts::default())
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

impl Peer {
    /// What an operator sees.
    #[must_use]
    pub fn status(&mut self) -> PeerStatus {
        let (a, b) = (&self.dialled.connection, &self.accepted.connection);
        let messages = Counts {
            sent: a.counts().sent.plus(&b.counts().sent),
            received: a.counts().received.plus(&b.counts().received),
        };
        // Only an UPDATE, or another session, changes what the neighbour has been told.
        let session = self.established.map(|_| self.history.established_total);
        let told_by = session.map(|session| (session, messages.sent.update));
        if self.history.told_by != told_by {
            self.history.told_by = told_by;
            self.history.routes = self.rib_out.told();
        }
        let nearest = match self.established.unwrap_or(self.nearest()) {
            Slot::Dialled => &self.dialled.connection,
            Slot::Accepted => &self.accepted.connection,
        };
        PeerStatus {
            announced: self.rib_out.advertised(),
            is_dead_man: self.dead_man.has_fired(),
            ..self
                .history
                .status(self.state, Some(nearest), self.restart, messages)
        }
    }

    /// Adds to the last end what only TCP knows: why it could not be opened.
    pub fn explain_end(&mut self, why: &str) {
        if let Some(end) = &mut self.history.last_end {
            end.push_str(": ");
            end.push_str(why);
        }
    }

    /// The slot whose TCP carries the session.
    #[must_use]
    pub const fn session(&self) -> Option<Slot> {
        self.established
    }
}

/// The part of a status that outlives connections.
#[derive(Debug)]
pub(super) struct History {
    pub(super) since: Instant,
    pub(super) local: Option<IpAddr>,
    established_total: u64,
    update_errors: u64,
    routes: Arc<[Told]>,
    /// How many sessions and UPDATEs there had been when `routes` were collected.
    told_by: Option<(u64, u64)>,
    last_error_sent: Option<String>,
    last_error_received: Option<String>,
    last_end: Option<String>,
    error_times: ErrorTimes,
}

impl History {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            local: None,
            established_total: 0,
            update_errors: 0,
            routes: Arc::from([]),
            told_by: None,
            last_error_sent: None,
            last_error_received: None,
            last_end: None,
            error_times: ErrorTimes::default(),
        }
    }

    pub(super) fn established(&mut self) {
        self.established_total += 1;
    }

    pub(super) fn updated(&mut self, update: &Update) {
        self.update_errors += u64::from(update.treated_as_withdraw.is_some());
    }

    pub(super) fn ended(&mut self, now: Instant, end: &End) {
        match end {
            End::Sent(notification) => {
                self.last_error_sent = Some(notification.to_string());
                self.error_times.sent = Some(now);
            }
            End::Received(notification) => {
                self.last_error_received = Some(notification.to_string());
                self.error_times.received = Some(now);
            }
            End::ConnectTimeout
            | End::ConnectFailed
            | End::Closed
            | End::Dropped
            | End::Undelivered => {}
        }
        self.last_end = Some(end.to_string());
        self.error_times.end = Some(now);
    }

    fn status(
        &self,
        state: State,
        connection: Option<&Connection>,
        restart: Option<Instant>,
        messages: Counts,
    ) -> PeerStatus {
        let agreed: Option<&Negotiated> = connection.and_then(Connection::negotiated);
        PeerStatus {
            state,
            since: self.since,
            local: self.local,
            ends: None,
            hold_time: agreed.and_then(|agreed| agreed.hold_time),
            families: agreed.map(|agreed| agreed.families).unwrap_or_default(),
            peer_identifier: agreed.map(|agreed| agreed.peer_identifier),
            peer_asn: agreed.map(|agreed| agreed.peer_asn),
            peer_role: agreed.and_then(|agreed| agreed.peer_role),
            opens: connection.map(|c| *c.opens()).unwrap_or_default(),
            timers: connection.map(|c| *c.timers()).unwrap_or_default(),
            restart,
            messages,
            update_errors: self.update_errors,
            announced: 0,
            routes: Arc::clone(&self.routes),
            established_total: self.established_total,
            is_dead_man: false,
            last_error_sent: self.last_error_sent.clone(),
            last_error_received: self.last_error_received.clone(),
            last_end: self.last_end.clone(),
            error_times: self.error_times,
        }
    }
}
