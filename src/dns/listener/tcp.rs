//! TCP: accepting connections, and many questions on each at a time.
//!
//! Source: RFC 1035 §4.2.2 (two octets of length), RFC 7766 §6.2.1.1 (pipelining), §7 (answers in
//! any order), §8 (length and message in one write), §6.2.3 (idle connections).
//! Not done on purpose: edns-tcp-keepalive (RFC 7828).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]
#![expect(
    clippy::disallowed_methods,
    reason = "idle connections are ended by the clock"
)]

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::forward::Forward;
use super::super::request::Transport;
use super::super::serve::{Step, Ticket, Worker};
use super::connections::Connections;

/// Questions of one connection that may wait for upstreams; further ones stay unread.
const PIPELINE_MAX: usize = 32;
/// No request needs more; what announces more is not DNS.
const REQUEST_MAX: usize = 4096;
/// A header.
const REQUEST_MIN: usize = 12;
const PREFIX: usize = 2;
/// Answers are written when this much has gathered, or when no more questions are at hand.
const WRITE_AT: usize = 16 * 1024;
/// A client that does not take its answers for this long is left.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a silent connection notices that others need its place.
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// Accepting fails for want of something (descriptors, memory) that others have to give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections for ever.
pub(super) async fn accept<F: Forward + 'static>(
    listener: TcpListener,
    connections: Connections,
    worker: Rc<Worker<F>>,
) {
    let mut sessions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = sessions.join_next() => continue,
        };
        let Ok((stream, client)) = accepted else {
            worker.counters().tcp_rejected.bump();
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let client = client.ip();
        if !worker.may_connect(client) {
            // Whoever may not ask must not hold a place of those who may.
            worker.counters().refused_clients.bump();
            continue;
        }
        let Some(permit) = connections.admit(client) else {
            worker.counters().tcp_rejected.bump();
            continue;
        };
        worker.counters().tcp_accepted.bump();
        let (connections, worker) = (connections.clone(), Rc::clone(&worker));
        sessions.spawn_local(async move {
            let open = &worker.counters().tcp_open;
            open.set(connections.open());
            let session = Session::new(stream, client, Rc::clone(&worker), connections.clone());
            let _: Option<()> = session.serve().await;
            drop(permit);
            open.set(connections.open());
        });
    }
}

/// One connection. A `None` from its methods means that it is over.
struct Session<F> {
    stream: TcpStream,
    client: IpAddr,
    worker: Rc<Worker<F>>,
    connections: Connections,
    inbox: Vec<u8>,
    out: Vec<u8>,
    misses: JoinSet<Vec<u8>>,
    /// When a whole message last came or went.
    active: Instant,
    /// The client has closed its side; what it asked is still answered.
    ended: bool,
}

