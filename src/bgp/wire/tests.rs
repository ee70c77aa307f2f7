//! Known octets of all that is sent.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use zettabgp::prelude::BgpASpath;

use super::*;
use crate::bgp::message::Families;
use crate::bgp::update::{Reading, Update};

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xFF; 16];
    bytes.extend_from_slice(&u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn plain(next_hop: NextHop, as_path: &[u32]) -> Announcement<'_> {
    Announcement {
        family: match next_hop {
            NextHop::V4(_) => Family::Ipv4,
            NextHop::V6(..) => Family::Ipv6,
        },
        next_hop,
        as_path,
        four_octet: true,
        med: None,
        local_pref: None,
        communities: &[],
        large_communities: &[],
        only_to_customer: None,
    }
}

const V4_HOP: NextHop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));

/// RFC 4271 §4.3: an AS_SEQUENCE (2), never the AS_SET (1) that the codec would write by itself.
#[test]
fn an_as_path_is_one_sequence_of_four_octet_numbers() {
    let what = plain(V4_HOP, &[65053, 65053]);
    let golden = [
        0, 0, 0, 24, // nothing withdrawn, 24 octets of attributes
        0x40, 1, 1, 0, // ORIGIN IGP
        0x40, 2, 10, 2, 2, 0, 0, 0xFE, 0x1D, 0, 0, 0xFE, 0x1D, // AS_PATH
        0x40, 3, 4, 192, 0, 2, 1, // NEXT_HOP
        32, 10, 53, 53, 53, // 10.53.53.53/32
    ];
    assert_eq!(
        announcement(&what, &[net("10.53.53.53/32")]),
        Some(framed(2, &golden))
    );
}

/// The reason why AS_PATH is written here. When this fails, the codec has been mended or has changed in
/// another way: look at all that it still writes, then say here what is true.
#[test]
fn the_codec_still_writes_a_sequence_as_a_set() {
    let mut update = BgpUpdateMessage::new();
    let path = BgpASpath::from([65053_u32, 65054]);
    update.attrs.push(BgpAttrItem::ASPath(path));
    let golden = [
        0, 0, 0, 14, 0x50, 2, 0, 10, 1, 2, 0, 0, 0xFE, 0x1D, 0, 0, 0xFE, 0x1E,
    ];
    assert_eq!(body(Kind::Update, &update), Some(framed(2, &golden)));
}

/// RFC 4271 §5.1.4, §5.1.5, RFC 1997, RFC 8092 §3, RFC 9234 §5: MED is optional, the last three are optional
/// and transitive.
#[test]
fn every_attribute_has_its_known_octets() {
    let what = Announcement {
        med: Some(1000),
        local_pref: Some(100),
        communities: &[0x0001_0002, 0xFFFF_0000],
        large_communities: &[[65053, 1, 2], [4_200_000_001, 3, 4]],
        only_to_customer: Some(65053),
        ..plain(V4_HOP, &[])
    };
    let golden = [
        0, 0, 0, 73, // attributes
        0x40, 1, 1, 0, // ORIGIN
        0x40, 2, 0, // AS_PATH, empty: RFC 4271 §5.1.2 (internal peer)
        0x40, 3, 4, 192, 0, 2, 1, // NEXT_HOP
        0x80, 4, 4, 0, 0, 3, 0xE8, // MED
        0x40, 5, 4, 0, 0, 0, 100, // LOCAL_PREF
        0xC0, 8, 8, 0, 1, 0, 2, 0xFF, 0xFF, 0, 0, // COMMUNITIES
        0xC0, 32, 24, 0, 0, 0xFE, 0x1D, 0, 0, 0, 1, 0, 0, 0, 2, // LARGE_COMMUNITY
        0xFA, 0x56, 0xEA, 0x01, 0, 0, 0, 3, 0, 0, 0, 4, // its second value
        0xC0, 35, 4, 0, 0, 0xFE, 0x1D, // OTC
        30, 10, 53, 53, 52, // the host bits of 10.53.53.53/30 are gone
    ];
    assert_eq!(
        announcement(&what, &[net("10.53.53.53/30")]),
        Some(framed(2, &golden))
    );
}

