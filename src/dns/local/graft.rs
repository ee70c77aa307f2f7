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
use super::super::walk::{Cursor, Form, HEADER, Malformed};

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
    match Form::of(rtype) {
        None => written.extend_from_slice(rdata),
        Some(form) => {
            let mut before = inner;
            form.step_to_names(&mut inner)?;
            let octets = inner.position().checked_sub(before.position());
            written.extend_from_slice(before.take(octets.ok_or(Malformed)?)?);
            for _ in 0..form.names {
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

    /// RFC 3597 §4: old types too. What stands around the names stays as it is.
    #[test]
    fn names_behind_other_fields_are_written_out() {
        let naptr = b"\x00\x01\x00\x02\x01s\x07E2U+sip\x00";
        for (rtype, before, after) in [
            (24, [9; 18].as_slice(), [8; 5].as_slice()),
            (30, &[], &[7; 4]),
            (33, &[1; 6], &[]),
            (35, naptr, &[]),
        ] {
            let octets =
                |name: usize| [0, u8::try_from(before.len() + name + after.len()).unwrap()];
            let head = [0, rtype, 0, 1, 0, 0, 0, 60];
            let compressed = [
                b"\xC0\x0C",
                &head[..],
                &octets(2),
                before,
                b"\xC0\x10",
                after,
            ];
            let compressed = compressed.concat();
            let answer = Sections::new([1, 0, 0], &compressed);
            let chain = chain();
            let grafted = join(chain.lend(), TARGET, answer, Ttl::Aged(0)).unwrap();
            let plain = b"\x07example\x00";
            let expected = [TARGET, &head, &octets(plain.len()), before, plain, after].concat();
            let expected = [chain.lend().records(), &expected].concat();
            assert_eq!(grafted.lend().records(), expected, "type {rtype}");
        }
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
