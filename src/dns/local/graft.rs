//! Puts the answer for the target of an alias behind the alias.
//!
//! Source: RFC 1034 §4.3.2 (3a), RFC 1035 §4.1.4 (compression), RFC 3597 §4 (whose RDATA may be
//! compressed). Kept records point into a message with another question; here their names are written
//! out. That costs an allocation, which only aliases that leave the local names pay.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::super::answer::Answer;
use super::super::code::Rcode;
use super::super::key::Key;
use super::super::sections::{BuiltSections, Sections, Ttl};
use super::super::walk::{Cursor, HEADER, Malformed};

/// Type and class behind the name of a question.
const QUESTION_TAIL: usize = 4;

/// The answer for the name in `key`, put behind the aliases that lead there; as it is without any.
///
/// An error stays without them. What is put together stays in `room`.
pub(in crate::dns) fn behind<'a>(
    chain: Option<Sections<'_>>,
    key: &Key,
    answer: Answer<'a>,
    room: &'a mut Option<BuiltSections>,
) -> Answer<'a> {
    let conclusive = answer.sections.filter(|_| answer.rcode.is_conclusive());
    let (Some(chain), Some(sections)) = (chain, conclusive) else {
        return answer;
    };
    let Some(built) = join(chain, key.name(), sections, answer.ttl) else {
        return Answer::bare(Rcode::SERVFAIL, None);
    };
    Answer {
        // RFC 1035 §4.1.1: AA is about the first owner. RFC 4035 §3.2.3: AD is about all records.
        authoritative: true,
        authentic: false,
        sections: Some(room.insert(built).lend()),
        ttl: Ttl::Aged(0),
        ..answer
    }
}

/// The same question for another name.
pub(in crate::dns) fn aim(key: &Key, name: &[u8]) -> Option<Key> {
    Key::new(
        name,
        key.qtype(),
        key.qclass(),
        key.dnssec_ok(),
        key.checking_disabled(),
    )
}

/// The records of `chain`, then those of `answer` with `ttl`, which is the answer to a question for
/// `target`. `None`: some record of it cannot be read.
fn join(
    chain: Sections<'_>,
    target: &[u8],
    answer: Sections<'_>,
    ttl: Ttl,
) -> Option<BuiltSections> {
    let mut message = vec![0; HEADER];
    message.extend_from_slice(target);
    message.resize(message.len() + QUESTION_TAIL, 0);
    let start = message.len();
    answer.write(&mut message, ttl);

    let mut records = chain.records().to_vec();
    let mut cursor = Cursor::new(&message, start);
    for _ in 0..answer.counts().map(u32::from).iter().sum() {
        copy_record(&message, &mut cursor, &mut records).ok()?;
    }
    let [aliases, ..] = chain.counts();
    let [answers, authorities, additionals] = answer.counts();
    let counts = [aliases.checked_add(answers)?, authorities, additionals];
    Some(BuiltSections::from_records(counts, records))
}

fn copy_record(
    message: &[u8],
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    copy_name(message, cursor, out)?;
    let rtype = cursor.u16()?;
    out.extend_from_slice(&rtype.to_be_bytes());
    // Class and TTL.
    out.extend_from_slice(cursor.take(6)?);
    let octets = usize::from(cursor.u16()?);
    let mut inner = *cursor;
    let rdata = cursor.take(octets)?;
    let mut written = Vec::with_capacity(octets);
    match names_in(rtype) {
        None => written.extend_from_slice(rdata),
        Some((before, names)) => {
            written.extend_from_slice(inner.take(before)?);
            for _ in 0..names {
                copy_name(message, &mut inner, &mut written)?;
            }
            let left = cursor.position().checked_sub(inner.position());
            written.extend_from_slice(inner.take(left.ok_or(Malformed)?)?);
        }
    }
    let octets = u16::try_from(written.len()).map_err(|_| Malformed)?;
    out.extend_from_slice(&octets.to_be_bytes());
    out.extend_from_slice(&written);
    Ok(())
}

