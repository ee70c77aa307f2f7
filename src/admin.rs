//! What the node tells about itself: HTTP, control socket, and the types that go outwards.
//!
//! The routing thread publishes a [`Status`]; the admin thread reads the latest one and passes
//! commands on. Neither ever waits for the other: publishing swaps a pointer, and a command that
//! finds the queue full is refused.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub mod http;
pub mod neighbors;
pub mod socket;
pub mod status;

pub use neighbors::Describe;
pub use status::Status;
use status::neighbor::{NeighborDetail, NeighborList};

/// What the admin thread is told by the configuration; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where `/metrics`, `/healthz`, `/readyz`, `/status` and `/api/v1/neighbors` are served; `None`:
    /// nowhere.
    pub listen: Option<SocketAddr>,
    /// The control socket; `None`: none.
    pub socket: Option<PathBuf>,
}

/// A status and when it was true.
#[derive(Debug)]
pub struct Snapshot {
    /// What the routing thread knew.
    pub status: Status,
    /// What it knew of each neighbour, in the order of the configuration.
    pub neighbors: Vec<Box<dyn Describe>>,
    /// When it knew it.
    pub at: Instant,
}

/// The latest snapshot, shared between the routing thread and the admin thread.
#[derive(Debug)]
pub struct Published {
    latest: ArcSwapOption<Snapshot>,
    fresh_for: Duration,
}

impl Published {
    /// Nothing published yet. A snapshot older than `fresh_for` means that the routing thread is
    /// stuck: several times the interval of publishing.
    #[must_use]
    pub fn new(fresh_for: Duration) -> Self {
        let latest = ArcSwapOption::empty();
        Self { latest, fresh_for }
    }

    /// Replaces what is told.
    pub fn publish(&self, status: Status, neighbors: Vec<Box<dyn Describe>>, now: Instant) {
        self.latest.store(Some(Arc::new(Snapshot {
            status,
            neighbors,
            at: now,
        })));
    }

    /// What was published last, of whatever age.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.latest.load_full()
    }

    /// What was published last, if the routing thread still publishes.
    ///
    /// # Errors
    /// [`Unhealthy`] tells why there is nothing to rely on.
    pub fn fresh(&self, now: Instant) -> Result<Arc<Snapshot>, Unhealthy> {
        let snapshot = self.latest().ok_or(Unhealthy::Starting)?;
        let age = now.saturating_duration_since(snapshot.at);
        if age > self.fresh_for {
            return Err(Unhealthy::Stale { age });
        }
        Ok(snapshot)
    }
}

/// Why the node does not count as alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// Nothing has been published yet.
    #[error("the node is starting")]
    Starting,
    /// The routing thread has not published for too long.
    #[error("the routing thread has not reported for {:.1} s", .age.as_secs_f64())]
    Stale {
        /// Since the last snapshot.
        age: Duration,
    },
}

/// A request over the control socket, one JSON object on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Command {
    /// Tells the latest [`Status`].
    Status,
    /// Tells of one neighbour, or of all, in full.
    Neighbors {
        /// Whose address; with `%interface` if link-local. `None`: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// Moves traffic away and withdraws, without stopping.
    Drain {
        /// Name of the service; `None`: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// Shown in status and logs; `None`: nobody said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Seconds until it ends by itself; `None`: when it is taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_s: Option<u64>,
    },
    /// Takes back a drain.
    Undrain {
        /// Name of the service; `None`: the drain of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
}

/// The answer to a [`Command`], one JSON object on one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Command::Status`].
    Status(Box<Status>),
    /// To [`Command::Neighbors`] without an address.
    Neighbors(Box<NeighborList>),
    /// To [`Command::Neighbors`] with an address.
    Neighbor(Box<NeighborDetail>),
    /// The command has taken effect; the text says how.
    Done(String),
    /// It has not; the text says why.
    Error(String),
}

/// What the control socket asks the routing thread for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Moves traffic away and withdraws, without stopping.
    Drain {
        /// Name of the service; `None`: all.
        service: Option<String>,
        /// Shown in status and logs; 1 to 200 characters, none of them a control character.
        reason: String,
        /// When it ends by itself, 1 s to 30 days; `None`: when it is taken back.
        lasts: Option<Duration>,
    },
    /// Takes back a drain.
    Undrain {
        /// Name of the service; `None`: the drain of all.
        service: Option<String>,
    },
}

/// A change with the way back for its outcome.
#[derive(Debug)]
pub struct Order {
    /// What to do.
    pub change: Change,
    /// The name of who asks, or what the kernel tells instead.
    pub who: String,
    /// Takes what was done, or why it was not.
    pub outcome: oneshot::Sender<Result<String, String>>,
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "an instant to reckon from; no other clock is read"
)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_as_fresh_up_to_its_limit() {
        let published = Published::new(Duration::from_secs(2));
        let start = Instant::now();
        assert_eq!(published.fresh(start).unwrap_err(), Unhealthy::Starting);
        published.publish(status::example(), Vec::new(), start);
        let limit = start + Duration::from_secs(2);
        assert_eq!(published.fresh(limit).unwrap().status, status::example());
        let age = Duration::from_millis(2_001);
        assert_eq!(
            published.fresh(start + age).unwrap_err(),
            Unhealthy::Stale { age }
        );
    }

    #[test]
    fn commands_are_written_as_documented() {
        let service = || Some("resolver".to_owned());
        let drain = |service, reason: Option<&str>, for_s| Command::Drain {
            service,
            reason: reason.map(str::to_owned),
            for_s,
        };
        for (line, command) in [
            (r#"{"command":"drain"}"#, drain(None, None, None)),
            (
                r#"{"command":"drain","reason":"new kernel"}"#,
                drain(None, Some("new kernel"), None),
            ),
            (
                r#"{"command":"drain","service":"resolver","reason":"x","for_s":1800}"#,
                drain(service(), Some("x"), Some(1800)),
            ),
            (
                r#"{"command":"undrain"}"#,
                Command::Undrain { service: None },
            ),
            (
                r#"{"command":"undrain","service":"resolver"}"#,
                Command::Undrain { service: service() },
            ),
        ] {
            assert_eq!(serde_json::to_string(&command).unwrap(), line);
            assert_eq!(serde_json::from_str::<Command>(line).unwrap(), command);
        }
        assert_eq!(
            serde_json::from_str::<Command>(r#"{"command":"status"}"#).unwrap(),
            Command::Status
        );
        for (line, address) in [
            (r#"{"command":"neighbors"}"#, None),
            (
                r#"{"command":"neighbors","address":"fe80::1%eth1"}"#,
                Some("fe80::1%eth1".to_owned()),
            ),
        ] {
            let command = Command::Neighbors { address };
            assert_eq!(serde_json::to_string(&command).unwrap(), line);
            assert_eq!(serde_json::from_str::<Command>(line).unwrap(), command);
        }
        for wrong in [
            r#"{"command":"stop"}"#,
            r#"{"command":"drain","reason":"x","for":"1h"}"#,
            r#"{"command":"drain","for_s":-1}"#,
            r#"{"command":"undrain","reason":"x"}"#,
            "status",
        ] {
            serde_json::from_str::<Command>(wrong).unwrap_err();
        }
    }
}
