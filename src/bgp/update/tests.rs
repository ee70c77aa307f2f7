//! RFC 7606, row by row, and the inputs that broke other decoders.

use proptest::prelude::*;

use super::*;
use crate::bgp::wire;

const READING: Reading = Reading {
    four_octet: true,
    internal: false,
    families: Families {
        ipv4: true,
        ipv6: true,
    },
    ipv4_over_ipv6: false,
};
const INTERNAL: Reading = Reading {
    internal: true,
    ..READING
};
const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xFD, 0xE8];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const LOCAL_PREF: &[u8] = &[0x40, 5, 4, 0, 0, 0, 200];
const PREFIX: &[u8] = &[32, 10, 53, 53, 53];

fn body(withdrawn: &[u8], attributes: &[&[u8]], announced: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut bytes = u16::try_from(withdrawn.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    bytes.extend_from_slice(withdrawn);
    bytes.extend_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&attributes);
    bytes.extend_from_slice(announced);
    bytes
}

/// A good announcement with one more attribute.
fn with(attribute: &[u8]) -> Vec<u8> {
    body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, attribute], PREFIX)
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// The prefix is gone, the session stays, and the reason is told.
fn assert_treated_as_withdraw(bytes: &[u8], reading: &Reading, error: AttributeError) {
    let update = Update::decode(bytes, reading).unwrap();
    assert_eq!(update.announced, []);
    assert_eq!(update.withdrawn, [net("10.53.53.53/32")]);
    assert_eq!(update.treated_as_withdraw, Some(error));
}

fn assert_kept(bytes: &[u8], reading: &Reading) -> Update {
    let update = Update::decode(bytes, reading).unwrap();
    assert_eq!(update.announced, [net("10.53.53.53/32")]);
    assert_eq!(update.treated_as_withdraw, None);
    update
}

/// RFC 4271 §4.3: what this speaker writes is what it reads.
#[test]
fn own_announcements_are_read_again() {
    let what = wire::Announcement {
        family: Family::Ipv6,
        next_hop: wire::NextHop::V6("2001:db8::1".parse().unwrap(), None),
        as_path: &[65053, 65053, 4_200_000_001],
        four_octet: true,
        med: Some(1000),
        local_pref: Some(7),
        communities: &[0xFFFF_0000, 1],
        large_communities: &[[65053, 1, 2], [65053, 1, 3]],
        only_to_customer: Some(65053),
    };
    let message = wire::announcement(&what, &[net("fd53::53/128"), net("fd00::/8")]).unwrap();
    let update = Update::decode(&message[19..], &INTERNAL).unwrap();
    assert_eq!(update.announced, [net("fd53::53/128"), net("fd00::/8")]);
    assert_eq!(
        update.next_hop(&update.announced[0]),
        Some("2001:db8::1".parse().unwrap())
    );
    assert_eq!(update.as_path.length(), 3);
    assert_eq!(update.as_path.origin(), Some(4_200_000_001));
    assert_eq!(update.med, Some(1000));
    assert_eq!(update.local_pref, Some(7));
    assert_eq!(update.communities, [0xFFFF_0000, 1]);
    assert_eq!(update.large_communities, [[65053, 1, 2], [65053, 1, 3]]);
    assert_eq!(update.only_to_customer, Some(65053));

    for family in Family::ALL {
        let end = wire::withdrawal(family, &[]).unwrap();
        let update = Update::decode(&end[19..], &READING).unwrap();
        assert_eq!(update.end_of_rib, Some(family));
        let prefix = match family {
            Family::Ipv4 => net("10.53.53.53/32"),
            Family::Ipv6 => net("fd53::53/128"),
        };
        let gone = wire::withdrawal(family, &[prefix]).unwrap();
        let update = Update::decode(&gone[19..], &READING).unwrap();
        assert_eq!(update.withdrawn, [prefix]);
        assert_eq!(update.end_of_rib, None);
    }
}

/// Measured: this attribute made a codec loop until memory was gone. RFC 7606 §7.2.
#[test]
fn an_as_path_with_a_stray_octet_costs_the_prefixes_only() {
    let stray = [0x40, 2, 7, 2, 1, 0, 0, 0xFD, 0xE8, 2];
    let bytes = body(&[], &[ORIGIN, &stray, NEXT_HOP], PREFIX);
    assert_treated_as_withdraw(&bytes, &READING, AttributeError::Malformed(2));
}

