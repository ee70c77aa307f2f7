//! Forwarding as Prometheus sees it: read from the workers' counters when asked, nothing kept twice.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::super::counters::Count;
use super::counters::FlightCounters;

/// Registers the metrics of forwarding; `workers` in the order of their numbers.
///
/// # Errors
/// When metrics of these names are registered already.
pub fn register(
    registry: &Registry,
    workers: Vec<Arc<FlightCounters>>,
) -> Result<(), prometheus::Error> {
    let families = Families::new()?;
    let collectors = families.collectors();
    let descriptions = collectors.iter().flat_map(|collector| collector.desc());
    registry.register(Box::new(FlightCollector {
        descriptions: descriptions.cloned().collect(),
        workers,
    }))
}

struct FlightCollector {
    workers: Vec<Arc<FlightCounters>>,
    descriptions: Vec<Desc>,
}

impl Collector for FlightCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The same names were accepted when the collector was registered.
        Families::new().map_or_else(|_| Vec::new(), |families| families.fill(&self.workers))
    }
}

/// Made anew for each scrape, so that two at once do not disturb each other.
struct Families {
    more: IntCounterVec,
    denied: IntCounterVec,
    queued: IntCounterVec,
    refused: IntCounterVec,
    window: IntGaugeVec,
}

impl Families {
    fn new() -> Result<Self, prometheus::Error> {
        let counters = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        Ok(Self {
            more: counters(
                "sidestep_forward_more_questions_total",
                "Questions to upstreams beyond the first one for a client's question, by reason.",
                "reason",
            )?,
            denied: counters(
                "sidestep_forward_denied_hedges_total",
                "Questions that were slow and that the budget of a tenth of extra load did not let be asked elsewhere at once.",
                "worker",
            )?,
            queued: counters(
                "sidestep_forward_queued_questions_total",
                "Questions that had to wait until the upstreams of their zone could take them.",
                "worker",
            )?,
            refused: counters(
                "sidestep_forward_refused_total",
                "What there was no room for: questions, waiters for them, questions that waited in vain for their turn, refreshes.",
                "kind",
            )?,
            window: IntGaugeVec::new(
                Opts::new(
                    "sidestep_forward_window_questions",
                    "Questions that may be at the upstreams of a zone at a time; of all zones the fewest.",
                ),
                &["worker"],
            )?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 5] {
        [
            &self.more,
            &self.denied,
            &self.queued,
            &self.refused,
            &self.window,
        ]
    }

    fn fill(&self, workers: &[Arc<FlightCounters>]) -> Vec<MetricFamily> {
        for (index, worker) in workers.iter().enumerate() {
            let add = |family: &IntCounterVec, label: &str, count: &Count| {
                family.with_label_values(&[label]).inc_by(count.value());
            };
            add(&self.more, "hedge", &worker.hedges);
            add(&self.more, "fail-over", &worker.failovers);
            add(&self.more, "retry", &worker.retries);
            add(&self.more, "overtime", &worker.overtime);
            add(&self.more, "last-resort", &worker.last_resort);
            add(&self.refused, "question", &worker.questions_refused);
            add(&self.refused, "waiter", &worker.waiters_refused);
            add(&self.refused, "turn", &worker.queue_drops);
            add(&self.refused, "refresh", &worker.refreshes_dropped);
            let index = index.to_string();
            add(&self.denied, &index, &worker.hedges_denied);
            add(&self.queued, &index, &worker.queued);
            let window = i64::try_from(worker.window.value()).unwrap_or(i64::MAX);
            self.window.with_label_values(&[&index]).set(window);
        }
        self.collectors()
            .iter()
            .flat_map(|collector| collector.collect())
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_tells_why_upstreams_were_asked_more_than_once() {
        let workers = vec![Arc::<FlightCounters>::default(), Arc::default()];
        for worker in &workers {
            worker.hedges.add(2);
            worker.queue_drops.bump();
            worker.window.set(128);
        }
        let registry = Registry::new();
        register(&registry, workers.clone()).unwrap();
        assert!(register(&registry, workers).is_err());
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for line in [
            "sidestep_forward_more_questions_total{reason=\"hedge\"} 4\n",
            "sidestep_forward_more_questions_total{reason=\"last-resort\"} 0\n",
            "sidestep_forward_refused_total{kind=\"turn\"} 2\n",
            "sidestep_forward_queued_questions_total{worker=\"1\"} 0\n",
            "sidestep_forward_window_questions{worker=\"0\"} 128\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
