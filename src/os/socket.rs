//! Sockets with the options that DNS on an anycast address needs; only here and below is `unsafe`.
//!
//! Source: ip(7), ipv6(7), socket(7), tcp(7), getrlimit(2), setpriority(2).
//! Path-MTU discovery is off on UDP: real "too big" messages may reach another site, and forged
//! ones must not make fragments. TCP on anycast addresses offers a small MSS for the same reason.
#![expect(
    unsafe_code,
    reason = "socket options, descriptor limit and thread niceness that neither std nor socket2 offers"
)]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io;
use std::mem::size_of;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub mod batch;
pub mod datagram;
pub mod guard;
pub mod queue;

/// Room for about a thousand queries while a worker is busy with something else.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// 1280 (the least MTU of IPv6) less 60 octets of IPv6 and TCP headers.
const ANYCAST_MSS: u32 = 1220;
const BACKLOG: i32 = 1024;
/// `SO_MEMINFO`, Linux 4.12; the libc crate does not have it for every target.
const SO_MEMINFO: libc::c_int = 55;
/// `SK_MEMINFO_VARS`: how many counters `SO_MEMINFO` gives.
const MEMINFO_COUNT: usize = 9;
/// `SK_MEMINFO_DROPS`: which of them counts datagrams that found the receive buffer full.
const MEMINFO_DROPS: usize = 8;
/// The nicest that a thread can be. setpriority(2).
const NICENESS_MAX: i32 = 19;

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// An anycast address: may be bound while the address is absent; small TCP segments.
    Service,
    /// An address of this host alone.
    Unicast,
}

/// Why there is no socket, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// EADDRINUSE.
    #[error(
        "{protocol} {address} is in use by another process (often systemd-resolved, dnsmasq or \
         another name server); `ss -lnp 'sport = :{port}'` tells which one", port = .address.port()
    )]
    InUse {
        /// "UDP" or "TCP".
        protocol: &'static str,
        /// Where the socket should be.
        address: SocketAddr,
    },
    /// EACCES or EPERM.
    #[error(
        "no permission to bind {protocol} {address}; ports below 1024 need CAP_NET_BIND_SERVICE"
    )]
    Permission {
        /// "UDP" or "TCP".
        protocol: &'static str,
        /// Where the socket should be.
        address: SocketAddr,
    },
    /// EADDRNOTAVAIL.
    #[error("{protocol} {address} cannot be bound: no interface of this host has the address")]
    Absent {
        /// "UDP" or "TCP".
        protocol: &'static str,
        /// Where the socket should be.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot set up {protocol} {address}: {source}")]
    Other {
        /// "UDP" or "TCP".
        protocol: &'static str,
        /// Where the socket should be.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

impl SocketError {
    fn new(protocol: &'static str, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { protocol, address },
            io::ErrorKind::PermissionDenied => Self::Permission { protocol, address },
            io::ErrorKind::AddrNotAvailable => Self::Absent { protocol, address },
            _ => Self::Other {
                protocol,
                address,
                source,
            },
        }
    }
}

/// A non-blocking UDP socket for queries to `address`; several may share it, one per worker.
///
/// # Errors
/// See [`SocketError`]. A process of the same user that shares the port too goes unnoticed here:
/// see [`ensure_free`].
pub fn udp(address: SocketAddr, purpose: Purpose) -> Result<UdpSocket, SocketError> {
    let open = || {
        let socket = open(address, Type::DGRAM, Protocol::UDP, purpose)?;
        disable_path_mtu_discovery(&socket, address)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    open().map_err(|error| SocketError::new("UDP", address, error))
}

/// A non-blocking TCP listener for queries to `address`; several may share it, one per worker.
///
/// # Errors
/// See [`SocketError`]. A process of the same user that shares the port too goes unnoticed here:
/// see [`ensure_free`].
pub fn tcp(address: SocketAddr, purpose: Purpose) -> Result<TcpListener, SocketError> {
    let open = || {
        let socket = open(address, Type::STREAM, Protocol::TCP, purpose)?;
        socket.set_reuse_address(true)?;
        if purpose == Purpose::Service {
            socket.set_tcp_mss(ANYCAST_MSS)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|error| SocketError::new("TCP", address, error))
}

/// Lets the runtime say when datagrams have come, and nothing else: when the kernel has sent one is
/// no news, and waking up for each would cost as much as a query.
///
/// To be called in a runtime.
///
/// # Errors
/// The runtime cannot watch the socket, which is given back.
pub fn watch(socket: UdpSocket) -> Result<AsyncFd<UdpSocket>, (UdpSocket, io::Error)> {
    // SAFETY: a `UdpSocket` owns its descriptor and always gives the same one, which stays open
    // until it is dropped; `AsyncFd` takes it off the runtime's list before that.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    watched.map_err(|error| error.into_parts())
}

/// Checks that no other process serves `address`, not even one that shares its port.
///
/// To be called once, before the first worker opens its sockets: without this, two nodes on one
/// host would each get a part of the queries.
///
/// # Errors
/// See [`SocketError`].
pub fn ensure_free(address: SocketAddr, purpose: Purpose) -> Result<(), SocketError> {
    let udp = || -> io::Result<()> {
        let socket = open(address, Type::DGRAM, Protocol::UDP, purpose)?;
        socket.set_reuse_port(false)?;
        socket.bind(&address.into())
    };
    let tcp = || -> io::Result<()> {
        let socket = open(address, Type::STREAM, Protocol::TCP, purpose)?;
        socket.set_reuse_port(false)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())
    };
    udp().map_err(|error| SocketError::new("UDP", address, error))?;
    tcp().map_err(|error| SocketError::new("TCP", address, error))
}

fn open(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    purpose: Purpose,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    let freebind = purpose == Purpose::Service;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(freebind)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(freebind)?;
        }
    }
    Ok(socket)
}

