//! Whether an answer is the right one.
//!
//! Source: RFC 1035 §4.1 (message), §4.1.4 (compression); RFC 4343 (case does not matter).

use crate::names::{self, NAME_OCTETS, QUERY_OCTETS, TTL_S};

const A_IN: [u8; 4] = [0, 1, 0, 1];
/// More jumps than a name of the bench has labels.
const POINTERS_MAX: usize = 8;

/// Whether the message says, to the question for the name with this address, that it has this
/// address and no other. The id is for the caller to compare.
///
/// Its header must have QR, opcode 0, no TC, RCODE 0 and one question; the question must be the
/// one that was asked; every record of the answer section must be whole; those of type A for the
/// name must have the address and a TTL of at most [`TTL_S`], and there must be one.
pub(super) fn is_right(message: &[u8], address: [u8; 4]) -> bool {
    let Some(head) = message.first_chunk::<QUERY_OCTETS>() else {
        return false;
    };
    let question = &head[12..12 + NAME_OCTETS];
    head[2] & 0xFA == 0x80
        && head[3] & 0x0F == 0
        && head[4..6] == [0, 1]
        && head[12 + NAME_OCTETS..] == A_IN
        && names::address(question) == Some(address)
        && answers(message, u16::from_be_bytes([head[6], head[7]]), address) == Some(true)
}

/// Whether there is a right record among so many; `None` when one is wrong or broken.
fn answers(message: &[u8], count: u16, address: [u8; 4]) -> Option<bool> {
    let mut at = QUERY_OCTETS;
    let mut found = false;
    for _ in 0..count {
        let (owner, end) = owner(message, at)?;
        let fixed = message.get(end..end + 10)?;
        let octets = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        at = end + 10 + octets;
        let data = message.get(end + 10..at)?;
        if fixed[..4] == A_IN && owner == Some(address) {
            let ttl_s = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            if data != address || ttl_s > TTL_S {
                return None;
            }
            found = true;
        }
    }
    Some(found)
}

/// The address that belongs to the name at `start`, which may be compressed, and where what
/// follows it begins; `None` for a broken name.
fn owner(message: &[u8], start: usize) -> Option<(Option<[u8; 4]>, usize)> {
    // Nearly always the question's name.
    if message.get(start..start + 2)? == [0xC0, 12] {
        return Some((names::address(&message[12..]), start + 2));
    }
    let mut name = [0; NAME_OCTETS];
    let (mut at, mut filled, mut fits) = (start, 0, true);
    let (mut end, mut pointers) = (None, 0);
    loop {
        let length = usize::from(*message.get(at)?);
        if length & 0xC0 == 0xC0 {
            pointers += 1;
            if pointers > POINTERS_MAX {
                return None;
            }
            end = end.or(Some(at + 2));
            at = (length & 0x3F) << 8 | usize::from(*message.get(at + 1)?);
            continue;
        }
        let label = message.get(at..at + 1 + length)?;
        at += label.len();
        match name.get_mut(filled..filled + label.len()) {
            Some(room) if length < 64 => room.copy_from_slice(label),
            _ => fits = false,
        }
        filled += label.len();
        if length == 0 {
            let whole = fits && filled == NAME_OCTETS;
            let address = names::address(&name).filter(|_| whole);
            return Some((address, end.unwrap_or(at)));
        }
        // Keeps a name of many long labels from running around in the message.
        if filled > 255 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Kind;

    const ADDRESS: [u8; 4] = [10, 0, 1, 0];

    /// A right answer to the question for number 256, with these records.
    fn message(records: &[&[u8]]) -> Vec<u8> {
        let mut message = names::query(7, Kind::Cached, 256).to_vec();
        message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, records.len() as u8]);
        message.extend(records.concat());
        message
    }

    /// The same record with its owner written out.
    fn whole(owner: &[u8], address: [u8; 4]) -> Vec<u8> {
        [owner, &names::record(address)[2..]].concat()
    }

    #[test]
    fn the_right_answer_is_right_however_its_owner_is_written() {
        let record = names::record(ADDRESS);
        assert!(is_right(&message(&[&record]), ADDRESS));
        let name = names::name(Kind::Cached, 256);
        assert!(is_right(&message(&[&whole(&name, ADDRESS)]), ADDRESS));
        let upper = name.to_ascii_uppercase();
        assert!(is_right(&message(&[&whole(&upper, ADDRESS)]), ADDRESS));
        let partly = [&name[..9], &[0xC0, 21]].concat();
        assert!(is_right(&message(&[&whole(&partly, ADDRESS)]), ADDRESS));
        let other = whole(b"\x01x\0", [1, 2, 3, 4]);
        assert!(is_right(&message(&[&other, &record]), ADDRESS));
        let mut aged = record;
        aged[6..10].copy_from_slice(&[0; 4]);
        assert!(is_right(&message(&[&aged]), ADDRESS), "TTL 0");
        let mut upper = message(&[&record]);
        upper[12..36].make_ascii_uppercase();
        upper[12] = 8;
        assert!(is_right(&upper, ADDRESS), "case of the question");
    }

    #[test]
    fn any_other_answer_is_wrong() {
        let record = names::record(ADDRESS);
        let right = message(&[&record]);
        for (place, value, what) in [
            (2, 0x01, "a query"),
            (2, 0x89, "another opcode"),
            (2, 0x83, "truncated"),
            (3, 0x82, "SERVFAIL"),
            (5, 0, "no question"),
            (5, 2, "two questions"),
            (7, 0, "no answer"),
            (7, 2, "fewer records than counted"),
            (20, b'1', "another question"),
            (37, 28, "another type"),
            (39, 3, "another class"),
            (43, 28, "a record of another type"),
            (41, 13, "a record of another name"),
            (46, 0xFF, "a TTL above that of the upstream"),
            (51, 3, "three octets of address"),
            (55, 1, "another address"),
        ] {
            let mut message = right.clone();
            message[place] = value;
            assert!(!is_right(&message, ADDRESS), "{what}");
        }
        assert!(!is_right(&right, [10, 0, 1, 1]), "another's answer");
        let both = message(&[&record, &names::record([10, 0, 1, 1])]);
        assert!(!is_right(&both, ADDRESS), "a second address");
        for octets in 0..right.len() {
            assert!(!is_right(&right[..octets], ADDRESS), "{octets} octets");
        }
    }

    #[test]
    fn names_that_never_end_are_wrong() {
        let round = [0xC0, 40];
        assert!(!is_right(&message(&[&whole(&round, ADDRESS)]), ADDRESS));
        let label_round = [1, b'a', 0xC0, 40];
        let message = message(&[&whole(&label_round, ADDRESS)]);
        assert!(!is_right(&message, ADDRESS));
    }
}
