//! Probes of the upstreams, on the upkeep thread: dead ones until they answer again, living ones
//! once a second, suspected ones quickly.
//!
//! A probe asks for the apex of the zone (NS of the root, else SOA), which an upstream that works
//! has at hand; any matching answer shows that it lives, RCODE and all. Each leaves from a socket
//! of its own, so that an address or route that has changed is seen at once. Living upstreams are
//! probed although clients ask them, because the order of asking compares probes (see
//! [`Upstreams::order`]).

#![expect(clippy::disallowed_methods, reason = "a shell: reads the clock")]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::exchange::query::{self, Edns};
use super::exchange::response::{self, Response};
use super::exchange::socket::{connect, is_refusal};
use super::key::Key;
use super::upstream::pacing::{Condition, Pacing};
use super::upstream::{Asked, FailureKind, UpstreamIndex, Upstreams};

/// How long the answer to a probe is listened for: even a late one shows life.
const LISTEN_TIME: Duration = Duration::from_secs(2);
/// Probes of one upstream under way; one more is left out.
const PROBES_MAX: usize = 32;
/// More than any answer to a question without EDNS (512 octets).
const BUFFER: usize = 1500;

const TYPE_NS: u16 = 2;
const TYPE_SOA: u16 = 6;
const CLASS_IN: u16 = 1;

/// Probes all upstreams until `stop` says so or its sender is gone. To run once for each
/// [`Upstreams`], for wakes have one waiter.
pub async fn run(upstreams: Arc<Upstreams>, mut stop: watch::Receiver<bool>) {
    let mut keepers: FuturesUnordered<_> = upstreams
        .indexes()
        .map(|index| keep(&upstreams, index))
        .collect();
    tokio::select! {
        _ = stop.wait_for(|&stopped| stopped) => {}
        Some(()) = keepers.next() => {}
    }
}

/// Looks after one upstream for ever.
async fn keep(upstreams: &Upstreams, index: UpstreamIndex) {
    let mut pacing = Pacing::new(Instant::now().into_std());
    let mut probes = FuturesUnordered::new();
    let mut was_up = upstreams.is_up(index);
    loop {
        tokio::select! {
            () = sleep_until(pacing.next().into()) => {
                if probes.len() < PROBES_MAX {
                    probes.push(probe(upstreams, index));
                }
                let condition = upstreams.condition(index);
                pacing.sent(condition, Instant::now().into_std(), rand::random());
            }
            () = upstreams.wake(index).notified() => {
                pacing.woken(upstreams.condition(index), Instant::now().into_std());
            }
            Some(()) = probes.next() => {}
        }
        let is_up = upstreams.condition(index) != Condition::Down;
        if is_up != was_up {
            was_up = is_up;
            tell(upstreams, index, is_up);
        }
    }
}

fn tell(upstreams: &Upstreams, index: UpstreamIndex, is_up: bool) {
    let upstream = upstreams.address(index);
    let zone = upstreams.zone_text(index);
    if is_up {
        tracing::info!(%upstream, zone, from = "down", to = "up", "upstream answers again");
    } else {
        tracing::warn!(%upstream, zone, from = "up", to = "down", "upstream does not answer");
    }
}

/// One probe, with all that its answer or silence tells.
async fn probe(upstreams: &Upstreams, index: UpstreamIndex) {
    let sent = Instant::now();
    match converse(upstreams, index, sent).await {
        Ok(true) => {
            let now = Instant::now().into_std();
            upstreams.answered(index, Asked::Probe, sent.into_std(), now);
        }
        // What silence means was told when it had lasted long enough.
        Ok(false) => {}
        Err(error) if is_refusal(error.kind()) => {
            upstreams.refused(index, Instant::now().into_std());
        }
        Err(error) => {
            upstreams.failed(index, FailureKind::Local);
            let upstream = upstreams.address(index);
            tracing::debug!(%upstream, %error, "probe not sent");
        }
    }
}

/// Sends a probe and listens; whether a matching answer came.
async fn converse(upstreams: &Upstreams, index: UpstreamIndex, sent: Instant) -> io::Result<bool> {
    let apex = upstreams.apex(index);
    let qtype = if apex == [0] { TYPE_NS } else { TYPE_SOA };
    let Some(key) = Key::new(apex, qtype, CLASS_IN, false, false) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let socket = UdpSocket::from_std(connect(upstreams.address(index))?)?;
    let id = rand::random();
    socket.send(&query::build(&key, id, Edns::Without)).await?;
    let mut heard = pin!(hear(upstreams, index, &socket, id, &key));
    let (late, missed) = upstreams.probe_patience(index);
    if let Ok(result) = timeout_at(sent + late, &mut heard).await {
        return result.map(|()| true);
    }
    upstreams.overdue(index, Asked::Probe, sent.into_std());
    if let Ok(result) = timeout_at(sent + missed, &mut heard).await {
        return result.map(|()| true);
    }
    upstreams.probe_missed(index, sent.into_std(), Instant::now().into_std());
    match timeout_at(sent + LISTEN_TIME, &mut heard).await {
        Ok(result) => result.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Waits for an answer that matches (RFC 5452 §9.1).
async fn hear(
    upstreams: &Upstreams,
    index: UpstreamIndex,
    socket: &UdpSocket,
    id: u16,
    key: &Key,
) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let datagram = buffer.get(..length).unwrap_or_default();
        if response::read(datagram, id, key) != Response::Foreign {
            return Ok(());
        }
        upstreams.failed(index, FailureKind::Ignored);
    }
}

#[cfg(test)]
mod tests;
