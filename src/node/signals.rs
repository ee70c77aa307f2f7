//! What the workers left for health, read once per interval; and the supervisor's watchdog.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drains::ServiceSockets;
use super::routing::ignore_supervisor;
use crate::dns::shared::Shared;
use crate::health::{Health, Target, WorkerSample};
use crate::os::{process, socket};

/// One worker's UDP socket, open a second time to read its drop counter.
pub(super) struct DropCounter {
    /// `None`: it is no service's.
    pub(super) target: Option<Target>,
    pub(super) worker: usize,
    pub(super) socket: UdpSocket,
}

/// Reads counters; keeps what it needs to see them grow.
pub(super) struct Signals {
    shared: Arc<Shared>,
    drop_counters: Vec<DropCounter>,
    service_sockets: ServiceSockets,
    watchdog: Option<Duration>,
    fed: Option<(Instant, Vec<u64>)>,
}

impl Signals {
    pub(super) fn new(
        shared: Arc<Shared>,
        drop_counters: Vec<DropCounter>,
        service_sockets: ServiceSockets,
    ) -> Self {
        let watchdog = process::watchdog_interval();
        Self {
            shared,
            drop_counters,
            service_sockets,
            watchdog,
            fed: None,
        }
    }

    /// Tells `health` what all counters say.
    pub(super) fn tell(&self, now: Instant, health: &mut Health) {
        let mut elsewhere = vec![0_u64; self.shared.workers().len()];
        for (target, worker, total) in self.drops() {
            match (target, elsewhere.get_mut(worker)) {
                (Some(target), _) => health.handle_drops(now, target, worker, total),
                (None, Some(sum)) => *sum += total,
                (None, None) => {}
            }
        }
        for (worker, total) in elsewhere.into_iter().enumerate() {
            health.handle_other_drops(now, worker, total);
        }
        for (target, worker, total) in self.served() {
            health.handle_served(now, target, worker, total);
        }
        health.handle_rates(now, &self.asked());
        health.handle_workers(now, &self.workers());
    }

    /// How many datagrams each socket has dropped since it was opened.
    fn drops(&self) -> impl Iterator<Item = (Option<Target>, usize, u64)> {
        self.drop_counters.iter().filter_map(|counter| {
            let total = socket::udp_drops(&counter.socket).ok()?;
            Some((counter.target, counter.worker, u64::from(total)))
        })
    }

    /// Datagrams that the sockets of one worker have dropped.
    pub(super) fn drops_of(&self, worker: usize) -> u64 {
        self.drops()
            .filter(|(_, of, _)| *of == worker)
            .map(|(_, _, total)| total)
            .sum()
    }

    /// How many questions of clients each worker has answered at each address since the start, or will.
    fn served(&self) -> Vec<(Target, usize, u64)> {
        self.service_sockets.served(&self.shared)
    }

    /// How many questions clients have asked each service since the start; nothing of one that the
    /// workers do not answer for.
    fn asked(&self) -> Vec<(usize, u64)> {
        self.service_sockets.asked(&self.shared)
    }

    /// Says that the clients of a service are, or are no longer, being moved to other nodes.
    pub(super) fn tell_draining(&self, service: usize, is_draining: bool) {
        for socket in self.service_sockets.of(service) {
            self.shared.tell_socket_draining(socket, is_draining);
        }
    }

    /// One sample for each worker, in order.
    fn workers(&self) -> Vec<WorkerSample> {
        let counters = self.shared.workers().iter();
        counters
            .map(|worker| WorkerSample {
                heartbeat: worker.heartbeat.value(),
                answered: worker.responses_value(),
                taken: worker.datagrams.value() + worker.receive_errors.value(),
                tcp_shed: worker.tcp_rejected.value(),
                shed: worker.shed.value(),
            })
            .collect()
    }

    /// Feeds the watchdog when it is due and every worker's heart has beaten since last time.
    pub(super) fn feed_watchdog(&mut self, now: Instant) {
        let Some(interval) = self.watchdog else {
            return;
        };
        let beats: Vec<_> = self
            .workers()
            .iter()
            .map(|sample| sample.heartbeat)
            .collect();
        let is_due = match &self.fed {
            None => true,
            Some((at, before)) => {
                now.saturating_duration_since(*at) >= interval / 2
                    && beats.iter().zip(before).all(|(now, before)| now != before)
            }
        };
        if is_due {
            process::notify_watchdog().unwrap_or_else(ignore_supervisor);
            self.fed = Some((now, beats));
        }
    }
}
