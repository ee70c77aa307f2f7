//! Builds every part of the node, with its threads and channels: the one place where the domains
//! meet.
//!
//! Start: upstreams are found, sockets opened (the addresses may still be absent), threads started;
//! then the routing thread binds the addresses and announces what its probes found good. Stop is
//! that in reverse, with the workers answering to the last moment.
#![expect(
    clippy::disallowed_methods,
    reason = "the node's clock is read and its threads start here"
)]

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::admin::{Order, Published};
use crate::announce::Announcer;
use crate::bfd;
use crate::bgp;
use crate::config::Config;
use crate::dns::bootstrap::{self, BootstrapError};
use crate::dns::cache::Cache;
use crate::dns::identity::{self, ProbeName};
use crate::dns::loops;
use crate::dns::shared::Shared;
use crate::dns::upkeep;
use crate::dns::upstream::{ResolvedZone, Upstreams};
use crate::health::prober::{self, ProbeCodec, ProberSettings};
use crate::health::{self, Health};
use crate::os::advertisement;
use crate::os::link::Monitor;
use crate::os::netlink::Netlink;
use crate::os::process;
use crate::telemetry::{Format, Logs, Metrics, TelemetryError};

mod admin;
mod host;
mod neighbors;
mod own;
mod peers;
mod routing;
mod session;
mod signals;
mod status;
mod workers;

pub use host::HostError;
pub use own::OwnError;
pub use routing::Blind;
use routing::{Inputs, Routing, targets};
pub use workers::OpenError;

/// Rounds of probe results that the routing thread has not taken yet. More are dropped, as if not
/// probed: a whole round fits, or the last targets of many would never be heard of.
const ROUNDS_WAITING: usize = 4;
/// Drain requests that the routing thread has not taken yet. More are refused.
const ORDERS_WAITING: usize = 4;
/// A status older than this means that the routing thread is stuck.
const STATUS_FRESH: Duration = Duration::from_secs(2);
/// Threads that have been told to end get so long.
const THREADS_LIMIT: Duration = Duration::from_secs(1);
/// The last log lines get so long to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Runs a node until it is told to stop and has left in good order.
///
/// # Errors
/// [`StartError`] tells why it cannot start.
pub fn run(config: Config, format: Format, filter: &str) -> Result<(), StartError> {
    let (logs, writer) = Logs::new();
    logs.install(format, filter)?;
    spawn("log", move || writer.run(io::stderr()))?;
    let runtime = runtime()?;
    let result = LocalSet::new().block_on(&runtime, serve(config, &logs));
    // Unwritten lines do not keep a stopped node from ending.
    let _is_written = logs.flush(FLUSH_LIMIT);
    result
}

