//! What a session with a neighbour needs to know.
//!
//! Source: RFC 4271 §5.1.3 (next hops), RFC 2545 §3 (link-local next hops).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::bgp::PeerAsn;
use crate::bgp::open::Local;
use crate::bgp::rib_out::NextHops;

/// All that a session needs to know; every "auto" is already resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerParameters {
    /// Where the neighbour listens; its address also tells its own connections apart.
    pub remote: SocketAddr,
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
    /// Next hop of IPv4 routes. `None`: the session's local address if that is IPv4, else IPv4 is
    /// not offered.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// Next hop of IPv6 routes. `None`: the session's local address if that is IPv6, else IPv6 is
    /// not offered.
    pub next_hop_v6: Option<Ipv6Addr>,
}

impl PeerParameters {
    pub(super) fn next_hops(&self, local: IpAddr) -> NextHops {
        let mut hops = NextHops {
            v4: self.next_hop_v4,
            v6: self.next_hop_v6,
            link_local: None,
        };
        match local.to_canonical() {
            IpAddr::V4(address) => hops.v4 = hops.v4.or(Some(address)),
            IpAddr::V6(address) => {
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
            families: next_hops.families(),
            peer_asn: self.peer_asn,
        }
    }
}
