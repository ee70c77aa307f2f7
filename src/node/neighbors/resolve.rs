//! From settings and the kernel's view to sessions that should be there; no waiting, no clock.
//!
//! Source: RFC 8950 §4 (IPv4 with an IPv6 next hop), RFC 2545 §3 (IPv6 next hops), RFC 5883 §3
//! (several hops follow whatever link leads there).
//! Over a link-local session IPv4 routes go with its link-local next hop if the neighbour takes that,
//! whatever IPv4 addresses the interface has, for it need not be in their subnets; else with the IPv4
//! address of the interface, if there is one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use crate::bfd;
use crate::bgp::message::Family;
use crate::bgp::peer::PeerParameters;
use crate::bgp::{self, NeighborAddress, NeighborSettings, Ttl};
use crate::node::session::Wanted;
use crate::os::gateway::{Gateway, GatewayError, Local, NoNextHop, View};

/// What is the same for all neighbours.
pub(super) struct Resolver<'a> {
    pub(super) settings: &'a bgp::Settings,
    pub(super) identifier: Ipv4Addr,
    /// `None`: nothing of the configuration needs it.
    pub(super) view: Option<&'a View>,
    pub(super) process_start: Instant,
}

/// A neighbour's end of the connection, and this end.
struct Ends {
    remote: SocketAddr,
    /// Name of the link that `remote` is good on.
    interface: Option<String>,
    source: Option<IpAddr>,
}

impl Resolver<'_> {
    /// The sessions that one `[[bgp.neighbor]]` stands for. `router` is whom it means if it is
    /// unnumbered.
    pub(super) fn resolve(
        &self,
        setting: usize,
        neighbor: &NeighborSettings,
        router: Option<Ipv6Addr>,
    ) -> Result<Vec<Wanted>, GatewayError> {
        match &neighbor.address {
            NeighborAddress::Ip(address) => {
                let local = self.local_for(*address, neighbor)?;
                let ends = Ends {
                    remote: SocketAddr::new(*address, neighbor.port),
                    interface: None,
                    source: local.as_ref().map(|local| local.source),
                };
                Ok(vec![self.wanted(setting, neighbor, ends, local.as_ref())])
            }
            NeighborAddress::DefaultGateway => {
                let view = self.view.ok_or(GatewayError::NoDefaultRoute)?;
                let gateways = view.default_gateways()?;
                let found = gateways.iter().map(|gateway| {
                    let ends = Ends {
                        remote: remote(gateway, neighbor.port),
                        interface: (gateway.scope_id != 0).then(|| gateway.local.interface.clone()),
                        source: Some(gateway.local.source),
                    };
                    self.wanted(setting, neighbor, ends, Some(&gateway.local))
                });
                Ok(found.collect())
            }
            NeighborAddress::LinkLocal { address, interface } => {
                let found = self.on_link(setting, neighbor, *address, interface)?;
                Ok(vec![found])
            }
            NeighborAddress::Interface(interface) => {
                let Some(router) = router else {
                    self.view
                        .map(|view| view.attachment(interface))
                        .transpose()?;
                    let interface = interface.clone();
                    return Err(GatewayError::NoRouter { interface });
                };
                let found = self.on_link(setting, neighbor, router, interface)?;
                Ok(vec![found])
            }
        }
    }

    fn local_for(
        &self,
        address: IpAddr,
        neighbor: &NeighborSettings,
    ) -> Result<Option<Local>, GatewayError> {
        match (
            self.view.map(|view| view.local_for(address)),
            neighbor.source,
        ) {
            // With a source of its own it can be dialled whatever the kernel's tables say.
            (Some(Err(_)), Some(_)) | (None, _) => Ok(None),
            (Some(Err(error)), None) => Err(error),
            (Some(Ok(local)), _) => Ok(Some(local)),
        }
    }

    fn on_link(
        &self,
        setting: usize,
        neighbor: &NeighborSettings,
        address: Ipv6Addr,
        interface: &str,
    ) -> Result<Wanted, GatewayError> {
        let view = self.view.ok_or_else(|| GatewayError::NoInterface {
            interface: interface.to_owned(),
        })?;
        let local = view.local_on(interface, address)?;
        let index = local.interface_index;
        let ends = Ends {
            remote: SocketAddrV6::new(address, neighbor.port, 0, index).into(),
            interface: Some(interface.to_owned()),
            source: Some(local.source),
        };
        Ok(self.wanted(setting, neighbor, ends, Some(&local)))
    }

    fn wanted(
        &self,
        setting: usize,
        neighbor: &NeighborSettings,
        ends: Ends,
        local: Option<&Local>,
    ) -> Wanted {
        let next_hop_v4 = local.and_then(|local| local.next_hop_v4.ok());
        let parameters = PeerParameters {
            remote: ends.remote,
            ipv4_over_ipv6: ends.interface.is_some(),
            interface: ends.interface,
            local: neighbor.source.or(ends.source),
            local_asn: self.settings.asn,
            peer_asn: neighbor.asn,
            identifier: self.identifier,
            hold_time: neighbor.hold_time,
            passive: neighbor.passive,
            delay_open: neighbor.delay_open,
            security: neighbor.security.clone(),
            role: neighbor.role,
            families: neighbor.families,
            marks: neighbor.marks.clone(),
            bfd_detection: neighbor.bfd.as_ref().map(bfd::Settings::detection),
            process_start: Some(self.process_start),
            next_hop_v4,
            next_hop_v6: local.and_then(|local| local.next_hop_v6.ok()),
        };
        let offered = parameters.offered();
        let missing = neighbor.families.iter().filter(|f| !offered.contains(*f));
        let reason = |family| match family {
            Family::Ipv4 => local?.next_hop_v4.err(),
            Family::Ipv6 => local?.next_hop_v6.err(),
        };
        Wanted {
            missing: missing.map(|family| (family, reason(family))).collect(),
            parameters,
            interface_index: local
                .filter(|local| self.lives_by_link(neighbor, local))
                .map(|local| local.interface_index),
            is_on_link: local.is_none_or(|local| local.is_on_link),
            setting,
            is_tentative: local.is_some_and(|l| l.next_hop_v6 == Err(NoNextHop::Tentative)),
        }
    }

    /// Several hops away another link may do as well, if there is one.
    fn lives_by_link(&self, neighbor: &NeighborSettings, local: &Local) -> bool {
        match neighbor.security.ttl {
            Ttl::Direct | Ttl::Security => true,
            Ttl::Multihop(_) => self
                .view
                .is_some_and(|view| view.is_only_way(local.interface_index)),
        }
    }
}

