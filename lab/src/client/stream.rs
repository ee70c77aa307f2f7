//! One stream of queries: what was asked when, and how each query ended.

#![expect(
    clippy::disallowed_methods,
    reason = "stamps what arrives with the time it arrived"
)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::loss::Sample;
use crate::message::{self, TYPE_A, TYPE_AAAA};
use crate::place::{FIRST, SECOND, THIRD, client_address};

/// An answer that takes longer is as good as none.
pub(super) const LIMIT: Duration = Duration::from_secs(1);
/// Source ports of each stream.
const PORTS: u8 = 16;
/// Domains that new names are in.
const DOMAINS: usize = 16;
/// Two and a half minutes of queries; well below the 65,536 ids.
const CAPACITY: usize = 30_000;
/// How many names `lab.test` has for the caches.
pub(crate) const CACHED_NAMES: usize = 32;
/// The last octet of what every new name has.
pub(crate) const NEW_OCTET: u8 = 200;
/// Of what every name of the zone has.
const ZONE_OCTET: u8 = 201;
/// To be told within so much that a zone is dead is "at once", on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(200);
const SERVFAIL: u16 = 2;

/// Which names a stream asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Those that all nodes have in their caches.
    Cached,
    /// As many, of this run, asked for again and again: in the cache of whoever serves.
    Warmed,
    /// Each once.
    New,
    /// Each once, in the zone with upstreams of its own.
    OfZone,
}

pub(super) struct Stream {
    pub(super) names: Names,
    server: SocketAddr,
    qtype: u16,
    /// Makes new names new in every run.
    prefix: String,
    pub(super) sockets: Vec<UdpSocket>,
    /// How many queries have left.
    sent: AtomicUsize,
    slots: Vec<Slot>,
}

/// One query.
#[derive(Default)]
struct Slot {
    /// Microseconds since the start.
    sent_us: AtomicU64,
    /// 0 until something came; else microseconds since the start times 8, plus an [`Origin`].
    outcome: AtomicU64,
    /// What a bad answer was.
    rcode: AtomicU16,
}

/// Who sent an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The content was wrong or the RCODE not NOERROR.
    Bad,
    First,
    Second,
    Third,
    /// No answer, but SERVFAIL with a reason, at once.
    Told,
    /// Right content, but no node's name.
    Unknown,
}

impl Stream {
    pub(super) fn open(address: IpAddr, names: Names, index: usize) -> Result<Self> {
        let mut sockets = Vec::new();
        for port in 0..PORTS {
            // Not connected: an ICMP error must not swallow the next query.
            let socket = UdpSocket::bind((client_address(address, port), 0))?;
            socket.set_nonblocking(true)?;
            sockets.push(socket);
        }
        Self::with(address, names, index, sockets)
    }

    fn with(address: IpAddr, names: Names, index: usize, sockets: Vec<UdpSocket>) -> Result<Self> {
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        Ok(Self {
            names,
            server: (address, 53).into(),
            qtype: qtype(address),
            prefix: format!("u{nonce:x}-{index}"),
            sockets,
            sent: AtomicUsize::new(0),
            slots: (0..CAPACITY).map(|_| Slot::default()).collect(),
        })
    }

    fn name(&self, index: usize) -> String {
        let prefix = &self.prefix;
        match self.names {
            Names::Cached => cached_name(index),
            Names::Warmed => format!("{prefix}-{}.unique.lab.test", index % CACHED_NAMES),
            Names::New => format!("{prefix}-{index}.unique.lab{}.test", index % DOMAINS),
            Names::OfZone => format!("{prefix}-{index}.zone.test"),
        }
    }

    fn expected(&self, index: usize) -> IpAddr {
        let octet = match self.names {
            Names::Cached => cached_octet(index),
            Names::Warmed | Names::New => NEW_OCTET,
            Names::OfZone => ZONE_OCTET,
        };
        content(octet, self.qtype)
    }

