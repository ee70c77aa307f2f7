//! Makes the tree of what is answered here from records, zones and special names.
//!
//! Source: RFC 6303 §3 (SOA and NS of an empty zone), RFC 2308 §3 (SOA in negative answers), RFC 6761
//! §6.3 (localhost).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::super::code::{ExtendedError, Rcode};
use super::super::sections::{BuiltRecord, BuiltSections, QUESTION_NAME};
use super::super::walk::{class, rtype};
use super::super::{ForwardZone, LocalRecord, SpecialNameSettings, ZoneAction};
use super::special::{self, Kind};
use super::{Cut, LocalTree, Node, Otherwise, Said, Zone, hosts, parent};

const ROOT: &[u8] = &[0];
const TYPE_NS: u16 = 2;
const TYPE_PTR: u16 = 12;
/// Seconds, of special names and what does not exist below them. RFC 6303 §3.
const SPECIAL_TTL_S: u32 = 10_800;
/// The same of zones of the configuration, which may change.
const CONFIGURED_TTL_S: u32 = 300;
/// `nobody.invalid.`: there is no mailbox. RFC 6303 §3.
const NOBODY: &[u8] = b"\x06nobody\x07invalid\x00";
/// Type and RDATA of what every name at and below `localhost.` has.
const LOOPBACK: [(u16, &[u8]); 2] = [(1, &[127, 0, 0, 1]), (28, &Ipv6Addr::LOCALHOST.octets())];

/// What is said of the names of a zone that have no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Special(Kind),
    /// `use-application-dns.net.`: a policy rather than a fact.
    Canary,
    Local,
    Refused,
}

impl Nature {
    /// Whether its apex has SOA and NS.
    fn is_zone(self) -> bool {
        matches!(
            self,
            Self::Local | Self::Special(Kind::Empty | Kind::NoData)
        )
    }

    fn ttl_s(self) -> u32 {
        match self {
            Self::Special(_) | Self::Canary => SPECIAL_TTL_S,
            Self::Local | Self::Refused => CONFIGURED_TTL_S,
        }
    }

    /// What its names have without any record: type and RDATA.
    pub(super) fn types(self) -> &'static [(u16, &'static [u8])] {
        match self {
            Self::Special(Kind::Loopback) => &LOOPBACK,
            Self::Special(_) | Self::Canary | Self::Local | Self::Refused => &[],
        }
    }

    fn rcode(self) -> Rcode {
        match self {
            Self::Special(Kind::Loopback | Kind::NoData) => Rcode::NOERROR,
            Self::Special(Kind::Absent | Kind::Empty) | Self::Canary | Self::Local => {
                Rcode::NXDOMAIN
            }
            Self::Refused => Rcode::REFUSED,
        }
    }
}

/// A zone before there are nodes.
struct Plan {
    apex: Vec<u8>,
    /// `None`: forwarded.
    nature: Option<Nature>,
    has_parent: bool,
}

pub(super) fn build(
    records: &[LocalRecord],
    zones: &[ForwardZone],
    special: &SpecialNameSettings,
) -> LocalTree {
    let plans = plans(zones, special);
    let mut grouped: Grouped<'_> = HashMap::new();
    for record in records {
        grouped.entry(&record.name).or_default().push(record);
    }
    let own = synthesised(&plans, &grouped);
    for record in &own {
        grouped.entry(&record.name).or_default().push(record);
    }
    let mut tree = LocalTree::default();
    for plan in &plans {
        tree.add_zone(plan);
    }
    for name in grouped.keys() {
        tree.node(name).exists = true;
        tree.exists_above(name);
    }
    for name in tree.nodes.keys() {
        // Those of one label: its length, the label, the root.
        if let Some((&length, [label @ .., 0])) = name.split_first()
            && usize::from(length) == label.len()
        {
            tree.tops.note(label);
        }
    }
    let author = Author {
        tree: &tree,
        records: &grouped,
        own_negative: Arc::new(Otherwise::nodata(own_negative(None))),
    };
    let said: Vec<(&[u8], Said)> = grouped
        .iter()
        .map(|(name, records)| (*name, author.said(name, records)))
        .collect();
    for (name, said) in said {
        tree.node(name).said = Some(Box::new(said));
    }
    tree
}

pub(super) type Grouped<'a> = HashMap<&'a [u8], Vec<&'a LocalRecord>>;

