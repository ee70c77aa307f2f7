//! A worker's desk without sockets: what a message comes to, with time and upstreams from outside.
//!
//! For simulations on a virtual clock (`tests/scenarios`); the shells do the same with sockets.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Waker};
use std::time::Instant;

use super::super::forward::{Forward, Progress};
use super::super::request::Transport;
use super::super::serve::Worker;
use super::Waiter;
use super::desk::{Desk, Origin, Taken};
use crate::os::socket::batch::Peer;

/// How long a TCP connection may be silent, as clients are told.
const IDLE_MS: u64 = 10_000;

/// A worker with `F` in place of its forwarder.
#[derive(Debug)]
pub struct Rehearsal<F> {
    desk: Desk<F>,
}

/// What has become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This answer.
    Answer(Vec<u8>),
    /// Nothing, now and later.
    Nothing,
    /// Nothing yet: see [`Rehearsal::hear`].
    Later,
    /// It has not been read: the connection waits until its client may ask again.
    TooSoon,
}

impl<F: Forward<Waiter>> Rehearsal<F> {
    /// A worker that begins at `now`.
    #[must_use]
    pub fn new(worker: Worker, forwarder: F, now: Instant) -> Self {
        worker.counters().tcp_idle_ms.set(IDLE_MS);
        Self {
            desk: Desk::new(worker, forwarder, now),
        }
    }

    /// A message comes; `number` tells its answer from others.
    pub fn ask(
        &self,
        number: usize,
        message: &[u8],
        (client, transport): (IpAddr, Transport),
        now: Instant,
    ) -> Said {
        let mut out = Vec::new();
        let origin = || Origin::Udp(number, Peer::from(SocketAddr::new(client, 53)));
        let taken = self
            .desk
            .take(message, (client, transport), now, &mut out, origin);
        self.desk.flush(now);
        match taken {
            Taken::Reply | Taken::ProbeReply => Said::Answer(out),
            Taken::Drop => Said::Nothing,
            Taken::Waits => Said::Later,
            Taken::TooSoon => Said::TooSoon,
        }
    }

    /// Does what is due; `reply` gets each answer with the number of its question.
    pub fn hear(&self, now: Instant, mut reply: impl FnMut(usize, Vec<u8>)) -> Progress {
        let mut cx = Context::from_waker(Waker::noop());
        self.desk.hear(&mut cx, now, |origin, write| {
            let Origin::Udp(number, _) = origin else {
                return;
            };
            let mut out = Vec::new();
            write(&mut out);
            if !out.is_empty() {
                reply(number, out);
            }
        })
    }
}
