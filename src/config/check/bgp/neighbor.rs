//! `[[bgp.neighbor]]`: whom to talk to, and on which terms.
//!
//! Source: RFC 4271 §8.1.1 (DelayOpen), RFC 4007 §11 (`address%interface`), RFC 9234 §4 (roles).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::announce::ServiceSettings;
use crate::bgp::message::Families;
use crate::bgp::{NeighborAddress, NeighborMarks, NeighborSettings, PeerAsn, Role};
use crate::config::check::{Checker, address, elements, owner, service};
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, DurationText, List, Word};

use super::{PORT, asn};

/// For so long RFC 4271 §8.2.2 waits for an OPEN.
const DELAY_OPEN_MAX: Duration = Duration::from_secs(240);
const INTERFACE: &str = "interface:";

const ROLES: [(&str, Role); 5] = [
    ("provider", Role::Provider),
    ("route-server", Role::RouteServer),
    ("route-server-client", Role::RouteServerClient),
    ("customer", Role::Customer),
    ("peer", Role::Peer),
];

/// What neighbours are checked against.
pub(super) struct Node<'a> {
    /// Unless it is missing or wrong.
    pub(super) asn: Option<u32>,
    /// For neighbours that have none of their own.
    pub(super) hold_time: Option<Duration>,
    pub(super) listen: &'a [SocketAddr],
    /// Something is written there, right or wrong.
    pub(super) listens: bool,
    pub(super) services: &'a [ServiceSettings],
}

impl Checker<'_> {
    pub(super) fn neighbors(
        &mut self,
        list: &List<raw::Neighbor>,
        node: &Node<'_>,
        path: &KeyPath,
    ) -> Vec<NeighborSettings> {
        let mut neighbors: Vec<NeighborSettings> = Vec::new();
        for (path, raw) in elements(list, path) {
            let neighbor = self.neighbor(raw, &neighbors, node, &path);
            self.one_password(&neighbor, &neighbors, &path);
            neighbors.push(neighbor);
        }
        neighbors
    }

    fn neighbor(
        &mut self,
        raw: &raw::Neighbor,
        before: &[NeighborSettings],
        node: &Node<'_>,
        path: &KeyPath,
    ) -> NeighborSettings {
        let address = self.neighbor_address(raw, before, node, path);
        let asn = self.peer_asn(raw, path);
        let is_internal = match asn {
            PeerAsn::Internal => true,
            PeerAsn::External => false,
            PeerAsn::Number(number) => node.asn == Some(number),
        };
        NeighborSettings {
            port: self.port(&path.key("port"), raw.port, PORT),
            source: self.source(raw, address.as_ref(), node.services, &path.key("source")),
            passive: self.passive(raw, address.as_ref(), node, &path.key("passive")),
            hold_time: match &raw.hold_time {
                None => node.hold_time,
                written => self.hold_time(written.as_ref(), &path.key("hold_time")),
            },
            delay_open: self.delay_open(raw.delay_open.as_ref(), &path.key("delay_open")),
            security: self.security(raw, address.as_ref(), path),
            role: self.role(raw.role.as_deref(), is_internal, &path.key("role")),
            families: self.families(raw.families.as_ref(), &path.key("families")),
            marks: NeighborMarks {
                preferred: self.marks_of(&raw.preferred, is_internal, &path.key("preferred")),
                backup: self.marks_of(&raw.backup, is_internal, &path.key("backup")),
            },
            bfd: raw.bfd.as_ref().map(|bfd| self.bfd(bfd, &path.key("bfd"))),
            address: address.unwrap_or(NeighborAddress::DefaultGateway),
            asn,
        }
    }

    fn neighbor_address(
        &mut self,
        raw: &raw::Neighbor,
        before: &[NeighborSettings],
        node: &Node<'_>,
        path: &KeyPath,
    ) -> Option<NeighborAddress> {
        let Some(text) = &raw.address else {
            self.missing(path, "address", "\"default-gateway\", or an address");
            return None;
        };
        let path = path.key("address");
        match neighbor_address(text, node.services) {
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
        if let Some(text) = source_problem(source, neighbor, services) {
            self.error(path, &text);
        }
        Some(source)
    }

    fn passive(
        &mut self,
        raw: &raw::Neighbor,
        neighbor: Option<&NeighborAddress>,
        node: &Node<'_>,
        path: &KeyPath,
    ) -> bool {
        if raw.passive != Some(true) {
            return false;
        }
        let is_ipv4 = match neighbor {
            Some(NeighborAddress::Ip(address)) => Some(address.is_ipv4()),
            Some(NeighborAddress::LinkLocal { .. } | NeighborAddress::Interface(_)) => Some(false),
            Some(NeighborAddress::DefaultGateway) | None => None,
        };
        let fits = |own: &SocketAddr| is_ipv4.is_none_or(|is_ipv4| own.is_ipv4() == is_ipv4);
        if !node.listens {
            let text = "nobody can connect, for bgp.listen is empty; add an address there";
            self.error(path, text);
        } else if !node.listen.is_empty() && !node.listen.iter().any(fits) {
            let family = if is_ipv4 == Some(true) {
                "IPv4"
            } else {
                "IPv6"
            };
            let text = format!(
                "this neighbor cannot connect, for bgp.listen has no {family} address; add one there"
            );
            self.error(path, &text);
        }
        true
    }

    fn delay_open(&mut self, raw: Option<&DurationText>, path: &KeyPath) -> Duration {
        match raw {
            None => Duration::ZERO,
            written => self.duration(path, written, Duration::ZERO..=DELAY_OPEN_MAX),
        }
    }

    fn role(&mut self, raw: Option<&str>, is_internal: bool, path: &KeyPath) -> Option<Role> {
        let text = raw?;
        let known = ROLES.iter().find(|(word, _)| *word == text);
        if known.is_none() {
            let words = ROLES.map(|(word, _)| word).join(", ");
            self.error(path, &format!("write one of {words}, not {text:?}"));
        } else if is_internal {
            let text = "internal neighbors have no role (RFC 9234 §4); remove it";
            self.error(path, text);
        }
        known.map(|(_, role)| *role)
    }

    fn families(&mut self, raw: Option<&List<String>>, path: &KeyPath) -> Families {
        let Some(list) = raw else {
            return Families::ALL;
        };
        if list.is_empty() {
            self.error(path, "list \"ipv4\", \"ipv6\" or both");
        }
        let mut families = Families {
            ipv4: false,
            ipv6: false,
        };
        for (path, text) in elements(list, path) {
            let family = match text.as_str() {
                "ipv4" => &mut families.ipv4,
                "ipv6" => &mut families.ipv6,
                other => {
                    let text = format!("write \"ipv4\" or \"ipv6\", not {other:?}");
                    self.error(&path, &text);
                    continue;
                }
            };
            if std::mem::replace(family, true) {
                self.error(&path, &format!("{text:?} is listed twice; remove one"));
            }
        }
        families
    }

    fn marks_of(
        &mut self,
        raw: &raw::Marks,
        is_internal: bool,
        path: &KeyPath,
    ) -> crate::bgp::Marks {
        if raw.local_pref.is_some() && !is_internal {
            let text = "external neighbors are not told LOCAL_PREF (RFC 4271 §5.1.5); use \
                        communities or med";
            self.warning(&path.key("local_pref"), text);
        }
        self.marks(raw, path)
    }
}

