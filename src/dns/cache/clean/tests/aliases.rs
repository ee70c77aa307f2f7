//! RFC 1034 §3.6.2, RFC 2181 §10.1, RFC 6672: what leads from the question to its answer.

use super::build::*;
use super::*;

const WWW: &str = "www.example.";

fn www() -> Key {
    asked(WWW, rtype::A, false)
}

/// `0.example.` is an alias of `1.example.`, and so on, `count` times.
fn long_chain(count: usize) -> Vec<Line> {
    (0..count)
        .map(|link| {
            alias(
                &format!("{link}.example."),
                &format!("{}.example.", link + 1),
            )
        })
        .collect()
}

#[test]
fn aliases_and_what_they_lead_to_are_kept_as_they_stand() {
    let answers = [
        alias(WWW, "a.example."),
        alias("a.example.", "b.test."),
        address("b.test.", 1),
        address("b.test.", 2),
    ];
    let message = written((WWW, rtype::A), 0x8180, [&answers, &[], &[]]);
    let found = cleaned_twice(&www(), &mut message.clone()).unwrap();
    assert_eq!(found.counts, [4, 0, 0]);
    assert_eq!(found.records, message[HEADER + 17..]);
    assert_eq!(found.lifetime, Some(Duration::from_secs(300)));
}

#[test]
fn aliases_are_found_in_any_order() {
    let mut answers = [
        address("b.test.", 1),
        alias("a.example.", "b.test."),
        alias(WWW, "a.example."),
    ];
    for _ in 0..answers.len() {
        answers.rotate_left(1);
        assert_kept(&www(), 0x8180, [&answers, &[], &[]], [&answers, &[]]);
    }
}

#[test]
fn sixteen_aliases_are_followed_and_seventeen_are_not() {
    let key = asked("0.example.", rtype::A, false);
    for (links, fits) in [(1, true), (15, true), (16, true), (17, false), (200, false)] {
        for reversed in [false, true] {
            let mut answers = long_chain(links);
            if reversed {
                answers.reverse();
            }
            answers.push(address(&format!("{links}.example."), 1));
            let mut message = written(("0.example.", rtype::A), 0x8180, [&answers, &[], &[]]);
            let found = cleaned_twice(&key, &mut message).map(|found| found.counts);
            let count = u16::try_from(links + 1).unwrap();
            let expected = if fits {
                Ok([count, 0, 0])
            } else {
                Err(Unusable::Aliases)
            };
            assert_eq!(found, expected, "{links}");
        }
    }
}

#[test]
fn aliases_that_lead_back_are_refused() {
    for answers in [
        vec![alias(WWW, WWW)],
        vec![alias(WWW, "WWW.Example.")],
        vec![alias(WWW, "a.example."), alias("a.example.", WWW)],
        vec![alias("a.example.", WWW), alias(WWW, "a.example.")],
        vec![
            alias(WWW, "a.example."),
            alias("a.example.", "b.example."),
            alias("b.example.", "a.example."),
        ],
    ] {
        let mut message = written((WWW, rtype::A), 0x8180, [&answers, &[], &[]]);
        let refused = clean(&www(), &mut message, &limits());
        assert_eq!(refused, Err(Unusable::Aliases), "{answers:?}");
    }
}

/// RFC 2181 §10.1 and RFC 1034 §3.6.2: the first alias counts, and nothing stands beside it.
#[test]
fn a_second_alias_and_other_data_beside_an_alias_are_dropped() {
    let answers = [
        address(WWW, 9),
        alias(WWW, "a.example."),
        alias(WWW, "b.example."),
        alias(WWW, "a.example."),
        address("b.example.", 8),
        address("a.example.", 1),
    ];
    let kept = [answers[1].clone(), answers[5].clone()];
    assert_kept(&www(), 0x8180, [&answers, &[], &[]], [&kept, &[]]);
}

/// RFC 1034 §4.3.2: a question for the alias itself, or for everything, is not led elsewhere.
#[test]
fn a_question_for_the_alias_or_for_everything_ends_at_its_name() {
    let answers = [alias(WWW, "a.example."), address("a.example.", 1)];
    for qtype in [rtype::CNAME, rtype::ANY] {
        let key = asked(WWW, qtype, false);
        assert_kept(&key, 0x8180, [&answers, &[], &[]], [&answers[..1], &[]]);
    }
    let all = [address(WWW, 1), opaque(WWW, 99), opaque(WWW, 249)];
    let key = asked(WWW, rtype::ANY, false);
    assert_kept(&key, 0x8180, [&all, &[], &[]], [&all[..2], &[]]);
}

/// RFC 4034 §2.4, §3 and §4: an alias may have these beside it; one without them is followed.
#[test]
fn proofs_and_signatures_of_an_alias_are_asked_for_by_its_name() {
    let beside = [opaque(WWW, rtype::NSEC), alias(WWW, "a.example.")];
    let key = asked(WWW, rtype::NSEC, true);
    assert_kept(&key, 0x8180, [&beside, &[], &[]], [&beside[..1], &[]]);
    let behind = [alias(WWW, "a.example."), opaque("a.example.", rtype::NSEC)];
    assert_kept(&key, 0x8180, [&behind, &[], &[]], [&behind, &[]]);
}

/// RFC 6672 §3.1 and §2.2 (YXDOMAIN).
#[test]
fn an_alias_for_all_names_below_is_kept_with_the_one_made_from_it() {
    let target = vec![Part::Name("example.".into())];
    let above = line("test.", rtype::DNAME, target.clone());
    let answers = [
        above.clone(),
        alias("www.test.", WWW),
        address(WWW, 1),
        line(WWW, rtype::DNAME, target.clone()),
        line("other.", rtype::DNAME, target),
    ];
    let key = asked("www.test.", rtype::A, false);
    assert_kept(&key, 0x8180, [&answers, &[], &[]], [&answers[..3], &[]]);
    assert_kept(
        &key,
        0x8186,
        [&answers[..1], &[], &[]],
        [&answers[..1], &[]],
    );
}
