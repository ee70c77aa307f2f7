//! What upstreams turn out to be able to do, over real sockets.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::super::DialectSettings;
use super::fake::{OverTcp, answer_with_cookie, both, cookie};
use super::world::world_speaking;
use super::*;

const BADCOOKIE: u16 = 23;
const SERVER: &[u8; 8] = b"theserve";

fn returned(question: &[u8]) -> Vec<u8> {
    let client = cookie(question).map_or_else(Vec::new, |cookie| cookie[..8].to_vec());
    [&client, &SERVER[..]].concat()
}

fn mixed_case() -> DialectSettings {
    DialectSettings {
        mixed_case: true,
        cookies: false,
    }
}

/// RFC 6891 §6.2.2.
#[test]
fn an_upstream_that_chokes_on_edns_is_asked_without_from_then_on() {
    local(async {
        let upstream = fake(|question, _| {
            let rcode = if question[11] == 1 { FORMERR } else { NOERROR };
            vec![answer(question, rcode)]
        })
        .await;
        let world = world(&[upstream.address]);
        for label in 0..10 {
            assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
        }
        // Once with a cookie, once without.
        assert_eq!(upstream.asked.get(), 10 + 2);
        assert_eq!(world.failures(0, FailureKind::Edns), 1);
    });
}

/// RFC 7873 §5.1 and §5.3: both cookies with every question, once the server's is known.
#[test]
fn the_servers_cookie_comes_back_to_it() {
    local(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let cookies = Rc::clone(&seen);
        let upstream = fake(move |question, _| {
            cookies.borrow_mut().push(cookie(question).unwrap());
            vec![answer_with_cookie(question, 0, &returned(question))]
        })
        .await;
        let world = world(&[upstream.address]);
        for label in 0..3 {
            assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
        }
        let seen = seen.borrow();
        assert_eq!(seen[0].len(), 8);
        assert!(seen[1].starts_with(&seen[0]) && seen[1].ends_with(SERVER));
        assert_eq!(seen[1], seen[2]);
    });
}

/// RFC 7873 §5.3.
#[test]
fn badcookie_is_answered_with_the_new_cookie() {
    local(async {
        let upstream = fake(|question, _| {
            let is_known = cookie(question).unwrap().ends_with(SERVER);
            let rcode = if is_known { 0 } else { BADCOOKIE };
            vec![answer_with_cookie(question, rcode, &returned(question))]
        })
        .await;
        let world = world(&[upstream.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(world.rcode("mail").await, NOERROR);
        assert_eq!(upstream.asked.get(), 3);
        assert_eq!(world.failures(0, FailureKind::Rcode), 0);
    });
}

#[test]
fn badcookie_without_end_leads_to_tcp() {
    local(async {
        let upstream = both(
            |question, _| vec![answer_with_cookie(question, BADCOOKIE, &returned(question))],
            |question, _, _| OverTcp::Answer(answer(question, NOERROR)),
        )
        .await;
        let world = world(&[upstream.udp.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(upstream.udp.asked.get(), 2);
        assert_eq!(upstream.asked_over_tcp.get(), 1);
    });
}

/// RFC 7873 §5.3, and how it ends when the upstream has become another one.
#[test]
fn an_upstream_without_its_cookies_is_asked_over_tcp_once_and_believed_then() {
    local(async {
        let upstream = both(
            |question, number| {
                vec![match number {
                    1 => answer_with_cookie(question, 0, &returned(question)),
                    _ => answer(question, NOERROR),
                }]
            },
            |question, _, _| OverTcp::Answer(answer(question, NOERROR)),
        )
        .await;
        let world = world(&[upstream.udp.address]);
        for label in 0..10 {
            assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
        }
        assert_eq!(upstream.asked_over_tcp.get(), 1);
        assert_eq!(world.failures(0, FailureKind::Cookie), 1);
    });
}

#[test]
fn an_answer_with_a_wrong_cookie_is_ignored() {
    local(async {
        let upstream = fake(|question, _| {
            let mut wrong = returned(question);
            wrong[0] ^= 1;
            vec![
                answer_with_cookie(question, 3, &wrong),
                answer_with_cookie(question, 0, &returned(question)),
            ]
        })
        .await;
        let world = world(&[upstream.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(world.failures(0, FailureKind::Cookie), 1);
    });
}

#[test]
fn letters_are_in_a_case_of_chance_and_come_back_as_the_client_sent_them() {
    local(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let names = Rc::clone(&seen);
        let upstream = fake(move |question, _| {
            names.borrow_mut().push(question[13..13 + 26].to_vec());
            vec![answer(question, NOERROR)]
        })
        .await;
        let world = world_speaking(mixed_case(), patient(), &[upstream.address]);
        let label = "abcdefghijklmnopqrstuvwxyz";
        for _ in 0..2 {
            match world.ask(label).await {
                Told::Answered(message) => assert_eq!(message[13..13 + 26], *label.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
        let seen = seen.borrow();
        assert_ne!(seen[0], seen[1]);
        assert!(seen[0].iter().any(u8::is_ascii_uppercase));
        assert!(seen[0].iter().any(u8::is_ascii_lowercase));
    });
}

#[test]
fn an_upstream_that_makes_all_letters_small_is_asked_in_small_letters() {
    local(async {
        let lower = |question: &[u8]| {
            let mut message = answer(question, NOERROR);
            message[12..40].make_ascii_lowercase();
            message
        };
        let upstream = both(
            move |question, _| vec![lower(question)],
            move |question, _, _| OverTcp::Answer(lower(question)),
        )
        .await;
        let world = world_speaking(mixed_case(), patient(), &[upstream.udp.address]);
        let label = "abcdefghijklmnopqrstuvwxyz";
        for number in 0..9 {
            assert_eq!(world.rcode(&format!("{label}{number}")).await, NOERROR);
        }
        assert_eq!(upstream.asked_over_tcp.get(), 1);
        assert_eq!(world.failures(0, FailureKind::Case), 1);
    });
}
