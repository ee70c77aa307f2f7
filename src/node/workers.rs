//! The query workers: sockets opened before anything runs, then a thread for each.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::{io, thread};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::signals::DropCounter;
use crate::announce::ServiceSettings;
use crate::dns::exchange::{Forwarder, Limits};
use crate::dns::listener::{self, CONNECTIONS_MAX, HEARTBEAT, WorkerSockets};
use crate::dns::shared::Shared;
use crate::dns::upstream::Upstreams;
use crate::dns::{self};
use crate::os::socket::{self, Purpose, SocketError};

/// Workers give way to the routing thread when the machine is full, whatever niceness the process has.
const STEPS_NICER: i32 = 1;

/// TCP connections that may do something before UDP and the upstreams have their turn again.
const TASKS_BETWEEN_TURNS: u32 = 8;

/// Every socket of every worker.
pub(super) struct Sockets {
    pub(super) workers: Vec<WorkerSockets>,
    pub(super) drop_counters: Vec<DropCounter>,
}

/// Opens the sockets of all workers on all addresses; `unicast` are those that `dns.listen` means.
pub(super) fn open(
    settings: &dns::Settings,
    unicast: &[SocketAddr],
    services: &[ServiceSettings],
) -> Result<Sockets, OpenError> {
    let of_services = settings
        .service_sockets
        .iter()
        .map(|at| (*at, Purpose::Service));
    let others = unicast.iter().map(|at| (*at, Purpose::Unicast));
    let addresses: Vec<(SocketAddr, Purpose)> = of_services.chain(others).collect();
    for (address, purpose) in &addresses {
        socket::ensure_free(*address, *purpose)?;
    }
    let mut sockets = Sockets {
        workers: Vec::new(),
        drop_counters: Vec::new(),
    };
    let connections = connections_each(settings.workers.get())?;
    for worker in 0..settings.workers.get() {
        let mut own = WorkerSockets {
            connections,
            udp: Vec::new(),
            tcp: Vec::new(),
        };
        for (address, purpose) in &addresses {
            let udp = socket::udp(*address, *purpose)?;
            let mut targets = super::routing::targets(services);
            let target = targets.find(|(_, service)| service == address);
            sockets.drop_counters.push(DropCounter {
                target: target.map(|(target, _)| target),
                worker,
                socket: udp.try_clone()?,
            });
            own.udp.push(udp);
            own.tcp.push(socket::tcp(*address, *purpose)?);
        }
        sockets.workers.push(own);
    }
    Ok(sockets)
}

/// How many TCP connections each worker may have: together at most half of all descriptors, so that
/// clients cannot take what upstreams, neighbours, the self-probe and the operator need.
fn connections_each(workers: usize) -> io::Result<usize> {
    let descriptors = socket::raise_descriptor_limit()?;
    let connections = (descriptors / 2 / workers.max(1)).min(CONNECTIONS_MAX);
    if connections < CONNECTIONS_MAX {
        tracing::warn!(
            descriptors,
            connections,
            "few file descriptors allowed: fewer TCP connections for each worker"
        );
    }
    Ok(connections)
}

/// Starts a thread for each worker; they end when `stop` turns true.
///
/// # Errors
/// When one of them has no thread or no runtime.
pub(super) fn start(
    sockets: Vec<WorkerSockets>,
    shared: &Arc<Shared>,
    upstreams: &Arc<Upstreams>,
    pulse: &watch::Receiver<u64>,
    stop: &watch::Receiver<bool>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let (ready, started) = mpsc::channel();
    let mut threads = Vec::with_capacity(sockets.len());
    for (index, sockets) in sockets.into_iter().enumerate() {
        let (shared, upstreams) = (Arc::clone(shared), Arc::clone(upstreams));
        let (pulse, stop) = (pulse.clone(), stop.clone());
        let ready = ready.clone();
        let run = move || {
            if let Err(error) = socket::lower_priority(STEPS_NICER) {
                tracing::debug!(worker = index, %error, "priority not lowered");
            }
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(TASKS_BETWEEN_TURNS)
                .build_local(LocalOptions::default());
            // Who starts the threads hears of it, unless it has given up.
            match runtime {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    drop(ready);
                    let work = work(index, sockets, shared, upstreams, (pulse, stop));
                    runtime.block_on(work);
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        };
        let name = format!("worker-{index}");
        threads.push(thread::Builder::new().name(name).spawn(run)?);
    }
    drop(ready);
    // A worker less would leave its share of the clients without answers.
    for result in started {
        result?;
    }
    Ok(threads)
}

/// Beats time for the workers until the node stops.
pub(super) async fn beat_time(pulse: watch::Sender<u64>, mut stop: watch::Receiver<bool>) {
    let mut beats = tokio::time::interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beats.tick() => pulse.send_modify(|beat| *beat = beat.wrapping_add(1)),
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn work(
    index: usize,
    sockets: WorkerSockets,
    shared: Arc<Shared>,
    upstreams: Arc<Upstreams>,
    (pulse, stop): (watch::Receiver<u64>, watch::Receiver<bool>),
) {
    let workers = NonZeroUsize::new(shared.workers().len()).unwrap_or(NonZeroUsize::MIN);
    let mut forwarder = Forwarder::new(upstreams, Limits::for_one_of(workers));
    if let Some(counters) = shared.workers().get(index) {
        forwarder = forwarder.counted_in(Arc::clone(&counters.flights));
    }
    // Its heart stops with it, and health withdraws what it answered for.
    if let Err(error) = listener::run(index, sockets, shared, forwarder, pulse, stop).await {
        tracing::error!(worker = index, %error, "worker ended");
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// No descriptor for its drop counter, or no limit for descriptors.
    #[error("file descriptors")]
    Descriptors(#[from] io::Error),
}
