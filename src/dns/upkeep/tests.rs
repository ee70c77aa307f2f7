//! Upkeep against upstreams on loopback that fall silent and come back.
//!
//! How fast it is stands in the simulation of `upstream/tests.rs`; here the limits are wide.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tokio::task::LocalSet;
use tokio::time::timeout;

use super::super::client::{Prefix, PrefixLengths};
use super::super::upstream::{Evidence, ResolvedZone};
use super::*;

const FAR: Duration = Duration::from_secs(30);
/// Not what the kernel would choose.
const KNOWN_BY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// An upstream that answers REFUSED, or what else it is told to, while `awake`; it notes the questions.
struct Fake {
    address: SocketAddr,
    awake: Rc<Cell<bool>>,
    rcode: Rc<Cell<u8>>,
    questions: Rc<RefCell<Vec<Vec<u8>>>>,
    /// Where the last one came from.
    source: Rc<Cell<Option<IpAddr>>>,
}

async fn fake() -> Fake {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake {
        address: socket.local_addr().unwrap(),
        awake: Rc::new(Cell::new(true)),
        rcode: Rc::new(Cell::new(5)),
        questions: Rc::default(),
        source: Rc::default(),
    };
    let last = Rc::clone(&fake.source);
    let (awake, questions) = (Rc::clone(&fake.awake), Rc::clone(&fake.questions));
    let rcode = Rc::clone(&fake.rcode);
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, source) = socket.recv_from(&mut buffer).await.unwrap();
            let mut message = buffer[..length].to_vec();
            questions.borrow_mut().push(message.clone());
            last.set(Some(source.ip()));
            message[2] |= 0x80;
            message[3] = 0x80 | rcode.get();
            if awake.get() {
                socket.send_to(&message, source).await.unwrap();
            }
        }
    });
    fake
}

fn world(zone: &[u8], addresses: &[SocketAddr]) -> (Arc<Upstreams>, watch::Sender<bool>) {
    world_with(zone, addresses, &[])
}

fn world_with(
    zone: &[u8],
    addresses: &[SocketAddr],
    siblings: &[SocketAddr],
) -> (Arc<Upstreams>, watch::Sender<bool>) {
    let zone = ResolvedZone {
        zone: zone.to_vec(),
        zone_text: "test.".to_owned(),
        critical: true,
        upstreams: addresses.to_vec(),
        siblings: siblings.to_vec(),
        own_siblings: vec![KNOWN_BY],
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

/// Contradicted by another upstream, for several clients and domains.
fn open_by_rcode(upstreams: &Upstreams, index: UpstreamIndex) {
    for number in 0..100_u8 {
        let evidence = Evidence {
            rcode: 2,
            reason: None,
            domain: number.into(),
            prefix: Prefix::of([10, 0, number, 1].into(), PrefixLengths::default()),
            contradicted: true,
        };
        upstreams.poor_answer(index, &evidence, Instant::now().into_std());
    }
    assert_eq!(upstreams.breaker(index), Breaker::OpenByRcode);
}

#[tokio::test]
async fn a_breaker_opened_by_errors_waits_for_an_acceptable_answer_about_the_apex() {
    LocalSet::new()
        .run_until(async {
            let (fake, other) = (fake().await, fake().await);
            let (upstreams, _stop) = world(b"\0", &[fake.address, other.address]);
            let index = upstreams.indexes().next().unwrap();
            open_by_rcode(&upstreams, index);
            let asked = fake.questions.borrow().len();
            until(|| fake.questions.borrow().len() >= asked + 3).await;
            assert!(!upstreams.is_up(index));
            fake.rcode.set(3);
            until(|| upstreams.is_up(index)).await;
        })
        .await;
}

/// RFC 6891 §6.1.2: the marker is an option of OPT.
#[tokio::test]
async fn a_sibling_that_cannot_help_is_asked_for_names_of_chance_with_the_marker() {
    LocalSet::new()
        .run_until(async {
            let (dead, sibling) = (fake().await, fake().await);
            dead.awake.set(false);
            let (upstreams, _stop) = world_with(b"\0", &[dead.address], &[sibling.address]);
            let index = upstreams.indexes().nth(1).unwrap();
            let root = upstreams.zone_for(b"\0");
            until(|| !upstreams.zone_usable(root)).await;
            assert_eq!(sibling.questions.borrow().len(), 0);
            upstreams.sibling_refused(index);
            until(|| sibling.questions.borrow().len() >= 3).await;
            assert!(upstreams.is_dry(index));
            assert_eq!(sibling.source.get(), Some(KNOWN_BY));
            assert_ne!(dead.source.get(), Some(KNOWN_BY));
            let questions = sibling.questions.borrow().clone();
            let name = |question: &[u8]| question[12..30].to_vec();
            assert_ne!(name(&questions[0]), name(&questions[1]));
            for question in &questions {
                assert_eq!((question[12], question[29]), (16, 0));
                assert!(question.ends_with(b"\xfe\x1d\0\x01\x01"));
            }
            sibling.rcode.set(3);
            until(|| !upstreams.is_dry(index)).await;
            // Not needed any longer, nothing is held against it, and nobody asks it.
            upstreams.sibling_refused(index);
            dead.awake.set(true);
            until(|| upstreams.zone_usable(root)).await;
            until(|| !upstreams.is_dry(index)).await;
            let asked = sibling.questions.borrow().len();
            let probed = dead.questions.borrow().len();
            until(|| dead.questions.borrow().len() >= probed + 2).await;
            assert_eq!(sibling.questions.borrow().len(), asked);
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
