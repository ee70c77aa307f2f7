//! The bare relay over UDP: the reference for a question that a cache cannot answer.
//!
//! Forwards each datagram under an id of its own through one long-lived socket, and gives the answer
//! back under the client's id. Left out on purpose: comparing questions, random ids and ports,
//! time-outs. A slot whose answer never comes is taken again after 65,536 more questions.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::udp::{BATCH, bind};
use crate::sys::{Batch, Epoll, Names, Peer, Wait};

const SLOTS: usize = 1 << 16;
const CLIENTS: u64 = 0;
const UPSTREAM: u64 = 1;

/// Who asked.
#[derive(Clone, Copy, Default)]
struct Slot {
    peer: Peer,
    id: [u8; 2],
    waiting: bool,
}

struct Relay {
    clients: UdpSocket,
    upstream: UdpSocket,
    slots: Box<[Slot]>,
    next: u16,
    queries: Batch,
    answers: Batch,
}

/// Forwards until `stop` says so, which is asked after each wait.
pub(super) fn serve(
    clients: &UdpSocket,
    upstream: SocketAddr,
    stop: impl Fn() -> bool,
) -> io::Result<()> {
    let outside = bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    outside.connect(upstream)?;
    let mut epoll = Epoll::new(2)?;
    epoll.add(clients, CLIENTS)?;
    epoll.add(&outside, UPSTREAM)?;
    let mut relay = Relay {
        clients: clients.try_clone()?,
        upstream: outside,
        slots: vec![Slot::default(); SLOTS].into(),
        next: 0,
        queries: Batch::new(BATCH, Names::Received),
        answers: Batch::new(BATCH, Names::Chosen),
    };
    while !stop() {
        for place in 0..epoll.wait(-1)? {
            match epoll.event(place).token {
                CLIENTS => relay.ask()?,
                _ => relay.answer()?,
            }
        }
    }
    Ok(())
}

impl Relay {
    fn ask(&mut self) -> io::Result<()> {
        let received = self.queries.receive(&self.clients, Wait::Never)?;
        let mut asked = 0;
        for place in 0..received {
            let octets = self.queries.message(place).len();
            if octets < 12 {
                continue;
            }
            let peer = self.queries.peer(place);
            let [high, low, ..] = self.queries.buffer(place);
            self.slots[usize::from(self.next)] = Slot {
                peer,
                id: [*high, *low],
                waiting: true,
            };
            [*high, *low] = self.next.to_be_bytes();
            self.next = self.next.wrapping_add(1);
            self.queries.set_length(place, octets);
            if asked != place {
                self.queries.copy(place, asked);
            }
            asked += 1;
        }
        self.queries.forward(&self.upstream, asked)
    }

    fn answer(&mut self) -> io::Result<()> {
        let received = self.answers.receive(&self.upstream, Wait::Never)?;
        let mut given = 0;
        for place in 0..received {
            let octets = self.answers.message(place).len();
            let [high, low, ..] = self.answers.buffer(place);
            let slot = &mut self.slots[usize::from(u16::from_be_bytes([*high, *low]))];
            if octets < 12 || !slot.waiting {
                continue;
            }
            slot.waiting = false;
            [*high, *low] = slot.id;
            let peer = slot.peer;
            self.answers.set_peer(place, peer);
            self.answers.set_length(place, octets);
            if given != place {
                self.answers.copy(place, given);
            }
            given += 1;
        }
        self.answers.send(&self.clients, given)
    }
}
