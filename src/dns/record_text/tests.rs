use proptest::prelude::*;

use super::*;

#[test]
fn names_become_lower_case_wire_form_with_and_without_final_dot() {
    let wire = b"\x07printer\x04corp\x00".to_vec();
    assert_eq!(name_from_text("Printer.Corp."), Ok(wire.clone()));
    assert_eq!(name_from_text("printer.corp"), Ok(wire));
    assert_eq!(name_from_text("."), Ok(vec![0]));
}

/// RFC 5891: what is not ASCII goes onto the wire as an A-label.
#[test]
fn names_that_are_not_ascii_become_a_labels() {
    let wire = b"\x0exn--mnchen-3ya\x00".to_vec();
    assert_eq!(name_from_text("München."), Ok(wire));
}

#[test]
fn underscores_and_escaped_dots_are_good_in_names() {
    let service = b"\x05_dns_\x04_udp\x00".to_vec();
    assert_eq!(name_from_text("_dns_._udp."), Ok(service));
    assert_eq!(name_from_text(r"a\.b."), Ok(b"\x03a.b\x00".to_vec()));
}

/// RFC 1035 §2.3.4: labels of 63 octets and names of 255 are the longest.
#[test]
fn names_are_refused_from_one_octet_over_the_limits() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}.", "a".repeat(61));
    assert_eq!(name_from_text(&longest).map(|wire| wire.len()), Ok(255));
    let too_long = format!("{label}.{label}.{label}.{}.", "a".repeat(62));
    assert!(name_from_text(&too_long).is_err());
    assert!(name_from_text(&format!("{label}a.")).is_err());
}

#[test]
fn what_is_no_name_is_refused() {
    assert_eq!(name_from_text(""), Err(RecordTextError::EmptyName));
    for text in ["a..b", "..", ".a", "a b", "a\tb"] {
        assert!(name_from_text(text).is_err(), "{text:?} was accepted");
    }
    assert_eq!(
        name_from_text(r"a\032b"),
        Err(RecordTextError::NumericEscape)
    );
}

/// RFC 1035 §3.3, §3.4, RFC 2782, RFC 3596: the wire form of each type that can be written.
#[test]
fn every_type_has_its_wire_form() {
    let cases: [(&str, &str, u16, &[u8]); 9] = [
        ("A", "10.0.0.40", 1, &[10, 0, 0, 40]),
        ("NS", "ns.example.", 2, b"\x02ns\x07example\x00"),
        ("cname", "a.a.", 5, b"\x01a\x01a\x00"),
        ("PTR", "host.example", 12, b"\x04host\x07example\x00"),
        (
            "MX",
            "10 mail.example.",
            15,
            b"\x00\x0a\x04mail\x07example\x00",
        ),
        ("TXT", "v=DKIM1; k=rsa", 16, b"\x0ev=DKIM1; k=rsa"),
        ("TXT", r#""a b" "c\"d""#, 16, b"\x03a b\x03c\"d"),
        (
            "SRV",
            "0 5 5060 sip.example.",
            33,
            b"\x00\x00\x00\x05\x13\xc4\x03sip\x07example\x00",
        ),
        (
            "AAAA",
            "::1",
            28,
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
    ];
    for (rtype, data, code, wire) in cases {
        assert_eq!(
            rdata_from_text(rtype, data),
            Ok((code, wire.to_vec())),
            "{rtype} {data}"
        );
    }
}

#[test]
fn a_long_text_without_quotes_is_cut_into_strings_of_255_octets() {
    let (_, wire) = rdata_from_text("TXT", &"x".repeat(256)).unwrap();
    assert_eq!((wire[0], wire[256], wire.len()), (255, 1, 258));
    assert!(rdata_from_text("TXT", &format!("\"{}\"", "x".repeat(256))).is_err());
}

/// RFC 1035 §3.2.1: RDLENGTH has 16 bits.
#[test]
fn texts_over_65535_octets_in_all_are_refused() {
    assert!(rdata_from_text("TXT", &"x".repeat(65_279)).is_ok());
    assert!(rdata_from_text("TXT", &"x".repeat(65_280)).is_err());
}

#[test]
fn data_that_does_not_fit_its_type_is_refused() {
    for (rtype, data) in [
        ("A", "10.0.0.256"),
        ("A", "10.0.0.1 10.0.0.2"),
        ("A", ""),
        ("AAAA", "10.0.0.1"),
        ("MX", "mail.example."),
        ("MX", "65536 mail.example."),
        ("SRV", "0 5 sip.example."),
        ("CNAME", "a..b"),
        ("CNAME", "@"),
        ("TXT", "\"open"),
        ("TXT", "\"a\" b"),
    ] {
        let error = rdata_from_text(rtype, data).unwrap_err();
        assert!(!error.is_about_type(), "{rtype} {data}: {error}");
    }
    for rtype in ["", "B", "ANY", "OPT", "SOA", "TYPE1"] {
        let error = rdata_from_text(rtype, "10.0.0.1").unwrap_err();
        assert!(error.is_about_type(), "{rtype}: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(rtype in "A|AAAA|CNAME|MX|NS|PTR|SRV|TXT", data in ".*") {
        let _ = rdata_from_text(&rtype, &data);
    }

    /// RFC 1035 §3.1: labels with their lengths, then the root, nothing after it.
    #[test]
    fn whatever_is_read_as_a_name_is_a_name_on_the_wire(text in r"[a-zA-Z0-9._*\\-]{0,80}|.{0,40}") {
        if let Ok(wire) = name_from_text(&text) {
            prop_assert!(wire.len() <= 255);
            let mut rest = wire.as_slice();
            while rest[0] != 0 {
                prop_assert!(rest[0] <= 63);
                rest = &rest[usize::from(rest[0]) + 1..];
            }
            prop_assert_eq!(rest, &[0]);
            prop_assert!(!wire.iter().any(u8::is_ascii_uppercase));
        }
    }
}