/// Writes out the name at `cursor`, which has been checked before it is followed.
fn copy_name(message: &[u8], cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut walker = *cursor;
    cursor.name()?;
    loop {
        match walker.u8()? {
            0 => break,
            label @ 1..=63 => {
                out.push(label);
                out.extend_from_slice(walker.take(usize::from(label))?);
            }
            high => {
                let target = u16::from_be_bytes([high & 0x3F, walker.u8()?]);
                walker = Cursor::new(message, usize::from(target));
            }
        }
    }
    out.push(0);
    Ok(())
}

/// Octets of RDATA before its first name, and how many names follow.
fn names_in(rtype: u16) -> Option<(usize, usize)> {
    match rtype {
        // NS MD MF CNAME MB MG MR PTR DNAME
        2..=5 | 7..=9 | 12 | 39 => Some((0, 1)),
        // SOA MINFO RP
        6 | 14 | 17 => Some((0, 2)),
        // MX AFSDB RT KX
        15 | 18 | 21 | 36 => Some((2, 1)),
        // PX
        26 => Some((2, 2)),
        // SRV
        33 => Some((6, 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::sections::BuiltRecord;
    use super::*;

    const TARGET: &[u8] = b"\x03www\x07example\x00";

    fn chain() -> BuiltSections {
        BuiltSections::new(
            [BuiltRecord {
                owner: None,
                rtype: 5,
                class: 1,
                ttl_s: 60,
                rdata: TARGET,
            }],
            [],
        )
    }

    /// Pointers to the question, into it, and to a name in RDATA; an MX, an SOA, an unknown type.
    #[test]
    fn every_name_of_the_answer_is_written_out() {
        let mut records = b"\xC0\x0C\x00\x05\x00\x01\x00\x00\x00\x3C\x00\x04\x01a\xC0\x10".to_vec();
        let a = u8::try_from(12 + TARGET.len() + 4 + 12).unwrap();
        records.extend_from_slice(&[0xC0, a]);
        records.extend_from_slice(b"\x00\x0F\x00\x01\x00\x00\x00\x3C\x00\x04\x00\x0A");
        records.extend_from_slice(&[0xC0, a]);
        records
            .extend_from_slice(b"\xC0\x10\x00\x06\x00\x01\x00\x00\x00\x3C\x00\x18\xC0\x0C\xC0\x10");
        records.extend_from_slice(&[7; 20]);
        records.extend_from_slice(b"\xC0\x0C\xFF\x00\x00\x01\x00\x00\x00\x3C\x00\x02\xC0\x0C");
        let answer = Sections::new([2, 1, 1], &records);
        let chain = chain();
        let grafted = join(chain.lend(), TARGET, answer, Ttl::Aged(10)).unwrap();
        assert_eq!(grafted.lend().counts(), [3, 1, 1]);
        let own = b"\x01a\x07example\x00";
        let expected = [
            chain.lend().records(),
            TARGET,
            b"\x00\x05\x00\x01\x00\x00\x00\x32\x00\x0B",
            own,
            own,
            b"\x00\x0F\x00\x01\x00\x00\x00\x32\x00\x0D\x00\x0A",
            own,
            b"\x07example\x00\x00\x06\x00\x01\x00\x00\x00\x32\x00\x2A",
            TARGET,
            b"\x07example\x00",
            &[7; 20],
            TARGET,
            b"\xFF\x00\x00\x01\x00\x00\x00\x32\x00\x02\xC0\x0C",
        ];
        assert_eq!(grafted.lend().records(), expected.concat());
    }

    proptest! {
        #[test]
        fn no_records_make_it_panic(
            records in proptest::collection::vec(any::<u8>(), 0..80),
            counts: [u16; 3],
        ) {
            let _ = join(chain().lend(), TARGET, Sections::new(counts, &records), Ttl::Fixed(1));
        }
    }
}
