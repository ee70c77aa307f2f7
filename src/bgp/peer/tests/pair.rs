//! Two neighbours, a link between them and a clock.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::lifelines::read;
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

    fn octets(&self) -> usize {
        match self {
            Self::Bytes(_, bytes) => bytes.len(),
            Self::Syn(_) | Self::SynAck(_) | Self::Fin(_) => 0,
        }
    }
}

pub(super) struct Node {
    pub(super) peer: Peer,
    address: IpAddr,
    /// The TCP connection of each slot.
    pub(super) tcp: [Option<u64>; 2],
    pub(super) listens: bool,
    /// Its process gets no time: what arrives waits, and its timers do not run.
    pub(super) is_frozen: bool,
    /// What is sent to it arrives no sooner.
    pub(super) stalled_until: Instant,
    seen: Vec<Event>,
}

/// Two nodes, a link with a delay of its own for each parcel, and a clock.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) nodes: [Node; 2],
    pub(super) flying: Vec<(Instant, usize, Parcel)>,
    /// The longest that a parcel takes.
    pub(super) delay: Duration,
    next_tcp: u64,
    random: Jitter,
    pub(super) cut: bool,
}

/// So many octets of a connection may be on their way.
const ROOM: usize = 1000;

impl Pair {
    pub(super) fn new(
        seed: u64,
        change: impl Fn(&mut PeerParameters, &mut PeerParameters),
    ) -> Self {
        let now = Instant::now();
        let mut a = parameters(A, B, 65053);
        let mut b = parameters(B, A, 65000);
        a.process_start = Some(now);
        b.process_start = Some(now);
        change(&mut a, &mut b);
        let node = |parameters: PeerParameters, address, seed| Node {
            peer: Peer::new(parameters, seed, now),
            address,
            tcp: [None; 2],
            listens: true,
            is_frozen: false,
            stalled_until: now,
            seen: Vec::new(),
        };
        Self {
            now,
            nodes: [node(a, A, seed), node(b, B, seed + 1000)],
            flying: Vec::new(),
            delay: Duration::from_millis(10),
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
        // In order within each TCP connection, and not between two.
        let part = (self.random.retry() - Duration::from_millis(300)).as_secs_f64() / 0.4;
        let at = (self.now + self.delay.mul_f64(part)).max(self.nodes[to].stalled_until);
        let earlier = self
            .flying
            .iter()
            .filter(|(_, side, earlier)| *side == to && earlier.tcp() == parcel.tcp());
        let at = at.max(earlier.map(|(at, ..)| *at).max().unwrap_or(at));
        self.flying.push((at, to, parcel));
    }

    /// Nothing reaches the side before `until`; what is on its way waits.
    pub(super) fn stall(&mut self, at: usize, until: Instant) {
        self.nodes[at].stalled_until = until;
        for (arrives, side, _) in &mut self.flying {
            if *side == at {
                *arrives = until.max(*arrives);
            }
        }
    }

    /// The process of a side is replaced by one that knows nothing. `closes`: its kernel lives on
    /// and closes what it had open.
    pub(super) fn replace(&mut self, at: usize, peer: Peer, closes: bool) {
        for slot in Slot::ALL {
            let tcp = self.nodes[at].tcp[slot as usize].take();
            if let Some(tcp) = tcp.filter(|_| closes) {
                self.fly(1 - at, Parcel::Fin(tcp));
            }
        }
        self.nodes[at].peer = peer;
        let now = self.now;
        self.nodes[at].peer.handle_start(now);
    }

    /// A side's TCP breaks; the other end hears of it, or will when it sends something.
    pub(super) fn break_tcp(&mut self, at: usize, slot: Slot, is_told: bool) {
        let Some(tcp) = self.nodes[at].tcp[slot as usize].take() else {
            return;
        };
        if is_told {
            self.fly(1 - at, Parcel::Fin(tcp));
        }
        let now = self.now;
        self.nodes[at].peer.handle_closed(now, slot);
    }

    /// Carries out what both sides want, until they want nothing more.
    pub(super) fn act(&mut self) {
        for at in 0..2 {
            if self.nodes[at].is_frozen {
                continue;
            }
            while let Some(event) = self.nodes[at].peer.poll_event() {
                self.carry_out(at, event);
            }
            for slot in Slot::ALL {
                self.write(at, slot);
            }
            if let Some(slot) = self.nodes[at].peer.poll_delivery()
                && self.nodes[at].tcp[slot as usize].is_some_and(|tcp| self.flight(at, tcp) == 0)
            {
                self.nodes[at].peer.handle_delivered();
            }
        }
    }

    fn carry_out(&mut self, at: usize, event: Event) {
        match &event {
            Event::Dial => {
                let tcp = self.next_tcp;
                self.next_tcp += 1;
                self.nodes[at].tcp[0] = Some(tcp);
                self.fly(1 - at, Parcel::Syn(tcp));
            }
            Event::HangUp { slot, last, .. } => {
                if let Some(tcp) = self.nodes[at].tcp[*slot as usize].take() {
                    self.fly(1 - at, Parcel::Bytes(tcp, last.clone()));
                    self.fly(1 - at, Parcel::Fin(tcp));
                }
            }
            Event::State { .. }
            | Event::Ended { .. }
            | Event::Established(_)
            | Event::Update(_)
            | Event::DeadMan => {}
        }
        self.nodes[at].seen.push(event);
    }

    fn write(&mut self, at: usize, slot: Slot) {
        let now = self.now;
        let Some(tcp) = self.nodes[at].tcp[slot as usize] else {
            return;
        };
        loop {
            if self.flight(at, tcp) > ROOM {
                return self.nodes[at].peer.handle_blocked(now, slot);
            }
            let peer = &mut self.nodes[at].peer;
            let Some(message) = peer.poll_transmit(slot) else {
                return;
            };
            let announced = read(&message).map_or(0, |update| update.announced.len());
            let is_stale = peer.dead_man.is_stale();
            assert!(!is_stale || announced == 0, "announces on a stale lease");
            peer.handle_written(slot);
            self.fly(1 - at, Parcel::Bytes(tcp, message));
        }
    }

    /// Octets of a connection that have left a side and not arrived.
    fn flight(&self, from: usize, tcp: u64) -> usize {
        let parcels = self.flying.iter();
        let own = parcels.filter(|(_, to, parcel)| *to != from && parcel.tcp() == tcp);
        own.map(|(.., parcel)| parcel.octets()).sum()
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
            Parcel::Bytes(tcp, bytes) => match self.slot_of(at, tcp) {
                Some(slot) => self.nodes[at].peer.handle_bytes(now, slot, &bytes),
                // A kernel that knows no such connection says so.
                None => self.fly(1 - at, Parcel::Fin(tcp)),
            },
            Parcel::Fin(tcp) => {
                if let Some(slot) = self.slot_of(at, tcp) {
                    self.nodes[at].tcp[slot as usize] = None;
                    self.nodes[at].peer.handle_closed(now, slot);
                }
            }
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let (mut before, mut steps) = (self.now, 0);
        loop {
            steps = if self.now == before { steps + 1 } else { 0 };
            before = self.now;
            assert!(steps < 10_000, "time stands still: {:?}", self.flying);
            self.act();
            let timers = self
                .nodes
                .iter()
                .filter(|node| !node.is_frozen)
                .filter_map(|node| node.peer.poll_timeout());
            let arrivals = self.flying.iter().map(|(at, ..)| *at);
            let next = timers.chain(arrivals).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = next.max(self.now);
            let arrivals = self.flying.iter().enumerate();
            let first = arrivals.min_by_key(|(_, (at, ..))| *at);
            let first = first.filter(|(_, (at, ..))| *at <= self.now);
            match first.map(|(index, _)| index) {
                // What arrives while a timer is due may be seen before it or after it.
                Some(index) if !self.is_timer_due() || self.is_by_chance() => {
                    let (_, at, parcel) = self.flying.remove(index);
                    self.deliver(at, parcel);
                }
                Some(_) | None => {
                    let now = self.now;
                    for node in self.nodes.iter_mut().filter(|node| !node.is_frozen) {
                        node.peer.handle_timeout(now);
                    }
                }
            }
        }
    }

    fn is_timer_due(&self) -> bool {
        let mut awake = self.nodes.iter().filter(|node| !node.is_frozen);
        awake.any(|node| node.peer.poll_timeout().is_some_and(|at| at <= self.now))
    }

    /// As often as not.
    fn is_by_chance(&mut self) -> bool {
        self.random.retry() < Duration::from_millis(500)
    }

    /// What the kernel's probes of silence find out: a connection that only one side has ends.
    pub(super) fn probe_silence(&mut self) {
        for at in 0..2 {
            for slot in Slot::ALL {
                let own = self.nodes[at].tcp[slot as usize];
                let is_half_open =
                    |tcp: &u64| self.slot_of(1 - at, *tcp).is_none() && !self.is_flying(*tcp);
                if own.filter(is_half_open).is_some() {
                    self.break_tcp(at, slot, false);
                }
            }
        }
    }

    fn is_flying(&self, tcp: u64) -> bool {
        self.flying.iter().any(|(.., parcel)| parcel.tcp() == tcp)
    }

    pub(super) fn states(&self) -> [State; 2] {
        [self.nodes[0].peer.state(), self.nodes[1].peer.state()]
    }

    pub(super) fn seen(&mut self, at: usize) -> Vec<Event> {
        std::mem::take(&mut self.nodes[at].seen)
    }
}
