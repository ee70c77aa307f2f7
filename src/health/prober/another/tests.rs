//! Against small servers on loopback.

use std::cell::Cell;
use std::net::UdpSocket as StdUdpSocket;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{Either, join, select};
use tokio::net::TcpListener;

use super::*;
use crate::health::{Family, ProbeOf, ProbeOutcome};

const EVERY: Duration = Duration::from_millis(100);
const TARGET: Target = Target {
    service: 3,
    family: Family::V4,
};

/// A question is its id; the right answer repeats it with a mark.
fn question() -> Question {
    Question {
        text: "?".into(),
        query: Arc::new(|id| id.to_be_bytes().to_vec()),
        judge: Arc::new(|asked, message| match message {
            [high, low, mark] if asked == [*high, *low] => Some(match mark {
                b'!' => Ok(()),
                _ => Err("wrong".to_owned()),
            }),
            _ => None,
        }),
    }
}

/// What a server does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Answers,
    Lies,
    Keeps,
    Closes,
}

/// A server on one port, over UDP and TCP.
struct Server {
    address: SocketAddr,
    udp: Rc<UdpSocket>,
    tcp: TcpListener,
    moods: [Rc<Cell<Mood>>; 2],
    /// Source ports of questions over UDP.
    ports: Rc<RefCell<Vec<u16>>>,
}

impl Server {
    async fn new(udp_mood: Mood, tcp_mood: Mood) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        Self {
            address: udp.local_addr().unwrap(),
            udp: Rc::new(udp),
            tcp,
            moods: [udp_mood, tcp_mood].map(|mood| Rc::new(Cell::new(mood))),
            ports: Rc::default(),
        }
    }

    async fn serve(&self) {
        join(self.serve_udp(), self.serve_tcp()).await;
    }

    async fn serve_udp(&self) {
        let mut buffer = [0; 64];
        loop {
            let (length, from) = self.udp.recv_from(&mut buffer).await.unwrap();
            self.ports.borrow_mut().push(from.port());
            if let Some(mark) = mark(self.moods[0].get()) {
                let answer = [&buffer[..length], &[mark]].concat();
                self.udp.send_to(&answer, from).await.unwrap();
            }
        }
    }

    async fn serve_tcp(&self) {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = self.tcp.accept().await.unwrap();
            let mut query = [0; 4];
            stream.read_exact(&mut query).await.unwrap();
            match (self.moods[1].get(), mark(self.moods[1].get())) {
                (_, Some(mark)) => {
                    let answer = [0, 3, query[2], query[3], mark];
                    stream.write_all(&answer).await.unwrap();
                }
                (Mood::Closes, None) => drop(stream),
                (_, None) => kept.push(stream),
            }
        }
    }
}

fn mark(mood: Mood) -> Option<u8> {
    match mood {
        Mood::Answers => Some(b'!'),
        Mood::Lies => Some(b'?'),
        Mood::Keeps | Mood::Closes => None,
    }
}

fn another(address: SocketAddr, tcp: bool) -> Another {
    Another {
        target: TARGET,
        address,
        source: Some(Ipv4Addr::LOCALHOST.into()),
        tcp,
        question: question(),
    }
}

/// All news of the first rounds, as many as `rounds`.
async fn news(
    another: Another,
    rounds: usize,
    serving: impl Future<Output = ()>,
) -> Vec<(Instant, News)> {
    let told = RefCell::new(Vec::new());
    let (ended, mut is_ended) = tokio::sync::mpsc::channel(1);
    let report = |at, news| {
        told.borrow_mut().push((at, news));
        let of_udp = told.borrow();
        let of_udp = of_udp.iter().filter(
            |(_, news)| matches!(news, News::Probe(report) if report.probe == ProbeOf::Address),
        );
        if of_udp.count() > rounds {
            let _ = ended.try_send(());
        }
    };
    let probing = pin!(join(run(EVERY, vec![another], report), serving));
    match select(probing, pin!(is_ended.recv())).await {
        Either::Left(_) => unreachable!("probers probe for ever"),
        Either::Right(_) => {}
    }
    told.take()
}

fn outcomes(news: &[(Instant, News)], probe: ProbeOf) -> Vec<ProbeOutcome> {
    let reports = news.iter().filter_map(|(_, news)| match news {
        News::Probe(report) if report.probe == probe && report.target == TARGET => {
            Some(report.outcome)
        }
        News::Probe(_) | News::Lost(..) => None,
    });
    reports.collect()
}

async fn first_outcomes(udp: Mood, tcp: Mood) -> (ProbeOutcome, ProbeOutcome) {
    let server = Server::new(udp, tcp).await;
    let told = news(another(server.address, true), 1, server.serve()).await;
    (
        outcomes(&told, ProbeOf::Address)[0],
        outcomes(&told, ProbeOf::Tcp)[0],
    )
}

#[tokio::test]
async fn what_a_program_does_with_a_question_decides_what_its_probes_count_as() {
    use ProbeOutcome::{Bad, Good, Shed, Unanswered};
    for (udp, tcp, expected) in [
        (Mood::Answers, Mood::Answers, (Good, Good)),
        (Mood::Answers, Mood::Keeps, (Good, Shed)),
        (Mood::Answers, Mood::Closes, (Good, Shed)),
        (Mood::Answers, Mood::Lies, (Good, Bad)),
        (Mood::Lies, Mood::Answers, (Bad, Good)),
        (Mood::Keeps, Mood::Answers, (Shed, Good)),
        (Mood::Keeps, Mood::Closes, (Unanswered, Unanswered)),
    ] {
        assert_eq!(first_outcomes(udp, tcp).await, expected, "{udp:?} {tcp:?}");
    }
}

