//! What is believed of an upstream, and what is not.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use std::sync::Arc;

use proptest::prelude::*;

use super::super::super::inflight::{Attempt, Command, Flights, Limits};
use super::super::super::key::Key;
use super::super::super::upstream::{ResolvedZone, Upstreams};
use super::*;
use crate::dns::client::Asker;

mod edns;

const MS: Duration = Duration::from_millis(1);
const CLIENT: ClientCookie = *b"ourclien";
const SERVER: &[u8] = b"theserve";
const FORMERR: u16 = 1;

struct World {
    now: Instant,
    dialect: Dialect,
    attempt: Attempt,
}

fn world(mixed_case: bool, cookies: bool) -> World {
    let now = Instant::now();
    let zone = ResolvedZone {
        zone: vec![0],
        upstreams: vec!["192.0.2.1:53".parse().unwrap()],
        ..ResolvedZone::default()
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], now));
    let mut flights = Flights::new(upstreams, Limits::default(), now);
    let key = Key::new(b"\0", 2, 1, false, false).unwrap();
    flights.ask(&key, Asker::default(), (), None, now).unwrap();
    let Some(Command::Send(attempt)) = flights.poll_command() else {
        panic!("nothing to send");
    };
    let mut dialect = Dialect::new(DialectSettings {
        mixed_case,
        cookies,
    });
    let source = "192.0.2.9".parse().unwrap();
    let client = dialect.client_cookie(source, now, || CLIENT);
    assert_eq!(client, cookies.then_some(CLIENT));
    World {
        now,
        dialect,
        attempt,
    }
}

/// An answer, without a cookie and without anything wrong.
fn answer(rcode: u16) -> Heard<'static> {
    Heard {
        examined: Response::Complete {
            rcode,
            length: 12,
            reason: None,
        }
        .into(),
        keeps_case: true,
        client: Some(CLIENT),
        guesses: 0,
    }
}

fn with_cookie(rcode: u16, cookie: &[u8]) -> Heard<'_> {
    let mut heard = answer(rcode);
    heard.examined.cookie = Some(cookie);
    heard
}

fn good_cookie() -> Vec<u8> {
    [&CLIENT, SERVER].concat()
}

impl World {
    fn choose(&mut self, edns: Edns) -> Sent {
        self.choose_for(edns, 0)
    }

    /// The same for the question with this fingerprint.
    fn choose_for(&mut self, edns: Edns, fingerprint: u64) -> Sent {
        let asked = (edns, fingerprint);
        self.dialect.choose(asked, Some(CLIENT), || 5, self.now)
    }

    /// What becomes of an answer to a question that is put as it would be now.
    fn judge(&mut self, edns: Edns, heard: &Heard<'_>) -> Verdict {
        let sent_as = self.choose(edns);
        self.judge_for(edns, sent_as, heard)
    }

    fn judge_for(&mut self, edns: Edns, sent_as: Sent, heard: &Heard<'_>) -> Verdict {
        self.judge_of((edns, 0), sent_as, heard)
    }

    fn judge_of(
        &mut self,
        (edns, fingerprint): (Edns, u64),
        sent_as: Sent,
        heard: &Heard<'_>,
    ) -> Verdict {
        let question = Question {
            attempt: Attempt {
                edns,
                ..self.attempt
            },
            fingerprint,
            dnssec_ok: false,
            checking_disabled: false,
            sent: self.now,
            is_awaited: true,
            sent_as,
            is_repeated: false,
            guesses_before: 0,
        };
        self.dialect.judge(&question, heard, self.now)
    }

    /// FORMERR to a question with OPT, and a good answer to the one without that follows.
    fn choke(&mut self, rcode: u16) {
        self.judge(Edns::With, &answer(rcode));
        self.judge(Edns::Without, &answer(0));
    }

