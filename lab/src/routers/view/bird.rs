//! BIRD, by what birdc prints.

use super::{Route, State, prefix, words};
use crate::routers::kind::Session;
use crate::routes::Family;

fn protocol(session: &Session) -> &'static str {
    match session.family {
        Family::V4 => "node4",
        Family::V6 => "node6",
    }
}

pub(super) fn show_state(session: &Session) -> Vec<String> {
    words(["birdc", "show", "protocols", "all", protocol(session)])
}

pub(super) fn show_route(session: &Session) -> Vec<String> {
    let (prefix, protocol) = (prefix(session.family), protocol(session));
    words([
        "birdc", "show", "route", prefix, "protocol", protocol, "all",
    ])
}

pub(super) fn refresh(session: &Session) -> Vec<String> {
    words(["birdc", "reload", "in", protocol(session)])
}

pub(super) fn read_state(text: &str) -> State {
    let value = |key| values(text, key).next();
    // As `2.312/3`: what is left, and what was negotiated.
    let timer = |key| {
        let (_, negotiated) = value(key)?.split_once('/')?;
        negotiated.parse().ok()
    };
    State {
        is_established: value("BGP state") == Some("Established"),
        hold_s: timer("Hold timer"),
        keepalive_s: timer("Keepalive timer"),
    }
}

pub(super) fn read_route(text: &str) -> Option<Route> {
    values(text, "BGP.origin").next()?;
    let value = |key| values(text, key).next();
    let number = |key| value(key).and_then(|text| text.parse().ok());
    // As `(65535,0) (65000,1)`.
    let communities = |key| {
        let lists = value(key).unwrap_or_default().split(')');
        lists
            .filter_map(|list| list.trim().strip_prefix('('))
            .map(|list| list.replace([',', ' '], ":").replace("::", ":"))
            .collect()
    };
    let path = value("BGP.as_path").unwrap_or_default();
    Some(Route {
        next_hops: value("BGP.next_hop")?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        as_path: path
            .split_whitespace()
            .filter_map(|asn| asn.parse().ok())
            .collect(),
        // A set is in braces.
        is_sequence: !path.contains('{'),
        med: number("BGP.med"),
        local_pref: number("BGP.local_pref"),
        communities: communities("BGP.community"),
        large_communities: communities("BGP.large_community"),
    })
}

/// What follows `key:`, without the space around it.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let rest = line.trim_start().strip_prefix(key)?;
        Some(rest.strip_prefix(':')?.trim())
    })
}
