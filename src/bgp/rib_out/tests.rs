//! What goes out for a change of the table, read back with the own walk.

use super::*;
use crate::bgp::update::{Reading, Update};
use crate::bgp::{PREPEND_MAX, Preference};

mod marked;
mod refreshed;

const BOTH: Families = Families {
    ipv4: true,
    ipv6: true,
};

fn outlet(internal: bool) -> Outlet {
    Outlet {
        local_asn: 65053,
        internal,
        four_octet: true,
        ipv4_over_ipv6: false,
        enhanced_refresh: false,
        role: None,
        families: BOTH,
        next_hops: NextHops {
            v4: Some(Ipv4Addr::new(192, 0, 2, 1)),
            v4_over_v6: None,
            v6: Some("2001:db8::1".parse().unwrap()),
            link_local: None,
        },
    }
}

fn route(prefix: &str, attributes: &Attributes) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        preference: Preference::Preferred,
        attributes: attributes.clone(),
    }
}

fn backup() -> Attributes {
    Attributes {
        prepend: 3,
        med: Some(1000),
        local_pref: None,
        communities: vec![GRACEFUL_SHUTDOWN],
        large_communities: Vec::new(),
    }
}

fn updates(rib: &mut RibOut, internal: bool) -> Vec<Update> {
    let reading = Reading {
        four_octet: true,
        internal,
        families: BOTH,
        ipv4_over_ipv6: true,
    };
    let messages = std::iter::from_fn(|| rib.next_message());
    messages
        .map(|(kind, message)| {
            assert_eq!(kind, Kind::Update);
            Update::decode(&message[19..], &reading).unwrap()
        })
        .collect()
}

fn opened(routes: &[Route], internal: bool) -> RibOut {
    let mut rib = RibOut::default();
    assert_eq!(rib.set_routes(routes), []);
    rib.open(outlet(internal));
    rib
}

/// RFC 4724 §2: after the first table, once per family.
#[test]
fn end_of_rib_follows_the_first_table() {
    let plain = Attributes::default();
    let mut rib = opened(
        &[
            route("10.53.53.53/32", &plain),
            route("fd53::53/128", &plain),
        ],
        false,
    );
    assert!(rib.is_pending());
    let sent = updates(&mut rib, false);
    assert!(!rib.is_pending());
    assert_eq!(sent.len(), 4);
    assert_eq!(sent[0].announced, ["10.53.53.53/32".parse().unwrap()]);
    assert_eq!(sent[1].announced, ["fd53::53/128".parse().unwrap()]);
    assert_eq!(sent[2].end_of_rib, Some(Family::Ipv4));
    assert_eq!(sent[3].end_of_rib, Some(Family::Ipv6));
    assert_eq!(rib.advertised(), 2);
}

/// Design §4: a change of level is one replacing UPDATE per family, nothing is withdrawn.
#[test]
fn changed_attributes_replace_and_never_withdraw() {
    let plain = Attributes::default();
    let mut rib = opened(&[route("10.53.53.53/32", &plain)], false);
    updates(&mut rib, false);
    rib.set_routes(&[route("10.53.53.53/32", &backup())]);
    let sent = updates(&mut rib, false);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].withdrawn, []);
    assert_eq!(sent[0].announced.len(), 1);
    assert_eq!(sent[0].as_path.asns().collect::<Vec<_>>(), [65053; 4]);
    assert_eq!(sent[0].med, Some(1000));
    assert_eq!(sent[0].communities, [GRACEFUL_SHUTDOWN]);
    assert_eq!(sent[0].local_pref, None);
}

/// A table that changes and changes back before there was room to write sends nothing.
#[test]
fn what_changed_back_in_time_is_not_sent() {
    let plain = Attributes::default();
    let table = [route("10.53.53.53/32", &plain)];
    let mut rib = opened(&table, false);
    updates(&mut rib, false);
    rib.set_routes(&[]);
    rib.set_routes(&table);
    assert_eq!(updates(&mut rib, false), []);
    rib.set_routes(&[]);
    let sent = updates(&mut rib, false);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].withdrawn.len(), 1);
    assert_eq!(rib.advertised(), 0);
    rib.set_routes(&[]);
    assert_eq!(updates(&mut rib, false), []);
}

