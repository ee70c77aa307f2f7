//! Two neighbours, a link between them and a clock.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{A, B, parameters};
use crate::bgp::connection::State;
use crate::bgp::peer::{Event, Peer, PeerParameters, Slot};
use crate::bgp::timers::Jitter;

/// A message, a TCP event or a closing on its way to a side.
#[derive(Debug)]
pub(super) enum Parcel {
    Syn(u64),
    SynAck(u64),
    Bytes(u64, Vec<u8>),
    Fin(u64),
}

impl Parcel {
    fn tcp(&self) -> u64 {
        match self {
            Self::Syn(tcp) | Self::SynAck(tcp) | Self::Bytes(tcp, _) | Self::Fin(tcp) => *tcp,
        }
    }
}

pub(super) struct Node {
    pub(super) peer: Peer,
    address: IpAddr,
    /// The TCP connection of each slot.
    pub(super) tcp: [Option<u64>; 2],
    pub(super) listens: bool,
    seen: Vec<Event>,
}

/// Two nodes, a link with a delay of its own for each parcel, and a clock.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) nodes: [Node; 2],
    pub(super) flying: Vec<(Instant, usize, Parcel)>,
    next_tcp: u64,
    random: Jitter,
    pub(super) cut: bool,
}

impl Pair {
    pub(super) fn new(
        seed: u64,
        change: impl Fn(&mut PeerParameters, &mut PeerParameters),
    ) -> Self {
        let now = Instant::now();
        let mut a = parameters(A, B, 65053);
        let mut b = parameters(B, A, 65000);
        change(&mut a, &mut b);
        let node = |parameters: PeerParameters, address, seed| Node {
            peer: Peer::new(parameters, seed, now),
            address,
            tcp: [None; 2],
            listens: true,
            seen: Vec::new(),
        };
        Self {
            now,
            nodes: [node(a, A, seed), node(b, B, seed + 1000)],
            flying: Vec::new(),
            next_tcp: 1,
            random: Jitter::new(seed + 2000),
            cut: false,
        }
    }

    pub(super) fn start(&mut self) {
        let now = self.now;
        for node in &mut self.nodes {
            node.peer.handle_start(now);
        }
    }

    fn fly(&mut self, to: usize, parcel: Parcel) {
        if self.cut {
            return;
        }
        // Between 0 and 10 ms, but in order within each TCP connection.
        let delay = (self.random.retry() - Duration::from_millis(300)) / 40;
        let earlier = self
            .flying
            .iter()
            .filter(|(_, side, earlier)| *side == to && earlier.tcp() == parcel.tcp());
        let at = (self.now + delay).max(earlier.map(|(at, ..)| *at).max().unwrap_or(self.now));
        self.flying.push((at, to, parcel));
    }

    /// Carries out what both sides want, until they want nothing more.
    pub(super) fn act(&mut self) {
        for at in 0..2 {
            while let Some(event) = self.nodes[at].peer.poll_event() {
                match &event {
                    Event::Dial => {
                        let tcp = self.next_tcp;
                        self.next_tcp += 1;
                        self.nodes[at].tcp[0] = Some(tcp);
                        self.fly(1 - at, Parcel::Syn(tcp));
                    }
                    Event::HangUp { slot, last } => {
                        if let Some(tcp) = self.nodes[at].tcp[*slot as usize].take() {
                            self.fly(1 - at, Parcel::Bytes(tcp, last.clone()));
                            self.fly(1 - at, Parcel::Fin(tcp));
                        }
                    }
                    Event::State { .. }
                    | Event::Ended { .. }
                    | Event::Established(_)
                    | Event::Update(_) => {}
                }
                self.nodes[at].seen.push(event);
            }
            for slot in Slot::ALL {
                let Some(tcp) = self.nodes[at].tcp[slot as usize] else {
                    continue;
                };
                while let Some(message) = self.nodes[at].peer.poll_transmit(slot) {
                    self.fly(1 - at, Parcel::Bytes(tcp, message));
                }
            }
        }
    }

    fn slot_of(&self, at: usize, tcp: u64) -> Option<Slot> {
        let tcps = &self.nodes[at].tcp;
        Slot::ALL
            .into_iter()
            .find(|slot| tcps[*slot as usize] == Some(tcp))
    }

    fn deliver(&mut self, at: usize, parcel: Parcel) {
        let now = self.now;
        let address = self.nodes[at].address;
        match parcel {
            Parcel::Syn(tcp) => {
                let node = &mut self.nodes[at];
                if node.listens && node.peer.handle_accepted(now, address) {
                    self.act();
                    self.nodes[at].tcp[Slot::Accepted as usize] = Some(tcp);
                    self.fly(1 - at, Parcel::SynAck(tcp));
                } else {
                    self.fly(1 - at, Parcel::Fin(tcp));
                }
            }
            Parcel::SynAck(tcp) => {
                if let Some(slot) = self.slot_of(at, tcp) {
                    self.nodes[at].peer.handle_connected(now, slot, address);
                }
            }
            Parcel::Bytes(tcp, bytes) => {
                if let Some(slot) = self.slot_of(at, tcp) {
                    self.nodes[at].peer.handle_bytes(now, slot, &bytes);
                }
            }
            Parcel::Fin(tcp) => {
                if let Some(slot) = self.slot_of(at, tcp) {
                    self.nodes[at].peer.handle_closed(now, slot);
                }
            }
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.act();
            let timers = self
                .nodes
                .iter()
                .filter_map(|node| node.peer.poll_timeout());
            let arrivals = self.flying.iter().map(|(at, ..)| *at);
            let next = timers.chain(arrivals).min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next.max(self.now);
            let arrivals = self.flying.iter().enumerate();
            let first = arrivals.min_by_key(|(_, (at, ..))| *at);
            match first
                .filter(|(_, (at, ..))| *at <= self.now)
                .map(|(index, _)| index)
            {
                Some(index) => {
                    let (_, at, parcel) = self.flying.remove(index);
                    self.deliver(at, parcel);
                }
                None => {
                    for node in &mut self.nodes {
                        node.peer.handle_timeout(self.now);
                    }
                }
            }
        }
    }

    pub(super) fn states(&self) -> [State; 2] {
        [self.nodes[0].peer.state(), self.nodes[1].peer.state()]
    }

    pub(super) fn seen(&mut self, at: usize) -> Vec<Event> {
        std::mem::take(&mut self.nodes[at].seen)
    }
}
