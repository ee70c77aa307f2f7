//! `[dns] listen`: where the node is asked as itself, and not as one of its services.

use std::net::{Ipv4Addr, SocketAddr};

use crate::announce::ServiceSettings;
use crate::config::key_path::KeyPath;
use crate::config::raw::Raw;
use crate::dns::ListenAddress;

use super::{Checker, address, elements};

/// The port of DNS over UDP and TCP.
const PORT: u16 = 53;
const ROUTER_ID: &str = "router-id";
const INTERFACE: &str = "interface:";

impl Checker<'_> {
    pub(super) fn listen(
        &mut self,
        raw: &Raw,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Vec<ListenAddress> {
        let router_id = raw.node.router_id.as_ref();
        let router_id = router_id.and_then(|text| text.parse().ok());
        let mut listen: Vec<ListenAddress> = Vec::new();
        for (path, text) in elements(&raw.dns.listen, path) {
            let found = match parse(text, router_id) {
                Ok(found) => found,
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            let problem = match &found {
                ListenAddress::Socket(socket) => socket_problem(*socket, services),
                ListenAddress::RouterId { .. } | ListenAddress::Interface { .. } => None,
            };
            if let Some(text) = problem {
                self.error(&path, &text);
            } else if listen.contains(&found) {
                self.error(&path, &format!("{text} is listed twice; remove one"));
            } else {
                listen.push(found);
            }
        }
        listen
    }
}

/// Those that are known before the start.
pub(super) fn literal(listen: &[ListenAddress]) -> Vec<SocketAddr> {
    let sockets = listen.iter().filter_map(|address| match address {
        ListenAddress::Socket(socket) => Some(*socket),
        ListenAddress::RouterId { .. } | ListenAddress::Interface { .. } => None,
    });
    sockets.collect()
}

fn parse(text: &str, router_id: Option<Ipv4Addr>) -> Result<ListenAddress, String> {
    if let Some(rest) = text.strip_prefix(INTERFACE) {
        let (name, port) = split_port(rest)?;
        if !address::is_interface(name) {
            return Err(
                "write the name of an interface (1 to 15 octets), such as \"interface:eth0\" or \
                 \"interface:eth0:5353\""
                    .to_owned(),
            );
        }
        let name = name.to_owned();
        return Ok(ListenAddress::Interface { name, port });
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    if name == ROUTER_ID {
        let (_, port) =
            split_port(text).map_err(|_| format!("write a port from 1 to 65535, not {port:?}"))?;
        return Ok(match router_id {
            Some(address) => ListenAddress::Socket((address, port).into()),
            None => ListenAddress::RouterId { port },
        });
    }
    address::socket(text, Some(PORT))
        .map(ListenAddress::Socket)
        .map_err(|text| format!("{text}; or \"router-id\" or \"interface:eth0\""))
}

/// What stands before the last colon, and the port behind it.
fn split_port(text: &str) -> Result<(&str, u16), String> {
    let Some((name, port)) = text.split_once(':') else {
        return Ok((text, PORT));
    };
    match port.parse() {
        Ok(port) if port != 0 => Ok((name, port)),
        _ => Err(format!("write a port from 1 to 65535, not {port:?}")),
    }
}

fn socket_problem(socket: SocketAddr, services: &[ServiceSettings]) -> Option<String> {
    let of_service = services
        .iter()
        .find(|service| service.port == socket.port() && service.addresses.contains(&socket.ip()));
    if socket.ip().is_unspecified() {
        return Some(
            "list each address by itself: answers must leave from the address that was asked; \
             \"router-id\" and \"interface:eth0\" are the same on all nodes"
                .to_owned(),
        );
    }
    if let Some(reason) = address::not_a_host(socket.ip()) {
        return Some(format!("write another address: {} {reason}", socket.ip()));
    }
    // There is one such address on each interface. RFC 4007 §6.
    if let SocketAddr::V6(socket) = socket
        && socket.ip().is_unicast_link_local()
        && socket.scope_id() == 0
    {
        let (address, port) = (socket.ip(), socket.port());
        return Some(format!(
            "add the index of the interface: \"[{address}%2]:{port}\""
        ));
    }
    of_service.map(|service| {
        format!(
            "service {:?} listens on {socket} by itself; remove it here",
            service.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, port: u16) -> Result<ListenAddress, String> {
        let name = name.to_owned();
        Ok(ListenAddress::Interface { name, port })
    }

    #[test]
    fn the_port_is_53_unless_written() {
        let router_id = |port| Ok(ListenAddress::RouterId { port });
        assert_eq!(parse("router-id", None), router_id(53));
        assert_eq!(parse("router-id:5353", None), router_id(5353));
        assert_eq!(parse("interface:eth0", None), interface("eth0", 53));
        assert_eq!(parse("interface:vlan.7:54", None), interface("vlan.7", 54));
        assert_eq!(
            parse("interface:fifteen-octets0", None),
            interface("fifteen-octets0", 53)
        );
        let socket = ListenAddress::Socket("[::1]:53".parse().unwrap());
        assert_eq!(parse("::1", None), Ok(socket));
    }

    #[test]
    fn a_configured_router_id_is_an_address_like_any_other() {
        let socket = ListenAddress::Socket("10.0.0.5:54".parse().unwrap());
        let router_id = Some(Ipv4Addr::new(10, 0, 0, 5));
        assert_eq!(parse("router-id:54", router_id), Ok(socket));
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "router-id:",
            "router-id:0",
            "router-id:65536",
            "router-id:53:53",
            "router_id",
            "interface:",
            "interface::53",
            "interface:eth0:",
            "interface:eth0:0",
            "interface:eth 0",
            "interface:sixteen-octets00",
            "eth0",
            "127.0.0.1:0",
        ] {
            assert!(parse(text, None).is_err(), "{text:?} was accepted");
        }
    }
}
