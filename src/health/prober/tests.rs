//! Against small servers on loopback that share a port as the workers do.

use std::cell::Cell;
use std::net::UdpSocket as StdUdpSocket;
use std::rc::Rc;

use futures_util::future::{Either, select};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

const LIMIT: Duration = Duration::from_millis(120);
/// More rounds than a search among three workers ever needs.
const ROUNDS_MAX: usize = 30;

/// A question is its id; the answer is the id, a mark and the worker.
fn codec() -> ProbeCodec {
    ProbeCodec {
        query: Box::new(|id| id.to_be_bytes().to_vec()),
        worker_of: Box::new(|id, message| match message {
            [high, low, b'!', worker] if [*high, *low] == id.to_be_bytes() => {
                Some(usize::from(*worker))
            }
            _ => None,
        }),
    }
}

/// What a fake worker does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Answers,
    Wedged,
    Lies,
    Late(Duration),
}

struct Fleet {
    address: SocketAddr,
    moods: Vec<Rc<Cell<Mood>>>,
    names: Vec<Rc<Cell<u8>>>,
    sockets: Vec<StdUdpSocket>,
}

impl Fleet {
    fn new(ip: &str, workers: u8) -> Self {
        let mut address = SocketAddr::new(ip.parse().unwrap(), 0);
        let mut sockets = Vec::new();
        for _ in 0..workers {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::DGRAM,
                Some(Protocol::UDP),
            )
            .unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.bind(&address.into()).unwrap();
            let socket = StdUdpSocket::from(socket);
            address = socket.local_addr().unwrap();
            sockets.push(socket);
        }
        let moods = sockets
            .iter()
            .map(|_| Rc::new(Cell::new(Mood::Answers)))
            .collect();
        let names = (0..workers).map(|name| Rc::new(Cell::new(name))).collect();
        Self {
            address,
            moods,
            names,
            sockets,
        }
    }

    /// Serves while `scenario` runs.
    async fn during<T>(&self, scenario: impl Future<Output = T>) -> T {
        let workers = self.sockets.iter().enumerate().map(|(i, socket)| {
            let socket = UdpSocket::from_std(socket.try_clone().unwrap()).unwrap();
            serve(socket, Rc::clone(&self.moods[i]), Rc::clone(&self.names[i]))
        });
        let workers = std::pin::pin!(join_all(workers));
        match select(workers, std::pin::pin!(scenario)).await {
            Either::Left(_) => unreachable!("workers serve for ever"),
            Either::Right((outcome, _)) => outcome,
        }
    }

    fn set(&self, worker: usize, mood: Mood) {
        self.moods[worker].set(mood);
    }
}

async fn serve(socket: UdpSocket, mood: Rc<Cell<Mood>>, name: Rc<Cell<u8>>) {
    let mut buffer = [0; 64];
    loop {
        if mood.get() == Mood::Wedged {
            sleep(Duration::from_millis(1)).await;
            continue;
        }
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let mut answer = buffer[..length].to_vec();
        answer.extend_from_slice(&[b'!', name.get()]);
        match mood.get() {
            // It stopped between waiting and reading: as if it had never read.
            Mood::Wedged => continue,
            Mood::Answers => {}
            Mood::Lies => answer[2] = b'?',
            Mood::Late(delay) => sleep(delay).await,
        }
        socket.send_to(&answer, from).await.unwrap();
    }
}

const fn good(worker: usize) -> (ProbeOf, ProbeOutcome) {
    (ProbeOf::Worker(worker), ProbeOutcome::Good)
}

/// Probes until a round gives `expected`; every result on the way must pass `is_allowed`.
async fn reach(
    ports: &mut Ports,
    expected: &[(ProbeOf, ProbeOutcome)],
    is_allowed: impl Fn(ProbeOf, ProbeOutcome) -> bool,
) {
    for _ in 0..ROUNDS_MAX {
        let results = ports.probe(&codec(), LIMIT).await;
        assert!(
            results.iter().all(|(p, o)| is_allowed(*p, *o)),
            "{results:?}"
        );
        if results == expected {
            return;
        }
    }
    panic!("never {expected:?}");
}

async fn each_worker_is_found(ip: &str) {
    let fleet = Fleet::new(ip, 3);
    fleet
        .during(async {
            let mut ports = Ports::new(fleet.address, 3);
            let all = [good(0), good(1), good(2)];
            reach(&mut ports, &all, |_, outcome| outcome == ProbeOutcome::Good).await;
            for _ in 0..5 {
                assert_eq!(
                    ports.probe(&codec(), LIMIT).await,
                    all,
                    "found ports are kept"
                );
            }
        })
        .await;
}

#[tokio::test]
async fn each_worker_is_found_and_asked_once_per_round() {
    each_worker_is_found("127.0.0.1").await;
    each_worker_is_found("::1").await;
}

#[tokio::test]
async fn a_worker_that_wedges_later_is_named_and_the_others_are_not() {
    let fleet = Fleet::new("127.0.0.1", 3);
    fleet
        .during(async {
            let mut ports = Ports::new(fleet.address, 3);
            let all = [good(0), good(1), good(2)];
            reach(&mut ports, &all, |_, _| true).await;
            fleet.set(1, Mood::Wedged);
            let silent = (ProbeOf::Worker(1), ProbeOutcome::Unanswered);
            for _ in 0..4 {
                let results = ports.probe(&codec(), LIMIT).await;
                assert_eq!(results, [good(0), silent, good(2)]);
            }
            // It now answers the old questions first: they are late, not wrong.
            fleet.set(1, Mood::Answers);
            reach(&mut ports, &all, |_, outcome| outcome != ProbeOutcome::Bad).await;
        })
        .await;
}

