use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};

use super::*;
use crate::dns::CookieSecrets;
use crate::dns::identity::ProbeName;
use crate::dns::serve::tests::{
    CLIENT, NAME, STRANGER, ask_at, at_once, extended_error, query, rcode, worker,
};
use crate::dns::shared::Shared;
use crate::dns::shared::tests::{settings, start};

fn worker_with_cookies() -> Worker {
    let mut settings = settings();
    settings.cookie_secrets = Some(CookieSecrets {
        active: [3; 16],
        other: None,
    });
    let shared = Shared::new(&settings, ProbeName::new([7; 16]), start());
    shared.tell_unix_time(1_700_000_000);
    Worker::new(0, Arc::new(shared)).unwrap()
}

/// A message without a question and with this cookie.
fn cookie_query(cookie: &[u8]) -> Vec<u8> {
    let mut message = b"\x12\x34\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01".to_vec();
    message.extend_from_slice(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00");
    let length = u8::try_from(cookie.len()).unwrap();
    message.extend_from_slice(&[length + 4, 0, 10, 0, length]);
    message.extend_from_slice(cookie);
    message
}

fn told(worker: &Worker, message: &[u8], client: IpAddr) -> (ResponseCode, Vec<u8>) {
    let (step, out) = ask_at(worker, message, client, start());
    assert!(matches!(step, Step::Reply), "{step:?}");
    (rcode(&Message::from_vec(&out).unwrap()), out)
}

/// RFC 7873 §5.4: NOERROR for the client's own cookie and for a good one of ours, else BADCOOKIE.
#[test]
fn a_cookie_can_be_had_and_tried_without_a_question() {
    let worker = worker_with_cookies();
    let (result, out) = told(&worker, &cookie_query(b"ABCDEFGH"), CLIENT);
    assert_eq!(result, ResponseCode::NoError);
    assert_eq!(out.len(), 12 + 11 + 28);
    let cookie = &out[12 + 11 + 4..];
    assert_eq!(&cookie[..8], b"ABCDEFGH");

    let (result, again) = told(&worker, &cookie_query(cookie), CLIENT);
    assert_eq!((result, &again[12..]), (ResponseCode::NoError, &out[12..]));
    let mut forged = cookie.to_vec();
    forged[23] ^= 1;
    for bad in [&forged[..], b"ABCDEFGHabcdefgh"] {
        let (result, out) = told(&worker, &cookie_query(bad), CLIENT);
        assert_eq!(u16::from(result), 23);
        assert_eq!(&out[12 + 11 + 4..], cookie);
    }
    let counters = worker.counters();
    assert_eq!(counters.cookies_new.value(), 1);
    assert_eq!(counters.cookies_good.value(), 1);
    assert_eq!(counters.cookies_bad.value(), 2);
    assert_eq!(counters.queries_value(), counters.responses_value());
}

/// RFC 7873 §5.2.2: a malformed one is FORMERR; strangers are refused whatever they send.
#[test]
fn a_malformed_cookie_without_a_question_is_a_format_error() {
    let worker = worker_with_cookies();
    let (result, _) = told(&worker, &cookie_query(b"ABCDEFG"), CLIENT);
    assert_eq!(result, ResponseCode::FormErr);
    let (result, _) = told(&worker, &cookie_query(b"ABCDEFGH"), STRANGER);
    assert_eq!(result, ResponseCode::Refused);
}

#[test]
fn no_question_is_a_format_error_where_there_are_no_cookies() {
    let (result, out) = told(&worker(), &cookie_query(b"ABCDEFGH"), CLIENT);
    assert_eq!((result, out.len()), (ResponseCode::FormErr, 12));
}

/// RFC 6895 §3.1, RFC 9824 §3.5.
#[test]
fn types_that_no_record_has_are_format_errors() {
    let worker = worker();
    for qtype in [0, 41, 128, 129, 248, 249, 250] {
        let answer = at_once(&worker, &query(NAME, qtype, 1, 0x0100), CLIENT, start());
        assert_eq!(rcode(&answer), ResponseCode::FormErr, "{qtype}");
        assert_eq!(extended_error(&answer), Some(30), "{qtype}");
    }
}

/// RFC 3597 §3: unknown types are asked for like known ones.
#[test]
fn every_other_type_is_asked_for() {
    let worker = worker();
    for qtype in [1, 10, 24, 40, 42, 46, 127, 256, 257, 32_769, 65_280, 65_534] {
        let (step, _) = ask_at(&worker, &query(NAME, qtype, 1, 0x0100), CLIENT, start());
        assert!(matches!(step, Step::Miss(_)), "{qtype}");
    }
}

/// RFC 8482 §4.2.
#[test]
fn any_is_answered_with_a_hinfo_and_locally() {
    let worker = worker();
    let (_, out) = ask_at(&worker, &query(NAME, 255, 1, 0x0100), CLIENT, start());
    let expected = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x01\
        \x03WwW\x07example\x00\x00\xFF\x00\x01\
        \xC0\x0C\x00\x0D\x00\x01\x00\x00\x0E\x10\x00\x09\x07RFC8482\x00\
        \x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00";
    assert_eq!(out, expected);
    let local = at_once(
        &worker,
        &query(b"\x05local\x00", 255, 1, 0),
        CLIENT,
        start(),
    );
    assert_eq!(local.answers[0].data.to_string(), "10.0.0.40");
}
