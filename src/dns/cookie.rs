//! DNS cookies of this server: a client that returns one has shown that its address is its own.
//!
//! Source: RFC 7873 §4 (the option), §5.2 (what a server does with it), RFC 9018 §4 (how a server
//! cookie is made and how long it is good), §5 (change of secrets).
//! All nodes of a service share their secrets and nothing else: any of them makes a cookie that the
//! others take. Nobody is refused for want of a cookie; one only spares its owner the limits for
//! unproven addresses.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use super::CookieSecrets;

/// Octets of the option in an answer: both cookies.
pub const REPLY: usize = CLIENT + SERVER;

const CLIENT: usize = 8;
/// Version, reserved, timestamp, hash. RFC 9018 §4.
const SERVER: usize = 16;
/// What a client may send behind its own cookie. RFC 7873 §4.
const SERVER_ANY: std::ops::RangeInclusive<usize> = 8..=32;
/// Version 1 and three reserved octets. RFC 9018 §4.1 and §4.2.
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// How old a cookie may be. RFC 9018 §4.3.
const AGE_MAX_S: i32 = 3600;
/// How far the clock of the node that made it may be ahead. RFC 9018 §4.3.
const AHEAD_MAX_S: i32 = 300;
/// An older one is replaced. RFC 9018 §4.3.
const RENEW_AFTER_S: i32 = 1800;

/// What the COOKIE option of a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The client's own cookie alone.
    Client([u8; CLIENT]),
    /// Also a server cookie, which may be one of ours.
    Both([u8; CLIENT], [u8; SERVER]),
    /// Also a server cookie that cannot be ours: its length is another one.
    Foreign([u8; CLIENT]),
    /// A length that no cookie has.
    Malformed,
}

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// A server cookie of ours came from the address that it was made for, in time.
    pub is_good: bool,
    /// The value of the option in the answer.
    pub reply: [u8; REPLY],
}

impl Cookie {
    /// Reads the value of an option. RFC 7873 §4.
    #[must_use]
    pub fn read(value: &[u8]) -> Self {
        let Some((client, server)) = value.split_first_chunk() else {
            return Self::Malformed;
        };
        match (server.try_into(), server.len()) {
            (_, 0) => Self::Client(*client),
            (Ok(server), _) => Self::Both(*client, server),
            (Err(_), length) if SERVER_ANY.contains(&length) => Self::Foreign(*client),
            (Err(_), _) => Self::Malformed,
        }
    }

    /// Whether the client sent any server cookie.
    #[must_use]
    pub fn has_server_part(&self) -> bool {
        matches!(self, Self::Both(..) | Self::Foreign(_))
    }

    /// What this cookie of `client` is worth at `now_s` (seconds since 1970, modulo 2³²); `None` when
    /// it is malformed, which is FORMERR (RFC 7873 §5.2.2).
    #[must_use]
    pub fn judge(&self, secrets: &CookieSecrets, client: IpAddr, now_s: u32) -> Option<Judged> {
        let (own, server) = match self {
            Self::Client(own) | Self::Foreign(own) => (own, None),
            Self::Both(own, server) => (own, Some(server)),
            Self::Malformed => return None,
        };
        let found = server.map(|server| examine(secrets, own, server, client, now_s));
        Some(Judged {
            is_good: matches!(found, Some(Found::Good | Found::Old)),
            reply: match (server, found) {
                (Some(server), Some(Found::Good)) => joined(own, server),
                _ => joined(own, &make(&secrets.active, own, client, now_s)),
            },
        })
    }
}

/// What a server cookie turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// To be used on.
    Good,
    /// Good, and to be replaced: half its life is over, or its secret goes out of use.
    Old,
    /// Not ours, of another client, or out of its time.
    Bad,
}

/// RFC 9018 §4.
fn examine(
    secrets: &CookieSecrets,
    own: &[u8; CLIENT],
    server: &[u8; SERVER],
    client: IpAddr,
    now_s: u32,
) -> Found {
    let [version, _, _, _, second, third, fourth, fifth, hash @ ..] = *server;
    let made_s = u32::from_be_bytes([second, third, fourth, fifth]);
    // RFC 1982 §3.2: the clock goes round.
    let age_s = now_s.wrapping_sub(made_s).cast_signed();
    if version != 1 || !(-AHEAD_MAX_S..=AGE_MAX_S).contains(&age_s) {
        return Found::Bad;
    }
    // RFC 9018 §4.2: reserved octets may have any value, and are hashed as they came.
    let Some((head, _)) = server.split_first_chunk() else {
        return Found::Bad;
    };
    let is_made_with = |secret: &[u8; 16]| hash == sign(secret, own, head, client);
    if is_made_with(&secrets.active) {
        if age_s > RENEW_AFTER_S {
            Found::Old
        } else {
            Found::Good
        }
    } else if secrets.other.as_ref().is_some_and(is_made_with) {
        Found::Old
    } else {
        Found::Bad
    }
}

fn make(secret: &[u8; 16], own: &[u8; CLIENT], client: IpAddr, now_s: u32) -> [u8; SERVER] {
    let head: [u8; 8] = joined(&VERSION, &now_s.to_be_bytes());
    joined(&head, &sign(secret, own, &head, client))
}

/// SipHash-2-4 of client cookie, version, reserved, timestamp and client address. RFC 9018 §4.4.
fn sign(secret: &[u8; 16], own: &[u8; CLIENT], head: &[u8; 8], client: IpAddr) -> [u8; 8] {
    let hasher = SipHasher24::new_with_key(secret);
    let front: [u8; 16] = joined(own, head);
    let hash = match client.to_canonical() {
        IpAddr::V4(address) => hasher.hash(&joined::<20>(&front, &address.octets())),
        IpAddr::V6(address) => hasher.hash(&joined::<32>(&front, &address.octets())),
    };
    hash.to_le_bytes()
}

/// `N` is the length of both together.
fn joined<const N: usize>(front: &[u8], back: &[u8]) -> [u8; N] {
    let mut both = [0; N];
    for (to, from) in both.iter_mut().zip(front.iter().chain(back)) {
        *to = *from;
    }
    both
}

#[cfg(test)]
mod tests;
