#![warn(clippy::indexing_slicing, clippy::as_conversions)]
//! The self-probe: asks the node's own service sockets as a client would, and tells health.
//!
//! Each interval one UDP question per worker and address, each second one over TCP, from
//! 127.0.0.1 or ::1 (a question from the service address to itself would prove less, and an
//! answer to it may leave the host). What is asked and what a right answer is, the owner says
//! with [`ProbeCodec`]; this file knows no DNS.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: reads the clock for its reports"
)]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Family, ProbeOf, ProbeOutcome, ProbeReport, Target};
use ports::Ports;

pub mod another;
mod ports;

/// No probe waits longer for its answer; with short intervals it is three quarters of one.
const LIMIT_MAX: Duration = Duration::from_millis(150);
/// Time between two probes over TCP.
const TCP_INTERVAL: Duration = Duration::from_secs(1);

/// The questions and what counts as a right answer to them.
pub struct ProbeCodec {
    /// The message to send, with this id; without the length that TCP wants.
    pub query: Box<dyn Fn(u16) -> Vec<u8>>,
    /// Which worker sent this message; `None` when it is no right answer to the question with
    /// this id.
    pub worker_of: WorkerOf,
}

/// From the id of a question and a message to the worker that answered it.
pub type WorkerOf = Box<dyn Fn(u16, &[u8]) -> Option<usize>>;

/// What is probed, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProberSettings {
    /// Time between two probes over UDP.
    pub interval: Duration,
    /// How many workers answer on each address.
    pub workers: usize,
    /// Each service address, with its port.
    pub targets: Vec<(Target, SocketAddr)>,
}

/// Probes until it is dropped; `report` gets each result and when it was known.
pub async fn run(
    settings: ProberSettings,
    codec: ProbeCodec,
    report: impl FnMut(Instant, ProbeReport),
) {
    let limit = LIMIT_MAX.min(settings.interval * 3 / 4);
    let prober = Prober {
        limit,
        codec,
        report: RefCell::new(report),
    };
    let targets = settings.targets.iter().map(|(target, address)| {
        join(
            prober.probe_udp(*target, *address, settings.workers, settings.interval),
            prober.probe_tcp(*target, *address, settings.interval),
        )
    });
    join_all(targets).await;
}

struct Prober<F> {
    limit: Duration,
    codec: ProbeCodec,
    report: RefCell<F>,
}

impl<F: FnMut(Instant, ProbeReport)> Prober<F> {
    async fn probe_udp(
        &self,
        target: Target,
        address: SocketAddr,
        workers: usize,
        every: Duration,
    ) {
        let mut ports = Ports::new(address, workers);
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (probe, outcome) in ports.probe(&self.codec, self.limit).await {
                self.tell(target, probe, outcome);
            }
        }
    }

    /// Once a second; until the first good answer as often as over UDP, so that a start is quick.
    async fn probe_tcp(&self, target: Target, address: SocketAddr, every: Duration) {
        let mut was_good = false;
        loop {
            let outcome = self.ask_tcp(address).await;
            self.tell(target, ProbeOf::Tcp, outcome);
            was_good |= outcome == ProbeOutcome::Good;
            sleep(if was_good {
                TCP_INTERVAL.max(every)
            } else {
                every
            })
            .await;
        }
    }

    async fn ask_tcp(&self, address: SocketAddr) -> ProbeOutcome {
        let id = rand::random();
        match timeout(self.limit, exchange_tcp(address, &(self.codec.query)(id))).await {
            Ok(Ok(answer)) if (self.codec.worker_of)(id, &answer).is_some() => ProbeOutcome::Good,
            Ok(Ok(_)) => ProbeOutcome::Bad,
            // Refused, reset and closed are what a worker without a free slot does, too.
            Ok(Err(_)) | Err(_) => ProbeOutcome::Unanswered,
        }
    }

    fn tell(&self, target: Target, probe: ProbeOf, outcome: ProbeOutcome) {
        let report = ProbeReport {
            target,
            probe,
            outcome,
        };
        // Never borrowed twice: the callback is synchronous and cannot reach the prober.
        (self.report.borrow_mut())(Instant::now(), report);
    }
}

/// One message each way with the two-octet length before it. RFC 1035 §4.2.2.
async fn exchange_tcp(address: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(local(address))?;
    let mut stream = socket.connect(address).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), query].concat();
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The loopback address that reaches `address`, with any port.
fn local(address: SocketAddr) -> SocketAddr {
    match Family::of(address.ip()) {
        Family::V4 => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        Family::V6 => SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
    }
}

#[cfg(test)]
mod tests;
