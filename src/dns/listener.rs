//! A worker's sockets: one UDP loop and one accept loop for each address, and the heartbeat.
//!
//! Everything here runs on the worker's own thread, in a current-thread runtime within a `LocalSet`.
//! What is answered from memory is answered in the receive loop; the rest waits in bounded tasks that
//! end with the loop that started them. The loops yield, so that timers, TCP and waiting questions
//! run under a flood too.

use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::forward::Forward;
use super::serve::Worker;
use super::shared::Shared;

mod connections;
mod tcp;
mod udp;

pub use connections::CONNECTIONS_MAX;

/// How often a worker shows that its loop runs.
pub const HEARTBEAT: Duration = Duration::from_millis(50);

/// The open sockets of one worker, in non-blocking mode. Each is bound to a single address, so that
/// answers leave from the address that was asked.
#[derive(Debug)]
pub struct WorkerSockets {
    /// How many TCP connections it may have; each needs a descriptor. At most [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// One for each address.
    pub udp: Vec<UdpSocket>,
    /// One for each address.
    pub tcp: Vec<TcpListener>,
}

/// Why a worker has ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// There are no counters for a worker with this index.
    #[error("no worker has the index {0}")]
    Index(usize),
    /// A socket cannot be used by the runtime.
    #[error("cannot use socket")]
    Socket(#[from] std::io::Error),
    /// A loop has ended, which it does by a panic alone.
    #[error("a loop of the worker has ended")]
    Loop(#[source] Option<tokio::task::JoinError>),
}

/// Answers queries on `sockets` until `stop` is true or its sender is gone.
///
/// To be run within a `LocalSet`. When it returns, nothing of it goes on, and questions under way get
/// no answer.
///
/// # Errors
/// [`ListenerError`] when the worker cannot start or go on.
pub async fn run<F: Forward + 'static>(
    worker: usize,
    sockets: WorkerSockets,
    shared: Arc<Shared>,
    forwarder: Rc<F>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ListenerError> {
    let worker = Worker::new(worker, shared, forwarder)
        .map(Rc::new)
        .ok_or(ListenerError::Index(worker))?;
    let mut loops = JoinSet::new();
    for socket in sockets.udp {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        loops.spawn_local(udp::receive(Rc::new(socket), Rc::clone(&worker)));
    }
    let connections = connections::Connections::new(sockets.connections);
    for listener in sockets.tcp {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let connections = connections.clone();
        loops.spawn_local(tcp::accept(listener, connections, Rc::clone(&worker)));
    }
    loops.spawn_local(async move {
        loop {
            worker.counters().heartbeat.bump();
            tokio::time::sleep(HEARTBEAT).await;
        }
    });
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {
            loops.shutdown().await;
            Ok(())
        }
        ended = loops.join_next() => {
            Err(ListenerError::Loop(ended.and_then(Result::err)))
        }
    }
}

#[cfg(test)]
mod tests;
