//! Sockets of BFD: one to receive per local address, one to send per session.
//!
//! Source: RFC 5881 §4 (ports) and §5 (TTL), RFC 5883 §5.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::task::{Context, Poll};

use tokio::io::unix::AsyncFd;

use crate::bfd::path::Path;
use crate::os::socket::datagram::{self, Admission, Arrival};
use crate::os::socket::{udp_drops, watch};

/// Of a sender: one of them for the whole life of a session. RFC 5881 §4.
const SOURCE_PORTS: RangeInclusive<u16> = 49152..=65535;
/// So many of those are tried.
const PORT_ATTEMPTS: usize = 16;
/// Datagrams of one socket that are read before timers and others have their turn.
const BATCH: usize = 256;

/// The sockets that packets come to.
#[derive(Debug, Default)]
pub(super) struct Receivers(Vec<Receiver>);

#[derive(Debug)]
struct Receiver {
    local: SocketAddr,
    admission: Admission,
    socket: AsyncFd<UdpSocket>,
    drops_seen: u32,
}

impl Receivers {
    /// Sees to it that packets to `local` come in. To be called in a runtime.
    pub(super) fn open(&mut self, local: SocketAddr, admission: Admission) -> io::Result<()> {
        if let Some(receiver) = self.0.iter_mut().find(|open| open.local == local) {
            receiver.admit(admission);
            return Ok(());
        }
        let socket = datagram::receiver(local, &admission)?;
        self.0.push(Receiver {
            local,
            admission,
            socket: watch(socket).map_err(|(_, error)| error)?,
            drops_seen: 0,
        });
        Ok(())
    }

    /// Closes those that nobody may send to, and tells the others who may.
    pub(super) fn renew(&mut self, admission: impl Fn(SocketAddr) -> Admission) {
        self.0.retain_mut(|receiver| {
            let admission = admission(receiver.local);
            let is_needed = !admission.sources.is_empty();
            receiver.admit(admission);
            is_needed
        });
    }

    /// Hands out what has come, with the address that it came to. Whether there may be more.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(SocketAddr, Arrival, &[u8]),
    ) -> bool {
        let mut is_more = false;
        for receiver in &self.0 {
            let socket = receiver.socket.get_ref();
            let mut left = BATCH;
            while left > 0
                && let Ok(arrival) = datagram::receive(socket, buffer)
            {
                let octets = buffer.get(..arrival.octets).unwrap_or_default();
                take(receiver.local, arrival, octets);
                left -= 1;
            }
            is_more |= left == 0;
        }
        is_more
    }

    /// Something has come since all was read.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut is_any = Poll::Pending;
        for receiver in &self.0 {
            if let Poll::Ready(Ok(mut ready)) = receiver.socket.poll_read_ready(context) {
                // Before it is read: what comes after that counts anew.
                ready.clear_ready();
                is_any = Poll::Ready(());
            }
        }
        is_any
    }

    /// What the kernel has dropped since the last call.
    pub(super) fn drops(&mut self) -> u64 {
        let mut sum = 0;
        for receiver in &mut self.0 {
            if let Ok(drops) = udp_drops(receiver.socket.get_ref()) {
                sum += u64::from(drops.wrapping_sub(receiver.drops_seen));
                receiver.drops_seen = drops;
            }
        }
        sum
    }
}

impl Receiver {
    /// If the kernel has no room for that many, the old ones stay: a packet that comes in is looked
    /// at again, and one of a new neighbour is then missed, which leaves its session down.
    fn admit(&mut self, admission: Admission) {
        if self.admission == admission {
            return;
        }
        if let Err(error) = datagram::admit(self.socket.get_ref(), &admission) {
            tracing::warn!(local = %self.local, %error, "bfd filter not changed");
        }
        self.admission = admission;
    }
}

/// A socket that sends along this path, from a port that nobody else has.
pub(super) fn sender(path: &Path) -> io::Result<UdpSocket> {
    let mut local = path.local;
    let mut attempts = 0;
    loop {
        local.set_port(rand::random_range(SOURCE_PORTS));
        attempts += 1;
        match datagram::sender(local, path.remote) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts < PORT_ATTEMPTS => {}
            outcome => return outcome,
        }
    }
}
