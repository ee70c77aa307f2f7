//! BFD beside the sessions with FRR and BIRD: it never tears down what is well, neither while a node
//! starts nor while all its workers are busy.
//!
//! Source: RFC 5880 §6.2 (states), RFC 5882 §4.3 (what BGP makes of them).

#![expect(clippy::disallowed_methods, reason = "measures in real time")]

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::bench::{Bench, Missing, NODE};
use super::capture::Told;
use super::kind::Session;
use super::message::Message;
use super::setup;
use super::view;
use crate::client::{CACHED_NAMES, cached_name};
use crate::message::{self, TYPE_A};
use crate::report::say;
use crate::{http, namespace, place, stop};

/// Both sessions of both routers are there by then.
const LIMIT: Duration = Duration::from_secs(15);
/// So long after each start nothing may be torn down.
const WATCH: Duration = Duration::from_secs(10);
/// A node that is told to stop has ended by then.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// Who floods, and with how many threads: as many as keep a worker on each core busy.
const FLOODER: &str = "upstream";
const FLOODERS: usize = 2;
/// Of BFD, RFC 5880 §4.1.
const BFD_STATES: [&str; 4] = ["AdminDown", "Down", "Init", "Up"];
const UP: u8 = 3;

/// Starts the node so often, and floods it for so long.
pub(super) fn run(bench: &mut Bench, starts: u32, load: Duration) -> Result<()> {
    for start in 1..=starts {
        say(&format!("start {start} of {starts}"));
        if start == 1 {
            if !bench.enter(&setup::BFD)? {
                return Ok(());
            }
        } else {
            // By turns in good order and not.
            let signal = if start % 2 == 0 {
                Signal::SIGTERM
            } else {
                Signal::SIGKILL
            };
            bench.lab.signal(NODE, signal)?;
            bench.lab.wait_for_exit(NODE, EXIT_LIMIT)?;
            bench.started = Instant::now();
            bench.lab.start(NODE)?;
        }
        let since = bench.started;
        bench.until("Established and BFD Up", since, LIMIT, |bench, session| {
            is_up(bench, session, since)
        })?;
        stop::keep_for(WATCH, || Ok(()))?;
        bench.judge("nothing torn down in 10 s", |bench, session| {
            Ok(torn(bench, session, since, true))
        })?;
    }
    if load.is_zero() {
        return Ok(());
    }
    if starts == 0 {
        if !bench.enter(&setup::BFD)? {
            return Ok(());
        }
        let since = bench.started;
        bench.until("Established and BFD Up", since, LIMIT, |bench, session| {
            is_up(bench, session, since)
        })?;
        // FRR makes its session anew once BGP is Established.
        stop::keep_for(WATCH, || Ok(()))?;
    }
    let since = Instant::now();
    flood(bench, load)?;
    bench.judge("nothing torn down under load", |bench, session| {
        Ok(torn(bench, session, since, false))
    })
}

/// Established, and both ends of BFD say Up.
fn is_up(bench: &Bench, session: &Session, since: Instant) -> Result<Missing> {
    if !view::state(&bench.lab, session)?.is_established {
        return Ok(Some("not Established".to_owned()));
    }
    let told = bench.told(session, since);
    let last = |by_node: bool| {
        let mut all = told
            .iter()
            .rev()
            .filter(|(from_node, _)| *from_node == by_node);
        all.find_map(|(_, told)| match told.message {
            Message::Bfd(state) => Some(state),
            _ => None,
        })
    };
    let ends = [last(true), last(false)];
    Ok((ends != [Some(UP); 2]).then(|| format!("Established, BFD {ends:?}")))
}

/// What ended since then; a session that is `starting` counts from when it is Established. It may see
/// BFD fall once, for FRR makes its BFD session anew then; BGP may never fall.
fn torn(bench: &Bench, session: &Session, since: Instant, is_starting: bool) -> Missing {
    let told = bench.told(session, since);
    // Both ends confirm each other's OPEN with a KEEPALIVE.
    let mut is_confirmed = [!is_starting; 2];
    let mut falls = 0;
    let mut is_ended = false;
    let mut last = [None, None];
    for (by_node, told) in &told {
        let side = usize::from(*by_node);
        match told.message {
            Message::Notification(..) | Message::Open { .. } => {
                is_ended |= is_confirmed == [true; 2];
            }
            Message::Keepalive => is_confirmed[side] = true,
            Message::Bfd(state) => {
                falls += u32::from(last[side] == Some(UP) && state != UP);
                last[side] = Some(state);
            }
            Message::Update { .. } | Message::Refresh { .. } | Message::Unknown => {}
        }
    }
    // Either end says so once.
    let is_well = is_confirmed == [true; 2] && !is_ended && falls <= 2 * u32::from(is_starting);
    (!is_well).then(|| history(&told, since))
}

