//! One service on its way out and back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Departure, DrainPhase, Order};
use crate::health::window::RateWindow;
use crate::health::{AnsweredBy, Level, Reason};

/// The rate is given this long to fall even when it looks low already: routers need a moment
/// to move, and a quiet second is no proof that nobody would ask.
const SETTLE: Duration = Duration::from_secs(1);
/// The drain has done its work when the rate is below this share of what it was at its start.
const REST: f64 = 0.01;

/// The drain of one service: of its own, for all, or for a stop.
#[derive(Clone, Debug)]
pub(super) struct ServiceDrain {
    wait: Duration,
    answered_by: AnsweredBy,
    /// The order for this service alone.
    pub(super) own: Option<Order>,
    /// The order that is told, of those that hold for it; the last one once they are over.
    told: Option<Order>,
    phase: DrainPhase,
    started_at: Option<Instant>,
    drained_at: Option<Instant>,
    changed_at: Option<Instant>,
    rate_at_start: Option<f64>,
    /// What it was asked; empty when nobody tells.
    asked: RateWindow,
    has_news: bool,
    has_expired: bool,
}

impl ServiceDrain {
    pub(super) fn new(wait: Duration, answered_by: AnsweredBy) -> Self {
        Self {
            wait,
            answered_by,
            own: None,
            told: None,
            phase: DrainPhase::Serving,
            started_at: None,
            drained_at: None,
            changed_at: None,
            rate_at_start: None,
            asked: RateWindow::default(),
            has_news: false,
            has_expired: false,
        }
    }

    pub(super) fn record(&mut self, now: Instant, total: u64) {
        self.asked.record(now, total);
    }

    /// Queries per second. While nobody counts those of the service, those of the whole node stand for
    /// them, for they are more; of another program's nothing is known.
    pub(super) fn rate(&self, answered: Option<f64>) -> Option<f64> {
        match self.answered_by {
            _ if !self.asked.is_empty() => self.asked.rate(),
            AnsweredBy::Workers => answered,
            AnsweredBy::Another => None,
        }
    }

    pub(super) fn phase(&self) -> DrainPhase {
        self.phase
    }

    pub(super) fn drained_at(&self) -> Option<Instant> {
        self.drained_at
    }

    pub(super) fn rate_at_start(&self) -> Option<f64> {
        self.rate_at_start
    }

    /// How long an order of `since` took until the service was drained.
    pub(super) fn drained_after(&self, since: Instant) -> Option<Duration> {
        // One that was restored has begun nothing.
        self.started_at?;
        let drained_at = self.drained_at?;
        Some(drained_at.saturating_duration_since(since))
    }

    /// Is drained, no matter how it came to be.
    pub(super) fn restore(&mut self, now: Instant) {
        self.enter(now, DrainPhase::Drained);
        self.drained_at = Some(now);
    }

    /// Begins and ends; `broader` is an order that holds for all.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        broader: Option<&Order>,
        has_expired: bool,
        answered: Option<f64>,
    ) {
        let Some(order) = broader.or(self.own.as_ref()) else {
            self.end(now, has_expired);
            return;
        };
        if self.told.as_ref() != Some(order) {
            self.told = Some(order.clone());
            self.has_news = true;
        }
        if self.phase == DrainPhase::Serving {
            self.enter(now, DrainPhase::Leaving);
            self.started_at = Some(now);
            self.rate_at_start = self.rate(answered);
        }
    }

    fn end(&mut self, now: Instant, has_expired: bool) {
        if self.phase == DrainPhase::Serving {
            return;
        }
        self.enter(now, DrainPhase::Serving);
        self.has_expired = has_expired;
        (self.started_at, self.drained_at) = (None, None);
        self.rate_at_start = None;
    }

    fn enter(&mut self, now: Instant, phase: DrainPhase) {
        self.phase = phase;
        self.changed_at = Some(now);
        self.has_news = true;
        self.has_expired = false;
    }

    /// Goes on to drained when it may. Whether it did.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        answered: Option<f64>,
        is_announced: bool,
    ) -> bool {
        let is_due = self.phase == DrainPhase::Leaving
            && (!is_announced || self.has_left(now, self.rate(answered)));
        if is_due {
            self.enter(now, DrainPhase::Drained);
            self.drained_at = Some(now);
        }
        is_due
    }

    fn has_left(&self, now: Instant, rate: Option<f64>) -> bool {
        let waited = self
            .started_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if waited >= self.wait {
            return true;
        }
        let is_quiet = match (rate, self.rate_at_start) {
            (Some(rate), Some(at_start)) => rate == 0.0 || rate < at_start * REST,
            (_, None) | (None, _) => false,
        };
        waited >= SETTLE && is_quiet
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let until = self.own.as_ref().and_then(|order| order.until);
        let leaving = self.phase == DrainPhase::Leaving;
        let left = self.started_at.filter(|_| leaving);
        [until, left.map(|at| at + self.wait)]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn limit(&self) -> Option<(Level, Reason)> {
        let order = self.told.as_ref()?;
        let (who, reason) = (Arc::clone(&order.who), Arc::clone(&order.reason));
        let until = order.until;
        match self.phase {
            DrainPhase::Serving => None,
            DrainPhase::Leaving => Some((Level::Backup, Reason::Draining { who, reason, until })),
            DrainPhase::Drained | DrainPhase::Finished => {
                Some((Level::Withdrawn, Reason::Drained { who, reason, until }))
            }
        }
    }

    pub(super) fn poll_departure(
        &mut self,
        service: usize,
        answered: Option<f64>,
    ) -> Option<Departure> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let order = self.told.as_ref()?;
        let changed_at = self.changed_at.unwrap_or(order.since);
        let departure = Departure {
            service,
            phase: self.phase,
            who: Arc::clone(&order.who),
            reason: Arc::clone(&order.reason),
            until: order.until,
            elapsed: changed_at.saturating_duration_since(order.since),
            rate: self.rate(answered),
            has_expired: self.has_expired,
        };
        if self.phase == DrainPhase::Serving {
            self.told = None;
        }
        Some(departure)
    }
}
