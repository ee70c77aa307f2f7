//! The node's state in the words that go outwards, published for the admin thread.

use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::host::Host;
use super::neighbors::Neighbors;
use super::peers::Peers;
use super::routing::ignore_supervisor;
use super::session::Record;
use super::signals::Signals;
use crate::admin::status::{
    Cache, Drain, Family, FaultClass, Level, Service, ServiceFamily, Status, Upstream,
    UpstreamState, Worker, Zone,
};
use crate::admin::{Describe, Published};
use crate::announce::ServiceSettings;
use crate::dns::shared::Shared;
use crate::dns::upstream::Upstreams;
use crate::health::{self, Health, Target};
use crate::os::process;

/// Knows what a status needs besides the machines.
pub(super) struct Reporter {
    pub(super) node_name: String,
    pub(super) sources: Vec<PathBuf>,
    pub(super) services: Vec<ServiceSettings>,
    pub(super) shared: Arc<Shared>,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) peers: Rc<Peers>,
    pub(super) published: Arc<Published>,
    pub(super) started: Instant,
    pub(super) drain: Option<(Instant, String)>,
    /// Last heartbeat of each worker, and when it was seen.
    pub(super) heartbeats: Vec<(u64, Instant)>,
    pub(super) is_supervisor_told: bool,
}

impl Reporter {
    /// Remembers who drains the node, or that nobody does any more.
    pub(super) fn take_drain(&mut self, now: Instant, reason: Option<String>) {
        self.drain = reason.map(|reason| (now, reason));
    }

    /// Publishes the present state; tells the supervisor once that the node serves.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        health: &Health,
        host: &Host,
        neighbors: &Neighbors,
        signals: &Signals,
    ) {
        let records = neighbors.records();
        let mut status = self.status(now, health, host, signals);
        status.neighbors = records.iter().map(|known| known.summary(now)).collect();
        status.warnings = neighbors.warnings();
        status.peers = self.peers.status(now);
        if !self.is_supervisor_told && self.heartbeats.iter().all(|(beat, _)| *beat > 0) {
            self.is_supervisor_told = true;
            process::notify_ready("serving").unwrap_or_else(ignore_supervisor);
            tracing::info!(node = self.node_name, "serving");
        }
        let records = records.into_iter().map(boxed).collect();
        self.published.publish(status, records, now);
    }

    fn status(&mut self, now: Instant, health: &Health, host: &Host, signals: &Signals) -> Status {
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs();
        Status {
            node: self.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: seconds(self.started),
            configuration: self.sources.clone(),
            services: self.services(now, health, host),
            zones: self.zones(now),
            cache: Cache {
                entries: self.shared.cache().entries(),
                bytes: self.shared.cache().octets(),
                limit_bytes: self.shared.cache().limits().size_bytes,
            },
            workers: self.workers(now, signals),
            drain: self.drain.as_ref().map(|(since, reason)| Drain {
                reason: reason.clone(),
                since_s: seconds(*since),
            }),
            ..Status::default()
        }
    }

    fn services(&self, now: Instant, health: &Health, host: &Host) -> Vec<Service> {
        let mut services: Vec<_> = self
            .services
            .iter()
            .map(|settings| Service {
                name: settings.name.clone(),
                families: Vec::new(),
            })
            .collect();
        for (target, verdict) in health.verdicts() {
            let settings = self.services.get(target.service);
            let address = settings.and_then(|settings| address_of(settings, target));
            let (Some(service), Some(address)) = (services.get_mut(target.service), address) else {
                continue;
            };
            service.families.push(ServiceFamily {
                family: match target.family {
                    health::Family::V4 => Family::Ipv4,
                    health::Family::V6 => Family::Ipv6,
                },
                address,
                level: match verdict.level {
                    health::Level::Preferred => Level::Preferred,
                    health::Level::Backup => Level::Backup,
                    health::Level::Withdrawn => Level::Withdrawn,
                },
                class: verdict.class.map(|class| match class {
                    health::FaultClass::Local => FaultClass::Local,
                    health::FaultClass::Shared => FaultClass::Shared,
                    health::FaultClass::Overload => FaultClass::Overload,
                    health::FaultClass::Operator => FaultClass::Operator,
                }),
                reason: verdict.reason.to_string(),
                since_s: now.saturating_duration_since(verdict.since).as_secs(),
                bound: host.is_bound(target).unwrap_or(true),
            });
        }
        services
    }

    fn zones(&self, now: Instant) -> Vec<Zone> {
        let all = self.upstreams.status();
        let zones = self.upstreams.zones().map(|zone| Zone {
            zone: zone.zone.to_owned(),
            critical: zone.critical,
            usable: zone.usable,
            upstreams: all
                .iter()
                .filter(|upstream| upstream.zone == zone.zone && !upstream.is_sibling)
                .map(|upstream| Upstream {
                    address: upstream.address,
                    state: match (upstream.up, upstream.srtt) {
                        (false, _) => UpstreamState::Down,
                        (true, None) => UpstreamState::Unknown,
                        (true, Some(_)) => UpstreamState::Up,
                    },
                    rtt_us: upstream
                        .srtt
                        .map(|rtt| rtt.as_micros().try_into().unwrap_or(u64::MAX)),
                    since_s: now.saturating_duration_since(upstream.since).as_secs(),
                })
                .collect(),
        });
        zones.collect()
    }

    fn workers(&mut self, now: Instant, signals: &Signals) -> Vec<Worker> {
        let counters = self.shared.workers();
        self.heartbeats.resize(counters.len(), (0, self.started));
        let workers = counters.iter().zip(&mut self.heartbeats).enumerate();
        workers
            .map(|(index, (counters, (beat, seen)))| {
                if counters.heartbeat.value() != *beat {
                    (*beat, *seen) = (counters.heartbeat.value(), now);
                }
                let age_ms = now.saturating_duration_since(*seen).as_millis();
                Worker {
                    index,
                    queries: counters.queries_value(),
                    heartbeat_age_ms: age_ms.try_into().unwrap_or(u64::MAX),
                    dropped: signals.drops_of(index),
                }
            })
            .collect()
    }
}

fn boxed(record: Record) -> Box<dyn Describe> {
    Box::new(record)
}

fn address_of(settings: &ServiceSettings, target: Target) -> Option<IpAddr> {
    settings
        .addresses
        .iter()
        .copied()
        .find(|ip| health::Family::of(*ip) == target.family)
}

/// Unix time; zero when the clock stands before 1970.
pub(super) fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
