use proptest::prelude::*;

use super::*;
use crate::dns::cookie::Cookie;

fn parse(message: &[u8]) -> Result<(Request<'static>, Key), Unreadable> {
    let mut key = Key::empty();
    let request = Request::parse(message.to_vec().leak(), &mut key)?;
    Ok((request, key))
}

const QUESTION: &[u8] = b"\x03WwW\x07example\x00\x00\x01\x00\x01";

fn query(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34];
    message.extend_from_slice(&flags.to_be_bytes());
    for count in counts {
        message.extend_from_slice(&count.to_be_bytes());
    }
    message.extend_from_slice(body);
    message
}

fn with_opt(opt: &[u8]) -> Vec<u8> {
    query(0x0100, [1, 0, 0, 1], &[QUESTION, opt].concat())
}

fn rcode_of(message: &[u8]) -> Option<Rcode> {
    match parse(message) {
        Err(Unreadable::Reject(rejection)) => Some(rejection.rcode),
        Ok(_) | Err(Unreadable::Ignore | Unreadable::NoQuestion(_)) => None,
    }
}

#[test]
fn a_plain_query_is_read() {
    let (request, key) = parse(&query(0x0130, [1, 0, 0, 0], QUESTION)).unwrap();
    assert_eq!(request.id, 0x1234);
    assert!(request.recursion_desired && request.authentic_data && request.checking_disabled);
    assert_eq!(request.question(), QUESTION);
    assert_eq!(key.name(), b"\x03www\x07example\x00");
    assert_eq!((key.qtype(), key.qclass()), (1, 1));
    assert!(key.checking_disabled() && !key.dnssec_ok());
    assert_eq!(request.edns, None);
}

/// RFC 6891 §6.1.2, §6.1.3, §6.1.4 and RFC 5001 §2.1.
#[test]
fn an_opt_record_is_read_and_unknown_options_are_ignored() {
    let opt = b"\x00\x00\x29\x04\xD0\x00\x00\x80\x00\x00\x0D\xFD\xE9\x00\x01\x01\x00\x03\x00\x00\x00\x0A\x00\x00";
    let mut opt = opt.to_vec();
    opt[10] = 13;
    let (request, key) = parse(&with_opt(&opt)).unwrap();
    let edns = request.edns.unwrap();
    assert_eq!((edns.version, edns.udp_size), (0, 1232));
    assert!(edns.dnssec_ok && edns.nsid);
    assert!(key.dnssec_ok());
}

#[test]
fn an_unknown_edns_version_is_told_and_its_options_are_not_read() {
    let opt = b"\x00\x00\x29\x04\xD0\x00\x01\x00\x00\x00\x03\xFF\xFF\xFF";
    let edns = parse(&with_opt(opt)).unwrap().0.edns.unwrap();
    assert_eq!(edns.version, 1);
}

fn edns_of(options: &[u8]) -> Edns {
    let mut opt = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00".to_vec();
    opt.push(u8::try_from(options.len()).unwrap());
    opt.extend_from_slice(options);
    parse(&with_opt(&opt)).unwrap().0.edns.unwrap()
}

/// RFC 7873 §4 and §5.2: of several cookies the first one counts.
#[test]
fn the_first_cookie_is_read() {
    let first = b"\x00\x0A\x00\x08ABCDEFGH";
    assert_eq!(edns_of(first).cookie, Some(Cookie::Client(*b"ABCDEFGH")));
    let both = b"\x00\x0A\x00\x18ABCDEFGHabcdefghijklmnop";
    let expected = Cookie::Both(*b"ABCDEFGH", *b"abcdefghijklmnop");
    assert_eq!(edns_of(both).cookie, Some(expected));
    let malformed = b"\x00\x0A\x00\x01A";
    assert_eq!(edns_of(malformed).cookie, Some(Cookie::Malformed));
    let edns = edns_of(&[&first[..], malformed].concat());
    assert_eq!(edns.cookie, Some(Cookie::Client(*b"ABCDEFGH")));
    let edns = edns_of(&[&malformed[..], first].concat());
    assert_eq!(edns.cookie, Some(Cookie::Malformed));
}

/// RFC 7828 §3.1: no time from a client. RFC 6891 §9: the marker is an option for local use.
#[test]
fn keepalive_and_the_marker_of_siblings_are_read() {
    let none = edns_of(b"");
    assert_eq!((none.keepalive, none.has_sibling_marker), (None, false));
    let edns = edns_of(b"\x00\x0B\x00\x00");
    assert_eq!(edns.keepalive, Some(Keepalive::Asked));
    let edns = edns_of(b"\x00\x0B\x00\x02\x00\x64");
    assert_eq!(edns.keepalive, Some(Keepalive::Malformed));
    let edns = edns_of(b"\xFE\x1D\x00\x01\x01");
    assert!(edns.has_sibling_marker && edns.keepalive.is_none());
}

