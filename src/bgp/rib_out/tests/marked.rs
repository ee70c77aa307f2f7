//! What a neighbour's marks, its role and its kind of next hop make of a route.

use std::net::IpAddr;

use super::*;
use crate::bgp::{COMMUNITIES_MAX, LARGE_COMMUNITIES_MAX, Marks};

/// RFC 4271 §5.1, RFC 1997, RFC 8092: what is one takes the neighbour's value, what is a set grows.
#[test]
fn marks_replace_numbers_and_add_communities() {
    let to_all = Attributes {
        prepend: 3,
        med: Some(1000),
        local_pref: Some(50),
        communities: vec![10, 30],
        large_communities: vec![[1, 2, 3]],
    };
    let marks = NeighborMarks {
        preferred: Marks::default(),
        backup: Marks {
            prepend: Some(1),
            med: Some(None),
            local_pref: Some(7),
            communities: vec![20, 30],
            large_communities: vec![[1, 2, 2], [1, 2, 3]],
        },
    };
    for (preference, internal) in [
        (Preference::Preferred, false),
        (Preference::Backup { times: 1 }, false),
        (Preference::Backup { times: 1 }, true),
    ] {
        let mut rib = RibOut::new(marks.clone());
        let route = Route {
            preference,
            ..route("10.53.53.53/32", &to_all)
        };
        assert_eq!(rib.set_routes(&[route]), []);
        rib.open(outlet(internal));
        let sent = updates(&mut rib, internal).remove(0);
        match preference {
            Preference::Preferred => {
                assert_eq!(sent.as_path.length(), 4);
                assert_eq!(sent.med, Some(1000));
                assert_eq!(sent.communities, [10, 30]);
                assert_eq!(sent.large_communities, [[1, 2, 3]]);
            }
            Preference::Backup { .. } => {
                assert_eq!(sent.as_path.length(), if internal { 0 } else { 2 });
                assert_eq!(sent.med, None);
                assert_eq!(sent.communities, [10, 20, 30]);
                assert_eq!(sent.large_communities, [[1, 2, 2], [1, 2, 3]]);
            }
        }
        assert_eq!(sent.local_pref, internal.then_some(7));
    }
}

/// What has to be worse than a backup is, whoever says what that is: RFC 4271 §9.1.2.2 a (a longer
/// path), c (a higher metric), §9.1.1 (a lower preference).
#[test]
fn a_route_at_backup_is_worse_each_time_more_up_to_the_bounds() {
    let of_all = |prepend, med| Attributes {
        prepend,
        med,
        local_pref: Some(50),
        ..Attributes::default()
    };
    let of_neighbor = |prepend| NeighborMarks {
        backup: Marks {
            prepend: Some(prepend),
            med: Some(Some(7)),
            ..Marks::default()
        },
        ..NeighborMarks::default()
    };
    let plain = NeighborMarks::default();
    let big = Some(u32::MAX);
    let cases = [
        (
            &plain,
            of_all(3, Some(1000)),
            [3, 6, 9],
            [Some(1000), Some(2000), Some(3000)],
        ),
        (&plain, of_all(0, None), [0, 2, 3], [None; 3]),
        (&plain, of_all(8, big), [8, 16, 16], [big; 3]),
        (&plain, of_all(16, None), [16; 3], [None; 3]),
        (
            &of_neighbor(2),
            of_all(3, Some(1000)),
            [2, 4, 6],
            [Some(7), Some(14), Some(21)],
        ),
        (
            &of_neighbor(0),
            of_all(3, None),
            [0, 2, 3],
            [Some(7), Some(14), Some(21)],
        ),
    ];
    for (marks, to_all, prepends, meds) in cases {
        for (index, times) in (1..=3).enumerate() {
            let mut rib = RibOut::new(marks.clone());
            let preference = Preference::Backup { times };
            let route = Route {
                preference,
                ..route("10.53.53.53/32", &to_all)
            };
            assert_eq!(rib.set_routes(std::slice::from_ref(&route)), []);
            rib.open(outlet(false));
            let sent = updates(&mut rib, false).remove(0);
            assert_eq!(sent.as_path.length(), prepends[index] + 1, "{route:?}");
            assert_eq!(sent.med, meds[index], "{route:?}");
            rib.close();
            rib.open(outlet(true));
            let sent = updates(&mut rib, true).remove(0);
            assert_eq!(sent.local_pref, Some(50 / u32::from(times)));
        }
    }
}

