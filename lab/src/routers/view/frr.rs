//! FRR, by vtysh's JSON.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Route, State, prefix, words};
use crate::routers::kind::Session;
use crate::routes::Family;

fn family(session: &Session) -> &'static str {
    match session.family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn vtysh(command: &str) -> Vec<String> {
    words(["vtysh", "-c", command])
}

pub(super) fn show_state(session: &Session) -> Vec<String> {
    vtysh(&format!("show bgp neighbors {} json", session.peer))
}

pub(super) fn show_route(session: &Session) -> Vec<String> {
    let (family, prefix) = (family(session), prefix(session.family));
    vtysh(&format!("show bgp {family} unicast {prefix} json"))
}

pub(super) fn refresh(session: &Session) -> Vec<String> {
    let family = family(session);
    vtysh(&format!(
        "clear bgp {family} unicast {} soft in",
        session.peer
    ))
}

pub(super) fn read_state(text: &str) -> Result<State> {
    let all: Value = serde_json::from_str(text).context("not JSON")?;
    let neighbor = all.as_object().and_then(|all| all.values().next());
    let neighbor = neighbor.context("no such neighbour")?;
    let seconds = |key: &str| number(&neighbor[key]).map(|ms| ms / 1000);
    Ok(State {
        is_established: neighbor["bgpState"] == "Established",
        hold_s: seconds("bgpTimerHoldTimeMsecs"),
        keepalive_s: seconds("bgpTimerKeepAliveIntervalMsecs"),
    })
}

pub(super) fn read_route(text: &str, peer: &str) -> Result<Option<Route>> {
    let all: Value = serde_json::from_str(text).context("not JSON")?;
    let Some(paths) = all["paths"].as_array() else {
        return Ok(None);
    };
    let by_peer = |path: &&Value| {
        let from = &path["peer"];
        from["peerId"] == peer || from["interface"] == peer
    };
    Ok(paths.iter().find(by_peer).map(read_path))
}

fn read_path(path: &Value) -> Route {
    let segments = items(&path["aspath"]["segments"]);
    let numbers = segments.iter().flat_map(|segment| items(&segment["list"]));
    let texts = |key: &str| path[key]["string"].as_str().unwrap_or_default();
    let communities = texts("community").split_whitespace().map(plain);
    let large = texts("largeCommunity").split_whitespace();
    let hops = items(&path["nexthops"]).iter();
    Route {
        next_hops: hops
            .filter_map(|hop| Some(hop["ip"].as_str()?.to_owned()))
            .collect(),
        as_path: numbers.filter_map(number).collect(),
        is_sequence: segments
            .iter()
            .all(|segment| segment["type"] == "as-sequence"),
        med: number(&path["metric"]),
        local_pref: number(&path["locPrf"]),
        communities: communities.collect(),
        large_communities: large.map(str::to_owned).collect(),
    }
}

/// FRR calls well-known communities by their names.
fn plain(community: &str) -> String {
    match community {
        "graceful-shutdown" => super::LEAVING,
        "no-export" => "65535:65281",
        "no-advertise" => "65535:65282",
        other => other,
    }
    .to_owned()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}
