//! A [`Status`] for people: aligned columns, no colour, nothing wider than its content.
//!
//! Text that peers chose (a shutdown reason, for example) is stripped of control characters: it
//! must not command the terminal.

use std::fmt::Write as _;

use crate::admin::Status;
use crate::admin::status::{FaultClass, Level, SessionState, UpstreamState};

/// The whole table, sections apart by an empty line.
pub(super) fn render(status: &Status) -> String {
    let mut text = head(status);
    let sections = [
        services(status),
        neighbors(status),
        upstreams(status),
        workers(status),
    ];
    for section in sections.iter().filter(|section| section.len() > 1) {
        text.push('\n');
        text.push_str(&align(section));
    }
    text
}

/// `text` without control characters.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

type Row = Vec<String>;

fn head(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key:<9} {}", printable(value));
    };
    let node = format!("{} (sidestep {})", status.node, status.version);
    line("node", &node);
    line("up", &duration(status.uptime_s));
    for file in &status.configuration {
        line("config", &file.display().to_string());
    }
    let cache = &status.cache;
    let used = format!(
        "{} entries, {} of {}",
        cache.entries,
        size(cache.bytes),
        size(cache.limit_bytes)
    );
    line("cache", &used);
    if let Some(drain) = &status.drain {
        let since = duration(drain.since_s);
        line("drained", &format!("for {since}: {}", drain.reason));
    }
    for warning in &status.warnings {
        line("warning", warning);
    }
    text
}

fn services(status: &Status) -> Vec<Row> {
    let head = [
        "SERVICE", "ADDRESS", "LEVEL", "SINCE", "BOUND", "TOLD", "REASON",
    ];
    let mut rows = vec![row(head)];
    for service in &status.services {
        for family in &service.families {
            let level = match family.level {
                Level::Preferred => "preferred",
                Level::Backup => "backup",
                Level::Withdrawn => "withdrawn",
            };
            let reason = match family.class.map(class) {
                Some(class) => format!("{class}: {}", family.reason),
                None => family.reason.clone(),
            };
            rows.push(row([
                &service.name,
                &family.address.to_string(),
                level,
                &duration(family.since_s),
                yes_no(family.bound),
                yes_no(status.is_announced(family.address)),
                &reason,
            ]));
        }
    }
    rows
}

fn neighbors(status: &Status) -> Vec<Row> {
    let head = ["NEIGHBOUR", "STATE", "SINCE", "AS", "ROUTES", "LAST ERROR"];
    let mut rows = vec![row(head)];
    for neighbor in &status.neighbors {
        let state = match neighbor.state {
            SessionState::Idle => "Idle",
            SessionState::Connect => "Connect",
            SessionState::Active => "Active",
            SessionState::OpenSent => "OpenSent",
            SessionState::OpenConfirm => "OpenConfirm",
            SessionState::Established => "Established",
        };
        rows.push(row([
            &neighbor.address,
            state,
            &duration(neighbor.since_s),
            &neighbor.asn.map_or_else(none, |asn| asn.to_string()),
            &neighbor.announced.len().to_string(),
            &neighbor.last_error.clone().unwrap_or_else(none),
        ]));
    }
    rows
}

fn upstreams(status: &Status) -> Vec<Row> {
    let mut rows = vec![row(["ZONE", "UPSTREAM", "STATE", "SINCE", "RTT"])];
    for zone in &status.zones {
        for upstream in &zone.upstreams {
            let state = match upstream.state {
                UpstreamState::Unknown => "unknown",
                UpstreamState::Up => "up",
                UpstreamState::Down => "down",
            };
            rows.push(row([
                &zone.zone,
                &upstream.address.to_string(),
                state,
                &duration(upstream.since_s),
                &upstream.rtt_us.map_or_else(none, milliseconds),
            ]));
        }
    }
    rows
}

fn workers(status: &Status) -> Vec<Row> {
    let mut rows = vec![row(["WORKER", "QUERIES", "DROPPED", "HEARTBEAT"])];
    for worker in &status.workers {
        rows.push(row([
            &worker.index.to_string(),
            &worker.queries.to_string(),
            &worker.dropped.to_string(),
            &format!("{} ms ago", worker.heartbeat_age_ms),
        ]));
    }
    rows
}

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.iter().map(|cell| printable(cell)).collect()
}

/// Pads every column but the last to its widest cell.
fn align(rows: &[Row]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let padded: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn class(class: FaultClass) -> &'static str {
    match class {
        FaultClass::Local => "local",
        FaultClass::Shared => "shared",
        FaultClass::Overload => "overload",
        FaultClass::Operator => "operator",
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn none() -> String {
    "-".to_owned()
}

/// The two largest units: `3d 4h`, `2m 5s`, `7s`.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{} ms", microseconds / 1_000, microseconds % 1_000 / 100)
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::{Drain, example};

    #[test]
    fn the_table_of_a_whole_node_is_aligned() {
        let expected = "\
node      ams1 (sidestep 0.1.0)
up        1h 2m
config    /etc/sidestep/sidestep.toml
cache     1234 entries, 5.0 MiB of 256.0 MiB

SERVICE   ADDRESS      LEVEL      SINCE  BOUND  TOLD  REASON
resolver  10.53.53.53  preferred  1h 2m  yes    yes   all probes are answered
resolver  fd53::53     preferred  1h 2m  yes    yes   all probes are answered

NEIGHBOUR  STATE        SINCE  AS     ROUTES  LAST ERROR
192.0.2.1  Established  1h 2m  65001  2       -

ZONE  UPSTREAM            STATE  SINCE  RTT
.     192.0.2.101:53      up     1h 2m  1.2 ms
.     [2001:db8::101]:53  down   12s    -

WORKER  QUERIES  DROPPED  HEARTBEAT
0       98765    0        4 ms ago
";
        assert_eq!(render(&example()), expected);
    }

    #[test]
    fn a_drained_node_says_so_with_the_reason() {
        let mut status = example();
        status.drain = Some(Drain {
            reason: "new kernel".into(),
            since_s: 65,
        });
        status.services[0].families[0].level = Level::Withdrawn;
        status.services[0].families[0].class = Some(FaultClass::Operator);
        status.services[0].families[0].reason = "drained".into();
        let text = render(&status);
        assert!(
            text.contains("\ndrained   for 1m 5s: new kernel\n"),
            "{text}"
        );
        assert!(text.contains("  withdrawn  "), "{text}");
        assert!(text.contains("  operator: drained\n"), "{text}");
    }

    #[test]
    fn sections_without_content_are_left_out() {
        let text = render(&Status::default());
        for head in ["SERVICE", "NEIGHBOUR", "ZONE", "WORKER"] {
            assert!(!text.contains(head), "{text}");
        }
    }

    /// RFC 9003: the shutdown text is the peer's.
    #[test]
    fn what_a_peer_wrote_cannot_command_the_terminal() {
        let mut status = example();
        status.neighbors[0].last_error = Some("bye\x1b[2J\x07\u{9b}31m\nnode".into());
        let text = render(&status);
        let harmful = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(harmful), "{text:?}");
        assert!(text.contains("bye\u{fffd}[2J"), "{text:?}");
        assert_eq!(text.lines().count(), render(&example()).lines().count());
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (3_599, "59m 59s"),
            (3_600, "1h 0m"),
            (86_399, "23h 59m"),
            (86_400, "1d 0h"),
            (694_861, "8d 1h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
