use std::cell::{Cell, RefCell};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use proptest::prelude::*;

use super::*;
use crate::dns::forward::Failure;
use crate::dns::identity::{ProbeName, probe_query, probe_worker};
use crate::dns::key::Key;
use crate::dns::shared::store;
use crate::dns::shared::tests::{response, settings, start};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const NAME: &[u8] = b"\x03WwW\x07example\x00";

/// Forwards to nobody: says what it was told to say, after a while.
struct Script {
    outcome: RefCell<Outcome>,
    delay: Duration,
    usable: Cell<bool>,
    asked: Cell<usize>,
}

impl Forward for Script {
    async fn ask(&self, _key: &Key) -> Rc<Outcome> {
        self.asked.set(self.asked.get() + 1);
        tokio::time::sleep(self.delay).await;
        Rc::new(self.outcome.borrow().clone())
    }

    fn is_usable(&self, _key: &Key) -> bool {
        self.usable.get()
    }
}

fn worker(outcome: Outcome, delay: Duration) -> Worker<Script> {
    let shared = Arc::new(Shared::new(
        &settings(),
        ProbeName::new([7; 16]),
        tokio_now(),
    ));
    let script = Script {
        outcome: RefCell::new(outcome),
        delay,
        usable: Cell::new(true),
        asked: Cell::new(0),
    };
    Worker::new(0, shared, Rc::new(script)).unwrap()
}

/// A worker whose upstreams fail at once.
fn failing() -> Worker<Script> {
    worker(Outcome::Failed(Failure::TimedOut), Duration::ZERO)
}

fn key() -> Key {
    Key::new(NAME, 1, 1, false, false).unwrap()
}

/// A query with EDNS.
fn query(name: &[u8], qtype: u16, qclass: u16, flags: u16) -> Vec<u8> {
    let mut message = b"\x12\x34".to_vec();
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    message.extend_from_slice(name);
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&qclass.to_be_bytes());
    message.extend_from_slice(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00");
    message
}

fn ask_at(
    worker: &Worker<Script>,
    message: &[u8],
    client: IpAddr,
    now: Instant,
) -> (Step, Vec<u8>) {
    let mut out = Vec::new();
    let step = worker.answer_now(message, client, Transport::Udp, now, &mut out);
    (step, out)
}

/// What is answered at once.
fn at_once(worker: &Worker<Script>, message: &[u8], client: IpAddr, now: Instant) -> Message {
    let (step, out) = ask_at(worker, message, client, now);
    assert!(matches!(step, Step::Reply), "{step:?}");
    Message::from_vec(&out).unwrap()
}

fn ticket(worker: &Worker<Script>, now: Instant) -> Box<Ticket> {
    match ask_at(worker, &query(NAME, 1, 1, 0x0100), CLIENT, now) {
        (Step::Miss(ticket), out) if out.is_empty() => ticket,
        (step, out) => panic!("{step:?} {out:?}"),
    }
}

async fn later(worker: &Worker<Script>, ticket: &Ticket) -> Message {
    let mut out = Vec::new();
    worker.answer_later(ticket, &mut out).await;
    Message::from_vec(&out).unwrap()
}

