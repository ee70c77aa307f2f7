//! Sockets towards upstreams, and what their errors mean.
//!
//! Source: RFC 5452 §9.2 (unpredictable ports), RFC 6056 §3.2 (the range to choose from).
//! A socket is connected, so that the kernel drops what comes from elsewhere and reports ICMP
//! errors. What anybody has sent to its port between bind(2) and connect(2) is queued already and stays
//! so; it is thrown away before the first question leaves. Its source address is left to the kernel,
//! unless siblings have to know it ([`Upstreams::source`]), and is never a service's: the answer might
//! reach another site.
//!
//! [`Upstreams::source`]: super::super::upstream::Upstreams::source

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The lowest port that a question leaves from.
const PORT_MIN: u16 = 1024;
/// How often a port is drawn before the kernel chooses: they fail when most ports are taken.
const DRAWS: usize = 16;
/// Datagrams that are thrown away after connecting at most: between the two calls are microseconds.
const STRAY_MAX: usize = 64;
/// Room for the answers to some thousand questions; the kernel may allow less.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Opens a non-blocking socket that is connected to `remote`, with a port of chance, and with the
/// address `source` as long as this host has it.
///
/// # Errors
/// The kernel's: no route, no descriptor.
pub(in crate::dns) fn connect(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<UdpSocket> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let chosen = source.and_then(|source| bind(source).ok());
    let socket = chosen.map_or_else(|| bind(any), Ok)?;
    socket.set_nonblocking(true)?;
    // Less room means that more is lost in a burst, no more.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.connect(remote)?;
    discard_strays(&socket);
    Ok(socket)
}

fn bind(source: IpAddr) -> io::Result<UdpSocket> {
    (0..DRAWS)
        .map(|_| rand::random_range(PORT_MIN..=u16::MAX))
        .find_map(|port| UdpSocket::bind((source, port)).ok())
        .map_or_else(|| UdpSocket::bind((source, 0)), Ok)
}

/// Throws away what is queued; to be called before the first question.
fn discard_strays(socket: &UdpSocket) {
    for _ in 0..STRAY_MAX {
        if socket.recv(&mut [0]).is_err() {
            return;
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The ports stay those of chance; without the address the kernel's choice is better than nothing.
    #[test]
    fn a_socket_has_the_address_that_is_wanted_as_long_as_there_is_one() {
        let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = upstream.local_addr().unwrap();
        for (wanted, expected) in [
            (None, "127.0.0.1"),
            (Some("127.0.0.2"), "127.0.0.2"),
            (Some("192.0.2.77"), "127.0.0.1"),
        ] {
            let wanted = wanted.map(|wanted: &str| wanted.parse().unwrap());
            let local = connect(remote, wanted).unwrap().local_addr().unwrap();
            assert_eq!(local.ip(), expected.parse::<IpAddr>().unwrap());
            assert!(local.port() >= PORT_MIN);
        }
    }

    /// udp(7): connecting filters what comes later, not what is queued.
    #[test]
    fn what_came_before_the_connection_is_thrown_away() {
        let local = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (upstream, stranger) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        for _ in 0..STRAY_MAX {
            stranger
                .send_to(b"forged", local.local_addr().unwrap())
                .unwrap();
        }
        local.set_nonblocking(true).unwrap();
        local.connect(upstream.local_addr().unwrap()).unwrap();
        discard_strays(&local);
        let nothing = local.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        stranger
            .send_to(b"forged", local.local_addr().unwrap())
            .unwrap();
        upstream
            .send_to(b"true", local.local_addr().unwrap())
            .unwrap();
        let mut buffer = [0; 16];
        assert_eq!(local.recv(&mut buffer).unwrap(), 4);
        assert_eq!(buffer[..4], *b"true");
    }
}
