//! A [`Status`] for people.

use std::fmt::Write as _;

use crate::admin::Status;
use crate::admin::status::neighbor::BfdState;
use crate::admin::status::{FaultClass, Level, UpstreamState};
use crate::cli::layout::{Row, align, duration, none, printable, row, yes_no};

/// The whole table, sections apart by an empty line.
pub(super) fn render(status: &Status) -> String {
    let mut text = head(status);
    let sections = [
        services(status),
        neighbors(status),
        upstreams(status),
        peers(status),
        workers(status),
    ];
    for section in sections.iter().filter(|section| section.len() > 1) {
        text.push('\n');
        text.push_str(&align(section));
    }
    text
}

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
    let head = [
        "NEIGHBOR",
        "STATE",
        "SINCE",
        "AS",
        "BFD",
        "ROUTES",
        "LAST ERROR",
    ];
    let mut rows = vec![row(head)];
    for neighbor in &status.neighbors {
        rows.push(row([
            &neighbor.address,
            neighbor.state.name(),
            &duration(neighbor.since_s),
            &neighbor.asn.map_or_else(none, |asn| asn.to_string()),
            neighbor.bfd.map_or("-", BfdState::name),
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

fn peers(status: &Status) -> Vec<Row> {
    let head = [
        "SIBLING", "NODE", "REACHED", "SINCE", "RTT", "ABLE", "HEARS US",
    ];
    let flag = |flag: Option<bool>| flag.map_or("-", yes_no);
    let mut rows = vec![row(head)];
    for peer in &status.peers {
        rows.push(row([
            &peer.address.to_string(),
            peer.node.as_deref().unwrap_or("-"),
            yes_no(peer.reached),
            &duration(peer.since_s),
            &peer.rtt_us.map_or_else(none, milliseconds),
            flag(peer.able),
            flag(peer.hears_us),
        ]));
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

fn class(class: FaultClass) -> &'static str {
    match class {
        FaultClass::Local => "local",
        FaultClass::Shared => "shared",
        FaultClass::Overload => "overload",
        FaultClass::Operator => "operator",
    }
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{} ms", microseconds / 1_000, microseconds % 1_000 / 100)
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests;