#[tokio::test]
async fn a_worker_that_is_wedged_from_the_start_is_blamed_on_nobody_and_never_good() {
    let fleet = Fleet::new("127.0.0.1", 2);
    fleet.set(1, Mood::Wedged);
    fleet
        .during(async {
            let mut ports = Ports::new(fleet.address, 2);
            reach(&mut ports, &[good(0)], |probe, _| {
                probe != ProbeOf::Worker(1)
            })
            .await;
            for _ in 0..5 {
                assert_eq!(ports.probe(&codec(), LIMIT).await, [good(0)]);
            }
            fleet.set(1, Mood::Answers);
            reach(&mut ports, &[good(0), good(1)], |_, _| true).await;
        })
        .await;
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_told_once_per_round() {
    let fleet = Fleet::new("127.0.0.1", 2);
    fleet.set(0, Mood::Wedged);
    fleet.set(1, Mood::Wedged);
    fleet
        .during(async {
            let mut ports = Ports::new(fleet.address, 2);
            for _ in 0..3 {
                let results = ports.probe(&codec(), LIMIT).await;
                assert_eq!(results, [(ProbeOf::Address, ProbeOutcome::Unanswered)]);
            }
        })
        .await;
}

#[tokio::test]
async fn a_port_that_stops_matching_is_given_up_and_blames_nobody() {
    let fleet = Fleet::new("127.0.0.1", 2);
    fleet
        .during(async {
            let mut ports = Ports::new(fleet.address, 2);
            let all = [good(0), good(1)];
            reach(&mut ports, &all, |_, _| true).await;
            fleet.names[0].set(1);
            fleet.names[1].set(0);
            reach(&mut ports, &all, |_, outcome| outcome == ProbeOutcome::Good).await;
            // Only one is left: the other one's port now belongs to it.
            fleet.names[1].set(1);
            reach(&mut ports, &[good(1)], |_, outcome| {
                outcome == ProbeOutcome::Good
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn a_wrong_answer_is_bad_and_a_late_one_is_unanswered() {
    let fleet = Fleet::new("127.0.0.1", 1);
    fleet
        .during(async {
            let mut ports = Ports::new(fleet.address, 1);
            reach(&mut ports, &[good(0)], |_, _| true).await;
            fleet.set(0, Mood::Lies);
            let bad = (ProbeOf::Worker(0), ProbeOutcome::Bad);
            assert_eq!(ports.probe(&codec(), LIMIT).await, [bad]);
            fleet.set(0, Mood::Late(LIMIT + LIMIT / 2));
            for _ in 0..5 {
                let results = ports.probe(&codec(), LIMIT).await;
                assert_eq!(results, [(ProbeOf::Worker(0), ProbeOutcome::Unanswered)]);
            }
        })
        .await;
}

#[tokio::test]
async fn a_closed_port_is_unanswered_before_the_limit() {
    let address = {
        let closed = Fleet::new("127.0.0.1", 1);
        closed.address
    };
    let mut ports = Ports::new(address, 1);
    let limit = Duration::from_secs(60);
    let results = timeout(Duration::from_secs(10), ports.probe(&codec(), limit))
        .await
        .unwrap();
    assert_eq!(results, [(ProbeOf::Address, ProbeOutcome::Unanswered)]);
}

/// Answers each connection once; drops every connection without an answer while `is_full`.
async fn serve_tcp(listener: TcpListener, is_full: Rc<Cell<bool>>) {
    loop {
        let (mut stream, from) = listener.accept().await.unwrap();
        assert!(from.ip().is_loopback());
        if is_full.get() {
            continue;
        }
        let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut query).await.unwrap();
        query.extend_from_slice(b"!\x00");
        stream
            .write_u16(u16::try_from(query.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&query).await.unwrap();
    }
}

#[tokio::test]
async fn both_protocols_are_probed_and_told_and_a_dropped_connection_is_unanswered() {
    let fleet = Fleet::new("127.0.0.1", 1);
    let listener = TcpListener::bind(fleet.address).await.unwrap();
    let target = Target {
        service: 3,
        family: Family::V4,
    };
    let settings = ProberSettings {
        interval: 2 * LIMIT,
        workers: 1,
        targets: vec![(target, fleet.address)],
    };
    let is_full = Rc::new(Cell::new(true));
    let (results, mut reports) = tokio::sync::mpsc::channel(64);
    let prober = run(settings, codec(), |_, report| {
        results.try_send(report).unwrap();
    });
    let scenario = async {
        let first_tcp = loop {
            let report: ProbeReport = reports.recv().await.unwrap();
            assert_eq!(report.target, target);
            match report.probe {
                ProbeOf::Worker(0) => assert_eq!(report.outcome, ProbeOutcome::Good),
                ProbeOf::Worker(_) | ProbeOf::Address => panic!("{report:?}"),
                ProbeOf::Tcp => break report.outcome,
            }
        };
        assert_eq!(first_tcp, ProbeOutcome::Unanswered);
        is_full.set(false);
        let mut seen = [false; 2];
        while seen != [true; 2] {
            let report = reports.recv().await.unwrap();
            if report.outcome == ProbeOutcome::Good {
                seen[usize::from(report.probe == ProbeOf::Tcp)] = true;
            }
        }
    };
    let background = join(prober, serve_tcp(listener, Rc::clone(&is_full)));
    let foreground = timeout(Duration::from_secs(10), fleet.during(scenario));
    match select(std::pin::pin!(background), std::pin::pin!(foreground)).await {
        Either::Left(_) => unreachable!("both run for ever"),
        Either::Right((done, _)) => done.unwrap(),
    }
}
