use std::sync::Mutex;

use super::*;

/// Standard error that a test can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log_to(logs: &Logs, events: impl FnOnce()) {
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(logs.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, events);
}

#[test]
fn a_flush_waits_until_every_line_is_written() {
    let (logs, writer) = Logs::new();
    let output = Shared::default();
    let sink = output.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.run(sink));
        log_to(&logs, || {
            for state in ["OpenSent", "Established"] {
                tracing::info!(state, "session state changed");
            }
        });
        assert!(logs.flush(Duration::from_secs(10)));
        drop(logs);
    });
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let states: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].clone())
        .collect();
    assert_eq!(states, ["OpenSent", "Established"]);
}

#[test]
fn with_nobody_reading_logging_goes_on_and_counts_what_is_lost() {
    let (logs, _writer) = Logs::new();
    log_to(&logs, || {
        for _ in 0..QUEUE_LINES + 3 {
            tracing::warn!("nobody reads this");
        }
    });
    assert_eq!(logs.dropped(), 3);
    assert!(!logs.flush(Duration::from_secs(10)), "the queue is full");
    let metrics = Metrics::new().unwrap();
    metrics.register_logs(&logs).unwrap();
    for _ in 0..2 {
        let text = metrics.render().unwrap();
        assert!(
            text.contains("\nsidestep_log_lines_dropped_total 3\n"),
            "{text}"
        );
    }
}

#[test]
fn a_long_line_is_cut_and_still_ends() {
    let (logs, writer) = Logs::new();
    let mut line = logs.make_writer();
    line.write_all(&[b'x'; LINE_BYTES_MAX - 1]).unwrap();
    line.write_all(b"yz\n").unwrap();
    drop(line);
    drop(logs);
    let output = Shared::default();
    writer.run(output.clone());
    let text = output.0.lock().unwrap().clone();
    assert_eq!(text.len(), LINE_BYTES_MAX + 1);
    assert!(text.ends_with(b"xy\n"));
}

#[test]
fn a_wrong_filter_is_refused_with_its_text() {
    let (logs, _writer) = Logs::new();
    let error = logs.install(Format::Text, "sidestep=loud").unwrap_err();
    assert!(error.to_string().contains("sidestep=loud"), "{error}");
}

#[test]
fn the_build_is_among_the_metrics() {
    let text = Metrics::new().unwrap().render().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let sample = format!("sidestep_build_info{{version=\"{version}\"}} 1\n");
    assert!(text.contains(&sample), "{text}");
}

/// Once a flood on a link made a million lines of it.
#[test]
fn netlink_proto_is_heard_only_when_asked_for() {
    let shown = |filter| parse(filter).unwrap().to_string();
    assert!(shown("info").contains("netlink_proto=error"));
    assert!(!shown("info,netlink_proto=debug").contains("netlink_proto=error"));
    assert!(parse("sidestep=loud").is_err());
}
