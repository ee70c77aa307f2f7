//! What the UDP loop and the TCP connections of one worker share, and how a question goes from a
//! socket to the upstreams and back.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Context;
use std::time::Instant;

use super::super::forward::{Failure, Forward, Outcome, Progress};
use super::super::request::Transport;
use super::super::serve::{Buffers, Step, Ticket, Worker};
use super::super::shared::{Failed, judge, store};
use super::gate::{Gate, Limited};
use super::mailbox::Mailbox;
use crate::os::socket::batch::Peer;

/// Who waits for the upstreams.
#[derive(Debug)]
pub struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) origin: Origin,
    limited: Limited,
}

/// Where an answer goes.
#[derive(Debug)]
pub(super) enum Origin {
    /// A UDP socket, by its number, and the client.
    Udp(usize, Peer),
    /// A TCP connection.
    Tcp(Rc<Mailbox>),
}

/// The worker with its forwarder.
#[derive(Debug)]
pub(super) struct Desk<F> {
    pub(super) worker: Worker,
    gate: Gate,
    forwarder: RefCell<F>,
    buffers: RefCell<Buffers>,
    waiting: Cell<usize>,
}

impl<F: Forward<Waiter>> Desk<F> {
    /// `now` is the time.
    pub(super) fn new(worker: Worker, forwarder: F, now: Instant) -> Self {
        Self {
            gate: Gate::new(worker.shared(), now),
            worker,
            forwarder: RefCell::new(forwarder),
            buffers: RefCell::default(),
            waiting: Cell::new(0),
        }
    }

    /// Answers a message, or lets it wait for the upstreams; then there is nothing in `out` yet,
    /// and [`Desk::flush`] has to follow.
    pub(super) fn take(
        &self,
        message: &[u8],
        client: (IpAddr, Transport),
        now: Instant,
        out: &mut Vec<u8>,
        origin: impl FnOnce() -> Origin,
    ) -> Taken {
        let (worker, gate, start) = (&self.worker, &self.gate, out.len());
        let pass = match gate.enter(worker, message, client, now, out) {
            Ok(pass) => pass,
            Err(taken) => return taken,
        };
        let buffers = &mut *self.buffers.borrow_mut();
        let is_usable = |key: &_| self.forwarder.borrow().is_usable(key);
        let ticket = match worker.answer_now(message, client, now, is_usable, buffers, out) {
            Step::Reply => None,
            Step::Miss(ticket) => Some(ticket),
            Step::ProbeReply => return Taken::ProbeReply,
            Step::Drop => return Taken::Drop,
        };
        let pass = match gate.admit(worker, pass, buffers, message, (out, start)) {
            Ok(pass) => pass,
            Err(taken) => return taken,
        };
        let Some(ticket) = ticket else {
            let may = |key: &_, wish| self.forwarder.borrow().may_refresh(key, wish);
            let begin = |key: &_| self.forwarder.borrow_mut().refresh(key, now);
            if buffers.refresh.is_some() && worker.refresh(buffers, now, may, begin) {
                self.flush(now);
            }
            return gate.leave(worker, pass, message, (out, start));
        };
        let asker = worker.asker(client.0, &ticket);
        let Buffers { key, scratch, .. } = buffers;
        let give_up_at = worker.give_up_at(&ticket);
        let waiter = Waiter {
            ticket,
            origin: origin(),
            limited: pass.limited(),
        };
        let asked = self
            .forwarder
            .borrow_mut()
            .ask(key, asker, waiter, give_up_at, now);
        let Err((failure, waiter)) = asked else {
            return Taken::Waits;
        };
        if failure == Failure::Saturated {
            worker.counters().shed.bump();
        }
        let outcome = Err(Failed::from(failure));
        worker.answer_late((key, &waiter.ticket), outcome, now, scratch, out);
        gate.leave(worker, pass, message, (out, start))
    }

    /// Sends what has been asked of upstreams.
    pub(super) fn flush(&self, now: Instant) {
        self.forwarder.borrow_mut().flush(now);
    }

    /// Hears the upstreams. `reply` gets each answer that clients have waited for: it appends what
    /// the given function writes to a buffer of its choice; nothing, when limits hold it back.
    pub(super) fn hear(
        &self,
        cx: &mut Context<'_>,
        now: Instant,
        mut reply: impl FnMut(Origin, &mut dyn FnMut(&mut Vec<u8>)),
    ) -> Progress {
        let (worker, gate, shared) = (&self.worker, &self.gate, self.worker.shared());
        let scratch = &mut self.buffers.borrow_mut().scratch;
        let mut forwarder = self.forwarder.borrow_mut();
        let progress = forwarder.poll(cx, now, &mut |key, outcome, waiters| {
            let still_under_way = matches!(outcome, Outcome::NotYet);
            let judged = judge(shared, key, outcome);
            if !still_under_way {
                store(shared, key, &judged, now);
            }
            let outcome = judged.as_ref().map_err(|failed| *failed);
            for waiter in waiters {
                reply(waiter.origin, &mut |out| {
                    let start = out.len();
                    worker.answer_late((key, &waiter.ticket), outcome, now, scratch, out);
                    gate.leave_late(worker, waiter.limited, now, (out, start));
                });
            }
        });
        worker.counters().limit_evictions.set(gate.evictions());
        let waiting = forwarder.waiting();
        if self.waiting.replace(waiting) != waiting {
            let in_flight = &worker.counters().in_flight;
            in_flight.set(u64::try_from(waiting).unwrap_or(u64::MAX));
        }
        progress
    }
}

/// What [`Desk::take`] has done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The answer is in the buffer.
    Reply,
    /// The answer to a self-probe or to a sibling's question about this node is in the buffer.
    ProbeReply,
    /// Nothing is to be sent.
    Drop,
    /// The answer comes later.
    Waits,
    /// Nothing has been done yet: the client has had its share for now. Only by TCP.
    TooSoon,
}
