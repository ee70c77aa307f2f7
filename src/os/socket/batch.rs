//! Many datagrams with one system call: recvmmsg(2) and sendmmsg(2), without waiting.
//!
//! Source: recvmmsg(2), sendmmsg(2), udp(7).
//! The arrays that the kernel reads and fills are made once and kept, so that a call for a single
//! datagram costs no more than recvmsg(2).
#![expect(unsafe_code, reason = "neither std nor socket2 has these calls")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{NonNull, null_mut};

/// Where a datagram came from, as the kernel wrote it: IPv4 or IPv6.
// A `sockaddr_in` fits in: its address stands where `sockaddr_in6` has the flow label.
#[derive(Clone, Copy)]
pub struct Peer(libc::sockaddr_in6);

impl Peer {
    /// The address without the port.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        if self.is_v4() {
            Ipv4Addr::from(self.0.sin6_flowinfo.to_ne_bytes()).into()
        } else {
            Ipv6Addr::from(self.0.sin6_addr.s6_addr).into()
        }
    }

    fn is_v4(&self) -> bool {
        libc::c_int::from(self.0.sin6_family) == libc::AF_INET
    }

    fn octets(&self) -> libc::socklen_t {
        super::socklen(if self.is_v4() {
            size_of::<libc::sockaddr_in>()
        } else {
            size_of::<libc::sockaddr_in6>()
        })
    }

    fn unknown() -> Self {
        // SAFETY: plain integers and octets, for which zero is a value.
        Self(unsafe { MaybeUninit::zeroed().assume_init() })
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        let mut peer = Self::unknown();
        let raw = &mut peer.0;
        raw.sin6_port = address.port().to_be();
        match address {
            SocketAddr::V4(v4) => {
                raw.sin6_family = family(libc::AF_INET);
                raw.sin6_flowinfo = u32::from_ne_bytes(v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                raw.sin6_family = family(libc::AF_INET6);
                raw.sin6_flowinfo = v6.flowinfo().to_be();
                raw.sin6_addr.s6_addr = v6.ip().octets();
                raw.sin6_scope_id = v6.scope_id();
            }
        }
        peer
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} port {}", self.ip(), u16::from_be(self.0.sin6_port))
    }
}

/// The families are small numbers.
fn family(value: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(value).unwrap_or_default()
}

/// An array on the heap that the kernel knows by pointers: only ever reached through a pointer, so
/// that no reference to a part of it claims the whole.
struct Pinned<T>(NonNull<[T]>);

impl<T: Copy> Pinned<T> {
    fn new(value: T, count: usize) -> Self {
        let array: Box<[T]> = vec![value; count].into();
        Self(NonNull::from(Box::leak(array)))
    }

