//! Real sockets on loopback, with a forwarder that asks nobody.
#![expect(clippy::disallowed_methods, reason = "silence is measured")]

use std::cell::RefCell;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::dns::forward::Outcome;
use crate::dns::identity::{ProbeName, probe_query, probe_worker};
use crate::dns::key::Key;
use crate::dns::request::Transport;
use crate::dns::shared::tests::{response, settings, start};

const PATIENCE: Duration = Duration::from_secs(30);
const SLOW: &[u8] = b"\x04slow\x00";
const FAST: &[u8] = b"\x04fast\x00";

/// Answers every question with one record, and those for `slow.` when it is told to.
#[derive(Default)]
struct Echo {
    release: tokio::sync::Notify,
    asked: RefCell<Vec<Vec<u8>>>,
}

impl Forward for Echo {
    async fn ask(&self, key: &Key) -> Rc<Outcome> {
        self.asked.borrow_mut().push(key.name().to_vec());
        if key.name() == SLOW {
            self.release.notified().await;
        }
        Rc::new(response(key, 0, 1))
    }

    fn is_usable(&self, _key: &Key) -> bool {
        true
    }
}

struct Node {
    udp: SocketAddr,
    tcp: SocketAddr,
    shared: Arc<Shared>,
    forwarder: Rc<Echo>,
    stop: watch::Sender<bool>,
}

