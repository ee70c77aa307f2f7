use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use proptest::prelude::*;

use super::*;
use crate::dns::CookieSecrets;
use crate::dns::forward::Failure;
use crate::dns::identity::ProbeName;
use crate::dns::key::Key;
use crate::dns::serve::tests::{
    CLIENT, NAME, STRANGER, extended_error, keep, key, later, query, rcode,
};
use crate::dns::serve::{Buffers, Step};
use crate::dns::shared::Shared;
use crate::dns::shared::tests::{Told, response, settings, start};

const TIME_S: u64 = 1_700_000_000;
const MARKED: &[u8] = b"\xFE\x1D\x00\x01\x01";

fn shared(secrets: Option<CookieSecrets>) -> Shared {
    let mut settings = settings();
    settings.cookie_secrets = secrets;
    let shared = Shared::new(&settings, ProbeName::new([7; 16]), start());
    shared.tell_unix_time(TIME_S);
    shared.with_siblings([STRANGER])
}

fn secrets(active: u8, other: Option<u8>) -> Option<CookieSecrets> {
    Some(CookieSecrets {
        active: [active; 16],
        other: other.map(|other| [other; 16]),
    })
}

fn worker(shared: Shared) -> Worker {
    let worker = Worker::new(0, Arc::new(shared)).unwrap();
    worker.counters().tcp_idle_ms.set(10_000);
    worker
}

/// A question for an address with these options.
fn asking(options: &[u8]) -> Vec<u8> {
    let mut message = query(NAME, 1, 1, 0x0100);
    message.pop();
    message.push(u8::try_from(options.len()).unwrap());
    message.extend_from_slice(options);
    message
}

fn option(code: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    [&[0, code, 0, length], value].concat()
}

struct Heard {
    step: Step,
    out: Vec<u8>,
    verified: bool,
    is_sibling: bool,
}

impl Heard {
    fn message(&self) -> Message {
        assert!(matches!(self.step, Step::Reply), "{:?}", self.step);
        Message::from_vec(&self.out).unwrap()
    }

    fn option(&self, code: u16) -> Option<Vec<u8>> {
        told_option(&self.message(), code)
    }
}

fn told_option(message: &Message, code: u16) -> Option<Vec<u8>> {
    match message.edns.as_ref()?.option(EdnsCode::from(code))? {
        EdnsOption::Unknown(_, value) => Some(value.clone()),
        other => Some(Vec::<u8>::try_from(other).unwrap()),
    }
}

fn ask(worker: &Worker, message: &[u8], client: IpAddr, transport: Transport) -> Heard {
    // What the question before has left must not matter.
    let mut buffers = Buffers {
        verified: true,
        is_sibling: true,
        ..Buffers::default()
    };
    let mut out = Vec::new();
    let client = (client, transport);
    let step = worker.answer_now(message, client, start(), |_| true, &mut buffers, &mut out);
    Heard {
        step,
        out,
        verified: buffers.verified,
        is_sibling: buffers.is_sibling,
    }
}

fn by_udp(worker: &Worker, options: &[u8]) -> Heard {
    ask(worker, &asking(options), CLIENT, Transport::Udp)
}

/// A worker that has the answer.
fn knowing(shared: Shared) -> Worker {
    let worker = worker(shared);
    keep(&worker, response(&key(), 0, 1), start());
    worker
}

/// RFC 7873 §5.2.3 to §5.2.5: the answer is the same with a good cookie, a bad one and none.
#[test]
fn a_returned_cookie_proves_the_address_and_none_is_needed() {
    let worker = knowing(shared(secrets(1, None)));
    let none = by_udp(&worker, b"");
    assert_eq!((none.verified, none.option(10)), (false, None));
    let first = by_udp(&worker, &option(10, b"ABCDEFGH"));
    assert!(!first.verified);
    let cookie = first.option(10).unwrap();
    assert_eq!((cookie.len(), &cookie[..8]), (24, &b"ABCDEFGH"[..]));
    let second = by_udp(&worker, &option(10, &cookie));
    assert!(second.verified);
    assert_eq!(second.option(10), Some(cookie.clone()));
    let mut forged = cookie.clone();
    forged[20] ^= 1;
    let third = by_udp(&worker, &option(10, &forged));
    assert!(!third.verified);
    assert_eq!(third.option(10), Some(cookie));
    for heard in [none, first, second, third] {
        assert_eq!(heard.message().answers.len(), 1);
    }
    // To who waits it comes with the answer.
    let missing = by_udp(
        &self::worker(shared(secrets(1, None))),
        &option(10, b"ABCDEFGH"),
    );
    let Step::Miss(ticket) = &missing.step else {
        panic!("{:?}", missing.step);
    };
    let answer = later(&worker, ticket, response(&key(), 0, 1), start());
    assert_eq!(
        told_option(&answer, 10).map(|cookie| cookie.len()),
        Some(24)
    );
}

