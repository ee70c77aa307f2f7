//! Asks one upstream after the other for a name that must not come back, on the upkeep thread.

#![expect(clippy::disallowed_methods, reason = "a shell: reads the clock")]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::exchange::query::{self, Edns};
use super::super::exchange::socket::connect;
use super::super::key::Key;
use super::super::shared::Shared;
use super::super::upstream::{UpstreamIndex, Upstreams};
use super::super::walk::{class, rtype};
use super::{Change, INTERVAL_MAX, INTERVAL_MIN, LoopWatch, Sightings, WINDOW, name};

/// Searches until `stop` says so or its sender is gone. To run once for each [`Shared`], for one
/// name is out at a time: a round takes [`WINDOW`] for each upstream.
pub async fn run(upstreams: Arc<Upstreams>, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.wait_for(|&stopped| stopped) => {}
        () = search(&upstreams, shared.loops()) => {}
    }
}

async fn search(upstreams: &Upstreams, watch: &LoopWatch) {
    let mut sightings: Vec<(UpstreamIndex, Sightings)> = upstreams
        .indexes()
        // Who is asked by a sibling asks none in turn.
        .filter(|&index| !upstreams.is_sibling(index))
        .map(|index| (index, Sightings::default()))
        .collect();
    let mut interval = INTERVAL_MIN;
    loop {
        let begun = Instant::now();
        for (index, sightings) in &mut sightings {
            let came_back = ask(upstreams, *index, watch).await;
            match sightings.handle_round(came_back) {
                Some(Change::Found) => tell(upstreams, *index, true),
                Some(Change::Gone) => tell(upstreams, *index, false),
                None => {}
            }
        }
        let looping = sightings.iter().filter(|(_, known)| known.is_looping());
        watch.set_looping(u64::try_from(looping.count()).unwrap_or(u64::MAX));
        sleep_until(begun + jittered(interval)).await;
        interval = INTERVAL_MAX.min(interval * 2);
    }
}

/// Whether the name came back. Nothing is known, and nothing found, when it cannot be sent.
async fn ask(upstreams: &Upstreams, index: UpstreamIndex, watch: &LoopWatch) -> bool {
    let number = rand::random::<NonZeroU64>();
    let Some(name) = name(number, upstreams.apex(index)) else {
        return false;
    };
    let Some(key) = Key::new(&name, rtype::TXT, class::IN, false, false) else {
        return false;
    };
    let Ok(socket) = connect(upstreams.address(index), None).and_then(UdpSocket::from_std) else {
        return false;
    };
    watch.begin(number);
    let question = query::build(&key, rand::random(), Edns::Without);
    if socket.send(&question).await.is_ok() {
        // The answer says nothing; the socket stays open, so that it hits no closed port.
        sleep(WINDOW).await;
    }
    watch.end()
}

fn jittered(interval: Duration) -> Duration {
    interval - interval.mul_f64(rand::random_range(0.0..0.25))
}

fn tell(upstreams: &Upstreams, index: UpstreamIndex, is_looping: bool) {
    let upstream = upstreams.address(index);
    let zone = upstreams.zone_text(index);
    if is_looping {
        tracing::error!(
            %upstream, zone,
            "forwarding loop: questions to this upstream come back to this node"
        );
    } else {
        tracing::info!(%upstream, zone, "forwarding loop is gone");
    }
}

#[cfg(test)]
mod tests;
