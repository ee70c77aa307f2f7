//! Which streams of errors say something about an upstream.

use proptest::prelude::*;

use super::super::super::client::PrefixLengths;
use super::*;

const SERVFAIL: u16 = 2;
const SECOND_US: u64 = 1_000_000;

fn prefix(number: u8) -> Prefix {
    Prefix::of([10, 0, number, 1].into(), PrefixLengths::default())
}

fn error(from: u8, domain: u64, contradicted: bool) -> Evidence {
    Evidence {
        rcode: SERVFAIL,
        reason: None,
        domain,
        prefix: prefix(from),
        contradicted,
    }
}

/// A window whose hash puts the first ten prefixes and domains into buckets of their own.
fn window() -> Window {
    let spread_out = |number| {
        let window = Window::new(HashKey::numbered(number));
        let spread = |hashes: &mut dyn Iterator<Item = u64>| {
            let mut buckets: Vec<_> = hashes.map(bucket).collect();
            buckets.sort_unstable();
            buckets.dedup();
            buckets.len() == 10
        };
        (spread(&mut (0..10).map(|number| window.key.hash_one(prefix(number))))
            && spread(&mut (0..10_u64).map(|number| window.key.hash_one(number))))
        .then_some(window)
    };
    (0..1000).find_map(spread_out).unwrap()
}

/// The last verdict on `count` errors from `prefixes` prefixes about as many domains.
fn errors(window: &Window, count: u32, prefixes: u32, contradicted: bool) -> Verdict {
    let numbers = (0..count).map(|number| u8::try_from(number % prefixes).unwrap());
    numbers.fold(Verdict::Nothing, |_, number| {
        window.poor(&error(number, number.into(), contradicted), 1)
    })
}

#[test]
fn contradicted_errors_count_from_eight_without_the_loudest_on() {
    // Of 12 errors of 3 prefixes 8 are left without those of the loudest.
    let window = window();
    assert_eq!(errors(&window, 11, 3, true), Verdict::Ill);
    assert_eq!(window.poor(&error(2, 2, true), 1), Verdict::Contradicted);
}

#[test]
fn contradicted_errors_count_when_they_are_over_a_fifth_of_the_answers() {
    for (good, expected) in [(31, Verdict::Contradicted), (32, Verdict::Ill)] {
        let window = window();
        (0..good).for_each(|_| window.good(1));
        assert_eq!(errors(&window, 12, 3, true), expected, "{good}");
    }
    let window = window();
    (0..48).for_each(|_| window.good(1));
    assert_eq!(errors(&window, 12, 3, true), Verdict::Nothing);
}

#[test]
fn uncontradicted_errors_count_when_they_are_over_half_of_the_answers() {
    for (good, expected) in [(15, Verdict::Poor), (16, Verdict::Questionable)] {
        let window = window();
        (0..good).for_each(|_| window.good(1));
        assert_eq!(errors(&window, 24, 3, false), expected, "{good}");
    }
}

/// Of 8 s of good answers none stands in the way for longer than a quarter of a second.
#[test]
fn errors_count_when_they_are_over_half_of_the_last_quarter_of_a_second() {
    let window = window();
    (0..1600).for_each(|number| window.good(number * 5000));
    // At a bound of the short window, the worst time for it.
    let now_us = 8 * SECOND_US + SHORT_HALF_US;
    (0..50).for_each(|number| window.good(now_us - 1 - number * 5000));
    let mut verdicts = Vec::new();
    for number in 0..70_u64 {
        let evidence = error(u8::try_from(number % 4).unwrap(), number % 10, false);
        verdicts.push(window.poor(&evidence, now_us + number * 4000));
    }
    let first = |verdict| verdicts.iter().position(|one| *one == verdict);
    let (questionable, poor) = (first(Verdict::Questionable), first(Verdict::Poor));
    assert!(questionable < Some(20), "{verdicts:?}");
    // 63 errors, 4 ms apart, fill that quarter.
    assert!((Some(50)..=Some(63)).contains(&poor), "{verdicts:?}");
    assert!(window.is_poor(now_us + 2 * SHORT_HALF_US - 1));
    // Then hardly any of them is left in the short window, and in the long one they are few.
    assert!(!window.is_poor(now_us + 2 * SHORT_HALF_US));
}

#[test]
fn eight_errors_without_the_loudest_are_questionable_when_they_are_over_a_fifth_lately() {
    // Of 12 errors of 3 prefixes 8 are left without those of the loudest.
    for (count, good, expected) in [
        (11, 0, Verdict::Nothing),
        (12, 0, Verdict::Questionable),
        (12, 31, Verdict::Questionable),
        (12, 32, Verdict::Nothing),
    ] {
        let window = window();
        (0..good).for_each(|_| window.good(1));
        assert_eq!(errors(&window, count, 3, false), expected, "{count} {good}");
    }
}

