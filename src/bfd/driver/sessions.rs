//! The table of sessions: which packet is whose, what is due, and what follows from it.
//!
//! Source: RFC 5880 §6.3 and §6.8.6 (demultiplexing), §6.8.16 (switching off), RFC 5881 §3.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::journal::Journal;
use super::sockets::{self, Receivers};
use super::{Order, PathState, Report};
use crate::bfd::intake::Intake;
use crate::bfd::metrics::{Metrics, SessionMetrics};
use crate::bfd::path::Path;
use crate::bfd::session::{Event, Session};
use crate::bfd::status::Status;
use crate::bfd::{Settings, State};
use crate::os::socket::datagram::{self, Admission, Arrival};

/// Sockets that could not be opened are tried again after this.
const OPEN_RETRY: Duration = Duration::from_secs(1);
/// Longer than any control packet, whose length is one octet.
const PACKET_OCTETS: usize = 256;
/// Where Your Discriminator stands. RFC 5880 §4.1.
const YOUR_DISCRIMINATOR: std::ops::Range<usize> = 8..12;

/// All sessions; as many as somebody watches, and those who take their leave.
pub(super) struct Sessions {
    entries: Vec<Entry>,
    receivers: Receivers,
    metrics: Metrics,
    last_key: u64,
    buffer: [u8; PACKET_OCTETS],
}

struct Entry {
    key: u64,
    /// As asked for.
    path: Path,
    /// With the local address that was found, and the socket that sends from it.
    link: Option<(Path, UdpSocket)>,
    open_at: Instant,
    session: Session,
    /// For packets that know the session's number, and for those that need not.
    known: Intake,
    nameless: Intake,
    reports: watch::Sender<Report>,
    /// Nobody wants it any more: it is dropped once the neighbour has been told.
    is_wanted: bool,
    /// Metrics are behind.
    has_news: bool,
    journal: Journal,
    metrics: SessionMetrics,
}

