//! An upstream's answer: does it match, can it be walked, and is it clean then?
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sidestep::dns::CacheSettings;
use sidestep::dns::cache::clean;
use sidestep::dns::exchange::response::{self, Response};
use sidestep::dns::key::Key;

fuzz_target!(|input: &[u8]| {
    let Some((flags, message)) = input.split_first() else {
        return;
    };
    let limits = CacheSettings {
        size_bytes: 1 << 20,
        min_ttl: Duration::ZERO,
        max_ttl: Duration::from_secs(86_400),
        max_negative_ttl: Duration::from_secs(3600),
    };
    // The question that it answers, so that most inputs get past the first look.
    let (dnssec_ok, checking_disabled) = (flags & 1 != 0, flags & 2 != 0);
    let key = match response::question(message) {
        Some((name, qtype, class)) => Key::new(name, qtype, class, dnssec_ok, checking_disabled),
        None => Key::new(b"\0", 2, 1, dnssec_ok, checking_disabled),
    };
    let Some(key) = key else { return };
    let id = message
        .first_chunk()
        .map_or(0, |id| u16::from_be_bytes(*id));
    let examined = response::examine(message, id, &key);
    assert_eq!(examined.response, response::read(message, id, &key));
    if let Response::Complete { length, .. } = examined.response {
        assert!(length <= message.len());
        let mut whole = message[..length].to_vec();
        let Ok(cleaned) = clean::clean(&key, &mut whole, &limits) else {
            return;
        };
        let first = cleaned.lifetime;
        // Cleaning what is clean changes nothing more.
        let mut again = whole.clone();
        let cleaned = clean::clean(&key, &mut again, &limits).unwrap();
        assert_eq!(cleaned.lifetime, first);
        assert_eq!(again, whole);
    }
});
