//! `[health.canary]`.

use super::*;
use crate::dns::canary::Canary;

fn errors(keys: &str) -> Vec<String> {
    bad(&format!("[health.canary]\n{keys}"))
}

#[test]
fn there_are_no_canaries_unless_somebody_names_them() {
    let canary = good(&[EXAMPLES[2]]).canary;
    assert_eq!((canary.canaries, canary.needed), (Vec::new(), None));
    assert_eq!(canary.interval, Duration::from_secs(5));
}

#[test]
fn a_canary_is_a_name_with_a_type_and_may_be_another_each_time() {
    let overlay = r#"health.canary = { needed = 2, interval = "1s", names = [
        "Example.com", "example.net. mx", "*.example.org.", "*."
    ] }"#;
    let canary = good(&[EXAMPLES[2], overlay]).canary;
    let expected = [
        (&b"\x07example\x03com\x00"[..], false, 1),
        (b"\x07example\x03net\x00", false, 15),
        (b"\x07example\x03org\x00", true, 1),
        (b"\x00", true, 1),
    ];
    let expected = expected.map(|(name, is_fresh, rtype)| Canary {
        name: name.to_vec(),
        is_fresh,
        rtype,
    });
    assert_eq!(canary.canaries, expected);
    assert_eq!((canary.needed, canary.interval.as_secs()), (Some(2), 1));
}

#[test]
fn what_is_no_canary_is_told_with_its_place() {
    for (names, text) in [
        ("\"a..b\"", "write a domain name: "),
        ("\"\"", "write a name, and a type behind it"),
        ("\"a. A b\"", "write a name, and a type behind it"),
        (
            "\"a. ANY\"",
            "write a type such as A, AAAA or MX, not \"ANY\"",
        ),
        ("\"a. OPT\"", "write a type such as"),
        ("\"a. sing\"", "write a type such as"),
        ("\"*.*.a\"", "write a * as the first label alone"),
        ("\"*\"", "write a * as the first label alone"),
    ] {
        let errors = errors(&format!("names = [{names}]"));
        let start = format!("1.toml:2:10: error: health.canary.names: {text}");
        assert!(errors[0].starts_with(&start), "{names}: {errors:?}");
    }
    let twice = errors("names = [\"a.\", \"A A\"]");
    let expected = "1.toml:2:16: error: health.canary.names: \"A A\" is listed twice; remove one";
    assert_eq!(twice, [expected]);
}

#[test]
fn a_canary_of_a_zone_that_nobody_is_asked_for_is_refused() {
    let overlay = "[[forward]]\nzone = \".\"\nupstreams = [\"192.0.2.1\"]\n\
                   [[forward]]\nzone = \"corp.\"\naction = \"local\"\n\
                   [health.canary]\nnames = [\"a.corp.\", \"corpse.\"]\n";
    let expected = "1.toml:8:10: error: health.canary.names: nobody is asked for names in zone \
                    corp.; write a name of another zone";
    assert_eq!(bad(overlay), [expected]);
}

#[test]
fn numbers_of_canaries_have_limits() {
    let names = |count: usize| {
        let names: Vec<_> = (0..count)
            .map(|number| format!("n{number}.example."))
            .collect();
        format!("health.canary.names = {names:?}\n")
    };
    assert!(is_good(&names(32)) && !is_good(&names(33)));
    for (needed, good) in [(0, false), (1, true), (3, true), (4, false)] {
        let overlay = format!("{}health.canary.needed = {needed}", names(3));
        assert_eq!(is_good(&overlay), good, "{needed}");
    }
    assert!(errors("needed = 1")[0].contains("there are no names; add some"));
    for (interval, good) in [
        ("999ms", false),
        ("1s", true),
        ("10m", true),
        ("601s", false),
    ] {
        let overlay = format!("health.canary.interval = {interval:?}");
        assert_eq!(is_good(&overlay), good, "{interval}");
    }
    let long = |octets: usize| {
        let labels = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(octets),
        ];
        format!("health.canary.names = [\"*.{}.\"]", labels.join("."))
    };
    // 1 + 3 × 64 + 1 + n octets, and 17 for the label of chance.
    assert!(is_good(&long(44)) && !is_good(&long(45)));
}
