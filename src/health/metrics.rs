//! What Prometheus sees of health. Updated from the routing thread; labels are closed sets.

use std::time::{Duration, Instant};

use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{Event, FaultClass, Health, Level, ProbeOf, ProbeOutcome, ProbeReport, Target};

/// The class label while there is no fault.
const NO_CLASS: &str = "none";

/// Health's share of the registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Names of the services, by [`Target::service`].
    services: Vec<String>,
    level: IntGaugeVec,
    reason: IntGaugeVec,
    since: GaugeVec,
    probes: IntCounterVec,
    transitions: IntCounterVec,
    lease_age: Gauge,
    delayed: IntGaugeVec,
    faults: IntGaugeVec,
    peers: IntGaugeVec,
    links: IntGaugeVec,
    drains: super::drain::metrics::Metrics,
}

impl Metrics {
    /// Registers everything; `services` are the names in the order of the configuration.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn register(registry: &Registry, services: Vec<String>) -> prometheus::Result<Self> {
        let target = ["service", "family"];
        let metrics = Self {
            services,
            level: gauge(
                registry,
                "sidestep_service_level",
                "1 for the level that the service is at.",
                &["service", "family", "level"],
            )?,
            reason: gauge(
                registry,
                "sidestep_service_reason",
                "1 for the class of the present fault.",
                &["service", "family", "class"],
            )?,
            since: GaugeVec::new(
                Opts::new(
                    "sidestep_service_since_timestamp_seconds",
                    "When level, class or reason last changed, in Unix time.",
                ),
                &target,
            )?,
            probes: IntCounterVec::new(
                Opts::new("sidestep_health_probes_total", "Self-probes by outcome."),
                &["service", "family", "protocol", "outcome"],
            )?,
            transitions: IntCounterVec::new(
                Opts::new("sidestep_service_transitions_total", "Changes of level."),
                &["service", "family", "level"],
            )?,
            lease_age: Gauge::new(
                "sidestep_health_lease_age_seconds",
                "Time since the lease was renewed; -1 before the first time.",
            )?,
            delayed: gauge(
                registry,
                "sidestep_service_promotion_delayed",
                "1 while nothing but damping keeps the service from preferred.",
                &target,
            )?,
            faults: gauge(
                registry,
                "sidestep_service_faults_remembered",
                "Faults of the last ten minutes.",
                &target,
            )?,
            peers: gauge(
                registry,
                "sidestep_health_peers",
                "Siblings by what they say.",
                &["state"],
            )?,
            links: gauge(
                registry,
                "sidestep_health_links",
                "Links that neighbours are behind, known and up.",
                &["state"],
            )?,
            drains: super::drain::metrics::Metrics::register(registry)?,
        };
        registry.register(Box::new(metrics.since.clone()))?;
        registry.register(Box::new(metrics.probes.clone()))?;
        registry.register(Box::new(metrics.transitions.clone()))?;
        registry.register(Box::new(metrics.lease_age.clone()))?;
        Ok(metrics)
    }

    /// Counts a self-probe.
    pub fn record_probe(&self, report: &ProbeReport) {
        let protocol = match report.probe {
            ProbeOf::Worker(_) | ProbeOf::Address => "udp",
            ProbeOf::Tcp => "tcp",
        };
        let outcome = match report.outcome {
            ProbeOutcome::Good => "good",
            ProbeOutcome::Bad => "bad",
            ProbeOutcome::Unanswered | ProbeOutcome::Shed => "unanswered",
        };
        let [service, family] = self.labels(report.target);
        self.probes
            .with_label_values(&[service, family, protocol, outcome])
            .inc();
    }

    /// Counts a change of level.
    pub fn record_event(&self, event: &Event) {
        match event {
            Event::Verdict {
                target,
                from,
                verdict,
                ..
            } if *from != verdict.level => {
                let [service, family] = self.labels(*target);
                let level = verdict.level.as_str();
                self.transitions
                    .with_label_values(&[service, family, level])
                    .inc();
            }
            Event::Verdict { .. } | Event::Departure(_) | Event::Drain(_) => {}
        }
    }

    /// Shows the present verdicts and the age of the lease. `unix_now` is `now` in Unix time.
    pub fn refresh(&self, health: &Health, now: Instant, unix_now: Duration) {
        let drains = self.services.iter().zip(health.drain_standings());
        self.drains.refresh(drains, now, unix_now);
        for (target, verdict) in health.verdicts() {
            let [service, family] = self.labels(target);
            for level in Level::ALL {
                let gauge = self
                    .level
                    .with_label_values(&[service, family, level.as_str()]);
                gauge.set(i64::from(level == verdict.level));
            }
            let shown = verdict.class.map_or(NO_CLASS, FaultClass::as_str);
            for class in FaultClass::ALL
                .map(FaultClass::as_str)
                .into_iter()
                .chain([NO_CLASS])
            {
                let gauge = self.reason.with_label_values(&[service, family, class]);
                gauge.set(i64::from(class == shown));
            }
            let age = now.saturating_duration_since(verdict.since);
            let since = unix_now.saturating_sub(age).as_secs_f64();
            self.since.with_label_values(&[service, family]).set(since);
        }
        self.refresh_signals(health, now);
        let renewed_at = health.lease().renewed_at();
        let age = renewed_at.map(|at| now.saturating_duration_since(at).as_secs_f64());
        self.lease_age.set(age.unwrap_or(-1.0));
    }

    fn refresh_signals(&self, health: &Health, now: Instant) {
        for (target, faults, is_delayed) in health.damping(now) {
            let labels = self.labels(target);
            let delayed = self.delayed.with_label_values(&labels);
            delayed.set(i64::from(is_delayed));
            let remembered = self.faults.with_label_values(&labels);
            remembered.set(i64::from(faults));
        }
        let peers = health.peers();
        for (state, count) in [
            ("known", peers.known),
            ("reached", peers.reached),
            ("able", peers.able),
            ("lowered", peers.lowered),
            ("blind", peers.blind),
        ] {
            let gauge = self.peers.with_label_values(&[state]);
            gauge.set(i64::from(count));
        }
        let (up, of) = health.links();
        for (state, count) in [("up", up), ("known", of)] {
            let gauge = self.links.with_label_values(&[state]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn labels(&self, target: Target) -> [&str; 2] {
        let service = self.services.get(target.service).map_or("", String::as_str);
        [service, target.family.as_str()]
    }
}

fn gauge(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::tests::Bench;
    use prometheus::{Encoder, TextEncoder};

    fn text(registry: &Registry) -> String {
        let mut out = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_level_the_class_and_the_change_are_shown_with_the_name_of_the_service() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, vec!["resolver".to_owned()]).unwrap();
        let mut bench = Bench::started();
        while let Some(event) = bench.health.poll_event() {
            metrics.record_event(&event);
        }
        bench.health.handle_zone(bench.now, ".", true);
        bench.health.handle_links(bench.now, 1, 2);
        while let Some(event) = bench.health.poll_event() {
            metrics.record_event(&event);
        }
        metrics.record_probe(&ProbeReport {
            target: Bench::V4,
            probe: ProbeOf::Tcp,
            outcome: ProbeOutcome::Unanswered,
        });
        metrics.refresh(&bench.health, bench.now, Duration::from_secs(1000));
        let text = text(&registry);
        let v4 = "family=\"ipv4\"";
        let resolver = "service=\"resolver\"";
        for line in [
            format!("sidestep_service_level{{{v4},level=\"backup\",{resolver}}} 1"),
            format!("sidestep_service_level{{{v4},level=\"preferred\",{resolver}}} 0"),
            format!("sidestep_service_reason{{class=\"shared\",{v4},{resolver}}} 1"),
            format!("sidestep_service_reason{{class=\"none\",{v4},{resolver}}} 0"),
            format!("sidestep_service_since_timestamp_seconds{{{v4},{resolver}}} 1000"),
            format!("sidestep_service_transitions_total{{{v4},level=\"backup\",{resolver}}} 1"),
            format!(
                "sidestep_health_probes_total{{{v4},outcome=\"unanswered\",protocol=\"tcp\",{resolver}}} 1"
            ),
            "sidestep_health_lease_age_seconds 0".to_owned(),
            format!("sidestep_service_promotion_delayed{{{v4},{resolver}}} 0"),
            format!("sidestep_service_faults_remembered{{{v4},{resolver}}} 1"),
            "sidestep_health_links{state=\"up\"} 1".to_owned(),
            "sidestep_health_links{state=\"known\"} 2".to_owned(),
            "sidestep_health_peers{state=\"able\"} 0".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} not in\n{text}");
        }
    }

    #[test]
    fn registering_twice_is_refused_and_not_a_panic() {
        let registry = Registry::new();
        Metrics::register(&registry, Vec::new()).unwrap();
        assert!(Metrics::register(&registry, Vec::new()).is_err());
    }
}
