//! What the end of a question says about the answers of its zone.
//!
//! Source: RFC 8914 §4.7 to §4.13 (verdicts of DNSSEC, which are about names).

use std::time::{Duration, Instant};

use super::super::client::Asker;
use super::super::forward::Failure;
use super::super::key::Key;
use super::super::quality::Ended;
use super::super::upstream::{ZoneIndex, is_acceptable};
use super::Flights;
use super::hearing::is_dnssec_verdict;
use super::trace::End;

impl<W> Flights<W> {
    /// A question has ended: counted, unless it says nothing about the upstreams.
    pub(super) fn tell_outcome(&self, place: usize, end: End, now: Instant) {
        let race = &self.table[place];
        let is_good = match end {
            // Load, not a failure.
            End::Failed(Failure::Saturated) => return,
            End::Answered(rcode) if is_acceptable(rcode) => !race.is_last_resort,
            End::Answered(_) if race.has_error_of(is_dnssec_verdict) => return,
            End::Answered(_)
            | End::Unusable
            | End::Failed(Failure::NoneUsable | Failure::Unanswered | Failure::TimedOut) => false,
        };
        // Nor is it the upstreams' fault how long it had to wait for its turn.
        let took = race.age(now).saturating_sub(race.queued_for);
        let took = is_good.then_some(took);
        self.tell(&race.key, race.zone, race.asker, took, now);
    }

    /// A question was not asked because no upstream of its zone is usable.
    pub(super) fn tell_failure(&self, key: &Key, zone: ZoneIndex, asker: Asker, now: Instant) {
        self.tell(key, zone, asker, None, now);
    }

    fn tell(&self, key: &Key, zone: ZoneIndex, asker: Asker, took: Option<Duration>, now: Instant) {
        // A refresh is nobody's question, and those of other nodes are counted there.
        if asker == Asker::default() || asker.is_sibling || asker.is_marked {
            return;
        }
        let ended = Ended {
            key,
            prefix: asker.prefix,
            took,
        };
        let quality = self.upstreams.quality();
        quality.ended(&self.tallies, zone.position(), ended, now);
    }
}
