//! What the node is made of: what several threads share, and all that the routing thread owns.

use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::routing::{Inputs, Routing, targets};
use super::{
    StartError, checks, drains, host, neighbors, peers, probing, quality, records, signals, status,
    workers,
};
use crate::admin::{Order, Published};
use crate::announce::Announcer;
use crate::config::Config;
use crate::dns::canary::CanaryResult;
use crate::dns::identity::ProbeName;
use crate::dns::shared::Shared;
use crate::dns::upstream::{ResolvedZone, Upstreams};
use crate::health::check::CheckReport;
use crate::health::{self, Health, StartGate};
use crate::os::advertisement;
use crate::os::link::Monitor;
use crate::os::netlink::Netlink;
use crate::os::process;
use crate::telemetry::{Logs, Metrics, TelemetryError};
use crate::{bfd, bgp};

/// A status older than this means that the routing thread is stuck.
const STATUS_FRESH: Duration = Duration::from_secs(2);

/// What comes to the routing thread from others.
pub(super) struct Feeds {
    pub(super) wishes: process::Signals,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) canaries: mpsc::Receiver<CanaryResult>,
    pub(super) checks: mpsc::Receiver<CheckReport>,
    pub(super) gates: mpsc::Receiver<StartGate>,
    /// What a start waits for.
    pub(super) expected: Vec<StartGate>,
}

/// What several threads share.
pub(super) struct Parts {
    started: Instant,
    pub(super) shared: Arc<Shared>,
    siblings: peers::Siblings,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) published: Arc<Published>,
    probe: ProbeName,
}

impl Parts {
    pub(super) fn new(config: &Config, zones: &[ResolvedZone]) -> Result<Self, TelemetryError> {
        let siblings = peers::Siblings::of(zones, &config.node_name);
        let mut random = [0; 16];
        rand::fill(&mut random);
        let probe = ProbeName::new(random);
        let now = Instant::now();
        let shared = Shared::new(&config.dns, probe.clone(), now);
        Ok(Self {
            started: now,
            shared: Arc::new(siblings.introduce(shared)),
            siblings,
            upstreams: Arc::new(Upstreams::new(zones, now)),
            metrics: Arc::new(Metrics::new()?),
            published: Arc::new(Published::new(STATUS_FRESH.max(config.health.interval * 3))),
            probe,
        })
    }

    pub(super) fn register(&self, logs: &Logs) -> Result<(), TelemetryError> {
        let registry = self.metrics.registry();
        self.metrics.register_logs(logs)?;
        crate::dns::metrics::register(registry, Arc::clone(&self.shared))?;
        crate::dns::upstream::metrics::register(registry, Arc::clone(&self.upstreams))?;
        let workers = self.shared.workers().iter();
        let flights = workers.map(|worker| Arc::clone(&worker.flights)).collect();
        crate::dns::inflight::metrics::register(registry, flights)?;
        Ok(())
    }

    /// Builds what the routing thread owns, and starts its prober and its BGP listener.
    pub(super) async fn routing(
        &self,
        config: Config,
        service_addresses: Vec<IpAddr>,
        sockets: &mut workers::Sockets,
        feeds: Feeds,
    ) -> Result<(Routing, Inputs), StartError> {
        let now = Instant::now();
        let (netlink, monitor) = netlink(&config)?;
        let host = host::Host::new(&config.services, netlink.clone()).await?;
        let names: Vec<_> = config.services.iter().map(|s| s.name.clone()).collect();
        let mut health = health_of(&config, &feeds.expected, now);
        let records = self.records(&config, now, &mut health)?;
        let mut announcer = Announcer::new(config.services.clone(), config.health.linger, now);
        for (target, _) in targets(&config.services).filter(|(t, _)| host.is_bound(*t).is_none()) {
            // Somebody else binds it: the self-probe tells whether it answers.
            health.handle_address(now, target, true);
            announcer.handle_address(now, target, true);
        }
        let registry = self.metrics.registry();
        let checks = checks::Checks::register(&self.metrics, &config, now)?;
        let probes = probing::start(&config, &self.probe, checks.metrics().clone());
        let routing = Routing {
            health,
            announcer,
            host,
            neighbors: self.neighbors(&config, service_addresses, netlink)?,
            signals: signals::Signals::new(
                Arc::clone(&self.shared),
                mem::take(&mut sockets.drop_counters),
                drains::ServiceSockets::new(&config.dns.service_sockets, &config.services),
            ),
            quality: quality::Quality::new(
                &config,
                Arc::clone(&self.upstreams),
                feeds.canaries,
                health::quality::metrics::Metrics::register(registry)
                    .map_err(TelemetryError::from)?,
            ),
            upstreams: Arc::clone(&self.upstreams),
            metrics: health::metrics::Metrics::register(registry, names.clone())
                .map_err(TelemetryError::from)?,
            interval: config.health.interval,
            service_names: names,
            is_stopping: false,
            records,
            reporter: self.reporter(config, checks)?,
        };
        let inputs = Inputs {
            probes,
            orders: feeds.orders,
            gates: Some(feeds.gates),
            checks: feeds.checks,
            monitor,
            wishes: feeds.wishes,
        };
        Ok((routing, inputs))
    }

