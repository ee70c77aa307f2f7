//! The question as it goes to an upstream.
//!
//! Source: RFC 1035 §4.1 (message), RFC 6891 §6.1 (OPT), RFC 6840 §5.7 and §5.9 (AD and CD in
//! questions).

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

/// The option that marks a sibling's question.
const SIBLING: [u8; 5] = {
    let [high, low] = sibling::MARKER.to_be_bytes();
    [high, low, 0, 1, 1]
};

/// Builds the question as a message of its own; see [`append`].
#[must_use]
pub fn build(key: &Key, id: u16, edns: Edns) -> Vec<u8> {
    let mut message = Vec::with_capacity(12 + key.as_bytes().len() + 11);
    append(&mut message, key, id, edns);
    message
}

/// Appends the question to `message`; the name is sent in lower case, as the key has it.
pub fn append(message: &mut Vec<u8>, key: &Key, id: u16, edns: Edns) {
    let mut flags = RECURSION_DESIRED;
    if key.checking_disabled() {
        flags |= CHECKING_DISABLED;
    }
    if edns != Edns::Without {
        // One stored answer serves clients with and without AD, so it is always asked for.
        flags |= AUTHENTIC_DATA;
    }
    let additional = u16::from(edns != Edns::Without);
    for word in [id, flags, 1, 0, 0, additional] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(key.name());
    message.extend_from_slice(&key.qtype().to_be_bytes());
    message.extend_from_slice(&key.qclass().to_be_bytes());
    if edns != Edns::Without {
        let extended = if key.dnssec_ok() { DNSSEC_OK } else { 0 };
        let marker: &[u8] = if edns == Edns::Sibling { &SIBLING } else { &[] };
        let length = u16::try_from(marker.len()).unwrap_or_default();
        message.push(0);
        for word in [TYPE_OPT, UDP_SIZE, 0, extended, length] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message.extend_from_slice(marker);
    }
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
}
