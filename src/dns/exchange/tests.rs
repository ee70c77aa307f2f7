//! The forwarder against scripted upstreams on loopback.

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::super::upstream::FailureKind;
use super::super::upstream::pacing::Condition;
use super::*;

mod dialects;
mod fake;
mod spoofing;
mod streams;
mod world;

use fake::{answer, answering, closed, fake, silent, truncated};
use world::{FAR, Told, key, local, patient, until, world, world_within};

const NOERROR: u8 = 0;
const FORMERR: u8 = 1;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

#[test]
fn an_answer_comes_back_with_the_question_as_it_was_asked() {
    local(async {
        let upstream = fake(|question, _| {
            let mut message = answer(question, NOERROR);
            message[13..16].make_ascii_uppercase();
            vec![message]
        })
        .await;
        let world = world(&[upstream.address]);
        let told = world.ask("www").await;
        let Told::Answered(message) = &told else {
            panic!("{told:?}");
        };
        assert_eq!(&message[12..25], key("www").name());
        assert_eq!(*world.done.borrow(), [told]);
        assert_eq!(world.forwarder.borrow().under_way(), 0);
        assert_eq!(world.forwarder.borrow().waiting(), 0);
        let status = &world.upstreams.status()[0];
        assert_eq!((status.queries, status.in_flight), (1, 0));
    });
}

#[test]
fn a_silent_first_upstream_costs_one_question_its_patience_and_no_other() {
    local(async {
        let (first, second) = (silent().await, answering(NOERROR).await);
        let world = world(&[first.address, second.address]);
        for label in 0..20 {
            assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
        }
        // One, but for pauses of the machine that make the second look late as well.
        assert!(first.asked.get() <= 5, "asked {} times", first.asked.get());
        assert!(world.upstreams.status()[0].timeouts <= 5);
    });
}