    /// The upstream returns cookies from now on.
    fn teach(&mut self) {
        let verdict = self.judge(Edns::With, &with_cookie(0, &good_cookie()));
        assert_eq!(verdict, Verdict::Accept);
    }
}

/// RFC 7873 §4: code 10, the client's 8 octets, and the server's once it is known.
#[test]
fn the_option_has_these_bytes() {
    let mut world = world(false, true);
    let sent = world.choose(Edns::With);
    assert_eq!(world.dialect.options(sent), b"\0\x0a\0\x08ourclien");
    world.teach();
    assert_eq!(world.dialect.options(sent), b"\0\x0a\0\x10ourclientheserve");
    let longest = [&CLIENT[..], &[7; 32]].concat();
    world.judge(Edns::With, &with_cookie(0, &longest));
    assert_eq!(world.dialect.options(sent).len(), 44);
    assert!(world.dialect.options(sent).ends_with(&[7; 32]));
    let none = world.choose(Edns::Without);
    assert!(!none.has_cookie && world.dialect.options(none).is_empty());
}

/// RFC 7873 §5.3: another client cookie, or a length that there is not.
#[test]
fn an_answer_with_a_wrong_cookie_is_a_guess() {
    let mut world = world(false, true);
    let mut other = good_cookie();
    other[7] ^= 1;
    let long = [&CLIENT[..], &[7; 33]].concat();
    for wrong in [&other[..], &CLIENT[..7], &good_cookie()[..15], &long, b""] {
        assert_eq!(
            world.judge(Edns::With, &with_cookie(0, wrong)),
            Verdict::Ignore {
                kind: FailureKind::Cookie,
                is_guess: true
            },
            "{wrong:?}"
        );
    }
    // Some servers return options that they do not know.
    let echo = world.judge(Edns::With, &with_cookie(0, &CLIENT));
    assert_eq!(echo, Verdict::Accept);
    assert_eq!(
        world.judge(Edns::Without, &with_cookie(0, &other)),
        Verdict::Accept
    );
}

/// RFC 7873 §5.3: whoever has returned cookies does so always.
#[test]
fn an_answer_without_a_cookie_is_fetched_again_from_an_upstream_that_knows_them() {
    let mut world = world(false, true);
    assert_eq!(world.judge(Edns::With, &answer(0)), Verdict::Accept);
    world.teach();
    let lacking = Verdict::AskOverTcp(FailureKind::Cookie);
    assert_eq!(world.judge(Edns::With, &answer(0)), lacking);
    let mut headless = answer(0);
    headless.examined = Response::Headless { rcode: FORMERR }.into();
    assert_eq!(world.judge(Edns::With, &headless), lacking);
    // Plain was asked, or it leads to TCP anyway.
    assert_eq!(world.judge(Edns::Without, &answer(0)), Verdict::Accept);
    let mut truncated = answer(0);
    truncated.examined = Response::Truncated.into();
    assert_eq!(world.judge(Edns::With, &truncated), Verdict::Accept);
}

#[test]
fn guesses_never_turn_off_what_makes_guessing_hard() {
    let mut world = world(true, true);
    world.teach();
    for (keeps_case, cookie) in [(true, None), (false, Some(good_cookie()))] {
        let mut heard = answer(0);
        heard.keeps_case = keeps_case;
        heard.examined.cookie = cookie.as_deref();
        heard.guesses = SUSPICIOUS;
        for _ in 0..1000 {
            let verdict = world.judge(Edns::With, &heard);
            assert!(matches!(
                verdict,
                Verdict::Ignore {
                    is_guess: false,
                    ..
                }
            ));
        }
    }
    let sent = world.choose(Edns::With);
    assert!(sent.has_cookie && sent.case.is_some());
    assert_eq!(world.dialect.take_turned_off(), None);
}

