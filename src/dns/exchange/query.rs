//! The question as it goes to an upstream.
//!
//! Source: RFC 1035 §4.1 (message), RFC 6891 §6.1 (OPT), RFC 6840 §5.7 and §5.9 (AD and CD in
//! questions), RFC 4343 §3 (the case of letters is free, and answers keep it).

use super::super::key::Key;
use super::super::sibling;

/// Size of answers that we ask for over UDP: fits every path without fragments.
pub const UDP_SIZE: u16 = 1232;

const RECURSION_DESIRED: u16 = 0x0100;
const AUTHENTIC_DATA: u16 = 0x0020;
const CHECKING_DISABLED: u16 = 0x0010;
const DNSSEC_OK: u16 = 0x8000;
const TYPE_OPT: u16 = 41;

/// Whether a question carries OPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edns {
    /// OPT with [`UDP_SIZE`] and the DO bit of the key; AD says that we understand AD.
    With,
    /// A plain question of RFC 1035, for upstreams that choke on anything newer; without DO.
    Without,
    /// As [`Edns::With`], marked as the question of another node of the service.
    Sibling,
}

/// How a question is put.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// With or without OPT.
    pub edns: Edns,
    /// EDNS options, ready to be sent, at most 1000 octets; left out without OPT.
    pub options: &'a [u8],
    /// Which letters of the name are upper case, see [`put_case`]; `None`: all are lower case.
    pub case: Option<u64>,
}

impl Manner<'_> {
    /// Without anything beyond OPT.
    #[must_use]
    pub fn plain(edns: Edns) -> Self {
        Self {
            edns,
            options: &[],
            case: None,
        }
    }
}

/// The option that marks a sibling's question.
const SIBLING: [u8; 5] = {
    let [high, low] = sibling::MARKER.to_be_bytes();
    [high, low, 0, 1, 1]
};

/// Builds the question as a message of its own; see [`append`].
#[must_use]
pub fn build(key: &Key, id: u16, edns: Edns) -> Vec<u8> {
    let mut message = Vec::with_capacity(12 + key.as_bytes().len() + 11 + SIBLING.len());
    append(&mut message, key, id, &Manner::plain(edns));
    message
}

/// Appends the question to `message`.
pub fn append(message: &mut Vec<u8>, key: &Key, id: u16, manner: &Manner<'_>) {
    let has_opt = manner.edns != Edns::Without;
    let mut flags = RECURSION_DESIRED;
    if key.checking_disabled() {
        flags |= CHECKING_DISABLED;
    }
    if has_opt {
        // One stored answer serves clients with and without AD, so it is always asked for.
        flags |= AUTHENTIC_DATA;
    }
    for word in [id, flags, 1, 0, 0, u16::from(has_opt)] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    let name_at = message.len();
    message.extend_from_slice(key.name());
    if let Some(case) = manner.case {
        put_case(message.get_mut(name_at..).unwrap_or_default(), case);
    }
    message.extend_from_slice(&key.qtype().to_be_bytes());
    message.extend_from_slice(&key.qclass().to_be_bytes());
    if has_opt {
        append_opt(message, key, manner);
    }
}

fn append_opt(message: &mut Vec<u8>, key: &Key, manner: &Manner<'_>) {
    let extended = if key.dnssec_ok() { DNSSEC_OK } else { 0 };
    let marker: &[u8] = if manner.edns == Edns::Sibling {
        &SIBLING
    } else {
        &[]
    };
    let length = u16::try_from(manner.options.len() + marker.len()).unwrap_or_default();
    message.push(0);
    for word in [TYPE_OPT, UDP_SIZE, 0, extended, length] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    // Options that no length can be written for are left out.
    if length > 0 {
        message.extend_from_slice(manner.options);
        message.extend_from_slice(marker);
    }
}

