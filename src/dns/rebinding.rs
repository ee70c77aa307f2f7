//! Private addresses in answers from public zones: somebody outside aims a client's browser at what
//! is inside. Such an answer is replaced by "no such record".
//!
//! Source: RFC 6890 §2.2 (the blocks), RFC 1918 §3, RFC 3927 §1.2, RFC 4193 §3, RFC 4291 §2.5 (private,
//! link-local, mapped), RFC 6052 §2.1 (behind a translator), RFC 9460 §7.3 (hints in service
//! bindings), RFC 8914 §4.16 (Blocked).
//! The whole answer goes: one that has a public address beside the private one is the very attack.
//! The question's name decides what is exempt, and no alias's target: else anybody could lead there.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cache::clean::Cleaned;
use super::code::{ExtendedError, Rcode};
use super::key::Key;
use super::sections::Sections;
use super::walk::{Cursor, Record, rtype};
use super::{ForwardZone, RebindingSettings};

const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;
const ROOT: &[u8] = b"\x00";
/// The well-known prefix of translators. RFC 6052 §2.1.
const TRANSLATED: [u8; 12] = [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0];

/// The protection, when it is wanted.
#[derive(Debug)]
pub struct Rebinding {
    /// Names at and below which everything is all right.
    exempt: HashSet<Box<[u8]>>,
    blocked: AtomicU64,
}

impl Rebinding {
    /// `None` when it is switched off. What the upstreams of a zone other than the root say is the
    /// operator's own.
    #[must_use]
    pub fn new(settings: &RebindingSettings, zones: &[ForwardZone]) -> Option<Self> {
        let own = zones.iter().map(|zone| &zone.zone);
        let own = own.filter(|zone| zone.as_slice() != ROOT);
        settings.enabled.then(|| Self {
            exempt: own
                .chain(&settings.allowed)
                .map(|name| name.as_slice().into())
                .collect(),
            blocked: AtomicU64::new(0),
        })
    }

    /// Answers that were replaced.
    #[must_use]
    pub fn blocked(&self) -> u64 {
        self.blocked.load(Ordering::Relaxed)
    }

    /// The answer to `key`, or what is said in its place, for `max_negative_ttl` at most.
    #[must_use]
    pub fn pass<'a>(
        &self,
        key: &Key,
        answer: Cleaned<'a>,
        max_negative_ttl: Duration,
    ) -> Cleaned<'a> {
        if !has_private_address(answer.sections) || self.is_exempt(key.name()) {
            return answer;
        }
        self.blocked.fetch_add(1, Ordering::Relaxed);
        Cleaned {
            rcode: Rcode::NOERROR,
            authentic: false,
            sections: Sections::default(),
            lifetime: answer
                .lifetime
                .map(|lifetime| lifetime.min(max_negative_ttl)),
            extended_error: Some(ExtendedError::BLOCKED),
        }
    }

    fn is_exempt(&self, name: &[u8]) -> bool {
        let mut rest = name;
        loop {
            if self.exempt.contains(rest) {
                return true;
            }
            match rest.split_first() {
                Some((&length @ 1.., behind)) => {
                    rest = behind.get(usize::from(length)..).unwrap_or_default();
                }
                _ => return false,
            }
        }
    }
}

fn has_private_address(sections: Sections<'_>) -> bool {
    let [answers, ..] = sections.counts();
    let mut cursor = Cursor::new(sections.records(), 0);
    (0..answers)
        .map_while(|_| cursor.checked_record().ok())
        .any(|record| names_private_address(&record))
}

fn names_private_address(record: &Record<'_>) -> bool {
    match record.rtype {
        rtype::A => addresses(record.rdata, IPV4_HINT).any(is_private),
        rtype::AAAA => addresses(record.rdata, IPV6_HINT).any(is_private),
        rtype::SVCB | rtype::HTTPS => {
            hints(record.rdata).any(|(key, value)| addresses(value, key).any(is_private))
        }
        _ => false,
    }
}

/// The addresses in `value`, of the family that `key` is the hint of.
fn addresses(value: &[u8], key: u16) -> impl Iterator<Item = IpAddr> {
    let four = (key == IPV4_HINT).then_some(value.as_chunks::<4>().0);
    let six = (key == IPV6_HINT).then_some(value.as_chunks::<16>().0);
    let four = four.into_iter().flatten();
    let six = six.into_iter().flatten();
    four.map(|octets| IpAddr::from(*octets))
        .chain(six.map(|octets| IpAddr::from(*octets)))
}

/// The parameters of a service binding by their keys, as far as they can be read. RFC 9460 §2.2.
fn hints(rdata: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut cursor = Cursor::new(rdata, 2);
    let mut readable = cursor.plain_name().is_ok();
    std::iter::from_fn(move || {
        let mut parameter = || {
            let key = cursor.u16().ok()?;
            let length = usize::from(cursor.u16().ok()?);
            Some((key, cursor.take(length).ok()?))
        };
        let next = readable.then(&mut parameter).flatten();
        readable = next.is_some();
        next
    })
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first == 0 || address.is_loopback() || address.is_private() || address.is_link_local()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let octets = address.octets();
    let translated = octets
        .strip_prefix(&TRANSLATED)
        .and_then(<[u8]>::first_chunk);
    let inner = address
        .to_ipv4_mapped()
        .or_else(|| translated.map(|octets: &[u8; 4]| Ipv4Addr::from(*octets)));
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || inner.is_some_and(is_private_v4)
}

#[cfg(test)]
mod tests;
