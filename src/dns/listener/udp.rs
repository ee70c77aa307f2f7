//! The UDP sockets of one worker: batches in, batches out.
//!
//! Source: RFC 1035 §4.2.1.
//! A socket that is watched by the runtime costs more to send from: for each datagram the kernel
//! looks for somebody to tell that there is room again. Under load there is no need to be woken:
//! the socket is then taken off the watch, and looked at in each turn, until nothing comes any more.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]
#![expect(
    clippy::disallowed_methods,
    reason = "the clock is read once for each batch"
)]

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::unix::AsyncFd;

use super::super::forward::Forward;
use super::super::request::Transport;
use super::desk::{Desk, Origin, Taken, Waiter};
use crate::os::socket::batch::{Inbox, Outbox, Peer};
use crate::os::socket::watch;

/// Messages that are taken with one system call, between two looks at the clock.
const BATCH: usize = 64;
/// A batch of so many messages means load: the watch costs more than taking it up again.
const BUSY: usize = 24;
/// After a batch of fewer messages there is most likely nothing left.
const FEW: usize = 8;
/// Batches of one socket before others get their turn.
const BATCHES: usize = 4;
/// A longer request is cut, and then most likely not readable.
const REQUEST_MAX: usize = 4096;

/// The sockets by number.
pub(super) struct Sockets {
    sockets: Vec<Socket>,
    inbox: Inbox,
}

struct Socket {
    number: usize,
    /// `None` only while it changes hands.
    udp: Option<Udp>,
    outbox: Outbox,
}

enum Udp {
    /// The runtime wakes the loop when something comes.
    Watched(AsyncFd<UdpSocket>),
    /// The loop looks in each turn.
    Busy(UdpSocket),
}

/// How a batch went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// There may be more to receive.
    Full,
    /// A few messages, and most likely nothing left.
    Small,
    /// There was nothing to receive.
    Empty,
    /// The socket reported an error.
    Failed,
}

impl Sockets {
    pub(super) fn new(sockets: Vec<UdpSocket>) -> Self {
        let sockets = sockets.into_iter().enumerate().map(|(number, udp)| Socket {
            number,
            // The first turn finds nothing, and has it watched.
            udp: Some(Udp::Busy(udp)),
            outbox: Outbox::new(BATCH),
        });
        Self {
            sockets: sockets.collect(),
            inbox: Inbox::new(BATCH, REQUEST_MAX),
        }
    }

    /// Takes what has come, up to a few batches for each socket; whether there may be more.
    pub(super) fn serve<F: Forward<Waiter>>(
        &mut self,
        desk: &Desk<F>,
        mut now: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut more = false;
        for socket in &mut self.sockets {
            more |= socket.serve(desk, &mut self.inbox, &mut now, cx);
        }
        more
    }

    /// Appends an answer that a client has waited for.
    pub(super) fn reply<F: Forward<Waiter>>(
        &mut self,
        desk: &Desk<F>,
        (number, to): (usize, Peer),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(socket) = self.sockets.get_mut(number) else {
            return;
        };
        let before = socket.outbox.buffer().len();
        write(socket.outbox.buffer());
        if socket.outbox.buffer().len() == before {
            // Held back.
            return;
        }
        socket.outbox.finish(Some(to));
        if socket.outbox.is_full() {
            socket.send(desk);
        }
    }

    /// Sends the answers that have gathered.
    pub(super) fn flush<F: Forward<Waiter>>(&mut self, desk: &Desk<F>) {
        for socket in &mut self.sockets {
            socket.send(desk);
        }
    }
}

impl Socket {
    /// Whether there may be more.
    fn serve<F: Forward<Waiter>>(
        &mut self,
        desk: &Desk<F>,
        inbox: &mut Inbox,
        now: &mut Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut failures = 0;
        for _ in 0..BATCHES {
            if !self.is_ready(cx) {
                return false;
            }
            match self.batch(desk, inbox, now) {
                Batch::Full => {}
                Batch::Small => self.rest(),
                Batch::Empty => {
                    self.rest();
                    self.watch();
                }
                Batch::Failed => failures += 1,
            }
        }
        if failures == BATCHES {
            // Nothing but errors: left alone until it has news.
            self.rest();
            self.watch();
        }
        self.is_ready(cx)
    }

