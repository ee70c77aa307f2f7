//! The client of the drills: streams with a query every 5 ms each, and who answered what.
//!
//! Streams: names in the caches and names never asked before, over IPv4 and over IPv6, and what a drill
//! wants beside them. Queries
//! of one stream leave from changing ports, as those of many clients would, so that they spread
//! over the workers of a node.

#![expect(
    clippy::disallowed_methods,
    reason = "measures in real time, on threads of its own"
)]

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::loss::Loss;
use crate::message;
use crate::place::{CLIENT, SERVICE};
use crate::runner::Paths;
use crate::{namespace, stop};

mod stream;
mod tcp;

pub(crate) use stream::{CACHED_NAMES, NEW_OCTET, Names, cached_content, cached_name, content};
use stream::{LIMIT, Origin, Stream, origin, qtype};
pub(crate) use tcp::Tcp;

/// Between two queries of one stream.
const INTERVAL: Duration = Duration::from_millis(5);

/// An answer that comes later than this after its query is none.
pub(crate) const PATIENCE: Duration = LIMIT;

/// So many lost queries of a stream are told one by one.
const LOSSES_TOLD: usize = 3;

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
    pub(crate) zone: Loss,
    /// When the last query for a new name left, since the repair, that got no good answer; nothing when
    /// all got one.
    pub(crate) last_lost: Option<Duration>,
    /// How queries for cached names were lost, in words: the first few of each stream.
    pub(crate) losses: Vec<String>,
}

struct Shared {
    start: Instant,
    streams: Vec<Stream>,
    /// No more queries, but answers are still taken.
    is_sending_over: AtomicBool,
    is_over: AtomicBool,
}

impl Client {
    /// Starts to ask the service for cached and for new names from the client's namespace.
    pub(crate) fn start(paths: &Paths) -> Result<Self> {
        Self::asking(paths, &[Names::Cached, Names::New])
    }

    /// Starts to ask the service for these.
    pub(crate) fn asking(paths: &Paths, names: &[Names]) -> Result<Self> {
        let streams = namespace::inside(&paths.namespace(CLIENT), || {
            let mut streams = Vec::new();
            for address in SERVICE {
                for names in names {
                    streams.push(Stream::open(address, *names, streams.len())?);
                }
            }
            Ok(streams)
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
        let node = origin(Some(node));
        self.wait_for_streams(&what, |origin| origin == node, |_| true, (length, limit))
    }

    /// The same, by whichever nodes.
    pub(crate) fn wait_for_all(&self, length: Duration, limit: Duration) -> Result<()> {
        let what = format!("every query is answered for {length:?}");
        self.wait_for_streams(&what, |_| true, |_| true, (length, limit))
    }

    /// Waits until every query for a name of the zone has been told at once that it is dead.
    pub(crate) fn wait_until_told(&self, length: Duration, limit: Duration) -> Result<()> {
        let what = format!("the zone's names are told SERVFAIL at once for {length:?}");
        let of_zone = |stream: &Stream| stream.names == Names::OfZone;
        self.wait_for_streams(&what, |o| o == Origin::Told, of_zone, (length, limit))
    }

    fn wait_for_streams(
        &self,
        what: &str,
        is_right: impl Fn(Origin) -> bool,
        is_meant: impl Fn(&Stream) -> bool,
        (length, limit): (Duration, Duration),
    ) -> Result<()> {
        let count = usize::try_from(length.as_micros() / INTERVAL.as_micros())?;
        stop::wait_until(what, limit, || {
            let mut streams = self.shared.streams.iter().filter(|stream| is_meant(stream));
            Ok(streams.all(|stream| stream.is_steady(&is_right, count)))
        })?;
        Ok(())
    }

    /// How many queries have left, of all streams.
    pub(crate) fn count(&self) -> usize {
        self.shared.streams.iter().map(Stream::count).sum()
    }

    /// Ends, and counts the queries sent since `from` until now. With `back`, a node and a time:
    /// also how long after that time the node had answered on every stream. With `by_port`, gaps are
    /// those of each source port.
    pub(crate) fn finish(
        self,
        from: Duration,
        back: (&str, Duration),
        by_port: bool,
    ) -> Result<(Seen, Option<Duration>)> {
        self.shared.is_sending_over.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| anyhow!("sender panicked"))?;
        std::thread::sleep(LIMIT + Duration::from_millis(10));
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.receiver
            .join()
            .map_err(|_| anyhow!("receiver panicked"))??;
        let loss = |is_meant: fn(&Stream) -> bool| {
            let streams = self.shared.streams.iter();
            streams
                .filter(|stream| is_meant(stream))
                .flat_map(|stream| {
                    if by_port {
                        stream.samples_by_port(from)
                    } else {
                        vec![stream.samples(from)]
                    }
                })
                .map(|samples| Loss::of(&samples))
                .fold(Loss::default(), Loss::and)
        };
        let (node, since) = back;
        let streams = self.shared.streams.iter();
        let back = streams
            .map(|stream| stream.first_from(origin(Some(node)), since))
            .try_fold(Duration::ZERO, |latest, first| Some(latest.max(first?)));
        let streams = || self.shared.streams.iter();
        let cached = streams().filter(|stream| stream.is_cached());
        let new = streams().filter(|stream| stream.names == Names::New);
        let seen = Seen {
            cached: loss(Stream::is_cached),
            new: loss(|stream| stream.names == Names::New),
            zone: loss(|stream| stream.names == Names::OfZone),
            last_lost: new
                .filter_map(|stream| stream.last_lost(since))
                .max()
                .map(|at| at - since),
            losses: cached
                .flat_map(|stream| stream.losses(from).take(LOSSES_TOLD))
                .collect(),
        };
        Ok((seen, back.map(|at| at - since)))
    }
}

impl Shared {
    fn send(&self) {
        // The streams take turns, so that queries leave evenly.
        let count = self.streams.len().max(1);
        let step = INTERVAL / u32::try_from(count).unwrap_or(1);
        let mut next = Instant::now();
        for turn in 0_usize.. {
            if self.is_sending_over.load(Ordering::Relaxed) {
                return;
            }
            if let Some(stream) = self.streams.get(turn % count) {
                stream.send(turn / count, self.start);
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
        "{name}: RCODE {}, {:?}",
        answer.rcode,
        answer.addresses
    );
    answer.nsid.context("no NSID")
}
