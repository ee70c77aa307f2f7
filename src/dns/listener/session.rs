//! One TCP connection: a future that reads, answers and writes as far as it can without waiting.
//!
//! Source: RFC 1035 §4.2.2, RFC 7766 §7 and §8.
//! Reading and answering use buffers that all connections of the worker share; a connection itself
//! keeps a piece of a question, or answers that the client has not taken, only while there are any.
//! What is no DNS ends the reading: what was asked before is still answered, and then the connection
//! is closed.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]
#![expect(
    clippy::disallowed_methods,
    reason = "the clock is read once for each read"
)]

use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::forward::Forward;
use super::super::request::Transport;
use super::desk::{Desk, Origin, Taken, Waiter};
use super::mailbox::{Mailbox, put_length};
use super::tcp::PREFIX;

/// Questions of one connection that may wait for upstreams; further ones stay unread.
const PIPELINE_MAX: usize = 32;
/// No request needs more; what announces more is not DNS.
const REQUEST_MAX: usize = 4096;
/// A header.
const REQUEST_MIN: usize = 12;
/// Answers are written when this much has gathered, or when no more questions are at hand.
const WRITE_AT: usize = 16 * 1024;
/// Read at once.
const READ: usize = 16 * 1024;
/// Reads before others get their turn.
const READS: usize = 4;

/// What the connections of one worker read into and answer into.
#[derive(Debug)]
pub(super) struct Buffers {
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            input: vec![0; READ + PREFIX + REQUEST_MAX].into(),
            output: Vec::new(),
        }
    }
}

/// The connection is over: the client has left, or has got all that there was to answer.
struct Over;

/// What has come is no DNS.
struct Garbage;

/// Ends when the connection is over.
pub(super) struct Session<F> {
    stream: TcpStream,
    client: IpAddr,
    desk: Rc<Desk<F>>,
    mailbox: Rc<Mailbox>,
    buffers: Rc<RefCell<Buffers>>,
    /// What has been read and not been answered: less than a message, unless too many wait.
    unread: Vec<u8>,
    /// Answers that the socket has not taken.
    unsent: Vec<u8>,
    /// Nothing more is read: the client has closed its side, or sent garbage. What it asked before is
    /// still answered.
    ended: bool,
}

impl<F: Forward<Waiter>> Session<F> {
    pub(super) fn new(
        stream: TcpStream,
        client: IpAddr,
        desk: Rc<Desk<F>>,
        mailbox: Rc<Mailbox>,
        buffers: &Rc<RefCell<Buffers>>,
    ) -> Self {
        Self {
            stream,
            client,
            desk,
            mailbox,
            buffers: Rc::clone(buffers),
            unread: Vec::new(),
            unsent: Vec::new(),
            ended: false,
        }
    }