/// RFC 9018 §5: two nodes of a service in the middle of a change of secrets take each other's.
#[test]
fn nodes_take_each_others_cookies_while_secrets_change() {
    let (old, new) = (
        knowing(shared(secrets(1, Some(2)))),
        knowing(shared(secrets(2, Some(1)))),
    );
    for (maker, taker) in [(&old, &new), (&new, &old)] {
        let cookie = by_udp(maker, &option(10, b"ABCDEFGH")).option(10).unwrap();
        let heard = by_udp(taker, &option(10, &cookie));
        assert!(heard.verified);
        assert_ne!(heard.option(10), Some(cookie));
    }
    let without = knowing(shared(secrets(3, None)));
    let cookie = by_udp(&old, &option(10, b"ABCDEFGH")).option(10).unwrap();
    assert!(!by_udp(&without, &option(10, &cookie)).verified);
}

/// RFC 7873 §5.2.2; without secrets the option is an unknown one (§5.2.1).
#[test]
fn a_malformed_cookie_is_a_format_error_where_cookies_are_used() {
    let malformed = option(10, b"ABCDEFGHI");
    let heard = by_udp(&knowing(shared(secrets(1, None))), &malformed);
    assert_eq!(rcode(&heard.message()), ResponseCode::FormErr);
    assert_eq!(heard.message().queries.len(), 1);
    assert_eq!(heard.option(10), None);
    let ignoring = knowing(shared(None));
    for cookie in [malformed, option(10, b"ABCDEFGH")] {
        let heard = by_udp(&ignoring, &cookie);
        assert_eq!(heard.message().answers.len(), 1);
        assert_eq!((heard.verified, heard.option(10)), (false, None));
    }
}

#[test]
fn tcp_proves_an_address_whatever_the_message_is() {
    let worker = knowing(shared(secrets(1, None)));
    let bad = option(10, b"ABCDEFGHabcdefghijklmnop");
    for message in [asking(b""), asking(&bad), vec![0; 12]] {
        assert!(ask(&worker, &message, CLIENT, Transport::Tcp).verified);
        assert!(!ask(&worker, &message, CLIENT, Transport::Udp).verified);
    }
}

/// RFC 7828 §3.1, §3.2.1 and §3.3.2.
#[test]
fn a_client_is_told_how_long_a_connection_may_be_silent() {
    let worker = knowing(shared(None));
    let asked = asking(&option(11, b""));
    let by_tcp = |message: &[u8]| ask(&worker, message, CLIENT, Transport::Tcp);
    assert_eq!(by_tcp(&asked).option(11), Some(vec![0, 100]));
    assert_eq!(by_tcp(&asking(b"")).option(11), None);
    worker.counters().tcp_idle_ms.set(1000);
    assert_eq!(by_tcp(&asked).option(11), Some(vec![0, 10]));
    assert_eq!(by_udp(&worker, &option(11, b"")).option(11), None);

    let with_time = option(11, b"\x00\x64");
    let answer = by_tcp(&asking(&with_time)).message();
    assert_eq!(rcode(&answer), ResponseCode::FormErr);
    let answer = by_udp(&worker, &with_time).message();
    assert_eq!(answer.answers.len(), 1);
}

/// RFC 7828 §3.3.2: 0 asks a client to go, whether or not it wanted to know.
#[test]
fn a_node_that_is_drained_keeps_nobody() {
    let worker = knowing(shared(None));
    worker.shared().tell_draining(true);
    for options in [&b""[..], &option(11, b"")] {
        let heard = ask(&worker, &asking(options), CLIENT, Transport::Tcp);
        assert_eq!(heard.option(11), Some(vec![0, 0]));
    }
    assert_eq!(by_udp(&worker, &option(11, b"")).option(11), None);
    worker.shared().tell_draining(false);
    let heard = ask(&worker, &asking(b""), CLIENT, Transport::Tcp);
    assert_eq!(heard.option(11), None);
}

