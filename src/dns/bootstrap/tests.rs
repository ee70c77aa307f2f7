//! Upstreams by address, by system configuration and by name, the latter two made up here.

#![expect(clippy::disallowed_methods, reason = "starts a name server")]

use std::cell::Cell;

use tokio::net::UdpSocket;

use super::*;
use crate::dns::{DialectSettings, ZoneAction};

fn zone(upstreams: Vec<UpstreamAddress>) -> ForwardZone {
    ForwardZone {
        zone: vec![0],
        zone_text: ".".to_owned(),
        action: ZoneAction::Forward,
        upstreams,
        last_resort: Vec::new(),
        dialect: DialectSettings::default(),
        critical: true,
    }
}

fn host(name: &str) -> UpstreamAddress {
    UpstreamAddress::Host {
        name: name.to_owned(),
        port: 5353,
    }
}

fn address(text: &str) -> UpstreamAddress {
    UpstreamAddress::Socket(text.parse().unwrap())
}

fn servers(addresses: &[&str]) -> Vec<NameServerConfig> {
    addresses
        .iter()
        .map(|text| NameServerConfig::udp_and_tcp(text.parse().unwrap()))
        .collect()
}

/// A node with a service and a listener, on a host that has an address besides.
fn own() -> Own {
    Own {
        services: vec!["10.53.53.53".parse().unwrap()],
        sockets: vec![
            "10.0.0.1:53".parse().unwrap(),
            "127.0.0.1:5300".parse().unwrap(),
        ],
        host: ["127.0.0.1", "10.0.0.1", "10.9.0.1"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
    }
}

async fn upstreams(
    configured: Vec<UpstreamAddress>,
    system: Vec<NameServerConfig>,
) -> Result<Vec<String>, BootstrapError> {
    let zones = resolve_with(&[zone(configured)], &own(), || Ok(system.clone())).await?;
    Ok(zones[0].upstreams.iter().map(ToString::to_string).collect())
}

/// A name server that knows `up.example.` (192.0.2.7) and no other name.
async fn name_server() -> NameServerConfig {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut server = NameServerConfig::udp(IpAddr::from([127, 0, 0, 1]));
    server.connections[0].port = socket.local_addr().unwrap().port();
    tokio::task::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, source) = socket.recv_from(&mut buffer).await.unwrap();
            let question = &buffer[..length];
            let end = 12 + question[12..].iter().position(|&octet| octet == 0).unwrap() + 5;
            let known = question[12..]
                .to_ascii_lowercase()
                .starts_with(b"\x02up\x07example\0");
            let mut answer = question[..end].to_vec();
            answer[2] = 0x81;
            answer[3] = if known { 0x80 } else { 0x83 };
            answer[6..12].fill(0);
            if known && question[end - 3] == 1 {
                answer[7] = 1;
                answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07");
            }
            socket.send_to(&answer, source).await.unwrap();
        }
    });
    server
}

#[tokio::test]
async fn addresses_keep_their_order_and_lose_duplicates_and_own_ones() {
    let configured = vec![
        address("192.0.2.2:53"),
        address("192.0.2.1:53"),
        address("10.53.53.53:53"),
        address("192.0.2.2:53"),
        address("192.0.2.2:54"),
    ];
    assert_eq!(
        upstreams(configured, Vec::new()).await.unwrap(),
        ["192.0.2.2:53", "192.0.2.1:53", "192.0.2.2:54"]
    );
}

#[tokio::test]
async fn the_system_configuration_is_not_read_when_nothing_needs_it() {
    let reads = Cell::new(0);
    let zones = [zone(vec![address("192.0.2.1:53")])];
    resolve_with(&zones, &own(), || {
        reads.set(reads.get() + 1);
        Ok(Vec::new())
    })
    .await
    .unwrap();
    assert_eq!(reads.get(), 0);
}

#[tokio::test]
async fn the_systems_resolvers_are_taken_without_own_addresses() {
    let system = servers(&["10.53.53.53", "192.0.2.1", "2001:db8::1"]);
    assert_eq!(
        upstreams(vec![UpstreamAddress::System], system)
            .await
            .unwrap(),
        ["192.0.2.1:53", "[2001:db8::1]:53"]
    );
}

