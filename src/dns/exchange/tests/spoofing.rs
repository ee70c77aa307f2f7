//! Forged answers over real sockets: what reaches whoever asked.

use super::fake::{OverTcp, both};
use super::*;

/// RFC 5452 §9.3: the port is known, the id is guessed; the true answer is fetched over TCP.
#[test]
fn a_flood_of_guesses_from_the_right_address_reaches_nobody() {
    local(async {
        let upstream = both(
            |question, _| {
                // NXDOMAIN is the lie.
                let mut forged = vec![answer(question, NXDOMAIN); 200];
                for (guess, message) in (1_u16..).zip(&mut forged) {
                    let id = u16::from_be_bytes([question[0], question[1]]) ^ guess;
                    message[..2].copy_from_slice(&id.to_be_bytes());
                }
                forged.push(answer(question, NXDOMAIN));
                forged
            },
            |question, _, _| OverTcp::Answer(answer(question, NOERROR)),
        )
        .await;
        let world = world(&[upstream.udp.address]);
        for label in 0..50 {
            assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
        }
        // More where a pause of the machine let a question be sent again.
        assert!(world.failures(0, FailureKind::Ignored) >= 50 * 200);
        assert!(world.failures(0, FailureKind::Guessed) >= 50);
        assert_eq!(upstream.connections.get(), 1);
    });
}

/// The right id, question and port, from another address: the kernel sees to it.
#[test]
fn a_flood_from_another_address_is_never_seen() {
    local(async {
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let world = world(&[upstream.local_addr().unwrap()]);
        let serving = async {
            let mut buffer = [0; 512];
            for _ in 0..20 {
                let (length, source) = upstream.recv_from(&mut buffer).await.unwrap();
                let question = &buffer[..length];
                for _ in 0..100 {
                    let forged = answer(question, NXDOMAIN);
                    stranger.send_to(&forged, source).await.unwrap();
                }
                let answer = answer(question, NOERROR);
                upstream.send_to(&answer, source).await.unwrap();
            }
        };
        let asking = async {
            for label in 0..20 {
                assert_eq!(world.rcode(&label.to_string()).await, NOERROR);
            }
        };
        tokio::join!(asking, serving);
        assert_eq!(world.failures(0, FailureKind::Ignored), 0);
    });
}

/// Guesses must not take the upstream away that has no TCP.
#[test]
fn without_a_place_for_tcp_the_answer_among_guesses_is_taken() {
    local(async {
        let upstream = fake(|question, _| {
            let mut messages = vec![answer(question, NXDOMAIN); 10];
            for message in &mut messages {
                message[0] ^= 1;
            }
            messages.push(answer(question, NOERROR));
            messages
        })
        .await;
        let limits = Limits {
            tcp: 0,
            ..patient()
        };
        let world = world_within(limits, &[upstream.address]);
        assert_eq!(world.rcode("www").await, NOERROR);
        assert_eq!(world.failures(0, FailureKind::Guessed), 0);
    });
}
