//! Questions over UDP: a few connected sockets for each upstream, many questions in each.
//!
//! Source: RFC 5452 §9.1 (what an answer must match), §9.2 (unpredictable ids and ports).
//!
//! A socket is connected, so that the kernel drops what comes from elsewhere and reports ICMP
//! errors. Its source address is left to the kernel: an answer to a service's address might reach
//! another site. Its port is one of the kernel's choice, and new every few seconds or thousand
//! questions. A question stays on the list after its asker has gone, because even an answer that
//! nobody waits for says that the upstream lives, and how fast it is.

#![expect(
    clippy::disallowed_methods,
    reason = "a shell: reads the clock and starts the task that listens on a socket"
)]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::super::key::Key;
use super::super::upstream::{Asked, FailureKind, UpstreamIndex, Upstreams};
use super::query::{self, Edns};
use super::response::{self, Response};

/// Sockets in use at a time for each upstream and worker.
const SOCKETS: usize = 4;
/// A socket takes no more questions after this time.
const SOCKET_AGE_MAX: Duration = Duration::from_secs(10);
/// A socket takes no more questions after this many: bounds what one port may have open.
const SOCKET_QUESTIONS_MAX: u32 = 4096;
/// How long an answer is recognised.
const QUESTION_LIFETIME: Duration = Duration::from_secs(2);
/// More than any answer to a question that asked for [`query::UDP_SIZE`] octets.
const BUFFER: usize = 4096;

/// What came of one question to one upstream.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A well-formed answer with its RCODE, cut to its length.
    Complete(Vec<u8>, u16),
    /// An error without a question section.
    Headless(u16),
    /// Cut short.
    Truncated,
    /// Matched, but cannot be walked.
    Malformed,
    /// The network or this node could not carry the question, or nothing came in its lifetime.
    Nothing,
}

/// The sockets of one worker to one upstream.
#[derive(Debug)]
pub(super) struct Sockets {
    upstreams: Arc<Upstreams>,
    index: UpstreamIndex,
    places: RefCell<[Option<Rc<Socket>>; SOCKETS]>,
}

impl Sockets {
    pub(super) fn new(upstreams: Arc<Upstreams>, index: UpstreamIndex) -> Self {
        Self {
            upstreams,
            index,
            places: RefCell::default(),
        }
    }

    /// Sends the question and waits for what comes of it.
    pub(super) async fn ask(&self, key: &Key, edns: Edns) -> Arrival {
        let socket = match self.socket() {
            Ok(socket) => socket,
            Err(error) => {
                self.blame(error.kind());
                return Arrival::Nothing;
            }
        };
        let Some((id, answer)) = socket.expect_answer(key) else {
            self.upstreams.failed(self.index, FailureKind::Local);
            return Arrival::Nothing;
        };
        let message = query::build(key, id, edns);
        let mut sent = socket.udp.send(&message).await;
        if sent
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        {
            // An earlier question's error, handed out instead of sending this one.
            socket.broken(ErrorKind::ConnectionRefused, Some(id));
            sent = socket.udp.send(&message).await;
        }
        if let Err(error) = sent {
            socket.forget(id);
            socket.broken(error.kind(), None);
            return Arrival::Nothing;
        }
        answer.await.unwrap_or(Arrival::Nothing)
    }

    /// One of the sockets by chance; opened anew when it has served its time.
    fn socket(&self) -> io::Result<Rc<Socket>> {
        let mut places = self.places.borrow_mut();
        let chance = usize::from(rand::random::<u8>()) % SOCKETS;
        // `chance` is below the number of places.
        let Some(place) = places.get_mut(chance) else {
            return Err(ErrorKind::NotFound.into());
        };
        if let Some(socket) = place {
            if !socket.is_worn() {
                return Ok(Rc::clone(socket));
            }
            socket.retire();
        }
        let socket = Rc::new(Socket::open(Arc::clone(&self.upstreams), self.index)?);
        tokio::task::spawn_local(listen(Rc::clone(&socket)));
        *place = Some(Rc::clone(&socket));
        Ok(socket)
    }

    fn blame(&self, kind: ErrorKind) {
        blame(&self.upstreams, self.index, kind);
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for socket in self.places.get_mut().iter().flatten() {
            socket.retire();
        }
    }
}

/// Whether an error is the network's word that nothing gets through to the upstream. What the
/// node itself lacks (descriptors, memory) says nothing about the upstream.
pub(in crate::dns) fn is_refusal(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied
    )
}

