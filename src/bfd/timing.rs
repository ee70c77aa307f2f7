//! Intervals: what is offered, what is in effect, and how far a packet may be from the next one.
//!
//! Source: RFC 5880 §6.5 (Poll Sequence), §6.8.1 (variables), §6.8.2 (negotiation), §6.8.3
//! (changing timers), §6.8.4 (detection time), §6.8.7 (transmission, jitter, limit on answers).
//! Not done on purpose: an interval for echo packets (§6.4).

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::packet::Packet;
use super::{Diagnostic, Settings, State};

/// The least that may be offered while a session is not Up. RFC 5880 §6.8.3.
pub const SLOW_INTERVAL: Duration = Duration::from_secs(1);
/// What packets out of turn (answers to Polls, changes of state) cost: one in 10 ms in the long
/// run. RFC 5880 §6.8.7 allows a limit up to the offered interval, which is never below 10 ms.
pub const EXTRA_INTERVAL: Duration = Duration::from_millis(10);
/// So many packets out of turn may go at once: coming Up takes three, and must not wait.
pub const EXTRA_BURST: u32 = 4;

/// What the other side has said. RFC 5880 §6.8.1 (bfd.Remote…).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// 0: unknown.
    pub(super) discriminator: u32,
    pub(super) state: State,
    pub(super) diagnostic: Diagnostic,
    pub(super) is_demand: bool,
    /// 0: unknown.
    pub(super) multiplier: u8,
    pub(super) desired_tx: Duration,
    pub(super) required_rx: Duration,
}

impl Remote {
    /// Before anything was heard. RFC 5880 §6.8.1.
    pub(super) const UNKNOWN: Self = Self {
        discriminator: 0,
        state: State::Down,
        diagnostic: Diagnostic::None,
        is_demand: false,
        multiplier: 0,
        desired_tx: Duration::ZERO,
        required_rx: Duration::from_micros(1),
    };

    pub(super) fn heard(packet: &Packet) -> Self {
        Self {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            is_demand: packet.is_demand,
            multiplier: packet.multiplier,
            desired_tx: packet.desired_min_tx,
            required_rx: packet.required_min_rx,
        }
    }
}

/// A Poll Sequence. RFC 5880 §6.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    Idle,
    /// Packets carry P until one with F comes.
    Running,
    /// As `Running`, but the values have changed since it began: it takes another one.
    Outdated,
    /// Begins after one packet without P, so that the answers can be told apart.
    Wanted,
}

/// The own side of the negotiation.
#[derive(Debug)]
pub(super) struct Timing {
    interval: Duration,
    pub(super) multiplier: u8,
    /// bfd.DesiredMinTxInterval, as offered.
    pub(super) desired_tx: Duration,
    /// bfd.RequiredMinRxInterval, as offered.
    pub(super) required_rx: Duration,
    /// In effect: may be less than offered until a Poll Sequence ends.
    used_tx: Duration,
    /// In effect: may be more than offered until a Poll Sequence ends.
    used_rx: Duration,
    /// The slowest offer that the other side may still believe in.
    known_tx: Duration,
    poll: Poll,
}

impl Timing {
    /// Of a session that is not Up.
    pub(super) fn new(settings: &Settings) -> Self {
        let slow = settings.interval.max(SLOW_INTERVAL);
        Self {
            interval: settings.interval,
            multiplier: settings.multiplier,
            desired_tx: slow,
            required_rx: settings.interval,
            used_tx: slow,
            used_rx: settings.interval,
            known_tx: slow,
            poll: Poll::Idle,
        }
    }

    /// Takes over new settings; [`Self::tune`] has to follow.
    pub(super) fn change(&mut self, settings: &Settings) {
        self.interval = settings.interval;
        self.multiplier = settings.multiplier;
    }

    /// Offers what fits the state. RFC 5880 §6.8.3: while Up, what makes the session slower to
    /// send or quicker to detect waits for the Poll Sequence, and anything else is at once.
    pub(super) fn tune(&mut self, is_up: bool) {
        let floor = if is_up { Duration::ZERO } else { SLOW_INTERVAL };
        let (desired_tx, required_rx) = (self.interval.max(floor), self.interval);
        let is_changed = (desired_tx, required_rx) != (self.desired_tx, self.required_rx);
        let heard_tx = self.desired_tx.max(self.known_tx);
        (self.desired_tx, self.required_rx) = (desired_tx, required_rx);
        if !is_up {
            (self.used_tx, self.used_rx) = (desired_tx, required_rx);
            self.known_tx = desired_tx;
            self.poll = Poll::Idle;
        } else if is_changed {
            self.used_tx = self.used_tx.min(desired_tx);
            self.used_rx = self.used_rx.max(required_rx);
            self.known_tx = heard_tx;
            self.poll = match self.poll {
                Poll::Idle => Poll::Running,
                Poll::Running | Poll::Outdated => Poll::Outdated,
                Poll::Wanted => Poll::Wanted,
            };
        }
    }