#[test]
fn an_upstream_that_has_lost_its_cookies_is_believed_after_one_answer_over_tcp() {
    let mut world = world(false, true);
    world.teach();
    let sent = world.choose(Edns::With);
    // Not every server has cookies over TCP: alone that says nothing.
    world
        .dialect
        .heard_over_tcp(sent, Some(CLIENT), None, true, world.now);
    assert_ne!(world.judge(Edns::With, &answer(0)), Verdict::Accept);
    world
        .dialect
        .heard_over_tcp(sent, Some(CLIENT), None, true, world.now);
    assert_eq!(world.judge(Edns::With, &answer(0)), Verdict::Accept);
    world.teach();
    assert_ne!(world.judge(Edns::With, &answer(0)), Verdict::Accept);
}

#[test]
fn an_upstream_of_which_some_servers_know_cookies_is_not_asked_over_tcp_for_ever() {
    let mut world = world(false, true);
    for _ in 0..3 {
        world.teach();
        assert_ne!(world.judge(Edns::With, &answer(0)), Verdict::Accept);
    }
    assert_eq!(
        world.dialect.take_turned_off(),
        Some(Part::CookieRequirement)
    );
    world.teach();
    assert_eq!(world.judge(Edns::With, &answer(0)), Verdict::Accept);
    world.now += OFF_TIME;
    assert_ne!(world.judge(Edns::With, &answer(0)), Verdict::Accept);
}

/// RFC 7873 §5.3: again with the new cookie, once; then TCP.
#[test]
fn badcookie_leads_to_one_repetition() {
    let mut world = world(false, true);
    let cookie = good_cookie();
    let heard = with_cookie(BADCOOKIE, &cookie);
    let sent_as = world.choose(Edns::With);
    assert_eq!(world.judge(Edns::With, &heard), Verdict::Repeat);
    assert!(world.dialect.options(sent_as).ends_with(SERVER));
    let question = Question {
        attempt: world.attempt,
        fingerprint: 0,
        dnssec_ok: false,
        checking_disabled: false,
        sent: world.now,
        is_awaited: true,
        sent_as,
        is_repeated: true,
        guesses_before: 0,
    };
    assert_eq!(
        world.dialect.judge(&question, &heard, world.now),
        Verdict::AskOverTcp(FailureKind::Cookie)
    );
    // Who asks without a cookie has nothing to repeat.
    let plain = world.judge(Edns::Without, &answer(BADCOOKIE));
    assert_eq!(plain, Verdict::Accept);
}

/// RFC 7873 §5.1 and §7.1, RFC 9018 §3.
#[test]
fn the_client_cookie_changes_with_the_address_and_after_its_lifetime() {
    let mut world = world(false, true);
    world.teach();
    let here = "192.0.2.9".parse().unwrap();
    let elsewhere = "192.0.2.10".parse().unwrap();
    let start = world.now;
    let ends = start + cookies::LIFETIME;
    let mut client = |source, now| world.dialect.client_cookie(source, now, || *b"another!");
    assert_eq!(client(here, ends - MS), Some(CLIENT));
    assert_eq!(client(here, ends), Some(*b"another!"));
    assert_eq!(client(elsewhere, ends), Some(*b"another!"));
    // The server's went with it; a socket that still has the old one sends none.
    let sent = world
        .dialect
        .choose((Edns::With, 0), Some(*b"another!"), || 0, ends);
    assert_eq!(world.dialect.options(sent), b"\0\x0a\0\x08another!");
    assert!(!world.choose(Edns::With).has_cookie);
}

#[test]
fn without_cookies_in_the_settings_none_is_sent() {
    let mut world = world(false, false);
    let sent = world.choose(Edns::With);
    assert!(!sent.has_cookie && world.dialect.options(sent).is_empty());
}

