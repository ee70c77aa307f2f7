//! The system calls of the loops: datagrams in batches, epoll, ppoll, the core of a thread. The
//! only file with `unsafe`; nothing is allocated after the making of a value.
//!
//! Source: recvmmsg(2), sendmmsg(2), epoll(7), ppoll(2), sched_setaffinity(2), socket(7).
#![expect(unsafe_code, reason = "system calls that std does not offer")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Room for one datagram: what a message without EDNS may have (RFC 1035 §4.2.1).
pub(crate) const DATAGRAM_OCTETS: usize = 512;
/// A port that refuses costs a connected socket one failed call for each refusal that came back.
const REFUSALS_MAX: usize = 1_000;

/// One buffer; the odd length keeps neighbours out of the same set of the processor's cache.
#[repr(C, align(64))]
struct Buffer([u8; DATAGRAM_OCTETS], [u8; 64]);

/// An IPv4 address and port, as they travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    address: u32,
    port: u16,
}

/// Where the addresses beside the datagrams of a batch come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The kernel writes the sender; an answer goes back there.
    Received,
    /// [`Batch::set_peer`]; the sender is not wanted.
    Chosen,
    /// The socket is connected.
    None,
}

/// Whether to wait for the first datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until there is one.
    First,
    /// Not at all.
    Never,
}

/// Datagrams that are received and sent with one call, in place.
///
/// The arrays are raw because the headers point into them.
pub(crate) struct Batch {
    headers: *mut [libc::mmsghdr],
    vectors: *mut [libc::iovec],
    peers: *mut [libc::sockaddr_in],
    buffers: *mut [Buffer],
    /// Headers that a call may have changed since they were last made ready for receiving.
    used: usize,
    /// Room for a sender's address.
    name_octets: u32,
}

/// Turns an array into one that is freed in [`Batch`]'s `drop`.
fn raw<T>(count: usize, make: impl FnMut(usize) -> T) -> *mut [T] {
    Box::into_raw((0..count).map(make).collect::<Box<[T]>>())
}

