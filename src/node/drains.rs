//! Drains: what operators order, what becomes of it, and who is told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::routing::{Routing, targets};
use crate::admin::status::{Drain, DrainPhase as Phase, StandingDrain};
use crate::admin::{Change, Order, Status};
use crate::announce::ServiceSettings;
use crate::dns::shared::Shared;
use crate::health::{Departure, DrainOrder, DrainPhase, DrainView, Event, Health, Target};

/// Which sockets of the query path belong to which service, by their numbers there.
pub(super) struct ServiceSockets(Vec<(Target, usize)>);

impl ServiceSockets {
    pub(super) fn new(sockets: &[SocketAddr], services: &[ServiceSettings]) -> Self {
        let owners = targets(services).filter_map(|(target, address)| {
            let socket = sockets.iter().position(|socket| *socket == address)?;
            Some((target, socket))
        });
        Self(owners.collect())
    }

    pub(super) fn of(&self, service: usize) -> impl Iterator<Item = usize> {
        let owned = self.0.iter();
        let owned = owned.filter(move |(owner, _)| owner.service == service);
        owned.map(|(_, socket)| *socket)
    }

    /// What clients have asked each worker at each address.
    pub(super) fn served(&self, shared: &Shared) -> Vec<(Target, usize, u64)> {
        let workers = shared.workers().iter().enumerate();
        let each = workers.flat_map(|(index, worker)| {
            let sockets = self.0.iter();
            sockets.map(move |(target, socket)| (*target, index, worker.asked_at.value(*socket)))
        });
        each.collect()
    }

    /// What clients have asked at the sockets of each service.
    pub(super) fn asked(&self, shared: &Shared) -> Vec<(usize, u64)> {
        let mut services: Vec<(usize, u64)> = Vec::new();
        for (Target { service, .. }, socket) in &self.0 {
            let workers = shared.workers().iter();
            let asked = workers.map(|worker| worker.asked_at.value(*socket));
            let asked = asked.fold(0, u64::wrapping_add);
            match services.last_mut() {
                Some((last, total)) if last == service => *total = total.wrapping_add(asked),
                Some(_) | None => services.push((*service, asked)),
            }
        }
        services
    }
}

impl Routing {
    pub(super) fn take_order(&mut self, order: Order) {
        let now = Instant::now();
        let outcome = match order.change {
            _ if self.is_stopping => Err("the node is stopping".to_owned()),
            Change::Drain {
                service,
                reason,
                lasts,
            } => self.drain(now, service, &order.who, &reason, lasts),
            Change::Undrain { service } => self.undrain(now, service, &order.who),
        };
        // Who asks next is told what has been done.
        self.publish(now);
        // Who asked may have gone away meanwhile.
        drop(order.outcome.send(outcome));
    }

    fn drain(
        &mut self,
        now: Instant,
        service: Option<String>,
        who: &str,
        reason: &str,
        lasts: Option<Duration>,
    ) -> Result<String, String> {
        let position = self.position(service.as_deref())?;
        let lasts_s = lasts.map(|lasts| lasts.as_secs());
        tracing::info!(service, who, reason, lasts_s, "drain asked for");
        let order = DrainOrder {
            service: position,
            who: who.into(),
            reason: reason.into(),
            until: lasts.map(|lasts| now + lasts),
        };
        let standing = self.health.drains().into_iter();
        let before = standing
            .map(|view| view.order)
            .find(|standing| standing.service == position);
        self.health.handle_drain(now, &order);
        self.records.note_at_once(now, &self.health);
        let what = service.as_deref().unwrap_or("all services");
        let mut text =
            format!("draining {what}: clients are moved away, then the routes are withdrawn");
        if let Some(before) = before {
            text.push_str(&replaced(now, &before, &order));
        }
        if let Some(unkept) = self.records.unkept() {
            text.push_str(&format!(
                "; warning: a restart forgets this drain ({unkept})"
            ));
        }
        Ok(text)
    }

    fn undrain(
        &mut self,
        now: Instant,
        service: Option<String>,
        who: &str,
    ) -> Result<String, String> {
        let position = self.position(service.as_deref())?;
        let standing = self.health.drains();
        let was_drained = standing.iter().any(|view| view.order.service == position);
        if was_drained {
            tracing::info!(service, who, "drain taken back");
            self.health.handle_undrain(now, position);
            self.records.note_at_once(now, &self.health);
        }
        let left = standing
            .iter()
            .filter(|view| view.order.service != position);
        let left = left.map(|view| view.order.service.and_then(|of| self.service_names.get(of)));
        let mut text = undrained(service.as_deref(), was_drained, left);
        if let Some(unkept) = self.records.unkept().filter(|_| was_drained) {
            text.push_str(&format!(
                "; warning: a restart may bring it back ({unkept})"
            ));
        }
        Ok(text)
    }

