use proptest::prelude::*;

use super::*;

const MAC: LinkLayer = [0x02, 0, 0, 0, 0, 0x53];

fn router() -> Ipv6Addr {
    "fe80::1".parse().unwrap()
}

fn with_options(header: &[u8], options: &[u8]) -> Vec<u8> {
    [header, options].concat()
}

/// What FRR 8.4 sends for an unnumbered neighbour: hop limit 64, lifetime 1800 s, its MAC.
const OF_FRR: [u8; 24] = [
    134, 0, 0xab, 0xcd, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x02, 0, 0, 0, 0, 0x53,
];

/// RFC 4861 §4.2.
#[test]
fn an_advertisement_says_here_i_am_and_nothing_else() {
    let expected = [
        134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0x53,
    ];
    assert_eq!(advertisement(Some(MAC)), expected);
    assert_eq!(advertisement(None), expected[..16]);
}

/// RFC 4861 §4.1.
#[test]
fn a_solicitation_is_eight_octets_and_the_own_link_layer_address() {
    let expected = [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0x53];
    assert_eq!(solicitation(Some(MAC)), expected);
    assert_eq!(solicitation(None), expected[..8]);
}

#[test]
fn what_is_sent_can_be_read() {
    for link_layer in [None, Some(MAC)] {
        let told = read(router(), &advertisement(link_layer));
        assert_eq!(told, Ok(Message::Advertisement { link_layer }));
        let asked = read(router(), &solicitation(link_layer));
        assert_eq!(asked, Ok(Message::Solicitation));
    }
}

#[test]
fn a_router_counts_whatever_its_lifetime() {
    let link_layer = Some(MAC);
    let heard = Ok(Message::Advertisement { link_layer });
    assert_eq!(read(router(), &OF_FRR), heard);
    let mut ending = OF_FRR;
    ending[6..8].copy_from_slice(&[0, 0]);
    assert_eq!(read(router(), &ending), heard);
}

/// RFC 4861 §6.1.2: the source is a link-local address.
#[test]
fn an_advertisement_from_any_but_a_link_local_address_is_dropped() {
    for source in ["2001:db8::1", "::", "::1", "ff02::1", "fec0::1"] {
        let told = read(source.parse().unwrap(), &OF_FRR);
        assert_eq!(told, Err(Malformed), "{source}");
    }
    assert!(read("febf::1".parse().unwrap(), &OF_FRR).is_ok());
}

/// RFC 4861 §6.1.1, §6.1.2: 8 octets or more, 16 or more.
#[test]
fn a_message_shorter_than_its_header_is_dropped() {
    for length in 0..16 {
        assert_eq!(
            read(router(), &OF_FRR[..length]),
            Err(Malformed),
            "{length}"
        );
    }
    assert!(read(router(), &OF_FRR[..16]).is_ok());
    let asked = solicitation(None);
    for length in 0..8 {
        assert_eq!(read(router(), &asked[..length]), Err(Malformed), "{length}");
    }
}

/// RFC 4861 §6.1.2: the code is 0.
#[test]
fn a_message_with_another_code_or_type_is_dropped() {
    let mut other = OF_FRR;
    other[1] = 1;
    assert_eq!(read(router(), &other), Err(Malformed));
    for kind in [0, 132, 135, 136, 137, 255] {
        other = OF_FRR;
        other[0] = kind;
        assert_eq!(read(router(), &other), Err(Malformed), "{kind}");
    }
}

/// RFC 4861 §6.1.2: options have a length, and are whole.
#[test]
fn an_option_without_length_or_end_spoils_the_message() {
    let header = &OF_FRR[..16];
    for options in [
        &[1, 0, 0, 0, 0, 0, 0, 0][..],
        &[1],
        &[1, 1],
        &[1, 1, 0, 0, 0, 0, 0],
        &[1, 2, 0, 0, 0, 0, 0, 0],
        &[5, 1, 0, 0, 0, 0, 5, 0xdc, 3],
    ] {
        let told = read(router(), &with_options(header, options));
        assert_eq!(told, Err(Malformed), "{options:?}");
    }
}

/// RFC 4861 §6.1.2: unknown options are ignored.
#[test]
fn the_link_layer_address_is_found_behind_other_options() {
    let header = &OF_FRR[..16];
    let options = [&[5, 1, 0, 0, 0, 0, 5, 0xdc][..], &OF_FRR[16..]].concat();
    let link_layer = Some(MAC);
    assert_eq!(
        read(router(), &with_options(header, &options)),
        Ok(Message::Advertisement { link_layer })
    );
    let long = [&[1, 2][..], &[0; 14]].concat();
    assert_eq!(
        read(router(), &with_options(header, &long)),
        Ok(Message::Advertisement { link_layer: None })
    );
}

/// RFC 4861 §6.1.1: without a source address there is nothing to tell a link-layer address for.
#[test]
fn a_solicitation_from_nowhere_may_carry_no_link_layer_address() {
    let nowhere = Ipv6Addr::UNSPECIFIED;
    assert_eq!(
        read(nowhere, &solicitation(None)),
        Ok(Message::Solicitation)
    );
    assert_eq!(read(nowhere, &solicitation(Some(MAC))), Err(Malformed));
}

proptest! {
    #[test]
    fn no_octets_whatever_make_the_reader_panic(
        source in any::<u128>(),
        packet in prop::collection::vec(any::<u8>(), 0..128),
    ) {
        let _ = read(Ipv6Addr::from(source), &packet);
    }

    #[test]
    fn no_options_whatever_make_the_reader_panic(
        is_advertisement in any::<bool>(),
        options in prop::collection::vec(0_u8..6, 0..64),
    ) {
        let header = match is_advertisement {
            true => advertisement(None),
            false => solicitation(None),
        };
        let packet = with_options(&header, &options);
        let _ = read(router(), &packet);
        // A cut never turns a bad message into one with another address.
        if let Ok(whole) = read(router(), &packet) {
            for length in header.len()..packet.len() {
                if let Ok(Message::Advertisement { link_layer: Some(cut) }) =
                    read(router(), &packet[..length])
                {
                    prop_assert_eq!(whole, Message::Advertisement { link_layer: Some(cut) });
                }
            }
        }
    }
}
