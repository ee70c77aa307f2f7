//! Events of links, addresses and default routes, from a netlink connection of their own.
//!
//! Source: rtnetlink(7), netlink(7) (ENOBUFS). The queue is the socket's receive buffer (1 MiB):
//! when it is full, the kernel drops and [`Event::Overrun`] tells the caller to look again itself.
//! The kernel tells nothing about IPv4 routes that vanish with their link: after a link event,
//! the caller looks at the gateways again.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::netlink::{assigned, default_route, link};

const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// The kernel's own limit is 32 KiB since Linux 4.9.
const DATAGRAM_BYTES: usize = 64 << 10;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface is there or has changed.
    Link {
        /// Interface index.
        index: u32,
        /// Interface name.
        name: String,
        /// Administratively up, with carrier.
        up: bool,
    },
    /// An interface is gone.
    LinkGone {
        /// Interface index.
        index: u32,
        /// Interface name.
        name: String,
    },
    /// An address was added, or its flags have changed (for example: no longer tentative).
    AddressAdded {
        /// Interface index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// An address was removed.
    AddressRemoved {
        /// Interface index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// A default route of the main table was added, changed or removed.
    DefaultRoute,
    /// Events were lost: everything must be looked at again.
    Overrun,
}

/// The stream of events.
pub struct Monitor {
    socket: TokioSocket,
    buffer: Vec<u8>,
    pending: VecDeque<Event>,
}

impl Monitor {
    /// Subscribes; events from this moment on are seen.
    ///
    /// # Errors
    /// No netlink socket, or the groups are refused.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let mask = groups
            .into_iter()
            .fold(0, |mask, group| mask | 1 << (group as u32 - 1));
        socket.socket_mut().bind(&SocketAddr::new(0, mask))?;
        socket.socket_ref().set_rx_buf_sz(RECEIVE_BUFFER_BYTES)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM_BYTES),
            pending: VecDeque::new(),
        })
    }

    /// The next event. May be dropped at any await without losing one.
    ///
    /// # Errors
    /// The socket is of no more use; open a new monitor.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer).await {
                Ok(sender) if sender.port_number() == 0 => {
                    self.pending.extend(events(&self.buffer));
                }
                // Not from the kernel.
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Event::Overrun);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The events of one datagram. What cannot be read counts as lost.
fn events(datagram: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let Ok(length) = NetlinkBuffer::new_checked(rest).map(|frame| frame.length()) else {
            found.push(Event::Overrun);
            break;
        };
        match NetlinkMessage::deserialize(rest).map(|message| message.payload) {
            Ok(NetlinkPayload::InnerMessage(message)) => found.extend(event(&message)),
            Ok(NetlinkPayload::Overrun(_)) | Err(_) => found.push(Event::Overrun),
            Ok(_) => {}
        }
        let aligned =
            usize::try_from(length).map_or(usize::MAX, |length| length.next_multiple_of(4));
        rest = rest.get(aligned..).unwrap_or_default();
    }
    found
}

fn event(message: &RouteNetlinkMessage) -> Option<Event> {
    match message {
        // About the membership in a bridge: a port that leaves one is deleted there, and lives on.
        RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message)
            if message.header.interface_family == AddressFamily::Bridge =>
        {
            None
        }
        RouteNetlinkMessage::NewLink(message) => {
            let link = link(message);
            Some(Event::Link {
                index: link.index,
                name: link.name,
                up: link.up,
            })
        }
        RouteNetlinkMessage::DelLink(message) => {
            let link = link(message);
            Some(Event::LinkGone {
                index: link.index,
                name: link.name,
            })
        }
        RouteNetlinkMessage::NewAddress(message) => assigned(message).map(|found| {
            let (index, address) = (found.index, found.address);
            Event::AddressAdded { index, address }
        }),
        RouteNetlinkMessage::DelAddress(message) => assigned(message).map(|found| {
            let (index, address) = (found.index, found.address);
            Event::AddressRemoved { index, address }
        }),
        RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) => {
            default_route(message).map(|_| Event::DefaultRoute)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::address::{AddressAttribute, AddressMessage};
    use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
    use netlink_packet_route::route::{RouteHeader, RouteMessage, RouteType};

    use super::*;

    fn datagram(messages: Vec<RouteNetlinkMessage>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            let mut message = NetlinkMessage::from(message);
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut bytes[start..]);
        }
        bytes
    }

    fn link_message(flags: LinkFlags) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 3;
        message.header.flags = flags;
        message.attributes = vec![LinkAttribute::IfName("eth1".into())];
        message
    }

    #[test]
    fn every_message_of_a_datagram_becomes_its_event_in_order() {
        let mut address = AddressMessage::default();
        address.header.index = 3;
        address.attributes = vec![AddressAttribute::Address("fd00::1".parse().unwrap())];
        let mut route = RouteMessage::default();
        route.header.table = RouteHeader::RT_TABLE_MAIN;
        route.header.kind = RouteType::Unicast;
        let bytes = datagram(vec![
            RouteNetlinkMessage::NewLink(link_message(LinkFlags::Up)),
            RouteNetlinkMessage::DelAddress(address),
            RouteNetlinkMessage::DelRoute(route),
        ]);
        assert_eq!(
            events(&bytes),
            [
                Event::Link {
                    index: 3,
                    name: "eth1".into(),
                    up: false,
                },
                Event::AddressRemoved {
                    index: 3,
                    address: "fd00::1".parse().unwrap(),
                },
                Event::DefaultRoute,
            ]
        );
    }

    #[test]
    fn routes_with_a_prefix_make_no_event() {
        let mut route = RouteMessage::default();
        route.header.table = RouteHeader::RT_TABLE_MAIN;
        route.header.kind = RouteType::Unicast;
        route.header.destination_prefix_length = 24;
        assert_eq!(
            events(&datagram(vec![RouteNetlinkMessage::NewRoute(route)])),
            []
        );
    }

    /// Linux sends RTM_DELLINK of AF_BRIDGE for a port that leaves its bridge.
    #[test]
    fn a_port_that_leaves_its_bridge_is_not_gone() {
        let mut port = link_message(LinkFlags::Up | LinkFlags::LowerUp);
        port.header.interface_family = AddressFamily::Bridge;
        let bytes = datagram(vec![
            RouteNetlinkMessage::NewLink(port.clone()),
            RouteNetlinkMessage::DelLink(port),
        ]);
        assert_eq!(events(&bytes), []);
    }

    #[test]
    fn a_datagram_that_cannot_be_read_counts_as_lost_events() {
        let whole = datagram(vec![RouteNetlinkMessage::NewLink(link_message(
            LinkFlags::Up,
        ))]);
        for length in 1..whole.len() {
            assert_eq!(events(&whole[..length]), [Event::Overrun], "{length}");
        }
    }
}
