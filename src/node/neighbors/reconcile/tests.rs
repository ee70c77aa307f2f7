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
    }
}

#[test]
fn a_session_that_is_wanted_as_it_is_is_kept() {
    let old = wanted(0, "[fe80::1%3]:179");
    assert_eq!(fate(&old, true, &[old.clone()]), Fate::Keep);
}

/// RFC 4007 §6.
#[test]
fn the_same_address_on_another_link_is_another_neighbor() {
    let old = wanted(0, "[fe80::1%3]:179");
    let mut elsewhere = wanted(0, "[fe80::1%4]:179");
    elsewhere.interface_index = Some(4);
    assert_eq!(fate(&old, true, &[elsewhere.clone()]), Fate::Retire);
    assert_eq!(fate(&old, true, &[elsewhere, old.clone()]), Fate::Keep);
}

#[test]
fn a_neighbor_that_changed_its_address_is_left_when_the_new_session_is_up() {
    let old = wanted(0, "[fe80::1%3]:179");
    assert_eq!(
        fate(&old, true, &[wanted(0, "[fe80::2%3]:179")]),
        Fate::Retire
    );
    // Nobody stands in its place.
    assert_eq!(
        fate(&old, true, &[wanted(1, "[fe80::2%3]:179")]),
        Fate::Leave
    );
    assert_eq!(fate(&old, true, &[]), Fate::Leave);
}

#[test]
fn other_next_hops_are_told_and_other_sources_need_another_connection() {
    let old = wanted(0, "[fe80::1%3]:179");
    let mut new = old.clone();
    let v6 = Some("2001:db8::53".parse().unwrap());
    new.parameters.next_hop_v6 = v6;
    assert_eq!(
        fate(&old, true, &[new.clone()]),
        Fate::Tell { v4: None, v6 }
    );
    new.parameters.local = Some("fe80::54".parse().unwrap());
    assert_eq!(fate(&old, true, &[new]), Fate::Close);
}

#[test]
fn a_neighbor_on_a_link_that_is_down_is_not_looked_for_behind_a_gateway() {
    let old = wanted(0, "192.0.2.1:179");
    let mut detour = wanted(0, "192.0.2.1:179");
    detour.interface_index = Some(4);
    detour.is_on_link = false;
    assert_eq!(fate(&old, false, &[detour.clone()]), Fate::Keep);
    assert_eq!(fate(&old, true, &[detour]), Fate::Close);
}
