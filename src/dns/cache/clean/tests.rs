use proptest::prelude::*;

use super::*;

mod aliases;
mod build;
mod properties;
mod sections;

const QUESTION: &[u8] = b"\x03www\x07example\x00\x00\x01\x00\x01";
const OPT: &[u8] = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00";

fn key() -> Key {
    Key::new(b"\x03www\x07example\x00", 1, 1, false, false).unwrap()
}

fn limits() -> CacheSettings {
    CacheSettings {
        size_bytes: 1 << 20,
        min_ttl: Duration::ZERO,
        max_ttl: Duration::from_secs(86_400),
        max_negative_ttl: Duration::from_secs(3600),
    }
}

fn a(ttl_s: u32) -> Vec<u8> {
    let mut record = b"\xC0\x0C\x00\x01\x00\x01".to_vec();
    record.extend_from_slice(&ttl_s.to_be_bytes());
    record.extend_from_slice(b"\x00\x04\x0A\x00\x00\x01");
    record
}

fn soa(ttl_s: u32, minimum_s: u32) -> Vec<u8> {
    let mut record = b"\xC0\x10\x00\x06\x00\x01".to_vec();
    record.extend_from_slice(&ttl_s.to_be_bytes());
    record.extend_from_slice(b"\x00\x1A\x01m\xC0\x10\x00");
    record.extend_from_slice(&[0; 16]);
    record.extend_from_slice(&minimum_s.to_be_bytes());
    let rdata = u16::try_from(record.len() - 12).unwrap();
    record[10..12].copy_from_slice(&rdata.to_be_bytes());
    record
}

fn response(flags: u16, counts: [u16; 3], records: &[&[u8]]) -> Vec<u8> {
    let mut message = b"\xAB\xCD".to_vec();
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    for count in counts {
        message.extend_from_slice(&count.to_be_bytes());
    }
    message.extend_from_slice(QUESTION);
    message.extend_from_slice(&records.concat());
    message
}

fn lifetime_s(message: &[u8], limits: &CacheSettings) -> Option<u64> {
    let mut message = message.to_vec();
    let cleaned = clean(&key(), &mut message, limits).unwrap();
    cleaned.lifetime.map(|lifetime| lifetime.as_secs())
}

fn records(cleaned: &Cleaned<'_>) -> Vec<u8> {
    cleaned.sections.records().to_vec()
}

#[test]
fn a_positive_answer_lives_as_long_as_its_shortest_record() {
    let mut message = response(0x81A0, [2, 0, 1], &[&a(300), &a(60), OPT]);
    let cleaned = clean(&key(), &mut message, &limits()).unwrap();
    assert_eq!(cleaned.rcode, Rcode::NOERROR);
    assert!(cleaned.authentic);
    assert_eq!(cleaned.lifetime, Some(Duration::from_secs(60)));
    assert_eq!(cleaned.sections.counts(), [2, 0, 0]);
    // RFC 2181 §5.2: the records of an RRset have one TTL.
    assert_eq!(records(&cleaned), [a(60), a(60)].concat());
}

#[test]
fn positive_ttls_are_moved_between_the_configured_limits() {
    let limits = CacheSettings {
        min_ttl: Duration::from_secs(10),
        max_ttl: Duration::from_secs(100),
        ..limits()
    };
    for (received, kept) in [
        (0, 10),
        (9, 10),
        (10, 10),
        (11, 11),
        (99, 99),
        (100, 100),
        (101, 100),
        // RFC 8767 §4: the highest bit does not make a TTL zero.
        (0x8000_0000, 100),
        (u32::MAX, 100),
    ] {
        let mut message = response(0x8180, [1, 0, 0], &[&a(received)]);
        let cleaned = clean(&key(), &mut message, &limits).unwrap();
        assert_eq!(cleaned.lifetime, Some(Duration::from_secs(kept.into())));
        assert_eq!(records(&cleaned), a(kept));
    }
}

/// RFC 2308 §3 and §5: the lesser of the SOA's TTL and its MINIMUM, for NXDOMAIN and NODATA.
#[test]
fn a_negative_answer_lives_as_its_soa_says() {
    for flags in [0x8183, 0x8180] {
        for (ttl_s, minimum_s, kept) in [
            (900, 60, 60),
            (60, 900, 60),
            (3599, 86_400, 3599),
            (86_400, 3600, 3600),
            (86_400, 3601, 3600),
            (0, 60, 0),
        ] {
            let mut message = response(flags, [0, 1, 0], &[&soa(ttl_s, minimum_s)]);
            let cleaned = clean(&key(), &mut message, &limits()).unwrap();
            assert_eq!(cleaned.lifetime, Some(Duration::from_secs(kept.into())));
            assert_eq!(records(&cleaned), soa(kept, minimum_s));
        }
    }
}

/// RFC 2308 §5: negative answers without an SOA should not be cached.
#[test]
fn a_negative_answer_without_soa_is_for_one_question() {
    for flags in [0x8183, 0x8180] {
        assert_eq!(lifetime_s(&response(flags, [0; 3], &[]), &limits()), None);
    }
}

