use super::*;
use crate::bgp::peer::PeerParameters;

fn wanted(setting: usize, remote: &str) -> Wanted {
    let remote = remote.parse().unwrap();
    let parameters = PeerParameters {
        local: Some("fe80::53".parse().unwrap()),
        ..PeerParameters::new(remote, 65_053, Ipv4Addr::LOCALHOST)
    };
    Wanted {
        parameters,
        interface_index: Some(3),
        is_on_link: true,
        setting,
        is_tentative: false,
        missing: Vec::new(),
    }
}

fn up(terms: &Wanted) -> Running<'_> {
    Running {
        terms,
        is_link_up: true,
        lacks_ipv4: false,
    }
}

fn down(terms: &Wanted) -> Running<'_> {
    Running {
        is_link_up: false,
        ..up(terms)
    }
}

#[test]
fn a_session_that_is_wanted_as_it_is_is_kept() {
    let old = wanted(0, "[fe80::1%3]:179");
    assert_eq!(fate(up(&old), std::slice::from_ref(&old)), Fate::Keep);
}

/// RFC 4007 §6.
#[test]
fn the_same_address_on_another_link_is_another_neighbor() {
    let old = wanted(0, "[fe80::1%3]:179");
    let mut elsewhere = wanted(0, "[fe80::1%4]:179");
    elsewhere.interface_index = Some(4);
    assert_eq!(fate(up(&old), &[elsewhere.clone()]), Fate::Retire);
    assert_eq!(fate(up(&old), &[elsewhere, old.clone()]), Fate::Keep);
}

#[test]
fn a_neighbor_that_changed_its_address_is_left_when_the_new_session_is_up() {
    let old = wanted(0, "[fe80::1%3]:179");
    assert_eq!(
        fate(up(&old), &[wanted(0, "[fe80::2%3]:179")]),
        Fate::Retire
    );
    // Nobody stands in its place.
    assert_eq!(fate(up(&old), &[wanted(1, "[fe80::2%3]:179")]), Fate::Leave);
    assert_eq!(fate(up(&old), &[]), Fate::Leave);
}

/// Two sessions of one name would take each other's metrics along.
#[test]
fn a_neighbor_on_an_interface_that_was_made_anew_needs_another_connection() {
    let mut old = wanted(0, "[fe80::1%3]:179");
    old.parameters.interface = Some("eth1".to_owned());
    let mut new = wanted(0, "[fe80::1%7]:179");
    new.parameters.interface = Some("eth1".to_owned());
    assert_eq!(fate(up(&old), &[new.clone()]), Fate::Close);
    new.parameters.interface = Some("eth2".to_owned());
    assert_eq!(fate(up(&old), &[new]), Fate::Retire);
}

#[test]
fn other_next_hops_are_told_and_other_sources_need_another_connection() {
    let old = wanted(0, "[fe80::1%3]:179");
    let mut new = old.clone();
    let v6 = Some("2001:db8::53".parse().unwrap());
    new.parameters.next_hop_v6 = v6;
    assert_eq!(fate(up(&old), &[new.clone()]), Fate::Tell { v4: None, v6 });
    new.parameters.local = Some("fe80::54".parse().unwrap());
    assert_eq!(fate(up(&old), &[new]), Fate::Close);
}

#[test]
fn a_neighbor_on_a_link_that_is_down_is_not_looked_for_behind_a_gateway() {
    let old = wanted(0, "192.0.2.1:179");
    let mut detour = wanted(0, "192.0.2.1:179");
    detour.interface_index = Some(4);
    detour.is_on_link = false;
    assert_eq!(fate(down(&old), &[detour.clone()]), Fate::Keep);
    assert_eq!(fate(up(&old), &[detour]), Fate::Close);
}

/// RFC 8950 §4: the host had no IPv4 address when the session began.
#[test]
fn an_ipv4_next_hop_that_appears_brings_ipv4_to_a_neighbor_that_takes_no_other() {
    let mut old = wanted(0, "[fe80::1%3]:179");
    old.parameters.ipv4_over_ipv6 = true;
    let mut new = old.clone();
    let v4 = Some(Ipv4Addr::new(192, 0, 2, 53));
    new.parameters.next_hop_v4 = v4;
    let running = Running {
        lacks_ipv4: true,
        ..up(&old)
    };
    assert_eq!(fate(running, &[new.clone()]), Fate::Close);
    let told = Fate::Tell { v4, v6: None };
    assert_eq!(fate(up(&old), &[new.clone()]), told);
    // It goes, or IPv4 is not wanted.
    let running = Running {
        terms: &new,
        ..running
    };
    let gone = Fate::Tell { v4: None, v6: None };
    assert_eq!(fate(running, &[old.clone()]), gone);
    for terms in [&mut old, &mut new] {
        terms.parameters.families.ipv4 = false;
    }
    let running = Running {
        lacks_ipv4: true,
        ..up(&old)
    };
    assert_eq!(fate(running, &[new.clone()]), told);
}
