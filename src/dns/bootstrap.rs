//! From configured upstreams to addresses, once at start and at each change of configuration.
//!
//! The one place where a resolver library asks for us: it reads the system's resolver
//! configuration, and resolves host names that stand in ours. Never in the path of a client's
//! question.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;

use super::upstream::ResolvedZone;
use super::{ForwardZone, UpstreamAddress, ZoneAction};

/// Limit for one question about a host name; each server is asked twice.
const QUESTION_TIME: Duration = Duration::from_secs(2);
/// Limit for one host name altogether.
const HOST_TIME: Duration = Duration::from_secs(5);
const DNS_PORT: u16 = 53;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the upstreams of a zone are not known.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// `/etc/resolv.conf` is missing, empty or broken.
    #[error(
        "zone {zone}: the system's resolver configuration cannot be used: \
         repair it or set `upstreams` to addresses"
    )]
    SystemUnreadable {
        /// Apex as text.
        zone: String,
        /// What the reader said.
        #[source]
        cause: Cause,
    },
    /// A node must not ask itself.
    #[error(
        "zone {zone}: its upstreams, or the system's resolvers, are none but this node itself: \
         set `upstreams` to others"
    )]
    OnlyOwn {
        /// Apex as text.
        zone: String,
    },
    /// None of a zone's host names resolves, and the zone has no other upstream.
    #[error(
        "zone {zone}: no address for upstream {}: \
         set `upstreams` to addresses or repair the system's resolvers", hosts.join(", ")
    )]
    HostsUnresolved {
        /// Apex as text.
        zone: String,
        /// As configured.
        hosts: Vec<String>,
    },
}

/// Where this node is asked itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Addresses of services, whatever the port.
    pub services: Vec<IpAddr>,
    /// Where it listens beside its services.
    pub sockets: Vec<SocketAddr>,
    /// Every address of this host. Only a list of siblings is compared with it, for that is the
    /// same on all nodes, whatever each of them listens on.
    pub host: Vec<IpAddr>,
}

impl Own {
    fn answers_at(&self, socket: &SocketAddr) -> bool {
        self.services.contains(&socket.ip()) || self.sockets.contains(socket)
    }

    /// Loopback addresses are every host's: several nodes on one host differ in their ports.
    fn is_sibling(&self, socket: &SocketAddr) -> bool {
        let is_own = !socket.ip().is_loopback() && self.host.contains(&socket.ip());
        !is_own && !self.answers_at(socket)
    }

    /// Whether siblings know this node by the address of `socket`, which is on their list. The answer to
    /// a service's address might reach another site.
    fn is_known_by(&self, socket: &SocketAddr) -> bool {
        !self.is_sibling(socket) && !self.services.contains(&socket.ip())
    }
}

/// Finds the addresses of all upstreams of zones that have any, and leaves out what is this node
/// itself. Zones that are answered here are left out.
///
/// Host names that do not resolve while the zone has other upstreams are told in
/// [`ResolvedZone::unresolved`].
///
/// # Errors
/// When a zone would be left without upstreams, or wants the system's resolvers and there are
/// none that may be used.
pub async fn resolve(
    zones: &[ForwardZone],
    own: &Own,
) -> Result<Vec<ResolvedZone>, BootstrapError> {
    resolve_with(zones, own, || {
        let (config, _) = read_system_conf()?;
        Ok(config.name_servers().to_vec())
    })
    .await
}