/// All but routes and later keepalives, with the milliseconds since then.
fn history(told: &[(bool, Told)], since: Instant) -> String {
    let mut text = String::new();
    let mut is_heard = [false; 2];
    for (by_node, told) in told {
        let side = if *by_node { "node" } else { "router" };
        let at_ms = told.at.saturating_duration_since(since).as_millis();
        let what = match told.message {
            Message::Keepalive if !is_heard[usize::from(*by_node)] => {
                is_heard[usize::from(*by_node)] = true;
                "KEEPALIVE".to_owned()
            }
            Message::Keepalive | Message::Update { .. } => continue,
            Message::Open { .. } => "OPEN".to_owned(),
            Message::Notification(code, subcode) => format!("NOTIFICATION {code}/{subcode}"),
            Message::Bfd(state) => format!("BFD {}", BFD_STATES[usize::from(state % 4)]),
            Message::Refresh { .. } => "ROUTE-REFRESH".to_owned(),
            Message::Unknown => "?".to_owned(),
        };
        // Nothing can fail here: it is a string.
        let _ = write!(text, "{at_ms} {side} {what}; ");
    }
    text
}

/// Asks for cached names as fast as two threads can, and says what the node made of it.
fn flood(bench: &mut Bench, length: Duration) -> Result<()> {
    let is_over = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    let mut sockets = Vec::new();
    for _ in 0..FLOODERS {
        let ports = namespace::inside(&bench.lab.paths.namespace(FLOODER), || {
            // Many ports, so that the kernel spreads them over the workers.
            let open = |_| -> Result<UdpSocket> {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.connect((place::SERVICE[0], 53))?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            };
            (0..16).map(open).collect::<Result<Vec<_>>>()
        })?;
        sockets.push(ports);
    }
    let before = answered(bench)?;
    std::thread::scope(|scope| -> Result<()> {
        for ports in &sockets {
            scope.spawn(|| send(ports, &is_over, &sent));
        }
        let kept = stop::keep_for(length, || Ok(()));
        is_over.store(true, Ordering::Relaxed);
        kept
    })?;
    let after = answered(bench)?;
    let per_second = |count: u64| count / length.as_secs().max(1);
    say(&format!(
        "  sent {} queries/s, of which {} were taken and {} dropped",
        per_second(sent.load(Ordering::Relaxed)),
        per_second(after.0.saturating_sub(before.0)),
        per_second(after.1.saturating_sub(before.1)),
    ));
    Ok(())
}

fn send(ports: &[UdpSocket], is_over: &AtomicBool, sent: &AtomicU64) {
    let mut queries = Vec::new();
    for index in 0..CACHED_NAMES {
        let question = message::question(&cached_name(index), TYPE_A);
        queries.push(message::query(7, &question));
    }
    while !is_over.load(Ordering::Relaxed) {
        for (socket, query) in ports.iter().zip(queries.iter().cycle()) {
            // A full queue is what a flood is about; answers are thrown away when their queue is full.
            sent.fetch_add(u64::from(socket.send(query).is_ok()), Ordering::Relaxed);
        }
    }
}

/// Queries that the workers took, and that were dropped before.
fn answered(bench: &Bench) -> Result<(u64, u64)> {
    let page = http::get(&bench.lab.paths.namespace(NODE), "/status")?;
    let status: Value = serde_json::from_str(&page).context("not JSON")?;
    let workers = status["workers"].as_array().map_or(&[][..], Vec::as_slice);
    let sum = |key: &str| {
        workers
            .iter()
            .filter_map(|worker| worker[key].as_u64())
            .sum()
    };
    Ok((sum("queries"), sum("dropped")))
}
