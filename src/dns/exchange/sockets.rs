//! All sockets of one worker towards its upstreams: a few for each, many questions in each.
//!
//! Source: RFC 5452 §9.2 (unpredictable ports), RFC 1035 §4.2.1.
//! The questions of a flush to one upstream leave together from one socket of chance. A socket is
//! worn out after a time of chance or some thousand questions: then it only listens until its
//! questions are answered or too old.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use super::super::inflight::{Attempt, Flights};
use super::super::key::Key;
use super::super::upstream::{FailureKind, UpstreamIndex, Upstreams};
use super::bell::{Bell, Button};
use super::pending::{Pending, QUESTION_LIFETIME, Question};
use super::query;
use super::response::Response;
use super::socket::{connect, is_refusal};
use crate::os::socket::batch::{Inbox, Outbox};
use crate::os::socket::watch;

/// Sockets in use at a time for each upstream and worker.
pub(super) const SOCKETS: usize = 4;
/// A socket takes no more questions after a time between these two.
const AGE_MIN: Duration = Duration::from_secs(1);
const AGE_MAX: Duration = Duration::from_secs(5);
/// A socket takes no more questions after this many and the batch that it was chosen for: bounds
/// what one port may have open.
pub(super) const SOCKET_QUESTIONS_MAX: usize = 4096;
/// Sockets of each upstream that only listen; one more, and the oldest is closed.
const RETIRED_MAX: usize = 64;
/// Questions that leave with one system call.
const BATCH: usize = 64;

/// By number, which is also their number at the [`Bell`].
#[derive(Debug)]
pub(super) struct Sockets {
    upstreams: Arc<Upstreams>,
    bell: Arc<Bell>,
    sockets: Vec<Option<Socket>>,
    vacant: Vec<usize>,
    /// By [`UpstreamIndex::position`].
    lines: Vec<Line>,
    /// Positions of the lines with a batch.
    gathering: Vec<usize>,
    /// When each socket that only listens is closed, and its number.
    retired: VecDeque<(Instant, usize)>,
    /// Attempts that have come to nothing, and of which nobody has been told.
    lost: Vec<Attempt>,
}

/// What goes to one upstream.
#[derive(Debug)]
struct Line {
    places: [Option<usize>; SOCKETS],
    /// The socket that the questions in `outbox` leave from.
    batch: Option<usize>,
    outbox: Outbox,
}

#[derive(Debug)]
struct Socket {
    fd: AsyncFd<UdpSocket>,
    upstream: UpstreamIndex,
    button: Button,
    pending: Pending,
    worn_at: Instant,
    questions: usize,
    is_retired: bool,
}

impl Sockets {
    pub(super) fn new(upstreams: Arc<Upstreams>, bell: Arc<Bell>) -> Self {
        let line = |_| Line {
            places: [None; SOCKETS],
            batch: None,
            outbox: Outbox::new(BATCH),
        };
        Self {
            lines: upstreams.indexes().map(line).collect(),
            upstreams,
            bell,
            sockets: Vec::new(),
            vacant: Vec::new(),
            gathering: Vec::new(),
            retired: VecDeque::new(),
            lost: Vec::new(),
        }
    }

    /// Lets a question leave with the next batch.
    pub(super) fn send(&mut self, attempt: Attempt, key: &Key, fingerprint: u64, now: Instant) {
        if let Err(error) = self.gather(attempt, key, fingerprint, now) {
            self.blame(attempt.upstream, error.kind(), now);
            self.lost.push(attempt);
        }
    }

