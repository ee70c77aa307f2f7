//! Questions over TCP, after a truncated or a doubtful answer: a few connections for each upstream,
//! many questions in each.
//!
//! Source: RFC 7766 §5 (TCP after truncation), §6.2.1 (connections are used again), §6.2.2 (few at a
//! time), §6.2.4 (what to do when one is closed with questions open), RFC 7828 §3.2.1 (asking how long
//! one may idle).
//! Nothing here has a task of its own: the connections are polled by the worker's one task.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::super::upstream::{UpstreamIndex, Upstreams};
use super::super::walk::option;

mod connection;
mod conversation;

pub(super) use conversation::{Answer, Ask, Outcome};

use connection::{End, Link};

/// From the wish to ask over TCP to the answer, waiting for a place included.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Asks how long the connection may idle. RFC 7828 §3.1: without a value in questions.
pub(super) const KEEPALIVE: [u8; 4] = {
    let [high, low] = option::KEEPALIVE.to_be_bytes();
    [high, low, 0, 0]
};
/// Questions under way on one connection at most.
pub(super) const DEPTH: usize = 16;
/// Another connection is opened, where there is a place, rather than have more on each than this.
const DEPTH_WANTED: usize = 4;
/// Questions that wait for a place at most.
pub(super) const WAITING_MAX: usize = 256;
/// Questions of one client prefix among them at most.
pub(super) const WAITING_EACH: usize = WAITING_MAX / 4;
/// One upstream has at most the places divided by this number, for others to have some.
const SHARE: usize = 4;
/// An upstream that closes connections with questions open gets one question for each, for so long.
const SHALLOW_TIME: Duration = Duration::from_secs(15 * 60);

/// Why TCP brought no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TcpError {
    #[error("no answer in time")]
    Late,
    /// Of one question for each connection.
    #[error("no answer to anything")]
    Silent,
    #[error("the connection failed")]
    Connection(#[source] Option<io::Error>),
    #[error("the answer does not match or cannot be read")]
    Unusable,
    #[error("no place for another question")]
    Full,
}

impl TcpError {
    /// Whether it speaks against TCP to this upstream. A late answer may be that of a slow name, and
    /// what this node lacks (descriptors, memory, ports) is no upstream's fault.
    fn is_of_upstream(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::Silent => true,
            Self::Connection(Some(error)) => matches!(
                error.kind(),
                Kind::ConnectionRefused
                    | Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
                    | Kind::UnexpectedEof
                    | Kind::TimedOut
                    | Kind::HostUnreachable
                    | Kind::NetworkUnreachable
            ),
            Self::Late | Self::Connection(None) | Self::Unusable | Self::Full => false,
        }
    }
}

/// All connections of one worker to its upstreams.
pub(super) struct Connections {
    upstreams: Arc<Upstreams>,
    places: usize,
    /// By [`UpstreamIndex::position`].
    lines: Vec<Line>,
    running: FuturesUnordered<Running>,
    /// In the order of their deadlines, but for those that are asked again.
    waiting: VecDeque<Ask>,
    outcomes: Rc<RefCell<VecDeque<Outcome>>>,
}

/// The connections to one upstream that take questions.
#[derive(Default)]
struct Line {
    links: Vec<Rc<Link>>,
    shallow_until: Option<Instant>,
}

type Running = Pin<Box<dyn Future<Output = End>>>;

impl Connections {
    /// At most `places` connections at a time.
    pub(super) fn new(upstreams: Arc<Upstreams>, places: usize) -> Self {
        Self {
            lines: upstreams.indexes().map(|_| Line::default()).collect(),
            upstreams,
            places,
            running: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            outcomes: Rc::default(),
        }
    }

    /// Asks, now or when there is a place; what came of it is told by [`Connections::poll_outcome`].
    pub(super) fn ask(&mut self, ask: Ask, now: Instant) {
        if !self.upstreams.tcp_usable(ask.attempt.upstream, now) {
            return self.fail(ask, TcpError::Connection(None));
        }
        let Some(ask) = self.place(ask, now) else {
            return;
        };
        let of_prefix = |waiting: &&Ask| waiting.prefix == ask.prefix;
        let has_room = self.waiting.len() < WAITING_MAX
            && self.waiting.iter().filter(of_prefix).count() < WAITING_EACH;
        if has_room && self.places > 0 {
            self.waiting.push_back(ask);
        } else {
            self.fail(ask, TcpError::Full);
        }
    }

    /// Whether a question that can do without TCP would find a place at once. Such questions leave half
    /// of what there is to those that cannot.
    pub(super) fn has_place(&self, upstream: UpstreamIndex, now: Instant) -> bool {
        let under_way: usize = self.links().map(|link| link.under_way()).sum();
        let Some(line) = self.lines.get(upstream.position()) else {
            return false;
        };
        self.waiting.is_empty()
            && under_way < self.places * DEPTH / 2
            && (self.may_open(line) || line.best(now).is_some())
            && self.upstreams.tcp_usable(upstream, now)
    }

