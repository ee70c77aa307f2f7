//! What the siblings of this node say: who is asked when, and what their answers and their silence
//! mean. A value: no socket, no clock, no task.
//!
//! Once a second each of them is asked whether it can resolve, and whether its own questions to this
//! node are answered.
//!
//! | word | means |
//! |---|---|
//! | reached | it has answered within the last 3 s |
//! | able | reached, and it says that it can resolve and that its services are announced |
//! | lowered | reached, and it says that it is not preferred; one that does not say counts as preferred |
//! | spared | lowered, but for services with this mark; one that does not say which has lowered all |
//! | blind | reached, and it has said four times in a row that this node does not answer it |
//!
//! Four times, because a node that comes back from the dead is called silent until the others have
//! asked again, which takes them one turn, and a second one if a packet is lost.
//!
//! **Addresses and nodes.** A list names addresses, and a node may have several. Each is asked, and
//! answers with the number of its node, so that a [`PeersView`] counts nodes: one is reached or able
//! when one of its addresses says so, but blind only while none of them is answered. An address that
//! turns out to be this node's own counts nowhere.
//!
//! **Who is asked.** At most sixteen addresses, see [`choose`]: of a long list each node asks some that
//! ask it in turn. The others are known, and no more.
//!
//! **Pauses.** A process that was stopped, or whose host was, has heard nobody for a reason of its own.
//! Coming late by more than a second it forgets what was under way and what was missed, so that nobody
//! is called unreached or blind, and nobody is told to be silent, before all were asked again.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use siphasher::sip::SipHasher24;

use super::{PeersView, SERVICE_MARKS};
use peer::{Peer, Standing};

mod choose;
pub mod metrics;
mod peer;

pub use choose::{ASKED_MAX, PeerAddress, choose};

/// Between two questions to one address; a tenth more or less by chance.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// An answer that takes so long does not count.
pub const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// So long after an answer a sibling is reached.
pub const REACHED_FOR: Duration = Duration::from_secs(3);
/// After so many questions in a row without an answer a sibling that is not reached is told that it
/// does not answer.
pub const MISSES_TO_TELL: u32 = 3;
/// So many answers in a row have to say that this node does not answer.
pub const DEAF_TO_BELIEVE: u32 = 4;
/// Who comes later than this has been asleep.
const PAUSE: Duration = Duration::from_secs(1);

/// What siblings know a service by: the same on all nodes for one name, whatever else they have. Two may
/// share a mark, and then count as one.
#[must_use]
pub fn service_mark(name: &str) -> u8 {
    // Nothing is kept secret by it: a key would have to be the same on all nodes.
    let mut hasher = SipHasher24::new_with_key(&[0; 16]);
    hasher.write(name.as_bytes());
    let mark = hasher.finish() % SERVICE_MARKS as u64;
    u8::try_from(mark).unwrap_or(0)
}

/// What a sibling says; `None`: it does not know, or its words are not understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerWord {
    /// Whether it can resolve its critical zones, and announces its services.
    pub able: Option<bool>,
    /// Whether this node answers its questions.
    pub hears_us: Option<bool>,
    /// Whether all of its services are preferred.
    pub preferred: Option<bool>,
    /// The marks of those that are not, a bit for each.
    pub lowered: Option<u32>,
    /// The number of its node.
    pub node: Option<u32>,
}

/// A question to send; its outcome goes to [`Peers::handle_answer`] or [`Peers::handle_unsent`].
/// Silence needs no telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerQuestion {
    /// Whom to ask.
    pub peer: PeerAddress,
    index: usize,
    number: u64,
}

/// What the owner of [`Peers`] should tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// An address is reached again, or no longer, since the last event about it.
    Reached {
        /// Which.
        address: SocketAddr,
        /// Whether it is now.
        is_reached: bool,
    },
    /// The view has changed.
    View(PeersView),
}

/// What is known of one address, for status and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerState {
    /// As on the list.
    pub address: SocketAddr,
    /// The number of its node, as last heard.
    pub node: Option<u32>,
    /// Whether it has answered within the last [`REACHED_FOR`].
    pub is_reached: bool,
    /// What it says, while it is reached.
    pub able: Option<bool>,
    /// The same about its own questions to this node.
    pub hears_us: Option<bool>,
    /// How long the last answer took.
    pub rtt: Option<Duration>,
    /// Since when it is reached, or not.
    pub since: Instant,
    /// Questions sent.
    pub questions: u64,
    /// Questions answered in time.
    pub answers: u64,
    /// What it is told: whether its address answers.
    pub heard: Option<bool>,
}

/// The siblings of this node.
#[derive(Debug)]
pub struct Peers {
    /// The number of this node.
    node: u32,
    /// Addresses on the list that are not asked.
    unasked: usize,
    peers: Vec<Peer>,
    generator: SmallRng,
    numbers: u64,
    view: PeersView,
    told_view: Option<PeersView>,
}

