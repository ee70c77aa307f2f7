//! GoBGP, by the JSON of its command.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Route, State, prefix, words};
use crate::routers::kind::Session;
use crate::routes::Family;

/// Segments in the order of their sending. RFC 4271 §4.3.
const AS_SEQUENCE: u64 = 2;

/// Of GoBGP's states of a session.
const ESTABLISHED: u64 = 6;

fn family(session: &Session) -> &'static str {
    match session.family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

pub(super) fn show_state(session: &Session) -> Vec<String> {
    words(["gobgp", "neighbor", &session.peer, "-j"])
}

pub(super) fn show_route(session: &Session) -> Vec<String> {
    let prefix = prefix(session.family);
    words([
        "gobgp",
        "global",
        "rib",
        prefix,
        "-a",
        family(session),
        "-j",
    ])
}

pub(super) fn read_state(text: &str) -> Result<State> {
    let neighbor: Value = serde_json::from_str(text).context("not JSON")?;
    let timers = &neighbor["timers"]["state"];
    let seconds = |key: &str| number(&timers[key]);
    Ok(State {
        is_established: neighbor["state"]["session_state"] == ESTABLISHED,
        hold_s: seconds("negotiated_hold_time"),
        keepalive_s: seconds("keepalive_interval"),
    })
}

pub(super) fn read_route(text: &str, peer: &str) -> Result<Option<Route>> {
    let all: Value = serde_json::from_str(text).context("not JSON")?;
    // An object with one key, which is the prefix.
    let paths = all.as_object().and_then(|all| all.values().next());
    let paths = paths.map_or(&[][..], items);
    let by_peer = |path: &&Value| path["neighbor-ip"] == peer;
    Ok(paths.iter().find(by_peer).map(read_path))
}

fn read_path(path: &Value) -> Route {
    let attributes = items(&path["attrs"]);
    let attribute = |kind: u64| {
        let found = attributes
            .iter()
            .find(|attribute| attribute["type"] == kind);
        found.unwrap_or(&Value::Null)
    };
    let segments = items(&attribute(2)["as_paths"]);
    let numbers = segments.iter().flat_map(|segment| items(&segment["asns"]));
    let next_hop = [attribute(3), attribute(14)].map(|a| a["nexthop"].as_str());
    let communities = items(&attribute(8)["communities"])
        .iter()
        .filter_map(number);
    let large = items(&attribute(32)["value"]).iter();
    let large = large.map(|value| {
        let part = |key: &str| number(&value[key]).unwrap_or_default();
        format!(
            "{}:{}:{}",
            part("ASN"),
            part("LocalData1"),
            part("LocalData2")
        )
    });
    Route {
        next_hops: next_hop.into_iter().flatten().map(str::to_owned).collect(),
        as_path: numbers.filter_map(number).collect(),
        is_sequence: segments.iter().all(|s| s["segment_type"] == AS_SEQUENCE),
        med: number(&attribute(4)["metric"]),
        local_pref: number(&attribute(5)["value"]),
        communities: communities
            .map(|c| format!("{}:{}", c >> 16, c & 0xFFFF))
            .collect(),
        large_communities: large.collect::<BTreeSet<_>>(),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}
