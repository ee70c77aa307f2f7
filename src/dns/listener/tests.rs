//! Real sockets on loopback, with a forwarder that asks nobody.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Waker;

use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::dns::client::Asker;
use crate::dns::forward::{Done, Failure, Wish};
use crate::dns::identity::{ProbeName, probe_query, probe_worker};
use crate::dns::key::Key;
use crate::dns::shared::tests::{response, settings, start};
use crate::dns::shared::{judge, store};

mod leaving;
mod limits;
mod tcp;

const PATIENCE: Duration = Duration::from_secs(30);
const SLOW: &[u8] = b"\x04slow\x00";
const FAST: &[u8] = b"\x04fast\x00";

/// Answers every question with one record, and those for `slow.` when it is told to.
#[derive(Default)]
struct Echo {
    /// How many answers for `slow.` are still allowed.
    releases: Cell<usize>,
    /// How many questions have been asked.
    asked: Cell<usize>,
    /// How many that nobody waits for, and how many flushes came after one.
    refreshed: Cell<usize>,
    flushed: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Echo {
    fn release_one(&self) {
        self.releases.set(self.releases.get() + 1);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

struct Echoing {
    echo: Rc<Echo>,
    records: u16,
    waiting: VecDeque<(Key, Waiter)>,
    /// Something was asked since the last flush.
    has_news: bool,
}

impl Forward<Waiter> for Echoing {
    fn ask(
        &mut self,
        key: &Key,
        _asker: Asker,
        waiter: Waiter,
        _give_up_at: Option<std::time::Instant>,
        _now: std::time::Instant,
    ) -> Result<(), (Failure, Waiter)> {
        self.echo.asked.set(self.echo.asked.get() + 1);
        self.waiting.push_back((*key, waiter));
        self.has_news = true;
        Ok(())
    }

    fn may_refresh(&self, _key: &Key, _wish: Wish) -> bool {
        true
    }

    fn refresh(&mut self, _key: &Key, _now: std::time::Instant) -> bool {
        self.echo.refreshed.set(self.echo.refreshed.get() + 1);
        self.has_news = true;
        true
    }

    fn flush(&mut self, _now: std::time::Instant) {
        if self.has_news {
            self.echo.flushed.set(self.echo.flushed.get() + 1);
        }
        let waker = self.echo.waker.borrow();
        if let Some(waker) = waker.as_ref().filter(|_| self.has_news) {
            waker.wake_by_ref();
        }
        self.has_news = false;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        _now: std::time::Instant,
        done: &mut Done<'_, Waiter>,
    ) -> Progress {
        *self.echo.waker.borrow_mut() = Some(cx.waker().clone());
        for _ in 0..self.waiting.len() {
            let Some((key, waiter)) = self.waiting.pop_front() else {
                break;
            };
            if key.name() == SLOW {
                let Some(left) = self.echo.releases.get().checked_sub(1) else {
                    self.waiting.push_back((key, waiter));
                    continue;
                };
                self.echo.releases.set(left);
            }
            let mut told = response(&key, 0, self.records);
            done(&key, told.outcome(), vec![waiter].drain(..));
        }
        Progress::Waiting
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn under_way(&self) -> usize {
        self.waiting.len()
    }

    fn is_usable(&self, _key: &Key) -> bool {
        true
    }
}

struct Node {
    udp: SocketAddr,
    tcp: SocketAddr,
    shared: Arc<Shared>,
    echo: Rc<Echo>,
    stop: watch::Sender<bool>,
}

/// Beats time until nobody listens.
fn pulse() -> watch::Receiver<u64> {
    let (beat, pulse) = watch::channel(0);
    let beating = async move {
        while !beat.is_closed() {
            sleep(HEARTBEAT).await;
            beat.send_modify(|beat| *beat += 1);
        }
    };
    // The test's own runtime ends it at the latest.
    drop(tokio::task::spawn(beating));
    pulse
}

/// Runs worker 1 beside `client`, and checks that it ends when told to.
async fn with_worker<C: Future<Output = ()>>(client: impl FnOnce(Rc<Node>) -> C) {
    with_worker_and_upstream(1, client).await;
}

/// The same with so many records in every answer of the upstream.
async fn with_worker_and_upstream<C: Future<Output = ()>>(
    records: u16,
    client: impl FnOnce(Rc<Node>) -> C,
) {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    udp.set_nonblocking(true).unwrap();
    tcp.set_nonblocking(true).unwrap();
    let (stop, stopped) = watch::channel(false);
    let node = Rc::new(Node {
        udp: udp.local_addr().unwrap(),
        tcp: tcp.local_addr().unwrap(),
        shared: Arc::new(Shared::new(
            &settings(),
            ProbeName::new([7; 16]),
            long_ago(),
        )),
        echo: Rc::default(),
        stop,
    });
    let sockets = WorkerSockets {
        connections: CONNECTIONS_MAX,
        udp: vec![udp],
        tcp: vec![tcp],
    };
    let forwarder = Echoing {
        echo: Rc::clone(&node.echo),
        records,
        waiting: VecDeque::new(),
        has_news: false,
    };
    let worker = run(
        1,
        sockets,
        Arc::clone(&node.shared),
        forwarder,
        pulse(),
        stopped,
    );
    let client = client(Rc::clone(&node));
    let both = async move {
        tokio::join!(worker, async {
            client.await;
            node.stop.send(true).unwrap();
        })
    };
    let (ended, ()) = timeout(PATIENCE, LocalSet::new().run_until(both))
        .await
        .expect("the worker answers and ends in time");
    ended.unwrap();
}

/// A minute ago.
fn long_ago() -> std::time::Instant {
    start().checked_sub(Duration::from_secs(60)).unwrap()
}

fn query(name: &[u8], id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend_from_slice(name);
    message.extend_from_slice(&[0, 1, 0, 1]);
    message
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    [&length.to_be_bytes(), message].concat()
}

async fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut message = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut message).await.unwrap();
    message
}

async fn udp_client(node: &Node) -> tokio::net::UdpSocket {
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let socket = socket.unwrap();
    socket.connect(node.udp).await.unwrap();
    socket
}

/// Returns when the worker has had every chance to read what was sent before: a later question by
/// UDP has gone all the way, several times over.
async fn all_is_read(node: &Node) {
    let socket = udp_client(node).await;
    for id in 0..8 {
        socket.send(&query(FAST, id)).await.unwrap();
        receive(&socket).await;
    }
}

async fn receive(socket: &tokio::net::UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let octets = socket.recv(&mut buffer).await.unwrap();
    buffer.truncate(octets);
    buffer
}

#[tokio::test]
async fn misses_and_hits_are_answered_by_udp() {
    with_worker(async |node: Rc<Node>| {
        let client = udp_client(&node).await;
        client.send(&query(FAST, 7)).await.unwrap();
        let answer = Message::from_vec(&receive(&client).await).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (7, 1));

        client.send(&query(b"\x05local\x00", 8)).await.unwrap();
        let answer = Message::from_vec(&receive(&client).await).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (8, 1));

        let counters = &node.shared.workers()[1];
        assert_eq!(counters.udp_queries.value(), 2);
        assert!(counters.heartbeat.value() > 0);
        assert_eq!(node.shared.workers()[0].queries_value(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_waiting_question_delays_nobody() {
    with_worker(async |node: Rc<Node>| {
        let client = udp_client(&node).await;
        client.send(&query(SLOW, 1)).await.unwrap();
        client.send(&query(FAST, 2)).await.unwrap();
        let first = receive(&client).await;
        assert_eq!(first[..2], [0, 2]);
        node.echo.release_one();
        let second = receive(&client).await;
        assert_eq!(second[..2], [0, 1]);
    })
    .await;
}

/// RFC 8767 §5: the client has its expired answer, and the upstreams are asked once more, now.
#[tokio::test]
async fn what_is_to_be_fetched_again_is_asked_and_sent_once() {
    with_worker(|node| async move {
        let keys = [FAST, SLOW].map(|name| Key::new(name, 1, 1, false, false).unwrap());
        for key in &keys {
            let (mut told, then) = (response(key, 0, 1), long_ago());
            let mut judged = judge(&node.shared, key, told.outcome()).unwrap();
            judged.lifetime = Some(Duration::ZERO);
            store(&node.shared, key, &Ok(judged), then);
            let failed = then + Duration::from_secs(50);
            store(&node.shared, key, &Err(Failure::TimedOut.into()), failed);
        }
        let socket = udp_client(&node).await;
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        for id in 0..3 {
            socket.send(&query(FAST, id)).await.unwrap();
            assert_eq!(receive(&socket).await[..2], id.to_be_bytes());
            let message = framed(&query(SLOW, id));
            stream.write_all(&message).await.unwrap();
            assert_eq!(read_message(&mut stream).await[..2], id.to_be_bytes());
        }
        let echo = &node.echo;
        assert_eq!((echo.asked.get(), echo.refreshed.get()), (0, 2));
        assert_eq!(echo.flushed.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_self_probe_learns_the_worker_by_udp_and_tcp() {
    with_worker(async |node: Rc<Node>| {
        let name = ProbeName::new([7; 16]);
        let message = probe_query(&name, 5);
        let client = udp_client(&node).await;
        client.send(&message).await.unwrap();
        assert_eq!(probe_worker(&name, 5, &receive(&client).await), Some(1));
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        stream.write_all(&framed(&message)).await.unwrap();
        let answer = read_message(&mut stream).await;
        assert_eq!(probe_worker(&name, 5, &answer), Some(1));
        // The latency that is told is that of clients: probes once were among it.
        let latency = &node.shared.workers()[1].hit_latency;
        assert!(latency.buckets.iter().all(|bucket| bucket.value() == 0));
    })
    .await;
}

#[tokio::test]
async fn garbage_by_udp_leaves_the_worker_answering() {
    with_worker(async |node: Rc<Node>| {
        let client = udp_client(&node).await;
        for octets in 0..300_u16 {
            let garbage: Vec<u8> = (0..octets)
                .map(|at| (at * 37 + octets).to_be_bytes()[1] | 0x80)
                .collect();
            client.send(&garbage).await.unwrap();
            if octets % 50 == 49 {
                // The socket's buffer does not hold all of it.
                client.send(&query(FAST, octets)).await.unwrap();
                assert_eq!(receive(&client).await[..2], octets.to_be_bytes());
            }
        }
        let counters = &node.shared.workers()[1];
        assert_eq!(counters.malformed.value(), 300);
    })
    .await;
}

/// A client that is gone makes the kernel report errors on the socket that answered it.
#[tokio::test]
async fn answers_to_closed_ports_do_not_end_the_loop() {
    with_worker(async |node: Rc<Node>| {
        for id in 0..50 {
            let gone = udp_client(&node).await;
            gone.send(&query(b"\x05local\x00", id)).await.unwrap();
        }
        let client = udp_client(&node).await;
        client.send(&query(FAST, 9)).await.unwrap();
        assert_eq!(receive(&client).await[..2], [0, 9]);
    })
    .await;
}

#[tokio::test]
async fn a_worker_without_counters_does_not_start() {
    let shared = Arc::new(Shared::new(&settings(), ProbeName::new([7; 16]), start()));
    let (_stop, stopped) = watch::channel(false);
    let sockets = WorkerSockets {
        connections: CONNECTIONS_MAX,
        udp: Vec::new(),
        tcp: Vec::new(),
    };
    let forwarder = Echoing {
        echo: Rc::default(),
        records: 1,
        waiting: VecDeque::new(),
        has_news: false,
    };
    let ended = run(2, sockets, shared, forwarder, pulse(), stopped).await;
    assert!(matches!(ended, Err(ListenerError::Index(2))));
}
