#![warn(clippy::indexing_slicing, clippy::as_conversions)]
//! Source ports by worker: the kernel picks the worker by a hash of both ends of a datagram, so
//! a port that reached a worker once will reach it again.
//!
//! A port that was found stays while its worker is silent: that silence is the evidence. A worker
//! that has no port yet is searched for with a bounded number of new ports per round; a silent
//! new port says nothing about any worker, for nobody knows whose it is.

use std::array;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{ProbeCodec, local};
use crate::health::{ProbeOf, ProbeOutcome};

/// Ids of earlier questions that are remembered per port, to know a late answer from a wrong one.
const IDS_KEPT: usize = 16;
/// New ports that are tried per round: one per worker, within these bounds.
const TRIES_MIN: usize = 8;
const TRIES_MAX: usize = 64;
/// Datagrams that are thrown away before a question at most.
const STALE_MAX: usize = 64;
/// Answers to a probe are short; a longer one is cut, and so is wrong.
const ANSWER_MAX: usize = 1232;

/// The ports of one address.
pub(super) struct Ports {
    address: SocketAddr,
    by_worker: Vec<Option<Port>>,
}

impl Ports {
    pub(super) fn new(address: SocketAddr, workers: usize) -> Self {
        Self {
            address,
            by_worker: (0..workers).map(|_| None).collect(),
        }
    }

    /// Asks once through each known port, and searches for the workers without one.
    ///
    /// Ends after `limit`. At most one result per worker; and one for the address when new ports
    /// were tried and nobody answered at all.
    pub(super) async fn probe(
        &mut self,
        codec: &ProbeCodec,
        limit: Duration,
    ) -> Vec<(ProbeOf, ProbeOutcome)> {
        let fresh = self.open_new();
        let known = self
            .by_worker
            .iter_mut()
            .enumerate()
            .filter_map(|(worker, slot)| {
                let mut port = slot.take()?;
                Some(async move {
                    let answer = port.ask(codec, limit).await;
                    (worker, port, answer)
                })
            });
        let fresh = fresh.into_iter().map(|mut port| async move {
            let answer = port.ask(codec, limit).await;
            (port, answer)
        });
        // The known ports go first: the search must not delay or crowd out their questions.
        let known: Vec<_> = known.collect();
        let (known, fresh) = join(join_all(known), join_all(fresh)).await;
        self.sort(known, fresh)
    }

    fn sort(
        &mut self,
        known: Vec<(usize, Port, Answer)>,
        fresh: Vec<(Port, Answer)>,
    ) -> Vec<(ProbeOf, ProbeOutcome)> {
        let mut outcomes: Vec<Option<ProbeOutcome>> = vec![None; self.by_worker.len()];
        let has_searched = !fresh.is_empty();
        let mut has_wrong = false;
        let mut strays = Vec::new();
        for (worker, port, answer) in known {
            has_wrong |= answer == Answer::Wrong;
            let outcome = match answer {
                Answer::From(other) if other != worker => {
                    // This port stopped matching. Its question says nothing about `worker`.
                    strays.push((port, answer));
                    continue;
                }
                Answer::From(_) => ProbeOutcome::Good,
                Answer::Wrong => ProbeOutcome::Bad,
                Answer::Silence => ProbeOutcome::Unanswered,
            };
            self.keep(worker, port);
            set(&mut outcomes, worker, outcome);
        }
        for (port, answer) in strays.into_iter().chain(fresh) {
            has_wrong |= answer == Answer::Wrong;
            if let Answer::From(worker) = answer {
                set(&mut outcomes, worker, ProbeOutcome::Good);
                self.keep(worker, port);
            }
        }
        let is_answered = outcomes.contains(&Some(ProbeOutcome::Good));
        let address = (has_searched && !is_answered).then_some(if has_wrong {
            ProbeOutcome::Bad
        } else {
            ProbeOutcome::Unanswered
        });
        let workers = outcomes.into_iter().enumerate();
        workers
            .filter_map(|(worker, outcome)| Some((ProbeOf::Worker(worker), outcome?)))
            .chain(address.map(|outcome| (ProbeOf::Address, outcome)))
            .collect()
    }

