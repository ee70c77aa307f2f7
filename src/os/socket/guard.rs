//! TCP with one known neighbour: signatures, distance, patience, probes of silence, precedence.
//!
//! Source: RFC 2385 and tcp(7) (TCP-MD5), RFC 5082 §3 and ip(7) (GTSM), RFC 4271 Appendix E
//! (precedence) with RFC 2474 §4.2.2.2 (class selector 6), RFC 5482 and tcp(7) (user timeout), RFC
//! 9293 §3.8.4 (keepalive).
//! Not done on purpose: keys for whole prefixes and per VRF (`TCP_MD5SIG_EXT`), because every
//! neighbour is known by its address, and the kernel takes no other interface than a VRF. So one
//! link-local address has one key on a listening socket, whatever the link.
#![expect(
    unsafe_code,
    reason = "neither std nor socket2 has TCP_MD5SIG, IP_MINTTL and IPV6_MINHOPCOUNT"
)]

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::{checked, socklen};

/// What the last hop sends, and nobody farther away can. RFC 5082 §3.
pub const HOPS_MAX: u8 = 255;
/// The longest key of TCP-MD5 in octets; `TCP_MD5SIG_MAXKEYLEN`.
pub const KEY_MAX: usize = 80;

/// Class selector 6, "internetwork control", as all eight bits of TOS or traffic class.
const PRECEDENCE: u32 = 0xC0;
/// Octets of `struct tcp_md5sig`, and of the `sockaddr_storage` that it begins with.
const SIGNATURE_OCTETS: usize = 216;
const STORAGE_OCTETS: usize = 128;

/// A key that the kernel did not take.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// ENOPROTOOPT, EINVAL, ENOKEY, EOPNOTSUPP.
    #[error(
        "connections with {peer} cannot be signed: this kernel has no TCP-MD5 \
         (CONFIG_TCP_MD5SIG) or forbids it ({source}); use another kernel, or remove the password \
         on both sides"
    )]
    Unsupported {
        /// The neighbour.
        peer: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// 1 to [`KEY_MAX`] octets are taken.
    #[error("connections with {peer} cannot be signed: a key has 1 to {KEY_MAX} octets")]
    Length {
        /// The neighbour.
        peer: IpAddr,
    },
    /// Anything else; ENOMEM when a listening socket has more keys than `net.core.optmem_max` allows.
    #[error("connections with {peer} cannot be signed: {source}")]
    Other {
        /// The neighbour.
        peer: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

impl SignError {
    fn new(peer: IpAddr, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOPROTOOPT | libc::EINVAL | libc::ENOKEY | libc::EOPNOTSUPP) => {
                Self::Unsupported { peer, source }
            }
            _ => Self::Other { peer, source },
        }
    }
}

impl From<SignError> for io::Error {
    fn from(error: SignError) -> Self {
        Self::other(error)
    }
}

/// Signs what is sent to `peer` and drops what it sends without this key, silently (RFC 2385 §2).
///
/// On a socket before it connects, or on one that listens: what it accepts has the key too.
///
/// # Errors
/// [`SignError`]
pub fn sign(socket: &impl AsFd, peer: IpAddr, key: &[u8]) -> Result<(), SignError> {
    if !(1..=KEY_MAX).contains(&key.len()) {
        return Err(SignError::Length { peer });
    }
    set_key(socket, peer, key).map_err(|source| SignError::new(peer, source))
}

/// Forgets the key for `peer`. That there was none is no error.
///
/// # Errors
/// The kernel cannot forget.
pub fn stop_signing(socket: &impl AsFd, peer: IpAddr) -> io::Result<()> {
    match set_key(socket, peer, &[]) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}