#[test]
fn errors_of_two_prefixes_or_two_domains_say_nothing_in_general() {
    let window = window();
    assert_eq!(errors(&window, 1000, 2, false), Verdict::Nothing);
    assert_eq!(errors(&window, 1000, 2, true), Verdict::Ill);
    for is_few_prefixes in [true, false] {
        let window = self::window();
        for number in 0..1000_u32 {
            let many = u8::try_from(number % 10).unwrap();
            let few = many % 2;
            let evidence = if is_few_prefixes {
                error(few, many.into(), true)
            } else {
                error(many, few.into(), true)
            };
            let verdict = window.poor(&evidence, 1);
            assert!(matches!(verdict, Verdict::Nothing | Verdict::Ill));
        }
    }
}

/// One flooding client on top of the errors that there always are.
#[test]
fn a_flood_from_one_prefix_does_not_turn_a_few_errors_of_others_into_many() {
    let window = window();
    (0..100).for_each(|_| window.good(1));
    assert_eq!(errors(&window, 18, 9, false), Verdict::Nothing);
    for number in 0..100_000 {
        assert_eq!(
            window.poor(&error(9, number, false), 1),
            Verdict::Nothing,
            "{number}"
        );
    }
}

/// RFC 8914 §4: DNSSEC verdicts, and whom the upstream asked in turn.
#[test]
fn errors_with_a_reason_that_blames_the_name_do_not_count() {
    for reason in 0..40 {
        let window = window();
        for number in 0..100_u8 {
            let evidence = Evidence {
                reason: Some(reason),
                ..error(number % 10, (number % 10).into(), true)
            };
            let verdict = window.poor(&evidence, 1);
            if matches!(reason, 6..=12 | 22 | 23) {
                assert_eq!(verdict, Verdict::Nothing, "{reason}");
            } else if number == 99 {
                assert_eq!(verdict, Verdict::Contradicted, "{reason}");
            }
        }
    }
}

#[test]
fn formerr_servfail_notimp_and_refused_count_and_no_other_rcode() {
    let counting: Vec<u16> = (0..100)
        .filter(|&rcode| {
            let evidence = Evidence {
                rcode,
                ..error(0, 0, false)
            };
            evidence.counts()
        })
        .collect();
    assert_eq!(counting, [1, 2, 4, 5]);
}

#[test]
fn what_is_older_than_ten_seconds_is_forgotten_and_what_is_younger_than_five_is_not() {
    for (later_us, expected) in [
        (4 * SECOND_US, Verdict::Contradicted),
        (10 * SECOND_US, Verdict::Nothing),
        (1000 * SECOND_US, Verdict::Nothing),
    ] {
        let window = window();
        errors(&window, 11, 3, true);
        let verdict = window.poor(&error(2, 2, true), 1 + later_us);
        assert_eq!(verdict, expected, "{later_us}");
    }
}

#[test]
fn a_time_that_goes_back_is_no_harm() {
    let window = window();
    for now_us in [20, 0, 11, 30, 4, 19].map(|second| second * SECOND_US) {
        window.good(now_us);
        window.poor(&error(1, 1, true), now_us);
    }
}

/// An answer of a stream: an acceptable one, or an error.
fn answers() -> impl Strategy<Value = Option<Evidence>> {
    let evidence = (
        0..8_u16,
        proptest::option::of(0..30_u16),
        0..20_u64,
        0..20_u8,
        any::<bool>(),
    )
        .prop_map(|(rcode, reason, domain, from, contradicted)| Evidence {
            rcode,
            reason,
            ..error(from, domain, contradicted)
        });
    proptest::option::of(evidence)
}

proptest! {
    /// No single client prefix and no single domain says anything about an upstream in general.
    #[test]
    fn no_stream_from_one_prefix_or_about_one_domain_opens_a_breaker(
        stream in proptest::collection::vec((answers(), 0..SECOND_US / 30), 1..500),
        is_one_prefix in any::<bool>(),
    ) {
        let window = Window::new(HashKey::numbered(1));
        let mut now_us = 1;
        for (answer, later_us) in stream {
            now_us += later_us;
            let Some(mut evidence) = answer else {
                window.good(now_us);
                continue;
            };
            if is_one_prefix {
                evidence.prefix = prefix(7);
            } else {
                evidence.domain = 7;
            }
            let verdict = window.poor(&evidence, now_us);
            prop_assert!(matches!(verdict, Verdict::Nothing | Verdict::Ill));
        }
    }
}