async fn serve(config: Config, logs: &Logs) -> Result<(), StartError> {
    tracing::info!(
        node = config.node_name,
        version = env!("CARGO_PKG_VERSION"),
        configuration = ?config.sources,
        "starting"
    );
    let mut wishes = process::Signals::new()?;
    let service_addresses: Vec<IpAddr> = config
        .services
        .iter()
        .flat_map(|service| service.addresses.clone())
        .collect();
    let finding = async {
        let own = own::find(&config.dns, &service_addresses).await?;
        let zones = bootstrap::resolve(&config.dns.zones, &own).await?;
        Ok::<_, StartError>((own, zones))
    };
    // Silent resolvers take 5 s for each host name, and so may an address of this host: too long for
    // a supervisor that wants it to end.
    let (own, zones) = tokio::select! {
        found = finding => found?,
        () = wishes.stop() => {
            tracing::info!("stopped while starting");
            return Ok(());
        }
    };
    tell_unresolved(&zones);
    let siblings = peers::Siblings::of(&zones, &config.node_name);
    if !Cache::has_room(&config.dns.cache) {
        let size_mib = config.dns.cache.size_bytes >> 20;
        return Err(StartError::CacheMemory { size_mib });
    }
    let mut random = [0; 16];
    rand::fill(&mut random);
    let shared = Shared::new(&config.dns, ProbeName::new(random), Instant::now());
    let parts = Parts {
        started: Instant::now(),
        shared: Arc::new(siblings.introduce(shared)),
        siblings,
        upstreams: Arc::new(Upstreams::new(&zones, Instant::now())),
        metrics: Arc::new(Metrics::new()?),
        published: Arc::new(Published::new(STATUS_FRESH.max(config.health.interval * 3))),
        probe: ProbeName::new(random),
    };
    parts.register(logs)?;
    let mut sockets = workers::open(&config.dns, &own.sockets, &config.services)?;
    let (stop, stopping) = watch::channel(false);
    let (order_sender, orders) = mpsc::channel(ORDERS_WAITING);
    let admin = admin::Sockets::open(&config.admin)?;
    let routing = parts
        .routing(config, service_addresses, &mut sockets, wishes, orders)
        .await?;
    let (beat, pulse) = watch::channel(0);
    let (shared, upstreams) = (&parts.shared, &parts.upstreams);
    let mut threads = workers::start(sockets.workers, shared, upstreams, &pulse, &stopping)?;
    let keeping = upkeep::run(Arc::clone(upstreams), stopping.clone());
    let searching = loops::search::run(Arc::clone(upstreams), Arc::clone(shared), stopping.clone());
    let beating = workers::beat_time(beat, stopping.clone());
    threads.push(spawn_on_runtime("upkeep", async {
        tokio::join!(keeping, searching, beating);
    })?);
    threads.push(admin.start(&parts.published, &parts.metrics, order_sender, stopping)?);
    let (routing, inputs) = routing;
    let ended = routing.run(inputs).await;
    stop.send_replace(true);
    join(threads);
    tracing::info!("stopped");
    Ok(ended?)
}

/// What several threads share.
struct Parts {
    started: Instant,
    shared: Arc<Shared>,
    siblings: peers::Siblings,
    upstreams: Arc<Upstreams>,
    metrics: Arc<Metrics>,
    published: Arc<Published>,
    probe: ProbeName,
}

