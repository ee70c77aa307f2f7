//! The receive loop of one UDP socket.
//!
//! Source: RFC 1035 §4.2.1.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]
#![expect(
    clippy::disallowed_methods,
    reason = "the clock is read once for each batch"
)]

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::super::forward::Forward;
use super::super::request::Transport;
use super::super::serve::{Step, Worker};

/// Messages that are taken between two looks at the clock.
const BATCH: usize = 32;
/// Batches before others get their turn.
const BATCHES: usize = 4;
/// A longer request is cut, and then most likely not readable.
const REQUEST_MAX: usize = 4096;
/// A socket that reports nothing but errors is left alone for this long.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// How a batch went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// There may be more to receive.
    Full,
    /// There was nothing left to receive.
    Drained,
    /// The socket reported only errors.
    Failing,
}

/// Receives and answers for ever.
pub(super) async fn receive<F: Forward + 'static>(socket: Rc<UdpSocket>, worker: Rc<Worker<F>>) {
    let mut receiver = Receiver {
        socket,
        worker,
        misses: JoinSet::new(),
        message: vec![0; REQUEST_MAX].into(),
        out: Vec::with_capacity(REQUEST_MAX),
    };
    loop {
        tokio::select! {
            // An error here means that the runtime is going down, and this task with it.
            _ = receiver.socket.readable() => receiver.drain().await,
            Some(_) = receiver.misses.join_next() => {}
        }
    }
}

struct Receiver<F> {
    socket: Rc<UdpSocket>,
    worker: Rc<Worker<F>>,
    misses: JoinSet<()>,
    message: Box<[u8]>,
    out: Vec<u8>,
}

impl<F: Forward + 'static> Receiver<F> {
    /// Takes what has come, up to a few batches, and lets the others run.
    async fn drain(&mut self) {
        for _ in 0..BATCHES {
            match self.batch() {
                Batch::Full => {}
                Batch::Drained => break,
                Batch::Failing => {
                    sleep(ERROR_PAUSE).await;
                    break;
                }
            }
        }
        while self.misses.try_join_next().is_some() {}
        yield_now().await;
    }

    fn batch(&mut self) -> Batch {
        let now = Instant::now().into_std();
        let (mut errors, mut answered) = (0, 0);
        let mut outcome = Batch::Full;
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut self.message) {
                Ok((octets, client)) => {
                    self.out.clear();
                    let message = self.message.get(..octets).unwrap_or_default();
                    let transport = Transport::Udp;
                    let (ip, out) = (client.ip(), &mut self.out);
                    match self.worker.answer_now(message, ip, transport, now, out) {
                        Step::Reply => {
                            answered += 1;
                            send(&self.socket, &self.worker, &self.out, client);
                        }
                        Step::ProbeReply => {
                            send(&self.socket, &self.worker, &self.out, client);
                        }
                        Step::Drop => {}
                        Step::Miss(ticket) => {
                            let (socket, worker) =
                                (Rc::clone(&self.socket), Rc::clone(&self.worker));
                            self.misses.spawn_local(async move {
                                let mut out = Vec::new();
                                worker.answer_later(&ticket, &mut out).await;
                                send(&socket, &worker, &out, client);
                            });
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    outcome = Batch::Drained;
                    break;
                }
                // Reports about earlier answers (ICMP): the socket stays good.
                Err(_) => {
                    errors += 1;
                    self.worker.counters().receive_errors.bump();
                }
            }
        }
        if answered > 0 {
            let elapsed = Instant::now().into_std() - now;
            let latency = &self.worker.counters().hit_latency;
            latency.record(elapsed, answered);
        }
        if errors == BATCH {
            Batch::Failing
        } else {
            outcome
        }
    }
}

/// Sends without waiting: a full buffer drops the answer, as a full network would.
fn send<F: Forward>(
    socket: &UdpSocket,
    worker: &Worker<F>,
    message: &[u8],
    client: std::net::SocketAddr,
) {
    if socket.try_send_to(message, client).is_err() {
        worker.counters().send_errors.bump();
    }
}
