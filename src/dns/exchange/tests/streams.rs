//! Truncated answers and what TCP makes of them.

use super::super::tcp::{DEPTH, WAITING_EACH};
use super::fake::{Both, OverTcp, both};
use super::*;

/// Truncates everything over UDP.
async fn truncating(stream: impl Fn(&[u8], usize, usize) -> OverTcp + 'static) -> Both {
    both(|question, _| vec![truncated(question)], stream).await
}

async fn answering_over_tcp() -> Both {
    truncating(|question, _, _| OverTcp::Answer(answer(question, NOERROR))).await
}

/// RFC 7766 §5: truncation over UDP means TCP.
#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    local(async {
        let upstream = truncating(|question, _, _| {
            let mut message = answer(question, NOERROR);
            message[7] = 255;
            for _ in 1..255 {
                message.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x02");
            }
            OverTcp::Answer(message)
        })
        .await;
        let world = world(&[upstream.udp.address]);
        match world.ask("www").await {
            Told::Answered(message) => assert_eq!(message.len(), 12 + 13 + 4 + 255 * 16),
            other => panic!("{other:?}"),
        }
    });
}

/// RFC 7766 §6.2.1.
#[test]
fn one_connection_serves_one_question_after_another() {
    local(async {
        let upstream = answering_over_tcp().await;
        let world = world(&[upstream.udp.address]);
        for label in 0..20 {
            assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
        }
        assert_eq!(upstream.connections.get(), 1);
        // On a machine that stands still, one that seems late is asked again.
        assert!(upstream.asked_over_tcp.get() >= 20);
    });
}

/// Once a truncating upstream made SERVFAIL of all but 64 questions at a time.
#[test]
fn an_upstream_that_truncates_everything_answers_many_questions_at_a_time() {
    local(async {
        let upstream = answering_over_tcp().await;
        let world = world(&[upstream.udp.address]);
        let labels: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        let told: Vec<_> = labels.iter().map(|label| world.begin(label)).collect();
        for told in told {
            let told = timeout(FAR, told).await.unwrap().unwrap();
            assert!(matches!(told, Told::Answered(_)), "{told:?}");
        }
        let places = Limits::default().tcp;
        assert!(upstream.connections.get() <= places / 4);
        assert_eq!(world.failures(0, FailureKind::Tcp), 0);
    });
}

#[test]
fn what_has_no_place_and_cannot_wait_turns_elsewhere_at_once() {
    local(async {
        let upstream = truncating(|_, _, _| OverTcp::Silence).await;
        let limits = Limits {
            tcp: 1,
            ..patient()
        };
        let world = world_within(limits, &[upstream.udp.address]);
        let count = DEPTH + WAITING_EACH + 1;
        let labels: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let told: Vec<_> = labels.iter().map(|label| world.begin(label)).collect();
        until(|| world.failures(0, FailureKind::Tcp) > 0).await;
        assert_eq!(upstream.connections.get(), 1);
        drop(told);
    });
}

#[test]
fn without_a_single_place_nothing_waits_for_one() {
    local(async {
        let (first, second) = (answering_over_tcp().await, answering(NOERROR).await);
        let limits = Limits {
            tcp: 0,
            ..patient()
        };
        let world = world_within(limits, &[first.udp.address, second.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(first.connections.get(), 0);
        assert_eq!(world.failures(0, FailureKind::Tcp), 1);
    });
}

/// RFC 7766 §6.2.4: a server may close a connection at any time.
#[test]
fn what_a_closed_connection_leaves_open_is_asked_again_on_another() {
    local(async {
        let upstream = truncating(|question, count, _| match count {
            1 => OverTcp::Answer(answer(question, NOERROR)),
            _ => OverTcp::Close,
        })
        .await;
        let world = world(&[upstream.udp.address]);
        for label in 0..6 {
            assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
        }
        assert_eq!(world.failures(0, FailureKind::Tcp), 0);
    });
}

#[test]
fn an_upstream_that_closes_at_once_is_given_up() {
    local(async {
        let first = truncating(|_, _, _| OverTcp::Close).await;
        let second = answering(NOERROR).await;
        let world = world(&[first.udp.address, second.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(first.connections.get(), 1);
        assert_eq!(world.failures(0, FailureKind::Tcp), 1);
    });
}

#[test]
fn a_connection_that_idles_makes_room_for_another_upstream() {
    local(async {
        let upstreams = [answering_over_tcp().await, answering_over_tcp().await];
        let addresses = [upstreams[0].udp.address, upstreams[1].udp.address];
        let limits = Limits {
            tcp: 1,
            ..patient()
        };
        for address in addresses.iter().chain(&addresses) {
            // The order of upstreams is by speed, which nothing is known of.
            let world = world_within(limits, &[*address]);
            assert_eq!(world.rcode("www").await, NOERROR);
        }
        let broken = truncating(|_, _, _| OverTcp::Answer(vec![0; 12])).await;
        let world = world_within(limits, &[broken.udp.address, addresses[0]]);
        assert_eq!(world.rcode("www").await, NOERROR);
    });
}
