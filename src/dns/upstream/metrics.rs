//! The upstreams as Prometheus sees them: read from the atomics when asked, nothing kept twice.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{Breaker, FailureKind, UpstreamIndex, UpstreamStatus, Upstreams};

const LABELS: [&str; 2] = ["upstream", "zone"];
/// State of a sibling whose upstreams are dead too.
const DRY: &str = "dry";

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
    breaker: IntGaugeVec,
    openings: IntCounterVec,
    tcp_usable: IntGaugeVec,
    loss: GaugeVec,
    p95: GaugeVec,
    siblings: Siblings,
    in_flight: IntGaugeVec,
    rtt: GaugeVec,
    queries: IntCounterVec,
    timeouts: IntCounterVec,
    failures: IntCounterVec,
    saturated: IntCounter,
}

impl Families {
    fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &LABELS);
        let measure = |name, help| GaugeVec::new(Opts::new(name, help), &LABELS);
        let counter =
            |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let states = |name, help, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let [upstream, zone] = LABELS;
        Ok(Self {
            up: gauge(
                "sidestep_upstream_up",
                "Whether the upstream is asked (1) or not (0).",
            )?,
            breaker: states(
                "sidestep_upstream_breaker",
                "The state of the breaker: 1 for the one that it is in.",
                &[upstream, zone, "state"],
            )?,
            openings: counter(
                "sidestep_upstream_breaker_openings_total",
                "How often the breaker has opened, by the state that it went to.",
                &[upstream, zone, "state"],
            )?,
            tcp_usable: gauge(
                "sidestep_upstream_tcp_usable",
                "Whether TCP works with the upstream (1) or is only tried now and then (0).",
            )?,
            loss: measure(
                "sidestep_upstream_loss_ratio",
                "Questions and probes that were lately not answered in time, smoothed.",
            )?,
            p95: measure(
                "sidestep_upstream_answer_p95_seconds",
                "The time within which 19 of 20 questions were lately answered; absent at first.",
            )?,
            siblings: Siblings::new()?,
            in_flight: gauge("sidestep_upstream_in_flight", "Questions under way.")?,
            rtt: measure(
                "sidestep_upstream_rtt_seconds",
                "Smoothed round-trip time of probes; absent before the first answer.",
            )?,
            queries: counter(
                "sidestep_upstream_queries_total",
                "Client questions sent, repetitions included, probes not.",
                &LABELS,
            )?,
            timeouts: counter(
                "sidestep_upstream_timeouts_total",
                "Client questions that were not answered in time.",
                &LABELS,
            )?,
            failures: counter(
                "sidestep_upstream_failures_total",
                "Questions or datagrams that came to nothing, by kind.",
                &[upstream, zone, "kind"],
            )?,
            saturated: IntCounter::new(
                "sidestep_upstream_saturated_total",
                "Questions not asked because too many were under way.",
            )?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 15] {
        [
            &self.up,
            &self.breaker,
            &self.openings,
            &self.tcp_usable,
            &self.loss,
            &self.p95,
            &self.siblings.nodes,
            &self.siblings.queries,
            &self.siblings.denials,
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
            if status.is_sibling {
                self.siblings.fill(&status);
            } else {
                self.fill_upstream(upstreams, index, &status);
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

    fn fill_upstream(&self, upstreams: &Upstreams, index: UpstreamIndex, status: &UpstreamStatus) {
        let address = status.address.to_string();
        let labels = [address.as_str(), status.zone.as_str()];
        let with = |last| [labels[0], labels[1], last];
        self.up.with_label_values(&labels).set(i64::from(status.up));
        for state in Breaker::ALL {
            let is_in_it = i64::from(status.breaker == state);
            let gauge = self.breaker.with_label_values(&with(state.label()));
            gauge.set(is_in_it);
        }
        let open = [Breaker::OpenByTransport, Breaker::OpenByRcode];
        for (state, openings) in open.into_iter().zip(status.openings) {
            let counter = self.openings.with_label_values(&with(state.label()));
            counter.inc_by(openings);
        }
        let tcp_usable = self.tcp_usable.with_label_values(&labels);
        tcp_usable.set(i64::from(status.tcp_closed));
        let loss = self.loss.with_label_values(&labels);
        loss.set(f64::from(status.loss_permille) / 1000.0);
        for (gauge, time) in [(&self.p95, status.p95), (&self.rtt, status.srtt)] {
            if let Some(time) = time {
                gauge.with_label_values(&labels).set(time.as_secs_f64());
            }
        }
        let in_flight = self.in_flight.with_label_values(&labels);
        in_flight.set(status.in_flight.into());
        let queries = self.queries.with_label_values(&labels);
        queries.inc_by(status.queries);
        let timeouts = self.timeouts.with_label_values(&labels);
        timeouts.inc_by(status.timeouts);
        for kind in FailureKind::ALL {
            let failures = self.failures.with_label_values(&with(kind.label()));
            failures.inc_by(upstreams.failures(index, kind));
        }
    }
}

/// Together for each zone: a service may have thousands of nodes.
struct Siblings {
    nodes: IntGaugeVec,
    queries: IntCounterVec,
    denials: IntCounterVec,
}

impl Siblings {
    fn new() -> Result<Self, prometheus::Error> {
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &["zone"]);
        Ok(Self {
            nodes: IntGaugeVec::new(
                Opts::new(
                    "sidestep_sibling_nodes",
                    "Siblings that are asked when no upstream can be, by the state of the breaker; dry: it is closed, and they say that their upstreams are dead too.",
                ),
                &["zone", "state"],
            )?,
            queries: counter(
                "sidestep_sibling_queries_total",
                "Client questions sent to siblings, repetitions included, probes not.",
            )?,
            denials: counter(
                "sidestep_sibling_denied_queries_total",
                "Client questions not sent to siblings whose upstreams are dead too, for their ration was spent.",
            )?,
        })
    }

    fn fill(&self, status: &UpstreamStatus) {
        let zone = status.zone.as_str();
        let state = if status.is_dry && status.up {
            DRY
        } else {
            status.breaker.label()
        };
        let states = Breaker::ALL.map(Breaker::label).into_iter().chain([DRY]);
        for label in states {
            let nodes = self.nodes.with_label_values(&[zone, label]);
            nodes.add(i64::from(label == state));
        }
        let queries = self.queries.with_label_values(&[zone]);
        queries.inc_by(status.queries);
        let denials = self.denials.with_label_values(&[zone]);
        denials.inc_by(status.denied);
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
                siblings: vec![
                    "198.51.100.1:53".parse().unwrap(),
                    "198.51.100.2:53".parse().unwrap(),
                ],
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
        let sibling = upstreams.indexes().nth(2).unwrap();
        upstreams.asked(sibling);
        upstreams.sibling_refused(sibling);
        upstreams.deny_share(sibling);
        for _ in 0..3 {
            upstreams.tcp_failed(index, start);
            upstreams.refused(index, start + Duration::from_secs(1));
        }
        let registry = Registry::new();
        register(&registry, Arc::clone(&upstreams)).unwrap();
        assert!(register(&registry, upstreams).is_err());
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let labels = r#"upstream="192.0.2.1:53",zone=".""#;
        for line in [
            format!("sidestep_upstream_up{{{labels}}} 0\n"),
            format!("sidestep_upstream_breaker{{state=\"closed\",{labels}}} 0\n"),
            format!("sidestep_upstream_breaker{{state=\"open_transport\",{labels}}} 1\n"),
            format!(
                "sidestep_upstream_breaker_openings_total{{state=\"open_transport\",{labels}}} 1\n"
            ),
            format!("sidestep_upstream_tcp_usable{{{labels}}} 0\n"),
            format!("sidestep_upstream_loss_ratio{{{labels}}} 0\n"),
            "sidestep_sibling_nodes{state=\"closed\",zone=\".\"} 1\n".to_owned(),
            "sidestep_sibling_nodes{state=\"open_transport\",zone=\".\"} 0\n".to_owned(),
            "sidestep_sibling_nodes{state=\"dry\",zone=\".\"} 1\n".to_owned(),
            "sidestep_sibling_denied_queries_total{zone=\".\"} 1\n".to_owned(),
            "sidestep_sibling_queries_total{zone=\".\"} 1\n".to_owned(),
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
