use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use proptest::prelude::*;

use super::*;
use crate::dns::forward::Failure;
use crate::dns::identity::{ProbeName, probe_query, probe_worker};
use crate::dns::shared::tests::{Told, response, settings, start};
use crate::dns::shared::{judge, store};

mod names;
mod refresh;

pub(super) const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
pub(super) const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
pub(super) const NAME: &[u8] = b"\x03WwW\x07example\x00";

/// Worker 0, whose upstreams are usable.
pub(super) fn worker() -> Worker {
    let shared = Arc::new(Shared::new(&settings(), ProbeName::new([7; 16]), start()));
    Worker::new(0, shared).unwrap()
}

pub(super) fn key() -> Key {
    Key::new(NAME, 1, 1, false, false).unwrap()
}

/// A query with EDNS.
pub(super) fn query(name: &[u8], qtype: u16, qclass: u16, flags: u16) -> Vec<u8> {
    let mut message = b"\x12\x34".to_vec();
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    message.extend_from_slice(name);
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&qclass.to_be_bytes());
    message.extend_from_slice(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00");
    message
}

fn ask(
    worker: &Worker,
    message: &[u8],
    client: IpAddr,
    now: Instant,
    usable: bool,
) -> (Step, Vec<u8>) {
    let (mut buffers, mut out) = (Buffers::default(), Vec::new());
    let client = (client, Transport::Udp);
    let step = worker.answer_now(message, client, now, |_| usable, &mut buffers, &mut out);
    (step, out)
}

pub(super) fn ask_at(
    worker: &Worker,
    message: &[u8],
    client: IpAddr,
    now: Instant,
) -> (Step, Vec<u8>) {
    ask(worker, message, client, now, true)
}

/// What is answered at once.
pub(super) fn at_once(worker: &Worker, message: &[u8], client: IpAddr, now: Instant) -> Message {
    let (step, out) = ask_at(worker, message, client, now);
    assert!(matches!(step, Step::Reply), "{step:?}");
    Message::from_vec(&out).unwrap()
}

pub(super) fn ticket(worker: &Worker, now: Instant) -> Ticket {
    match ask_at(worker, &query(NAME, 1, 1, 0x0100), CLIENT, now) {
        (Step::Miss(ticket), out) if out.is_empty() => ticket,
        (step, out) => panic!("{step:?} {out:?}"),
    }
}

/// What a client that waits is told of what the upstreams have said.
pub(super) fn later(worker: &Worker, ticket: &Ticket, mut told: Told, now: Instant) -> Message {
    let judged = judge(worker.shared(), &key(), told.outcome());
    let outcome = judged.as_ref().map_err(|failed| *failed);
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    worker.answer_late((&key(), ticket), outcome, now, &mut scratch, &mut out);
    Message::from_vec(&out).unwrap()
}

pub(super) fn keep(worker: &Worker, mut told: Told, now: Instant) {
    let judged = judge(worker.shared(), &key(), told.outcome());
    store(worker.shared(), &key(), &judged, now);
}

