//! Nodes that ask each other: the real core of `health::peers` with a model of the network between.

use std::net::{Ipv4Addr, SocketAddr};

use sidestep::health::peers::{PeerEvent, PeerQuestion, PeerWord};

use super::Fleet;
use crate::queue::What;
use crate::setup::WORKERS;

/// From a question to its answer.
const ROUND_TRIP_MS: (u64, u64) = (2, 120);

/// Where the siblings of `node` ask it.
pub(crate) fn address_of(node: usize) -> SocketAddr {
    let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + node as u32);
    SocketAddr::from((ip, 53))
}

fn node_at(address: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let number = u32::from(*address.ip()) - u32::from(Ipv4Addr::new(10, 0, 0, 0));
    Some(number as usize)
}

impl Fleet {
    /// A node looks whom it has to ask.
    pub(super) fn ask_siblings(&mut self, node: usize) {
        let now = self.now;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        if process.asks_at != Some(now) || process.pause.is_some() {
            return;
        }
        let questions = process.ask(now);
        let boot = self.nodes[node].boot;
        for question in questions {
            let what = What::Answered {
                node,
                boot,
                question,
            };
            self.later(ROUND_TRIP_MS, what);
        }
        self.hear_siblings(node);
    }

    /// A question has been to its sibling and back, if both can be reached.
    pub(super) fn take_answer(&mut self, node: usize, boot: u32, question: PeerQuestion) {
        let Some(sibling) = node_at(question.peer.address) else {
            return;
        };
        let (from, to) = (self.nodes[node].site, self.nodes[sibling].site);
        let other = &self.nodes[sibling];
        let answers = self.regions[from].reaches[to]
            && other.is_heard()
            && (0..WORKERS).any(|worker| other.reads(worker));
        if !answers || !self.runs(node, boot) {
            return;
        }
        let word = PeerWord {
            able: Some(other.takes_over()),
            preferred: Some(other.is_preferred()),
            lowered: None,
            hears_us: other
                .process
                .as_ref()
                .and_then(|p| p.hears(address_of(node))),
            node: Some(sibling as u32),
        };
        if let Some(process) = &mut self.nodes[node].process {
            process.take_word(self.now, question, word);
        }
        self.hear_siblings(node);
    }

    /// Health is told when the view has changed, and the timer is set anew.
    pub(super) fn hear_siblings(&mut self, node: usize) {
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let mut latest = None;
        while let Some(event) = process.poll_peers() {
            if let PeerEvent::View(view) = event {
                latest = Some(view);
            }
        }
        let asks_at = process.wants_to_ask().map(|at| at.max(self.now));
        if asks_at != process.asks_at
            && let Some(at) = asks_at
        {
            process.asks_at = asks_at;
            self.queue.push(at, What::Ask { node });
        }
        if let Some(view) = latest {
            self.tell(node, |node, now| node.tell_peers(now, view));
        }
    }
}