    /// Goes on as far as it can.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Over> {
        self.mailbox.register(cx);
        let buffers = Rc::clone(&self.buffers);
        let mut buffers = buffers.borrow_mut();
        for _ in 0..READS {
            if self.mailbox.is_over() {
                return Err(Over);
            }
            self.mailbox.collect(&mut self.unsent);
            // Who does not take answers gets no more of them.
            if !self.write_unsent(cx)?
                || self.mailbox.waiting() >= PIPELINE_MAX
                || self.mailbox.is_paused()
            {
                return Ok(());
            }
            let Buffers { input, output } = &mut *buffers;
            output.clear();
            let Some(filled) = self.fill(cx, input)? else {
                return if self.ended && self.mailbox.waiting() == 0 {
                    Err(Over)
                } else {
                    Ok(())
                };
            };
            let taken = self.answer(input.get(..filled).ok_or(Over)?, output)?;
            // No room is kept where nothing is left.
            self.unread = input.get(taken..filled).ok_or(Over)?.to_vec();
            let written = self.write(cx, output)?;
            self.unsent
                .extend_from_slice(output.get(written..).ok_or(Over)?);
            self.mailbox.hold(self.unsent.len());
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Brings what is unread, and what has come when that is no whole message, to the start of
    /// `input`; `None` when there is nothing to do with it yet.
    fn fill(&mut self, cx: &mut Context<'_>, input: &mut [u8]) -> Result<Option<usize>, Over> {
        let unread = self.unread.len();
        match whole_message(&self.unread) {
            Ok(Some(_)) => {
                input
                    .get_mut(..unread)
                    .ok_or(Over)?
                    .copy_from_slice(&self.unread);
                return Ok(Some(unread));
            }
            Ok(None) => {}
            Err(Garbage) => self.ended = true,
        }
        if self.ended {
            return Ok(None);
        }
        let room = input.get_mut(unread..unread + READ).ok_or(Over)?;
        let mut room = ReadBuf::new(room);
        match Pin::new(&mut self.stream).poll_read(cx, &mut room) {
            Poll::Pending => return Ok(None),
            Poll::Ready(Err(_)) => return Err(Over),
            Poll::Ready(Ok(())) => {}
        }
        let read = room.filled().len();
        self.ended = read == 0;
        if self.ended {
            return Ok(None);
        }
        input
            .get_mut(..unread)
            .ok_or(Over)?
            .copy_from_slice(&self.unread);
        Ok(Some(unread + read))
    }

    /// Answers the whole messages at the start of `input`; says how many octets of it are done with:
    /// all of them when garbage follows.
    fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Over> {
        let now = Instant::now().into_std();
        let (mut taken, mut answered, mut asked) = (0, 0, 0);
        self.desk.turn_to(self.mailbox.socket());
        while output.len() < WRITE_AT && self.mailbox.waiting() < PIPELINE_MAX {
            let message = match whole_message(input.get(taken..).ok_or(Over)?) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(Garbage) => {
                    self.ended = true;
                    taken = input.len();
                    break;
                }
            };
            taken += PREFIX + message.len();
            let start = output.len();
            output.extend_from_slice(&[0; PREFIX]);
            let client = (self.client, Transport::Tcp);
            let origin = || Origin::Tcp(Rc::clone(&self.mailbox));
            match self.desk.take(message, client, now, output, origin) {
                Taken::Reply => answered += 1,
                Taken::ProbeReply => {}
                // Who speaks DNS does not send this.
                Taken::Drop => {
                    self.ended = true;
                    output.truncate(start);
                    taken = input.len();
                    break;
                }
                Taken::Waits => {
                    self.mailbox.expect();
                    output.truncate(start);
                    asked += 1;
                    continue;
                }
                Taken::TooSoon => {
                    taken -= PREFIX + message.len();
                    output.truncate(start);
                    self.mailbox.pause();
                    self.desk.worker.counters().limit_tcp_pauses.bump();
                    break;
                }
            }
            put_length(output, start).ok_or(Over)?;
        }
        if asked > 0 {
            self.desk.flush(now);
        }
        let counters = self.desk.worker.counters();
        let socket = self.mailbox.socket();
        counters.asked_at.add(socket, answered + asked);
        if taken > 0 {
            self.mailbox.note_activity(now);
        }
        if answered > 0 {
            let elapsed = Instant::now().into_std() - now;
            counters.hit_latency.record(elapsed, answered);
        }
        Ok(taken)
    }

    /// Whether the socket has taken all that was unsent.
    fn write_unsent(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        let unsent = std::mem::take(&mut self.unsent);
        let written = self.write(cx, &unsent)?;
        if written > 0 {
            self.mailbox.note_activity(Instant::now().into_std());
        }
        if written < unsent.len() {
            self.unsent = unsent;
            self.unsent.drain(..written);
        }
        self.mailbox.hold(self.unsent.len());
        Ok(self.unsent.is_empty())
    }

    /// Writes what the socket takes now; says how many octets.
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<usize, Over> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => return Err(Over),
                Poll::Ready(Ok(more)) => written += more,
            }
        }
        Ok(written)
    }
}

impl<F: Forward<Waiter>> Future for Session<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.advance(cx) {
            Ok(()) => Poll::Pending,
            Err(Over) => {
                // What is answered from now on goes nowhere.
                self.mailbox.end();
                Poll::Ready(())
            }
        }
    }
}

/// The first message of `inbox` if all of it is there; an error when this cannot be DNS.
fn whole_message(inbox: &[u8]) -> Result<Option<&[u8]>, Garbage> {
    let Some((prefix, rest)) = inbox.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(*prefix));
    if !(REQUEST_MIN..=REQUEST_MAX).contains(&length) {
        return Err(Garbage);
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(inbox: &[u8]) -> Option<Option<&[u8]>> {
        whole_message(inbox).ok()
    }

    /// RFC 1035 §4.2.2.
    #[test]
    fn a_message_is_taken_when_all_of_it_has_come() {
        let mut inbox = vec![0, 12];
        inbox.extend_from_slice(&[7; 13]);
        for length in 0..14 {
            assert_eq!(taken(&inbox[..length]), Some(None), "{length}");
        }
        assert_eq!(taken(&inbox), Some(Some(&[7; 12][..])));
    }

    #[test]
    fn lengths_that_no_request_has_end_the_connection() {
        for (length, sound) in [
            (0_u16, false),
            (11, false),
            (12, true),
            (4096, true),
            (4097, false),
            (65_535, false),
        ] {
            let inbox = length.to_be_bytes();
            assert_eq!(taken(&inbox).is_some(), sound, "{length}");
        }
    }
}
