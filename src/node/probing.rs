//! The probes of all services, on the routing thread: of the workers, and of other programs.

use futures_util::future::join;
use tokio::sync::mpsc;

use super::another;
use super::routing::targets;
use crate::config::Config;
use crate::dns::identity::{self, ProbeName};
use crate::health::ProbeReport;
use crate::health::check::metrics::Metrics;
use crate::health::prober::another::News;
use crate::health::prober::{self, ProbeCodec, ProberSettings};

/// Rounds of probe results that the routing thread has not taken yet. More are dropped, as if not
/// probed: a whole round fits, or the last targets of many would never be heard of.
const ROUNDS_WAITING: usize = 4;

/// Starts them; their results come by what is returned, which ends when they have ended.
pub(super) fn start(
    config: &Config,
    name: &ProbeName,
    metrics: Metrics,
) -> mpsc::Receiver<ProbeReport> {
    let workers = config.dns.workers.get();
    let all = targets(&config.services);
    let (own, others): (Vec<_>, Vec<_>) =
        all.partition(|(target, _)| another::is_answered_here(&config.services, *target));
    // Of each target one result per worker, one of the address and one over TCP.
    let round = (workers + 2) * (own.len() + others.len()).max(1);
    let (sender, probes) = mpsc::channel(ROUNDS_WAITING * round);
    let (asked, answered) = (name.clone(), name.clone());
    let codec = ProbeCodec {
        query: Box::new(move |id| identity::probe_query(&asked, id)),
        worker_of: Box::new(move |id, message| identity::probe_worker(&answered, id, message)),
    };
    let settings = ProberSettings {
        interval: config.health.interval,
        workers,
        targets: own,
    };
    let of_others = sender.clone();
    let report = move |_, report| {
        // Full only when the routing thread is stuck: then the lease runs out, as it should.
        let _is_taken = sender.try_send(report);
    };
    let tell = move |_, news| match news {
        News::Probe(report) => {
            let _is_taken = of_others.try_send(report);
        }
        News::Lost(target, datagrams) => metrics.record_lost(target, datagrams),
    };
    let others = prober::another::run(config.health.interval, another::probed(config), tell);
    // As one task: when either ends by a panic, the other must not keep that from being seen.
    tokio::task::spawn_local(join(prober::run(settings, codec, report), others));
    probes
}
