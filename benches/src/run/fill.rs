//! Scenarios about memory: a cache that is filled from empty.
#![expect(
    clippy::disallowed_methods,
    reason = "lets a process settle before its memory is read"
)]

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::fleet::warm;
use super::{Bench, SERVER_CORE, metrics};
use crate::load;
use crate::names::NUMBERS;
use crate::process::Memory;
use crate::report::{Filled, say};
use crate::subject::{Capacity, Server};

/// What the cache uses, by Sidestep's metrics.
const REPORTED: &str = "sidestep_dns_cache_bytes";
/// Asked at once before the metrics are looked at again.
const STEP: u32 = 50_000;
/// For threads that tidy up.
const SETTLE: Duration = Duration::from_millis(300);

/// Growth of each subject for so many cached answers, and how many of them it kept.
pub(super) fn memory(bench: &mut Bench) -> Result<()> {
    let entries = bench.scale.memory_entries;
    for subject in bench.subjects.clone() {
        let capacity = Capacity::Roomy(entries);
        let server = subject.start(capacity, bench.upstream.address, SERVER_CORE)?;
        let before = settled(&server)?;
        let warmed = warm(server.address, 0..entries);
        warmed.with_context(|| format!("memory: {}", subject.name))?;
        let after = settled(&server)?;
        bench.upstream.silence()?;
        let kept = load::warm(server.address, 0..entries);
        bench.upstream.speak()?;
        let filled = Filled {
            kept: Some(kept?.answered),
            ..grown(entries, before, after)
        };
        say(&format!(
            "{}: {:.0} octets per entry",
            subject.name,
            filled.octets_per_entry()
        ));
        bench.results.memory.insert(subject.name.to_owned(), filled);
    }
    Ok(())
}

/// Growth of Sidestep with a cache of fixed size from empty to full, beside what its metrics say.
pub(super) fn resident(bench: &mut Bench) -> Result<()> {
    let Some(subject) = bench.product() else {
        return Ok(());
    };
    let octets = bench.scale.resident_octets;
    let capacity = Capacity::Octets(octets);
    let server = subject.start(capacity, bench.upstream.address, SERVER_CORE)?;
    let before = settled(&server)?;
    let reported_before = reported(server.admin)?;
    let (mut asked, mut used, mut still) = (0, reported_before, 0);
    // Full is what has stopped growing for three steps; names run out in any case.
    while still < 3 && asked + STEP <= NUMBERS {
        warm(server.address, asked..asked + STEP)?;
        asked += STEP;
        let now = reported(server.admin)?;
        still = if now > used + octets / 1000 {
            0
        } else {
            still + 1
        };
        used = used.max(now);
    }
    let after = settled(&server)?;
    let filled = Filled {
        reported_before: Some(reported_before),
        reported_after: Some(reported(server.admin)?),
        ..grown(asked, before, after)
    };
    let ratio = filled.against_reported().unwrap_or_default();
    say(&format!("grew by {ratio:.2} of what is reported"));
    bench.results.resident = Some(filled);
    Ok(())
}

fn reported(admin: SocketAddr) -> Result<u64> {
    let text = metrics::fetch(admin)?;
    let value = metrics::value(&text, REPORTED);
    // A number of octets is exact up to 2^53.
    Ok(value.with_context(|| format!("there is no {REPORTED}"))? as u64)
}

fn settled(server: &Server) -> Result<Memory> {
    sleep(SETTLE);
    let main = server.processes().first().context("no process")?;
    main.memory()
}

fn grown(asked: u32, before: Memory, after: Memory) -> Filled {
    Filled {
        asked,
        resident_before: before.resident,
        resident_after: after.resident,
        anonymous_before: before.anonymous,
        anonymous_after: after.anonymous,
        ..Filled::default()
    }
}