/// The kernel takes datagrams and connections for it as long as there is room.
#[tokio::test]
async fn a_program_that_stands_still_leaves_both_unanswered_in_every_round() {
    let server = Server::new(Mood::Keeps, Mood::Keeps).await;
    let began = Instant::now();
    let told = news(another(server.address, true), 3, std::future::pending()).await;
    let udp = outcomes(&told, ProbeOf::Address);
    assert_eq!(udp[..3], [ProbeOutcome::Unanswered; 3]);
    let tcp = outcomes(&told, ProbeOf::Tcp);
    assert_eq!(tcp[..3], [ProbeOutcome::Unanswered; 3]);
    let reports = told.iter().filter_map(|(at, news)| match news {
        News::Probe(report) if report.probe == ProbeOf::Address => Some(*at),
        News::Probe(_) | News::Lost(..) => None,
    });
    let third = reports.take(3).last().unwrap() - began;
    assert!(third < Duration::from_secs(1), "{third:?} for three rounds");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_a_wrong_answer_at_once() {
    let address = Server::new(Mood::Keeps, Mood::Keeps).await.address;
    let told = news(another(address, true), 2, std::future::pending()).await;
    assert_eq!(
        outcomes(&told, ProbeOf::Address)[..2],
        [ProbeOutcome::Bad; 2]
    );
    assert_eq!(outcomes(&told, ProbeOf::Tcp)[0], ProbeOutcome::Bad);
}

#[tokio::test]
async fn silence_that_begins_is_tried_over_tcp_in_the_same_round() {
    let server = Server::new(Mood::Answers, Mood::Answers).await;
    let calm = 40;
    let turn = async {
        while server.ports.borrow().len() < calm {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.moods.iter().for_each(|mood| mood.set(Mood::Keeps));
        std::future::pending::<()>().await;
    };
    let serving = async {
        select(pin!(server.serve()), pin!(turn)).await;
    };
    let told = news(another(server.address, true), calm + 1, serving).await;
    let udp = outcomes(&told, ProbeOf::Address);
    let at = udp.iter().position(|o| *o != ProbeOutcome::Good).unwrap();
    assert_eq!(udp[at], ProbeOutcome::Unanswered);
    let tcp = outcomes(&told, ProbeOf::Tcp);
    assert!(tcp.contains(&ProbeOutcome::Shed), "{tcp:?}");
    assert!(tcp.len() < calm, "once a second while all is well: {tcp:?}");
}

/// Threads of one program that share a port are told apart by it.
#[tokio::test]
async fn the_port_of_an_unanswered_question_asks_again_and_others_are_new() {
    let server = Server::new(Mood::Keeps, Mood::Answers).await;
    news(another(server.address, true), 4, server.serve()).await;
    let ports = server.ports.take();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    server.moods[0].set(Mood::Answers);
    news(another(server.address, true), 4, server.serve()).await;
    let ports = server.ports.take();
    assert!(ports.windows(2).all(|two| two[0] != two[1]), "{ports:?}");
}

/// One that was looked for while the kernel added the address may lead nowhere for ever.
#[tokio::test]
async fn each_question_finds_its_way_anew_and_leaves_from_the_same_port() {
    let server = Server::new(Mood::Answers, Mood::Answers).await;
    let another = another(server.address, true);
    let elsewhere = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = open_udp(&another).unwrap();
    socket
        .connect(elsewhere.local_addr().unwrap())
        .await
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut kept = Some(Kept {
        socket,
        asked: VecDeque::new(),
    });
    let asking = ask_udp(&another, &mut kept, Duration::from_secs(10));
    match select(pin!(asking), pin!(server.serve())).await {
        Either::Left((heard, _)) => assert_eq!(heard, (Answer::Right, false)),
        Either::Right(_) => unreachable!("servers serve for ever"),
    }
    assert_eq!(server.ports.take(), [port]);
}

/// A server that answers each question when it has got the next one.
#[tokio::test]
async fn an_answer_that_comes_too_late_is_noticed() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let another = another(socket.local_addr().unwrap(), true);
    let serving = async {
        let mut buffer = [0; 64];
        let mut last: Option<Vec<u8>> = None;
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            if let Some(last) = last.replace(buffer[..length].to_vec()) {
                let answer = [&last[..], b"!"].concat();
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    };
    let asking = async {
        let (limit, mut kept) = (Duration::from_millis(60), None);
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(ask_udp(&another, &mut kept, limit).await);
        }
        heard
    };
    let heard = match select(pin!(asking), pin!(serving)).await {
        Either::Left((heard, _)) => heard,
        Either::Right(_) => unreachable!("it serves for ever"),
    };
    let lateness = [false, true, true];
    assert_eq!(heard, lateness.map(|is_late| (Answer::Silence, is_late)));
}

#[tokio::test]
async fn where_tcp_is_not_served_lost_datagrams_are_the_evidence() {
    let server = Server::new(Mood::Keeps, Mood::Keeps).await;
    let flooder = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    flooder.connect(server.address).unwrap();
    let flood = async {
        let mut pause = interval(Duration::from_millis(5));
        // On a loaded host what was missed is not made up for, or nothing else would ever run.
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for _ in 0..200 {
                let _ = flooder.send(&[0; 1400]);
            }
            pause.tick().await;
        }
    };
    let told = news(another(server.address, false), 6, flood).await;
    let udp = outcomes(&told, ProbeOf::Address);
    assert_eq!(udp[3..6], [ProbeOutcome::Shed; 3], "{udp:?}");
    assert_eq!(outcomes(&told, ProbeOf::Tcp), []);
    let lost = |news: &News| matches!(news, News::Lost(TARGET, datagrams) if *datagrams > 0);
    assert!(told.iter().any(|(_, news)| lost(news)));
}
