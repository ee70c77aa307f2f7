//! Accepts connections, and hands each to the task of its neighbour.
//!
//! Source: RFC 4271 §8.2.1 (a connection from an address that is no neighbour's is closed), RFC 2385
//! (TCP-MD5), RFC 5082 (GTSM).
//! Half-open connections are bounded, each by a limit of its own: the kernel holds 17 per address
//! listened on, and of those that were accepted each neighbour has at most one that waits for its
//! task, one that has not yet shown who it is, and four that are being told goodbye, for half a second.
//! In all that is 17 per address and 6 per neighbour, of whom there are as many as are configured (with
//! `default-gateway`: as the default route has next hops). What is over that, or comes from anybody
//! else, is closed at once and counted.
#![expect(clippy::disallowed_methods, reason = "a shell: reads the clock")]

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::metrics::ListenerMetrics;
use super::throttle::Throttle;

mod directory;
mod doorway;

pub use directory::{Entry, Neighbors, PeerKey};
use doorway::{Doorway, Refusal};

/// After an error of accept, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for BGP on {address}{}", hint(*.address, .source))]
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
        doorway::listen(*address).map_err(|source| BindError {
            address: *address,
            source,
        })
    });
    bound.collect()
}

/// What to do about it, where that is known.
fn hint(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            ", which another process has (often a router daemon; `ss -lntp 'sport = :{port}'` tells \
             which one): choose an address or a port that it does not listen on"
        ),
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this host has the address".to_owned(),
        _ => String::new(),
    }
}

/// Accepts until the sender of `neighbors` is gone.
pub async fn run(
    listeners: Vec<TcpListener>,
    mut neighbors: watch::Receiver<Neighbors>,
    metrics: ListenerMetrics,
) {
    let mut door = Door {
        doorway: Doorway::new(listeners),
        metrics,
        unknown: Throttle::default(),
        refused: Throttle::default(),
        failures: Throttle::default(),
    };
    let known = Arc::clone(&neighbors.borrow_and_update());
    door.take(&known);
    loop {
        tokio::select! {
            biased;
            changed = neighbors.changed() => {
                if changed.is_err() {
                    return;
                }
                let known = Arc::clone(&neighbors.borrow_and_update());
                door.take(&known);
            }
            accepted = door.accept() => match accepted {
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
    doorway: Doorway,
    metrics: ListenerMetrics,
    unknown: Throttle,
    refused: Throttle,
    failures: Throttle,
}

impl Door {
    fn take(&mut self, known: &Neighbors) {
        let closed = u64::try_from(self.doorway.take(known)).unwrap_or(u64::MAX);
        self.metrics.unsigned.inc_by(closed);
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| self.doorway.poll_accept(context)).await
    }

    fn hand_over(&mut self, known: &Neighbors, stream: TcpStream, from: SocketAddr) {
        let key = PeerKey::of(from);
        let Some(entry) = known.get(&key) else {
            self.metrics.unknown.inc();
            if let Some(suppressed) = self.unknown.allow(now()) {
                tracing::info!(
                    peer = %key.address(), suppressed, "bgp connection from no neighbour closed"
                );
            }
            return;
        };
        if let Err(refusal) = self.doorway.admit(key, entry, &stream) {
            match refusal {
                Refusal::Unsigned => self.metrics.unsigned.inc(),
                Refusal::Far => self.metrics.far.inc(),
            }
            if let Some(suppressed) = self.refused.allow(now()) {
                let (peer, reason) = (key.address(), refusal.reason());
                tracing::warn!(%peer, reason, suppressed, "bgp connection of a neighbor refused");
            }
            return;
        }
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

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
