//! Zones of the configuration that are answered here or refused.

use super::*;

/// RFC 2308 §2.1, RFC 8020 §2.
#[test]
fn in_a_local_zone_other_names_do_not_exist() {
    let tree = plain(
        &["printer.corp. A 10.0.0.40", "a.b.c.corp. A 10.0.0.41"],
        &[("corp.", ZoneAction::Local)],
    );
    let absent = "nxdomain | corp. SOA 300";
    let nothing = "noerror | corp. SOA 300";
    assert_said(
        &tree,
        &[
            ("printer.corp.", A, "noerror printer.corp. A 10.0.0.40"),
            ("printer.corp.", AAAA, nothing),
            ("x.printer.corp.", A, absent),
            ("x.corp.", A, absent),
            ("x.y.z.corp.", ANY, absent),
            ("c.corp.", A, nothing),
            ("b.c.corp.", TXT, nothing),
            ("x.c.corp.", A, absent),
            ("corp.", A, nothing),
            ("corp.", NS, "noerror corp. NS corp."),
            ("xcorp.", A, "upstream"),
            (".", NS, "upstream"),
        ],
    );
    let soa = ask(&tree, "corp.", SOA).unwrap();
    assert_eq!(
        soa.answers[0].data.to_string(),
        "corp. nobody.invalid. 1 3600 1200 604800 300"
    );
}

#[test]
fn name_servers_of_a_local_zone_may_be_configured() {
    let tree = plain(&["corp. NS ns.corp."], &[("corp.", ZoneAction::Local)]);
    assert_eq!(said(&tree, "corp.", NS), "noerror corp. NS ns.corp.");
    let alias = plain(&["corp. CNAME a."], &[("corp.", ZoneAction::Local)]);
    assert_eq!(said(&alias, "corp.", SOA), "noerror corp. CNAME a.");
}

/// RFC 8914 §4.16.
#[test]
fn a_refused_zone_is_refused_but_for_local_records() {
    let tree = plain(
        &["good.bad. A 10.0.0.1"],
        &[("bad.", ZoneAction::Refuse), ("corp.", ZoneAction::Forward)],
    );
    assert_said(
        &tree,
        &[
            ("bad.", A, "refused"),
            ("x.bad.", ANY, "refused"),
            ("good.bad.", A, "noerror good.bad. A 10.0.0.1"),
            ("good.bad.", AAAA, "noerror | good.bad. SOA 300"),
            ("x.good.bad.", A, "refused"),
            ("corp.", A, "upstream"),
        ],
    );
    let refused = tree.find(&wire("x.bad."), A).unwrap();
    assert_eq!(refused.extended_error, Some(ExtendedError(15)));
}

#[test]
fn the_longest_zone_decides_whatever_its_action() {
    let tree = plain(
        &["a.deep.lab.corp. A 10.0.0.1"],
        &[
            ("corp.", ZoneAction::Forward),
            ("lab.corp.", ZoneAction::Local),
            ("deep.lab.corp.", ZoneAction::Forward),
            ("x.deep.lab.corp.", ZoneAction::Refuse),
        ],
    );
    assert_said(
        &tree,
        &[
            ("a.corp.", A, "upstream"),
            ("a.lab.corp.", A, "nxdomain | lab.corp. SOA 300"),
            ("b.deep.lab.corp.", A, "upstream"),
            ("deep.lab.corp.", A, "upstream"),
            ("a.deep.lab.corp.", A, "noerror a.deep.lab.corp. A 10.0.0.1"),
            ("a.x.deep.lab.corp.", A, "refused"),
        ],
    );
}

/// RFC 4035 §3.1.4.1: DS lives on the parent's side of a zone cut.
#[test]
fn ds_at_an_apex_is_a_matter_of_the_zone_above() {
    let tree = plain(
        &["lab.corp. A 10.0.0.1"],
        &[
            ("lab.corp.", ZoneAction::Local),
            ("deep.lab.corp.", ZoneAction::Forward),
            ("bad.", ZoneAction::Refuse),
            ("good.bad.", ZoneAction::Local),
        ],
    );
    assert_said(
        &tree,
        &[
            ("lab.corp.", TYPE_DS, "upstream"),
            ("a.lab.corp.", TYPE_DS, "nxdomain | lab.corp. SOA 300"),
            ("deep.lab.corp.", TYPE_DS, "noerror | lab.corp. SOA 300"),
            ("a.deep.lab.corp.", TYPE_DS, "upstream"),
            ("bad.", TYPE_DS, "upstream"),
            ("good.bad.", TYPE_DS, "refused"),
        ],
    );
}

#[test]
fn a_node_without_upstreams_answers_all_of_the_tree() {
    let tree = tree(&["a.b. A 10.0.0.1"], &[(".", ZoneAction::Local)]);
    assert_said(
        &tree,
        &[
            ("a.b.", A, "noerror a.b. A 10.0.0.1"),
            ("b.", A, "noerror | . SOA 300"),
            ("c.", A, "nxdomain | . SOA 300"),
            (".", NS, "noerror . NS ."),
            (".", A, "noerror | . SOA 300"),
            (".", TYPE_DS, "noerror | . SOA 300"),
            ("localhost.", A, "noerror localhost. A 127.0.0.1"),
            ("in-addr.arpa.", PTR, "noerror | . SOA 300"),
        ],
    );
    let refusing = plain(&[], &[(".", ZoneAction::Refuse)]);
    assert_eq!(said(&refusing, ".", NS), "refused");
    assert_eq!(said(&refusing, "a.", A), "refused");
}
