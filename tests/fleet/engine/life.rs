//! How processes come, stand still and go, and what they hear from outside.

use sidestep::health::{PeersView, StartGate};

use super::{Fleet, PEERS_MS};
use crate::journal::Note;
use crate::process::Pause;
use crate::queue::What;
use crate::router::Offer;
use crate::setup::Time;
use crate::watch::{DETECTION, Watch};

/// Until a new session is up.
const SESSION_MS: (u64, u64) = (300, 1000);
/// Until a lost one is back.
const AGAIN_MS: (u64, u64) = (1000, 3000);
/// Until a start knows that an upstream answers, or gives up on them.
const REACHED_MS: (u64, u64) = (50, 300);
const GIVEN_UP_MS: (u64, u64) = (2500, 3000);
/// Until the names that were hot before are in the cache again.
const WARMED_MS: (u64, u64) = (200, 2000);
/// Until the breakers of all upstreams are open, and until the first closes.
const OPENS_MS: (u64, u64) = (450, 550);
const CLOSES_MS: (u64, u64) = (250, 4000);
/// A supervisor waits so long before it starts a process again.
const RESTART_MS: (u64, u64) = (1000, 1500);
/// A supervisor kills a process with a stuck worker after so long.
const WATCHDOG: Time = Time::from_secs(10);
/// Questions without an answer tell a sibling that it is not heard by others after so long.
const BLIND_AFTER: Time = Time::from_millis(3000);

impl Fleet {
    pub(super) fn start(&mut self, node: usize) {
        if self.nodes[node].process.is_some() {
            return;
        }
        let now = self.now;
        self.nodes[node].account(now);
        self.nodes[node].start(now, &self.setup, self.epoch);
        self.journal.note(now, Note::Started { node });
        let boot = self.nodes[node].boot;
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        self.queue.push(process.next_tick, What::Tick { node });
        self.later(SESSION_MS, What::Session { node, boot });
        let gate = StartGate::HotNames;
        self.later(WARMED_MS, What::Gate { node, boot, gate });
        let gate = StartGate::Upstreams;
        if self.nodes[node].is_connected {
            self.later(REACHED_MS, What::Gate { node, boot, gate });
        } else {
            self.later(GIVEN_UP_MS, What::Gate { node, boot, gate });
            self.expect_breaker(node);
        }
        if let Some((left, after)) = self.kills.get_mut(node).filter(|(left, _)| *left > 0) {
            *left -= 1;
            let at = now + *after;
            self.queue.push(at, What::Kill { node, boot });
        }
        self.tell_siblings(node);
        self.later((0, PEERS_MS), What::Peers { node });
        self.hear_siblings(node);
        self.follow(node);
    }

    /// A start need not wait for `gate` any more.
    pub(super) fn open(&mut self, node: usize, boot: u32, gate: StartGate) {
        if self.runs(node, boot) {
            self.tell(node, |node, now| {
                node.tell(now, |health, local| health.handle_gate(local, gate));
            });
        } else if self.nodes[node].boot == boot && self.nodes[node].process.is_some() {
            // It stands still, and so does what the gate waits for.
            self.later(REACHED_MS, What::Gate { node, boot, gate });
        }
    }

    /// The process is gone; the supervisor starts another.
    pub(super) fn end(&mut self, node: usize, is_clean: bool) {
        if self.nodes[node].process.is_none() {
            return;
        }
        self.nodes[node].account(self.now);
        self.nodes[node].end(self.now, is_clean);
        self.journal.note(self.now, Note::Ended { node, is_clean });
        let boot = self.nodes[node].boot;
        self.later((5, 20), What::Gone { node, boot });
        self.later(RESTART_MS, What::Start { node });
        self.tell_siblings(node);
        self.take_truth(node);
    }

    pub(super) fn later(&mut self, (least, most): (u64, u64), what: What) {
        let at = self.now + self.chance.ms(least, most);
        self.queue.push(at, what);
    }

    /// The session is up: the router gets the whole table.
    pub(super) fn connect(&mut self, node: usize, boot: u32) {
        if self.nodes[node].boot != boot {
            return;
        }
        self.rouse(node);
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        if process.pause.is_some() {
            self.later(AGAIN_MS, What::Session { node, boot });
            return;
        }
        process.has_session = true;
        let offer = process.offer();
        self.publish(node, offer);
        self.follow(node);
    }

    /// BFD has heard nothing of the node since that pause began.
    pub(super) fn lose_silent(&mut self, node: usize, boot: u32, pauses: u32) {
        if self.nodes[node].boot != boot {
            return;
        }
        let process = self.nodes[node].process.as_mut();
        if let Some(process) = process.filter(|p| p.pause.is_some() && p.pauses == pauses) {
            process.has_session = false;
            self.publish(node, Offer::Nothing);
        }
    }

    pub(super) fn pause(&mut self, node: usize, pause: Pause) {
        self.rouse(node);
        self.nodes[node].account(self.now);
        let boot = self.nodes[node].boot;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        if process.pause.is_some() {
            return;
        }
        process.pause = Some(pause);
        process.paused_at = self.now;
        process.pauses += 1;
        let pauses = process.pauses;
        let at = self.now + DETECTION;
        self.queue.push(at, What::Silence { node, boot, pauses });
        self.take_truth(node);
        self.give_more_time(node);
        self.tell_siblings(node);
    }

