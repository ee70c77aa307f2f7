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

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::config::Config;
use crate::dns::bootstrap;
use crate::dns::cache::Cache;
use crate::dns::loops;
use crate::dns::upkeep;
use crate::dns::upstream::ResolvedZone;
use crate::health::StartGate;
use crate::os::process;
use crate::telemetry::{Format, Logs};

mod admin;
mod another;
mod checks;
mod drains;
mod host;
mod neighbors;
mod own;
mod parts;
mod peers;
mod probing;
mod quality;
mod records;
mod routing;
mod session;
mod signals;
mod start_error;
mod status;
mod warm;
mod workers;

pub use host::HostError;
pub use own::OwnError;
use parts::{Feeds, Parts};
pub use routing::Blind;
pub use start_error::StartError;
pub use workers::OpenError;

/// Drain requests that the routing thread has not taken yet. More are refused.
const ORDERS_WAITING: usize = 4;
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
    let Some((own, zones)) = find(&config, &service_addresses, &mut wishes).await? else {
        tracing::info!("stopped while starting");
        return Ok(());
    };
    tell_unresolved(&zones);
    another::examine(&config, &own.sockets)?;
    if !Cache::has_room(&config.dns.cache) {
        let size_mib = config.dns.cache.size_bytes >> 20;
        return Err(StartError::CacheMemory { size_mib });
    }
    let parts = Parts::new(&config, &zones)?;
    parts.register(logs)?;
    let mut sockets = workers::open(&config.dns, &own.sockets, &config.services)?;
    let (stop, stopping) = watch::channel(false);
    let (order_sender, orders) = mpsc::channel(ORDERS_WAITING);
    let admin = admin::Sockets::open(&config.admin)?;
    let (shared, upstreams) = (&parts.shared, &parts.upstreams);
    let (asking, canaries) = quality::canaries(upstreams, &config, &stopping);
    let (gate_sender, gates) = mpsc::channel(StartGate::ALL.len());
    let warmth = warm::Warmth::new(&config, shared, upstreams, gate_sender);
    let (checking, checks) = checks::start(another::checks(&config), stopping.clone())?;
    let feeds = Feeds {
        wishes,
        orders,
        canaries,
        checks,
        gates,
        expected: warmth.expected().collect(),
    };
    let (mut routing, inputs) = parts
        .routing(config, service_addresses, &mut sockets, feeds)
        .await?;
    let (beat, pulse) = watch::channel(0);
    let mut threads = workers::start(sockets.workers, shared, upstreams, &pulse, &stopping)?;
    threads.extend(checking);
    let keeping = upkeep::run(Arc::clone(upstreams), stopping.clone());
    let searching = loops::search::run(Arc::clone(upstreams), Arc::clone(shared), stopping.clone());
    let beating = workers::beat_time(beat, stopping.clone());
    threads.push(spawn_on_runtime("upkeep", async {
        tokio::join!(keeping, searching, asking, beating);
    })?);
    threads.push(spawn_on_runtime("warm", warmth.run(stopping.clone()))?);
    threads.push(admin.start(&parts.published, &parts.metrics, order_sender, stopping)?);
    threads.push(spawn_on_runtime("state", routing.records.begin())?);
    let ended = routing.run(inputs).await;
    stop.send_replace(true);
    join(threads);
    tracing::info!("stopped");
    Ok(ended?)
}

/// The node's own addresses and its upstreams; `None` when it is told to stop meanwhile.
async fn find(
    config: &Config,
    service_addresses: &[IpAddr],
    wishes: &mut process::Signals,
) -> Result<Option<(bootstrap::Own, Vec<ResolvedZone>)>, StartError> {
    let finding = async {
        let own = own::find(&config.dns, service_addresses).await?;
        let zones = bootstrap::resolve(&config.dns.zones, &own).await?;
        Ok::<_, StartError>((own, zones))
    };
    // Silent resolvers take 5 s for each host name, and so may an address of this host: too long for
    // a supervisor that wants it to end.
    tokio::select! {
        found = finding => found.map(Some),
        () = wishes.stop() => Ok(None),
    }
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
