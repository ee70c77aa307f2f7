use std::num::NonZeroU32;
use std::sync::Arc;

use super::*;
use crate::dns::Settings;
use crate::dns::identity::ProbeName;
use crate::dns::shared::tests::{settings, start};

const CLIENT: &str = "10.0.0.1";
const STRANGER: &str = "192.0.2.1";
/// Of the same prefix.
const SIBLING: &str = "192.0.2.2";
/// With an OPT record without options.
const QUESTION: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x07example\x00\0\x01\0\x01\
    \x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00";
/// The start of `QUESTION` without it.
const PLAIN: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x07example\x00\0\x01\0\x01";

/// One question a second of 10.0.0.0/24, and every one over it is answered shortly.
fn tight() -> Settings {
    let mut settings = settings();
    settings.access.allow = vec!["10.0.0.0/8".parse().unwrap()];
    settings.limits.queries_per_second = NonZeroU32::new(1);
    settings.limits.slip = 1;
    settings
}

fn parts(settings: &Settings) -> (Worker, Gate) {
    let shared = Shared::new(settings, ProbeName::new([7; 16]), start());
    let shared = Arc::new(shared.with_siblings([SIBLING.parse().unwrap()]));
    let gate = Gate::new(&shared, start());
    (Worker::new(0, shared).unwrap(), gate)
}

fn enter(
    (worker, gate): &(Worker, Gate),
    message: &[u8],
    client: &str,
    transport: Transport,
    out: &mut Vec<u8>,
) -> Result<Pass, Taken> {
    let client = (client.parse().unwrap(), transport);
    gate.enter(worker, message, client, start(), out)
}

fn buffers(verified: bool, is_sibling: bool) -> Buffers {
    Buffers {
        verified,
        is_sibling,
        ..Buffers::default()
    }
}

#[test]
fn a_question_over_the_limit_gets_a_truncated_answer_without_being_read() {
    let parts = parts(&tight());
    let mut out = vec![9];
    let first = enter(&parts, QUESTION, CLIENT, Transport::Udp, &mut out);
    assert!(matches!(first, Ok(Pass::Unproven(..))));
    assert_eq!(out, [9]);
    let second = enter(&parts, QUESTION, CLIENT, Transport::Udp, &mut out);
    assert_eq!(second.unwrap_err(), Taken::Reply);
    assert_eq!(out.len() - 1, QUESTION.len());
    assert_eq!(out[1..6], [0x12, 0x34, 0x83, 0x80, 0]);
    let counters = parts.0.counters();
    assert_eq!(counters.limit_truncated.value(Reason::Rate), 1);
    assert_eq!(counters.limit_drops.value(Reason::Rate), 0);

    // What is no question gets no answer.
    let third = enter(&parts, &[7; 20], CLIENT, Transport::Udp, &mut out);
    assert_eq!(third.unwrap_err(), Taken::Drop);
    assert_eq!(counters.limit_drops.value(Reason::Rate), 1);
}

#[test]
fn no_limit_holds_for_exempt_and_loopback_clients() {
    let mut settings = tight();
    settings.limits.exempt = vec!["10.0.0.0/31".parse().unwrap()];
    let parts = parts(&settings);
    let mut out = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        for client in [CLIENT, "127.0.0.1", "::1"] {
            for _ in 0..50 {
                let pass = enter(&parts, QUESTION, client, transport, &mut out);
                assert!(matches!(pass, Ok(Pass::Free)), "{client}");
            }
        }
    }
}

#[test]
fn tcp_over_the_limit_has_to_wait() {
    let parts = parts(&tight());
    let mut out = Vec::new();
    for _ in 0..3 {
        // What comes by UDP uses up nothing of it.
        let _ = enter(&parts, QUESTION, CLIENT, Transport::Udp, &mut out);
    }
    let first = enter(&parts, QUESTION, CLIENT, Transport::Tcp, &mut out);
    assert!(matches!(first, Ok(Pass::Free)));
    let second = enter(&parts, QUESTION, CLIENT, Transport::Tcp, &mut out);
    assert_eq!(second.unwrap_err(), Taken::TooSoon);
}

/// RFC 7873 §5.2.5: with cookies, what comes from an address can be told from what only seems to.
#[test]
fn questions_that_may_prove_something_are_judged_when_they_have_been_read() {
    let mut settings = tight();
    settings.cookie_secrets = Some(crate::dns::CookieSecrets {
        active: [1; 16],
        other: None,
    });
    let parts = parts(&settings);
    let (worker, gate) = &parts;
    let admit = |message: &[u8], buffers: &Buffers, out: &mut Vec<u8>| {
        let pass = enter(&parts, message, CLIENT, Transport::Udp, out)?;
        let start = out.len();
        out.extend_from_slice(b"an answer");
        gate.admit(worker, pass, buffers, message, (out, start))
    };
    let mut out = Vec::new();
    let forged = buffers(false, false);
    assert!(matches!(
        admit(PLAIN, &forged, &mut out),
        Ok(Pass::Unproven(..))
    ));
    out.clear();
    let over = admit(QUESTION, &forged, &mut out);
    assert_eq!(over.unwrap_err(), Taken::Reply);
    assert_eq!(out.len(), QUESTION.len());

    let proven = admit(QUESTION, &buffers(true, false), &mut out);
    assert!(matches!(proven, Ok(Pass::Free)));
    out.clear();
    let over = admit(QUESTION, &buffers(true, false), &mut out);
    assert_eq!(over.unwrap_err(), Taken::Reply);
    for _ in 0..10 {
        let sibling = admit(QUESTION, &buffers(false, true), &mut out);
        assert!(matches!(sibling, Ok(Pass::Free)));
    }
}

