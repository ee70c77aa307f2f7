use super::*;

fn texts(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_route_of_frr_is_that_of_the_peer_asked_for() {
    let json = r#"{"prefix":"10.53.53.53/32","paths":[
        {"aspath":{"segments":[]},"peer":{"peerId":"10.0.9.2"}},
        {"aspath":{"string":"65053 65053","segments":[{"type":"as-sequence","list":[65053,65053]}]},
         "metric":50,"locPrf":0,
         "community":{"string":"65053:7 no-advertise graceful-shutdown"},
         "largeCommunity":{"string":"65053:1:2 65053:1:3"},
         "nexthops":[{"ip":"10.0.1.2","afi":"ipv4","used":true}],
         "peer":{"peerId":"10.0.1.2","routerId":"10.0.5.2","type":"external"}}]}"#;
    let route = frr::read_route(json, "10.0.1.2").unwrap().unwrap();
    let expected = Route {
        next_hops: vec!["10.0.1.2".to_owned()],
        as_path: vec![65053, 65053],
        is_sequence: true,
        med: Some(50),
        local_pref: Some(0),
        communities: texts(&["65053:7", "65535:65282", LEAVING]),
        large_communities: texts(&["65053:1:2", "65053:1:3"]),
    };
    assert_eq!(route, expected);
    assert!(route.is_leaving());
    assert_eq!(frr::read_route(json, "10.0.1.3").unwrap(), None);
    assert_eq!(frr::read_route("{}", "10.0.1.2").unwrap(), None);
    let set = json.replace("as-sequence", "as-set");
    let route = frr::read_route(&set, "10.0.1.2").unwrap().unwrap();
    assert!(!route.is_sequence);
}

#[test]
fn a_session_of_frr_has_its_timers_in_seconds() {
    let json = r#"{"10.0.1.2":{"bgpState":"Established","bgpTimerHoldTimeMsecs":3000,
        "bgpTimerKeepAliveIntervalMsecs":1000}}"#;
    let expected = State {
        is_established: true,
        hold_s: Some(3),
        keepalive_s: Some(1),
    };
    assert_eq!(frr::read_state(json).unwrap(), expected);
    assert!(frr::read_state("{}").is_err());
}

#[test]
fn what_bird_prints_is_read() {
    let text = "BIRD 2.0.12 ready.\nTable master4:\n\
        10.53.53.53/32       unicast [node4 17:58:06.322] * (100) [AS65053i]\n\
        \tvia 10.0.2.2 on eth1\n\tType: BGP univ\n\tBGP.origin: IGP\n\
        \tBGP.as_path: 65053 65053\n\tBGP.next_hop: 10.0.2.2\n\tBGP.med: 50\n\
        \tBGP.local_pref: 100\n\tBGP.community: (65053,7) (65535,0)\n\
        \tBGP.large_community: (65053, 1, 2) (65053, 1, 3)\n";
    let expected = Route {
        next_hops: vec!["10.0.2.2".to_owned()],
        as_path: vec![65053, 65053],
        is_sequence: true,
        med: Some(50),
        local_pref: Some(100),
        communities: texts(&["65053:7", LEAVING]),
        large_communities: texts(&["65053:1:2", "65053:1:3"]),
    };
    assert_eq!(bird::read_route(text), Some(expected));
    let set = text.replace("65053 65053", "{65053}");
    assert!(!bird::read_route(&set).unwrap().is_sequence);
    assert_eq!(bird::read_route("BIRD 2.0.12 ready.\n"), None);

    let text = "node4  BGP  ---  up  17:58:06.150  Established\n  BGP state:          Established\n\
        \x20   Hold timer:       1.826/3\n    Keepalive timer:  0.814/1\n";
    let expected = State {
        is_established: true,
        hold_s: Some(3),
        keepalive_s: Some(1),
    };
    assert_eq!(bird::read_state(text), expected);
    assert!(!bird::read_state("  BGP state:          Active\n").is_established);
}

#[test]
fn what_gobgp_tells_is_read() {
    let json = r#"{"fd53::53/128":[{"nlri":{"prefix":"fd53::53/128"},"best":true,"attrs":[
        {"type":1,"value":0},
        {"type":2,"as_paths":[{"segment_type":2,"num":2,"asns":[65053,65053]}]},
        {"type":4,"metric":50},{"type":5,"value":100},
        {"type":8,"communities":[4294901760,4263313415]},
        {"type":14,"nexthop":"fd00:3::2","afi":2,"safi":1,"value":[{"prefix":"fd53::53/128"}]},
        {"type":32,"value":[{"ASN":65053,"LocalData1":1,"LocalData2":2}]}],
        "source-id":"10.0.5.2","neighbor-ip":"fd00:3::2"}]}"#;
    let expected = Route {
        next_hops: vec!["fd00:3::2".to_owned()],
        as_path: vec![65053, 65053],
        is_sequence: true,
        med: Some(50),
        local_pref: Some(100),
        communities: texts(&["65053:7", LEAVING]),
        large_communities: texts(&["65053:1:2"]),
    };
    let route = gobgp::read_route(json, "fd00:3::2").unwrap();
    assert_eq!(route, Some(expected));
    assert_eq!(gobgp::read_route(json, "fd00:3::9").unwrap(), None);

    let json = r#"{"state":{"session_state":6},"timers":{"state":
        {"keepalive_interval":1,"negotiated_hold_time":3}}}"#;
    let expected = State {
        is_established: true,
        hold_s: Some(3),
        keepalive_s: Some(1),
    };
    assert_eq!(gobgp::read_state(json).unwrap(), expected);
    let other = json.replace(":6", ":3");
    assert!(!gobgp::read_state(&other).unwrap().is_established);
}
