//! The records of an answer as they are kept: wire bytes behind the question.
//!
//! Source: RFC 1035 §4.1. Compression pointers keep their meaning because a question has the same
//! length for every client; the OPT record is not kept (RFC 6891 §6.1.1).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

/// A pointer to the name in the question. RFC 1035 §4.1.4.
pub(super) const QUESTION_NAME: [u8; 2] = [0xC0, 0x0C];

/// Answer, authority and additional section in one piece, wherever they are kept.
///
/// Where the TTLs stand is not kept: one step over an owner and one over the RDATA finds the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections<'a> {
    counts: [u16; 3],
    records: &'a [u8],
    ages: bool,
}

/// Records that this node is the source of, ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuiltSections {
    counts: [u16; 3],
    records: Box<[u8]>,
}

/// A record of [`BuiltSections`].
#[derive(Clone, Copy, Debug)]
pub(super) struct BuiltRecord<'a> {
    /// Uncompressed; `None` is the name in the question.
    pub(super) owner: Option<&'a [u8]>,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl_s: u32,
    /// A name in it may be a pointer to the question.
    pub(super) rdata: &'a [u8],
}

/// The TTLs that records are sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// What was stored, less this many seconds.
    Aged(u32),
    /// This many seconds for every record.
    Fixed(u32),
}

impl<'a> Sections<'a> {
    /// `counts` are those of answer, authority and additional; `records` are whole and sound.
    pub(super) fn new(counts: [u16; 3], records: &'a [u8]) -> Self {
        Self {
            counts,
            records,
            ages: true,
        }
    }

    /// Records in answer, authority and additional section.
    #[must_use]
    pub fn counts(&self) -> [u16; 3] {
        self.counts
    }

    /// The records as they are kept.
    #[must_use]
    pub fn records(&self) -> &'a [u8] {
        self.records
    }

    /// Octets that the records take in a message.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.records.len()
    }

    /// The whole records at the front of the answer section that take at most so many octets.
    #[must_use]
    pub(super) fn beginning(&self, octets_max: usize) -> Self {
        let [answers, ..] = self.counts;
        let (mut count, mut octets) = (0, 0);
        let mut rest = self.records;
        while count < answers
            && let Some(behind) = behind_first(rest)
        {
            let end = self.records.len() - behind.len();
            if end > octets_max {
                break;
            }
            (count, octets, rest) = (count + 1, end, behind);
        }
        Self {
            counts: [count, 0, 0],
            records: self.records.get(..octets).unwrap_or_default(),
            ages: self.ages,
        }
    }

    /// Appends the records to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>, ttl: Ttl) {
        let base = out.len();
        out.extend_from_slice(self.records);
        if !self.ages || ttl == Ttl::Aged(0) {
            return;
        }
        let written = out.get_mut(base..).unwrap_or_default();
        for_each_ttl(written, self.counts, |seconds| match ttl {
            Ttl::Aged(age_s) => seconds.saturating_sub(age_s),
            Ttl::Fixed(seconds) => seconds,
        });
    }
}

impl BuiltSections {
    /// Records that belong to the name in the question: type, class, TTL in seconds, RDATA.
    ///
    /// Their TTLs are always sent as given. What does not fit into a message makes the whole too
    /// long for one, so that it is sent truncated.
    pub(super) fn answers<'a>(
        records: impl IntoIterator<Item = (u16, u16, u32, &'a [u8])>,
    ) -> Self {
        let record = |(rtype, class, ttl_s, rdata)| BuiltRecord {
            owner: None,
            rtype,
            class,
            ttl_s,
            rdata,
        };
        Self::new(records.into_iter().map(record), [])
    }

