//! `[bgp]`, `[[bgp.neighbor]]` and `[node] router_id`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::announce::ServiceSettings;
use crate::bgp::message::Families;
use crate::bgp::{NeighborAddress, NeighborMarks, NeighborSettings, PeerAsn, Security, Settings};
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, DurationText, List, Raw, Word};

use super::{Checker, address, elements, owner, service};

/// RFC 4271 §4.
const PORT: u16 = 179;
/// RFC 4271 §4.2.
const HOLD_TIME_MIN: Duration = Duration::from_secs(3);
const HOLD_TIME_MAX_S: u64 = 65535;

impl Checker<'_> {
    /// `None` without a neighbour; what else stands in `[bgp]` is checked all the same.
    pub(super) fn bgp(&mut self, raw: &Raw, services: &[ServiceSettings]) -> Option<Settings> {
        let root = KeyPath::root();
        let path = root.key("bgp");
        let router_path = root.key("node").key("router_id");
        let router_id = self.router_id(raw.node.router_id.as_deref(), services, &router_path);
        let hold_time = self.hold_time(raw.bgp.hold_time.as_ref(), &path.key("hold_time"));
        let listen = self.bgp_listen(&raw.bgp.listen, services, &path.key("listen"));
        let asn = raw.bgp.asn.map(|number| {
            asn(number).unwrap_or_else(|text| {
                self.error(&path.key("asn"), &text);
                0
            })
        });
        let neighbors = self.neighbors(raw, hold_time, services, &path.key("neighbor"));
        if neighbors.is_empty() {
            return None;
        }
        if asn.is_none() {
            self.missing(&path, "asn", "65053, the AS number of the node");
        }
        Some(Settings {
            asn: asn.unwrap_or_default(),
            router_id,
            listen,
            neighbors,
        })
    }

    /// RFC 6286 §2.1: not zero. It must differ between nodes, so no service's address will do.
    fn router_id(
        &mut self,
        raw: Option<&str>,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Option<Ipv4Addr> {
        let text = raw.filter(|text| *text != "auto")?;
        let Ok(router_id) = text.parse::<Ipv4Addr>() else {
            let text = format!("write \"auto\" or an IPv4 address, not {text:?}");
            self.error(path, &text);
            return None;
        };
        let address = IpAddr::V4(router_id);
        if let Some(reason) = address::not_a_host(address) {
            let text = format!("write an IPv4 address of this node: {router_id} {reason}");
            self.error(path, &text);
        } else if let Some(service) = owner(services, address) {
            let text = format!(
                "{router_id} is the anycast address of service {:?}, the same on every node; \
                 write an address of this node alone, or \"auto\"",
                service.name
            );
            self.error(path, &text);
        } else if let Some(text) = service::covered_by_floor(services, address) {
            self.error(path, &text);
        }
        Some(router_id)
    }

    /// RFC 4271 §4.2: zero, or at least three seconds.
    fn hold_time(&mut self, raw: Option<&DurationText>, path: &KeyPath) -> Option<Duration> {
        let duration = self.seconds(path, raw, 0..=HOLD_TIME_MAX_S);
        if duration.is_zero() {
            return None;
        }
        if duration < HOLD_TIME_MIN && !self.has_failed(path) {
            let text = "write at least \"3s\", for RFC 4271 forbids 1 s and 2 s, \
                        or \"0s\" for no hold timer at all";
            self.error(path, text);
        }
        Some(duration)
    }

    fn bgp_listen(
        &mut self,
        list: &List<String>,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Vec<SocketAddr> {
        let mut sockets: Vec<SocketAddr> = Vec::new();
        for (path, text) in elements(list, path) {
            let socket = match address::socket(text, Some(PORT)) {
                Ok(socket) => socket,
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            if let Some(service) = owner(services, socket.ip()) {
                let text = format!(
                    "{} is the anycast address of service {:?}; write an address of this node \
                     alone",
                    socket.ip(),
                    service.name
                );
                self.error(&path, &text);
            } else if socket.ip().is_multicast() {
                self.error(
                    &path,
                    "write an address of this node, not a multicast address",
                );
            } else if sockets.contains(&socket) {
                self.error(&path, &format!("{socket} is listed twice; remove one"));
            } else {
                sockets.push(socket);
            }
        }
        sockets
    }

    fn neighbors(
        &mut self,
        raw: &Raw,
        hold_time: Option<Duration>,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Vec<NeighborSettings> {
        let mut neighbors: Vec<NeighborSettings> = Vec::new();
        for (path, neighbor) in elements(&raw.bgp.neighbor, path) {
            let address = self.neighbor_address(neighbor, &neighbors, services, &path);
            let passive = neighbor.passive.unwrap_or_default();
            if passive && raw.bgp.listen.is_empty() {
                let text = "nobody can connect, for bgp.listen is empty; add an address there";
                self.error(&path.key("passive"), text);
            }
            if neighbor.ttl_security == Some(true) {
                let text = "not supported in this version; remove it";
                self.error(&path.key("ttl_security"), text);
            }
            let asn = self.peer_asn(neighbor, &path);
            let source = self.source(neighbor, address.as_ref(), services, &path.key("source"));
            let port = self.port(&path.key("port"), neighbor.port, PORT);
            neighbors.push(NeighborSettings {
                address: address.unwrap_or(NeighborAddress::DefaultGateway),
                asn,
                port,
                source,
                passive,
                hold_time,
                delay_open: Duration::ZERO,
                security: Security::default(),
                role: None,
                families: Families::ALL,
                marks: NeighborMarks::default(),
                bfd: None,
            });
        }
        neighbors
    }

    fn neighbor_address(
        &mut self,
        raw: &raw::Neighbor,
        before: &[NeighborSettings],
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Option<NeighborAddress> {
        let Some(text) = &raw.address else {
            self.missing(path, "address", "\"default-gateway\", or an address");
            return None;
        };
        let path = path.key("address");
        let address = match text.as_str() {
            "default-gateway" => Ok(NeighborAddress::DefaultGateway),
            text if text.starts_with("interface:") => Err(
                "unnumbered neighbors are not supported in this version; write an address or \
                 \"default-gateway\""
                    .to_owned(),
            ),
            text => neighbor_ip(text, services).map(NeighborAddress::Ip),
        };
        match address {
            Ok(address) if before.iter().any(|other| other.address == address) => {
                let text = format!("neighbor {text:?} is there already; remove one");
                self.error(&path, &text);
                None
            }
            Ok(address) => Some(address),
            Err(text) => {
                self.error(&path, &text);
                None
            }
        }
    }

    fn peer_asn(&mut self, raw: &raw::Neighbor, path: &KeyPath) -> PeerAsn {
        let result = match &raw.asn {
            None => {
                self.missing(path, "asn", "\"external\", \"internal\" or a number");
                return PeerAsn::External;
            }
            Some(Word::Text(text)) => match text.as_str() {
                "external" => Ok(PeerAsn::External),
                "internal" => Ok(PeerAsn::Internal),
                other => Err(format!(
                    "write \"external\", \"internal\" or a number, not {other:?}"
                )),
            },
            Some(Word::Number(number)) => asn(*number).map(PeerAsn::Number),
        };
        result.unwrap_or_else(|text| {
            self.error(&path.key("asn"), &text);
            PeerAsn::External
        })
    }

    fn source(
        &mut self,
        raw: &raw::Neighbor,
        neighbor: Option<&NeighborAddress>,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Option<IpAddr> {
        let source = match address::ip(raw.source.as_ref()?) {
            Ok(source) => source,
            Err(text) => {
                self.error(path, &text);
                return None;
            }
        };
        let problem = if let Some(reason) = address::not_a_host(source) {
            Some(format!("write an address of this node: {source} {reason}"))
        } else if let Some(service) = owner(services, source) {
            Some(format!(
                "{source} is the anycast address of service {:?}, so replies may reach another \
                 node; write an address of this node alone",
                service.name
            ))
        } else if let Some(NeighborAddress::Ip(neighbor)) = neighbor
            && neighbor.is_ipv4() != source.is_ipv4()
        {
            Some(format!("write an address of the same family as {neighbor}"))
        } else {
            service::covered_by_floor(services, source)
        };
        if let Some(text) = problem {
            self.error(path, &text);
        }
        Some(source)
    }
}

fn neighbor_ip(text: &str, services: &[ServiceSettings]) -> Result<IpAddr, String> {
    let address =
        address::ip(text).map_err(|text| format!("{text}; or write \"default-gateway\""))?;
    if let Some(reason) = address::not_a_host(address) {
        return Err(format!("write another address: {address} {reason}"));
    }
    if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return Err(format!(
            "link-local neighbors are not supported in this version: {address} does not say on \
             which link; write a global address or \"default-gateway\""
        ));
    }
    if let Some(service) = owner(services, address) {
        return Err(format!(
            "{address} is the anycast address of service {:?}; write the address of a router",
            service.name
        ));
    }
    match service::covered_by_floor(services, address) {
        Some(text) => Err(text),
        None => Ok(address),
    }
}

/// RFC 7607 (0), RFC 6793 §9 (23456), RFC 7300 (the last of each size).
fn asn(number: i64) -> Result<u32, String> {
    let Ok(asn) = u32::try_from(number) else {
        return Err(format!(
            "write an AS number from 1 to 4294967294, not {number}"
        ));
    };
    match asn {
        0 | 23456 | 65535 | u32::MAX => Err(format!(
            "write another AS number: {asn} is reserved; private ones are 64512 to 65534"
        )),
        asn => Ok(asn),
    }
}
