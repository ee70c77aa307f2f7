//! What Prometheus sees of the speaker; the only file of it that knows Prometheus.
//!
//! Source: RFC 4273 (values of the state). Labels are neighbours' addresses and fixed words.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::connection::{Counts, MessageCounts, State};
use super::peer::PeerStatus;

/// From 50 µs, well within a scheduling turn, to what a stuck routing thread would show.
const WRITE_BUCKETS: [f64; 10] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0,
];

/// All metrics of the speaker.
#[derive(Clone, Debug)]
pub struct Metrics {
    state: IntGaugeVec,
    last_change: IntGaugeVec,
    transitions: IntCounterVec,
    messages: IntCounterVec,
    announced: IntGaugeVec,
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
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGaugeVec> {
            added(
                registry,
                IntGaugeVec::new(Opts::new(name, help), &["neighbor"])?,
            )
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            added(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        Ok(Self {
            state: gauge(
                "sidestep_bgp_state",
                "Session state: 1 idle, 2 connect, 3 active, 4 open sent, 5 open confirm, \
                 6 established.",
            )?,
            last_change: gauge(
                "sidestep_bgp_last_change_timestamp_seconds",
                "When the session last changed its state.",
            )?,
            transitions: counter(
                "sidestep_bgp_transitions_total",
                "Changes into a state.",
                &["neighbor", "to"],
            )?,
            messages: counter(
                "sidestep_bgp_messages_total",
                "BGP messages by direction and type.",
                &["neighbor", "direction", "type"],
            )?,
            announced: gauge(
                "sidestep_bgp_announced_prefixes",
                "Prefixes that the neighbour has been told.",
            )?,
            update_errors: counter(
                "sidestep_bgp_update_errors_total",
                "Received UPDATEs whose prefixes counted as withdrawn for an error.",
                &["neighbor"],
            )?,
            refused: counter(
                "sidestep_bgp_refused_connections_total",
                "Inbound connections closed at once: of no neighbour, of one that has no use for \
                 it now, not signed with its password, or from farther away than its link.",
                &["reason"],
            )?,
            route_write: added(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "sidestep_bgp_route_write_seconds",
                        "From a change of the wanted routes to the last UPDATE written.",
                    )
                    .buckets(WRITE_BUCKETS.to_vec()),
                )?,
            )?,
        })
    }

    /// Those of one neighbour; they vanish with the value.
    #[must_use]
    pub fn peer(&self, neighbor: &str) -> PeerMetrics {
        let peer = PeerMetrics {
            metrics: self.clone(),
            neighbor: neighbor.to_owned(),
            counted: Counts::default(),
        };
        peer.metrics
            .state
            .with_label_values(&[&peer.neighbor])
            .set(1);
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

fn added<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Metrics of one neighbour.
#[derive(Debug)]
pub struct PeerMetrics {
    metrics: Metrics,
    neighbor: String,
    counted: Counts,
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

    pub(super) fn status(&mut self, status: &PeerStatus) {
        let announced = i64::try_from(status.announced).unwrap_or(i64::MAX);
        let neighbor = self.neighbor.as_str();
        self.metrics
            .announced
            .with_label_values(&[neighbor])
            .set(announced);
        let before = std::mem::replace(&mut self.counted, status.messages);
        self.count("sent", &before.sent, &status.messages.sent);
        self.count("received", &before.received, &status.messages.received);
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
        for gauge in [&metrics.state, &metrics.last_change, &metrics.announced] {
            let _ = gauge.remove_label_values(&[neighbor]);
        }
        let _ = metrics.update_errors.remove_label_values(&[neighbor]);
        for state in State::ALL {
            let _ = metrics
                .transitions
                .remove_label_values(&[neighbor, state.name()]);
        }
        for direction in ["sent", "received"] {
            for (kind, _) in MessageCounts::default().by_kind() {
                let _ = metrics
                    .messages
                    .remove_label_values(&[neighbor, direction, kind]);
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

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use std::time::Instant;

    use super::*;

    fn series(registry: &Registry) -> usize {
        registry
            .gather()
            .iter()
            .map(|family| family.get_metric().len())
            .sum()
    }

    /// RFC 4273: the state as a number; counters follow the status; nothing stays behind.
    #[test]
    fn a_neighbours_series_follow_its_status_and_vanish_with_it() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let empty = series(&registry);
        let mut peer = metrics.peer("192.0.2.1");
        peer.transition(State::Established, Duration::from_secs(1_700_000_000));
        let mut status = PeerStatus::new(Instant::now());
        status.announced = 2;
        status.messages.sent.update = 3;
        peer.status(&status);
        status.messages.sent.update = 5;
        peer.status(&status);
        assert_eq!(metrics.state.with_label_values(&["192.0.2.1"]).get(), 6);
        assert_eq!(metrics.announced.with_label_values(&["192.0.2.1"]).get(), 2);
        let updates = metrics
            .messages
            .with_label_values(&["192.0.2.1", "sent", "update"]);
        assert_eq!(updates.get(), 5);
        drop(peer);
        assert_eq!(series(&registry), empty);
        assert!(Metrics::register(&registry).is_err());
    }
}
