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
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use super::super::inflight::Attempt;
use super::super::key::Key;
use super::super::upstream::{FailureKind, UpstreamIndex, Upstreams};
use super::bell::{Bell, Button};
use super::dialect::{ClientCookie, Dialect, Part};
use super::pending::{Pending, QUESTION_LIFETIME, Question};
use super::query::{self, Manner};
use super::socket::{connect, is_refusal};
use crate::os::socket::batch::Outbox;
use crate::os::socket::watch;

mod hearing;

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
    dialect: Dialect,
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
    /// The cookie that its questions have, if they have one.
    cookie: Option<ClientCookie>,
    /// Messages that were no answers; wraps.
    guesses: u32,
    /// An error that was reported while answers may still be queued.
    trouble: Option<Trouble>,
}

/// An error of the network, to be told when what came before it has been heard.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    kind: ErrorKind,
    /// Questions from this number on were sent afterwards, see [`Pending::inserted`].
    end: u64,
    /// The way there may have changed: the socket is to take no more questions.
    wears_out: bool,
    /// How often the socket was read since.
    reads: usize,
}

impl Sockets {
    pub(super) fn new(upstreams: Arc<Upstreams>, bell: Arc<Bell>) -> Self {
        let line = |upstream| Line {
            places: [None; SOCKETS],
            batch: None,
            outbox: Outbox::new(BATCH),
            dialect: Dialect::new(upstreams.dialect(upstream)),
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

    /// How one upstream is talked to.
    pub(super) fn dialect(&mut self, upstream: UpstreamIndex) -> Option<&mut Dialect> {
        let line = self.lines.get_mut(upstream.position());
        line.map(|line| &mut line.dialect)
    }

    /// Lets a question leave with the next batch.
    pub(super) fn send(&mut self, attempt: Attempt, key: &Key, fingerprint: u64, now: Instant) {
        self.send_again(attempt, key, fingerprint, false, now);
    }

    /// The same; `is_repeated`: because the cookie was not good.
    pub(super) fn send_again(
        &mut self,
        attempt: Attempt,
        key: &Key,
        fingerprint: u64,
        is_repeated: bool,
        now: Instant,
    ) {
        if let Err(error) = self.gather(attempt, key, fingerprint, is_repeated, now) {
            self.blame(attempt.upstream, error.kind(), now);
            self.lost.push(attempt);
        }
    }

    fn gather(
        &mut self,
        attempt: Attempt,
        key: &Key,
        fingerprint: u64,
        is_repeated: bool,
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
        let dialect = &mut line.dialect;
        let sent_as = dialect.choose(
            (attempt.edns, fingerprint),
            socket.cookie,
            rand::random,
            now,
        );
        let question = Question {
            attempt,
            fingerprint,
            dnssec_ok: key.dnssec_ok(),
            checking_disabled: key.checking_disabled(),
            sent: now,
            is_awaited: true,
            sent_as,
            is_repeated,
            guesses_before: socket.guesses,
        };
        let id = socket.pending.insert(question, rand::random);
        let id = id.ok_or(ErrorKind::AddrInUse)?;
        socket.questions += 1;
        let manner = Manner {
            edns: sent_as.edns,
            options: line.dialect.options(sent_as),
            case: sent_as.case,
        };
        query::append(line.outbox.buffer(), key, id, &manner);
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
        let Some(Some(socket)) = self.sockets.get_mut(number) else {
            return;
        };
        let count = u64::try_from(line.outbox.len()).unwrap_or(u64::MAX);
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
            kind @ ErrorKind::ConnectionRefused if sent.failed == 0 => {
                let end = socket.pending.inserted().saturating_sub(count);
                socket.note_trouble(kind, end, false);
            }
            kind => {
                socket.note_trouble(kind, u64::MAX, true);
                self.retire(number, now);
            }
        }
    }

    /// The network reported an error, and what had come before it has been heard. The way there may
    /// have changed, and the source address with it: whoever waits turns elsewhere now.
    fn break_off(&mut self, number: usize, now: Instant) {
        if let Some(Some(socket)) = self.sockets.get_mut(number)
            && let Some(trouble) = socket.trouble.take()
        {
            socket.pending.abandon(trouble.end, &mut self.lost);
            let upstream = socket.upstream;
            self.blame(upstream, trouble.kind, now);
            if trouble.wears_out {
                self.retire(number, now);
            }
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
                self.sweep(number, now);
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

    /// Forgets what is too old on a socket; silence to EDNS is noted.
    fn sweep(&mut self, number: usize, now: Instant) {
        let Some(Some(socket)) = self.sockets.get_mut(number) else {
            return;
        };
        let upstream = socket.upstream;
        let Some(line) = self.lines.get_mut(upstream.position()) else {
            return;
        };
        let dialect = &mut line.dialect;
        let unanswered = |fingerprint| dialect.unanswered(fingerprint, now);
        socket.pending.sweep(now, unanswered);
        self.tell_turned_off(upstream);
    }

    /// What an upstream has been found unable to do, if that is new.
    fn tell_turned_off(&mut self, upstream: UpstreamIndex) {
        let line = self.lines.get_mut(upstream.position());
        if let Some(part) = line.and_then(|line| line.dialect.take_turned_off()) {
            if part == Part::Edns {
                self.upstreams.failed(upstream, FailureKind::Edns);
            }
            let (upstream, part) = (self.upstreams.address(upstream), part.label());
            tracing::info!(%upstream, part, "left out for a time: the upstream cannot do it");
        }
    }

    fn open(&mut self, upstream: UpstreamIndex, now: Instant) -> io::Result<usize> {
        let socket = connect(self.upstreams.address(upstream))?;
        let source = socket.local_addr()?.ip();
        let line = self.lines.get_mut(upstream.position());
        let cookie = line.and_then(|line| line.dialect.client_cookie(source, now, rand::random));
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
                cookie,
                guesses: 0,
                trouble: None,
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
            self.close_oldest(now);
        }
    }

    /// Closes the sockets that have listened for long enough.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            self.close_oldest(now);
        }
    }

    fn close_oldest(&mut self, now: Instant) {
        let Some((_, number)) = self.retired.pop_front() else {
            return;
        };
        self.sweep(number, now);
        if let Some(place) = self.sockets.get_mut(number) {
            *place = None;
            self.vacant.push(number);
        }
    }

    /// When to call [`Sockets::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retired.front().map(|&(close_at, _)| close_at)
    }
}

impl Socket {
    /// Keeps an error until what came before it has been heard; of several the first.
    fn note_trouble(&mut self, kind: ErrorKind, end: u64, wears_out: bool) {
        let trouble = self.trouble.get_or_insert(Trouble {
            kind,
            end,
            wears_out,
            reads: 0,
        });
        trouble.end = trouble.end.max(end);
        trouble.wears_out |= wears_out;
        self.button.press();
    }
}

#[cfg(test)]
mod tests;
