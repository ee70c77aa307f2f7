//! Hits while nothing upstream answers and questions for new names keep coming.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::fleet::{Questions, plan, warm};
use super::{Bench, SERVER_CORE};
use crate::load;
use crate::report::{Dead, Turn, say};
use crate::scenario::{HOT, Over, Speed};
use crate::subject::{Capacity, Server};

/// Hits a second.
const HITS: u32 = 20_000;
/// Hits and new names a second: 2,000 of the latter, rounded.
const ALL: u32 = 22_222;
const NEW_PERCENT: u8 = 9;
/// The new names come so long before the hits are looked at.
const AHEAD: Duration = Duration::from_millis(300);

/// In turns: everything works and is quiet; everything upstream is dead.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let Some(subject) = bench.product() else {
        return Ok(());
    };
    let capacity = Capacity::Roomy(2_000_000);
    let server = subject.start(capacity, bench.upstream.address, SERVER_CORE)?;
    warm(server.address, 0..HOT)?;
    let mut next_new = 0;
    for number in 0..=bench.scale.rounds {
        let mut ask = |per_second, new_percent, time| {
            let questions = Questions {
                over: Over::Udp { sockets: 8 },
                speed: Speed::Rate(per_second),
                hot: HOT,
                new_percent,
                seed: number as u64,
            };
            hits(&server, &questions, &mut next_new, time)
        };
        let quiet = ask(HITS, 0, bench.scale.turn)?;
        bench.upstream.silence()?;
        let dead =
            ask(ALL, NEW_PERCENT, AHEAD).and_then(|_| ask(ALL, NEW_PERCENT, bench.scale.turn));
        bench.upstream.speak()?;
        let round = Dead { quiet, dead: dead? };
        say(&format!(
            "round {number}: p99 {:.0} µs, dead {:.0} µs, lost {}",
            round.quiet.p99_us, round.dead.p99_us, round.dead.lost
        ));
        if number > 0 {
            bench.results.dead_upstreams.push(round);
        }
    }
    Ok(())
}

/// What became of the hits; that new names fail, or are not answered at all, is right here.
fn hits(
    server: &Server,
    questions: &Questions,
    next_new: &mut u32,
    time: Duration,
) -> Result<Turn> {
    let outcome = load::run(&plan(server.address, questions, *next_new, time))?;
    *next_new = outcome.next_new;
    let hits = outcome.cached;
    ensure!(hits.wrong == 0, "{} hits were answered wrongly", hits.wrong);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Turn {
        sent: hits.sent,
        answered: hits.answered,
        lost: hits.lost,
        elapsed_s: outcome.elapsed.as_secs_f64(),
        cpu_s: 0.0,
        p50_us: us(hits.latency.p50()),
        p99_us: us(hits.latency.p99()),
        p999_us: us(hits.latency.p999()),
    })
}
