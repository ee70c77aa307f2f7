//! Aliases (CNAME) in local records: followed once, when the answers are made.
//!
//! Source: RFC 1034 §3.6.2 and §4.3.2 (3a), RFC 2308 §2.1 and §2.2 (an alias that leads to nothing), RFC
//! 6604 §3 (the RCODE is that of the last name).

use std::sync::Arc;

use super::super::LocalRecord;
use super::super::code::Rcode;
use super::super::sections::{BuiltRecord, BuiltSections};
use super::super::walk::{class, rtype};
use super::build::{Author, NegativeRecord, built};
use super::{Otherwise, Said};

/// Most aliases that lead from one to the next; what leads on is answered with SERVFAIL.
pub const LINKS_MAX: usize = 8;

/// Where aliases lead.
struct Chain<'a> {
    links: Vec<&'a LocalRecord>,
    /// Lower case.
    target: Vec<u8>,
}

impl Author<'_> {
    pub(super) fn said_of_alias(&self, alias: &LocalRecord) -> Said {
        let mut by_type = vec![(rtype::CNAME, BuiltSections::new([built(alias, None)], []))];
        let Some(Chain { links, target }) = self.follow(alias) else {
            return Said {
                by_type: by_type.into(),
                otherwise: Arc::new(Otherwise {
                    rcode: Rcode::SERVFAIL,
                    sections: BuiltSections::default(),
                    extended_error: None,
                    target: None,
                }),
            };
        };
        let chain = || {
            let links = links.iter().enumerate();
            links.map(|(index, link)| built(link, (index > 0).then_some(&*link.name)))
        };
        for (rtype, records) in self.types_of(&target) {
            by_type.push((rtype, BuiltSections::new(chain().chain(records), [])));
        }
        let has_records = self.records.contains_key(&*target);
        // What the zone says of a name without records.
        let zone = self.tree.find(&target, rtype::CNAME);
        let zone = zone.filter(|_| !has_records);
        let rcode = zone.map_or(Rcode::NOERROR, |zone| zone.rcode);
        let is_here = has_records || zone.is_some();
        let negative = (is_here && rcode != Rcode::REFUSED).then(|| self.negative(&target));
        let negative = negative.iter().map(NegativeRecord::record);
        Said {
            by_type: by_type.into(),
            otherwise: Arc::new(Otherwise {
                rcode,
                sections: BuiltSections::new(chain(), negative),
                extended_error: zone.and_then(|zone| zone.extended_error),
                target: (!is_here).then(|| target.clone().into()),
            }),
        }
    }

    /// `None`: they lead on and on.
    fn follow<'a>(&'a self, first: &'a LocalRecord) -> Option<Chain<'a>> {
        let mut links = vec![first];
        let mut target = first.rdata.to_ascii_lowercase();
        loop {
            let records = self.records.get(&*target);
            let next = records.and_then(|records| {
                let mut records = records.iter();
                records.find(|record| record.rtype == rtype::CNAME)
            });
            let Some(next) = next else {
                return Some(Chain { links, target });
            };
            if links.len() == LINKS_MAX {
                return None;
            }
            links.push(next);
            target = next.rdata.to_ascii_lowercase();
        }
    }

    /// The types that a name has here, each with its records.
    fn types_of<'a>(&'a self, name: &'a [u8]) -> Vec<(u16, Vec<BuiltRecord<'a>>)> {
        let mut types: Vec<(u16, Vec<BuiltRecord<'a>>)> = Vec::new();
        let mut add = |record: BuiltRecord<'a>| match types
            .iter_mut()
            .find(|(rtype, _)| *rtype == record.rtype)
        {
            Some((_, records)) => records.push(record),
            None => types.push((record.rtype, vec![record])),
        };
        if let Some(records) = self.records.get(name) {
            records
                .iter()
                .for_each(|record| add(built(record, Some(name))));
        } else if let Some(zone) = self.zone_of(name) {
            for (rtype, rdata) in zone.nature.types() {
                add(BuiltRecord {
                    owner: Some(name),
                    rtype: *rtype,
                    class: class::IN,
                    ttl_s: zone.ttl_s(),
                    rdata,
                });
            }
        }
        types
    }
}
