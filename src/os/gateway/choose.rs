//! Which of a host's addresses and routes are meant; pure functions over what the kernel told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Gateway, GatewayError, Local, NoNextHop};
use crate::os::advertisement::{Attachment, LinkLayer};
use crate::os::netlink::{Assigned, Hop, Link, Route};

/// The kernel's own `LOOPBACK_IFINDEX`, the same in every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// What the kernel told at about the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) links: Vec<Link>,
    /// In the kernel's order: the first of an interface is its primary one.
    pub(super) addresses: Vec<Assigned>,
    pub(super) defaults_v4: Vec<Route>,
    pub(super) defaults_v6: Vec<Route>,
    pub(super) services: Vec<IpAddr>,
}

impl Tables {
    pub(super) fn default_gateways(&self) -> Result<Vec<Gateway>, GatewayError> {
        let mut found: Vec<Gateway> = Vec::new();
        let mut problem = GatewayError::NoDefaultRoute;
        for (hop, source) in self.default_hops() {
            let Some(address) = hop.gateway else {
                let interface = self.interface_name(hop.index);
                problem = GatewayError::NoAddress { interface };
                continue;
            };
            let known = |other: &Gateway| {
                other.address == address && other.local.interface_index == hop.index
            };
            if found.iter().any(known) {
                continue;
            }
            match self.local(hop.index, address, source) {
                Ok(local) => found.push(Gateway {
                    address,
                    scope_id: scope_id(address, hop.index),
                    local,
                }),
                Err(error) => problem = error,
            }
        }
        if found.is_empty() {
            return Err(problem);
        }
        Ok(found)
    }

    /// What this host is towards `neighbor`; `preferred` is the source that the route names.
    pub(super) fn local(
        &self,
        index: u32,
        neighbor: IpAddr,
        preferred: Option<IpAddr>,
    ) -> Result<Local, GatewayError> {
        let preferred = preferred.filter(|address| self.is_lasting_source(*address, index));
        let primary_v4 = self.primary_v4(index, neighbor);
        let source = preferred
            .filter(|address| address.is_ipv4() == neighbor.is_ipv4())
            .or_else(|| match neighbor {
                IpAddr::V4(_) => primary_v4.ok().map(IpAddr::from),
                IpAddr::V6(_) if is_link_local(neighbor) => self.link_local_v6(index),
                IpAddr::V6(_) => self.stable_v6(index, neighbor).ok().map(IpAddr::from),
            });
        let Some(source) = source else {
            let interface = self.interface_name(index);
            return Err(GatewayError::NoSource {
                interface,
                neighbor,
            });
        };
        let link = self.links.iter().find(|link| link.index == index);
        Ok(Local {
            interface_index: index,
            interface: self.interface_name(index),
            link_up: link.is_some_and(|link| link.up),
            is_on_link: true,
            source,
            next_hop_v4: match source {
                IpAddr::V4(source) => Ok(source),
                IpAddr::V6(_) => primary_v4,
            },
            next_hop_v6: match source {
                IpAddr::V6(address) if !is_link_local(source) => Ok(address),
                IpAddr::V4(_) | IpAddr::V6(_) => self.stable_v6(index, neighbor),
            },
        })
    }

    pub(super) fn router_id(&self) -> Option<Ipv4Addr> {
        let default_interfaces = self.default_hops().into_iter().map(|(hop, _)| hop.index);
        let anywhere = self.addresses.iter().map(|found| found.index);
        default_interfaces.chain(anywhere).find_map(|index| {
            let mut candidates = self.addresses.iter().filter_map(|found| {
                let eligible = found.index == index && found.global && !found.secondary;
                match found.address {
                    IpAddr::V4(address) if eligible => Some(address),
                    IpAddr::V4(_) | IpAddr::V6(_) => None,
                }
            });
            candidates.find(|address| {
                !address.is_loopback()
                    && !address.is_link_local()
                    && !address.is_multicast()
                    && !address.is_unspecified()
                    && !self.is_service((*address).into())
            })
        })
    }

    pub(super) fn link(&self, interface: &str) -> Result<&Link, GatewayError> {
        let found = self.links.iter().find(|link| link.name == interface);
        found.ok_or_else(|| GatewayError::NoInterface {
            interface: interface.to_owned(),
        })
    }

    /// How this host is on the link of `interface`.
    pub(super) fn attachment(&self, interface: &str) -> Result<Attachment, GatewayError> {
        let link = self.link(interface)?;
        let interface = interface.to_owned();
        if !link.up {
            return Err(GatewayError::LinkDown { interface });
        }
        let Some(IpAddr::V6(address)) = self.link_local_v6(link.index) else {
            return Err(GatewayError::NoLinkLocal { interface });
        };
        Ok(Attachment {
            interface_index: link.index,
            interface,
            address,
            link_layer: LinkLayer::try_from(link.link_layer.as_slice()).ok(),
        })
    }

    /// Whether no other interface has an own address that reaches further than its link.
    pub(super) fn is_only_way(&self, index: u32) -> bool {
        let elsewhere = |found: &Assigned| {
            found.index != index
                && found.index != LOOPBACK_INDEX
                && found.global
                && !found.host_only
                && !self.is_service(found.address)
        };
        !self.addresses.iter().any(elsewhere)
    }

