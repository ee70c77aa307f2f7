//! Two nodes that ask each other, with a network between them that loses what it is told to.

use super::*;

/// What a node is: its machine, and whether it runs.
struct Node {
    peers: Peers,
    is_awake: bool,
}

struct Pair {
    nodes: [Node; 2],
    start: Instant,
    now: Instant,
    /// Questions from that node are lost; so are answers to that node.
    loses: [(bool, bool); 2],
}

fn socket(node: usize) -> SocketAddr {
    let last = u8::try_from(node).unwrap() + 1;
    SocketAddr::from(([10, 0, 0, last], 53))
}

fn number(node: usize) -> u32 {
    u32::try_from(node).unwrap() + 1
}

fn node(node: usize, now: Instant) -> Node {
    let (own, other) = (socket(node), socket(1 - node));
    Node {
        peers: Peers::new(
            &[other],
            &[own.ip()],
            number(node),
            number(node).into(),
            now,
        ),
        is_awake: true,
    }
}

impl Pair {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            nodes: [node(0, start), node(1, start)],
            start,
            now: start,
            loses: [(false, false); 2],
        }
    }

    /// Questions and answers take no time here, so that each turn is a round.
    fn run(&mut self, for_ms: u64) {
        let end = self.now + ms(for_ms);
        while self.now < end {
            self.now += ms(10);
            for asker in [0, 1] {
                if self.nodes[asker].is_awake {
                    self.turn(asker);
                }
            }
        }
    }

    fn turn(&mut self, asker: usize) {
        let (now, other) = (self.now, 1 - asker);
        self.nodes[asker].peers.handle_timeout(now);
        while let Some(question) = self.nodes[asker].peers.poll_transmit() {
            let is_lost = self.loses[asker].0 || self.loses[asker].1;
            if is_lost || !self.nodes[other].is_awake {
                continue;
            }
            let told = self.nodes[other].peers.states().next().unwrap();
            let word = PeerWord {
                able: Some(true),
                hears_us: told.heard,
                preferred: Some(true),
                lowered: None,
                node: Some(number(other)),
            };
            self.nodes[asker].peers.handle_answer(now, question, word);
        }
    }

    fn blind(&self) -> [u16; 2] {
        [0, 1].map(|node| self.nodes[node].peers.view().blind)
    }

    fn reached(&self) -> [u16; 2] {
        [0, 1].map(|node| self.nodes[node].peers.view().reached)
    }
}

#[test]
fn two_nodes_reach_each_other_at_once_and_nobody_is_blind() {
    let mut pair = Pair::new();
    pair.run(100);
    assert_eq!(pair.reached(), [1, 1]);
    pair.run(60_000);
    assert_eq!((pair.reached(), pair.blind()), ([1, 1], [0, 0]));
    assert!(pair.now > pair.start);
}

/// The second node's questions to the first are lost; the first one is told, for it reaches the second.
#[test]
fn a_node_that_is_not_reached_from_outside_is_told_within_eight_seconds() {
    let mut pair = Pair::new();
    pair.run(10_000);
    pair.loses[1].0 = true;
    pair.run(3_000);
    assert_eq!(pair.blind(), [0, 0]);
    pair.run(5_000);
    assert_eq!((pair.reached(), pair.blind()), ([1, 0], [1, 0]));
    pair.loses[1].0 = false;
    pair.run(2_300);
    assert_eq!((pair.reached(), pair.blind()), ([1, 1], [0, 0]));
}

#[test]
fn nodes_that_are_cut_off_from_each_other_say_nothing_of_each_other() {
    let mut pair = Pair::new();
    pair.run(10_000);
    pair.loses = [(true, false), (false, true)];
    pair.run(3_000);
    for _ in 0..600 {
        pair.run(100);
        assert_eq!((pair.reached(), pair.blind()), ([0, 0], [0, 0]));
    }
    pair.loses = Default::default();
    for _ in 0..100 {
        pair.run(100);
        assert_eq!(pair.blind(), [0, 0]);
    }
    assert_eq!(pair.reached(), [1, 1]);
}

/// One lost question at the worst moment is forgiven.
#[test]
fn a_node_that_comes_back_from_the_dead_is_not_called_blind() {
    for is_restart in [true, false] {
        let mut pair = Pair::new();
        pair.run(10_000);
        pair.nodes[0].is_awake = false;
        pair.run(60_000);
        if is_restart {
            pair.nodes[0] = node(0, pair.now);
        }
        pair.nodes[0].is_awake = true;
        pair.loses[1].0 = true;
        pair.run(1_000);
        pair.loses[1].0 = false;
        for _ in 0..100 {
            pair.run(100);
            assert_eq!(pair.blind(), [0, 0], "{is_restart}");
        }
        assert_eq!(pair.reached(), [1, 1]);
    }
}

/// It has no memory: what it does not know it does not say.
#[test]
fn a_sibling_that_restarts_calls_nobody_silent() {
    let mut pair = Pair::new();
    pair.run(10_000);
    for _ in 0..20 {
        pair.nodes[1] = node(1, pair.now);
        pair.loses[1].0 = true;
        pair.run(2_000);
        assert_eq!(pair.blind(), [0, 0]);
        pair.loses[1].0 = false;
        pair.run(3_000);
        assert_eq!(pair.blind(), [0, 0]);
    }
}
