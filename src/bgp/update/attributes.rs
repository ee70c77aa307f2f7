//! The walk over path attributes.
//!
//! Source: RFC 7606 §3 (general), §4 (lengths), §7 (each attribute), RFC 8092 §5 (large communities),
//! RFC 9234 §5 (OTC), RFC 9774 §3 (AS_SET), RFC 8950 §3 (IPv4 with an IPv6 next hop), RFC 7607 §2 (AS 0), RFC 5065 §5
//! (confederations).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::path::AsPath;
use super::{AttributeError, Octets, Reading, UpdateError, v4_prefixes, v6_prefixes};
use crate::bgp::message::Family;

const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const EXTENDED_LENGTH: u8 = 0x10;

const ORIGIN: u8 = 1;
const AS_PATH: u8 = 2;
const NEXT_HOP: u8 = 3;
const MED: u8 = 4;
const LOCAL_PREF: u8 = 5;
const ATOMIC_AGGREGATE: u8 = 6;
const AGGREGATOR: u8 = 7;
const COMMUNITIES: u8 = 8;
const ORIGINATOR_ID: u8 = 9;
const CLUSTER_LIST: u8 = 10;
const MP_REACH: u8 = 14;
const MP_UNREACH: u8 = 15;
const EXTENDED_COMMUNITIES: u8 = 16;
const AS4_PATH: u8 = 17;
const AS4_AGGREGATOR: u8 = 18;
const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
const LARGE_COMMUNITIES: u8 = 32;
const ONLY_TO_CUSTOMER: u8 = 35;

/// What the walk has gathered so far.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) withdrawn: Vec<IpNet>,
    pub(super) announced: Vec<IpNet>,
    /// NEXT_HOP.
    next_hop: Option<Ipv4Addr>,
    /// Of IPv4 prefixes in MP_REACH.
    reach_v4: Option<IpAddr>,
    pub(super) next_hop_v6: Option<Ipv6Addr>,
    pub(super) med: Option<u32>,
    pub(super) local_pref: Option<u32>,
    pub(super) communities: Vec<u32>,
    pub(super) large_communities: Vec<[u32; 3]>,
    pub(super) only_to_customer: Option<u32>,
    pub(super) end_of_rib: Option<Family>,
    /// The first error for which the prefixes count as withdrawn.
    pub(super) error: Option<AttributeError>,
    /// A path with a set: so do they for that, but it can be read, and throws no doubt on the rest.
    pub(super) set: Option<AttributeError>,
    path: Option<AsPath>,
    path4: Option<AsPath>,
    /// Something is announced that is of no family of the session.
    reaches_others: bool,
    /// Codes of known attributes, each once.
    seen: Vec<u8>,
    count: usize,
}

impl Attributes {
    pub(super) fn walk(list: &[u8], reading: &Reading) -> Result<Self, UpdateError> {
        let mut read = Self::default();
        let mut octets = Octets::new(list);
        while !octets.is_empty() {
            read.count += 1;
            let start = octets.rest();
            let Some((flags, code, value)) = attribute(&mut octets) else {
                // RFC 7606 §4: nothing after this can be told apart.
                read.fail(AttributeError::Overrun);
                break;
            };
            let whole = start.len() - octets.rest().len();
            let whole = start.get(..whole).unwrap_or_default();
            read.attribute(flags, code, value, whole, reading)?;
        }
        // RFC 4724 §2: MP_UNREACH alone, without prefixes.
        if read.count != 1 || read.error.is_some() {
            read.end_of_rib = None;
        }
        Ok(read)
    }

    /// Whether there is an error and nothing that it could belong to: an UPDATE that only withdraws
    /// has no attribute but MP_UNREACH. RFC 7606 §5.2. To be asked when nothing is announced.
    pub(super) fn has_stray_error(&self) -> bool {
        let only_withdraws = self.count == 1 && self.seen.contains(&MP_UNREACH);
        self.error.is_some() && !only_withdraws && !self.reaches_others
    }

    /// Where IPv4 prefixes lead. RFC 4760 §3: NEXT_HOP says nothing of those in MP_REACH.
    pub(super) fn next_hop_v4(&self, has_v4: bool) -> Option<IpAddr> {
        match has_v4 {
            true => self.next_hop.map(IpAddr::V4),
            false => self.reach_v4,
        }
    }

