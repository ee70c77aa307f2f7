//! From exec to the first answer.
#![expect(clippy::disallowed_methods, reason = "times a start")]

use std::time::Instant;

use anyhow::Result;

use super::{Bench, SERVER_CORE};
use crate::report::say;
use crate::subject::Capacity;

/// Starts Sidestep again and again. What starts it on its core (two small programs, one exec
/// each) is part of the time.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let Some(subject) = bench.product() else {
        return Ok(());
    };
    let capacity = Capacity::Octets(256 << 20);
    let mut starts_ms = Vec::new();
    for _ in 0..bench.scale.starts {
        let before = Instant::now();
        let mut server = subject.spawn(capacity, bench.upstream.address, SERVER_CORE)?;
        server.answers()?;
        starts_ms.push(before.elapsed().as_secs_f64() * 1e3);
    }
    say(&format!("{starts_ms:.1?} ms"));
    bench
        .results
        .start_ms
        .insert(subject.name.to_owned(), starts_ms);
    Ok(())
}
