use super::super::version::Version;
use super::*;

const GIVEN_MS: u64 = 100_000;

/// The first question whose first version may be used for so long.
fn version(text: bool, lifetime_s: u32) -> Version {
    let versions = (0..).map(|name| Version {
        key: Key::new(name, text),
        number: 1,
    });
    let mut versions = versions.filter(|version| {
        version.lifetime_s() == lifetime_s && (!text || version.body().octets.len() > 600)
    });
    versions.next().unwrap()
}

fn asked(key: Key, edns: bool) -> Asked {
    let mut message = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    message.extend(key.name().to_ascii_uppercase());
    message.extend(key.qtype().to_be_bytes());
    message.extend([0, 1]);
    if edns {
        message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    Asked {
        key,
        message,
        edns,
        over_udp: true,
    }
}

fn answer(asked: &Asked, version: Version, ttl_s: Option<u32>, ede: Option<u8>) -> Vec<u8> {
    let mut body = version.body();
    for &at in &body.ttls_at {
        if let Some(ttl_s) = ttl_s {
            body.octets[at..at + 4].copy_from_slice(&ttl_s.to_be_bytes());
        }
    }
    let counts = [0, 1, 0, body.answers as u8, 0, body.authorities as u8, 0];
    let mut answer = [&[7, 7, 0x81, 0x80 | body.rcode], &counts[..]].concat();
    answer.push(asked.edns.into());
    answer.extend(asked.question());
    answer.extend(body.octets);
    if asked.edns {
        answer.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0]);
        match ede {
            Some(code) => answer.extend([6, 0, 15, 0, 2, 0, code]),
            None => answer.push(0),
        }
    }
    answer
}

fn history(version: Version) -> History {
    let at_ms = GIVEN_MS;
    let mut history = History::default();
    history.given.push_back(Given { version, at_ms });
    history
}

#[test]
fn a_version_may_be_told_for_its_lifetime_and_the_slack() {
    let version = version(false, 2);
    for edns in [false, true] {
        let asked = asked(version.key, edns);
        let answer = answer(&asked, version, Some(2), None);
        let judged =
            |age_ms, stale| asked.judge(&answer, &history(version), GIVEN_MS + age_ms, stale);
        assert_eq!(judged(0, false), Ok(Verdict::Fresh));
        assert_eq!(judged(3_500, false), Ok(Verdict::Fresh));
        assert!(judged(3_501, false).is_err());
        assert!(judged(3_501, true).is_err(), "stale needs another TTL");
        let none = History::default();
        assert!(asked.judge(&answer, &none, GIVEN_MS, false).is_err());
    }
}

#[test]
fn a_stale_answer_needs_its_ttl_its_reason_and_leave() {
    let version = version(false, 2);
    let asked = asked(version.key, true);
    let judged = |ttl_s, ede, age_ms, stale| {
        let answer = answer(&asked, version, Some(ttl_s), ede);
        asked.judge(&answer, &history(version), GIVEN_MS + age_ms, stale)
    };
    assert_eq!(judged(30, Some(3), 60_000, true), Ok(Verdict::Stale));
    assert!(judged(30, Some(3), 60_000, false).is_err());
    assert!(judged(30, None, 60_000, true).is_err());
    assert!(judged(29, Some(3), 60_000, true).is_err());
    assert!(judged(3, None, 0, false).is_err(), "more than was given");
    assert!(judged(30, Some(3), 1_000, true).is_err(), "it is fresh");
}

#[test]
fn a_failure_needs_a_silence() {
    let version = version(false, 2);
    let asked = asked(version.key, false);
    let mut failure = asked.message.clone();
    failure[2..4].copy_from_slice(&[0x81, 0x82]);
    let mut history = history(version);
    assert!(asked.judge(&failure, &history, GIVEN_MS, true).is_err());
    history.silent_ms = Some(GIVEN_MS);
    let judged = asked.judge(&failure, &history, GIVEN_MS + 4_500, true);
    assert_eq!(judged, Ok(Verdict::Failure));
    assert!(
        asked
            .judge(&failure, &history, GIVEN_MS + 4_501, true)
            .is_err()
    );
}

#[test]
fn only_what_is_too_long_may_be_truncated() {
    for (text, edns, right) in [
        (true, false, true),
        (true, true, false),
        (false, false, false),
    ] {
        let version = version(text, 2);
        let asked = asked(version.key, edns);
        let mut truncated = asked.message.clone();
        truncated[2..4].copy_from_slice(&[0x83, 0x80]);
        let judged = asked.judge(&truncated, &history(version), GIVEN_MS, true);
        assert_eq!(judged.is_ok(), right, "{text} {edns}: {judged:?}");
    }
}

#[test]
fn any_other_octet_makes_an_answer_wrong() {
    for (text, edns) in [(false, true), (true, false)] {
        let version = version(text, 2);
        let asked = asked(version.key, edns);
        let right = answer(&asked, version, Some(0), None);
        let history = history(version);
        assert!(asked.judge(&right, &history, GIVEN_MS, false).is_ok());
        let end = 12 + asked.question().len() + version.body().octets.len();
        for at in 0..end {
            let mut wrong = right.clone();
            wrong[at] ^= 0x40;
            assert!(
                asked.judge(&wrong, &history, GIVEN_MS, false).is_err(),
                "{at}"
            );
        }
        for octets in 0..right.len() {
            assert!(
                asked
                    .judge(&right[..octets], &history, GIVEN_MS, false)
                    .is_err()
            );
        }
    }
}