    /// Whether answers to it come from caches.
    pub(super) fn is_cached(&self) -> bool {
        matches!(self.names, Names::Cached | Names::Warmed)
    }

    pub(super) fn send(&self, index: usize, start: Instant) {
        let (Some(slot), Ok(id)) = (self.slots.get(index), u16::try_from(index)) else {
            return;
        };
        let query = message::query(id, &message::question(&self.name(index), self.qtype));
        slot.sent_us
            .store(micros(start.elapsed()), Ordering::Relaxed);
        self.sent.store(index + 1, Ordering::Release);
        if let Some(socket) = self.sockets.get(index % usize::from(PORTS)) {
            // What could not be sent gets no answer, and so counts as lost.
            let _ = socket.send_to(&query, self.server);
        }
    }

    pub(super) fn receive(&self, socket: &UdpSocket, start: Instant) {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let answer = buffer.get(..length).and_then(message::read);
            if let Some(answer) = answer
                && from == self.server
            {
                self.note(&answer, start.elapsed());
            }
        }
    }

    /// The first answer to a query counts.
    fn note(&self, answer: &message::Answer, now: Duration) {
        let index = usize::from(answer.id);
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if index >= self.sent.load(Ordering::Acquire) {
            return;
        }
        let is_asked = answer.question == message::question(&self.name(index), self.qtype);
        let is_right = answer.rcode == 0 && answer.addresses == [self.expected(index)];
        let is_told = self.names == Names::OfZone
            && answer.rcode == SERVFAIL
            && !answer.errors.is_empty()
            && now.saturating_sub(slot.sent()) <= AT_ONCE;
        let origin = match (is_asked, is_right, is_told) {
            (true, true, _) => origin(answer.nsid.as_deref()),
            (true, false, true) => Origin::Told,
            _ => Origin::Bad,
        };
        if slot.outcome.load(Ordering::Relaxed) == 0 {
            slot.rcode.store(answer.rcode, Ordering::Relaxed);
        }
        // A second answer finds the place taken.
        let _ = slot.outcome.compare_exchange(
            0,
            pack(now, origin),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Whether each of the `count` latest queries that can have an answer by now was answered as it
    /// should be.
    pub(super) fn is_steady(&self, is_meant: impl Fn(Origin) -> bool, count: usize) -> bool {
        let sent = self.sent.load(Ordering::Acquire);
        // The latest 50 ms may still be under way.
        let Some(end) = sent.checked_sub(10) else {
            return false;
        };
        let Some(slots) = end
            .checked_sub(count)
            .and_then(|start| self.slots.get(start..end))
        else {
            return false;
        };
        slots.iter().all(|slot| slot.good().is_some_and(&is_meant))
    }

    /// When the last query left that was sent since and got no good answer in time.
    pub(super) fn last_lost(&self, since: Duration) -> Option<Duration> {
        self.sent_slots()
            .filter(|slot| slot.sent() >= since && slot.good().is_none())
            .map(Slot::sent)
            .last()
    }

    /// How many queries have left.
    pub(super) fn count(&self) -> usize {
        self.sent.load(Ordering::Acquire)
    }

    pub(super) fn samples(&self, from: Duration) -> Vec<Sample> {
        self.sent_slots()
            .map(Slot::sample)
            .filter(|sample| sample.sent >= from)
            .collect()
    }

    /// The same, apart for each source port: for all that is hashed to one worker.
    pub(super) fn samples_by_port(&self, from: Duration) -> Vec<Vec<Sample>> {
        let mut ports = vec![Vec::new(); PORTS.into()];
        for (slot, port) in self.sent_slots().zip((0..usize::from(PORTS)).cycle()) {
            if slot.sent() >= from
                && let Some(samples) = ports.get_mut(port)
            {
                samples.push(slot.sample());
            }
        }
        ports
    }

    /// How each lost query ended, in words.
    pub(super) fn losses(&self, from: Duration) -> impl Iterator<Item = String> {
        let lost = move |(_, slot): &(usize, &Slot)| slot.sent() >= from && slot.good().is_none();
        self.sent_slots()
            .enumerate()
            .filter(lost)
            .map(move |(index, slot)| {
                let after = slot.sent().saturating_sub(from);
                let name = self.name(index);
                format!(
                    "{name} at {}, {after:.1?} after the blow: {}",
                    self.server.ip(),
                    slot.end()
                )
            })
    }

    /// When the first query left that was sent since and answered well by that node.
    pub(super) fn first_from(&self, origin: Origin, since: Duration) -> Option<Duration> {
        self.sent_slots()
            .filter(|slot| slot.sent() >= since && slot.good() == Some(origin))
            .map(Slot::sent)
            .next()
    }

    fn sent_slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().take(self.sent.load(Ordering::Acquire))
    }
}

