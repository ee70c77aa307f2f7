//! Questions under way for one worker, as a value: identical ones joined, several upstreams raced.
//!
//! One question asks the best upstream; the next one is asked when the last has taken longer than
//! usual, at once when it failed or answered with an error. All that were asked are listened to until
//! one gives an acceptable answer (NOERROR, NXDOMAIN, YXDOMAIN). An error is handed on only when
//! nothing better can come. Each upstream is asked at most twice. Nothing waits on upstreams that are
//! known to be dead. Places, chains and timers are used again and again: in the steady state a question
//! allocates nothing.
//!
//! Source: RFC 1035 §7.2 (sending the queries), RFC 6891 §7 (FORMERR: again without EDNS), RFC 7766 §5
//! (TCP after truncation), RFC 8767 §5 (a client that waits less long than the question).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Asker;
use super::exchange::query::Edns;
use super::exchange::response::Response;
use super::forward::{Done, Failure, Outcome};
use super::key::Key;
use super::upstream::{FailureKind, UpstreamIndex, Upstreams, ZoneIndex};
use super::walk::HEADER;

mod race;
mod table;
mod waiters;
pub mod wheel;

use table::Table;
use wheel::Wheel;

/// How often it is looked whether all that a question waits for has been found dead.
pub const HOPE_CHECK: Duration = Duration::from_millis(50);

/// Bounds of one worker's forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Different questions under way. Default 4096.
    pub questions: usize,
    /// Waiters for all of them together. Default 16384.
    pub waiters: usize,
    /// TCP connections to upstreams at a time. Default 64.
    pub tcp: usize,
    /// From a question to its outcome. Default 2 s: less than any client's own timer (5 s in
    /// glibc, 3 s in `nslookup`'s first try), so that it hears from us and not from its timer.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            questions: 4096,
            waiters: 16_384,
            tcp: 64,
            deadline: Duration::from_secs(2),
        }
    }
}

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
    /// How, over UDP.
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
    waiting: usize,
    wheel: Wheel,
    commands: VecDeque<Command>,
    /// The next look for hope, and how many upstreams had been lost at the last one.
    hope_check: Option<Instant>,
    losses: u64,
    impatient: Vec<W>,
}

