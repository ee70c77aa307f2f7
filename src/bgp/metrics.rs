//! What Prometheus sees of the speaker; the only file of it that knows Prometheus.
//!
//! Source: RFC 4273 (values of the state). Labels are neighbours' addresses and fixed words.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::connection::{Counts, End, MessageCounts, State};
use super::message::Family;
use super::peer::{PeerStatus, Told};

/// From 100 µs, about a scheduling turn, to what a router that reads nothing would show.
const WRITE_BUCKETS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Error codes of a NOTIFICATION from 1 on; whatever else a peer invents is "other". RFC 4271 §4.5,
/// RFC 7313 §5, RFC 9687 §3.2.
const CODES: [&str; 9] = [
    "header",
    "open",
    "update",
    "hold_timer",
    "fsm",
    "cease",
    "route_refresh",
    "send_hold_timer",
    "other",
];
const DIRECTIONS: [&str; 2] = ["sent", "received"];

/// All metrics of the speaker.
#[derive(Clone, Debug)]
pub struct Metrics {
    state: IntGaugeVec,
    last_change: IntGaugeVec,
    transitions: IntCounterVec,
    messages: IntCounterVec,
    established: IntCounterVec,
    notifications: IntCounterVec,
    announced: IntGaugeVec,
    hold_time: IntGaugeVec,
    dead_man: IntGaugeVec,
    update_errors: IntCounterVec,
    refused: IntCounterVec,
    route_write: Histogram,
}

impl Metrics {
    /// Builds and registers them.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let kit = Kit(registry);
        Ok(Self {
            state: kit.gauge(
                "sidestep_bgp_state",
                "Session state: 1 idle, 2 connect, 3 active, 4 open sent, 5 open confirm, \
                 6 established.",
                &["neighbor"],
            )?,
            last_change: kit.gauge(
                "sidestep_bgp_last_change_timestamp_seconds",
                "When the session last changed its state.",
                &["neighbor"],
            )?,
            transitions: kit.counter(
                "sidestep_bgp_transitions_total",
                "Changes into a state.",
                &["neighbor", "to"],
            )?,
            messages: kit.counter(
                "sidestep_bgp_messages_total",
                "BGP messages by direction and type.",
                &["neighbor", "direction", "type"],
            )?,
            established: kit.counter(
                "sidestep_bgp_session_established_total",
                "How often the session became established.",
                &["neighbor"],
            )?,
            notifications: kit.counter(
                "sidestep_bgp_notifications_total",
                "NOTIFICATIONs by direction and error code.",
                &["neighbor", "direction", "code"],
            )?,
            announced: kit.gauge(
                "sidestep_bgp_announced_prefixes",
                "Prefixes that the neighbour has been told and that were not withdrawn since.",
                &["neighbor", "family"],
            )?,
            hold_time: kit.gauge(
                "sidestep_bgp_hold_time_seconds",
                "Hold time that both sides agreed on; 0: none. Missing while there is no agreement.",
                &["neighbor"],
            )?,
            dead_man: kit.gauge(
                "sidestep_bgp_dead_man",
                "1 while the session is held down because a withdraw could not be written when \
                 health was silent.",
                &["neighbor"],
            )?,
            update_errors: kit.counter(
                "sidestep_bgp_update_errors_total",
                "Received UPDATEs whose prefixes counted as withdrawn for an error.",
                &["neighbor"],
            )?,
            refused: kit.counter(
                "sidestep_bgp_refused_connections_total",
                "Inbound connections closed at once: of no neighbour, of one that has no use for \
                 it now, not signed with its password, or from farther away than its link.",
                &["reason"],
            )?,
            route_write: kit.histogram(
                "sidestep_bgp_route_write_seconds",
                "From the verdict that changed the routes to the last UPDATE written.",
                &WRITE_BUCKETS,
            )?,
        })
    }

    /// Those of one neighbour, under its address or `ADDRESS%INTERFACE`; they vanish with the value.
    #[must_use]
    pub fn peer(&self, neighbor: &str) -> PeerMetrics {
        let peer = PeerMetrics {
            metrics: self.clone(),
            neighbor: neighbor.to_owned(),
            counted: Counts::default(),
            established: 0,
            routes: None,
        };
        // A counter that is born at 1 has no rate.
        let label = [&peer.neighbor];
        peer.metrics.state.with_label_values(&label).set(1);
        peer.metrics.established.with_label_values(&label);
        peer.metrics.update_errors.with_label_values(&label);
        peer.metrics.dead_man.with_label_values(&label);
        peer
    }

    /// Those of the listener.
    #[must_use]
    pub fn listener(&self) -> ListenerMetrics {
        ListenerMetrics {
            unknown: self.refused.with_label_values(&["unknown"]),
            busy: self.refused.with_label_values(&["busy"]),
            unsigned: self.refused.with_label_values(&["unsigned"]),
            far: self.refused.with_label_values(&["far"]),
        }
    }
}

/// Where metrics are registered.
struct Kit<'a>(&'a Registry);

