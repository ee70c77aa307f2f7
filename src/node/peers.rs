//! Asks the siblings how they are, and tells workers and health what comes of it.
//!
//! One task of the routing thread holds the machine of `health` and has at most one question under way
//! for each address: nothing queues. It runs only where there are siblings.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::routing::{Routing, at};
use crate::admin::status;
use crate::dns::bootstrap::sibling_addresses;
use crate::dns::peers::{Asked, ask, node_number};
use crate::dns::shared::Shared;
use crate::dns::upstream::{ResolvedZone, Upstreams};
use crate::health::Health;
use crate::health::peers::metrics::Metrics;
use crate::health::peers::{self, ANSWER_LIMIT, PeerEvent, PeerQuestion, PeerWord};

/// The other nodes of the service, of the lists of all zones together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Siblings {
    addresses: Vec<SocketAddr>,
    own: Vec<IpAddr>,
    /// Where their questions come from.
    sources: Vec<IpAddr>,
    /// The number that stands for this node.
    node: u32,
}

impl Siblings {
    pub(super) fn of(zones: &[ResolvedZone], name: &str) -> Self {
        let mut addresses: Vec<_> = zones.iter().flat_map(|z| z.siblings.clone()).collect();
        let mut own: Vec<_> = zones.iter().flat_map(|z| z.own_siblings.clone()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        own.sort_unstable();
        own.dedup();
        Self {
            node: node_number(name, &own),
            sources: sibling_addresses(zones),
            addresses,
            own,
        }
    }

    /// Lets the workers know them, and by which number they know this node.
    pub(super) fn introduce(&self, shared: Shared) -> Shared {
        let sources = self.sources.iter().copied();
        shared.with_siblings(sources).with_node(self.node)
    }
}

/// What is known of the siblings, and what they are told.
pub(super) struct Peers {
    machine: RefCell<peers::Peers>,
    changed: Notify,
    metrics: Metrics,
    shared: Arc<Shared>,
    upstreams: Arc<Upstreams>,
    /// Whether each critical zone has had an upstream that answered, since the start.
    is_proven: Cell<bool>,
}

impl Peers {
    /// Starts to ask them, if there are any.
    pub(super) fn start(
        siblings: &Siblings,
        shared: &Arc<Shared>,
        upstreams: &Arc<Upstreams>,
        metrics: Metrics,
    ) -> Rc<Self> {
        let (addresses, own) = (&siblings.addresses, &siblings.own);
        let seed = rand::random();
        let machine = peers::Peers::new(addresses, own, siblings.node, seed, Instant::now());
        let is_any = machine.poll_timeout().is_some();
        if is_any && own.is_empty() {
            tracing::warn!(
                "this node is not on the list of last_resort, so that the nodes on it do not know it: \
                 add an address that it listens on"
            );
        }
        let started = Rc::new(Self {
            machine: RefCell::new(machine),
            changed: Notify::new(),
            metrics,
            shared: Arc::clone(shared),
            upstreams: Arc::clone(upstreams),
            is_proven: Cell::new(false),
        });
        if is_any {
            tokio::task::spawn_local(Rc::clone(&started).run());
        }
        started
    }

    async fn run(self: Rc<Self>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            self.settle();
            while let Some(question) = self.next_question() {
                under_way.push(put(question));
            }
            let due = self.machine.borrow().poll_timeout();
            tokio::select! {
                Some((question, asked)) = under_way.next() => self.take(question, asked),
                () = at(due) => self.machine.borrow_mut().handle_timeout(Instant::now()),
            }
        }
    }

    fn next_question(&self) -> Option<PeerQuestion> {
        self.machine.borrow_mut().poll_transmit()
    }

    fn take(&self, question: PeerQuestion, asked: io::Result<Asked>) {
        let now = Instant::now();
        let mut machine = self.machine.borrow_mut();
        match asked {
            Ok(Asked::Answered(word)) => {
                let word = PeerWord {
                    able: word.able,
                    hears_us: word.heard,
                    preferred: word.preferred,
                    lowered: word.lowered,
                    node: word.node,
                };
                machine.handle_answer(now, question, word);
            }
            // The machine knows when it has waited long enough.
            Ok(Asked::Unanswered) => {}
            Err(error) => {
                let peer = question.peer.address;
                tracing::debug!(%peer, %error, "question to a sibling not sent");
                machine.handle_unsent(now, question);
            }
        }
    }

