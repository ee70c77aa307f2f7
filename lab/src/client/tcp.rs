//! Clients over TCP: connections that stay, with 20 queries under way on each.
//!
//! Source: RFC 7766 §6.2.1 (pipelining, answers in any order), §6.2.4 (what a client does whose
//! connection is closed under it), RFC 7828 §3.4 (a time-out of 0: no further query, and the end once
//! all answers are there).

#![expect(
    clippy::disallowed_methods,
    reason = "measures in real time, on threads of its own"
)]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use super::stream::{LIMIT, cached_content, cached_name, qtype};
use crate::loss::{Loss, Sample};
use crate::message;
use crate::place::{CLIENT, SERVICE};
use crate::runner::Paths;

/// Connections to each address.
const CONNECTIONS: usize = 2;
/// Queries under way on each.
const UNDER_WAY: usize = 20;
/// Between two times that a connection is filled up: some 1,000 queries a second each.
const INTERVAL: Duration = Duration::from_millis(20);
/// Longest time in one read.
const TURN: Duration = Duration::from_millis(5);

/// Clients at work.
pub(crate) struct Tcp {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Asked>>>,
}

struct Shared {
    start: Instant,
    is_over: AtomicBool,
    sent: AtomicUsize,
}

/// What one connection, and those that replaced it, came to.
#[derive(Default)]
struct Asked {
    samples: Vec<Sample>,
    /// When a query was sent again, because its connection ended without an answer.
    again: Vec<Duration>,
}

/// What all of them saw.
pub(crate) struct Seen {
    pub(crate) loss: Loss,
    /// Queries whose connection ended under them, until the repair and after it; they were sent once
    /// more.
    pub(crate) again: [usize; 2],
}

impl Tcp {
    /// Starts to ask from the client's namespace.
    pub(crate) fn start(paths: &Paths) -> Result<Self> {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            is_over: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
        });
        let mut threads = Vec::new();
        for server in SERVICE {
            for _ in 0..CONNECTIONS {
                let shared = Arc::clone(&shared);
                let namespace = paths.namespace(CLIENT);
                let thread = std::thread::Builder::new().name("client-tcp".to_owned());
                threads.push(thread.spawn(move || work(&namespace, server, &shared))?);
            }
        }
        Ok(Self { shared, threads })
    }

    /// Since it started.
    pub(crate) fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// How many queries have left.
    pub(crate) fn count(&self) -> usize {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends, and counts the queries sent since `from`, with a repair at `since`.
    pub(crate) fn finish(self, from: Duration, since: Duration) -> Result<Seen> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut seen = Seen {
            loss: Loss::default(),
            again: [0; 2],
        };
        for thread in self.threads {
            let mut asked = thread
                .join()
                .map_err(|_| anyhow!("TCP client panicked"))??;
            asked.samples.retain(|sample| sample.sent >= from);
            asked.samples.sort_by_key(|sample| sample.sent);
            seen.loss = seen.loss.and(Loss::of(&asked.samples));
            let [away, home] = &mut seen.again;
            *away += asked
                .again
                .iter()
                .filter(|at| (from..since).contains(at))
                .count();
            *home += asked.again.iter().filter(|at| **at >= since).count();
        }
        Ok(seen)
    }
}

fn work(namespace: &Path, server: IpAddr, shared: &Shared) -> Result<Asked> {
    let file = std::fs::File::open(PathBuf::from(namespace))?;
    setns(file, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")?;
    let mut pipeline = Pipeline {
        server,
        shared,
        next: 0,
        waiting: BTreeMap::new(),
        asked: Asked::default(),
    };
    let mut last = Instant::now();
    while !shared.is_over.load(Ordering::Relaxed) {
        pipeline.give_up();
        // Who has nothing to ask has no connection: it might lead to a site that is leaving.
        if pipeline.waiting.is_empty() && last.elapsed() < INTERVAL {
            std::thread::sleep(INTERVAL.saturating_sub(last.elapsed()));
        }
        let address = SocketAddr::from((server, 53));
        if let Ok(stream) = TcpStream::connect_timeout(&address, LIMIT) {
            pipeline.converse(stream, &mut last)?;
        } else {
            std::thread::sleep(TURN);
        }
    }
    pipeline.end();
    Ok(pipeline.asked)
}

/// Queries of one connection, and of those that replace it.
struct Pipeline<'a> {
    server: IpAddr,
    shared: &'a Shared,
    next: u16,
    /// Without an answer, by id: when it was first sent, and whether it was sent again.
    waiting: BTreeMap<u16, (Duration, bool)>,
    asked: Asked,
}