impl Peers {
    /// `siblings` are on the list, each once, and `own` are this node's addresses on it; `node` is the
    /// number of this node.
    #[must_use]
    pub fn new(
        siblings: &[SocketAddr],
        own: &[IpAddr],
        node: u32,
        seed: u64,
        now: Instant,
    ) -> Self {
        let chosen = choose(siblings, own, node);
        let mut new = Self {
            node,
            unasked: siblings.len().saturating_sub(chosen.len()),
            peers: chosen
                .into_iter()
                .map(|peer| Peer::new(peer, now))
                .collect(),
            generator: SmallRng::seed_from_u64(seed),
            numbers: 0,
            view: PeersView::default(),
            told_view: None,
        };
        new.view = new.look();
        new
    }

    /// Takes an answer.
    pub fn handle_answer(&mut self, now: Instant, question: PeerQuestion, word: PeerWord) {
        self.notice_pause(now);
        if let Some(peer) = self.asked(question) {
            peer.record_answer(now, word);
        }
        self.settle(now);
    }

    /// Takes that a question could not be sent, which says nothing about who was to be asked.
    pub fn handle_unsent(&mut self, now: Instant, question: PeerQuestion) {
        self.notice_pause(now);
        if let Some(peer) = self.asked(question) {
            peer.forget_question();
        }
        self.settle(now);
    }

    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.notice_pause(now);
        for peer in &mut self.peers {
            peer.give_up(now);
            if peer.next_at <= now {
                let part = self.generator.random_range(0.9..=1.1);
                self.numbers += 1;
                peer.ask(now, self.numbers, now + INTERVAL.mul_f64(part));
            }
        }
        self.settle(now);
    }

    /// When [`Self::handle_timeout`] wants to be called; `None`: there is nobody to ask.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.peers.iter().map(Peer::poll_timeout).min()
    }

    /// The next question to send. One address has one under way at most.
    pub fn poll_transmit(&mut self) -> Option<PeerQuestion> {
        let mut peers = self.peers.iter_mut().enumerate();
        peers.find_map(|(index, peer)| {
            let number = peer.take_question()?;
            Some(PeerQuestion {
                peer: peer.address,
                index,
                number,
            })
        })
    }

    /// The next thing to tell. Changes that were not taken in time are told as one.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        if let Some(event) = self.peers.iter_mut().find_map(Peer::poll_event) {
            return Some(event);
        }
        let is_new = self.told_view != Some(self.view);
        self.told_view = Some(self.view);
        is_new.then_some(PeerEvent::View(self.view))
    }

    /// What all of them say, as a count of nodes; as of the last `handle_*`.
    #[must_use]
    pub fn view(&self) -> PeersView {
        self.view
    }

    /// Each address that is asked.
    pub fn states(&self) -> impl Iterator<Item = PeerState> {
        self.peers.iter().map(Peer::state)
    }

    fn asked(&mut self, question: PeerQuestion) -> Option<&mut Peer> {
        let peer = self.peers.get_mut(question.index)?;
        peer.awaits(question.number).then_some(peer)
    }

    fn notice_pause(&mut self, now: Instant) {
        let due = self.poll_timeout();
        if due.is_some_and(|due| now.saturating_duration_since(due) > PAUSE) {
            for peer in &mut self.peers {
                peer.wake(now);
            }
        }
    }

    fn settle(&mut self, now: Instant) {
        for peer in &mut self.peers {
            peer.settle(now);
        }
        self.view = self.look();
    }

    /// Counts nodes.
    fn look(&self) -> PeersView {
        let mut nodes: Vec<(Option<u32>, Standing)> = Vec::with_capacity(self.peers.len());
        let others = self.peers.iter().filter(|p| p.node() != Some(self.node));
        for peer in others {
            let known = nodes
                .iter_mut()
                .find(|(node, _)| node.is_some() && *node == peer.node());
            match known {
                Some((_, standing)) => standing.join(peer.standing()),
                None => nodes.push((peer.node(), peer.standing())),
            }
        }
        let mut spared = [0_u8; SERVICE_MARKS];
        for (_, standing) in nodes.iter().filter(|(_, standing)| standing.is_lowered()) {
            for (mark, count) in spared.iter_mut().enumerate() {
                *count = count.saturating_add(u8::from(standing.spares(mark)));
            }
        }
        let count = |of: fn(&Standing) -> bool| {
            let nodes = nodes.iter().filter(|(_, standing)| of(standing));
            u16::try_from(nodes.count()).unwrap_or(u16::MAX)
        };
        PeersView {
            known: u16::try_from(nodes.len() + self.unasked).unwrap_or(u16::MAX),
            reached: count(|standing| standing.is_reached),
            able: count(|standing| standing.is_able),
            lowered: count(Standing::is_lowered),
            spared,
            blind: count(|standing| standing.is_deaf && !standing.hears),
        }
    }
}

#[cfg(test)]
mod tests;