    /// Tells what has changed.
    fn settle(&self) {
        let mut machine = self.machine.borrow_mut();
        while let Some(event) = machine.poll_event() {
            match event {
                PeerEvent::Reached {
                    address: peer,
                    is_reached: true,
                } => tracing::info!(%peer, "sibling is reached"),
                PeerEvent::Reached {
                    address: peer,
                    is_reached: false,
                } => tracing::warn!(%peer, "sibling is no longer reached"),
                PeerEvent::View(view) => {
                    let (known, reached) = (view.known, view.reached);
                    let (able, lowered, blind) = (view.able, view.lowered, view.blind);
                    tracing::info!(known, reached, able, lowered, blind, "siblings changed");
                    self.changed.notify_one();
                }
            }
        }
        let states: Vec<_> = machine.states().collect();
        let reaches_any = machine.view().reached > 0;
        for state in &states {
            // Several nodes of a lab may have one address and differ in their ports. Who asks is known
            // by the address alone: the best of what is known is told.
            let same = states
                .iter()
                .filter(|s| s.address.ip() == state.address.ip());
            let heard = same.map(|other| other.heard).max().flatten();
            // A node that hears nobody is more likely deaf than surrounded by silent ones.
            let heard = heard.filter(|heard| *heard || reaches_any);
            self.shared.peers().tell_heard(state.address.ip(), heard);
        }
    }

    /// Waits until health should be told.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Does what is due with each turn of the routing thread.
    pub(super) fn tick(&self, health: &Health) {
        self.tell_able(health);
        self.metrics.refresh(&self.machine.borrow());
    }

    /// Tells siblings whether this node can take their clients over, and whether it is preferred.
    pub(super) fn tell_able(&self, health: &Health) {
        self.shared.peers().tell_able(self.able(health));
        self.shared.peers().tell_preferred(health.is_preferred());
        self.shared.peers().tell_lowered(health.lowered_marks());
    }

    /// Upstreams that have not been asked yet count as good ones, which is no reason to tell others so.
    fn able(&self, health: &Health) -> Option<bool> {
        if !health.is_able() {
            return Some(false);
        }
        if !self.is_proven.get() {
            let all = self.upstreams.status();
            let has_answered = |zone: &str| {
                let mut upstreams = all.iter().filter(|u| !u.is_sibling && u.zone == zone);
                upstreams.any(|upstream| upstream.srtt.is_some())
            };
            let mut critical = self.upstreams.zones().filter(|zone| zone.critical);
            self.is_proven
                .set(critical.all(|zone| has_answered(zone.zone)));
        }
        self.is_proven.get().then_some(true)
    }

    /// Each of them, in the words that go outwards.
    pub(super) fn status(&self, now: Instant) -> Vec<status::Peer> {
        let machine = self.machine.borrow();
        let peers = machine.states().map(|state| status::Peer {
            address: state.address,
            node: state.node.map(|node| format!("{node:08x}")),
            reached: state.is_reached,
            able: state.able,
            hears_us: state.hears_us,
            rtt_us: state
                .rtt
                .map(|rtt| rtt.as_micros().try_into().unwrap_or(u64::MAX)),
            since_s: now.saturating_duration_since(state.since).as_secs(),
        });
        peers.collect()
    }
}

impl Routing {
    /// Tells health what siblings say.
    pub(super) fn take_peers(&mut self) {
        let view = self.reporter.peers.machine.borrow().view();
        self.health.handle_peers(Instant::now(), view);
    }
}

async fn put(question: PeerQuestion) -> (PeerQuestion, io::Result<Asked>) {
    let peer = question.peer;
    (question, ask(peer.address, peer.source, ANSWER_LIMIT).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_several_zones_are_one() {
        let zone = |siblings: &[&str], own: &[&str]| ResolvedZone {
            siblings: siblings.iter().map(|text| text.parse().unwrap()).collect(),
            own_siblings: own.iter().map(|text| text.parse().unwrap()).collect(),
            ..ResolvedZone::default()
        };
        let zones = [
            zone(&["10.0.0.3:53", "10.0.0.2:53"], &["10.0.0.1"]),
            zone(&["10.0.0.2:53"], &["10.0.0.1"]),
            zone(&[], &[]),
        ];
        let siblings = Siblings::of(&zones, "one");
        let expected = ["10.0.0.2:53", "10.0.0.3:53"].map(|text| text.parse().unwrap());
        assert_eq!(siblings.addresses, expected);
        assert_eq!(siblings.own, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_ne!(siblings.node, Siblings::of(&zones, "other").node);
    }
}