pub(super) fn rcode(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

pub(super) fn extended_error(message: &Message) -> Option<u16> {
    match message.edns.as_ref()?.option(EdnsCode::Unknown(15)) {
        Some(EdnsOption::Unknown(_, bytes)) => Some(u16::from_be_bytes([bytes[0], bytes[1]])),
        _ => None,
    }
}

#[test]
fn a_miss_is_answered_by_an_upstream_and_then_from_the_cache() {
    let (worker, now) = (worker(), start());
    let waiting = ticket(&worker, now);
    assert_eq!(worker.give_up_at(&waiting), None);
    let answered = now + Duration::from_millis(20);
    let answer = later(&worker, &waiting, response(&key(), 0, 2), answered);
    assert_eq!(
        (rcode(&answer), answer.answers.len()),
        (ResponseCode::NoError, 2)
    );
    assert_eq!(answer.metadata.id, 0x1234);
    assert_eq!(worker.counters().miss_latency.buckets[9].value(), 1);

    keep(&worker, response(&key(), 0, 2), answered);
    let later = answered + Duration::from_secs(59);
    let answer = at_once(&worker, &query(NAME, 1, 1, 0x0100), CLIENT, later);
    assert_eq!(answer.answers[0].ttl, 1);
    assert_eq!(answer.queries[0].name().to_string(), "WwW.example.");
    let counters = worker.counters();
    assert_eq!(counters.cache_hits.value(), 1);
    assert_eq!(counters.cache_misses.value(), 1);
    assert_eq!(counters.responses_value(), 2);
}

/// RFC 8914 §4.23 and §4.24; an upstream's reason is passed on.
#[test]
fn failures_are_servfail_with_a_reason() {
    let other = Key::new(b"\x01x\x00", 1, 1, false, false).unwrap();
    for (told, reason) in [
        (Told::Failed(Failure::NoneUsable), 22),
        (Told::Failed(Failure::TimedOut), 22),
        (Told::Failed(Failure::Saturated), 23),
        (response(&key(), 2, 0), 22),
        (response(&key(), 5, 0), 22),
        (response(&other, 0, 1), 23),
    ] {
        let (worker, now) = (worker(), start());
        let answer = later(&worker, &ticket(&worker, now), told.clone(), now);
        assert_eq!(rcode(&answer), ResponseCode::ServFail);
        assert_eq!(extended_error(&answer), Some(reason), "{told:?}");
    }
}

/// RFC 8767 §5: the client timer, and RFC 8914 §4.4.
#[test]
fn an_expired_answer_is_sent_when_the_client_has_waited_long_enough() {
    let (worker, now) = (worker(), start());
    keep(&worker, response(&key(), 0, 1), now);
    let asked = now + Duration::from_secs(60);
    let ticket = ticket(&worker, asked);
    let give_up_at = worker.give_up_at(&ticket).unwrap();
    assert_eq!(give_up_at - asked, Duration::from_millis(1800));
    let answer = later(&worker, &ticket, Told::NotYet, give_up_at);
    assert_eq!(
        (rcode(&answer), extended_error(&answer)),
        (ResponseCode::NoError, Some(3))
    );
    assert_eq!(answer.answers[0].ttl, 30);
    assert_eq!(worker.counters().stale_answers.value(), 1);
}

#[test]
fn an_answer_in_time_is_preferred_to_the_expired_one() {
    let (worker, now) = (worker(), start());
    keep(&worker, response(&key(), 0, 1), now);
    let asked = now + Duration::from_secs(60);
    let answer = later(
        &worker,
        &ticket(&worker, asked),
        response(&key(), 0, 2),
        asked,
    );
    assert_eq!((answer.answers.len(), extended_error(&answer)), (2, None));
}

#[test]
fn an_expired_answer_is_sent_at_once_after_a_failure() {
    let (worker, now) = (worker(), start());
    keep(&worker, response(&key(), 0, 1), now);
    let expired = now + Duration::from_secs(60);
    let ticket = ticket(&worker, expired);
    let failed = Told::Failed(Failure::TimedOut);
    let answer = later(&worker, &ticket, failed.clone(), expired);
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );

    // The failure is known now: the next client does not wait, and nobody is asked.
    keep(&worker, failed, expired);
    let answer = at_once(&worker, &query(NAME, 1, 1, 0x0100), CLIENT, expired);
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );
}

#[test]
fn an_expired_answer_is_sent_at_once_while_no_upstream_is_usable() {
    let (worker, now) = (worker(), start());
    keep(&worker, response(&key(), 0, 1), now);
    let expired = now + Duration::from_secs(60);
    let message = query(NAME, 1, 1, 0x0100);
    let (step, out) = ask(&worker, &message, CLIENT, expired, false);
    assert!(matches!(step, Step::Reply));
    let answer = Message::from_vec(&out).unwrap();
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );
}