/// Sends with this TTL or hop limit, and drops what arrives with less than `least`; 0 takes all.
/// `peer` tells the family.
///
/// # Errors
/// Not a socket of this family.
pub fn set_hops(socket: &impl AsFd, peer: IpAddr, sent: u8, least: u8) -> io::Result<()> {
    let (level, option) = match peer {
        IpAddr::V4(_) => {
            SockRef::from(socket).set_ttl_v4(u32::from(sent))?;
            (libc::IPPROTO_IP, libc::IP_MINTTL)
        }
        IpAddr::V6(_) => {
            SockRef::from(socket).set_unicast_hops_v6(u32::from(sent))?;
            (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT)
        }
    };
    set(
        socket,
        level,
        option,
        &libc::c_int::from(least).to_ne_bytes(),
    )
}

/// With which TTL or hop limit the packet arrived that completed the handshake of an accepted
/// connection; `peer` tells the family.
///
/// The kernel leaves it where a multicast socket has the TTL that it sends with (1 in a socket that
/// nobody connected to), and `IP_PKTOPTIONS` reads it from there. Data that arrived before
/// [`set_hops`] was called cannot be asked for theirs.
///
/// # Errors
/// Not a socket of this family.
pub fn handshake_hops(socket: &impl AsFd, peer: IpAddr) -> io::Result<u8> {
    let hops = match peer {
        IpAddr::V4(_) => SockRef::from(socket).multicast_ttl_v4()?,
        IpAddr::V6(_) => SockRef::from(socket).multicast_hops_v6()?,
    };
    u8::try_from(hops).map_err(io::Error::other)
}

/// Lets routers on the way put these packets before users' traffic; `peer` tells the family.
///
/// # Errors
/// Not a socket of this family.
pub fn set_precedence(socket: &impl AsFd, peer: IpAddr) -> io::Result<()> {
    match peer {
        IpAddr::V4(_) => SockRef::from(socket).set_tos_v4(PRECEDENCE),
        IpAddr::V6(_) => SockRef::from(socket).set_tclass_v6(PRECEDENCE),
    }
}

/// Ends the connection when what was sent has not been acknowledged, or found no room, for so long.
///
/// # Errors
/// Not a TCP socket.
pub fn set_patience(socket: &impl AsFd, patience: Duration) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(Some(patience))
}

/// Asks a silent other end whether it is still there: after `silence`, then `probes` times at
/// `interval`. What stays unanswered ends the connection.
///
/// # Errors
/// Not a TCP socket.
pub fn probe_silence(
    socket: &impl AsFd,
    silence: Duration,
    interval: Duration,
    probes: u32,
) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(silence)
        .with_interval(interval)
        .with_retries(probes);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// Makes the next close a RST: nothing that waits is sent any more, and nothing is remembered.
///
/// # Errors
/// Not a socket.
pub fn abort_on_close(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

fn set_key(socket: &impl AsFd, peer: IpAddr, key: &[u8]) -> io::Result<()> {
    let octets = signature(peer, key).ok_or(io::ErrorKind::InvalidInput)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &octets)
}

/// `struct tcp_md5sig` of linux/tcp.h; an empty key forgets.
fn signature(peer: IpAddr, key: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(SIGNATURE_OCTETS);
    let family = match peer {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    octets.extend(libc::sa_family_t::try_from(family).ok()?.to_ne_bytes());
    // No port.
    octets.extend([0; 2]);
    match peer {
        IpAddr::V4(address) => octets.extend(address.octets()),
        IpAddr::V6(address) => {
            // No flow label.
            octets.extend([0; 4]);
            octets.extend(address.octets());
        }
    }
    octets.resize(STORAGE_OCTETS, 0);
    // Neither flags nor prefix length.
    octets.extend([0; 2]);
    octets.extend(u16::try_from(key.len()).ok()?.to_ne_bytes());
    // No interface.
    octets.extend([0; 4]);
    octets.extend_from_slice(key);
    octets.resize(SIGNATURE_OCTETS, 0);
    Some(octets)
}

fn set(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the pointer is to as many
    // octets as the length says, and the kernel only reads them, at any alignment.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            socklen(value.len()),
        )
    };
    checked(result)
}

#[cfg(test)]
mod tests;
