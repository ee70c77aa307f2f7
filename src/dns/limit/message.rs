//! What limits want to know of a finished answer, and how it is cut down to next to nothing.
//!
//! Source: RFC 1035 §4.1, RFC 2181 §9 (TC), RFC 6891 §6.1 (OPT).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::super::code::Rcode;
use super::super::key::NAME_MAX;
use super::super::request::UDP_MAX;
use super::super::walk::{Cursor, HEADER, last_labels, rtype};

/// An OPT record without options.
pub(super) const OPT_OCTETS: usize = 11;
/// What a small answer may have in its OPT: two Extended DNS Errors (RFC 8914 §2) and a cookie
/// (RFC 7873 §4).
const SMALL: usize = 2 * 6 + 28;
/// Octets of a header before its counts.
const FLAGS_END: usize = 4;

/// The first octets of a message that are of interest, and its question.
struct Head<'a> {
    rcode: u8,
    answers: u16,
    additionals: u16,
    /// As the client wrote it.
    name: &'a [u8],
    qtype: u16,
    /// Where the question ends.
    end: usize,
}

impl<'a> Head<'a> {
    /// `None` when there is not exactly one question.
    fn parse(message: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(message, 2);
        let [_, low] = cursor.u16().ok()?.to_be_bytes();
        let questions = cursor.u16().ok()?;
        let (answers, _authorities) = (cursor.u16().ok()?, cursor.u16().ok()?);
        let additionals = cursor.u16().ok()?;
        if questions != 1 {
            return None;
        }
        let name = cursor.plain_name().ok()?;
        let (qtype, _qclass) = (cursor.u16().ok()?, cursor.u16().ok()?);
        Some(Self {
            rcode: low & 0x0F,
            answers,
            additionals,
            name,
            qtype,
            end: cursor.position(),
        })
    }

    fn is_error(&self) -> bool {
        ![Rcode::NOERROR, Rcode::NXDOMAIN]
            .iter()
            .any(|rcode| rcode.low() == self.rcode)
    }
}

/// Whether a message has records that may prove who sent it, told without reading it.
pub(in crate::dns) fn has_additional(message: &[u8]) -> bool {
    matches!(message.get(10..HEADER), Some([high, low]) if high | low != 0)
}

/// Most octets that are left of a question or an answer by [`shorten`].
pub(super) fn short_octets(message: &[u8]) -> usize {
    let short = Head::parse(message).map(|head| match head.additionals {
        0 => head.end,
        _ => head.end + OPT_OCTETS,
    });
    short.unwrap_or(message.len()).min(message.len())
}

/// Whether an answer has an error or no records to tell, and is hardly longer than its question.
pub(super) fn is_small_and_empty(answer: &[u8]) -> bool {
    let has_nothing = Head::parse(answer).is_some_and(|head| head.is_error() || head.answers == 0);
    has_nothing && answer.len() <= short_octets(answer) + SMALL
}

/// A number that is the same for answers that count as equal: with the same records, or with none for
/// names of one domain (its last two labels, as a zone would be), or with any error.
pub(super) fn sameness(hasher: &RandomState, client: u64, answer: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u64(client);
    if let Some(head) = Head::parse(answer) {
        match (head.is_error(), head.answers) {
            (true, _) => state.write_u8(1),
            (false, 0) => {
                state.write_u8(2);
                write_lower(&mut state, last_labels(head.name, 2));
            }
            (false, _) => {
                state.write_u8(3);
                write_lower(&mut state, head.name);
                state.write_u16(head.qtype);
            }
        }
    }
    state.finish()
}

/// Length octets are below those of capital letters.
fn write_lower(state: &mut impl Hasher, name: &[u8]) {
    let mut lower = [0; NAME_MAX];
    if let Some(lower) = lower.get_mut(..name.len()) {
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        state.write(lower);
    }
}

/// Appends the shortest truncated answer to a question; whether it is one that can have it.
pub(in crate::dns) fn write_short(out: &mut Vec<u8>, question: &[u8]) -> bool {
    let start = out.len();
    let Some([id_high, id_low, high, low]) = question.first_chunk::<FLAGS_END>() else {
        return false;
    };
    // Opcode and RD, CD: as asked. RFC 1035 §4.1.1, RFC 4035 §3.2.2.
    let flags = [0x80 | high & 0x79, 0x80 | low & 0x10];
    out.extend_from_slice(&[*id_high, *id_low]);
    out.extend_from_slice(&flags);
    out.extend_from_slice(question.get(FLAGS_END..).unwrap_or_default());
    let is_short = shorten(out, start);
    if !is_short {
        out.truncate(start);
    }
    is_short
}