/// A client that waited with an expired answer at hand gets the fresh one that came meanwhile.
#[test]
fn what_another_question_has_brought_is_told_instead_of_a_failure() {
    let (worker, now) = (worker(), start());
    keep(&worker, response(&key(), 0, 1), now);
    let expired = now + Duration::from_secs(60);
    let ticket = ticket(&worker, expired);
    keep(&worker, response(&key(), 0, 2), expired);
    let failed = Told::Failed(Failure::TimedOut);
    let answer = later(&worker, &ticket, failed, expired);
    assert_eq!((answer.answers.len(), extended_error(&answer)), (2, None));
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let worker = worker();
    for (name, class) in [
        (NAME, 1),
        (&b"\x05local\x00"[..], 1),
        (b"\x02id\x06server\x00", 3),
    ] {
        let answer = at_once(&worker, &query(name, 1, class, 0x0100), STRANGER, start());
        assert_eq!(rcode(&answer), ResponseCode::Refused);
        assert_eq!(extended_error(&answer), Some(18));
    }
    assert_eq!(worker.counters().refused_clients.value(), 3);
}

/// A client of the cache gets what is at hand, expired or not, and nobody is asked on its behalf.
/// RFC 8914 §4.19.
#[test]
fn a_client_of_the_cache_never_makes_a_question_to_an_upstream() {
    let mut settings = settings();
    settings.access.allow_cached = vec!["192.0.2.0/24".parse().unwrap()];
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    let (worker, now) = (Worker::new(0, shared).unwrap(), start());
    let message = query(NAME, 1, 1, 0x0100);
    let answer = at_once(&worker, &message, STRANGER, now);
    assert_eq!(
        (rcode(&answer), extended_error(&answer)),
        (ResponseCode::Refused, Some(18))
    );
    keep(&worker, response(&key(), 0, 1), now);
    let answer = at_once(&worker, &message, STRANGER, now);
    assert_eq!((answer.answers.len(), extended_error(&answer)), (1, None));
    let expired = now + Duration::from_secs(60);
    let answer = at_once(&worker, &message, STRANGER, expired);
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );
    let local = at_once(
        &worker,
        &query(b"\x05local\x00", 1, 1, 0),
        STRANGER,
        expired,
    );
    assert_eq!(local.answers.len(), 1);
    let chaos = query(b"\x02id\x06server\x00", 16, 3, 0);
    let answer = at_once(&worker, &chaos, STRANGER, expired);
    assert_eq!(rcode(&answer), ResponseCode::Refused);
    assert!(worker.may_connect(STRANGER));
}

#[test]
fn a_client_of_chaos_is_told_what_the_server_is_and_nothing_else() {
    let mut settings = settings();
    settings.access.allow_chaos = vec!["192.0.2.0/24".parse().unwrap()];
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    let worker = Worker::new(0, shared).unwrap();
    let chaos = query(b"\x02id\x06server\x00", 16, 3, 0);
    let answer = at_once(&worker, &chaos, STRANGER, start());
    assert_eq!(answer.answers[0].data.to_string(), "node-1");
    for name in [NAME, b"\x05local\x00"] {
        let answer = at_once(&worker, &query(name, 1, 1, 0x0100), STRANGER, start());
        assert_eq!(
            (rcode(&answer), extended_error(&answer)),
            (ResponseCode::Refused, Some(18))
        );
    }
}

#[test]
fn questions_that_are_not_for_a_resolver_are_refused() {
    let worker = worker();
    for (qtype, qclass, expected) in [
        (251, 1, ResponseCode::Refused),
        (252, 1, ResponseCode::Refused),
        (253, 1, ResponseCode::NotImp),
        (254, 1, ResponseCode::NotImp),
        (1, 0, ResponseCode::Refused),
        (1, 4, ResponseCode::Refused),
        (1, 254, ResponseCode::Refused),
        (1, 255, ResponseCode::Refused),
        (16, 3, ResponseCode::Refused),
    ] {
        let answer = at_once(
            &worker,
            &query(NAME, qtype, qclass, 0x0100),
            CLIENT,
            start(),
        );
        assert_eq!(rcode(&answer), expected, "{qtype} {qclass}");
        assert_eq!(extended_error(&answer), Some(21), "{qtype} {qclass}");
    }
}

