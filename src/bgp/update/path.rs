//! AS_PATH and AS4_PATH.
//!
//! Source: RFC 4271 §4.3 and §9.1.2.2 (length), RFC 6793 §4.2.3 (merging), RFC 7606 §7.2,
//! RFC 5065 §5.3 (confederation segments do not count), RFC 9774 §3 (sets).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::Octets;

const AS_SET: u8 = 1;
const AS_SEQUENCE: u8 = 2;
const CONFED_SEQUENCE: u8 = 3;
const CONFED_SET: u8 = 4;

/// The ASes that a route came through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsPath {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    kind: u8,
    asns: Vec<u32>,
}

impl AsPath {
    /// All AS numbers, the nearest first; sets flattened.
    pub fn asns(&self) -> impl Iterator<Item = u32> + '_ {
        self.segments
            .iter()
            .flat_map(|segment| segment.asns.iter().copied())
    }

    /// The length by which routes are compared: a set counts once, a confederation not at all.
    /// RFC 4271 §9.1.2.2 a.
    #[must_use]
    pub fn length(&self) -> usize {
        let lengths = self.segments.iter().map(|segment| match segment.kind {
            AS_SEQUENCE => segment.asns.len(),
            AS_SET => 1,
            _ => 0,
        });
        lengths.sum()
    }

    /// The AS that the route was originated by.
    #[must_use]
    pub fn origin(&self) -> Option<u32> {
        self.asns().last()
    }

    /// Whether it names ASes without their order. RFC 9774 §3.
    pub(super) fn has_set(&self) -> bool {
        let mut kinds = self.segments.iter().map(|segment| segment.kind);
        kinds.any(|kind| matches!(kind, AS_SET | CONFED_SET))
    }

    /// Whether it names member ASes of a confederation. RFC 5065 §3.
    pub(super) fn has_confederation(&self) -> bool {
        let mut kinds = self.segments.iter().map(|segment| segment.kind);
        kinds.any(|kind| matches!(kind, CONFED_SEQUENCE | CONFED_SET))
    }

    /// Reads the attribute's value; `None` where it is malformed. RFC 7606 §7.2.
    pub(super) fn decode(value: &[u8], four_octet: bool) -> Option<Self> {
        let mut octets = Octets::new(value);
        let mut segments = Vec::new();
        while !octets.is_empty() {
            let kind = octets.u8()?;
            let count = octets.u8()?;
            if !matches!(kind, AS_SET..=CONFED_SET) || count == 0 {
                return None;
            }
            let mut asns = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                asns.push(match four_octet {
                    true => octets.u32()?,
                    false => u32::from(octets.u16()?),
                });
            }
            segments.push(Segment { kind, asns });
        }
        Some(Self { segments })
    }

    /// Puts the numbers of an AS4_PATH in place of the path's tail. RFC 6793 §4.2.3.
    pub(super) fn merge(self, mut four: Self) -> Self {
        four.segments
            .retain(|segment| !matches!(segment.kind, CONFED_SEQUENCE | CONFED_SET));
        let Some(mut surplus) = self.length().checked_sub(four.length()) else {
            return self;
        };
        let mut segments = Vec::new();
        for mut segment in self.segments {
            let counts = match segment.kind {
                AS_SEQUENCE => segment.asns.len(),
                AS_SET => 1,
                _ => 0,
            };
            if counts > surplus {
                segment.asns.truncate(surplus);
                if segment.kind == AS_SEQUENCE && surplus > 0 {
                    segments.push(segment);
                }
                break;
            }
            surplus -= counts;
            segments.push(segment);
        }
        segments.append(&mut four.segments);
        Self { segments }
    }
}