    /// Keeps a port for a worker that has none; else the port is closed.
    fn keep(&mut self, worker: usize, port: Port) {
        if let Some(slot) = self.by_worker.get_mut(worker) {
            slot.get_or_insert(port);
        }
    }

    fn open_new(&self) -> Vec<Port> {
        if self.by_worker.iter().all(Option::is_some) {
            return Vec::new();
        }
        let tries = self.by_worker.len().clamp(TRIES_MIN, TRIES_MAX);
        (0..tries).map(|_| Port::new(self.address)).collect()
    }
}

/// The first right answer counts: a worker that answered one of two questions is well.
fn set(outcomes: &mut [Option<ProbeOutcome>], worker: usize, outcome: ProbeOutcome) {
    if let Some(slot) = outcomes.get_mut(worker)
        && *slot != Some(ProbeOutcome::Good)
    {
        *slot = Some(outcome);
    }
}

/// How one question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// This worker answered it.
    From(usize),
    /// Something came, but no right answer.
    Wrong,
    /// Nothing came.
    Silence,
}

/// A socket of its own, or none where there cannot be one.
struct Port {
    address: SocketAddr,
    socket: Option<UdpSocket>,
    /// Ids of its latest questions, the latest first.
    ids: [Option<u16>; IDS_KEPT],
}

impl Port {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            socket: open(address).ok(),
            ids: [None; IDS_KEPT],
        }
    }

    async fn ask(&mut self, codec: &ProbeCodec, limit: Duration) -> Answer {
        let id = rand::random();
        let earlier = self.ids;
        let mut shifted = [Some(id)].into_iter().chain(earlier);
        self.ids = array::from_fn(|_| shifted.next().flatten());
        let Some(socket) = &self.socket else {
            return Answer::Silence;
        };
        // The port stays, the way is looked up anew: in the moment in which the kernel adds an IPv6 address
        // there may be none, and Linux (6.18) lets a socket keep that for ever.
        if socket.connect(self.address).await.is_err() {
            return Answer::Silence;
        }
        let mut buffer = [0; ANSWER_MAX];
        for _ in 0..STALE_MAX {
            if socket.try_recv(&mut buffer).is_err() {
                break;
            }
        }
        if socket.send(&(codec.query)(id)).await.is_err() {
            return Answer::Silence;
        }
        let mut so_far = Answer::Silence;
        let wait = async {
            while let Ok(length) = socket.recv(&mut buffer).await {
                let message = buffer.get(..length).unwrap_or_default();
                if let Some(worker) = (codec.worker_of)(id, message) {
                    so_far = Answer::From(worker);
                    return;
                }
                // A late answer to an earlier question is no wrong answer to this one: under a
                // flood that would turn load into a fault.
                let is_late = earlier
                    .iter()
                    .flatten()
                    .any(|id| (codec.worker_of)(*id, message).is_some());
                if !is_late {
                    so_far = Answer::Wrong;
                }
            }
        };
        // Out of time: what was seen until then is the answer.
        let _ = timeout(limit, wait).await;
        so_far
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(local(address))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that was looked for while the kernel added the address may lead nowhere for ever.
    #[tokio::test]
    async fn each_question_finds_its_way_anew_and_leaves_from_the_same_port() {
        let bound = || async { UdpSocket::bind("127.0.0.1:0").await.unwrap() };
        let (server, elsewhere) = (bound().await, bound().await);
        let mut port = Port::new(server.local_addr().unwrap());
        let socket = port.socket.as_ref().unwrap();
        let elsewhere = elsewhere.local_addr().unwrap();
        socket.connect(elsewhere).await.unwrap();
        let from = socket.local_addr().unwrap();
        let codec = ProbeCodec {
            query: Box::new(|id| id.to_be_bytes().to_vec()),
            worker_of: Box::new(|id, message| (message == id.to_be_bytes()).then_some(3)),
        };
        let serving = async {
            let mut question = [0; 2];
            let (_, asker) = server.recv_from(&mut question).await.unwrap();
            server.send_to(&question, asker).await.unwrap();
            asker
        };
        let asking = port.ask(&codec, Duration::from_secs(10));
        assert_eq!(join(serving, asking).await, (from, Answer::From(3)));
    }
}