/// RFC 6891 §6.1.3.
#[test]
fn a_later_edns_version_is_answered_with_badvers() {
    let mut message = query(NAME, 1, 1, 0x0100);
    let version = message.len() - 5;
    message[version] = 1;
    let answer = at_once(&worker(), &message, CLIENT, start());
    assert_eq!(u16::from(rcode(&answer)), 16);
    assert_eq!(answer.version(), 0);
}

#[test]
fn local_records_and_the_servers_name_are_answered_with_authority() {
    let worker = worker();
    let local = at_once(&worker, &query(b"\x05LOCAL\x00", 1, 1, 0), CLIENT, start());
    assert_eq!(
        (local.answers.len(), local.metadata.authoritative),
        (1, true)
    );
    let other = at_once(&worker, &query(b"\x05local\x00", 28, 1, 0), CLIENT, start());
    assert_eq!(
        (rcode(&other), other.answers.len()),
        (ResponseCode::NoError, 0)
    );
    let name = at_once(
        &worker,
        &query(b"\x02id\x06server\x00", 16, 3, 0),
        CLIENT,
        start(),
    );
    assert_eq!(name.answers[0].data.to_string(), "node-1");
}

/// RFC 1034 §4.3.1: no recursion for those who do not desire it. RFC 8914 §4.21.
#[test]
fn without_recursion_desired_only_what_is_at_hand_is_answered() {
    let (worker, now) = (worker(), start());
    let message = query(NAME, 1, 1, 0);
    let answer = at_once(&worker, &message, CLIENT, now);
    assert_eq!(
        (rcode(&answer), extended_error(&answer)),
        (ResponseCode::Refused, Some(20))
    );
    keep(&worker, response(&key(), 0, 1), now);
    let answer = at_once(&worker, &message, CLIENT, now);
    assert_eq!(answer.answers.len(), 1);
    assert!(!answer.metadata.recursion_desired && answer.metadata.recursion_available);
}

#[test]
fn the_self_probe_is_answered_outside_of_all_client_metrics() {
    let worker = worker();
    let probe = ProbeName::new([7; 16]);
    let message = probe_query(&probe, 9);
    let (step, out) = ask_at(&worker, &message, CLIENT, start());
    assert!(matches!(step, Step::ProbeReply));
    assert_eq!(probe_worker(&probe, 9, &out), Some(0));
    let counters = worker.counters();
    assert_eq!((counters.probes.value(), counters.queries_value()), (1, 0));
    assert_eq!(counters.responses_value(), 0);

    let answer = at_once(&worker, &message, STRANGER, start());
    assert_eq!(rcode(&answer), ResponseCode::Refused);
    assert_eq!(counters.probes.value(), 1);
}

#[test]
fn what_is_no_request_is_dropped_and_counted() {
    let worker = worker();
    for message in [&b""[..], &[0; 11], &query(NAME, 1, 1, 0x8100)] {
        let (step, out) = ask_at(&worker, message, CLIENT, start());
        assert!(matches!(step, Step::Drop));
        assert!(out.is_empty());
    }
    let (step, out) = ask_at(&worker, &[0; 12], CLIENT, start());
    assert!(matches!(step, Step::Reply));
    assert_eq!(out.len(), 12);
    assert_eq!(worker.counters().malformed.value(), 4);
}

proptest! {
    #[test]
    fn no_message_makes_a_worker_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let (worker, now) = (worker(), start());
        ask_at(&worker, &bytes, CLIENT, now);
        let mut message = query(NAME, 1, 1, 0x0100);
        for (index, value) in changes {
            let at = index.index(message.len());
            message[at] = value;
        }
        ask_at(&worker, &message, CLIENT, now);
    }
}

#[test]
fn a_stranger_holds_no_tcp_connection_and_the_self_probe_always_may() {
    let mut settings = settings();
    settings.access.allow = vec!["198.51.100.0/24".parse().unwrap()];
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    let worker = Worker::new(0, shared).unwrap();
    assert!(!worker.may_connect(STRANGER));
    assert!(worker.may_connect("198.51.100.7".parse().unwrap()));
    assert!(worker.may_connect("::ffff:198.51.100.7".parse().unwrap()));
    assert!(worker.may_connect(CLIENT));
    assert!(worker.may_connect("::1".parse().unwrap()));
}
