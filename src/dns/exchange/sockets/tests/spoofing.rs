//! Off the path: somebody who sees no question forges answers to one that he knows.
//!
//! Source: RFC 5452 §9.1 (what must match), RFC 7873 §3 (cookies).

use super::super::super::dialect::Verdict;
use super::*;

const SERVER: &[u8; 8] = b"theserve";

/// A question under way, as the upstream sees it, in a world where the upstream has returned cookies.
struct Target {
    world: World,
    number: usize,
    question: Vec<u8>,
    client: Vec<u8>,
}

/// [`answer`] with this COOKIE option.
fn answer_with(question: &[u8], cookie: &[u8]) -> Vec<u8> {
    let mut message = answer(question);
    message[11] = 1;
    let length = u8::try_from(cookie.len()).unwrap();
    message.extend_from_slice(&[
        0,
        0,
        41,
        4,
        0xd0,
        0,
        0,
        0,
        0,
        0,
        length + 4,
        0,
        10,
        0,
        length,
    ]);
    message.extend_from_slice(cookie);
    message
}

fn client_of(question: &[u8]) -> Vec<u8> {
    let options = 12 + NAME.len() + 4 + 11;
    question[options + 4..options + 12].to_vec()
}

fn target(dialect: DialectSettings) -> Target {
    let mut world = world_speaking(dialect);
    let (question, _) = world.ask_and_see(1).remove(0);
    let number = world.sockets.lines[0].places.iter().flatten().next();
    let number = *number.unwrap();
    world.sockets.lines[0].places = [Some(number); SOCKETS];
    let mut client = Vec::new();
    if dialect.cookies {
        client = client_of(&question);
        let cookie = [&client[..], SERVER].concat();
        let taught = answer_with(&question, &cookie);
        let matched = world
            .sockets
            .take_match(number, &taught, &world.flights, world.now);
        assert_eq!(matched.unwrap().2, Verdict::Accept);
    }
    let (question, _) = world.ask_and_see(1).remove(0);
    Target {
        world,
        number,
        question,
        client,
    }
}

impl Target {
    fn judge(&mut self, datagram: &[u8]) -> Option<Verdict> {
        let world = &mut self.world;
        let matched = world
            .sockets
            .take_match(self.number, datagram, &world.flights, world.now);
        matched.map(|(_, _, verdict)| verdict)
    }
}

/// RFC 5452 §9.1. The port is known to the forger here, and the question with it; only the id, the
/// case of 16 letters and the cookie are not.
#[tokio::test]
async fn a_million_guesses_at_a_known_question_are_all_ignored() {
    let mut target = target(DialectSettings {
        mixed_case: true,
        cookies: true,
    });
    let right = target.question.clone();
    let cookie = [&target.client[..], SERVER].concat();
    let mut guesses = 0;
    // Every id but the right one, with all else right, without a cookie, and lower case.
    let mut lower = answer(&right);
    lower[12..12 + NAME.len()].copy_from_slice(NAME);
    for forged in [
        &mut answer_with(&right, &cookie),
        &mut answer(&right),
        &mut lower,
    ] {
        let id = u16::from_be_bytes([right[0], right[1]]);
        for guess in (0..=u16::MAX).filter(|guess| *guess != id) {
            forged[..2].copy_from_slice(&guess.to_be_bytes());
            assert_eq!(target.judge(forged), None);
            guesses += 1;
        }
    }
    // The right id, but another case of the letters.
    let mut forged = answer_with(&right, &cookie);
    for guess in 0..=u16::MAX {
        let name = &mut forged[12..12 + NAME.len()];
        name.copy_from_slice(NAME);
        query::put_case(name, guess.into());
        if *name != right[12..12 + NAME.len()] {
            assert_eq!(target.judge(&forged), None);
            guesses += 1;
        }
    }
    // The right id and the right case, but no cookie or another one.
    assert_eq!(target.judge(&answer(&right)), None);
    let mut forged = answer_with(&right, &cookie);
    let cookie_at = forged.len() - cookie.len();
    for guess in 1..750_000_u64 {
        let wrong = u64::from_be_bytes(target.client[..].try_into().unwrap()) ^ guess;
        forged[cookie_at..cookie_at + 8].copy_from_slice(&wrong.to_be_bytes());
        assert_eq!(target.judge(&forged), None);
        guesses += 1;
    }
    assert!(guesses > 1_000_000, "{guesses} guesses");
    // The true one is taken after all that: nobody can guess its cookie.
    let verdict = target.judge(&answer_with(&right, &cookie));
    assert_eq!(verdict, Some(Verdict::Accept));
}

/// Without cookies and mixed case a guess may hit; it is not believed.
#[tokio::test]
async fn a_guess_that_hits_after_many_is_fetched_again_over_tcp() {
    let mut target = target(DialectSettings {
        mixed_case: false,
        cookies: false,
    });
    let right = target.question.clone();
    let mut forged = answer(&right);
    let id = u16::from_be_bytes([right[0], right[1]]);
    for guess in (0..=u16::MAX).filter(|guess| *guess != id) {
        forged[..2].copy_from_slice(&guess.to_be_bytes());
        assert_eq!(target.judge(&forged), None);
    }
    assert_eq!(target.judge(&answer(&right)), Some(Verdict::Suspect));
    // The next question is none the worse for it.
    let (next, _) = target.world.ask_and_see(1).remove(0);
    assert_eq!(target.judge(&answer(&next)), Some(Verdict::Accept));
}

/// Networks double datagrams; that must not send everything to TCP.
#[tokio::test]
async fn a_doubled_answer_is_no_guess() {
    let mut target = target(DialectSettings {
        mixed_case: false,
        cookies: false,
    });
    let first = answer(&target.question);
    let (second, _) = target.world.ask_and_see(1).remove(0);
    assert_eq!(target.judge(&first), Some(Verdict::Accept));
    for _ in 0..10 {
        assert_eq!(target.judge(&first), None);
    }
    assert_eq!(target.judge(&answer(&second)), Some(Verdict::Accept));
}
