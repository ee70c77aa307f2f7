use super::*;
use crate::bgp::PeerAsn;
use crate::bgp::message::Families;

const ETH0: u32 = 2;
const ETH1: u32 = 3;

fn settings() -> bgp::Settings {
    bgp::Settings {
        asn: 65_053,
        router_id: None,
        listen: Vec::new(),
        neighbors: Vec::new(),
    }
}

fn resolve_with(
    view: &View,
    neighbor: &NeighborSettings,
    router: Option<&str>,
) -> Result<Vec<Wanted>, GatewayError> {
    let settings = settings();
    let resolver = Resolver {
        settings: &settings,
        identifier: Ipv4Addr::new(192, 0, 2, 53),
        view: Some(view),
        process_start: Instant::now(),
    };
    resolver.resolve(0, neighbor, router.map(|router| router.parse().unwrap()))
}

fn unnumbered() -> NeighborSettings {
    let address = NeighborAddress::Interface("eth1".to_owned());
    NeighborSettings::new(address, PeerAsn::External)
}

fn one(view: &View, neighbor: &NeighborSettings, router: Option<&str>) -> Wanted {
    let mut found = resolve_with(view, neighbor, router).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// RFC 8950 §4: both families over the link-local session.
#[test]
fn an_unnumbered_neighbor_is_dialled_over_its_link_for_both_families() {
    let view = View::example(&[(ETH1, "eth1", &["fe80::53/64"])]);
    let found = one(&view, &unnumbered(), Some("fe80::1"));
    let terms = &found.parameters;
    assert_eq!(terms.remote, "[fe80::1%3]:179".parse().unwrap());
    assert_eq!(terms.local, Some(ip("fe80::53")));
    assert_eq!((terms.next_hop_v4, terms.next_hop_v6), (None, None));
    assert!(terms.ipv4_over_ipv6);
    assert_eq!(terms.name(), "fe80::1%eth1");
    assert_eq!(found.interface_index, Some(ETH1));
}

/// RFC 2545 §3.
#[test]
fn an_unnumbered_neighbor_gets_the_global_address_of_its_link_as_ipv6_next_hop() {
    let view = View::example(&[
        (ETH0, "eth0", &["2001:db8::53/64"]),
        (ETH1, "eth1", &["fe80::53/64", "2001:db8:1::53/64"]),
    ]);
    let found = one(&view, &unnumbered(), Some("fe80::1"));
    let global = "2001:db8:1::53".parse().unwrap();
    assert_eq!(found.parameters.next_hop_v6, Some(global));
}

/// RFC 8950 §4: the router need not be in the subnet of an IPv4 address.
#[test]
fn a_link_local_neighbor_gets_an_ipv4_next_hop_only_if_it_can_take_no_other() {
    let neighbor = NeighborSettings::new(
        NeighborAddress::LinkLocal {
            address: "fe80::1".parse().unwrap(),
            interface: "eth1".to_owned(),
        },
        PeerAsn::External,
    );
    let own = Ipv4Addr::new(192, 0, 2, 53);
    for (addresses, next_hop_v4) in [
        (&["fe80::53/64", "192.0.2.53/24"][..], Some(own)),
        (&["fe80::53/64"], None),
    ] {
        let view = View::example(&[(ETH1, "eth1", addresses)]);
        for neighbor in [&neighbor, &unnumbered()] {
            let terms = one(&view, neighbor, Some("fe80::1")).parameters;
            assert_eq!(terms.next_hop_v4, next_hop_v4);
            assert!(terms.ipv4_over_ipv6);
            assert_eq!(terms.name(), "fe80::1%eth1");
        }
    }
}

/// What it was before: nobody has to be able to do more.
#[test]
fn a_global_neighbor_gets_ipv4_routes_with_an_ipv4_next_hop_alone() {
    let neighbor = NeighborSettings::new(NeighborAddress::Ip(ip("2001:db8::1")), PeerAsn::External);
    let view = View::example(&[(ETH1, "eth1", &["2001:db8::53/64", "192.0.2.53/24"])]);
    let view = view.with_route("2001:db8::1", ETH1, None);
    let terms = one(&view, &neighbor, None).parameters;
    assert!(terms.next_hop_v4.is_some() && !terms.ipv4_over_ipv6);
}

/// RFC 4007 §6: once it was one session for both.
#[test]
fn gateways_with_the_same_link_local_address_on_two_links_are_two_neighbors() {
    let view = View::example(&[
        (ETH0, "eth0", &["fe80::53/64"]),
        (ETH1, "eth1", &["fe80::53/64"]),
    ]);
    let view = view.with_gateways(&[(ETH0, "fe80::1"), (ETH1, "fe80::1")]);
    let neighbor = NeighborSettings::new(NeighborAddress::DefaultGateway, PeerAsn::External);
    let found = resolve_with(&view, &neighbor, None).unwrap();
    assert_eq!(found.len(), 2);
    assert_ne!(found[0].key(), found[1].key());
    let names: Vec<_> = found.iter().map(|new| new.parameters.name()).collect();
    assert_eq!(names, ["fe80::1%eth0", "fe80::1%eth1"]);
}

#[test]
fn what_is_missing_for_an_unnumbered_neighbor_is_told() {
    let why = |view: &View| {
        let error = resolve_with(view, &unnumbered(), None).unwrap_err();
        warning(&unnumbered(), &error)
    };
    assert_eq!(
        why(&View::example(&[])),
        "neighbor interface:eth1: there is no interface eth1"
    );
    let bare = View::example(&[(ETH1, "eth1", &[])]);
    assert!(why(&bare).contains("no link-local IPv6 address"));
    let checking = View::example(&[(ETH1, "eth1", &["fe80::53/64"])]).tentative("fe80::53");
    assert!(why(&checking).contains("no link-local IPv6 address"));
    let alone = View::example(&[(ETH1, "eth1", &["fe80::53/64"])]);
    assert!(why(&alone).contains("no router has been heard on eth1"));
    let mut down = unnumbered();
    down.address = NeighborAddress::Interface("down1".to_owned());
    let view = View::example(&[(ETH1, "down1", &["fe80::53/64"])]);
    let error = resolve_with(&view, &down, None).unwrap_err();
    assert_eq!(error.to_string(), "down1 is down");
}

/// RFC 5883: the path may change.
#[test]
fn a_neighbor_several_hops_away_lives_by_a_link_only_if_there_is_no_other() {
    let mut neighbor =
        NeighborSettings::new(NeighborAddress::Ip(ip("198.51.100.1")), PeerAsn::External);
    neighbor.security.ttl = Ttl::Multihop(5);
    let only: (u32, &str, &[&str]) = (ETH0, "eth0", &["192.0.2.53/24"]);
    let lo: (u32, &str, &[&str]) = (1, "lo", &["127.0.0.1/8", "203.0.113.7/32"]);
    let gateway = Some("192.0.2.1");
    let alone = View::example(&[lo, only]).with_route("198.51.100.1", ETH0, gateway);
    let found = one(&alone, &neighbor, None);
    assert_eq!(found.interface_index, Some(ETH0));
    assert!(!found.is_on_link);
    let two = View::example(&[lo, only, (ETH1, "eth1", &["192.0.3.53/24"])]);
    let two = two.with_route("198.51.100.1", ETH0, gateway);
    assert_eq!(one(&two, &neighbor, None).interface_index, None);
    neighbor.security.ttl = Ttl::Direct;
    assert_eq!(one(&two, &neighbor, None).interface_index, Some(ETH0));
}

#[test]
fn a_neighbor_with_a_configured_source_is_dialled_without_a_route() {
    let mut neighbor =
        NeighborSettings::new(NeighborAddress::Ip(ip("198.51.100.1")), PeerAsn::External);
    let view = View::example(&[]);
    assert!(resolve_with(&view, &neighbor, None).is_err());
    neighbor.source = Some(ip("192.0.2.53"));
    let found = one(&view, &neighbor, None);
    assert_eq!(found.parameters.local, neighbor.source);
    assert_eq!(found.interface_index, None);
}

/// Design §8, default gateway: a family without a next hop is not offered, with the reason.
#[test]
fn a_family_that_is_not_offered_is_told_with_the_reason() {
    let anycast = [ip("10.53.53.53"), ip("fd53::53")];
    let over_ipv4 = NeighborSettings::new(NeighborAddress::Ip(ip("192.0.2.1")), PeerAsn::External);
    let told = |addresses: &[&str], services: &[IpAddr]| {
        let view = View::example(&[(ETH1, "eth1", addresses)]);
        let view = view.with_route("192.0.2.1", ETH1, None);
        missing(&one(&view, &over_ipv4, None), services, true)
    };
    let lines = told(&["192.0.2.53/24"], &anycast);
    assert_eq!(
        lines,
        [
            "neighbor 192.0.2.1: IPv6 routes are not offered, for there is no next hop: the \
          interface has no global address of this family"
        ]
    );
    // There is one, or nothing would be offered anyway.
    assert!(told(&["192.0.2.53/24", "2001:db8::53/64"], &anycast).is_empty());
    assert!(told(&["192.0.2.53/24"], &anycast[..1]).is_empty());
    let mut ipv4_alone = over_ipv4.clone();
    ipv4_alone.families.ipv6 = false;
    let view = View::example(&[(ETH1, "eth1", &["192.0.2.53/24"])]);
    let view = view.with_route("192.0.2.1", ETH1, None);
    assert_eq!(one(&view, &ipv4_alone, None).missing, []);
    // An address that is being checked will be there in a second or two, or it will not.
    let view = View::example(&[(ETH1, "eth1", &["192.0.2.53/24", "2001:db8::53/64"])]);
    let view = view.with_route("192.0.2.1", ETH1, None);
    let checked = one(&view.tentative("2001:db8::53"), &over_ipv4, None);
    assert!(missing(&checked, &anycast, true).is_empty());
    let late = missing(&checked, &anycast, false);
    assert!(late[0].contains("still being checked"), "{late:?}");
}

#[test]
fn a_neighbor_whose_interface_is_not_known_gets_one_family_and_a_warning() {
    let address = NeighborAddress::Ip(ip("198.51.100.1"));
    let mut neighbor = NeighborSettings::new(address, PeerAsn::External);
    neighbor.source = Some(ip("192.0.2.53"));
    let found = one(&View::example(&[]), &neighbor, None);
    let lines = missing(&found, &[ip("fd53::53")], false);
    assert!(lines[0].contains("not known which interface"), "{lines:?}");
}

#[test]
fn only_an_address_that_brings_a_family_is_waited_for() {
    let addresses: &[&str] = &["fe80::53/64", "2001:db8::53/64", "192.0.2.53/24"];
    let view = View::example(&[(ETH1, "eth1", addresses)]).tentative("2001:db8::53");
    let over_link = one(&view, &unnumbered(), Some("fe80::1"));
    assert!(over_link.is_tentative);
    assert!(over_link.parameters.offered().ipv6);
    let neighbor = NeighborSettings::new(NeighborAddress::Ip(ip("192.0.2.1")), PeerAsn::External);
    let over_ipv4 = one(&view.with_route("192.0.2.1", ETH1, None), &neighbor, None);
    assert!(over_ipv4.is_tentative);
    let ipv4 = Families {
        ipv4: true,
        ipv6: false,
    };
    assert_eq!(over_ipv4.parameters.offered(), ipv4);
}