fn remote(gateway: &Gateway, port: u16) -> SocketAddr {
    match gateway.address {
        IpAddr::V4(address) => SocketAddr::from((address, port)),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, gateway.scope_id).into(),
    }
}

/// Why a neighbour is not there, in a line.
pub(super) fn warning(neighbor: &NeighborSettings, error: &GatewayError) -> String {
    format!("neighbor {}: {error}", name(neighbor))
}

/// Which of the families that services have cannot be offered to a neighbour, in lines.
pub(super) fn missing(new: &Wanted, services: &[IpAddr], is_checking: bool) -> Vec<String> {
    let has = |family| {
        let mut families = services.iter().map(|address| match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        });
        families.any(|other| other == family)
    };
    let missing = new.missing.iter().filter(|(family, reason)| {
        let is_coming = is_checking && *reason == Some(NoNextHop::Tentative);
        has(*family) && !is_coming
    });
    let lines = missing.map(|(family, reason)| {
        let (name, family) = (
            new.parameters.name(),
            match family {
                Family::Ipv4 => "IPv4",
                Family::Ipv6 => "IPv6",
            },
        );
        let reason = reason.map_or_else(
            || "it is not known which interface leads there".to_owned(),
            |reason| reason.to_string(),
        );
        format!(
            "neighbor {name}: {family} routes are not offered, for there is no next hop: {reason}"
        )
    });
    lines.collect()
}

/// A neighbour as the configuration names it.
pub(super) fn name(neighbor: &NeighborSettings) -> String {
    match &neighbor.address {
        NeighborAddress::Ip(address) => address.to_string(),
        NeighborAddress::Interface(interface) => format!("interface:{interface}"),
        NeighborAddress::LinkLocal { address, interface } => format!("{address}%{interface}"),
        NeighborAddress::DefaultGateway => "default-gateway".to_owned(),
    }
}

#[cfg(test)]
mod tests;
