//! The bare answering loop over TCP: all queries of a read are answered by one write.
//!
//! Source: RFC 7766 §6.2.1.1 (pipelining), §8 (two octets of length before each message).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::{ANSWER_OCTETS, answer};
use crate::names::QUERY_OCTETS;
use crate::sys::Epoll;

const EVENTS: usize = 64;
const READ_OCTETS: usize = 64 << 10;
/// What answers all queries that fit into a read.
const WRITE_OCTETS: usize = READ_OCTETS / (2 + QUERY_OCTETS) * (2 + ANSWER_OCTETS);
/// A longer query ends its connection.
const FRAME_OCTETS_MAX: usize = 512;
const CONNECTIONS_MAX: usize = 4_096;
const LISTENER: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    /// The start of a query whose rest has not come.
    begun: Vec<u8>,
    /// Answers that the client has no room for; nothing is read meanwhile.
    unsent: Vec<u8>,
}

struct Server {
    connections: Vec<Option<Connection>>,
    input: Box<[u8]>,
    output: Vec<u8>,
}

pub(super) fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers until `stop` says so, which is asked after each wait.
pub(super) fn serve(listener: &TcpListener, stop: impl Fn() -> bool) -> io::Result<()> {
    let mut epoll = Epoll::new(EVENTS)?;
    epoll.add(listener, LISTENER)?;
    let mut server = Server {
        connections: Vec::new(),
        input: vec![0; READ_OCTETS].into(),
        output: Vec::with_capacity(WRITE_OCTETS),
    };
    while !stop() {
        for place in 0..epoll.wait(-1)? {
            let event = epoll.event(place);
            if event.token == LISTENER {
                server.accept(listener, &epoll)?;
                continue;
            }
            let Some(open) = server.connections.get_mut(event.token as usize) else {
                continue;
            };
            if let Some(connection) = open {
                let kept = connection.turn(event.ended, &mut server.input, &mut server.output);
                if kept.is_err() {
                    *open = None;
                }
            }
        }
    }
    Ok(())
}

impl Server {
    /// Takes one connection; the listener is told again when there are more.
    fn accept(&mut self, listener: &TcpListener, epoll: &Epoll) -> io::Result<()> {
        let Ok((stream, _)) = listener.accept() else {
            return Ok(());
        };
        let free = self.connections.iter().position(Option::is_none);
        let place = free.unwrap_or(self.connections.len());
        if place == CONNECTIONS_MAX {
            return Ok(());
        }
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        epoll.add_edges(&stream, place as u64)?;
        if free.is_none() {
            self.connections.push(None);
        }
        self.connections[place] = Some(Connection {
            stream,
            begun: Vec::new(),
            unsent: Vec::new(),
        });
        Ok(())
    }
}

impl Connection {
    /// Answers what has come; an error, be it the end of the stream, closes the connection.
    ///
    /// A read that did not fill its room has emptied the socket (epoll(7)), except that an end may
    /// follow, which `ended` tells.
    fn turn(&mut self, ended: bool, input: &mut [u8], output: &mut Vec<u8>) -> io::Result<()> {
        loop {
            if !self.unsent.is_empty() {
                let written = write(&mut self.stream, &self.unsent)?;
                self.unsent.drain(..written);
                if !self.unsent.is_empty() {
                    return Ok(());
                }
            }
            let begun = self.begun.len();
            input[..begun].copy_from_slice(&self.begun);
            let read = match self.stream.read(&mut input[begun..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let come = &input[..begun + read];
            let rest = &come[answer_all(come, output)?..];
            self.begun.clear();
            self.begun.extend_from_slice(rest);
            let written = write(&mut self.stream, output)?;
            self.unsent.extend_from_slice(&output[written..]);
            if begun + read < input.len() && !ended && self.unsent.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Writes the answers to all whole queries; how many octets of the input these were.
pub(super) fn answer_all(input: &[u8], output: &mut Vec<u8>) -> io::Result<usize> {
    output.clear();
    let mut done = 0;
    while let Some((length, rest)) = input[done..].split_first_chunk::<2>() {
        let octets = usize::from(u16::from_be_bytes(*length));
        if octets > FRAME_OCTETS_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(query) = rest.get(..octets) else {
            break;
        };
        done += 2 + octets;
        let Some(query) = query.first_chunk::<QUERY_OCTETS>() else {
            continue;
        };
        let mut message = [0; ANSWER_OCTETS];
        message[..QUERY_OCTETS].copy_from_slice(query);
        if let Some(octets) = answer(&mut message, octets) {
            output.extend_from_slice(&(octets as u16).to_be_bytes());
            output.extend_from_slice(&message[..octets]);
        }
    }
    Ok(done)
}

/// How much the other side has room for.
fn write(stream: &mut TcpStream, octets: &[u8]) -> io::Result<usize> {
    match stream.write(octets) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