    /// `None` behind the end.
    fn at(&self, index: usize) -> Option<NonNull<T>> {
        // SAFETY: the offset stays within the array, which lives as long as `self`.
        (index < self.0.len()).then(|| unsafe { self.0.cast::<T>().add(index) })
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is from a leaked box in `new`, and is given up here.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Datagrams as they came in; each call of [`Inbox::receive`] forgets the ones before.
pub struct Inbox {
    bytes: Pinned<u8>,
    /// Room of one datagram.
    octets: usize,
    peers: Pinned<Peer>,
    headers: Pinned<libc::mmsghdr>,
    /// What `headers` point to.
    _vectors: Pinned<libc::iovec>,
    received: usize,
}

impl Inbox {
    /// Room for `messages` datagrams (at least 1) at a time, of at most `octets` each; longer ones
    /// are cut.
    #[must_use]
    pub fn new(messages: usize, octets: usize) -> Self {
        let messages = messages.max(1);
        let bytes = Pinned::new(0_u8, messages.saturating_mul(octets));
        let peers = Pinned::new(Peer::unknown(), messages);
        let vectors = Pinned::new(
            libc::iovec {
                iov_base: null_mut(),
                iov_len: octets,
            },
            messages,
        );
        let headers = Pinned::new(empty_header(), messages);
        for index in 0..messages {
            let (Some(vector), Some(header), Some(peer)) =
                (vectors.at(index), headers.at(index), peers.at(index))
            else {
                continue;
            };
            let base = bytes.at(index * octets).map_or(null_mut(), NonNull::as_ptr);
            // SAFETY: the pointers are within arrays that nobody else uses yet.
            unsafe {
                (*vector.as_ptr()).iov_base = base.cast();
                let header = &mut (*header.as_ptr()).msg_hdr;
                header.msg_name = peer.as_ptr().cast();
                header.msg_namelen = name_room();
                header.msg_iov = vector.as_ptr();
                header.msg_iovlen = 1;
            }
        }
        Self {
            bytes,
            octets,
            peers,
            headers,
            _vectors: vectors,
            received: 0,
        }
    }

    /// Takes what has come, at least one datagram, without waiting; says how many.
    ///
    /// As many as there is room for means that there may be more.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has come; what the network reported about earlier datagrams.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        for index in 0..std::mem::take(&mut self.received) {
            if let Some(header) = self.headers.at(index) {
                // SAFETY: within the array, and no reference to it exists.
                unsafe { (*header.as_ptr()).msg_hdr.msg_namelen = name_room() };
            }
        }
        let count = libc::c_uint::try_from(self.room()).unwrap_or(libc::c_uint::MAX);
        // SAFETY: `headers` has `count` elements, each with pointers to an address of `name_room`
        // octets and to one vector for `octets` octets of `bytes`, all alive and not otherwise used.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.0.as_ptr().cast(),
                count,
                libc::MSG_DONTWAIT,
                null_mut(),
            )
        };
        self.received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        Ok(self.received)
    }

    /// For how many datagrams there is room.
    #[must_use]
    pub fn room(&self) -> usize {
        self.headers.0.len()
    }

    /// The datagram with this number, of those that the last call has received; else nothing.
    #[must_use]
    pub fn message(&self, index: usize) -> &[u8] {
        let (start, octets) = self.span(index);
        // SAFETY: `span` lies within `bytes`, all of which is initialised; the kernel writes to it
        // only during `receive`, which needs `self` mutably.
        unsafe { std::slice::from_raw_parts(start, octets) }
    }

    /// The same, to be changed in place.
    #[must_use]
    pub fn message_mut(&mut self, index: usize) -> &mut [u8] {
        let (start, octets) = self.span(index);
        // SAFETY: as in `message`; `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start, octets) }
    }

    /// Who has sent it.
    #[must_use]
    pub fn peer(&self, index: usize) -> Peer {
        match self.peers.at(index) {
            // SAFETY: within the array and initialised; written by the kernel during `receive` only.
            Some(peer) => unsafe { *peer.as_ptr() },
            None => Peer::unknown(),
        }
    }

    fn span(&self, index: usize) -> (*mut u8, usize) {
        let header = self.headers.at(index).filter(|_| index < self.received);
        let (Some(header), Some(start)) = (header, self.bytes.at(index * self.octets)) else {
            return (NonNull::dangling().as_ptr(), 0);
        };
        // SAFETY: within the array and initialised; written by the kernel during `receive` only.
        let octets = unsafe { (*header.as_ptr()).msg_len };
        let octets = usize::try_from(octets).unwrap_or_default();
        (start.as_ptr(), octets.min(self.octets))
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("room", &self.room())
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Octets for a peer's address.
fn name_room() -> libc::socklen_t {
    super::socklen(size_of::<Peer>())
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: pointers and integers, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Datagrams that gather until one call sends them.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Where each message ends in `bytes`, and whom it goes to.
    messages: Vec<(usize, Option<Peer>)>,
    room: usize,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

/// What became of the datagrams of an [`Outbox`].
#[derive(Debug, Default)]
pub struct Sent {
    /// How many the socket took.
    pub sent: usize,
    /// How many it did not take; they are lost, as in a full network.
    pub failed: usize,
    /// The first error; reported also when a second attempt was good.
    pub error: Option<io::Error>,
}

impl Outbox {
    /// Room for `messages` datagrams before it should be sent.
    #[must_use]
    pub fn new(messages: usize) -> Self {
        Self {
            room: messages,
            ..Self::default()
        }
    }

    /// Where the next message is appended to, behind those that are there.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What was appended since the last message is a message to `to`; `None` on connected sockets.
    pub fn finish(&mut self, to: Option<Peer>) {
        self.messages.push((self.bytes.len(), to));
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether it is time to send.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.messages.len() >= self.room
    }

    /// Sends everything without waiting, and is empty then.
    ///
    /// A message that the network refuses is left out (on a connected socket tried once more, for
    /// the refusal is about an earlier one); a full socket buffer drops the rest.
    pub fn send(&mut self, socket: &impl AsFd) -> Sent {
        self.point();
        let mut outcome = Sent::default();
        let mut refused = None;
        let mut next = 0;
        while let Some(rest) = self.headers.get_mut(next..).filter(|rest| !rest.is_empty()) {
            let count = libc::c_uint::try_from(rest.len()).unwrap_or(libc::c_uint::MAX);
            // SAFETY: `rest` are `count` headers, whose pointers lead to `vectors`, `messages` and
            // `bytes`, none of which has changed since `point`; the kernel writes to `msg_len` only.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_fd().as_raw_fd(),
                    rest.as_mut_ptr(),
                    count,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            if let Ok(sent) = usize::try_from(sent) {
                outcome.sent += sent;
                next += sent;
                continue;
            }
            let error = io::Error::last_os_error();
            let kind = error.kind();
            outcome.error.get_or_insert(error);
            match kind {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => break,
                io::ErrorKind::ConnectionRefused if refused != Some(next) => refused = Some(next),
                _ => next += 1,
            }
        }
        outcome.failed = self.messages.len() - outcome.sent;
        self.bytes.clear();
        self.messages.clear();
        outcome
    }

    /// Lets the headers point to the messages.
    fn point(&mut self) {
        self.vectors.clear();
        self.headers.clear();
        let mut start = 0;
        for (end, _) in &self.messages {
            let message = self.bytes.get(start..*end).unwrap_or_default();
            self.vectors.push(libc::iovec {
                iov_base: message.as_ptr().cast_mut().cast(),
                iov_len: message.len(),
            });
            start = *end;
        }
        for ((_, to), vector) in self.messages.iter().zip(&mut self.vectors) {
            let mut header = empty_header();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            if let Some(peer) = to {
                header.msg_hdr.msg_name = (&raw const peer.0).cast_mut().cast();
                header.msg_hdr.msg_namelen = peer.octets();
            }
            self.headers.push(header);
        }
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("messages", &self.messages.len())
            .field("octets", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
