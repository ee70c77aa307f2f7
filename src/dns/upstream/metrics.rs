//! The upstreams as Prometheus sees them: read from the atomics when asked, nothing kept twice.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{FailureKind, Upstreams};

const LABELS: [&str; 2] = ["upstream", "zone"];

/// Registers the metrics of all upstreams.
///
/// # Errors
/// When metrics of these names are registered already.
pub fn register(registry: &Registry, upstreams: Arc<Upstreams>) -> Result<(), prometheus::Error> {
    registry.register(Box::new(UpstreamCollector {
        descriptions: Families::new()?.descriptions(),
        upstreams,
    }))
}

struct UpstreamCollector {
    upstreams: Arc<Upstreams>,
    descriptions: Vec<Desc>,
}

impl Collector for UpstreamCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The same names were accepted when the collector was registered.
        Families::new().map_or_else(|_| Vec::new(), |families| families.fill(&self.upstreams))
    }
}

/// Made anew for each scrape, so that two at once do not disturb each other.
struct Families {
    up: IntGaugeVec,
    in_flight: IntGaugeVec,
    rtt: GaugeVec,
    queries: IntCounterVec,
    timeouts: IntCounterVec,
    failures: IntCounterVec,
    saturated: IntCounter,
}

impl Families {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            up: IntGaugeVec::new(
                Opts::new(
                    "sidestep_upstream_up",
                    "Whether the upstream answers (1) or not (0).",
                ),
                &LABELS,
            )?,
            in_flight: IntGaugeVec::new(
                Opts::new("sidestep_upstream_in_flight", "Questions under way."),
                &LABELS,
            )?,
            rtt: GaugeVec::new(
                Opts::new(
                    "sidestep_upstream_rtt_seconds",
                    "Smoothed round-trip time of probes; absent before the first answer.",
                ),
                &LABELS,
            )?,
            queries: IntCounterVec::new(
                Opts::new(
                    "sidestep_upstream_queries_total",
                    "Client questions sent, repetitions included, probes not.",
                ),
                &LABELS,
            )?,
            timeouts: IntCounterVec::new(
                Opts::new(
                    "sidestep_upstream_timeouts_total",
                    "Client questions that were not answered in time, so that another upstream was asked.",
                ),
                &LABELS,
            )?,
            failures: IntCounterVec::new(
                Opts::new(
                    "sidestep_upstream_failures_total",
                    "Questions or datagrams that came to nothing, by kind.",
                ),
                &[LABELS[0], LABELS[1], "kind"],
            )?,
            saturated: IntCounter::new(
                "sidestep_upstream_saturated_total",
                "Questions not asked because too many were under way.",
            )?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 7] {
        [
            &self.up,
            &self.in_flight,
            &self.rtt,
            &self.queries,
            &self.timeouts,
            &self.failures,
            &self.saturated,
        ]
    }

    fn descriptions(&self) -> Vec<Desc> {
        self.collectors()
            .iter()
            .flat_map(|collector| collector.desc())
            .cloned()
            .collect()
    }

    fn fill(&self, upstreams: &Upstreams) -> Vec<MetricFamily> {
        for (index, status) in upstreams.indexes().zip(upstreams.status()) {
            let address = status.address.to_string();
            let labels = [address.as_str(), status.zone.as_str()];
            self.up.with_label_values(&labels).set(i64::from(status.up));
            self.in_flight
                .with_label_values(&labels)
                .set(status.in_flight.into());
            if let Some(srtt) = status.srtt {
                self.rtt.with_label_values(&labels).set(srtt.as_secs_f64());
            }
            self.queries
                .with_label_values(&labels)
                .inc_by(status.queries);
            self.timeouts
                .with_label_values(&labels)
                .inc_by(status.timeouts);
            for kind in FailureKind::ALL {
                self.failures
                    .with_label_values(&[labels[0], labels[1], kind.label()])
                    .inc_by(upstreams.failures(index, kind));
            }
        }
        self.saturated.inc_by(upstreams.saturated());
        self.collectors()
            .iter()
            .flat_map(|collector| collector.collect())
            // A family without a member (no upstream, no round trip yet) is no valid exposition.
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "simulated time needs a starting point"
    )]

    use std::time::{Duration, Instant};

    use super::super::{Asked, ResolvedZone};
    use super::*;

    #[test]
    fn a_scrape_tells_state_speed_and_counts_of_each_upstream() {
        let start = Instant::now();
        let upstreams = Arc::new(Upstreams::new(
            &[ResolvedZone {
                zone: vec![0],
                zone_text: ".".to_owned(),
                critical: true,
                upstreams: vec!["192.0.2.1:53".parse().unwrap()],
                ..ResolvedZone::default()
            }],
            start,
        ));
        let index = upstreams.indexes().next().unwrap();
        upstreams.asked(index);
        upstreams.settled(index, 1);
        upstreams.failed(index, FailureKind::Tcp);
        upstreams.answered(
            index,
            Asked::Probe,
            start,
            start + Duration::from_millis(250),
        );
        let registry = Registry::new();
        register(&registry, Arc::clone(&upstreams)).unwrap();
        assert!(register(&registry, upstreams).is_err());
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let labels = r#"upstream="192.0.2.1:53",zone=".""#;
        for line in [
            format!("sidestep_upstream_up{{{labels}}} 1\n"),
            format!("sidestep_upstream_rtt_seconds{{{labels}}} 0.25\n"),
            format!("sidestep_upstream_queries_total{{{labels}}} 1\n"),
            format!("sidestep_upstream_timeouts_total{{{labels}}} 0\n"),
            format!("sidestep_upstream_failures_total{{kind=\"tcp\",{labels}}} 1\n"),
            format!("sidestep_upstream_in_flight{{{labels}}} 0\n"),
            "sidestep_upstream_saturated_total 0\n".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
