//! From where to where a session watches, and how its packets are told from others.
//!
//! Source: RFC 5881 §3 to §5 (one hop), RFC 5883 §3 to §5 (several), RFC 5082 §3.

use std::net::{IpAddr, SocketAddr};

/// The TTL that packets are sent with. RFC 5881 §5.
const TTL_SENT: u8 = 255;

/// How far the neighbour may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// On the same link: packets must arrive with TTL 255. RFC 5881 §5.
    One,
    /// Packets must arrive with at least this TTL or hop limit. RFC 5883 §5.
    Several {
        /// 1 to 254.
        ttl_min: u8,
    },
}

impl Hops {
    /// For a neighbour that packets with this TTL reach, 2 to 255.
    #[must_use]
    pub const fn within(ttl: u8) -> Self {
        // The first hop takes nothing away: what is sent with 255 arrives with 255 less the rest.
        let rest = ttl.saturating_sub(1);
        let ttl_min = TTL_SENT.saturating_sub(rest);
        Self::Several { ttl_min }
    }

    /// The UDP port that packets are sent to. RFC 5881 §4, RFC 5883 §5.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::One => 3784,
            Self::Several { .. } => 4784,
        }
    }

    /// The least TTL that a packet may arrive with.
    #[must_use]
    pub const fn ttl_min(self) -> u8 {
        match self {
            Self::One => TTL_SENT,
            Self::Several { ttl_min } => ttl_min,
        }
    }
}

/// What a session watches; with everything resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where the neighbour takes packets; with its interface, if that is a link-local address.
    pub remote: SocketAddr,
    /// Where this side takes them. Without an address: where the kernel would send from.
    pub local: SocketAddr,
    /// How far the neighbour may be.
    pub hops: Hops,
}

impl Path {
    /// The path to a neighbour with the port that fits; `remote`'s own port counts for nothing.
    #[must_use]
    pub fn new(remote: SocketAddr, local: Option<IpAddr>, hops: Hops) -> Self {
        let unspecified = match remote {
            SocketAddr::V4(_) => IpAddr::from([0; 4]),
            SocketAddr::V6(_) => IpAddr::from([0; 16]),
        };
        let mut path = Self {
            remote,
            local: SocketAddr::new(unspecified, hops.port()),
            hops,
        };
        path.remote.set_port(hops.port());
        path.leave_from(local.unwrap_or(unspecified));
        path
    }

    /// Takes this local address.
    pub(super) fn leave_from(&mut self, local: IpAddr) {
        self.local.set_ip(local);
        if let (SocketAddr::V6(own), SocketAddr::V6(remote)) = (&mut self.local, self.remote)
            && own.ip().is_unicast_link_local()
        {
            own.set_scope_id(remote.scope_id());
        }
    }

    /// Whether a packet that came to `local` is the neighbour's. RFC 5881 §3.
    pub(super) fn is_of(&self, from: SocketAddr, local: SocketAddr) -> bool {
        self.remote.ip() == from.ip() && scope(self.remote) == scope(from) && self.local == local
    }
}

/// Tells equal link-local addresses apart.
fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// RFC 5883 §5, as GTSM counts (RFC 5082 §3): one router between two ends takes one away.
    #[test]
    fn of_a_neighbour_within_two_hops_packets_arrive_with_254() {
        assert_eq!(Hops::within(2).ttl_min(), 254);
        assert_eq!(Hops::within(3).ttl_min(), 253);
        assert_eq!(Hops::within(255).ttl_min(), 1);
        assert_eq!(Hops::One.ttl_min(), 255);
    }

    /// RFC 5881 §4, RFC 5883 §5.
    #[test]
    fn a_path_has_the_port_of_its_kind_at_both_ends() {
        let bgp = at("192.0.2.1:179");
        let path = Path::new(bgp, Some(ip("192.0.2.2")), Hops::One);
        assert_eq!(path.remote, at("192.0.2.1:3784"));
        assert_eq!(path.local, at("192.0.2.2:3784"));
        let path = Path::new(bgp, None, Hops::within(4));
        assert_eq!(path.remote, at("192.0.2.1:4784"));
        assert_eq!(path.local, at("0.0.0.0:4784"));
    }

    /// RFC 5881 §3: addresses tell sessions apart, and the interface if they are link-local.
    #[test]
    fn packets_of_another_link_or_to_another_address_are_of_another_session() {
        let path = Path::new(at("[fe80::1%3]:179"), Some(ip("fe80::2")), Hops::One);
        assert_eq!(path.local, at("[fe80::2%3]:3784"));
        assert!(path.is_of(at("[fe80::1%3]:50000"), path.local));
        assert!(!path.is_of(at("[fe80::1%4]:50000"), path.local));
        assert!(!path.is_of(at("[fe80::3%3]:50000"), path.local));
        assert!(!path.is_of(at("[fe80::1%3]:50000"), at("[fe80::2%4]:3784")));
        let path = Path::new(at("192.0.2.1:179"), Some(ip("192.0.2.2")), Hops::One);
        assert!(path.is_of(at("192.0.2.1:50000"), path.local));
        assert!(!path.is_of(at("192.0.2.1:50000"), at("192.0.2.2:4784")));
    }
}
