//! Probes of the upstreams, on the upkeep thread: dead ones until they answer again (twice a second
//! while a zone has no other), living ones once a second, suspected ones quickly; never more than four
//! in a second.
//!
//! A probe asks for the apex of the zone (NS of the root, else SOA), which an upstream that works
//! has at hand; any matching answer shows that it lives, RCODE and all, and an acceptable RCODE that
//! it works. Each leaves from a socket of its own, so that an address or route that has changed is
//! seen at once. Living upstreams are probed although clients ask them, because the order of asking
//! compares probes (see [`Upstreams::order`]).
//!
//! Siblings are probed only while they have failed, or cannot help, and are needed. They are asked for a name of chance
//! below the apex and with the marker: the apex itself they would have in their cache, and whether
//! their upstreams work is the question.

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
use super::upstream::pacing::Pacing;
use super::upstream::{
    Asked, Breaker, Errand, FailureKind, UpstreamIndex, Upstreams, is_acceptable,
};

/// How long the answer to a probe is listened for: even a late one shows life.
const LISTEN_TIME: Duration = Duration::from_secs(2);
/// Probes of one upstream under way; one more is left out.
const PROBES_MAX: usize = 32;
/// More than any answer to a question without EDNS (512 octets).
const BUFFER: usize = 1500;

const TYPE_A: u16 = 1;
const TYPE_NS: u16 = 2;
const TYPE_SOA: u16 = 6;
const CLASS_IN: u16 = 1;
/// RFC 8914 §4.4 and §4.20.
const STALE_ANSWER: u16 = 3;
const STALE_NXDOMAIN: u16 = 19;

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
    let (mut before, mut was_dry) = (Breaker::Closed, false);
    let mut ways = upstreams.ways();
    loop {
        let is_idle = upstreams.errand(index) == Errand::Nothing;
        tokio::select! {
            () = sleep_until(pacing.next().into()), if !is_idle => {
                let now = Instant::now().into_std();
                match upstreams.errand(index) {
                    Errand::Probe if probes.len() < PROBES_MAX => {
                        probes.push(probe(upstreams, index));
                        pacing.sent(upstreams.condition(index), now, rand::random());
                    }
                    errand => {
                        if errand == Errand::Expire {
                            upstreams.expire(index, now);
                        }
                        pacing.rested(upstreams.condition(index), now, rand::random());
                    }
                }
            }
            () = upstreams.wake(index).notified() => {
                let now = Instant::now().into_std();
                pacing.woken(upstreams.condition(index), now, rand::random());
                let changed = upstreams.ways();
                if std::mem::replace(&mut ways, changed) != changed {
                    pacing.way_changed(now);
                }
            }
            Some(()) = probes.next() => {}
        }
        let breaker = upstreams.breaker(index);
        if breaker != before {
            tell(upstreams, index, before, breaker);
            before = breaker;
        }
        let is_dry = upstreams.is_dry(index);
        if is_dry != was_dry {
            tell_dry(upstreams, index, is_dry);
            was_dry = is_dry;
        }
    }
}

fn tell(upstreams: &Upstreams, index: UpstreamIndex, from: Breaker, to: Breaker) {
    let upstream = upstreams.address(index);
    let zone = upstreams.zone_text(index);
    let is_sibling = upstreams.is_sibling(index);
    let (from, to) = (from.label(), to.label());
    if to == Breaker::Closed.label() {
        tracing::info!(%upstream, zone, is_sibling, from, to, "upstream is asked again");
    } else {
        tracing::warn!(%upstream, zone, is_sibling, from, to, "upstream is no longer asked");
    }
}

fn tell_dry(upstreams: &Upstreams, index: UpstreamIndex, is_dry: bool) {
    let upstream = upstreams.address(index);
    let zone = upstreams.zone_text(index);
    if is_dry {
        tracing::warn!(%upstream, zone, "sibling has no upstreams either, only its cache");
    } else {
        tracing::info!(%upstream, zone, "sibling can resolve again, or is not needed");
    }
}

/// One probe, with all that its answer or silence tells.
async fn probe(upstreams: &Upstreams, index: UpstreamIndex) {
    let sent = Instant::now();
    match converse(upstreams, index, sent).await {
        Ok(Some(works)) => {
            let now = Instant::now().into_std();
            upstreams.answered(index, Asked::Probe, sent.into_std(), now);
            if works {
                upstreams.probe_accepted(index, now);
            } else {
                upstreams.probe_declined(index, now);
            }
        }
        // What silence means was told when it had lasted long enough.
        Ok(None) => {}
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

/// Sends a probe and listens: whether the upstream works, or `None` when no matching answer came.
async fn converse(
    upstreams: &Upstreams,
    index: UpstreamIndex,
    sent: Instant,
) -> io::Result<Option<bool>> {
    let is_sibling = upstreams.is_sibling(index);
    let Some(key) = question(upstreams.apex(index), is_sibling) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let socket = connect(upstreams.address(index), upstreams.source(index))?;
    let socket = UdpSocket::from_std(socket)?;
    let id = rand::random();
    let edns = if is_sibling {
        Edns::Sibling
    } else {
        Edns::Without
    };
    socket.send(&query::build(&key, id, edns)).await?;
    let mut heard = pin!(hear(upstreams, index, &socket, id, &key));
    let (late, missed) = upstreams.probe_patience(index);
    if let Ok(result) = timeout_at(sent + late, &mut heard).await {
        return result.map(Some);
    }
    upstreams.overdue(index, Asked::Probe, sent.into_std());
    if let Ok(result) = timeout_at(sent + missed, &mut heard).await {
        return result.map(Some);
    }
    upstreams.probe_missed(index, sent.into_std(), Instant::now().into_std());
    match timeout_at(sent + LISTEN_TIME, &mut heard).await {
        Ok(result) => result.map(Some),
        Err(_) => Ok(None),
    }
}

/// What a probe asks for.
fn question(apex: &[u8], is_sibling: bool) -> Option<Key> {
    if is_sibling {
        let chance: u64 = rand::random();
        let mut name = vec![16];
        name.extend_from_slice(format!("{chance:016x}").as_bytes());
        name.extend_from_slice(apex);
        if let Some(key) = Key::new(&name, TYPE_A, CLASS_IN, false, false) {
            return Some(key);
        }
    }
    let qtype = if apex == [0] { TYPE_NS } else { TYPE_SOA };
    Key::new(apex, qtype, CLASS_IN, false, false)
}

/// Waits for an answer that matches (RFC 5452 §9.1): whether the upstream works.
async fn hear(
    upstreams: &Upstreams,
    index: UpstreamIndex,
    socket: &UdpSocket,
    id: u16,
    key: &Key,
) -> io::Result<bool> {
    let mut buffer = [0; BUFFER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let datagram = buffer.get(..length).unwrap_or_default();
        match response::read(datagram, id, key) {
            Response::Foreign => upstreams.failed(index, FailureKind::Ignored),
            Response::Complete { rcode, reason, .. } => {
                // An expired answer is a sibling's way to say that its upstreams are dead.
                let is_stale = matches!(reason, Some(STALE_ANSWER | STALE_NXDOMAIN));
                return Ok(is_acceptable(rcode) && !(is_stale && upstreams.is_sibling(index)));
            }
            // Cut short: what is known is the RCODE in the header.
            Response::Truncated => {
                let rcode = datagram.get(3).map_or(0, |octet| octet & 0x0f);
                return Ok(is_acceptable(rcode.into()));
            }
            Response::Headless { .. } | Response::Malformed => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
