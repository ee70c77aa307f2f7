//! The node's state as it is told outwards: `/status`, `sidestep status --json`.
//!
//! Its JSON shape is an interface: fields are added, never renamed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub mod neighbor;
mod peer;

pub use neighbor::{Neighbor, SessionState};
pub use peer::Peer;

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// Sidestep's version.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Configuration files that were read, in order.
    pub configuration: Vec<PathBuf>,
    /// Each `[[service]]`.
    pub services: Vec<Service>,
    /// Each BGP neighbour that is known now.
    pub neighbors: Vec<Neighbor>,
    /// Each forward zone.
    pub zones: Vec<Zone>,
    /// Each address of a sibling that is asked how it is.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// The cache of all workers together.
    pub cache: Cache,
    /// Each query worker.
    pub workers: Vec<Worker>,
    /// `None`: not drained.
    pub drain: Option<Drain>,
    /// What is worse than configured and shows nowhere else, for example a missing default route.
    pub warnings: Vec<String>,
}

/// One `[[service]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// As configured.
    pub name: String,
    /// One for each of its addresses.
    pub families: Vec<ServiceFamily>,
}

/// A service in one address family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFamily {
    /// Which.
    pub family: Family,
    /// The anycast address.
    pub address: IpAddr,
    /// What is announced, or would be if there were a neighbour.
    pub level: Level,
    /// Whose fault it is that the level is not `preferred`; `None`: nobody's.
    pub class: Option<FaultClass>,
    /// Why the level is what it is, in words.
    pub reason: String,
    /// Seconds since the level changed.
    pub since_s: u64,
    /// Whether an interface has the address, no matter who bound it there.
    pub bound: bool,
}

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// How attractive a service is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Announced normally.
    Preferred,
    /// Announced, but less attractive than any other site.
    Backup,
    /// Not announced.
    Withdrawn,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultClass {
    /// This node alone.
    Local,
    /// Others may have it too.
    Shared,
    /// Queries are shed.
    Overload,
    /// Somebody asked for it.
    Operator,
}

/// A forward zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Apex with the final dot.
    pub zone: String,
    /// Whether its failure is evidence for the level of the services.
    pub critical: bool,
    /// Whether some upstream is believed to answer.
    pub usable: bool,
    /// In the configured order.
    pub upstreams: Vec<Upstream>,
}

/// An upstream of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it is asked.
    pub state: UpstreamState,
    /// Smoothed round-trip time in microseconds; `None`: never measured.
    pub rtt_us: Option<u64>,
    /// Seconds in this state.
    pub since_s: u64,
}

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamState {
    /// Not asked yet.
    Unknown,
    /// Answers.
    Up,
    /// Does not answer; only probed.
    Down,
}

/// The cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Answers in it.
    pub entries: u64,
    /// What they take, keys and bookkeeping included.
    pub bytes: u64,
    /// What they may take.
    pub limit_bytes: u64,
}

/// A query worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// From 0.
    pub index: usize,
    /// Queries since the start.
    pub queries: u64,
    /// Milliseconds since its last heartbeat.
    pub heartbeat_age_ms: u64,
    /// Datagrams dropped because its receive buffers were full.
    pub dropped: u64,
}

/// A drain that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// As given by who asked.
    pub reason: String,
    /// Seconds since then.
    pub since_s: u64,
}

impl Status {
    /// Why the node is not ready; empty: ready.
    ///
    /// Ready means that the node does what it was told. A service family is ready when its address
    /// is bound and some neighbour has been told it, at whatever level; without any neighbour,
    /// when its level is not `withdrawn`. While a drain is asked for, or its level is the
    /// operator's wish, it is ready too: being withdrawn is then right.
    #[must_use]
    pub fn unready_reasons(&self) -> Vec<String> {
        if self.drain.is_some() {
            return Vec::new();
        }
        let mut reasons = Vec::new();
        for service in &self.services {
            for family in &service.families {
                if let Some(reason) = self.unready_reason(family) {
                    reasons.push(format!("{} {}: {reason}", service.name, family.address));
                }
            }
        }
        reasons
    }

    fn unready_reason(&self, family: &ServiceFamily) -> Option<String> {
        if family.class == Some(FaultClass::Operator) {
            return None;
        }
        if !family.bound {
            return Some("the address is not bound".to_owned());
        }
        if family.level == Level::Withdrawn {
            return Some(format!("withdrawn: {}", family.reason));
        }
        if self.neighbors.is_empty() || self.is_announced(family.address) {
            return None;
        }
        Some("no neighbour has been told the route".to_owned())
    }