    fn gather(
        &mut self,
        attempt: Attempt,
        key: &Key,
        fingerprint: u64,
        now: Instant,
    ) -> io::Result<()> {
        let position = attempt.upstream.position();
        let line = self.lines.get(position).ok_or(ErrorKind::NotFound)?;
        let number = match line.batch {
            Some(number) => number,
            None => self.choose(attempt.upstream, now)?,
        };
        let socket = self.sockets.get_mut(number).and_then(Option::as_mut);
        let socket = socket.ok_or(ErrorKind::NotFound)?;
        let line = self.lines.get_mut(position).ok_or(ErrorKind::NotFound)?;
        if line.batch.is_none() {
            line.batch = Some(number);
            self.gathering.push(position);
        }
        let question = Question {
            attempt,
            fingerprint,
            dnssec_ok: key.dnssec_ok(),
            checking_disabled: key.checking_disabled(),
            sent: now,
            is_awaited: true,
        };
        let id = socket.pending.insert(question, rand::random);
        let id = id.ok_or(ErrorKind::AddrInUse)?;
        socket.questions += 1;
        query::append(line.outbox.buffer(), key, id, attempt.edns);
        line.outbox.finish(None);
        if line.outbox.is_full() {
            self.send_batch(position, now);
        }
        Ok(())
    }

    /// Sends what has gathered.
    pub(super) fn flush(&mut self, now: Instant) {
        while let Some(position) = self.gathering.pop() {
            self.send_batch(position, now);
        }
    }

    fn send_batch(&mut self, position: usize, now: Instant) {
        let Some(line) = self.lines.get_mut(position) else {
            return;
        };
        let Some(number) = line.batch.take() else {
            return;
        };
        let Some(Some(socket)) = self.sockets.get(number) else {
            return;
        };
        let count = line.outbox.len();
        let sent = line.outbox.send(socket.fd.get_ref());
        let Some(error) = sent.error else {
            return;
        };
        match error.kind() {
            // A full buffer loses questions as a full network does: they will be late.
            ErrorKind::WouldBlock | ErrorKind::Interrupted => {
                for _ in 0..sent.failed {
                    self.upstreams.failed(socket.upstream, FailureKind::Local);
                }
            }
            // The error of an earlier question, handed out instead of sending this one.
            ErrorKind::ConnectionRefused if sent.failed == 0 => {
                self.blame(socket.upstream, error.kind(), now);
                self.abandon(number, count);
            }
            kind => self.break_off(number, kind, now),
        }
    }

    /// The network reported an error. The way there may have changed, and the source address with
    /// it: whoever waits turns elsewhere now, and the socket takes no more questions.
    fn break_off(&mut self, number: usize, kind: ErrorKind, now: Instant) {
        if let Some(Some(socket)) = self.sockets.get(number) {
            self.blame(socket.upstream, kind, now);
            self.abandon(number, 0);
            self.retire(number, now);
        }
    }

    fn abandon(&mut self, number: usize, spared: usize) {
        if let Some(Some(socket)) = self.sockets.get_mut(number) {
            socket.pending.abandon(spared, &mut self.lost);
        }
    }

    fn blame(&self, upstream: UpstreamIndex, kind: ErrorKind, now: Instant) {
        if is_refusal(kind) {
            self.upstreams.refused(upstream, now);
        } else {
            self.upstreams.failed(upstream, FailureKind::Local);
        }
    }

    /// An attempt that has come to nothing; to be called until there is none.
    pub(super) fn poll_lost(&mut self) -> Option<Attempt> {
        self.lost.pop()
    }

    /// Whether [`Sockets::poll_lost`] has something to tell.
    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// One of the upstream's sockets by chance; opened anew when it has served its time.
    fn choose(&mut self, upstream: UpstreamIndex, now: Instant) -> io::Result<usize> {
        let chance = rand::random_range(0..SOCKETS);
        let line = self.lines.get(upstream.position());
        if let Some(number) = line.and_then(|line| *line.places.get(chance)?)
            && let Some(Some(socket)) = self.sockets.get_mut(number)
        {
            if now < socket.worn_at && socket.questions < SOCKET_QUESTIONS_MAX {
                socket.pending.sweep(now);
                return Ok(number);
            }
            self.retire(number, now);
        }
        let number = self.open(upstream, now)?;
        if let Some(line) = self.lines.get_mut(upstream.position())
            && let Some(place) = line.places.get_mut(chance)
        {
            *place = Some(number);
        }
        Ok(number)
    }