fn rcode(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

fn extended_error(message: &Message) -> Option<u16> {
    match message.edns.as_ref()?.option(EdnsCode::Unknown(15)) {
        Some(EdnsOption::Unknown(_, bytes)) => Some(u16::from_be_bytes([bytes[0], bytes[1]])),
        _ => None,
    }
}

fn tokio_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_answered_by_an_upstream_and_then_from_the_cache() {
    let outcome = response(&key(), 0, 2);
    let worker = worker(outcome.clone(), Duration::from_millis(20));
    let ticket = ticket(&worker, tokio_now());
    assert_eq!(worker.counters().in_flight.value(), 1);
    let answer = later(&worker, &ticket).await;
    assert_eq!(
        (rcode(&answer), answer.answers.len()),
        (ResponseCode::NoError, 2)
    );
    assert_eq!(answer.metadata.id, 0x1234);
    drop(ticket);
    assert_eq!(worker.counters().in_flight.value(), 0);
    assert_eq!(worker.counters().miss_latency.buckets[9].value(), 1);

    let stored = tokio_now();
    store(&worker.shared, &key(), &outcome, stored);
    let later = stored + Duration::from_secs(59);
    let answer = at_once(&worker, &query(NAME, 1, 1, 0x0100), CLIENT, later);
    assert_eq!(answer.answers[0].ttl, 1);
    assert_eq!(answer.queries[0].name().to_string(), "WwW.example.");
    assert_eq!(worker.forwarder.asked.get(), 1);
    let counters = worker.counters();
    assert_eq!(counters.cache_hits.value(), 1);
    assert_eq!(counters.cache_misses.value(), 1);
    assert_eq!(counters.responses_value(), 2);
}

/// RFC 8914 §4.23 and §4.24; an upstream's reason is passed on.
#[tokio::test(start_paused = true)]
async fn failures_are_servfail_with_a_reason() {
    for (outcome, reason) in [
        (Outcome::Failed(Failure::NoneUsable), 22),
        (Outcome::Failed(Failure::TimedOut), 22),
        (Outcome::Failed(Failure::Saturated), 23),
        (response(&key(), 2, 0), 22),
        (response(&key(), 5, 0), 22),
        (
            response(&Key::new(b"\x01x\x00", 1, 1, false, false).unwrap(), 0, 1),
            23,
        ),
    ] {
        let worker = worker(outcome.clone(), Duration::ZERO);
        let answer = later(&worker, &ticket(&worker, tokio_now())).await;
        assert_eq!(rcode(&answer), ResponseCode::ServFail);
        assert_eq!(extended_error(&answer), Some(reason), "{outcome:?}");
    }
}

/// RFC 8767 §5: the client timer, and RFC 8914 §4.4.
#[tokio::test(start_paused = true)]
async fn an_expired_answer_is_sent_when_the_client_has_waited_long_enough() {
    let worker = worker(response(&key(), 0, 1), Duration::from_secs(4));
    let began = tokio_now();
    store(&worker.shared, &key(), &response(&key(), 0, 1), began);
    tokio::time::advance(Duration::from_secs(60)).await;
    let asked = tokio_now();
    let ticket = ticket(&worker, asked);
    let answer = later(&worker, &ticket).await;
    assert_eq!(tokio_now() - asked, Duration::from_millis(1800));
    assert_eq!(
        (rcode(&answer), extended_error(&answer)),
        (ResponseCode::NoError, Some(3))
    );
    assert_eq!(answer.answers[0].ttl, 30);
    assert_eq!(worker.counters().stale_answers.value(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_preferred_to_the_expired_one() {
    let worker = worker(response(&key(), 0, 2), Duration::from_millis(1799));
    store(&worker.shared, &key(), &response(&key(), 0, 1), tokio_now());
    tokio::time::advance(Duration::from_secs(60)).await;
    let ticket = ticket(&worker, tokio_now());
    let answer = later(&worker, &ticket).await;
    assert_eq!((answer.answers.len(), extended_error(&answer)), (2, None));
}

#[tokio::test(start_paused = true)]
async fn an_expired_answer_is_sent_at_once_after_a_failure() {
    let worker = failing();
    let now = tokio_now();
    store(&worker.shared, &key(), &response(&key(), 0, 1), now);
    let expired = now + Duration::from_secs(60);
    let ticket = ticket(&worker, expired);
    let answer = later(&worker, &ticket).await;
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );

    // The failure is known now: the next client does not wait, and nobody is asked.
    store(
        &worker.shared,
        &key(),
        &Outcome::Failed(Failure::TimedOut),
        expired,
    );
    let answer = at_once(&worker, &query(NAME, 1, 1, 0x0100), CLIENT, expired);
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );
    assert_eq!(worker.forwarder.asked.get(), 1);
}

#[test]
fn an_expired_answer_is_sent_at_once_while_no_upstream_is_usable() {
    let (worker, now) = (failing(), start());
    store(&worker.shared, &key(), &response(&key(), 0, 1), now);
    worker.forwarder.usable.set(false);
    let expired = now + Duration::from_secs(60);
    let answer = at_once(&worker, &query(NAME, 1, 1, 0x0100), CLIENT, expired);
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );
    assert_eq!(worker.forwarder.asked.get(), 0);
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let worker = failing();
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

#[test]
fn questions_that_are_not_for_a_resolver_are_refused() {
    let worker = failing();
    for (qtype, qclass, expected) in [
        (249, 1, ResponseCode::Refused),
        (250, 1, ResponseCode::Refused),
        (251, 1, ResponseCode::Refused),
        (252, 1, ResponseCode::Refused),
        (41, 1, ResponseCode::FormErr),
        (1, 4, ResponseCode::Refused),
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
    }
}

/// RFC 6891 §6.1.3.
#[test]
fn a_later_edns_version_is_answered_with_badvers() {
    let mut message = query(NAME, 1, 1, 0x0100);
    let version = message.len() - 5;
    message[version] = 1;
    let answer = at_once(&failing(), &message, CLIENT, start());
    assert_eq!(u16::from(rcode(&answer)), 16);
    assert_eq!(answer.version(), 0);
}

#[test]
fn local_records_and_the_servers_name_are_answered_with_authority() {
    let worker = failing();
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
    assert_eq!(worker.forwarder.asked.get(), 0);
}

/// RFC 1034 §4.3.1: no recursion for those who do not desire it. RFC 8914 §4.21.
#[test]
fn without_recursion_desired_only_what_is_at_hand_is_answered() {
    let (worker, now) = (failing(), start());
    let message = query(NAME, 1, 1, 0);
    let answer = at_once(&worker, &message, CLIENT, now);
    assert_eq!(
        (rcode(&answer), extended_error(&answer)),
        (ResponseCode::Refused, Some(20))
    );
    store(&worker.shared, &key(), &response(&key(), 0, 1), now);
    let answer = at_once(&worker, &message, CLIENT, now);
    assert_eq!(answer.answers.len(), 1);
    assert!(!answer.metadata.recursion_desired && answer.metadata.recursion_available);
}

#[test]
fn the_self_probe_is_answered_outside_of_all_client_metrics() {
    let worker = failing();
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
    let worker = failing();
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

#[test]
fn one_question_more_than_may_be_under_way_is_shed() {
    let (worker, now) = (failing(), start());
    let mut tickets: Vec<_> = (0..IN_FLIGHT_MAX).map(|_| ticket(&worker, now)).collect();
    let message = query(NAME, 1, 1, 0x0100);
    let answer = at_once(&worker, &message, CLIENT, now);
    assert_eq!(
        (rcode(&answer), extended_error(&answer)),
        (ResponseCode::ServFail, Some(23))
    );
    assert_eq!(worker.counters().shed.value(), 1);

    store(&worker.shared, &key(), &response(&key(), 0, 1), now);
    let expired = now + Duration::from_secs(60);
    let answer = at_once(&worker, &message, CLIENT, expired);
    assert_eq!(
        (answer.answers.len(), extended_error(&answer)),
        (1, Some(3))
    );
    tickets.pop();
    ticket(&worker, expired);
}

proptest! {
    #[test]
    fn no_message_makes_a_worker_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let (worker, now) = (failing(), start());
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
    settings.allow = vec!["198.51.100.0/24".parse().unwrap()];
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    let worker = Worker::new(0, shared, failing().forwarder).unwrap();
    assert!(!worker.may_connect(STRANGER));
    assert!(worker.may_connect("198.51.100.7".parse().unwrap()));
    assert!(worker.may_connect("::ffff:198.51.100.7".parse().unwrap()));
    assert!(worker.may_connect(CLIENT));
    assert!(worker.may_connect("::1".parse().unwrap()));
}
