use super::*;

fn default_message() -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.kind = RouteType::Unicast;
    message
}

fn next_hop(index: u32, gateway: &str) -> RouteNextHop {
    let mut hop = RouteNextHop::default();
    hop.interface_index = index;
    let gateway: IpAddr = gateway.parse().unwrap();
    hop.attributes.push(RouteAttribute::Gateway(gateway.into()));
    hop
}

#[test]
fn every_next_hop_of_a_multipath_route_is_read() {
    let mut message = default_message();
    message.attributes = vec![
        RouteAttribute::Priority(20),
        RouteAttribute::MultiPath(vec![next_hop(2, "10.0.0.1"), next_hop(3, "10.1.0.1")]),
    ];
    let route = default_route(&message).unwrap();
    assert_eq!(route.priority, 20);
    let seen: Vec<_> = route
        .hops
        .iter()
        .map(|hop| (hop.index, hop.gateway))
        .collect();
    assert_eq!(
        seen,
        [
            (2, Some("10.0.0.1".parse().unwrap())),
            (3, Some("10.1.0.1".parse().unwrap())),
        ]
    );
}

/// RFC 5549: an IPv4 route may have an IPv6 next hop.
#[test]
fn an_ipv6_next_hop_of_an_ipv4_route_is_read() {
    let mut message = default_message();
    message.attributes = vec![
        RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap())),
        RouteAttribute::Oif(4),
    ];
    let route = default_route(&message).unwrap();
    assert_eq!(
        route.hops[0].gateway,
        Some("fe80::1".parse::<IpAddr>().unwrap())
    );
}

#[test]
fn a_route_of_another_table_or_kind_or_with_a_prefix_is_no_default_route() {
    let mut other_table = default_message();
    other_table.attributes.push(RouteAttribute::Table(100));
    let mut unreachable = default_message();
    unreachable.header.kind = RouteType::Unreachable;
    let mut narrow = default_message();
    narrow.header.destination_prefix_length = 8;
    for message in [other_table, unreachable, narrow] {
        assert_eq!(default_route(&message), None);
    }
    assert!(default_route(&default_message()).is_some());
}

#[test]
fn the_own_end_of_a_point_to_point_address_is_taken() {
    let mut message = AddressMessage::default();
    message.header.index = 7;
    message.attributes = vec![
        AddressAttribute::Address("192.0.2.9".parse().unwrap()),
        AddressAttribute::Local("192.0.2.8".parse().unwrap()),
    ];
    let found = assigned(&message).unwrap();
    assert_eq!(found.address, "192.0.2.8".parse::<IpAddr>().unwrap());
}

#[test]
fn a_link_is_up_only_with_carrier() {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    assert!(!link(&message).up);
    message.header.flags = LinkFlags::LowerUp;
    assert!(!link(&message).up);
    message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
    assert!(link(&message).up);
}

fn neighbour(state: NeighbourState, flags: NeighbourFlags, address: &str) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = 3;
    message.header.state = state;
    message.header.flags = flags;
    let address = NeighbourAddress::Inet6(address.parse().unwrap());
    message
        .attributes
        .push(NeighbourAttribute::Destination(address));
    message
}

/// RFC 4861 §7.2.5.
#[test]
fn a_neighbour_is_a_router_if_it_said_so_and_was_reached() {
    let (yes, no) = (NeighbourFlags::Router, NeighbourFlags::empty());
    let reached = NeighbourState::Stale;
    let found = Some((3, "fe80::1".parse().unwrap()));
    assert_eq!(router(&neighbour(reached, yes, "fe80::1")), found);
    assert_eq!(router(&neighbour(reached, no, "fe80::1")), None);
    assert_eq!(router(&neighbour(reached, yes, "2001:db8::1")), None);
    for state in [NeighbourState::Failed, NeighbourState::Incomplete] {
        assert_eq!(router(&neighbour(state, yes, "fe80::1")), None);
    }
}