    /// F was received. RFC 5880 §6.5.
    pub(super) fn handle_final(&mut self) {
        match self.poll {
            Poll::Running => {
                (self.used_tx, self.used_rx) = (self.desired_tx, self.required_rx);
                self.known_tx = self.desired_tx;
                self.poll = Poll::Idle;
            }
            Poll::Outdated => self.poll = Poll::Wanted,
            Poll::Idle | Poll::Wanted => {}
        }
    }

    /// A packet that answers no Poll was sent.
    pub(super) fn handle_sent(&mut self) {
        if self.poll == Poll::Wanted {
            self.poll = Poll::Running;
        }
    }

    /// Whether the next packet that answers no Poll carries P.
    pub(super) fn is_polling(&self) -> bool {
        matches!(self.poll, Poll::Running | Poll::Outdated)
    }

    /// Between two periodic packets, before jitter; `None`: there are none. RFC 5880 §6.8.7.
    /// `is_up`: this side is.
    pub(super) fn transmit_interval(&self, remote: &Remote, is_up: bool) -> Option<Duration> {
        // RFC 5880 §6.6: the other side has asked for silence, and gets it but for a Poll Sequence.
        let is_demand_active = remote.is_demand && is_up && remote.state == State::Up;
        let is_silent = is_demand_active && self.poll == Poll::Idle;
        // RFC 5880 §6.8.7 makes no exception here, not for a Poll Sequence either.
        let is_muted = remote.required_rx.is_zero();
        (!is_silent && !is_muted).then(|| self.used_tx.max(remote.required_rx))
    }

    /// After such a silence the other side is lost; `None` while it is unknown. RFC 5880 §6.8.4.
    pub(super) fn detection_time(&self, remote: &Remote) -> Option<Duration> {
        let interval = self.used_rx.max(remote.desired_tx);
        (remote.multiplier != 0).then(|| interval * u32::from(remote.multiplier))
    }

    /// After such a silence of this side the other one takes it for lost, even if it has not heard
    /// the present offer. RFC 5880 §6.8.4.
    pub(super) fn remote_detection_time(&self, remote: &Remote) -> Duration {
        let offered = self.desired_tx.max(self.known_tx);
        offered.max(remote.required_rx) * u32::from(self.multiplier)
    }
}

/// Randomness that the caller seeds, so that a simulation can be repeated.
#[derive(Debug)]
pub(super) struct Jitter {
    generator: SmallRng,
}

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            generator: SmallRng::seed_from_u64(seed),
        }
    }

    /// 75 % to 100 % of a time; to 90 % where no packet may be missed. RFC 5880 §6.8.7.
    pub(super) fn shorten(&mut self, whole: Duration, multiplier: u8) -> Duration {
        let most = if multiplier == 1 { 0.9 } else { 1.0 };
        whole.mul_f64(self.generator.random_range(0.75..=most))
    }

    /// Where sequence numbers begin. RFC 5880 §6.8.1.
    pub(super) fn sequence(&mut self) -> u32 {
        self.generator.random()
    }
}

/// How many packets may still go out of turn, so that a flood of Polls or of changing states is
/// not echoed. RFC 5880 §6.8.7.
#[derive(Debug)]
pub(super) struct Allowance {
    /// When all of the burst is there again.
    full_at: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// From then on one more may go.
    pub(super) fn next(&self) -> Instant {
        let slack = EXTRA_INTERVAL * (EXTRA_BURST - 1);
        // An instant so near to the clock's beginning leaves no slack, which does no harm.
        self.full_at.checked_sub(slack).unwrap_or(self.full_at)
    }

    /// Whether one may go now; if so it is spent.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let is_free = self.next() <= now;
        if is_free {
            self.full_at = self.full_at.max(now) + EXTRA_INTERVAL;
        }
        is_free
    }
}

#[cfg(test)]
mod tests;