/// RFC 7873 §5.4: a question for a cookie has no question.
#[test]
fn no_question_is_all_right_with_a_cookie_alone() {
    let opt = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x0C\x00\x0A\x00\x08ABCDEFGH";
    let message = query(0x0100, [0, 0, 0, 1], opt);
    let Err(Unreadable::NoQuestion(request)) = parse(&message) else {
        panic!("{:?}", parse(&message));
    };
    assert_eq!((request.id, request.question()), (0x1234, &b""[..]));
    let cookie = request.edns.unwrap().cookie;
    assert_eq!(cookie, Some(Cookie::Client(*b"ABCDEFGH")));

    let mut of_version_1 = message.clone();
    of_version_1[HEADER + 6] = 1;
    let without = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00";
    for message in [
        of_version_1,
        message[..message.len() - 1].to_vec(),
        query(0x0100, [0, 0, 0, 1], without),
        query(0x0100, [0, 0, 0, 0], b""),
    ] {
        assert_eq!(rcode_of(&message), Some(Rcode::FORMERR));
    }
}

/// RFC 6891 §6.1.1.
#[test]
fn an_opt_record_outside_of_the_additional_section_is_a_format_error() {
    let opt = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00";
    let body = [QUESTION, opt].concat();
    for (counts, sound) in [
        ([1, 1, 0, 0], false),
        ([1, 0, 1, 0], false),
        ([1, 0, 0, 1], true),
    ] {
        assert_eq!(parse(&query(0, counts, &body)).is_ok(), sound);
    }
}

/// A question that has been cut is not the one that was asked.
#[test]
fn a_truncated_query_is_a_format_error() {
    let message = query(0x0300, [1, 0, 0, 0], QUESTION);
    assert_eq!(rcode_of(&message), Some(Rcode::FORMERR));
}

/// RFC 1035 §4.1.1: AA, RA, Z and the result code have no meaning in a query.
#[test]
fn other_bits_of_the_header_are_ignored() {
    let (request, _) = parse(&query(0x04CF, [1, 0, 0, 0], QUESTION)).unwrap();
    assert!(!request.recursion_desired && !request.authentic_data && !request.checking_disabled);
}

/// RFC 1035 §2.3.4.
#[test]
fn a_name_of_255_octets_is_read_and_one_of_256_is_a_format_error() {
    for (last, sound) in [(60, true), (61, true), (62, false)] {
        let mut question = Vec::new();
        for length in [63_u8, 63, 63, last] {
            question.push(length);
            question.resize(question.len() + usize::from(length), b'a');
        }
        question.extend_from_slice(b"\x00\x00\x01\x00\x01");
        let message = query(0x0100, [1, 0, 0, 0], &question);
        assert_eq!(parse(&message).is_ok(), sound, "{}", question.len() - 4);
    }
}

