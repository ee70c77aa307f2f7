use proptest::prelude::*;

use super::*;
use crate::dns::answer::{self, Answer};
use crate::dns::code::Rcode;
use crate::dns::request::Request;

const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];

fn identity() -> Identity {
    Identity::new("node-1", false, ProbeName::new([0xAB; 16]), 3)
}

fn key(name: &[u8], qtype: u16) -> Key {
    Key::new(name, qtype, class::CH, false, false).unwrap()
}

fn probe_answer(worker: usize, id: u16) -> Vec<u8> {
    let identity = identity();
    let message = probe_query(&identity.probe, id);
    let mut key = Key::empty();
    let request = Request::parse(&message, &mut key).unwrap();
    let client = LOOPBACK[0].parse().unwrap();
    let sections = identity.probe_answer(&key, client, worker);
    let answer = Answer {
        authoritative: true,
        sections,
        ..Answer::bare(Rcode::NOERROR, None)
    };
    let mut out = Vec::new();
    assert!(!answer::write(
        &mut out,
        &request,
        512,
        identity.name(),
        &answer
    ));
    out
}

#[test]
fn the_probe_learns_which_worker_answered() {
    let name = ProbeName::new([0xAB; 16]);
    for worker in 0..3 {
        let message = probe_answer(worker, 77);
        assert_eq!(probe_worker(&name, 77, &message), Some(worker));
        assert_eq!(probe_worker(&name, 78, &message), None);
        let other = ProbeName::new([0xAC; 16]);
        assert_eq!(probe_worker(&other, 77, &message), None);
    }
}

#[test]
fn an_error_or_a_query_is_no_probe_answer() {
    let name = ProbeName::new([0xAB; 16]);
    let good = probe_answer(1, 77);
    for (at, value) in [(3, 0x82), (2, 0x06), (2, 0x86), (7, 0), (5, 2)] {
        let mut message = good.clone();
        message[at] = value;
        assert_eq!(probe_worker(&name, 77, &message), None, "{at} {value}");
    }
    for length in 0..good.len() {
        assert_eq!(probe_worker(&name, 77, &good[..length]), None);
    }
}

#[test]
fn the_probe_is_answered_to_this_host_alone() {
    let identity = identity();
    let name = identity.probe.0.clone();
    for client in LOOPBACK {
        let client = client.parse().unwrap();
        assert!(identity.probe_answer(&key(&name, 16), client, 0).is_some());
        assert!(identity.probe_answer(&key(&name, 1), client, 0).is_none());
        assert!(
            identity
                .probe_answer(&key(b"\x01a\x00", 16), client, 0)
                .is_none()
        );
    }
    for client in ["192.0.2.1", "2001:db8::1", "::"] {
        let client = client.parse().unwrap();
        assert!(identity.probe_answer(&key(&name, 16), client, 0).is_none());
    }
    assert!(identity.chaos_answer(&key(&name, 16)).is_none());
}

/// RFC 4892 §2.
#[test]
fn the_name_is_told_and_the_version_is_not() {
    let identity = identity();
    for name in [ID_SERVER, HOSTNAME_BIND] {
        let told = identity.chaos_answer(&key(name, 16)).unwrap();
        assert_eq!(told, text_answer(b"node-1").lend());
        assert_eq!(identity.chaos_answer(&key(name, 255)), Some(told));
        let other = identity.chaos_answer(&key(name, 1)).unwrap();
        assert_eq!(other.counts(), [0; 3]);
    }
    for hidden in [
        VERSION_BIND,
        VERSION_SERVER,
        b"\x07authors\x04bind\x00",
        b"\x04bind\x00",
        b"\x00",
    ] {
        for qtype in [16, 255, 1] {
            assert_eq!(identity.chaos_answer(&key(hidden, qtype)), None);
        }
    }
}

/// RFC 4892 §2: the operator decides.
#[test]
fn the_version_is_told_when_the_operator_says_so() {
    let identity = Identity::new("node-1", true, ProbeName::new([0xAB; 16]), 3);
    for name in [VERSION_BIND, VERSION_SERVER] {
        let told = identity.chaos_answer(&key(name, 16)).unwrap();
        assert_eq!(told, text_answer(VERSION.as_bytes()).lend());
        let other = identity.chaos_answer(&key(name, 1)).unwrap();
        assert_eq!(other.counts(), [0; 3]);
    }
    assert!(VERSION.starts_with("sidestep "));
    let authors = key(b"\x07authors\x04bind\x00", 16);
    assert_eq!(identity.chaos_answer(&authors), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_prober_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = probe_worker(&ProbeName::new([0xAB; 16]), 77, &bytes);
    }
}
