//! RFC 2308 §2, RFC 4035 §3.2.1, RFC 5452 §6: what is kept of each section.

use super::build::*;
use super::*;

const WWW: &str = "www.example.";

fn www() -> Key {
    asked(WWW, rtype::A, false)
}

fn name(name: &str) -> Part {
    Part::Name(name.into())
}

/// RFC 5452 §6. The names of what stays point into what goes.
#[test]
fn records_of_other_names_types_and_classes_are_dropped() {
    let mut chaos = address(WWW, 7);
    chaos.class = 3;
    let answers = [
        address("bank.test.", 6),
        opaque(WWW, 28_000),
        alias(WWW, "www.bank.test."),
        chaos,
        address("a.www.bank.test.", 5),
        server("example.", "ns.bank.test."),
        address("WWW.bank.test.", 1),
    ];
    let kept = [answers[2].clone(), answers[6].clone()];
    assert_kept(&www(), 0x8180, [&answers, &[], &[]], [&kept, &[]]);
}

/// RFC 3597 §4: names in RDATA lead where they did, and opaque RDATA stays byte for byte.
#[test]
fn rdata_is_right_after_records_before_it_have_gone() {
    let stray = address("stray.mail.test.", 9);
    for (qtype, rdata) in [
        (12, vec![name("mail.test.")]),
        (15, vec![Part::Octets(vec![0, 10]), name("a.mail.test.")]),
        (33, vec![Part::Octets(vec![0; 6]), name("mail.test.")]),
        (
            35,
            vec![
                Part::Octets(b"\x00\x01\x00\x02\x01u\x03sip\x02!!".to_vec()),
                name("b.mail.test."),
            ],
        ),
        (17, vec![name("stray.mail.test."), name("mail.test.")]),
        (16, vec![Part::Octets(b"\x04\xC0\x0C\xC0\x0D".to_vec())]),
    ] {
        let key = asked(WWW, qtype, false);
        let kept = [line(WWW, qtype, rdata.clone()), line(WWW, qtype, rdata)];
        let answers = [
            stray.clone(),
            kept[0].clone(),
            stray.clone(),
            kept[1].clone(),
        ];
        assert_kept(&key, 0x8180, [&answers, &[], &[]], [&kept, &[]]);
    }
    let key = asked(WWW, 65_280, false);
    let kept = opaque(WWW, 65_280);
    let mut message = written((WWW, 65_280), 0x8180, [&[stray, kept], &[], &[]]);
    let found = cleaned_twice(&key, &mut message).unwrap();
    assert!(found.records.ends_with(b"\x00\x04\xC0\x0C\x01x"));
}

#[test]
fn servers_and_additional_records_of_an_answer_are_dropped_for_everybody() {
    let answers = [address(WWW, 1)];
    let servers = [server("example.", "ns.example."), start_of("example.")];
    let glue = [address("ns.example.", 53)];
    for dnssec_ok in [false, true] {
        let key = asked(WWW, rtype::A, dnssec_ok);
        assert_kept(&key, 0x8180, [&answers, &servers, &glue], [&answers, &[]]);
    }
}

/// RFC 2308 §2.1 and §2.2: the SOA is that of the zone which the last name is in.
#[test]
fn a_negative_answer_keeps_the_one_soa_that_may_speak() {
    let leads = [alias(WWW, "a.b.test.")];
    for flags in [0x8180, 0x8183] {
        for (zone, may_speak) in [
            ("a.b.test.", true),
            ("b.test.", true),
            ("test.", true),
            (".", true),
            ("c.test.", false),
            ("x.a.b.test.", false),
            ("example.", false),
        ] {
            let servers = server("test.", "ns.test.");
            let authorities = [servers, start_of(zone), start_of("b.test.")];
            let kept = if may_speak { 1..2 } else { 2..3 };
            let kept = &authorities[kept];
            assert_kept(&www(), flags, [&leads, &authorities, &[]], [&leads, kept]);
            let alone = [start_of(zone)];
            let mut message = written((WWW, rtype::A), flags, [&leads, &alone, &[]]);
            let found = cleaned_twice(&www(), &mut message).unwrap();
            let lifetime = may_speak.then_some(Duration::from_secs(60));
            assert_eq!(found.lifetime, lifetime, "{zone}");
        }
    }
}

/// RFC 4035 §3.2.1: what they did not ask for would only make answers large.
#[test]
fn signatures_and_proofs_are_for_those_who_ask_for_them() {
    let answers = [
        alias(WWW, "a.example."),
        signature(WWW, rtype::CNAME),
        signature(WWW, rtype::A),
        address("a.example.", 1),
        signature("a.example.", rtype::A),
        signature("a.example.", 28),
    ];
    let authorities = [
        server("example.", "ns.example."),
        signature("example.", rtype::NS),
        opaque("b.example.", rtype::NSEC),
        signature("b.example.", rtype::NSEC),
        opaque("0p9m.example.", rtype::NSEC3),
        signature("0p9m.example.", rtype::NSEC3),
        opaque("0p9m.test.", rtype::NSEC3),
        opaque("b.test.", rtype::NSEC),
    ];
    let sections: [&[Line]; 3] = [&answers, &authorities, &[]];
    let plain = [0, 3].map(|at: usize| answers[at].clone());
    assert_kept(&www(), 0x8180, sections, [&plain, &[]]);
    let signed = [0, 1, 3, 4].map(|at: usize| answers[at].clone());
    let key = asked(WWW, rtype::A, true);
    assert_kept(&key, 0x8180, sections, [&signed, &authorities[2..6]]);
}

