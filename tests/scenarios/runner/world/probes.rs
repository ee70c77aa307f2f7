//! Probes of upstreams, as `dns::upkeep` sends them.

use std::time::Instant;

use futures_util::FutureExt;
use rand::RngExt;
use sidestep::dns::exchange::query::{self, Edns};
use sidestep::dns::key::Key;
use sidestep::dns::upstream::{Errand, UpstreamIndex};

use super::{By, Event, Pending, World};

impl World {
    pub(super) fn probe_what_is_due(&mut self, now: Instant) {
        for position in 0..self.keepers.len() {
            let index = self.keepers[position].index;
            let errand = self.upstreams.errand(index);
            if errand == Errand::Nothing || self.keepers[position].pacing.next() > now {
                continue;
            }
            match errand {
                Errand::Probe => self.probe(index, now),
                Errand::Expire => self.upstreams.expire(index, now),
                Errand::Nothing => {}
            }
            let (condition, jitter) = (self.upstreams.condition(index), self.random.random());
            let pacing = &mut self.keepers[position].pacing;
            match errand {
                Errand::Probe => pacing.sent(condition, now, jitter),
                Errand::Expire | Errand::Nothing => pacing.rested(condition, now, jitter),
            }
        }
    }

    /// The same as `dns::upkeep` does.
    fn probe(&mut self, index: UpstreamIndex, now: Instant) {
        let apex = self.upstreams.apex(index);
        let is_sibling = self.upstreams.is_sibling(index);
        let (name, qtype) = if is_sibling {
            ([&b"\x05chanc"[..], apex].concat(), 1)
        } else {
            (apex.to_vec(), if apex == [0] { 2 } else { 6 })
        };
        let Some(key) = Key::new(&name, qtype, 1, false, false) else {
            return;
        };
        let id = self.random.random();
        let edns = if is_sibling {
            Edns::Sibling
        } else {
            Edns::Without
        };
        let message = query::build(&key, id, edns);
        let pending = Pending {
            asker: By::Probe(id, key),
            index,
            sent: now,
        };
        let serial = self.send(pending, message);
        let (late, missed) = self.upstreams.probe_patience(index);
        self.happens_at(now + late, Event::ProbeLate(serial));
        self.happens_at(now + missed, Event::ProbeMissed(serial));
    }

    pub(super) fn wake_keepers(&mut self, now: Instant) {
        for keeper in &mut self.keepers {
            let woken = self.upstreams.wake(keeper.index).notified().now_or_never();
            if woken.is_some() {
                keeper.pacing.woken(
                    self.upstreams.condition(keeper.index),
                    now,
                    self.random.random(),
                );
            }
        }
    }
}