impl Batch {
    /// Room for so many datagrams of [`DATAGRAM_OCTETS`].
    pub(crate) fn new(count: usize, names: Names) -> Self {
        // SAFETY: all four are plain C structures, for which zeros are a value.
        let (header, peer) = unsafe { (zeroed::<libc::mmsghdr>(), zeroed::<libc::sockaddr_in>()) };
        let batch = Self {
            headers: raw(count, |_| header),
            vectors: raw(count, |_| libc::iovec {
                iov_base: ptr::null_mut(),
                iov_len: DATAGRAM_OCTETS,
            }),
            peers: raw(count, |_| libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                ..peer
            }),
            buffers: raw(count, |_| Buffer([0; DATAGRAM_OCTETS], [0; 64])),
            used: count,
            name_octets: match names {
                Names::Received => size_of::<libc::sockaddr_in>() as u32,
                Names::Chosen | Names::None => 0,
            },
        };
        for place in 0..count {
            // SAFETY: `place` is inside the four arrays, which live as long as the batch and do
            // not move; nobody else has a reference to them.
            unsafe {
                let vector = &raw mut (*batch.vectors)[place];
                (*vector).iov_base = (&raw mut (*batch.buffers)[place].0).cast();
                let header = &raw mut (*batch.headers)[place].msg_hdr;
                (*header).msg_iov = vector;
                (*header).msg_iovlen = 1;
                if names != Names::None {
                    (*header).msg_name = (&raw mut (*batch.peers)[place]).cast();
                }
            }
        }
        batch
    }

    /// How many datagrams there is room for.
    pub(crate) fn room(&self) -> usize {
        self.headers.len()
    }

    /// Receives what is there, at most [`Batch::room`]. None is there, or the other side refused
    /// an earlier datagram: 0.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        for place in 0..self.used {
            // SAFETY: `used` is at most the length of the arrays, which are the batch's own.
            unsafe {
                (*self.vectors)[place].iov_len = DATAGRAM_OCTETS;
                (*self.headers)[place].msg_hdr.msg_namelen = self.name_octets;
            }
        }
        self.used = 0;
        let flags = match wait {
            Wait::First => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        // SAFETY: the headers point to arrays that live as long as the batch, with their lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.cast(),
                self.room() as libc::c_uint,
                flags,
                ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                self.used = count;
                Ok(count)
            }
            Err(_) => none_yet(io::Error::last_os_error()),
        }
    }

    /// The datagram received into this place.
    pub(crate) fn message(&self, place: usize) -> &[u8] {
        // SAFETY: the arrays are the batch's own and nothing else refers to them meanwhile; the
        // index is checked, and the kernel does not write during the borrow.
        unsafe {
            let octets = (*self.headers)[place].msg_len as usize;
            &(&(*self.buffers)[place].0)[..octets.min(DATAGRAM_OCTETS)]
        }
    }

    /// The whole buffer of this place.
    pub(crate) fn buffer(&mut self, place: usize) -> &mut [u8; DATAGRAM_OCTETS] {
        // SAFETY: as for `message`, and the borrow is the only one.
        unsafe { &mut (*self.buffers)[place].0 }
    }

    /// How much of this place's buffer is sent, at most [`DATAGRAM_OCTETS`].
    pub(crate) fn set_length(&mut self, place: usize, octets: usize) {
        // SAFETY: the index is checked; the length is within the buffer.
        unsafe { (*self.vectors)[place].iov_len = octets.min(DATAGRAM_OCTETS) };
    }

    /// The sender of the datagram in this place.
    pub(crate) fn peer(&self, place: usize) -> Peer {
        // SAFETY: the index is checked and the array is the batch's own.
        let peer = unsafe { &(*self.peers)[place] };
        Peer {
            address: peer.sin_addr.s_addr,
            port: peer.sin_port,
        }
    }

    /// Whom the datagram in this place is for.
    pub(crate) fn set_peer(&mut self, place: usize, peer: Peer) {
        // SAFETY: as for `peer`, and the borrow is the only one.
        let own = unsafe { &mut (*self.peers)[place] };
        own.sin_addr.s_addr = peer.address;
        own.sin_port = peer.port;
        // SAFETY: likewise.
        unsafe {
            (*self.headers)[place].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
    }

    /// Turns the first `received` datagrams into answers, in their buffers: `answer` gets a buffer
    /// with the octets of its datagram, and gives those of the answer, if there is one. Returns how
    /// many answers there are; they come first.
    pub(crate) fn answer(
        &mut self,
        received: usize,
        answer: impl Fn(&mut [u8; DATAGRAM_OCTETS], usize) -> Option<usize>,
    ) -> usize {
        let mut answers = 0;
        for place in 0..received {
            let octets = self.message(place).len();
            let Some(octets) = answer(self.buffer(place), octets) else {
                continue;
            };
            self.set_length(place, octets);
            if answers != place {
                self.copy(place, answers);
            }
            answers += 1;
        }
        answers
    }

    /// Makes `to` a copy of `from`, content and sender, and as long as set last.
    pub(crate) fn copy(&mut self, from: usize, to: usize) {
        *self.buffer(to) = *self.buffer(from);
        let peer = self.peer(from);
        self.set_peer(to, peer);
        // SAFETY: the index is checked and the array is the batch's own.
        let octets = unsafe { (*self.vectors)[from].iov_len };
        self.set_length(to, octets);
    }

    /// Sends the first `count` datagrams to their peers; through a batch without names, to the
    /// socket's.
    pub(crate) fn send(&mut self, socket: &UdpSocket, count: usize) -> io::Result<()> {
        let count = count.min(self.room());
        self.used = self.used.max(count);
        let (mut sent, mut refusals) = (0, 0);
        while sent < count {
            // SAFETY: `sent` is inside the array; the headers point to arrays of the batch.
            let more = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers.cast::<libc::mmsghdr>().add(sent),
                    (count - sent) as libc::c_uint,
                    0,
                )
            };
            match usize::try_from(more) {
                Ok(more) => sent += more,
                Err(_) if refusals == REFUSALS_MAX => return Err(io::Error::last_os_error()),
                Err(_) => {
                    refusals += 1;
                    none_yet(io::Error::last_os_error())?;
                }
            }
        }
        Ok(())
    }

    /// Sends the first `count` datagrams to whom the socket is connected, whatever their peers.
    pub(crate) fn forward(&mut self, socket: &UdpSocket, count: usize) -> io::Result<()> {
        for place in 0..count.min(self.room()) {
            // SAFETY: the index is checked and the array is the batch's own.
            unsafe { (*self.headers)[place].msg_hdr.msg_namelen = 0 };
        }
        self.send(socket, count)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: each came from `Box::into_raw` in `new` and is freed here only.
        unsafe {
            drop(Box::from_raw(self.headers));
            drop(Box::from_raw(self.vectors));
            drop(Box::from_raw(self.peers));
            drop(Box::from_raw(self.buffers));
        }
    }
}

