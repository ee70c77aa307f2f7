//! Names of a message, compared where they stand.
//!
//! Source: RFC 1035 §3.1 (labels) and §4.1.4 (compression), RFC 4343 §3 (case does not matter).
//! What [`super::Cursor::name`] would refuse ends early here, and nothing worse.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

/// A name in a message, compressed or not.
#[derive(Clone, Copy, Debug)]
pub(in crate::dns) struct Name<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Name<'a> {
    /// The name that begins at `at`.
    pub(in crate::dns) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// The labels, without the root's.
    pub(in crate::dns) fn labels(self) -> Labels<'a> {
        Labels {
            message: self.message,
            at: self.at,
            before: self.at,
        }
    }

    /// Whether both are the same; `other` is in the same message.
    pub(in crate::dns) fn is(self, other: Self) -> bool {
        self.labels().lead_to_the_same(other.labels())
    }

    /// Whether it is `zone` or below it, in the same message.
    pub(in crate::dns) fn is_within(self, zone: Self) -> bool {
        let (own, above) = (self.labels().count(), zone.labels().count());
        own.checked_sub(above).is_some_and(|below| {
            let mut labels = self.labels();
            // `nth` counts from zero.
            if let Some(last) = below.checked_sub(1) {
                labels.nth(last);
            }
            labels.lead_to_the_same(zone.labels())
        })
    }

    /// Whether it is below `zone`, in the same message.
    pub(in crate::dns) fn is_below(self, zone: Self) -> bool {
        !self.is(zone) && self.is_within(zone)
    }

    /// Whether both are below one name right below the root.
    pub(in crate::dns) fn shares_top(self, other: Self) -> bool {
        match (self.labels().last(), other.labels().last()) {
            (Some(own), Some(others)) => own.eq_ignore_ascii_case(others),
            _ => false,
        }
    }

    /// The name without its first label; `None` for the root.
    pub(in crate::dns) fn parent(self) -> Option<Self> {
        let mut labels = self.labels();
        labels.next()?;
        Some(Self::new(self.message, labels.at))
    }
}

/// One label after another, without the octet of its length.
#[derive(Clone, Copy, Debug)]
pub(in crate::dns) struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    /// A pointer has to lead to a place before this one, so that every name ends.
    before: usize,
}

impl Labels<'_> {
    /// Follows pointers to the next length.
    fn settle(&mut self) {
        while let Some(&[high, low]) = self.message.get(self.at..).and_then(<[u8]>::first_chunk)
            && high >= 0xC0
        {
            let target = usize::from(u16::from_be_bytes([high & 0x3F, low]));
            if target >= self.before {
                self.at = self.message.len();
                return;
            }
            self.at = target;
            self.before = target;
        }
    }

    fn lead_to_the_same(mut self, mut other: Self) -> bool {
        loop {
            self.settle();
            other.settle();
            if self.at == other.at {
                return true;
            }
            match (self.next(), other.next()) {
                (None, None) => return true,
                (Some(own), Some(others)) if own.eq_ignore_ascii_case(others) => {}
                (Some(_) | None, Some(_) | None) => return false,
            }
        }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.settle();
        let length = *self.message.get(self.at)?;
        if !(1..=63).contains(&length) {
            return None;
        }
        let start = self.at + 1;
        let end = start + usize::from(length);
        let label = self.message.get(start..end)?;
        self.at = end;
        Some(label)
    }
}

/// The last so many labels (at least 1) of an uncompressed name, and the root; all of it when there are
/// fewer. What is no name is whole as well, or ends early.
pub(in crate::dns) fn last_labels(name: &[u8], count: usize) -> &[u8] {
    let labels = tails(name).count();
    let before = labels.saturating_sub(count);
    tails(name).nth(before).unwrap_or(name)
}

/// How many labels an uncompressed name has, without the root's.
pub(in crate::dns) fn label_count(name: &[u8]) -> usize {
    tails(name).count()
}

/// An uncompressed name from each of its labels on.
fn tails(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let tail = rest;
        let (&length, behind) = tail.split_first().filter(|(length, _)| **length > 0)?;
        rest = behind.get(usize::from(length)..).unwrap_or_default();
        Some(tail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `www.Example.` at 0, `EXAMPLE.` at 13, a pointer to 4 at 22, `a` and a pointer to 13 at 24,
    /// the root at 28, a pointer to itself at 29.
    const BYTES: &[u8] = b"\x03www\x07Example\x00\x07EXAMPLE\x00\xC0\x04\x01a\xC0\x0D\x00\xC0\x1D";
    const WWW: usize = 0;
    const EXAMPLE: [usize; 3] = [4, 13, 22];
    const A: usize = 24;
    const ROOT: usize = 28;

    fn name(at: usize) -> Name<'static> {
        Name::new(BYTES, at)
    }

    /// RFC 4343 §3.
    #[test]
    fn names_are_the_same_in_every_case_and_form() {
        for one in EXAMPLE {
            for other in EXAMPLE {
                assert!(name(one).is(name(other)), "{one} {other}");
            }
            for other in [WWW, A, ROOT] {
                assert!(!name(one).is(name(other)) && !name(other).is(name(one)));
            }
        }
    }

    #[test]
    fn a_name_is_within_itself_and_what_is_above() {
        for zone in EXAMPLE {
            assert!(name(WWW).is_within(name(zone)) && name(WWW).is_below(name(zone)));
            assert!(name(A).is_below(name(zone)) && !name(zone).is_within(name(A)));
            assert!(name(zone).is_within(name(zone)) && !name(zone).is_below(name(4)));
            assert!(name(zone).is_below(name(ROOT)));
        }
        assert!(!name(WWW).is_within(name(A)) && !name(A).is_within(name(WWW)));
        assert!(name(ROOT).is_within(name(ROOT)) && !name(ROOT).is_below(name(ROOT)));
    }

    #[test]
    fn a_parent_has_one_label_less() {
        assert!(name(WWW).parent().unwrap().is(name(13)));
        assert!(name(13).parent().unwrap().is(name(ROOT)));
        assert!(name(ROOT).parent().is_none());
        assert!(name(WWW).shares_top(name(A)) && !name(WWW).shares_top(name(ROOT)));
    }

    /// RFC 1035 §4.1.4: what is no name ends.
    #[test]
    fn a_pointer_to_itself_has_no_labels() {
        assert_eq!(name(29).labels().count(), 0);
        assert_eq!(Name::new(BYTES, 1000).labels().count(), 0);
    }
}
