use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::load::{self, Mix, Pace, Plan, Popularity, Transport};
use crate::names::Kind;

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Tells a loop that waits for something that it may stop, however the test ends.
struct Stop<'a> {
    stop: &'a AtomicBool,
    nudge: &'a dyn Fn(),
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        (self.nudge)();
    }
}

/// Asks 10,000 questions while the loop runs.
fn all_are_answered(
    target: SocketAddr,
    transport: Transport,
    serve: impl FnOnce(&dyn Fn() -> bool) -> io::Result<()> + Send,
) {
    let stop = AtomicBool::new(false);
    let nudge: &dyn Fn() = match transport {
        Transport::Udp { .. } => &|| {
            let socket = UdpSocket::bind(LOOPBACK).unwrap();
            socket.send_to(&[0], target).unwrap();
        },
        Transport::Tcp { .. } => &|| drop(TcpStream::connect(target)),
    };
    thread::scope(|scope| {
        let serving = scope.spawn(|| serve(&|| stop.load(Ordering::Relaxed)));
        let stopping = Stop { stop: &stop, nudge };
        let outcome = load::run(&Plan {
            target,
            transport,
            mix: Mix {
                cached: 0..1_000,
                popularity: Popularity::Zipf(1.0),
                new_percent: 10,
                first_new: 5,
            },
            pace: Pace::Rate(20_000),
            time: Duration::from_millis(500),
            seed: 1,
            core: 0,
        })
        .unwrap();
        drop(stopping);
        serving.join().unwrap().unwrap();
        let counts = (outcome.sent, outcome.answered, outcome.wrong, outcome.lost);
        assert_eq!(counts, (10_000, 10_000, 0, 0));
        let new = u64::from(outcome.next_new) - 5;
        assert_eq!(outcome.cached.sent + new, 10_000);
    });
}

#[test]
fn the_udp_loop_answers_everything_rightly() {
    let socket = udp::bind(LOOPBACK.into()).unwrap();
    let target = socket.local_addr().unwrap();
    all_are_answered(target, Transport::Udp { sockets: 3 }, |stop| {
        udp::serve(&socket, stop)
    });
}

#[test]
fn the_tcp_loop_answers_everything_rightly() {
    let listener = tcp::bind(LOOPBACK.into()).unwrap();
    let target = listener.local_addr().unwrap();
    all_are_answered(target, Transport::Tcp { connections: 5 }, |stop| {
        tcp::serve(&listener, stop)
    });
}

#[test]
fn the_relay_gives_each_client_its_own_answer() {
    let upstream = udp::bind(LOOPBACK.into()).unwrap();
    let clients = udp::bind(LOOPBACK.into()).unwrap();
    let (asked, target) = (
        upstream.local_addr().unwrap(),
        clients.local_addr().unwrap(),
    );
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| udp::serve(&upstream, || stop.load(Ordering::Relaxed)));
        let nudge = || {
            let socket = UdpSocket::bind(LOOPBACK).unwrap();
            socket.send_to(&[0], asked).unwrap();
        };
        let _stopping = Stop {
            stop: &stop,
            nudge: &nudge,
        };
        all_are_answered(target, Transport::Udp { sockets: 3 }, |stop| {
            relay::serve(&clients, asked, stop)
        });
    });
}

/// A stream may be cut anywhere.
#[test]
fn queries_that_come_in_pieces_are_answered_once_they_are_whole() {
    let mut output = Vec::new();
    let query = names::query(7, Kind::Cached, 1);
    let frame = [&[0, QUERY_OCTETS as u8], query.as_slice()].concat();
    let two = frame.repeat(2);
    for cut in 0..=two.len() {
        let done = tcp::answer_all(&two[..cut], &mut output).unwrap();
        assert_eq!(done, cut / frame.len() * frame.len());
        assert_eq!(output.len(), cut / frame.len() * (2 + ANSWER_OCTETS));
    }
    assert!(tcp::answer_all(&[2, 1], &mut output).is_err(), "513 octets");
}

#[test]
fn a_query_becomes_its_answer_and_nothing_else_does() {
    let mut buffer = [0; 512];
    buffer[..QUERY_OCTETS].copy_from_slice(&names::query(7, Kind::Cached, 66_051));
    let query = buffer;
    assert_eq!(answer(&mut buffer, QUERY_OCTETS), Some(56));
    assert_eq!(buffer[..12], [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    assert_eq!(buffer[12..40], query[12..40]);
    assert_eq!(buffer[52..56], [10, 1, 2, 3]);
    assert_eq!(answer(&mut buffer, QUERY_OCTETS), None, "a response");
    let mut short = query;
    assert_eq!(answer(&mut short, QUERY_OCTETS - 1), None);
    for (place, value) in [(2, 0x10), (5, 2), (13, b'x'), (37, 28), (39, 3)] {
        let mut other = query;
        other[place] = value;
        assert_eq!(answer(&mut other, QUERY_OCTETS), None, "{place}");
    }
}
