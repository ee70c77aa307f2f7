//! What is recognised as an answer, and for how long.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use std::sync::Arc;

use super::super::super::inflight::{Command, Limits};
use super::super::super::upstream::{ResolvedZone, Upstreams};
use super::*;
use crate::dns::client::Asker;

const MS: Duration = Duration::from_millis(1);
const PLAIN: Sent = Sent {
    edns: Edns::Without,
    has_cookie: false,
    case: None,
};

struct World {
    now: Instant,
    flights: Flights<()>,
    pending: Pending,
}

fn world() -> World {
    let now = Instant::now();
    let zone = ResolvedZone {
        zone: vec![0],
        zone_text: ".".to_owned(),
        critical: true,
        upstreams: vec!["192.0.2.1:53".parse().unwrap()],
        ..ResolvedZone::default()
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], now));
    World {
        now,
        flights: Flights::new(upstreams, Limits::default(), now),
        pending: Pending::default(),
    }
}

fn key(label: u8) -> Key {
    Key::new(&[1, label, 0], 1, 1, true, false).unwrap()
}

/// As an upstream would give it.
fn answer(label: u8, id: u16) -> Vec<u8> {
    let mut message = query::build(&key(label), id, Edns::Without);
    message[2] |= 0x80;
    message
}

impl World {
    fn question(&mut self, label: u8) -> Question {
        let key = key(label);
        self.flights
            .ask(&key, Asker::default(), (), None, self.now)
            .unwrap();
        let Some(Command::Send(attempt)) = self.flights.poll_command() else {
            panic!("nothing to send");
        };
        Question {
            attempt,
            fingerprint: self.flights.fingerprint(&key),
            dnssec_ok: true,
            checking_disabled: false,
            sent: self.now,
            is_awaited: true,
            sent_as: PLAIN,
            is_repeated: false,
            guesses_before: 0,
        }
    }

    /// Notes a question under this id.
    fn send(&mut self, label: u8, id: u16) -> Attempt {
        let question = self.question(label);
        assert_eq!(self.pending.insert(question, || id), Some(id));
        question.attempt
    }

    /// Takes the question that is answered.
    fn hear(&mut self, datagram: &[u8]) -> Option<(Question, Response)> {
        match self.pending.find(datagram, &self.flights) {
            Found::Answer {
                id,
                question,
                examined,
                ..
            } => {
                self.pending.remove(id);
                Some((question, examined.response))
            }
            Found::Nothing | Found::Echo => None,
        }
    }

    /// Ends all questions.
    fn time_out(&mut self) {
        let end = self.now + Limits::default().deadline + MS * 10;
        self.flights.handle_timeout(end, &mut |_, _, _| {});
        assert_eq!(self.flights.under_way(), 0);
    }
}

/// RFC 5452 §9.1.
#[test]
fn an_answer_counts_with_its_id_and_its_question_and_once() {
    let mut world = world();
    let attempt = world.send(b'a', 7);
    world.send(b'b', 8);
    for foreign in [
        answer(b'a', 6),
        answer(b'a', 8),
        answer(b'c', 7),
        query::build(&key(b'a'), 7, Edns::Without),
        vec![0, 7],
        vec![0],
        Vec::new(),
    ] {
        assert!(world.hear(&foreign).is_none(), "{foreign:?}");
    }
    let (question, response) = world.hear(&answer(b'a', 7)).unwrap();
    assert_eq!(question.attempt, attempt);
    assert!(matches!(response, Response::Complete { rcode: 0, .. }));
    assert!(world.hear(&answer(b'a', 7)).is_none());
    assert!(world.hear(&answer(b'b', 8)).is_some());
}

#[test]
fn an_answer_to_a_question_that_has_ended_is_still_known_by_its_question() {
    let mut world = world();
    world.send(b'a', 7);
    world.send(b'b', 8);
    world.time_out();
    // Other questions have their places.
    world.send(b'c', 9);
    world.send(b'd', 10);
    assert!(world.hear(&answer(b'b', 7)).is_none());
    assert!(world.hear(&answer(b'c', 7)).is_none());
    let mut without_question = answer(b'a', 7);
    without_question[5] = 0;
    assert!(world.hear(&without_question[..12]).is_none());
    assert!(world.hear(&answer(b'a', 7)).is_some());
    // FORMERR of a server that could not read the question.
    let headless = b"\0\x08\x80\x01\0\0\0\0\0\0\0\0";
    assert!(world.hear(headless).is_some());
}

#[test]
fn an_id_in_use_is_not_given_to_another_question() {
    let mut world = world();
    world.send(b'a', 7);
    let question = world.question(b'b');
    let mut ids = [7, 7, 9].into_iter();
    assert_eq!(
        world.pending.insert(question, || ids.next().unwrap()),
        Some(9)
    );
    let question = world.question(b'c');
    assert_eq!(world.pending.insert(question, || 7), None);
    assert!(world.hear(&answer(b'a', 7)).is_some());
    assert!(world.hear(&answer(b'b', 9)).is_some());
}

#[test]
fn a_question_is_forgotten_after_its_lifetime_and_not_before() {
    let mut world = world();
    world.send(b'a', 7);
    world.now += MS;
    world.send(b'b', 8);
    world
        .pending
        .sweep(world.now + QUESTION_LIFETIME - MS * 2, |_| {});
    assert_eq!(world.pending.by_id.len(), 2);
    world
        .pending
        .sweep(world.now + QUESTION_LIFETIME - MS, |_| {});
    assert_eq!(world.pending.by_id.len(), 1);
    assert!(world.hear(&answer(b'b', 8)).is_some());
    world.pending.sweep(world.now, |_| {});
    assert!(world.pending.expiries.is_empty());
}

#[test]
fn questions_with_edns_that_came_to_nothing_are_told_by_their_fingerprints() {
    let mut world = world();
    for (label, id, edns) in [
        (b'a', 7, Edns::With),
        (b'b', 8, Edns::With),
        (b'c', 9, Edns::Without),
    ] {
        let mut question = world.question(label);
        question.sent_as.edns = edns;
        assert_eq!(world.pending.insert(question, || id), Some(id));
    }
    let fingerprint = world.pending.by_id[&8].fingerprint;
    assert!(world.hear(&answer(b'a', 7)).is_some());
    let mut told = Vec::new();
    let end = world.now + QUESTION_LIFETIME;
    world.pending.sweep(end - MS, |silent| told.push(silent));
    assert!(told.is_empty());
    world.pending.sweep(end, |silent| told.push(silent));
    assert_eq!(told, [fingerprint]);
}

#[test]
fn an_id_that_is_used_again_keeps_its_newer_question() {
    let mut world = world();
    world.send(b'a', 7);
    assert!(world.hear(&answer(b'a', 7)).is_some());
    world.now += MS;
    world.send(b'b', 7);
    world
        .pending
        .sweep(world.now + QUESTION_LIFETIME - MS, |_| {});
    assert!(world.hear(&answer(b'b', 7)).is_some());
}

#[test]
fn an_error_of_the_network_is_about_all_but_those_just_sent() {
    let mut world = world();
    let first = world.send(b'a', 7);
    world.send(b'b', 8);
    let mut lost = Vec::new();
    world.pending.abandon(1, &mut lost);
    assert_eq!(lost, [first]);
    world.pending.abandon(1, &mut lost);
    assert_eq!(lost.len(), 1);
    // Its answer still says that the upstream lives.
    assert!(!world.hear(&answer(b'a', 7)).unwrap().0.is_awaited);
    assert!(world.hear(&answer(b'b', 8)).unwrap().0.is_awaited);
}
