//! What operators and the supervisor ask of [`Health`]: leave, come back, end.

use std::time::{Duration, Instant};

use super::Health;
use crate::health::drain::{DrainPhase, DrainView};
use crate::health::{DrainOrder, Level};

impl Health {
    /// The operator wants a service, or all of them, to leave. A later order for the same replaces who,
    /// why and until when.
    pub fn handle_drain(&mut self, now: Instant, order: &DrainOrder) {
        self.drain.order(now, order);
        self.evaluate(now);
    }

    /// The operator takes back the order for a service, or with `None` that for all; other orders stand.
    /// Nothing comes back when the node is stopping.
    pub fn handle_undrain(&mut self, now: Instant, service: Option<usize>) {
        self.drain.take_back(service);
        self.evaluate(now);
    }

    /// Takes an order of before the restart, which came `age` ago: its services are drained from the
    /// start on, however far they were. To be called before anything else.
    pub fn restore_drain(&mut self, now: Instant, order: &DrainOrder, age: Duration) {
        self.drain.restore(now, order, age);
        self.evaluate(now);
    }

    /// The process is asked to end: [`DrainPhase::Finished`] tells when it may.
    pub fn handle_stop(&mut self, now: Instant, reason: &str) {
        self.drain.stop(now, reason);
        self.evaluate(now);
    }

    /// Takes how many queries services have got from clients since the start, by their position. Due
    /// before [`Self::handle_workers`], once per interval; without it the answers of all workers stand
    /// for each service, and for one that another program answers nothing does.
    pub fn handle_rates(&mut self, now: Instant, totals: &[(usize, u64)]) {
        self.drain.record(now, totals);
    }

    /// How far a stop is, or else the drain of all services.
    #[must_use]
    pub fn drain_phase(&self) -> DrainPhase {
        self.drain.phase()
    }

    /// Every order to drain that stands, the one for all services first.
    #[must_use]
    pub fn drains(&self) -> Vec<DrainView> {
        self.drain.views(self.answered.rate())
    }

    /// Of each service whether it leaves or has left, and when it is back by itself.
    pub fn drain_standings(&self) -> impl Iterator<Item = (bool, Option<Instant>)> {
        self.drain.standings()
    }

    /// Whether a drain has gone on.
    pub(super) fn go_on_draining(&mut self, now: Instant) -> bool {
        let targets = &self.targets;
        let is_announced = |service| {
            let mut of_service = targets.iter().filter(|t| t.target.service == service);
            of_service.any(|t| t.verdict.level > Level::Withdrawn)
        };
        let answered = self.answered.rate();
        self.drain.advance(now, answered, is_announced)
    }
}
