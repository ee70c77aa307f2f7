//! Known bytes, damaged bytes, random bytes.

use proptest::prelude::*;

use super::super::query::{self, Edns};
use super::*;

const ID: u16 = 0x1234;

fn key() -> Key {
    Key::new(b"\x03www\x02ex\x00", 1, 1, false, false).unwrap()
}

/// An answer to [`key`] with `records` in the answer, authority and additional section.
fn message(flags: u16, counts: [u16; 3], records: &[u8]) -> Vec<u8> {
    let mut message = query::build(&key(), ID, Edns::Without);
    message[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
    for (at, count) in [6, 8, 10].into_iter().zip(counts) {
        message[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
    message.extend_from_slice(records);
    message
}

/// A record owned by the question's name.
fn record(rtype: u16, data: &[u8]) -> Vec<u8> {
    let mut record = b"\xc0\x0c".to_vec();
    record.extend_from_slice(&rtype.to_be_bytes());
    record.extend_from_slice(b"\0\x01\0\0\0\x3c");
    record.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend_from_slice(data);
    record
}

const OPT_BADVERS: &[u8] = b"\0\0\x29\x04\xd0\x01\0\0\0\0\0";

fn read_it(message: &[u8]) -> Response {
    read(message, ID, &key())
}

#[test]
fn a_whole_answer_is_complete_and_what_follows_it_is_cut_off() {
    let mut answer = message(
        3,
        [1, 0, 1],
        &[record(1, &[192, 0, 2, 1]), OPT_BADVERS.to_vec()].concat(),
    );
    let length = answer.len();
    answer.extend_from_slice(b"padding");
    assert_eq!(
        read_it(&answer),
        Response::Complete {
            rcode: 0x13,
            length,
            reason: None,
        }
    );
}

/// RFC 5452 §9.1: id and question must match; the case of letters need not.
#[test]
fn what_does_not_match_the_question_is_foreign() {
    let good = message(0, [0, 0, 0], &[]);
    assert!(matches!(read_it(&good), Response::Complete { .. }));
    let changed = |at: usize, to: u8| {
        let mut message = good.clone();
        message[at] = to;
        read_it(&message)
    };
    // id, QR, opcode, name, type, class, number of questions
    for (at, to) in [
        (0, 0),
        (1, 0),
        (2, 0x01),
        (2, 0x91),
        (13, b'x'),
        (21, 28),
        (23, 3),
        (5, 2),
        (5, 0),
    ] {
        assert_eq!(changed(at, to), Response::Foreign, "octet {at}");
    }
    assert!(matches!(changed(13, b'W'), Response::Complete { .. }));
    for length in 0..good.len() {
        assert_eq!(read_it(&good[..length]), Response::Foreign);
    }
}

#[test]
fn an_error_without_a_question_is_told_apart() {
    let mut error = message(1, [0, 0, 0], &[]);
    error[5] = 0;
    error.truncate(12);
    assert_eq!(read_it(&error), Response::Headless { rcode: 1 });
}

#[test]
fn a_truncated_answer_is_not_walked() {
    assert_eq!(
        read_it(&message(0x0200, [9, 9, 9], b"\xff")),
        Response::Truncated
    );
}

/// RFC 1035 §4.1.4: a pointer leads to a prior occurrence of a name.
#[test]
fn compression_that_does_not_lead_backwards_is_malformed() {
    // The record's owner stands at 24.
    for owner in [
        b"\xc0\x18",
        b"\xc0\x1a",
        b"\xff\xff",
        b"\xc0\x0b",
        b"\x80\x00",
        b"\x40\x00",
    ] {
        let mut records = record(1, &[192, 0, 2, 1]);
        records[..2].copy_from_slice(owner);
        assert_eq!(
            read_it(&message(0, [1, 0, 0], &records)),
            Response::Malformed
        );
    }
    // Two names that point to each other: the second pointer leads forwards.
    let first = record(5, b"\xc0\x32");
    let second = record(5, b"\xc0\x24");
    assert_eq!(
        read_it(&message(0, [2, 0, 0], &[first, second].concat())),
        Response::Malformed
    );
}

/// Found by fuzzing: TTLs are bounded and count down where they stand, and such a name with them.
#[test]
fn a_name_that_leads_through_a_ttl_is_malformed() {
    // The first record stands at 24: its TTL at 30, its length at 34, its RDATA at 36.
    let first = record(16, b"\x01a\0");
    for (target, sound) in [(30, false), (33, false), (34, true), (36, true)] {
        let mut ttl_is_a_name = first.clone();
        ttl_is_a_name[6..10].copy_from_slice(b"\x01b\x01c");
        let second = record(5, &[0xc0, target]);
        let answer = message(0, [2, 0, 0], &[ttl_is_a_name, second].concat());
        let complete = matches!(read_it(&answer), Response::Complete { .. });
        assert_eq!(complete, sound, "pointer to {target}");
    }
    // Its own TTL, and a label before it that reaches into it.
    for target in [30, 27] {
        let mut answer = message(0, [1, 0, 0], &record(5, &[0xc0, target]));
        answer[27..34].copy_from_slice(b"\x01\x00\x01\x01b\x01c");
        assert_eq!(read_it(&answer), Response::Malformed, "pointer to {target}");
    }
}

#[test]
fn a_name_of_255_octets_is_read_and_one_of_256_is_malformed() {
    for (last, sound) in [(61, true), (62, false)] {
        let mut name = Vec::new();
        for length in [63_u8, 63, 63, last] {
            name.push(length);
            name.resize(name.len() + usize::from(length), b'a');
        }
        name.push(0);
        let answer = message(0, [1, 0, 0], &record(5, &name));
        let complete = matches!(read_it(&answer), Response::Complete { .. });
        assert_eq!(complete, sound);
    }
}

#[test]
fn record_data_that_is_not_what_its_type_says_is_malformed() {
    let soa = |numbers: usize| [b"\xc0\x0c\xc0\x0c".to_vec(), vec![0; numbers]].concat();
    for (rtype, data, sound) in [
        (1, vec![0; 4], true),
        (1, vec![0; 5], false),
        (28, vec![0; 16], true),
        (28, vec![0; 4], false),
        (2, b"\xc0\x0c".to_vec(), true),
        (5, b"\xc0\x0c\0".to_vec(), false),
        (12, b"\x01a".to_vec(), false),
        (15, b"\0\x0a\xc0\x0c".to_vec(), true),
        (15, b"\0".to_vec(), false),
        (33, b"\0\0\0\0\0\x35\xc0\x0c".to_vec(), true),
        (6, soa(20), true),
        (6, soa(19), false),
        (16, b"whatever".to_vec(), true),
    ] {
        let answer = message(0, [1, 0, 0], &record(rtype, &data));
        let complete = matches!(read_it(&answer), Response::Complete { .. });
        assert_eq!(complete, sound, "type {rtype}: {data:?}");
    }
}

/// RFC 6891 §6.1.1: more than one OPT is a format error; §6.1.2: its owner is the root.
#[test]
fn opt_stands_once_in_the_additional_section_under_the_root() {
    let twice = [OPT_BADVERS, OPT_BADVERS].concat();
    for (counts, records) in [
        ([0, 0, 2], twice.as_slice()),
        ([1, 0, 0], OPT_BADVERS),
        ([0, 0, 1], &b"\xc0\x0c\0\x29\x04\xd0\x01\0\0\0\0\0"[..]),
    ] {
        assert_eq!(read_it(&message(0, counts, records)), Response::Malformed);
    }
}

#[test]
fn an_answer_cut_anywhere_in_its_records_is_malformed() {
    let answer = message(
        0,
        [1, 0, 1],
        &[
            record(6, &[b"\xc0\x0c\xc0\x0c".to_vec(), vec![0; 20]].concat()),
            OPT_BADVERS.to_vec(),
        ]
        .concat(),
    );
    assert!(matches!(read_it(&answer), Response::Complete { .. }));
    let question_end = message(0, [0; 3], &[]).len();
    for length in question_end..answer.len() {
        assert_eq!(
            read_it(&answer[..length]),
            Response::Malformed,
            "{length} octets"
        );
    }
}

proptest! {
    /// Records of random bytes behind a question that matches, so that the walk is reached.
    #[test]
    fn no_bytes_make_reading_panic(records in proptest::collection::vec(any::<u8>(), 0..300), counts in any::<[u8; 3]>()) {
        let answer = message(0, counts.map(|count| u16::from(count % 4)), &records);
        if let Response::Complete { length, .. } = read_it(&answer) {
            prop_assert!(length <= answer.len());
        }
        let _ = read_it(&records);
    }

    /// Damage to a real answer is where pointers and lengths go wrong.
    #[test]
    fn a_damaged_answer_never_makes_reading_panic(damage in proptest::collection::vec((0_usize..80, any::<u8>()), 1..6)) {
        let mut answer = message(0, [2, 1, 1], &[
            record(5, b"\x01b\xc0\x10"),
            record(1, &[192, 0, 2, 1]),
            record(2, b"\x02ns\xc0\x24"),
            OPT_BADVERS.to_vec(),
        ].concat());
        for (at, to) in damage {
            if let Some(octet) = answer.get_mut(at) {
                *octet = to;
            }
        }
        if let Response::Complete { length, .. } = read_it(&answer) {
            prop_assert!(length <= answer.len());
        }
    }
}
