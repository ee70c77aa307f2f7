//! When a session's packets go out, and what they say.
//!
//! Source: RFC 5880 §6.8.3 (a shorter interval holds at once), §6.8.7 (transmission).

use std::time::{Duration, Instant};

use super::{Session, State};
use crate::bfd::packet::{Encoded, Packet};
use crate::bfd::timing::Allowance;

/// What is to be sent, and when.
#[derive(Debug)]
pub(super) struct Transmission {
    /// The next periodic packet; `None`: there is none.
    periodic: Option<Instant>,
    /// What `periodic` was reckoned with.
    interval: Option<Duration>,
    /// The last packet that was no answer to a Poll.
    last: Option<Instant>,
    /// A Poll waits for its answer. A second one before it goes out costs nothing more.
    owes_final: bool,
    /// The other side should hear of a change before the next periodic packet.
    has_news: bool,
    allowance: Allowance,
    /// Of the last packet in Init or Up: the other side's detection time, and when it is over.
    counted_on: Option<(Instant, Duration)>,
}

impl Transmission {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            periodic: None,
            interval: None,
            last: None,
            owes_final: false,
            has_news: true,
            allowance: Allowance::new(now),
            counted_on: None,
        }
    }

    pub(super) fn owe_final(&mut self) {
        self.owes_final = true;
    }

    pub(super) fn tell(&mut self) {
        self.has_news = true;
    }

    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }

    /// The detection time of the other side, if it may still take this session for Up.
    pub(super) fn counted_on(&self, now: Instant) -> Option<Duration> {
        let (until, detection_time) = self.counted_on?;
        (now < until).then_some(detection_time)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let is_extra = self.owes_final || self.has_news;
        let extra = is_extra.then(|| self.allowance.next());
        [self.periodic, extra].into_iter().flatten().min()
    }
}

impl Session {
    pub(super) fn transmit_interval(&self) -> Option<Duration> {
        self.timing
            .transmit_interval(&self.remote, self.state == State::Up)
    }

    /// Reckons the next periodic packet anew if the interval has changed: from the last packet on,
    /// so that nobody can make packets come faster, or never, by changing it often.
    pub(super) fn retime(&mut self) {
        let interval = self.transmit_interval();
        if interval != self.transmission.interval {
            let last = self.transmission.last;
            self.transmission.interval = interval;
            self.transmission.periodic = last.and_then(|last| self.after(last));
        }
    }

    fn after(&mut self, last: Instant) -> Option<Instant> {
        let interval = self.transmission.interval?;
        let multiplier = self.timing.multiplier;
        Some(last + self.jitter.shorten(interval, multiplier))
    }

    /// The next packet that is due at `now`; called until there is none.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Encoded> {
        // An answer is a packet of its own, beside the timer: were it the periodic one, a flood of
        // Polls could keep the own Poll, which it must not carry (RFC 5880 §6.5), from going out.
        if self.transmission.owes_final && self.transmission.allowance.take(now) {
            self.transmission.owes_final = false;
            if self.transmission.has_news {
                self.reschedule(now);
            }
            return Some(self.packet(now, true));
        }
        let is_periodic = self.transmission.periodic.is_some_and(|due| due <= now);
        if is_periodic || (self.transmission.has_news && self.transmission.allowance.take(now)) {
            self.reschedule(now);
            let packet = self.packet(now, false);
            self.timing.handle_sent();
            return Some(packet);
        }
        None
    }

    fn reschedule(&mut self, now: Instant) {
        self.transmission.has_news = false;
        self.transmission.last = Some(now);
        self.transmission.interval = self.transmit_interval();
        self.transmission.periodic = self.after(now);
    }

    /// RFC 5880 §6.8.7, contents.
    fn packet(&mut self, now: Instant, is_final: bool) -> Encoded {
        let packet = Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            is_poll: !is_final && self.timing.is_polling(),
            is_final,
            // The session ends with the process, and that is what it is for.
            is_control_plane_independent: false,
            is_authenticated: self.guard.is_some(),
            is_demand: false,
            multiplier: self.timing.multiplier,
            my_discriminator: self.discriminator.get(),
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.timing.desired_tx,
            required_min_rx: self.timing.required_rx,
            required_min_echo_rx: Duration::ZERO,
        };
        if matches!(self.state, State::Init | State::Up) {
            let time = self.timing.remote_detection_time(&self.remote);
            let time = time.min(super::PARTING_MAX);
            self.transmission.counted_on = Some((now + time, time));
        }
        self.counts.sent += 1;
        let mut encoded = packet.encode();
        if let Some(guard) = &mut self.guard {
            guard.sign(&mut encoded);
        }
        encoded
    }
}