/// RFC 7606 §7: each malformed attribute that costs the prefixes.
#[test]
fn malformed_attributes_are_treated_as_withdraw() {
    for origin in [&[0x40, 1, 1, 3][..], &[0x40, 1, 0], &[0x40, 1, 2, 0, 0]] {
        let bytes = body(&[], &[origin, AS_PATH, NEXT_HOP], PREFIX);
        assert_treated_as_withdraw(&bytes, &READING, AttributeError::Malformed(1));
    }
    for path in [
        &[0x40, 2, 6, 5, 1, 0, 0, 0, 1][..], // no such segment type
        &[0x40, 2, 6, 0, 1, 0, 0, 0, 1],
        &[0x40, 2, 6, 2, 2, 0, 0, 0, 1], // a segment longer than the attribute
        &[0x40, 2, 2, 2, 0],             // an empty segment
        &[0x40, 2, 1, 2],
    ] {
        let bytes = body(&[], &[ORIGIN, path, NEXT_HOP], PREFIX);
        assert_treated_as_withdraw(&bytes, &READING, AttributeError::Malformed(2));
    }
    let hop = [0x40, 3, 5, 192, 0, 2, 1, 0];
    let bytes = body(&[], &[ORIGIN, AS_PATH, &hop], PREFIX);
    assert_treated_as_withdraw(&bytes, &READING, AttributeError::Malformed(3));
    for (attribute, code) in [
        (&[0x80, 4, 3, 0, 0, 1][..], 4),
        (&[0xC0, 8, 0], 8),
        (&[0xC0, 8, 5, 0, 0, 0, 0, 0], 8),
        (&[0xC0, 16, 4, 0, 0, 0, 0], 16),
        (&[0xC0, 25, 8, 0, 0, 0, 0, 0, 0, 0, 0], 25),
        (&[0xC0, 32, 4, 0, 0, 0, 0], 32),
        (&[0xC0, 32, 0], 32),
        (&[0xC0, 35, 0], 35),
        (&[0xC0, 35, 3, 0, 0, 1], 35),
        (&[0xC0, 35, 5, 0, 0, 0, 0, 1], 35),
    ] {
        let error = AttributeError::Malformed(code);
        assert_treated_as_withdraw(&with(attribute), &READING, error);
    }
    for (attribute, code) in [
        (&[0x40, 5, 1, 0][..], 5),
        (&[0x80, 9, 3, 0, 0, 0], 9),
        (&[0x80, 10, 0], 10),
    ] {
        let attributes = [ORIGIN, AS_PATH, NEXT_HOP, attribute];
        let error = AttributeError::Malformed(code);
        let bytes = body(&[], &attributes, PREFIX);
        assert_treated_as_withdraw(&bytes, &INTERNAL, error);
        // §7.5, §7.9, §7.10: from outside they are discarded, whatever their length and flags.
        assert_kept(&bytes, &READING);
        let flags = [&[0xC0][..], &attribute[1..]].concat();
        assert_kept(&with(&flags), &READING);
    }
}

/// RFC 7606 §3 (c), (d), §4.
#[test]
fn flags_gaps_and_overruns_are_treated_as_withdraw() {
    let error = AttributeError::Flags(4);
    assert_treated_as_withdraw(&with(&[0xC0, 4, 4, 0, 0, 0, 1]), &READING, error);
    let all = [(1, ORIGIN), (2, AS_PATH), (3, NEXT_HOP)];
    for (missing, _) in all {
        let kept: Vec<&[u8]> = all
            .iter()
            .filter(|(code, _)| *code != missing)
            .map(|(_, bytes)| *bytes)
            .collect();
        let error = AttributeError::Missing(missing);
        assert_treated_as_withdraw(&body(&[], &kept, PREFIX), &READING, error);
    }
    let error = AttributeError::Missing(5);
    assert_treated_as_withdraw(&with(&[]), &INTERNAL, error);
    assert_eq!(
        assert_kept(&with(LOCAL_PREF), &INTERNAL).local_pref,
        Some(200)
    );
    for overrun in [&[0x80, 4, 9, 0][..], &[0x80, 4], &[0x90, 4, 0], &[0x80]] {
        assert_treated_as_withdraw(&with(overrun), &READING, AttributeError::Overrun);
    }
}

