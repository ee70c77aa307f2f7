//! The records of an answer as they are kept: wire bytes behind the question.
//!
//! Source: RFC 1035 §4.1. Compression pointers keep their meaning because a question has the same
//! length for every client; the OPT record is not kept (RFC 6891 §6.1.1).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

/// A pointer to the name in the question. RFC 1035 §4.1.4.
const QUESTION_NAME: [u8; 2] = [0xC0, 0x0C];

/// Answer, authority and additional section in one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    counts: [u16; 3],
    records: Box<[u8]>,
    ttls: Box<[u16]>,
}

/// The TTLs that records are sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// What was stored, less this many seconds.
    Aged(u32),
    /// This many seconds for every record.
    Fixed(u32),
}

impl Sections {
    /// `counts` are those of answer, authority and additional; `ttls` are where the TTLs stand in
    /// `records`.
    pub(super) fn new(counts: [u16; 3], records: Box<[u8]>, ttls: Box<[u16]>) -> Self {
        Self {
            counts,
            records,
            ttls,
        }
    }

    /// Answer records that belong to the name in the question: type, class, TTL in seconds, RDATA.
    ///
    /// Their TTLs are always sent as given. What does not fit into a message makes the whole too
    /// long for one, so that it is sent truncated.
    pub(super) fn answers<'a>(
        records: impl IntoIterator<Item = (u16, u16, u32, &'a [u8])>,
    ) -> Self {
        let mut count = 0_u16;
        let mut bytes = Vec::new();
        for (rtype, class, ttl_s, rdata) in records {
            count = count.saturating_add(1);
            let length = u16::try_from(rdata.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&QUESTION_NAME);
            bytes.extend_from_slice(&rtype.to_be_bytes());
            bytes.extend_from_slice(&class.to_be_bytes());
            bytes.extend_from_slice(&ttl_s.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(rdata);
        }
        Self::new([count, 0, 0], bytes.into(), Box::default())
    }

    /// Records in answer, authority and additional section.
    #[must_use]
    pub fn counts(&self) -> [u16; 3] {
        self.counts
    }

    /// Octets that the records take in a message.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.records.len()
    }

    /// Octets that this value owns on the heap.
    #[must_use]
    pub fn heap_octets(&self) -> usize {
        self.records.len() + size_of_val(&*self.ttls)
    }

    /// Appends the records to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>, ttl: Ttl) {
        let base = out.len();
        out.extend_from_slice(&self.records);
        for offset in &self.ttls {
            let start = base + usize::from(*offset);
            let Some(field) = out
                .get_mut(start..)
                .and_then(|rest| rest.first_chunk_mut::<4>())
            else {
                continue;
            };
            let seconds = match ttl {
                Ttl::Aged(age_s) => u32::from_be_bytes(*field).saturating_sub(age_s),
                Ttl::Fixed(seconds) => seconds,
            };
            *field = seconds.to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01";

    fn written(ttl: Ttl) -> Vec<u8> {
        let sections = Sections::new([1, 0, 0], RECORD.into(), Box::new([6]));
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
    fn built_answers_point_to_the_question_and_do_not_age() {
        let sections = Sections::answers([(1, 1, 60, &[10, 0, 0, 1][..])]);
        let mut out = Vec::new();
        sections.write(&mut out, Ttl::Aged(10));
        assert_eq!(out, RECORD);
        assert_eq!(sections.counts(), [1, 0, 0]);
    }
}
