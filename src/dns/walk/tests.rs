use proptest::prelude::*;

use super::*;

fn message(after_header: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.extend_from_slice(after_header);
    bytes
}

#[test]
fn the_last_labels_of_short_names_are_all_of_them() {
    for (name, expected) in [
        (&b"\x00"[..], &b"\x00"[..]),
        (b"\x01a\x00", b"\x01a\x00"),
        (b"\x01a\x01b\x00", b"\x01a\x01b\x00"),
        (b"\x01a\x01b\x01c\x00", b"\x01b\x01c\x00"),
        (b"\x01a\x01b\x01c\x01d\x00", b"\x01c\x01d\x00"),
        (b"\x3fbroken", b"\x3fbroken"),
        (b"", b""),
    ] {
        assert_eq!(last_labels(name, 2), expected);
    }
}

/// RFC 1035 §3.1: 255 octets are the most that a name may have.
#[test]
fn a_name_of_255_octets_is_read_and_one_of_256_is_not() {
    let mut longest = Vec::new();
    for length in [63_u8, 63, 63, 61] {
        longest.push(length);
        longest.extend(std::iter::repeat_n(b'a', usize::from(length)));
    }
    longest.push(0);
    assert_eq!(longest.len(), 255);
    let bytes = message(&longest);
    assert_eq!(
        Cursor::new(&bytes, HEADER).plain_name().map(<[u8]>::len),
        Ok(255)
    );
    assert_eq!(Cursor::new(&bytes, HEADER).name(), Ok(()));

    let mut longer = longest;
    longer[192] = 62;
    longer.insert(193, b'a');
    assert_eq!(longer.len(), 256);
    let bytes = message(&longer);
    assert_eq!(Cursor::new(&bytes, HEADER).plain_name(), Err(Malformed));
    assert_eq!(Cursor::new(&bytes, HEADER).name(), Err(Malformed));
}

/// RFC 1035 §4.1.4: a pointer to itself, forwards or into the header is no name.
#[test]
fn pointers_go_backwards_and_never_into_the_header() {
    for (bytes, sound) in [
        (&b"\x01a\x00\xC0\x0C"[..], true),
        (b"\x01a\x00\xC0\x0D", false),
        (b"\x01a\x00\xC0\x0F", false),
        (b"\x01a\x00\xC0\x10", false),
        (b"\x01a\x00\xC0\x0B", false),
        (b"\x01a\x00\xC0", false),
        (b"\x01a\x00\x80\x0C", false),
        (b"\x01a\x00\x40\x0C", false),
    ] {
        let bytes = message(bytes);
        let mut cursor = Cursor::new(&bytes, HEADER + 3);
        assert_eq!(cursor.name().is_ok(), sound, "{bytes:02x?}");
        if sound {
            assert_eq!(cursor.position(), bytes.len());
        }
    }
}

#[test]
fn a_chain_of_127_pointers_is_followed_and_a_longer_one_is_not() {
    let mut bytes = message(b"\x01a\x00");
    let mut target = u16::try_from(HEADER).unwrap();
    for pointers in 1..=128 {
        let at = bytes.len();
        bytes.extend_from_slice(&(0xC000 | target).to_be_bytes());
        let read = Cursor::new(&bytes, at).name();
        assert_eq!(read.is_ok(), pointers <= 127, "{pointers}");
        target = u16::try_from(at).unwrap();
    }
}

/// RFC 1035 §4.1.2 wants whole names there; a pointer in a question is refused.
#[test]
fn a_question_has_no_compressed_name() {
    let bytes = message(b"\x01a\x00\x01b\xC0\x0C");
    assert_eq!(Cursor::new(&bytes, HEADER + 3).plain_name(), Err(Malformed));
}

#[test]
fn rdata_with_names_has_to_fill_its_length() {
    let fixed = b"\x00\x00\x05\x00\x01\x00\x00\x00\x3C";
    for (rdata, sound) in [
        (&b"\x00\x03\x01b\x00"[..], true),
        (b"\x00\x02\xC0\x0C", true),
        (b"\x00\x04\x01b\x00\x00", false),
        (b"\x00\x02\x01b\x00", false),
        (b"\x00\x00", false),
        (b"\x00\x02\xC0\x17", false),
    ] {
        let mut bytes = message(fixed);
        bytes.extend_from_slice(rdata);
        let read = Cursor::new(&bytes, HEADER).record();
        assert_eq!(read.is_ok(), sound, "{rdata:02x?}");
    }
}

#[test]
fn options_end_at_the_first_broken_one() {
    let read: Vec<_> = options(b"\x00\x03\x00\x00\x00\x0A\x00\x01\xFF\x00\x0F\x00").collect();
    assert_eq!(read, [Ok((3, &b""[..])), Ok((10, b"\xFF")), Err(Malformed)]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_walk_panic_or_leave_the_message(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..220,
    ) {
        let mut cursor = Cursor::new(&bytes, at);
        while cursor.record().is_ok() {
            prop_assert!(cursor.position() <= bytes.len());
        }
        let _ = Cursor::new(&bytes, at).plain_name();
        let _ = options(&bytes).count();
    }
}
