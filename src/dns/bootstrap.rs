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
use super::{ForwardZone, UpstreamAddress};

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
        "zone {zone}: its upstreams, or the system's resolvers, are none but addresses of this \
         node's services: set `upstreams` to others"
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

/// Finds the addresses of all upstreams. `own` are the addresses of services: they are left out
/// wherever they appear, for a node must not ask itself.
///
/// Host names that do not resolve while the zone has other upstreams are told in
/// [`ResolvedZone::unresolved`].
///
/// # Errors
/// When a zone would be left without upstreams, or wants the system's resolvers and there are
/// none that may be used.
pub async fn resolve(
    zones: &[ForwardZone],
    own: &[IpAddr],
) -> Result<Vec<ResolvedZone>, BootstrapError> {
    resolve_with(zones, own, || {
        let (config, _) = read_system_conf()?;
        Ok(config.name_servers().to_vec())
    })
    .await
}

async fn resolve_with(
    zones: &[ForwardZone],
    own: &[IpAddr],
    read_system: impl Fn() -> Result<Vec<NameServerConfig>, Cause>,
) -> Result<Vec<ResolvedZone>, BootstrapError> {
    let usable_system = || {
        read_system().map(|mut servers| {
            servers.retain(|server| !own.contains(&server.ip));
            servers
        })
    };
    let mut resolved = Vec::with_capacity(zones.len());
    for zone in zones {
        let mut found = Found::default();
        for upstream in &zone.upstreams {
            match upstream {
                UpstreamAddress::Socket(address) => found.addresses.push(*address),
                UpstreamAddress::Host { name, port } => {
                    // Without a system configuration the hosts file may still know the name.
                    let addresses = look_up(name, usable_system().unwrap_or_default()).await;
                    if !addresses.iter().any(|address| !own.contains(address)) {
                        found.unresolved.push(name.clone());
                    }
                    let sockets = addresses.iter().map(|&ip| SocketAddr::new(ip, *port));
                    found.addresses.extend(sockets);
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
    fn into_zone(
        mut self,
        zone: &ForwardZone,
        own: &[IpAddr],
    ) -> Result<ResolvedZone, BootstrapError> {
        let mut seen = HashSet::new();
        self.addresses
            .retain(|address| !own.contains(&address.ip()) && seen.insert(*address));
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
            siblings: Vec::new(),
            dialect: zone.dialect,
            unresolved: self.unresolved,
        })
    }
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
