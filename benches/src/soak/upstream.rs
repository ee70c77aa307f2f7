//! The fake upstream of the soak: a new version for each question, now and then late or none at all.
#![expect(clippy::disallowed_methods, reason = "threads and their clock")]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::given::Log;
use super::version::{Key, TXT};
use crate::process::free_port;
use crate::{names, sys};

const BUFFER_OCTETS: i32 = 8 << 20;
const QUERY_OCTETS_MAX: usize = 512;
const TCP_CONNECTIONS_MAX: usize = 256;
/// One answer in so many is not sent.
const SILENCE: u32 = 200;
/// One answer in so many is late.
const LATENESS: u32 = 200;
const LATENESS_MS: std::ops::RangeInclusive<u64> = 5..=50;
/// One TXT answer in so many is truncated over UDP.
const TRUNCATION: u32 = 20;
/// Late answers that wait; with more, the next is not late.
const WAITING_MAX: usize = 4096;
const TC: u8 = 0x02;

/// What the threads of the soak share: the clock's start, and what was given.
pub(super) struct Book {
    pub(super) log: Log,
    started: Instant,
}

impl Book {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            log: Log::new(),
            started: Instant::now(),
        })
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// Starts the threads, which end with the program; where they answer.
///
/// # Errors
/// When there is no port or thread.
pub(super) fn start(book: &Arc<Book>, seed: u64) -> Result<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let socket = UdpSocket::bind(address)?;
    sys::set_buffers(&socket, BUFFER_OCTETS);
    // Late answers are looked at as often.
    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    let listener = TcpListener::bind(address)?;
    let mut server = Server {
        book: Arc::clone(book),
        random: SmallRng::seed_from_u64(seed),
        late: Vec::new(),
    };
    thread::Builder::new().spawn(move || server.serve(&socket))?;
    let book = Arc::clone(book);
    thread::Builder::new().spawn(move || accept(&listener, &book))?;
    Ok(address)
}

struct Server {
    book: Arc<Book>,
    random: SmallRng,
    late: Vec<Late>,
}

/// A question that is answered later.
struct Late {
    due_ms: u64,
    query: Vec<u8>,
    client: SocketAddr,
}

impl Server {
    fn serve(&mut self, socket: &UdpSocket) {
        let mut buffer = [0; QUERY_OCTETS_MAX];
        loop {
            // A time-out, or an answer that nobody waited for any more.
            if let Ok((octets, client)) = socket.recv_from(&mut buffer) {
                self.take(&buffer[..octets], client, socket);
            }
            if !self.late.is_empty() {
                let now_ms = self.book.now_ms();
                for late in self.late.extract_if(.., |late| late.due_ms <= now_ms) {
                    if let Some(reply) = reply(&self.book, &late.query, false) {
                        let _ = socket.send_to(&reply, late.client);
                    }
                }
            }
        }
    }

    fn take(&mut self, query: &[u8], client: SocketAddr, socket: &UdpSocket) {
        let key = question(query).and_then(|(_, key)| key);
        if let Some(key) = key {
            if self.random.random_range(0..SILENCE) == 0 {
                self.book.log.fall_silent(key, self.book.now_ms());
                return;
            }
            if self.random.random_range(0..LATENESS) == 0 && self.late.len() < WAITING_MAX {
                self.late.push(Late {
                    due_ms: self.book.now_ms() + self.random.random_range(LATENESS_MS),
                    query: query.to_vec(),
                    client,
                });
                return;
            }
        }
        let text = key.is_some_and(|key| key.qtype() == TXT);
        let truncated = text && self.random.random_range(0..TRUNCATION) == 0;
        if let Some(key) = key.filter(|_| truncated) {
            // Asking again over TCP has no answer when too many do so at a time.
            self.book.log.fall_silent(key, self.book.now_ms());
        }
        if let Some(reply) = reply(&self.book, query, truncated) {
            // What cannot be sent is lost, as on any network; the question is asked again.
            let _ = socket.send_to(&reply, client);
        }
    }
}

fn accept(listener: &TcpListener, book: &Arc<Book>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if open.load(Ordering::Relaxed) >= TCP_CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (book, count) = (Arc::clone(book), Arc::clone(&open));
        let started = thread::Builder::new().spawn(move || {
            // However a connection ends, the client may open another one.
            let _ = converse(stream, &book);
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// RFC 7766 §8: two octets of length before each message.
fn converse(mut stream: TcpStream, book: &Book) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query)?;
        let reply = reply(book, &query, false).ok_or(io::ErrorKind::InvalidData)?;
        let length = (reply.len() as u16).to_be_bytes();
        stream.write_all(&[&length, &reply[..]].concat())?;
    }
}

/// Where the question of a query ends, and its key when it is one of the soak.
fn question(query: &[u8]) -> Option<(usize, Option<Key>)> {
    if query.get(2)? & 0xF8 != 0 || query.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = 12;
    while *query.get(at)? != 0 {
        at += 1 + usize::from(query[at]);
    }
    let [high, low, 0, 1] = *query.get(at + 1..)?.first_chunk::<4>()? else {
        return None;
    };
    let key = Key::read(&query[12..=at], u16::from_be_bytes([high, low]));
    Some((at + 5, key))
}

/// The answer to a query: a new version; nothing for what others ask, as those who look whether an
/// upstream lives; the address for a name of the bench.
fn reply(book: &Book, query: &[u8], truncated: bool) -> Option<Vec<u8>> {
    let (end, key) = question(query)?;
    let mut reply = query[..end].to_vec();
    // QR and AA beside the RD that came, RA.
    reply[2] = reply[2] & 0x01 | 0x84;
    reply[3] = 0x80;
    reply[6..12].fill(0);
    if truncated {
        reply[2] |= TC;
    } else if let Some(key) = key {
        let body = book.log.give(key, book.now_ms()).body();
        reply[3] |= body.rcode;
        reply[6..8].copy_from_slice(&body.answers.to_be_bytes());
        reply[8..10].copy_from_slice(&body.authorities.to_be_bytes());
        reply.extend(body.octets);
    } else if let Some(address) = names::address(&query[12..end - 4]) {
        reply[7] = 1;
        reply.extend(names::record(address));
    }
    if query.get(10..12)? != [0, 0] {
        reply[11] = 1;
        // UDP messages of up to 1232 octets, no options.
        reply.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    Some(reply)
}