/// RFC 8326 §4.2, RFC 4271 §5.1.2, §5.1.5: inside the AS the preference says it, the path nothing.
#[test]
fn internal_peers_get_a_preference_and_an_empty_path() {
    let plain = Attributes::default();
    let chosen = Attributes {
        local_pref: Some(50),
        ..Attributes::default()
    };
    for (attributes, preference) in [(&plain, 100), (&chosen, 50), (&backup(), 0)] {
        let mut rib = opened(&[route("10.53.53.53/32", attributes)], true);
        let sent = updates(&mut rib, true);
        assert_eq!(sent[0].local_pref, Some(preference));
        assert_eq!(sent[0].as_path.length(), 0);
        assert_eq!(sent[0].treated_as_withdraw, None);
    }
}

/// RFC 2918 §4: everything of the family again, a pending withdrawal still as a withdrawal.
#[test]
fn a_refresh_sends_the_family_again() {
    let plain = Attributes::default();
    let six = route("fd53::53/128", &plain);
    let table = [
        route("10.0.0.1/32", &plain),
        route("10.0.0.2/32", &backup()),
        six.clone(),
    ];
    let mut rib = opened(&table, false);
    let first = updates(&mut rib, false);
    rib.refresh(Family::Ipv4);
    assert!(rib.is_pending());
    assert_eq!(updates(&mut rib, false), first[..2]);

    rib.refresh(Family::Ipv4);
    rib.set_routes(&[table[0].clone(), six]);
    let sent = updates(&mut rib, false);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].withdrawn, ["10.0.0.2/32".parse().unwrap()]);
    assert_eq!(sent[1].announced, ["10.0.0.1/32".parse().unwrap()]);
}

/// A family that was not agreed on is left out, and a new session starts from nothing.
#[test]
fn each_session_gets_the_table_of_its_families() {
    let plain = Attributes::default();
    let table = [route("10.0.0.1/32", &plain), route("fd53::53/128", &plain)];
    let mut rib = opened(&table, false);
    updates(&mut rib, false);
    rib.close();
    assert_eq!(rib.advertised(), 0);
    assert_eq!(updates(&mut rib, false), []);
    let mut only_six = outlet(false);
    only_six.families.ipv4 = false;
    rib.open(only_six);
    let sent = updates(&mut rib, false);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].announced, ["fd53::53/128".parse().unwrap()]);
    rib.set_routes(&[]);
    assert_eq!(updates(&mut rib, false)[0].withdrawn.len(), 1);
}

/// RFC 4271 §4.1: a large table is cut into messages, all with every attribute at its largest.
#[test]
fn a_large_table_fits_into_messages() {
    let heavy = Attributes {
        prepend: PREPEND_MAX,
        med: Some(u32::MAX),
        local_pref: Some(1),
        communities: (0..256).collect(),
        large_communities: (0..64).map(|n| [u32::MAX, u32::MAX, n]).collect(),
    };
    let mut table = Vec::new();
    for n in 0..1000_u32 {
        let v4 = Ipv4Addr::from(0x0A00_0000 + n);
        table.push(route(&format!("{v4}/32"), &heavy));
        table.push(route(&format!("fd53::{n:x}/128"), &heavy));
    }
    let over = "fe80::1".parse().ok();
    for (internal, ipv4_over_ipv6) in [(false, false), (false, true), (true, true)] {
        let mut rib = RibOut::default();
        assert_eq!(rib.set_routes(&table), []);
        rib.open(Outlet {
            local_asn: 4_200_000_001,
            four_octet: false,
            ipv4_over_ipv6,
            role: Some(Role::Peer),
            next_hops: NextHops {
                v4_over_v6: over,
                link_local: over,
                ..outlet(internal).next_hops
            },
            ..outlet(internal)
        });
        let reading = Reading {
            four_octet: false,
            internal,
            families: BOTH,
            ipv4_over_ipv6,
        };
        let mut announced = 0;
        while let Some((_, message)) = rib.next_message() {
            let update = Update::decode(&message[19..], &reading).unwrap();
            assert_eq!(update.treated_as_withdraw, None);
            announced += update.announced.len();
        }
        assert_eq!((announced, rib.advertised()), (2000, 2000));
        rib.set_routes(&[]);
        let mut withdrawn = 0;
        while let Some((_, message)) = rib.next_message() {
            let update = Update::decode(&message[19..], &reading).unwrap();
            withdrawn += update.withdrawn.len();
        }
        assert_eq!((withdrawn, rib.advertised()), (2000, 0));
    }
}

