//! Draining: `backup` → until hardly anybody asks any more → `withdrawn`; a stop lingers and ends.
//!
//! There may be one order for all services and one for each. Every order stands by itself until it is
//! taken back or its time is over: a service leaves when the first one for it comes, and is back when
//! the last one is over. So whoever takes back the order for all does not bring back what somebody
//! else has drained by name, nor the other way round. A stop is an order for all that nobody can take
//! back. Of several reasons the one that holds for more services is told: stop, all, one.
//!
//! Each service goes on by its own rate; that of a node-wide drain is theirs together.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{DrainOrder, Level, Reason, ServicePolicy, Settings};

pub(super) mod metrics;
mod service;

use service::ServiceDrain;

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Nobody wants the node to leave.
    Serving,
    /// At `backup`; clients are moving away.
    Leaving,
    /// Withdrawn; late queries are still answered.
    Drained,
    /// A stop has lingered long enough: sessions and addresses may go.
    Finished,
}

impl fmt::Display for DrainPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Leaving => "leaving",
            Self::Drained => "drained",
            Self::Finished => "finished",
        })
    }
}

/// A service has begun to leave, has left, or is back.
#[derive(Clone, Debug, PartialEq)]
pub struct Departure {
    /// Position of the service in the configuration.
    pub service: usize,
    /// How far it is; `Serving`: it is back.
    pub phase: DrainPhase,
    /// Who wanted it; empty for a stop.
    pub who: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// When it ends by itself; `None`: when it is taken back.
    pub until: Option<Instant>,
    /// How long it took to come here.
    pub elapsed: Duration,
    /// Queries per second that are left; `None`: nobody counts them.
    pub rate: Option<f64>,
    /// It is back because its time was over.
    pub has_expired: bool,
}

/// An order to drain that stands, and how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainView {
    /// What was asked for.
    pub order: DrainOrder,
    /// Since when; before the start of the process when it was restored.
    pub since: Instant,
    /// That of the service that is the least far.
    pub phase: DrainPhase,
    /// How long it took until all were drained; `None`: not yet, or before the start.
    pub drained_after: Option<Duration>,
    /// Queries per second now; `None`: nobody counts them.
    pub rate: Option<f64>,
    /// The same when clients began to be moved away.
    pub rate_at_start: Option<f64>,
}

/// An order with the time when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    who: Arc<str>,
    reason: Arc<str>,
    since: Instant,
    until: Option<Instant>,
}

impl Order {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// A later order for the same replaces what is said, not when it began.
    fn replace(place: &mut Option<Self>, order: &DrainOrder, since: Instant) {
        let since = place.as_ref().map_or(since, |standing| standing.since);
        *place = Some(Self {
            who: Arc::clone(&order.who),
            reason: Arc::clone(&order.reason),
            since,
            until: order.until,
        });
    }

    fn asked_for(&self, service: Option<usize>) -> DrainOrder {
        DrainOrder {
            service,
            who: Arc::clone(&self.who),
            reason: Arc::clone(&self.reason),
            until: self.until,
        }
    }
}

/// All drains of the node.
#[derive(Clone, Debug)]
pub(super) struct Drains {
    linger: Duration,
    stop: Option<Order>,
    all: Option<Order>,
    services: Vec<ServiceDrain>,
    is_finished: bool,
}

impl Drains {
    pub(super) fn new(settings: &Settings, services: &[ServicePolicy]) -> Self {
        let services = services.iter();
        Self {
            linger: settings.linger,
            stop: None,
            all: None,
            services: services
                .map(|policy| ServiceDrain::new(settings.drain_wait, policy.answered_by))
                .collect(),
            is_finished: false,
        }
    }

    /// Takes how many queries each of these services has got since the start.
    pub(super) fn record(&mut self, now: Instant, totals: &[(usize, u64)]) {
        for (service, total) in totals {
            if let Some(service) = self.services.get_mut(*service) {
                service.record(now, *total);
            }
        }
    }

    /// Takes an order; a stop keeps its own.
    pub(super) fn order(&mut self, now: Instant, order: &DrainOrder) {
        match order.service {
            None => Order::replace(&mut self.all, order, now),
            Some(service) => {
                if let Some(service) = self.services.get_mut(service) {
                    Order::replace(&mut service.own, order, now);
                }
            }
        }
    }

