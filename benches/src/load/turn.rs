//! What a run does in each turn, whatever the transport: questions out, answers in, time-outs.
#![expect(
    clippy::disallowed_methods,
    reason = "the generator measures, so it reads the clock"
)]

use std::time::{Duration, Instant};

use super::draw::Source;
use super::flight::{Flight, Tallies};
use super::schedule::Schedule;
use super::{Pace, UNDER_WAY_MAX};
use crate::names::{self, Kind};

/// How often what is lost is looked for, in ns.
const EXPIRY_NS: u64 = 1_000_000;
/// Ids start somewhere else on each line.
const LINE_STRIDE: u32 = 0x9E37;

/// What the generator does while nothing is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Looks again: the core is its own, and the server need not wake it.
    Awake,
    /// Sleeps until the next is due or an answer comes: the fake upstream is on the same core.
    Asleep,
}

/// One question to be sent.
pub(super) struct Question {
    pub(super) id: u16,
    pub(super) kind: Kind,
    pub(super) number: u32,
}

/// The state of a run that all lines (sockets or connections) share.
pub(super) struct Run<S> {
    pub(super) source: S,
    pub(super) schedule: Schedule,
    pub(super) tallies: Tallies,
    pub(super) waiting: Waiting,
    /// Until no more were asked.
    pub(super) elapsed: Duration,
    started: Instant,
    over: bool,
    expired_ns: u64,
    room: usize,
}

impl<S: Source> Run<S> {
    pub(super) fn new(
        source: S,
        pace: Pace,
        time: Duration,
        lines: usize,
        waiting: Waiting,
    ) -> Self {
        let under_way = match pace {
            Pace::Window(window) => window.div_ceil(lines),
            Pace::Rate(rate) => (rate as usize).div_ceil(lines),
        };
        Self {
            source,
            schedule: Schedule::new(pace, time, lines),
            tallies: Tallies::default(),
            waiting,
            elapsed: Duration::ZERO,
            started: Instant::now(),
            over: false,
            expired_ns: 0,
            room: (under_way + under_way / 4).clamp(256, UNDER_WAY_MAX),
        }
    }

    /// The table of a line.
    pub(super) fn flight(&self, line: usize) -> Flight {
        Flight::new(self.room, (line as u32).wrapping_mul(LINE_STRIDE))
    }

    /// Time runs from here.
    pub(super) fn start(&mut self) {
        self.started = Instant::now();
    }

    pub(super) fn now_ns(&self) -> u64 {
        // 64 bits of ns are 584 years.
        self.started.elapsed().as_nanos() as u64
    }

    /// The next question, if one is due and may be asked on this line.
    pub(super) fn question(&mut self, flight: &mut Flight, now_ns: u64) -> Option<Question> {
        if flight.is_full() {
            return None;
        }
        let due_ns = self.schedule.due(now_ns, flight.under_way())?;
        let Some((kind, number)) = self.source.next() else {
            self.schedule.stop(now_ns);
            return None;
        };
        let address = names::address_of(kind, number);
        let id = flight.ask(address, due_ns, &mut self.tallies)?;
        Some(Question { id, kind, number })
    }

    /// Counts an answer.
    pub(super) fn settle(&mut self, flight: &mut Flight, message: &[u8], now_ns: u64) {
        if let Some(address) = flight.settle(message, now_ns, &mut self.tallies) {
            self.source.answered(address);
        }
    }

    /// Gives up what was under way on a connection that is gone.
    pub(super) fn abandon(&mut self, flight: &mut Flight) {
        flight.expire(u64::MAX, &mut self.tallies);
    }

    /// Gives up what has waited too long, and says whether nothing is left to do.
    pub(super) fn is_done<'a>(
        &mut self,
        now_ns: u64,
        flights: impl Iterator<Item = &'a mut Flight>,
    ) -> bool {
        if !self.over && self.schedule.is_over(now_ns) {
            self.over = true;
            self.elapsed = Duration::from_nanos(now_ns);
        }
        if !self.over && now_ns < self.expired_ns + EXPIRY_NS {
            return false;
        }
        self.expired_ns = now_ns;
        let mut under_way = 0;
        for flight in flights {
            flight.expire(now_ns, &mut self.tallies);
            under_way += flight.under_way();
        }
        self.over && under_way == 0
    }
}
