//! What the fake upstream of the soak says: each answer is a version of its own, and its contents
//! tell the name, the type and the version's number.
//!
//! Source: RFC 1035 §3.3 and §4.1 (records), RFC 2308 §2 and §5 (SOA beside "no such").

pub(super) const A: u16 = 1;
const SOA: u16 = 6;
pub(super) const TXT: u16 = 16;
const NXDOMAIN: u8 = 3;
/// Behind the label that tells the number, and another that makes names differ in length.
const ZONE: &[u8] = b"\x04soak\x07example\0";
/// Octets of a record between its owner of two octets and its data.
const FIXED: usize = 10;
const TEXT_OCTETS: std::ops::RangeInclusive<usize> = 20..=900;

/// A question: name and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(u32);

/// What there is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// So many A records.
    Addresses(u8),
    Text,
    NoName,
    NoData,
}

/// One answer that the upstream gave or may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) key: Key,
    pub(super) number: u32,
}

/// What stands behind the question in an answer, without an OPT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) rcode: u8,
    pub(super) answers: u16,
    pub(super) authorities: u16,
    pub(super) octets: Vec<u8>,
    /// Where TTLs of four octets are.
    pub(super) ttls_at: Vec<usize>,
}

impl Key {
    /// The name with this number, which is below 2³¹; its TXT or its A records.
    pub(super) fn new(name: u32, text: bool) -> Self {
        Self(name << 1 | u32::from(text))
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn qtype(self) -> u16 {
        if self.0 & 1 == 1 { TXT } else { A }
    }

    /// Its name in wire form and lower case.
    pub(super) fn name(self) -> Vec<u8> {
        let number = self.0 >> 1;
        let filler = 1 + (mix(&[number.into()]) >> 40) % 40;
        let mut name = label_of(number);
        name.push(filler as u8);
        name.extend((0..filler).map(|place| b'a' + (place % 26) as u8));
        name.extend_from_slice(ZONE);
        name
    }

    /// The key of a question in any case; `None` when it is not one of the soak.
    pub(super) fn read(name: &[u8], qtype: u16) -> Option<Self> {
        let text = match qtype {
            A => false,
            TXT => true,
            _ => return None,
        };
        let label = std::str::from_utf8(name.get(1..9)?).ok()?;
        let number = u32::from_str_radix(label, 16).ok()?;
        let key = Self::new(number & u32::MAX >> 1, text);
        key.name().eq_ignore_ascii_case(name).then_some(key)
    }

    fn kind(self) -> Kind {
        let of_name = mix(&[1, u64::from(self.0 >> 1)]);
        match (of_name % 10, self.qtype()) {
            (0, _) => Kind::NoName,
            (1..=2, A) | (3..=4, TXT) => Kind::NoData,
            (_, TXT) => Kind::Text,
            (5..=6, _) => Kind::Addresses(2 + (of_name >> 32) as u8 % 20),
            _ => Kind::Addresses(1),
        }
    }

    /// Whether its answers may be longer than 512 octets.
    pub(super) fn may_be_long(self) -> bool {
        self.kind() == Kind::Text
    }

    /// The number of the version in what follows the question of an answer; of A records its lower
    /// half only.
    pub(super) fn number_in(self, body: &[u8]) -> Option<u32> {
        let data = body.get(2 + FIXED..)?;
        match self.kind() {
            Kind::Addresses(_) => Some(u16::from_be_bytes(*data.first_chunk()?).into()),
            Kind::Text => {
                let number = std::str::from_utf8(data.get(1..9)?).ok()?;
                u32::from_str_radix(number, 16).ok()
            }
            // Behind MNAME, a label of eight octets, and RNAME, the root.
            Kind::NoName | Kind::NoData => data
                .get(11..)?
                .first_chunk()
                .copied()
                .map(u32::from_be_bytes),
        }
    }
}

impl Version {
    /// Whether what [`Key::number_in`] found may be this one's number.
    pub(super) fn is_numbered(self, found: u32) -> bool {
        match self.key.kind() {
            Kind::Addresses(_) => self.number & 0xFFFF == found,
            Kind::Text | Kind::NoName | Kind::NoData => self.number == found,
        }
    }

    /// How long it may be used, in s: the TTL, of an SOA the lesser of it and MINIMUM.
    pub(super) fn lifetime_s(self) -> u32 {
        match self.key.kind() {
            Kind::Addresses(_) | Kind::Text => self.ttl_s(),
            Kind::NoName | Kind::NoData => self.ttl_s().min(self.minimum_s()),
        }
    }

    fn random(self, what: u64) -> u64 {
        mix(&[2, what, self.key.0.into(), self.number.into()])
    }

