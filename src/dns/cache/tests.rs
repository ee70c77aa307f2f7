use super::*;
use crate::dns::code::Rcode;
use crate::dns::sections::{Sections, Ttl};

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do to start from"
)]
fn start() -> Instant {
    Instant::now()
}

fn cache(size_bytes: u64, stale: bool) -> Cache {
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
    Cache::new(&limits, &stale)
}

fn key(name: &[u8]) -> Key {
    Key::new(name, 1, 1, false, false).unwrap()
}

fn cleaned(rcode: Rcode, lifetime: Duration, octets: usize) -> Cleaned {
    Cleaned {
        rcode,
        authentic: true,
        sections: Sections::new([1, 0, 0], vec![0; octets].into(), Box::default()),
        lifetime: Some(lifetime),
        extended_error: None,
    }
}

fn kind(cache: &Cache, key: &Key, now: Instant) -> &'static str {
    match cache.lookup(key, now) {
        Lookup::Fresh(entry) if entry.is_failure() => "failure",
        Lookup::Fresh(_) => "fresh",
        Lookup::Stale(_) => "stale",
        Lookup::Miss => "miss",
    }
}

#[test]
fn an_answer_is_fresh_then_stale_then_gone() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), start());
    assert_eq!(kind(&cache, &key, now), "miss");
    cache.insert(&key, cleaned(Rcode::NOERROR, 10 * SECOND, 16), now);
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
    let (cache, key, now) = (cache(1 << 20, false), key(b"\x01a\x00"), start());
    cache.insert(&key, cleaned(Rcode::NOERROR, SECOND, 16), now);
    assert_eq!(kind(&cache, &key, now + SECOND), "miss");
}

/// RFC 8767 §4: a refresh that fails leaves the expired answer where it is.
#[test]
fn a_failed_refresh_never_replaces_a_good_answer() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), start());
    cache.insert(&key, cleaned(Rcode::NXDOMAIN, SECOND, 16), now);
    let reason = ExtendedError::NO_REACHABLE_AUTHORITY;
    cache.note_failure(&key, reason, now);
    assert_eq!(kind(&cache, &key, now), "fresh");

    let failed = now + 5 * SECOND;
    cache.note_failure(&key, reason, failed);
    let Lookup::Stale(entry) = cache.lookup(&key, failed) else {
        panic!("the expired answer is gone");
    };
    assert!(entry.failed_recently(failed));
    assert!(entry.failed_recently(failed + entry::FAILURE_RECHECK - Duration::from_millis(1)));
    assert!(!entry.failed_recently(failed + entry::FAILURE_RECHECK));

    let gone = now + 200 * SECOND;
    cache.note_failure(&key, reason, gone);
    assert_eq!(kind(&cache, &key, gone), "failure");
}

/// RFC 9520 §3.2: at least one second.
#[test]
fn a_failure_is_remembered_for_one_second_and_never_stale() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), start());
    cache.note_failure(&key, ExtendedError::NETWORK_ERROR, now);
    assert_eq!(
        kind(&cache, &key, now + SECOND - Duration::from_millis(1)),
        "failure"
    );
    assert_eq!(kind(&cache, &key, now + SECOND), "miss");
    cache.insert(&key, cleaned(Rcode::NOERROR, SECOND, 16), now);
    assert_eq!(kind(&cache, &key, now), "fresh");
}

#[test]
fn inconclusive_answers_and_those_without_lifetime_are_not_kept() {
    let (cache, key, now) = (cache(1 << 20, true), key(b"\x01a\x00"), start());
    cache.insert(&key, cleaned(Rcode::SERVFAIL, SECOND, 16), now);
    let mut brief = cleaned(Rcode::NOERROR, SECOND, 16);
    brief.lifetime = None;
    cache.insert(&key, brief, now);
    assert_eq!((kind(&cache, &key, now), cache.entries()), ("miss", 0));
}

/// RFC 4035 §3.2: DO and CD change the answer.
#[test]
fn dnssec_flags_have_entries_of_their_own() {
    let (cache, now) = (cache(1 << 20, true), start());
    let name = b"\x01a\x00";
    let keys = [(false, false), (true, false), (false, true)]
        .map(|(dnssec_ok, checking)| Key::new(name, 1, 1, dnssec_ok, checking).unwrap());
    cache.insert(&keys[1], cleaned(Rcode::NOERROR, SECOND, 16), now);
    let kinds = keys.each_ref().map(|key| kind(&cache, key, now));
    assert_eq!(kinds, ["miss", "fresh", "miss"]);
}

#[test]
fn answers_age_and_expired_ones_have_the_configured_ttl() {
    let now = start();
    let entry = Entry::new(
        cleaned(Rcode::NOERROR, 60 * SECOND, 16),
        60 * SECOND,
        SECOND,
        now,
    );
    let fresh = entry.fresh_answer(now + Duration::from_millis(7_999));
    assert_eq!((fresh.ttl, fresh.extended_error), (Ttl::Aged(7), None));
    assert!(fresh.authentic);
    let stale = entry.stale_answer(30);
    assert_eq!(stale.ttl, Ttl::Fixed(30));
    assert_eq!(stale.extended_error, Some(ExtendedError::STALE_ANSWER));
    assert!(!stale.authentic);

    let nothing = Entry::new(cleaned(Rcode::NXDOMAIN, SECOND, 16), SECOND, SECOND, now);
    let stale = nothing.stale_answer(30);
    assert_eq!(stale.rcode, Rcode::NXDOMAIN);
    assert_eq!(stale.extended_error, Some(ExtendedError::STALE_NXDOMAIN));
}

#[test]
fn the_octets_in_use_never_exceed_the_configured_size() {
    for size in [0, 1000, 200_000, 3 << 20] {
        let (cache, now) = (cache(size, true), start());
        let mut offered = 0;
        for number in 0..20_000_u32 {
            let mut name = vec![4];
            name.extend_from_slice(&number.to_be_bytes());
            name.push(0);
            let octets = 40 + usize::try_from(number % 500).unwrap();
            cache.insert(&key(&name), cleaned(Rcode::NOERROR, SECOND, octets), now);
            offered += octets;
            if number % 1000 == 0 {
                assert!(cache.octets() <= size, "{} of {size}", cache.octets());
            }
        }
        assert!(u64::try_from(offered).unwrap() > size);
        assert!(cache.octets() <= size, "{} of {size}", cache.octets());
        if size >= 200_000 {
            assert!(cache.octets() > size / 2, "{} of {size}", cache.octets());
            assert!(cache.entries() > 100);
        }
    }
}
