#![warn(clippy::indexing_slicing, clippy::as_conversions)]
//! Probes of another program that answers for a service.
//!
//! Each interval one question over UDP and each second one over TCP. When UDP stays unanswered for a
//! third of its limit, TCP is asked at once, so that every round with silence has both; what they
//! mean together stands in `rounds`. A source port that stays unanswered is asked from again: where
//! the threads of a program share a port, the kernel picks the thread by it, and one that is wedged
//! is not to look like one lost datagram in many. The port stays, the way to the program is found anew.
//! Answers to its earlier questions are looked out for: late ones show a program that is slow, not dead.
//! After a while a new port is asked from as well.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, join3};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::health::question::Question;
use crate::health::rounds::{Answer, Round, Rounds};
use crate::health::{ProbeReport, Target};
use crate::os::udp_table;

/// No probe waits longer for its answer.
const LIMIT_MAX: Duration = Duration::from_millis(150);
/// Datagrams that are thrown away before a question at most.
const STALE_MAX: usize = 64;
/// Questions whose late answers are looked out for: those of several seconds.
const ASKED_MAX: usize = 32;
/// An answer to a probe is short; a longer one is cut, and may be right all the same.
const ANSWER_MAX: usize = 1500;

/// Another program, as it is to be probed.
#[derive(Clone, Debug)]
pub struct Another {
    /// Whose address it answers for.
    pub target: Target,
    /// Where it listens.
    pub address: SocketAddr,
    /// What the probes leave from; `None`: what the kernel thinks best.
    pub source: Option<IpAddr>,
    /// Whether it is to answer over TCP.
    pub tcp: bool,
    /// What it is asked.
    pub question: Question,
}

/// What is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A result.
    Probe(ProbeReport),
    /// So many more datagrams were lost before the program read them. Looked at only while it does
    /// not answer.
    Lost(Target, u64),
}

/// Probes until it is dropped; at once done when there is nobody to probe.
pub async fn run(every: Duration, others: Vec<Another>, report: impl FnMut(Instant, News)) {
    // With what a question over TCP takes after that, a round ends within its interval.
    let limit = LIMIT_MAX.min(every * 3 / 5);
    let report = RefCell::new(report);
    let probers = others.into_iter().map(|another| {
        let prober = Prober {
            rounds: Rounds::new(another.tcp),
            another,
            limit,
            kept: None,
            lost: None,
            reading: None,
        };
        prober.run(every, &report)
    });
    join_all(probers).await;
}

struct Prober {
    another: Another,
    limit: Duration,
    rounds: Rounds,
    kept: Option<Kept>,
    /// Datagrams that the program had lost when it was last looked at.
    lost: Option<u64>,
    reading: Option<Reading>,
}

/// The socket of the latest question over UDP, while that is unanswered.
struct Kept {
    socket: UdpSocket,
    /// Its unanswered questions, the latest last.
    asked: VecDeque<Vec<u8>>,
}

/// How a question over UDP ended, and whether an earlier one was answered meanwhile.
type Heard = (Answer, bool);

/// A look into the kernel's tables that has not ended.
type Reading = Pin<Box<dyn Future<Output = io::Result<Option<u64>>>>>;

impl Prober {
    async fn run(mut self, every: Duration, report: &RefCell<impl FnMut(Instant, News)>) {
        let target = self.another.target;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let round = self.ask().await;
            let now = Instant::now();
            // Never borrowed twice: the callback is synchronous and cannot reach the prober.
            let mut report = report.borrow_mut();
            if let (Some(before), Some(total)) = (self.lost, round.dropped)
                && total > before
            {
                report(now, News::Lost(target, total - before));
            }
            self.lost = round.dropped.or(self.lost);
            for (probe, outcome) in self.rounds.judge(now, round) {
                let result = ProbeReport {
                    target,
                    probe,
                    outcome,
                };
                report(now, News::Probe(result));
            }
        }
    }

    async fn ask(&mut self) -> Round {
        let now = Instant::now();
        let asks_tcp_at_once = self.rounds.wants_tcp(now);
        let may_ask_tcp = self.rounds.may_ask_tcp();
        let asks_fresh = self.rounds.wants_fresh(now);
        let (another, limit) = (&self.another, self.limit);
        let mut udp = pin!(ask_udp(another, &mut self.kept, limit));
        if !asks_tcp_at_once && let Ok((udp, is_late)) = timeout(limit / 3, &mut udp).await {
            return Round {
                udp,
                tcp: None,
                dropped: None,
                is_late,
                fresh: None,
            };
        }
        if !asks_tcp_at_once {
            let dropped = look(&mut self.reading, another.address, limit);
            let tcp = ask_if(may_ask_tcp, ask_tcp(another, limit));
            let ((udp, is_late), tcp, dropped) = join3(udp, tcp, dropped).await;
            return Round {
                udp,
                tcp,
                dropped,
                is_late,
                fresh: None,
            };
        }
        let mut new = None;
        let fresh = ask_if(asks_fresh, ask_udp(another, &mut new, limit));
        let ((udp, is_late), tcp, fresh) = join3(udp, ask_tcp(another, limit), fresh).await;
        let dropped = match udp {
            Answer::Silence => look(&mut self.reading, another.address, limit / 3).await,
            Answer::Right | Answer::Wrong | Answer::Refused => None,
        };
        Round {
            udp,
            tcp: Some(tcp),
            dropped,
            is_late,
            fresh: fresh.map(|(answer, _)| answer),
        }
    }
}

