//! Upstreams that follow scripts, the probes of them, and what is under way: in simulated time.
//!
//! The way to an upstream and back takes [`ROUND_TRIP`]; nothing else takes any time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use fake_upstream::play::{Play, What};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sidestep::dns::client::Asker;
use sidestep::dns::exchange::Limits;
use sidestep::dns::exchange::response::Response;
use sidestep::dns::forward::{Done, Failure, Forward, Progress};
use sidestep::dns::inflight::{Attempt, Command, Flights, Reply};
use sidestep::dns::key::Key;
use sidestep::dns::listener::Waiter;
use sidestep::dns::upstream::pacing::Pacing;
use sidestep::dns::upstream::{Asked, Errand, FailureKind, UpstreamIndex, Upstreams};

use super::dialect;

mod probes;

/// To an upstream and back.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(10);
/// Until a question over TCP is given up.
const TCP_TIME: Duration = Duration::from_millis(1500);
/// How long an answer is recognised.
const QUESTION_LIFETIME: Duration = Duration::from_secs(2);

/// The forwarder of the rehearsal: the world, shared with the stage.
#[derive(Clone)]
pub(crate) struct Handle(pub Rc<RefCell<World>>);

pub(crate) struct World {
    start: Instant,
    upstreams: Arc<Upstreams>,
    flights: Flights<Waiter>,
    pub(crate) actors: Vec<Actor>,
    keepers: Vec<Keeper>,
    /// By time, then in the order in which they were caused.
    events: BTreeMap<(Instant, u64), Event>,
    pending: BTreeMap<u64, Pending>,
    serial: u64,
    random: SmallRng,
    /// What should not have happened.
    pub(crate) problem: Option<String>,
}

/// An upstream.
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) play: Play,
    pub(crate) heard: Vec<Heard>,
}

/// A question that an upstream has got.
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) message: Vec<u8>,
    pub(crate) is_tcp: bool,
    pub(crate) is_probe: bool,
}

/// Whoever probes one upstream.
struct Keeper {
    index: UpstreamIndex,
    actor: usize,
    pacing: Pacing,
}

/// A question whose answer would be recognised.
#[derive(Clone, Copy)]
struct Pending {
    asker: By,
    index: UpstreamIndex,
    id: u16,
    key: Key,
    sent: Instant,
}

#[derive(Clone, Copy)]
enum By {
    Question(Attempt),
    Tcp(Attempt),
    Probe,
}

enum Event {
    /// From an upstream, in answer to a question.
    Message(u64, Vec<u8>),
    Refused(u64),
    /// Nothing comes any more, as far as TCP is concerned.
    Closed(u64),
    ProbeLate(u64),
    ProbeMissed(u64),
    Forgotten(u64),
}

impl World {
    /// `actors` by address, as in `upstreams`.
    pub(crate) fn new(
        upstreams: Arc<Upstreams>,
        actors: Vec<(String, Play)>,
        seed: u64,
        start: Instant,
    ) -> Self {
        let named = |index| {
            let address = upstreams.address(index).ip().to_string();
            let last = address
                .rsplit('.')
                .next()
                .and_then(|last| last.parse::<u8>().ok());
            let name = last.map(|last| char::from(b'a' + last - 1).to_string());
            actors
                .iter()
                .position(|(actor, _)| Some(actor) == name.as_ref())
        };
        let keepers = upstreams.indexes().map(|index| Keeper {
            index,
            actor: named(index).unwrap_or(usize::MAX),
            pacing: Pacing::new(start),
        });
        Self {
            start,
            keepers: keepers.collect(),
            flights: Flights::new(
                Arc::clone(&upstreams),
                Limits::for_one_of(NonZeroUsize::MIN),
                start,
            ),
            upstreams,
            actors: actors
                .into_iter()
                .map(|(name, play)| Actor {
                    name,
                    play,
                    heard: Vec::new(),
                })
                .collect(),
            events: BTreeMap::new(),
            pending: BTreeMap::new(),
            serial: 0,
            random: SmallRng::seed_from_u64(seed),
            problem: None,
        }
    }

