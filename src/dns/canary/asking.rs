//! Asks for canaries and witnesses, on the upkeep thread: past the cache, through the upstreams that
//! a client's question would go to, and never through siblings.
//!
//! As for a client, the next upstream is asked when one gives an error or is slower than usual, up to
//! three; each is asked once, without EDNS, so that an answer that is cut short shows all that is
//! wanted. What is learned of an upstream is what a client's question would show, but for RCODEs: these
//! few names are no sample of what clients ask for, and open no breaker.

#![expect(clippy::disallowed_methods, reason = "a shell: reads the clock")]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::cache::clean::is_usable;
use super::super::exchange::query::{self, Edns};
use super::super::exchange::response::{self, Response};
use super::super::exchange::socket::{connect, is_refusal};
use super::super::key::Key;
use super::super::quality::Witnesses;
use super::super::upstream::{Asked, FailureKind, UpstreamIndex, Upstreams, is_acceptable};
use super::{Canary, CanaryResult, CanarySettings, Schedule};

/// A canary has so long to resolve.
pub const CANARY_TIME: Duration = Duration::from_secs(2);
/// Upstreams that are asked for one name.
const UPSTREAMS_MAX: usize = 3;
/// Names under way; more wait.
const UNDER_WAY_MAX: usize = 64;
/// Between two looks for more witnesses where there are few.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// More than any answer to a question without EDNS (512 octets).
const BUFFER: usize = 1500;

/// Asks until `stop` says so or its sender is gone. To run once for each [`Upstreams`], for changes of
/// what is watched have one waiter. Results that find no room in `results` are left out, as if not
/// asked for.
pub async fn run(
    upstreams: Arc<Upstreams>,
    settings: CanarySettings,
    results: mpsc::Sender<CanaryResult>,
    mut stop: watch::Receiver<bool>,
) {
    let plan = Plan::new(&upstreams, settings);
    tokio::select! {
        _ = stop.wait_for(|&stopped| stopped) => {}
        () = work(&upstreams, plan, &results) => {}
    }
}

async fn work(upstreams: &Upstreams, mut plan: Plan<'_>, results: &mpsc::Sender<CanaryResult>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        let now = Instant::now().into_std();
        plan.look(now);
        while under_way.len() < UNDER_WAY_MAX
            && let Some((errand, key, limit)) = plan.poll(now)
        {
            under_way.push(async move { (errand, resolves(upstreams, &key, limit).await) });
        }
        let due = plan
            .poll_timeout()
            .filter(|_| under_way.len() < UNDER_WAY_MAX);
        tokio::select! {
            () = at(due) => {}
            () = upstreams.quality().changes().notified() => {}
            Some((errand, is_good)) = under_way.next() => {
                let told = plan.handle_result(errand, is_good, Instant::now().into_std());
                // Full only when the routing thread is stuck: then the lease runs out.
                let _is_taken = told.map(|result| results.try_send(result));
            }
        }
    }
}

async fn at(due: Option<std::time::Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// On whose behalf a name is asked for.
#[derive(Clone, Copy, Debug)]
enum Errand {
    Canary(usize),
    /// The position of its zone, and its number.
    Witness(usize, u64),
}

/// What is to be asked, and when.
struct Plan<'u> {
    upstreams: &'u Upstreams,
    canaries: Vec<Canary>,
    schedule: Schedule,
    /// By position of the zone: those that are watched.
    witnesses: BTreeMap<usize, Witnesses>,
    look_at: Option<std::time::Instant>,
}

impl<'u> Plan<'u> {
    fn new(upstreams: &'u Upstreams, settings: CanarySettings) -> Self {
        let now = Instant::now().into_std();
        let count = settings.canaries.len();
        Self {
            upstreams,
            schedule: Schedule::new(count, settings.interval, rand::random(), now),
            canaries: settings.canaries,
            witnesses: BTreeMap::new(),
            look_at: None,
        }
    }

    /// Sees which zones are watched, and that they have witnesses.
    fn look(&mut self, now: std::time::Instant) {
        let quality = self.upstreams.quality();
        for zone in quality.with_tables() {
            let is_new = !self.witnesses.contains_key(&zone);
            if !quality.is_watched(zone) {
                if self.witnesses.remove(&zone).is_some() {
                    quality.tell_witnesses(zone, (0, 0));
                }
                continue;
            }
            let witnesses = self.witnesses.entry(zone).or_default();
            let is_time = is_new || self.look_at.is_some_and(|at| at <= now);
            if is_time && witnesses.has_room() {
                witnesses.add(quality.failed_lately(zone, now), now);
                quality.tell_witnesses(zone, witnesses.count());
            }
        }
        if self.look_at.is_none_or(|at| at <= now) {
            let wants_more = self.witnesses.values().any(Witnesses::has_room);
            self.look_at = wants_more.then(|| now + LOOK_AGAIN);
        }
    }

