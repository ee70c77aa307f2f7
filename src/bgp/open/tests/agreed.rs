//! What is agreed on beyond families and hold time: roles, next hops, refreshes.

use super::*;

/// RFC 9234 §4.2: every pair of roles; without one on either side there is nothing to compare.
#[test]
fn roles_have_to_go_together() {
    let roles = [0_u8, 1, 2, 3, 4];
    let agree = |own: Option<u8>, theirs: &[u8]| {
        let local = Local {
            role: own.and_then(Role::from_wire),
            ..local()
        };
        let mut open = peer();
        open.capabilities
            .extend(theirs.iter().copied().map(Capability::Role));
        negotiate(&local, &open).map(|agreed| agreed.peer_role)
    };
    for own in roles {
        for theirs in roles {
            let fits = matches!((own, theirs), (0, 3) | (3, 0) | (1, 2) | (2, 1) | (4, 4));
            let expected = match fits {
                true => Ok(Role::from_wire(theirs)),
                false => Err(OpenError::Role(theirs)),
            };
            assert_eq!(agree(Some(own), &[theirs]), expected, "{own} and {theirs}");
        }
        assert_eq!(agree(Some(own), &[]), Ok(None));
        assert_eq!(agree(Some(own), &[5]), Err(OpenError::Role(5)));
        assert_eq!(agree(None, &[own]), Ok(Role::from_wire(own)));
    }
    assert_eq!(agree(Some(4), &[4, 4]), Ok(Some(Role::Peer)));
    assert_eq!(agree(Some(4), &[4, 3]), Err(OpenError::Role(3)));
    assert_eq!(agree(None, &[4, 3]), Err(OpenError::Role(3)));
    assert_eq!(
        OpenError::Role(3).notification(),
        Notification::new(2, 11, vec![])
    );
}

/// RFC 9234 §4: roles are between ASes.
#[test]
fn inside_an_as_no_role_is_claimed_or_compared() {
    for (rule, is_claimed) in [
        (PeerAsn::External, true),
        (PeerAsn::Number(65000), true),
        (PeerAsn::Internal, false),
        (PeerAsn::Number(65053), false),
    ] {
        let local = Local {
            role: Some(Role::Customer),
            peer_asn: rule,
            ..local()
        };
        let open = local.open();
        assert_eq!(open.codes().contains(9), is_claimed, "{rule:?}");
        let mut open = peer();
        open.asn_field = if is_claimed { 65000 } else { 65053 };
        open.capabilities = vec![Capability::Role(3)];
        assert_eq!(negotiate(&local, &open).is_err(), is_claimed, "{rule:?}");
    }
}

/// RFC 8950 §4: both have to offer it, and IPv4 is left out where nothing else is possible.
#[test]
fn ipv4_goes_by_way_of_ipv6_when_both_can() {
    let agree = |ours, theirs: bool| {
        let local = Local {
            ipv4_over_ipv6: ours,
            ..local()
        };
        let mut open = peer();
        open.capabilities
            .extend(theirs.then_some(Capability::ExtendedNextHop));
        let agreed = negotiate(&local, &open).unwrap();
        (agreed.families.ipv4, agreed.ipv4_over_ipv6)
    };
    assert_eq!(agree(Ipv4OverIpv6::Never, true), (true, false));
    assert_eq!(agree(Ipv4OverIpv6::Preferred, false), (true, false));
    assert_eq!(agree(Ipv4OverIpv6::Preferred, true), (true, true));
    assert_eq!(agree(Ipv4OverIpv6::Required, false), (false, false));
    assert_eq!(agree(Ipv4OverIpv6::Required, true), (true, true));

    let four_only = Local {
        families: Families {
            ipv4: true,
            ipv6: false,
        },
        ipv4_over_ipv6: Ipv4OverIpv6::Required,
        ..local()
    };
    let error = negotiate(&four_only, &peer()).unwrap_err();
    assert_eq!(error, OpenError::NoCommonFamily(four_only.families));
}

/// RFC 2918 §2, RFC 7313 §3.1: what the peer can do with refreshes, and all codes of both sides.
#[test]
fn refreshes_and_codes_are_told() {
    let mut open = peer();
    let agreed = negotiate(&local(), &open).unwrap();
    assert!(!agreed.route_refresh && !agreed.enhanced_refresh);
    open.capabilities.extend([
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::Other(73),
        Capability::Other(64),
    ]);
    let agreed = negotiate(&local(), &open).unwrap();
    assert!(agreed.route_refresh && agreed.enhanced_refresh);
    let received: Vec<u8> = agreed.received_capabilities.iter().collect();
    assert_eq!(received, [1, 2, 64, 65, 70, 73]);
    let sent: Vec<u8> = agreed.sent_capabilities.iter().collect();
    assert_eq!(sent, [1, 2, 65, 70]);
}
