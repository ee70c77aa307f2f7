//! Questions and answers of one connection in simulated time.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use std::sync::Arc;

use proptest::prelude::*;

use super::super::super::super::inflight::{Command, Flights, Limits};
use super::super::super::super::upstream::{ResolvedZone, Upstreams};
use super::super::super::query::Edns;
use super::*;
use crate::dns::client::{Asker, PrefixLengths};

const MS: Duration = Duration::from_millis(1);
const DEADLINE: Duration = Duration::from_secs(2);

struct World {
    now: Instant,
    conversation: Conversation,
    attempt: Attempt,
    out: Vec<u8>,
    outcomes: Vec<Outcome>,
}

fn world() -> World {
    let now = Instant::now();
    let zone = ResolvedZone {
        zone: vec![0],
        upstreams: vec!["192.0.2.1:53".parse().unwrap()],
        ..ResolvedZone::default()
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], now));
    let mut flights = Flights::new(upstreams, Limits::default(), now);
    flights
        .ask(&key(b'a'), Asker::default(), (), None, now)
        .unwrap();
    let Some(Command::Send(attempt)) = flights.poll_command() else {
        panic!("nothing to send");
    };
    World {
        now,
        conversation: Conversation::new(now),
        attempt,
        out: Vec::new(),
        outcomes: Vec::new(),
    }
}

fn key(label: u8) -> Key {
    Key::new(&[1, label, 0], 1, 1, false, false).unwrap()
}

/// With its length in front, and these octets as OPT's options.
fn answer(label: u8, id: u16, options: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let manner = Manner {
        options,
        ..Manner::plain(Edns::With)
    };
    query::append(&mut message, &key(label), id, &manner);
    message[2] |= 0x80;
    let length = u16::try_from(message.len()).unwrap();
    [&length.to_be_bytes()[..], &message].concat()
}

impl World {
    fn ask(&mut self, label: u8, id: u16) {
        self.ask_for(label, id, 1);
    }

    fn ask_for(&mut self, label: u8, id: u16, client: u8) {
        let client = std::net::Ipv4Addr::new(198, 51, client, 7).into();
        let ask = Ask {
            attempt: self.attempt,
            key: key(label),
            prefix: Prefix::of(client, PrefixLengths::default()),
            sent_as: Sent {
                edns: Edns::With,
                has_cookie: false,
                case: None,
            },
            client: None,
            options: super::super::KEEPALIVE.to_vec(),
            deadline: self.now + DEADLINE,
            since: self.now,
            is_again: false,
        };
        self.conversation
            .ask(ask, || id, &mut self.out, &mut self.outcomes, self.now);
    }

    /// The labels of the questions that are answered by these octets, and whether well.
    fn hear(&mut self, bytes: &[u8]) -> Vec<(u8, bool)> {
        self.conversation.buffer().extend_from_slice(bytes);
        self.conversation
            .handle_received(self.now, &mut self.outcomes);
        self.told()
    }

    fn wait(&mut self, time: Duration) -> Vec<(u8, bool)> {
        self.now += time;
        self.conversation
            .handle_timeout(self.now, &mut self.outcomes);
        self.told()
    }

    fn told(&mut self) -> Vec<(u8, bool)> {
        let told = self.outcomes.drain(..);
        told.map(|outcome| (outcome.ask.key.name()[1], outcome.answer.is_ok()))
            .collect()
    }
}

/// RFC 1035 §4.2.2, RFC 7828 §3.1.
#[test]
fn a_question_has_its_length_in_front_and_asks_how_long_it_may_idle() {
    let mut world = world();
    world.ask(b'a', 0x0102);
    assert_eq!(world.out[..4], [0, 34, 1, 2]);
    assert_eq!(world.out.len(), 36);
    assert!(world.out.ends_with(b"\0\x04\0\x0b\0\0"));
}

/// RFC 7766 §7.
#[test]
fn answers_come_in_any_order_and_in_any_pieces() {
    let mut world = world();
    for (label, id) in [(b'a', 1), (b'b', 2), (b'c', 3)] {
        world.ask(label, id);
    }
    let stream = [
        answer(b'c', 3, b""),
        answer(b'a', 1, b""),
        answer(b'b', 2, b""),
    ]
    .concat();
    let told: Vec<_> = stream
        .iter()
        .flat_map(|octet| world.hear(&[*octet]))
        .collect();
    assert_eq!(told, [(b'c', true), (b'a', true), (b'b', true)]);
    assert_eq!(world.conversation.under_way(), 0);
    assert_eq!(world.conversation.answered(), 3);
}

#[test]
fn nonsense_is_ignored_and_ends_the_connection_when_it_does_not_stop() {
    let mut world = world();
    world.ask(b'a', 1);
    for round in 0..FOREIGN_MAX {
        assert!(!world.conversation.is_over(false, world.now), "{round}");
        let nonsense = match round % 3 {
            0 => answer(b'a', 2, b""),
            1 => answer(b'b', 1, b""),
            _ => vec![0, 1, 7],
        };
        assert!(world.hear(&nonsense).is_empty());
    }
    assert!(world.conversation.is_over(false, world.now));
    assert_eq!(world.conversation.into_unanswered().count(), 1);
}

#[test]
fn an_answer_that_is_truncated_or_cannot_be_read_is_none() {
    let mut world = world();
    for change in [(4, 0x82), (9, 9)] {
        world.ask(b'a', 1);
        let mut message = answer(b'a', 1, b"");
        message[change.0] = change.1;
        assert_eq!(world.hear(&message), [(b'a', false)]);
    }
}

