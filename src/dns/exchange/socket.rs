//! Sockets towards upstreams, and what their errors mean.
//!
//! Source: RFC 5452 §9.2 (unpredictable ports), RFC 6056 §3.2 (the range to choose from).
//! A socket is connected, so that the kernel drops what comes from elsewhere and reports ICMP
//! errors. Its source address is left to the kernel: an answer to a service's address might reach
//! another site.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The lowest port that a question leaves from.
const PORT_MIN: u16 = 1024;
/// How often a port is drawn before the kernel chooses: they fail when most ports are taken.
const DRAWS: usize = 16;
/// Room for the answers to some thousand questions; the kernel may allow less.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Opens a non-blocking socket that is connected to `remote`, with a port of chance.
///
/// # Errors
/// The kernel's: no route, no descriptor.
pub(in crate::dns) fn connect(remote: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = (0..DRAWS)
        .map(|_| rand::random_range(PORT_MIN..=u16::MAX))
        .find_map(|port| UdpSocket::bind((any, port)).ok())
        .map_or_else(|| UdpSocket::bind((any, 0)), Ok)?;
    socket.set_nonblocking(true)?;
    // Less room means that more is lost in a burst, no more.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.connect(remote)?;
    Ok(socket)
}

/// Whether an error is the network's word that nothing gets through to the upstream. What the
/// node itself lacks (descriptors, memory) says nothing about the upstream.
pub(in crate::dns) fn is_refusal(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied
    )
}