impl<F: Forward + 'static> Session<F> {
    fn new(
        stream: TcpStream,
        client: IpAddr,
        worker: Rc<Worker<F>>,
        connections: Connections,
    ) -> Self {
        // Without it an answer in two segments may wait for an acknowledgement; not vital.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            client,
            worker,
            connections,
            inbox: Vec::with_capacity(512),
            out: Vec::new(),
            misses: JoinSet::new(),
            active: Instant::now(),
            ended: false,
        }
    }

    async fn serve(mut self) -> Option<()> {
        loop {
            self.answer_inbox().await?;
            if self.ended && self.misses.is_empty() {
                return None;
            }
            let idle_at = self.active + self.connections.idle_limit();
            let look_at = idle_at.min(Instant::now() + IDLE_LOOK);
            let may_read = !self.ended && self.misses.len() < PIPELINE_MAX;
            tokio::select! {
                read = self.stream.read_buf(&mut self.inbox), if may_read => {
                    self.ended = read.ok()? == 0;
                }
                Some(answered) = self.misses.join_next() => {
                    self.out.append(&mut answered.ok()?);
                }
                () = sleep_until(look_at) => {
                    if self.misses.is_empty() && Instant::now() >= idle_at {
                        return None;
                    }
                }
            }
        }
    }

    /// Answers the whole messages that have been read, and writes what there is to write.
    async fn answer_inbox(&mut self) -> Option<()> {
        let mut taken = 0;
        while self.misses.len() < PIPELINE_MAX
            && let Some(message) = whole_message(self.inbox.get(taken..)?)?
        {
            taken += PREFIX + message.len();
            let now = Instant::now();
            self.active = now;
            let start = self.out.len();
            self.out.extend_from_slice(&[0; PREFIX]);
            let (client, transport) = (self.client, Transport::Tcp);
            let now = now.into_std();
            match self
                .worker
                .answer_now(message, client, transport, now, &mut self.out)
            {
                Step::Reply => {
                    put_length(&mut self.out, start)?;
                    let elapsed = Instant::now().into_std() - now;
                    self.worker.counters().hit_latency.record(elapsed, 1);
                }
                Step::ProbeReply => put_length(&mut self.out, start)?,
                // Who speaks DNS does not send this.
                Step::Drop => return None,
                Step::Miss(ticket) => {
                    self.out.truncate(start);
                    let worker = Rc::clone(&self.worker);
                    self.misses.spawn_local(answer_later(worker, ticket));
                }
            }
            if self.out.len() >= WRITE_AT {
                self.write().await?;
            }
        }
        self.inbox.drain(..taken);
        self.write().await
    }

    async fn write(&mut self) -> Option<()> {
        if self.out.is_empty() {
            return Some(());
        }
        let written = timeout(WRITE_TIMEOUT, self.stream.write_all(&self.out)).await;
        written.ok()?.ok()?;
        self.out.clear();
        // What one large answer took is not kept for as long as the connection lives.
        self.out.shrink_to(WRITE_AT);
        self.active = Instant::now();
        Some(())
    }
}

async fn answer_later<F: Forward>(worker: Rc<Worker<F>>, ticket: Box<Ticket>) -> Vec<u8> {
    let mut out = vec![0; PREFIX];
    worker.answer_later(&ticket, &mut out).await;
    match put_length(&mut out, 0) {
        Some(()) => out,
        None => Vec::new(),
    }
}

/// The first message of `inbox` if all of it is there; `None` when this cannot be DNS.
fn whole_message(inbox: &[u8]) -> Option<Option<&[u8]>> {
    let Some((prefix, rest)) = inbox.split_first_chunk::<PREFIX>() else {
        return Some(None);
    };
    let length = usize::from(u16::from_be_bytes(*prefix));
    if !(REQUEST_MIN..=REQUEST_MAX).contains(&length) {
        return None;
    }
    Some(rest.get(..length))
}

/// Fills in the length of the message that starts behind the two octets at `start`.
fn put_length(out: &mut [u8], start: usize) -> Option<()> {
    let (prefix, message) = out.get_mut(start..)?.split_first_chunk_mut::<PREFIX>()?;
    *prefix = u16::try_from(message.len()).ok()?.to_be_bytes();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1035 §4.2.2.
    #[test]
    fn a_message_is_taken_when_all_of_it_has_come() {
        let mut inbox = vec![0, 12];
        inbox.extend_from_slice(&[7; 13]);
        for length in 0..14 {
            assert_eq!(whole_message(&inbox[..length]), Some(None), "{length}");
        }
        assert_eq!(whole_message(&inbox), Some(Some(&[7; 12][..])));
    }

    #[test]
    fn lengths_that_no_request_has_end_the_connection() {
        for (length, sound) in [
            (0_u16, false),
            (11, false),
            (12, true),
            (4096, true),
            (4097, false),
            (65_535, false),
        ] {
            let inbox = length.to_be_bytes();
            assert_eq!(whole_message(&inbox).is_some(), sound, "{length}");
        }
    }
}