/// Where questions of siblings come from: each address once. A host with several must ask from the
/// one that is on the list.
#[must_use]
pub fn sibling_addresses(zones: &[ResolvedZone]) -> Vec<IpAddr> {
    let siblings = zones.iter().flat_map(|zone| &zone.siblings);
    let mut addresses: Vec<IpAddr> = siblings
        .map(|sibling| sibling.ip().to_canonical())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

async fn resolve_with(
    zones: &[ForwardZone],
    own: &Own,
    read_system: impl Fn() -> Result<Vec<NameServerConfig>, Cause>,
) -> Result<Vec<ResolvedZone>, BootstrapError> {
    let usable_system = || {
        read_system().map(|mut servers| {
            servers.retain(|server| !own.answers_at(&socket(server)));
            servers
        })
    };
    let mut resolved = Vec::with_capacity(zones.len());
    for zone in zones {
        match zone.action {
            ZoneAction::Forward => {}
            ZoneAction::Local | ZoneAction::Refuse => continue,
        }
        let mut found = Found::default();
        for upstream in &zone.upstreams {
            match upstream {
                UpstreamAddress::Socket(address) => found.addresses.push(*address),
                UpstreamAddress::Host { name, port } => {
                    // Without a system configuration the hosts file may still know the name.
                    let addresses = look_up(name, usable_system().unwrap_or_default()).await;
                    let sockets = addresses.iter().map(|&ip| SocketAddr::new(ip, *port));
                    let before = found.addresses.len();
                    found
                        .addresses
                        .extend(sockets.filter(|socket| !own.answers_at(socket)));
                    if found.addresses.len() == before {
                        found.unresolved.push(name.clone());
                    }
                }
                UpstreamAddress::System => {
                    let servers =
                        usable_system().map_err(|cause| BootstrapError::SystemUnreadable {
                            zone: zone.zone_text.clone(),
                            cause,
                        })?;
                    if servers.is_empty() {
                        return Err(BootstrapError::OnlyOwn {
                            zone: zone.zone_text.clone(),
                        });
                    }
                    found.addresses.extend(servers.iter().map(socket));
                }
            }
        }
        resolved.push(found.into_zone(zone, own)?);
    }
    Ok(resolved)
}

#[derive(Default)]
struct Found {
    addresses: Vec<SocketAddr>,
    unresolved: Vec<String>,
}

impl Found {
    fn into_zone(mut self, zone: &ForwardZone, own: &Own) -> Result<ResolvedZone, BootstrapError> {
        let mut seen = HashSet::new();
        self.addresses
            .retain(|address| !own.answers_at(address) && seen.insert(*address));
        if self.addresses.is_empty() {
            let (zone, hosts) = (zone.zone_text.clone(), self.unresolved);
            return Err(if hosts.is_empty() {
                BootstrapError::OnlyOwn { zone }
            } else {
                BootstrapError::HostsUnresolved { zone, hosts }
            });
        }
        Ok(ResolvedZone {
            zone: zone.zone.clone(),
            zone_text: zone.zone_text.clone(),
            critical: zone.critical,
            upstreams: self.addresses,
            siblings: listed(zone)
                .filter(|address| own.is_sibling(address))
                .collect(),
            own_siblings: listed(zone)
                .filter(|address| own.is_known_by(address))
                .map(|address| address.ip())
                .collect(),
            dialect: zone.dialect,
            unresolved: self.unresolved,
        })
    }
}

/// The list of siblings of a zone. The configuration has addresses there alone, each once.
fn listed(zone: &ForwardZone) -> impl Iterator<Item = SocketAddr> {
    zone.last_resort.iter().filter_map(|sibling| match sibling {
        UpstreamAddress::Socket(address) => Some(*address),
        UpstreamAddress::Host { .. } | UpstreamAddress::System => None,
    })
}

/// Where a resolver of the system listens for UDP.
fn socket(server: &NameServerConfig) -> SocketAddr {
    let port = server
        .connections
        .first()
        .map_or(DNS_PORT, |connection| connection.port);
    SocketAddr::new(server.ip, port)
}

/// All addresses of a host, from the hosts file or `servers`; none if it has none.
async fn look_up(host: &str, servers: Vec<NameServerConfig>) -> Vec<IpAddr> {
    let count = servers.len();
    // No search domains: the same configuration means the same host on every node.
    let config = ResolverConfig::from_name_servers(servers);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = QUESTION_TIME;
    options.attempts = 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // One after the other, a silent first server would use up all the time.
    options.num_concurrent_reqs = count.max(1);
    let looking = async { builder.build()?.lookup_ip(host).await };
    match tokio::time::timeout(HOST_TIME, looking).await {
        Ok(Ok(found)) => found.iter().collect(),
        Ok(Err(error)) => {
            tracing::debug!(host, %error, "upstream host does not resolve");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!(host, "upstream host does not resolve in time");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