/// RFC 8326 §4.2: the community wins over any preference, also when only the neighbour has it.
#[test]
fn graceful_shutdown_is_preference_zero_whatever_else_is_said() {
    let marks = NeighborMarks {
        preferred: Marks {
            local_pref: Some(200),
            communities: vec![GRACEFUL_SHUTDOWN],
            ..Marks::default()
        },
        backup: Marks::default(),
    };
    let mut rib = RibOut::new(marks);
    rib.set_routes(&[route("10.53.53.53/32", &Attributes::default())]);
    rib.open(outlet(true));
    assert_eq!(updates(&mut rib, true)[0].local_pref, Some(0));
}

/// Just at and after the bounds, which hold for both together.
#[test]
fn marks_that_lead_over_a_bound_cost_the_route() {
    let communities = u32::try_from(COMMUNITIES_MAX).unwrap();
    let larges = u32::try_from(LARGE_COMMUNITIES_MAX).unwrap();
    let half = Attributes {
        communities: (0..communities / 2).collect(),
        large_communities: (0..larges / 2).map(|n| [0, 0, n]).collect(),
        ..Attributes::default()
    };
    let refused = |preferred| {
        let mut rib = RibOut::new(NeighborMarks {
            preferred,
            backup: Marks::default(),
        });
        let refused = rib.set_routes(&[route("10.0.0.1/32", &half)]);
        !refused.is_empty()
    };
    for (surplus, is_refused) in [(0, false), (1, true)] {
        assert_eq!(
            refused(Marks {
                communities: (0..communities + surplus).collect(),
                ..Marks::default()
            }),
            is_refused
        );
        assert_eq!(
            refused(Marks {
                large_communities: (0..larges + surplus).map(|n| [0, 0, n]).collect(),
                ..Marks::default()
            }),
            is_refused
        );
        assert_eq!(
            refused(Marks {
                prepend: u8::try_from(surplus).ok().map(|n| PREPEND_MAX + n),
                ..Marks::default()
            }),
            is_refused
        );
    }
}

/// RFC 9234 §5, egress rule 1: towards a customer, a peer and a client of a route server; never inside
/// the AS.
#[test]
fn otc_is_added_where_the_route_may_only_go_down() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    for (role, internal, otc) in [
        (Some(Provider), false, Some(65053)),
        (Some(Peer), false, Some(65053)),
        (Some(RouteServer), false, Some(65053)),
        (Some(Customer), false, None),
        (Some(RouteServerClient), false, None),
        (None, false, None),
        (Some(Provider), true, None),
    ] {
        let mut rib = RibOut::default();
        rib.set_routes(&[route("10.53.53.53/32", &Attributes::default())]);
        rib.open(Outlet {
            role,
            ..outlet(internal)
        });
        let sent = updates(&mut rib, internal);
        assert_eq!(sent[0].only_to_customer, otc, "{role:?}");
    }
}

/// RFC 8950 §3, RFC 4760 §4: announced and withdrawn in the multiprotocol attributes.
#[test]
fn ipv4_with_an_ipv6_next_hop_leaves_the_old_fields_empty() {
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    for (v4, ipv4_over_ipv6) in [(None, true), (Some(Ipv4Addr::new(192, 0, 2, 1)), false)] {
        let mut rib = RibOut::default();
        rib.set_routes(&[route("10.53.53.53/32", &Attributes::default())]);
        let next_hops = NextHops {
            v4,
            v4_over_v6: Some(link_local),
            v6: None,
            link_local: None,
        };
        rib.open(Outlet {
            ipv4_over_ipv6,
            next_hops,
            ..outlet(false)
        });
        let announced = updates(&mut rib, false).remove(0);
        let hop = match v4 {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(link_local),
        };
        assert_eq!(announced.next_hop(&announced.announced[0]), Some(hop));
        rib.set_routes(&[]);
        let (_, message) = rib.next_message().unwrap();
        assert_eq!(message[19..21] == [0, 0], ipv4_over_ipv6);
    }
}
