//! Whose questions wait for TCP, and what speaks against TCP to an upstream.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use super::super::super::client::{Asker, Prefix, PrefixLengths};
use super::super::super::inflight::{Command, Flights, Limits};
use super::super::super::key::Key;
use super::super::super::upstream::ResolvedZone;
use super::super::dialect::Sent;
use super::super::query::Edns;
use super::*;

/// A question of the client prefix with this number, to the only upstream.
fn ask(upstreams: &Arc<Upstreams>, client: u8, now: Instant) -> Ask {
    let key = Key::new(b"\x01a\0", 1, 1, false, false).unwrap();
    let mut flights = Flights::new(Arc::clone(upstreams), Limits::default(), now);
    flights.ask(&key, Asker::default(), (), None, now).unwrap();
    let Some(Command::Send(attempt)) = flights.poll_command() else {
        panic!("nothing to send");
    };
    let client = std::net::Ipv4Addr::new(198, 51, client, 7).into();
    Ask {
        attempt,
        key,
        prefix: Prefix::of(client, PrefixLengths::default()),
        sent_as: Sent {
            edns: Edns::With,
            has_cookie: false,
            case: None,
        },
        client: None,
        options: Vec::new(),
        deadline: now + ANSWER_TIME,
        since: now,
        is_again: false,
    }
}

/// One client whose questions are all truncated once left no place in the queue for others.
#[test]
fn a_client_prefix_takes_a_quarter_of_the_queue_and_no_more() {
    let now = Instant::now();
    let zone = ResolvedZone {
        zone: vec![0],
        upstreams: vec!["192.0.2.1:53".parse().unwrap()],
        ..ResolvedZone::default()
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], now));
    // The connection is never polled.
    let mut connections = Connections::new(Arc::clone(&upstreams), 1);
    let mut refused = |client, count| {
        let question = ask(&upstreams, client, now);
        (0..count).for_each(|_| connections.ask(question.clone(), now));
        std::iter::from_fn(|| connections.poll_outcome(now)).count()
    };
    assert_eq!(refused(1, DEPTH), 0);
    assert_eq!(refused(1, WAITING_EACH), 0);
    assert_eq!(refused(1, 1), 1);
    assert_eq!(refused(2, WAITING_EACH + 1), 1);
    assert_eq!(refused(3, WAITING_EACH), 0);
    assert_eq!(refused(4, WAITING_EACH), 0);
    assert_eq!(refused(5, 1), 1);
}

#[test]
fn what_this_node_lacks_is_no_upstreams_fault() {
    // EMFILE, ENFILE, ENOMEM, EADDRNOTAVAIL, ENOBUFS and EPERM of Linux.
    for code in [24, 23, 12, 99, 105, 1] {
        let error = io::Error::from_raw_os_error(code);
        assert!(
            !TcpError::Connection(Some(error)).is_of_upstream(),
            "{code}"
        );
    }
}

#[test]
fn a_connection_that_fails_speaks_against_tcp_and_a_late_answer_does_not() {
    // ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH of Linux.
    for code in [111, 104, 32, 110, 113] {
        let error = io::Error::from_raw_os_error(code);
        assert!(TcpError::Connection(Some(error)).is_of_upstream(), "{code}");
    }
    assert!(TcpError::Silent.is_of_upstream());
    for error in [TcpError::Late, TcpError::Unusable, TcpError::Full] {
        assert!(!error.is_of_upstream());
    }
}
