//! Why a node does not start.

use std::io;
use std::net::SocketAddr;

use super::{Blind, HostError, OpenError, OwnError};
use crate::bgp;
use crate::dns::bootstrap::BootstrapError;
use crate::telemetry::TelemetryError;

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
    /// `service.target`.
    #[error(
        "service {service:?}: this node answers at target {address} itself: write where the other \
         program does, or change dns.listen"
    )]
    TargetIsOwn {
        /// Its name.
        service: String,
        /// As configured.
        address: SocketAddr,
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