fn neighbor_address(text: &str, services: &[ServiceSettings]) -> Result<NeighborAddress, String> {
    if text == "default-gateway" {
        return Ok(NeighborAddress::DefaultGateway);
    }
    if let Some(name) = text.strip_prefix(INTERFACE) {
        return interface(name).map(NeighborAddress::Interface);
    }
    if let Some((plain, name)) = text.split_once('%') {
        let address = address::ip(plain)?;
        return match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                interface(name).map(|interface| NeighborAddress::LinkLocal { address, interface })
            }
            address => Err(format!(
                "only link-local addresses need an interface; write \"{address}\""
            )),
        };
    }
    neighbor_ip(text, services).map(NeighborAddress::Ip)
}

fn interface(name: &str) -> Result<String, String> {
    if !address::is_interface(name) {
        return Err(format!(
            "write the name of an interface (1 to 15 octets, no blanks, \"/\" or \":\"), such as \
             \"eth1\", not {name:?}"
        ));
    }
    if name.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(format!(
            "write the name of the interface, such as \"eth1\", not its number {name}: that may be \
             another one after a restart"
        ));
    }
    Ok(name.to_owned())
}

fn neighbor_ip(text: &str, services: &[ServiceSettings]) -> Result<IpAddr, String> {
    let address = address::ip(text)
        .map_err(|text| format!("{text}; or \"default-gateway\" or \"interface:eth1\""))?;
    if let Some(reason) = address::not_a_host(address) {
        return Err(format!("write another address: {address} {reason}"));
    }
    if is_link_local(address) {
        return Err(format!(
            "add the interface, for {address} may be somebody else on each link: \
             \"{address}%eth1\""
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

fn source_problem(
    source: IpAddr,
    neighbor: Option<&NeighborAddress>,
    services: &[ServiceSettings],
) -> Option<String> {
    if let Some(reason) = address::not_a_host(source) {
        return Some(format!("write an address of this node: {source} {reason}"));
    }
    if let Some(service) = owner(services, source) {
        return Some(format!(
            "{source} is the anycast address of service {:?}, so replies may reach another node; \
             write an address of this node alone",
            service.name
        ));
    }
    match neighbor {
        Some(NeighborAddress::Ip(neighbor)) if neighbor.is_ipv4() != source.is_ipv4() => {
            return Some(format!("write an address of the same family as {neighbor}"));
        }
        Some(NeighborAddress::Ip(neighbor)) if *neighbor == source => {
            return Some(format!(
                "{source} is the neighbor itself; write an address of this node"
            ));
        }
        Some(NeighborAddress::Ip(_)) if is_link_local(source) => {
            return Some(format!(
                "write another address: {source} is not routed beyond its link"
            ));
        }
        Some(NeighborAddress::LinkLocal { .. } | NeighborAddress::Interface(_))
            if !is_link_local(source) =>
        {
            return Some(
                "this neighbor is talked to from the link-local address of its interface; remove \
                 source"
                    .to_owned(),
            );
        }
        Some(_) | None => {}
    }
    service::covered_by_floor(services, source)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if Ipv6Addr::is_unicast_link_local(&address))
}
