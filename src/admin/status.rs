//! The node's state as it is told outwards: `/status`, `sidestep status --json`.
//!
//! Its JSON shape is an interface: fields are added, never renamed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub mod drain;
pub mod explain;
pub mod neighbor;
mod peer;

pub use drain::{DrainPhase, StandingDrain};
pub use neighbor::{Neighbor, SessionState};
pub use peer::Peer;

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// How many `[[bgp.neighbor]]` are configured. `default-gateway` may stand for several
    /// neighbours, or for none yet.
    #[serde(default)]
    pub neighbors_configured: usize,
    /// Each forward zone.
    pub zones: Vec<Zone>,
    /// Each address of a sibling that is asked how it is.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// The cache of all workers together.
    pub cache: Cache,
    /// Each query worker.
    pub workers: Vec<Worker>,
    /// `None`: not drained as a whole.
    pub drain: Option<Drain>,
    /// Health has had no fresh inputs for a second: whatever the levels say, nothing is announced.
    #[serde(default)]
    pub lease_stale: bool,
    /// Every drain that stands, that of all services first.
    #[serde(default)]
    pub drains: Vec<StandingDrain>,
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
    /// Further checks that it depends on.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// An extra check of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// As configured; `names`: the names of the service's target.
    pub name: String,
    /// Whether the latest result was good; `None`: there is none yet.
    pub good: Option<bool>,
    /// Seconds since results are like that.
    pub since_s: u64,
    /// What the latest result says.
    pub text: String,
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
    /// Seconds since level, class or reason changed.
    pub since_s: u64,
    /// Seconds since the level changed.
    #[serde(default)]
    pub level_since_s: u64,
    /// What it would take to change, in words.
    #[serde(default)]
    pub next: String,
    /// All of this in one paragraph, with the neighbours that are told.
    #[serde(default)]
    pub explanation: String,
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
    /// Percent of the domains whose questions failed in the last 10 s, as far as they are told apart,
    /// or of the questions of the last second where the zone is not critical; `None`: too few have
    /// asked.
    pub failed_percent: Option<u8>,
    /// What that usually is; `None`: not judged, for the zone is not critical.
    pub baseline_percent: Option<u8>,
    /// `None`: there are none for this zone.
    pub canaries: Option<Canaries>,
}

/// Names that should always resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canaries {
    /// How many of them resolve.
    pub good: u8,
    /// How many there are.
    pub of: u8,
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

/// A drain of all services that is asked for; [`StandingDrain`] says more.
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
    /// is bound and some neighbour has been told it, at whatever level; when none is configured,
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
        if self.lease_stale {
            return Some("health has had no fresh inputs for a second".to_owned());
        }
        if self.is_announced(family.address) {
            return None;
        }
        match (self.neighbors_configured, self.neighbors.as_slice()) {
            (0, []) => None,
            (_, []) => Some("no configured neighbour has been found yet".to_owned()),
            (_, [_, ..]) => Some("no neighbour has been told the route".to_owned()),
        }
    }

    /// Whether an established neighbour has been told the host route of `address`.
    #[must_use]
    pub fn is_announced(&self, address: IpAddr) -> bool {
        self.neighbors
            .iter()
            .any(|neighbor| neighbor.is_told(address))
    }
}

impl Neighbor {
    /// Whether it is established and has been told the host route of `address`.
    fn is_told(&self, address: IpAddr) -> bool {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let prefix = format!("{address}/{length}");
        self.state == SessionState::Established && self.announced.contains(&prefix)
    }
}

#[cfg(test)]
mod example;
#[cfg(test)]
pub(crate) use example::example;

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
        status.neighbors_configured = 0;
        assert!(status.unready_reasons().is_empty());
        status.services[0].families[0].level = Level::Withdrawn;
        assert_eq!(
            status.unready_reasons(),
            ["resolver 10.53.53.53: withdrawn: all probes are answered"]
        );
    }

    /// Once such a node was ready, though nobody would ever ask it.
    #[test]
    fn a_node_whose_configured_neighbours_are_not_found_yet_is_not_ready() {
        let mut status = example();
        status.neighbors.clear();
        assert_eq!(
            status.unready_reasons()[0],
            "resolver 10.53.53.53: no configured neighbour has been found yet"
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
