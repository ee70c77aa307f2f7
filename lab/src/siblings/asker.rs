//! The client: asks every node for new names and for cached ones, and keeps all answers.

#![expect(
    clippy::disallowed_methods,
    reason = "measures in real time, on a thread of its own"
)]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::NODES;
use super::record::{Answered, Asked, Said, label};
use crate::client::{CACHED_NAMES, NEW_OCTET, cached_content, cached_name, content};
use crate::message::{self, TYPE_A};
use crate::namespace;
use crate::place::CLIENT;
use crate::runner::Paths;

/// Between two new names for one node: 100 per second.
const NEW_INTERVAL: Duration = Duration::from_millis(10);
/// Between two cached names for one node.
const CACHED_INTERVAL: Duration = Duration::from_millis(20);
/// Source ports of each stream, which spread it over the workers of a node.
const PORTS: usize = 4;
/// So long the last queries may still be answered.
const PATIENCE: Duration = Duration::from_millis(2500);
const SERVFAIL: u16 = 2;

/// A client at work.
pub(super) struct Asker {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Asked>>>,
}

/// One kind of query to one node.
struct Stream {
    node: usize,
    is_cached: bool,
    server: SocketAddr,
    sockets: Vec<UdpSocket>,
    interval: Duration,
    /// When the next query is due.
    next: Duration,
    asked: Vec<Asked>,
}

impl Asker {
    /// Starts to ask from the client's namespace; times count from `start`.
    pub(super) fn start(paths: &Paths, start: Instant) -> Result<Self> {
        let mut streams = namespace::inside(&paths.namespace(CLIENT), || {
            let mut streams = Vec::new();
            for (node, (_, address)) in NODES.into_iter().enumerate() {
                for is_cached in [true, false] {
                    streams.push(Stream::open(node, address, is_cached)?);
                }
            }
            Ok(streams)
        })?;
        // They take turns, so that queries leave evenly.
        let step = NEW_INTERVAL / u32::try_from(streams.len())?;
        let mut first = start.elapsed();
        for stream in &mut streams {
            first += step;
            stream.next = first;
        }
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("asker".to_owned())
            .spawn(move || work(streams, nonce, start, &flag))?;
        Ok(Self { is_over, thread })
    }

    /// Asks no more, waits for the last answers, and returns all.
    pub(super) fn finish(self) -> Result<Vec<Asked>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("asker panicked"))?
            .context("asker")
    }
}

fn work(
    mut streams: Vec<Stream>,
    nonce: u128,
    start: Instant,
    is_over: &AtomicBool,
) -> Result<Vec<Asked>> {
    let mut last_look = None;
    loop {
        let now = start.elapsed();
        if is_over.load(Ordering::Relaxed) {
            if now > *last_look.get_or_insert(now + PATIENCE) {
                return Ok(streams.into_iter().flat_map(|s| s.asked).collect());
            }
        } else {
            for stream in streams.iter_mut().filter(|stream| stream.next <= now) {
                stream.ask(nonce, start);
            }
        }
        let mut ready: Vec<PollFd> = streams
            .iter()
            .flat_map(|stream| &stream.sockets)
            .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut ready, PollTimeout::from(1_u8)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error).context("poll"),
        }
        for stream in &mut streams {
            stream.receive(nonce, start);
        }
    }
}

impl Stream {
    fn open(node: usize, address: Ipv4Addr, is_cached: bool) -> Result<Self> {
        let mut sockets = Vec::new();
        for _ in 0..PORTS {
            // Not connected: an ICMP error must not swallow the next query.
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.set_nonblocking(true)?;
            sockets.push(socket);
        }
        Ok(Self {
            node,
            is_cached,
            server: (address, 53).into(),
            sockets,
            interval: if is_cached {
                CACHED_INTERVAL
            } else {
                NEW_INTERVAL
            },
            next: Duration::ZERO,
            asked: Vec::new(),
        })
    }

    fn question(&self, nonce: u128, index: usize) -> Vec<u8> {
        let name = if self.is_cached {
            cached_name(index)
        } else {
            format!("{}.unique.lab.test", label(self.node, nonce, index))
        };
        message::question(&name, TYPE_A)
    }

    fn ask(&mut self, nonce: u128, start: Instant) {
        let index = self.asked.len();
        // A run ends long before the ids do.
        let Ok(id) = u16::try_from(index) else {
            return;
        };
        let query = message::query(id, &self.question(nonce, index));
        let sent = start.elapsed();
        // After a stall no burst.
        self.next = (self.next + self.interval).max(sent);
        if let Some(socket) = self.sockets.get(index % PORTS) {
            // What could not be sent gets no answer, and so counts as lost.
            let _ = socket.send_to(&query, self.server);
        }
        self.asked.push(Asked {
            node: self.node,
            is_cached: self.is_cached,
            sent,
            answer: None,
        });
    }

    fn receive(&mut self, nonce: u128, start: Instant) {
        let mut buffer = [0; 2048];
        let mut at = 0;
        while let Some(socket) = self.sockets.get(at) {
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) if from == self.server => {
                    let answer = buffer.get(..length).and_then(message::read);
                    if let Some(answer) = answer {
                        self.note(&answer, nonce, start.elapsed());
                    }
                }
                Err(error) if error.kind() != ErrorKind::Interrupted => at += 1,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// The first answer to a query counts.
    fn note(&mut self, answer: &message::Answer, nonce: u128, now: Duration) {
        let index = usize::from(answer.id);
        let question = self.question(nonce, index);
        let expected: IpAddr = if self.is_cached {
            cached_content(index, TYPE_A)
        } else {
            content(NEW_OCTET, TYPE_A)
        };
        let said = if answer.question != question {
            Said::Wrong
        } else if answer.rcode == 0 && answer.addresses == [expected] {
            Said::Right
        } else if answer.rcode == SERVFAIL && !answer.errors.is_empty() {
            Said::Failing
        } else {
            Said::Wrong
        };
        if let Some(asked) = self.asked.get_mut(index)
            && asked.answer.is_none()
        {
            asked.answer = Some(Answered {
                after: now.saturating_sub(asked.sent),
                said,
            });
        }
    }
}

/// Asks a node for every cached name, so that it has them.
pub(super) fn fill_cache(paths: &Paths, address: Ipv4Addr) -> Result<()> {
    namespace::inside(&paths.namespace(CLIENT), || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((address, 53))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        for index in 0..CACHED_NAMES {
            let question = message::question(&cached_name(index), TYPE_A);
            socket.send(&message::query(1, &question))?;
            let mut buffer = [0; 2048];
            let length = socket.recv(&mut buffer)?;
            let answer = message::read(buffer.get(..length).unwrap_or_default());
            let answer = answer.context("broken answer")?;
            anyhow::ensure!(
                answer.question == question && answer.addresses == [cached_content(index, TYPE_A)],
                "{address}: RCODE {} for {}",
                answer.rcode,
                cached_name(index)
            );
        }
        Ok(())
    })
}
