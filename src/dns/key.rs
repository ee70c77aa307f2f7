//! What an answer depends on, in one flat buffer without allocation.
//!
//! Source: RFC 1035 §3.1 (names), RFC 4343 §3 (names compare without case), RFC 4035 §3.2 (DO, CD).

/// Longest name in wire form, the root's zero octet included. RFC 1035 §2.3.4.
pub const NAME_MAX: usize = 255;
const TAIL: usize = 5;

/// Name, type, class and the DO and CD flags of a question: the key of cache and in-flight table.
///
/// Two questions with an equal key may share one answer.
#[derive(Clone, Copy)]
pub struct Key {
    len: u16,
    bytes: [u8; NAME_MAX + TAIL],
}

impl Key {
    /// The key of no question at all: to be [set](Key::set).
    #[must_use]
    pub fn empty() -> Self {
        Self {
            len: 0,
            bytes: [0; NAME_MAX + TAIL],
        }
    }

    /// Builds the key of a question; `name` is an uncompressed wire name in any case.
    ///
    /// `None` when `name` is empty or longer than [`NAME_MAX`].
    #[must_use]
    pub fn new(
        name: &[u8],
        qtype: u16,
        qclass: u16,
        dnssec_ok: bool,
        checking_disabled: bool,
    ) -> Option<Self> {
        let mut key = Self::empty();
        key.set(name, qtype, qclass, dnssec_ok, checking_disabled)?;
        Some(key)
    }

    /// Turns this key into that of another question; the same as [`Key::new`] without the copy.
    ///
    /// `None`, and no change, when `name` is empty or longer than [`NAME_MAX`].
    pub fn set(
        &mut self,
        name: &[u8],
        qtype: u16,
        qclass: u16,
        dnssec_ok: bool,
        checking_disabled: bool,
    ) -> Option<()> {
        if name.is_empty() || name.len() > NAME_MAX {
            return None;
        }
        let bytes = self.bytes.get_mut(..name.len() + TAIL)?;
        let (own_name, tail) = bytes.split_at_mut(name.len());
        own_name.copy_from_slice(name);
        own_name.make_ascii_lowercase();
        let [type_high, type_low] = qtype.to_be_bytes();
        let [class_high, class_low] = qclass.to_be_bytes();
        let flags = u8::from(dnssec_ok) | u8::from(checking_disabled) << 1;
        tail.copy_from_slice(&[type_high, type_low, class_high, class_low, flags]);
        self.len = u16::try_from(name.len() + TAIL).ok()?;
        Some(())
    }

    /// The whole key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The name in lower case, uncompressed wire form.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.len).saturating_sub(TAIL))
            .unwrap_or_default()
    }

    /// The type asked for.
    #[must_use]
    pub fn qtype(&self) -> u16 {
        self.tail_u16(0)
    }

    /// The class asked for.
    #[must_use]
    pub fn qclass(&self) -> u16 {
        self.tail_u16(2)
    }

    /// Whether the client wants DNSSEC records (the DO bit).
    #[must_use]
    pub fn dnssec_ok(&self) -> bool {
        self.tail(4) & 1 != 0
    }

    /// Whether the client does its own validation (the CD bit).
    #[must_use]
    pub fn checking_disabled(&self) -> bool {
        self.tail(4) & 2 != 0
    }

    fn tail(&self, offset: usize) -> u8 {
        let start = usize::from(self.len).saturating_sub(TAIL);
        self.bytes.get(start + offset).copied().unwrap_or_default()
    }

    fn tail_u16(&self, offset: usize) -> u16 {
        u16::from_be_bytes([self.tail(offset), self.tail(offset + 1)])
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Key({} type {} class {})",
            self.name().escape_ascii(),
            self.qtype(),
            self.qclass()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4343 §3: the case of letters does not matter; label lengths are not letters.
    #[test]
    fn names_that_differ_in_case_alone_have_one_key() {
        let upper = Key::new(b"\x03WWW\x00", 1, 1, false, false).unwrap();
        let lower = Key::new(b"\x03www\x00", 1, 1, false, false).unwrap();
        assert_eq!(upper, lower);
        assert_eq!(upper.name(), b"\x03www\x00");
    }

    #[test]
    fn every_part_of_the_question_tells_keys_apart() {
        let name = b"\x01a\x00";
        let key = Key::new(name, 28, 3, true, false).unwrap();
        assert_eq!((key.qtype(), key.qclass()), (28, 3));
        assert!(key.dnssec_ok());
        assert!(!key.checking_disabled());
        for other in [
            Key::new(b"\x01b\x00", 28, 3, true, false),
            Key::new(name, 1, 3, true, false),
            Key::new(name, 28, 1, true, false),
            Key::new(name, 28, 3, false, false),
            Key::new(name, 28, 3, true, true),
        ] {
            assert_ne!(key, other.unwrap());
        }
    }

    /// RFC 1035 §2.3.4: 255 octets fit, 256 do not.
    #[test]
    fn a_name_of_256_octets_has_no_key() {
        assert!(Key::new(&[1; 255], 1, 1, false, false).is_some());
        assert!(Key::new(&[1; 256], 1, 1, false, false).is_none());
        assert!(Key::new(&[], 1, 1, false, false).is_none());
    }
}
