//! What Prometheus sees of the answers of forward zones. Updated from the routing thread; the zones
//! are those of the configuration.

use std::time::Duration;

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The answers of one zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneAnswers {
    /// Questions that were answered in time, since the start.
    pub good: u64,
    /// Questions that failed, since the start.
    pub failed: u64,
    /// See [`super::AnswerJudge::failed_percent`].
    pub failed_percent: Option<u8>,
    /// See [`super::AnswerJudge::baseline_percent`]; `None`: the zone is not judged.
    pub baseline_percent: Option<u8>,
    /// See [`super::AnswerJudge::median`].
    pub median: Option<Duration>,
    /// Canaries that resolve, and how many there are.
    pub canaries: (u8, u8),
}

/// The share of this in the registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    answers: IntCounterVec,
    failed: GaugeVec,
    baseline: GaugeVec,
    median: GaugeVec,
    canaries: IntGaugeVec,
    canaries_good: IntGaugeVec,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let zone = ["zone"];
        let measure = |name, help| GaugeVec::new(Opts::new(name, help), &zone);
        let count = |name, help| IntGaugeVec::new(Opts::new(name, help), &zone);
        let metrics = Self {
            answers: IntCounterVec::new(
                Opts::new(
                    "sidestep_zone_answers_total",
                    "Clients' questions that went to upstreams, by whether they were answered in time.",
                ),
                &["zone", "outcome"],
            )?,
            failed: measure(
                "sidestep_zone_failed_ratio",
                "Domains whose questions failed in the last 10 s, as a share; absent when few ask.",
            )?,
            baseline: measure(
                "sidestep_zone_failed_baseline_ratio",
                "What that usually is.",
            )?,
            median: measure(
                "sidestep_zone_answer_median_seconds",
                "What the median time of good answers usually is; absent at first.",
            )?,
            canaries: count(
                "sidestep_zone_canaries",
                "Names that should always resolve.",
            )?,
            canaries_good: count(
                "sidestep_zone_canaries_good",
                "Of these names, how many resolve.",
            )?,
        };
        registry.register(Box::new(metrics.answers.clone()))?;
        registry.register(Box::new(metrics.failed.clone()))?;
        registry.register(Box::new(metrics.baseline.clone()))?;
        registry.register(Box::new(metrics.median.clone()))?;
        registry.register(Box::new(metrics.canaries.clone()))?;
        registry.register(Box::new(metrics.canaries_good.clone()))?;
        Ok(metrics)
    }

    /// Shows the answers of a zone, by its name.
    pub fn refresh(&self, zone: &str, answers: &ZoneAnswers) {
        for (outcome, total) in [("good", answers.good), ("failed", answers.failed)] {
            let counter = self.answers.with_label_values(&[zone, outcome]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        let ratio = |percent: u8| f64::from(percent) / 100.0;
        show(&self.failed, zone, answers.failed_percent.map(ratio));
        show(&self.baseline, zone, answers.baseline_percent.map(ratio));
        let median = answers.median.map(|median| median.as_secs_f64());
        show(&self.median, zone, median);
        let (good, of) = answers.canaries;
        if of > 0 {
            self.canaries.with_label_values(&[zone]).set(of.into());
            self.canaries_good
                .with_label_values(&[zone])
                .set(good.into());
        }
    }
}

/// What is not known is not shown.
fn show(gauge: &GaugeVec, zone: &str, value: Option<f64>) {
    match value {
        Some(value) => gauge.with_label_values(&[zone]).set(value),
        // It may not have been there.
        None => drop(gauge.remove_label_values(&[zone])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_zone_is_shown_and_what_is_not_is_absent() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        assert!(Metrics::register(&registry).is_err());
        let known = ZoneAnswers {
            good: 7,
            failed: 3,
            failed_percent: Some(25),
            baseline_percent: Some(5),
            median: Some(Duration::from_millis(20)),
            canaries: (2, 3),
        };
        metrics.refresh(".", &known);
        let text = || {
            let families = registry.gather();
            prometheus::TextEncoder::new()
                .encode_to_string(&families)
                .unwrap()
        };
        for line in [
            "sidestep_zone_answers_total{outcome=\"failed\",zone=\".\"} 3\n",
            "sidestep_zone_answers_total{outcome=\"good\",zone=\".\"} 7\n",
            "sidestep_zone_failed_ratio{zone=\".\"} 0.25\n",
            "sidestep_zone_failed_baseline_ratio{zone=\".\"} 0.05\n",
            "sidestep_zone_answer_median_seconds{zone=\".\"} 0.02\n",
            "sidestep_zone_canaries{zone=\".\"} 3\n",
            "sidestep_zone_canaries_good{zone=\".\"} 2\n",
        ] {
            assert!(text().contains(line), "{line} not in\n{}", text());
        }
        let unknown = ZoneAnswers {
            failed_percent: None,
            ..known
        };
        metrics.refresh(".", &unknown);
        assert!(!text().contains("sidestep_zone_failed_ratio{"));
    }
}
