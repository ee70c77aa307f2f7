//! A worker's sockets: one loop for UDP and the upstreams, TCP beside it, and the heartbeat.
//!
//! Everything here runs on the worker's own thread, in a runtime of its own. While nothing is under way
//! it has no timer: another thread beats time, for a thread that sleeps until something comes falls
//! asleep and wakes up cheaper than one that sleeps for a while.
//! One future (a turn after the other) hears the upstreams, takes what has come by UDP in batches,
//! and sends what there is to send; what is answered from memory is answered there and then. A turn
//! is bounded, so that TCP and timers run under a flood too.
//!
//! | file | what it is |
//! |---|---|
//! | `desk` | from a message to an answer, or to the upstreams and back |
//! | `gate` | what limits let in and out |
//! | `udp` | the UDP sockets, in batches |
//! | `tcp`, `session` | accepting; one connection |
//! | `rehearsal` | the desk without sockets, for simulations |
//! | `connections`, `mailbox` | how many connections there may be; what one waits for |
#![expect(
    clippy::disallowed_methods,
    reason = "the clock is read once for each turn"
)]

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::forward::{Forward, Progress};
use super::serve::Worker;
use super::shared::Shared;

mod connections;
mod desk;
mod gate;
mod mailbox;
pub mod rehearsal;
mod session;
mod tcp;
mod udp;

pub use connections::CONNECTIONS_MAX;
pub use desk::Waiter;

use desk::{Desk, Origin};

/// How often a worker shows that its loop runs.
pub const HEARTBEAT: Duration = Duration::from_millis(50);
/// Heartbeats between two looks for silent connections: half a second.
const IDLE_LOOK: u64 = 10;

/// The open sockets of one worker, in non-blocking mode. Each is bound to a single address, so that
/// answers leave from the address that was asked.
#[derive(Debug)]
pub struct WorkerSockets {
    /// How many TCP connections it may have; each needs a descriptor. At most [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// One for each address: first those of [`super::Settings::service_sockets`], in that order.
    pub udp: Vec<UdpSocket>,
    /// One for each address, in the same order.
    pub tcp: Vec<TcpListener>,
}

/// Why a worker has ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// There are no counters for a worker with this index.
    #[error("no worker has the index {0}")]
    Index(usize),
    /// A socket cannot be used by the runtime.
    #[error("cannot use socket")]
    Socket(#[from] std::io::Error),
    /// A loop has ended, which it does by a panic alone.
    #[error("a loop of the worker has ended")]
    Loop(#[source] Option<tokio::task::JoinError>),
}

/// Answers queries on `sockets` until `stop` is true or its sender is gone.
///
/// `pulse` changes every [`HEARTBEAT`]. To be run where local tasks can be spawned. When it returns,
/// nothing of it goes on, and questions under way get no answer.
///
/// # Errors
/// [`ListenerError`] when the worker cannot start or go on.
pub async fn run<F: Forward<Waiter> + 'static>(
    worker: usize,
    sockets: WorkerSockets,
    shared: Arc<Shared>,
    forwarder: F,
    pulse: watch::Receiver<u64>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ListenerError> {
    let worker = Worker::new(worker, shared).ok_or(ListenerError::Index(worker))?;
    tell_time(worker.shared());
    let desk = Rc::new(Desk::new(
        worker.clone(),
        forwarder,
        Instant::now().into_std(),
    ));
    let mut loops = JoinSet::new();
    let tcp = tcp::Tcp::new(
        Rc::clone(&desk),
        connections::Connections::new(sockets.connections),
    );
    for (number, listener) in sockets.tcp.into_iter().enumerate() {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loops.spawn_local(tcp.clone().accept(number, listener));
    }
    loops.spawn_local(beat(worker, Rc::clone(&desk), tcp, pulse));
    let mut udp = udp::Sockets::new(sockets.udp);
    tokio::select! {
        // In this order: whoever wakes the worker most likely wants a turn.
        biased;
        never = poll_fn(|cx| turn(&desk, &mut udp, cx)) => match never {},
        _ = stop.wait_for(|stop| *stop) => {
            loops.shutdown().await;
            Ok(())
        }
        ended = loops.join_next() => {
            Err(ListenerError::Loop(ended.and_then(Result::err)))
        }
    }
}

/// Shows that the loops run, and ends silent connections now and then.
async fn beat<F: Forward<Waiter> + 'static>(
    worker: Worker,
    desk: Rc<Desk<F>>,
    tcp: tcp::Tcp<F>,
    mut pulse: watch::Receiver<u64>,
) {
    for beats in 0_u64.. {
        worker.counters().heartbeat.bump();
        tcp.resume();
        desk.warm(Instant::now().into_std());
        tell_time(worker.shared());
        if beats % IDLE_LOOK == 0 {
            tcp.end_silent(Instant::now().into_std());
        }
        if pulse.changed().await.is_err() {
            // Who has beaten time is gone, which is no fault of this worker.
            tokio::time::sleep(HEARTBEAT).await;
        }
    }
}

/// Cookies are made by the clock on the wall.
fn tell_time(shared: &Shared) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    shared.tell_unix_time(since_1970.map_or(0, |since| since.as_secs()));
}

/// Does what there is to do now, up to a bound, and asks to be woken for the rest.
fn turn<F: Forward<Waiter>>(
    desk: &Desk<F>,
    udp: &mut udp::Sockets,
    cx: &mut Context<'_>,
) -> Poll<Infallible> {
    let now = Instant::now().into_std();
    let heard = desk.hear(cx, now, |origin, write| match origin {
        Origin::Udp(number, peer) => udp.reply(desk, (number, peer), write),
        Origin::Tcp(mailbox) => mailbox.deliver(write),
    });
    let more = udp.serve(desk, now, cx);
    udp.flush(desk);
    desk.flush(now);
    if more || heard == Progress::More {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

#[cfg(test)]
mod tests;