/// RFC 4760 §3, RFC 2545 §3, RFC 7606 §5.1: MP_REACH first, no NEXT_HOP, 16 or 32 octets.
#[test]
fn ipv6_goes_out_in_mp_reach() {
    let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let what = plain(NextHop::V6(global, None), &[65053]);
    let mut golden = vec![0, 0, 0, 54, 0x80, 14, 38, 0, 2, 1, 16];
    golden.extend_from_slice(&global.octets());
    golden.extend_from_slice(&[
        0, 128, 0xFD, 0x53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53,
    ]);
    golden.extend_from_slice(&[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFE, 0x1D]);
    assert_eq!(
        announcement(&what, &[net("fd53::53/128")]),
        Some(framed(2, &golden))
    );

    let local: Ipv6Addr = "fe80::1".parse().unwrap();
    let both = plain(NextHop::V6(global, Some(local)), &[65053]);
    let bytes = announcement(&both, &[net("fd53::/61")]).unwrap();
    let mut reach = vec![0x80, 14, 46, 0, 2, 1, 32];
    reach.extend_from_slice(&global.octets());
    reach.extend_from_slice(&local.octets());
    reach.extend_from_slice(&[0, 61, 0xFD, 0x53, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&bytes[23..23 + reach.len()], &reach[..]);
}

/// RFC 8950 §3: AFI 1 with a next hop of 16 octets, link-local or not, or of 32.
#[test]
fn ipv4_with_an_ipv6_next_hop_goes_out_in_mp_reach() {
    let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let local: Ipv6Addr = "fe80::1".parse().unwrap();
    let prefixes = [net("10.53.53.53/32"), net("10.0.0.0/8")];
    for (hop, length, attribute, total) in [
        (NextHop::V6(local, None), 16, 28, 44),
        (NextHop::V6(global, Some(local)), 32, 44, 60),
        (NextHop::V6(local, Some(local)), 32, 44, 60),
    ] {
        let what = Announcement {
            family: Family::Ipv4,
            ..plain(hop, &[65053])
        };
        let mut golden = vec![0, 0, 0, total, 0x80, 14, attribute, 0, 1, 1, length];
        let NextHop::V6(first, second) = hop else {
            panic!("all hops of this test are IPv6");
        };
        golden.extend(first.octets());
        golden.extend(second.iter().flat_map(Ipv6Addr::octets));
        golden.extend([0, 32, 10, 53, 53, 53, 8, 10]);
        golden.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFE, 0x1D]);
        assert_eq!(announcement(&what, &prefixes), Some(framed(2, &golden)));
    }
    assert_eq!(
        mp_withdrawal(Family::Ipv4, &prefixes),
        Some(framed(
            2,
            &[
                0, 0, 0, 13, 0x80, 15, 10, 0, 1, 1, 32, 10, 53, 53, 53, 8, 10
            ]
        ))
    );
}

/// RFC 6793 §4.2.2: to a two-octet speaker AS_TRANS stands in AS_PATH, the truth in AS4_PATH.
#[test]
fn a_two_octet_peer_gets_as_trans_and_as4_path() {
    let what = Announcement {
        four_octet: false,
        ..plain(V4_HOP, &[4_200_000_001, 4_200_000_001])
    };
    let golden = [
        0, 0, 0, 33, // attributes
        0x40, 1, 1, 0, // ORIGIN
        0x40, 2, 6, 2, 2, 0x5B, 0xA0, 0x5B, 0xA0, // AS_PATH
        0x40, 3, 4, 192, 0, 2, 1, // NEXT_HOP
        0xC0, 17, 10, 2, 2, 0xFA, 0x56, 0xEA, 0x01, 0xFA, 0x56, 0xEA, 0x01, // AS4_PATH
        8, 10,
    ];
    assert_eq!(
        announcement(&what, &[net("10.0.0.0/8")]),
        Some(framed(2, &golden))
    );
    // RFC 6793 §4.1: never towards a four-octet one.
    let new = Announcement {
        four_octet: true,
        ..what
    };
    let golden = [
        0, 0, 0, 24, // attributes
        0x40, 1, 1, 0, // ORIGIN
        0x40, 2, 10, 2, 2, 0xFA, 0x56, 0xEA, 0x01, 0xFA, 0x56, 0xEA, 0x01, // AS_PATH
        0x40, 3, 4, 192, 0, 2, 1, // NEXT_HOP
        8, 10,
    ];
    assert_eq!(
        announcement(&new, &[net("10.0.0.0/8")]),
        Some(framed(2, &golden))
    );
    let small = Announcement {
        four_octet: false,
        ..plain(V4_HOP, &[65053])
    };
    let bytes = announcement(&small, &[net("10.0.0.0/8")]).unwrap();
    assert_eq!(&bytes[27..34], &[0x40, 2, 4, 2, 1, 0xFE, 0x1D]);
    assert_eq!(bytes.len(), 19 + 4 + 4 + 7 + 7 + 2);
}

