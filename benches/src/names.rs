//! The names that are asked for, and the one right answer to each.
//!
//! Generator, upstream and limits compute the answer from the question, so that every answer can be
//! checked without a table. Source: RFC 1035 §4.1 (message), §3.1 (names).

/// Octets of every question's name: `h0000123.bench.example.`
pub(crate) const NAME_OCTETS: usize = 24;
/// Octets of every query: header, name, type, class.
pub(crate) const QUERY_OCTETS: usize = 12 + NAME_OCTETS + 4;
/// Octets of the record that answers.
pub(crate) const RECORD_OCTETS: usize = 16;
/// Seconds; long enough for every run.
pub(crate) const TTL_S: u32 = 3600;
/// Names of one kind are numbered below this.
pub(crate) const NUMBERS: u32 = 10_000_000;

const DIGITS_AT: usize = 2;
const DIGITS: usize = 7;
const NAME: [u8; NAME_OCTETS] = *b"\x08h0000000\x05bench\x07example\x00";

/// What a name is for; each kind has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asked for before the measurement, so that the cache has it.
    Cached,
    /// Asked for once.
    New,
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Self::Cached => b'h',
            Self::New => b'm',
        }
    }

    fn first_octet(self) -> u8 {
        match self {
            Self::Cached => 10,
            Self::New => 11,
        }
    }
}

/// The wire form of the name with this number, which is below [`NUMBERS`].
pub(crate) fn name(kind: Kind, number: u32) -> [u8; NAME_OCTETS] {
    let mut name = NAME;
    renumber(&mut name, kind, number);
    name
}

fn renumber(name: &mut [u8; NAME_OCTETS], kind: Kind, number: u32) {
    name[1] = kind.letter();
    let mut rest = number;
    for digit in name[DIGITS_AT..DIGITS_AT + DIGITS].iter_mut().rev() {
        // A remainder of ten is a digit.
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// The question for the A record of a name, with RD.
pub(crate) fn query(id: u16, kind: Kind, number: u32) -> [u8; QUERY_OCTETS] {
    let mut query = [0; QUERY_OCTETS];
    query[..2].copy_from_slice(&id.to_be_bytes());
    query[2] = 0x01;
    query[5] = 1;
    query[12..12 + NAME_OCTETS].copy_from_slice(&name(kind, number));
    query[12 + NAME_OCTETS..].copy_from_slice(&[0, 1, 0, 1]);
    query
}

/// Makes another question of one that [`query`] gave.
pub(crate) fn ask_for(query: &mut [u8; QUERY_OCTETS], id: u16, kind: Kind, number: u32) {
    [query[0], query[1]] = id.to_be_bytes();
    if let Some((_, rest)) = query.split_first_chunk_mut::<12>()
        && let Some(name) = rest.first_chunk_mut()
    {
        renumber(name, kind, number);
    }
}

/// The right answer for the name with this number.
pub(crate) fn address_of(kind: Kind, number: u32) -> [u8; 4] {
    let [_, high, middle, low] = number.to_be_bytes();
    [kind.first_octet(), high, middle, low]
}

/// The number of the name with this address.
pub(crate) fn number_of(address: [u8; 4]) -> u32 {
    let [_, high, middle, low] = address;
    u32::from_be_bytes([0, high, middle, low])
}

/// The address that belongs to the name at the start of `name`, whatever the case of its letters;
/// `None` for names that no generator asks for.
pub(crate) fn address(name: &[u8]) -> Option<[u8; 4]> {
    let name = name.get(..NAME_OCTETS)?;
    let kind = match name[1] | 0x20 {
        b'h' => Kind::Cached,
        b'm' => Kind::New,
        _ => return None,
    };
    if name[0] != NAME[0] || !name[9..].eq_ignore_ascii_case(&NAME[9..]) {
        return None;
    }
    let mut number = 0_u32;
    for digit in &name[DIGITS_AT..DIGITS_AT + DIGITS] {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u32::from(digit - b'0');
    }
    Some(address_of(kind, number))
}

/// The answer record, its owner a pointer to the question's name.
pub(crate) fn record(address: [u8; 4]) -> [u8; RECORD_OCTETS] {
    let mut record = *b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00";
    record[6..10].copy_from_slice(&TTL_S.to_be_bytes());
    record[12..].copy_from_slice(&address);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_an_address_of_its_own() {
        assert_eq!(
            &name(Kind::Cached, 123),
            b"\x08h0000123\x05bench\x07example\x00"
        );
        assert_eq!(
            address(&name(Kind::Cached, 0x01_02_03)),
            Some([10, 1, 2, 3])
        );
        assert_eq!(
            address(&name(Kind::New, NUMBERS - 1)),
            Some([11, 0x98, 0x96, 0x7F])
        );
        assert_eq!(
            address(b"\x08H0000001\x05BENCH\x07example\x00"),
            Some([10, 0, 0, 1])
        );
        assert_eq!(address(b"\x08h000000a\x05bench\x07example\x00"), None);
        assert_eq!(address(b"\x00"), None);
    }
}
