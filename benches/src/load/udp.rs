//! Questions over UDP: a few connected sockets, datagrams in batches.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use super::draw::Source;
use super::flight::Flight;
use super::turn::{Run, Waiting};
use crate::names::{self, Kind, QUERY_OCTETS};
use crate::sys::{self, Batch, Names, Poll, Wait};

const BATCH: usize = 64;
const BUFFER_OCTETS: i32 = 4 << 20;

struct Line {
    socket: UdpSocket,
    flight: Flight,
}

struct Asker<'a, S> {
    run: &'a mut Run<S>,
    queries: Batch,
    answers: Batch,
}

/// Asks until the run is over and everything is answered or lost.
pub(super) fn ask<S: Source>(
    run: &mut Run<S>,
    target: SocketAddr,
    sockets: usize,
) -> io::Result<()> {
    let mut lines = Vec::with_capacity(sockets);
    for number in 0..sockets {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(target)?;
        sys::set_buffers(&socket, BUFFER_OCTETS);
        let flight = run.flight(number);
        lines.push(Line { socket, flight });
    }
    let mut poll = Poll::new(lines.iter().map(|line| line.socket.as_raw_fd()));
    let mut asker = Asker {
        run,
        queries: Batch::new(BATCH, Names::None),
        answers: Batch::new(BATCH, Names::None),
    };
    for place in 0..BATCH {
        let query = names::query(0, Kind::Cached, 0);
        asker.queries.buffer(place)[..QUERY_OCTETS].copy_from_slice(&query);
        asker.queries.set_length(place, QUERY_OCTETS);
    }
    asker.run.start();
    loop {
        let mut moved = 0;
        for line in &mut lines {
            moved += asker.turn(line)?;
        }
        // So that the first is not always the one that finds a question due.
        lines.rotate_left(1);
        let now_ns = asker.run.now_ns();
        if asker
            .run
            .is_done(now_ns, lines.iter_mut().map(|line| &mut line.flight))
        {
            return Ok(());
        }
        if moved == 0 && asker.run.waiting == Waiting::Asleep {
            poll.wait(asker.run.schedule.idle(now_ns))?;
        }
    }
}

impl<S: Source> Asker<'_, S> {
    /// Takes the answers that have come and asks what is due; how many datagrams that were.
    fn turn(&mut self, line: &mut Line) -> io::Result<usize> {
        let received = self.answers.receive(&line.socket, Wait::Never)?;
        let now_ns = self.run.now_ns();
        for place in 0..received {
            let message = self.answers.message(place);
            self.run.settle(&mut line.flight, message, now_ns);
        }
        let mut asked = 0;
        while asked < BATCH {
            let Some(question) = self.run.question(&mut line.flight, now_ns) else {
                break;
            };
            if let Some(query) = self.queries.buffer(asked).first_chunk_mut() {
                names::ask_for(query, question.id, question.kind, question.number);
            }
            asked += 1;
        }
        if asked > 0 {
            self.queries.send(&line.socket, asked)?;
        }
        Ok(received + asked)
    }
}