#[test]
fn an_upstream_that_changes_letters_is_recognised_over_tcp() {
    let mut world = world(true, false);
    let sent = world.choose(Edns::With);
    assert_eq!(sent.case, Some(5));
    let mut lower = answer(0);
    lower.keeps_case = false;
    let verdict = world.judge(Edns::With, &lower);
    assert_eq!(verdict, Verdict::AskOverTcp(FailureKind::Case));
    world
        .dialect
        .heard_over_tcp(sent, None, None, false, world.now);
    assert_eq!(world.dialect.take_turned_off(), Some(Part::MixedCase));
    assert_eq!(world.choose(Edns::With).case, None);
    // Those that are under way are answered as well.
    let verdict = world.judge_for(Edns::With, sent, &lower);
    assert_eq!(verdict, Verdict::Accept);
    world.now += OFF_TIME;
    assert_eq!(world.choose(Edns::With).case, Some(5));
}

#[test]
fn an_upstream_that_changes_letters_and_has_no_tcp_is_recognised_soon() {
    let mut world = world(true, false);
    let sent = world.choose(Edns::With);
    let mut lower = answer(0);
    lower.keeps_case = false;
    for _ in 0..doubt::STRIKES {
        assert_ne!(world.judge_for(Edns::With, sent, &lower), Verdict::Accept);
    }
    assert_eq!(world.judge_for(Edns::With, sent, &lower), Verdict::Accept);
}

#[test]
fn few_answers_in_another_case_over_a_long_time_turn_nothing_off() {
    let mut world = world(true, false);
    let mut lower = answer(0);
    lower.keeps_case = false;
    for _ in 0..20 {
        assert_ne!(world.judge(Edns::With, &lower), Verdict::Accept);
        world.now += doubt::WINDOW / 2 + MS;
    }
    assert!(world.choose(Edns::With).case.is_some());
}

/// RFC 5452 §9.3.
#[test]
fn an_answer_among_guesses_is_suspect_unless_its_cookie_is_right() {
    let mut world = world(false, true);
    for (guesses, verdict) in [
        (SUSPICIOUS - 1, Verdict::Accept),
        (SUSPICIOUS, Verdict::Suspect),
        (u32::MAX, Verdict::Suspect),
    ] {
        let mut heard = answer(0);
        heard.guesses = guesses;
        assert_eq!(world.judge(Edns::With, &heard), verdict);
    }
    let cookie = good_cookie();
    let mut heard = with_cookie(0, &cookie);
    heard.guesses = u32::MAX;
    assert_eq!(world.judge(Edns::With, &heard), Verdict::Accept);
}

proptest! {
    /// Whatever an upstream does, EDNS and all else is tried again once it has behaved for a time.
    #[test]
    fn nothing_is_left_out_for_ever(events in proptest::collection::vec((0_u8..6, 0_u16..24, 0_u32..5, 0_u32..600_000), 0..60)) {
        let mut world = world(true, true);
        for (event, rcode, guesses, wait_ms) in events {
            world.now += MS * wait_ms;
            let cookie = good_cookie();
            let mut heard = answer(rcode);
            heard.guesses = guesses;
            heard.keeps_case = rcode % 2 == 0;
            heard.examined.cookie = (event == 1).then_some(&cookie[..]);
            match event {
                0 | 1 => {
                    world.judge(Edns::With, &heard);
                }
                2 => {
                    world.judge(Edns::Without, &heard);
                }
                3 => {
                    for fingerprint in 0..guesses {
                        world.dialect.unanswered(fingerprint.into(), world.now);
                    }
                }
                4 => world.choke(FORMERR),
                _ => {
                    let sent = world.choose(Edns::With);
                    world.dialect.heard_over_tcp(sent, Some(CLIENT), None, heard.keeps_case, world.now);
                }
            }
        }
        world.now += OFF_TIME;
        world.choose(Edns::With);
        let sent = Sent { edns: Edns::With, has_cookie: true, case: Some(5) };
        world.judge_for(Edns::With, sent, &with_cookie(0, &good_cookie()));
        prop_assert_eq!(world.choose(Edns::With), sent);
    }
}
