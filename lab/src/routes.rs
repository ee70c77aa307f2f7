//! What a router knows about a prefix: FRR's `show bgp … json`.

use anyhow::{Context, Result};
use serde::Deserialize;

/// IPv4 or IPv6 unicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The command that shows the paths of the service's prefix.
    pub(crate) fn show(self) -> &'static str {
        match self {
            Self::V4 => "show bgp ipv4 unicast 10.53.53.53/32 json",
            Self::V6 => "show bgp ipv6 unicast fd53::53/128 json",
        }
    }
}

/// One path of a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The neighbour that it came from.
    pub(crate) peer: String,
    /// The router uses this one.
    pub(crate) is_best: bool,
    /// AS numbers in the path.
    pub(crate) length: u32,
    /// Marked with GRACEFUL_SHUTDOWN (RFC 8326).
    pub(crate) is_shutting_down: bool,
}

/// Reads vtysh's answer; a prefix without any path is `{}`.
pub(crate) fn parse(json: &str) -> Result<Vec<Path>> {
    let prefix: Prefix =
        serde_json::from_str(json).with_context(|| format!("not FRR's JSON: {json}"))?;
    Ok(prefix
        .paths
        .into_iter()
        .filter(|path| path.valid)
        .map(|path| Path {
            peer: path.peer.peer_id,
            is_best: path.bestpath.overall,
            length: path.aspath.length,
            is_shutting_down: path
                .community
                .is_some_and(|c| c.string.contains("graceful-shutdown")),
        })
        .collect())
}

#[derive(Deserialize)]
struct Prefix {
    #[serde(default)]
    paths: Vec<RawPath>,
}

#[derive(Deserialize)]
struct RawPath {
    aspath: AsPath,
    #[serde(default)]
    valid: bool,
    #[serde(default)]
    bestpath: BestPath,
    community: Option<Text>,
    peer: Peer,
}

#[derive(Deserialize)]
struct AsPath {
    length: u32,
}

#[derive(Default, Deserialize)]
struct BestPath {
    #[serde(default)]
    overall: bool,
}

#[derive(Deserialize)]
struct Text {
    string: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    peer_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_the_best_and_the_mark() {
        let json = r#"{"prefix":"10.53.53.53/32","paths":[
            {"aspath":{"string":"65002 65053","length":2},"valid":true,
             "community":{"string":"graceful-shutdown","list":["gracefulShutdown"]},
             "peer":{"peerId":"10.0.12.2","type":"external"}},
            {"aspath":{"length":2},"valid":true,"bestpath":{"overall":true},
             "peer":{"peerId":"10.0.11.2"}},
            {"aspath":{"length":2},"peer":{"peerId":"10.0.13.2"}}]}"#;
        let paths = parse(json).unwrap();
        assert_eq!(paths.len(), 2, "a path that is not valid does not count");
        assert!(paths[0].is_shutting_down && !paths[0].is_best);
        assert!(paths[1].is_best && !paths[1].is_shutting_down);
        assert_eq!(paths[1].peer, "10.0.11.2");
    }

    #[test]
    fn no_route_is_no_path() {
        assert_eq!(parse("{}\n").unwrap(), []);
        assert!(parse("% Unknown command").is_err());
    }
}
