//! Fetching popular answers again before they expire.

use super::*;

const TICK: Duration = Duration::from_millis(1);
const LIFETIME: Duration = Duration::from_secs(100);
/// The last tenth begins right behind this.
const LAST_TENTH: Duration = Duration::from_secs(90);

fn wants(cache: &Cache, key: &Key, now: Instant) -> bool {
    match cache.lookup(key, now, &mut Scratch::new()) {
        Lookup::Fresh(entry) => entry.wants_refresh(),
        other => panic!("{other:?}"),
    }
}

/// A cache with one answer, asked for once.
fn popular(lifetime: Duration) -> (Cache, Key, Instant) {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, lifetime), now);
    assert!(!wants(&cache, &key, now));
    (cache, key, now)
}

#[test]
fn an_answer_wants_to_be_fetched_again_in_the_last_tenth_of_its_life() {
    let (cache, key, now) = popular(LIFETIME);
    for (after, expected) in [
        (LAST_TENTH - TICK, false),
        (LAST_TENTH, false),
        (LAST_TENTH + TICK, true),
        (LIFETIME - TICK, true),
    ] {
        assert_eq!(wants(&cache, &key, now + after), expected, "{after:?}");
    }
    assert_eq!(kind(&cache, &key, now + LIFETIME), "stale");
}

#[test]
fn an_answer_that_nobody_has_asked_for_before_does_not() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, LIFETIME), now);
    assert!(!wants(&cache, &key, now + LIFETIME - TICK));
    assert!(wants(&cache, &key, now + LIFETIME - TICK));
}

#[test]
fn one_that_lives_shorter_than_ten_seconds_does_not() {
    for (lifetime_s, expected) in [(9, false), (10, true)] {
        let lifetime = lifetime_s * SECOND;
        let (cache, key, now) = popular(lifetime);
        assert_eq!(wants(&cache, &key, now + lifetime - TICK), expected);
        assert_eq!(cache.claim_refresh(&key, now + lifetime - TICK), expected);
    }
}

#[test]
fn one_caller_fetches_it_and_the_others_are_told_so() {
    let (cache, key, now) = popular(LIFETIME);
    let late = now + LAST_TENTH + TICK;
    assert!(!cache.claim_refresh(&key, now + LAST_TENTH));
    assert!(cache.claim_refresh(&key, late));
    assert!(!wants(&cache, &key, late) && !cache.claim_refresh(&key, late));
    cache.give_back_refresh(&key, late);
    assert!(wants(&cache, &key, late) && cache.claim_refresh(&key, late));
    assert!(!wants(&cache, &key, late) && !cache.claim_refresh(&key, late));

    // That it failed is known when it has expired.
    fail(&cache, &key, late);
    assert!(!wants(&cache, &key, late));
    let mut scratch = Scratch::new();
    let expired = now + LIFETIME;
    let Lookup::Stale(entry) = cache.lookup(&key, expired, &mut scratch) else {
        panic!("not expired");
    };
    assert!(entry.failed_recently(expired) && entry.wants_refresh());

    // The answer comes after all, and its life has an end of its own.
    cache.insert(&key, &answer(Rcode::NOERROR, LIFETIME), late);
    assert!(!wants(&cache, &key, late + LAST_TENTH));
    assert!(wants(&cache, &key, late + LAST_TENTH + TICK));
    assert!(cache.claim_refresh(&key, late + LAST_TENTH + TICK));
}

#[test]
fn failures_are_not_fetched_early() {
    let (cache, key) = (cache(1 << 20, true), key(b"\x01a\x00"));
    let mut now = began();
    for lifetime_s in [1, 2, 4, 8, 16, 32] {
        cache.note_failure(&key, ExtendedError(6), Backoff::Doubling, now);
        now += lifetime_s * SECOND;
        assert!(!wants(&cache, &key, now - TICK) && !wants(&cache, &key, now - TICK));
        assert!(!cache.claim_refresh(&key, now - TICK));
    }
}

/// Threads that write have the shard to themselves: nobody waits for them.
#[test]
fn who_cannot_write_at_once_does_not_fetch() {
    let (cache, key, now) = popular(LIFETIME);
    let store = cache.store.as_ref().unwrap();
    let question = Question::new(&key, Hash::of(&cache.hasher, &key));
    let writing = store.write(&question, 0);
    assert!(!cache.claim_refresh(&key, now + LIFETIME - TICK));
    drop(writing);
    assert!(cache.claim_refresh(&key, now + LIFETIME - TICK));
}
