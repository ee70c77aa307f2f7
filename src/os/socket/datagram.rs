//! Datagrams whose hops are counted: sent with the most, and taken with what is left of them.
//!
//! Source: ip(7) (IP_RECVTTL), ipv6(7) (IPV6_RECVHOPLIMIT), cmsg(3), RFC 5082 §3 (255 cannot be
//! forged from afar), RFC 2474 (CS6). `IP_MINTTL` does not filter UDP, so a socket filter does.
#![expect(
    unsafe_code,
    reason = "an option and a control message that neither std nor socket2 offers"
)]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{Domain, MaybeUninitSlice, MsgHdrMut, Protocol, SockAddr, SockRef, Socket, Type};

mod filter;

/// The most hops that a packet can have before it.
pub const TTL_MAX: u8 = 255;
/// Class selector 6 (network control), in the place of the old type of service.
const CS6: u32 = 48 << 2;
/// Some thousand small datagrams, while the thread is busy with something else.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// A control message with an integer takes 24 octets.
const CONTROL_OCTETS: usize = 64;

/// Who may send to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Packets of others are not taken in.
    pub sources: Vec<IpAddr>,
    /// Nor are packets that came with less TTL or hop limit.
    pub ttl_min: u8,
}

/// One datagram that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How many octets of the buffer it fills; a longer one is cut.
    pub octets: usize,
    /// Who sent it; with the interface, when that is a link-local address.
    pub from: SocketAddr,
    /// TTL or hop limit that it arrived with; `None`: the kernel did not say.
    pub ttl: Option<u8>,
}

/// A non-blocking socket for datagrams to `local`, beside those of other programs that take them at
/// all other addresses. Who opens one at the same address takes over from whoever had one there.
///
/// # Errors
/// The kernel's: somebody else does not want to share the port, or the address is absent.
pub fn receiver(local: SocketAddr, admission: &Admission) -> io::Result<UdpSocket> {
    let socket = open(local)?;
    if local.is_ipv4() {
        set_integer(&socket, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)?;
    } else {
        socket.set_recv_hoplimit_v6(true)?;
    }
    // Routing daemons ask for that too, and would not start beside a socket that has not.
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let socket = socket.into();
    // The caller looks at each datagram too.
    admit(&socket, admission).unwrap_or_default();
    SockRef::from(&socket).bind(&local.into())?;
    Ok(socket)
}

/// Lets the kernel drop what nobody has admitted, so that strangers cannot fill the buffer.
///
/// # Errors
/// More sources than a filter has room for (some hundred): the old filter stays.
pub fn admit(socket: &UdpSocket, admission: &Admission) -> io::Result<()> {
    let is_ipv4 = SockRef::from(socket).domain()? == Domain::IPV4;
    SockRef::from(socket).attach_filter(&filter::program(is_ipv4, admission))
}

/// A non-blocking socket from `local` to `remote`: what it sends has the most hops before it, and
/// CS6.
///
/// # Errors
/// The kernel's: the port is in use, the address absent, there is no route.
pub fn sender(local: SocketAddr, remote: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(local)?;
    if local.is_ipv4() {
        socket.set_ttl_v4(TTL_MAX.into())?;
        socket.set_tos_v4(CS6)?;
    } else {
        socket.set_unicast_hops_v6(TTL_MAX.into())?;
        socket.set_tclass_v6(CS6)?;
    }
    socket.bind(&local.into())?;
    socket.connect(&remote.into())?;
    Ok(socket.into())
}

/// The address that the kernel would send from.
///
/// # Errors
/// There is no route.
pub fn source_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let unspecified: IpAddr = match remote {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((unspecified, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// Takes one datagram without waiting.
///
/// # Errors
/// `WouldBlock` when there is none.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut from = SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let mut control = [0; CONTROL_OCTETS];
    let mut vectors = [MaybeUninitSlice::new(uninitialised(buffer))];
    let mut message = MsgHdrMut::new()
        .with_addr(&mut from)
        .with_buffers(&mut vectors)
        .with_control(uninitialised(&mut control));
    let octets = SockRef::from(socket).recvmsg(&mut message, libc::MSG_DONTWAIT)?;
    let control_octets = message.control_len();
    Ok(Arrival {
        octets,
        from: from.as_socket().ok_or(io::ErrorKind::InvalidData)?,
        ttl: control.get(..control_octets).and_then(ttl),
    })
}

/// What socket2 asks for.
fn uninitialised(octets: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let length = octets.len();
    // SAFETY: same memory, same length, same lifetime; the kernel, to which it goes, writes only
    // initialised octets.
    unsafe { std::slice::from_raw_parts_mut(octets.as_mut_ptr().cast(), length) }
}

/// Finds the TTL or hop limit among control messages.
fn ttl(control: &[u8]) -> Option<u8> {
    const WORD: usize = size_of::<usize>();
    const INTEGER: usize = size_of::<libc::c_int>();
    // A length, a level, a type; then data; the next one begins at a whole word.
    const HEADER: usize = WORD + 2 * INTEGER;
    let integer = |from: &[u8], at: usize| {
        let octets = from.get(at..at + INTEGER)?;
        Some(libc::c_int::from_ne_bytes(octets.try_into().ok()?))
    };
    let mut rest = control;
    loop {
        let length = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
        let kind = (integer(rest, WORD)?, integer(rest, WORD + INTEGER)?);
        let data = rest.get(HEADER..length)?;
        if kind == (libc::IPPROTO_IP, libc::IP_TTL)
            || kind == (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
        {
            return u8::try_from(integer(data, 0)?).ok();
        }
        rest = rest.get(length.checked_next_multiple_of(WORD)?..)?;
    }
}

fn open(local: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn set_integer(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = super::socklen(size_of::<libc::c_int>());
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
    super::checked(result)
}

#[cfg(test)]
mod tests;
