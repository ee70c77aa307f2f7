//! Questions under way for one worker, as a value: identical ones joined, several upstreams raced.
//!
//! One question asks the best upstream of its zone. Its deadline is one for all that follows:
//! - **Hedge**: when the answer takes longer than usual for this upstream ([`Upstreams::hedge_after`])
//!   the next one is asked as well, if the zone's [budget](budget) of a tenth of its questions allows
//!   it. The same budget pays for asking an upstream again. When half of the time is gone the question
//!   is asked once more whatever the budget says: nobody loses an answer for thrift's sake.
//! - **Fail-over**: at once and without budget when an upstream is silent, is refused by the network,
//!   or gives an error; to an upstream that has not been asked, so at most once for each.
//! - All that were asked are listened to until one gives an acceptable answer (NOERROR, NXDOMAIN,
//!   YXDOMAIN) that is of use: a referral is not. An error is handed on only when nothing better can come, except for a SERVFAIL that is
//!   a verdict of DNSSEC (RFC 8914 §4.7 to §4.13), which others would only repeat.
//! - **Last resort**: when every upstream of the zone is dead, up to two siblings are asked, but never
//!   for another node: no question goes round. Siblings whose upstreams are dead too have their caches
//!   still, and are asked within a [ration](super::upstream::RATION_PER_SECOND).
//!
//! How much there may be is shared out over zones and client prefixes ([`limits`]); what upstreams
//! cannot take at a time waits in a [fair queue](queue) behind a [window](window) of its zone. Places,
//! chains and timers are used again and again: in the steady state a question allocates nothing.
//!
//! Source: RFC 1035 §7.2 (sending the queries), RFC 6891 §7 (FORMERR: again without EDNS), RFC 7766 §5
//! (TCP after truncation), RFC 8767 §5 (a client that waits less long than the question).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Asker;
use super::exchange::query::Edns;
use super::forward::{Done, Failure, Outcome};
use super::key::Key;
use super::quality::Tallies;
use super::upstream::{UpstreamIndex, Upstreams, ZoneIndex, is_acceptable};

mod budget;
pub mod counters;
pub(super) mod domain;
mod hearing;
pub mod limits;
pub mod metrics;
mod outcome;
mod queue;
mod race;
mod refresh;
mod streams;
mod table;
pub mod trace;
mod turns;
mod waiters;
pub mod wheel;
mod window;

use budget::Budget;
use counters::FlightCounters;
use limits::{Party, Room};
use queue::FairQueue;
use race::Orphan;
use streams::Stream;
use table::Table;
use trace::{End, Trace, Traces};
use waiters::Terms;
use wheel::Wheel;
use window::{Fate, Window};

pub use limits::Limits;

/// How often it is looked whether all that a question waits for has been found dead.
pub const HOPE_CHECK: Duration = Duration::from_millis(50);
/// A question waits at most this long for its turn; then there is no hope of an answer worth having.
pub const QUEUE_TIME: Duration = Duration::from_millis(400);
/// Siblings that are asked for one question.
pub const SIBLINGS_MAX: usize = 2;

/// A question under way; names nothing any more once that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightId {
    place: usize,
    generation: u32,
}

/// One question to one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The question.
    pub flight: FlightId,
    /// Whom.
    pub upstream: UpstreamIndex,
    /// How: a sibling gets the marker, by TCP too.
    pub edns: Edns,
}

/// A whole answer to an attempt.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Without what came behind it.
    pub message: &'a mut [u8],
    /// With the upper bits from OPT.
    pub rcode: u16,
    /// The INFO-CODE of an Extended DNS Error. RFC 8914 §2.
    pub reason: Option<u16>,
}

/// What the owner of [`Flights`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send a datagram.
    Send(Attempt),
    /// Ask again over TCP, and tell [`Flights::handle_tcp`].
    AskOverTcp(Attempt),
}

/// The table of questions with those who wait for them, of the type `W`.
#[derive(Debug)]
pub struct Flights<W> {
    upstreams: Arc<Upstreams>,
    limits: Limits,
    table: Table<W>,
    places: Room,
    waiters: Room,
    questions_of_siblings: usize,
    /// By position of the zone.
    lanes: Box<[Lane]>,
    queue: FairQueue,
    /// Zones whose windows have become wider or emptier.
    freed: Vec<usize>,
    wheel: Wheel,
    commands: VecDeque<Command>,
    /// The next look for hope, and how many upstreams had been lost at the last one.
    hope_check: Option<Instant>,
    losses: u64,
    /// By upstream: the first attempt that nobody watches any more, for it may still tell of silence.
    orphans: Box<[Option<Orphan>]>,
    orphan_due: Option<Instant>,
    /// By upstream.
    streams: Box<[Stream]>,
    siblings: Vec<UpstreamIndex>,
    leaving: Vec<W>,
    traces: Traces,
    counters: Arc<FlightCounters>,
    tallies: Arc<Tallies>,
}