/// What a client that waits is told is what holds when it is told.
#[test]
fn a_drain_that_begins_while_a_question_waits_is_told() {
    let worker = worker(shared(None));
    let heard = ask(&worker, &asking(b""), CLIENT, Transport::Tcp);
    let Step::Miss(ticket) = &heard.step else {
        panic!("{:?}", heard.step);
    };
    worker.shared().tell_draining(true);
    let answer = later(&worker, ticket, response(&key(), 0, 1), start());
    assert_eq!(told_option(&answer, 11), Some(vec![0, 0]));
}

/// A sibling is known by its address and the marker together.
#[test]
fn a_marked_question_from_a_sibling_is_answered_and_others_are_as_ever() {
    let worker = knowing(shared(None));
    let heard = ask(&worker, &asking(MARKED), STRANGER, Transport::Udp);
    assert!(heard.is_sibling);
    assert_eq!(heard.message().answers.len(), 1);
    assert_eq!(worker.counters().sibling_queries.value(), 1);
    assert!(worker.may_connect(STRANGER));

    let unmarked = ask(&worker, &asking(b""), STRANGER, Transport::Udp);
    assert_eq!(rcode(&unmarked.message()), ResponseCode::Refused);
    let elsewhere = ask(&worker, &asking(MARKED), CLIENT, Transport::Udp);
    assert_eq!(elsewhere.message().answers.len(), 1);
    let mapped = "::ffff:192.0.2.1".parse().unwrap();
    let mapped = ask(&worker, &asking(MARKED), mapped, Transport::Udp);
    let garbage = ask(&worker, &[0; 12], STRANGER, Transport::Udp);
    let found = [unmarked, elsewhere, mapped, garbage].map(|heard| heard.is_sibling);
    assert_eq!(found, [false, false, true, false]);
}

