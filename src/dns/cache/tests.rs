use super::*;
use crate::dns::code::Rcode;
use crate::dns::sections::{Sections, Ttl};

mod early;
mod eviction;
mod failures;
mod model;
mod threads;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do to start from"
)]
fn start() -> Instant {
    Instant::now()
}

pub(super) fn cache(size_bytes: u64, stale: bool) -> Cache {
    let limits = CacheSettings {
        size_bytes,
        min_ttl: Duration::ZERO,
        max_ttl: Duration::from_secs(86_400),
        max_negative_ttl: Duration::from_secs(3600),
    };
    let stale = StaleSettings {
        enabled: stale,
        client_timeout: Duration::from_millis(1800),
        reply_ttl: Duration::from_secs(30),
        max_age: Duration::from_secs(100),
    };
    Cache::new(&limits, &stale, began())
}

/// When all caches of these tests begin.
pub(super) fn began() -> Instant {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *BEGAN.get_or_init(start)
}

pub(super) fn key(name: &[u8]) -> Key {
    Key::new(name, 1, 1, false, false).unwrap()
}

fn cleaned(rcode: Rcode, lifetime: Duration, records: &[u8]) -> Cleaned<'_> {
    Cleaned {
        rcode,
        authentic: true,
        sections: Sections::new([1, 0, 0], records),
        lifetime: Some(lifetime),
        extended_error: None,
    }
}

/// An answer with an address.
pub(super) fn answer(rcode: Rcode, lifetime: Duration) -> Cleaned<'static> {
    cleaned(
        rcode,
        lifetime,
        b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01",
    )
}

pub(super) fn kind(cache: &Cache, key: &Key, now: Instant) -> &'static str {
    match cache.lookup(key, now, &mut Scratch::new()) {
        Lookup::Fresh(entry) if entry.is_failure() => "failure",
        Lookup::Fresh(_) => "fresh",
        Lookup::Stale(_) => "stale",
        Lookup::Miss => "miss",
    }
}

pub(super) fn fail(cache: &Cache, key: &Key, now: Instant) {
    let reason = ExtendedError::NO_REACHABLE_AUTHORITY;
    cache.note_failure(key, reason, Backoff::Constant, now);
}

#[test]
fn an_answer_is_fresh_then_stale_then_gone() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    assert_eq!(kind(&cache, &key, now), "miss");
    cache.insert(&key, &answer(Rcode::NOERROR, 10 * SECOND), now);
    let tick = Duration::from_millis(1);
    for (after, expected) in [
        (Duration::ZERO, "fresh"),
        (10 * SECOND - tick, "fresh"),
        (10 * SECOND, "stale"),
        (110 * SECOND - tick, "stale"),
        (110 * SECOND, "miss"),
    ] {
        assert_eq!(kind(&cache, &key, now + after), expected, "{after:?}");
    }
}

#[test]
fn expired_answers_are_of_no_use_when_stale_is_switched_off() {
    let (cache, key, now) = (cache(1 << 20, false), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, SECOND), now);
    assert_eq!(kind(&cache, &key, now + SECOND), "miss");
}

#[test]
fn inconclusive_answers_and_those_without_lifetime_are_not_kept() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::SERVFAIL, SECOND), now);
    let mut brief = answer(Rcode::NOERROR, SECOND);
    brief.extended_error = Some(ExtendedError(4));
    brief.lifetime = None;
    cache.insert(&key, &brief, now);
    assert_eq!((kind(&cache, &key, now), cache.entries()), ("miss", 0));
}

/// RFC 8914 §3: an upstream may say something beside an answer too.
#[test]
fn an_answer_keeps_the_reason_that_came_with_it() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    for (code, kept) in [(0, true), (1, true), (29, true), (510, true), (511, false)] {
        let mut given = answer(Rcode::NOERROR, SECOND);
        given.extended_error = Some(ExtendedError(code));
        cache.insert(&key, &given, now);
        let mut scratch = Scratch::new();
        let Lookup::Fresh(entry) = cache.lookup(&key, now, &mut scratch) else {
            panic!("not kept");
        };
        let told = entry.fresh_answer(now);
        assert_eq!(told.extended_error, given.extended_error.filter(|_| kept));
        assert_eq!(told.sections, Some(given.sections));
        let stale = entry.stale_answer(30).extended_error;
        assert_eq!(stale, Some(ExtendedError::STALE_ANSWER));
    }
}

/// RFC 4035 §3.2: DO and CD change the answer.
#[test]
fn dnssec_flags_have_entries_of_their_own() {
    let (cache, now) = (cache(1 << 20, true), began());
    let name = b"\x01a\x00";
    let keys = [(false, false), (true, false), (false, true)]
        .map(|(dnssec_ok, checking)| Key::new(name, 1, 1, dnssec_ok, checking).unwrap());
    cache.insert(&keys[1], &answer(Rcode::NOERROR, SECOND), now);
    let kinds = keys.each_ref().map(|key| kind(&cache, key, now));
    assert_eq!(kinds, ["miss", "fresh", "miss"]);
}

