//! What is written down while upstreams come and go, with times since the start.

use std::time::Duration;

/// One query of a client.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Index in [`super::NODES`].
    pub(super) node: usize,
    /// The name is in the cache of every node; else nobody had asked for it before.
    pub(super) is_cached: bool,
    pub(super) sent: Duration,
    /// The first answer to it.
    pub(super) answer: Option<Answered>,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// After the query.
    pub(super) after: Duration,
    pub(super) said: Said,
}

/// What an answer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// What the name has.
    Right,
    /// SERVFAIL with an Extended DNS Error.
    Failing,
    /// SERVFAIL without a word, or anything else.
    Wrong,
}

/// One question from node to node, as it left.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) at: Duration,
    /// Index in [`super::NODES`].
    pub(super) from: usize,
    /// Index in [`super::NODES`].
    pub(super) to: usize,
    /// It carries the marker of siblings.
    pub(super) is_marked: bool,
    /// `None` for the first packet of a TCP connection.
    pub(super) name: Option<String>,
}

/// When what was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The upstreams fell silent for the first node.
    pub(super) silenced_one: Duration,
    /// It knew.
    pub(super) known_one: Duration,
    pub(super) mended_one: Duration,
    /// The upstreams fell silent for all.
    pub(super) silenced_all: Duration,
    /// Each of them knew.
    pub(super) known_all: [Duration; 3],
    /// The first of them got its upstreams back.
    pub(super) mending_all: Duration,
    /// All had them back.
    pub(super) mended_all: Duration,
    /// The client asked no more.
    pub(super) over: Duration,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) times: Times,
    /// In the order of sending, stream by stream.
    pub(super) asked: Vec<Asked>,
    pub(super) heard: Vec<Heard>,
    /// Client questions that the nodes themselves counted as sent to siblings.
    pub(super) told: u64,
    /// Longest silence on the untouched path.
    pub(super) sentinel: Duration,
}

/// The first label of the new name that the client asks a node for.
pub(super) fn label(node: usize, nonce: u128, index: usize) -> String {
    format!("s{node}-{nonce:x}-{index}")
}

/// The node that the client asked for this name, if it is such a name.
pub(super) fn asked_node(name: &str) -> Option<usize> {
    let (label, _) = name.split_once(".unique.")?;
    label.strip_prefix('s')?.split('-').next()?.parse().ok()
}