/// Opens a socket connected to `remote`; address and port of this end are the kernel's choice.
pub(in crate::dns) fn connect(remote: SocketAddr) -> io::Result<UdpSocket> {
    let any = match remote {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(remote)?;
    UdpSocket::from_std(socket)
}

fn blame(upstreams: &Upstreams, index: UpstreamIndex, kind: ErrorKind) {
    if is_refusal(kind) {
        upstreams.refused(index, Instant::now().into_std());
    } else {
        upstreams.failed(index, FailureKind::Local);
    }
}

#[derive(Debug)]
struct Socket {
    upstreams: Arc<Upstreams>,
    index: UpstreamIndex,
    udp: UdpSocket,
    opened: Instant,
    questions: Cell<u32>,
    pending: RefCell<Pending>,
    retired: Cell<bool>,
    retiring: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    by_id: HashMap<u16, Question>,
    /// Ids in the order of their questions, with the times at which they are forgotten.
    expiries: VecDeque<(Instant, u16)>,
}

#[derive(Debug)]
struct Question {
    key: Key,
    sent: Instant,
    waiter: Option<oneshot::Sender<Arrival>>,
}

impl Socket {
    fn open(upstreams: Arc<Upstreams>, index: UpstreamIndex) -> io::Result<Self> {
        Ok(Self {
            udp: connect(upstreams.address(index))?,
            upstreams,
            index,
            opened: Instant::now(),
            questions: Cell::new(0),
            pending: RefCell::default(),
            retired: Cell::new(false),
            retiring: Notify::new(),
        })
    }

    fn is_worn(&self) -> bool {
        self.retired.get()
            || self.questions.get() >= SOCKET_QUESTIONS_MAX
            || self.opened.elapsed() >= SOCKET_AGE_MAX
    }

    /// No more questions; answers are still heard for a while.
    fn retire(&self) {
        self.retired.set(true);
        self.retiring.notify_one();
    }

    /// Notes a question under a free id of chance. With at most [`SOCKET_QUESTIONS_MAX`] of
    /// 65,536 ids taken, a few attempts are plenty.
    fn expect_answer(&self, key: &Key) -> Option<(u16, oneshot::Receiver<Arrival>)> {
        let mut pending = self.pending.borrow_mut();
        let now = Instant::now();
        pending.sweep(now);
        let id = (0..8)
            .map(|_| rand::random::<u16>())
            .find(|id| !pending.by_id.contains_key(id))?;
        let (waiter, answer) = oneshot::channel();
        let question = Question {
            key: *key,
            sent: now,
            waiter: Some(waiter),
        };
        pending.by_id.insert(id, question);
        pending.expiries.push_back((now + QUESTION_LIFETIME, id));
        self.questions.set(self.questions.get().saturating_add(1));
        Some((id, answer))
    }

    fn forget(&self, id: u16) {
        self.pending.borrow_mut().by_id.remove(&id);
    }

    /// A datagram from the upstream's address and port.
    fn hear(&self, datagram: &[u8]) {
        let now = Instant::now();
        let Some((question, response)) = self.pending.borrow_mut().take_match(datagram) else {
            self.upstreams.failed(self.index, FailureKind::Ignored);
            return;
        };
        self.upstreams.answered(
            self.index,
            Asked::Question,
            question.sent.into_std(),
            now.into_std(),
        );
        let arrival = match response {
            Response::Foreign => return,
            Response::Headless { rcode } => Arrival::Headless(rcode),
            Response::Truncated => Arrival::Truncated,
            Response::Malformed => Arrival::Malformed,
            Response::Complete { rcode, length } => {
                match complete(datagram, length, &question.key) {
                    Some(message) => Arrival::Complete(message, rcode),
                    None => Arrival::Malformed,
                }
            }
        };
        if let Some(waiter) = question.waiter {
            // Nobody waits any longer: the answer has served as a sign of life.
            let _ = waiter.send(arrival);
        }
    }

    /// The network reported an error. It does not say for which question, but all of them go to
    /// the same place: their askers turn elsewhere now, except that of a question not yet sent.
    fn broken(&self, kind: ErrorKind, unsent: Option<u16>) {
        blame(&self.upstreams, self.index, kind);
        if kind != ErrorKind::ConnectionRefused {
            // The way there may have changed, and the source address with it.
            self.retire();
        }
        for (&id, question) in &mut self.pending.borrow_mut().by_id {
            if Some(id) != unsent {
                question.waiter = None;
            }
        }
    }
}

impl Pending {
    /// Takes the question that a datagram answers; leaves all as it is if there is none.
    fn take_match(&mut self, datagram: &[u8]) -> Option<(Question, Response)> {
        let id = u16::from_be_bytes(*datagram.first_chunk()?);
        let question = self.by_id.get(&id)?;
        let response = response::read(datagram, id, &question.key);
        if response == Response::Foreign {
            return None;
        }
        Some((self.by_id.remove(&id)?, response))
    }

    fn sweep(&mut self, now: Instant) {
        while let Some(&(expiry, id)) = self.expiries.front() {
            let done = expiry <= now;
            let answered = !self.by_id.contains_key(&id);
            if !done && !answered {
                return;
            }
            self.expiries.pop_front();
            // The id may belong to a newer question by now.
            if done
                && self
                    .by_id
                    .get(&id)
                    .is_some_and(|question| question.sent + QUESTION_LIFETIME <= now)
            {
                self.by_id.remove(&id);
            }
        }
    }
}

/// The message alone, its question written as it was asked.
pub(super) fn complete(received: &[u8], length: usize, key: &Key) -> Option<Vec<u8>> {
    let mut message = received.get(..length)?.to_vec();
    message
        .get_mut(12..12 + key.name().len())?
        .copy_from_slice(key.name());
    Some(message)
}

/// Hears a socket until it is retired and has nothing left to wait for.
async fn listen(socket: Rc<Socket>) {
    let mut buffer = vec![0; BUFFER];
    let mut closes = None;
    loop {
        if socket.retired.get() && socket.pending.borrow().by_id.is_empty() {
            return;
        }
        let close_at = closes.unwrap_or_else(|| Instant::now() + SOCKET_AGE_MAX);
        tokio::select! {
            received = socket.udp.recv(&mut buffer) => match received {
                Ok(length) => socket.hear(buffer.get(..length).unwrap_or_default()),
                Err(error) => {
                    socket.broken(error.kind(), None);
                    if error.kind() != ErrorKind::ConnectionRefused {
                        return;
                    }
                }
            },
            () = socket.retiring.notified(), if closes.is_none() => {
                closes = Some(Instant::now() + QUESTION_LIFETIME);
            }
            () = tokio::time::sleep_until(close_at), if closes.is_some() => return,
        }
    }
}

#[cfg(test)]
mod tests;
