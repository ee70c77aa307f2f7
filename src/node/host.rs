//! The node's addresses on this host: bound, watched, unbound; only what is its own.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::announce::{self, ServiceSettings};
use crate::health::{Family, Target};
use crate::os::address::{AddressError, Addresses, Ownership};
use crate::os::netlink::Netlink;

/// Where a node without IFA_PROTO in its kernel remembers what it has added.
const RUNTIME_DIRECTORY: &str = "/run/sidestep";

/// A service address and where it belongs.
#[derive(Clone, Debug)]
struct ServiceAddress {
    target: Target,
    address: IpAddr,
    interface: String,
    is_present: bool,
}

/// Service addresses that the node binds itself. Without any, netlink is not touched.
pub(super) struct Host {
    addresses: Option<Addresses>,
    services: Vec<ServiceAddress>,
}

impl Host {
    /// Takes over what a killed predecessor left and removes what is configured no more.
    pub(super) async fn new(
        services: &[ServiceSettings],
        netlink: Option<Netlink>,
    ) -> Result<Self, HostError> {
        let mut own = Vec::new();
        for (service, settings) in services.iter().enumerate() {
            let Some(interface) = &settings.interface else {
                continue;
            };
            own.extend(settings.addresses.iter().map(|address| ServiceAddress {
                target: Target {
                    service,
                    family: Family::of(*address),
                },
                address: *address,
                interface: interface.clone(),
                is_present: false,
            }));
        }
        let mut host = Self {
            addresses: None,
            services: own,
        };
        let Some(netlink) = netlink.filter(|_| !host.services.is_empty()) else {
            return Ok(host);
        };
        let mut addresses = Addresses::open(netlink, Path::new(RUNTIME_DIRECTORY))?;
        host.clean_up(&mut addresses, services).await?;
        host.addresses = Some(addresses);
        Ok(host)
    }

    async fn clean_up(
        &self,
        addresses: &mut Addresses,
        services: &[ServiceSettings],
    ) -> Result<(), AddressError> {
        let configured: Vec<_> = self
            .services
            .iter()
            .map(|own| (own.address, own.interface.clone()))
            .collect();
        for address in addresses.remove_leftovers(&configured).await? {
            tracing::info!(%address, "removed an address that a predecessor left");
        }
        let prefixes = announce::unreachable_prefixes(services);
        for prefix in addresses.remove_leftover_routes(&prefixes).await? {
            tracing::info!(%prefix, "removed an unreachable route that a predecessor left");
        }
        for prefix in prefixes {
            addresses.add_unreachable(prefix).await?;
        }
        Ok(())
    }

    /// Adds the address to its interface; true when it is there now.
    pub(super) async fn bind(&mut self, target: Target, address: IpAddr) -> bool {
        let own = self.services.iter_mut().find(|own| own.target == target);
        let (Some(addresses), Some(own)) = (&mut self.addresses, own) else {
            return false;
        };
        match addresses.bind(address, &own.interface).await {
            Ok(ownership) => {
                let how = match ownership {
                    Ownership::Added => "added",
                    Ownership::Adopted => "adopted from a predecessor",
                    Ownership::Foreign => "somebody else's",
                };
                tracing::info!(%address, interface = own.interface, how, "address bound");
                own.is_present = true;
            }
            Err(error) => {
                tracing::error!(%address, interface = own.interface, %error, "address not bound");
                own.is_present = false;
            }
        }
        own.is_present
    }

    /// Removes the address from its interface if the node added it.
    pub(super) async fn unbind(&mut self, target: Target, address: IpAddr) {
        let own = self.services.iter().find(|own| own.target == target);
        let (Some(addresses), Some(own)) = (&mut self.addresses, own) else {
            return;
        };
        match addresses.unbind(address, &own.interface).await {
            Ok(true) => tracing::info!(%address, interface = own.interface, "address unbound"),
            Ok(false) => tracing::info!(%address, "address left in place: it is somebody else's"),
            Err(error) => tracing::error!(%address, %error, "address not unbound"),
        }
    }

    /// Removes the unreachable routes of floors, at the end.
    pub(super) async fn remove_routes(&mut self, services: &[ServiceSettings]) {
        let Some(addresses) = &mut self.addresses else {
            return;
        };
        for prefix in announce::unreachable_prefixes(services) {
            if let Err(error) = addresses.remove_unreachable(prefix).await {
                tracing::error!(%prefix, %error, "unreachable route not removed");
            }
        }
    }

    /// Whether this is a service address that the node binds.
    pub(super) fn binds(&self, address: IpAddr) -> bool {
        self.services.iter().any(|own| own.address == address)
    }

    /// Looks again which addresses are there; the ones for which that has changed.
    pub(super) async fn look(&mut self) -> Vec<(Target, bool)> {
        let Some(addresses) = &self.addresses else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        for own in &mut self.services {
            match addresses.is_present(own.address).await {
                Ok(is_present) if is_present != own.is_present => {
                    own.is_present = is_present;
                    changes.push((own.target, is_present));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(address = %own.address, %error, "address not looked at");
                }
            }
        }
        changes
    }

    /// Whether the address of `target` is on its interface; `None`: somebody else binds it.
    pub(super) fn is_bound(&self, target: Target) -> Option<bool> {
        self.services
            .iter()
            .find(|own| own.target == target)
            .map(|own| own.is_present)
    }
}

/// Why the host's addresses cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The record of a predecessor.
    #[error("the runtime directory {RUNTIME_DIRECTORY}")]
    Runtime(#[from] io::Error),
    /// The kernel refused.
    #[error("service addresses (they need CAP_NET_ADMIN)")]
    Address(#[from] AddressError),
}
