//! The clients: each with one question under way, as fast as answers come; every answer is judged.
#![expect(clippy::disallowed_methods, reason = "threads and their clock")]

use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::judge::{Asked, Verdict};
use super::upstream::Book;
use super::version::Key;
use crate::process::exchange;
use crate::sys::Epoll;

/// A question without an answer by then is lost.
const PATIENCE: Duration = Duration::from_secs(3);
const MESSAGE_OCTETS_MAX: usize = 4096;
const LOOK_MS: i32 = 100;

/// How names are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    Evenly,
    /// By Zipf's law with s = 1.
    Zipf,
}

/// What the clients of an episode share.
pub(super) struct Load<'a> {
    pub(super) book: &'a Book,
    pub(super) server: SocketAddr,
    pub(super) names: u32,
    pub(super) draw: Draw,
    pub(super) may_be_stale: bool,
    pub(super) stop: AtomicBool,
    pub(super) tally: Tally,
}

/// What they counted.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) questions: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) fresh: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) truncated: AtomicU64,
    /// What was wrong first.
    wrong: Mutex<Option<String>>,
}

impl Tally {
    /// What was wrong first.
    pub(super) fn wrong(&self) -> Option<String> {
        let wrong = self.wrong.lock();
        wrong.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Load<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn ask(&self, random: &mut SmallRng, over_udp: bool) -> Asked {
        let number = match self.draw {
            Draw::Evenly => random.random_range(0..self.names),
            // The logarithm of a rank is spread evenly.
            Draw::Zipf => f64::from(self.names).powf(random.random_range(0.0..1.0)) as u32 - 1,
        };
        let key = Key::new(number, random.random_range(0..4) == 0);
        let edns = random.random_range(0..4) != 0;
        let id: [u8; 2] = random.random();
        let mut message = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]].concat();
        for octet in key.name() {
            let upper = octet.is_ascii_lowercase() && random.random();
            message.push(if upper { octet & !0x20 } else { octet });
        }
        message.extend(key.qtype().to_be_bytes());
        message.extend([0, 1]);
        if edns {
            message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        }
        self.tally.questions.fetch_add(1, Ordering::Relaxed);
        Asked {
            key,
            message,
            edns,
            over_udp,
        }
    }

    fn judge(&self, asked: &Asked, answer: &[u8]) {
        let log = &self.book.log;
        let judged = log.with(asked.key, |history| {
            let now_ms = self.book.now_ms();
            let judged = asked.judge(answer, history, now_ms, self.may_be_stale);
            judged.map_err(|what| {
                format!(
                    "{what}\nat {now_ms} ms to {asked:?}\nanswer {}\n{history:?}",
                    hex(answer)
                )
            })
        });
        let tally = &self.tally;
        let count = match judged {
            Ok(Verdict::Fresh) => &tally.fresh,
            Ok(Verdict::Stale) => &tally.stale,
            Ok(Verdict::Failure) => &tally.failures,
            Ok(Verdict::Truncated) => &tally.truncated,
            Err(what) => {
                let wrong = tally.wrong.lock();
                wrong
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(what);
                self.stop.store(true, Ordering::Relaxed);
                return;
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// So many clients with a socket each, until the load is over.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub(super) fn over_udp(&self, clients: usize, seed: u64) -> Result<()> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut epoll = Epoll::new(clients)?;
        let mut lines = Vec::new();
        for token in 0..clients {
            lines.push(self.line(&epoll, token, &mut random)?);
        }
        let mut buffer = [0; MESSAGE_OCTETS_MAX];
        let mut looked = Instant::now();
        while !self.is_over() {
            for place in 0..epoll.wait(LOOK_MS)? {
                let line = &mut lines[epoll.event(place).token as usize];
                // An error says that the server has ended, which its end tells better.
                if let Ok(octets) = line.socket.recv(&mut buffer) {
                    self.judge(&line.asked, &buffer[..octets]);
                    line.asked = self.ask(&mut random, true);
                    line.send();
                }
            }
            if looked.elapsed() < PATIENCE / 10 {
                continue;
            }
            looked = Instant::now();
            for (token, line) in lines.iter_mut().enumerate() {
                if line.at.elapsed() > PATIENCE {
                    self.tally.lost.fetch_add(1, Ordering::Relaxed);
                    // Another socket, so that the answer is not taken for one to the next question.
                    *line = self.line(&epoll, token, &mut random)?;
                }
            }
        }
        Ok(())
    }

    fn line(&self, epoll: &Epoll, token: usize, random: &mut SmallRng) -> io::Result<Line> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(self.server)?;
        socket.set_nonblocking(true)?;
        epoll.add(&socket, token as u64)?;
        let asked = self.ask(random, true);
        let at = Instant::now();
        let mut line = Line { socket, asked, at };
        line.send();
        Ok(line)
    }

    /// One client with a connection, until the load is over.
    ///
    /// # Errors
    /// When the server takes no connection.
    pub(super) fn over_tcp(&self, seed: u64) -> Result<()> {
        let mut random = SmallRng::seed_from_u64(seed);
        while !self.is_over() {
            let mut stream = TcpStream::connect(self.server)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            while !self.is_over() {
                let asked = self.ask(&mut random, false);
                match exchange(&mut stream, &asked.message) {
                    Ok(answer) => self.judge(&asked, &answer),
                    Err(_) => {
                        self.tally.lost.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A client's socket and what it has asked.
struct Line {
    socket: UdpSocket,
    asked: Asked,
    at: Instant,
}

impl Line {
    fn send(&mut self) {
        self.at = Instant::now();
        // A question that was not sent counts as lost later.
        let _ = self.socket.send(&self.asked.message);
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