#[tokio::test]
async fn a_node_that_is_its_own_only_upstream_is_an_error_that_says_what_to_do() {
    for configured in [
        UpstreamAddress::System,
        address("10.53.53.53:53"),
        address("10.0.0.1:53"),
    ] {
        let system = servers(&["10.53.53.53", "10.0.0.1"]);
        let error = upstreams(vec![configured], system).await.unwrap_err();
        assert!(matches!(error, BootstrapError::OnlyOwn { .. }));
        assert!(error.to_string().contains("set `upstreams`"), "{error}");
    }
}

#[tokio::test]
async fn an_unreadable_system_configuration_is_an_error_with_its_cause() {
    let zones = [zone(vec![UpstreamAddress::System])];
    let error = resolve_with(&zones, &own(), || Err("no such file".into()))
        .await
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "no such file");
}

#[tokio::test]
async fn host_names_become_addresses_with_the_configured_port() {
    let system = vec![name_server().await];
    assert_eq!(
        upstreams(vec![host("up.example.")], system).await.unwrap(),
        ["192.0.2.7:5353"]
    );
}

#[tokio::test]
async fn an_unknown_host_is_a_warning_beside_others_and_an_error_alone() {
    let system = vec![name_server().await];
    let read = || Ok(system.clone());
    let both = [zone(vec![host("gone.example."), address("192.0.2.1:53")])];
    let resolved = resolve_with(&both, &own(), read).await.unwrap();
    assert_eq!(resolved[0].unresolved, ["gone.example."]);
    assert_eq!(resolved[0].upstreams.len(), 1);
    let alone = [zone(vec![host("gone.example.")])];
    let error = resolve_with(&alone, &own(), read).await.unwrap_err();
    assert!(error.to_string().contains("gone.example."), "{error}");
}

/// A server on the same host that is not this node is a good upstream: another program's.
#[tokio::test]
async fn another_port_of_this_host_may_be_an_upstream() {
    let configured = vec![address("127.0.0.1:5300"), address("127.0.0.1:53")];
    assert_eq!(
        upstreams(configured, Vec::new()).await.unwrap(),
        ["127.0.0.1:53"]
    );
}

#[tokio::test]
async fn a_list_of_siblings_that_is_the_same_everywhere_loses_the_node_itself() {
    let listed = [
        "10.0.0.1:53",
        "10.9.0.1:5353",
        "10.0.0.2:53",
        "127.0.0.1:5300",
        "127.0.0.1:5301",
        "10.53.53.53:53",
        "[2001:db8::2]:53",
    ];
    let mut root = zone(vec![address("192.0.2.1:53")]);
    root.last_resort = listed.map(address).to_vec();
    let mut corp = zone(vec![address("192.0.2.9:53")]);
    corp.last_resort = vec![address("10.0.0.2:54")];
    let zones = resolve_with(&[root, corp], &own(), || Ok(Vec::new()))
        .await
        .unwrap();
    let siblings: Vec<_> = zones[0].siblings.iter().map(ToString::to_string).collect();
    assert_eq!(
        siblings,
        ["10.0.0.2:53", "127.0.0.1:5301", "[2001:db8::2]:53"]
    );
    // Not the service's address.
    let own: Vec<_> = zones[0]
        .own_siblings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(own, ["10.0.0.1", "10.9.0.1", "127.0.0.1"]);
    assert!(zones[1].own_siblings.is_empty());
    let sources: Vec<_> = sibling_addresses(&zones)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(sources, ["10.0.0.2", "127.0.0.1", "2001:db8::2"]);
}

#[tokio::test]
async fn zones_that_are_answered_here_need_no_upstream() {
    let zones = [ZoneAction::Local, ZoneAction::Refuse].map(|action| ForwardZone {
        action,
        ..zone(Vec::new())
    });
    let resolved = resolve_with(&zones, &own(), || Err("not read".into()))
        .await
        .unwrap();
    assert_eq!(resolved, []);
}