impl Sessions {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            entries: Vec::new(),
            receivers: Receivers::default(),
            metrics,
            last_key: 0,
            buffer: [0; PACKET_OCTETS],
        }
    }

    /// A new session; where it is known by, and where it reports.
    pub(super) fn add(
        &mut self,
        now: Instant,
        settings: &Settings,
        path: Path,
        peer: String,
    ) -> (u64, watch::Receiver<Report>) {
        self.forget(|old| !old.is_wanted && old.path.remote == path.remote);
        let discriminator = loop {
            let number: NonZeroU32 = rand::random();
            if !self.entries.iter().any(|entry| entry.is_known_by(number)) {
                break number;
            }
        };
        self.last_key += 1;
        let (reports, receiver) = watch::channel(Report {
            path: PathState::Down,
            losses: 0,
            is_parted: false,
        });
        self.entries.push(Entry {
            key: self.last_key,
            path,
            link: None,
            open_at: now,
            session: Session::new(settings, discriminator, rand::random(), now),
            known: Intake::new(settings.interval, now),
            nameless: Intake::new(settings.interval, now),
            reports,
            is_wanted: true,
            has_news: true,
            journal: Journal::new(peer.clone()),
            metrics: self.metrics.session(peer),
        });
        (self.last_key, receiver)
    }

    pub(super) fn status(&self, key: u64) -> Option<Status> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(entry.session.status())
    }

    pub(super) fn obey(&mut self, now: Instant, key: u64, order: Order) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) else {
            return;
        };
        entry.has_news = true;
        match order {
            Order::PathDown => entry.session.handle_path_down(now),
            Order::HoldDown(is_held) => entry.session.handle_hold_down(now, is_held),
            Order::AdminDown => entry.session.handle_admin_down(now),
            Order::Forget => {
                entry.session.handle_admin_down(now);
                entry.is_wanted = false;
            }
        }
    }

    /// Takes in what has come. Whether there may be more.
    pub(super) fn receive(&mut self, now: Instant) -> bool {
        let (entries, metrics) = (&mut self.entries, &self.metrics);
        self.receivers
            .receive(&mut self.buffer, |local, arrival, octets| {
                if let Err(reason) = take(entries, now, local, arrival, octets) {
                    metrics.dropped(reason, 1);
                }
            })
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.receivers.poll_readable(context)
    }

    /// Does what is due and what follows from it; when it wants to be called again.
    pub(super) fn settle(&mut self, now: Instant) -> Option<Instant> {
        self.open(now);
        for entry in &mut self.entries {
            entry.settle(now);
        }
        self.forget(|entry| !entry.is_wanted && entry.session.is_parted(now));
        match self.receivers.drops() {
            0 => {}
            drops => self.metrics.dropped("kernel", drops),
        }
        self.entries.iter().filter_map(Entry::poll_timeout).min()
    }

    /// Drops sessions, and the sockets that they alone needed.
    fn forget(&mut self, is_over: impl Fn(&Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|entry| !is_over(entry));
        if self.entries.len() != before {
            let entries = &self.entries;
            self.receivers.renew(|local| admission(entries, local));
        }
    }

    /// Opens the sockets of sessions that have none.
    fn open(&mut self, now: Instant) {
        let mut is_any = false;
        for entry in &mut self.entries {
            if entry.link.is_some() || now < entry.open_at {
                continue;
            }
            is_any = true;
            entry.open_at = now + OPEN_RETRY;
            entry.link = entry.find_link();
        }
        if !is_any {
            return;
        }
        let locals: Vec<_> = self.entries.iter().filter_map(Entry::local).collect();
        for local in locals {
            let admission = admission(&self.entries, local);
            let Err(error) = self.receivers.open(local, admission) else {
                continue;
            };
            for entry in &mut self.entries {
                if entry.local() == Some(local) {
                    entry.link = None;
                    entry.journal.no_socket(&error);
                }
            }
        }
        for entry in self.entries.iter_mut().filter(|e| e.link.is_some()) {
            entry.journal.socket();
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Where its packets come to.
    fn local(&self) -> Option<SocketAddr> {
        self.link.as_ref().map(|(path, _)| path.local)
    }

    fn find_link(&mut self) -> Option<(Path, UdpSocket)> {
        let open = || -> io::Result<_> {
            let mut path = self.path;
            if path.local.ip().is_unspecified() {
                path.leave_from(datagram::source_towards(path.remote)?);
            }
            Ok((path, sockets::sender(&path)?))
        };
        let link = open();
        link.map_err(|error| self.journal.no_socket(&error)).ok()
    }

    fn settle(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        while let Some(packet) = self.session.poll_transmit(now) {
            self.has_news = true;
            self.send(packet.as_ref());
        }
        while let Some(event) = self.session.poll_event() {
            self.has_news = true;
            self.tell(now, &event);
        }
        if std::mem::take(&mut self.has_news) {
            let status = self.session.status();
            self.metrics.times(
                status.detection_time,
                status.transmit_interval,
                status.receive_gap_max,
            );
        }
        let is_parted = self.session.is_parted(now);
        self.reports.send_if_modified(|report| {
            is_parted != std::mem::replace(&mut report.is_parted, is_parted)
        });
    }

    fn send(&self, octets: &[u8]) {
        let Some((_, socket)) = &self.link else {
            return;
        };
        // An error may be the network's answer to an earlier packet; this one is then not sent.
        match socket.send(octets).or_else(|_| socket.send(octets)) {
            Ok(_) => self.metrics.sent.inc(),
            Err(_) => self.metrics.send_errors.inc(),
        }
    }

    /// Only what changes the path's state is told: a step on the way up says nothing.
    fn tell(&mut self, now: Instant, event: &Event) {
        let path = match *event {
            Event::State {
                from,
                to,
                diagnostic,
                is_remote_admin_down,
                ..
            } => {
                self.metrics.transition(to);
                self.journal.state(from, to, diagnostic);
                match (from, to) {
                    (_, State::Up) => PathState::Up,
                    (State::Up, State::AdminDown) => return,
                    (State::Up, _) if is_remote_admin_down => PathState::AdminDown,
                    (State::Up, _) => PathState::Down,
                    (State::AdminDown | State::Down | State::Init, _) => return,
                }
            }
            Event::RemoteAdminDown => PathState::AdminDown,
        };
        let is_news = self.reports.send_if_modified(|report| {
            report.losses += u64::from(path == PathState::Down);
            path != std::mem::replace(&mut report.path, path)
        });
        if is_news {
            self.journal.path(now, path, &self.session.status());
        }
    }

    fn is_known_by(&self, discriminator: NonZeroU32) -> bool {
        self.session.discriminator() == discriminator
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let opening = self.link.is_none().then_some(self.open_at);
        self.session.poll_timeout().into_iter().chain(opening).min()
    }
}

/// Who may send to a local address.
fn admission(entries: &[Entry], local: SocketAddr) -> Admission {
    let paths = || {
        let links = entries.iter().filter_map(|entry| entry.link.as_ref());
        links
            .map(|(path, _)| path)
            .filter(move |path| path.local == local)
    };
    Admission {
        sources: paths().map(|path| path.remote.ip()).collect(),
        ttl_min: paths()
            .map(|path| path.hops.ttl_min())
            .min()
            .unwrap_or(u8::MAX),
    }
}

/// Gives a packet to its session, or tells why not.
fn take(
    entries: &mut [Entry],
    now: Instant,
    local: SocketAddr,
    arrival: Arrival,
    octets: &[u8],
) -> Result<(), &'static str> {
    let number = octets.get(YOUR_DISCRIMINATOR).ok_or("short")?;
    let number = number.try_into().map_err(|_| "short")?;
    let number = NonZeroU32::new(u32::from_be_bytes(number));
    let entry = entries
        .iter_mut()
        .find(|entry| {
            let path = entry.link.as_ref().map(|(path, _)| path);
            path.is_some_and(|path| path.is_of(arrival.from, local))
                && number.is_none_or(|number| entry.is_known_by(number))
        })
        .ok_or("unknown")?;
    if arrival
        .ttl
        .is_none_or(|ttl| ttl < entry.path.hops.ttl_min())
    {
        return Err("ttl");
    }
    let intake = match number {
        Some(_) => &mut entry.known,
        None => &mut entry.nameless,
    };
    if !intake.take(now) {
        return Err("flood");
    }
    entry
        .session
        .handle_datagram(now, octets)
        .map_err(|rejected| rejected.name())?;
    entry.metrics.received.inc();
    entry.has_news = true;
    Ok(())
}