    /// Whether an established neighbour has been told the host route of `address`.
    #[must_use]
    pub fn is_announced(&self, address: IpAddr) -> bool {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let prefix = format!("{address}/{length}");
        self.neighbors.iter().any(|neighbor| {
            neighbor.state == SessionState::Established && neighbor.announced.contains(&prefix)
        })
    }
}

/// A node with everything in it, for tests.
#[cfg(test)]
pub(crate) fn example() -> Status {
    let family = |family, address: &str| ServiceFamily {
        family,
        address: address.parse().unwrap(),
        level: Level::Preferred,
        class: None,
        reason: "all probes are answered".into(),
        since_s: 3_725,
        bound: true,
    };
    Status {
        node: "ams1".into(),
        version: "0.1.0".into(),
        uptime_s: 3_730,
        configuration: vec!["/etc/sidestep/sidestep.toml".into()],
        services: vec![Service {
            name: "resolver".into(),
            families: vec![
                family(Family::Ipv4, "10.53.53.53"),
                family(Family::Ipv6, "fd53::53"),
            ],
        }],
        neighbors: vec![neighbor::example().summary],
        zones: vec![Zone {
            zone: ".".into(),
            critical: true,
            usable: true,
            upstreams: vec![
                Upstream {
                    address: "192.0.2.101:53".parse().unwrap(),
                    state: UpstreamState::Up,
                    rtt_us: Some(1_250),
                    since_s: 3_729,
                },
                Upstream {
                    address: "[2001:db8::101]:53".parse().unwrap(),
                    state: UpstreamState::Down,
                    rtt_us: None,
                    since_s: 12,
                },
            ],
        }],
        peers: vec![peer::example()],
        cache: Cache {
            entries: 1_234,
            bytes: 5 << 20,
            limit_bytes: 256 << 20,
        },
        workers: vec![Worker {
            index: 0,
            queries: 98_765,
            heartbeat_age_ms: 4,
            dropped: 0,
        }],
        drain: None,
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_first_family(change: impl Fn(&mut ServiceFamily)) -> Status {
        let mut status = example();
        change(&mut status.services[0].families[0]);
        status
    }

    #[test]
    fn a_node_is_ready_when_a_neighbour_has_been_told_every_address() {
        let mut status = example();
        assert!(status.unready_reasons().is_empty());
        status.neighbors[0].announced.pop();
        assert_eq!(
            status.unready_reasons(),
            ["resolver fd53::53: no neighbour has been told the route"]
        );
        let mut closed = example();
        closed.neighbors[0].state = SessionState::Active;
        assert_eq!(closed.unready_reasons().len(), 2);
    }

    #[test]
    fn a_node_without_neighbours_is_ready_when_it_would_announce() {
        let mut status = example();
        status.neighbors.clear();
        assert!(status.unready_reasons().is_empty());
        status.services[0].families[0].level = Level::Withdrawn;
        assert_eq!(
            status.unready_reasons(),
            ["resolver 10.53.53.53: withdrawn: all probes are answered"]
        );
    }

    #[test]
    fn an_unbound_address_is_not_ready_and_backup_is() {
        assert_eq!(
            with_first_family(|f| f.bound = false)
                .unready_reasons()
                .len(),
            1
        );
        let backup = with_first_family(|f| f.level = Level::Backup);
        assert!(backup.unready_reasons().is_empty());
    }

    #[test]
    fn what_the_operator_withdrew_is_ready() {
        let withdrawn = |class| {
            with_first_family(|family| {
                family.level = Level::Withdrawn;
                family.class = Some(class);
            })
        };
        assert!(withdrawn(FaultClass::Operator).unready_reasons().is_empty());
        let mut status = withdrawn(FaultClass::Local);
        assert_eq!(status.unready_reasons().len(), 1);
        status.drain = Some(Drain {
            reason: "new kernel".into(),
            since_s: 1,
        });
        assert!(status.unready_reasons().is_empty());
    }

    #[test]
    fn the_json_of_a_status_reads_back_as_it_was() {
        let json = serde_json::to_string(&example()).unwrap();
        assert!(
            json.contains(r#""level":"preferred","class":null"#),
            "{json}"
        );
        assert!(json.contains(r#""state":"Established""#), "{json}");
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), example());
    }
}
