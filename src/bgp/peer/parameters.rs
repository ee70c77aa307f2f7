//! What a session with a neighbour needs to know.
//!
//! Source: RFC 4271 §5.1.3 (next hops), RFC 2545 §3 (link-local next hops), RFC 8950 (IPv6 next hops
//! of IPv4 routes).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::bgp::message::Families;
use crate::bgp::open::Local;
use crate::bgp::rib_out::NextHops;
use crate::bgp::{NeighborMarks, PeerAsn, Role, Security};

/// All that a session needs to know; every "auto" is already resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerParameters {
    /// Where the neighbour listens; its address also tells its own connections apart.
    pub remote: SocketAddr,
    /// Name of the interface that a link-local `remote` is on; for those who read about it.
    pub interface: Option<String>,
    /// Where this side dials from; `None` leaves it to the kernel.
    pub local: Option<IpAddr>,
    /// The own AS number.
    pub local_asn: u32,
    /// Which AS number the neighbour must have.
    pub peer_asn: PeerAsn,
    /// The own BGP identifier; never a service address.
    pub identifier: Ipv4Addr,
    /// Offered, at least 3 s; `None` offers none.
    pub hold_time: Option<Duration>,
    /// Never dials.
    pub passive: bool,
    /// How long the own OPEN waits for the neighbour's, 0 to 240 s. RFC 4271 §8.1.1.
    pub delay_open: Duration,
    /// How the TCP connection is guarded.
    pub security: Security,
    /// What this side is to the neighbour. RFC 9234 §4.
    pub role: Option<Role>,
    /// Offered, as far as there is a next hop for them.
    pub families: Families,
    /// What distinguishes this neighbour's routes from everybody's.
    pub marks: NeighborMarks,
    /// How long BFD, if it watches this neighbour, needs to notice silence, at this side's terms.
    pub bfd_detection: Option<Duration>,
    /// When this process began, just after a killed predecessor perhaps; `None`: long ago.
    pub process_start: Option<Instant>,
    /// Next hop of IPv4 routes. `None`: the session's local address if that is IPv4, else IPv4 is
    /// not offered.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// Next hop of IPv6 routes. `None`: the session's local address if that is IPv6, else IPv6 is
    /// not offered.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// IPv4 routes of a session over IPv6 go with its own local address as the next hop, as far as
    /// the neighbour takes that; else with `next_hop_v4`, if there is one. RFC 8950 §4.
    pub ipv4_over_ipv6: bool,
}

impl PeerParameters {
    /// An external neighbour on the usual terms, with both families as far as there are next hops.
    #[must_use]
    pub fn new(remote: SocketAddr, local_asn: u32, identifier: Ipv4Addr) -> Self {
        Self {
            remote,
            interface: None,
            local: None,
            local_asn,
            peer_asn: PeerAsn::External,
            identifier,
            hold_time: Some(Duration::from_secs(9)),
            passive: false,
            delay_open: Duration::ZERO,
            security: Security::default(),
            role: None,
            families: Families::ALL,
            marks: NeighborMarks::default(),
            bfd_detection: None,
            process_start: None,
            next_hop_v4: None,
            next_hop_v6: None,
            ipv4_over_ipv6: false,
        }
    }

    /// What the neighbour is called in logs and metrics: its address, and its link if that is part
    /// of it (`fe80::1%eth1`). RFC 4007 §11.
    #[must_use]
    pub fn name(&self) -> String {
        let address = self.remote.ip().to_canonical();
        match &self.interface {
            Some(interface) => format!("{address}%{interface}"),
            None => address.to_string(),
        }
    }

    /// The families that a session on these terms offers.
    #[must_use]
    pub fn offered(&self) -> Families {
        let unknown = match self.remote {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let next_hops = self.next_hops(self.local.unwrap_or(unknown));
        self.opening(&next_hops).families
    }

    pub(super) fn next_hops(&self, local: IpAddr) -> NextHops {
        let mut hops = NextHops {
            v4: self.next_hop_v4,
            v4_over_v6: None,
            v6: self.next_hop_v6,
            link_local: None,
        };
        match local.to_canonical() {
            IpAddr::V4(address) => hops.v4 = hops.v4.or(Some(address)),
            IpAddr::V6(address) => {
                hops.v4_over_v6 = self.ipv4_over_ipv6.then_some(address);
                if hops.v6.is_some() && address.is_unicast_link_local() {
                    hops.link_local = Some(address);
                }
                hops.v6 = hops.v6.or(Some(address));
            }
        }
        hops
    }

    pub(super) fn opening(&self, next_hops: &NextHops) -> Local {
        let hold_time_s = self.hold_time.map_or(0, |time| time.as_secs().max(3));
        Local {
            asn: self.local_asn,
            identifier: self.identifier,
            hold_time_s: u16::try_from(hold_time_s).unwrap_or(u16::MAX),
            families: next_hops.families().intersection(self.families),
            peer_asn: self.peer_asn,
            role: self.role,
            ipv4_over_ipv6: next_hops.ipv4_over_ipv6(),
        }
    }
}

#[cfg(test)]
mod tests;
