//! The process as its supervisor sees it: signals, sd_notify(3), the host's name.
//!
//! Without a supervisor (no `NOTIFY_SOCKET`) every notification succeeds and does nothing.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod group;

pub use group::kill_group;

/// What somebody asked the process for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM: drain and stop.
    Stop,
    /// SIGINT, usually from a terminal: drain and stop; a second one stops at once.
    Interrupt,
    /// SIGHUP: load the configuration again.
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP as a stream; none of them ends the process any more.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over; needs a tokio runtime.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal. May be dropped at any await without losing one.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Interrupt,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// Waits until somebody wants the process to end; other wishes are passed over.
    pub async fn stop(&mut self) {
        while self.next().await == Wish::Reload {}
    }
}

/// Tells the supervisor that the node serves.
///
/// # Errors
/// The supervisor's socket does not take it.
pub fn notify_ready(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
}

/// Tells the supervisor that the node is stopping.
///
/// # Errors
/// The supervisor's socket does not take it.
pub fn notify_stopping(status: &str) -> io::Result<()> {
    sd_notify::notify(&[
        NotifyState::Stopping,
        NotifyState::Status(&one_line(status)),
    ])
}

/// Tells the supervisor how the node is, in one line.
///
/// # Errors
/// The supervisor's socket does not take it.
pub fn notify_status(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Status(&one_line(status))])
}

/// Feeds the watchdog. Only while every worker's heartbeat advances, never by the probe.
///
/// # Errors
/// The supervisor's socket does not take it.
pub fn notify_watchdog() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Watchdog])
}

/// How often to feed the watchdog: half of what the supervisor allows; `None`: it has none.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .filter(|limit| !limit.is_zero())
        .map(|limit| limit / 2)
}

/// The host's name, as in its UTS namespace.
///
/// # Errors
/// `/proc` is missing, or the host has no name.
pub fn host_name() -> io::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let name = name.trim();
    if name.is_empty() || name == "(none)" {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the host has no name",
        ));
    }
    Ok(name.to_owned())
}

/// A notification is made of lines: a line break in the text would start another one.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_a_name_of_one_line() {
        let name = host_name().unwrap();
        assert!(!name.is_empty() && !name.contains('\n'), "{name:?}");
    }

    #[test]
    fn a_status_cannot_smuggle_another_notification() {
        assert_eq!(one_line("drained\nWATCHDOG=1"), "drained WATCHDOG=1");
    }

    #[tokio::test]
    async fn a_hangup_becomes_a_wish_and_does_not_end_the_process() {
        let mut signals = Signals::new().unwrap();
        let kill = std::process::Command::new("kill")
            .args(["-HUP", &std::process::id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(signals.next().await, Wish::Reload);
    }
}
