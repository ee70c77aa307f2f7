//! Special names and what overrides them.

use super::*;

/// RFC 6761 §6.3: loopback addresses at and below, nothing for other types.
#[test]
fn localhost_is_this_host() {
    let tree = tree(&[], &[]);
    let nothing = "noerror | localhost. SOA 10800";
    assert_said(
        &tree,
        &[
            ("localhost.", A, "noerror localhost. A 127.0.0.1"),
            ("localhost.", AAAA, "noerror localhost. AAAA ::1"),
            ("a.b.localhost.", A, "noerror a.b.localhost. A 127.0.0.1"),
            ("localhost.", TXT, nothing),
            ("localhost.", NS, nothing),
            ("localhost.", TYPE_DS, nothing),
            ("a.localhost.", 15, nothing),
            ("localhost.example.", A, "upstream"),
        ],
    );
}

/// RFC 6303 §3 and §4.2, §4.3.
#[test]
fn loopback_addresses_lead_back_to_localhost() {
    let tree = tree(&[], &[]);
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.";
    assert_said(
        &tree,
        &[
            (
                "1.0.0.127.in-addr.arpa.",
                PTR,
                "noerror 1.0.0.127.in-addr.arpa. PTR localhost.",
            ),
            (v6, PTR, &format!("noerror {v6} PTR localhost.")),
            (
                "2.0.0.127.in-addr.arpa.",
                PTR,
                "nxdomain | 127.in-addr.arpa. SOA 10800",
            ),
            (
                "0.127.in-addr.arpa.",
                PTR,
                "noerror | 127.in-addr.arpa. SOA 10800",
            ),
        ],
    );
}

/// RFC 6761 §6.2 and §6.4, RFC 6762 §22.1, RFC 7686 §2, RFC 9476 §2.
#[test]
fn names_outside_of_dns_do_not_exist() {
    let tree = tree(&[], &[]);
    for top in ["test.", "invalid.", "onion.", "alt.", "local."] {
        let absent = format!("nxdomain | {top} SOA 10800");
        for qtype in [A, NS, SOA, TYPE_DS, ANY] {
            assert_eq!(said(&tree, top, qtype), absent);
            assert_eq!(said(&tree, &format!("a.b.{top}"), qtype), absent);
        }
    }
    assert_eq!(said(&tree, "example.", A), "upstream");
}

/// RFC 6303 §3: SOA and NS at the apex, and the SOA in all that is negative. RFC 8375 §4: DS comes
/// from the real parent, which proves that nothing is signed.
#[test]
fn every_locally_served_zone_has_soa_and_ns_and_nothing_else() {
    let tree = tree(&[], &[]);
    for special in special::names(&SpecialNameSettings::default()) {
        if special.kind != special::Kind::Empty {
            continue;
        }
        let name = hickory_proto::rr::Name::from_labels(labels(&special.name)).unwrap();
        let name = name.to_string();
        let below = format!("x.y.{name}");
        let negative = format!("| {name} SOA 10800");
        assert_eq!(said(&tree, &name, NS), format!("noerror {name} NS {name}"));
        assert!(said(&tree, &name, SOA).starts_with(&format!("noerror {name} SOA {name}")));
        assert_eq!(said(&tree, &name, A), format!("noerror {negative}"));
        assert_eq!(said(&tree, &below, PTR), format!("nxdomain {negative}"));
        assert_eq!(said(&tree, &name, TYPE_DS), "upstream");
        assert_eq!(said(&tree, &below, TYPE_DS), format!("nxdomain {negative}"));
    }
    for name in [
        "1.0.15.172.in-addr.arpa.",
        "1.0.32.172.in-addr.arpa.",
        "1.0.63.100.in-addr.arpa.",
        "1.0.128.100.in-addr.arpa.",
        "172.in-addr.arpa.",
        "arpa.",
        "ipv4only.arpa.",
        "hostname.as112.arpa.",
    ] {
        assert_eq!(said(&tree, name, PTR), "upstream", "{name}");
    }
}

fn labels(name: &[u8]) -> Vec<&[u8]> {
    let mut rest = name;
    let mut labels = Vec::new();
    while let Some(shorter) = parent(rest) {
        labels.push(&rest[1..rest.len() - shorter.len()]);
        rest = shorter;
    }
    labels
}

/// RFC 9462 §4: no designated resolver.
#[test]
fn the_resolver_zone_has_nothing_and_is_not_forwarded() {
    let tree = tree(&[], &[]);
    let nothing = "noerror | resolver.arpa. SOA 10800";
    assert_said(
        &tree,
        &[
            ("_dns.resolver.arpa.", 64, nothing),
            ("resolver.arpa.", 261, nothing),
            ("a.resolver.arpa.", A, nothing),
        ],
    );
}

#[test]
fn the_canary_does_not_exist_when_the_operator_says_so() {
    let name = "use-application-dns.net.";
    let on = tree(&[], &[]);
    let expected = "nxdomain | use-application-dns.net. SOA 10800";
    assert_eq!(said(&on, name, A), expected);
    let found = on.find(&wire(name), A).unwrap();
    assert_eq!(found.extended_error, Some(ExtendedError(15)));
    let off = tree_with(&[], &[], &SpecialNameSettings::default());
    assert_eq!(said(&off, name, A), "upstream");
}

