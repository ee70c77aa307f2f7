use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;
use crate::dns::cache::{Lookup, Scratch};
use crate::dns::{
    AccessSettings, CacheSettings, LimitSettings, LocalRecord, RebindingSettings,
    SpecialNameSettings, WarmSettings,
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
        warm_start: WarmSettings::default(),
        hosts_files: Vec::new(),
        show_version: false,
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
    let judged = judge(shared, key, told.outcome());
    store(shared, key, &judged, now);
}

fn key() -> Key {
    Key::new(b"\x01a\x00", 1, 1, false, false).unwrap()
}

/// For how many seconds a failure is remembered that comes right after another one of its kind.
fn second_lasts_s(told: &Told) -> u64 {
    let (shared, mut now) = (shared(), start());
    keep(&shared, &key(), told.clone(), now);
    now += Duration::from_secs(1);
    keep(&shared, &key(), told.clone(), now);
    let lasts = |seconds: &u64| {
        let last = now + Duration::from_secs(*seconds) - Duration::from_millis(1);
        let mut scratch = Scratch::new();
        let known = shared.cache.lookup(&key(), last, &mut scratch);
        matches!(known, Lookup::Fresh(entry) if entry.is_failure())
    };
    (1..10).take_while(lasts).count() as u64
}

/// An error with a reason. RFC 8914 §2.
fn reasoned(rcode: u8, reason: u8) -> Told {
    let Told::Message(mut message) = response(&key(), rcode, 0) else {
        panic!("no message");
    };
    message[11] = 1;
    message.extend_from_slice(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x06\x00\x0F\x00\x02\x00");
    message.push(reason);
    Told::Message(message)
}

/// RFC 9520 §3.2 for those that were asked; nothing to remember when nobody was. What is about the
/// name lasts longer each time; want of upstreams, ours or an upstream's own, does not.
#[test]
fn failures_are_kept_when_an_upstream_was_asked() {
    for (told, lasts_s) in [
        (response(&key(), 2, 0), 2),
        (response(&key(), 5, 0), 2),
        (reasoned(2, 6), 2),
        (reasoned(2, 9), 2),
        (reasoned(2, 0), 1),
        (reasoned(2, 22), 1),
        (reasoned(2, 23), 1),
        (Told::Message(vec![1]), 2),
        (Told::Failed(Failure::TimedOut), 1),
        (Told::Failed(Failure::Unanswered), 1),
        (Told::Failed(Failure::NoneUsable), 0),
        (Told::Failed(Failure::Saturated), 0),
        (Told::NotYet, 0),
    ] {
        assert_eq!(second_lasts_s(&told), lasts_s, "{told:?}");
    }
}

/// RFC 8914 §4: an upstream's own reason is passed on.
#[test]
fn a_failure_tells_why() {
    let shared = shared();
    let other = Key::new(b"\x01x\x00", 1, 1, false, false).unwrap();
    let mut looping = response(&key(), 0, 0);
    if let Told::Message(message) = &mut looping {
        message[7] = 1;
        message.extend_from_slice(b"\xC0\x0C\x00\x05\x00\x01\0\0\0\x3C\x00\x02\xC0\x0C");
    }
    for (mut told, reason) in [
        (response(&key(), 2, 0), 22),
        (reasoned(2, 9), 9),
        (response(&other, 0, 1), 23),
        (looping, 24),
        (Told::Failed(Failure::Unanswered), 22),
        (Told::Failed(Failure::Saturated), 23),
    ] {
        let failed = judge(&shared, &key(), told.outcome()).unwrap_err();
        assert_eq!(failed.reason, ExtendedError(reason), "{told:?}");
    }
    assert_eq!(shared.unusable_answers(), 2);
}

/// RFC 8914 §4.16. It is kept, so that nobody is asked again for each client.
#[test]
fn private_addresses_of_public_names_are_withheld_where_that_is_wanted() {
    let mut settings = settings();
    for (enabled, blocked) in [(false, 0), (true, 1)] {
        settings.rebinding.enabled = enabled;
        let (shared, now) = (
            Shared::new(&settings, ProbeName::new([7; 16]), start()),
            start(),
        );
        keep(&shared, &key(), response(&key(), 0, 1), now);
        let mut scratch = Scratch::new();
        let Lookup::Fresh(entry) = shared.cache.lookup(&key(), now, &mut scratch) else {
            panic!("not kept");
        };
        let told = entry.fresh_answer(now);
        assert_eq!(told.sections.unwrap().counts(), [1 - blocked, 0, 0]);
        assert_eq!(
            told.extended_error,
            enabled.then_some(ExtendedError::BLOCKED)
        );
        assert_eq!(shared.blocked_answers(), u64::from(blocked));
    }
}

#[test]
fn an_answer_is_kept_and_survives_a_failure() {
    let key = key();
    let (shared, now) = (shared(), start());
    keep(&shared, &key, response(&key, 0, 1), now);
    keep(&shared, &key, Told::Failed(Failure::TimedOut), now);
    let mut scratch = Scratch::new();
    let known = shared.cache.lookup(&key, now, &mut scratch);
    assert!(matches!(known, Lookup::Fresh(entry) if !entry.is_failure()));
}