/// RFC 7606 §3 (g), §7.6, §7.7, RFC 4271 §9: none of these costs anything.
#[test]
fn what_does_not_matter_is_discarded() {
    for harmless in [
        &[0xC0, 99, 2, 1, 2][..],         // unknown and optional
        &[0x40, 6, 1, 0],                 // ATOMIC_AGGREGATE with a value
        &[0xC0, 7, 3, 0, 0, 0],           // AGGREGATOR too short
        &[0xC0, 17, 1, 9],                // AS4_PATH from a four-octet speaker
        &[0xC0, 17, 6, 2, 1, 0, 0, 0, 0], // AS4_PATH with AS 0
        &[0x40, 1, 1, 2],                 // a second ORIGIN
        &[0x80, 26, 3, 1, 0, 3],          // AIGP, whatever is in it
        &[0x80, 26, 0],
        &[0xD0, 8, 0, 4, 0, 1, 0, 2], // extended length of a short attribute
        &[0x60, 6, 0],                // the partial bit
    ] {
        assert_kept(&with(harmless), &READING);
    }
    let update = assert_kept(&with(&[0xD0, 8, 0, 4, 0, 1, 0, 2]), &READING);
    assert_eq!(update.communities, [0x0001_0002]);
}

/// RFC 7607 §2: AS 0 is nobody's. RFC 5065 §5: an external peer is in no confederation of this side.
#[test]
fn as_zero_and_foreign_confederations_cost_the_prefixes() {
    let zero: &[u8] = &[0x40, 2, 10, 2, 2, 0, 0, 0xFD, 0xE8, 0, 0, 0, 0];
    let bytes = body(&[], &[ORIGIN, zero, NEXT_HOP], PREFIX);
    assert_treated_as_withdraw(&bytes, &READING, AttributeError::Malformed(2));
    for kind in [3, 4] {
        let path: &[u8] = &[0x40, 2, 6, kind, 1, 0, 0, 0xFD, 0xE8];
        let bytes = body(&[], &[ORIGIN, path, NEXT_HOP], PREFIX);
        assert_treated_as_withdraw(&bytes, &READING, AttributeError::Malformed(2));
        let bytes = body(&[], &[ORIGIN, path, NEXT_HOP, LOCAL_PREF], PREFIX);
        let update = Update::decode(&bytes, &INTERNAL).unwrap();
        let is_set = kind == 4;
        let error = is_set.then_some(AttributeError::Set(2));
        assert_eq!(update.treated_as_withdraw, error);
        assert_eq!(update.as_path.length(), 0);
    }
}

/// RFC 7606 §5.2: an error whose prefixes are not there may belong to prefixes that were not found.
#[test]
fn an_error_without_prefixes_ends_the_session() {
    let bad_origin: &[u8] = &[0x40, 1, 1, 9];
    let unreach: &[u8] = &[0x80, 15, 5, 0, 2, 1, 8, 0xFC];
    let overrun: &[u8] = &[0x80, 4, 9, 0];
    for attributes in [
        &[bad_origin][..],
        &[bad_origin, unreach],
        &[unreach, overrun],
        &[overrun],
    ] {
        for withdrawn in [&[][..], &[8, 11]] {
            let read = Update::decode(&body(withdrawn, attributes, &[]), &READING);
            assert_eq!(read, Err(UpdateError::Lengths), "{attributes:?}");
        }
    }
    // One that only withdraws, one without an error, and one whose error may be discarded.
    let wrong_flags: &[u8] = &[0xC0, 15, 5, 0, 2, 1, 8, 0xFC];
    for attributes in [
        &[wrong_flags][..],
        &[unreach, ORIGIN],
        &[unreach, &[0x40, 6, 1, 0]],
    ] {
        let update = Update::decode(&body(&[], attributes, &[]), &READING).unwrap();
        assert_eq!(update.withdrawn, [net("fc00::/8")]);
    }
    // The prefixes may be of a family that nobody reads.
    let vpn: &[u8] = &[0x80, 14, 9, 0, 1, 128, 4, 1, 2, 3, 4, 0];
    let update = Update::decode(&body(&[], &[vpn, bad_origin], &[]), &READING).unwrap();
    assert_eq!(update.announced, []);
}