/// All zones: those of the configuration, and the special names that none of them has taken.
fn plans(zones: &[ForwardZone], settings: &SpecialNameSettings) -> Vec<Plan> {
    let configured = zones.iter().filter_map(|zone| {
        let nature = match zone.action {
            ZoneAction::Forward if zone.zone == ROOT => return None,
            ZoneAction::Forward => None,
            ZoneAction::Local => Some(Nature::Local),
            ZoneAction::Refuse => Some(Nature::Refused),
        };
        Some(Plan {
            apex: zone.zone.to_ascii_lowercase(),
            nature,
            has_parent: zone.zone != ROOT,
        })
    });
    let mut plans: Vec<Plan> = configured.collect();
    let is_taken = |name: &[u8]| {
        let taken = |zone: &ForwardZone| zone.zone != ROOT && is_at_or_below(name, &zone.zone);
        zones.iter().any(taken)
    };
    for special in special::names(settings) {
        if is_taken(&special.name) {
            continue;
        }
        let nature = if special::is_canary(&special.name) {
            Nature::Canary
        } else {
            Nature::Special(special.kind)
        };
        plans.push(Plan {
            apex: special.name,
            nature: Some(nature),
            has_parent: special.is_delegated,
        });
    }
    plans
}

fn is_at_or_below(name: &[u8], apex: &[u8]) -> bool {
    let mut rest = Some(name);
    while let Some(suffix) = rest {
        if suffix.eq_ignore_ascii_case(apex) {
            return true;
        }
        rest = parent(suffix);
    }
    false
}

/// SOA and NS of the zones, and the names of the loopback addresses, where no record was configured
/// that says otherwise.
fn synthesised(plans: &[Plan], configured: &Grouped<'_>) -> Vec<LocalRecord> {
    let mut own = Vec::new();
    let has = |name: &[u8], wanted: u16| {
        let mut records = configured.get(name).into_iter().flatten();
        records.any(|record| record.rtype == wanted)
    };
    let record = |name: &[u8], rtype, ttl_s, rdata| LocalRecord {
        name: name.to_vec(),
        rtype,
        ttl_s,
        rdata,
    };
    for plan in plans {
        let Some(nature) = plan.nature else { continue };
        let apex = &plan.apex;
        if nature.is_zone() && !has(apex, rtype::CNAME) {
            let ttl_s = nature.ttl_s();
            own.push(record(apex, rtype::SOA, ttl_s, soa(apex, ttl_s)));
            if !has(apex, TYPE_NS) {
                own.push(record(apex, TYPE_NS, ttl_s, apex.clone()));
            }
        }
        let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        for name in addresses.map(hosts::reverse_name) {
            let is_special = nature == Nature::Special(Kind::Empty);
            if is_special && is_at_or_below(&name, apex) && !configured.contains_key(&*name) {
                let localhost = special::wire("localhost");
                own.push(record(&name, TYPE_PTR, SPECIAL_TTL_S, localhost));
            }
        }
    }
    own
}

/// RDATA with the values of RFC 6303 §3; `primary` is the apex.
fn soa(primary: &[u8], ttl_s: u32) -> Vec<u8> {
    let mut rdata = primary.to_vec();
    rdata.extend_from_slice(NOBODY);
    for value in [1, 3600, 1200, 604_800, ttl_s] {
        rdata.extend_from_slice(&value.to_be_bytes());
    }
    rdata
}

/// RFC 2308 §3: who is the source of an answer says for how long there is nothing. A name with
/// records outside of all zones that are answered here counts as a zone of its own; `None` is the
/// name in the question.
fn own_negative(owner: Option<&[u8]>) -> NegativeRecord<'_> {
    NegativeRecord {
        owner,
        ttl_s: CONFIGURED_TTL_S,
        rdata: soa(owner.unwrap_or(&QUESTION_NAME), CONFIGURED_TTL_S),
    }
}

/// The SOA of a negative answer.
pub(super) struct NegativeRecord<'a> {
    owner: Option<&'a [u8]>,
    ttl_s: u32,
    rdata: Vec<u8>,
}

impl NegativeRecord<'_> {
    pub(super) fn record(&self) -> BuiltRecord<'_> {
        BuiltRecord {
            owner: self.owner,
            rtype: rtype::SOA,
            class: class::IN,
            ttl_s: self.ttl_s,
            rdata: &self.rdata,
        }
    }
}

impl Otherwise {
    fn nodata(negative: NegativeRecord<'_>) -> Self {
        Self {
            rcode: Rcode::NOERROR,
            sections: BuiltSections::new([], [negative.record()]),
            extended_error: None,
            target: None,
        }
    }
}