    fn ttl_s(self) -> u32 {
        (self.random(0) % 4) as u32
    }

    fn minimum_s(self) -> u32 {
        (self.random(1) % 4) as u32
    }

    /// Its records, with the TTLs that the upstream gives.
    pub(super) fn body(self) -> Body {
        let mut body = Body::default();
        match self.key.kind() {
            Kind::Addresses(count) => {
                for place in 0..count {
                    let [high, low] = (self.number as u16).to_be_bytes();
                    let [a, b, ..] = self.random(2 + u64::from(place)).to_be_bytes();
                    body.record([0xC0, 12], A, self.ttl_s(), &[high, low, a, b]);
                }
                body.answers = count.into();
            }
            Kind::Text => {
                body.record([0xC0, 12], TXT, self.ttl_s(), &self.text());
                body.answers = 1;
            }
            kind @ (Kind::NoName | Kind::NoData) => {
                let mut data = label_of(self.key.0);
                data.extend([0, 0]);
                for number in [self.number, 60, 60, 60, self.minimum_s()] {
                    data.extend(number.to_be_bytes());
                }
                let zone_at = 12 + self.key.name().len() - ZONE.len();
                body.record([0xC0, zone_at as u8], SOA, self.ttl_s(), &data);
                body.authorities = 1;
                body.rcode = if kind == Kind::NoName { NXDOMAIN } else { 0 };
            }
        }
        body
    }

    /// The data of a TXT record: strings of up to 255 octets each.
    fn text(self) -> Vec<u8> {
        let (least, most) = TEXT_OCTETS.into_inner();
        let octets = least + self.random(2) as usize % (most - least + 1);
        let mut text = format!("{:08x}{:08x}", self.number, self.key.0);
        while text.len() < octets {
            text += &format!("{:016x}", self.random(text.len() as u64));
        }
        text.truncate(octets);
        let strings = text.as_bytes().chunks(255);
        strings
            .flat_map(|string| [&[string.len() as u8], string].concat())
            .collect()
    }
}

impl Body {
    fn record(&mut self, owner: [u8; 2], kind: u16, ttl_s: u32, data: &[u8]) {
        self.octets.extend(owner);
        self.octets.extend(kind.to_be_bytes());
        self.octets.extend([0, 1]);
        self.ttls_at.push(self.octets.len());
        self.octets.extend(ttl_s.to_be_bytes());
        self.octets.extend((data.len() as u16).to_be_bytes());
        self.octets.extend(data);
    }
}

/// A label of eight hexadecimal digits, with its length.
fn label_of(number: u32) -> Vec<u8> {
    format!("\x08{number:08x}").into_bytes()
}

/// Numbers to one that looks random and is the same each time.
fn mix(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |mixed: u64, number| {
        // SplitMix64's step.
        let mut z = (mixed ^ number).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_key_in_any_case_and_no_other_name_does() {
        for number in [0, 1, 0xABCD, u32::MAX >> 1] {
            for text in [false, true] {
                let key = Key::new(number, text);
                let mut name = key.name();
                assert_eq!(Key::read(&name, key.qtype()), Some(key));
                name.make_ascii_uppercase();
                assert_eq!(Key::read(&name, key.qtype()), Some(key));
                name[10] ^= 1;
                assert_eq!(Key::read(&name, key.qtype()), None, "another filler");
                assert_eq!(Key::read(&key.name(), SOA), None);
            }
        }
    }

    #[test]
    fn every_kind_of_answer_tells_its_version() {
        for number in 0..100 {
            for text in [false, true] {
                let key = Key::new(number, text);
                let version = Version {
                    key,
                    number: 0x0102_0304 + number,
                };
                let body = version.body();
                let found = key.number_in(&body.octets).unwrap();
                assert!(version.is_numbered(found), "{version:?}");
                let next = Version {
                    number: version.number + 1,
                    ..version
                };
                assert!(!next.is_numbered(found), "{version:?}");
                assert_ne!(next.body().octets, body.octets);
                assert!(body.octets.len() <= 1000);
                assert_eq!(key.number_in(&body.octets[..12]), None);
            }
        }
    }

    #[test]
    fn there_are_all_kinds_and_all_lifetimes() {
        let keys = || (0..1000).flat_map(|name| [Key::new(name, false), Key::new(name, true)]);
        for kind in [Kind::Addresses(1), Kind::Text, Kind::NoName, Kind::NoData] {
            assert!(keys().any(|key| key.kind() == kind), "{kind:?}");
        }
        for lifetime_s in 0..4 {
            assert!(keys().any(|key| Version { key, number: 1 }.lifetime_s() == lifetime_s));
        }
    }
}