/// RFC 8950 §3, §4: 16 or 32 octets where that was agreed on, 4 always.
#[test]
fn ipv4_prefixes_may_have_an_ipv6_next_hop_where_agreed() {
    let over = Reading {
        ipv4_over_ipv6: true,
        ..READING
    };
    let reach = |hop: &[u8]| {
        let mut attribute = vec![0x80, 14, 0, 0, 1, 1, u8::try_from(hop.len()).unwrap()];
        attribute.extend(hop);
        attribute.extend([0, 32, 10, 53, 53, 53]);
        attribute[2] = u8::try_from(attribute.len() - 3).unwrap();
        body(&[], &[&attribute, ORIGIN, AS_PATH, NEXT_HOP], &[])
    };
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    let octets = link_local.octets();
    for hop in [octets.to_vec(), [octets, [7; 16]].concat()] {
        let update = assert_kept(&reach(&hop), &over);
        // RFC 4760 §3: not NEXT_HOP, which is there too.
        assert_eq!(update.next_hop_v4, Some(IpAddr::V6(link_local)));
        assert!(Update::decode(&reach(&hop), &READING).is_err());
    }
    let update = assert_kept(&reach(&[192, 0, 2, 9]), &READING);
    assert_eq!(update.next_hop_v4, Some("192.0.2.9".parse().unwrap()));
    for wrong in [0, 3, 5, 15, 17, 24, 31, 33, 48] {
        assert!(Update::decode(&reach(&vec![1; wrong]), &over).is_err());
    }
}

/// RFC 7606 §3 (g), §5.3, §7.11; RFC 4271 §6.3: where prefixes cannot be told, the session ends.
#[test]
fn prefixes_that_cannot_be_told_end_the_session() {
    let reset = |bytes: &[u8]| {
        let notification = Update::decode(bytes, &READING).unwrap_err().notification();
        (notification.code, notification.subcode, notification.data)
    };
    assert_eq!(reset(&[0]), (3, 1, vec![]));
    assert_eq!(reset(&[0, 9, 0, 0]), (3, 1, vec![]));
    assert_eq!(reset(&[0, 0, 0, 9, 0]), (3, 1, vec![]));
    assert_eq!(
        reset(&body(&[33, 1, 2, 3, 4, 5], &[], &[])),
        (3, 10, vec![])
    );
    assert_eq!(reset(&body(&[32, 1, 2, 3], &[], &[])), (3, 10, vec![]));
    assert_eq!(reset(&body(&[255], &[], &[])), (3, 10, vec![]));
    let good = [ORIGIN, AS_PATH, NEXT_HOP];
    assert_eq!(reset(&body(&[], &good, &[24, 10])), (3, 10, vec![]));
    let unknown: &[u8] = &[0x40, 99, 1, 7];
    assert_eq!(reset(&with(unknown)), (3, 2, unknown.to_vec()));
    for broken in [
        &[0x80, 14, 2, 0, 2][..],               // not even a family
        &[0x80, 14, 8, 0, 2, 1, 4, 1, 2, 3, 4], // a next hop of 4 octets
        &[0x80, 14, 5, 0, 2, 1, 16, 0],         // a next hop past the end
        &[0x80, 15, 5, 0, 2, 1, 129, 0],        // a length over 128
        &[0x80, 15, 5, 0, 2, 1, 64, 0],         // octets missing
    ] {
        assert_eq!(reset(&body(&[], &[broken], &[])), (3, 9, broken.to_vec()));
    }
    let twice: &[u8] = &[0x80, 15, 3, 0, 2, 1];
    assert_eq!(reset(&body(&[], &[twice, twice], &[])), (3, 1, vec![]));
}

/// RFC 4760 §6: a family that was not agreed on is passed over.
#[test]
fn other_families_are_passed_over() {
    let vpn: &[u8] = &[0x80, 14, 9, 0, 1, 128, 4, 1, 2, 3, 4, 0];
    let update = assert_kept(&with(vpn), &READING);
    assert_eq!(update.next_hop_v4, Some("192.0.2.1".parse().unwrap()));
    // Nor does it matter what such a family looks like: this next hop is of no length that is known.
    let six: &[u8] = &[0x80, 14, 9, 0, 2, 1, 4, 1, 2, 3, 4, 0];
    let only_four = Reading {
        families: Families {
            ipv4: true,
            ipv6: false,
        },
        ..READING
    };
    assert_kept(&with(six), &only_four);
    assert!(Update::decode(&with(six), &READING).is_err());
    let only_six = Reading {
        families: Families {
            ipv4: false,
            ipv6: true,
        },
        ..READING
    };
    let update = Update::decode(&with(&[]), &only_six).unwrap();
    assert_eq!(update.announced, []);
}

