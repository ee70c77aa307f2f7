//! Keeps the state file: read and marked at the start, then written by a thread of its own, so that a
//! slow disk delays nobody.
//!
//! Only the latest wish counts. What is urgent is written at once, all else once a second at most;
//! what could not be written is tried again.
#![expect(
    clippy::disallowed_methods,
    reason = "files are written by the clock, on a thread of their own"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, process};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::directory::Directory;
use super::metrics::Metrics;
use super::{OCTETS_MAX, State, StateError, VERSION};

const FILE: &str = "state.json";
/// Between two writes that are not urgent.
const SPACING: Duration = Duration::from_secs(1);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(10);

/// What the file should say.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// All of it.
    pub state: Arc<State>,
    /// Another number than before: to be written at once.
    pub urgency: u64,
}

/// Why no state is kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The directory, or a file in it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It would not fit.
    #[error(transparent)]
    State(#[from] StateError),
    /// Two nodes would forget each other's.
    #[error("process {pid} uses this directory; give each node its own")]
    InUse {
        /// The process.
        pid: u32,
        /// What the file says.
        found: Box<State>,
    },
}

/// Writes the file.
#[derive(Debug)]
pub struct Keeper {
    directory: Directory,
    metrics: Metrics,
    content: Vec<u8>,
    written_at: Option<Instant>,
    urgency: u64,
    is_failing: bool,
    has_lost: bool,
}

impl Keeper {
    /// Opens the directory, which is made when it is missing, and reads what a predecessor has left, as
    /// far as it can be read.
    ///
    /// # Errors
    /// [`KeeperError`] tells why nothing can be kept there.
    pub fn open(path: &Path, metrics: Metrics) -> Result<(Self, State), KeeperError> {
        let directory = Directory::open(path)?;
        let (state, has_lost) = match directory.read(FILE, OCTETS_MAX)? {
            Some(octets) => read(&directory, &octets),
            None => (State::default(), false),
        };
        if state.running && is_alive(state.pid) {
            return Err(KeeperError::InUse {
                pid: state.pid,
                found: Box::new(state),
            });
        }
        let keeper = Self {
            directory,
            metrics,
            content: Vec::new(),
            written_at: None,
            urgency: 0,
            is_failing: false,
            has_lost,
        };
        Ok((keeper, state))
    }

    /// Whether a part of what a predecessor has left could not be read.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// Writes now.
    ///
    /// # Errors
    /// The file is as it was.
    pub fn write(&mut self, state: &State) -> Result<(), KeeperError> {
        let written = self.replace(state);
        self.metrics.record(written.is_ok());
        self.written_at = Some(Instant::now());
        written
    }

    fn replace(&mut self, state: &State) -> Result<(), KeeperError> {
        let content = state.to_json()?;
        if content != self.content {
            self.directory.write(FILE, &content)?;
            self.content = content;
        }
        Ok(())
    }

    /// Writes what is wished for, until nobody can wish any more and the last wish is written.
    pub async fn run(mut self, mut wishes: watch::Receiver<Wish>) {
        while self.has_work(&mut wishes).await {
            self.space_out(&mut wishes).await;
            let wish = wishes.borrow_and_update().clone();
            self.urgency = wish.urgency;
            let result = self.write(&wish.state);
            self.tell(result);
        }
    }

    async fn has_work(&self, wishes: &mut watch::Receiver<Wish>) -> bool {
        if !self.is_failing {
            return wishes.changed().await.is_ok();
        }
        // Over when nobody wishes any more; a new wish, or none for a while, is a reason to try again.
        !matches!(timeout(RETRY, wishes.changed()).await, Ok(Err(_)))
    }

    async fn space_out(&self, wishes: &mut watch::Receiver<Wish>) {
        let Some(due) = self.written_at.map(|at| at + SPACING) else {
            return;
        };
        tokio::select! {
            () = sleep_until(due) => {}
            // An error means that nobody wishes any more: the last wish does not wait.
            _ = wishes.wait_for(|wish| wish.urgency != self.urgency) => {}
        }
    }

    fn tell(&mut self, result: Result<(), KeeperError>) {
        let directory = self.directory.path();
        match result {
            Ok(()) if self.is_failing => {
                tracing::info!(?directory, "state is kept again");
                self.is_failing = false;
            }
            Err(error) if !self.is_failing => {
                tracing::warn!(%error, ?directory, "state not kept");
                self.is_failing = true;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// What the file says, and whether that is not all of it.
fn read(directory: &Directory, octets: &[u8]) -> (State, bool) {
    match State::from_json(octets) {
        Ok(state) => {
            if state.version > VERSION {
                let version = state.version;
                tracing::warn!(
                    version,
                    "state of a newer version: read as far as it is known"
                );
            }
            (state, false)
        }
        Err(error) => {
            let is_aside = directory.put_aside(FILE).is_ok();
            let directory = directory.path();
            let salvaged = State::salvage(octets);
            let drains = salvaged.as_ref().map_or(0, |state| state.drains.len());
            tracing::error!(
                %error,
                ?directory,
                is_aside,
                drains,
                "state not readable: what was drained may be announced"
            );
            (salvaged.unwrap_or_default(), true)
        }
    }
}

/// Whether another node has this process id. After a crash it may belong to anybody, or to somebody
/// that only has not been buried yet.
fn is_alive(pid: u32) -> bool {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat"));
    let own = process::id();
    pid != own && stat(pid).is_ok_and(|of| stat(own).is_ok_and(|own| is_another(&own, &of)))
}

/// Whether the process of the second line is alive and runs the same program as that of the first.
/// proc_pid_stat(5).
fn is_another(own: &str, other: &str) -> bool {
    let name_and_state = |stat: &str| {
        let (_, rest) = stat.split_once('(')?;
        let (name, rest) = rest.rsplit_once(')')?;
        Some((name.to_owned(), rest.trim_start().chars().next()?))
    };
    match (name_and_state(own), name_and_state(other)) {
        (Some((own, _)), Some((other, state))) => own == other && !matches!(state, 'Z' | 'X'),
        (None, _) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests;