/// What all questions of a zone share.
#[derive(Debug)]
struct Lane {
    window: Window,
    budget: Budget,
}

impl<W> Flights<W> {
    /// An empty table.
    #[must_use]
    pub fn new(upstreams: Arc<Upstreams>, limits: Limits, now: Instant) -> Self {
        let zones = upstreams.zones().count();
        let lane = |_| Lane {
            window: Window::new(limits.window, limits.questions, now),
            budget: Budget::new(now),
        };
        let flights = Self {
            limits,
            table: Table::new(limits.questions),
            places: Room::new(limits.questions, zones),
            waiters: Room::new(limits.waiters, zones),
            questions_of_siblings: 0,
            lanes: (0..zones).map(lane).collect(),
            queue: FairQueue::new(zones, limits.queued_each()),
            freed: Vec::new(),
            wheel: Wheel::new(now),
            commands: VecDeque::new(),
            hope_check: None,
            losses: upstreams.losses(),
            orphans: upstreams.indexes().map(|_| None).collect(),
            orphan_due: None,
            streams: upstreams.indexes().map(|_| Stream::default()).collect(),
            siblings: Vec::new(),
            leaving: Vec::new(),
            traces: Traces::new(),
            counters: Arc::default(),
            tallies: upstreams.quality().join(),
            upstreams,
        };
        flights.show_window();
        flights
    }

    /// Lets `counters` be what is counted in from now on.
    pub fn count_in(&mut self, counters: Arc<FlightCounters>) {
        self.counters = counters;
        self.show_window();
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> &FlightCounters {
        &self.counters
    }

    /// Different questions under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.table.len()
    }

