//! Which last labels are known here, told by a cheap mark of theirs.
//!
//! Source: RFC 1035 §3.1 (wire names).
//! Most names of the Internet end in a label that nothing here ends in, and need no keyed hash to be
//! told apart. Whoever chooses names that share a mark wins a look at the table, as for any name here.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

/// One bit for each mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Tops([u64; 4]);

impl Tops {
    /// `label` is in lower case, without its length.
    pub(super) fn note(&mut self, label: &[u8]) {
        let (word, bit) = place(label);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// Whether the last label of `name` (lower case, wire form) may be known; the root's name may.
    /// `None` for what is no name.
    pub(super) fn may_have(&self, name: &[u8]) -> Option<bool> {
        let mut label: &[u8] = &[];
        let mut rest = name;
        loop {
            let (&length, behind) = rest.split_first()?;
            if length == 0 {
                break;
            }
            (label, rest) = behind.split_at_checked(length.into())?;
        }
        let (word, bit) = place(label);
        let marked = self.0.get(word).is_some_and(|word| word & bit != 0);
        Some(marked || label.is_empty())
    }
}

/// From length, first, second and last octet.
fn place(label: &[u8]) -> (usize, u64) {
    let at = |index: usize| label.get(index).copied().unwrap_or_default();
    let last = label.last().copied().unwrap_or_default();
    let length = u8::try_from(label.len()).unwrap_or_default();
    let mark = at(0)
        .wrapping_mul(7)
        .wrapping_add(at(1).wrapping_mul(13))
        .wrapping_add(last.wrapping_mul(29))
        .wrapping_add(length.wrapping_mul(37));
    (usize::from(mark / 64), 1 << (mark % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_was_noted_is_found_and_few_others_are() {
        let mut tops = Tops::default();
        for label in [&b"arpa"[..], b"localhost", b"test"] {
            tops.note(label);
        }
        assert_eq!(tops.may_have(b"\x02in\x04arpa\x00"), Some(true));
        assert_eq!(tops.may_have(b"\x04test\x00"), Some(true));
        assert_eq!(tops.may_have(b"\x00"), Some(true));
        let others = (0..1000_u16).filter(|number| {
            let name = format!("\x05x{number:04}\0");
            tops.may_have(name.as_bytes()) == Some(true)
        });
        assert!(others.count() < 100);
        for broken in [&b""[..], b"\x05ab", b"\x01a"] {
            assert_eq!(tops.may_have(broken), None);
        }
    }
}
