//! One BGP connection as a value: the state machine without socket, clock or task.
//!
//! Source: RFC 4271 §8.2.2 (the machine), §8.1.1 (DelayOpen, SendNOTIFICATIONwithoutOPEN), §6
//! (errors), RFC 6608 (machine errors), RFC 9687 (send hold timer).
//! Not done here: when to come back from Idle and which of two connections stays (§6.8) is decided
//! in `peer`.
#![warn(clippy::wildcard_enum_match_arm)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::message::{self, HeaderError, Kind, RefreshStep};
use super::notification::Notification;
use super::open::{self, Local, Negotiated, Open};
use super::timers::{Jitter, OPEN_LIMIT, SEND_HOLD_WITHOUT_HOLD_TIME, Timers};
use super::update::{Reading, Update};

mod counts;
mod opens;
mod state;
mod timing;

pub use counts::{Counts, MessageCounts};
pub use opens::{Offer, Opens};
pub use state::{End, Event, Role, State};

/// The machine of one TCP connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    state: State,
    /// What the own OPEN says; there as long as TCP is up.
    local: Option<Local>,
    negotiated: Option<Negotiated>,
    opens: Opens,
    timers: Timers,
    jitter: Jitter,
    received: Vec<u8>,
    control: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    counts: Counts,
}

impl Connection {
    /// A machine in Idle.
    #[must_use]
    pub fn new(role: Role, seed: u64) -> Self {
        Self {
            role,
            state: State::Idle,
            local: None,
            negotiated: None,
            opens: Opens::default(),
            timers: Timers::default(),
            jitter: Jitter::new(seed),
            received: Vec::new(),
            control: VecDeque::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Where the machine is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What both sides agreed on; there from OpenConfirm on.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// What the OPENs of the present TCP connection said.
    #[must_use]
    pub fn opens(&self) -> &Opens {
        &self.opens
    }

    /// What is due when.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Messages of all connections that this machine has had.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Counts a message that was built elsewhere.
    pub fn count_sent(&mut self, kind: Kind) {
        self.counts.sent.add(kind);
    }

    /// Events 1 and 3: begins to dial.
    pub fn handle_start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.dial(now);
        }
    }

    /// Events 4 and 5: waits for the peer to connect.
    pub fn handle_start_passively(&mut self) {
        if self.state == State::Idle {
            self.state = State::Active;
        }
    }

    /// Does at once what ConnectRetryTimer would do later.
    pub fn handle_hurry(&mut self, now: Instant) {
        if self.state == State::Active && self.timers.connect_retry.is_some() {
            self.dial(now);
        }
    }

    /// Events 2, 8 and 23: ends with `notification`, if there is somebody to hear it.
    pub fn handle_stop(&mut self, notification: Notification) {
        match self.state {
            State::Idle => {}
            State::Connect | State::Active if !self.has_tcp() => self.end(End::Dropped),
            State::Connect
            | State::Active
            | State::OpenSent
            | State::OpenConfirm
            | State::Established => self.end(End::Sent(notification)),
        }
    }

    /// Ends without a word: the link is gone.
    pub fn handle_drop(&mut self) {
        if self.state != State::Idle {
            self.end(End::Dropped);
        }
    }

    /// Ends without a word: the peer does not hear the withdraw that it must hear.
    pub fn handle_undelivered(&mut self) {
        if self.state != State::Idle {
            self.end(End::Undelivered);
        }
    }

    /// Events 16 and 17: TCP is up; `local` is what the own OPEN says, which waits for the peer's
    /// for `delay_open` at most. RFC 4271 §8.1.1 (DelayOpen).
    pub fn handle_connected(&mut self, now: Instant, local: Local, delay_open: Duration) {
        match self.state {
            State::Connect | State::Active if !self.has_tcp() => {
                self.local = Some(local);
                if delay_open.is_zero() {
                    self.open(now);
                } else {
                    self.timers = Timers {
                        delay_open: Some(now + delay_open),
                        ..Timers::default()
                    };
                }
            }
            State::Idle
            | State::Connect
            | State::Active
            | State::OpenSent
            | State::OpenConfirm
            | State::Established => {}
        }
    }

