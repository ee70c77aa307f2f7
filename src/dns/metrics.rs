//! The query path's numbers for Prometheus, read from the workers' counters when asked for.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::counters::{ByReason, Count, LATENCY_BOUNDS_US, Latency, RCODES, WorkerCounters};
use super::limit::Reason;
use super::shared::Shared;

/// Registers the metrics of the query path.
///
/// # Errors
/// When they are registered already.
pub fn register(registry: &prometheus::Registry, shared: Arc<Shared>) -> prometheus::Result<()> {
    let descriptions = FAMILIES.iter().map(Family::description);
    let descriptions = descriptions.collect::<prometheus::Result<_>>()?;
    registry.register(Box::new(QueryPath {
        shared,
        descriptions,
    }))
}

struct QueryPath {
    shared: Arc<Shared>,
    descriptions: Vec<Desc>,
}

impl Collector for QueryPath {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        FAMILIES
            .iter()
            .map(|family| family.collect(&self.shared))
            .collect()
    }
}

/// One metric name with its samples.
struct Family {
    name: &'static str,
    help: &'static str,
    label: Option<&'static str>,
    samples: Samples,
}

/// Where samples come from.
enum Samples {
    /// The sum over all workers.
    Sum(MetricType, fn(&WorkerCounters) -> &Count),
    /// One sample for each worker.
    EachWorker(fn(&WorkerCounters) -> &Count),
    /// Sums over all workers, by label value.
    Labelled(fn() -> Vec<(&'static str, CountOf)>),
    /// Histograms over all workers, by label value.
    Latencies,
    /// A number that all workers share.
    Number(fn(&Shared) -> u64),
    /// A count that all workers share.
    Total(fn(&Shared) -> u64),
    /// Entries that had to leave the cache, by reason.
    Evictions,
}

type CountOf = Box<dyn Fn(&WorkerCounters) -> u64>;

const FAMILIES: &[Family] = &[
    Family {
        name: "sidestep_dns_queries_total",
        help: "Questions of clients, by protocol.",
        label: Some("protocol"),
        samples: Samples::Labelled(|| {
            vec![
                ("udp", Box::new(|worker| worker.udp_queries.value())),
                ("tcp", Box::new(|worker| worker.tcp_queries.value())),
            ]
        }),
    },
    Family {
        name: "sidestep_dns_responses_total",
        help: "Answers to clients, by result code.",
        label: Some("rcode"),
        samples: Samples::Labelled(|| {
            let counted = RCODES.iter().enumerate();
            let count_of = |index: usize| -> CountOf {
                Box::new(move |worker| worker.responses.get(index).map_or(0, Count::value))
            };
            counted
                .map(|(index, (name, _))| (*name, count_of(index)))
                .collect()
        }),
    },
    Family {
        name: "sidestep_dns_response_duration_seconds",
        help: "Time from receiving a question to sending its answer, by whether an upstream was waited for.",
        label: Some("path"),
        samples: Samples::Latencies,
    },
    counter(
        "sidestep_dns_cache_hits_total",
        "Questions that the cache answered.",
        |worker| &worker.cache_hits,
    ),
    counter(
        "sidestep_dns_cache_misses_total",
        "Questions that the cache had no fresh answer for.",
        |worker| &worker.cache_misses,
    ),
    Family {
        name: "sidestep_dns_cache_bytes",
        help: "Memory that the cache has written to, keys and bookkeeping included.",
        label: None,
        samples: Samples::Number(|shared| shared.cache().octets()),
    },
    Family {
        name: "sidestep_dns_cache_size_bytes",
        help: "Memory that the cache may use.",
        label: None,
        samples: Samples::Number(|shared| shared.cache().limits().size_bytes),
    },
    Family {
        name: "sidestep_dns_cache_entries",
        help: "Questions that the cache has an entry for.",
        label: None,
        samples: Samples::Number(|shared| shared.cache().entries()),
    },
    Family {
        name: "sidestep_dns_cache_evictions_total",
        help: "Entries that could still be used and had to make room: new ones that nobody asked for again, older ones, those of a full part of the index.",
        label: Some("reason"),
        samples: Samples::Evictions,
    },
    counter(
        "sidestep_dns_stale_answers_total",
        "Expired answers that were sent (RFC 8767).",
        |worker| &worker.stale_answers,
    ),
    Family {
        name: "sidestep_dns_refreshes_total",
        help: "Questions that were asked with no client waiting: for popular answers before they expire, for expired ones after a failure.",
        label: Some("reason"),
        samples: Samples::Labelled(|| {
            vec![
                ("popular", Box::new(|worker| worker.prefetches.value())),
                ("expired", Box::new(|worker| worker.rechecks.value())),
            ]
        }),
    },
    Family {
        name: "sidestep_dns_blocked_answers_total",
        help: "Answers from public zones whose private addresses were withheld.",
        label: None,
        samples: Samples::Total(Shared::blocked_answers),
    },
    Family {
        name: "sidestep_dns_unusable_answers_total",
        help: "Answers of upstreams that no client may see: endless aliases, nothing that belongs to the question, referrals.",
        label: None,
        samples: Samples::Total(Shared::unusable_answers),
    },
    counter(
        "sidestep_dns_truncated_answers_total",
        "Answers that were sent truncated.",
        |worker| &worker.truncated,
    ),
    counter(
        "sidestep_dns_refused_clients_total",
        "Questions of clients that are not allowed to ask.",
        |worker| &worker.refused_clients,
    ),
    Family {
        name: "sidestep_dns_limit_dropped_total",
        help: "Questions and answers that were dropped because a client prefix was over a limit, by limit.",
        label: Some("reason"),
        samples: Samples::Labelled(|| by_reason(|worker| &worker.limit_drops)),
    },
    Family {
        name: "sidestep_dns_limit_truncated_total",
        help: "Truncated answers without records that were sent because a client prefix was over a limit, by limit.",
        label: Some("reason"),
        samples: Samples::Labelled(|| by_reason(|worker| &worker.limit_truncated)),
    },
    counter(
        "sidestep_dns_limit_tcp_pauses_total",
        "How often a TCP connection was not read for a moment because its client prefix was over the limit of questions.",
        |worker| &worker.limit_tcp_pauses,
    ),
    counter(
        "sidestep_dns_limit_evictions_total",
        "Client prefixes and answers that limits forgot within a second, for want of room.",
        |worker| &worker.limit_evictions,
    ),
    counter(
        "sidestep_dns_malformed_messages_total",
        "Messages that are no readable question.",
        |worker| &worker.malformed,
    ),
    counter(
        "sidestep_dns_shed_queries_total",
        "Questions that were not passed on because too many were under way.",
        |worker| &worker.shed,
    ),
    gauge(
        "sidestep_dns_queries_in_flight",
        "Questions that wait for an upstream.",
        |worker| &worker.in_flight,
    ),
    counter(
        "sidestep_dns_udp_send_errors_total",
        "Answers that the UDP socket did not take.",
        |worker| &worker.send_errors,
    ),
    counter(
        "sidestep_dns_udp_receive_errors_total",
        "Errors that the UDP socket reported instead of a message.",
        |worker| &worker.receive_errors,
    ),
    counter(
        "sidestep_dns_tcp_connections_total",
        "TCP connections that were accepted.",
        |worker| &worker.tcp_accepted,
    ),
    counter(
        "sidestep_dns_tcp_rejected_connections_total",
        "TCP connections that were closed at once or not accepted because there were too many.",
        |worker| &worker.tcp_rejected,
    ),
    gauge(
        "sidestep_dns_tcp_open_connections",
        "TCP connections that are open.",
        |worker| &worker.tcp_open,
    ),
    Family {
        name: "sidestep_dns_cookies_total",
        help: "DNS cookies of clients: new without one of ours, good, bad (too old, forged, other secrets).",
        label: Some("result"),
        samples: Samples::Labelled(|| {
            vec![
                ("new", Box::new(|worker| worker.cookies_new.value())),
                ("good", Box::new(|worker| worker.cookies_good.value())),
                ("bad", Box::new(|worker| worker.cookies_bad.value())),
            ]
        }),
    },
    counter(
        "sidestep_dns_sibling_queries_total",
        "Questions of other nodes of the service, which asked as their last resort.",
        |worker| &worker.sibling_queries,
    ),
    counter(
        "sidestep_dns_self_probes_total",
        "Self-probes of this node that were answered; counted nowhere else.",
        |worker| &worker.probes,
    ),
    counter(
        "sidestep_dns_peer_questions_total",
        "Questions of siblings about this node that were answered; counted nowhere else.",
        |worker| &worker.peer_questions,
    ),
    Family {
        name: "sidestep_dns_forwarding_loops_total",
        help: "Questions of this node that came back to it.",
        label: None,
        samples: Samples::Total(|shared| shared.loops().returned()),
    },
    Family {
        name: "sidestep_dns_looping_upstreams",
        help: "Upstreams that send questions back to this node; the log names them.",
        label: None,
        samples: Samples::Number(|shared| shared.loops().looping()),
    },
    Family {
        name: "sidestep_dns_worker_heartbeats_total",
        help: "Turns of each worker's loop; one that stands still is wedged.",
        label: Some("worker"),
        samples: Samples::EachWorker(|worker| &worker.heartbeat),
    },
];

fn by_reason(counts: fn(&WorkerCounters) -> &ByReason) -> Vec<(&'static str, CountOf)> {
    let count_of = |reason| -> CountOf { Box::new(move |worker| counts(worker).value(reason)) };
    let reasons = Reason::ALL.into_iter();
    reasons
        .map(|(name, reason)| (name, count_of(reason)))
        .collect()
}

const fn counter(
    name: &'static str,
    help: &'static str,
    count: fn(&WorkerCounters) -> &Count,
) -> Family {
    Family {
        name,
        help,
        label: None,
        samples: Samples::Sum(MetricType::COUNTER, count),
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    count: fn(&WorkerCounters) -> &Count,
) -> Family {
    Family {
        name,
        help,
        label: None,
        samples: Samples::Sum(MetricType::GAUGE, count),
    }
}

impl Family {
    fn description(&self) -> prometheus::Result<Desc> {
        let labels = self.label.iter().map(ToString::to_string).collect();
        Desc::new(self.name.into(), self.help.into(), labels, HashMap::new())
    }

    fn collect(&self, shared: &Shared) -> MetricFamily {
        let workers = shared.workers();
        let sum = |count: &dyn Fn(&WorkerCounters) -> u64| workers.iter().map(count).sum();
        let (kind, metrics) = match &self.samples {
            Samples::Sum(kind, count) => {
                let value = sum(&|worker| count(worker).value());
                (*kind, vec![number(*kind, vec![], value)])
            }
            Samples::EachWorker(count) => {
                let sample = |(index, worker): (usize, &WorkerCounters)| {
                    let labels = self.labels(&index.to_string());
                    number(MetricType::COUNTER, labels, count(worker).value())
                };
                let samples = workers.iter().enumerate().map(sample).collect();
                (MetricType::COUNTER, samples)
            }
            Samples::Labelled(counts) => {
                let sample = |(value, count): (&str, CountOf)| {
                    number(MetricType::COUNTER, self.labels(value), sum(&*count))
                };
                let samples = counts().into_iter().map(sample).collect();
                (MetricType::COUNTER, samples)
            }
            Samples::Latencies => {
                let hit = histogram(workers.iter().map(|worker| &worker.hit_latency));
                let miss = histogram(workers.iter().map(|worker| &worker.miss_latency));
                let sample = |(value, histogram)| {
                    let mut metric = Metric::from_label(self.labels(value));
                    metric.set_histogram(histogram);
                    metric
                };
                let samples = [("hit", hit), ("miss", miss)].map(sample);
                (MetricType::HISTOGRAM, samples.into())
            }
            Samples::Evictions => {
                let evictions = shared.cache().evictions();
                let samples = [
                    ("new", evictions.small),
                    ("main", evictions.main),
                    ("index", evictions.index),
                ];
                let sample = |(reason, value): (&str, u64)| {
                    number(MetricType::COUNTER, self.labels(reason), value)
                };
                (MetricType::COUNTER, samples.map(sample).into())
            }
            Samples::Total(value) => {
                let value = number(MetricType::COUNTER, vec![], value(shared));
                (MetricType::COUNTER, vec![value])
            }
            Samples::Number(value) => {
                let value = value(shared);
                (
                    MetricType::GAUGE,
                    vec![number(MetricType::GAUGE, vec![], value)],
                )
            }
        };
        let mut family = MetricFamily::default();
        family.set_name(self.name.into());
        family.set_help(self.help.into());
        family.set_field_type(kind);
        family.set_metric(metrics);
        family
    }

    fn labels(&self, value: &str) -> Vec<LabelPair> {
        let mut pair = LabelPair::default();
        pair.set_name(self.label.unwrap_or_default().into());
        pair.set_value(value.into());
        vec![pair]
    }
}

fn number(kind: MetricType, labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut metric = Metric::from_label(labels);
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value as f64);
        metric.set_gauge(gauge);
    }
    metric
}

fn histogram<'a>(latencies: impl Iterator<Item = &'a Latency>) -> Histogram {
    let mut counts = [0; LATENCY_BOUNDS_US.len() + 1];
    let mut sum_us = 0;
    for latency in latencies {
        for (count, bucket) in counts.iter_mut().zip(&latency.buckets) {
            *count += bucket.value();
        }
        sum_us += latency.sum_us.value();
    }
    let mut cumulative = 0;
    let below = |(bound_us, count): (&u64, &u64)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound_us as f64 / 1e6);
        bucket.set_cumulative_count(cumulative);
        bucket
    };
    let buckets = LATENCY_BOUNDS_US.iter().zip(&counts).map(below).collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum_us as f64 / 1e6);
    histogram
}

#[cfg(test)]
mod tests;