#[test]
fn answers_age_and_expired_ones_have_the_configured_ttl() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    let mut scratch = Scratch::new();
    cache.insert(&key, &answer(Rcode::NOERROR, 60 * SECOND), now);
    let later = now + Duration::from_millis(7_999);
    let Lookup::Fresh(entry) = cache.lookup(&key, later, &mut scratch) else {
        panic!("not fresh");
    };
    let fresh = entry.fresh_answer(later);
    assert_eq!((fresh.ttl, fresh.extended_error), (Ttl::Aged(7), None));
    assert!(fresh.authentic);
    let kept = answer(Rcode::NOERROR, SECOND).sections;
    assert_eq!(fresh.sections, Some(kept));
    let stale = entry.stale_answer(30);
    assert_eq!(stale.ttl, Ttl::Fixed(30));
    assert_eq!(stale.extended_error, Some(ExtendedError::STALE_ANSWER));
    assert!(!stale.authentic);

    cache.insert(&key, &answer(Rcode::NXDOMAIN, SECOND), now);
    let Lookup::Fresh(entry) = cache.lookup(&key, now, &mut scratch) else {
        panic!("not fresh");
    };
    let stale = entry.stale_answer(30);
    assert_eq!(stale.rcode, Rcode::NXDOMAIN);
    assert_eq!(stale.extended_error, Some(ExtendedError::STALE_NXDOMAIN));
}

/// A refresh that brings the same changes the times alone; the room stays the same.
#[test]
fn the_same_answer_again_takes_no_more_room() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, 2 * SECOND), now);
    fail(&cache, &key, now);
    let octets = cache.octets();
    for second in 0..100_000 {
        cache.insert(
            &key,
            &answer(Rcode::NOERROR, 2 * SECOND),
            now + second * SECOND,
        );
    }
    assert_eq!((cache.octets(), cache.entries()), (octets, 1));
    let now = now + 100_000 * SECOND;
    let mut scratch = Scratch::new();
    let Lookup::Fresh(entry) = cache.lookup(&key, now, &mut scratch) else {
        panic!("not renewed");
    };
    assert_eq!(entry.fresh_answer(now).ttl, Ttl::Aged(1));
    assert!(!entry.failed_recently(now));
}

/// RFC 1035 §2.3.4 and §4.2.2: the longest name, and as many octets as a message may have.
#[test]
fn the_largest_answers_are_kept_where_there_is_room_for_them() {
    let names: Vec<_> = (0..20)
        .map(|number| [vec![63, number], vec![1; 253]].concat())
        .collect();
    for octets in [0, 1, 7, 8, 9, 511, 4096, 65_535] {
        let (cache, now) = (cache(1 << 20, true), began());
        let records: Vec<_> = (0..octets)
            .map(|octet: u32| octet.to_le_bytes()[0])
            .collect();
        for name in &names {
            let mut cleaned = cleaned(Rcode::NOERROR, SECOND, &records);
            cleaned.sections = Sections::new([3, 0, 5957], &records);
            cache.insert(&key(name), &cleaned, now);
            let mut scratch = Scratch::new();
            let Lookup::Fresh(entry) = cache.lookup(&key(name), now, &mut scratch) else {
                panic!("{octets} octets are not kept");
            };
            assert_eq!(entry.fresh_answer(now).sections, Some(cleaned.sections));
        }
    }
}

/// 34 years and 194 days are as far as an entry's words reach.
#[test]
fn times_beyond_all_bounds_do_no_harm() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), began());
    cache.insert(&key, &answer(Rcode::NOERROR, Duration::MAX), now);
    let limit = Duration::from_secs((1 << 24) - 1);
    assert_eq!(kind(&cache, &key, now + limit - SECOND), "fresh");
    assert_eq!(kind(&cache, &key, now + limit), "stale");
    let far = now + Duration::from_secs(60 * 365 * 86_400);
    fail(&cache, &key, far);
    cache.insert(&key, &answer(Rcode::NOERROR, 5 * SECOND), far);
    assert_eq!(kind(&cache, &key, far), "fresh");
    // Before the beginning.
    let early = now.checked_sub(SECOND).unwrap_or(now);
    cache.insert(&key, &answer(Rcode::NXDOMAIN, 5 * SECOND), early);
    assert_eq!(kind(&cache, &key, early), "fresh");
}

/// A node says so at its start, where it would panic otherwise.
#[test]
fn memory_that_no_system_has_is_found_out_before_it_is_taken() {
    assert!(Cache::has_room(cache(1 << 20, true).limits()));
    assert!(!Cache::has_room(&CacheSettings {
        size_bytes: 1 << 62,
        ..cache(1 << 20, true).limits().clone()
    }));
}
