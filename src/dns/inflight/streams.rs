//! Questions that are asked again over TCP: whoever answers over UDP may still hang over TCP.
//!
//! An upstream that truncates is not silent, so that its suspicion and the hedge's budget do not see a
//! connection that gives nothing. A question over TCP past its patience therefore turns to the next
//! upstream without budget, once for each upstream; and as long as nothing has come over TCP since a
//! question that was late so, others turn there as soon as they are truncated. TCP is asked beside
//! that: its answer ends the suspicion.

use std::time::{Duration, Instant};

use super::super::client::Prefix;
use super::super::upstream::{UpstreamIndex, Upstreams};
use super::{FlightId, Flights};

/// A question over TCP takes at least two round trips.
const ROUND_TRIPS: u32 = 3;
/// It is late at the earliest after this time,
pub(super) const PATIENCE_MIN: Duration = Duration::from_millis(100);
/// and at the latest after this one.
pub(super) const PATIENCE_MAX: Duration = Duration::from_millis(400);

/// A question that is being asked over TCP.
#[derive(Clone, Copy, Debug)]
pub(super) struct OverTcp {
    upstream: UpstreamIndex,
    asked: Instant,
    pub(super) due: Instant,
}

impl OverTcp {
    fn begin(upstreams: &Upstreams, upstream: UpstreamIndex, now: Instant) -> Self {
        let usual = upstreams.hedge_after(upstream) * ROUND_TRIPS;
        Self {
            upstream,
            asked: now,
            due: now + usual.clamp(PATIENCE_MIN, PATIENCE_MAX),
        }
    }
}

/// What TCP to one upstream has given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    answered: Option<Instant>,
    pub(super) is_suspected: bool,
}

impl<W> Flights<W> {
    /// On whose behalf a question was asked first; `None` when it has ended.
    #[must_use]
    pub fn prefix(&self, flight: FlightId) -> Option<Prefix> {
        self.table.get(flight).map(|race| race.asker.prefix)
    }

    /// A question is being asked over TCP.
    pub(super) fn watch_tcp(&mut self, place: usize, upstream: UpstreamIndex, now: Instant) {
        let race = &mut self.table[place];
        let over_tcp = OverTcp::begin(&self.upstreams, upstream, now);
        race.over_tcp = Some(over_tcp);
        let stream = self.streams.get(upstream.position());
        if stream.is_some_and(|stream| stream.is_suspected) {
            self.turn_from_tcp(place, upstream, now);
        }
        self.wheel.arm(place, self.table[place].wake_at());
    }

    /// Sees whether a question over TCP is late.
    pub(super) fn look_at_tcp(&mut self, place: usize, now: Instant) {
        let over_tcp = &mut self.table[place].over_tcp;
        let Some(late) = over_tcp.take_if(|over_tcp| over_tcp.due <= now) else {
            return;
        };
        if let Some(stream) = self.streams.get_mut(late.upstream.position()) {
            stream.is_suspected |= stream.answered.is_none_or(|at| at < late.asked);
        }
        self.turn_from_tcp(place, late.upstream, now);
    }

    /// Unless another one has been asked meanwhile.
    fn turn_from_tcp(&mut self, place: usize, upstream: UpstreamIndex, now: Instant) {
        if self.table[place].is_latest(upstream) {
            self.fail_over(place, now);
        }
    }

    /// TCP has come to an end for this question, with an answer or without.
    pub(super) fn tcp_ended(&mut self, flight: FlightId, upstream: UpstreamIndex) {
        if self.table.get(flight).is_some() {
            let over_tcp = &mut self.table[flight.place].over_tcp;
            over_tcp.take_if(|over_tcp| over_tcp.upstream == upstream);
        }
    }

    /// An answer has come over TCP, whether or not somebody still waits for it.
    pub(super) fn tcp_answered(&mut self, upstream: UpstreamIndex, now: Instant) {
        if let Some(stream) = self.streams.get_mut(upstream.position()) {
            *stream = Stream {
                answered: Some(now),
                is_suspected: false,
            };
        }
    }
}