    /// Gives a question to a connection; gives it back if there is none.
    fn place(&mut self, ask: Ask, now: Instant) -> Option<Ask> {
        let upstream = ask.attempt.upstream;
        let Some(line) = self.lines.get(upstream.position()) else {
            return Some(ask);
        };
        let best = line.best(now);
        let may_open = self.may_open(line);
        match best {
            Some(link) if link.under_way() < DEPTH_WANTED || !may_open => link.push(ask),
            _ if may_open => {
                self.make_room();
                let link = Rc::new(Link::new(Rc::clone(&self.outcomes)));
                link.push(ask);
                let remote = self.upstreams.address(upstream);
                let source = self.upstreams.source(upstream);
                self.running.push(Box::pin(connection::run(
                    (remote, source),
                    upstream,
                    Rc::clone(&link),
                )));
                if let Some(line) = self.lines.get_mut(upstream.position()) {
                    line.links.push(link);
                }
            }
            _ => return Some(ask),
        }
        None
    }

    fn may_open(&self, line: &Line) -> bool {
        let (mut open, mut idle) = (0, false);
        for link in self.links() {
            open += 1;
            idle |= link.under_way() == 0;
        }
        line.links.len() < (self.places / SHARE).max(1)
            && (open < self.places || idle && self.places > 0)
    }

    /// Closes a connection that idles, if all places are taken.
    fn make_room(&mut self) {
        if self.links().count() < self.places {
            return;
        }
        for line in &mut self.lines {
            if let Some(at) = line.links.iter().position(|link| link.under_way() == 0) {
                return line.links.swap_remove(at).close();
            }
        }
    }

    fn links(&self) -> impl Iterator<Item = &Rc<Link>> {
        self.lines.iter().flat_map(|line| &line.links)
    }

    /// Lets the connections do what they can; `cx` is woken when they can do more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant) {
        self.handle_timeout(now);
        loop {
            while !self.running.is_empty()
                && let Poll::Ready(Some(end)) = self.running.poll_next_unpin(cx)
            {
                self.handle_end(end, now);
            }
            // A connection that has just begun waits to be polled.
            if !self.place_waiting(now) {
                return;
            }
        }
    }

    /// Gives those who wait the places that there are; whether there were any.
    fn place_waiting(&mut self, now: Instant) -> bool {
        let before = self.waiting.len();
        for _ in 0..before {
            let Some(ask) = self.waiting.pop_front() else {
                break;
            };
            if let Some(ask) = self.place(ask, now) {
                self.waiting.push_back(ask);
            }
        }
        self.waiting.len() < before
    }

    fn handle_end(&mut self, end: End, now: Instant) {
        let Some(line) = self.lines.get_mut(end.upstream.position()) else {
            return;
        };
        line.links.retain(|link| !link.is_closed());
        if end.answered > 0 && !end.unanswered.is_empty() {
            line.shallow_until = Some(now + SHALLOW_TIME);
        }
        let mut error = end.error;
        for mut ask in end.unanswered {
            // RFC 7766 §6.2.4: a connection may be closed at any time, which is no fault by itself.
            if end.answered > 0 && !std::mem::replace(&mut ask.is_again, true) {
                self.ask(ask, now);
            } else {
                self.fail(ask, TcpError::Connection(error.take()));
            }
        }
    }

    fn fail(&mut self, ask: Ask, error: TcpError) {
        self.outcomes.borrow_mut().push_back(Outcome {
            ask,
            answer: Err(error),
        });
    }

    /// What a question has come to; to be called until there is nothing more.
    pub(super) fn poll_outcome(&mut self, now: Instant) -> Option<(Ask, Option<Answer>)> {
        let Outcome { ask, answer } = self.outcomes.borrow_mut().pop_front()?;
        let upstream = ask.attempt.upstream;
        match answer {
            Ok(answer) => {
                self.upstreams.tcp_answered(upstream, now);
                Some((ask, Some(answer)))
            }
            Err(error) => {
                if error.is_of_upstream() {
                    self.upstreams.tcp_failed(upstream, now);
                }
                let upstream = self.upstreams.address(upstream);
                tracing::debug!(%upstream, %error, "no answer over tcp");
                Some((ask, None))
            }
        }
    }

    /// Whether [`Connections::poll_outcome`] has something to tell.
    pub(super) fn has_outcome(&self) -> bool {
        !self.outcomes.borrow().is_empty()
    }

    /// When to call [`Connections::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.iter().map(|ask| ask.deadline).min()
    }

    /// Gives up what has waited for too long. Harmless when called early.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.waiting.is_empty() {
            return;
        }
        let mut outcomes = self.outcomes.borrow_mut();
        self.waiting.retain(|ask| {
            let waits = now < ask.deadline;
            if !waits {
                outcomes.push_back(Outcome {
                    ask: ask.clone(),
                    answer: Err(TcpError::Full),
                });
            }
            waits
        });
    }
}

impl Line {
    /// The connection with the fewest questions, if it takes another.
    fn best(&self, now: Instant) -> Option<&Rc<Link>> {
        let is_shallow = self.shallow_until.is_some_and(|until| now < until);
        let depth = if is_shallow { 1 } else { DEPTH };
        self.links
            .iter()
            .filter(|link| !link.is_closed() && link.under_way() < depth)
            .min_by_key(|link| link.under_way())
    }
}

#[cfg(test)]
mod tests;
