//! `[[local]]`: what is answered from the configuration.
//!
//! Source: RFC 1034 §3.6.2 (aliases), RFC 2181 §5 and §8 (RRsets, TTL), RFC 1035 §4.2.2 (the longest
//! message).

use std::collections::HashMap;

use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List};
use crate::dns::LocalRecord;
use crate::dns::local::LINKS_MAX;
use crate::dns::record_text::{name_from_text, rdata_from_text};

use super::{Checker, elements};

/// CNAME. RFC 1035 §3.2.2.
const CNAME: u16 = 5;
/// RFC 2181 §8.
const TTL_MAX_S: u64 = 2_147_483_647;
/// What the records of one name and type may take in an answer. The longest one has 65535 octets;
/// the rest is for question, aliases and options.
const RRSET_BYTES_MAX: usize = 60_000;
/// A pointer to the name, type, class, TTL and length.
const RECORD_HEAD_BYTES: usize = 12;

impl Checker<'_> {
    pub(super) fn local(&mut self, raw: &List<raw::Local>, path: &KeyPath) -> Vec<LocalRecord> {
        let mut records: Vec<LocalRecord> = Vec::new();
        let mut seen = Seen::default();
        for (path, raw) in elements(raw, path) {
            let Some(record) = self.local_record(raw, &path) else {
                continue;
            };
            if let Some((key, text)) = record_problem(&record, &records) {
                self.error(&path.key(key), text);
            } else if let Err(text) = seen.add(&record, path.key("data")) {
                self.error(&path.key("data"), &text);
            } else {
                records.push(record);
            }
        }
        for path in seen.long_ways() {
            let text = format!(
                "this alias leads to another one, and so on more than {LINKS_MAX} times; let it \
                 lead to the last name"
            );
            self.error(&path, &text);
        }
        records
    }

    fn local_record(&mut self, raw: &raw::Local, path: &KeyPath) -> Option<LocalRecord> {
        if raw.name.is_none() {
            self.missing(path, "name", "\"printer.corp.example.\"");
        }
        if raw.rtype.is_none() {
            self.missing(path, "type", "\"A\"");
        }
        if raw.data.is_none() {
            self.missing(path, "data", "\"10.0.0.40\"");
        }
        let ttl_path = path.key("ttl");
        let ttl = match &raw.ttl {
            None => std::time::Duration::from_secs(3600),
            ttl => self.seconds(&ttl_path, ttl.as_ref(), 0..=TTL_MAX_S),
        };
        let name = raw.name.as_ref().and_then(|text| {
            let problem = match name_from_text(text) {
                Ok(name) if name.starts_with(b"\x01*") => {
                    "wildcards are not supported in this version; write each name".to_owned()
                }
                Ok(name) => return Some(name),
                Err(error) => format!("write a domain name: {error}"),
            };
            self.error(&path.key("name"), &problem);
            None
        });
        let (rtype, data) = (raw.rtype.as_ref()?, raw.data.as_ref()?);
        let (rtype, rdata) = match rdata_from_text(rtype, data) {
            Ok(parsed) => parsed,
            Err(error) => {
                let key = if error.is_about_type() {
                    "type"
                } else {
                    "data"
                };
                self.error(&path.key(key), &error.to_string());
                return None;
            }
        };
        Some(LocalRecord {
            name: name?,
            rtype,
            ttl_s: u32::try_from(ttl.as_secs()).ok()?,
            rdata,
        })
    }
}

/// RFC 1034 §3.6.2 (CNAME stands alone), RFC 2181 §5 (RRsets: no duplicates, one TTL).
fn record_problem(
    record: &LocalRecord,
    before: &[LocalRecord],
) -> Option<(&'static str, &'static str)> {
    let same_name = before.iter().filter(|other| other.name == record.name);
    for other in same_name {
        if other.rtype != record.rtype {
            if other.rtype == CNAME || record.rtype == CNAME {
                let text = "a name with a CNAME has no other records; remove one of them";
                return Some(("type", text));
            }
            continue;
        }
        if record.rtype == CNAME {
            return Some(("type", "a name has one CNAME; remove one of them"));
        }
        if other.rdata == record.rdata {
            return Some(("data", "this record is there already; remove one"));
        }
        if other.ttl_s != record.ttl_s {
            let text = "records of one name and type have one TTL; write the same for all";
            return Some(("ttl", text));
        }
    }
    None
}

