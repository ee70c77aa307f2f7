//! An example of a neighbour, and the text that it has as JSON.

use super::*;

const GOLDEN: &str = include_str!("tests/neighbor.json");

/// A neighbour with everything in it, for tests.
pub(crate) fn example() -> NeighborDetail {
    let mishap = |text: &str, ago_s| Mishap {
        text: text.into(),
        ago_s,
    };
    let route = |prefix: &str, next_hop: &str| AnnouncedRoute {
        prefix: prefix.into(),
        next_hops: vec![next_hop.parse().unwrap()],
        as_path: vec![65_053, 65_053],
        med: Some(1000),
        local_pref: None,
        communities: vec!["65001:100".into(), "65535:0".into()],
        large_communities: vec!["65001:1:2".into()],
        only_to_customer: None,
    };
    NeighborDetail {
        summary: Neighbor {
            address: "192.0.2.1".into(),
            state: SessionState::Established,
            since_s: 3_728,
            asn: Some(65_001),
            router_id: Some(Ipv4Addr::new(192, 0, 2, 1)),
            source: Some("192.0.2.10".parse().unwrap()),
            hold_time_s: Some(9),
            announced: vec!["10.53.53.53/32".into(), "fd53::53/128".into()],
            bfd: Some(BfdState::Up),
            last_error: None,
        },
        established_total: 3,
        passive: false,
        interface: Some("eth1".into()),
        local: Speaker {
            port: Some(41_022),
            role: Some(SpeakerRole::Customer),
            ..speaker("192.0.2.10", 65_053, 9, &[1, 2, 65])
        },
        remote: speaker("192.0.2.1", 65_001, 180, &[1, 65, 64]),
        internal: false,
        families: vec![Family::Ipv4, Family::Ipv6],
        keepalive_ms: Some(3_000),
        timers: Timers {
            hold_ms: Some(8_100),
            keepalive_ms: Some(1_200),
            ..Timers::default()
        },
        ttl: TtlGuard {
            sent: 255,
            accepted_min: Some(255),
        },
        md5: true,
        routes: vec![
            route("10.53.53.53/32", "192.0.2.10"),
            route("fd53::53/128", "2001:db8::10"),
        ],
        last_error_sent: Some(mishap("4/0 hold timer expired", 3_740)),
        last_error_received: None,
        last_end: Some(mishap("sent 4/0 hold timer expired", 3_740)),
        messages: Messages {
            sent: counts([3, 9, 1, 1_250, 0]),
            received: counts([3, 4, 0, 61, 1]),
        },
        update_errors: 0,
        dead_man: false,
        bfd_session: Some(bfd_session()),
    }
}

fn speaker(address: &str, asn: u32, hold_time_s: u16, codes: &[u8]) -> Speaker {
    let capability = |code: &u8| Capability {
        code: *code,
        name: match code {
            1 => "multiprotocol",
            2 => "route refresh",
            64 => "graceful restart",
            _ => "four-octet AS",
        }
        .into(),
    };
    Speaker {
        address: Some(address.into()),
        port: Some(179),
        asn: Some(asn),
        router_id: address.parse().ok(),
        hold_time_s: Some(hold_time_s),
        role: None,
        capabilities: codes.iter().map(capability).collect(),
    }
}

fn counts([open, update, notification, keepalive, route_refresh]: [u64; 5]) -> MessageCounts {
    MessageCounts {
        open,
        update,
        notification,
        keepalive,
        route_refresh,
    }
}

fn bfd_session() -> BfdSession {
    let diagnostic = |code, name: &str| Diagnostic {
        code,
        name: name.into(),
    };
    let side = |discriminator| BfdSide {
        state: BfdState::Up,
        diagnostic: diagnostic(0, "none"),
        discriminator: Some(discriminator),
        desired_transmit_us: Some(300_000),
        required_receive_us: Some(250_000),
        multiplier: Some(3),
    };
    BfdSession {
        since_s: 3_729,
        local: side(3_735_928_559),
        remote: side(7),
        last_loss: diagnostic(1, "control detection time expired"),
        held_down: false,
        transmit_interval_us: Some(300_000),
        detection_time_us: Some(900_000),
        receive_interval_us: Some(262_144),
        receive_interval_max_us: Some(301_250),
        packets: BfdPackets {
            sent: 14_230,
            received: 14_228,
            rejected: 0,
        },
        ups: 2,
        downs: 1,
    }
}

/// The text is what programs of operators read: when this fails, a field was renamed or removed.
#[test]
fn the_json_of_a_neighbour_is_the_documented_one_and_reads_back_as_it_was() {
    let json = serde_json::to_string_pretty(&example()).unwrap();
    assert_eq!(json.trim(), GOLDEN.trim(), "\n{json}");
    let read: NeighborDetail = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(read, example());
}

/// A newer node may tell more, and an older one less.
#[test]
fn unknown_fields_are_passed_over_and_unknown_values_are_null() {
    let mut value = serde_json::to_value(example()).unwrap();
    value["weather"] = "fine".into();
    value["bfd_session"] = serde_json::Value::Null;
    value.as_object_mut().unwrap().remove("bfd");
    let read: NeighborDetail = serde_json::from_value(value).unwrap();
    assert_eq!((read.bfd_session, read.summary.bfd), (None, None));
}

#[test]
fn a_list_of_neighbours_names_the_node_and_what_is_missing() {
    let list = NeighborList {
        node: "ams1".into(),
        neighbors: Vec::new(),
        warnings: vec!["neighbor default-gateway: there is no default route".into()],
    };
    let json = r#"{"node":"ams1","neighbors":[],"warnings":["neighbor default-gateway: there is no default route"]}"#;
    assert_eq!(serde_json::to_string(&list).unwrap(), json);
}