    /// Whether the default routes of IPv6 matter, for there are none of IPv4.
    pub(super) fn needs_defaults_v6(&self) -> bool {
        best(&self.defaults_v4).is_empty()
    }

    /// The next hops in use, with the source that their route names.
    fn default_hops(&self) -> Vec<(&Hop, Option<IpAddr>)> {
        let v4 = best(&self.defaults_v4);
        if v4.is_empty() {
            best(&self.defaults_v6)
        } else {
            v4
        }
    }

    /// The first address in the neighbour's subnet, else the first that reaches other networks.
    fn primary_v4(&self, index: u32, neighbor: IpAddr) -> Result<Ipv4Addr, NoNextHop> {
        let candidates = self.candidates(index, |found| found.address.is_ipv4())?;
        let first = nearest(&candidates, neighbor, |found| !found.secondary);
        match first {
            Some(IpAddr::V4(address)) => Ok(address),
            Some(IpAddr::V6(_)) | None => Err(NoNextHop::NoAddress),
        }
    }

    /// A global address that stays: not temporary, deprecated, tentative or duplicate.
    fn stable_v6(&self, index: u32, neighbor: IpAddr) -> Result<Ipv6Addr, NoNextHop> {
        let candidates = self.candidates(index, |found| {
            found.address.is_ipv6() && found.global && !is_link_local(found.address)
        })?;
        let stable = |found: &Assigned| !found.secondary && !found.deprecated && !found.duplicate;
        match nearest(&candidates, neighbor, |found| {
            stable(found) && !found.tentative
        }) {
            Some(IpAddr::V6(address)) => Ok(address),
            Some(IpAddr::V4(_)) | None if candidates.iter().any(|found| stable(found)) => {
                Err(NoNextHop::Tentative)
            }
            Some(IpAddr::V4(_)) | None => Err(NoNextHop::Unstable),
        }
    }

    fn link_local_v6(&self, index: u32) -> Option<IpAddr> {
        let usable = |found: &&Assigned| {
            found.index == index
                && found.address.is_ipv6()
                && is_link_local(found.address)
                && !found.tentative
                && !found.duplicate
        };
        self.addresses
            .iter()
            .find(usable)
            .map(|found| found.address)
    }

    /// An interface's own addresses, without those of services and those of this host alone.
    fn candidates(
        &self,
        index: u32,
        wanted: impl Fn(&Assigned) -> bool,
    ) -> Result<Vec<&Assigned>, NoNextHop> {
        let all: Vec<&Assigned> = self
            .addresses
            .iter()
            .filter(|found| found.index == index && wanted(found))
            .collect();
        let own: Vec<&Assigned> = all
            .iter()
            .copied()
            .filter(|found| !self.is_service(found.address) && !found.host_only)
            .collect();
        if !own.is_empty() {
            return Ok(own);
        }
        let service = all.iter().any(|found| self.is_service(found.address));
        Err(if service {
            NoNextHop::OnlyService
        } else {
            NoNextHop::NoAddress
        })
    }

    /// Whether a source that the kernel proposes may be kept for the life of a session.
    ///
    /// While an interface's address is still tentative, the kernel proposes `::1`, for example.
    fn is_lasting_source(&self, address: IpAddr, index: u32) -> bool {
        let lasting = |found: &Assigned| {
            !(found.tentative || found.duplicate)
                && (found.address.is_ipv4() || !(found.secondary || found.deprecated))
                && (found.index == index || !found.host_only)
        };
        let mut entries = self.addresses.iter();
        !self.is_service(address) && entries.any(|found| found.address == address && lasting(found))
    }

    fn is_service(&self, address: IpAddr) -> bool {
        self.services.contains(&address)
    }

    fn interface_name(&self, index: u32) -> String {
        let link = self.links.iter().find(|link| link.index == index);
        link.map_or_else(|| format!("interface {index}"), |link| link.name.clone())
    }
}

/// The hops of the routes with the lowest metric of those that the kernel itself uses.
fn best(routes: &[Route]) -> Vec<(&Hop, Option<IpAddr>)> {
    let alive = |route: &&Route| route.hops.iter().any(|hop| !hop.dead);
    let lowest = routes
        .iter()
        .filter(alive)
        .map(|route| route.priority)
        .min();
    routes
        .iter()
        .filter(|route| Some(route.priority) == lowest)
        .flat_map(|route| {
            let source = route.preferred_source;
            route.hops.iter().map(move |hop| (hop, source))
        })
        .filter(|(hop, _)| !hop.dead)
        .collect()
}

fn nearest(
    candidates: &[&Assigned],
    neighbor: IpAddr,
    usable: impl Fn(&Assigned) -> bool,
) -> Option<IpAddr> {
    let in_subnet = |found: &&&Assigned| {
        IpNet::new(found.address, found.prefix_length)
            .is_ok_and(|subnet| subnet.contains(&neighbor))
    };
    let usable: Vec<&Assigned> = candidates
        .iter()
        .copied()
        .filter(|found| usable(found))
        .collect();
    let near = usable.iter().find(in_subnet);
    near.or(usable.first()).map(|found| found.address)
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn scope_id(address: IpAddr, index: u32) -> u32 {
    if address.is_ipv6() && is_link_local(address) {
        index
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
