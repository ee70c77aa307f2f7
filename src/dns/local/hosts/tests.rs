use proptest::prelude::*;

use super::*;

fn of(text: &str) -> Vec<(Vec<u8>, u16, Vec<u8>)> {
    let records = parse(text).unwrap();
    assert!(records.iter().all(|record| record.ttl_s == TTL_S));
    records
        .into_iter()
        .map(|record| (record.name, record.rtype, record.rdata))
        .collect()
}

fn problem(text: &str) -> (usize, HostsProblem) {
    let error = parse(text).unwrap_err();
    (error.line, error.problem)
}

/// hosts(5): an address, a canonical name, aliases.
#[test]
fn each_name_has_the_address_and_the_address_the_first_name() {
    let nas = b"\x03nas\x04corp\x00".to_vec();
    let short = b"\x03nas\x00".to_vec();
    let reverse = b"\x015\x010\x010\x0210\x07in-addr\x04arpa\x00".to_vec();
    assert_eq!(
        of("10.0.0.5\tNAS.corp  nas # the big one\n10.0.0.5 nas other\n"),
        [
            (reverse, 12, nas.clone()),
            (nas, 1, vec![10, 0, 0, 5]),
            (short, 1, vec![10, 0, 0, 5]),
            (b"\x05other\x00".to_vec(), 1, vec![10, 0, 0, 5]),
        ]
    );
}

/// RFC 3596 §2.5.
#[test]
fn an_ipv6_address_is_reversed_by_its_digits() {
    let records = of("2001:db8::1f host.");
    let digits = "f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    assert_eq!(records[0].0, name_from_text(digits).unwrap());
    assert_eq!((records[1].1, records[1].2.len()), (28, 16));
}

#[test]
fn addresses_that_lead_nowhere_lead_back_to_no_name() {
    for (text, rtype) in [("0.0.0.0 ads.example", 1), (":: ads.example", 28)] {
        let records = of(text);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].1, rtype);
    }
}

#[test]
fn comments_blank_lines_and_addresses_with_a_zone_say_nothing() {
    let text = "\u{feff}# hosts\r\n\r\n  \t# more\nfe80::1%lo0 localhost\n   10.0.0.1 a\r\n";
    assert_eq!(of(text).len(), 2);
    assert!(of("").is_empty());
}

#[test]
fn what_cannot_be_used_is_told_by_its_line() {
    for (text, line) in [
        ("host 10.0.0.1", 1),
        ("\n10.0.0.256 a", 2),
        ("10.0.0.1 a\n10.0.0 b", 2),
        ("fe80::g%eth0 a", 1),
    ] {
        assert!(matches!(problem(text), (at, HostsProblem::Address { .. }) if at == line));
    }
    assert_eq!(problem("# x\n\n10.0.0.1 # a"), (3, HostsProblem::NoName));
    let long = format!("10.0.0.1 {}", "a".repeat(64));
    for text in [
        "10.0.0.1 a..b",
        "10.0.0.1 *.a",
        "10.0.0.1 a b@c",
        "10.0.0.1 a\\032b",
        "10.0.0.1 .",
        "10.0.0.1 a/24",
        &long,
    ] {
        assert!(
            matches!(problem(text), (1, HostsProblem::Name { .. })),
            "{text}"
        );
    }
}

#[test]
fn a_file_of_too_many_records_ends_at_the_line() {
    let text = "0.0.0.0 a\n0.0.0.0 b\n10.0.0.1 c\n10.0.0.1 c\n";
    assert_eq!(parse_up_to(4, text).unwrap().len(), 4);
    let error = parse_up_to(4, &format!("{text}0.0.0.0 d")).unwrap_err();
    let problem = HostsProblem::TooMany { most: 4 };
    assert_eq!(error, HostsError { line: 5, problem });
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[ -~\t\n#%:.é]{0,80}", any in any::<String>()) {
        let _ = parse(&text);
        let _ = parse(&any);
    }

    #[test]
    fn what_is_read_can_be_asked_for(
        address: std::net::Ipv4Addr,
        names in proptest::collection::vec("[a-z0-9_][a-z0-9_-]{0,19}(\\.[a-z0-9]{1,20}){0,3}", 1..4),
    ) {
        let records = parse(&format!("{address} {}", names.join(" "))).unwrap();
        for name in &names {
            let wire = name_from_text(name).unwrap();
            prop_assert!(records.iter().any(|record| record.name == wire && record.rtype == 1));
        }
    }
}
