//! What is refused, with which code, and what two OPENs agree on.

use proptest::prelude::*;

use super::*;
use crate::bgp::message::Family;

mod agreed;

const BOTH: Families = Families {
    ipv4: true,
    ipv6: true,
};

fn local() -> Local {
    Local {
        asn: 65053,
        identifier: Ipv4Addr::new(192, 0, 2, 1),
        hold_time_s: 9,
        families: BOTH,
        peer_asn: PeerAsn::External,
        role: None,
        ipv4_over_ipv6: Ipv4OverIpv6::Never,
    }
}

fn peer() -> Open {
    Open {
        asn_field: 65000,
        hold_time_s: 180,
        identifier: Ipv4Addr::new(192, 0, 2, 254),
        capabilities: vec![
            Capability::Unicast(Family::Ipv4),
            Capability::Unicast(Family::Ipv6),
            Capability::FourOctetAsn(65000),
        ],
    }
}

fn body_with(parameters: &[u8]) -> Vec<u8> {
    let mut body = vec![4, 0xFD, 0xE8, 0, 9, 192, 0, 2, 254];
    body.extend_from_slice(parameters);
    body
}

/// The code of each capability in an OPEN, read without the decoder that is under test.
fn codes_on_the_wire(message: &[u8]) -> Vec<u8> {
    assert_eq!(usize::from(message[28]), message.len() - 29);
    let mut parameters = &message[29..];
    let mut codes = Vec::new();
    while let [2, length, code, rest @ ..] = parameters {
        codes.push(*code);
        parameters = &rest[usize::from(*length) - 1..];
    }
    assert!(parameters.is_empty());
    codes
}

/// RFC 4271 §4.2, RFC 6793 §9, RFC 5492 §4: each capability in its own parameter.
#[test]
fn an_open_has_its_known_octets() {
    let local = Local {
        asn: 4_200_000_001,
        role: Some(Role::Customer),
        ipv4_over_ipv6: Ipv4OverIpv6::Required,
        ..local()
    };
    let golden = [
        0, 76, 1, // length and type
        4, 0x5B, 0xA0, 0, 9, 192, 0, 2, 1, 47, // version, AS_TRANS, hold time, identifier
        2, 6, 1, 4, 0, 1, 0, 1, // IPv4 unicast
        2, 6, 1, 4, 0, 2, 0, 1, // IPv6 unicast
        2, 2, 2, 0, // route refresh
        2, 8, 5, 6, 0, 1, 0, 1, 0, 2, // extended next hop: IPv4 unicast by way of IPv6
        2, 3, 9, 1, 3, // role: customer
        2, 6, 65, 4, 0xFA, 0x56, 0xEA, 0x01, // four-octet AS
        2, 2, 70, 0, // enhanced route refresh
    ];
    assert_eq!(local.open().encode(), [&[0xFF; 16], &golden[..]].concat());
}

/// Measured: with capability 64 a killed node's route stayed for minutes. RFC 4724, RFC 9494.
#[test]
fn graceful_restart_is_never_offered() {
    let plain = local().open();
    assert_eq!(codes_on_the_wire(&plain.encode()), [1, 1, 2, 65, 70]);
    // Not even when somebody puts it into the list.
    let mut open = plain.clone();
    open.capabilities
        .extend([Capability::Other(64), Capability::Other(71)]);
    assert_eq!(open.encode(), plain.encode());
}

/// RFC 4271 §4.2: what is written is read again.
#[test]
fn an_open_survives_the_wire() {
    for asn in [1, 65053, 65536, 4_200_000_001] {
        let open = Local { asn, ..local() }.open();
        assert_eq!(Open::decode(&open.encode()[19..]), Ok(open));
    }
}

/// RFC 5492 §4: several capabilities may share a parameter.
#[test]
fn capabilities_in_one_parameter_are_all_read() {
    let body = body_with(&[16, 2, 14, 1, 4, 0, 1, 0, 1, 2, 0, 65, 4, 0, 0, 0xFD, 0xE8]);
    assert_eq!(
        Open::decode(&body).unwrap().capabilities,
        [
            Capability::Unicast(Family::Ipv4),
            Capability::RouteRefresh,
            Capability::FourOctetAsn(65000),
        ]
    );
}

/// RFC 9072 §2: lengths of two octets, also when the old length is not 255.
#[test]
fn extended_parameters_are_read() {
    let parameter = [2, 0, 6, 65, 4, 0, 0, 0xFD, 0xE8];
    for old_length in [255, 1] {
        let mut list = vec![old_length, 255, 0, 9];
        list.extend_from_slice(&parameter);
        assert_eq!(
            Open::decode(&body_with(&list)).unwrap().capabilities,
            [Capability::FourOctetAsn(65000)]
        );
    }
}