/// Turns letters of a wire name in lower case into upper case: the letter with the number n where bit
/// n of `case` is set; after 64 letters the bits are used again.
///
/// Lengths of labels are below 64 and so are no letters.
pub fn put_case(name: &mut [u8], case: u64) {
    let mut bits = case;
    for octet in name.iter_mut().filter(|octet| octet.is_ascii_lowercase()) {
        if bits & 1 != 0 {
            octet.make_ascii_uppercase();
        }
        bits = bits.rotate_right(1);
    }
}

/// Whether the letters of a wire name are in the case that [`put_case`] gives them.
#[must_use]
pub fn keeps_case(name: &[u8], case: u64) -> bool {
    let mut bits = case;
    name.iter()
        .filter(|octet| octet.is_ascii_alphabetic())
        .all(|letter| {
            let is_upper = bits & 1 != 0;
            bits = bits.rotate_right(1);
            letter.is_ascii_uppercase() == is_upper
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6891 §6.1.2: name 0, type 41, class = size, TTL = RCODE, version and flags.
    #[test]
    fn a_question_with_edns_has_these_bytes() {
        let key = Key::new(b"\x01A\x00", 28, 1, true, true).unwrap();
        assert_eq!(
            build(&key, 0x1234, Edns::With),
            b"\x12\x34\x01\x30\0\x01\0\0\0\0\0\x01\x01a\0\0\x1c\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0"
        );
    }

    #[test]
    fn a_plain_question_has_these_bytes() {
        let key = Key::new(b"\x00", 2, 1, true, false).unwrap();
        assert_eq!(
            build(&key, 0xffff, Edns::Without),
            b"\xff\xff\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01"
        );
    }

    #[test]
    fn do_and_cd_come_from_the_key() {
        let key = Key::new(b"\x00", 2, 1, false, false).unwrap();
        let message = build(&key, 0, Edns::With);
        assert_eq!(message[2..4], [0x01, 0x20]);
        assert!(message.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"));
    }

    /// RFC 6891 §6.1.2: code, length, value; the marker stands behind what else there is.
    #[test]
    fn the_marker_and_other_options_stand_in_opt() {
        let key = Key::new(b"\x00", 2, 1, false, false).unwrap();
        let message = build(&key, 0, Edns::Sibling);
        assert_eq!(message[2..4], [0x01, 0x20]);
        assert!(message.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\x05\xfe\x1d\0\x01\x01"));
        let mut message = Vec::new();
        let manner = |edns| Manner {
            edns,
            options: b"\0\x0b\0\0",
            case: None,
        };
        append(&mut message, &key, 0, &manner(Edns::Sibling));
        assert!(message.ends_with(b"\0\0\0\0\0\x09\0\x0b\0\0\xfe\x1d\0\x01\x01"));
        message.clear();
        append(&mut message, &key, 0, &manner(Edns::With));
        assert!(message.ends_with(b"\0\0\0\0\0\x04\0\x0b\0\0"));
        message.clear();
        append(&mut message, &key, 0, &manner(Edns::Without));
        assert!(message.ends_with(b"\0\0\x02\0\x01"));
    }

    #[test]
    fn each_letter_has_its_bit_and_nothing_else_changes() {
        let key = Key::new(b"\x03a-z\x01b\x00", 1, 1, false, false).unwrap();
        let mut message = Vec::new();
        let manner = Manner {
            case: Some(0b101),
            ..Manner::plain(Edns::Without)
        };
        append(&mut message, &key, 0, &manner);
        assert_eq!(message[12..18], *b"\x03A-z\x01B");
        for case in 0..8 {
            assert_eq!(keeps_case(&message[12..19], case), case == 0b101);
        }
    }

    #[test]
    fn a_name_with_more_letters_than_bits_uses_them_again() {
        let mut name = [b'a'; 130];
        put_case(&mut name, 1);
        assert_eq!(name.iter().filter(|octet| **octet == b'A').count(), 3);
        assert_eq!((name[0], name[64], name[128]), (b'A', b'A', b'A'));
        assert!(keeps_case(&name, 1));
        name[129] = b'A';
        assert!(!keeps_case(&name, 1));
    }
}
