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

fn own() -> Vec<IpAddr> {
    vec!["10.53.53.53".parse().unwrap()]
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
    for configured in [UpstreamAddress::System, address("10.53.53.53:53")] {
        let system = servers(&["10.53.53.53"]);
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