/// 0 for the errors after which one simply goes on.
fn none_yet(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock
        | io::ErrorKind::Interrupted
        | io::ErrorKind::ConnectionRefused => Ok(0),
        _ => Err(error),
    }
}

/// 0 or more is a count, anything else is in `errno`.
fn counted(result: libc::c_int) -> io::Result<usize> {
    usize::try_from(result).or_else(|_| none_yet(io::Error::last_os_error()))
}

/// Sockets of which one is waited for that can be read.
pub(crate) struct Poll(Box<[libc::pollfd]>);

impl Poll {
    pub(crate) fn new(sources: impl IntoIterator<Item = RawFd>) -> Self {
        let events = libc::POLLIN;
        let entry = |fd| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        Self(sources.into_iter().map(entry).collect())
    }

    /// Waits for so long at most. How exact that is: [`exact_timers`].
    pub(crate) fn wait(&mut self, longest: Duration) -> io::Result<usize> {
        let longest = libc::timespec {
            tv_sec: longest.as_secs() as libc::time_t,
            tv_nsec: longest.subsec_nanos().into(),
        };
        let count = self.0.len() as libc::nfds_t;
        // SAFETY: the array has so many entries, the time is valid, the mask may be null.
        counted(unsafe { libc::ppoll(self.0.as_mut_ptr(), count, &raw const longest, ptr::null()) })
    }
}

/// What happened to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) token: u64,
    /// The other side sends no more, or the connection is broken.
    pub(crate) ended: bool,
}

const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// An epoll instance with room for what happened.
pub(crate) struct Epoll {
    instance: OwnedFd,
    events: Box<[libc::epoll_event]>,
}

impl Epoll {
    /// Reports so many events at once.
    pub(crate) fn new(room: usize) -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: the descriptor is new and nobody else has it.
            instance: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![libc::epoll_event { events: 0, u64: 0 }; room].into(),
        })
    }

    /// Watches a source until it is closed: for reading, each time that it can be read.
    pub(crate) fn add(&self, source: &impl AsRawFd, token: u64) -> io::Result<()> {
        self.control(source, libc::EPOLLIN, token)
    }

    /// Watches a source for reading and writing, telling changes only.
    pub(crate) fn add_edges(&self, source: &impl AsRawFd, token: u64) -> io::Result<()> {
        let edges = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        self.control(source, edges, token)
    }

    fn control(&self, source: &impl AsRawFd, events: libc::c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: token,
        };
        // SAFETY: both descriptors are open, the event lives during the call.
        let result = unsafe {
            libc::epoll_ctl(
                self.instance.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                source.as_raw_fd(),
                &raw mut event,
            )
        };
        counted(result).map(drop)
    }

    /// Waits for so long at most, in ms; -1 for ever, 0 not at all. How many events there are.
    pub(crate) fn wait(&mut self, longest_ms: i32) -> io::Result<usize> {
        // SAFETY: the array has so many entries.
        counted(unsafe {
            libc::epoll_wait(
                self.instance.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                longest_ms,
            )
        })
    }

    /// One of those that the last [`Epoll::wait`] counted.
    pub(crate) fn event(&self, place: usize) -> Event {
        let libc::epoll_event { events, u64: token } = self.events[place];
        Event {
            token,
            ended: events & ENDED != 0,
        }
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.instance.as_raw_fd()
    }
}

/// Keeps the calling thread on this core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    // SAFETY: zeros are an empty set; `CPU_SET` checks the number; the set lives during the call.
    let result = unsafe {
        let mut set = zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    counted(result).map(drop)
}

/// Takes the 50 µs away by which the kernel may let the calling thread's timers be late.
pub(crate) fn exact_timers() {
    // SAFETY: no pointer is passed. A refusal leaves timers as they were.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

/// Asks for room for so many octets in both directions, above the system's limit where the
/// process may.
pub(crate) fn set_buffers(socket: &impl AsRawFd, octets: libc::c_int) {
    for (forced, plain) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ] {
        if set_option(socket, forced, octets).is_err() {
            // The system's limit then.
            let _ = set_option(socket, plain, octets);
        }
    }
}

fn set_option(socket: &impl AsRawFd, option: libc::c_int, value: libc::c_int) -> io::Result<usize> {
    // SAFETY: the value lives during the call and has the length that is told.
    counted(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}
