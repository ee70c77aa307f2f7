//! Draining: `backup` → until hardly anybody asks any more → `withdrawn`; a stop lingers and ends.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Level, Reason, Settings};

/// The rate is given this long to fall even when it looks low already: routers need a moment
/// to move, and a quiet second is no proof that nobody would ask.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// The drain has done its work when the rate is below this share of what it was at its start.
const REST: f64 = 0.01;

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainPhase {
    /// Nobody wants the node to leave.
    Serving,
    /// At `backup`; clients are moving away.
    Leaving,
    /// Withdrawn; late queries are still answered.
    Drained,
    /// A stop has lingered long enough: sessions and addresses may go.
    Finished,
}

impl fmt::Display for DrainPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Leaving => "leaving",
            Self::Drained => "drained",
            Self::Finished => "finished",
        })
    }
}

/// The drain of the whole node, by the operator or for a stop.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    wait: Duration,
    linger: Duration,
    phase: DrainPhase,
    reason: Option<Arc<str>>,
    stopping: bool,
    started_at: Option<Instant>,
    drained_at: Option<Instant>,
    rate_at_start: Option<f64>,
}

impl Drain {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            wait: settings.drain_wait,
            linger: settings.linger,
            phase: DrainPhase::Serving,
            reason: None,
            stopping: false,
            started_at: None,
            drained_at: None,
            rate_at_start: None,
        }
    }

    pub(super) fn phase(&self) -> DrainPhase {
        self.phase
    }

    /// Starts a drain, or gives a running one another reason. A stop keeps its own.
    pub(super) fn handle_drain(&mut self, now: Instant, reason: &str, rate: Option<f64>) {
        if !self.stopping {
            self.start(now, reason, rate);
        }
    }

    /// Takes a drain back. A stop cannot be taken back.
    pub(super) fn handle_undrain(&mut self) {
        if self.stopping {
            return;
        }
        self.phase = DrainPhase::Serving;
        self.reason = None;
        self.started_at = None;
        self.drained_at = None;
    }

    /// Drains for good. A node that is drained already has only to linger.
    pub(super) fn handle_stop(&mut self, now: Instant, reason: &str, rate: Option<f64>) {
        if !self.stopping {
            self.stopping = true;
            self.start(now, reason, rate);
        }
    }

    fn start(&mut self, now: Instant, reason: &str, rate: Option<f64>) {
        self.reason = Some(reason.into());
        match self.phase {
            DrainPhase::Serving => {
                self.phase = DrainPhase::Leaving;
                self.started_at = Some(now);
                self.rate_at_start = rate;
            }
            DrainPhase::Leaving | DrainPhase::Drained | DrainPhase::Finished => {}
        }
    }

    /// Goes on as far as `rate` (per second) and the time allow; `is_announced`: any level is
    /// above `withdrawn`.
    pub(super) fn advance(&mut self, now: Instant, rate: Option<f64>, is_announced: bool) {
        if self.phase == DrainPhase::Leaving && (!is_announced || self.has_left(now, rate)) {
            self.phase = DrainPhase::Drained;
            self.drained_at = Some(now);
        }
        if self.phase == DrainPhase::Drained && self.finish_at().is_some_and(|at| at <= now) {
            self.phase = DrainPhase::Finished;
        }
    }

    fn has_left(&self, now: Instant, rate: Option<f64>) -> bool {
        let waited = self
            .started_at
            .map_or(Duration::ZERO, |at| now.duration_since(at));
        if waited >= self.wait {
            return true;
        }
        let is_quiet = match (rate, self.rate_at_start) {
            (Some(rate), Some(at_start)) => rate == 0.0 || rate < at_start * REST,
            (_, None) | (None, _) => false,
        };
        waited >= SETTLE && is_quiet
    }

    fn finish_at(&self) -> Option<Instant> {
        self.drained_at
            .filter(|_| self.stopping)
            .map(|at| at + self.linger)
    }

    /// When [`Self::advance`] has something to do at the latest.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            DrainPhase::Serving | DrainPhase::Finished => None,
            DrainPhase::Leaving => self.started_at.map(|at| at + self.wait),
            DrainPhase::Drained => self.finish_at(),
        }
    }

    /// The best level that the drain allows, and why; `None` while serving.
    pub(super) fn limit(&self) -> Option<(Level, Reason)> {
        let reason = self.reason.clone()?;
        match self.phase {
            DrainPhase::Serving => None,
            DrainPhase::Leaving => Some((Level::Backup, Reason::Draining { reason })),
            DrainPhase::Drained | DrainPhase::Finished => {
                Some((Level::Withdrawn, Reason::Drained { reason }))
            }
        }
    }
}
