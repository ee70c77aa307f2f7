//! Framing: where one message ends and the next begins, and what kind it is.
//!
//! Source: RFC 4271 §4.1 (header), §6.1 (header errors), RFC 2918 §3 and RFC 7313 §3.2, §5 (route
//! refresh).
//! Not done on purpose: extended messages (RFC 8654), which nothing here needs.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::notification::Notification;
use super::octets::Octets;

/// Length of marker, length and type. RFC 4271 §4.1.
pub const HEADER_LEN: usize = 19;
/// The longest message. RFC 4271 §4.1.
pub const MESSAGE_MAX: usize = 4096;
const MARKER: [u8; 16] = [0xFF; 16];

/// An address family of unicast routes. RFC 4760 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl Family {
    /// Both, in the order in which they are sent.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The address family number; the SAFI is always 1.
    #[must_use]
    pub const fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    /// The family of an AFI and SAFI, if it is one of the two.
    #[must_use]
    pub const fn from_wire(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::Ipv4),
            (2, 1) => Some(Self::Ipv6),
            _ => None,
        }
    }

    /// The family of a prefix.
    #[must_use]
    pub const fn of(prefix: &ipnet::IpNet) -> Self {
        match prefix {
            ipnet::IpNet::V4(_) => Self::Ipv4,
            ipnet::IpNet::V6(_) => Self::Ipv6,
        }
    }

    /// `ipv4` or `ipv6`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// Which families a session carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4 unicast.
    pub ipv4: bool,
    /// IPv6 unicast.
    pub ipv6: bool,
}

impl Families {
    /// Both.
    pub const ALL: Self = Self {
        ipv4: true,
        ipv6: true,
    };

    /// Whether `family` is among them.
    #[must_use]
    pub const fn contains(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }

    /// Adds one.
    pub const fn insert(&mut self, family: Family) {
        match family {
            Family::Ipv4 => self.ipv4 = true,
            Family::Ipv6 => self.ipv6 = true,
        }
    }

    /// Those in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4 && other.ipv4,
            ipv6: self.ipv6 && other.ipv6,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !self.ipv4 && !self.ipv6
    }

    /// Each of them, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL
            .into_iter()
            .filter(move |family| self.contains(*family))
    }
}

/// The type field of the header. RFC 4271 §4.1, RFC 2918 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Type 1.
    Open,
    /// Type 2.
    Update,
    /// Type 3.
    Notification,
    /// Type 4.
    Keepalive,
    /// Type 5.
    RouteRefresh,
}

impl Kind {
    const fn from_wire(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// The octet on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// Lengths that a message of this kind may have, header included. RFC 4271 §4.2–4.5.
    const fn allows(self, length: usize) -> bool {
        match self {
            Self::Open => length >= 29,
            Self::Update => length >= 23,
            Self::Notification => length >= 21,
            Self::Keepalive => length == HEADER_LEN,
            // RFC 7313 §5: its length is judged by its subtype.
            Self::RouteRefresh => length >= HEADER_LEN,
        }
    }
}

/// One whole message in a receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// All after the header.
    pub body: &'a [u8],
    /// How many octets of the buffer it takes.
    pub length: usize,
}

/// A header that ends the session. RFC 4271 §6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The marker is not all ones.
    #[error("connection not synchronized")]
    Marker,
    /// Under 19, over 4096, or impossible for the type.
    #[error("bad message length {0}")]
    Length(u16),
    /// Not one of the five types.
    #[error("bad message type {0}")]
    Type(u8),
}

impl HeaderError {
    /// What the peer is told.
    #[must_use]
    pub fn notification(self) -> Notification {
        match self {
            Self::Marker => Notification::new(1, 1, Vec::new()),
            Self::Length(length) => Notification::new(1, 2, length.to_be_bytes().to_vec()),
            Self::Type(kind) => Notification::new(1, 3, vec![kind]),
        }
    }
}