/// What the records so far add up to.
#[derive(Default)]
struct Seen {
    /// In lower case: where each alias leads, and where that is written.
    aliases: HashMap<Vec<u8>, (Vec<u8>, KeyPath)>,
    bytes: HashMap<(Vec<u8>, u16), usize>,
}

impl Seen {
    /// What is wrong with the data of the record, if so; it is then left out.
    fn add(&mut self, record: &LocalRecord, data: KeyPath) -> Result<(), String> {
        let bytes = self
            .bytes
            .entry((record.name.clone(), record.rtype))
            .or_default();
        let more = *bytes + RECORD_HEAD_BYTES + record.rdata.len();
        if more > RRSET_BYTES_MAX {
            return Err(format!(
                "with this record, those of this name and type take {more} octets, more than fit \
                 into an answer ({RRSET_BYTES_MAX}); remove some"
            ));
        }
        *bytes = more;
        if record.rtype == CNAME {
            let target = record.rdata.to_ascii_lowercase();
            // None of those before leads round in a circle, so this ends.
            let mut way = std::iter::successors(Some(&*target), |name| self.next(name));
            if way.any(|name| name == record.name) {
                return Err(
                    "this alias leads back to its own name; let it lead to another one".to_owned(),
                );
            }
            self.aliases.insert(record.name.clone(), (target, data));
        }
        Ok(())
    }

    fn next(&self, name: &[u8]) -> Option<&[u8]> {
        self.aliases.get(name).map(|(target, _)| &**target)
    }

    /// Aliases with one step too many before them; those with more lead through one of these.
    fn long_ways(self) -> Vec<KeyPath> {
        let is_long = |name: &[u8]| {
            let way = std::iter::successors(self.next(name), |name| self.next(name));
            way.take(LINKS_MAX + 2).count() == LINKS_MAX + 1
        };
        let long = self.aliases.iter().filter(|(name, _)| is_long(name));
        long.map(|(_, (_, path))| path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, rtype: u16, rdata: Vec<u8>) -> LocalRecord {
        LocalRecord {
            name: name_from_text(name).unwrap(),
            rtype,
            ttl_s: 60,
            rdata,
        }
    }

    fn add_alias(seen: &mut Seen, from: &str, to: &str) -> Result<(), String> {
        let target = name_from_text(to).unwrap().to_ascii_uppercase();
        seen.add(&record(from, CNAME, target), KeyPath::root().key(from))
    }

    /// RFC 1034 §3.6.2: the record that closes a circle is the one that is told.
    #[test]
    fn an_alias_may_not_lead_back_to_itself() {
        let mut seen = Seen::default();
        assert!(add_alias(&mut seen, "self.example", "self.example").is_err());
        add_alias(&mut seen, "a.example", "b.example").unwrap();
        add_alias(&mut seen, "b.example", "c.example").unwrap();
        assert!(add_alias(&mut seen, "c.example", "a.example").is_err());
        add_alias(&mut seen, "c.example", "d.example").unwrap();
    }

    /// Eight aliases in a row are followed when answers are made; nine are not.
    #[test]
    fn nine_aliases_in_a_row_are_too_many() {
        let name = |index: usize| format!("n{index}.example");
        let mut seen = Seen::default();
        for index in 0..LINKS_MAX + 2 {
            add_alias(&mut seen, &name(index), &name(index + 1)).unwrap();
        }
        assert_eq!(seen.long_ways(), [KeyPath::root().key("n1.example")]);
        let mut seen = Seen::default();
        for index in 0..LINKS_MAX {
            add_alias(&mut seen, &name(index), &name(index + 1)).unwrap();
        }
        assert!(seen.long_ways().is_empty());
    }

    /// RFC 1035 §4.2.2: just what fits, and one octet more.
    #[test]
    fn records_that_no_answer_has_room_for_are_refused() {
        let mut seen = Seen::default();
        let half = RRSET_BYTES_MAX / 2 - RECORD_HEAD_BYTES;
        let mut add = |name, length| {
            let record = record(name, 16, vec![0; length]);
            seen.add(&record, KeyPath::root())
        };
        add("a.example", half).unwrap();
        assert!(add("a.example", half + 1).is_err());
        add("a.example", half).unwrap();
        add("b.example", half).unwrap();
    }
}
