//! What Prometheus sees of the state file.

use prometheus::{IntCounter, IntGauge, Registry};

/// The state's share of the registry; clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) writes: IntCounter,
    pub(super) errors: IntCounter,
    kept: IntGauge,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            writes: IntCounter::new("sidestep_state_writes_total", "Writes of the state file.")?,
            errors: IntCounter::new(
                "sidestep_state_write_errors_total",
                "Writes of the state file that failed; they are tried again.",
            )?,
            kept: IntGauge::new(
                "sidestep_state_kept",
                "1 when the state file says what the node would want to know after a restart.",
            )?,
        };
        registry.register(Box::new(metrics.writes.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.kept.clone()))?;
        Ok(metrics)
    }

    /// Whether the last write was good.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept.get() == 1
    }

    pub(super) fn record(&self, is_good: bool) {
        let counter = if is_good { &self.writes } else { &self.errors };
        counter.inc();
        self.kept.set(i64::from(is_good));
    }
}
