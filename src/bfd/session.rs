//! One BFD session as a value: no socket, no clock, no task.
//!
//! Source: RFC 5880 §6.2 (states), §6.8.4 (detection time), §6.8.6 (reception), §6.8.7
//! (transmission), §6.8.16 (administrative control), §6.8.18 (holding down); RFC 5881 and RFC 5883 add nothing to it.
//! Not done on purpose: the passive role (§6.1), demand mode of this side (§6.6; the other side's
//! is honoured), echo (§6.4).
//!
//! The driver reads its sockets before it tells the time: what has come in time, and was not read
//! in time, must not count as silence. After any call it takes all of [`Session::poll_transmit`]
//! and [`Session::poll_event`], and comes back at [`Session::poll_timeout`].
#![warn(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm
)]

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::authentication::{Guard, Sequence, Unauthentic};
use super::packet::Packet;
use super::status::{Counts, Gaps, Offer, Status};
use super::timing::{Jitter, Remote, Timing};
use super::{Diagnostic, Settings, State};

mod event;
mod transmit;

pub use event::{Event, Rejected};

/// Events that wait for the driver; each call makes one at most.
const EVENTS_MAX: usize = 16;
/// Nobody waits longer than that for the other side to learn of AdminDown, for its interval is a
/// stranger's number.
pub const PARTING_MAX: Duration = Duration::from_secs(30);

/// The machine of one session.
#[derive(Debug)]
pub struct Session {
    state: State,
    diagnostic: Diagnostic,
    last_loss: Diagnostic,
    since: Instant,
    is_held_down: bool,
    discriminator: NonZeroU32,
    remote: Remote,
    timing: Timing,
    guard: Option<Guard>,
    jitter: Jitter,
    detection_deadline: Option<Instant>,
    transmission: transmit::Transmission,
    /// Until then AdminDown has to be told.
    parting: Option<Instant>,
    gaps: Gaps,
    counts: Counts,
    events: VecDeque<Event>,
}

impl Session {
    /// A session in Down that looks for the other side at once, once in a second.
    /// `discriminator` has to be random and unique on this host (RFC 5880 §6.8.1, §9).
    #[must_use]
    pub fn new(settings: &Settings, discriminator: NonZeroU32, seed: u64, now: Instant) -> Self {
        let mut jitter = Jitter::new(seed);
        let guard = settings.authentication.as_ref();
        let guard = guard.map(|authentication| Guard::new(authentication, jitter.sequence()));
        Self {
            state: State::Down,
            diagnostic: Diagnostic::None,
            last_loss: Diagnostic::None,
            since: now,
            is_held_down: false,
            discriminator,
            remote: Remote::UNKNOWN,
            timing: Timing::new(settings),
            guard,
            jitter,
            detection_deadline: None,
            transmission: transmit::Transmission::new(now),
            parting: None,
            gaps: Gaps::default(),
            counts: Counts::default(),
            events: VecDeque::new(),
        }
    }

    /// The number that the other side has to put into Your Discriminator.
    #[must_use]
    pub fn discriminator(&self) -> NonZeroU32 {
        self.discriminator
    }