/// RFC 6891 §6.1.1: two OPT records, or one with an owner, are a format error.
#[test]
fn malformed_opt_records_are_format_errors() {
    let opt = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00";
    let twice = query(0x0100, [1, 0, 0, 2], &[QUESTION, opt, opt].concat());
    assert_eq!(rcode_of(&twice), Some(Rcode::FORMERR));
    let owned = with_opt(b"\x01a\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00");
    assert_eq!(rcode_of(&owned), Some(Rcode::FORMERR));
    let pointed = with_opt(b"\xC0\x18\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00");
    assert_eq!(rcode_of(&pointed), Some(Rcode::FORMERR));
    let short = with_opt(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x03\x00\x03\x00");
    assert_eq!(rcode_of(&short), Some(Rcode::FORMERR));
}

#[test]
fn answers_and_fragments_of_headers_are_ignored() {
    let response = query(0x8100, [1, 0, 0, 0], QUESTION);
    assert_eq!(parse(&response).unwrap_err(), Unreadable::Ignore);
    for length in 0..HEADER {
        let short = &query(0, [1, 0, 0, 0], QUESTION)[..length];
        assert_eq!(parse(short).unwrap_err(), Unreadable::Ignore);
    }
}

#[test]
fn other_opcodes_are_not_implemented() {
    for opcode in 1..16_u16 {
        let message = query(opcode << 11 | 0x0100, [1, 0, 0, 0], QUESTION);
        let expected = Rejection {
            id: 0x1234,
            opcode: u8::try_from(opcode).unwrap(),
            recursion_desired: true,
            rcode: Rcode::NOTIMP,
        };
        assert_eq!(parse(&message).unwrap_err(), Unreadable::Reject(expected));
    }
}

/// RFC 9619: one question, neither none nor two.
#[test]
fn no_question_and_two_questions_are_format_errors() {
    assert_eq!(rcode_of(&query(0, [0, 0, 0, 0], b"")), Some(Rcode::FORMERR));
    let two = query(0, [2, 0, 0, 0], &[QUESTION, QUESTION].concat());
    assert_eq!(rcode_of(&two), Some(Rcode::FORMERR));
}

#[test]
fn a_question_that_ends_early_is_a_format_error() {
    let whole = query(0, [1, 0, 0, 0], QUESTION);
    for length in HEADER..whole.len() {
        assert_eq!(rcode_of(&whole[..length]), Some(Rcode::FORMERR), "{length}");
    }
    assert!(parse(&whole).is_ok());
}

#[test]
fn compression_in_a_question_is_a_format_error() {
    let message = query(0, [1, 0, 0, 0], b"\x01a\xC0\x0C\x00\x01\x00\x01");
    assert_eq!(rcode_of(&message), Some(Rcode::FORMERR));
}

#[test]
fn octets_behind_the_last_record_are_ignored() {
    let message = query(0, [1, 0, 0, 0], &[QUESTION, b"trailing"].concat());
    assert_eq!(parse(&message).unwrap().0.question(), QUESTION);
}

#[test]
fn counted_records_that_are_not_there_are_format_errors() {
    for counts in [
        [1, 1, 0, 0],
        [1, 0, 1, 0],
        [1, 0, 0, 1],
        [1, u16::MAX, u16::MAX, u16::MAX],
    ] {
        assert_eq!(rcode_of(&query(0, counts, QUESTION)), Some(Rcode::FORMERR));
    }
}

#[test]
fn eight_records_are_read_and_nine_are_too_many() {
    let record = b"\x00\x00\xFA\x00\xFF\x00\x00\x00\x00\x00\x00";
    for (count, sound) in [(8_u16, true), (9, false)] {
        let body = [QUESTION, &record.repeat(usize::from(count))].concat();
        let message = query(0, [1, 0, 0, count], &body);
        assert_eq!(parse(&message).is_ok(), sound, "{count}");
    }
}

/// RFC 6891 §6.2.3: less than 512 means 512; 1232 is the most that is sent.
#[test]
fn the_size_limit_lies_between_512_and_1232_by_udp() {
    let (plain, _) = parse(&query(0, [1, 0, 0, 0], QUESTION)).unwrap();
    assert_eq!(plain.size_limit(Transport::Udp), 512);
    assert_eq!(plain.size_limit(Transport::Tcp), 65_535);
    for (size, limit) in [
        (0_u16, 512),
        (511, 512),
        (512, 512),
        (513, 513),
        (1231, 1231),
        (1232, 1232),
        (1233, 1232),
        (65_535, 1232),
    ] {
        let mut opt = b"\x00\x00\x29\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
        opt[3..5].copy_from_slice(&size.to_be_bytes());
        let (request, _) = parse(&with_opt(&opt)).unwrap();
        assert_eq!(request.size_limit(Transport::Udp), limit, "{size}");
        assert_eq!(request.size_limit(Transport::Tcp), 65_535);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_mutation_of_a_query_makes_the_parser_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let opt = b"\x00\x00\x29\x04\xD0\x00\x00\x80\x00\x00\x19\x00\x03\x00\x00\
            \x00\x0A\x00\x08ABCDEFGH\x00\x0B\x00\x00\xFE\x1D\x00\x01\x01";
        let mut message = with_opt(opt);
        for (index, value) in changes {
            let at = index.index(message.len());
            message[at] = value;
        }
        let _ = parse(&message);
        let _ = parse(&message[..cut.index(message.len())]);
    }

    #[test]
    fn what_is_read_is_what_was_asked(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=63), 0..4),
        qtype: u16, qclass: u16, id: u16,
    ) {
        let mut question = Vec::new();
        for label in &labels {
            question.push(u8::try_from(label.len()).unwrap());
            question.extend_from_slice(label);
        }
        question.push(0);
        question.extend_from_slice(&qtype.to_be_bytes());
        question.extend_from_slice(&qclass.to_be_bytes());
        prop_assume!(question.len() <= 259);
        let mut message = query(0x0100, [1, 0, 0, 0], &question);
        message[..2].copy_from_slice(&id.to_be_bytes());
        let (request, key) = parse(&message).unwrap();
        prop_assert_eq!(request.id, id);
        prop_assert_eq!(request.question(), &question[..]);
        prop_assert_eq!(key.qtype(), qtype);
        prop_assert_eq!(key.qclass(), qclass);
    }
}
