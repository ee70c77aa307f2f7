//! Which next hops, and so which families, follow from the session's own address.

use super::*;
use crate::bgp::open::Ipv4OverIpv6;

fn parameters(change: impl FnOnce(&mut PeerParameters)) -> PeerParameters {
    let remote = "[fe80::2]:179".parse().unwrap();
    let mut parameters = PeerParameters::new(remote, 65053, Ipv4Addr::new(192, 0, 2, 1));
    change(&mut parameters);
    parameters
}

const LINK_LOCAL: &str = "fe80::1";
const GLOBAL: &str = "2001:db8::1";

/// RFC 8950 §4, RFC 2545 §3: between link-local addresses there need be no other on either side.
#[test]
fn an_unnumbered_session_carries_both_families_by_its_link_local_address() {
    let unnumbered = parameters(|p| p.ipv4_over_ipv6 = true);
    let local = LINK_LOCAL.parse().ok();
    let hops = unnumbered.next_hops(IpAddr::V6(local.unwrap()));
    let expected = NextHops {
        v4: None,
        v4_over_v6: local,
        v6: local,
        link_local: None,
    };
    assert_eq!(hops, expected);
    let opening = unnumbered.opening(&hops);
    assert_eq!(opening.families, Families::ALL);
    assert_eq!(opening.ipv4_over_ipv6, Ipv4OverIpv6::Required);
}

/// RFC 2545 §3: a global address stands before the link-local one; RFC 8950 §4: an IPv4 address is for
/// a neighbour that takes no other.
#[test]
fn addresses_of_the_interface_are_used_where_there_are_any() {
    let numbered = parameters(|p| {
        p.ipv4_over_ipv6 = true;
        p.next_hop_v4 = "192.0.2.1".parse().ok();
        p.next_hop_v6 = GLOBAL.parse().ok();
    });
    let hops = numbered.next_hops(LINK_LOCAL.parse().unwrap());
    let expected = NextHops {
        v4: "192.0.2.1".parse().ok(),
        v4_over_v6: LINK_LOCAL.parse().ok(),
        v6: GLOBAL.parse().ok(),
        link_local: LINK_LOCAL.parse().ok(),
    };
    assert_eq!(hops, expected);
    let opening = numbered.opening(&hops);
    assert_eq!(opening.ipv4_over_ipv6, Ipv4OverIpv6::Preferred);
}

/// Nobody gets IPv4 with an IPv6 next hop without asking, and no session over IPv4 does.
#[test]
fn ipv4_by_way_of_ipv6_is_asked_for() {
    let plain = parameters(|_| {});
    let hops = plain.next_hops(GLOBAL.parse().unwrap());
    assert_eq!(hops.v4_over_v6, None);
    assert!(!plain.opening(&hops).families.ipv4);
    let asked = parameters(|p| p.ipv4_over_ipv6 = true);
    let hops = asked.next_hops("192.0.2.1".parse().unwrap());
    assert_eq!(hops.ipv4_over_ipv6(), Ipv4OverIpv6::Never);
}