async fn ask_if<T>(is_wanted: bool, asking: impl Future<Output = T>) -> Option<T> {
    match is_wanted {
        true => Some(asking.await),
        false => None,
    }
}

/// Asks from the port that the last question stayed unanswered on, or from a new one; keeps it if
/// this one does too.
async fn ask_udp(another: &Another, kept: &mut Option<Kept>, limit: Duration) -> Heard {
    let open = || {
        open_udp(another).map(|socket| Kept {
            socket,
            asked: VecDeque::new(),
        })
    };
    let Kept { socket, mut asked } = match kept.take().map_or_else(open, Ok) {
        Ok(kept) => kept,
        // There is no way to it.
        Err(_) => return (Answer::Silence, false),
    };
    let question = &another.question;
    let is_of_earlier = |asked: &VecDeque<Vec<u8>>, message: &[u8]| {
        let mut asked = asked.iter();
        asked.any(|query| (question.judge)(query, message).is_some())
    };
    let mut is_late = false;
    // The way is looked up anew. In the moment in which the kernel adds an IPv6 address there may be none,
    // and Linux (6.18) lets a socket keep that for ever: what it sends is dropped without an error.
    if let Err(error) = socket.connect(another.address).await {
        return (refused_or_silent(&error), false);
    }
    let mut buffer = [0; ANSWER_MAX];
    for _ in 0..STALE_MAX {
        // Refusals of earlier questions are taken out as well.
        match socket.try_recv(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Ok(length) => {
                is_late |= is_of_earlier(&asked, buffer.get(..length).unwrap_or_default());
            }
            Err(_) => {}
        }
    }
    let query = (question.query)(rand::random());
    let wait = async {
        // Waits where the queue to the network is full.
        if let Err(error) = socket.send(&query).await {
            return refused_or_silent(&error);
        }
        loop {
            let length = match socket.recv(&mut buffer).await {
                Ok(length) => length,
                Err(error) => return refused_or_silent(&error),
            };
            let message = buffer.get(..length).unwrap_or_default();
            if let Some(judged) = (question.judge)(&query, message) {
                return right_or_wrong(&judged);
            }
            // What is no reply to this question says nothing about it.
            is_late |= is_of_earlier(&asked, message);
        }
    };
    let answer = timeout(limit, wait).await;
    if answer.is_err() {
        asked.push_back(query);
        if asked.len() > ASKED_MAX {
            asked.pop_front();
        }
        *kept = Some(Kept { socket, asked });
    }
    (answer.unwrap_or(Answer::Silence), is_late)
}

fn open_udp(another: &Another) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(source(another))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

async fn ask_tcp(another: &Another, limit: Duration) -> Answer {
    let query = (another.question.query)(rand::random());
    match timeout(limit, exchange_tcp(another, &query)).await {
        Ok(Ok(answer)) => answer,
        // Closed by the other side without an answer is what a server without a free slot does.
        Ok(Err(_)) | Err(_) => Answer::Silence,
    }
}

/// One message each way with the two-octet length before it. RFC 1035 §4.2.2.
async fn exchange_tcp(another: &Another, query: &[u8]) -> io::Result<Answer> {
    let socket = match another.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(source(another))?;
    let mut stream = match socket.connect(another.address).await {
        Ok(stream) => stream,
        Err(error) => return Ok(refused_or_silent(&error)),
    };
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), query].concat();
    stream.write_all(&framed).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(match (another.question.judge)(query, &message) {
        Some(judged) => right_or_wrong(&judged),
        None => Answer::Wrong,
    })
}

/// Datagrams that were lost at `address` so far, if the kernel says so within `limit`. One look at a
/// time: a slow one goes on, and the next call waits for it.
async fn look(reading: &mut Option<Reading>, address: SocketAddr, limit: Duration) -> Option<u64> {
    let look = reading.get_or_insert_with(|| Box::pin(udp_table::drops(address)));
    let total = timeout(limit, look.as_mut()).await.ok()?;
    *reading = None;
    total.ok().flatten()
}

fn source(another: &Another) -> SocketAddr {
    let any: IpAddr = match another.address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(another.source.unwrap_or(any), 0)
}

fn refused_or_silent(error: &io::Error) -> Answer {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Answer::Refused,
        _ => Answer::Silence,
    }
}

fn right_or_wrong(judged: &Result<(), String>) -> Answer {
    match judged {
        Ok(()) => Answer::Right,
        Err(_) => Answer::Wrong,
    }
}

#[cfg(test)]
mod tests;