#[test]
fn strangers_hear_little_and_then_nothing() {
    let parts = parts(&settings());
    let (worker, gate) = &parts;
    let mut out = Vec::new();
    // Two workers: five refusals a second each.
    for _ in 0..5 {
        let pass = enter(&parts, QUESTION, STRANGER, Transport::Udp, &mut out).unwrap();
        out = b"\x12\x34\x81\x85\0\x01\0\0\0\0\0\0\x07example\x00\0\x01\0\x01".to_vec();
        out.resize(QUESTION.len() + REFUSAL_EXTRA, 0);
        let left = gate.leave(worker, pass, QUESTION, (&mut out, 0));
        assert_eq!(
            (left, out.len()),
            (Taken::Reply, QUESTION.len() + REFUSAL_EXTRA)
        );
        out.push(0);
        let left = gate.leave(worker, pass, QUESTION, (&mut out, 0));
        assert_eq!((left, out.len()), (Taken::Reply, PLAIN.len()));
    }
    out.clear();
    let sixth = enter(&parts, QUESTION, STRANGER, Transport::Udp, &mut out);
    assert_eq!(sixth.unwrap_err(), Taken::Drop);
    assert_eq!(worker.counters().limit_drops.value(Reason::Refused), 1);
}

#[test]
fn a_stranger_that_proves_to_be_a_sibling_is_served_and_another_is_not() {
    let parts = parts(&settings());
    let (worker, gate) = &parts;
    let mut out = Vec::new();
    for _ in 0..5 {
        enter(&parts, QUESTION, STRANGER, Transport::Udp, &mut out).unwrap();
    }
    // Nothing in it could be a marker, or it is from elsewhere.
    for (message, client) in [(PLAIN, SIBLING), (QUESTION, STRANGER)] {
        let sixth = enter(&parts, message, client, Transport::Udp, &mut out);
        assert_eq!(sixth.unwrap_err(), Taken::Drop);
    }
    let pass = enter(&parts, QUESTION, SIBLING, Transport::Udp, &mut out).unwrap();
    out.extend_from_slice(b"an answer");
    let sibling = buffers(false, true);
    let admitted = gate.admit(worker, pass, &sibling, QUESTION, (&mut out, 0));
    assert!(matches!(admitted, Ok(Pass::Free)));
    let other = buffers(true, false);
    let admitted = gate.admit(worker, pass, &other, QUESTION, (&mut out, 0));
    assert_eq!(admitted.unwrap_err(), Taken::Drop);
    assert!(out.is_empty());
}

/// While strangers still hear that they may not ask, as well as afterwards.
#[test]
fn a_sibling_outside_of_the_allowed_prefixes_gets_whole_answers() {
    let parts = parts(&settings());
    let (worker, gate) = &parts;
    for _ in 0..10 {
        let mut out = Vec::new();
        let pass = enter(&parts, QUESTION, SIBLING, Transport::Udp, &mut out).unwrap();
        out.extend_from_slice(PLAIN);
        out.resize(500, 0);
        let sibling = buffers(false, true);
        let admitted = gate.admit(worker, pass, &sibling, QUESTION, (&mut out, 0));
        let left = gate.leave(worker, admitted.unwrap(), QUESTION, (&mut out, 0));
        assert_eq!((left, out.len()), (Taken::Reply, 500));
    }
}

/// RFC 2181 §9.
#[test]
fn answers_beyond_what_questions_pay_for_leave_truncated_or_not_at_all() {
    let mut settings = tight();
    settings.limits.queries_per_second = None;
    settings.limits.allowance_bytes = 0;
    let parts = parts(&settings);
    let (worker, gate) = &parts;
    let long = || {
        let mut answer = b"\x12\x34\x81\x80\0\x01\0\x05\0\0\0\0".to_vec();
        answer.extend_from_slice(&PLAIN[12..]);
        answer.resize(2000, 0);
        answer
    };
    let mut out = Vec::new();
    let pass = enter(&parts, PLAIN, CLIENT, Transport::Udp, &mut out).unwrap();
    let limited = pass.limited();
    for expected in [2000, 2000, 25, 25, 25, 0] {
        let mut out = long();
        gate.leave_late(worker, limited, start(), (&mut out, 0));
        assert_eq!(out.len(), expected);
    }
    let counters = worker.counters();
    let of = |counts: &crate::dns::counters::ByReason| counts.value(Reason::Amplification);
    assert_eq!(of(&counters.limit_truncated), 3);
    assert_eq!(of(&counters.limit_drops), 1);
    let mut out = long();
    gate.leave_late(worker, Pass::Free.limited(), start(), (&mut out, 0));
    assert_eq!(out.len(), 2000);
}
