//! What Prometheus sees of neighbour discovery.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Of all interfaces.
#[derive(Clone, Debug)]
pub struct Metrics {
    messages: IntCounterVec,
}

impl Metrics {
    /// Builds and registers them.
    ///
    /// # Errors
    /// When the registry has metrics of this name already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let messages = IntCounterVec::new(
            Opts::new(
                "sidestep_discovery_messages_total",
                "Router advertisements and solicitations on unnumbered interfaces, by what became \
                 of them.",
            ),
            &["interface", "direction", "type"],
        )?;
        registry.register(Box::new(messages.clone()))?;
        Ok(Self { messages })
    }

    /// Those of one interface, which the configuration names.
    #[must_use]
    pub fn interface(&self, name: &str) -> InterfaceMetrics {
        let counter = |direction, kind| self.messages.with_label_values(&[name, direction, kind]);
        InterfaceMetrics {
            advertisements_sent: counter("sent", "advertisement"),
            solicitations_sent: counter("sent", "solicitation"),
            failed: counter("sent", "failed"),
            advertisements: counter("received", "advertisement"),
            solicitations: counter("received", "solicitation"),
            malformed: counter("received", "malformed"),
            surplus: counter("received", "surplus"),
        }
    }
}

/// Of one interface.
#[derive(Clone, Debug)]
pub struct InterfaceMetrics {
    pub(super) advertisements_sent: IntCounter,
    pub(super) solicitations_sent: IntCounter,
    pub(super) failed: IntCounter,
    pub(super) advertisements: IntCounter,
    pub(super) solicitations: IntCounter,
    pub(super) malformed: IntCounter,
    pub(super) surplus: IntCounter,
}
