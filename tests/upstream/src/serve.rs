//! The shell: a script on real sockets, over UDP and TCP.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: sockets, threads and the clock"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::play::{Due, Play, What};
use crate::reply::Question;
use crate::script::Script;

/// How long it takes at most until a new script or the end is noticed.
const LOOK: Duration = Duration::from_millis(5);
const CONNECTIONS_MAX: usize = 256;
/// Answers that wait for their time; more are dropped.
const DUE_MAX: usize = 100_000;
const MESSAGE_MAX: usize = 4096;

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    play: Mutex<Play>,
    /// Whoever has another number has to look at the script again.
    scripts: AtomicU64,
    stop: AtomicBool,
    counts: Counts,
    started: Instant,
}

/// What a server has been asked.
#[derive(Debug, Default)]
pub struct Counts {
    /// Over UDP.
    pub udp: AtomicU64,
    /// Over TCP.
    pub tcp: AtomicU64,
    /// With a sibling's marker.
    pub marked: AtomicU64,
    /// For the apex of a zone: by type SOA, or NS of the root.
    pub probes: AtomicU64,
}

impl Counts {
    fn note(&self, message: &[u8], is_tcp: bool) {
        let Some(question) = Question::parse(message) else {
            return;
        };
        let transport = if is_tcp { &self.tcp } else { &self.udp };
        transport.fetch_add(1, Ordering::Relaxed);
        let edns = question.edns.as_ref();
        if edns.is_some_and(|edns| edns.is_marked) {
            self.marked.fetch_add(1, Ordering::Relaxed);
        }
        if question.qtype == 6 || (question.qtype == 2 && question.name == [0]) {
            self.probes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Server {
    /// Starts to listen; port 0 takes a free one, for UDP and TCP alike.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn start(listen: SocketAddr, script: Script, seed: u64) -> io::Result<Self> {
        let play = Play::new(script, seed);
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let socket = UdpSocket::bind(address)?;
        let shared = Arc::new(Shared {
            play: Mutex::new(play),
            scripts: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            counts: Counts::default(),
            started: Instant::now(),
        });
        let (over_udp, over_tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::Builder::new()
                .name("fake-udp".to_owned())
                .spawn(move || serve_udp(address, Some(socket), &over_udp))?,
            thread::Builder::new()
                .name("fake-tcp".to_owned())
                .spawn(move || serve_tcp(address, Some(listener), &over_tcp))?,
        ];
        Ok(Self {
            address,
            shared,
            threads,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Follows another script; answers on their way still come.
    pub fn follow(&self, script: Script) {
        self.shared.play().follow(script);
        self.shared.scripts.fetch_add(1, Ordering::Release);
    }

    /// What it has been asked.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn hear(&self, message: &[u8], is_tcp: bool) -> Vec<Due> {
        self.counts.note(message, is_tcp);
        self.play().hear(self.started.elapsed(), message, is_tcp)
    }
}

/// A datagram that waits for its time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Letter {
    at: Instant,
    /// Those of one time go in their order.
    number: u64,
    message: Vec<u8>,
    to: SocketAddr,
}

fn serve_udp(address: SocketAddr, mut socket: Option<UdpSocket>, shared: &Shared) {
    let mut letters = BinaryHeap::new();
    let mut buffer = [0; MESSAGE_MAX];
    let mut number = 0;
    while !shared.is_over() {
        if shared.play().is_absent() {
            socket = None;
            letters.clear();
            thread::sleep(LOOK);
            continue;
        }
        let Some(open) = take_up(&mut socket, || UdpSocket::bind(address)) else {
            continue;
        };
        let now = Instant::now();
        while letters
            .peek()
            .is_some_and(|Reverse(Letter { at, .. })| *at <= now)
        {
            if let Some(Reverse(letter)) = letters.pop() {
                let _ = open.send_to(&letter.message, letter.to);
            }
        }
        let next = letters.peek().map(|Reverse(letter)| letter.at - now);
        let wait = next.unwrap_or(LOOK).clamp(Duration::from_micros(50), LOOK);
        if open.set_read_timeout(Some(wait)).is_err() {
            continue;
        }
        let Ok((octets, from)) = open.recv_from(&mut buffer) else {
            continue;
        };
        let heard = Instant::now();
        for due in shared.hear(buffer.get(..octets).unwrap_or_default(), false) {
            // A single name cannot be refused with the port open: it is met with silence.
            let What::Message(message) = due.what else {
                continue;
            };
            if due.after.is_zero() {
                let _ = open.send_to(&message, from);
            } else if letters.len() < DUE_MAX {
                number += 1;
                letters.push(Reverse(Letter {
                    at: heard + due.after,
                    number,
                    message,
                    to: from,
                }));
            }
        }
    }
}

/// The socket, opened again when it was closed.
fn take_up<S>(socket: &mut Option<S>, open: impl FnOnce() -> io::Result<S>) -> Option<&S> {
    if socket.is_none() {
        *socket = open().ok();
        if socket.is_none() {
            thread::sleep(LOOK);
        }
    }
    socket.as_ref()
}

fn serve_tcp(address: SocketAddr, mut listener: Option<TcpListener>, shared: &Arc<Shared>) {
    let open = Arc::new(AtomicUsize::new(0));
    while !shared.is_over() {
        if shared.play().is_absent() {
            listener = None;
            thread::sleep(LOOK);
            continue;
        }
        let Some(listening) = take_up(&mut listener, || TcpListener::bind(address)) else {
            continue;
        };
        if listening.set_nonblocking(true).is_err() {
            continue;
        }
        let Ok((stream, _)) = listening.accept() else {
            thread::sleep(LOOK);
            continue;
        };
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (shared, open) = (Arc::clone(shared), Arc::clone(&open));
        // It ends with the connection, or soon after the server.
        thread::spawn(move || {
            let _ = converse(stream, &shared);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// One connection: a question after the other.
fn converse(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut received = Vec::new();
    let mut buffer = [0; MESSAGE_MAX];
    let scripts = shared.scripts.load(Ordering::Acquire);
    while !shared.is_over() {
        if shared.scripts.load(Ordering::Acquire) != scripts && shared.play().is_absent() {
            return Ok(());
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(octets) => received.extend_from_slice(buffer.get(..octets).unwrap_or_default()),
            Err(error) if is_late(&error) => continue,
            Err(error) => return Err(error),
        }
        while let Some((head, rest)) = received.split_first_chunk::<2>() {
            let octets = usize::from(u16::from_be_bytes(*head));
            let Some(message) = rest.get(..octets) else {
                break;
            };
            for due in shared.hear(message, true) {
                thread::sleep(due.after);
                let What::Message(answer) = due.what else {
                    return Ok(());
                };
                let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
                stream.write_all(&[&length.to_be_bytes(), &answer[..]].concat())?;
            }
            received.drain(..octets + 2);
        }
    }
    Ok(())
}

fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