impl Pipeline<'_> {
    /// Asks until the connection ends, or is to end, or the client does.
    ///
    /// # Errors
    /// The socket takes no time limit.
    fn converse(&mut self, mut stream: TcpStream, last: &mut Instant) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TURN))?;
        stream.set_write_timeout(Some(LIMIT))?;
        if self.ask_again(&mut stream).is_err() {
            return Ok(());
        }
        let mut is_closing = false;
        let mut received = Vec::new();
        loop {
            let is_over = self.shared.is_over.load(Ordering::Relaxed);
            let is_due = last.elapsed() >= INTERVAL;
            if is_due && !is_closing && !is_over {
                *last = Instant::now();
                if self.fill_up(&mut stream).is_err() {
                    return Ok(());
                }
            }
            self.give_up();
            if (is_closing || is_over) && self.waiting.is_empty() {
                return Ok(());
            }
            let mut buffer = [0; 16_384];
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => received.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return Ok(()),
            }
            for answer in take_answers(&mut received) {
                is_closing |= answer.keepalive == Some(0);
                self.note(&answer);
            }
        }
    }

    fn fill_up(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        while self.waiting.len() < UNDER_WAY {
            let id = self.next;
            self.next = self.next.wrapping_add(1);
            bytes.extend_from_slice(&self.query(id));
            let sent = self.shared.start.elapsed();
            self.waiting.insert(id, (sent, false));
            self.shared.sent.fetch_add(1, Ordering::Relaxed);
        }
        stream.write_all(&bytes)
    }

    /// On a new connection: what the old one ended under, once (RFC 7766 §6.2.4).
    fn ask_again(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let now = self.shared.start.elapsed();
        let again: Vec<u16> = self.waiting.keys().copied().collect();
        for id in again {
            let Some((_, is_again)) = self.waiting.get_mut(&id) else {
                continue;
            };
            if !*is_again {
                *is_again = true;
                self.asked.again.push(now);
                bytes.extend_from_slice(&self.query(id));
            }
        }
        stream.write_all(&bytes)
    }

    fn query(&self, id: u16) -> Vec<u8> {
        message::tcp_query(id, &self.question(id))
    }

    fn question(&self, id: u16) -> Vec<u8> {
        message::question(&cached_name(id.into()), qtype(self.server))
    }

    fn note(&mut self, answer: &message::Answer) {
        let expected = [cached_content(answer.id.into(), qtype(self.server))];
        let is_right = answer.rcode == 0
            && answer.question == self.question(answer.id)
            && answer.addresses == expected;
        if let Some((sent, _)) = self.waiting.remove(&answer.id) {
            let took = self.shared.start.elapsed().saturating_sub(sent);
            self.asked.samples.push(Sample {
                sent,
                is_good: is_right && took <= LIMIT,
            });
        }
    }

    /// What has waited too long is lost.
    fn give_up(&mut self) {
        let now = self.shared.start.elapsed();
        let samples = &mut self.asked.samples;
        self.waiting.retain(|_, (sent, _)| {
            let is_lost = now.saturating_sub(*sent) > LIMIT;
            if is_lost {
                samples.push(Sample {
                    sent: *sent,
                    is_good: false,
                });
            }
            !is_lost
        });
    }

    /// What waits at the end is lost as well.
    fn end(&mut self) {
        for (sent, _) in std::mem::take(&mut self.waiting).into_values() {
            self.asked.samples.push(Sample {
                sent,
                is_good: false,
            });
        }
    }
}

/// Takes whole messages off the front (RFC 1035 §4.2.2).
fn take_answers(received: &mut Vec<u8>) -> Vec<message::Answer> {
    let mut answers = Vec::new();
    while let Some((length, rest)) = received.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(message) = rest.get(..length) else {
            break;
        };
        answers.extend(message::read(message));
        received.drain(..length + 2);
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_as_they_become_whole() {
        let mut answer = message::refusal(
            &message::query(5, &message::question("a", message::TYPE_A)),
            0,
        )
        .unwrap();
        let mut bytes = u16::try_from(answer.len()).unwrap().to_be_bytes().to_vec();
        bytes.append(&mut answer);
        let mut received = bytes.clone();
        received.extend_from_slice(&bytes[..7]);
        let taken = take_answers(&mut received);
        assert_eq!(taken.iter().map(|a| a.id).collect::<Vec<_>>(), [5]);
        assert_eq!(received, bytes[..7]);
        received.extend_from_slice(&bytes[7..]);
        assert_eq!(take_answers(&mut received).len(), 1);
        assert!(received.is_empty());
    }
}