    fn poll(&mut self, now: std::time::Instant) -> Option<(Errand, Key, Duration)> {
        if let Some(number) = self.schedule.poll(now) {
            let canary = self.canaries.get(number)?;
            let key = canary.question(rand::random())?;
            return Some((Errand::Canary(number), key, CANARY_TIME));
        }
        let quality = self.upstreams.quality();
        self.witnesses.iter_mut().find_map(|(&zone, witnesses)| {
            let (number, key) = witnesses.poll(now)?;
            Some((Errand::Witness(zone, number), key, quality.late_after(zone)))
        })
    }

    fn poll_timeout(&self) -> Option<std::time::Instant> {
        let witnesses = self.witnesses.values();
        let due = witnesses.filter_map(Witnesses::poll_timeout);
        due.chain(self.schedule.poll_timeout())
            .chain(self.look_at)
            .min()
    }

    fn handle_result(
        &mut self,
        errand: Errand,
        is_good: bool,
        now: std::time::Instant,
    ) -> Option<CanaryResult> {
        match errand {
            Errand::Canary(canary) => {
                let result = CanaryResult { canary, is_good };
                self.schedule.handle_result(result, now);
                Some(result)
            }
            Errand::Witness(zone, number) => {
                let witnesses = self.witnesses.get_mut(&zone)?;
                witnesses.handle_result(number, is_good, now);
                let quality = self.upstreams.quality();
                quality.tell_witnesses(zone, witnesses.count());
                None
            }
        }
    }
}

/// Whether a name resolves within `limit`: that it or its type does not exist will do.
async fn resolves(upstreams: &Upstreams, key: &Key, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    let mut best_first = Vec::new();
    let zone = upstreams.zone_for_question(key.name(), key.qtype());
    upstreams.order(zone, &mut best_first);
    let mut left = best_first.into_iter().take(UPSTREAMS_MAX).peekable();
    let mut asked = FuturesUnordered::new();
    let mut next_at = Instant::now();
    while left.peek().is_some() || !asked.is_empty() {
        let has_next = left.peek().is_some();
        tokio::select! {
            biased;
            Some(is_good) = asked.next() => {
                if is_good {
                    return true;
                }
                next_at = Instant::now();
            }
            () = sleep_until(next_at), if has_next => {
                if let Some(index) = left.next() {
                    asked.push(ask(upstreams, index, key, end));
                    next_at = Instant::now() + upstreams.patience(index);
                }
            }
            () = sleep_until(end) => return false,
        }
    }
    false
}

/// Asks one upstream: whether it knows.
async fn ask(upstreams: &Upstreams, index: UpstreamIndex, key: &Key, end: Instant) -> bool {
    let sent = Instant::now();
    let _under_way = UnderWay::begin(upstreams, index);
    match converse(upstreams, index, key, end).await {
        Ok(Some(is_good)) => {
            let now = Instant::now().into_std();
            upstreams.answered(index, Asked::Question, sent.into_std(), now);
            is_good
        }
        Ok(None) => false,
        Err(error) if is_refusal(error.kind()) => {
            upstreams.refused(index, Instant::now().into_std());
            false
        }
        Err(error) => {
            upstreams.failed(index, FailureKind::Local);
            let upstream = upstreams.address(index);
            tracing::debug!(%upstream, %error, "canary not sent");
            false
        }
    }
}

/// A question that the upstream is told of until it is dropped, answered or not.
struct UnderWay<'u>(&'u Upstreams, UpstreamIndex);

impl<'u> UnderWay<'u> {
    fn begin(upstreams: &'u Upstreams, index: UpstreamIndex) -> Self {
        upstreams.asked(index);
        Self(upstreams, index)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.settled(self.1, 1);
    }
}

async fn converse(
    upstreams: &Upstreams,
    index: UpstreamIndex,
    key: &Key,
    end: Instant,
) -> io::Result<Option<bool>> {
    let sent = Instant::now();
    let socket = connect(upstreams.address(index), upstreams.source(index))?;
    let socket = UdpSocket::from_std(socket)?;
    let id = rand::random();
    socket.send(&query::build(key, id, Edns::Without)).await?;
    let mut heard = pin!(hear(upstreams, index, &socket, id, key));
    let late = sent + upstreams.patience(index);
    if let Ok(result) = timeout_at(late.min(end), &mut heard).await {
        return result.map(Some);
    }
    if late <= end {
        upstreams.overdue(index, Asked::Question, sent.into_std());
    }
    match timeout_at(end, &mut heard).await {
        Ok(result) => result.map(Some),
        Err(_) => Ok(None),
    }
}

/// Waits for an answer that matches (RFC 5452 §9.1): whether it is one that a client could use.
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
            Response::Complete { rcode, length, .. } => {
                let message = datagram.get(..length).unwrap_or_default();
                return Ok(is_acceptable(rcode) && is_usable(key, message));
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
