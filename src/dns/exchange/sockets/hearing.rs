//! What comes on the sockets towards upstreams.
//!
//! Source: RFC 5452 §9.1 (what an answer must match), udp(7) (errors that the network reports).
//! The kernel tells an error before the datagrams that were queued when it came. Their senders had
//! answered before the error, so they are heard first, and only what is still open is given up then.

use std::io::ErrorKind;
use std::task::{Context, Poll};
use std::time::Instant;

use super::super::super::inflight::Flights;
use super::super::super::upstream::{FailureKind, UpstreamIndex, Upstreams};
use super::super::dialect::{Heard, Verdict};
use super::super::pending::{Found, Question};
use super::super::response::Response;
use super::super::tcp::{Answer, Ask};
use super::Sockets;
use crate::os::socket::batch::Inbox;

/// So often a socket is read after an error at most before it is told: as much as fits into its
/// buffer. A flood must not put it off for ever.
const READS_MAX: usize = 32;

impl Sockets {
    /// Receives what has come on a socket that has rung: how many datagrams, 0 when an error was
    /// reported; `None` when there is nothing more, and it will ring again.
    pub(in super::super) fn receive(
        &mut self,
        number: usize,
        inbox: &mut Inbox,
        now: Instant,
    ) -> Option<usize> {
        let socket = self.sockets.get_mut(number)?.as_mut()?;
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
        if readable.is_none() && !has_failed && socket.trouble.is_none() {
            return None;
        }
        let received = inbox.receive(socket.fd.get_ref());
        let failed = match &received {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Some(error.kind()),
            _ => None,
        };
        // An error says nothing of what is queued behind it, and a short batch may have ended at one.
        let is_drained = received.is_err() && failed.is_none();
        let count = received.unwrap_or(0);
        let is_short = count < inbox.room() && failed.is_none() && socket.trouble.is_none();
        if let Some(readable) = readable.as_mut().filter(|_| is_drained || is_short) {
            // What comes from now on rings again.
            readable.clear_ready();
        }
        if let Some(kind) = failed {
            socket.note_trouble(kind, u64::MAX, true);
        }
        if let Some(trouble) = &mut socket.trouble {
            trouble.reads += 1;
            if is_drained || trouble.reads > READS_MAX {
                self.break_off(number, now);
            }
        } else if has_failed {
            self.retire(number, now);
        }
        Some(count)
    }

    /// The question that a datagram on this socket answers, and what to do about it; counts those that
    /// answer none.
    pub(in super::super) fn take_match<W>(
        &mut self,
        number: usize,
        datagram: &[u8],
        flights: &Flights<W>,
        now: Instant,
    ) -> Option<(Question, Response, Verdict)> {
        let socket = self.sockets.get_mut(number)?.as_mut()?;
        let upstream = socket.upstream;
        let ignore = |upstreams: &Upstreams, kind| upstreams.failed(upstream, kind);
        let (id, question, examined, keeps_case) = match socket.pending.find(datagram, flights) {
            Found::Answer {
                id,
                question,
                examined,
                keeps_case,
            } => (id, question, examined, keeps_case),
            found @ (Found::Nothing | Found::Echo) => {
                if matches!(found, Found::Nothing) {
                    socket.guesses = socket.guesses.wrapping_add(1);
                }
                ignore(&self.upstreams, FailureKind::Ignored);
                return None;
            }
        };
        let line = self.lines.get_mut(upstream.position())?;
        let heard = Heard {
            examined,
            keeps_case,
            client: socket.cookie,
            guesses: socket.guesses.wrapping_sub(question.guesses_before),
        };
        let verdict = line.dialect.judge(&question, &heard, now);
        match verdict {
            Verdict::Ignore { kind, is_guess } => {
                socket.guesses = socket.guesses.wrapping_add(u32::from(is_guess));
                ignore(&self.upstreams, kind);
            }
            Verdict::AskOverTcp(kind) => ignore(&self.upstreams, kind),
            Verdict::Accept | Verdict::Suspect | Verdict::Repeat => {}
        }
        let is_ignored = matches!(verdict, Verdict::Ignore { .. });
        if !is_ignored {
            socket.pending.remove(id);
        }
        self.tell_turned_off(upstream);
        (!is_ignored).then_some((question, examined.response, verdict))
    }

    /// Learns from an answer that came over TCP.
    pub(in super::super) fn heard_over_tcp(
        &mut self,
        upstream: UpstreamIndex,
        ask: &Ask,
        answer: &Answer,
        now: Instant,
    ) {
        if let Some(dialect) = self.dialect(upstream) {
            let cookie = answer.cookie.as_deref();
            dialect.heard_over_tcp(ask.sent_as, ask.client, cookie, answer.keeps_case, now);
            self.tell_turned_off(upstream);
        }
    }

    /// Lets a socket ring that may have more to say.
    pub(in super::super) fn ring(&self, number: usize) {
        if let Some(Some(socket)) = self.sockets.get(number) {
            socket.button.press();
        }
    }
}
