//! What Prometheus sees of BFD; the only file of it that knows Prometheus.
//!
//! Source: RFC 5880 §6.8.1 (what a session knows of itself). Labels are neighbours' addresses and
//! fixed words.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::State;

/// All metrics of BFD.
#[derive(Clone, Debug)]
pub struct Metrics {
    up: IntGaugeVec,
    transitions: IntCounterVec,
    sent: IntCounterVec,
    received: IntCounterVec,
    send_errors: IntCounterVec,
    dropped: IntCounterVec,
    detection_time: GaugeVec,
    transmit_interval: GaugeVec,
    receive_gap: GaugeVec,
}

impl Metrics {
    /// Builds and registers them.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            added(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let seconds = |name: &str, help: &str| {
            added(
                registry,
                GaugeVec::new(Opts::new(name, help), &["neighbor"])?,
            )
        };
        let up = Opts::new(
            "sidestep_bfd_session_up",
            "Whether both ends hear each other.",
        );
        Ok(Self {
            up: added(registry, IntGaugeVec::new(up, &["neighbor"])?)?,
            transitions: counter(
                "sidestep_bfd_transitions_total",
                "Changes into a state.",
                &["neighbor", "to"],
            )?,
            sent: counter(
                "sidestep_bfd_packets_sent_total",
                "Control packets that the kernel took.",
                &["neighbor"],
            )?,
            received: counter(
                "sidestep_bfd_packets_received_total",
                "Control packets that were taken in.",
                &["neighbor"],
            )?,
            send_errors: counter(
                "sidestep_bfd_send_errors_total",
                "Control packets that the kernel did not take.",
                &["neighbor"],
            )?,
            dropped: counter(
                "sidestep_bfd_dropped_total",
                "Packets not taken in. Reason \"kernel\": of strangers or from too far away, before \
                 they took room in the buffer, or because it was full.",
                &["reason"],
            )?,
            detection_time: seconds(
                "sidestep_bfd_detection_time_seconds",
                "Silence of the neighbour after which the session goes down.",
            )?,
            transmit_interval: seconds(
                "sidestep_bfd_transmit_interval_seconds",
                "Agreed on for packets to the neighbour, before jitter.",
            )?,
            receive_gap: seconds(
                "sidestep_bfd_receive_gap_seconds",
                "The longest time between two packets of the neighbour since the session is up.",
            )?,
        })
    }

    pub(super) fn dropped(&self, reason: &'static str, count: u64) {
        self.dropped.with_label_values(&[reason]).inc_by(count);
    }

    /// Those of one session; they vanish with the value.
    pub(super) fn session(&self, peer: String) -> SessionMetrics {
        let of = [peer.as_str()];
        SessionMetrics {
            up: self.up.with_label_values(&of),
            sent: self.sent.with_label_values(&of),
            received: self.received.with_label_values(&of),
            send_errors: self.send_errors.with_label_values(&of),
            detection_time: self.detection_time.with_label_values(&of),
            transmit_interval: self.transmit_interval.with_label_values(&of),
            receive_gap: self.receive_gap.with_label_values(&of),
            all: self.clone(),
            peer,
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

/// Metrics of one session, found once: a packet costs no look-up.
#[derive(Debug)]
pub(super) struct SessionMetrics {
    all: Metrics,
    peer: String,
    up: IntGauge,
    pub(super) sent: IntCounter,
    pub(super) received: IntCounter,
    pub(super) send_errors: IntCounter,
    detection_time: Gauge,
    transmit_interval: Gauge,
    receive_gap: Gauge,
}

impl SessionMetrics {
    pub(super) fn transition(&self, to: State) {
        self.up.set((to == State::Up).into());
        let labels = [self.peer.as_str(), to.name()];
        self.all.transitions.with_label_values(&labels).inc();
    }

    pub(super) fn times(
        &self,
        detection: Option<Duration>,
        transmit: Option<Duration>,
        gap: Option<Duration>,
    ) {
        let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
        self.detection_time.set(seconds(detection));
        self.transmit_interval.set(seconds(transmit));
        self.receive_gap.set(seconds(gap));
    }
}

impl Drop for SessionMetrics {
    /// A neighbour that is gone must not be seen at its last state for ever. Series that never came
    /// to be are no error.
    fn drop(&mut self) {
        let (all, of) = (&self.all, [self.peer.as_str()]);
        let _ = all.up.remove_label_values(&of);
        for counter in [&all.sent, &all.received, &all.send_errors] {
            let _ = counter.remove_label_values(&of);
        }
        for gauge in [
            &all.detection_time,
            &all.transmit_interval,
            &all.receive_gap,
        ] {
            let _ = gauge.remove_label_values(&of);
        }
        for state in State::ALL {
            let labels = [self.peer.as_str(), state.name()];
            let _ = all.transitions.remove_label_values(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5880 §6.8.1; nothing stays behind.
    #[test]
    fn a_sessions_series_follow_it_and_vanish_with_it() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let session = metrics.session("192.0.2.1".to_owned());
        session.transition(State::Init);
        assert_eq!(session.up.get(), 0);
        session.transition(State::Up);
        assert_eq!(session.up.get(), 1);
        let time = Some(Duration::from_millis(150));
        session.times(time, None, None);
        assert!((session.detection_time.get() - 0.15).abs() < 1e-9);
        metrics.dropped("ttl", 2);
        let names: Vec<_> = registry
            .gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        assert_eq!(names.len(), 9, "{names:?}");
        drop(session);
        assert_eq!(registry.gather().len(), 1);
        assert!(Metrics::register(&registry).is_err());
    }
}