    /// Position of the service with this name; no name means all.
    fn position(&self, name: Option<&str>) -> Result<Option<usize>, String> {
        let Some(name) = name else { return Ok(None) };
        let names = &self.service_names;
        let position = names.iter().position(|known| known == name);
        match position {
            Some(_) => Ok(position),
            None if names.is_empty() => Err(format!("no service {name}: there is none at all")),
            None => Err(format!("no service {name}; known: {}", names.join(", "))),
        }
    }

    /// Lets the query path know who has to go.
    pub(super) fn take_drain_event(&mut self, event: &Event) {
        match event {
            Event::Verdict { .. } => {}
            Event::Departure(departure) => {
                let is_draining = departure.phase != DrainPhase::Serving;
                self.signals.tell_draining(departure.service, is_draining);
                let now = Instant::now();
                if departure.has_expired {
                    self.records.note_at_once(now, &self.health);
                }
                self.publish(now);
            }
            Event::Drain(phase) => {
                let shared = &self.reporter.shared;
                shared.tell_draining(*phase != DrainPhase::Serving);
            }
        }
    }

    /// Publishes the present state.
    pub(super) fn publish(&mut self, now: Instant) {
        self.reporter.publish(
            now,
            &self.health,
            &self.host,
            &self.neighbors,
            &self.signals,
            self.records.warning(),
        );
    }

    pub(super) fn tell_departure(&self, departure: &Departure) {
        let name = self.service_names.get(departure.service);
        let service = name.map_or("", String::as_str);
        let who = Some(&*departure.who).filter(|who| !who.is_empty());
        let (reason, rate) = (&*departure.reason, departure.rate.map(tenths));
        let until_s = departure.until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            left.as_secs()
        });
        let elapsed_ms = departure.elapsed.as_millis();
        match departure.phase {
            DrainPhase::Leaving => {
                tracing::info!(service, who, reason, rate, left_s = until_s, "draining");
            }
            DrainPhase::Drained | DrainPhase::Finished => {
                tracing::info!(service, who, reason, rate, elapsed_ms, "drained");
            }
            DrainPhase::Serving => {
                let has_expired = departure.has_expired;
                tracing::info!(service, who, reason, elapsed_ms, has_expired, "drain over");
            }
        }
    }
}

/// What is said to who has ordered a drain in the place of one that stood: the later order wins.
fn replaced(now: Instant, before: &DrainOrder, order: &DrainOrder) -> String {
    let lasts = |until: Option<Instant>| match until {
        Some(until) => {
            let left_s = until.saturating_duration_since(now).as_secs();
            let left = humantime::format_duration(Duration::from_secs(left_s));
            format!("for {left}")
        }
        None => "until taken back".to_owned(),
    };
    let (was, is) = (lasts(before.until), lasts(order.until));
    let who = &before.who;
    format!("; this replaces the drain of {who} (was: {was}, now: {is})")
}

/// What is said to who has taken a drain back, or wanted to; `left` are the drains that stand.
fn undrained<'a>(
    service: Option<&str>,
    was_drained: bool,
    left: impl Iterator<Item = Option<&'a String>>,
) -> String {
    let mut text = match (service, was_drained) {
        (_, true) => "the drain is over".to_owned(),
        (Some(service), false) => format!("{service} is not drained by name"),
        (None, false) => "not drained as a whole".to_owned(),
    };
    for other in left {
        match (other, service) {
            (None, Some(_)) => text.push_str("; all services are drained (sidestep undrain)"),
            (Some(other), None) => {
                text.push_str(&format!(
                    "; {other} is drained (sidestep undrain --service {other})"
                ));
            }
            // Other services are not what was asked about.
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    text
}

/// Fills in what a status says of drains.
pub(super) fn tell(status: &mut Status, health: &Health, now: Instant) {
    let drains = health.drains();
    let unix_now = super::status::unix_time();
    for DrainView {
        order,
        since,
        phase,
        drained_after,
        rate,
        rate_at_start,
    } in drains
    {
        let since_s = now.saturating_duration_since(since).as_secs();
        let reason = order.reason.to_string();
        let left = order.until.map(|at| at.saturating_duration_since(now));
        let name = |service: usize| status.services.get(service).map(|s| s.name.clone());
        status.drains.push(StandingDrain {
            service: order.service.and_then(name),
            who: order.who.to_string(),
            reason: reason.clone(),
            since_s,
            until_unix_s: left.map(|left| (unix_now + left).as_secs()),
            left_s: left.map(|left| left.as_secs()),
            phase: match phase {
                DrainPhase::Serving | DrainPhase::Leaving => Phase::Leaving,
                DrainPhase::Drained | DrainPhase::Finished => Phase::Drained,
            },
            rate: rate.map(tenths),
            rate_at_start: rate_at_start.map(tenths),
            drained_after_ms: drained_after
                .map(|after| after.as_millis().try_into().unwrap_or(u64::MAX)),
        });
        if order.service.is_none() {
            status.drain = Some(Drain { reason, since_s });
        }
    }
}

/// Nobody needs more digits.
fn tenths(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
