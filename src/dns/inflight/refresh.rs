//! Questions that nobody waits for, so that their answers reach the cache: clients go first.

use std::time::Instant;

use super::super::client::Asker;
use super::super::forward::Wish;
use super::super::key::Key;
use super::Flights;
use super::limits::Party;

impl<W> Flights<W> {
    /// Whether [`Flights::refresh`] would ask: upstreams are as well as the wish demands, and there is
    /// plenty of room. Spares the claim of an answer that cannot be fetched now.
    #[must_use]
    pub fn may_refresh(&self, key: &Key, wish: Wish) -> bool {
        let zone = self.zone_of(key);
        let is_possible = match wish {
            Wish::Early => self.upstreams.zone_is_well(zone),
            Wish::Again => self.upstreams.zone_usable(zone),
        };
        is_possible && self.finds_plenty_of_room(self.party(zone, Asker::default()))
    }

    /// Begins a question that nobody waits for; whether it began. It does not when it is under way,
    /// when it cannot be asked, or unless there is plenty of room.
    #[must_use]
    pub fn refresh(&mut self, key: &Key, now: Instant) -> bool {
        let fingerprint = self.fingerprint(key);
        let (zone, asker) = (self.zone_of(key), Asker::default());
        let party = self.party(zone, asker);
        self.table.find(key, fingerprint).is_none()
            && self.upstreams.zone_usable(zone)
            && self.finds_plenty_of_room(party)
            // Nobody has to be told why it did not begin.
            && self
                .begin(key, fingerprint, (zone, party, asker), now)
                .is_ok()
    }

    fn finds_plenty_of_room(&self, party: Party) -> bool {
        let is_busy =
            self.lanes[party.zone].window.is_crowded() || !self.queue.is_empty(party.zone);
        let is_half_full = self.under_way() * 2 >= self.limits.questions;
        let has_room = !is_busy && !is_half_full && self.places.has_room(party);
        if !has_room {
            self.counters.refreshes_dropped.bump();
        }
        has_room
    }
}