#[test]
fn switches_leave_their_names_to_the_upstreams() {
    let off = plain(&[], &[]);
    for name in [
        "localhost.",
        "a.test.",
        "1.0.0.10.in-addr.arpa.",
        "home.arpa.",
    ] {
        assert_eq!(said(&off, name, A), "upstream");
    }
    let names = SpecialNameSettings {
        private_reverse: false,
        ..SpecialNameSettings::default()
    };
    let names = tree_with(&[], &[], &names);
    assert_eq!(said(&names, "1.0.0.127.in-addr.arpa.", PTR), "upstream");
    assert_ne!(said(&names, "a.test.", A), "upstream");
}

#[test]
fn a_zone_at_or_above_a_special_name_has_the_last_word() {
    for (zone, name) in [
        ("home.arpa.", "a.home.arpa."),
        ("arpa.", "a.home.arpa."),
        ("10.in-addr.arpa.", "1.0.0.10.in-addr.arpa."),
        ("in-addr.arpa.", "1.0.0.10.in-addr.arpa."),
        ("local.", "dc.corp.local."),
        ("localhost.", "localhost."),
    ] {
        let forwarded = tree(&[], &[(zone, ZoneAction::Forward)]);
        assert_eq!(said(&forwarded, name, A), "upstream", "{zone}");
        let refused = tree(&[], &[(zone, ZoneAction::Refuse)]);
        assert_eq!(said(&refused, name, A), "refused", "{zone}");
        let local = tree(&[], &[(zone, ZoneAction::Local)]);
        let expected = if zone.len() == name.len() {
            "noerror"
        } else {
            "nxdomain"
        };
        let expected = format!("{expected} | {zone} SOA 300");
        assert_eq!(said(&local, name, A), expected);
    }
}

#[test]
fn a_zone_below_a_special_name_has_its_own_names_alone() {
    let tree = tree(
        &[],
        &[
            ("corp.local.", ZoneAction::Forward),
            ("2.10.in-addr.arpa.", ZoneAction::Forward),
            (".", ZoneAction::Forward),
        ],
    );
    assert_said(
        &tree,
        &[
            ("dc.corp.local.", A, "upstream"),
            ("corp.local.", TYPE_DS, "noerror | local. SOA 10800"),
            ("x.local.", A, "nxdomain | local. SOA 10800"),
            ("local.", A, "noerror | local. SOA 10800"),
            ("1.0.2.10.in-addr.arpa.", PTR, "upstream"),
            (
                "1.0.3.10.in-addr.arpa.",
                PTR,
                "nxdomain | 10.in-addr.arpa. SOA 10800",
            ),
        ],
    );
}

#[test]
fn a_record_has_the_last_word_for_its_name() {
    let tree = tree(
        &[
            "nas.home.arpa. A 10.0.0.5",
            "5.0.0.10.in-addr.arpa. PTR nas.home.arpa.",
            "a.b.test. A 10.0.0.6",
            "localhost. A 10.0.0.7",
            "1.0.0.127.in-addr.arpa. PTR myself.",
        ],
        &[],
    );
    assert_said(
        &tree,
        &[
            ("nas.home.arpa.", A, "noerror nas.home.arpa. A 10.0.0.5"),
            ("nas.home.arpa.", AAAA, "noerror | home.arpa. SOA 10800"),
            ("x.home.arpa.", A, "nxdomain | home.arpa. SOA 10800"),
            (
                "5.0.0.10.in-addr.arpa.",
                PTR,
                "noerror 5.0.0.10.in-addr.arpa. PTR nas.home.arpa.",
            ),
            (
                "0.10.in-addr.arpa.",
                PTR,
                "noerror | 10.in-addr.arpa. SOA 10800",
            ),
            ("a.b.test.", A, "noerror a.b.test. A 10.0.0.6"),
            ("b.test.", A, "noerror | test. SOA 10800"),
            ("test.", A, "noerror | test. SOA 10800"),
            ("c.test.", A, "nxdomain | test. SOA 10800"),
            ("localhost.", A, "noerror localhost. A 10.0.0.7"),
            ("localhost.", AAAA, "noerror | localhost. SOA 10800"),
            ("a.localhost.", A, "noerror a.localhost. A 127.0.0.1"),
            (
                "1.0.0.127.in-addr.arpa.",
                PTR,
                "noerror 1.0.0.127.in-addr.arpa. PTR myself.",
            ),
        ],
    );
}

/// What Debian's /etc/hosts says agrees with what is said without it.
#[test]
fn a_usual_hosts_file_changes_nothing_about_localhost() {
    let text = "127.0.0.1 localhost\n127.0.1.1 node-1\n::1 localhost ip6-localhost\nff02::1 ip6-allnodes\n";
    let records = hosts::parse(text).unwrap();
    let with = LocalTree::new(&records, &[], &SpecialNameSettings::default());
    let without = tree(&[], &[]);
    for (name, qtype) in [
        ("localhost.", A),
        ("localhost.", AAAA),
        ("localhost.", TXT),
        ("a.localhost.", A),
        ("1.0.0.127.in-addr.arpa.", PTR),
    ] {
        assert_eq!(said(&with, name, qtype), said(&without, name, qtype));
    }
    assert_eq!(said(&with, "node-1.", A), "noerror node-1. A 127.0.1.1");
}