/// RFC 9072 §2: what needs more than 255 octets is written in the extended form, and read again.
#[test]
fn many_capabilities_are_written_in_the_extended_form() {
    for (count, is_extended) in [(31, false), (32, true), (440, true)] {
        let asns = (1..=count).map(Capability::FourOctetAsn);
        let open = Open {
            capabilities: asns.collect(),
            ..peer()
        };
        let message = open.encode();
        assert_eq!(message[28..30] == [255, 255], is_extended, "{count}");
        assert_eq!(Open::decode(&message[19..]), Ok(open));
    }
}

/// RFC 5492 §4: a capability that is repeated counts once, so that a list stays short.
#[test]
fn repeated_capabilities_are_kept_once() {
    let codes = (100_u8..=199).cycle().take(1900);
    let capabilities: Vec<u8> = codes.flat_map(|code| [code, 0]).collect();
    let [high, low] = 3800_u16.to_be_bytes();
    let [all_high, all_low] = 3803_u16.to_be_bytes();
    let mut parameters = vec![255, 255, all_high, all_low, 2, high, low];
    parameters.extend(capabilities);
    let open = Open::decode(&body_with(&parameters)).unwrap();
    assert_eq!(open.capabilities.len(), 100);
    assert_eq!(open.codes().iter().count(), 100);
}

/// RFC 4271 §6.2: 2/1 with the version that is spoken, 2/4, and 2/0 for lengths that lie.
#[test]
fn broken_opens_are_refused_with_their_subcode() {
    let mut three = body_with(&[0]);
    three[0] = 3;
    let refused = |body: &[u8]| Open::decode(body).unwrap_err().notification();
    assert_eq!(refused(&three), Notification::new(2, 1, vec![0, 4]));
    assert_eq!(
        refused(&body_with(&[3, 1, 1, 0])),
        Notification::new(2, 4, vec![])
    );
    for lying in [
        &[1][..],            // a parameter is missing
        &[0, 9],             // octets after the last one
        &[2, 2, 5],          // a parameter longer than all
        &[4, 2, 2, 65, 4],   // a capability longer than its parameter
        &[5, 2, 3, 2, 1, 0], // route refresh with a value
        &[255, 255, 0],      // half an extended length
        &[3, 2, 1, 65],      // a capability without length
    ] {
        assert_eq!(
            refused(&body_with(lying)),
            Notification::new(2, 0, vec![]),
            "{lying:?}"
        );
    }
    assert_eq!(refused(&[4, 0]), Notification::new(2, 0, vec![]));
}

/// RFC 4271 §4.2: the smaller hold time wins, 0 means none.
#[test]
fn the_smaller_hold_time_wins() {
    let hold = |ours: u16, theirs: u16| {
        let local = Local {
            hold_time_s: ours,
            ..local()
        };
        let open = Open {
            hold_time_s: theirs,
            ..peer()
        };
        negotiate(&local, &open).map(|agreed| agreed.hold_time)
    };
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!(hold(9, 180), Ok(seconds(9)));
    assert_eq!(hold(9, 3), Ok(seconds(3)));
    assert_eq!(hold(0, 180), Ok(None));
    assert_eq!(hold(9, 0), Ok(None));
    assert_eq!(hold(9, 1), Err(OpenError::HoldTime(1)));
    assert_eq!(hold(0, 2), Err(OpenError::HoldTime(2)));
    assert_eq!(
        OpenError::HoldTime(1).notification(),
        Notification::new(2, 6, vec![])
    );
}

/// RFC 4271 §6.2, RFC 6793 §4.2.1, RFC 7607 §2.
#[test]
fn only_the_expected_as_number_is_accepted() {
    let accepts = |rule, field, four: Option<u32>| {
        let local = Local {
            peer_asn: rule,
            ..local()
        };
        let mut open = peer();
        open.asn_field = field;
        open.capabilities = four.map(Capability::FourOctetAsn).into_iter().collect();
        negotiate(&local, &open).map(|agreed| (agreed.peer_asn, agreed.internal))
    };
    assert_eq!(accepts(PeerAsn::External, 65000, None), Ok((65000, false)));
    assert_eq!(
        accepts(PeerAsn::External, AS_TRANS, Some(4_200_000_001)),
        Ok((4_200_000_001, false))
    );
    assert_eq!(
        accepts(PeerAsn::External, AS_TRANS, Some(65000)),
        Ok((65000, false))
    );
    assert_eq!(
        accepts(PeerAsn::Internal, 65053, Some(65053)),
        Ok((65053, true))
    );
    assert_eq!(
        accepts(PeerAsn::Number(65000), 65000, Some(65000)),
        Ok((65000, false))
    );
    for (rule, field, four) in [
        (PeerAsn::External, 65053, None),
        (PeerAsn::Internal, 65000, None),
        (PeerAsn::Number(64999), 65000, None),
        (PeerAsn::External, 0, None),
        (PeerAsn::External, 65000, Some(0)),
        (PeerAsn::External, AS_TRANS, None),
        (PeerAsn::External, 65000, Some(4_200_000_001)),
        (PeerAsn::External, 64999, Some(65000)),
    ] {
        let error = accepts(rule, field, four).unwrap_err();
        assert!(matches!(error, OpenError::PeerAsn(_)), "{field} {four:?}");
        assert_eq!(error.notification(), Notification::new(2, 2, vec![]));
    }
}

