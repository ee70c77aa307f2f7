//! RFC 9520 §3.2 and RFC 8767 §4, §5: what is remembered of failures, and beside what.

use super::*;

const TICK: Duration = Duration::from_millis(1);

fn double(cache: &Cache, key: &Key, now: Instant) {
    cache.note_failure(key, ExtendedError(6), Backoff::Doubling, now);
}

/// Whether an expired answer has just failed to be fetched again, and whether it wants to be.
fn stale(cache: &Cache, key: &Key, now: Instant) -> (bool, bool) {
    match cache.lookup(key, now, &mut Scratch::new()) {
        Lookup::Stale(entry) => (entry.failed_recently(now), entry.wants_refresh()),
        other => panic!("{other:?}"),
    }
}

/// RFC 8767 §4: a refresh that fails leaves the expired answer where it is.
#[test]
fn a_failed_refresh_never_replaces_a_good_answer() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NXDOMAIN, SECOND), now);
    fail(&cache, &key, now);
    assert_eq!(kind(&cache, &key, now), "fresh");

    let failed = now + 5 * SECOND;
    double(&cache, &key, failed);
    assert_eq!(kind(&cache, &key, failed), "stale");

    let gone = now + 200 * SECOND;
    fail(&cache, &key, gone);
    assert_eq!(kind(&cache, &key, gone), "failure");
}

/// RFC 8767 §5: nobody waits for a while, and meanwhile it is tried again now and then.
#[test]
fn after_a_failed_refresh_the_expired_answer_is_sent_at_once_for_thirty_seconds() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), now);
    let expired = now + SECOND;
    assert_eq!(stale(&cache, &key, expired), (false, false));
    fail(&cache, &key, expired);
    for (after, expected) in [
        (Duration::ZERO, (true, false)),
        (entry::FAILURE_RECHECK - TICK, (true, false)),
        (entry::FAILURE_RECHECK, (true, true)),
        (entry::STALE_HOLD - TICK, (true, true)),
        // Clients wait again, and that is the next try.
        (entry::STALE_HOLD, (false, false)),
    ] {
        assert_eq!(stale(&cache, &key, expired + after), expected, "{after:?}");
    }
}

#[test]
fn one_caller_tries_again_what_has_failed() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    assert!(!cache.claim_refresh(&key, now));
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), now);
    let expired = now + SECOND;
    assert!(
        !cache.claim_refresh(&key, expired),
        "clients wait for that one"
    );
    fail(&cache, &key, expired);
    let due = expired + entry::FAILURE_RECHECK;
    assert!(!cache.claim_refresh(&key, due - TICK));
    assert!(cache.claim_refresh(&key, due));
    assert!(!cache.claim_refresh(&key, due));
    assert_eq!(stale(&cache, &key, due), (true, false));
    assert!(cache.claim_refresh(&key, due + entry::FAILURE_RECHECK));
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), due);
    assert_eq!(stale(&cache, &key, due + SECOND), (false, false));
}

/// RFC 8767 §5: the time runs from the last failure, not from the last try.
#[test]
fn trying_again_does_not_hold_clients_back_for_longer() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), now);
    let mut failed = now + SECOND;
    for _ in 0..2 {
        fail(&cache, &key, failed);
        let tries = (0..40_000).filter(|&after_ms| {
            let at = failed + Duration::from_millis(after_ms);
            let expected = at < failed + entry::STALE_HOLD;
            assert_eq!(stale(&cache, &key, at).0, expected, "{after_ms}");
            cache.claim_refresh(&key, at)
        });
        let every_two_seconds: Vec<_> = (1..15).map(|count| count * 2000).collect();
        assert_eq!(tries.collect::<Vec<_>>(), every_two_seconds);
        // The last one fails too.
        failed += entry::STALE_HOLD;
    }
}