    pub(super) fn resume(&mut self, node: usize) {
        self.nodes[node].account(self.now);
        let boot = self.nodes[node].boot;
        let now = self.now;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let Some(pause) = process.pause.take() else {
            return;
        };
        let paused_for = now - process.paused_at;
        let is_seen = pause != Pause::Suspended;
        if !is_seen {
            process.lag += paused_for;
        }
        process.next_tick = now;
        let is_lost = !process.has_session;
        self.queue.push(now, What::Tick { node });
        if is_lost {
            self.later(AGAIN_MS, What::Session { node, boot });
        }
        let is_timer_first = self.nodes[node].chance.is(500);
        if is_timer_first {
            self.tell(node, |node, now| node.timeout(now));
        }
        if is_seen {
            let interval = self.setup.settings.interval;
            let late = paused_for.saturating_sub(interval);
            self.tell(node, |node, now| {
                node.tell(now, |health, local| health.handle_lateness(local, late));
            });
        }
        self.tell(node, |node, now| node.tell_upstreams(now));
        self.give_more_time(node);
        self.tell_siblings(node);
        self.later((0, PEERS_MS), What::Peers { node });
        if let Some(process) = &mut self.nodes[node].process {
            process.asks_at = None;
        }
        self.hear_siblings(node);
    }

    /// Of two faults the second starts the time anew that the first may take.
    pub(super) fn give_more_time(&mut self, node: usize) {
        if let Some(since) = self.watch.restart_stop(self.now, node) {
            let at = since + Watch::stopped_max(&self.setup);
            self.queue.push(at, What::Stopped { node, since });
        }
    }

    pub(super) fn wedge(&mut self, node: usize, worker: usize) {
        self.rouse(node);
        self.nodes[node].account(self.now);
        let boot = self.nodes[node].boot;
        if let Some(process) = &mut self.nodes[node].process {
            process.wedged[worker] = true;
            process.wedged_at = self.now;
            process.calm = 0;
            let at = self.now + WATCHDOG;
            self.queue.push(at, What::Watchdog { node, boot });
        }
        self.take_truth(node);
    }

    /// The supervisor kills a process of which a worker has stood still for too long.
    pub(super) fn watch_workers(&mut self, node: usize, boot: u32) {
        let process = self.nodes[node].process.as_ref();
        let is_stuck =
            process.is_some_and(|p| p.wedged.contains(&true) && self.now - p.wedged_at >= WATCHDOG);
        if is_stuck && self.nodes[node].boot == boot {
            self.end(node, false);
        }
    }

    /// A client asks again, and its question goes where the route goes.
    pub(super) fn kill_by_query(&mut self) {
        if self.killers == 0 {
            return;
        }
        self.later((1000, 2000), What::Killer);
        let region = self.chance.below(self.regions.len());
        let members = self.regions[region].members();
        if members.is_empty() {
            return;
        }
        let node = members[self.chance.below(members.len())];
        let worker = self.chance.below(crate::setup::WORKERS);
        if self.nodes[node].answers() {
            let deed = format!("a query wedges worker {worker} of node {node}");
            self.journal.note(self.now, Note::Deed(deed));
            self.wedge(node, worker);
        }
    }

    /// What a node believes of its upstreams follows the truth after a while.
    pub(super) fn expect_breaker(&mut self, node: usize) {
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let is_open = !self.nodes[node].is_connected;
        if process.breaker_open == is_open {
            return;
        }
        let what = What::Breaker {
            node,
            boot: self.nodes[node].boot,
            connection: self.nodes[node].connection,
            is_open,
        };
        self.later(if is_open { OPENS_MS } else { CLOSES_MS }, what);
    }

    pub(super) fn flip(&mut self, node: usize, boot: u32, connection: u32, is_open: bool) {
        let known = &mut self.nodes[node];
        if (known.boot, known.connection) != (boot, connection) {
            return;
        }
        let Some(process) = &mut known.process else {
            return;
        };
        process.breaker_open = is_open;
        // A process that stands still hears of it when it goes on.
        if process.pause.is_none() {
            self.tell(node, |node, now| node.tell_upstreams(now));
        }
        self.tell_siblings(node);
    }

    /// Whoever asks this node will hear something else within a second.
    pub(super) fn tell_siblings(&mut self, node: usize) {
        let askers: Vec<usize> = self.setup.siblings_of(node).collect();
        for node in askers {
            self.later((0, PEERS_MS), What::Peers { node });
        }
    }

    pub(super) fn hear_peers(&mut self, node: usize) {
        let boot = self.nodes[node].boot;
        let is_modelled = self.setup.has_siblings && !self.setup.asks_for_real;
        if !is_modelled || !self.runs(node, boot) {
            return;
        }
        let mut view = PeersView::default();
        let site = self.nodes[node].site;
        let unheard_since = self.nodes[node].unheard_since;
        let is_unheard = unheard_since.is_some_and(|at| self.now - at >= BLIND_AFTER);
        for sibling in self.setup.siblings_of(node) {
            view.known += 1;
            let other = &self.nodes[sibling];
            let is_reached = self.regions[site].reaches[other.site]
                && other.is_heard()
                && (0..crate::setup::WORKERS).any(|worker| other.reads(worker));
            view.reached += u16::from(is_reached);
            view.able += u16::from(is_reached && other.takes_over());
            view.lowered += u16::from(is_reached && !other.is_preferred());
            view.blind += u16::from(is_reached && is_unheard);
        }
        self.tell(node, |node, now| node.tell_peers(now, view));
    }

    /// The siblings of a node find out that they do not reach it, or do again.
    pub(super) fn ask_again(&mut self, node: usize) {
        let at = self.now + BLIND_AFTER;
        self.queue
            .push(at + self.chance.ms(0, PEERS_MS), What::Peers { node });
        self.later((0, PEERS_MS), What::Peers { node });
        self.tell_siblings(node);
    }
}
