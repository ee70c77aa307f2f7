//! What a node wants to know again after a restart: whether its predecessor ended in good order, the
//! faults and promotions of its services, and what operators have drained.
//!
//! One small JSON file, `state.json`, in the state directory (`node.state`). Times are milliseconds
//! since 1970, for a monotonic clock does not survive its host. The clock may have been put right in
//! between: a time that is still to come counts as now, and what makes no sense is left out. A drain
//! that ends by itself never lasts longer than it was asked for.
//!
//! Fields are added and never mean something else: unknown ones are passed over, missing ones have a
//! default, and a file of a newer version is read as far as it is known. A file that is not like that is
//! put aside as `state.json.bad`; what can be read of it counts all the same, drains above all. So does a
//! file that another process uses, which is then not written. The node runs without a directory too:
//! state makes a restart better, and is needed for nothing else.
//!
//! Left out on purpose: the drain of a stop, which ends with the process; anything that is only a
//! figure. A node without services keeps nothing, for it has nothing to withdraw.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod directory;
pub mod keeper;
pub mod metrics;

/// The present version of the file.
pub const VERSION: u32 = 1;
/// A file may be so large; what is written never is.
pub const OCTETS_MAX: usize = 256 << 10;
/// Faults of one target that are kept, the latest; health looks at no more.
const FAULTS_MAX: usize = 32;
/// The same of promotions. More than that in an hour are no more use.
const PROMOTIONS_MAX: usize = 256;
/// Faults and promotions that are older tell nothing.
const MEMORY_MS: u64 = 24 * 3_600_000;
/// The longest that a drain may be asked for: 30 days.
pub const DRAIN_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// Longer texts are cut.
const TEXT_CHARS_MAX: usize = 200;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// [`VERSION`] of who wrote it.
    pub version: u32,
    /// A process runs, or has ended without saying so.
    pub running: bool,
    /// Which process.
    pub pid: u32,
    /// What health remembers of each target.
    pub targets: Vec<Target>,
    /// Orders to drain that stand.
    pub drains: Vec<Drain>,
}

/// One service in one address family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Name of the service.
    pub service: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// When its recent faults began; the latest last.
    pub faults_ms: Vec<u64>,
    /// When it was recently made preferred; the latest last.
    pub promotions_ms: Vec<u64>,
}

/// An order to drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drain {
    /// Name of the service; `None`: all.
    pub service: Option<String>,
    /// Who wanted it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    pub since_ms: u64,
    /// When it ends by itself; `None`: when it is taken back.
    pub until_ms: Option<u64>,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// More than [`OCTETS_MAX`].
    #[error("more than {OCTETS_MAX} octets")]
    TooLarge,
    /// It is not JSON of this shape.
    #[error("not a state: {0}")]
    Shape(#[from] serde_json::Error),
}

impl State {
    /// Reads a file, as it was written.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn from_json(octets: &[u8]) -> Result<Self, StateError> {
        if octets.len() > OCTETS_MAX {
            return Err(StateError::TooLarge);
        }
        Ok(serde_json::from_slice(octets)?)
    }

    /// What of a file that is not as it was written can be read all the same: each drain and each target
    /// that makes sense by itself. `None`: nothing.
    #[must_use]
    pub fn salvage(octets: &[u8]) -> Option<Self> {
        let octets = octets.get(..OCTETS_MAX).unwrap_or(octets);
        let found: Value = serde_json::from_slice(octets).ok()?;
        let salvaged = Self {
            version: part(&found, "version").unwrap_or_default(),
            running: part(&found, "running").unwrap_or_default(),
            pid: part(&found, "pid").unwrap_or_default(),
            targets: parts(&found, "targets"),
            drains: parts(&found, "drains"),
        };
        (salvaged != Self::default()).then_some(salvaged)
    }

    /// The file, never larger than [`OCTETS_MAX`]: what would not fit goes, memories first and reasons
    /// next, for a drain must not be forgotten.
    ///
    /// # Errors
    /// [`StateError::TooLarge`] for drains of a thousand services and more.
    pub fn to_json(&self) -> Result<Vec<u8>, StateError> {
        let mut state = self.clone();
        state.version = VERSION;
        for target in &mut state.targets {
            keep_latest(&mut target.faults_ms, FAULTS_MAX);
            keep_latest(&mut target.promotions_ms, PROMOTIONS_MAX);
        }
        let shorten: [fn(&mut Self); 3] = [
            |_| {},
            |state| state.targets.clear(),
            |state| {
                for drain in &mut state.drains {
                    drain.reason.clear();
                }
            },
        ];
        for shorten in shorten {
            shorten(&mut state);
            let mut json = serde_json::to_vec(&state)?;
            json.push(b'\n');
            if json.len() <= OCTETS_MAX {
                return Ok(json);
            }
        }
        Err(StateError::TooLarge)
    }

    /// What of it is to be believed at `now_ms`: see the head of this module.
    #[must_use]
    pub fn plausible(mut self, now_ms: u64) -> Self {
        for target in &mut self.targets {
            believe(&mut target.faults_ms, FAULTS_MAX, now_ms);
            believe(&mut target.promotions_ms, PROMOTIONS_MAX, now_ms);
        }
        self.drains = self
            .drains
            .into_iter()
            .filter_map(|drain| drain.plausible(now_ms))
            .collect();
        self
    }
}

impl Drain {
    /// `None` when its time is over.
    fn plausible(self, now_ms: u64) -> Option<Self> {
        let since_ms = self.since_ms.min(now_ms);
        // An end before the beginning is none: that it stands is the safer belief.
        let lasts_ms = self.until_ms.and_then(|at| at.checked_sub(self.since_ms));
        let until_ms = lasts_ms.map(|lasts_ms| {
            let latest_ms = now_ms.saturating_add(DRAIN_MS_MAX);
            since_ms.saturating_add(lasts_ms).min(latest_ms)
        });
        if until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            return None;
        }
        Some(Self {
            who: printable(&self.who),
            reason: printable(&self.reason),
            since_ms,
            until_ms,
            ..self
        })
    }
}

fn part<T: DeserializeOwned>(found: &Value, name: &str) -> Option<T> {
    T::deserialize(found.get(name)?).ok()
}

fn parts<T: DeserializeOwned>(found: &Value, name: &str) -> Vec<T> {
    let all = found.get(name).and_then(Value::as_array);
    let all = all.into_iter().flatten();
    all.filter_map(|one| T::deserialize(one).ok()).collect()
}

fn keep_latest(times: &mut Vec<u64>, max: usize) {
    times.drain(..times.len().saturating_sub(max));
}

fn believe(times: &mut Vec<u64>, max: usize, now_ms: u64) {
    for time in times.iter_mut() {
        *time = (*time).min(now_ms);
    }
    times.retain(|time| now_ms - time <= MEMORY_MS);
    times.sort_unstable();
    keep_latest(times, max);
}

/// Whoever could write the file must not command a terminal or a log.
fn printable(text: &str) -> String {
    let text = text.chars().take(TEXT_CHARS_MAX);
    text.map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