/// Never sets "don't fragment", never believes an ICMP message about the path's MTU.
fn disable_path_mtu_discovery(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    let (level, option, value) = match address {
        SocketAddr::V4(_) => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_OMIT,
        ),
        SocketAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
        ),
    };
    let length = socklen(size_of::<libc::c_int>());
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the pointer is to a c_int on
    // this stack frame and `length` is its size; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    checked(result)
}

/// How many datagrams the kernel has dropped since the socket was opened because its receive
/// buffer was full; wraps around.
///
/// # Errors
/// Not a socket, or Linux older than 4.12.
pub fn udp_drops(socket: &impl AsFd) -> io::Result<u32> {
    let mut counters = [0_u32; MEMINFO_COUNT];
    let mut length = socklen(size_of_val(&counters));
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel writes at most
    // `length` octets, which is the size of `counters`, and every bit pattern is a valid u32.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            counters.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    checked(result)?;
    Ok(counters.get(MEMINFO_DROPS).copied().unwrap_or_default())
}

/// Makes the calling thread nicer by `steps` than it was, 1 (a little) to 39, and never nicer than 19: a
/// thread begins with the niceness of the one that started it, which a supervisor may have set.
///
/// # Errors
/// The kernel refuses.
pub fn lower_priority(steps: i32) -> io::Result<()> {
    let niceness = niceness()?.saturating_add(steps).min(NICENESS_MAX);
    // SAFETY: takes plain integers only and changes nothing but the calling thread's niceness, which is
    // what 0 stands for. setpriority(2).
    checked(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) })
}

/// That of the calling thread.
fn niceness() -> io::Result<i32> {
    // SAFETY: takes plain integers only and changes nothing.
    let raw = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
    // Unlike the function of that name the system call has no -1 that is a niceness: it says 20 less
    // that. getpriority(2).
    match i32::try_from(raw) {
        Ok(raw @ 1..) => Ok(NICENESS_MAX + 1 - raw),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Lets this process open as many descriptors as its hard limit allows; how many those are.
///
/// The usual soft limit of 1024 is for programs that call select(2).
///
/// # Errors
/// The system has no such limit to tell or to set.
pub fn raise_descriptor_limit() -> io::Result<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a whole rlimit on this stack frame, which the kernel fills in.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a whole rlimit on this stack frame; the kernel only reads it.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(usize::try_from(limit.rlim_max).unwrap_or(usize::MAX))
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn socklen(bytes: usize) -> libc::socklen_t {
    // The callers' values are a few octets.
    libc::socklen_t::try_from(bytes).unwrap_or(libc::socklen_t::MAX)
}

#[cfg(test)]
mod tests;
