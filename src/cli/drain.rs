//! `sidestep drain` and `sidestep undrain`.
#![expect(
    clippy::disallowed_methods,
    reason = "looks a few times a second whether the clients have left"
)]
#![expect(clippy::print_stderr, reason = "errors of a command go to its user")]

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use super::ControlArguments;
use super::control::{ask, run, say, unanswered, unexpected};
use super::layout::{printable, rate};
use crate::admin::status::{DrainPhase, StandingDrain};
use crate::admin::{Answer, Command, Status};

/// What a drain may be asked for.
const LASTS_MIN: Duration = Duration::from_secs(1);
const LASTS_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Between two lines that tell how far it is.
const LINE: Duration = Duration::from_secs(1);
/// The node withdraws after 5 min at the latest (`health.drain_wait`).
const WAIT_MAX: Duration = Duration::from_secs(330);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    control: ControlArguments,
    /// This service alone [default: all].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Ends by itself after so long, for example 30m, 2h or 1d [default: when it is taken back].
    #[arg(long = "for", value_name = "DURATION", value_parser = lasts)]
    lasts: Option<Duration>,
    /// Why; shown in status and logs.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Does not wait until the clients have left.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct UndrainArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// The drain of this service [default: the drain of all].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

fn lasts(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok();
    duration
        .filter(|duration| (LASTS_MIN..=LASTS_MAX).contains(duration))
        .ok_or_else(|| "write a duration from 1s to 30d, such as 30m, 2h or 1d".to_owned())
}

/// Moves clients away, and waits until they have left unless that is not wanted.
///
/// # Errors
/// The answer makes no sense, or standard output cannot be written.
pub(super) fn drain(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let socket = &arguments.control.socket;
    let command = Command::Drain {
        service: arguments.service.clone(),
        reason: arguments.reason,
        // What is asked for is the least: a part of a second counts as a whole one.
        for_s: arguments
            .lasts
            .map(|lasts| lasts.as_secs() + u64::from(lasts.subsec_nanos() > 0)),
    };
    let code = run(socket, &command, unexpected)?;
    if arguments.no_wait || code != ExitCode::SUCCESS {
        return Ok(code);
    }
    wait(socket, arguments.service.as_deref())
}

/// Takes a drain back.
///
/// # Errors
/// The answer makes no sense, or standard output cannot be written.
pub(super) fn undrain(arguments: UndrainArguments) -> anyhow::Result<ExitCode> {
    let command = Command::Undrain {
        service: arguments.service,
    };
    run(&arguments.control.socket, &command, unexpected)
}

/// Tells how far the drain is until it is done.
fn wait(socket: &Path, service: Option<&str>) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let mut told: Option<(Instant, String)> = None;
    loop {
        let status = match ask(socket, &Command::Status) {
            Ok(Answer::Status(status)) => status,
            Ok(other) => {
                unexpected(other)?;
                return Ok(ExitCode::FAILURE);
            }
            Err(error) => return Ok(unanswered(socket, &error)),
        };
        let text = match look(&status, service) {
            Look::Leaving(text) => text,
            Look::Drained(text) => {
                say(&text)?;
                return Ok(ExitCode::SUCCESS);
            }
            // A node that is older than this program has no more to tell.
            Look::Untold => return Ok(ExitCode::SUCCESS),
            Look::Gone => {
                eprintln!("error: the drain was taken back, or its time is over");
                return Ok(ExitCode::FAILURE);
            }
        };
        let is_news = told
            .as_ref()
            .is_none_or(|(at, last)| at.elapsed() >= LINE && *last != text);
        if is_news {
            say(&text)?;
            told = Some((Instant::now(), text));
        }
        if began.elapsed() > WAIT_MAX {
            eprintln!("error: not drained in time; the drain goes on (see sidestep status)");
            return Ok(ExitCode::FAILURE);
        }
        thread::sleep(LOOK);
    }
}

/// How far it is, in words.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Leaving(String),
    Drained(String),
    /// There is no such drain.
    Gone,
    /// The node is drained, and does not tell how far it is.
    Untold,
}

fn look(status: &Status, service: Option<&str>) -> Look {
    let mut drains = status.drains.iter();
    let Some(drain) = drains.find(|drain| drain.service.as_deref() == service) else {
        return match (&status.drain, status.drains.is_empty()) {
            (Some(_), true) => Look::Untold,
            (Some(_) | None, _) => Look::Gone,
        };
    };
    let what = printable(service.unwrap_or("all services"));
    match drain.phase {
        DrainPhase::Leaving => Look::Leaving(match rates(drain) {
            Some(rates) => format!("draining {what}: {rates} queries/s"),
            None => format!("draining {what}"),
        }),
        DrainPhase::Drained => {
            let mut text = "drained".to_owned();
            if let Some(after_ms) = drain.drained_after_ms {
                let tenths = after_ms / 100;
                text.push_str(&format!(" after {}.{} s", tenths / 10, tenths % 10));
            }
            if let Some(left) = drain.rate {
                text.push_str(&format!(": {} queries/s left", rate(left)));
            }
            Look::Drained(text)
        }
    }
}

fn rates(drain: &StandingDrain) -> Option<String> {
    let now = rate(drain.rate?);
    Some(match drain.rate_at_start {
        Some(at_start) => format!("{} → {now}", rate(at_start)),
        None => now,
    })
}

#[cfg(test)]
mod tests;
