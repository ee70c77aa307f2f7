//! Who is asked next, and when: fail-over, hedge, last resort; whose turn it is in the queue.

use std::time::{Duration, Instant};

use super::super::client::Prefix;
use super::super::exchange::query::Edns;
use super::super::forward::{Done, Failure, Outcome};
use super::limits::Party;
use super::race::Candidate;
use super::trace::{Came, Why};
use super::window::Fate;
use super::{Attempt, Command, FlightId, Flights, HOPE_CHECK, SIBLINGS_MAX};

/// A question that was denied another upstream looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl<W> Flights<W> {
    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant, done: &mut Done<'_, W>) {
        while let Some(place) = self.wheel.pop_due(now) {
            self.wake(place, now, done);
        }
        self.watch_orphans(now);
        if self.hope_check.is_some_and(|at| at <= now) {
            self.hope_check = (self.under_way() > 0).then(|| now + HOPE_CHECK);
            self.look_for_hope(now, done);
        }
        self.admit(now, done);
    }

    /// When to call [`Flights::handle_timeout`] next; `None` when nothing is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.under_way() == 0 {
            return self.orphan_due;
        }
        let due = self.wheel.poll_timeout();
        [due, self.hope_check, self.orphan_due]
            .into_iter()
            .flatten()
            .min()
    }

    fn look_for_hope(&mut self, now: Instant, done: &mut Done<'_, W>) {
        let losses = self.upstreams.losses();
        if std::mem::replace(&mut self.losses, losses) == losses {
            return;
        }
        for place in self.table.places() {
            let race = &self.table[place];
            if race.has_started() && !race.has_hope(&self.upstreams) {
                self.exhaust(place, now, done);
            }
        }
    }

    /// Attempts whose questions ended before they were late: silence is noticed all the same.
    fn watch_orphans(&mut self, now: Instant) {
        if self.orphan_due.is_none_or(|due| now < due) {
            return;
        }
        for orphan in &mut self.orphans {
            if let Some(late) = orphan.take_if(|orphan| orphan.overdue_at <= now) {
                self.upstreams.overdue(
                    late.upstream,
                    super::super::upstream::Asked::Question,
                    late.sent,
                );
            }
        }
        let times = self.orphans.iter().flatten();
        self.orphan_due = times.map(|orphan| orphan.overdue_at).min();
    }

    /// The time has come for a question: one of those that [`super::race::Race::wake_at`] looks at.
    fn wake(&mut self, place: usize, now: Instant, done: &mut Done<'_, W>) {
        let race = &mut self.table[place];
        if race.deadline <= now {
            return self.give_up(place, Failure::TimedOut, now, done);
        }
        if race.queued_until.is_some_and(|until| until <= now) {
            self.counters.queue_drops.bump();
            self.upstreams.count_saturated();
            return self.give_up(place, Failure::Saturated, now, done);
        }
        if race.waiters.soonest().is_some_and(|at| at <= now) {
            let gives_up = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            self.dismiss(
                place,
                Outcome::NotYet,
                |terms| gives_up(terms.give_up_at),
                done,
            );
        }
        let race = &mut self.table[place];
        if race.queued_until.is_some() {
            return self.wheel.arm(place, race.wake_at());
        }
        while let Some(upstream) = self.table[place].next_overdue(&self.upstreams, now) {
            self.note_overdue(place, upstream, now);
        }
        self.look_at_tcp(place, now);
        if self.table[place].look_at.is_some_and(|at| at <= now) {
            self.look(place, now);
        }
        self.settle(place, now, done);
    }

    /// Lets waiters go before the question has ended.
    fn dismiss(
        &mut self,
        place: usize,
        outcome: Outcome<'_>,
        over: impl Fn(&super::waiters::Terms) -> bool,
        done: &mut Done<'_, W>,
    ) {
        let race = &mut self.table[place];
        let (party, room) = (race.party, &mut self.waiters);
        race.waiters.take(over, &mut self.leaving, |terms| {
            let bucket = terms.bucket;
            room.give_back(Party { bucket, ..party });
        });
        done(&race.key, outcome, self.leaving.drain(..));
    }

    /// Other nodes must not wait for what siblings are asked: no question goes round.
    fn dismiss_siblings(&mut self, place: usize, done: &mut Done<'_, W>) {
        let race = &self.table[place];
        if race.is_last_resort && race.waiters.terms().any(|terms| terms.is_marked) {
            let failed = Outcome::Failed(Failure::NoneUsable);
            self.dismiss(place, failed, |terms| terms.is_marked, done);
        }
    }

    fn note_overdue(&mut self, place: usize, upstream: super::UpstreamIndex, now: Instant) {
        let race = &mut self.table[place];
        let age = race.age(now);
        race.steps.note(upstream, Came::Late, age);
        if race.inside.is_some_and(|(_, whose)| whose == upstream) {
            // A dead upstream is no congestion: questions fail over from it.
            let fate = if self.upstreams.is_silent(upstream) {
                Fate::Unknown
            } else {
                Fate::Lost
            };
            self.leave_window(place, fate, now);
        }
    }

    /// Arms the timer of a question that goes on, or ends one that nothing can come of.
    pub(super) fn settle(&mut self, place: usize, now: Instant, done: &mut Done<'_, W>) {
        if self.table[place].has_hope(&self.upstreams) {
            self.wheel.arm(place, self.table[place].wake_at());
        } else {
            self.exhaust(place, now, done);
        }
    }

    /// Nobody is left who could answer, unless there is a last resort.
    fn exhaust(&mut self, place: usize, now: Instant, done: &mut Done<'_, W>) {
        let race = &self.table[place];
        if race.is_for_client() && !race.is_last_resort && self.turn_to_siblings(place, now) {
            self.dismiss_siblings(place, done);
            return self.wheel.arm(place, self.table[place].wake_at());
        }
        let failure = self.table[place].verdict();
        self.give_up(place, failure, now, done);
    }

    /// Asks the first upstream, or, for a client, the first sibling when there is none; whether there
    /// was one.
    pub(super) fn start(&mut self, place: usize, is_for_client: bool, now: Instant) -> bool {
        let race = &mut self.table[place];
        race.queued_for = race.age(now);
        race.queued_until = None;
        if !race.admit_upstreams(&self.upstreams, now) {
            return is_for_client && self.turn_to_siblings(place, now);
        }
        if let Some(first) = race.candidate(&self.upstreams) {
            self.send(place, first, Why::First, now);
        }
        true
    }

    /// Takes back the place of a question that could not begin after all. Siblings that were admitted
    /// may have been lost since, at another worker: left behind, they would be taken for a question
    /// under way.
    pub(super) fn abandon(&mut self, place: usize) {
        self.table[place].end(&self.upstreams, |_| {});
        self.table.give_back(place);
    }

    /// Asks a sibling, if all upstreams of the zone are dead.
    fn turn_to_siblings(&mut self, place: usize, now: Instant) -> bool {
        let race = &mut self.table[place];
        if self.upstreams.zone_usable(race.zone) {
            return false;
        }
        // The hash is keyed at each worker of each node: as good as chance.
        let rotation = (race.fingerprint >> 32) as u32;
        self.upstreams
            .siblings_for(race.zone, (rotation, now), &mut self.siblings);
        if !race.admit_siblings(&self.siblings, SIBLINGS_MAX, now) {
            return false;
        }
        let Some(first) = self.candidate(place, now) else {
            return false;
        };
        self.counters.last_resort.bump();
        self.send(place, first, Why::Sibling, now);
        true
    }

    /// Asks an upstream that has not been asked, if there is one: no budget is needed.
    pub(super) fn fail_over(&mut self, place: usize, now: Instant) -> bool {
        let next = self.candidate(place, now);
        let Some(next) = next.filter(|next| next.is_fresh) else {
            return false;
        };
        self.counters.failovers.bump();
        self.send(place, next, Why::FailOver, now);
        true
    }

    /// Who may be asked next; siblings whose rations are spent are not.
    fn candidate(&mut self, place: usize, now: Instant) -> Option<Candidate> {
        let race = &mut self.table[place];
        loop {
            let next = race.candidate(&self.upstreams)?;
            if !next.is_sibling || self.upstreams.has_share(next.upstream, now) {
                return Some(next);
            }
            self.upstreams.deny_share(next.upstream);
            race.pass_over(next.upstream);
        }
    }

    /// The answer takes longer than usual: sees whether another upstream is to be asked.
    pub(super) fn look(&mut self, place: usize, now: Instant) {
        let race = &mut self.table[place];
        race.look_at = None;
        if race.is_met_by_silence(&self.upstreams) && self.fail_over(place, now) {
            return;
        }
        let Some(next) = self.candidate(place, now) else {
            return;
        };
        let race = &mut self.table[place];
        let lane = &mut self.lanes[race.party.zone];
        let why = if next.is_fresh {
            Why::Hedge
        } else {
            Why::Retry
        };
        let is_half_over = race.age(now) * 2 >= self.limits.deadline;
        if race.is_alone() {
            if lane.window.is_full() && race.inside.is_none() {
                return self.queue_retry(place, now);
            }
            self.counters.retries.bump();
        } else if lane.budget.spend(now) {
            let count = if next.is_fresh {
                &self.counters.hedges
            } else {
                &self.counters.retries
            };
            count.bump();
        } else if is_half_over && !race.has_had.overtime {
            race.has_had.overtime = true;
            self.counters.overtime.bump();
            return self.send(place, next, Why::Overtime, now);
        } else {
            race.look_at = Some(now + LOOK_AGAIN);
            if !std::mem::replace(&mut race.has_had.denial, true) {
                self.counters.hedges_denied.bump();
            }
            return;
        }
        self.send(place, next, why, now);
    }

    /// A question that has to be asked once more waits for its turn like a new one.
    fn queue_retry(&mut self, place: usize, now: Instant) {
        let race = &mut self.table[place];
        let (zone, prefix) = (race.party.zone, race.asker.prefix);
        if race.is_queued {
            return;
        }
        if self.queue.has_room(zone, prefix) {
            self.line_up(place, prefix);
        } else {
            race.look_at = Some(now + LOOK_AGAIN);
        }
    }

    /// Lets a question wait for the turn of a prefix.
    pub(super) fn line_up(&mut self, place: usize, prefix: Prefix) {
        let race = &mut self.table[place];
        (race.is_queued, race.turn) = (true, prefix);
        self.queue.push(race.party.zone, prefix, place);
    }

    /// A client of `prefix` joins: a question that waits for the turn of a crowded prefix is not held
    /// up by that, or whoever floods could hold up the names that others want.
    pub(super) fn hurry(&mut self, place: usize, prefix: Prefix) {
        let race = &self.table[place];
        let (zone, turn) = (race.party.zone, race.turn);
        let waiting = |prefix| self.queue.waiting_of(zone, prefix);
        if race.is_queued && waiting(prefix) + 1 < waiting(turn) {
            self.queue.remove(zone, turn, place);
            self.line_up(place, prefix);
        }
    }

    fn send(&mut self, place: usize, next: Candidate, why: Why, now: Instant) {
        let race = &mut self.table[place];
        let why = if next.is_sibling {
            self.upstreams.take_share(next.upstream, now);
            Why::Sibling
        } else {
            why
        };
        race.ask(&self.upstreams, next.upstream, why, now);
        if race.inside.is_none() {
            let (name, bucket) = (race.key.name(), race.party.bucket);
            // Spread over the upper bits, which are looked at.
            let prefix = (bucket as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let window = &mut self.lanes[race.party.zone].window;
            let apex = self.upstreams.apex(next.upstream);
            let quality = self.upstreams.quality();
            let ticket = window.enter(|| (prefix, quality.domain_hash(apex, name)), now);
            race.inside = Some((ticket, next.upstream));
        }
        self.commands.push_back(Command::Send(Attempt {
            flight: FlightId {
                place,
                generation: race.generation,
            },
            upstream: next.upstream,
            edns: if next.is_sibling {
                Edns::Sibling
            } else {
                Edns::With
            },
        }));
    }

    /// A question is no longer on its way to an upstream.
    pub(super) fn leave_window(&mut self, place: usize, fate: Fate, now: Instant) {
        let race = &mut self.table[place];
        let Some((ticket, _)) = race.inside.take() else {
            return;
        };
        let zone = race.party.zone;
        let window = &mut self.lanes[zone].window;
        let before = window.size();
        window.leave(ticket, fate, now);
        let has_changed = window.size() != before;
        if !self.queue.is_empty(zone) && self.freed.last() != Some(&zone) {
            self.freed.push(zone);
        }
        if has_changed {
            self.show_window();
        }
    }

    pub(super) fn show_window(&self) {
        let sizes = self.lanes.iter().map(|lane| lane.window.size());
        self.counters.window.set(sizes.min().unwrap_or(0).into());
    }

    /// Starts questions that have waited for their turn, as far as there is room now.
    pub(super) fn admit(&mut self, now: Instant, done: &mut Done<'_, W>) {
        while let Some(zone) = self.freed.pop() {
            while !self.lanes[zone].window.is_full()
                && let Some(place) = self.queue.pop(zone)
            {
                let race = &mut self.table[place];
                race.is_queued = false;
                // Whoever asked first may have been joined, and have gone.
                let is_for_client = race.is_for_client();
                if race.has_started() {
                    self.look(place, now);
                    self.settle(place, now, done);
                } else if self.start(place, is_for_client, now) {
                    self.dismiss_siblings(place, done);
                    self.wheel.arm(place, self.table[place].wake_at());
                } else {
                    self.give_up(place, Failure::NoneUsable, now, done);
                }
            }
        }
    }
}