impl Kit<'_> {
    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.added(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.added(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.added(Histogram::with_opts(options)?)
    }

    fn added<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

/// Metrics of one neighbour.
#[derive(Debug)]
pub struct PeerMetrics {
    metrics: Metrics,
    neighbor: String,
    counted: Counts,
    established: u64,
    /// Those that were counted last.
    routes: Option<Arc<[Told]>>,
}

impl PeerMetrics {
    pub(super) fn transition(&self, to: State, unix_time: Duration) {
        let metrics = &self.metrics;
        let neighbor = self.neighbor.as_str();
        metrics.state.with_label_values(&[neighbor]).set(number(to));
        let seconds = i64::try_from(unix_time.as_secs()).unwrap_or(i64::MAX);
        metrics
            .last_change
            .with_label_values(&[neighbor])
            .set(seconds);
        metrics
            .transitions
            .with_label_values(&[neighbor, to.name()])
            .inc();
    }

    pub(super) fn update_error(&self) {
        let neighbor = self.neighbor.as_str();
        self.metrics
            .update_errors
            .with_label_values(&[neighbor])
            .inc();
    }

    pub(super) fn routes_written(&self, after: Duration) {
        self.metrics.route_write.observe(after.as_secs_f64());
    }

    pub(super) fn ended(&self, end: &End) {
        let (direction, notification) = match end {
            End::Sent(notification) => ("sent", notification),
            End::Received(notification) => ("received", notification),
            End::ConnectTimeout
            | End::ConnectFailed
            | End::Closed
            | End::Dropped
            | End::Undelivered => return,
        };
        let labels = [self.neighbor.as_str(), direction, code(notification.code)];
        self.metrics.notifications.with_label_values(&labels).inc();
    }

    pub(super) fn status(&mut self, status: &PeerStatus) {
        let metrics = &self.metrics;
        let neighbor = self.neighbor.as_str();
        let dead_man = metrics.dead_man.with_label_values(&[neighbor]);
        dead_man.set(i64::from(status.is_dead_man));
        let more = status.established_total.saturating_sub(self.established);
        self.established = status.established_total;
        let established = metrics.established.with_label_values(&[neighbor]);
        established.inc_by(more);
        if status.peer_asn.is_some() {
            let agreed = status.hold_time.unwrap_or_default().as_secs();
            let agreed = i64::try_from(agreed).unwrap_or(i64::MAX);
            let hold_time = metrics.hold_time.with_label_values(&[neighbor]);
            hold_time.set(agreed);
        } else {
            let _ = metrics.hold_time.remove_label_values(&[neighbor]);
        }
        self.announced(status);
        let before = std::mem::replace(&mut self.counted, status.messages);
        self.count("sent", &before.sent, &status.messages.sent);
        self.count("received", &before.received, &status.messages.received);
    }

    fn announced(&mut self, status: &PeerStatus) {
        let known = self.routes.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, &status.routes)) {
            return;
        }
        for family in Family::ALL {
            let routes = status.routes.iter();
            let number = routes.filter(|told| Family::of(&told.prefix) == family);
            let labels = [self.neighbor.as_str(), family.name()];
            let number = i64::try_from(number.count()).unwrap_or(i64::MAX);
            self.metrics
                .announced
                .with_label_values(&labels)
                .set(number);
        }
        self.routes = Some(Arc::clone(&status.routes));
    }

    fn count(&self, direction: &str, before: &MessageCounts, after: &MessageCounts) {
        let kinds = before.by_kind().into_iter().zip(after.by_kind());
        for ((kind, before), (_, after)) in kinds {
            if let Some(more) = after.checked_sub(before).filter(|more| *more > 0) {
                let labels = [self.neighbor.as_str(), direction, kind];
                self.metrics
                    .messages
                    .with_label_values(&labels)
                    .inc_by(more);
            }
        }
    }
}

impl Drop for PeerMetrics {
    /// A neighbour that is gone must not be seen at its last state for ever. Series that never came
    /// to be are no error.
    fn drop(&mut self) {
        let neighbor = self.neighbor.as_str();
        let metrics = &self.metrics;
        for gauge in [
            &metrics.state,
            &metrics.last_change,
            &metrics.hold_time,
            &metrics.dead_man,
        ] {
            let _ = gauge.remove_label_values(&[neighbor]);
        }
        for counter in [&metrics.established, &metrics.update_errors] {
            let _ = counter.remove_label_values(&[neighbor]);
        }
        for family in Family::ALL {
            let labels = [neighbor, family.name()];
            let _ = metrics.announced.remove_label_values(&labels);
        }
        for state in State::ALL {
            let labels = [neighbor, state.name()];
            let _ = metrics.transitions.remove_label_values(&labels);
        }
        for direction in DIRECTIONS {
            for (kind, _) in MessageCounts::default().by_kind() {
                let labels = [neighbor, direction, kind];
                let _ = metrics.messages.remove_label_values(&labels);
            }
            for code in CODES {
                let labels = [neighbor, direction, code];
                let _ = metrics.notifications.remove_label_values(&labels);
            }
        }
    }
}

/// Metrics of the listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    pub(super) unknown: IntCounter,
    pub(super) busy: IntCounter,
    pub(super) unsigned: IntCounter,
    pub(super) far: IntCounter,
}

/// RFC 4273 bgpPeerState.
const fn number(state: State) -> i64 {
    match state {
        State::Idle => 1,
        State::Connect => 2,
        State::Active => 3,
        State::OpenSent => 4,
        State::OpenConfirm => 5,
        State::Established => 6,
    }
}

fn code(code: u8) -> &'static str {
    let place = usize::from(code).checked_sub(1);
    let known = place.and_then(|place| CODES.get(place));
    known.copied().unwrap_or("other")
}

#[cfg(test)]
mod tests;
