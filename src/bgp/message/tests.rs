//! Framing at its limits.

use proptest::prelude::*;

use super::*;

fn header(length: u16, kind: u8) -> Vec<u8> {
    let mut bytes = MARKER.to_vec();
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.push(kind);
    bytes
}

/// RFC 4271 §4.4: a KEEPALIVE is a header and nothing else.
#[test]
fn a_keepalive_is_nineteen_octets() {
    let mut golden = vec![0xFF; 16];
    golden.extend_from_slice(&[0x00, 0x13, 0x04]);
    assert_eq!(keepalive(), golden);
    assert_eq!(encode(Kind::Keepalive, &[]), Some(golden));
}

/// RFC 4271 §6.1: the length field is given back in the NOTIFICATION.
#[test]
fn lengths_that_a_type_cannot_have_are_refused_with_the_length() {
    for (length, kind) in [
        (0, 1),
        (18, 4),
        (20, 4),
        (28, 1),
        (22, 2),
        (20, 3),
        (22, 5),
        (24, 5),
        (4097, 2),
        (u16::MAX, 2),
    ] {
        let error = frame(&header(length, kind)).unwrap_err();
        assert_eq!(error, HeaderError::Length(length));
        assert_eq!(
            error.notification(),
            Notification::new(1, 2, length.to_be_bytes().to_vec())
        );
    }
    for (length, kind) in [(19, 4), (29, 1), (23, 2), (21, 3), (23, 5), (4096, 2)] {
        let mut whole = header(length, kind);
        whole.resize(usize::from(length), 0);
        let found = frame(&whole).unwrap().unwrap();
        assert_eq!(found.length, usize::from(length));
        assert_eq!(frame(&whole[..whole.len() - 1]), Ok(None));
    }
}

/// RFC 4271 §6.1: types 0 and 6 do not exist.
#[test]
fn unknown_types_are_refused_with_the_type() {
    for kind in [0, 6, 255] {
        let error = frame(&header(19, kind)).unwrap_err();
        assert_eq!(error.notification(), Notification::new(1, 3, vec![kind]));
    }
}

/// RFC 4271 §6.1: garbage is recognised at its first octet, not after 19.
#[test]
fn a_marker_is_refused_at_its_first_wrong_octet() {
    assert_eq!(frame(b"G"), Err(HeaderError::Marker));
    assert_eq!(frame(&[0xFF; 15]), Ok(None));
    assert_eq!(frame(&[]), Ok(None));
}

/// RFC 2918 §3: the reserved octet between AFI and SAFI is 0.
#[test]
fn route_refresh_names_its_family() {
    assert_eq!(route_refresh_family(&[0, 1, 0, 1]), Some(Family::Ipv4));
    assert_eq!(route_refresh_family(&[0, 2, 0, 1]), Some(Family::Ipv6));
    assert_eq!(route_refresh_family(&[0, 2, 1, 1]), None);
    assert_eq!(route_refresh_family(&[0, 2, 0, 128]), None);
}

proptest! {
    /// RFC 4271 §4.1: what was framed comes out as it went in, whatever follows it.
    #[test]
    fn a_framed_message_is_found_again(
        body in proptest::collection::vec(any::<u8>(), 10..200),
        tail in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = encode(Kind::Open, &body).unwrap();
        bytes.extend_from_slice(&tail);
        let found = frame(&bytes).unwrap().unwrap();
        prop_assert_eq!(found.kind, Kind::Open);
        prop_assert_eq!(found.body, &body[..]);
    }

    /// RFC 4271 §6.1: any octets give a frame, an error or "not yet", never a panic.
    #[test]
    fn framing_random_octets_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = frame(&bytes);
    }
}