#[test]
fn the_least_ttl_does_not_lengthen_negative_answers() {
    let limits = CacheSettings {
        min_ttl: Duration::from_secs(600),
        ..limits()
    };
    let message = response(0x8183, [0, 1, 0], &[&soa(900, 5)]);
    assert_eq!(lifetime_s(&message, &limits), Some(5));
}

/// RFC 2308 §2.2: an alias that leads to nothing is NODATA.
#[test]
fn an_alias_alone_is_a_negative_answer() {
    let alias = b"\xC0\x0C\x00\x05\x00\x01\x00\x00\x0E\x10\x00\x04\x01a\xC0\x10";
    let address = b"\xC0\x29\x00\x01\x00\x01\x00\x00\x00\x2D\x00\x04\x0A\x00\x00\x01";
    let with_soa = response(0x8180, [1, 1, 0], &[alias, &soa(900, 30)]);
    assert_eq!(lifetime_s(&with_soa, &limits()), Some(30));
    let without = response(0x8180, [1, 0, 0], &[alias]);
    assert_eq!(lifetime_s(&without, &limits()), None);
    let whole = response(0x8180, [2, 0, 0], &[alias, address]);
    assert_eq!(lifetime_s(&whole, &limits()), Some(45));
}

#[test]
fn errors_have_no_lifetime_and_keep_their_reason() {
    let opt = b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x08\x00\x0F\x00\x04\x00\x06no";
    let mut message = response(0x8182, [0, 0, 1], &[opt]);
    let cleaned = clean(&key(), &mut message, &limits()).unwrap();
    assert_eq!(cleaned.rcode, Rcode::SERVFAIL);
    assert_eq!(cleaned.lifetime, None);
    assert_eq!(cleaned.extended_error, Some(ExtendedError(6)));

    let badvers = b"\x00\x00\x29\x04\xD0\x01\x00\x00\x00\x00\x00";
    let mut message = response(0x8180, [1, 0, 1], &[&a(60), badvers]);
    let cleaned = clean(&key(), &mut message, &limits()).unwrap();
    assert_eq!((cleaned.rcode, cleaned.lifetime), (Rcode::BADVERS, None));
}

/// RFC 6891 §6.1.1: OPT records are not kept; stubs have no use for other additional ones.
#[test]
fn additional_records_are_dropped_wherever_the_opt_stands() {
    let mut message = response(0x8180, [1, 0, 3], &[&a(60), &a(50), OPT, &a(5)]);
    let cleaned = clean(&key(), &mut message, &limits()).unwrap();
    assert_eq!(cleaned.sections.counts(), [1, 0, 0]);
    assert_eq!(records(&cleaned), a(60));
    assert_eq!(cleaned.lifetime, Some(Duration::from_secs(60)));
}

#[test]
fn an_opt_outside_the_additional_section_or_twice_is_malformed() {
    for (counts, records) in [
        ([1, 0, 0], &[OPT][..]),
        ([0, 1, 0], &[OPT]),
        ([0, 0, 2], &[OPT, OPT]),
    ] {
        assert_eq!(
            clean(&key(), &mut response(0x8180, counts, records), &limits()),
            Err(Unusable::Malformed)
        );
    }
}

#[test]
fn what_is_not_the_response_to_the_question_is_refused() {
    let mut good = response(0x8180, [1, 0, 0], &[&a(60)]);
    assert!(clean(&key(), &mut good, &limits()).is_ok());
    for (at, value, error) in [
        (2, 0x01, Unusable::Malformed),
        (2, 0x91, Unusable::Malformed),
        (2, 0x83, Unusable::Truncated),
        (5, 0, Unusable::Malformed),
        (5, 2, Unusable::Malformed),
        (7, 2, Unusable::Malformed),
        (13, b'x', Unusable::Question),
        (HEADER + 14, 28, Unusable::Question),
        (HEADER + 16, 3, Unusable::Question),
    ] {
        let mut message = good.clone();
        message[at] = value;
        assert_eq!(clean(&key(), &mut message, &limits()), Err(error), "{at}");
    }
    let mut upper = good;
    upper[13] = b'W';
    assert!(clean(&key(), &mut upper, &limits()).is_ok());
}

/// RFC 1035 §4.1.4: names that loop or leave the message never reach the cache.
#[test]
fn looping_names_are_malformed() {
    let looping = b"\xC0\x1D\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01";
    let mut message = response(0x8180, [1, 0, 0], &[looping]);
    assert_eq!(
        clean(&key(), &mut message, &limits()),
        Err(Unusable::Malformed)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_cleaning_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        let _ = clean(&key(), &mut bytes, &limits());
    }

    #[test]
    fn mutated_responses_are_refused_or_stay_within_the_limits(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut message = response(0x8180, [1, 1, 1], &[&a(300), &soa(900, 60), OPT]);
        for (index, value) in changes {
            let at = index.index(message.len());
            message[at] = value;
        }
        let mut part = message[..cut.index(message.len())].to_vec();
        let _ = clean(&key(), &mut part, &limits());
        let octets = message.len();
        if let Ok(cleaned) = clean(&key(), &mut message, &limits()) {
            prop_assert!(cleaned.sections.octets() <= octets);
            prop_assert!(cleaned.lifetime.is_none_or(|lifetime| lifetime <= limits().max_ttl));
        }
    }
}
