//! An upgrade of the whole fleet, so many nodes at once: drained, ended, started, and back.

use std::collections::VecDeque;

use sidestep::health::{DrainPhase, Level};

use super::Fleet;
use crate::node::Node;
use crate::queue::What;
use crate::setup::Time;

/// Whoever leads the upgrade looks so often.
const LOOK: Time = Time::from_millis(200);

/// How far it is.
#[derive(Debug)]
pub(crate) struct Upgrade {
    waiting: VecDeque<usize>,
    under_way: Vec<(usize, Stage)>,
    at_once: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Draining,
    /// SIGTERM was sent to the process of this boot.
    Ending(u32),
    Done,
}

impl Upgrade {
    pub(super) fn new(nodes: usize, at_once: usize) -> Self {
        Self {
            waiting: (0..nodes).collect(),
            under_way: Vec::new(),
            at_once,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }
}

impl Fleet {
    pub(super) fn guide(&mut self) {
        let Some(mut upgrade) = self.upgrade.take() else {
            return;
        };
        for (node, stage) in &mut upgrade.under_way {
            *stage = self.advance(*node, *stage);
        }
        upgrade.under_way.retain(|(_, stage)| *stage != Stage::Done);
        while upgrade.under_way.len() < upgrade.at_once
            && let Some(node) = upgrade.waiting.pop_front()
        {
            self.tell(node, Node::drain);
            upgrade.under_way.push((node, Stage::Draining));
        }
        if !upgrade.is_over() {
            self.queue.push(self.now + LOOK, What::Guide);
        }
        self.upgrade = Some(upgrade);
    }

    fn advance(&mut self, node: usize, stage: Stage) -> Stage {
        let known = &self.nodes[node];
        match stage {
            Stage::Draining => {
                let phase = known.process.as_ref().map(|process| process.phase());
                if phase != Some(DrainPhase::Drained) {
                    return stage;
                }
                let boot = known.boot;
                self.tell(node, |node, now| {
                    node.tell(now, |health, local| health.handle_stop(local, "upgrade"));
                });
                Stage::Ending(boot)
            }
            Stage::Ending(boot) => {
                let level = known.verdict().map(|verdict| verdict.level);
                let is_back = known.boot > boot && level == Some(Level::Preferred);
                if is_back { Stage::Done } else { stage }
            }
            Stage::Done => stage,
        }
    }
}
