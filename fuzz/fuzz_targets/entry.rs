//! An answer on its way through the cache: kept, looked up later, its TTLs patched, and written.
#![no_main]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sidestep::dns::cache::{Cache, Lookup, Scratch, clean};
use sidestep::dns::exchange::query::{self, Edns};
use sidestep::dns::exchange::response::{self, Response};
use sidestep::dns::key::Key;
use sidestep::dns::request::Request;
use sidestep::dns::{CacheSettings, StaleSettings, answer};

static CACHE: OnceLock<(Cache, Instant)> = OnceLock::new();

fn cache() -> &'static (Cache, Instant) {
    CACHE.get_or_init(|| {
        let limits = CacheSettings {
            size_bytes: 4 << 20,
            min_ttl: Duration::ZERO,
            max_ttl: Duration::from_secs(86_400),
            max_negative_ttl: Duration::from_secs(3600),
        };
        let stale = StaleSettings {
            enabled: true,
            client_timeout: Duration::from_millis(1800),
            reply_ttl: Duration::from_secs(30),
            max_age: Duration::from_secs(86_400),
        };
        let now = Instant::now();
        (Cache::new(&limits, &stale, now), now)
    })
}

fuzz_target!(|input: &[u8]| {
    let Some(([later_high, later_low, limit_high, limit_low], message)) = input.split_first_chunk()
    else {
        return;
    };
    let Some((name, qtype, class)) = response::question(message) else {
        return;
    };
    let Some(key) = Key::new(name, qtype, class, limit_low & 1 != 0, false) else {
        return;
    };
    let (cache, start) = cache();
    let id = message
        .first_chunk()
        .map_or(0, |id| u16::from_be_bytes(*id));
    let Response::Complete { length, .. } = response::read(message, id, &key) else {
        return;
    };
    let mut message = message[..length].to_vec();
    let Ok(cleaned) = clean::clean(&key, &mut message, cache.limits()) else {
        return;
    };
    cache.insert(&key, &cleaned, *start);

    let later = u16::from_be_bytes([*later_high, *later_low]);
    let now = *start + Duration::from_secs(u64::from(later) * 2);
    let mut scratch = Scratch::new();
    let found = match cache.lookup(&key, now, &mut scratch) {
        Lookup::Fresh(entry) => entry.fresh_answer(now),
        Lookup::Stale(entry) => entry.stale_answer(30),
        Lookup::Miss => return,
    };
    let question = query::build(&key, 7, Edns::With);
    let mut asked = Key::empty();
    let Ok(request) = Request::parse(&question, &mut asked) else {
        return;
    };
    let limit = usize::from(u16::from_be_bytes([*limit_high, *limit_low])).max(512);
    let mut out = Vec::new();
    let is_truncated = answer::write(&mut out, &request, limit, b"node", &found);
    assert!(out.len() <= limit);
    match response::read(&out, 7, &key) {
        Response::Complete { length, .. } => assert!(!is_truncated && length == out.len()),
        Response::Truncated => assert!(is_truncated),
        other => panic!("{other:?}"),
    }
});