    /// Waiters for all of them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.used()
    }

    /// The keyed hash of a question: nobody outside can find two with the same.
    #[must_use]
    pub fn fingerprint(&self, key: &Key) -> u64 {
        self.table.fingerprint(key)
    }

    /// A question under way with its fingerprint; `None` when it has ended.
    #[must_use]
    pub fn question(&self, flight: FlightId) -> Option<(&Key, u64)> {
        self.table
            .get(flight)
            .map(|race| (&race.key, race.fingerprint))
    }

    /// Whether the zone of a question has an upstream that is believed to answer; siblings count for
    /// nothing.
    #[must_use]
    pub fn is_usable(&self, key: &Key) -> bool {
        self.upstreams.zone_usable(self.zone_of(key))
    }

    /// The last questions that failed or took over [`trace::SLOW`], oldest first, at most
    /// [`trace::TRACES_MAX`].
    pub fn recent_traces(&self) -> impl Iterator<Item = &Trace> {
        self.traces.recent()
    }

    /// Lets the next question with this key that ends be kept for [`Flights::take_trace`].
    pub fn trace_next(&mut self, key: &Key) {
        self.traces.want(key);
    }

    /// What [`Flights::trace_next`] has brought.
    pub fn take_trace(&mut self) -> Option<Trace> {
        self.traces.take_wanted()
    }

    fn zone_of(&self, key: &Key) -> ZoneIndex {
        self.upstreams.zone_for_question(key.name(), key.qtype())
    }

    /// Lets `waiter` wait for the outcome of a question, which begins now or is under way. At
    /// `give_up_at` it hears [`Outcome::NotYet`], and the question goes on without it.
    ///
    /// # Errors
    /// [`Failure::NoneUsable`] and [`Failure::Saturated`], with the waiter given back.
    pub fn ask(
        &mut self,
        key: &Key,
        asker: Asker,
        waiter: W,
        give_up_at: Option<Instant>,
        now: Instant,
    ) -> Result<(), (Failure, W)> {
        let zone = self.zone_of(key);
        let upstreams = &self.upstreams;
        let fingerprint = self.table.fingerprint(key);
        let joined = self.table.find(key, fingerprint);
        let has_last_resort = || match joined {
            _ if asker.is_marked => false,
            Some(_) => upstreams.has_last_resort(zone),
            None => upstreams.admits_last_resort(zone, now),
        };
        if !upstreams.zone_usable(zone) && !has_last_resort() {
            self.tell_failure(key, zone, asker, now);
            return Err((Failure::NoneUsable, waiter));
        }
        let party = self.party(zone, asker);
        if joined.is_some_and(|place| asker.is_marked && self.table[place].is_last_resort) {
            return Err((Failure::NoneUsable, waiter));
        }
        let others = joined.map_or(0, |place| self.table[place].waiters.len());
        if others >= self.limits.waiters_each() || !self.waiters.has_room(party) {
            self.counters.waiters_refused.bump();
            self.upstreams.count_saturated();
            return Err((Failure::Saturated, waiter));
        }
        let begun = match joined {
            Some(place) => {
                self.hurry(place, asker.prefix);
                Ok(place)
            }
            None => self.begin(key, fingerprint, (zone, party, asker), now),
        };
        let place = match begun {
            Ok(place) => place,
            Err(failure) => return Err((failure, waiter)),
        };
        self.add_waiter(place, waiter, (party, asker), give_up_at);
        Ok(())
    }

    fn party(&self, zone: ZoneIndex, asker: Asker) -> Party {
        Party {
            zone: zone.position(),
            bucket: self.table.hash_of(asker.prefix) as usize % limits::BUCKETS,
        }
    }

    fn add_waiter(
        &mut self,
        place: usize,
        waiter: W,
        (party, asker): (Party, Asker),
        give_up_at: Option<Instant>,
    ) {
        let race = &mut self.table[place];
        let before = race.wake_at();
        let terms = Terms {
            give_up_at,
            bucket: party.bucket,
            is_marked: asker.is_marked,
        };
        race.waiters.push(waiter, terms);
        self.waiters.take(party);
        let wake_at = race.wake_at();
        if wake_at < before {
            self.wheel.arm(place, wake_at);
        }
    }

    /// Takes a place for a question, and asks or lets it wait for its turn.
    fn begin(
        &mut self,
        key: &Key,
        fingerprint: u64,
        (zone, party, asker): (ZoneIndex, Party, Asker),
        now: Instant,
    ) -> Result<usize, Failure> {
        let is_over =
            asker.is_sibling && self.questions_of_siblings >= self.limits.questions_of_siblings();
        let has_to_wait =
            self.lanes[party.zone].window.is_full() || !self.queue.is_empty(party.zone);
        let cannot_wait = has_to_wait && !self.queue.has_room(party.zone, asker.prefix);
        if is_over || cannot_wait || !self.places.has_room(party) {
            self.counters.questions_refused.bump();
            self.upstreams.count_saturated();
            return Err(Failure::Saturated);
        }
        let place = self.table.take_vacant(key, zone, now);
        let race = &mut self.table[place];
        (race.zone, race.party, race.asker) = (zone, party, asker);
        race.begin(key, fingerprint, (now, now + self.limits.deadline));
        if has_to_wait {
            race.queued_until = Some(now + QUEUE_TIME.min(self.limits.deadline));
            self.line_up(place, asker.prefix);
            self.counters.queued.bump();
        } else if !self.start(place, !asker.is_marked, now) {
            self.abandon(place);
            return Err(Failure::NoneUsable);
        }
        self.lanes[party.zone].budget.earn(now);
        self.places.take(party);
        self.questions_of_siblings += usize::from(asker.is_sibling);
        self.table.link(place);
        self.hope_check.get_or_insert(now + HOPE_CHECK);
        self.wheel.arm(place, self.table[place].wake_at());
        Ok(place)
    }

    /// What is to be done next; to be called until there is nothing more.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Ends the question with the best of the poor answers, or without any.
    fn give_up(&mut self, place: usize, failure: Failure, now: Instant, done: &mut Done<'_, W>) {
        match self.table[place].take_poor() {
            Some((mut message, rcode)) => {
                let answered = Outcome::Answered(&mut message);
                self.end(place, answered, End::of_poor(rcode), now, done);
            }
            None => self.end(
                place,
                Outcome::Failed(failure),
                End::Failed(failure),
                now,
                done,
            ),
        }
    }

    fn end(
        &mut self,
        place: usize,
        outcome: Outcome<'_>,
        end: End,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        self.wheel.cancel(place);
        self.leave_window(place, Fate::Unknown, now);
        self.table.unlink(place);
        self.tell_outcome(place, end, now);
        let race = &mut self.table[place];
        let party = race.party;
        if race.is_queued {
            self.queue.remove(party.zone, race.turn, place);
        }
        for terms in race.waiters.terms() {
            let bucket = terms.bucket;
            self.waiters.give_back(Party { bucket, ..party });
        }
        done(&race.key, outcome, race.waiters.drain());
        let is_conclusive = matches!(end, End::Answered(rcode) if is_acceptable(rcode));
        let quality = self.upstreams.quality();
        let domain = |apex: &[u8], name: &[u8]| quality.domain_hash(apex, name);
        race.testify(&self.upstreams, domain, is_conclusive, now);
        let took = race.age(now);
        let never_had_a_turn = race.queued_until.is_some();
        let is_notable = !is_conclusive || took >= trace::SLOW;
        self.traces.ended(&race.key, is_notable, || Trace {
            key: race.key,
            begun: race.begun,
            queued: if never_had_a_turn {
                took
            } else {
                race.queued_for
            },
            took,
            end,
            steps: race.steps,
        });
        let (orphans, due) = (&mut self.orphans, &mut self.orphan_due);
        race.end(&self.upstreams, |orphan| {
            if let Some(vacant @ None) = orphans.get_mut(orphan.upstream.position()) {
                *due = Some(due.map_or(orphan.overdue_at, |due| due.min(orphan.overdue_at)));
                *vacant = Some(orphan);
            }
        });
        self.questions_of_siblings -= usize::from(race.asker.is_sibling);
        self.places.give_back(party);
        self.table.give_back(place);
    }
}

#[cfg(test)]
mod tests;