    /// Event 18: TCP could not be opened, was closed by the peer, or broke.
    pub fn handle_closed(&mut self, now: Instant) {
        match self.state {
            State::Idle => {}
            // Deviates from RFC 4271 §8.2.2 Connect, event 18: goes to Active and not to Idle,
            // because a router that is not there yet is no fault, and the retry has a pace.
            State::Connect => match self.has_tcp() {
                true => self.retry(now, End::Closed),
                false => self.retry(now, End::ConnectFailed),
            },
            State::Active => {
                if self.role == Role::Accepted {
                    self.end(End::Closed);
                }
            }
            State::OpenSent => match self.role {
                Role::Dialled => self.retry(now, End::Closed),
                Role::Accepted => self.end(End::Closed),
            },
            State::OpenConfirm | State::Established => self.end(End::Closed),
        }
    }

    /// Takes what was read from TCP; any cut is right.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if !self.has_tcp() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.received);
        buffer.extend_from_slice(bytes);
        let mut rest = buffer.as_slice();
        while self.has_tcp() {
            match message::frame(rest) {
                Ok(Some(frame)) => {
                    let (kind, body) = (frame.kind, frame.body);
                    rest = rest.get(frame.length..).unwrap_or_default();
                    self.counts.received.add(kind);
                    self.handle_message(now, kind, body);
                }
                Ok(None) => {
                    self.received = rest.to_vec();
                    return;
                }
                Err(error) => return self.handle_header_error(error),
            }
        }
    }

    /// Something was written to TCP.
    pub fn handle_written(&mut self) {
        self.timers.send_hold = None;
    }

    /// TCP takes nothing more for now.
    // Deviates from RFC 9687 §3.2 (8 minutes or twice the hold time): one hold time is enough,
    // because a withdraw that cannot be written must not keep the route alive for minutes.
    pub fn handle_blocked(&mut self, now: Instant) {
        if self.state == State::Established && self.timers.send_hold.is_none() {
            let hold_time = self.negotiated.and_then(|agreed| agreed.hold_time);
            let limit = hold_time.unwrap_or(SEND_HOLD_WITHOUT_HOLD_TIME);
            self.timers.send_hold = Some(now + limit);
        }
    }

    /// The next message to write.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.control.pop_front()
    }

    /// The next thing to do or to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether TCP is up.
    fn has_tcp(&self) -> bool {
        self.local.is_some()
    }

    /// Sends the own OPEN.
    fn open(&mut self, now: Instant) {
        self.timers = Timers {
            hold: Some(now + OPEN_LIMIT),
            ..Timers::default()
        };
        self.state = State::OpenSent;
        if let Some(open) = self.local.as_ref().map(Local::open) {
            self.opens.sent = Some(Offer::from(&open));
            self.send(Kind::Open, open.encode());
        }
    }

    fn end(&mut self, end: End) {
        if let End::Sent(notification) = &end {
            self.send(Kind::Notification, notification.encode());
        }
        let last = match end {
            End::Sent(_) => self.control.drain(..).flatten().collect(),
            End::ConnectTimeout
            | End::ConnectFailed
            | End::Closed
            | End::Received(_)
            | End::Dropped
            | End::Undelivered => Vec::new(),
        };
        self.control.clear();
        self.received.clear();
        self.timers = Timers::default();
        self.negotiated = None;
        self.opens = Opens::default();
        self.local = None;
        self.state = State::Idle;
        self.events.push_back(Event::Ended { end, last });
    }

    fn send(&mut self, kind: Kind, message: Vec<u8>) {
        self.counts.sent.add(kind);
        self.control.push_back(message);
    }

    /// Event 21.
    fn handle_header_error(&mut self, error: HeaderError) {
        self.end(End::Sent(error.notification()));
    }

    fn handle_message(&mut self, now: Instant, kind: Kind, body: &[u8]) {
        match kind {
            Kind::Open => self.handle_open(now, body),
            Kind::Keepalive => self.handle_keepalive(now),
            Kind::Update => self.handle_update(now, body),
            Kind::RouteRefresh => self.handle_route_refresh(body),
            // Events 24 and 25.
            Kind::Notification => {
                self.end(End::Received(Notification::from_body(body)));
            }
        }
    }

    /// Events 19, 20 and 22. An error is told even to a peer that has not had the own OPEN yet
    /// (SendNOTIFICATIONwithoutOPEN): its operator should see it.
    fn handle_open(&mut self, now: Instant, body: &[u8]) {
        match (self.state, self.local) {
            (State::Connect | State::Active | State::OpenSent, Some(local)) => {
                let open = Open::decode(body);
                self.opens.received = open.as_ref().ok().map(Offer::from);
                let agreed = open.and_then(|open| open::negotiate(&local, &open));
                match agreed {
                    Ok(agreed) => {
                        if self.state != State::OpenSent {
                            self.open(now);
                        }
                        self.negotiated = Some(agreed);
                        self.state = State::OpenConfirm;
                        self.send(Kind::Keepalive, message::keepalive());
                        self.restart_keepalive(now);
                        self.restart_hold(now);
                        // Without a hold time too, the KEEPALIVE that is due now is not waited
                        // for for ever.
                        self.timers.hold.get_or_insert(now + OPEN_LIMIT);
                        self.events.push_back(Event::Opened(agreed));
                    }
                    Err(error) => self.end(End::Sent(error.notification())),
                }
            }
            _ => self.unexpected(Kind::Open),
        }
    }

    /// Event 26.
    fn handle_keepalive(&mut self, now: Instant) {
        match (self.state, self.negotiated) {
            (State::OpenConfirm, Some(agreed)) => {
                self.state = State::Established;
                self.restart_hold(now);
                self.events.push_back(Event::Established(agreed));
            }
            (State::Established, _) => self.restart_hold(now),
            _ => self.unexpected(Kind::Keepalive),
        }
    }

    /// Events 27 and 28.
    fn handle_update(&mut self, now: Instant, body: &[u8]) {
        let (State::Established, Some(agreed)) = (self.state, self.negotiated) else {
            return self.unexpected(Kind::Update);
        };
        let reading = Reading {
            four_octet: agreed.four_octet,
            internal: agreed.internal,
            families: agreed.families,
            ipv4_over_ipv6: agreed.ipv4_over_ipv6,
        };
        match Update::decode(body, &reading) {
            Ok(update) => {
                self.restart_hold(now);
                self.events.push_back(Event::Update(update));
            }
            Err(error) => self.end(End::Sent(error.notification())),
        }
    }

    /// RFC 2918 §4: a family that is not carried is ignored. So are the marks around the peer's own
    /// routes (RFC 7313 §4), for nothing is imported.
    fn handle_route_refresh(&mut self, body: &[u8]) {
        let (State::Established, Some(agreed)) = (self.state, self.negotiated) else {
            return self.unexpected(Kind::RouteRefresh);
        };
        match message::read_route_refresh(body) {
            Ok(Some((family, RefreshStep::Request))) if agreed.families.contains(family) => {
                self.events.push_back(Event::RouteRefresh(family));
            }
            Ok(_) => {}
            Err(error) => self.end(End::Sent(error.notification())),
        }
    }

    /// RFC 6608 §3: the subcode names the state.
    // Deviates from RFC 4271 §8.2.2 Connect and Active, events 26 to 28: does not end without a
    // word before the own OPEN, see `handle_open`.
    fn unexpected(&mut self, kind: Kind) {
        let subcode = match self.state {
            // Without TCP there are no messages.
            State::Idle => return,
            State::Connect | State::Active => 0,
            State::OpenSent => 1,
            State::OpenConfirm => 2,
            State::Established => 3,
        };
        self.end(End::Sent(Notification::machine_error(subcode, kind)));
    }
}

#[cfg(test)]
mod tests;
