use std::net::{Ipv4Addr, Shutdown};

use super::*;
use crate::names::Kind;

fn ask(name: &[u8], kind: u16, tail: &[u8]) -> (u8, [u8; 4], Vec<u8>) {
    let mut buffer = [0; DATAGRAM_OCTETS];
    buffer[..12].copy_from_slice(&[9, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!tail.is_empty())]);
    let mut query = [buffer[..12].to_vec(), name.to_vec()].concat();
    query.extend_from_slice(&kind.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    let question = query.len();
    query.extend_from_slice(tail);
    buffer[..query.len()].copy_from_slice(&query);
    let octets = answer(&mut buffer, query.len()).unwrap();
    assert_eq!(buffer[..3], [9, 8, 0x85]);
    assert_eq!(
        buffer[12..question],
        query[12..question],
        "the question, case and all"
    );
    let counts = [buffer[5], buffer[7], buffer[9], buffer[11]];
    (buffer[3] & 15, counts, buffer[question..octets].to_vec())
}

#[test]
fn the_names_of_the_bench_have_their_address_and_keep_their_case() {
    let (rcode, counts, rest) = ask(b"\x08H0000001\x05bEnCh\x07eXample\0", A, &[]);
    assert_eq!((rcode, counts), (0, [1, 1, 0, 0]));
    assert_eq!(rest, names::record([10, 0, 0, 1]));
    let name = names::name(Kind::New, 5);
    assert_eq!(ask(&name, 28, &[]).1, [1, 0, 1, 0], "no AAAA, with SOA");
}

/// RFC 6891 §6.1.1: an OPT is answered by an OPT.
#[test]
fn an_opt_is_answered_by_an_opt_with_the_same_do_bit() {
    let name = names::name(Kind::Cached, 5);
    for dnssec_ok in [0, 0x80] {
        let opt = [0, 0, 41, 0x10, 0, 0, 0, dnssec_ok, 0, 0, 4, 0, 10, 0, 0];
        let (_, counts, rest) = ask(&name, A, &opt);
        assert_eq!(counts, [1, 1, 0, 1]);
        assert_eq!(rest[16..], [0, 0, 41, 4, 0xD0, 0, 0, dnssec_ok, 0, 0, 0]);
    }
}

#[test]
fn what_resolvers_probe_is_answered_sensibly() {
    for (name, kind, rcode, counts) in [
        (ROOT, NS, 0, [1, 1, 0, 0]),
        (ROOT, SOA, 0, [1, 1, 0, 0]),
        (ROOT, 48, 0, [1, 0, 1, 0]),
        (PARENT, NS, 0, [1, 0, 1, 0]),
        (ZONE, NS, 0, [1, 1, 0, 0]),
        (ZONE, SOA, 0, [1, 1, 0, 0]),
        (ZONE, DS, 0, [1, 0, 1, 0]),
        (ZONE, 48, 0, [1, 0, 1, 0]),
        (SERVER, A, 0, [1, 1, 0, 0]),
        (SERVER, 28, 0, [1, 0, 1, 0]),
        (b"\x01x\x05bench\x07example\0", A, NXDOMAIN, [1, 0, 1, 0]),
        (b"\x03com\0", A, NXDOMAIN, [1, 0, 1, 0]),
    ] {
        let found = ask(name, kind, &[]);
        assert_eq!((found.0, found.1), (rcode, counts), "{name:?} {kind}");
    }
}

#[test]
fn the_longest_question_has_room_for_its_answer() {
    let mut name = [b"\x3F".as_slice(), &[b'a'; 63]].concat().repeat(3);
    name.extend_from_slice(b"\x3D");
    name.extend_from_slice(&[b'a'; 61]);
    name.push(0);
    assert_eq!(name.len(), NAME_OCTETS_MAX);
    let opt = [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(ask(&name, A, &opt).0, NXDOMAIN);
}

#[test]
fn what_is_no_query_is_not_answered() {
    let query = names::query(1, Kind::Cached, 1);
    for octets in 0..names::QUERY_OCTETS {
        let mut buffer = [0; DATAGRAM_OCTETS];
        buffer[..octets].copy_from_slice(&query[..octets]);
        assert_eq!(answer(&mut buffer, octets), None, "{octets} octets");
    }
    let mut response = [0; DATAGRAM_OCTETS];
    response[..query.len()].copy_from_slice(&query);
    response[2] |= 0x80;
    assert_eq!(answer(&mut response, query.len()), None);
}

#[test]
fn an_order_makes_it_silent_until_another_does_not() {
    let silent = AtomicBool::new(false);
    obey(b"s\n".as_slice(), &silent);
    assert!(silent.load(Ordering::Relaxed));
    obey(b"a\n".as_slice(), &silent);
    assert!(!silent.load(Ordering::Relaxed));
}

#[test]
fn it_answers_over_tcp_too() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let query = names::query(7, Kind::New, 9);
    client.write_all(&[0, query.len() as u8]).unwrap();
    client.write_all(&query).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(
        converse(server, &AtomicBool::new(false)).is_err(),
        "the end"
    );
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[..6], [0, 56, 0, 7, 0x85, 0x80]);
    assert_eq!(answer[54..], [11, 0, 0, 9]);
}
