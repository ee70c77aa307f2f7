//! Upkeep against upstreams on loopback that fall silent and come back.
//!
//! How fast it is stands in the simulation of `upstream/tests.rs`; here the limits are wide.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::task::LocalSet;
use tokio::time::timeout;

use super::super::upstream::ResolvedZone;
use super::*;

const FAR: Duration = Duration::from_secs(30);

/// An upstream that answers REFUSED while `awake`, and notes the questions.
struct Fake {
    address: SocketAddr,
    awake: Rc<Cell<bool>>,
    questions: Rc<RefCell<Vec<Vec<u8>>>>,
}

async fn fake() -> Fake {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake {
        address: socket.local_addr().unwrap(),
        awake: Rc::new(Cell::new(true)),
        questions: Rc::default(),
    };
    let (awake, questions) = (Rc::clone(&fake.awake), Rc::clone(&fake.questions));
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, source) = socket.recv_from(&mut buffer).await.unwrap();
            let mut message = buffer[..length].to_vec();
            questions.borrow_mut().push(message.clone());
            message[2] |= 0x80;
            message[3] = 0x85;
            if awake.get() {
                socket.send_to(&message, source).await.unwrap();
            }
        }
    });
    fake
}

fn world(zone: &[u8], addresses: &[SocketAddr]) -> (Arc<Upstreams>, watch::Sender<bool>) {
    let zone = ResolvedZone {
        zone: zone.to_vec(),
        zone_text: "test.".to_owned(),
        critical: true,
        upstreams: addresses.to_vec(),
        ..ResolvedZone::default()
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], Instant::now().into_std()));
    let (stop, stopped) = watch::channel(false);
    tokio::task::spawn_local(run(Arc::clone(&upstreams), stopped));
    (upstreams, stop)
}

async fn until(condition: impl Fn() -> bool) {
    timeout(FAR, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_upstream_that_nobody_asks_is_found_dead_and_found_alive_again() {
    LocalSet::new()
        .run_until(async {
            let (fake, steady) = (fake().await, fake().await);
            let (upstreams, _stop) = world(b"\0", &[fake.address, steady.address]);
            let state = |position: usize| upstreams.status()[position].up;
            until(|| {
                upstreams
                    .status()
                    .iter()
                    .all(|status| status.srtt.is_some())
            })
            .await;
            fake.awake.set(false);
            until(|| !state(0)).await;
            timeout(FAR, upstreams.flips().notified()).await.unwrap();
            assert!(state(1));
            fake.awake.set(true);
            until(|| state(0)).await;
            timeout(FAR, upstreams.flips().notified()).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn an_upstream_whose_port_is_closed_goes_down() {
    LocalSet::new()
        .run_until(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap();
            drop(socket);
            let (upstreams, _stop) = world(b"\0", &[address]);
            until(|| !upstreams.status()[0].up).await;
            let index = upstreams.indexes().next().unwrap();
            assert!(upstreams.failures(index, FailureKind::Refused) >= 3);
        })
        .await;
}

#[tokio::test]
async fn a_probe_asks_for_ns_of_the_root_and_soa_of_another_zone() {
    LocalSet::new()
        .run_until(async {
            for (zone, rest) in [
                (&b"\0"[..], &b"\0\0\x02\0\x01"[..]),
                (b"\x04corp\0", b"\x04corp\0\0\x06\0\x01"),
            ] {
                let fake = fake().await;
                let (_upstreams, _stop) = world(zone, &[fake.address]);
                until(|| !fake.questions.borrow().is_empty()).await;
                let question = fake.questions.borrow()[0].clone();
                assert_eq!(question[2..12], *b"\x01\0\0\x01\0\0\0\0\0\0");
                assert_eq!(question[12..], *rest);
            }
        })
        .await;
}

#[tokio::test]
async fn upkeep_ends_when_told_and_waits_for_that_without_upstreams() {
    let upstreams = Arc::new(Upstreams::new(&[], Instant::now().into_std()));
    let (stop, stopped) = watch::channel(false);
    let mut running = pin!(run(upstreams, stopped));
    assert!(futures_util::poll!(&mut running).is_pending());
    stop.send(true).unwrap();
    timeout(FAR, running).await.unwrap();
}
