//! Against upstreams on loopback that do as they are told.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::task::LocalSet;
use tokio::time::timeout;

use super::super::super::client::{Prefix, PrefixLengths};
use super::super::super::quality::Ended;
use super::super::super::upstream::{Breaker, ResolvedZone};
use super::*;

const FAR: Duration = Duration::from_secs(30);
const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;
/// Stands for no answer at all.
const SILENCE: u8 = 255;

/// An upstream that says one thing, and notes the names that it is asked for.
struct Fake {
    address: SocketAddr,
    rcode: Rc<Cell<u8>>,
    questions: Rc<RefCell<Vec<Vec<u8>>>>,
}

async fn fake(rcode: u8) -> Fake {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake {
        address: socket.local_addr().unwrap(),
        rcode: Rc::new(Cell::new(rcode)),
        questions: Rc::default(),
    };
    let (rcode, questions) = (Rc::clone(&fake.rcode), Rc::clone(&fake.questions));
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, source) = socket.recv_from(&mut buffer).await.unwrap();
            let mut message = buffer[..length].to_vec();
            questions.borrow_mut().push(message[12..].to_vec());
            message[2] |= 0x80;
            message[3] = 0x80 | rcode.get();
            if rcode.get() != SILENCE {
                socket.send_to(&message, source).await.unwrap();
            }
        }
    });
    fake
}

fn upstreams(fakes: &[&Fake], siblings: &[&Fake]) -> Arc<Upstreams> {
    let addresses = |fakes: &[&Fake]| fakes.iter().map(|fake| fake.address).collect();
    let zone = ResolvedZone {
        zone: vec![0],
        zone_text: ".".to_owned(),
        critical: true,
        upstreams: addresses(fakes),
        siblings: addresses(siblings),
        ..ResolvedZone::default()
    };
    Arc::new(Upstreams::new(&[zone], Instant::now().into_std()))
}

fn key(label: u8) -> Key {
    Key::new(&[1, label, 1, b'd', 0], 1, 1, false, false).unwrap()
}

/// Whether a name resolves when its upstreams say these things, and how often each was asked.
async fn outcome(rcodes: &[u8], limit: Duration) -> (bool, Vec<usize>) {
    let mut fakes = Vec::new();
    for rcode in rcodes {
        fakes.push(fake(*rcode).await);
    }
    let upstreams = upstreams(&fakes.iter().collect::<Vec<_>>(), &[]);
    let is_good = resolves(&upstreams, &key(b'a'), limit).await;
    for index in upstreams.indexes() {
        assert_eq!(upstreams.breaker(index), Breaker::Closed);
    }
    for status in upstreams.status() {
        assert_eq!(status.in_flight, 0);
    }
    let asked = fakes.iter().map(|fake| fake.questions.borrow().len());
    (is_good, asked.collect())
}

#[tokio::test]
async fn a_name_resolves_when_any_of_three_upstreams_knows_it_or_that_there_is_none() {
    LocalSet::new()
        .run_until(async {
            for (rcodes, expected) in [
                (&[NOERROR, NOERROR][..], (true, vec![1, 0])),
                (&[NXDOMAIN], (true, vec![1])),
                (&[SERVFAIL], (false, vec![1])),
                (&[SERVFAIL, NOERROR], (true, vec![1, 1])),
                (&[REFUSED, SERVFAIL, NOERROR], (true, vec![1, 1, 1])),
                (
                    &[REFUSED, SERVFAIL, SERVFAIL, NOERROR],
                    (false, vec![1, 1, 1, 0]),
                ),
                (&[SILENCE, NOERROR], (true, vec![1, 1])),
            ] {
                assert_eq!(outcome(rcodes, CANARY_TIME).await, expected, "{rcodes:?}");
            }
        })
        .await;
}

#[tokio::test]
async fn silence_ends_at_the_limit() {
    LocalSet::new()
        .run_until(async {
            let begun = Instant::now();
            let (is_good, asked) = outcome(&[SILENCE], Duration::from_millis(50)).await;
            assert_eq!((is_good, asked), (false, vec![1]));
            assert!(begun.elapsed() < CANARY_TIME);
        })
        .await;
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

/// Siblings answer from their caches, and would be asked by all others in turn.
#[tokio::test]
async fn siblings_are_never_asked() {
    LocalSet::new()
        .run_until(async {
            let (dead, sibling) = (fake(SERVFAIL).await, fake(NOERROR).await);
            let upstreams = upstreams(&[&dead], &[&sibling]);
            assert!(!resolves(&upstreams, &key(b'a'), CANARY_TIME).await);
            assert!(sibling.questions.borrow().is_empty());
        })
        .await;
}

#[tokio::test]
async fn results_of_canaries_come_and_a_fresh_name_is_another_each_time() {
    LocalSet::new()
        .run_until(async {
            let fake = fake(SERVFAIL).await;
            let upstreams = upstreams(&[&fake], &[]);
            let (sender, mut results) = mpsc::channel(4);
            let (stop, stopped) = watch::channel(false);
            let settings = CanarySettings {
                canaries: vec![Canary {
                    name: b"\x01d\x00".to_vec(),
                    is_fresh: true,
                    rtype: 28,
                }],
                needed: None,
                interval: Duration::from_millis(20),
            };
            let running = tokio::task::spawn_local(run(upstreams, settings, sender, stopped));
            for is_good in [false, true] {
                fake.rcode.set(if is_good { NXDOMAIN } else { SERVFAIL });
                let expected = CanaryResult { canary: 0, is_good };
                timeout(FAR, async {
                    while results.recv().await != Some(expected) {}
                })
                .await
                .unwrap();
            }
            let questions = fake.questions.borrow().clone();
            assert!(questions[0].ends_with(b"\x01d\0\0\x1c\0\x01"));
            assert_ne!(questions[0], questions[1]);
            stop.send(true).unwrap();
            timeout(FAR, running).await.unwrap().unwrap();
        })
        .await;
}

#[tokio::test]
async fn what_failed_is_asked_again_while_its_zone_is_watched() {
    LocalSet::new()
        .run_until(async {
            let fake = fake(SERVFAIL).await;
            let upstreams = upstreams(&[&fake], &[]);
            let quality = upstreams.quality();
            let worker = quality.join();
            let ended = Ended {
                key: &key(b'a'),
                prefix: Prefix::of([10, 0, 0, 1].into(), PrefixLengths::default()),
                took: None,
            };
            quality.ended(&worker, 0, ended, Instant::now().into_std());
            let (sender, _results) = mpsc::channel(4);
            let (_stop, stopped) = watch::channel(false);
            let settings = CanarySettings::default();
            let keeping = run(Arc::clone(&upstreams), settings, sender, stopped);
            tokio::task::spawn_local(keeping);
            tokio::task::yield_now().await;
            assert!(fake.questions.borrow().is_empty());
            quality.watch(0, true);
            until(|| fake.questions.borrow().len() == 1).await;
            until(|| quality.witnesses(0) == (1, 0)).await;
            fake.rcode.set(NOERROR);
            until(|| quality.witnesses(0) == (1, 1)).await;
            quality.watch(0, false);
            until(|| quality.witnesses(0) == (0, 0)).await;
        })
        .await;
}
