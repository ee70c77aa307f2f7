//! Sockets against a silent receiver on loopback.

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::timeout;

use super::super::super::upstream::ResolvedZone;
use super::*;

fn key(number: u16) -> Key {
    Key::new(b"\x01a\0", 1, number, false, false).unwrap()
}

/// A receiver that answers nothing, and sockets towards it.
async fn world() -> (UdpSocket, Sockets) {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let zone = ResolvedZone {
        zone: vec![0],
        zone_text: ".".to_owned(),
        critical: true,
        upstreams: vec![receiver.local_addr().unwrap()],
        unresolved: Vec::new(),
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], Instant::now().into_std()));
    let index = upstreams.indexes().next().unwrap();
    (receiver, Sockets::new(upstreams, index))
}

/// Asks without waiting for the answer; gives the id and the source that the receiver saw.
async fn ask(receiver: &UdpSocket, sockets: &Sockets, number: u16) -> (u16, SocketAddr) {
    let mut buffer = [0; 512];
    let key = key(number);
    tokio::select! {
        _ = sockets.ask(&key, Edns::With) => panic!("nobody answers"),
        received = timeout(Duration::from_secs(10), receiver.recv_from(&mut buffer)) => {
            let (_, source) = received.unwrap().unwrap();
            (u16::from_be_bytes([buffer[0], buffer[1]]), source)
        }
    }
}

/// RFC 5452 §9.2: ids and ports that an attacker cannot guess.
#[tokio::test]
async fn questions_leave_from_several_ports_under_changing_ids() {
    LocalSet::new()
        .run_until(async {
            let (receiver, sockets) = world().await;
            let mut ids = HashSet::new();
            let mut sources = HashSet::new();
            for number in 0..200 {
                let (id, source) = ask(&receiver, &sockets, number).await;
                ids.insert(id);
                sources.insert(source);
            }
            assert_eq!(sources.len(), SOCKETS);
            assert!(ids.len() > 150, "only {} ids", ids.len());
        })
        .await;
}

#[tokio::test]
async fn a_worn_socket_is_replaced_by_one_with_another_port() {
    LocalSet::new()
        .run_until(async {
            let (receiver, sockets) = world().await;
            let mut before = HashSet::new();
            for number in 0..200 {
                before.insert(ask(&receiver, &sockets, number).await.1);
            }
            for socket in sockets.places.borrow().iter().flatten() {
                assert!(!socket.is_worn());
                socket.questions.set(SOCKET_QUESTIONS_MAX);
            }
            // The old sockets still listen, so their ports cannot be given out again.
            let (_, source) = ask(&receiver, &sockets, 200).await;
            assert!(!before.contains(&source));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_question_is_forgotten_after_its_lifetime_and_not_before() {
    LocalSet::new()
        .run_until(async {
            let (_receiver, sockets) = world().await;
            let socket = sockets.socket().unwrap();
            socket.expect_answer(&key(1)).unwrap();
            let count = || socket.pending.borrow().by_id.len();
            tokio::time::advance(QUESTION_LIFETIME - Duration::from_millis(1)).await;
            socket.pending.borrow_mut().sweep(Instant::now());
            assert_eq!(count(), 1);
            tokio::time::advance(Duration::from_millis(1)).await;
            socket.pending.borrow_mut().sweep(Instant::now());
            assert_eq!(count(), 0);
        })
        .await;
}