#[test]
fn a_refusal_turns_the_question_elsewhere_without_waiting() {
    local(async {
        let second = answering(NOERROR).await;
        let world = world(&[closed().await, second.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(world.upstreams.status()[0].timeouts, 0);
        assert_eq!(world.failures(0, FailureKind::Refused), 1);
    });
}

#[test]
fn refusals_alone_make_the_zone_unusable_and_nothing_is_sent_from_then_on() {
    local(async {
        let world = world(&[closed().await]);
        for label in 0..10 {
            let told = world.ask(&label.to_string()).await;
            let expected = [Failure::Unanswered, Failure::NoneUsable];
            assert!(expected.map(Told::Failed).contains(&told), "{told:?}");
        }
        assert!(!world.forwarder.borrow().is_usable(&key("www")));
        let sent = world.upstreams.status()[0].queries;
        assert_eq!(sent, u64::from(crate::dns::upstream::MISSES_TO_GO_DOWN));
        assert_eq!(world.done.borrow().len() as u64, sent);
    });
}

/// Measured elsewhere: one fast SERVFAIL defeated a healthy server. Not here.
#[test]
fn an_error_of_one_upstream_gives_way_to_the_answer_of_another() {
    local(async {
        for rcode in [SERVFAIL, REFUSED] {
            let (first, second) = (answering(rcode).await, answering(NOERROR).await);
            let world = world(&[first.address, second.address]);
            for label in 0..5 {
                assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
            }
            assert!(world.upstreams.is_up(world.upstream(0)));
            assert!(world.failures(0, FailureKind::Rcode) > 0);
        }
    });
}

#[test]
fn an_error_is_handed_on_when_no_upstream_has_anything_better() {
    local(async {
        for (first, second) in [
            (SERVFAIL, SERVFAIL),
            (REFUSED, SERVFAIL),
            (SERVFAIL, REFUSED),
        ] {
            let (first, second) = (answering(first).await, answering(second).await);
            let world = world(&[first.address, second.address]);
            assert_eq!(world.rcode("www").await, SERVFAIL);
            assert_eq!((first.asked.get(), second.asked.get()), (1, 1));
        }
    });
}

#[test]
fn an_error_beside_silence_is_handed_on_at_the_deadline() {
    local(async {
        let (first, second) = (answering(SERVFAIL).await, silent().await);
        let limits = Limits {
            deadline: Duration::from_millis(200),
            ..Limits::default()
        };
        let world = world_within(limits, &[first.address, second.address]);
        assert_eq!(world.rcode("www").await, SERVFAIL);
        assert_eq!(second.asked.get(), 1);
    });
}

/// RFC 2308 §2.1: NXDOMAIN is an answer.
#[test]
fn nxdomain_is_final() {
    local(async {
        let (first, second) = (answering(NXDOMAIN).await, answering(NOERROR).await);
        let world = world(&[first.address, second.address]);
        assert_eq!(world.rcode("www").await, NXDOMAIN);
        assert_eq!(second.asked.get(), 0);
    });
}

/// RFC 5452 §9.1.
#[test]
fn answers_with_another_id_or_question_are_ignored_and_counted() {
    local(async {
        let upstream = fake(|question, number| {
            let mut wrong_id = answer(question, NXDOMAIN);
            wrong_id[0] ^= 1;
            let mut wrong_name = answer(question, NXDOMAIN);
            wrong_name[13] ^= 1;
            let mut a_question = answer(question, NXDOMAIN);
            a_question[2] = 0x01;
            let stump = question[..5].to_vec();
            let [first, second] = match number {
                1 => [wrong_id, wrong_name],
                _ => [a_question, stump],
            };
            vec![first, second, answer(question, NOERROR)]
        })
        .await;
        let world = world(&[upstream.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(world.rcode("mail").await, NOERROR);
        assert_eq!(world.failures(0, FailureKind::Ignored), 4);
    });
}

/// RFC 5452 §9.1: address and port must match too; the connected socket sees to it.
#[test]
fn an_answer_from_another_port_is_never_seen() {
    local(async {
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let world = world(&[upstream.local_addr().unwrap()]);
        let serving = async {
            let mut buffer = [0; 512];
            let (length, source) = upstream.recv_from(&mut buffer).await.unwrap();
            let question = &buffer[..length];
            stranger
                .send_to(&answer(question, NXDOMAIN), source)
                .await
                .unwrap();
            upstream
                .send_to(&answer(question, NOERROR), source)
                .await
                .unwrap();
        };
        let (rcode, ()) = tokio::join!(world.rcode("www"), serving);
        assert_eq!(rcode, NOERROR);
        assert_eq!(world.failures(0, FailureKind::Ignored), 0);
    });
}

#[test]
fn an_answer_that_cannot_be_walked_is_a_failure_of_that_upstream() {
    local(async {
        let first = fake(|question, _| {
            let mut message = answer(question, NOERROR);
            message[7] = 2;
            vec![message]
        })
        .await;
        let second = answering(NOERROR).await;
        let world = world(&[first.address, second.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(world.failures(0, FailureKind::Malformed), 1);
        assert_eq!(second.asked.get(), 1);
    });
}

/// RFC 6891 §7: a server without EDNS says FORMERR, with or without the question.
#[test]
fn an_upstream_that_chokes_on_edns_is_asked_again_without() {
    local(async {
        for cut in [false, true] {
            let upstream = fake(move |question, _| {
                let with_edns = question[11] == 1;
                let mut message = answer(question, if with_edns { FORMERR } else { NOERROR });
                if with_edns && cut {
                    message[5] = 0;
                    message.truncate(12);
                }
                vec![message]
            })
            .await;
            let world = world(&[upstream.address]);
            assert_eq!(world.rcode("www").await, NOERROR);
            assert_eq!(upstream.asked.get(), 2);
        }
    });
}

#[test]
fn when_tcp_fails_after_truncation_the_next_upstream_is_asked() {
    local(async {
        let first = fake(|question, _| vec![truncated(question)]).await;
        let second = answering(NOERROR).await;
        let world = world(&[first.address, second.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(world.failures(0, FailureKind::Tcp), 1);
        assert!(world.upstreams.is_up(world.upstream(0)));
    });
}

#[test]
fn identical_questions_at_a_time_are_asked_once() {
    local(async {
        let upstream = answering(NOERROR).await;
        let world = world(&[upstream.address]);
        let (first, second, other) =
            tokio::join!(world.ask("www"), world.ask("WWW"), world.ask("mail"));
        assert_eq!(first, second);
        assert_ne!(first, other);
        assert_eq!(upstream.asked.get(), 2);
        assert_eq!(world.done.borrow().len(), 2);
    });
}

#[test]
fn the_outcome_reaches_the_cache_although_nobody_waits_any_longer() {
    local(async {
        let upstream = answering(NOERROR).await;
        let world = world(&[upstream.address]);
        drop(world.begin("www"));
        until(|| world.done.borrow().len() == 1).await;
        assert!(matches!(world.done.borrow()[0], Told::Answered(_)));
    });
}

#[test]
fn one_question_more_than_may_be_under_way_is_turned_away_and_counted() {
    local(async {
        let upstream = silent().await;
        let limits = Limits {
            questions: 2,
            deadline: Duration::from_millis(300),
            ..Limits::default()
        };
        let world = world_within(limits, &[upstream.address]);
        let (a, b, c) = tokio::join!(world.ask("a"), world.ask("b"), world.ask("c"));
        assert_eq!(a, Told::Failed(Failure::TimedOut));
        assert_eq!(b, Told::Failed(Failure::TimedOut));
        assert_eq!(c, Told::Failed(Failure::Saturated));
        assert_eq!(world.upstreams.saturated(), 1);
        assert_eq!(world.done.borrow().len(), 2);
    });
}

#[test]
fn a_question_waits_no_longer_once_all_upstreams_are_found_dead() {
    local(async {
        let upstream = silent().await;
        let world = world(&[upstream.address]);
        let finding_out = async {
            until(|| upstream.asked.get() > 0).await;
            let now = Instant::now().into_std();
            for _ in 0..crate::dns::upstream::MISSES_TO_GO_DOWN {
                world.upstreams.probe_missed(world.upstream(0), now, now);
            }
        };
        let asked = Instant::now();
        let (outcome, ()) = tokio::join!(world.ask("www"), finding_out);
        assert_eq!(outcome, Told::Failed(Failure::NoneUsable));
        assert!(asked.elapsed() < FAR / 2);
    });
}

#[test]
fn one_lost_datagram_is_made_good_by_a_repetition() {
    local(async {
        let upstream = fake(|question, number| {
            if number == 1 {
                Vec::new()
            } else {
                vec![answer(question, NOERROR)]
            }
        })
        .await;
        let world = world(&[upstream.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(upstream.asked.get(), 2);
    });
}

#[test]
fn an_answer_after_the_deadline_still_says_that_the_upstream_lives() {
    local(async {
        let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let limits = Limits {
            deadline: Duration::from_millis(500),
            ..Limits::default()
        };
        let world = world_within(limits, &[upstream.local_addr().unwrap()]);
        let index = world.upstream(0);
        assert_eq!(world.ask("www").await, Told::Failed(Failure::TimedOut));
        assert_eq!(world.upstreams.condition(index), Condition::Suspected);
        let mut buffer = [0; 512];
        let (length, source) = upstream.recv_from(&mut buffer).await.unwrap();
        upstream
            .send_to(&answer(&buffer[..length], NOERROR), source)
            .await
            .unwrap();
        until(|| world.upstreams.condition(index) == Condition::Good).await;
        assert_eq!(world.failures(0, FailureKind::Ignored), 0);
    });
}

/// RFC 8767 §5: the client has its expired answer, the cache still gets the new one.
#[test]
fn who_gives_up_hears_so_and_the_question_goes_on() {
    local(async {
        let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let world = world(&[upstream.local_addr().unwrap()]);
        let soon = Instant::now() + Duration::from_millis(30);
        let impatient = world.begin_until("www", Some(soon));
        let patient = world.begin("www");
        assert_eq!(impatient.await.unwrap(), Told::NotYet);
        assert!(Instant::now() >= soon);
        assert_eq!(world.forwarder.borrow().waiting(), 1);
        let mut buffer = [0; 512];
        let (length, source) = upstream.recv_from(&mut buffer).await.unwrap();
        upstream
            .send_to(&answer(&buffer[..length], NOERROR), source)
            .await
            .unwrap();
        assert!(matches!(patient.await.unwrap(), Told::Answered(_)));
        assert_eq!(world.done.borrow().len(), 2);
    });
}

#[test]
fn many_questions_at_a_time_are_all_answered() {
    local(async {
        let (first, second) = (answering(NOERROR).await, answering(NOERROR).await);
        let world = world(&[first.address, second.address]);
        let labels: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        let told: Vec<_> = labels.iter().map(|label| world.begin(label)).collect();
        for (told, label) in told.into_iter().zip(&labels) {
            let told = timeout(FAR, told).await.unwrap().unwrap();
            let Told::Answered(message) = told else {
                panic!("{label}: {told:?}");
            };
            let name = key(label);
            assert_eq!(&message[12..12 + name.name().len()], name.name());
        }
        assert_eq!(world.upstreams.status()[0].in_flight, 0);
    });
}