impl Slot {
    fn sent(&self) -> Duration {
        Duration::from_micros(self.sent_us.load(Ordering::Relaxed))
    }

    fn sample(&self) -> Sample {
        Sample {
            sent: self.sent(),
            is_good: self.good().is_some(),
        }
    }

    /// How it ended, in words.
    fn end(&self) -> String {
        match unpack(self.outcome.load(Ordering::Relaxed)) {
            None => "silence".to_owned(),
            Some((at, origin)) => {
                let rcode = self.rcode.load(Ordering::Relaxed);
                let took = at.saturating_sub(self.sent());
                format!("{origin:?} answer after {took:.1?}, RCODE {rcode}")
            }
        }
    }

    /// Who answered, if the answer was right and in time.
    fn good(&self) -> Option<Origin> {
        let (at, origin) = unpack(self.outcome.load(Ordering::Relaxed))?;
        (origin != Origin::Bad && at.saturating_sub(self.sent()) <= LIMIT).then_some(origin)
    }
}

/// The name that the caches have for this query.
pub(crate) fn cached_name(index: usize) -> String {
    format!("c{}.cached.lab.test", cached_octet(index))
}

/// What a cached name has.
pub(crate) fn cached_content(index: usize, qtype: u16) -> IpAddr {
    content(cached_octet(index), qtype)
}

fn cached_octet(index: usize) -> u8 {
    u8::try_from(index % CACHED_NAMES + 1).unwrap_or(u8::MAX)
}

/// An address of the zone's, by its last octet.
pub(crate) fn content(octet: u8, qtype: u16) -> IpAddr {
    if qtype == TYPE_A {
        Ipv4Addr::new(192, 0, 2, octet).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, octet.into()).into()
    }
}

/// Over IPv4 the streams ask for A, over IPv6 for AAAA.
pub(super) fn qtype(server: IpAddr) -> u16 {
    match server {
        IpAddr::V4(_) => TYPE_A,
        IpAddr::V6(_) => TYPE_AAAA,
    }
}

pub(super) fn origin(node: Option<&str>) -> Origin {
    match node {
        Some(name) if name == FIRST.node => Origin::First,
        Some(name) if name == SECOND.node => Origin::Second,
        Some(name) if name == THIRD.node => Origin::Third,
        _ => Origin::Unknown,
    }
}

fn pack(at: Duration, origin: Origin) -> u64 {
    let code = match origin {
        Origin::Bad => 0,
        Origin::First => 1,
        Origin::Second => 2,
        Origin::Unknown => 3,
        Origin::Third => 4,
        Origin::Told => 5,
    };
    micros(at).max(1) << 3 | code
}

fn unpack(outcome: u64) -> Option<(Duration, Origin)> {
    let origin = match outcome & 7 {
        0 => Origin::Bad,
        1 => Origin::First,
        2 => Origin::Second,
        4 => Origin::Third,
        5 => Origin::Told,
        _ => Origin::Unknown,
    };
    (outcome != 0).then(|| (Duration::from_micros(outcome >> 3), origin))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
