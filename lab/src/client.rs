//! The client of the drills: four streams with a query every 5 ms each, and who answered what.
//!
//! Streams: names in the caches and names never asked before, over IPv4 and over IPv6. Queries
//! of one stream leave from changing ports, as those of many clients would, so that they spread
//! over the workers of a node.

#![expect(
    clippy::disallowed_methods,
    reason = "measures in real time, on threads of its own"
)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::loss::{Loss, Sample};
use crate::message::{self, TYPE_A, TYPE_AAAA};
use crate::place::{CLIENT, FIRST, SECOND, SERVICE};
use crate::runner::Paths;
use crate::{namespace, stop};

/// Between two queries of one stream.
const INTERVAL: Duration = Duration::from_millis(5);
/// An answer that takes longer is as good as none.
const LIMIT: Duration = Duration::from_secs(1);
/// Source ports of each stream.
const PORTS: usize = 16;
/// Two and a half minutes of queries; well below the 65,536 ids.
const CAPACITY: usize = 30_000;
/// How many names `lab.test` has for the caches.
pub(crate) const CACHED_NAMES: usize = 32;
/// The last octet of what every new name has.
const NEW_OCTET: u8 = 200;

/// A client at work.
pub(crate) struct Client {
    shared: Arc<Shared>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<Result<()>>,
}

/// What it saw.
pub(crate) struct Seen {
    pub(crate) cached: Loss,
    pub(crate) new: Loss,
}

struct Shared {
    start: Instant,
    streams: [Stream; 4],
    /// No more queries, but answers are still taken.
    is_sending_over: AtomicBool,
    is_over: AtomicBool,
}

struct Stream {
    is_cached: bool,
    server: SocketAddr,
    qtype: u16,
    /// Makes new names new in every run.
    prefix: String,
    sockets: Vec<UdpSocket>,
    /// How many queries have left.
    sent: AtomicUsize,
    slots: Vec<Slot>,
}

/// One query.
#[derive(Default)]
struct Slot {
    /// Microseconds since the start.
    sent_us: AtomicU64,
    /// 0 until something came; else microseconds since the start times 4, plus an [`Origin`].
    outcome: AtomicU64,
}

/// Who sent an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The content was wrong or the RCODE not NOERROR.
    Bad,
    First,
    Second,
    /// Right content, but no node's name.
    Unknown,
}

impl Client {
    /// Starts to ask the service from the client's namespace.
    pub(crate) fn start(paths: &Paths) -> Result<Self> {
        let streams = namespace::inside(&paths.namespace(CLIENT), || {
            let [v4, v6] = SERVICE;
            Ok([
                Stream::open(v4, true, 0)?,
                Stream::open(v4, false, 1)?,
                Stream::open(v6, true, 2)?,
                Stream::open(v6, false, 3)?,
            ])
        })?;
        let shared = Arc::new(Shared {
            start: Instant::now(),
            streams,
            is_sending_over: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let (sending, receiving) = (Arc::clone(&shared), Arc::clone(&shared));
        Ok(Self {
            shared,
            sender: std::thread::Builder::new()
                .name("client-send".to_owned())
                .spawn(move || sending.send())?,
            receiver: std::thread::Builder::new()
                .name("client-receive".to_owned())
                .spawn(move || receiving.receive())?,
        })
    }

    /// Since the client started.
    pub(crate) fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// Waits until every query of every stream has been answered well by that node for `length`.
    pub(crate) fn wait_for(&self, node: &str, length: Duration, limit: Duration) -> Result<()> {
        let what = format!("{node} answers every query for {length:?}");
        let count = usize::try_from(length.as_micros() / INTERVAL.as_micros())?;
        let origin = origin(Some(node));
        stop::wait_until(&what, limit, || {
            let streams = &self.shared.streams;
            Ok(streams.iter().all(|stream| stream.is_steady(origin, count)))
        })?;
        Ok(())
    }

    /// Ends, and counts the queries sent since `from` until now. With `back`, a node and a time:
    /// also how long after that time the node had answered on every stream.
    pub(crate) fn finish(
        self,
        from: Duration,
        back: (&str, Duration),
    ) -> Result<(Seen, Option<Duration>)> {
        self.shared.is_sending_over.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| anyhow!("sender panicked"))?;
        std::thread::sleep(LIMIT + Duration::from_millis(10));
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.receiver
            .join()
            .map_err(|_| anyhow!("receiver panicked"))??;
        let loss = |is_cached: bool| {
            let streams = self.shared.streams.iter();
            streams
                .filter(|stream| stream.is_cached == is_cached)
                .map(|stream| Loss::of(&stream.samples(from)))
                .fold(Loss::default(), Loss::and)
        };
        let (node, since) = back;
        let streams = self.shared.streams.iter();
        let back = streams
            .map(|stream| stream.first_from(origin(Some(node)), since))
            .try_fold(Duration::ZERO, |latest, first| Some(latest.max(first?)));
        let seen = Seen {
            cached: loss(true),
            new: loss(false),
        };
        Ok((seen, back.map(|at| at - since)))
    }
}

impl Shared {
    fn send(&self) {
        // The streams take turns, so that queries leave evenly.
        let step = INTERVAL / 4;
        let mut next = Instant::now();
        for turn in 0_usize.. {
            if self.is_sending_over.load(Ordering::Relaxed) {
                return;
            }
            if let Some(stream) = self.streams.get(turn % self.streams.len()) {
                stream.send(turn / self.streams.len(), self.start);
            }
            // After a stall no burst: the pause itself is part of what is measured.
            next = (next + step).max(Instant::now());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn receive(&self) -> Result<()> {
        let sockets: Vec<(&Stream, &UdpSocket)> = self
            .streams
            .iter()
            .flat_map(|stream| stream.sockets.iter().map(move |socket| (stream, socket)))
            .collect();
        let mut ready: Vec<PollFd> = sockets
            .iter()
            .map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        while !self.is_over.load(Ordering::Relaxed) {
            match poll(&mut ready, PollTimeout::from(20_u8)) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error).context("poll"),
            }
            for (polled, (stream, socket)) in ready.iter().zip(&sockets) {
                if polled.any() == Some(true) {
                    stream.receive(socket, self.start);
                }
            }
        }
        Ok(())
    }
}

impl Stream {
    fn open(address: IpAddr, is_cached: bool, index: u8) -> Result<Self> {
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut sockets = Vec::new();
        for _ in 0..PORTS {
            // Not connected: an ICMP error must not swallow the next query.
            let socket = UdpSocket::bind((any, 0))?;
            socket.set_nonblocking(true)?;
            sockets.push(socket);
        }
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        Ok(Self {
            is_cached,
            server: (address, 53).into(),
            qtype: qtype(address),
            prefix: format!("u{nonce:x}-{index}"),
            sockets,
            sent: AtomicUsize::new(0),
            slots: (0..CAPACITY).map(|_| Slot::default()).collect(),
        })
    }

