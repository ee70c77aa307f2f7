//! Two speakers and everything that can go wrong between them, a thousand times.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::pair::Pair;
use super::*;
use crate::bgp::BfdState;

/// What one side knows from the other: prefix, metric and next hop.
type Table = BTreeMap<IpNet, (Option<u32>, Option<IpAddr>)>;

const PREFIXES: [&str; 4] = [
    "10.53.53.53/32",
    "fd53::53/128",
    "10.53.53.52/30",
    "fd53::50/124",
];

struct World {
    pair: Pair,
    parameters: [PeerParameters; 2],
    random: SmallRng,
    wanted: [Vec<Route>; 2],
    leases: [bool; 2],
    /// What each side has heard and believes.
    known: [Table; 2],
    is_established: [bool; 2],
    dead_men: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let delay_open = [0, 0, 0, 2].map(Duration::from_secs);
        let hold_time = [3, 9, 9, 90, 0].map(Duration::from_secs);
        let detection = [150, 900, 9000].map(Duration::from_millis);
        let mut draw = |passive: bool, parameters: PeerParameters| PeerParameters {
            passive,
            delay_open: delay_open[random.random_range(0..4)],
            hold_time: Some(hold_time[random.random_range(0..5)]).filter(|time| !time.is_zero()),
            bfd_detection: detection.get(random.random_range(0..6)).copied(),
            ..parameters
        };
        let parameters = [
            draw(false, parameters(A, B, 65053)),
            draw(seed.is_multiple_of(3), parameters(B, A, 65000)),
        ];
        let mut pair = Pair::new(seed, |a, b| {
            let process_start = a.process_start;
            *a = parameters[0].clone();
            *b = parameters[1].clone();
            (a.process_start, b.process_start) = (process_start, process_start);
        });
        pair.delay = Duration::from_millis(random.random_range(1..150));
        pair.start();
        Self {
            pair,
            parameters,
            random,
            wanted: [Vec::new(), Vec::new()],
            leases: [true; 2],
            known: [Table::new(), Table::new()],
            is_established: [false; 2],
            dead_men: 0,
        }
    }

    fn run(&mut self, time: Duration) {
        self.pair.run(time);
        for at in 0..2 {
            for event in self.pair.seen(at) {
                match event {
                    Event::Established(_) => {
                        assert!(!self.is_established[at], "two Established to one neighbour");
                        self.is_established[at] = true;
                        self.known[at].clear();
                    }
                    Event::Ended {
                        established: true, ..
                    } => {
                        assert!(self.is_established[at], "an end without a beginning");
                        self.is_established[at] = false;
                        self.known[at].clear();
                    }
                    Event::Update(update) => {
                        assert!(self.is_established[at], "routes without a session");
                        for prefix in &update.withdrawn {
                            self.known[at].remove(prefix);
                        }
                        for prefix in update.announced.clone() {
                            let next_hop = update.next_hop(&prefix);
                            self.known[at].insert(prefix, (update.med, next_hop));
                        }
                    }
                    Event::DeadMan => {
                        assert!(!self.leases[at], "dead-man on a good lease");
                        self.dead_men += 1;
                    }
                    _ => {}
                }
            }
        }
    }

    /// What the node's task does with a new table.
    fn tell_routes(&mut self, at: usize) {
        let now = self.pair.now;
        let peer = &mut self.pair.nodes[at].peer;
        peer.handle_lease(now, self.leases[at]);
        peer.handle_routes(&self.wanted[at]);
    }

    fn change_routes(&mut self, at: usize) {
        let mut routes = Vec::new();
        for prefix in PREFIXES {
            if self.random.random_bool(0.6) {
                routes.push(route(prefix, self.random.random_range(0..3)));
            }
        }
        self.wanted[at] = routes;
        self.tell_routes(at);
    }

    fn restart(&mut self, at: usize) {
        let closes = self.random.random_bool(0.5);
        let seed = self.random.random();
        self.parameters[at].process_start = Some(self.pair.now);
        let peer = Peer::new(self.parameters[at].clone(), seed, self.pair.now);
        self.pair.replace(at, peer, closes);
        self.is_established[at] = false;
        self.known[at].clear();
        self.leases[at] = true;
        self.tell_routes(at);
    }

    fn report_bfd(&mut self, at: usize, state: BfdState) {
        let now = self.pair.now;
        self.pair.nodes[at].peer.handle_bfd(now, state);
    }

    /// The families that there is a next hop for stay the same.
    fn change_next_hops(&mut self, at: usize) {
        let last = self.random.random_range(1..4);
        let parameters = &mut self.parameters[at];
        parameters.next_hop_v4 = (last < 3).then_some(Ipv4Addr::new(192, 0, 2, 100 + last));
        parameters.next_hop_v6 = format!("2001:db8::{last}").parse().ok();
        let (v4, v6) = (parameters.next_hop_v4, parameters.next_hop_v6);
        self.pair.nodes[at].peer.handle_next_hops(v4, v6);
    }

    fn next_hop(&self, at: usize, prefix: &IpNet) -> Option<IpAddr> {
        let parameters = &self.parameters[at];
        match prefix {
            IpNet::V4(_) => parameters.next_hop_v4.map(IpAddr::V4).or(parameters.local),
            IpNet::V6(_) => parameters.next_hop_v6.map(IpAddr::V6),
        }
    }

    fn upto(&mut self, millis: u64) -> Duration {
        Duration::from_millis(self.random.random_range(0..=millis))
    }

    /// One thing that goes wrong, or a change that somebody wants.
    fn disturb(&mut self) {
        let at = usize::from(self.random.random_bool(0.5));
        let now = self.pair.now;
        match self.random.random_range(0..15) {
            0..=2 => self.change_routes(at),
            3 => {
                let slot = Slot::ALL[usize::from(self.random.random_bool(0.5))];
                let is_told = self.random.random_bool(0.5);
                self.pair.break_tcp(at, slot, is_told);
            }
            4 => {
                let until = now + self.upto(12_000);
                self.pair.stall(at, until);
            }
            5 => {
                let until = now + self.upto(12_000);
                self.pair.stall(0, until);
                self.pair.stall(1, until);
            }
            6 => {
                let time = self.upto(6000);
                self.pair.stall(at, now + time);
                self.pair.nodes[at].is_frozen = true;
                self.run(time);
                self.pair.nodes[at].is_frozen = false;
            }
            7 => {
                for node in &mut self.pair.nodes {
                    node.peer.handle_link_down(now);
                }
                let time = self.upto(3000);
                self.pair.stall(0, now + time);
                self.pair.stall(1, now + time);
                self.run(time);
                let now = self.pair.now;
                for node in &mut self.pair.nodes {
                    node.peer.handle_link_up(now);
                }
            }
            8 => self.report_bfd(at, BfdState::Up),
            9 => {
                let state = match self.random.random_bool(0.5) {
                    true => BfdState::Down,
                    false => BfdState::AdminDown,
                };
                self.report_bfd(at, state);
            }
            10..=11 => {
                self.leases[at] = !self.leases[at];
                self.tell_routes(at);
            }
            12 => self.restart(at),
            13 => self.change_next_hops(at),
            _ => {
                let peer = &mut self.pair.nodes[at].peer;
                if self.random.random_bool(0.5) {
                    peer.handle_reset(now, "again");
                } else {
                    peer.handle_shutdown(now, "bye");
                    peer.handle_start(now);
                }
            }
        }
    }

    /// Everything is well again, on both sides.
    fn heal(&mut self) {
        let now = self.pair.now;
        for at in 0..2 {
            self.pair.stall(at, now);
            self.leases[at] = true;
            self.tell_routes(at);
            self.report_bfd(at, BfdState::Up);
        }
    }

    fn has_converged(&self) -> bool {
        let tcp =
            |at: usize| -> Vec<u64> { self.pair.nodes[at].tcp.iter().flatten().copied().collect() };
        let knows = |at: usize| {
            let wanted = self.wanted[1 - at].iter();
            let wanted = wanted.map(|route| {
                let next_hop = self.next_hop(1 - at, &route.prefix);
                (route.prefix, (route.attributes.med, next_hop))
            });
            self.known[at] == wanted.collect::<Table>()
        };
        self.pair.states() == BOTH_UP
            && tcp(0) == tcp(1)
            && tcp(0).len() == 1
            && knows(0)
            && knows(1)
    }
}

/// Own rule: whatever is lost, delayed, stalled, half open, frozen, restarted or withdrawn, in the end
/// there is one session on one TCP connection, and each side knows the other's table.
#[test]
fn a_thousand_worlds_converge() {
    let mut dead_men = 0;
    for seed in 0..1000 {
        let mut world = World::new(seed);
        for _ in 0..20 {
            let pause = world.upto(2500);
            world.run(pause);
            world.disturb();
        }
        world.heal();
        // The longest hold time, the longest refusal's pause, and some attempts.
        let healed = world.pair.now;
        while !world.has_converged() {
            assert!(
                world.pair.now < healed + 180 * SECOND,
                "seed {seed}: {:?} {:?} instead of {:?}",
                world.pair.states(),
                world.known,
                world.wanted
            );
            world.run(SECOND);
            // Without a hold time it is the kernel that notices.
            world.pair.probe_silence();
        }
        world.run(30 * SECOND);
        assert!(world.has_converged(), "seed {seed}: does not stay");
        dead_men += world.dead_men;
    }
    assert!(
        dead_men > 100,
        "only {dead_men} dead-man switches were tried"
    );
}