#[test]
fn a_question_is_given_up_at_its_deadline_and_not_before() {
    let mut world = world();
    world.ask(b'a', 1);
    assert_eq!(world.conversation.poll_timeout(), world.now + DEADLINE);
    assert!(world.wait(DEADLINE - MS).is_empty());
    world.ask(b'b', 2);
    assert!(world.hear(&answer(b'b', 2, b"")) == [(b'b', true)]);
    assert_eq!(world.wait(MS), [(b'a', false)]);
    // One slow name.
    assert!(!world.conversation.is_over(false, world.now));
    world.ask(b'c', 3);
    assert_eq!(world.wait(DEADLINE), [(b'c', false)]);
    assert!(world.conversation.is_over(false, world.now));
}

#[test]
fn a_connection_idles_for_two_seconds_and_never_with_a_question_open() {
    let mut world = world();
    world.ask(b'a', 1);
    world.wait(DEADLINE - MS);
    assert!(!world.conversation.is_over(false, world.now));
    world.hear(&answer(b'a', 1, b""));
    assert_eq!(world.conversation.poll_timeout(), world.now + IDLE_TIME);
    world.wait(IDLE_TIME - MS);
    assert!(!world.conversation.is_over(false, world.now));
    world.wait(MS);
    assert!(world.conversation.is_over(false, world.now));
}

/// Such a question once came back unanswered, and the upstream got one at a time for a quarter of an
/// hour, as one that closes connections with questions open.
#[test]
fn a_connection_is_not_over_when_a_question_waits_to_be_asked() {
    let mut world = world();
    world.ask(b'a', 1);
    world.hear(&answer(b'a', 1, b""));
    world.wait(IDLE_TIME);
    assert!(!world.conversation.is_over(true, world.now));
    assert!(world.conversation.is_over(false, world.now));
}

/// How often TCP to the upstream is told to have failed.
fn silences(outcomes: &[Outcome]) -> usize {
    let silent = |outcome: &&Outcome| matches!(outcome.answer, Err(TcpError::Silent));
    outcomes.iter().filter(silent).count()
}

/// One client with names that are slow by intent, or one domain, once took TCP away from all.
#[test]
fn late_answers_of_one_client_or_one_domain_say_nothing_about_tcp() {
    for asked in [
        [(b'a', 1), (b'b', 1), (b'c', 1)],
        [(b'a', 1), (b'a', 2), (b'a', 3)],
    ] {
        let mut world = world();
        for (id, (label, client)) in (1..).zip(asked) {
            world.ask_for(label, id, client);
        }
        world.now += DEADLINE;
        world
            .conversation
            .handle_timeout(world.now, &mut world.outcomes);
        assert_eq!((world.outcomes.len(), silences(&world.outcomes)), (3, 0));
    }
}

#[test]
fn a_connection_that_gives_nothing_to_anybody_for_a_second_is_told_once() {
    for (answered_before_ms, silent) in [(999, 0), (1000, 1), (1001, 1)] {
        let mut world = world();
        world.ask_for(b'a', 1, 1);
        world.ask_for(b'b', 2, 2);
        world.ask_for(b'c', 3, 3);
        world.now += DEADLINE - MS * answered_before_ms;
        assert_eq!(world.hear(&answer(b'c', 3, b"")), [(b'c', true)]);
        world.now += MS * answered_before_ms;
        world
            .conversation
            .handle_timeout(world.now, &mut world.outcomes);
        assert_eq!(world.outcomes.len(), 2);
        assert_eq!(silences(&world.outcomes), silent, "{answered_before_ms} ms");
    }
}

#[test]
fn questions_that_have_just_been_asked_are_no_evidence() {
    for (before_ms, silent) in [(999, 0), (1000, 1)] {
        let mut world = world();
        world.ask_for(b'a', 1, 1);
        world.now += DEADLINE - MS * before_ms;
        world.ask_for(b'b', 2, 2);
        world.now += MS * before_ms;
        world
            .conversation
            .handle_timeout(world.now, &mut world.outcomes);
        assert_eq!(silences(&world.outcomes), silent, "{before_ms} ms");
    }
}

/// RFC 7828 §3.3: the upstream says how long; §3.4: 0 means at once.
#[test]
fn the_upstream_says_how_long_a_connection_may_idle() {
    for (units, idle_time) in [
        (0_u16, Duration::ZERO),
        (5, MS * 500),
        (100, IDLE_TIME_MAX),
        (u16::MAX, IDLE_TIME_MAX),
    ] {
        let mut world = world();
        world.ask(b'a', 1);
        let option = [&b"\0\x0b\0\x02"[..], &units.to_be_bytes()].concat();
        world.hear(&answer(b'a', 1, &option));
        assert_eq!(world.conversation.poll_timeout(), world.now + idle_time);
        assert_eq!(
            world.conversation.is_over(false, world.now),
            idle_time == Duration::ZERO
        );
    }
}

#[test]
fn an_id_that_is_taken_is_not_given_out_again() {
    let mut world = world();
    world.ask(b'a', 1);
    world.ask(b'b', 1);
    assert_eq!(world.told(), [(b'b', false)]);
    assert_eq!(world.conversation.under_way(), 1);
}

proptest! {
    #[test]
    fn no_stream_makes_reading_panic_or_keeps_more_than_a_message(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..40),
    ) {
        let mut world = world();
        world.ask(b'a', 1);
        for piece in pieces {
            world.hear(&piece);
            prop_assert!(world.conversation.buffer().len() < 2 + usize::from(u16::MAX) + 40);
        }
    }
}
