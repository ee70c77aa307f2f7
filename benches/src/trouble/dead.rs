//! Both upstreams of a zone fall silent; another zone's upstream is well.
#![expect(clippy::disallowed_methods, reason = "faults have their time")]

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use fake_upstream::script::Script;
use fake_upstream::serve::Server as Fake;
use serde::{Deserialize, Serialize};

use super::asker::{self, Asked, Asking, Names, Order, PATIENCE};
use crate::subject::Server;

const RATE: u32 = 100;
const KNOWN: u32 = 100;
/// Names below `short.` live for 1 s, names below `long.` for an hour.
const WELL: &str = "*.short.example. -> echo, ttl 1, delay 5ms..15ms
*.long.example. -> echo, ttl 3600, delay 5ms..15ms
* -> echo, delay 5ms..15ms";
const SILENT: &str = "* -> silent";
/// By then everything has been asked for, and what lives shortly is asked for no more.
const ASKED_BY: Duration = Duration::from_secs(4);
const DEAD_FROM: Duration = Duration::from_secs(7);
/// The breakers are open by then.
const KNOWN_DEAD: Duration = Duration::from_secs(9);
const END: Duration = Duration::from_secs(17);

/// What clients saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) subject: String,
    /// In the first two seconds.
    pub(super) at_first: Seen,
    /// From then on.
    pub(super) later: Seen,
    /// Questions to each dead upstream a second, later.
    pub(super) probes_per_s: f64,
    /// The most in one second, from the first one on.
    pub(super) probes_per_s_max: f64,
    /// 99th percentiles of the other zone, before and while, ms.
    pub(super) second_zone_ms: [f64; 2],
}

/// The longest waits by kind of name, ms, and answers that were not right.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) cached_ms: f64,
    pub(super) expired_ms: f64,
    pub(super) new_ms: f64,
    pub(super) cached_wrong: usize,
    pub(super) expired_wrong: usize,
    pub(super) new_lost: usize,
}

/// Plays it out.
///
/// # Errors
/// When sockets fail or a thread panics.
pub(super) fn run(server: &Server, fakes: &[Fake; 2], second: &Fake) -> Result<Figures> {
    let (well, silent) = (Script::parse(WELL)?, Script::parse(SILENT)?);
    for fake in fakes.iter().chain([second]) {
        fake.follow(well.clone());
    }
    let order = |names, from, until| Order {
        server: server.address,
        source: std::net::Ipv4Addr::LOCALHOST,
        sockets: 4,
        rate: RATE,
        from,
        until,
        names,
    };
    let zero = Duration::ZERO;
    let short = Names::Known("short.example.", KNOWN);
    let orders = [
        order(Names::Known("long.example.", KNOWN), zero, END),
        order(short.clone(), zero, ASKED_BY),
        order(short, DEAD_FROM, END),
        order(Names::New("new.example."), zero, END),
        order(Names::New("second.example."), zero, END),
    ];
    let began = Instant::now();
    let asking = asker::ask_all(orders, began);
    let mut is_dead = false;
    let mut looks = Vec::new();
    while began.elapsed() < END {
        if !is_dead && began.elapsed() >= DEAD_FROM {
            is_dead = true;
            fakes.iter().for_each(|fake| fake.follow(silent.clone()));
        }
        looks.push((
            began.elapsed(),
            fakes[0].counts().udp.load(Ordering::Relaxed),
        ));
        sleep(Duration::from_millis(50));
    }
    let results: Vec<_> = asking.into_iter().map(Asking::end).collect::<Result<_>>()?;
    let [long, _, short, new, second] = &results[..] else {
        return Err(anyhow!("askers are missing"));
    };
    let seen = |from, until| Seen {
        cached_ms: longest(long, from, until),
        expired_ms: longest(short, from, until),
        new_ms: longest(new, from, until),
        cached_wrong: wrong(long, from, until),
        expired_wrong: wrong(short, from, until),
        new_lost: within(new, from, until)
            .filter(|one| one.took.is_none())
            .count(),
    };
    Ok(Figures {
        at_first: seen(DEAD_FROM, KNOWN_DEAD),
        later: seen(KNOWN_DEAD, END),
        probes_per_s: most(&looks, KNOWN_DEAD, END - KNOWN_DEAD) / (END - KNOWN_DEAD).as_secs_f64(),
        probes_per_s_max: most(&looks, KNOWN_DEAD, Duration::from_secs(1)),
        second_zone_ms: [
            p99(second, Duration::from_secs(2), DEAD_FROM),
            p99(second, DEAD_FROM, END),
        ],
        ..Figures::default()
    })
}

fn within(asked: &[Asked], from: Duration, until: Duration) -> impl Iterator<Item = &Asked> {
    asked
        .iter()
        .filter(move |one| (from..until).contains(&one.at))
}

fn ms(one: &Asked) -> f64 {
    one.took.unwrap_or(PATIENCE).as_secs_f64() * 1000.0
}

fn longest(asked: &[Asked], from: Duration, until: Duration) -> f64 {
    within(asked, from, until).map(ms).fold(0.0, f64::max)
}

fn wrong(asked: &[Asked], from: Duration, until: Duration) -> usize {
    within(asked, from, until)
        .filter(|one| !one.is_right)
        .count()
}

/// The 99th percentile, ms.
pub(super) fn p99(asked: &[Asked], from: Duration, until: Duration) -> f64 {
    let mut all: Vec<f64> = within(asked, from, until).map(ms).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() * 99 / 100).copied().unwrap_or_default()
}

/// The most that a count has grown by within so long, after `from`.
fn most(looks: &[(Duration, u64)], from: Duration, window: Duration) -> f64 {
    let after = looks.iter().filter(|(at, _)| *at >= from);
    let grown = after.map(|(at, count)| {
        let end = looks.iter().rfind(|(later, _)| *later <= *at + window);
        end.map_or(0, |(_, later)| later.saturating_sub(*count))
    });
    grown.max().unwrap_or_default() as f64
}
