//! What a connection does when its timers are due, and when they start again.
//!
//! Source: RFC 4271 §8.2.2 (events 9 to 12), §10 (values and jitter), RFC 9687 §3 (send hold timer).

use std::time::Instant;

use super::{Connection, End, Event, State};
use crate::bgp::message::{self, Kind};
use crate::bgp::notification::Notification;
use crate::bgp::timers::{CONNECT_LIMIT, Timer};

impl Connection {
    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::ConnectRetry => self.connect_retry_expired(now),
                Timer::DelayOpen => self.open(now),
                Timer::Hold => self.end(End::Sent(Notification::hold_timer_expired())),
                Timer::SendHold => self.end(End::Sent(Notification::send_hold_timer_expired())),
                Timer::Keepalive => self.keepalive_due(now),
            }
        }
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Event 9.
    fn connect_retry_expired(&mut self, now: Instant) {
        match self.state {
            // Deviates from RFC 4271 §8.2.2 Connect, event 9: pauses in Active before the next
            // connect, so that nodes do not dial in step.
            State::Connect => self.retry(now, End::ConnectTimeout),
            State::Active => self.dial(now),
            State::Idle | State::OpenSent | State::OpenConfirm | State::Established => {}
        }
    }

    pub(super) fn dial(&mut self, now: Instant) {
        self.state = State::Connect;
        self.timers.connect_retry = Some(now + CONNECT_LIMIT);
        self.events.push_back(Event::Dial);
    }

    pub(super) fn retry(&mut self, now: Instant, end: End) {
        self.end(end);
        self.state = State::Active;
        self.timers.connect_retry = Some(now + self.jitter.retry());
    }

    /// Event 11. A peer that reads nothing gets one KEEPALIVE queued, not many.
    fn keepalive_due(&mut self, now: Instant) {
        if self.control.is_empty() {
            self.send(Kind::Keepalive, message::keepalive());
        }
        self.restart_keepalive(now);
    }

    pub(super) fn restart_keepalive(&mut self, now: Instant) {
        let hold_time = self.negotiated.and_then(|agreed| agreed.hold_time);
        let next = hold_time.map(|time| now + self.jitter.shorten(time / 3));
        self.timers.keepalive = next;
    }

    pub(super) fn restart_hold(&mut self, now: Instant) {
        let hold_time = self.negotiated.and_then(|agreed| agreed.hold_time);
        self.timers.hold = hold_time.map(|time| now + time);
    }
}