    fn open(&mut self, upstream: UpstreamIndex, now: Instant) -> io::Result<usize> {
        let socket = connect(self.upstreams.address(upstream))?;
        let fd = watch(socket).map_err(|(_, error)| error)?;
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        let button = self.bell.button(number);
        // Its events ring only once it has been looked at.
        button.press();
        if let Some(place) = self.sockets.get_mut(number) {
            *place = Some(Socket {
                fd,
                upstream,
                button,
                pending: Pending::default(),
                worn_at: now + rand::random_range(AGE_MIN..AGE_MAX),
                questions: 0,
                is_retired: false,
            });
        }
        Ok(number)
    }

    /// No more questions; answers are still heard for a while.
    fn retire(&mut self, number: usize, now: Instant) {
        let Some(Some(socket)) = self.sockets.get_mut(number) else {
            return;
        };
        if std::mem::replace(&mut socket.is_retired, true) {
            return;
        }
        if let Some(line) = self.lines.get_mut(socket.upstream.position()) {
            for place in &mut line.places {
                place.take_if(|taken| *taken == number);
            }
        }
        self.retired.push_back((now + QUESTION_LIFETIME, number));
        if self.retired.len() > self.lines.len() * RETIRED_MAX {
            self.close_oldest();
        }
    }

    /// Receives what has come on a socket that has rung: how many datagrams, 0 after an error;
    /// `None` when there is nothing more, and it will ring again.
    pub(super) fn receive(
        &mut self,
        number: usize,
        inbox: &mut Inbox,
        now: Instant,
    ) -> Option<usize> {
        let socket = self.sockets.get(number)?.as_ref()?;
        socket.button.release();
        let mut cx = Context::from_waker(socket.button.waker());
        // An error without a datagram is told to writers alone, and once; such a socket is retired.
        let has_failed = !socket.is_retired && socket.fd.poll_write_ready(&mut cx).is_ready();
        let mut readable = match socket.fd.poll_read_ready(&mut cx) {
            Poll::Ready(Ok(readable)) => Some(readable),
            // The runtime is going down, and this task with it.
            Poll::Ready(Err(_)) => return None,
            Poll::Pending => None,
        };
        if readable.is_none() && !has_failed {
            return None;
        }
        let received = inbox.receive(socket.fd.get_ref());
        let count = received.as_ref().map_or(0, |count| *count);
        if count < inbox.room()
            && let Some(readable) = &mut readable
        {
            // What comes from now on rings again.
            readable.clear_ready();
        }
        match received {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                self.break_off(number, error.kind(), now);
            }
            _ if has_failed => self.retire(number, now),
            _ => {}
        }
        Some(count)
    }

    /// The question that a datagram on this socket answers; counts those that answer none.
    pub(super) fn take_match<W>(
        &mut self,
        number: usize,
        datagram: &[u8],
        flights: &Flights<W>,
    ) -> Option<(Question, Response)> {
        let socket = self.sockets.get_mut(number)?.as_mut()?;
        let matched = socket.pending.take_match(datagram, flights);
        if matched.is_none() {
            self.upstreams.failed(socket.upstream, FailureKind::Ignored);
        }
        matched
    }

    /// Lets a socket ring that may have more to say.
    pub(super) fn ring(&self, number: usize) {
        if let Some(Some(socket)) = self.sockets.get(number) {
            socket.button.press();
        }
    }

    /// Closes the sockets that have listened for long enough.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            self.close_oldest();
        }
    }

    fn close_oldest(&mut self) {
        if let Some((_, number)) = self.retired.pop_front()
            && let Some(place) = self.sockets.get_mut(number)
        {
            *place = None;
            self.vacant.push(number);
        }
    }

    /// When to call [`Sockets::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retired.front().map(|&(close_at, _)| close_at)
    }
}

#[cfg(test)]
mod tests;
