//! What Prometheus sees of extra checks; labels are names of the configuration.

use std::time::Duration;

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::CheckReport;
use crate::health::{CheckOutcome, CheckPolicy, Target};

/// The share that checks, and programs which answer for a service, have in the registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Name of each service, and those of its checks.
    services: Vec<(String, Vec<String>)>,
    up: IntGaugeVec,
    duration: GaugeVec,
    runs: IntCounterVec,
    lost: IntCounterVec,
}

impl Metrics {
    /// Registers everything; `services` are names and checks in the order of the configuration.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn register<'a>(
        registry: &Registry,
        services: impl Iterator<Item = (&'a str, &'a [CheckPolicy])>,
    ) -> prometheus::Result<Self> {
        let check = ["service", "check"];
        let named = services.map(|(name, checks)| {
            let checks = checks.iter().map(|check| check.name.to_string());
            (name.to_owned(), checks.collect())
        });
        let metrics = Self {
            services: named.collect(),
            up: IntGaugeVec::new(
                Opts::new(
                    "sidestep_check_up",
                    "1 when the latest result of the check was good.",
                ),
                &check,
            )?,
            duration: GaugeVec::new(
                Opts::new(
                    "sidestep_check_duration_seconds",
                    "What the latest run of the check took.",
                ),
                &check,
            )?,
            runs: IntCounterVec::new(
                Opts::new("sidestep_check_runs_total", "Runs of checks by outcome."),
                &["service", "check", "outcome"],
            )?,
            lost: IntCounterVec::new(
                Opts::new(
                    "sidestep_target_lost_datagrams_total",
                    "Datagrams that the target of a service lost because its queue was full; \
                     counted while probes are unanswered.",
                ),
                &["service", "family"],
            )?,
        };
        registry.register(Box::new(metrics.up.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.runs.clone()))?;
        registry.register(Box::new(metrics.lost.clone()))?;
        Ok(metrics)
    }

    /// Counts a run.
    pub fn record(&self, report: &CheckReport) {
        let outcome = match report.outcome {
            CheckOutcome::Good => "good",
            CheckOutcome::Bad(_) => "bad",
        };
        let [service, check] = self.labels(report.service, report.check);
        self.runs
            .with_label_values(&[service, check, outcome])
            .inc();
        self.record_result(report.service, report.check, &report.outcome);
        self.record_duration(report.service, report.check, report.duration);
    }

    /// Shows a result that no run has brought.
    pub fn record_result(&self, service: usize, check: usize, outcome: &CheckOutcome) {
        let labels = self.labels(service, check);
        let is_good = *outcome == CheckOutcome::Good;
        self.up.with_label_values(&labels).set(i64::from(is_good));
    }

    fn record_duration(&self, service: usize, check: usize, duration: Duration) {
        let labels = self.labels(service, check);
        let gauge = self.duration.with_label_values(&labels);
        gauge.set(duration.as_secs_f64());
    }

    /// Counts datagrams that the target of a service has lost.
    pub fn record_lost(&self, target: Target, datagrams: u64) {
        let service = self.services.get(target.service);
        let service = service.map_or("", |(name, _)| name.as_str());
        self.lost
            .with_label_values(&[service, target.family.as_str()])
            .inc_by(datagrams);
    }

    fn labels(&self, service: usize, check: usize) -> [&str; 2] {
        let Some((service, checks)) = self.services.get(service) else {
            return ["", ""];
        };
        [service, checks.get(check).map_or("", String::as_str)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::bad;
    use crate::health::{CheckFault, Family};
    use prometheus::{Encoder, TextEncoder};

    #[test]
    fn runs_results_and_durations_are_shown_with_the_names_of_service_and_check() {
        let registry = Registry::new();
        let policy = CheckPolicy {
            name: "backend".into(),
            fault: CheckFault::Shared,
            fall: 3,
            rise: 2,
        };
        let services = [("resolver", std::slice::from_ref(&policy))];
        let metrics = Metrics::register(&registry, services.into_iter()).unwrap();
        let mut report = CheckReport {
            service: 0,
            check: 0,
            outcome: CheckOutcome::Good,
            duration: Duration::from_millis(250),
        };
        metrics.record(&report);
        report.outcome = bad("refused");
        metrics.record(&report);
        let target = Target {
            service: 0,
            family: Family::V4,
        };
        metrics.record_lost(target, 7);
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut text)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let labels = "check=\"backend\"";
        for line in [
            format!("sidestep_check_up{{{labels},service=\"resolver\"}} 0"),
            format!("sidestep_check_duration_seconds{{{labels},service=\"resolver\"}} 0.25"),
            format!(
                "sidestep_check_runs_total{{{labels},outcome=\"good\",service=\"resolver\"}} 1"
            ),
            format!("sidestep_check_runs_total{{{labels},outcome=\"bad\",service=\"resolver\"}} 1"),
            "sidestep_target_lost_datagrams_total{family=\"ipv4\",service=\"resolver\"} 7".into(),
        ] {
            assert!(text.contains(&line), "{line} not in\n{text}");
        }
        assert!(Metrics::register(&registry, [].into_iter()).is_err());
    }
}