/// Each is compared with all names of the chain.
#[test]
fn of_endless_signatures_and_proofs_a_bounded_number_is_kept() {
    let key = asked(WWW, rtype::A, true);
    let address = [address(WWW, 1)];
    let signatures = vec![signature(WWW, rtype::A); 200];
    let answers = [&address[..], &signatures].concat();
    let proofs = vec![opaque("b.example.", rtype::NSEC); 200];
    let kept = &answers[..=128];
    assert_kept(&key, 0x8180, [&answers, &proofs, &[]], [kept, &[]]);
    assert_kept(
        &key,
        0x8180,
        [&address, &proofs, &[]],
        [&address, &proofs[..128]],
    );
}

/// RFC 4035 §3.1.3: an SOA with its signature, and proofs, the root's among them.
#[test]
fn a_negative_answer_keeps_its_proofs() {
    let key = asked("no.such.", rtype::A, true);
    let authorities = [
        start_of("."),
        signature(".", rtype::SOA),
        opaque(".", rtype::NSEC),
        signature(".", rtype::NSEC),
        opaque("statoil.", rtype::NSEC),
        signature("statoil.", rtype::NSEC),
    ];
    assert_kept(&key, 0x8183, [&[], &authorities, &[]], [&[], &authorities]);
    let key = asked("no.such.", rtype::A, false);
    assert_kept(
        &key,
        0x8183,
        [&[], &authorities, &[]],
        [&[], &authorities[..1]],
    );
}

#[test]
fn an_answer_without_a_record_of_the_question_is_refused() {
    for answers in [
        vec![address("bank.test.", 1)],
        vec![opaque(WWW, 99)],
        vec![alias("a.example.", "b.example."), address("b.example.", 1)],
    ] {
        let mut message = written((WWW, rtype::A), 0x8180, [&answers, &[], &[]]);
        let refused = clean(&www(), &mut message, &limits());
        assert_eq!(refused, Err(Unusable::Unrelated), "{answers:?}");
        // That there is no such name, or record, has been said all the same.
        let soa = [start_of("example.")];
        for flags in [0x8180, 0x8183] {
            assert_kept(&www(), flags, [&answers, &soa, &[]], [&[], &soa]);
        }
    }
}

/// RFC 2308 §2.2: NS and no SOA is a referral, which an upstream that resolves never gives.
#[test]
fn a_referral_is_no_answer() {
    let servers = [server("example.", "ns.example.")];
    let mut message = written((WWW, rtype::A), 0x8100, [&[], &servers, &[]]);
    assert_eq!(
        clean(&www(), &mut message, &limits()),
        Err(Unusable::Referral)
    );
    // With RA it is a resolver's way to say that there is nothing.
    assert_kept(&www(), 0x8180, [&[], &servers, &[]], [&[], &[]]);
    let with_soa = [servers[0].clone(), start_of("example.")];
    assert_kept(&www(), 0x8100, [&[], &with_soa, &[]], [&[], &with_soa[1..]]);
    assert_kept(&www(), 0x8100, [&[], &[], &[]], [&[], &[]]);
}

/// RFC 2181 §5.2: the records of an RRset, and what signs them, have one TTL; an alias has its own.
#[test]
fn the_records_of_an_rrset_get_the_lowest_ttl_among_them() {
    let mut answers = [
        alias(WWW, "a.example."),
        address("a.example.", 1),
        address("a.example.", 2),
        signature("a.example.", rtype::A),
    ];
    for (line, ttl_s) in answers.iter_mut().zip([30, 300, 200, 250]) {
        line.ttl_s = ttl_s;
    }
    let mut message = written((WWW, rtype::A), 0x8180, [&answers, &[], &[]]);
    let key = asked(WWW, rtype::A, true);
    let found = cleaned_twice(&key, &mut message).unwrap();
    assert_eq!(found.lifetime, Some(Duration::from_secs(30)));
    let ttls: Vec<_> = found
        .read(&key)
        .answers
        .iter()
        .map(|record| record.ttl)
        .collect();
    assert_eq!(ttls, [30, 200, 200, 200]);
}

#[test]
fn an_error_has_no_records() {
    let answers = [address(WWW, 1)];
    for flags in [0x8182, 0x8185] {
        let mut message = written((WWW, rtype::A), flags, [&answers, &[], &[]]);
        let found = cleaned_twice(&www(), &mut message).unwrap();
        assert_eq!((found.counts, found.lifetime), ([0; 3], None));
    }
}

/// RFC 1035 §2.3.4: names of 255 octets, in an answer that has to be rewritten.
#[test]
fn the_longest_names_survive() {
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.", "b".repeat(61));
    let key = asked(&long, rtype::A, false);
    let target = format!("{label}.{label}.{label}.{}.", "c".repeat(61));
    let answers = [
        address(&target[1..], 9),
        alias(&long, &target),
        address(&target[1..], 9),
        address(&target, 1),
    ];
    let kept = [answers[1].clone(), answers[3].clone()];
    assert_kept(&key, 0x8180, [&answers, &[], &[]], [&kept, &[]]);
}
