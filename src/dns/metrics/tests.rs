use std::time::Duration;

use super::*;
use crate::dns::code::Rcode;
use crate::dns::request::Transport;
use crate::dns::shared::tests::shared;

fn rendered(shared: &Arc<Shared>) -> String {
    let registry = prometheus::Registry::new();
    register(&registry, Arc::clone(shared)).unwrap();
    let encoder = prometheus::TextEncoder::new();
    encoder.encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn workers_are_summed_and_buckets_are_cumulative() {
    let shared = Arc::new(shared());
    for worker in shared.workers() {
        worker.count_query(Transport::Udp);
        worker.count_response(Rcode::NXDOMAIN);
        worker.heartbeat.add(3);
        worker.limit_drops.bump(Reason::Refused);
        worker.hit_latency.record(Duration::from_micros(40), 1);
        worker.miss_latency.record(Duration::from_secs(3), 1);
    }
    let text = rendered(&shared);
    for line in [
        "sidestep_dns_queries_total{protocol=\"udp\"} 2",
        "sidestep_dns_queries_total{protocol=\"tcp\"} 0",
        "sidestep_dns_responses_total{rcode=\"nxdomain\"} 2",
        "sidestep_dns_worker_heartbeats_total{worker=\"1\"} 3",
        "sidestep_dns_response_duration_seconds_bucket{path=\"hit\",le=\"0.000025\"} 0",
        "sidestep_dns_response_duration_seconds_bucket{path=\"hit\",le=\"0.00005\"} 2",
        "sidestep_dns_response_duration_seconds_bucket{path=\"miss\",le=\"2\"} 0",
        "sidestep_dns_response_duration_seconds_bucket{path=\"miss\",le=\"+Inf\"} 2",
        "sidestep_dns_response_duration_seconds_sum{path=\"miss\"} 6",
        "sidestep_dns_limit_dropped_total{reason=\"rate\"} 0",
        "sidestep_dns_limit_dropped_total{reason=\"refused\"} 2",
        "sidestep_dns_limit_truncated_total{reason=\"refused\"} 0",
        "sidestep_dns_refreshes_total{reason=\"popular\"} 0",
        "sidestep_dns_blocked_answers_total 0",
        "sidestep_dns_cache_entries 0",
        "sidestep_dns_cache_evictions_total{reason=\"new\"} 0",
        "sidestep_dns_cache_size_bytes 1048576",
    ] {
        assert!(
            text.lines().any(|rendered| rendered == line),
            "{line}\n{text}"
        );
    }
}

/// The rules of `promtool check metrics` that these names could break.
#[test]
fn names_follow_the_conventions() {
    for family in FAMILIES {
        let counts = match family.samples {
            Samples::Sum(kind, _) => kind == MetricType::COUNTER,
            Samples::EachWorker(_) | Samples::Labelled(_) => true,
            Samples::Total(_) | Samples::Evictions => true,
            Samples::Latencies | Samples::Number(_) => false,
        };
        assert_eq!(family.name.ends_with("_total"), counts, "{}", family.name);
        assert!(family.name.starts_with("sidestep_dns_"));
        assert!(!family.help.is_empty());
    }
}