    /// Whether a look is worth it; if not, `cx` will be woken.
    fn is_ready(&self, cx: &mut Context<'_>) -> bool {
        match &self.udp {
            // An error here means that the runtime is going down, and this task with it.
            Some(Udp::Watched(fd)) => matches!(fd.poll_read_ready(cx), Poll::Ready(Ok(_))),
            Some(Udp::Busy(_)) => true,
            None => false,
        }
    }

    /// A watched socket is not ready until something new comes.
    fn rest(&self) {
        if let Some(Udp::Watched(fd)) = &self.udp {
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            if let Poll::Ready(Ok(mut ready)) = fd.poll_read_ready(cx) {
                ready.clear_ready();
            }
        }
    }

    fn watch(&mut self) {
        self.udp = match self.udp.take() {
            Some(Udp::Busy(udp)) => Some(match watch(udp) {
                Ok(fd) => Udp::Watched(fd),
                // For want of memory: the next turn tries again.
                Err((udp, _)) => Udp::Busy(udp),
            }),
            other => other,
        };
    }

    fn unwatch(&mut self) {
        self.udp = match self.udp.take() {
            Some(Udp::Watched(fd)) => Some(Udp::Busy(fd.into_inner())),
            other => other,
        };
    }

    /// `now` becomes the time at the end of the batch.
    fn batch<F: Forward<Waiter>>(
        &mut self,
        desk: &Desk<F>,
        inbox: &mut Inbox,
        now: &mut Instant,
    ) -> Batch {
        let received = match &self.udp {
            Some(Udp::Watched(fd)) => inbox.receive(fd.get_ref()),
            Some(Udp::Busy(udp)) => inbox.receive(udp),
            None => return Batch::Empty,
        };
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Batch::Empty,
            // A report about an earlier answer (ICMP): the socket stays good.
            Err(_) => {
                desk.worker.counters().receive_errors.bump();
                return Batch::Failed;
            }
        };
        if count >= BUSY {
            self.unwatch();
        }
        let began = *now;
        let (mut answered, mut asked) = (0, 0);
        for index in 0..count {
            let peer = inbox.peer(index);
            let client = (peer.ip(), Transport::Udp);
            let (message, out) = (inbox.message(index), self.outbox.buffer());
            let origin = || Origin::Udp(self.number, peer);
            match desk.take(message, client, began, out, origin) {
                Taken::Reply => answered += 1,
                Taken::ProbeReply => {}
                Taken::Waits => {
                    asked += 1;
                    continue;
                }
                Taken::Drop | Taken::TooSoon => continue,
            }
            self.outbox.finish(Some(peer));
        }
        self.send(desk);
        *now = tokio::time::Instant::now().into_std();
        let counters = desk.worker.counters();
        counters.datagrams.add(u64::try_from(count).unwrap_or(0));
        counters.asked_at.add(self.number, answered + asked);
        if answered > 0 {
            counters.hit_latency.record(*now - began, answered);
        }
        if count < FEW {
            Batch::Small
        } else {
            Batch::Full
        }
    }

    /// Sends without waiting: a full buffer drops answers, as a full network would.
    fn send<F: Forward<Waiter>>(&mut self, desk: &Desk<F>) {
        if self.outbox.is_empty() {
            return;
        }
        let sent = match &self.udp {
            Some(Udp::Watched(fd)) => self.outbox.send(fd.get_ref()),
            Some(Udp::Busy(udp)) => self.outbox.send(udp),
            None => return,
        };
        if sent.failed > 0 {
            let failed = u64::try_from(sent.failed).unwrap_or(u64::MAX);
            desk.worker.counters().send_errors.add(failed);
        }
    }
}