impl Parts {
    fn register(&self, logs: &Logs) -> Result<(), TelemetryError> {
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
    async fn routing(
        &self,
        config: Config,
        service_addresses: Vec<IpAddr>,
        sockets: &mut workers::Sockets,
        wishes: process::Signals,
        orders: mpsc::Receiver<Order>,
    ) -> Result<(Routing, Inputs), StartError> {
        let now = Instant::now();
        let (netlink, monitor) = netlink(&config)?;
        let host = host::Host::new(&config.services, netlink.clone()).await?;
        let workers = config.dns.workers.get();
        let policies: Vec<_> = config.services.iter().map(|s| s.policy()).collect();
        let names: Vec<_> = config.services.iter().map(|s| s.name.clone()).collect();
        let settings = health::Settings {
            seed: rand::random(),
            ..config.health.clone()
        };
        let mut health = Health::new(settings, &policies, workers, now);
        let linger = config.health.linger;
        let mut announcer = Announcer::new(config.services.clone(), linger, now);
        for (target, _) in targets(&config.services).filter(|(t, _)| host.is_bound(*t).is_none()) {
            // Somebody else binds it: the self-probe tells whether it answers.
            health.handle_address(now, target, true);
            announcer.handle_address(now, target, true);
        }
        let probes = self.start_prober(&config, workers);
        let registry = self.metrics.registry();
        let bfd = bfd::metrics::Metrics::register(registry).map_err(TelemetryError::from)?;
        let bfd = bfd::driver::Driver::new(bfd);
        tokio::task::spawn_local(bfd.clone().run());
        let neighbors = neighbors::Neighbors::new(
            config.bgp.clone(),
            service_addresses,
            netlink,
            bgp::metrics::Metrics::register(registry).map_err(TelemetryError::from)?,
            &advertisement::Metrics::register(registry).map_err(TelemetryError::from)?,
            bfd,
        )?;
        let routing = Routing {
            health,
            announcer,
            host,
            neighbors,
            signals: signals::Signals::new(
                Arc::clone(&self.shared),
                mem::take(&mut sockets.drop_counters),
            ),
            upstreams: Arc::clone(&self.upstreams),
            metrics: health::metrics::Metrics::register(registry, names.clone())
                .map_err(TelemetryError::from)?,
            interval: config.health.interval,
            service_names: names,
            is_stopping: false,
            reporter: status::Reporter {
                node_name: config.node_name,
                sources: config.sources,
                services: config.services,
                shared: Arc::clone(&self.shared),
                upstreams: Arc::clone(&self.upstreams),
                peers: self.start_peers()?,
                published: Arc::clone(&self.published),
                started: self.started,
                drain: None,
                heartbeats: Vec::new(),
                is_supervisor_told: false,
            },
        };
        Ok((
            routing,
            Inputs {
                probes,
                orders,
                monitor,
                wishes,
            },
        ))
    }

    fn start_peers(&self) -> Result<Rc<peers::Peers>, TelemetryError> {
        let metrics = health::peers::metrics::Metrics::register(self.metrics.registry())?;
        let (shared, upstreams) = (&self.shared, &self.upstreams);
        let peers = peers::Peers::start(&self.siblings, shared, upstreams, metrics);
        Ok(peers)
    }

    fn start_prober(&self, config: &Config, workers: usize) -> mpsc::Receiver<health::ProbeReport> {
        let targets: Vec<_> = targets(&config.services).collect();
        // Of each target one result per worker, one of the address and one over TCP.
        let round = (workers + 2) * targets.len().max(1);
        let (sender, probes) = mpsc::channel(ROUNDS_WAITING * round);
        let (asked, answered) = (self.probe.clone(), self.probe.clone());
        let codec = ProbeCodec {
            query: Box::new(move |id| identity::probe_query(&asked, id)),
            worker_of: Box::new(move |id, message| identity::probe_worker(&answered, id, message)),
        };
        let settings = ProberSettings {
            interval: config.health.interval,
            workers,
            targets,
        };
        let report = move |_, report| {
            // Full only when the routing thread is stuck: then the lease runs out, as it should.
            let _is_taken = sender.try_send(report);
        };
        tokio::task::spawn_local(prober::run(settings, codec, report));
        probes
    }
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

/// A runtime for one thread.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn spawn_on_runtime(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime()?;
    spawn(name, move || runtime.block_on(work))
}

/// Waits for threads that were told to end; one that hangs is left to the end of the process.
fn join(threads: Vec<JoinHandle<()>>) {
    let deadline = Instant::now() + THREADS_LIMIT;
    for thread in threads {
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if !thread.is_finished() {
            tracing::warn!(thread = name, "thread did not end in time");
        } else if thread.join().is_err() {
            tracing::error!(thread = name, "thread has panicked");
        }
    }
}

fn tell_unresolved(zones: &[ResolvedZone]) {
    for zone in zones {
        for host in &zone.unresolved {
            tracing::warn!(
                zone = zone.zone_text,
                host,
                "upstream left out: not resolved"
            );
        }
    }
}

/// Why a node does not start, or has ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Logs or metrics.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Addresses of this node alone.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// Upstreams.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// `dns.cache.size`.
    #[error("dns.cache.size: the system does not give {size_mib} MiB of memory; write less")]
    CacheMemory {
        /// As configured.
        size_mib: u64,
    },
    /// A service socket.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Service addresses.
    #[error("cannot look after the host's addresses")]
    Host(#[from] HostError),
    /// Netlink.
    #[error("no netlink socket")]
    Netlink(#[source] io::Error),
    /// `admin.listen`.
    #[error("admin.listen {address}")]
    AdminListen {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// `admin.socket`.
    #[error(transparent)]
    AdminSocket(#[from] crate::admin::socket::SocketError),
    /// `bgp.listen`.
    #[error(transparent)]
    BgpListen(#[from] bgp::listener::BindError),
    /// It runs no more.
    #[error(transparent)]
    Blind(#[from] Blind),
    /// A thread, a runtime or a signal handler.
    #[error("the system refuses")]
    System(#[from] io::Error),
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
