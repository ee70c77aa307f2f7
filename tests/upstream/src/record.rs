//! Records as scripts write them, in wire form and without compression.
//!
//! Source: RFC 1035 §3.3 (SOA), RFC 6672 §2.1 (DNAME), RFC 4034 §3.1 (RRSIG), §4.1 (NSEC), RFC 3597
//! §5 (any other type: `\# OCTETS HEX`).

use sidestep::dns::record_text::rdata_from_text;

use crate::words::{hex, name, number, type_code};

/// Owner, class IN, and the rest.
#[derive(Clone, Debug)]
pub struct Record {
    /// Wire form.
    pub owner: Vec<u8>,
    /// Seconds.
    pub ttl_s: u32,
    /// Type code.
    pub rtype: u16,
    /// 1, IN, unless a scenario is about that.
    pub class: u16,
    /// Wire form.
    pub rdata: Vec<u8>,
}

impl Record {
    /// `OWNER TTL [CH] TYPE DATA`.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.splitn(3, ' ');
        let owner = words.next().ok_or("write OWNER TTL TYPE DATA")?;
        let ttl_s = number(words.next())?;
        let rest = words.next().ok_or("the type is missing")?;
        let (class, rest) = rest.strip_prefix("CH ").map_or((1, rest), |rest| (3, rest));
        let (rtype, data) = rest.split_once(' ').unwrap_or((rest, ""));
        Ok(Self {
            owner: name(owner)?,
            ttl_s,
            rtype: type_code(rtype)?,
            class,
            rdata: rdata(rtype, data)?,
        })
    }
}

/// The RDATA that is written for a type.
///
/// # Errors
/// When it does not fit the type.
pub fn rdata(rtype: &str, data: &str) -> Result<Vec<u8>, String> {
    let mut words = data.split_ascii_whitespace();
    if let Some(unknown) = data.strip_prefix(r"\#") {
        let (octets, digits) = unknown
            .trim()
            .split_once(' ')
            .unwrap_or((unknown.trim(), ""));
        let wire = hex(digits)?;
        let octets: usize = number(Some(octets))?;
        return if octets == wire.len() {
            Ok(wire)
        } else {
            Err(format!("{} octets, not {octets}", wire.len()))
        };
    }
    match rtype {
        // The names of these keep their letters.
        "NS" | "CNAME" | "PTR" | "DNAME" => name(data),
        "SOA" => {
            let mut wire = name(words.next().unwrap_or_default())?;
            wire.extend(name(words.next().unwrap_or_default())?);
            for _ in 0..5 {
                wire.extend(number::<u32>(words.next())?.to_be_bytes());
            }
            Ok(wire)
        }
        // `COVERED SIGNER`: the rest is always the same.
        "RRSIG" => {
            let covered = type_code(words.next().unwrap_or_default())?;
            let mut wire = covered.to_be_bytes().to_vec();
            wire.extend([13, 2]);
            for word in [300_u32, 2_000_000_000, 1_000_000_000] {
                wire.extend(word.to_be_bytes());
            }
            wire.extend([0x12, 0x34]);
            wire.extend(name(words.next().unwrap_or_default())?);
            wire.extend([0xAB; 64]);
            Ok(wire)
        }
        // `NEXT`: of types it has A alone.
        "NSEC" => Ok([name(data)?, vec![0, 1, 0x40]].concat()),
        _ => rdata_from_text(rtype, data)
            .map(|(_, wire)| wire)
            .map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_these_octets() {
        let record = Record::parse("eXample. 7 SOA a. b. 1 2 3 4 5").unwrap();
        assert_eq!((record.ttl_s, record.rtype, record.class), (7, 6, 1));
        assert_eq!(record.owner, b"\x07eXample\0");
        assert!(record.rdata.starts_with(b"\x01a\0\x01b\0\0\0\0\x01"));
        assert!(record.rdata.ends_with(&[0, 0, 0, 5]));
    }

    /// RFC 3597 §5.
    #[test]
    fn any_type_may_be_written_in_octets() {
        let record = Record::parse(r"a. 1 TYPE65280 \# 4 0A00 0001").unwrap();
        assert_eq!((record.rtype, record.rdata), (65280, vec![10, 0, 0, 1]));
        assert!(rdata("A", r"\# 0").unwrap().is_empty());
        assert!(rdata("A", r"\# 3 0A000001").is_err());
    }

    #[test]
    fn a_class_may_be_written() {
        assert_eq!(Record::parse("a. 1 CH A 10.0.0.1").unwrap().class, 3);
    }
}