/// RFC 4271 §4.3, RFC 4760 §4, RFC 4724 §2.
#[test]
fn withdrawals_and_end_of_rib_have_their_known_octets() {
    assert_eq!(
        withdrawal(Family::Ipv4, &[net("10.53.53.53/32"), net("0.0.0.0/0")]),
        Some(framed(2, &[0, 6, 32, 10, 53, 53, 53, 0, 0, 0]))
    );
    let six = withdrawal(Family::Ipv6, &[net("fd53::/16")]);
    assert_eq!(
        six,
        Some(framed(
            2,
            &[0, 0, 0, 9, 0x80, 15, 6, 0, 2, 1, 16, 0xFD, 0x53]
        ))
    );
    assert_eq!(
        withdrawal(Family::Ipv4, &[]),
        Some(framed(2, &[0, 0, 0, 0]))
    );
    assert_eq!(
        withdrawal(Family::Ipv6, &[]),
        Some(framed(2, &[0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]))
    );
}

/// RFC 4271 §4.1: a message over 4096 octets is not built, and nothing panics on the way.
#[test]
fn an_announcement_that_does_not_fit_is_refused() {
    let communities = vec![1; 1100];
    let what = Announcement {
        communities: &communities,
        ..plain(V4_HOP, &[65053])
    };
    assert_eq!(announcement(&what, &[net("10.53.53.53/32")]), None);
    let long = plain(V4_HOP, &[1; 256]);
    assert_eq!(announcement(&long, &[net("10.53.53.53/32")]), None);
}

fn any_prefixes(family: Family) -> BoxedStrategy<Vec<IpNet>> {
    let prefix = (any::<u128>(), 0..=128_u8).prop_map(move |(bits, length)| {
        let net = match family {
            Family::Ipv4 => {
                let address = Ipv4Addr::from(u32::try_from(bits >> 96).unwrap());
                IpNet::new(address.into(), length % 33)
            }
            Family::Ipv6 => IpNet::new(Ipv6Addr::from(bits).into(), length),
        };
        net.unwrap().trunc()
    });
    vec(prefix, 1..60).boxed()
}

fn any_target() -> impl Strategy<Value = (Family, NextHop, Vec<IpNet>)> {
    let v6 = (any::<u128>(), option::of(any::<u128>()))
        .prop_map(|(global, local)| NextHop::V6(global.into(), local.map(Ipv6Addr::from)));
    let v4 = any::<u32>().prop_map(|address| NextHop::V4(address.into()));
    prop_oneof![
        (Just(Family::Ipv4), v4, any_prefixes(Family::Ipv4)),
        (Just(Family::Ipv4), v6.clone(), any_prefixes(Family::Ipv4)),
        (Just(Family::Ipv6), v6, any_prefixes(Family::Ipv6)),
    ]
}

proptest! {
    /// RFC 4271 §4.3, RFC 6793 §4.2.3: whatever is announced or withdrawn is what a peer reads.
    #[test]
    fn whatever_is_written_is_read_again(
        (family, next_hop, prefixes) in any_target(),
        as_path in vec(1..u32::MAX, 0..18),
        four_octet in any::<bool>(),
        med in option::of(any::<u32>()),
        local_pref in option::of(any::<u32>()),
        communities in vec(any::<u32>(), 0..257),
        large_communities in vec(any::<[u32; 3]>(), 0..65),
        only_to_customer in option::of(any::<u32>()),
    ) {
        let what = Announcement {
            family, next_hop, as_path: &as_path, four_octet, med, local_pref,
            communities: &communities, large_communities: &large_communities, only_to_customer,
        };
        let reading = Reading {
            four_octet,
            internal: local_pref.is_some(),
            families: Families::ALL,
            ipv4_over_ipv6: true,
        };
        let message = announcement(&what, &prefixes).unwrap();
        let read = Update::decode(&message[19..], &reading).unwrap();
        prop_assert_eq!(read.treated_as_withdraw, None);
        let hop = match next_hop {
            NextHop::V4(address) => IpAddr::V4(address),
            NextHop::V6(address, _) => IpAddr::V6(address),
        };
        prop_assert_eq!(read.next_hop(&prefixes[0]), Some(hop));
        prop_assert_eq!(&read.announced, &prefixes);
        prop_assert_eq!(read.as_path.asns().collect::<Vec<_>>(), as_path);
        prop_assert_eq!((read.med, read.local_pref), (med, local_pref));
        prop_assert_eq!(read.communities, communities);
        prop_assert_eq!(read.large_communities, large_communities);
        prop_assert_eq!(read.only_to_customer, only_to_customer);
        for message in [withdrawal(family, &prefixes), mp_withdrawal(family, &prefixes)] {
            let read = Update::decode(&message.unwrap()[19..], &reading).unwrap();
            prop_assert_eq!(&read.withdrawn, &prefixes);
            prop_assert_eq!(read.end_of_rib, None);
        }
    }
}