    fn neighbors(
        &self,
        config: &Config,
        service_addresses: Vec<IpAddr>,
        netlink: Option<Netlink>,
    ) -> Result<neighbors::Neighbors, StartError> {
        let registry = self.metrics.registry();
        let bfd = bfd::metrics::Metrics::register(registry).map_err(TelemetryError::from)?;
        let bfd = bfd::driver::Driver::new(bfd);
        tokio::task::spawn_local(bfd.clone().run());
        Ok(neighbors::Neighbors::new(
            config.bgp.clone(),
            service_addresses,
            netlink,
            bgp::metrics::Metrics::register(registry).map_err(TelemetryError::from)?,
            &advertisement::Metrics::register(registry).map_err(TelemetryError::from)?,
            bfd,
        )?)
    }

    fn reporter(
        &self,
        config: Config,
        checks: checks::Checks,
    ) -> Result<status::Reporter, TelemetryError> {
        Ok(status::Reporter {
            checks,
            node_name: config.node_name,
            sources: config.sources,
            services: config.services,
            shared: Arc::clone(&self.shared),
            upstreams: Arc::clone(&self.upstreams),
            peers: self.start_peers()?,
            published: Arc::clone(&self.published),
            started: self.started,
            heartbeats: Vec::new(),
            is_supervisor_told: false,
            answers: Vec::new(),
        })
    }

    /// What the last run has left, told to health.
    fn records(
        &self,
        config: &Config,
        now: Instant,
        health: &mut Health,
    ) -> Result<records::Records, TelemetryError> {
        let (directory, services) = (config.state.as_deref(), &config.services);
        let records = records::open(directory, services, &self.metrics, now)?;
        records.restore(now, health);
        Ok(records)
    }

    fn start_peers(&self) -> Result<Rc<peers::Peers>, TelemetryError> {
        let metrics = health::peers::metrics::Metrics::register(self.metrics.registry())?;
        let (shared, upstreams) = (&self.shared, &self.upstreams);
        let peers = peers::Peers::start(&self.siblings, shared, upstreams, metrics);
        Ok(peers)
    }
}

/// Health of a node that starts at `now`.
fn health_of(config: &Config, expected: &[StartGate], now: Instant) -> Health {
    let policies: Vec<_> = config.services.iter().map(|s| s.policy()).collect();
    let settings = health::Settings {
        seed: rand::random(),
        ..config.health.clone()
    };
    let mut health = Health::new(settings, &policies, config.dns.workers.get(), now);
    for gate in expected {
        health.expect(*gate);
    }
    health
}

/// Netlink, when anything of the configuration needs it.
fn netlink(config: &Config) -> Result<(Option<Netlink>, Option<Monitor>), StartError> {
    let binds = config
        .services
        .iter()
        .any(|service| service.interface.is_some());
    if !binds && !config.bgp.as_ref().is_some_and(looks_at_host) {
        return Ok((None, None));
    }
    let (netlink, connection) = Netlink::connect().map_err(StartError::Netlink)?;
    tokio::task::spawn_local(connection);
    Ok((
        Some(netlink),
        Some(Monitor::open().map_err(StartError::Netlink)?),
    ))
}

/// Whether anything of BGP is to be found out from addresses and routes of the host.
fn looks_at_host(settings: &bgp::Settings) -> bool {
    let mut neighbors = settings.neighbors.iter();
    settings.router_id.is_none()
        || neighbors.any(|neighbor| {
            neighbor.source.is_none() || !matches!(neighbor.address, bgp::NeighborAddress::Ip(_))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::{NeighborAddress, NeighborSettings, PeerAsn};

    /// A source alone does not tell who the gateway is.
    #[test]
    fn a_default_gateway_is_looked_for_though_its_source_is_configured() {
        let mut settings = bgp::Settings {
            asn: 65_053,
            router_id: Some("192.0.2.1".parse().unwrap()),
            listen: Vec::new(),
            neighbors: vec![NeighborSettings {
                source: Some("192.0.2.1".parse().unwrap()),
                ..NeighborSettings::new(NeighborAddress::DefaultGateway, PeerAsn::External)
            }],
        };
        assert!(looks_at_host(&settings));
        settings.neighbors[0].address = NeighborAddress::Ip("192.0.2.9".parse().unwrap());
        assert!(!looks_at_host(&settings));
        settings.neighbors[0].source = None;
        assert!(looks_at_host(&settings));
    }
}
