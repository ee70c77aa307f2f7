use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;
use crate::dns::cache::{Lookup, Scratch};
use crate::dns::{
    AccessSettings, LimitSettings, LocalRecord, RebindingSettings, SpecialNameSettings,
};

/// Two workers, 127.0.0.0/8 and ::1 allowed, `local.` has an address.
pub(in crate::dns) fn settings() -> Settings {
    Settings {
        node_name: "node-1".into(),
        service_sockets: Vec::new(),
        listen: Vec::new(),
        access: AccessSettings {
            allow: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            ..AccessSettings::default()
        },
        limits: LimitSettings::default(),
        cookie_secrets: None,
        special_names: SpecialNameSettings::default(),
        prefetch: true,
        rebinding: RebindingSettings::default(),
        hosts_files: Vec::new(),
        workers: NonZeroUsize::new(2).unwrap(),
        cache: CacheSettings {
            size_bytes: 1 << 20,
            min_ttl: Duration::ZERO,
            max_ttl: Duration::from_secs(86_400),
            max_negative_ttl: Duration::from_secs(3600),
        },
        stale: StaleSettings {
            enabled: true,
            client_timeout: Duration::from_millis(1800),
            reply_ttl: Duration::from_secs(30),
            max_age: Duration::from_secs(86_400),
        },
        local: vec![LocalRecord {
            name: b"\x05local\x00".to_vec(),
            rtype: 1,
            ttl_s: 60,
            rdata: vec![10, 0, 0, 40],
        }],
        zones: Vec::new(),
    }
}

pub(in crate::dns) fn shared() -> Shared {
    Shared::new(&settings(), ProbeName::new([7; 16]), start())
}

/// What the upstreams have said.
#[derive(Clone, Debug)]
pub(in crate::dns) enum Told {
    Message(Vec<u8>),
    Failed(Failure),
    NotYet,
}

impl Told {
    pub(in crate::dns) fn outcome(&mut self) -> Outcome<'_> {
        match self {
            Self::Message(message) => Outcome::Answered(message),
            Self::Failed(failure) => Outcome::Failed(*failure),
            Self::NotYet => Outcome::NotYet,
        }
    }
}

/// The response to a question for an address: `records` of 10.0.0.1 with a TTL of 60 s.
pub(in crate::dns) fn response(key: &Key, rcode: u8, records: u16) -> Told {
    let mut message = vec![0, 0, 0x81, 0x80 | rcode, 0, 1];
    message.extend_from_slice(&records.to_be_bytes());
    message.extend_from_slice(&[0, 0, 0, 0]);
    message.extend_from_slice(key.name());
    message.extend_from_slice(&key.qtype().to_be_bytes());
    message.extend_from_slice(&key.qclass().to_be_bytes());
    for _ in 0..records {
        message
            .extend_from_slice(b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01");
    }
    Told::Message(message)
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do to start from"
)]
pub(in crate::dns) fn start() -> Instant {
    Instant::now()
}

fn keep(shared: &Shared, key: &Key, mut told: Told, now: Instant) {
    let judged = judge(key, told.outcome(), shared.cache.limits());
    store(shared, key, &judged, now);
}

/// RFC 9520 §3.2 for those that were asked; nothing to remember when nobody was.
#[test]
fn failures_are_kept_when_an_upstream_was_asked() {
    let key = Key::new(b"\x01a\x00", 1, 1, false, false).unwrap();
    for (told, kept) in [
        (response(&key, 2, 0), true),
        (response(&key, 5, 0), true),
        (Told::Message(vec![1]), true),
        (Told::Failed(Failure::TimedOut), true),
        (Told::Failed(Failure::Unanswered), true),
        (Told::Failed(Failure::NoneUsable), false),
        (Told::Failed(Failure::Saturated), false),
        (Told::NotYet, false),
    ] {
        let (shared, now) = (shared(), start());
        keep(&shared, &key, told.clone(), now);
        let mut scratch = Scratch::new();
        let known = shared.cache.lookup(&key, now, &mut scratch);
        let found = matches!(known, Lookup::Fresh(entry) if entry.is_failure());
        assert_eq!(found, kept, "{told:?}");
    }
}

#[test]
fn an_answer_is_kept_and_survives_a_failure() {
    let key = Key::new(b"\x01a\x00", 1, 1, false, false).unwrap();
    let (shared, now) = (shared(), start());
    keep(&shared, &key, response(&key, 0, 1), now);
    keep(&shared, &key, Told::Failed(Failure::TimedOut), now);
    let mut scratch = Scratch::new();
    let known = shared.cache.lookup(&key, now, &mut scratch);
    assert!(matches!(known, Lookup::Fresh(entry) if !entry.is_failure()));
}
