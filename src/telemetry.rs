//! Log subscriber and metrics registry.
//!
//! Logging never blocks: an event becomes a line in a bounded queue, a thread writes the queue to
//! standard error. When whoever reads that is stuck, lines are dropped and counted.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGaugeVec, Opts, Registry, TextEncoder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// About a quarter of a megabyte of ordinary lines.
const QUEUE_LINES: usize = 1024;
/// A longer line is cut: a peer's text must not fill memory or the journal.
const LINE_BYTES_MAX: usize = 4096;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no logging or no metric.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not like `info,sidestep::bgp=debug`.
    #[error("log filter {filter:?}: {source}")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process logs already.
    #[error("logging is set up already")]
    Twice,
    /// A metric with this name exists, or its name is not allowed.
    #[error("metric: {0}")]
    Metric(#[from] prometheus::Error),
}

/// The end that events go into; cheap to clone.
#[derive(Clone, Debug)]
pub struct Logs {
    queue: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

/// The end that writes; the caller gives it a thread.
#[derive(Debug)]
pub struct LogWriter {
    queue: Receiver<Entry>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Logs {
    /// A queue and its writer.
    #[must_use]
    pub fn new() -> (Self, LogWriter) {
        let (queue, entries) = sync_channel(QUEUE_LINES);
        let dropped = Arc::default();
        (Self { queue, dropped }, LogWriter { queue: entries })
    }

    /// Makes this the process's log; `filter` as in `info,sidestep::bgp=debug`.
    ///
    /// # Errors
    /// See [`TelemetryError`].
    pub fn install(&self, format: Format, filter: &str) -> Result<(), TelemetryError> {
        let filter = parse(filter)?;
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(self.clone());
        match format {
            Format::Text => builder.finish().try_init(),
            Format::Json => builder.json().flatten_event(true).finish().try_init(),
        }
        .map_err(|_| TelemetryError::Twice)
    }

    /// Lines that found the queue full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything logged so far is written, at most `limit`; says whether it was.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let (done, written) = sync_channel(1);
        self.queue.try_send(Entry::Flush(done)).is_ok() && written.recv_timeout(limit).is_ok()
    }

    fn push(&self, line: Vec<u8>) {
        if self.queue.try_send(Entry::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            logs: self,
            bytes: Vec::new(),
        }
    }
}

/// One event on its way into the queue.
#[derive(Debug)]
pub struct Line<'a> {
    logs: &'a Logs,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LINE_BYTES_MAX.saturating_sub(self.bytes.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(kept);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let mut line = std::mem::take(&mut self.bytes);
        if line.is_empty() {
            return;
        }
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        self.logs.push(line);
    }
}

impl LogWriter {
    /// Writes until every [`Logs`] is gone. A line that cannot be written is forgotten: there is
    /// nowhere to say so.
    pub fn run(self, mut to: impl Write) {
        for entry in self.queue {
            match entry {
                Entry::Line(line) => drop(to.write_all(&line)),
                Entry::Flush(done) => {
                    let _ = to.flush();
                    // Who asked may have given up.
                    let _ = done.try_send(());
                }
            }
        }
    }
}

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// A registry that has `sidestep_build_info` already.
    ///
    /// # Errors
    /// Never in practice: the name is a valid one.
    pub fn new() -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(
            Opts::new(
                "sidestep_build_info",
                "Always 1; the labels tell the build.",
            ),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        Ok(Self { registry })
    }

    /// Where the domains register what they count.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds a metric; its name begins with `sidestep_`.
    ///
    /// # Errors
    /// One with this name exists.
    pub fn register(&self, metric: impl Collector + 'static) -> Result<(), TelemetryError> {
        Ok(self.registry.register(Box::new(metric))?)
    }

    /// Adds `sidestep_log_lines_dropped_total`.
    ///
    /// # Errors
    /// It is there already.
    pub fn register_logs(&self, logs: &Logs) -> Result<(), TelemetryError> {
        self.register(DroppedLines {
            total: IntCounter::new(
                "sidestep_log_lines_dropped_total",
                "Log lines dropped because nobody read standard error.",
            )?,
            dropped: Arc::clone(&logs.dropped),
        })
    }

    /// All metrics in the Prometheus text format 0.0.4.
    ///
    /// # Errors
    /// A metric without a name or samples of two kinds: a bug.
    pub fn render(&self) -> Result<String, TelemetryError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// Reads the counter of the logs when it is asked for.
struct DroppedLines {
    total: IntCounter,
    dropped: Arc<AtomicU64>,
}

impl Collector for DroppedLines {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.total.desc()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        let now = self.dropped.load(Ordering::Relaxed);
        self.total.inc_by(now.saturating_sub(self.total.get()));
        self.total.collect()
    }
}

/// A dump of the kernel's that nobody waits for any more is told by netlink_proto with a line for each
/// message, a million in a bad minute: only what it calls an error is heard, unless asked for.
fn parse(text: &str) -> Result<EnvFilter, TelemetryError> {
    let error = |source| TelemetryError::Filter {
        filter: text.to_owned(),
        source,
    };
    let filter = EnvFilter::try_new(text).map_err(error)?;
    if text.contains("netlink_proto") {
        return Ok(filter);
    }
    let quiet = "netlink_proto=error".parse().map_err(error)?;
    Ok(filter.add_directive(quiet))
}

#[cfg(test)]
mod tests;