/// RFC 6286 §2.1: not zero, and not the own one inside the AS.
#[test]
fn an_identifier_must_not_be_zero_or_the_own_one_inside() {
    let refuses = |identifier, asn: u16| {
        let local = Local {
            peer_asn: PeerAsn::Number(u32::from(asn)),
            ..local()
        };
        let open = Open {
            identifier,
            asn_field: asn,
            capabilities: vec![],
            ..peer()
        };
        negotiate(&local, &open) == Err(OpenError::Identifier(identifier))
    };
    assert!(refuses(Ipv4Addr::UNSPECIFIED, 65000));
    assert!(refuses(local().identifier, 65053));
    assert!(!refuses(local().identifier, 65000));
}

/// RFC 4760 §8, RFC 5492 §5: without multiprotocol capabilities the peer does IPv4 unicast.
#[test]
fn a_session_without_a_common_family_is_refused_with_the_missing_ones() {
    let six_only = Local {
        families: Families {
            ipv4: false,
            ipv6: true,
        },
        ..local()
    };
    let mut open = peer();
    open.capabilities.clear();
    assert_eq!(
        negotiate(&local(), &open).map(|agreed| (agreed.families, agreed.four_octet)),
        Ok((
            Families {
                ipv4: true,
                ipv6: false
            },
            false
        ))
    );
    let error = negotiate(&six_only, &open).unwrap_err();
    assert_eq!(
        error.notification(),
        Notification::new(2, 7, vec![1, 4, 0, 2, 0, 1])
    );
    open.capabilities = vec![Capability::Other(1)];
    assert!(negotiate(&local(), &open).is_err());
}

prop_compose! {
    fn any_local()(
        asn in prop_oneof![1_u32..65535, 65536_u32..4_294_967_295],
        identifier in any::<[u8; 4]>(),
        hold_time_s in prop_oneof![Just(0), 3..u16::MAX],
        (ipv4, ipv6) in any::<(bool, bool)>(),
        peer_asn in prop_oneof![
            Just(PeerAsn::External),
            Just(PeerAsn::Internal),
            any::<u32>().prop_map(PeerAsn::Number),
        ],
        role in 0_u8..6,
        ipv4_over_ipv6 in prop_oneof![
            Just(Ipv4OverIpv6::Never),
            Just(Ipv4OverIpv6::Preferred),
            Just(Ipv4OverIpv6::Required),
        ],
    ) -> Local {
        Local {
            asn,
            identifier: identifier.into(),
            hold_time_s,
            families: Families { ipv4, ipv6 },
            peer_asn,
            role: Role::from_wire(role),
            ipv4_over_ipv6,
        }
    }
}

proptest! {
    /// RFC 4724, RFC 9494: no combination of parameters offers graceful restart or LLGR, nor anything
    /// else that is not meant.
    #[test]
    fn no_open_ever_carries_capability_64_or_71(local in any_local()) {
        let message = local.open().encode();
        for code in codes_on_the_wire(&message) {
            prop_assert!(![64, 71].contains(&code));
            prop_assert!([1, 2, 5, 9, 65, 70].contains(&code));
        }
        prop_assert_eq!(Open::decode(&message[19..]), Ok(local.open()));
    }

    /// RFC 4271 §4.2: whatever was agreed on was offered by both.
    #[test]
    fn nothing_is_agreed_on_that_was_not_offered(ours in any_local(), theirs in any_local()) {
        if let Ok(agreed) = negotiate(&ours, &theirs.open()) {
            prop_assert_eq!(agreed.peer_asn, theirs.asn);
            prop_assert_eq!(agreed.internal, ours.asn == theirs.asn);
            prop_assert_eq!(agreed.families.intersection(ours.families), agreed.families);
            prop_assert!(!agreed.families.is_empty());
            prop_assert!(agreed.hold_time.is_none_or(|time| time >= Duration::from_secs(3)));
            let both = [ours, theirs].map(|side| side.open().codes().contains(5));
            prop_assert_eq!(agreed.ipv4_over_ipv6, both == [true, true] && agreed.families.ipv4);
        }
    }

    /// RFC 4271 §6.2: a mutated OPEN is read or refused, never a panic.
    #[test]
    fn mutated_opens_never_panic(
        at in 0_usize..64, with in any::<u8>(), cut in 0_usize..64,
    ) {
        let mut body = local().open().encode().split_off(19);
        if let Some(octet) = body.get_mut(at) {
            *octet = with;
        }
        body.truncate(body.len().saturating_sub(cut));
        if let Ok(open) = Open::decode(&body) {
            let _ = negotiate(&local(), &open);
        }
    }

    /// RFC 4271 §6.2: so are random octets.
    #[test]
    fn random_opens_never_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Open::decode(&body);
    }
}
