//! What will happen, in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use sidestep::health::peers::PeerQuestion;
use sidestep::health::{ProbeReport, StartGate};

use crate::router::Offer;
use crate::setup::Time;

/// Something that will happen. What names a `boot` is void once that process has ended.
#[derive(Debug)]
pub(crate) enum What {
    /// An interval of a node is over.
    Tick { node: usize },
    /// A probe was given up.
    Unanswered {
        node: usize,
        boot: u32,
        report: ProbeReport,
    },
    /// A timer of a node.
    Due { node: usize, boot: u32 },
    /// A region hears of a node's routes.
    Route {
        region: usize,
        node: usize,
        number: u32,
        offer: Offer,
    },
    /// The session of a node to its router is up.
    Session { node: usize, boot: u32 },
    /// The router has heard nothing of a node for long enough.
    Silence { node: usize, boot: u32, pauses: u32 },
    /// A router notices that the process is gone.
    Gone { node: usize, boot: u32 },
    /// The breakers of all upstreams of a node open or close.
    Breaker {
        node: usize,
        boot: u32,
        connection: u32,
        is_open: bool,
    },
    /// A start need not wait for this any more.
    Gate {
        node: usize,
        boot: u32,
        gate: StartGate,
    },
    /// A supervisor starts the process.
    Start { node: usize },
    /// Somebody kills it.
    Kill { node: usize, boot: u32 },
    /// The supervisor's watchdog looks whether all workers turn.
    Watchdog { node: usize, boot: u32 },
    /// A node hears from its siblings.
    Peers { node: usize },
    /// A node looks whom of its siblings it has to ask.
    Ask { node: usize },
    /// An answer is back, if there is one.
    Answered {
        node: usize,
        boot: u32,
        question: PeerQuestion,
    },
    /// The next thing that the scenario says.
    Deed(usize),
    /// A client asks again what wedges a worker.
    Killer,
    /// A node that stopped answering then must not be preferred any more.
    Stopped { node: usize, since: Time },
    /// A node whose prober ended must not be announced any more.
    Stale { node: usize, boot: u32 },
    /// A node that nobody else hears since then must not be preferred any more.
    Unheard { node: usize, since: Time },
    /// What the fleet answers is compared with what it could.
    Measure,
    /// The upgrade goes on.
    Guide,
}

#[derive(Debug)]
struct Entry {
    at: Time,
    /// Equal times keep their order.
    number: u64,
    what: What,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: BinaryHeap<Entry>,
    number: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Time, what: What) {
        self.number += 1;
        self.entries.push(Entry {
            at,
            number: self.number,
            what,
        });
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, What)> {
        self.entries.pop().map(|entry| (entry.at, entry.what))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
