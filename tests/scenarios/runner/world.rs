//! Upstreams that follow scripts, the probes of them, and what is under way: in simulated time.
//!
//! The way to an upstream and back takes [`ROUND_TRIP`]; nothing else takes any time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use fake_upstream::play::Play;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use sidestep::dns::client::Asker;
use sidestep::dns::exchange::Limits;
use sidestep::dns::exchange::rehearsal::{Line, Put};
use sidestep::dns::forward::{Done, Failure, Forward, Progress, Wish};
use sidestep::dns::inflight::{Attempt, Flights};
use sidestep::dns::key::Key;
use sidestep::dns::listener::Waiter;
use sidestep::dns::upstream::pacing::Pacing;
use sidestep::dns::upstream::{Asked, Errand, UpstreamIndex, Upstreams};

mod probes;
mod wire;

/// To an upstream and back.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(10);
/// Until a question over TCP is given up.
const TCP_TIME: Duration = Duration::from_secs(2);
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
    /// By upstream.
    lines: Vec<Line>,
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
    sent: Instant,
}

#[derive(Clone, Copy)]
enum By {
    Question(Attempt, Put),
    Tcp(Attempt, Put),
    /// With its id and key.
    Probe(u16, Key),
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
        let source = Ipv4Addr::new(192, 0, 2, 200).into();
        let lines = upstreams.indexes().map(|index| {
            let cookie = 0x0123_4567_89AB_CDEF_u64;
            Line::new(upstreams.dialect(index), source, cookie, start)
        });
        Self {
            start,
            lines: lines.collect(),
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

    fn happens_at(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    fn happen(&mut self, event: Event, now: Instant, done: &mut Done<'_, Waiter>) {
        match event {
            Event::Message(serial, message) => self.deliver(serial, message, now, done),
            Event::Refused(serial) => self.refuse(serial, now, done),
            Event::Closed(serial) => {
                if let Some(By::Tcp(attempt, _)) = self.pending.get(&serial).map(|one| one.asker) {
                    self.pending.remove(&serial);
                    self.flights.handle_tcp(attempt, None, now, done);
                }
            }
            Event::ProbeLate(serial) => {
                if let Some(pending) = self.pending.get(&serial) {
                    let (index, sent) = (pending.index, pending.sent);
                    self.upstreams.overdue(index, Asked::Probe, sent);
                }
            }
            Event::ProbeMissed(serial) => {
                if let Some(pending) = self.pending.get(&serial) {
                    let (index, sent) = (pending.index, pending.sent);
                    self.upstreams.probe_missed(index, sent, now);
                }
            }
            Event::Forgotten(serial) => self.forget(serial, now, done),
        }
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

    fn may_refresh(&self, key: &Key, wish: Wish) -> bool {
        self.0.borrow().flights.may_refresh(key, wish)
    }

    fn refresh(&mut self, key: &Key, now: Instant) -> bool {
        self.0.borrow_mut().flights.refresh(key, now)
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