/// Runs worker 1 beside `client`, and checks that it ends when told to.
async fn with_worker<C: Future<Output = ()>>(client: impl FnOnce(Rc<Node>) -> C) {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    udp.set_nonblocking(true).unwrap();
    tcp.set_nonblocking(true).unwrap();
    let (stop, stopped) = watch::channel(false);
    let node = Rc::new(Node {
        udp: udp.local_addr().unwrap(),
        tcp: tcp.local_addr().unwrap(),
        shared: Arc::new(Shared::new(&settings(), ProbeName::new([7; 16]), start())),
        forwarder: Rc::default(),
        stop,
    });
    let sockets = WorkerSockets {
        connections: CONNECTIONS_MAX,
        udp: vec![udp],
        tcp: vec![tcp],
    };
    let (shared, forwarder) = (Arc::clone(&node.shared), Rc::clone(&node.forwarder));
    let worker = run(1, sockets, shared, forwarder, stopped);
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
        node.forwarder.release.notify_one();
        let second = receive(&client).await;
        assert_eq!(second[..2], [0, 1]);
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

/// RFC 7766 §6.2.1.1 and §7: many questions on one connection, answers as they come.
#[tokio::test]
async fn tcp_answers_pipelined_questions_in_any_order() {
    with_worker(async |node: Rc<Node>| {
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        let questions = [framed(&query(SLOW, 1)), framed(&query(FAST, 2))].concat();
        // In two pieces that do not end where a message does.
        stream.write_all(&questions[..5]).await.unwrap();
        let counters = &node.shared.workers()[1];
        while counters.tcp_open.value() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        all_is_read(&node).await;
        stream.write_all(&questions[5..]).await.unwrap();
        assert_eq!(read_message(&mut stream).await[..2], [0, 2]);
        node.forwarder.release.notify_one();
        let answer = read_message(&mut stream).await;
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (1, 1));
        assert_eq!(node.shared.workers()[1].tcp_open.value(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_before_the_client_closed_its_side_is_answered() {
    with_worker(async |node: Rc<Node>| {
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        stream.write_all(&framed(&query(SLOW, 3))).await.unwrap();
        stream.shutdown().await.unwrap();
        while node.forwarder.asked.borrow().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        all_is_read(&node).await;
        node.forwarder.release.notify_one();
        assert_eq!(read_message(&mut stream).await[..2], [0, 3]);
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn garbage_by_tcp_ends_its_connection_and_no_other() {
    with_worker(async |node: Rc<Node>| {
        let mut good = TcpStream::connect(node.tcp).await.unwrap();
        let response = [&[0, 1, 0x81][..], &[0; 9]].concat();
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0], &framed(&response)] {
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            let read = stream.read(&mut [0; 16]).await;
            assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
        }
        good.write_all(&framed(&query(FAST, 4))).await.unwrap();
        assert_eq!(read_message(&mut good).await[..2], [0, 4]);
    })
    .await;
}

/// RFC 7766 §6.2.3; half a message is no activity.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_ten_seconds() {
    with_worker(async |node: Rc<Node>| {
        for sent in [&b""[..], &framed(&query(FAST, 1))[..9]] {
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            stream.write_all(sent).await.unwrap();
            let began = tokio::time::Instant::now();
            let read = stream.read(&mut [0; 1]).await;
            assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
            let silent = began.elapsed();
            assert!(silent >= Duration::from_secs(9), "{silent:?}");
            assert!(silent < Duration::from_secs(12), "{silent:?}");
        }
    })
    .await;
}

/// RFC 7766 §6.2.2.
#[tokio::test]
async fn one_client_has_a_bounded_number_of_connections() {
    with_worker(async |node: Rc<Node>| {
        let mut held = Vec::new();
        for _ in 0..connections::PER_CLIENT_MAX {
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            stream.write_all(&framed(&query(FAST, 5))).await.unwrap();
            read_message(&mut stream).await;
            held.push(stream);
        }
        let mut extra = TcpStream::connect(node.tcp).await.unwrap();
        let read = extra.read(&mut [0; 1]).await;
        assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
        let counters = &node.shared.workers()[1];
        assert_eq!(counters.tcp_rejected.value(), 1);

        held.clear();
        while counters.tcp_open.value() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        stream.write_all(&framed(&query(FAST, 6))).await.unwrap();
        assert_eq!(read_message(&mut stream).await[..2], [0, 6]);
    })
    .await;
}

/// The limit of questions on one connection holds back reading, and loses nothing.
#[tokio::test]
async fn more_questions_than_may_wait_on_one_connection_are_all_answered() {
    with_worker(async |node: Rc<Node>| {
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        let ids = 0..80_u16;
        let questions: Vec<u8> = ids
            .clone()
            .flat_map(|id| framed(&query(SLOW, id)))
            .collect();
        stream.write_all(&questions).await.unwrap();
        let counters = &node.shared.workers()[1];
        while counters.in_flight.value() < 32 {
            sleep(Duration::from_millis(5)).await;
        }
        all_is_read(&node).await;
        assert_eq!(counters.in_flight.value(), 32);
        let mut answered = Vec::new();
        for _ in ids.clone() {
            node.forwarder.release.notify_one();
            let message = read_message(&mut stream).await;
            answered.push(u16::from_be_bytes([message[0], message[1]]));
        }
        answered.sort_unstable();
        assert_eq!(answered, ids.collect::<Vec<_>>());
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
async fn a_full_answer_by_tcp_is_cut_by_udp() {
    let long = LongAnswer;
    let shared = Arc::new(Shared::new(&settings(), ProbeName::new([7; 16]), start()));
    let worker = Worker::new(0, shared, Rc::new(long)).unwrap();
    for (transport, truncated, records) in [(Transport::Udp, true, 0), (Transport::Tcp, false, 100)]
    {
        let now = start();
        let client = Ipv4Addr::LOCALHOST.into();
        let mut out = Vec::new();
        let step = worker.answer_now(&query(FAST, 1), client, transport, now, &mut out);
        let super::super::serve::Step::Miss(ticket) = step else {
            panic!("{step:?}");
        };
        worker.answer_later(&ticket, &mut out).await;
        let message = Message::from_vec(&out).unwrap();
        assert_eq!(message.metadata.truncation, truncated);
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
        assert_eq!(message.answers.len(), records);
    }
}

struct LongAnswer;

impl Forward for LongAnswer {
    async fn ask(&self, key: &Key) -> Rc<Outcome> {
        Rc::new(response(key, 0, 100))
    }

    fn is_usable(&self, _key: &Key) -> bool {
        true
    }
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
    let ended = run(2, sockets, shared, Rc::<Echo>::default(), stopped).await;
    assert!(matches!(ended, Err(ListenerError::Index(2))));
}
