//! Questions at a fixed rate from one thread, and what became of each.
#![expect(clippy::disallowed_methods, reason = "askers are threads")]

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use fake_upstream::reply::echo;

use crate::sys::Poll;

/// A question without an answer by then is lost: as long as a stub resolver waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const MESSAGE_OCTETS_MAX: usize = 4096;

/// What to ask.
pub(super) struct Order {
    pub(super) server: SocketAddr,
    /// Where the questions come from.
    pub(super) source: Ipv4Addr,
    /// With a port each.
    pub(super) sockets: usize,
    /// A second.
    pub(super) rate: u32,
    /// From `began` on.
    pub(super) from: Duration,
    /// Exclusive.
    pub(super) until: Duration,
    pub(super) names: Names,
}

/// What names are asked for.
#[derive(Clone)]
pub(super) enum Names {
    /// Each one new: a number below this name.
    New(&'static str),
    /// So many in turn: a number below this name.
    Known(&'static str, u32),
}

impl Names {
    /// The wire form of the name for a question.
    pub(super) fn name(&self, number: u32) -> Vec<u8> {
        let (number, above) = match self {
            Self::New(above) => (number, above),
            Self::Known(above, count) => (number % count, above),
        };
        let text = format!("q{number}.{above}");
        let mut name = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            name.push(label.len() as u8);
            name.extend_from_slice(label.as_bytes());
        }
        name.push(0);
        name
    }
}

/// A question and what became of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// When it was due, from the beginning on.
    pub(super) at: Duration,
    /// `None`: lost.
    pub(super) took: Option<Duration>,
    pub(super) rcode: u8,
    /// NOERROR with the right address.
    pub(super) is_right: bool,
}

struct Line {
    socket: UdpSocket,
    /// By id.
    open: HashMap<u16, usize>,
}

/// Begins to ask everything at the same time, each order in a thread of its own.
pub(super) fn ask_all<const N: usize>(orders: [Order; N], began: Instant) -> Vec<Asking> {
    let start = |order: Order| thread::spawn(move || ask(&order, began));
    orders.map(start).into_iter().map(Asking).collect()
}

/// Questions that are being asked.
pub(super) struct Asking(JoinHandle<io::Result<Vec<Asked>>>);

impl Asking {
    /// What became of them, once all is over.
    ///
    /// # Errors
    /// When a socket could not be had, or the thread has panicked.
    pub(super) fn end(self) -> Result<Vec<Asked>> {
        let result = self
            .0
            .join()
            .map_err(|_| anyhow!("an asker has panicked"))?;
        Ok(result?)
    }
}

/// Asks, and waits for the last answers.
///
/// # Errors
/// When a socket cannot be had.
fn ask(order: &Order, began: Instant) -> io::Result<Vec<Asked>> {
    let mut lines = Vec::new();
    for _ in 0..order.sockets {
        let socket = UdpSocket::bind((order.source, 0))?;
        socket.connect(order.server)?;
        socket.set_nonblocking(true)?;
        let open = HashMap::new();
        lines.push(Line { socket, open });
    }
    let mut poll = Poll::new(lines.iter().map(|line| line.socket.as_raw_fd()));
    let count = (order.until - order.from).as_secs_f64() * f64::from(order.rate);
    let count = count as usize;
    let step = Duration::from_secs(1) / order.rate;
    let due = |number: usize| order.from + step * number as u32;
    let mut asked: Vec<Asked> = Vec::with_capacity(count);
    let mut answered = 0;
    while asked.len() < count || answered < asked.len() {
        let now = began.elapsed();
        while asked.len() < count && due(asked.len()) <= now {
            let number = asked.len();
            let line = &mut lines[number % order.sockets];
            let id = (number / order.sockets) as u16;
            // An error counts as a loss.
            let _ = line
                .socket
                .send(&query(id, &order.names.name(number as u32)));
            line.open.insert(id, number);
            asked.push(Asked {
                at: due(number),
                took: None,
                rcode: 0,
                is_right: false,
            });
        }
        let next = if asked.len() < count {
            due(asked.len())
        } else {
            let last = asked.last().map_or(Duration::ZERO, |asked| asked.at);
            if now > last + PATIENCE {
                break;
            }
            now + Duration::from_millis(20)
        };
        poll.wait(next.saturating_sub(began.elapsed()))?;
        for line in &mut lines {
            answered += line.hear(&mut asked, began);
        }
    }
    for question in &mut asked {
        question.took = question.took.filter(|took| *took <= PATIENCE);
    }
    Ok(asked)
}

impl Line {
    /// Takes what has come; how many answers.
    fn hear(&mut self, asked: &mut [Asked], began: Instant) -> usize {
        let mut buffer = [0; MESSAGE_OCTETS_MAX];
        let mut answers = 0;
        while let Ok(octets) = self.socket.recv(&mut buffer) {
            let message = &buffer[..octets];
            let Some(id) = message.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
                continue;
            };
            let Some(question) = self.open.remove(&id).map(|number| &mut asked[number]) else {
                continue;
            };
            question.took = Some(began.elapsed().saturating_sub(question.at));
            question.rcode = message[3] & 0x0F;
            question.is_right = question.rcode == 0 && has_address(message);
            answers += 1;
        }
        answers
    }
}

/// Whether the answer ends with the address that belongs to the name in its question.
fn has_address(message: &[u8]) -> bool {
    let Some(end) = message[12..].iter().position(|octet| *octet == 0) else {
        return false;
    };
    let address = echo(&message[12..12 + end + 1]);
    message
        .windows(6)
        .any(|part| part[..2] == [0, 4] && part[2..] == address)
}

fn query(id: u16, name: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [
        &[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        name,
        &[0, 1, 0, 1],
    ]
    .concat()
}
