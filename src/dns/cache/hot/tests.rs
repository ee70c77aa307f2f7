use std::time::Duration;

use super::super::tests::{answer, began, cache, fail, key, kind};
use crate::dns::code::Rcode;

const MINUTE: Duration = Duration::from_secs(60);

fn name(number: usize) -> Vec<u8> {
    let label = format!("n{number}");
    let mut name = vec![u8::try_from(label.len()).unwrap()];
    name.extend_from_slice(label.as_bytes());
    name.push(0);
    name
}

#[test]
fn what_was_asked_for_again_is_hot_and_nothing_else_is() {
    let cache = cache(4 << 20, true);
    let now = began();
    for number in 0..1000 {
        cache.insert(&key(&name(number)), &answer(Rcode::NOERROR, MINUTE), now);
    }
    assert_eq!(cache.hot(1000, 7, now), []);
    for number in (0..1000).step_by(10) {
        assert_eq!(kind(&cache, &key(&name(number)), now), "fresh");
    }
    let mut hot: Vec<_> = cache.hot(1000, 7, now);
    hot.sort_by_key(|key| key.as_bytes().to_vec());
    let mut asked: Vec<_> = (0..1000).step_by(10).map(|n| key(&name(n))).collect();
    asked.sort_by_key(|key| key.as_bytes().to_vec());
    assert_eq!(hot, asked);
}

#[test]
fn no_more_are_told_than_wanted_wherever_the_search_begins() {
    let cache = cache(4 << 20, true);
    let now = began();
    for number in 0..1000 {
        cache.insert(&key(&name(number)), &answer(Rcode::NOERROR, MINUTE), now);
        assert_eq!(kind(&cache, &key(&name(number)), now), "fresh");
    }
    for (most, start) in [(0, 0), (1, 1), (100, usize::MAX), (1000, 33)] {
        let hot = cache.hot(most, start, now);
        assert!(hot.len() <= most, "{most}: {}", hot.len());
        assert!(hot.len() * 2 >= most, "{most}: {}", hot.len());
    }
}

#[test]
fn failures_denials_and_answers_past_their_use_are_not_hot() {
    let cache = cache(4 << 20, true);
    let now = began();
    let (failed, absent, old) = (key(&name(1)), key(&name(2)), key(&name(3)));
    fail(&cache, &failed, now);
    cache.insert(&absent, &answer(Rcode::NXDOMAIN, MINUTE), now);
    cache.insert(&old, &answer(Rcode::NOERROR, MINUTE), now);
    for key in [&failed, &absent, &old] {
        kind(&cache, key, now);
    }
    assert_eq!(cache.hot(10, 0, now), [old]);
    // Stale answers are of use for 100 s after their minute.
    assert_eq!(cache.hot(10, 0, now + Duration::from_secs(159)), [old]);
    assert_eq!(cache.hot(10, 0, now + Duration::from_secs(160)), []);
}
