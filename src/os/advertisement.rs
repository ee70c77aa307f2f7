//! Makes two ends of an unnumbered link known to each other: advertises this host as a router that
//! nobody should use by default, and listens for the router's own advertisements.
//!
//! Source: RFC 4861 (router discovery), RFC 3542 §2.1 (raw ICMPv6 sockets, whose checksum the kernel
//! makes and checks).
//! The kernel's own `accept_ra` stays as it is: nothing that is heard here changes the host's routes.
//! A filter of the socket lets through what matters alone, and of that only what nobody has
//! forwarded (hop limit 255): a flood of other ICMPv6 wakes nobody.
#![expect(clippy::disallowed_methods, reason = "a shell: reads the clock")]

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use self::machine::{Heard, Machine, Transmit};
use self::packet::{ADVERTISEMENT, PACKET_MAX, SOLICITATION};

mod machine;
mod metrics;
mod packet;

pub use machine::{Choice, Router, choose};
pub use metrics::{InterfaceMetrics, Metrics};
pub use packet::LinkLayer;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// What cannot have been forwarded. RFC 4861 §6.1.
const HOP_LIMIT: u32 = 255;
/// Where the hop limit is in the IPv6 header.
const HOP_LIMIT_AT: u32 = 7;
/// A socket that could not be opened, or broke, is opened again.
const REOPEN_AFTER: Duration = Duration::from_secs(2);
/// More packets than find room in a socket's receive buffer.
const UNCHECKED_MAX: usize = 4096;
/// A packet that the kernel does not take by then is lost; the next one follows in seconds.
const SEND_LIMIT: Duration = Duration::from_millis(100);

/// How this host is on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Index of the interface.
    pub interface_index: u32,
    /// Its name.
    pub interface: String,
    /// Its link-local address, which advertisements and the session come from.
    pub address: Ipv6Addr,
    /// Its Ethernet address, if it has one.
    pub link_layer: Option<LinkLayer>,
}

/// What the node knows of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// `None`: nothing can be sent there now.
    pub attachment: Option<Attachment>,
    /// The session with the router there is up.
    pub is_session_up: bool,
}

/// Advertises and listens on one link as long as it is attached, until the sender is gone. `routers`
/// shows who was heard; `changed` is called when somebody was heard for the first time.
pub async fn run(
    mut link: watch::Receiver<Link>,
    routers: watch::Sender<Vec<Router>>,
    metrics: InterfaceMetrics,
    changed: impl Fn(),
) {
    let mut task = Task {
        machine: Machine::new(rand::random()),
        attachment: None,
        socket: None,
        reopen_at: None,
        has_warned: false,
        metrics,
    };
    task.take(&link.borrow_and_update());
    let mut buffer = [0; PACKET_MAX];
    loop {
        let is_news = task.settle().await;
        routers.send_if_modified(|shown| {
            let is_modified = shown != task.machine.routers();
            if is_modified {
                task.machine.routers().clone_into(shown);
            }
            is_modified
        });
        if is_news {
            changed();
        }
        let due = task
            .machine
            .poll_timeout()
            .into_iter()
            .chain(task.reopen_at)
            .min();
        tokio::select! {
            biased;
            news = link.changed() => match news {
                Ok(()) => task.take(&link.borrow_and_update()),
                Err(_) => return,
            },
            () = until(due) => {}
            received = receive(task.socket.as_ref(), &mut buffer) => {
                task.hear(received, &buffer);
                // Others have their turn, however fast the packets come.
                tokio::task::yield_now().await;
            }
        }
    }
}

struct Task {
    machine: Machine,
    attachment: Option<Attachment>,
    socket: Option<UdpSocket>,
    reopen_at: Option<Instant>,
    has_warned: bool,
    metrics: InterfaceMetrics,
}

impl Task {
    fn take(&mut self, link: &Link) {
        if link.attachment != self.attachment {
            self.socket = None;
            self.reopen_at = None;
            self.has_warned = false;
            self.machine.handle_detached();
            self.attachment.clone_from(&link.attachment);
            self.open();
            if let Some(attachment) = &self.attachment {
                let (address, link_layer) = (attachment.address, attachment.link_layer);
                self.machine.handle_attached(now(), address, link_layer);
            }
        }
        self.machine.handle_session(now(), link.is_session_up);
    }

