//! Siblings: the other nodes of the service, asked when all ordinary upstreams of a zone are down.
//!
//! They are upstreams of the same table, but no members of the order of asking, and nothing is known
//! of them until they are needed: a service may have thousands of nodes, and every one of them would
//! probe all others. Only while the zone has no usable upstream, siblings that have failed are probed,
//! at the pace of upstreams; in all other times what was held against one expires by itself.
//!
//! A sibling answers without upstreams as well: from its cache, or that it cannot help. Any answer
//! therefore shows that it lives, and closes a breaker that the network has opened. One that cannot
//! help is *dry*: what it has in its cache is worth asking for, so it is asked on, after those that are
//! not and within a ration, until it gives an acceptable answer to a probe, which asks for a name that
//! no cache has. That it has not some name is remembered with the name, as for any other failure.

use std::net::IpAddr;
use std::time::Instant;

use super::pacing::Condition;
use super::{UpstreamIndex, Upstreams, ZoneIndex};

mod ration;

pub(super) use ration::Ration;
pub use ration::{RATION_BURST, RATION_PER_SECOND};

/// More siblings than this are not named for one question.
pub const SIBLINGS_NAMED: usize = 4;

/// What upkeep has to do about an upstream when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Nothing before the next wake.
    Nothing,
    /// Send a probe.
    Probe,
    /// Tell [`Upstreams::expire`].
    Expire,
}

impl Upstreams {
    /// Whether an upstream is another node of the service.
    #[must_use]
    pub fn is_sibling(&self, index: UpstreamIndex) -> bool {
        self.state(index).is_sibling()
    }

    /// The address that a sibling is asked from: one of this node's on the list, for siblings know each
    /// other by these. `None`: the kernel may choose.
    #[must_use]
    pub fn source(&self, index: UpstreamIndex) -> Option<IpAddr> {
        let state = self.state(index);
        let to = state.address.ip();
        let reaches =
            |own: &&IpAddr| own.is_ipv4() == to.is_ipv4() && own.is_loopback() == to.is_loopback();
        let own = self.zone(state).own_siblings.iter().find(reaches);
        own.copied().filter(|_| state.is_sibling())
    }

    /// Whether a sibling is asked on behalf of the zone, within a ration or without.
    #[must_use]
    pub fn has_last_resort(&self, zone: ZoneIndex) -> bool {
        self.siblings(zone).any(|index| self.is_up(index))
    }

    /// Whether one may be asked one more question now; if not, that is counted.
    #[must_use]
    pub fn admits_last_resort(&self, zone: ZoneIndex, now: Instant) -> bool {
        let is_admitted = self
            .siblings(zone)
            .any(|index| self.is_up(index) && self.has_share(index, now));
        if !is_admitted {
            for index in self.siblings(zone).filter(|&index| self.is_up(index)) {
                self.state(index).ration.deny();
            }
        }
        is_admitted
    }

    /// Whether an upstream may be asked one more question now as far as its ration goes, which only
    /// siblings have that are dry.
    #[must_use]
    pub fn has_share(&self, index: UpstreamIndex, now: Instant) -> bool {
        self.state(index).ration.has_share(self.micros(now))
    }

    /// A question goes to a sibling.
    pub fn take_share(&self, index: UpstreamIndex, now: Instant) {
        self.state(index).ration.take(self.micros(now));
    }

    /// A question does not go to a sibling, whose ration is spent.
    pub fn deny_share(&self, index: UpstreamIndex) {
        self.state(index).ration.deny();
    }

    /// Whether a sibling has said that its upstreams are dead too, and no other word since.
    #[must_use]
    pub fn is_dry(&self, index: UpstreamIndex) -> bool {
        self.state(index).ration.is_dry()
    }

    /// Fills `into` with up to [`SIBLINGS_NAMED`] siblings that may be asked at `now`, dry ones last and
    /// suspected ones behind others. They are taken from `rotation` (a number of chance) on, so that all
    /// nodes of a service spread what they ask over all others.
    pub fn siblings_for(
        &self,
        zone: ZoneIndex,
        (rotation, now): (u32, Instant),
        into: &mut Vec<UpstreamIndex>,
    ) {
        into.clear();
        let siblings = self.siblings(zone);
        let count = siblings.len().max(1);
        let first = usize::try_from(rotation).unwrap_or(0) % count;
        for rank in [(false, false), (false, true), (true, false), (true, true)] {
            let usable = siblings.clone().cycle().skip(first).take(siblings.len());
            let room = SIBLINGS_NAMED - into.len();
            into.extend(
                usable
                    .filter(|&index| {
                        let state = self.state(index);
                        let is_usable = state.is_up() && self.has_share(index, now);
                        is_usable && (state.ration.is_dry(), state.is_suspected()) == rank
                    })
                    .take(room),
            );
        }
    }

    /// What is due for an upstream.
    #[must_use]
    pub fn errand(&self, index: UpstreamIndex) -> Errand {
        let state = self.state(index);
        if !state.is_sibling() {
            return Errand::Probe;
        }
        match self.condition(index) {
            // A doubted sibling is asked and not probed: it has no better one to wait for.
            Condition::Good | Condition::Doubted => Errand::Nothing,
            Condition::Suspected | Condition::Down | Condition::Dark => {
                if self.zone_usable(ZoneIndex(state.zone)) {
                    Errand::Expire
                } else {
                    Errand::Probe
                }
            }
        }
    }

    /// Nobody needs this sibling now, and its time has passed: next time it is tried anew.
    pub fn expire(&self, index: UpstreamIndex, now: Instant) {
        let state = self.state(index);
        let effect = state.expire(self.micros(now));
        self.tell(state, effect);
    }

    fn siblings(
        &self,
        zone: ZoneIndex,
    ) -> impl ExactSizeIterator<Item = UpstreamIndex> + Clone + use<> {
        self.zones[zone.0].siblings.clone().map(UpstreamIndex)
    }
}

#[cfg(test)]
mod tests;