impl<W> Flights<W> {
    /// An empty table.
    #[must_use]
    pub fn new(upstreams: Arc<Upstreams>, limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            table: Table::new(limits.questions),
            waiting: 0,
            wheel: Wheel::new(now),
            commands: VecDeque::new(),
            hope_check: None,
            losses: upstreams.losses(),
            impatient: Vec::new(),
            upstreams,
        }
    }

    /// Different questions under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.table.len()
    }

    /// Waiters for all of them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
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

    /// Whether the zone of a question has an upstream that is believed to answer.
    #[must_use]
    pub fn is_usable(&self, key: &Key) -> bool {
        let upstreams = &self.upstreams;
        upstreams.zone_usable(upstreams.zone_for_question(key.name(), key.qtype()))
    }

    /// Lets `waiter` wait for the outcome of a question, which begins now or is under way. At
    /// `give_up_at` it hears [`Outcome::NotYet`], and the question goes on without it.
    ///
    /// # Errors
    /// [`Failure::NoneUsable`] and [`Failure::Saturated`], with the waiter given back.
    pub fn ask(
        &mut self,
        key: &Key,
        _asker: Asker,
        waiter: W,
        give_up_at: Option<Instant>,
        now: Instant,
    ) -> Result<(), (Failure, W)> {
        let zone = self.upstreams.zone_for_question(key.name(), key.qtype());
        if !self.upstreams.zone_usable(zone) {
            return Err((Failure::NoneUsable, waiter));
        }
        let fingerprint = self.fingerprint(key);
        let under_way = self.table.find(key, fingerprint);
        let is_full = under_way.is_none() && self.under_way() >= self.limits.questions;
        if is_full || self.waiting >= self.limits.waiters {
            self.upstreams.count_saturated();
            return Err((Failure::Saturated, waiter));
        }
        if let Some(place) = under_way {
            self.add_waiter(place, waiter, give_up_at);
            return Ok(());
        }
        let Some(place) = self.begin(key, fingerprint, zone, now) else {
            return Err((Failure::NoneUsable, waiter));
        };
        self.add_waiter(place, waiter, give_up_at);
        Ok(())
    }

    fn add_waiter(&mut self, place: usize, waiter: W, give_up_at: Option<Instant>) {
        let race = &mut self.table[place];
        let before = race.wake_at();
        race.waiters.push(waiter, give_up_at);
        self.waiting += 1;
        let wake_at = race.wake_at();
        if wake_at < before {
            self.wheel.arm(place, wake_at);
        }
    }

    /// Begins a question that nobody waits for, so that its answer reaches the cache. Nothing happens
    /// when it is under way, when it cannot be asked, or where there is no room.
    pub fn refresh(&mut self, key: &Key, now: Instant) {
        let fingerprint = self.fingerprint(key);
        let zone = self.upstreams.zone_for_question(key.name(), key.qtype());
        let is_full = self.under_way() >= self.limits.questions;
        if !is_full && self.table.find(key, fingerprint).is_none() {
            self.begin(key, fingerprint, zone, now);
        }
    }

    /// Takes a place for a question; `None`: no upstream of its zone is usable.
    fn begin(
        &mut self,
        key: &Key,
        fingerprint: u64,
        zone: ZoneIndex,
        now: Instant,
    ) -> Option<usize> {
        let place = self.table.take_vacant(key, now);
        let race = &mut self.table[place];
        self.upstreams.order(zone, &mut race.contenders);
        if race.contenders.is_empty() {
            self.table.give_back(place);
            return None;
        }
        race.begin(key, fingerprint, now + self.limits.deadline);
        self.table.link(place);
        self.hope_check.get_or_insert(now + HOPE_CHECK);
        self.turn_to_next(place, now);
        self.wheel.arm(place, self.table[place].wake_at());
        Some(place)
    }

    /// What is to be done next; to be called until there is nothing more.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// An answer to an attempt has come, judged as `response`. Harmless when nobody waits for it.
    pub fn handle_reply(
        &mut self,
        attempt: Attempt,
        message: &mut [u8],
        response: Response,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        if self.table.get(attempt.flight).is_none() {
            return;
        }
        let place = attempt.flight.place;
        let upstream = attempt.upstream;
        match response {
            Response::Foreign => return,
            Response::Complete { rcode, .. } | Response::Headless { rcode }
                if attempt.edns == Edns::With && dislikes_edns(rcode) =>
            {
                let edns = Edns::Without;
                self.commands
                    .push_back(Command::Send(Attempt { edns, ..attempt }));
                return;
            }
            Response::Complete {
                rcode,
                length,
                reason,
            } => {
                let message = message.get_mut(..length).unwrap_or_default();
                let reply = Reply {
                    message,
                    rcode,
                    reason,
                };
                return self.weigh(place, upstream, reply, now, done);
            }
            Response::Truncated => {
                self.commands.push_back(Command::AskOverTcp(attempt));
                return;
            }
            Response::Headless { .. } => self.upstreams.failed(upstream, FailureKind::Rcode),
            Response::Malformed => self.upstreams.failed(upstream, FailureKind::Malformed),
        }
        self.conclude(place, upstream, now, done);
    }

    /// What [`Command::AskOverTcp`] has come to: `None` stands for no answer.
    pub fn handle_tcp(
        &mut self,
        attempt: Attempt,
        answer: Option<Reply<'_>>,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        let (place, upstream) = (attempt.flight.place, attempt.upstream);
        let is_awaited = self.table.get(attempt.flight).is_some();
        match answer {
            Some(answer) if is_awaited => self.weigh(place, upstream, answer, now, done),
            Some(_) => {}
            None => {
                self.upstreams.failed(upstream, FailureKind::Tcp);
                self.handle_failure(attempt, now, done);
            }
        }
    }

    /// An attempt will get no answer; counted by who knows why. Harmless when nobody waits for it.
    pub fn handle_failure(&mut self, attempt: Attempt, now: Instant, done: &mut Done<'_, W>) {
        if self.table.get(attempt.flight).is_some() {
            self.conclude(attempt.flight.place, attempt.upstream, now, done);
        }
    }

    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant, done: &mut Done<'_, W>) {
        while let Some(place) = self.wheel.pop_due(now) {
            self.wake(place, now, done);
        }
        if self.hope_check.is_none_or(|at| now < at) {
            return;
        }
        self.hope_check = (self.under_way() > 0).then(|| now + HOPE_CHECK);
        let losses = self.upstreams.losses();
        if std::mem::replace(&mut self.losses, losses) == losses {
            return;
        }
        for place in self.table.places() {
            let race = &self.table[place];
            if !race.contenders.is_empty() && !race.has_hope(&self.upstreams) {
                self.give_up(place, Failure::NoneUsable, done);
            }
        }
    }

    /// When to call [`Flights::handle_timeout`] next; `None` when nothing is under way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.under_way() == 0 {
            return None;
        }
        let due = self.wheel.poll_timeout();
        [due, self.hope_check].into_iter().flatten().min()
    }

    /// The time has come for a question: one of those that [`race::Race::wake_at`] looks at.
    fn wake(&mut self, place: usize, now: Instant, done: &mut Done<'_, W>) {
        let race = &mut self.table[place];
        if race.deadline <= now {
            return self.give_up(place, Failure::TimedOut, done);
        }
        if race.waiters.soonest().is_some_and(|at| at <= now) {
            race.waiters.take_impatient(now, &mut self.impatient);
            self.waiting -= self.impatient.len();
            done(&race.key, Outcome::NotYet, self.impatient.drain(..));
        }
        if race.check_late(&self.upstreams, now) {
            self.turn_to_next(place, now);
        }
        if self.table[place].has_hope(&self.upstreams) {
            self.wheel.arm(place, self.table[place].wake_at());
        } else {
            self.give_up(place, Failure::NoneUsable, done);
        }
    }

    /// Ends the question with an acceptable answer; keeps a poor one while there is hope.
    fn weigh(
        &mut self,
        place: usize,
        upstream: UpstreamIndex,
        reply: Reply<'_>,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        let Reply { message, rcode, .. } = reply;
        let race = &mut self.table[place];
        let name = race.key.name();
        // The case of its letters may be another in the answer.
        if let Some(asked) = message.get_mut(HEADER..HEADER + name.len()) {
            asked.copy_from_slice(name);
        }
        // NOERROR, NXDOMAIN, YXDOMAIN (RFC 6672 §2.2): about the name, and final.
        if matches!(rcode, 0 | 3 | 6) {
            return self.end(place, Outcome::Answered(message), done);
        }
        self.upstreams.failed(upstream, FailureKind::Rcode);
        race.keep(message, rcode);
        self.conclude(place, upstream, now, done);
    }

    /// An upstream has given nothing that ends the question.
    fn conclude(
        &mut self,
        place: usize,
        upstream: UpstreamIndex,
        now: Instant,
        done: &mut Done<'_, W>,
    ) {
        let race = &mut self.table[place];
        let turns_elsewhere = race.conclude(&self.upstreams, upstream);
        if turns_elsewhere {
            self.turn_to_next(place, now);
        }
        if !self.table[place].has_hope(&self.upstreams) {
            self.give_up(place, Failure::NoneUsable, done);
        } else if turns_elsewhere {
            self.wheel.arm(place, self.table[place].wake_at());
        }
    }

    /// Asks the next upstream, if there is one worth asking.
    fn turn_to_next(&mut self, place: usize, now: Instant) {
        let race = &mut self.table[place];
        let Some(upstream) = race.next(&self.upstreams, now) else {
            return;
        };
        let flight = FlightId {
            place,
            generation: race.generation,
        };
        self.commands.push_back(Command::Send(Attempt {
            flight,
            upstream,
            edns: Edns::With,
        }));
    }

    /// Ends the question with the best of the poor answers, or without any.
    fn give_up(&mut self, place: usize, failure: Failure, done: &mut Done<'_, W>) {
        match self.table[place].take_poor() {
            Some(mut message) => self.end(place, Outcome::Answered(&mut message), done),
            None => self.end(place, Outcome::Failed(failure), done),
        }
    }

    fn end(&mut self, place: usize, outcome: Outcome<'_>, done: &mut Done<'_, W>) {
        self.wheel.cancel(place);
        self.table.unlink(place);
        let race = &mut self.table[place];
        self.waiting -= race.waiters.len();
        done(&race.key, outcome, race.waiters.drain());
        race.end(&self.upstreams);
        self.table.give_back(place);
    }
}

/// FORMERR, NOTIMP and BADVERS: what servers say that do not know EDNS, or not this much of it.
fn dislikes_edns(rcode: u16) -> bool {
    matches!(rcode, 1 | 4 | 16)
}

#[cfg(test)]
mod tests;