/// Cuts the message from `start` on down to its header, its question and an OPT without options if it
/// had one; TC says so. Whether that was possible: without a question there is nothing to cut.
pub(in crate::dns) fn shorten(out: &mut Vec<u8>, start: usize) -> bool {
    let message = out.get(start..).unwrap_or_default();
    let Some(head) = Head::parse(message) else {
        return false;
    };
    let opt = opt(message, head.end);
    let end = start + head.end;
    out.truncate(end);
    if let Some([_, _, flags, low, counts @ ..]) = out.get_mut(start..) {
        *flags |= 0x02;
        // AD is about records. RFC 6840 §5.8.
        *low &= !0x20;
        let additionals = u8::from(opt.is_some());
        for (octet, count) in counts.iter_mut().zip([0, 1, 0, 0, 0, 0, 0, additionals]) {
            *octet = count;
        }
    }
    if let Some(opt) = opt {
        out.extend_from_slice(&opt);
    }
    true
}

/// The OPT record of a message, without its options and with this server's size.
fn opt(message: &[u8], question_end: usize) -> Option<[u8; OPT_OCTETS]> {
    let mut cursor = Cursor::new(message, question_end);
    while cursor.position() < message.len() {
        let record = cursor.record().ok()?;
        if record.rtype != rtype::OPT {
            continue;
        }
        let is_answer = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
        let [extended_rcode, _version, flags, _] = record.ttl_s.to_be_bytes();
        let [type_high, type_low] = rtype::OPT.to_be_bytes();
        let [size_high, size_low] = UDP_MAX.to_be_bytes();
        let extended_rcode = if is_answer { extended_rcode } else { 0 };
        let ttl = [extended_rcode, 0, flags & 0x80, 0];
        let [first, second, third, fourth] = ttl;
        return Some([
            0, type_high, type_low, size_high, size_low, first, second, third, fourth, 0, 0,
        ]);
    }
    None
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, ResponseCode};
    use proptest::prelude::*;

    use super::*;

    const NAME: &[u8] = b"\x03WwW\x07example\x03org\x00";
    const OPT: &[u8] = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x04\x00\x03\x00\x00";

    fn message(flags: u16, name: &[u8], qtype: u16, addresses: u16, opt: &[u8]) -> Vec<u8> {
        let mut message = b"\x12\x34".to_vec();
        message.extend_from_slice(&flags.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&addresses.to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, u8::from(!opt.is_empty())]);
        message.extend_from_slice(name);
        message.extend_from_slice(&qtype.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        for _ in 0..addresses {
            message.extend_from_slice(b"\xC0\x0C\x00\x01\x00\x01\0\0\0\x3C\x00\x04\x0A\0\0\x01");
        }
        message.extend_from_slice(opt);
        message
    }

    /// RFC 2181 §9, RFC 6891 §6.1.1.
    #[test]
    fn a_short_answer_has_its_question_the_tc_bit_and_an_empty_opt() {
        for opt in [&b""[..], OPT] {
            let mut out = vec![7; 5];
            out.extend_from_slice(&message(0x81A3, NAME, 28, 9, opt));
            let bound = short_octets(&out[5..]);
            assert!(shorten(&mut out, 5));
            assert_eq!(out[..5], [7; 5]);
            assert_eq!(out.len() - 5, bound);
            let short = Message::from_vec(&out[5..]).unwrap();
            assert_eq!(short.metadata.id, 0x1234);
            assert!(short.metadata.truncation && !short.metadata.authentic_data);
            assert_eq!(short.metadata.response_code, ResponseCode::NXDomain);
            assert_eq!(short.queries[0].name().to_string(), "WwW.example.org.");
            assert!(short.answers.is_empty());
            let edns = short.edns.as_ref();
            assert_eq!(edns.is_some(), !opt.is_empty());
            if let Some(edns) = edns {
                assert!(edns.flags().dnssec_ok && edns.options().options.is_empty());
                assert_eq!(edns.max_payload(), 1232);
            }
        }
    }

    /// RFC 4035 §3.2.2: CD is copied; RFC 1035 §4.1.1: RD is copied.
    #[test]
    fn a_question_is_answered_shortly_without_being_looked_up() {
        for opt in [&b""[..], OPT] {
            let question = message(0x0130, NAME, 1, 0, opt);
            let mut out = vec![7; 5];
            assert!(write_short(&mut out, &question));
            assert!(out.len() - 5 <= question.len());
            assert_eq!(out.len() - 5, short_octets(&question));
            let short = Message::from_vec(&out[5..]).unwrap();
            assert!(short.metadata.truncation && short.metadata.recursion_available);
            assert!(short.metadata.recursion_desired && short.metadata.checking_disabled);
            assert_eq!(short.metadata.response_code, ResponseCode::NoError);
            assert_eq!(short.edns.is_some(), !opt.is_empty());
        }
    }

    #[test]
    fn what_has_no_question_cannot_be_shortened() {
        for message in [&b""[..], &[0; 11], &[0; 12]] {
            let mut out = message.to_vec();
            assert!(!shorten(&mut out, 0));
            assert_eq!(out, message);
            assert!(!write_short(&mut out, message));
            assert_eq!(out, message);
            assert_eq!(short_octets(message), message.len());
        }
    }

    #[test]
    fn equal_answers_are_equal_for_one_client_in_any_case_of_letters() {
        let hasher = RandomState::new();
        let of = |client, flags, name: &[u8], qtype, records| {
            sameness(&hasher, client, &message(flags, name, qtype, records, OPT))
        };
        let records = of(1, 0x8180, NAME, 1, 2);
        assert_eq!(
            records,
            of(1, 0x8180, b"\x03www\x07EXAMPLE\x03org\x00", 1, 1)
        );
        assert_ne!(records, of(2, 0x8180, NAME, 1, 2));
        assert_ne!(records, of(1, 0x8180, NAME, 28, 2));
        assert_ne!(
            records,
            of(1, 0x8180, b"\x03ftp\x07example\x03org\x00", 1, 2)
        );
    }

    /// Names of chance below one domain, or below none, are no way around the limit.
    #[test]
    fn answers_without_records_are_equal_for_a_domain_and_errors_for_everything() {
        let hasher = RandomState::new();
        let of =
            |flags, name: &[u8], qtype| sameness(&hasher, 1, &message(flags, name, qtype, 0, b""));
        let nothing = of(0x8183, NAME, 1);
        assert_eq!(nothing, of(0x8183, b"\x01a\x01b\x07example\x03org\x00", 28));
        assert_eq!(nothing, of(0x8180, b"\x07example\x03ORG\x00", 1));
        assert_ne!(nothing, of(0x8183, b"\x01a\x08example2\x03org\x00", 1));
        assert_ne!(nothing, of(0x8182, NAME, 1));
        assert_eq!(of(0x8182, NAME, 1), of(0x8185, b"\x00", 2));
    }

    /// A question of 33 octets, its answer with two errors and a cookie, and one octet more.
    #[test]
    fn small_are_errors_and_empty_answers_that_are_hardly_longer_than_their_question() {
        let with = |flags, addresses, options: u8| {
            let mut opt = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00".to_vec();
            opt.push(options);
            opt.resize(OPT_OCTETS + usize::from(options), 0);
            message(flags, NAME, 1, addresses, &opt)
        };
        for flags in [0x8182, 0x8183, 0x8185, 0x8180] {
            assert!(is_small_and_empty(&message(flags, NAME, 1, 0, b"")));
            assert!(is_small_and_empty(&with(flags, 0, 40)));
            assert!(!is_small_and_empty(&with(flags, 0, 41)));
        }
        assert!(!is_small_and_empty(&message(0x8180, NAME, 1, 1, b"")));
        assert!(!is_small_and_empty(b""));
    }

    #[test]
    fn only_additional_records_can_prove_anything() {
        assert!(has_additional(&message(0x0100, NAME, 1, 0, OPT)));
        assert!(!has_additional(&message(0x0100, NAME, 1, 0, b"")));
        assert!(!has_additional(&[1; 11]));
    }

    proptest! {
        #[test]
        fn no_message_makes_shortening_panic_or_longer(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..5),
        ) {
            let mut close = message(0x8180, NAME, 1, 3, OPT);
            for (index, value) in changes {
                let at = index.index(close.len());
                close[at] = value;
            }
            for message in [bytes, close] {
                sameness(&RandomState::new(), 1, &message);
                let mut out = message.clone();
                let short = shorten(&mut out, 0);
                prop_assert!(out.len() <= message.len());
                prop_assert!(!short || out.len() <= short_octets(&message));
                let mut out = Vec::new();
                let short = write_short(&mut out, &message);
                prop_assert_ne!(short, out.is_empty());
                prop_assert!(out.len() <= message.len());
            }
        }
    }
}
