//! What Prometheus sees of drains. Updated from the routing thread; services are a closed set.

use std::time::{Duration, Instant};

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

/// The share of drains in the registry.
#[derive(Clone, Debug)]
pub(in crate::health) struct Metrics {
    drained: IntGaugeVec,
    expiry: GaugeVec,
}

impl Metrics {
    pub(in crate::health) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            drained: IntGaugeVec::new(
                Opts::new(
                    "sidestep_service_drained",
                    "1 while the service leaves or has left because somebody wants it to.",
                ),
                &["service"],
            )?,
            expiry: GaugeVec::new(
                Opts::new(
                    "sidestep_drain_expiry_timestamp_seconds",
                    "When a drained service comes back by itself, in Unix time; absent when it does not.",
                ),
                &["service"],
            )?,
        };
        registry.register(Box::new(metrics.drained.clone()))?;
        registry.register(Box::new(metrics.expiry.clone()))?;
        Ok(metrics)
    }

    /// Shows the drains of `services`: each with its name, whether it is drained, and until when.
    pub(in crate::health) fn refresh<'a>(
        &self,
        services: impl Iterator<Item = (&'a String, (bool, Option<Instant>))>,
        now: Instant,
        unix_now: Duration,
    ) {
        for (name, (is_drained, until)) in services {
            let label = [name.as_str()];
            self.drained
                .with_label_values(&label)
                .set(i64::from(is_drained));
            if let Some(until) = until {
                let until = unix_now + until.saturating_duration_since(now);
                let gauge = self.expiry.with_label_values(&label);
                gauge.set(until.as_secs_f64());
            } else {
                // An error says that it was not there.
                let _ = self.expiry.remove_label_values(&label);
            }
        }
    }
}
