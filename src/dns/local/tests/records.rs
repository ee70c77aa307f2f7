//! Local records and aliases among them.

use super::*;

/// RFC 2308 §2.2: NODATA is a name without the type. §3: the source tells for how long.
#[test]
fn a_local_name_has_its_types_and_no_others() {
    let tree = plain(
        &[
            "printer. A 10.0.0.40",
            "printer. A 10.0.0.41",
            "printer. TXT x",
        ],
        &[],
    );
    let nothing = "noerror | printer. SOA 300";
    assert_said(
        &tree,
        &[
            (
                "printer.",
                A,
                "noerror printer. A 10.0.0.40 printer. A 10.0.0.41",
            ),
            ("printer.", TXT, "noerror printer. TXT x"),
            ("printer.", AAAA, nothing),
            ("printer.", SOA, nothing),
            ("printer.", TYPE_DS, nothing),
            ("a.printer.", A, "upstream"),
            (".", A, "upstream"),
            ("xprinter.", A, "upstream"),
        ],
    );
}

/// RFC 8482 §4.1: one RRset is enough.
#[test]
fn any_is_answered_with_the_first_records() {
    let tree = plain(&["a. TXT x", "a. A 10.0.0.1", "a. TXT y"], &[]);
    assert_eq!(said(&tree, "a.", ANY), "noerror a. TXT x a. TXT y");
}

#[test]
fn names_between_a_record_and_the_root_go_to_the_upstreams() {
    let tree = plain(&["host.corp.example. A 10.0.0.1"], &[]);
    for name in ["corp.example.", "example.", ".", "other.corp.example."] {
        assert_eq!(said(&tree, name, A), "upstream", "{name}");
    }
}

#[test]
fn a_record_stands_in_the_answer_as_configured() {
    let tree = plain(&["a. A 10.0.0.40"], &[]);
    let mut out = Vec::new();
    let found = tree.find(b"\x01a\x00", 1).unwrap();
    found
        .sections
        .write(&mut out, crate::dns::sections::Ttl::Aged(5));
    assert_eq!(
        out,
        b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x28"
    );
}

/// RFC 1034 §4.3.2 (3a): an alias stands for every type but its own, and is followed.
#[test]
fn an_alias_is_followed_as_long_as_names_are_local() {
    let tree = plain(
        &[
            "www. CNAME web.corp.",
            "web.corp. CNAME host.corp.",
            "host.corp. A 10.0.0.1",
            "host.corp. TXT x",
        ],
        &[],
    );
    let chain = "noerror www. CNAME web.corp. web.corp. CNAME host.corp.";
    assert_said(
        &tree,
        &[
            ("www.", A, &format!("{chain} host.corp. A 10.0.0.1")),
            ("www.", TXT, &format!("{chain} host.corp. TXT x")),
            ("www.", AAAA, &format!("{chain} | host.corp. SOA 300")),
            ("www.", CNAME, "noerror www. CNAME web.corp."),
            ("www.", ANY, "noerror www. CNAME web.corp."),
            (
                "web.corp.",
                A,
                "noerror web.corp. CNAME host.corp. host.corp. A 10.0.0.1",
            ),
        ],
    );
    assert_eq!(tree.find(&wire("www."), A).unwrap().target, None);
}

#[test]
fn an_alias_that_leaves_the_local_names_says_where_it_leads() {
    let tree = plain(&["www. CNAME a.", "a. CNAME host.example."], &[]);
    let expected = "noerror www. CNAME a. a. CNAME host.example.";
    assert_eq!(said(&tree, "www.", A), expected);
    let target = wire("host.example.");
    let told = |qtype| tree.find(&wire("www."), qtype).unwrap().target;
    assert_eq!(told(A), Some(&*target));
    assert_eq!(told(CNAME), None);
    assert_eq!(told(ANY), None);
}

/// RFC 6604 §3: the RCODE is that of the last name.
#[test]
fn an_alias_into_a_zone_that_is_answered_here_ends_there() {
    let tree = tree(
        &[
            "nowhere. CNAME x.corp.",
            "between. CNAME sub.corp.",
            "a.sub.corp. A 10.0.0.1",
            "refused. CNAME x.bad.",
            "kept. CNAME good.bad.",
            "good.bad. A 10.0.0.2",
            "self. CNAME any.localhost.",
        ],
        &[("corp.", ZoneAction::Local), ("bad.", ZoneAction::Refuse)],
    );
    assert_said(
        &tree,
        &[
            (
                "nowhere.",
                A,
                "nxdomain nowhere. CNAME x.corp. | corp. SOA 300",
            ),
            (
                "between.",
                A,
                "noerror between. CNAME sub.corp. | corp. SOA 300",
            ),
            ("refused.", A, "refused refused. CNAME x.bad."),
            (
                "kept.",
                A,
                "noerror kept. CNAME good.bad. good.bad. A 10.0.0.2",
            ),
            (
                "kept.",
                AAAA,
                "noerror kept. CNAME good.bad. | good.bad. SOA 300",
            ),
            (
                "self.",
                AAAA,
                "noerror self. CNAME any.localhost. any.localhost. AAAA ::1",
            ),
            (
                "self.",
                TXT,
                "noerror self. CNAME any.localhost. | localhost. SOA 10800",
            ),
        ],
    );
    let refused = tree.find(&wire("refused."), A).unwrap();
    assert_eq!(refused.extended_error, Some(ExtendedError(15)));
}

#[test]
fn an_alias_that_never_ends_is_a_failure() {
    let tree = plain(&["a. CNAME b.", "b. CNAME c.", "c. CNAME a."], &[]);
    assert_eq!(said(&tree, "a.", A), "servfail");
    assert_eq!(said(&tree, "a.", CNAME), "noerror a. CNAME b.");
    let own = plain(&["a. CNAME a."], &[]);
    assert_eq!(said(&own, "a.", A), "servfail");
}

#[test]
fn eight_aliases_are_followed_and_nine_are_not() {
    let names: Vec<String> = (0..9).map(|n| format!("a{n}. CNAME a{}.", n + 1)).collect();
    let mut records: Vec<&str> = names.iter().map(String::as_str).collect();
    records.push("a9. A 10.0.0.1");
    let tree = plain(&records, &[]);
    assert_eq!(said(&tree, "a0.", A), "servfail");
    let answer = ask(&tree, "a1.", A).unwrap();
    assert_eq!(answer.answers.len(), LINKS_MAX + 1);
}
