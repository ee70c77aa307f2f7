//! One client prefix floods with new names; the upstream cannot serve them all.
#![expect(clippy::disallowed_methods, reason = "askers are threads with a clock")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use fake_upstream::script::Script;
use fake_upstream::serve::Server as Fake;
use serde::{Deserialize, Serialize};

use super::asker::{self, Asked, Asking, Names, Order};
use super::dead::p99;
use crate::subject::Server;

/// 20 ms, 1,000 questions a second.
const LIMITED: &str = "*.long.example. first 400 -> echo, ttl 3600
* -> echo, delay 20ms, capacity 1000";
const FLOOD: u32 = 10_000;
const OTHERS: u32 = 250;
const KNOWN: u32 = 100;
const FROM: Duration = Duration::from_secs(3);
const END: Duration = Duration::from_secs(13);

/// What the other clients saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) subject: String,
    /// Right answers, percent.
    pub(super) hits_percent: f64,
    pub(super) misses_percent: f64,
    /// ms.
    pub(super) hit_p99_ms: f64,
    pub(super) flood_answered_percent: f64,
}

/// Plays it out.
///
/// # Errors
/// When sockets fail or a thread panics.
pub(super) fn run(server: &Server, fakes: &[Fake; 2]) -> Result<Figures> {
    for fake in fakes {
        fake.follow(Script::parse(LIMITED)?);
    }
    let others = Ipv4Addr::new(127, 1, 0, 1);
    let order = |source, rate, from, names| Order {
        server: server.address,
        source,
        sockets: 16,
        rate,
        from,
        until: END,
        names,
    };
    let zero = Duration::ZERO;
    let orders = [
        order(others, OTHERS, zero, Names::Known("long.example.", KNOWN)),
        order(others, OTHERS, zero, Names::New("new.example.")),
        order(
            Ipv4Addr::new(127, 0, 1, 1),
            FLOOD,
            FROM,
            Names::New("flood.example."),
        ),
    ];
    let began = Instant::now();
    let asking = asker::ask_all(orders, began);
    let results: Vec<_> = asking.into_iter().map(Asking::end).collect::<Result<_>>()?;
    let [hits, misses, flood] = &results[..] else {
        return Err(anyhow!("askers are missing"));
    };
    Ok(Figures {
        hits_percent: right_percent(hits),
        misses_percent: right_percent(misses),
        hit_p99_ms: p99(hits, FROM, END),
        flood_answered_percent: right_percent(flood),
        ..Figures::default()
    })
}

fn right_percent(asked: &[Asked]) -> f64 {
    let during = asked.iter().filter(|one| one.at >= FROM);
    let right = during.clone().filter(|one| one.is_right).count();
    right as f64 * 100.0 / during.count().max(1) as f64
}