impl LocalTree {
    fn add_zone(&mut self, plan: &Plan) {
        let zone = plan.nature.map(|nature| {
            self.zones.push(Zone::new(&plan.apex, nature));
            self.zones.len() - 1
        });
        let node = self.node(&plan.apex);
        // The first one wins, as in the table of upstreams; the configuration has none twice.
        node.cut.get_or_insert(Cut {
            zone,
            has_parent: plan.has_parent,
        });
        let is_absent = matches!(
            plan.nature,
            Some(Nature::Special(Kind::Absent) | Nature::Canary)
        );
        node.exists |= !is_absent;
        self.exists_above(&plan.apex);
    }

    fn node(&mut self, name: &[u8]) -> &mut Node {
        if name == ROOT {
            return &mut self.root;
        }
        self.nodes.entry(name.into()).or_default()
    }

    /// All names above one exist. RFC 8020 §2.
    fn exists_above(&mut self, name: &[u8]) {
        let mut rest = parent(name);
        while let Some(above) = rest {
            self.node(above).exists = true;
            rest = parent(above);
        }
    }
}

impl Zone {
    fn new(apex: &[u8], nature: Nature) -> Self {
        let negative = Self::negative_of(apex, nature);
        let otherwise = Otherwise {
            rcode: nature.rcode(),
            sections: BuiltSections::new([], negative.iter().map(NegativeRecord::record)),
            extended_error: matches!(nature, Nature::Refused | Nature::Canary)
                .then_some(ExtendedError::BLOCKED),
            target: None,
        };
        let types = nature.types().iter().map(|&(rtype, rdata)| {
            let record = (rtype, class::IN, nature.ttl_s(), rdata);
            (rtype, BuiltSections::answers([record]))
        });
        Self {
            apex: apex.into(),
            nature,
            said: Said {
                by_type: types.collect(),
                otherwise: Arc::new(otherwise),
            },
        }
    }

    /// `None`: names are refused, or have a zone of their own.
    pub(super) fn negative(&self) -> Option<NegativeRecord<'_>> {
        Self::negative_of(&self.apex, self.nature)
    }

    fn negative_of(apex: &[u8], nature: Nature) -> Option<NegativeRecord<'_>> {
        (nature != Nature::Refused).then(|| NegativeRecord {
            owner: Some(apex),
            ttl_s: nature.ttl_s(),
            rdata: soa(apex, nature.ttl_s()),
        })
    }

    pub(super) fn ttl_s(&self) -> u32 {
        self.nature.ttl_s()
    }
}

/// Writes what is said of names with records, when all zones and names are known.
pub(super) struct Author<'a> {
    pub(super) tree: &'a LocalTree,
    pub(super) records: &'a Grouped<'a>,
    own_negative: Arc<Otherwise>,
}

impl Author<'_> {
    fn said(&self, name: &[u8], records: &[&LocalRecord]) -> Said {
        if let Some(alias) = records.iter().find(|record| record.rtype == rtype::CNAME) {
            return self.said_of_alias(alias);
        }
        let mut by_type: Vec<(u16, BuiltSections)> = Vec::new();
        for record in records {
            if by_type.iter().all(|(rtype, _)| *rtype != record.rtype) {
                let same = records.iter().filter(|other| other.rtype == record.rtype);
                let same = same.map(|record| built(record, None));
                by_type.push((record.rtype, BuiltSections::new(same, [])));
            }
        }
        let zone = self.zone_of(name);
        Said {
            by_type: by_type.into(),
            otherwise: match zone.and_then(Zone::negative) {
                Some(negative) => Arc::new(Otherwise::nodata(negative)),
                None => Arc::clone(&self.own_negative),
            },
        }
    }

    /// The zone around a name that is answered here.
    pub(super) fn zone_of(&self, name: &[u8]) -> Option<&Zone> {
        let place = self.tree.locate(name, rtype::ANY)?;
        self.tree.zones.get(place.zone?)
    }

    /// What tells that a name has no records of a type, or does not exist.
    pub(super) fn negative<'n>(&'n self, name: &'n [u8]) -> NegativeRecord<'n> {
        let zone = self.zone_of(name).and_then(Zone::negative);
        zone.unwrap_or_else(|| own_negative(Some(name)))
    }
}

/// A record as it stands in an answer; without an owner it is that of the question.
pub(super) fn built<'a>(record: &'a LocalRecord, owner: Option<&'a [u8]>) -> BuiltRecord<'a> {
    BuiltRecord {
        owner,
        rtype: record.rtype,
        class: class::IN,
        ttl_s: record.ttl_s,
        rdata: &record.rdata,
    }
}
