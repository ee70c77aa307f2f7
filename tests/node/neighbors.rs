//! `sidestep neighbors`: what an operator sees of the BGP neighbours of a real node.

use std::net::Ipv4Addr;
use std::process::Output;

use sidestep::admin::status::SessionState;
use sidestep::admin::status::neighbor::{NeighborDetail, NeighborList};

use crate::support::node::{NAME, Site};
use crate::support::router::{NODE_ASN, Path, Router};
use crate::support::upstream::Upstream;
use crate::support::{http, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn exit_code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn list(site: &Site) -> NeighborList {
    let output = site.control(&["neighbors", "--json"]);
    assert_eq!(exit_code(&output), 0, "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn is_told(neighbor: &NeighborDetail, site: &Site) -> bool {
    neighbor.summary.state == SessionState::Established
        && neighbor.summary.announced == [format!("{}/32", site.anycast)]
}

#[test]
fn a_neighbour_is_shown_with_what_both_sides_offer_and_what_it_was_told() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let _node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    wait_until("a neighbour that was told the route", || {
        is_told(&list(&site).neighbors[0], &site)
    });
    let list = list(&site);
    assert_eq!((list.node.as_str(), list.neighbors.len()), (NAME, 1));
    let neighbor = &list.neighbors[0];
    assert_eq!(neighbor.summary.address, router.address.to_string());
    assert_eq!(neighbor.local.asn, Some(NODE_ASN));
    let own_address = site.unicast.to_string();
    assert_eq!(neighbor.local.address.as_ref(), Some(&own_address));
    assert_eq!(neighbor.local.hold_time_s, Some(9));
    assert_eq!(neighbor.remote.hold_time_s, Some(90));
    assert_eq!(neighbor.keepalive_ms, Some(3_000));
    assert!(neighbor.timers.hold_ms <= Some(9_000), "{neighbor:?}");
    assert!(neighbor.timers.keepalive_ms <= Some(3_000), "{neighbor:?}");
    for speaker in [&neighbor.local, &neighbor.remote] {
        assert!(speaker.port.is_some());
        let codes: Vec<u8> = speaker.capabilities.iter().map(|c| c.code).collect();
        assert!(codes.contains(&1) && codes.contains(&65), "{codes:?}");
        // RFC 4724, RFC 9494: never offered.
        assert!(!codes.contains(&64) && !codes.contains(&71), "{codes:?}");
    }
    let route = &neighbor.routes[0];
    assert_eq!(route.next_hops, [site.unicast]);
    assert_eq!(route.as_path, [NODE_ASN]);
    assert_eq!(neighbor.messages.sent.open, 1);
    assert_eq!((neighbor.bfd_session.as_ref(), neighbor.md5), (None, false));
}

#[test]
fn the_table_and_the_detail_are_plain_text_of_at_most_100_columns() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let _node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    wait_until("a neighbour that was told the route", || {
        is_told(&list(&site).neighbors[0], &site)
    });
    let address = router.address.to_string();
    let output = site.control(&["neighbors"]);
    assert_eq!(exit_code(&output), 0);
    let table = stdout(&output);
    assert_eq!(table.lines().count(), 2, "{table}");
    for part in [&address, "65000", "Established"] {
        assert!(table.contains(part), "no {part} in\n{table}");
    }
    let output = site.control(&["neighbors", &address]);
    assert_eq!(exit_code(&output), 0);
    let detail = stdout(&output);
    let prefix = format!("{}/32", site.anycast);
    for part in [
        "Established for ",
        "hold time      9 s agreed, keepalive 3 s (9 s offered, 90 s received)",
        "four-octet AS",
        &prefix,
    ] {
        assert!(detail.contains(part), "no {part} in\n{detail}");
    }
    for text in [table, detail] {
        assert!(!text.contains('\x1b'));
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{text}");
    }
}

#[test]
fn one_neighbour_is_the_same_over_http_and_the_socket() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let _node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    let address = router.address.to_string();
    let path = format!("/api/v1/neighbors/{address}");
    let (code, body) = http::get(site.admin, &path).unwrap();
    assert_eq!(code, 200);
    let neighbor: NeighborDetail = serde_json::from_str(&body).unwrap();
    let output = site.control(&["neighbors", &address, "--json"]);
    let same: NeighborDetail = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(neighbor.summary.address, same.summary.address);
    assert_eq!(neighbor.local, same.local);
    let (code, body) = http::get(site.admin, "/api/v1/neighbors").unwrap();
    assert_eq!(code, 200);
    let list: NeighborList = serde_json::from_str(&body).unwrap();
    assert_eq!(list.neighbors[0].local, same.local);

    let (code, body) = http::get(site.admin, "/api/v1/neighbors/192.0.2.99").unwrap();
    let text = format!("no neighbor 192.0.2.99; known: {address}");
    assert_eq!((code, body.trim()), (404, text.as_str()));
    let output = site.control(&["neighbors", "192.0.2.99"]);
    assert_eq!(exit_code(&output), 1);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains(&text), "{complaint}");
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_usage_exits_with_2_and_a_node_that_is_away_with_3() {
    let site = Site::new(&[]);
    for arguments in [
        &["neighbors", "router"][..],
        &["neighbors", "192.0.2.1", "192.0.2.2"],
        &["neighbors", "--csv"],
    ] {
        let output = site.control(arguments);
        assert_eq!(exit_code(&output), 2, "{arguments:?}");
    }
    for arguments in [&["neighbors"][..], &["neighbors", "192.0.2.1", "--json"]] {
        let output = site.control(arguments);
        assert_eq!(exit_code(&output), 3, "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}
