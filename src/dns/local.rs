//! Records from the configuration, which no upstream is asked for.
//!
//! Names match exactly, wildcards are not known. A name with any record exists: other types of it
//! have an empty answer (NODATA), and names below it go to the upstreams. An alias (CNAME) is
//! answered for every type of its name (RFC 1034 §3.6.2); its target is left to the client.
//! Local answers have AA set, as Unbound's have: this node is where they come from.

use std::collections::HashMap;

use super::LocalRecord;
use super::sections::{BuiltSections, Sections};
use super::walk::{class, rtype};

/// All local records, by name and type.
#[derive(Clone, Debug, Default)]
pub struct LocalRecords {
    names: HashMap<Box<[u8]>, LocalName>,
    nothing: BuiltSections,
}

/// Ready answers for one name.
#[derive(Clone, Debug, Default)]
struct LocalName {
    any: BuiltSections,
    by_type: Vec<(u16, BuiltSections)>,
}

impl LocalRecords {
    /// Builds the answers once.
    #[must_use]
    pub fn new(records: &[LocalRecord]) -> Self {
        let mut grouped: HashMap<&[u8], Vec<&LocalRecord>> = HashMap::new();
        for record in records {
            grouped.entry(&record.name).or_default().push(record);
        }
        let names = grouped
            .into_iter()
            .map(|(name, records)| (name.into(), LocalName::new(&records)))
            .collect();
        Self {
            names,
            nothing: BuiltSections::default(),
        }
    }

    /// The answer to a question of class IN, if `name` (lower case, wire form) is a local one.
    #[must_use]
    pub fn find(&self, name: &[u8], qtype: u16) -> Option<Sections<'_>> {
        if self.names.is_empty() {
            return None;
        }
        let local = self.names.get(name)?;
        if qtype == rtype::ANY {
            return Some(local.any.lend());
        }
        let of_type = |wanted| {
            let mut types = local.by_type.iter();
            types.find_map(|(rtype, sections)| (*rtype == wanted).then_some(sections))
        };
        let found = of_type(qtype).or_else(|| of_type(rtype::CNAME));
        Some(found.unwrap_or(&self.nothing).lend())
    }
}

impl LocalName {
    fn new(records: &[&LocalRecord]) -> Self {
        let mut by_type: Vec<(u16, BuiltSections)> = Vec::new();
        for record in records {
            if by_type.iter().all(|(rtype, _)| *rtype != record.rtype) {
                let same = records.iter().filter(|other| other.rtype == record.rtype);
                by_type.push((record.rtype, sections(same.copied())));
            }
        }
        // RFC 8482 §4.1: any one RRset is enough.
        let any = by_type.first().map(|(_, first)| first.clone());
        Self {
            any: any.unwrap_or_default(),
            by_type,
        }
    }
}

fn sections<'a>(records: impl Iterator<Item = &'a LocalRecord>) -> BuiltSections {
    let parts = |record: &'a LocalRecord| (record.rtype, class::IN, record.ttl_s, &*record.rdata);
    BuiltSections::answers(records.map(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &[u8], rtype: u16, rdata: &[u8]) -> LocalRecord {
        LocalRecord {
            name: name.to_vec(),
            rtype,
            ttl_s: 60,
            rdata: rdata.to_vec(),
        }
    }

    fn answers(local: &LocalRecords, name: &[u8], qtype: u16) -> Option<u16> {
        local.find(name, qtype).map(|found| found.counts()[0])
    }

    /// RFC 2308 §2.2: NODATA is a name without the type.
    #[test]
    fn a_local_name_has_its_types_and_no_others() {
        let name = b"\x07printer\x00";
        let local = LocalRecords::new(&[
            record(name, 1, &[10, 0, 0, 40]),
            record(name, 1, &[10, 0, 0, 41]),
            record(name, 16, b"\x01x"),
        ]);
        assert_eq!(answers(&local, name, 1), Some(2));
        assert_eq!(answers(&local, name, 16), Some(1));
        assert_eq!(answers(&local, name, 28), Some(0));
        assert_eq!(answers(&local, name, rtype::ANY), Some(2));
        assert_eq!(answers(&local, b"\x01a\x07printer\x00", 1), None);
        assert_eq!(answers(&local, b"\x00", 1), None);
    }

    /// RFC 1034 §3.6.2: an alias stands for every type but its own.
    #[test]
    fn an_alias_answers_every_type() {
        let name = b"\x03www\x00";
        let local = LocalRecords::new(&[record(name, 5, b"\x01a\x00")]);
        for qtype in [1, 5, 28] {
            assert_eq!(answers(&local, name, qtype), Some(1), "{qtype}");
        }
    }

    #[test]
    fn a_record_stands_in_the_answer_as_configured() {
        let name = b"\x01a\x00";
        let local = LocalRecords::new(&[record(name, 1, &[10, 0, 0, 40])]);
        let mut out = Vec::new();
        local
            .find(name, 1)
            .unwrap()
            .write(&mut out, crate::dns::sections::Ttl::Aged(5));
        assert_eq!(
            out,
            b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x28"
        );
    }
}
