//! The extra checks of services: their thread, and what the routing thread keeps of their results.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::another;
use crate::admin::status;
use crate::config::Config;
use crate::health::check::metrics::Metrics;
use crate::health::check::{Board, CheckReport, CheckSettings};
use crate::health::{CheckOutcome, checker};
use crate::telemetry::{self, TelemetryError};

/// Results of each check that the routing thread has not taken yet. More are dropped, as if not
/// made, which [`Board::missed`] tells.
const RESULTS_WAITING: usize = 4;

/// What is known of all checks.
pub(super) struct Checks {
    board: Board,
    metrics: Metrics,
    /// Of each service its own name, and those of its checks.
    names: Vec<(String, Vec<Arc<str>>)>,
}

impl Checks {
    /// Registers their metrics; no result is known at `now`.
    pub(super) fn register(
        all: &telemetry::Metrics,
        config: &Config,
        now: Instant,
    ) -> Result<Self, TelemetryError> {
        let services = config.services.iter();
        let names = services.map(|service| (service.name.as_str(), service.checks.as_slice()));
        let metrics = Metrics::register(all.registry(), names)?;
        let names = config.services.iter().map(|service| {
            let checks = service.checks.iter();
            let checks = checks.map(|check| Arc::clone(&check.name));
            (service.name.clone(), checks.collect())
        });
        Ok(Self {
            board: Board::new(&another::checks(config), now),
            metrics,
            names: names.collect(),
        })
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn take(&mut self, now: Instant, report: &CheckReport) {
        self.metrics.record(report);
        if self.board.record(now, report) {
            let (service, check) = self.named(report.service, report.check);
            let text = match &report.outcome {
                CheckOutcome::Good => "good",
                CheckOutcome::Bad(text) => text,
            };
            tracing::info!(service, check, result = text, "check changed");
        }
    }

    /// Bad results for the checks that have had none for too long.
    pub(super) fn missed(&mut self, now: Instant) -> Vec<(usize, usize, CheckOutcome)> {
        let missed = self.board.missed(now);
        for (service, check, outcome) in &missed {
            let (service_name, name) = self.named(*service, *check);
            tracing::warn!(
                service = service_name,
                check = name,
                "check hangs: no result"
            );
            self.metrics.record_result(*service, *check, outcome);
        }
        missed
    }

    /// Those of one service, in the order of the configuration.
    pub(super) fn status(&self, service: usize, now: Instant) -> Vec<status::Check> {
        let names = self.names.get(service);
        let names = names.map_or(&[][..], |(_, checks)| checks.as_slice());
        let each = names.iter().enumerate().filter_map(|(check, name)| {
            let known = self.board.get(service, check)?;
            let text = match &known.latest {
                None => "not made yet",
                Some(CheckOutcome::Good) => "good",
                Some(CheckOutcome::Bad(text)) => text,
            };
            Some(status::Check {
                name: name.to_string(),
                good: known.latest.as_ref().map(|it| *it == CheckOutcome::Good),
                since_s: now.saturating_duration_since(known.since).as_secs(),
                text: text.to_owned(),
            })
        });
        each.collect()
    }

    /// The names of a service and of one of its checks.
    fn named(&self, service: usize, check: usize) -> (&str, &str) {
        let Some((service, checks)) = self.names.get(service) else {
            return ("", "");
        };
        (service, checks.get(check).map_or("", |name| name))
    }
}

/// Starts the thread of all checks, if there are any, and what their results come by.
pub(super) fn start(
    settings: Vec<CheckSettings>,
    stopping: watch::Receiver<bool>,
) -> io::Result<(Option<JoinHandle<()>>, mpsc::Receiver<CheckReport>)> {
    let (sender, results) = mpsc::channel(RESULTS_WAITING * settings.len().max(1));
    if settings.is_empty() {
        return Ok((None, results));
    }
    let report = move |report| {
        let _is_taken = sender.try_send(report);
    };
    let runtime = super::runtime()?;
    let thread = super::spawn("checks", move || {
        runtime.block_on(checker::run(settings, report, stopping));
        // A program that the system does not manage to start is not waited for.
        runtime.shutdown_background();
    })?;
    Ok((Some(thread), results))
}