/// An answer with a reason. RFC 8914 §2.
fn reasoned(rcode: u8, records: u16, code: u16) -> Told {
    let Told::Message(mut message) = response(&key(), rcode, records) else {
        panic!("a message");
    };
    message[11] = 1;
    message.extend_from_slice(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x06\x00\x0F\x00\x02");
    message.extend_from_slice(&u16::to_be_bytes(code));
    Told::Message(message)
}

/// The marker alone gives nothing, but what bears it must not go round.
#[test]
fn whoever_marks_a_question_has_no_last_resort() {
    for (client, options, is_sibling, is_marked) in [
        (STRANGER, MARKED, true, true),
        (CLIENT, MARKED, false, true),
        (CLIENT, b"", false, false),
    ] {
        let worker = worker(shared(None));
        let heard = ask(&worker, &asking(options), client, Transport::Udp);
        let Step::Miss(ticket) = &heard.step else {
            panic!("{:?}", heard.step);
        };
        let asker = worker.asker(client, ticket);
        assert_eq!((asker.is_sibling, asker.is_marked), (is_sibling, is_marked));
    }
}

/// The asker opens this node's breaker on EDE 22 and 23. A stale answer is better than either.
#[test]
fn a_sibling_hears_that_this_node_cannot_help_and_not_that_upstreams_fail_with_one_name() {
    let other = Key::new(b"\x01x\x00", 1, 1, false, false).unwrap();
    for (told, to_client, to_sibling) in [
        (Told::Failed(Failure::NoneUsable), 22, 22),
        (Told::Failed(Failure::Saturated), 23, 23),
        (Told::Failed(Failure::TimedOut), 22, 0),
        (Told::Failed(Failure::Unanswered), 22, 0),
        (Told::NotYet, 22, 0),
        (response(&key(), 2, 0), 22, 0),
        (response(&key(), 5, 0), 22, 0),
        (reasoned(2, 0, 22), 22, 0),
        (reasoned(2, 0, 23), 23, 0),
        (response(&other, 0, 1), 23, 0),
        // A verdict of DNSSEC is one for the asker too.
        (reasoned(2, 0, 6), 6, 6),
    ] {
        for (client, options, reason) in [
            (STRANGER, MARKED, to_sibling),
            (CLIENT, MARKED, to_sibling),
            (CLIENT, b"", to_client),
        ] {
            let worker = worker(shared(None));
            let heard = ask(&worker, &asking(options), client, Transport::Udp);
            let Step::Miss(ticket) = &heard.step else {
                panic!("{:?}", heard.step);
            };
            let answer = later(&worker, ticket, told.clone(), start());
            assert_eq!(rcode(&answer), ResponseCode::ServFail);
            assert_eq!(extended_error(&answer), Some(reason), "{told:?}");
            assert_eq!(worker.give_up_at(ticket), None);
            // The same from the cache, beside "cached error".
            keep(&worker, told.clone(), start());
            let again = ask(&worker, &asking(options), client, Transport::Udp);
            if matches!(again.step, Step::Reply) {
                let kept: Vec<u8> = [15, 2, reason, 15, 2, 13_u16]
                    .into_iter()
                    .flat_map(u16::to_be_bytes)
                    .collect();
                assert!(again.out.ends_with(&kept), "{told:?}: {:?}", again.out);
            }
        }
    }
}

/// RFC 8767 §5: the time that a client may wait is the asker's to spend.
#[test]
fn a_sibling_is_not_kept_waiting_for_long_while_there_is_an_expired_answer() {
    let worker = knowing(shared(None));
    let expired = start() + Duration::from_secs(60);
    for (client, patience_ms) in [(STRANGER, 500), (CLIENT, 1800)] {
        let (mut buffers, mut out) = (Buffers::default(), Vec::new());
        let from = (client, Transport::Udp);
        let message = asking(MARKED);
        let step = worker.answer_now(&message, from, expired, |_| true, &mut buffers, &mut out);
        let Step::Miss(ticket) = step else {
            panic!("{step:?}");
        };
        let patience = worker.give_up_at(&ticket).unwrap() - expired;
        assert_eq!(patience, Duration::from_millis(patience_ms));
    }
}

/// RFC 8914 §3: a reason may stand beside any answer; it is kept with it.
#[test]
fn an_upstreams_reason_comes_with_its_answer_then_and_from_the_cache() {
    for (rcode_sent, code) in [(0, 15), (3, 17), (0, 0), (0, 510), (0, 511)] {
        let told = reasoned(rcode_sent, 1, code);
        let worker = worker(shared(None));
        let missing = by_udp(&worker, b"");
        let Step::Miss(ticket) = &missing.step else {
            panic!("{:?}", missing.step);
        };
        let answer = later(&worker, ticket, told.clone(), start());
        assert_eq!(extended_error(&answer), Some(code));
        keep(&worker, told, start());
        if rcode_sent == 0 {
            let kept = extended_error(&by_udp(&worker, b"").message());
            // There is room for codes up to 510; the registry is at 30.
            assert_eq!(kept, Some(code).filter(|code| *code <= 510));
        }
    }
}

/// RFC 8914 §4.14.
#[test]
fn a_failure_from_the_cache_is_told_with_its_reason_and_as_a_cached_one() {
    let worker = worker(shared(None));
    keep(&worker, Told::Failed(Failure::TimedOut), start());
    let heard = by_udp(&worker, b"");
    let options = b"\x00\x0F\x00\x02\x00\x16\x00\x0F\x00\x02\x00\x0D";
    assert!(heard.out.ends_with(options), "{:?}", heard.out);
    assert_eq!(rcode(&heard.message()), ResponseCode::ServFail);
}

proptest! {
    /// A forged question gets nothing that is worth it, where it gets nothing.
    #[test]
    fn a_refusal_is_little_larger_than_its_request(
        options in proptest::collection::vec(any::<u8>(), 0..100),
        qtype: u16,
        qclass: u16,
        elapsed_s in 0..100_u64,
    ) {
        let worker = worker(shared(secrets(1, None)));
        let mut message = asking(&options);
        let question = 12 + NAME.len();
        message[question..question + 2].copy_from_slice(&qtype.to_be_bytes());
        message[question + 2..question + 4].copy_from_slice(&qclass.to_be_bytes());
        worker.shared().tell_unix_time(TIME_S + Duration::from_secs(elapsed_s).as_secs());
        let client = "192.0.2.99".parse().unwrap();
        let heard = ask(&worker, &message, client, Transport::Udp);
        prop_assert!(matches!(heard.step, Step::Reply));
        // Question, OPT, an EDE, and the server's part of a cookie.
        prop_assert!(heard.out.len() <= question + 4 + 11 + 6 + 28);
    }
}
