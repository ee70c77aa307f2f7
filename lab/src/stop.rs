//! Ctrl-C and SIGTERM, and waiting that notices them.

#![expect(clippy::disallowed_methods, reason = "waits for conditions")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

static STOPPED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP end every wait with an error, so that the lab is taken
/// down on the way out.
pub(crate) fn watch() -> Result<()> {
    let flag = STOPPED.get_or_init(Default::default);
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot follow signals")?;
    }
    Ok(())
}

/// An error once somebody asked for the end.
pub(crate) fn check() -> Result<()> {
    if STOPPED
        .get()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
    {
        bail!("interrupted");
    }
    Ok(())
}

/// Asks `condition` again and again until it holds, and returns how long that took.
///
/// # Errors
/// When `limit` has passed, when interrupted, or when `condition` itself fails.
pub(crate) fn wait_until(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let start = Instant::now();
    loop {
        check()?;
        if condition()? {
            return Ok(start.elapsed());
        }
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps things as they are for `length`, while `watched` may look at them every 100 ms.
pub(crate) fn keep_for(length: Duration, mut watched: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + length;
    while Instant::now() < end {
        check()?;
        watched()?;
        std::thread::sleep(Duration::from_millis(100).min(end - Instant::now()));
    }
    Ok(())
}
