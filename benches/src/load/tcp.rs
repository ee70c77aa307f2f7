//! Questions over TCP: many under way on each connection, all that are due leave with one write.
//!
//! Source: RFC 7766 §6.2.1.1 (pipelining), §7 (answers in any order), §8 (length before messages).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use super::draw::Source;
use super::flight::Flight;
use super::turn::{Run, Waiting};
use crate::names::{self, QUERY_OCTETS};
use crate::sys::{Epoll, Poll};

const EVENTS: usize = 64;
/// One message of the greatest length and more, so that a whole one always fits.
const READ_OCTETS: usize = 128 << 10;
/// Questions for each write.
const BATCH: usize = 64;

struct Line {
    stream: TcpStream,
    flight: Flight,
    /// The start of an answer whose rest has not come.
    begun: Vec<u8>,
    /// Questions that the server has no room for; no more are asked meanwhile.
    unsent: Vec<u8>,
}

struct Asker<'a, S> {
    run: &'a mut Run<S>,
    target: SocketAddr,
    epoll: Epoll,
    lines: Vec<Line>,
    input: Box<[u8]>,
    output: Vec<u8>,
}

/// Asks until the run is over and everything is answered or lost.
pub(super) fn ask<S: Source>(
    run: &mut Run<S>,
    target: SocketAddr,
    connections: usize,
) -> io::Result<()> {
    let mut lines = Vec::with_capacity(connections);
    let epoll = Epoll::new(EVENTS)?;
    for number in 0..connections {
        let stream = connect(target, &epoll, number)?;
        lines.push(Line {
            stream,
            flight: run.flight(number),
            begun: Vec::with_capacity(READ_OCTETS),
            unsent: Vec::new(),
        });
    }
    let mut poll = Poll::new([epoll.as_raw_fd()]);
    let mut asker = Asker {
        run,
        target,
        epoll,
        lines,
        input: vec![0; READ_OCTETS].into(),
        output: Vec::with_capacity(BATCH * (2 + QUERY_OCTETS)),
    };
    asker.run.start();
    let mut next = 0;
    loop {
        let events = asker.epoll.wait(0)?;
        for place in 0..events {
            let event = asker.epoll.event(place);
            asker.turn(event.token as usize, event.ended)?;
        }
        // Nothing may be due for a line without an event, but at a fixed rate something may.
        let moved = events + asker.ask_on(next)?;
        next = (next + 1) % connections;
        let now_ns = asker.run.now_ns();
        let flights = asker.lines.iter_mut().map(|line| &mut line.flight);
        if asker.run.is_done(now_ns, flights) {
            return Ok(());
        }
        if moved == 0 && asker.run.waiting == Waiting::Asleep {
            poll.wait(asker.run.schedule.idle(now_ns))?;
        }
    }
}

fn connect(target: SocketAddr, epoll: &Epoll, number: usize) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    epoll.add_edges(&stream, number as u64)?;
    Ok(stream)
}

impl<S: Source> Asker<'_, S> {
    /// Takes what has come on a connection, and asks what is due; a connection that is gone is
    /// replaced, and what was under way on it is lost.
    fn turn(&mut self, number: usize, ended: bool) -> io::Result<()> {
        if self.take(number, ended).is_err() {
            let line = &mut self.lines[number];
            self.run.abandon(&mut line.flight);
            line.begun.clear();
            line.unsent.clear();
            line.stream = connect(self.target, &self.epoll, number)?;
        }
        self.ask_on(number).map(drop)
    }

    /// Reads until the socket is empty; an error, be it the end of the stream, ends the connection.
    fn take(&mut self, number: usize, ended: bool) -> io::Result<()> {
        let line = &mut self.lines[number];
        loop {
            let begun = line.begun.len();
            self.input[..begun].copy_from_slice(&line.begun);
            let read = match line.stream.read(&mut self.input[begun..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let now_ns = self.run.now_ns();
            let mut come = &self.input[..begun + read];
            while let Some((length, rest)) = come.split_first_chunk::<2>() {
                let octets = usize::from(u16::from_be_bytes(*length));
                let Some((message, rest)) = rest.split_at_checked(octets) else {
                    break;
                };
                self.run.settle(&mut line.flight, message, now_ns);
                come = rest;
            }
            line.begun.clear();
            line.begun.extend_from_slice(come);
            if begun + read < self.input.len() && !ended {
                return Ok(());
            }
        }
    }

    /// Asks what is due on a connection; how many questions that were.
    fn ask_on(&mut self, number: usize) -> io::Result<usize> {
        let line = &mut self.lines[number];
        let mut asked = 0;
        loop {
            if !line.unsent.is_empty() {
                let written = write(&mut line.stream, &line.unsent);
                line.unsent.drain(..written);
                if !line.unsent.is_empty() {
                    return Ok(asked);
                }
            }
            let now_ns = self.run.now_ns();
            self.output.clear();
            while self.output.len() < BATCH * (2 + QUERY_OCTETS) {
                let Some(question) = self.run.question(&mut line.flight, now_ns) else {
                    break;
                };
                let query = names::query(question.id, question.kind, question.number);
                self.output
                    .extend_from_slice(&(QUERY_OCTETS as u16).to_be_bytes());
                self.output.extend_from_slice(&query);
                asked += 1;
            }
            if self.output.is_empty() {
                return Ok(asked);
            }
            let written = write(&mut line.stream, &self.output);
            line.unsent.extend_from_slice(&self.output[written..]);
            if self.output.len() < BATCH * (2 + QUERY_OCTETS) && line.unsent.is_empty() {
                return Ok(asked);
            }
        }
    }
}

/// How much the server has room for. That a connection is gone, reading tells.
fn write(stream: &mut TcpStream, octets: &[u8]) -> usize {
    stream.write(octets).unwrap_or(0)
}