    fn open(&mut self) {
        self.reopen_at = None;
        let Some(attachment) = &self.attachment else {
            return;
        };
        match open(attachment) {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => {
                self.reopen_at = Some(now() + REOPEN_AFTER);
                if !std::mem::replace(&mut self.has_warned, true) {
                    let hint = match error.kind() {
                        io::ErrorKind::PermissionDenied => Some("CAP_NET_RAW is needed"),
                        _ => None,
                    };
                    let interface = &attachment.interface;
                    tracing::error!(interface, %error, hint, "no router discovery; trying again");
                }
            }
        }
    }

    /// Does and sends what is due; true when another router was heard or all are forgotten.
    async fn settle(&mut self) -> bool {
        if self.reopen_at.is_some_and(|due| due <= now()) {
            self.open();
        }
        self.machine.handle_timeout(now());
        while let Some(transmit) = self.machine.poll_transmit() {
            self.send(transmit).await;
        }
        self.machine.poll_change()
    }

    async fn send(&mut self, transmit: Transmit) {
        let (packet, group, sent) = match transmit {
            Transmit::Advertisement(packet) => {
                (packet, ALL_NODES, &self.metrics.advertisements_sent)
            }
            Transmit::Solicitation(packet) => {
                (packet, ALL_ROUTERS, &self.metrics.solicitations_sent)
            }
        };
        let (Some(socket), Some(attachment)) = (&self.socket, &self.attachment) else {
            return;
        };
        let to = SocketAddrV6::new(group, 0, 0, attachment.interface_index);
        match timeout(SEND_LIMIT, socket.send_to(&packet, SocketAddr::V6(to))).await {
            Ok(Ok(_)) => sent.inc(),
            Ok(Err(error)) => {
                self.metrics.failed.inc();
                tracing::debug!(%error, "router discovery message not sent");
            }
            Err(_) => self.metrics.failed.inc(),
        }
    }

    fn hear(&mut self, received: io::Result<(usize, SocketAddr)>, buffer: &[u8]) {
        match received {
            Ok((length, from)) => {
                let IpAddr::V6(source) = from.ip() else {
                    return;
                };
                let packet = buffer.get(..length).unwrap_or_default();
                match self.machine.handle_packet(now(), source, packet) {
                    Heard::Solicitation => self.metrics.solicitations.inc(),
                    Heard::Advertisement => self.metrics.advertisements.inc(),
                    Heard::Malformed => self.metrics.malformed.inc(),
                    Heard::Surplus => self.metrics.surplus.inc(),
                    Heard::Nothing => {}
                }
            }
            // The interface went down or away; more about that comes with netlink.
            Err(error) => {
                tracing::debug!(%error, "router discovery socket broke");
                self.socket = None;
                self.reopen_at = Some(now() + REOPEN_AFTER);
            }
        }
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

/// A raw ICMPv6 socket of one interface. The runtime knows no raw sockets; receiving from and sending
/// to an address is the same with one as with UDP.
fn open(attachment: &Attachment) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.attach_filter(&filter())?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(attachment.interface.as_bytes()))?;
    socket.set_multicast_if_v6(attachment.interface_index)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_hops_v6(HOP_LIMIT)?;
    socket.set_unicast_hops_v6(HOP_LIMIT)?;
    socket.join_multicast_v6(&ALL_ROUTERS, attachment.interface_index)?;
    let own = SocketAddrV6::new(attachment.address, 0, 0, attachment.interface_index);
    socket.bind(&own.into())?;
    let socket = std::net::UdpSocket::from(socket);
    // What came before the filter was there has passed no check.
    let mut unchecked = [0; 1];
    for _ in 0..UNCHECKED_MAX {
        if socket.recv_from(&mut unchecked).is_err() {
            break;
        }
    }
    UdpSocket::from_std(socket)
}

/// Passes solicitations and advertisements that come with the right hop limit.
fn filter() -> [SockFilter; 7] {
    let load_octet =
        |at| SockFilter::new(code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS), 0, 0, at);
    let skip_unless_equal = |value, count| {
        let equal = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
        SockFilter::new(equal, 0, count, value)
    };
    let skip_if_equal = |value, count| {
        let equal = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
        SockFilter::new(equal, count, 0, value)
    };
    let take = |octets| SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, octets);
    [
        load_octet(libc::SKF_NET_OFF.cast_unsigned() + HOP_LIMIT_AT),
        skip_unless_equal(HOP_LIMIT, 3),
        load_octet(0),
        skip_if_equal(u32::from(SOLICITATION), 2),
        skip_if_equal(u32::from(ADVERTISEMENT), 1),
        take(0),
        take(u32::MAX),
    ]
}

/// The operation codes of classic BPF fit 16 bits.
fn code(operation: u32) -> u16 {
    u16::try_from(operation).unwrap_or_default()
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