/// Just at and after the bounds: what cannot be sent is said, and taken back if it was there.
#[test]
fn routes_beyond_the_bounds_are_refused_and_withdrawn() {
    let at_limit = Attributes {
        prepend: PREPEND_MAX,
        communities: (0..256).collect(),
        large_communities: (0..64).map(|n| [1, 2, n]).collect(),
        ..Attributes::default()
    };
    let mut rib = opened(&[route("10.0.0.1/32", &at_limit)], false);
    updates(&mut rib, false);
    for beyond in [
        Attributes {
            prepend: PREPEND_MAX + 1,
            ..Attributes::default()
        },
        Attributes {
            communities: (0..257).collect(),
            ..Attributes::default()
        },
        Attributes {
            large_communities: (0..65).map(|n| [1, 2, n]).collect(),
            ..Attributes::default()
        },
    ] {
        let table = [route("10.0.0.1/32", &beyond)];
        assert_eq!(rib.set_routes(&table), ["10.0.0.1/32".parse().unwrap()]);
        assert_eq!(updates(&mut rib, false)[0].withdrawn.len(), 1);
        rib.set_routes(&[route("10.0.0.1/32", &at_limit)]);
        updates(&mut rib, false);
    }
}

/// RFC 4271 §3.1: a route that is told again replaces the one before; nothing is withdrawn.
#[test]
fn another_next_hop_is_told_for_the_routes_of_its_family_alone() {
    let plain = Attributes::default();
    let routes = [
        route("10.53.53.53/32", &plain),
        route("fd53::53/128", &plain),
    ];
    let mut rib = opened(&routes, false);
    updates(&mut rib, false);
    let mut next_hops = outlet(false).next_hops;
    rib.set_next_hops(next_hops);
    assert_eq!(updates(&mut rib, false), []);
    next_hops.v6 = Some("2001:db8::2".parse().unwrap());
    rib.set_next_hops(next_hops);
    let sent = updates(&mut rib, false);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].announced, ["fd53::53/128".parse().unwrap()]);
    assert_eq!(sent[0].withdrawn, []);
    assert_eq!(sent[0].next_hop_v6, next_hops.v6);
    // A link-local one beside it is part of it.
    next_hops.link_local = Some("fe80::1".parse().unwrap());
    rib.set_next_hops(next_hops);
    assert_eq!(updates(&mut rib, false).len(), 1);
}

/// A next hop that is gone may soon be somebody else's address.
#[test]
fn routes_that_lead_nowhere_are_withdrawn_until_they_lead_somewhere() {
    let plain = Attributes::default();
    let table = [route("10.53.53.53/32", &plain)];
    let mut rib = opened(&table, false);
    updates(&mut rib, false);
    let whole = outlet(false).next_hops;
    rib.set_next_hops(NextHops { v4: None, ..whole });
    let sent = updates(&mut rib, false);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].withdrawn, ["10.53.53.53/32".parse().unwrap()]);
    assert_eq!((rib.advertised(), rib.is_pending()), (0, false));
    rib.set_routes(&[route("10.53.53.53/32", &backup())]);
    assert_eq!(updates(&mut rib, false), []);
    rib.set_next_hops(whole);
    let sent = updates(&mut rib, false);
    assert_eq!(sent[0].announced, ["10.53.53.53/32".parse().unwrap()]);
    assert_eq!(rib.advertised(), 1);
}