    /// RFC 7606 §3 (d), §5.1: called when something is announced.
    pub(super) fn check_mandatory(&mut self, has_v4: bool, reading: &Reading) {
        for code in [ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF] {
            let needed = match code {
                NEXT_HOP => has_v4,
                LOCAL_PREF => reading.internal,
                _ => true,
            };
            if needed && !self.seen.contains(&code) {
                self.fail(AttributeError::Missing(code));
            }
        }
    }

    pub(super) fn as_path(&mut self) -> AsPath {
        let path = self.path.take().unwrap_or_default();
        match self.path4.take() {
            Some(four) => path.merge(four),
            None => path,
        }
    }

    fn fail(&mut self, error: AttributeError) {
        self.error.get_or_insert(error);
    }

    fn attribute(
        &mut self,
        flags: u8,
        code: u8,
        value: &[u8],
        whole: &[u8],
        reading: &Reading,
    ) -> Result<(), UpdateError> {
        let Some(expected) = expected_flags(code) else {
            // RFC 4271 §6.3: an optional attribute may be unknown, a well-known one must not.
            return match flags & OPTIONAL {
                0 => Err(UpdateError::WellKnown(whole.to_vec())),
                _ => Ok(()),
            };
        };
        // RFC 7606 §7.5, §7.9, §7.10: from outside they are discarded, whatever they look like.
        if !reading.internal && matches!(code, LOCAL_PREF | ORIGINATOR_ID | CLUSTER_LIST) {
            return Ok(());
        }
        if self.seen.contains(&code) {
            // RFC 7606 §3 (g): all but the first are discarded, save for these two.
            return match code {
                MP_REACH | MP_UNREACH => Err(UpdateError::Twice(code)),
                _ => Ok(()),
            };
        }
        self.seen.push(code);
        if flags & (OPTIONAL | TRANSITIVE) != expected {
            self.fail(AttributeError::Flags(code));
        }
        match code {
            MP_REACH => self
                .reach(value, reading)
                .ok_or_else(|| UpdateError::Multiprotocol(whole.to_vec())),
            MP_UNREACH => self
                .unreach(value, reading)
                .ok_or_else(|| UpdateError::Multiprotocol(whole.to_vec())),
            _ => {
                if self.value(code, value, reading).is_none() {
                    self.fail(AttributeError::Malformed(code));
                }
                Ok(())
            }
        }
    }

    /// `None` where the value is malformed and the prefixes have to go for it. RFC 7606 §7.
    fn value(&mut self, code: u8, value: &[u8], reading: &Reading) -> Option<()> {
        let mut octets = Octets::new(value);
        match code {
            ORIGIN => matches!(value, [0..=2]).then_some(()),
            AS_PATH => {
                let path = AsPath::decode(value, reading.four_octet)?;
                // RFC 7607 §2; RFC 5065 §5: an external peer is in no confederation with this side.
                let is_foreign = !reading.internal && path.has_confederation();
                if is_foreign || path.asns().any(|asn| asn == 0) {
                    return None;
                }
                if path.has_set() {
                    self.set = Some(AttributeError::Set(code));
                }
                self.path = Some(path);
                Some(())
            }
            NEXT_HOP => {
                self.next_hop = Some(Ipv4Addr::from(whole(&mut octets)?));
                Some(())
            }
            MED => {
                self.med = Some(u32::from_be_bytes(whole(&mut octets)?));
                Some(())
            }
            LOCAL_PREF => {
                self.local_pref = Some(u32::from_be_bytes(whole(&mut octets)?));
                Some(())
            }
            ORIGINATOR_ID => whole::<4>(&mut octets).map(|_| ()),
            CLUSTER_LIST => multiple(value, 4),
            COMMUNITIES => {
                multiple(value, 4)?;
                while let Some(community) = octets.u32() {
                    self.communities.push(community);
                }
                Some(())
            }
            EXTENDED_COMMUNITIES => multiple(value, 8),
            IPV6_EXTENDED_COMMUNITIES => multiple(value, 20),
            LARGE_COMMUNITIES => {
                multiple(value, 12)?;
                while let (Some(a), Some(b), Some(c)) = (octets.u32(), octets.u32(), octets.u32()) {
                    self.large_communities.push([a, b, c]);
                }
                Some(())
            }
            ONLY_TO_CUSTOMER => {
                self.only_to_customer = Some(u32::from_be_bytes(whole(&mut octets)?));
                Some(())
            }
            // RFC 6793 §4.1, §6: ignored from a four-octet speaker, discarded when malformed; so also
            // with AS 0 in it, RFC 7607 §2.
            AS4_PATH if !reading.four_octet => {
                let path = AsPath::decode(value, true);
                self.path4 = path.filter(|path| path.asns().all(|asn| asn != 0));
                if self.path4.as_ref().is_some_and(AsPath::has_set) {
                    self.set = Some(AttributeError::Set(code));
                }
                Some(())
            }
            // §7.6, §7.7: discarded when malformed, and of no interest otherwise.
            _ => Some(()),
        }
    }