    /// Where the machine is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes a datagram that the driver has found to be this session's, and whose TTL is right.
    ///
    /// # Errors
    /// [`Rejected`]: the datagram has changed nothing.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Rejected> {
        match self.check(now, datagram) {
            Ok((packet, sequence)) => {
                self.handle_packet(now, &packet);
                let detection_time = self.timing.detection_time(&self.remote);
                if let (Some(guard), Some(sequence)) = (&mut self.guard, sequence) {
                    guard.accept(now, sequence, detection_time.unwrap_or_default());
                }
                Ok(())
            }
            Err(rejected) => {
                self.counts.rejected += 1;
                Err(rejected)
            }
        }
    }

    fn check(&self, now: Instant, datagram: &[u8]) -> Result<(Packet, Option<Sequence>), Rejected> {
        let packet = Packet::decode(datagram)?;
        let yours = packet.your_discriminator;
        if yours != 0 && yours != self.discriminator.get() {
            return Err(Rejected::Stranger);
        }
        let sequence = match (&self.guard, packet.is_authenticated) {
            (Some(guard), true) => Some(guard.verify(now, datagram, packet.multiplier)?),
            (Some(_), false) => return Err(Unauthentic::Unsigned.into()),
            (None, true) => return Err(Unauthentic::Signed.into()),
            (None, false) => None,
        };
        Ok((packet, sequence))
    }

    /// RFC 5880 §6.8.6, from "Set bfd.RemoteDiscr" on: takes a packet that is well formed, this
    /// session's and authentic.
    pub fn handle_packet(&mut self, now: Instant, packet: &Packet) {
        self.counts.received += 1;
        let was_up = self.state == State::Up;
        let is_newly_disabled =
            packet.state == State::AdminDown && self.remote.state != State::AdminDown;
        self.remote = Remote::heard(packet);
        if packet.is_final {
            self.timing.handle_final();
        }
        if self.state != State::AdminDown {
            let from = self.state;
            self.follow(now, packet.state);
            if is_newly_disabled && from == self.state {
                self.tell(Event::RemoteAdminDown);
            }
            if packet.is_poll {
                self.transmission.owe_final();
            }
        }
        if was_up && self.state == State::Up {
            self.gaps.add(now);
        }
        let detection_time = self.timing.detection_time(&self.remote);
        self.detection_deadline = detection_time.map(|time| now + time);
        self.retime();
    }

    /// The table of RFC 5880 §6.8.6, every pair.
    fn follow(&mut self, now: Instant, received: State) {
        let next = match (self.state, received) {
            (State::Down, State::Down) => State::Init,
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => State::Up,
            (State::Init, State::AdminDown) | (State::Up, State::AdminDown | State::Down) => {
                State::Down
            }
            (State::AdminDown, State::AdminDown | State::Down | State::Init | State::Up)
            | (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => return,
        };
        match next {
            State::Down => self.enter(now, State::Down, Diagnostic::NeighborSignaledDown),
            State::Init if !self.is_held_down => self.enter(now, State::Init, self.diagnostic),
            State::Up if !self.is_held_down => self.enter(now, State::Up, Diagnostic::None),
            State::AdminDown | State::Init | State::Up => {}
        }
    }

    /// Does what is due at `now`, but for packets: [`Self::poll_transmit`]. Harmless when called
    /// early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.parting.is_some_and(|parting| parting <= now) {
            self.parting = None;
        }
        if self
            .detection_deadline
            .is_none_or(|deadline| now < deadline)
        {
            return;
        }
        self.detection_deadline = None;
        if matches!(self.state, State::Init | State::Up) {
            self.enter(now, State::Down, Diagnostic::DetectionTimeExpired);
        }
        // RFC 5880 §6.8.1 (discriminator), §6.8.18 (interval): a wish for silence must not outlive
        // who had it.
        let diagnostic = self.remote.diagnostic;
        self.remote = Remote {
            diagnostic,
            ..Remote::UNKNOWN
        };
        self.retime();
    }

    /// The operator switches the session off. RFC 5880 §6.8.16.
    pub fn handle_admin_down(&mut self, now: Instant) {
        if self.state == State::AdminDown {
            return;
        }
        self.parting = self.transmission.counted_on(now).map(|time| now + time);
        self.enter(now, State::AdminDown, Diagnostic::AdministrativelyDown);
    }

    /// The operator switches it on again. RFC 5880 §6.8.16.
    pub fn handle_enable(&mut self, now: Instant) {
        if self.state == State::AdminDown {
            self.parting = None;
            let diagnostic = if self.is_held_down {
                Diagnostic::ConcatenatedPathDown
            } else {
                Diagnostic::None
            };
            self.enter(now, State::Down, diagnostic);
        }
    }

    /// Whether the session is AdminDown and may be dropped: everybody who may have counted on it
    /// has been told for a detection time, or would have noticed the silence.
    #[must_use]
    pub fn is_parted(&self, now: Instant) -> bool {
        self.state == State::AdminDown
            && !self.transmission.has_news()
            && self.parting.is_none_or(|parting| parting <= now)
    }

    /// Keeps the session Down while the node is not fit, though the path to it may be.
    // RFC 5880 §6.8.18 allows to hold a session Down. The diagnostic is that of §6.8.17, which
    // leaves the session Up; but routers act on the state only, and here they have to act.
    pub fn handle_hold_down(&mut self, now: Instant, is_held_down: bool) {
        self.is_held_down = is_held_down;
        match self.state {
            State::Init | State::Up if is_held_down => {
                self.enter(now, State::Down, Diagnostic::ConcatenatedPathDown);
            }
            State::Down if is_held_down => self.diagnostic = Diagnostic::ConcatenatedPathDown,
            State::AdminDown | State::Down | State::Init | State::Up => {}
        }
    }

    /// The link is gone: what BFD would find out later is known now. RFC 5880 §6.8.16.
    pub fn handle_path_down(&mut self, now: Instant) {
        match self.state {
            State::Init | State::Up => self.enter(now, State::Down, Diagnostic::PathDown),
            State::AdminDown | State::Down => {}
        }
    }

    /// Takes over other settings; what they change is told by a Poll Sequence. RFC 5880 §6.8.3.
    pub fn handle_settings(&mut self, settings: &Settings) {
        self.timing.change(settings);
        self.timing.tune(self.state == State::Up);
        match (&mut self.guard, &settings.authentication) {
            (Some(guard), Some(authentication)) => guard.rekey(authentication),
            (None, Some(authentication)) => {
                self.guard = Some(Guard::new(authentication, self.jitter.sequence()));
            }
            (Some(_) | None, None) => self.guard = None,
        }
        self.transmission.tell();
        self.retime();
    }

    fn enter(&mut self, now: Instant, to: State, diagnostic: Diagnostic) {
        let from = self.state;
        self.state = to;
        self.since = now;
        self.diagnostic = diagnostic;
        if to == State::Up {
            self.counts.ups += 1;
            self.gaps = Gaps::start(now);
        }
        if from == State::Up {
            self.counts.downs += 1;
            self.last_loss = diagnostic;
        }
        self.timing.tune(to == State::Up);
        self.transmission.tell();
        self.retime();
        self.tell(Event::State {
            from,
            to,
            diagnostic,
            remote_diagnostic: self.remote.diagnostic,
            is_remote_admin_down: self.remote.state == State::AdminDown,
        });
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
            self.counts.lost_events += 1;
        }
        self.events.push_back(event);
    }

    /// When the driver has to come back.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let all = [
            self.detection_deadline,
            self.transmission.next(),
            self.parting,
        ];
        all.into_iter().flatten().min()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What an operator sees.
    #[must_use]
    pub fn status(&self) -> Status {
        let (timing, remote) = (&self.timing, &self.remote);
        let remote_discriminator = NonZeroU32::new(remote.discriminator).map(NonZeroU32::get);
        Status {
            state: self.state,
            since: self.since,
            diagnostic: self.diagnostic,
            last_loss: self.last_loss,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            is_held_down: self.is_held_down,
            discriminator: self.discriminator.get(),
            remote_discriminator,
            offered: Offer {
                desired_tx: timing.desired_tx,
                required_rx: timing.required_rx,
                multiplier: timing.multiplier,
            },
            remote_offered: remote_discriminator.map(|_| Offer {
                desired_tx: remote.desired_tx,
                required_rx: remote.required_rx,
                multiplier: remote.multiplier,
            }),
            transmit_interval: self.transmit_interval(),
            detection_time: self.timing.detection_time(&self.remote),
            receive_gap: self.gaps.smoothed,
            receive_gap_max: self.gaps.longest,
            counts: self.counts,
        }
    }
}

#[cfg(test)]
mod tests;