    /// When something is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let busy = |keeper: &&Keeper| self.upstreams.errand(keeper.index) != Errand::Nothing;
        let keepers = self.keepers.iter().filter(busy);
        let probe = keepers.map(|keeper| keeper.pacing.next()).min();
        let due = [event, probe, self.flights.poll_timeout()];
        due.into_iter().flatten().min()
    }

    /// Does what is due.
    fn run(&mut self, now: Instant, done: &mut Done<'_, Waiter>) {
        self.carry_out(now);
        // A machine that wants to be called again at once for ever is broken.
        for _ in 0..10_000 {
            if self.next_due().is_none_or(|due| due > now) {
                return;
            }
            if self
                .events
                .first_key_value()
                .is_some_and(|((at, _), _)| *at <= now)
            {
                if let Some((_, event)) = self.events.pop_first() {
                    self.happen(event, now, done);
                }
            } else if self.flights.poll_timeout().is_some_and(|due| due <= now) {
                self.flights.handle_timeout(now, done);
            } else {
                self.probe_what_is_due(now);
            }
            self.carry_out(now);
            self.wake_keepers(now);
        }
        self.problem = Some("something is due again and again at one time".to_owned());
    }

    fn carry_out(&mut self, now: Instant) {
        while let Some(command) = self.flights.poll_command() {
            let (attempt, is_tcp) = match command {
                Command::Send(attempt) => (attempt, false),
                Command::AskOverTcp(attempt) => (attempt, true),
            };
            let Some((key, _)) = self.flights.question(attempt.flight) else {
                continue;
            };
            let (key, id) = (*key, self.random.random());
            let (asker, message) = if is_tcp {
                (By::Tcp(attempt), dialect::over_tcp(&key, id, attempt.edns))
            } else {
                (
                    By::Question(attempt),
                    dialect::over_udp(&key, id, attempt.edns),
                )
            };
            let index = attempt.upstream;
            let sent = now;
            self.send(
                Pending {
                    asker,
                    index,
                    id,
                    key,
                    sent,
                },
                message,
            );
        }
    }

    /// Has an upstream hear a question, and notes what will follow from it.
    fn send(&mut self, pending: Pending, message: Vec<u8>) -> u64 {
        self.serial += 1;
        let (serial, now) = (self.serial, pending.sent);
        self.pending.insert(serial, pending);
        let is_tcp = matches!(pending.asker, By::Tcp(_));
        let life = if is_tcp { TCP_TIME } else { QUESTION_LIFETIME };
        let over = if is_tcp {
            Event::Closed(serial)
        } else {
            Event::Forgotten(serial)
        };
        self.happens_at(now + life, over);
        let actor = self.keepers[pending.index.position()].actor;
        let Some(actor) = self.actors.get_mut(actor) else {
            return serial;
        };
        let due = actor.play.hear(now - self.start, &message, is_tcp);
        actor.heard.push(Heard {
            at: now,
            message,
            is_tcp,
            is_probe: matches!(pending.asker, By::Probe),
        });
        for due in due {
            let event = match due.what {
                What::Message(message) => Event::Message(serial, message),
                What::Refused => Event::Refused(serial),
                What::Closed => Event::Closed(serial),
            };
            self.happens_at(now + ROUND_TRIP + due.after, event);
        }
        serial
    }

    fn happens_at(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    fn happen(&mut self, event: Event, now: Instant, done: &mut Done<'_, Waiter>) {
        match event {
            Event::Message(serial, message) => self.deliver(serial, message, now, done),
            Event::Refused(serial) => {
                let Some(pending) = self.pending.remove(&serial) else {
                    return;
                };
                match pending.asker {
                    By::Tcp(attempt) => self.flights.handle_tcp(attempt, None, now, done),
                    By::Question(attempt) => {
                        self.upstreams.refused(pending.index, now);
                        self.flights.handle_failure(attempt, now, done);
                    }
                    By::Probe => self.upstreams.refused(pending.index, now),
                }
            }
            Event::Closed(serial) => {
                if let Some(By::Tcp(attempt)) = self.pending.get(&serial).map(|one| one.asker) {
                    self.pending.remove(&serial);
                    self.flights.handle_tcp(attempt, None, now, done);
                }
            }
            Event::ProbeLate(serial) => {
                if let Some(pending) = self.pending.get(&serial) {
                    self.upstreams
                        .overdue(pending.index, Asked::Probe, pending.sent);
                }
            }
            Event::ProbeMissed(serial) => {
                if let Some(pending) = self.pending.get(&serial) {
                    self.upstreams
                        .probe_missed(pending.index, pending.sent, now);
                }
            }
            Event::Forgotten(serial) => {
                self.pending.remove(&serial);
            }
        }
    }

    fn deliver(
        &mut self,
        serial: u64,
        mut message: Vec<u8>,
        now: Instant,
        done: &mut Done<'_, Waiter>,
    ) {
        let Some(pending) = self.pending.get(&serial).copied() else {
            return;
        };
        let Pending {
            asker, index, sent, ..
        } = pending;
        let response = dialect::judge(&message, pending.id, &pending.key);
        match (asker, response) {
            (By::Question(_) | By::Probe, Response::Foreign) => {
                self.upstreams.failed(index, FailureKind::Ignored);
                return;
            }
            (By::Probe, response) => {
                self.upstreams.answered(index, Asked::Probe, sent, now);
                if matches!(
                    response,
                    Response::Complete {
                        rcode: 0 | 3 | 6,
                        ..
                    }
                ) {
                    self.upstreams.probe_accepted(index, now);
                } else {
                    self.upstreams.probe_declined(index, now);
                }
            }
            (By::Question(attempt), _) => {
                self.upstreams.answered(index, Asked::Question, sent, now);
                self.flights
                    .handle_reply(attempt, &mut message, response, now, done);
            }
            (
                By::Tcp(attempt),
                Response::Complete {
                    rcode,
                    length,
                    reason,
                },
            ) => {
                message.truncate(length);
                let message = &mut message;
                let reply = Reply {
                    message,
                    rcode,
                    reason,
                };
                self.flights.handle_tcp(attempt, Some(reply), now, done);
            }
            (By::Tcp(attempt), _) => self.flights.handle_tcp(attempt, None, now, done),
        }
        self.pending.remove(&serial);
    }
}

impl Forward<Waiter> for Handle {
    fn is_usable(&self, key: &Key) -> bool {
        self.0.borrow().flights.is_usable(key)
    }

    fn ask(
        &mut self,
        key: &Key,
        asker: Asker,
        waiter: Waiter,
        give_up_at: Option<Instant>,
        now: Instant,
    ) -> Result<(), (Failure, Waiter)> {
        let flights = &mut self.0.borrow_mut().flights;
        flights.ask(key, asker, waiter, give_up_at, now)
    }

    fn refresh(&mut self, key: &Key, now: Instant) {
        self.0.borrow_mut().flights.refresh(key, now);
    }

    fn flush(&mut self, now: Instant) {
        self.0.borrow_mut().carry_out(now);
    }

    fn poll(&mut self, _: &mut Context<'_>, now: Instant, done: &mut Done<'_, Waiter>) -> Progress {
        self.0.borrow_mut().run(now, done);
        Progress::Waiting
    }

    fn under_way(&self) -> usize {
        self.0.borrow().flights.under_way()
    }

    fn waiting(&self) -> usize {
        self.0.borrow().flights.waiting()
    }
}