#[test]
fn a_try_that_has_not_begun_can_be_claimed_again_and_leaves_the_failure_as_it_was() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), now);
    let failed = now + SECOND;
    fail(&cache, &key, failed);
    let late = failed + entry::STALE_HOLD - TICK;
    for _ in 0..3 {
        assert!(cache.claim_refresh(&key, late) && !cache.claim_refresh(&key, late));
        cache.give_back_refresh(&key, late);
        assert_eq!(stale(&cache, &key, late), (true, true));
    }
    assert_eq!(stale(&cache, &key, late + TICK), (false, false));

    // Of a failure there is nothing to be given back: its reason stays.
    let (key, reason) = (self::key(b"\x01b\x00"), ExtendedError(u16::MAX));
    cache.note_failure(&key, reason, Backoff::Doubling, now);
    cache.give_back_refresh(&key, now);
    let mut scratch = Scratch::new();
    let Lookup::Fresh(entry) = cache.lookup(&key, now, &mut scratch) else {
        panic!("not kept");
    };
    assert_eq!(entry.fresh_answer(now).extended_error, Some(reason));
}

/// RFC 9520 §3.2: at least one second. Want of upstreams is not to be felt after their return.
#[test]
fn a_failure_for_want_of_upstreams_is_remembered_for_one_second_and_never_stale() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    for failures in 0..5 {
        let now = now + failures * SECOND;
        fail(&cache, &key, now);
        assert_eq!(kind(&cache, &key, now + SECOND - TICK), "failure");
        assert_eq!(kind(&cache, &key, now + SECOND), "miss");
    }
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), now);
    assert_eq!(kind(&cache, &key, now), "fresh");
}

/// RFC 9520 §3.2: longer each time, up to a limit of 5 minutes.
#[test]
fn failures_of_a_name_in_a_row_are_remembered_twice_as_long_up_to_a_minute() {
    let (cache, key) = (cache(1 << 20, true), key(b"\x01a\x00"));
    let mut now = began();
    for lifetime_s in [1, 2, 4, 8, 16, 32, 60, 60] {
        let lifetime = lifetime_s * SECOND;
        double(&cache, &key, now);
        // Another worker's, at the same time, is the same one.
        double(&cache, &key, now);
        assert_eq!(kind(&cache, &key, now + lifetime - TICK), "failure");
        assert_eq!(kind(&cache, &key, now + lifetime), "miss");
        now += lifetime;
    }
    // One for want of upstreams in between begins anew.
    fail(&cache, &key, now);
    double(&cache, &key, now + SECOND);
    assert_eq!(kind(&cache, &key, now + 3 * SECOND - TICK), "failure");
    assert_eq!(kind(&cache, &key, now + 3 * SECOND), "miss");
}

#[test]
fn a_failure_long_ago_does_not_make_the_next_one_last_longer() {
    for (after, lifetime_s) in [
        (backoff::FAILURE_MEMORY, 2),
        (backoff::FAILURE_MEMORY + TICK, 1),
    ] {
        let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
        double(&cache, &key, now);
        let again = now + SECOND + after;
        double(&cache, &key, again);
        let lasts = lifetime_s * SECOND;
        assert_eq!(kind(&cache, &key, again + lasts - TICK), "failure");
        assert_eq!(kind(&cache, &key, again + lasts), "miss");
    }
}

/// RFC 8914 §4: the reason of a failure is told again.
#[test]
fn a_failure_keeps_its_reason_and_has_no_records() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    for code in [0, 6, 22, 511, u16::MAX] {
        cache.note_failure(&key, ExtendedError(code), Backoff::Doubling, now);
        let mut scratch = Scratch::new();
        let Lookup::Fresh(entry) = cache.lookup(&key, now, &mut scratch) else {
            panic!("not kept");
        };
        let told = entry.fresh_answer(now);
        assert_eq!(told.rcode, Rcode::SERVFAIL);
        assert_eq!(told.extended_error, Some(ExtendedError(code)));
        assert_eq!(told.sections.map(|sections| sections.octets()), Some(0));
    }
}

/// RFC 8767 §4: what an upstream really says replaces an expired answer, even if it is not kept.
#[test]
fn an_answer_that_cannot_be_kept_ends_the_use_of_an_expired_one() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    let mut brief = answer(Rcode::NXDOMAIN, SECOND);
    brief.lifetime = None;
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), now);
    cache.insert(&key, &brief, now);
    assert_eq!(kind(&cache, &key, now), "fresh");
    cache.insert(&key, &brief, now + SECOND);
    assert_eq!(
        (kind(&cache, &key, now + SECOND), cache.entries()),
        ("miss", 0)
    );

    fail(&cache, &key, now);
    cache.insert(&key, &brief, now);
    assert_eq!(kind(&cache, &key, now), "miss");
}
