//! Names that are answered here, aliases that lead from them to the upstreams, and this node's own
//! questions.

use super::*;
use crate::dns::{DialectSettings, ForwardZone, LocalRecord, ZoneAction};

/// RFC 6761 §6.4, RFC 6303 §3, RFC 8914 §4.16.
#[test]
fn special_names_and_refused_zones_are_answered_at_once() {
    let mut settings = settings();
    settings.zones.push(ForwardZone {
        zone: b"\x03bad\x00".to_vec(),
        zone_text: "bad.".into(),
        action: ZoneAction::Refuse,
        upstreams: Vec::new(),
        last_resort: Vec::new(),
        dialect: DialectSettings::default(),
        critical: false,
    });
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    let worker = Worker::new(0, shared).unwrap();
    let ask = |name| at_once(&worker, &query(name, 1, 1, 0x0100), CLIENT, start());
    let invalid = ask(b"\x01a\x07invalid\x00");
    assert_eq!(rcode(&invalid), ResponseCode::NXDomain);
    assert_eq!(invalid.authorities[0].name.to_string(), "invalid.");
    assert!(invalid.metadata.authoritative);
    let refused = ask(b"\x01a\x03bad\x00");
    assert_eq!(
        (rcode(&refused), extended_error(&refused)),
        (ResponseCode::Refused, Some(15))
    );
    assert!(!refused.metadata.authoritative);
}

/// Worker 0, with `www.` an alias of the name that the other tests ask for.
fn worker_with_alias() -> Worker {
    let mut settings = settings();
    settings.local.push(LocalRecord {
        name: b"\x03www\x00".to_vec(),
        rtype: 5,
        ttl_s: 60,
        rdata: NAME.to_ascii_lowercase(),
    });
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    Worker::new(0, shared).unwrap()
}

/// What a client is told who asks for the address of `www.`.
fn names_and_ttls(answer: &Message) -> Vec<(String, u32)> {
    let records = answer.answers.iter();
    records
        .map(|record| (record.name.to_string(), record.ttl))
        .collect()
}

/// RFC 1034 §4.3.2 (3a): stub resolvers do not follow an alias by themselves.
#[test]
fn a_local_alias_of_a_name_that_upstreams_know_is_followed() {
    let (worker, now) = (worker_with_alias(), start());
    let message = query(b"\x03wWw\x00", 1, 1, 0x0100);
    let client = (CLIENT, Transport::Udp);
    let (mut buffers, mut out) = (Buffers::default(), Vec::new());
    let step = worker.answer_now(&message, client, now, |_| true, &mut buffers, &mut out);
    let Step::Miss(waiting) = step else {
        panic!("{step:?}");
    };
    // Upstreams are asked for the target.
    assert_eq!(buffers.key, key());
    let alias = ("wWw.".to_owned(), 60);
    let target = |ttl| ("www.example.".to_owned(), ttl);
    let answer = later(&worker, &waiting, response(&key(), 0, 1), now);
    assert_eq!(names_and_ttls(&answer), [alias.clone(), target(60)]);
    assert_eq!(answer.queries[0].name().to_string(), "wWw.");
    assert!(answer.metadata.authoritative && !answer.metadata.authentic_data);

    keep(&worker, response(&key(), 0, 1), now);
    let hit = at_once(&worker, &message, CLIENT, now + Duration::from_secs(20));
    assert_eq!(names_and_ttls(&hit), [alias.clone(), target(40)]);
    let expired = now + Duration::from_secs(60);
    let (step, out) = ask(&worker, &message, CLIENT, expired, false);
    assert!(matches!(step, Step::Reply));
    let stale = Message::from_vec(&out).unwrap();
    assert_eq!(names_and_ttls(&stale), [alias.clone(), target(30)]);
    assert_eq!(extended_error(&stale), Some(3));
    let (step, _) = ask_at(&worker, &message, CLIENT, expired);
    let Step::Miss(waiting) = step else {
        panic!("{step:?}");
    };
    let answer = later(&worker, &waiting, Told::NotYet, expired);
    assert_eq!(names_and_ttls(&answer), [alias, target(30)]);
}

/// RFC 6604 §3 for what does not exist; a failure has no part of an answer.
#[test]
fn a_local_alias_has_the_rcode_of_what_it_leads_to() {
    let (worker, now) = (worker_with_alias(), start());
    let message = query(b"\x03www\x00", 1, 1, 0x0100);
    let waiting = || match ask_at(&worker, &message, CLIENT, now) {
        (Step::Miss(ticket), _) => ticket,
        (step, _) => panic!("{step:?}"),
    };
    let absent = later(&worker, &waiting(), response(&key(), 3, 0), now);
    assert_eq!(
        (rcode(&absent), absent.answers.len()),
        (ResponseCode::NXDomain, 1)
    );
    let failed = Told::Failed(Failure::TimedOut);
    let answer = later(&worker, &waiting(), failed.clone(), now);
    assert_eq!(
        (rcode(&answer), answer.answers.len()),
        (ResponseCode::ServFail, 0)
    );
    keep(&worker, failed, now);
    let answer = at_once(&worker, &message, CLIENT, now);
    assert_eq!(
        (rcode(&answer), answer.answers.len()),
        (ResponseCode::ServFail, 0)
    );
    // Without recursion the alias is all there is.
    let alone = at_once(&worker, &query(b"\x03www\x00", 1, 1, 0), CLIENT, now);
    assert_eq!(names_and_ttls(&alone), [("www.".to_owned(), 60)]);
}

#[test]
fn a_question_of_this_node_that_comes_back_is_noted_and_goes_no_further() {
    let worker = worker();
    let number = std::num::NonZeroU64::new(7).unwrap();
    let name = crate::dns::loops::name(number, b"\x00").unwrap();
    let message = query(&name, 16, 1, 0x0100);
    worker.shared().loops().begin(number);
    let strange = at_once(&worker, &message, STRANGER, start());
    assert_eq!(extended_error(&strange), Some(18));
    assert_eq!(worker.shared().loops().returned(), 0);
    let answer = at_once(&worker, &message, CLIENT, start());
    assert_eq!(rcode(&answer), ResponseCode::Refused);
    assert!(worker.shared().loops().end());
    let (step, _) = ask_at(&worker, &message, CLIENT, start());
    assert!(matches!(step, Step::Miss(_)));
}
