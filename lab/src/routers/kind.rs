//! The routers of `routers.clab.yml`, and their sessions with the node.

use std::fmt;
use std::net::IpAddr;

use crate::routes::Family;

/// Whose router it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Frr,
    Bird,
    Gobgp,
}

impl Kind {
    /// In the order of the report.
    pub(super) const ALL: [Self; 3] = [Self::Frr, Self::Bird, Self::Gobgp];

    /// Its node of the topology.
    pub(super) fn node(self) -> &'static str {
        match self {
            Self::Frr => "frr",
            Self::Bird => "bird",
            Self::Gobgp => "gobgp",
        }
    }

    /// The program that speaks BGP.
    pub(super) fn daemon(self) -> &'static str {
        match self {
            Self::Frr => "bgpd",
            Self::Bird => "bird",
            Self::Gobgp => "gobgpd",
        }
    }

    /// Its file in the folder of the lab.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Frr => "routers/frr.conf",
            Self::Bird => "routers/bird.conf",
            Self::Gobgp => "routers/gobgpd.toml",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frr => "FRR",
            Self::Bird => "BIRD",
            Self::Gobgp => "GoBGP",
        })
    }
}

/// How a session gets from the node to the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the link between them.
    Direct,
    /// By a host that forwards.
    Far,
    /// By the link, whose ends have no addresses of their own for it.
    Unnumbered,
}

/// A session between the node and a router, which carries one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) kind: Kind,
    pub(super) family: Family,
    /// The node, as the router calls it.
    pub(super) peer: String,
    /// The router, as the node calls it; `None`: an address that is known only once it is there.
    pub(super) router: Option<IpAddr>,
}

impl Session {
    pub(super) fn new(kind: Kind, family: Family, way: Way) -> Self {
        let place = match kind {
            Kind::Frr => 1,
            Kind::Bird => 2,
            Kind::Gobgp => 3,
        };
        // Behind the host the routers are three networks further.
        let (node, router) = match way {
            Way::Direct | Way::Unnumbered => (place, place),
            Way::Far => (5, place + 5),
        };
        let address = |network: u8, last: u8| match family {
            Family::V4 => IpAddr::from([10, 0, network, last]),
            Family::V6 => IpAddr::from([0xfd00, network.into(), 0, 0, 0, 0, 0, last.into()]),
        };
        Self {
            kind,
            family,
            peer: match way {
                Way::Unnumbered => "eth1".to_owned(),
                Way::Direct | Way::Far => address(node, 2).to_string(),
            },
            router: (way != Way::Unnumbered).then(|| address(router, 1)),
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        write!(f, "{} {family}", self.kind)
    }
}
