//! Accepts connections, and hands each to the task of its neighbour.
//!
//! Source: RFC 4271 §8.2.1 (a connection from an address that is no neighbour's is closed).
#![expect(clippy::disallowed_methods, reason = "a shell: reads the clock")]

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::metrics::ListenerMetrics;
use super::throttle::Throttle;

mod directory;

pub use directory::{Entry, Neighbors, PeerKey};

/// Connections that the kernel may hold back for us.
const BACKLOG: i32 = 16;
/// After an error of accept, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for BGP on {address}")]
pub struct BindError {
    /// As configured.
    pub address: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// Binds every address; to be called inside the runtime that will accept.
///
/// # Errors
/// [`BindError`] for the first that cannot be bound.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let bound = addresses.iter().map(|address| {
        listen(*address).map_err(|source| BindError {
            address: *address,
            source,
        })
    });
    bound.collect()
}

/// Accepts until the sender of `neighbors` is gone.
pub async fn run(
    listeners: Vec<TcpListener>,
    mut neighbors: watch::Receiver<Neighbors>,
    metrics: ListenerMetrics,
) {
    let mut door = Door {
        metrics,
        unknown: Throttle::default(),
        failures: Throttle::default(),
    };
    loop {
        tokio::select! {
            biased;
            changed = neighbors.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            accepted = accept(&listeners) => match accepted {
                Ok((stream, from)) => {
                    let known = Arc::clone(&neighbors.borrow());
                    door.hand_over(&known, stream, from);
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    door.failed(&error);
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

struct Door {
    metrics: ListenerMetrics,
    unknown: Throttle,
    failures: Throttle,
}

impl Door {
    fn hand_over(&mut self, known: &Neighbors, stream: TcpStream, from: SocketAddr) {
        let key = PeerKey::of(from);
        let Some(entry) = known.get(&key) else {
            self.metrics.unknown.inc();
            if let Some(suppressed) = self.unknown.allow(now()) {
                tracing::info!(peer = %key.address(), suppressed, "bgp connection from no neighbour closed");
            }
            return;
        };
        if entry.inbound.try_send(stream).is_err() {
            self.metrics.busy.inc();
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if let Some(suppressed) = self.failures.allow(now()) {
            tracing::warn!(%error, suppressed, "bgp connection could not be accepted");
        }
    }
}

async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // So that 0.0.0.0 and [::] can both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