    /// Like [`BuiltSections::answers`], with owners of their own and an authority section.
    pub(super) fn new<'a>(
        answers: impl IntoIterator<Item = BuiltRecord<'a>>,
        authority: impl IntoIterator<Item = BuiltRecord<'a>>,
    ) -> Self {
        let mut bytes = Vec::new();
        let mut append = |records: &mut dyn Iterator<Item = BuiltRecord<'a>>| {
            let mut count = 0_u16;
            for record in records {
                count = count.saturating_add(1);
                record.append(&mut bytes);
            }
            count
        };
        let counts = [
            append(&mut answers.into_iter()),
            append(&mut authority.into_iter()),
            0,
        ];
        Self {
            counts,
            records: bytes.into(),
        }
    }

    /// From records that are whole and sound.
    pub(super) fn from_records(counts: [u16; 3], records: Vec<u8>) -> Self {
        Self {
            counts,
            records: records.into(),
        }
    }

    /// The records as an answer wants them.
    #[must_use]
    pub fn lend(&self) -> Sections<'_> {
        Sections {
            counts: self.counts,
            records: &self.records,
            ages: false,
        }
    }
}

impl BuiltRecord<'_> {
    fn append(&self, bytes: &mut Vec<u8>) {
        let length = u16::try_from(self.rdata.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(self.owner.unwrap_or(&QUESTION_NAME));
        bytes.extend_from_slice(&self.rtype.to_be_bytes());
        bytes.extend_from_slice(&self.class.to_be_bytes());
        bytes.extend_from_slice(&self.ttl_s.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(self.rdata);
    }
}

/// Replaces every TTL in `records`, in seconds; stops at what is no record.
pub(super) fn for_each_ttl(
    records: &mut [u8],
    counts: [u16; 3],
    mut replace: impl FnMut(u32) -> u32,
) {
    let mut rest = records;
    for _ in 0..counts.map(u32::from).iter().sum() {
        let Some((ttl, behind)) = next_ttl(rest) else {
            return;
        };
        *ttl = replace(u32::from_be_bytes(*ttl)).to_be_bytes();
        rest = behind;
    }
}

/// The TTL of the first record, and the records behind it. RFC 1035 §4.1.3.
fn next_ttl(records: &mut [u8]) -> Option<(&mut [u8; 4], &mut [u8])> {
    let mut rest = records;
    loop {
        let (&mut length, behind) = rest.split_first_mut()?;
        rest = match length {
            0 => {
                rest = behind;
                break;
            }
            1..=63 => behind.get_mut(usize::from(length)..)?,
            0xC0.. => {
                rest = behind.get_mut(1..)?;
                break;
            }
            _ => return None,
        };
    }
    let (_type_and_class, rest) = rest.split_first_chunk_mut::<4>()?;
    let (ttl, rest) = rest.split_first_chunk_mut::<4>()?;
    let (&mut length, rest) = rest.split_first_chunk_mut::<2>()?;
    let behind = rest.get_mut(usize::from(u16::from_be_bytes(length))..)?;
    Some((ttl, behind))
}

/// The records behind the first one.
fn behind_first(records: &[u8]) -> Option<&[u8]> {
    let rest = records.get(owner_octets(records)?..)?;
    let (_type_class_ttl, rest) = rest.split_first_chunk::<8>()?;
    let (&length, rest) = rest.split_first_chunk::<2>()?;
    rest.get(usize::from(u16::from_be_bytes(length))..)
}

/// Octets of the owner's name, a pointer at its end included. RFC 1035 §4.1.4.
fn owner_octets(records: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *records.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xC0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01";
    /// A record of the root, and one whose owner is a label before a pointer.
    const OTHERS: &[u8] = b"\x00\x00\x10\x00\x01\x00\x00\x00\x3C\x00\x02\x01x\
        \x01a\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01";

    fn written(ttl: Ttl) -> Vec<u8> {
        let sections = Sections::new([1, 0, 0], RECORD);
        let mut out = vec![0xEE; 3];
        sections.write(&mut out, ttl);
        out.split_off(3)
    }

    /// RFC 1035 §3.2.1: a TTL counts down and never below zero.
    #[test]
    fn ttls_age_down_to_zero() {
        for (age_s, expected) in [
            (0, 60_u8),
            (1, 59),
            (59, 1),
            (60, 0),
            (61, 0),
            (u32::MAX, 0),
        ] {
            let out = written(Ttl::Aged(age_s));
            assert_eq!(out[6..10], [0, 0, 0, expected], "{age_s}");
            assert_eq!((&out[..6], &out[10..]), (&RECORD[..6], &RECORD[10..]));
        }
    }

    #[test]
    fn a_fixed_ttl_replaces_the_stored_one() {
        assert_eq!(written(Ttl::Fixed(30))[6..10], [0, 0, 0, 30]);
    }

    #[test]
    fn every_form_of_owner_leads_to_its_ttl() {
        let records = [OTHERS, RECORD].concat();
        let mut out = Vec::new();
        Sections::new([1, 1, 1], &records).write(&mut out, Ttl::Fixed(7));
        let changed: Vec<_> = (0..out.len())
            .filter(|&at| out[at] != records[at])
            .collect();
        assert_eq!(changed, [8, 24, 40]);
        assert!(changed.iter().all(|&at| out[at] == 7));
    }

    #[test]
    fn what_is_no_record_ends_the_patching() {
        let records = [RECORD, b"\x80", RECORD].concat();
        for counts in [[2, 0, 0], [0, 0, u16::MAX]] {
            let mut out = Vec::new();
            Sections::new(counts, &records).write(&mut out, Ttl::Fixed(7));
            assert_eq!(out[9], 7);
            assert_eq!(out[16..], records[16..]);
        }
    }

    #[test]
    fn the_beginning_has_whole_records_of_the_answer_alone() {
        let records = [RECORD, RECORD, RECORD].concat();
        for (counts, octets_max, expected) in [
            ([3, 0, 0], 0, 0),
            ([3, 0, 0], 15, 0),
            ([3, 0, 0], 16, 1),
            ([3, 0, 0], 31, 1),
            ([3, 0, 0], 32, 2),
            ([3, 0, 0], 512, 3),
            ([1, 2, 0], 512, 1),
            ([0, 3, 0], 512, 0),
        ] {
            let beginning = Sections::new(counts, &records).beginning(octets_max);
            assert_eq!(beginning.counts(), [expected, 0, 0], "{octets_max}");
            assert_eq!(beginning.octets(), 16 * usize::from(expected));
        }
        let broken = [RECORD, &RECORD[..15]].concat();
        let beginning = Sections::new([2, 0, 0], &broken).beginning(512);
        assert_eq!(beginning.records(), RECORD);
    }

    #[test]
    fn built_answers_point_to_the_question_and_do_not_age() {
        let sections = BuiltSections::answers([(1, 1, 60, &[10, 0, 0, 1][..])]);
        for ttl in [Ttl::Aged(10), Ttl::Fixed(10)] {
            let mut out = Vec::new();
            sections.lend().write(&mut out, ttl);
            assert_eq!(out, RECORD);
        }
        assert_eq!(sections.lend().counts(), [1, 0, 0]);
    }

    #[test]
    fn built_records_have_owners_and_sections_of_their_own() {
        let record = |owner, rdata| BuiltRecord {
            owner,
            rtype: 16,
            class: 1,
            ttl_s: 60,
            rdata,
        };
        let sections = BuiltSections::new(
            [record(None, b"\x01a"), record(Some(b"\x01b\x00"), b"\x01b")],
            [record(Some(b"\x00"), b"\x01c")],
        );
        assert_eq!(sections.lend().counts(), [2, 1, 0]);
        let mut out = Vec::new();
        sections.lend().write(&mut out, Ttl::Aged(7));
        let rest = b"\x00\x10\x00\x01\x00\x00\x00\x3C\x00\x02\x01";
        let expected = [
            b"\xC0\x0C",
            &rest[..],
            b"a",
            b"\x01b\x00",
            rest,
            b"b",
            b"\x00",
            rest,
            b"c",
        ];
        assert_eq!(out, expected.concat());
    }
}
