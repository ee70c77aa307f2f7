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
        (18, 5),
        (4097, 2),
        (4097, 5),
        (u16::MAX, 2),
    ] {
        let error = frame(&header(length, kind)).unwrap_err();
        assert_eq!(error, HeaderError::Length(length));
        assert_eq!(
            error.notification(),
            Notification::new(1, 2, length.to_be_bytes().to_vec())
        );
    }
    for (length, kind) in [
        (19, 4),
        (29, 1),
        (23, 2),
        (21, 3),
        (19, 5),
        (4096, 5),
        (4096, 2),
    ] {
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

/// RFC 2918 §3, RFC 7313 §3.2: the third octet is the subtype.
#[test]
fn a_route_refresh_has_its_known_octets() {
    for (family, afi) in [(Family::Ipv4, 1), (Family::Ipv6, 2)] {
        for (step, subtype) in [
            (RefreshStep::Request, 0),
            (RefreshStep::Begin, 1),
            (RefreshStep::End, 2),
        ] {
            let body = [0, afi, subtype, 1];
            let golden = [&[0xFF; 16][..], &[0, 23, 5], &body].concat();
            assert_eq!(route_refresh(family, step), golden);
            assert_eq!(read_route_refresh(&body), Ok(Some((family, step))));
        }
    }
}

/// RFC 2918 §4, RFC 7313 §5: other families and subtypes are ignored, of whatever length the latter
/// are; a known subtype of a wrong length is answered 7/1 with the whole message.
#[test]
fn a_route_refresh_of_a_wrong_length_is_refused_with_the_message() {
    for ignored in [
        &[0, 2, 0, 128][..],
        &[0, 25, 0, 70],
        &[0, 1, 3, 1],
        &[0, 1, 255, 1, 9],
        &[0, 1, 3],
    ] {
        assert_eq!(read_route_refresh(ignored), Ok(None));
    }
    for broken in [&[][..], &[0, 1], &[0, 1, 0], &[0, 1, 1, 1, 0], &[0, 1, 2]] {
        let message = encode(Kind::RouteRefresh, broken).unwrap();
        let error = read_route_refresh(broken).unwrap_err();
        assert_eq!(error.notification(), Notification::new(7, 1, message));
    }
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
