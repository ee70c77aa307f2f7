//! What a scenario does to the fleet.

use super::{Fleet, upgrade::Upgrade};
use crate::journal::Note;
use crate::queue::What;
use crate::scenario::Deed;
use crate::setup::{CAPACITY_MILLI, Time};
use crate::watch::{UNHEARD_MAX, Watch};

/// Answers are called poor above the first and good again below the second, in percent.
const POOR_PERCENT: u8 = 50;
const GOOD_PERCENT: u8 = 20;

impl Fleet {
    pub(super) fn do_deed(&mut self, number: usize) {
        let deed = self.script[number].1.clone();
        self.journal.note(self.now, Note::Deed(deed.to_string()));
        match deed {
            Deed::Upstreams {
                nodes,
                is_connected,
            } => nodes
                .into_iter()
                .for_each(|node| self.join(node, is_connected)),
            Deed::Cut(is_cut) => self.cut(&is_cut),
            Deed::Load {
                region,
                site_percent,
            } => {
                let site = self.members[region].len() as u64 * CAPACITY_MILLI;
                self.regions[region].load_milli = site * site_percent / 100;
                self.reroute(region);
            }
            Deed::Wedge { node, worker } => self.wedge(node, worker),
            Deed::Unwedge { node } => {
                self.nodes[node].account(self.now);
                if let Some(process) = &mut self.nodes[node].process {
                    process.wedged = [false; crate::setup::WORKERS];
                }
                self.take_truth(node);
            }
            Deed::Unread {
                node,
                worker,
                is_unread,
            } => {
                self.rouse(node);
                self.nodes[node].account(self.now);
                if let Some(process) = &mut self.nodes[node].process {
                    process.unread[worker] = is_unread;
                    process.calm = 0;
                }
                self.take_truth(node);
            }
            Deed::Deaf { node, is_deaf } => {
                self.rouse(node);
                self.nodes[node].account(self.now);
                self.nodes[node].is_deaf = is_deaf;
                self.ask_again(node);
                self.take_truth(node);
            }
            Deed::Unheard { node, is_unheard } => self.unhear(node, is_unheard),
            Deed::Blind { node } => self.blind(node),
            Deed::Pause { node, pause } => self.pause(node, pause),
            Deed::Resume { node } => self.resume(node),
            Deed::Kill { node } => self.end(node, false),
            Deed::Loop { node, kills, after } => {
                self.kills[node] = (kills, after);
                self.end(node, false);
            }
            Deed::Failing { nodes, percent } => {
                nodes.into_iter().for_each(|node| self.fail(node, percent));
            }
            Deed::Killers(count) => {
                self.killers = count;
                (0..count).for_each(|_| self.later((0, 1000), What::Killer));
            }
            Deed::Upgrade { at_once } => {
                self.upgrade = Some(Upgrade::new(self.nodes.len(), at_once));
                self.queue.push(self.now, What::Guide);
            }
        }
    }

    fn cut(&mut self, is_cut: &[bool]) {
        for region in 0..self.regions.len() {
            for site in 0..self.members.len() {
                self.regions[region].reaches[site] = is_cut[region] == is_cut[site];
            }
            self.reroute(region);
        }
        (0..self.nodes.len()).for_each(|node| self.tell_siblings(node));
    }

    fn unhear(&mut self, node: usize, is_unheard: bool) {
        self.rouse(node);
        self.nodes[node].account(self.now);
        let since = self.now;
        self.nodes[node].unheard_since = is_unheard.then_some(since);
        self.ask_again(node);
        self.take_truth(node);
        self.queue
            .push(since + UNHEARD_MAX, What::Unheard { node, since });
    }

    fn join(&mut self, node: usize, is_connected: bool) {
        if self.nodes[node].is_connected == is_connected {
            return;
        }
        self.rouse(node);
        self.nodes[node].account(self.now);
        self.nodes[node].is_connected = is_connected;
        self.nodes[node].connection += 1;
        self.expect_breaker(node);
    }

    fn blind(&mut self, node: usize) {
        self.rouse(node);
        let boot = self.nodes[node].boot;
        if let Some(process) = &mut self.nodes[node].process {
            process.is_blind = true;
            process.calm = 0;
            let at: Time = self.now + Watch::stale_max(&self.setup);
            self.queue.push(at, What::Stale { node, boot });
            // A fault before it cannot be found any more: the lease alone ends the route.
            if let Some(since) = self.watch.restart_stop(self.now, node) {
                self.queue.push(at, What::Stopped { node, since });
            }
        }
        self.take_truth(node);
    }

    fn fail(&mut self, node: usize, percent: u8) {
        self.rouse(node);
        self.nodes[node].account(self.now);
        self.nodes[node].failing_percent = percent;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let was_poor = process.finds_answers_poor;
        process.finds_answers_poor = if was_poor {
            percent >= GOOD_PERCENT
        } else {
            percent >= POOR_PERCENT
        };
        if process.finds_answers_poor != was_poor {
            self.tell(node, |node, now| node.tell_answers(now, 32));
            self.tell_siblings(node);
        }
    }
}
