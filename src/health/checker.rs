#![warn(clippy::indexing_slicing, clippy::as_conversions)]
//! Makes the extra checks of all services, each at its own interval, one run of each at a time.
//!
//! It has a thread of its own, and each program that is started has another one while the system starts
//! it: that may take long, and nothing that keeps time, nor any other check, may wait for it. Whoever
//! ends the runtime must not wait for these.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: reads the clock for its reports"
)]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::CheckOutcome;
use super::check::{CheckKind, CheckReport, CheckSettings, bad};

mod exec;
mod http;
mod names;

/// Makes checks until `stop` says so or its sender is gone; programs that still run are then ended.
pub async fn run(
    checks: Vec<CheckSettings>,
    report: impl FnMut(CheckReport),
    mut stop: watch::Receiver<bool>,
) {
    let report = RefCell::new(report);
    let checking = join_all(checks.iter().map(|check| repeat(check, &report)));
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        _ = checking => {}
    }
}

async fn repeat(check: &CheckSettings, report: &RefCell<impl FnMut(CheckReport)>) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let outcome = make(&check.kind, check.timeout).await;
        let result = CheckReport {
            service: check.service,
            check: check.check,
            outcome,
            duration: began.elapsed(),
        };
        // Never borrowed twice: the callback is synchronous and cannot reach the checks.
        (report.borrow_mut())(result);
    }
}

async fn make(kind: &CheckKind, limit: Duration) -> CheckOutcome {
    match kind {
        CheckKind::Tcp(address) => in_time(limit, connect(*address)).await,
        CheckKind::Http(page) => in_time(limit, http::check(page)).await,
        CheckKind::Exec(command) => exec::check(command, limit).await,
        CheckKind::Names(names) => names::check(names, limit).await,
    }
}

async fn in_time(limit: Duration, checking: impl Future<Output = CheckOutcome>) -> CheckOutcome {
    let overdue = || bad(&format!("no answer for {} ms", limit.as_millis()));
    timeout(limit, checking).await.unwrap_or_else(|_| overdue())
}

async fn connect(address: SocketAddr) -> CheckOutcome {
    match TcpStream::connect(address).await {
        Ok(_) => CheckOutcome::Good,
        Err(error) => bad(&format!("{address}: {error}")),
    }
}

#[cfg(test)]
mod tests;
