//! Known octets of each capability, both ways.

use proptest::prelude::*;

use super::*;

const KNOWN: [(Capability, &[u8]); 8] = [
    (Capability::Unicast(Family::Ipv4), &[1, 4, 0, 1, 0, 1]),
    (Capability::Unicast(Family::Ipv6), &[1, 4, 0, 2, 0, 1]),
    (Capability::RouteRefresh, &[2, 0]),
    (Capability::ExtendedNextHop, &[5, 6, 0, 1, 0, 1, 0, 2]),
    (Capability::Role(3), &[9, 1, 3]),
    (Capability::FourOctetAsn(65000), &[65, 4, 0, 0, 0xFD, 0xE8]),
    (
        Capability::FourOctetAsn(4_200_000_001),
        &[65, 4, 0xFA, 0x56, 0xEA, 0x01],
    ),
    (Capability::EnhancedRouteRefresh, &[70, 0]),
];

/// RFC 5492 §4 and the RFC of each.
#[test]
fn every_capability_has_its_known_octets() {
    for (capability, octets) in KNOWN {
        assert_eq!(capability.encode(), octets);
        assert_eq!(capability.code(), octets[0]);
        assert_eq!(Capability::decode(octets[0], &octets[2..]), Ok(capability));
    }
    assert!(Capability::Other(64).encode().is_empty());
    assert_eq!(Capability::Other(64).code(), 64);
}

/// RFC 5492 §4: what is not known is kept as a code.
#[test]
fn unknown_capabilities_are_kept_as_codes() {
    for (code, value) in [
        (1, &[0, 25, 0, 70][..]),
        (1, &[0, 1, 0, 128]),
        (64, &[0]),
        (71, &[]),
        (73, &[1, b'r', 0]),
        (255, &[1, 2, 3]),
    ] {
        assert_eq!(Capability::decode(code, value), Ok(Capability::Other(code)));
    }
    // RFC 4760 §8: the third octet is reserved and ignored.
    assert_eq!(
        Capability::decode(1, &[0, 2, 99, 1]),
        Ok(Capability::Unicast(Family::Ipv6))
    );
}

/// RFC 4271 §6.2: a wrong length ends the session only where the session rests on the capability.
#[test]
fn a_wrong_length_is_an_error_of_what_cannot_be_done_without() {
    for (code, value) in [
        (1, &[0, 1][..]),
        (1, &[0, 1, 0, 1, 0]),
        (2, &[0]),
        (65, &[0, 0, 1]),
        (65, &[0, 0, 0, 1, 0]),
    ] {
        assert_eq!(Capability::decode(code, value), Err(MalformedCapability));
    }
    for (code, value) in [
        (5, &[0, 1, 0, 1, 0, 2, 0][..]),
        (5, &[0, 1, 0, 1, 0]),
        (9, &[]),
        (9, &[3, 3]),
        (70, &[0]),
    ] {
        assert_eq!(Capability::decode(code, value), Ok(Capability::Other(code)));
    }
}

/// RFC 8950 §4: a list of families; the others in it are ignored.
#[test]
fn an_extended_next_hop_may_stand_among_others() {
    let vpn = [0, 1, 0, 128, 0, 2];
    let among = [vpn, IPV4_OVER_IPV6, [0, 1, 0, 4, 0, 2]].concat();
    assert_eq!(
        Capability::decode(5, &among),
        Ok(Capability::ExtendedNextHop)
    );
    assert_eq!(Capability::decode(5, &vpn), Ok(Capability::Other(5)));
    assert_eq!(Capability::decode(5, &[]), Ok(Capability::Other(5)));
}

/// RFC 9234 §4.1, §4.2: the table of pairs.
#[test]
fn roles_have_their_octets_and_counterparts() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    for (octet, role, other) in [
        (0, Provider, Customer),
        (1, RouteServer, RouteServerClient),
        (2, RouteServerClient, RouteServer),
        (3, Customer, Provider),
        (4, Peer, Peer),
    ] {
        assert_eq!(Role::from_wire(octet), Some(role));
        assert_eq!(role.to_wire(), octet);
        assert_eq!(role.counterpart(), other);
    }
    assert_eq!(Role::from_wire(5), None);
}

proptest! {
    /// RFC 5492 §4: whatever the value, a capability keeps its code or is refused.
    #[test]
    fn any_value_keeps_its_code(
        code in any::<u8>(),
        value in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        if let Ok(capability) = Capability::decode(code, &value) {
            prop_assert_eq!(capability.code(), code);
        }
    }

    /// A set holds what was put into it, in order, each once.
    #[test]
    fn codes_are_a_set(codes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let set: CapabilityCodes = codes.iter().copied().collect();
        let mut sorted = codes;
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), sorted);
    }
}