    /// MP_REACH_NLRI; `None` when its prefixes cannot be told. RFC 4760 §3, RFC 7606 §7.11.
    fn reach(&mut self, value: &[u8], reading: &Reading) -> Option<()> {
        let mut octets = Octets::new(value);
        let family = Family::from_wire(octets.u16()?, octets.u8()?);
        let length = octets.u8()?;
        let next_hop = octets.take(usize::from(length))?;
        octets.u8()?;
        // RFC 4760 §6: what was not agreed on may look like anything.
        match family.filter(|family| reading.families.contains(*family)) {
            Some(Family::Ipv4) => {
                self.reach_v4 = Some(match <[u8; 4]>::try_from(next_hop) {
                    Ok(address) => IpAddr::from(address),
                    Err(_) if reading.ipv4_over_ipv6 => IpAddr::V6(v6_next_hop(next_hop)?),
                    Err(_) => return None,
                });
                self.announced = v4_prefixes(octets.rest())?;
            }
            Some(Family::Ipv6) => {
                self.next_hop_v6 = Some(v6_next_hop(next_hop)?);
                self.announced = v6_prefixes(octets.rest())?;
            }
            None => self.reaches_others = true,
        }
        Some(())
    }

    /// MP_UNREACH_NLRI. RFC 4760 §4.
    fn unreach(&mut self, value: &[u8], reading: &Reading) -> Option<()> {
        let mut octets = Octets::new(value);
        let family = Family::from_wire(octets.u16()?, octets.u8()?);
        let family = family.filter(|family| reading.families.contains(*family));
        match family {
            Some(Family::Ipv4) => self.withdrawn = v4_prefixes(octets.rest())?,
            Some(Family::Ipv6) => self.withdrawn = v6_prefixes(octets.rest())?,
            None => return Some(()),
        }
        if octets.is_empty() {
            self.end_of_rib = family;
        }
        Some(())
    }
}

/// The first address; a link-local one may follow. RFC 2545 §3, RFC 8950 §3.
fn v6_next_hop(field: &[u8]) -> Option<Ipv6Addr> {
    let (first, link_local) = field.split_first_chunk::<16>()?;
    matches!(link_local.len(), 0 | 16).then(|| Ipv6Addr::from(*first))
}

/// Flags, code and value of the next attribute.
fn attribute<'a>(octets: &mut Octets<'a>) -> Option<(u8, u8, &'a [u8])> {
    let (flags, code) = (octets.u8()?, octets.u8()?);
    let length = match flags & EXTENDED_LENGTH {
        0 => usize::from(octets.u8()?),
        _ => usize::from(octets.u16()?),
    };
    Some((flags, code, octets.take(length)?))
}

/// Optional and transitive bits of the attributes that are known. `None` for any other.
const fn expected_flags(code: u8) -> Option<u8> {
    Some(match code {
        ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF | ATOMIC_AGGREGATE => TRANSITIVE,
        MED | ORIGINATOR_ID | CLUSTER_LIST | MP_REACH | MP_UNREACH => OPTIONAL,
        AGGREGATOR
        | COMMUNITIES
        | EXTENDED_COMMUNITIES
        | AS4_PATH
        | AS4_AGGREGATOR
        | IPV6_EXTENDED_COMMUNITIES
        | LARGE_COMMUNITIES
        | ONLY_TO_CUSTOMER => OPTIONAL | TRANSITIVE,
        _ => return None,
    })
}

/// The value, if it is exactly so long.
fn whole<const N: usize>(octets: &mut Octets<'_>) -> Option<[u8; N]> {
    let value = octets.array()?;
    octets.is_empty().then_some(value)
}

fn multiple(value: &[u8], of: usize) -> Option<()> {
    (!value.is_empty() && value.len().is_multiple_of(of)).then_some(())
}