    /// Takes an order that stood when the process ended, `age` ago at the latest: whatever it had
    /// come to, its services are drained.
    pub(super) fn restore(&mut self, now: Instant, order: &DrainOrder, age: Duration) {
        self.order(now, order);
        let since = now.checked_sub(age).unwrap_or(now);
        let all = self.all.as_mut().filter(|_| order.service.is_none());
        if let Some(all) = all {
            all.since = since;
        }
        for (index, service) in self.services.iter_mut().enumerate() {
            match order.service {
                None => service.restore(now),
                Some(wanted) if wanted == index => {
                    service.restore(now);
                    if let Some(own) = &mut service.own {
                        own.since = since;
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Takes back one order: that for `service`, or with `None` that for all.
    pub(super) fn take_back(&mut self, service: Option<usize>) {
        match service {
            None => self.all = None,
            Some(service) => {
                if let Some(service) = self.services.get_mut(service) {
                    service.own = None;
                }
            }
        }
    }

    /// Drains all for good. A node that is drained already has only to linger.
    pub(super) fn stop(&mut self, now: Instant, reason: &str) {
        self.stop.get_or_insert_with(|| Order {
            who: "".into(),
            reason: reason.into(),
            since: now,
            until: None,
        });
    }

    /// Begins and ends what orders begin and end; `answered` is the rate of the whole node.
    pub(super) fn settle(&mut self, now: Instant, answered: Option<f64>) {
        let all_expired = take_if_over(&mut self.all, now);
        for service in &mut self.services {
            let has_expired = take_if_over(&mut service.own, now) || all_expired;
            let broader = self.stop.as_ref().or(self.all.as_ref());
            service.settle(now, broader, has_expired, answered);
        }
    }

    /// Goes on as far as rates and the time allow; `is_announced`: any level of the service is above
    /// `withdrawn`. Whether anything has changed.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        answered: Option<f64>,
        is_announced: impl Fn(usize) -> bool,
    ) -> bool {
        let mut has_changed = false;
        for (index, service) in self.services.iter_mut().enumerate() {
            has_changed |= service.advance(now, answered, is_announced(index));
        }
        if !self.is_finished && self.finish_at().is_some_and(|at| at <= now) {
            self.is_finished = true;
            has_changed = true;
        }
        has_changed
    }

    /// How far a stop is, or else the drain of all.
    pub(super) fn phase(&self) -> DrainPhase {
        match (&self.stop, &self.all) {
            (Some(_), _) if self.is_finished => DrainPhase::Finished,
            (Some(_), _) | (None, Some(_)) => self.slowest(),
            (None, None) => DrainPhase::Serving,
        }
    }

    fn slowest(&self) -> DrainPhase {
        let phases = self.services.iter().map(ServiceDrain::phase);
        phases.min().unwrap_or(DrainPhase::Drained)
    }

    /// When a stop has lingered for long enough; `None` before all is withdrawn.
    fn finish_at(&self) -> Option<Instant> {
        let stop = self.stop.as_ref()?;
        let mut withdrawn_at = None;
        for service in &self.services {
            withdrawn_at = withdrawn_at.max(Some(service.drained_at()?));
        }
        Some(withdrawn_at.unwrap_or(stop.since) + self.linger)
    }

    /// When there is something to do at the latest.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let services = self.services.iter().filter_map(ServiceDrain::poll_timeout);
        let all = self.all.iter().filter_map(|order| order.until);
        let finish = self.finish_at().filter(|_| !self.is_finished);
        services.chain(all).chain(finish).min()
    }

    /// The best level that drains allow a service, and why; `None` while serving.
    pub(super) fn limit(&self, service: usize) -> Option<(Level, Reason)> {
        self.services.get(service)?.limit()
    }

    /// The next service that has gone on.
    pub(super) fn poll_departure(&mut self, answered: Option<f64>) -> Option<Departure> {
        let mut services = self.services.iter_mut().enumerate();
        services.find_map(|(index, service)| service.poll_departure(index, answered))
    }

    /// Every order that stands, the one for all first; a stop is none.
    pub(super) fn views(&self, answered: Option<f64>) -> Vec<DrainView> {
        let all = self.all.as_ref().map(|order| {
            let each = &self.services;
            let sum = |rate: fn(&ServiceDrain, Option<f64>) -> Option<f64>| {
                let rates = each.iter().map(|service| rate(service, answered));
                rates.sum::<Option<f64>>().filter(|_| !each.is_empty())
            };
            // Of a node without services the rate is that of all that it answers.
            let is_empty = each.is_empty();
            DrainView {
                order: order.asked_for(None),
                since: order.since,
                phase: self.slowest(),
                drained_after: self.drained_after(order),
                rate: if is_empty {
                    answered
                } else {
                    sum(ServiceDrain::rate)
                },
                rate_at_start: sum(|service, _| service.rate_at_start()),
            }
        });
        let services = self.services.iter().enumerate();
        let own = services.filter_map(|(index, service)| {
            let order = service.own.as_ref()?;
            Some(DrainView {
                order: order.asked_for(Some(index)),
                since: order.since,
                phase: service.phase(),
                drained_after: service.drained_after(order.since),
                rate: service.rate(answered),
                rate_at_start: service.rate_at_start(),
            })
        });
        all.into_iter().chain(own).collect()
    }

    fn drained_after(&self, order: &Order) -> Option<Duration> {
        let mut services = self.services.iter();
        services.try_fold(Duration::ZERO, |longest, service| {
            Some(longest.max(service.drained_after(order.since)?))
        })
    }

    /// How each service stands towards drains: whether it leaves or has left, and when it is back by
    /// itself.
    pub(super) fn standings(&self) -> impl Iterator<Item = (bool, Option<Instant>)> {
        self.services.iter().map(|service| {
            let orders = self.all.iter().chain(&service.own);
            // Every order has to be over, and a stop never is.
            let expiry = orders
                .map(|order| order.until)
                .reduce(|one, other| Some(one?.max(other?)))
                .flatten()
                .filter(|_| self.stop.is_none());
            (service.phase() != DrainPhase::Serving, expiry)
        })
    }
}

fn take_if_over(place: &mut Option<Order>, now: Instant) -> bool {
    place.take_if(|order| order.is_over(now)).is_some()
}

#[cfg(test)]
mod tests;