    fn name(&self, index: usize) -> String {
        if self.is_cached {
            cached_name(index)
        } else {
            format!("{}-{index}.unique.lab.test", self.prefix)
        }
    }

    fn expected(&self, index: usize) -> IpAddr {
        let octet = if self.is_cached {
            cached_octet(index)
        } else {
            NEW_OCTET
        };
        content(octet, self.qtype)
    }

    fn send(&self, index: usize, start: Instant) {
        let (Some(slot), Ok(id)) = (self.slots.get(index), u16::try_from(index)) else {
            return;
        };
        let query = message::query(id, &message::question(&self.name(index), self.qtype));
        slot.sent_us
            .store(micros(start.elapsed()), Ordering::Relaxed);
        self.sent.store(index + 1, Ordering::Release);
        if let Some(socket) = self.sockets.get(index % PORTS) {
            // What could not be sent gets no answer, and so counts as lost.
            let _ = socket.send_to(&query, self.server);
        }
    }

    fn receive(&self, socket: &UdpSocket, start: Instant) {
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
        let is_right = answer.rcode == 0
            && answer.question == message::question(&self.name(index), self.qtype)
            && answer.addresses == [self.expected(index)];
        let origin = if is_right {
            origin(answer.nsid.as_deref())
        } else {
            Origin::Bad
        };
        // A second answer finds the place taken.
        let _ = slot.outcome.compare_exchange(
            0,
            pack(now, origin),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Whether each of the `count` latest queries that can have an answer by now was answered
    /// well and by that node.
    fn is_steady(&self, origin: Origin, count: usize) -> bool {
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
        slots.iter().all(|slot| slot.good() == Some(origin))
    }

    fn samples(&self, from: Duration) -> Vec<Sample> {
        self.sent_slots()
            .map(|slot| Sample {
                sent: slot.sent(),
                is_good: slot.good().is_some(),
            })
            .filter(|sample| sample.sent >= from)
            .collect()
    }

    /// When the first query left that was sent since and answered well by that node.
    fn first_from(&self, origin: Origin, since: Duration) -> Option<Duration> {
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

fn content(octet: u8, qtype: u16) -> IpAddr {
    if qtype == TYPE_A {
        Ipv4Addr::new(192, 0, 2, octet).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, octet.into()).into()
    }
}

/// Over IPv4 the streams ask for A, over IPv6 for AAAA.
fn qtype(server: IpAddr) -> u16 {
    match server {
        IpAddr::V4(_) => TYPE_A,
        IpAddr::V6(_) => TYPE_AAAA,
    }
}

/// Asks one question and waits for a good answer; returns who gave it.
pub(crate) fn ask_once(
    namespace: &Path,
    from: IpAddr,
    server: IpAddr,
    index: usize,
) -> Result<String> {
    let name = cached_name(index);
    let question = message::question(&name, qtype(server));
    let answer = namespace::inside(namespace, || {
        let socket = UdpSocket::bind((from, 0))?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.send_to(&message::query(1, &question), (server, 53))?;
        let mut buffer = [0; 2048];
        let (length, _) = socket.recv_from(&mut buffer)?;
        message::read(buffer.get(..length).unwrap_or_default()).context("broken answer")
    })?;
    let expected = [cached_content(index, qtype(server))];
    anyhow::ensure!(
        answer.rcode == 0 && answer.addresses == expected,
        "{name}: {answer:?}"
    );
    answer.nsid.context("no NSID")
}

fn origin(node: Option<&str>) -> Origin {
    match node {
        Some(name) if name == FIRST.node => Origin::First,
        Some(name) if name == SECOND.node => Origin::Second,
        _ => Origin::Unknown,
    }
}

fn pack(at: Duration, origin: Origin) -> u64 {
    let code = match origin {
        Origin::Bad => 0,
        Origin::First => 1,
        Origin::Second => 2,
        Origin::Unknown => 3,
    };
    micros(at).max(1) << 2 | code
}

fn unpack(outcome: u64) -> Option<(Duration, Origin)> {
    let origin = match outcome & 3 {
        0 => Origin::Bad,
        1 => Origin::First,
        2 => Origin::Second,
        _ => Origin::Unknown,
    };
    (outcome != 0).then(|| (Duration::from_micros(outcome >> 2), origin))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