/// RFC 6793 §4.2.3: AS_TRANS is replaced by what AS4_PATH says, from the tail.
#[test]
fn a_two_octet_path_is_merged_with_as4_path() {
    let old = Reading {
        four_octet: false,
        ..READING
    };
    let path: &[u8] = &[0x40, 2, 8, 2, 3, 0, 1, 0x5B, 0xA0, 0x5B, 0xA0];
    let four: &[u8] = &[0xC0, 17, 10, 2, 2, 0, 1, 0, 1, 0, 1, 0, 2];
    let update = assert_kept(&body(&[], &[ORIGIN, path, NEXT_HOP, four], PREFIX), &old);
    assert_eq!(update.as_path.asns().collect::<Vec<_>>(), [1, 65537, 65538]);
    // Longer than AS_PATH: ignored.
    let short: &[u8] = &[0x40, 2, 4, 2, 1, 0, 1];
    let update = assert_kept(&body(&[], &[ORIGIN, short, NEXT_HOP, four], PREFIX), &old);
    assert_eq!(update.as_path.asns().collect::<Vec<_>>(), [1]);
}

/// RFC 4271 §9.1.2.2 a: a set counts once.
#[test]
fn an_as_set_counts_once() {
    let path = [0x40, 2, 16, 2, 1, 0, 0, 0, 9, 1, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let bytes = body(&[], &[ORIGIN, &path, NEXT_HOP], PREFIX);
    let update = Update::decode(&bytes, &READING).unwrap();
    assert_eq!(update.as_path.length(), 2);
    assert_eq!(update.as_path.asns().collect::<Vec<_>>(), [9, 1, 2]);
}

/// RFC 9774 §3: such a route is withdrawn, wherever the set stands, and the session stays.
#[test]
fn an_as_set_costs_the_prefixes_only() {
    let set = [0x40, 2, 16, 2, 1, 0, 0, 0, 9, 1, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let bytes = body(&[], &[ORIGIN, &set, NEXT_HOP], PREFIX);
    assert_treated_as_withdraw(&bytes, &READING, AttributeError::Set(2));
    let confederation = [0x40, 2, 6, 4, 1, 0, 0, 0xFD, 0xE8];
    let attributes = [ORIGIN, &confederation, NEXT_HOP, LOCAL_PREF];
    let bytes = body(&[], &attributes, PREFIX);
    assert_treated_as_withdraw(&bytes, &INTERNAL, AttributeError::Set(2));
    let old = Reading {
        four_octet: false,
        ..READING
    };
    let path = [0x40, 2, 6, 2, 2, 0, 9, 0x5B, 0xA0];
    let four = [0xC0, 17, 6, 1, 1, 0, 1, 0, 1];
    let bytes = body(&[], &[ORIGIN, &path, NEXT_HOP, &four], PREFIX);
    assert_treated_as_withdraw(&bytes, &old, AttributeError::Set(17));
    // Nothing is announced: no reason to doubt the rest.
    let update = Update::decode(&body(&[], &[ORIGIN, &set], &[]), &READING).unwrap();
    assert_eq!((update.announced, update.withdrawn), (vec![], vec![]));
    // RFC 6793 §6: from a four-octet speaker AS4_PATH is ignored, whatever is in it.
    assert_kept(&with(&four), &READING);
}

fn rich() -> Vec<u8> {
    let reach: &[u8] = &[
        0x80, 14, 24, 0, 2, 1, 16, 0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 16,
        0xFD, 0x53,
    ];
    let communities: &[u8] = &[0xC0, 8, 8, 0, 1, 0, 2, 0xFF, 0xFF, 0, 0];
    let unreach: &[u8] = &[0x90, 15, 0, 5, 0, 2, 1, 8, 0xFC];
    let parts = [reach, ORIGIN, AS_PATH, NEXT_HOP, communities, unreach];
    body(&[8, 11], &parts, PREFIX)
}

proptest! {
    /// RFC 7606: a mutated UPDATE never panics; what it yields stays within the message's size.
    #[test]
    fn mutated_updates_never_panic(
        changes in proptest::collection::vec((0_usize..100, any::<u8>()), 1..4),
        cut in 0_usize..20,
        four_octet in any::<bool>(),
        internal in any::<bool>(),
        ipv4_over_ipv6 in any::<bool>(),
    ) {
        let mut bytes = rich();
        for (at, with) in changes {
            if let Some(octet) = bytes.get_mut(at) {
                *octet = with;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        let reading = Reading { four_octet, internal, ipv4_over_ipv6, ..READING };
        if let Ok(update) = Update::decode(&bytes, &reading) {
            prop_assert!(update.announced.len() + update.withdrawn.len() <= bytes.len());
        }
    }

    /// RFC 7606: neither do random octets.
    #[test]
    fn random_updates_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = Update::decode(&bytes, &READING);
    }
}
