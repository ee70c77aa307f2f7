use super::*;

const ETH0: u32 = 2;
const ETH1: u32 = 3;

type Change = fn(&mut Assigned);

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.into(),
        up: true,
        link_layer: Vec::new(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An ordinary address; scope as the kernel sets it.
fn address(index: u32, cidr: &str) -> Assigned {
    let cidr: IpNet = cidr.parse().unwrap();
    let loopback = cidr.addr().is_loopback();
    let link_only = cidr.addr().is_ipv6() && is_link_local(cidr.addr());
    Assigned {
        index,
        address: cidr.addr(),
        prefix_length: cidr.prefix_len(),
        global: !loopback && !link_only,
        host_only: loopback,
        secondary: false,
        deprecated: false,
        tentative: false,
        duplicate: false,
        mark: None,
    }
}

fn route(priority: u32, hops: &[(u32, &str)]) -> Route {
    Route {
        priority,
        preferred_source: None,
        hops: hops
            .iter()
            .map(|(index, gateway)| Hop {
                gateway: Some(ip(gateway)),
                index: *index,
                dead: false,
            })
            .collect(),
    }
}

/// A dual-stack host with one uplink and service addresses on the loopback interface.
fn host() -> Tables {
    Tables {
        links: vec![link(1, "lo"), link(ETH0, "eth0"), link(ETH1, "eth1")],
        addresses: vec![
            address(1, "127.0.0.1/8"),
            address(1, "10.53.53.53/32"),
            address(ETH0, "192.0.2.10/24"),
            address(1, "fd53::53/128"),
            address(ETH0, "fe80::10/64"),
            address(ETH0, "2001:db8::10/64"),
        ],
        defaults_v4: vec![route(0, &[(ETH0, "192.0.2.1")])],
        defaults_v6: vec![route(1024, &[(ETH0, "fe80::1")])],
        services: vec![ip("10.53.53.53"), ip("fd53::53")],
    }
}

fn addresses_of(gateways: &[Gateway]) -> Vec<IpAddr> {
    gateways.iter().map(|gateway| gateway.address).collect()
}

#[test]
fn the_ipv6_default_route_counts_only_without_an_ipv4_one() {
    let mut host = host();
    assert_eq!(
        addresses_of(&host.default_gateways().unwrap()),
        [ip("192.0.2.1")]
    );
    host.defaults_v4.clear();
    let gateways = host.default_gateways().unwrap();
    assert_eq!(addresses_of(&gateways), [ip("fe80::1")]);
    assert_eq!(gateways[0].scope_id, ETH0);
    assert_eq!(gateways[0].local.source, ip("fe80::10"));
    let local = &gateways[0].local;
    assert_eq!(local.next_hop_v6, Ok("2001:db8::10".parse().unwrap()));
    assert_eq!(local.next_hop_v4, Ok("192.0.2.10".parse().unwrap()));
}

#[test]
fn every_next_hop_of_the_lowest_metric_is_a_neighbour_once_and_no_other() {
    let mut host = host();
    host.addresses.push(address(ETH1, "198.51.100.10/24"));
    host.defaults_v4 = vec![
        route(100, &[(ETH1, "198.51.100.254")]),
        route(10, &[(ETH0, "192.0.2.1"), (ETH1, "198.51.100.1")]),
        route(10, &[(ETH0, "192.0.2.1")]),
    ];
    let gateways = host.default_gateways().unwrap();
    assert_eq!(
        addresses_of(&gateways),
        [ip("192.0.2.1"), ip("198.51.100.1")]
    );
    assert_eq!(gateways[1].local.source, ip("198.51.100.10"));
    assert_eq!(gateways[1].local.interface, "eth1");
}

#[test]
fn a_route_that_the_kernel_does_not_use_is_passed_over() {
    let mut host = host();
    let mut dead = route(5, &[(ETH1, "198.51.100.1")]);
    dead.hops[0].dead = true;
    host.defaults_v4.push(dead);
    host.defaults_v4[0].priority = 10;
    assert_eq!(
        addresses_of(&host.default_gateways().unwrap()),
        [ip("192.0.2.1")]
    );
}

#[test]
fn without_a_default_route_or_its_gateway_the_reason_is_told() {
    let mut host = host();
    host.defaults_v4[0].hops[0].gateway = None;
    assert!(matches!(
        host.default_gateways(),
        Err(GatewayError::NoAddress { interface }) if interface == "eth0"
    ));
    host.defaults_v4.clear();
    host.defaults_v6.clear();
    assert!(matches!(
        host.default_gateways(),
        Err(GatewayError::NoDefaultRoute)
    ));
}

#[test]
fn a_service_address_is_never_source_or_next_hop_or_router_id() {
    let mut host = host();
    // Bound to the uplink instead of the loopback interface, and listed first.
    host.addresses = vec![
        address(ETH0, "10.53.53.53/32"),
        address(ETH0, "fd53::53/128"),
    ];
    host.defaults_v4[0].preferred_source = Some(ip("10.53.53.53"));
    assert!(matches!(
        host.default_gateways(),
        Err(GatewayError::NoSource { .. })
    ));
    assert_eq!(host.router_id(), None);
    host.addresses.push(address(ETH0, "192.0.2.10/24"));
    let gateways = host.default_gateways().unwrap();
    assert_eq!(gateways[0].local.source, ip("192.0.2.10"));
    assert_eq!(gateways[0].local.next_hop_v6, Err(NoNextHop::OnlyService));
    assert_eq!(host.router_id(), Some(Ipv4Addr::new(192, 0, 2, 10)));
}

#[test]
fn the_source_is_in_the_neighbours_subnet_and_no_secondary_address() {
    let mut host = host();
    let mut secondary = address(ETH0, "192.0.2.9/24");
    secondary.secondary = true;
    host.addresses = vec![
        address(ETH0, "198.51.100.7/24"),
        secondary,
        address(ETH0, "192.0.2.10/24"),
    ];
    assert_eq!(
        host.default_gateways().unwrap()[0].local.source,
        ip("192.0.2.10")
    );
}

/// RFC 2545 §3: the next hop of IPv6 routes is a global address.
#[test]
fn an_ipv6_next_hop_is_global_and_stable_or_the_reason_is_told() {
    let cases: [(&str, Change, NoNextHop); 5] = [
        (
            "2001:db8::10/64",
            |a| a.secondary = true,
            NoNextHop::Unstable,
        ),
        (
            "2001:db8::10/64",
            |a| a.deprecated = true,
            NoNextHop::Unstable,
        ),
        (
            "2001:db8::10/64",
            |a| a.duplicate = true,
            NoNextHop::Unstable,
        ),
        (
            "2001:db8::10/64",
            |a| a.tentative = true,
            NoNextHop::Tentative,
        ),
        ("fe80::10/64", |_| {}, NoNextHop::NoAddress),
    ];
    for (cidr, change, reason) in cases {
        let mut host = host();
        host.addresses.retain(|found| found.address.is_ipv4());
        let mut only = address(ETH0, cidr);
        change(&mut only);
        host.addresses.push(only);
        let gateways = host.default_gateways().unwrap();
        assert_eq!(gateways[0].local.next_hop_v6, Err(reason), "{cidr}");
    }
}

#[test]
fn a_stable_address_is_found_beside_a_temporary_one() {
    let mut host = host();
    let mut temporary = address(ETH0, "2001:db8::abcd/64");
    temporary.secondary = true;
    host.addresses.insert(0, temporary);
    let gateways = host.default_gateways().unwrap();
    assert_eq!(
        gateways[0].local.next_hop_v6,
        Ok("2001:db8::10".parse().unwrap())
    );
}

/// RFC 4271 §4.2: the identifier is unique; an anycast or loopback address is not.
#[test]
fn the_router_id_is_of_the_default_interface_else_of_any() {
    let mut host = host();
    host.addresses.insert(0, address(1, "10.255.0.7/32"));
    assert_eq!(host.router_id(), Some(Ipv4Addr::new(192, 0, 2, 10)));
    host.defaults_v4.clear();
    host.defaults_v6.clear();
    assert_eq!(host.router_id(), Some(Ipv4Addr::new(10, 255, 0, 7)));
    host.addresses.retain(|found| !found.address.is_ipv4());
    assert_eq!(host.router_id(), None);
}

#[test]
fn a_neighbour_on_the_loopback_interface_is_reached_from_the_routes_own_source() {
    let host = host();
    let local = host
        .local(1, ip("127.0.0.2"), Some(ip("127.0.0.1")))
        .unwrap();
    assert_eq!(local.source, ip("127.0.0.1"));
    assert_eq!(local.next_hop_v4, Ok(Ipv4Addr::LOCALHOST));
    assert_eq!(local.next_hop_v6, Err(NoNextHop::OnlyService));
}

#[test]
fn a_source_that_the_kernel_proposes_is_kept_only_if_it_lasts() {
    let mut host = host();
    host.addresses.push(address(1, "::1/128"));
    let mut temporary = address(ETH0, "2001:db8::abcd/64");
    temporary.secondary = true;
    host.addresses.push(temporary);
    let neighbor = ip("2001:db8:1::1");
    for proposed in ["::1", "2001:db8::abcd", "2001:db8::99", "fd53::53"] {
        let local = host.local(ETH0, neighbor, Some(ip(proposed))).unwrap();
        assert_eq!(local.source, ip("2001:db8::10"), "{proposed}");
    }
    host.addresses.push(address(1, "2001:db8:ffff::7/128"));
    let routed = Some(ip("2001:db8:ffff::7"));
    let local = host.local(ETH0, neighbor, routed).unwrap();
    assert_eq!(Some(local.source), routed);
}