/// Finds the first message in `buffer`; `None` while it is not there as a whole.
///
/// The header is checked as soon as it is there, so that no more than [`MESSAGE_MAX`] octets need to
/// be kept for a message.
///
/// # Errors
/// [`HeaderError`] when no message can begin like that.
pub fn frame(buffer: &[u8]) -> Result<Option<Frame<'_>>, HeaderError> {
    let mut octets = Octets::new(buffer);
    let (Some(marker), Some(length), Some(kind)) =
        (octets.array::<16>(), octets.u16(), octets.u8())
    else {
        let seen = buffer.iter().take(MARKER.len());
        return match seen.copied().all(|octet| octet == 0xFF) {
            true => Ok(None),
            false => Err(HeaderError::Marker),
        };
    };
    if marker != MARKER {
        return Err(HeaderError::Marker);
    }
    let size = usize::from(length);
    if !(HEADER_LEN..=MESSAGE_MAX).contains(&size) {
        return Err(HeaderError::Length(length));
    }
    let kind = Kind::from_wire(kind).ok_or(HeaderError::Type(kind))?;
    if !kind.allows(size) {
        return Err(HeaderError::Length(length));
    }
    Ok(octets.take(size - HEADER_LEN).map(|body| Frame {
        kind,
        body,
        length: size,
    }))
}

/// Puts the header before a body; `None` when the message would be over [`MESSAGE_MAX`].
#[must_use]
pub fn encode(kind: Kind, body: &[u8]) -> Option<Vec<u8>> {
    let size = HEADER_LEN + body.len();
    if size > MESSAGE_MAX {
        return None;
    }
    let length = u16::try_from(size).ok()?;
    let mut message = Vec::with_capacity(size);
    message.extend_from_slice(&MARKER);
    message.extend_from_slice(&length.to_be_bytes());
    message.push(kind.to_wire());
    message.extend_from_slice(body);
    Some(message)
}

/// A KEEPALIVE. RFC 4271 §4.4.
#[must_use]
pub fn keepalive() -> Vec<u8> {
    let mut message = MARKER.to_vec();
    message.extend_from_slice(&[0, 19, 4]);
    message
}

/// What a ROUTE-REFRESH is about, by its subtype. RFC 7313 §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshStep {
    /// Subtype 0: the receiver is to tell its routes again.
    Request,
    /// Subtype 1, BoRR: the sender is about to tell its routes again.
    Begin,
    /// Subtype 2, EoRR: it has done so.
    End,
}

impl RefreshStep {
    const fn to_wire(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
        }
    }
}

/// A ROUTE-REFRESH. RFC 2918 §3, RFC 7313 §3.2.
#[must_use]
pub fn route_refresh(family: Family, step: RefreshStep) -> Vec<u8> {
    let [high, low] = family.afi().to_be_bytes();
    let mut message = MARKER.to_vec();
    message.extend_from_slice(&[0, 23, Kind::RouteRefresh.to_wire()]);
    message.extend_from_slice(&[high, low, step.to_wire(), 1]);
    message
}

/// A ROUTE-REFRESH of a length that it cannot have; holds its body. RFC 7313 §5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route refresh of {} octets", .0.len())]
pub struct RefreshError(Vec<u8>);

impl RefreshError {
    /// What the peer is told; the data is the whole message.
    #[must_use]
    pub fn notification(&self) -> Notification {
        let message = encode(Kind::RouteRefresh, &self.0);
        Notification::new(7, 1, message.unwrap_or_default())
    }
}

/// Reads the body of a ROUTE-REFRESH; `None` for a subtype or a family that is not known here, both of
/// which are to be ignored. RFC 2918 §4, RFC 7313 §5.
///
/// # Errors
/// [`RefreshError`] for a length other than 4 of a known subtype.
pub fn read_route_refresh(body: &[u8]) -> Result<Option<(Family, RefreshStep)>, RefreshError> {
    let step = match body.get(2) {
        Some(0) => RefreshStep::Request,
        Some(1) => RefreshStep::Begin,
        Some(2) => RefreshStep::End,
        Some(_) => return Ok(None),
        None => return Err(RefreshError(body.to_vec())),
    };
    match body {
        [high, low, _, safi] => {
            let family = Family::from_wire(u16::from_be_bytes([*high, *low]), *safi);
            Ok(family.map(|family| (family, step)))
        }
        _ => Err(RefreshError(body.to_vec())),
    }
}

#[cfg(test)]
mod tests;
