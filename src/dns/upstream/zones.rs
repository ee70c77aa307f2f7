//! Forward zones and the longest match among them.
//!
//! Source: RFC 1035 §3.1 (wire names), RFC 4035 §3.1.4.1 (DS belongs to the parent's side).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::super::DialectSettings;

/// Type code of DS, the one type whose records at a zone's apex are the parent's.
const TYPE_DS: u16 = 43;

/// A forward zone whose upstreams have become addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedZone {
    /// Apex, uncompressed wire form, lower case; the root is `[0]`.
    pub zone: Vec<u8>,
    /// The apex as text, with the final dot.
    pub zone_text: String,
    /// Whether its failure is evidence for the level of the services.
    pub critical: bool,
    /// In the configured order, without duplicates.
    pub upstreams: Vec<SocketAddr>,
    /// Asked when no upstream is usable: other nodes of the service.
    pub siblings: Vec<SocketAddr>,
    /// The addresses of this node on the same list: the siblings know it by these.
    pub own_siblings: Vec<IpAddr>,
    /// How its upstreams are talked to.
    pub dialect: DialectSettings,
    /// Configured host names that did not resolve and are left out: worth a warning.
    pub unresolved: Vec<String>,
}

/// Which zone a name belongs to: positions in the list that the table was built from.
#[derive(Debug)]
pub(super) struct ZoneTable {
    positions: HashMap<Box<[u8]>, usize>,
    longest: usize,
    root: usize,
}

impl ZoneTable {
    /// `apexes` in wire form and lower case; `root` is the position of the root among them.
    pub(super) fn new<'a>(apexes: impl Iterator<Item = &'a [u8]>, root: usize) -> Self {
        let positions: HashMap<Box<[u8]>, usize> = apexes
            .enumerate()
            .map(|(position, apex)| (apex.into(), position))
            .collect();
        let longest = positions.keys().map(|apex| apex.len()).max().unwrap_or(0);
        Self {
            positions,
            longest,
            root,
        }
    }

    /// The closest enclosing zone of a wire name in lower case; what is no name is in the root.
    pub(super) fn closest(&self, name: &[u8]) -> usize {
        let mut rest = name;
        loop {
            if rest.len() <= self.longest
                && let Some(&position) = self.positions.get(rest)
            {
                return position;
            }
            match parent(rest) {
                Some(shorter) => rest = shorter,
                None => return self.root,
            }
        }
    }

    /// Like [`ZoneTable::closest`], but DS at an apex is asked of the zone above.
    pub(super) fn closest_for_question(&self, name: &[u8], qtype: u16) -> usize {
        if qtype == TYPE_DS {
            self.closest(parent(name).unwrap_or(name))
        } else {
            self.closest(name)
        }
    }
}

/// The name without its first label; `None` for the root and for what is no name.
fn parent(name: &[u8]) -> Option<&[u8]> {
    let (&length, rest) = name.split_first()?;
    if length == 0 {
        return None;
    }
    rest.get(usize::from(length)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &[u8] = b"\x00";
    const EXAMPLE: &[u8] = b"\x07example\x00";
    const CORP: &[u8] = b"\x04corp\x07example\x00";

    fn table() -> ZoneTable {
        ZoneTable::new([CORP, ROOT, EXAMPLE].into_iter(), 1)
    }

    #[test]
    fn the_longest_enclosing_zone_wins() {
        let table = table();
        assert_eq!(table.closest(b"\x01a\x04corp\x07example\x00"), 0);
        assert_eq!(table.closest(CORP), 0);
        assert_eq!(table.closest(b"\x04core\x07example\x00"), 2);
        assert_eq!(table.closest(b"\x03org\x00"), 1);
        assert_eq!(table.closest(ROOT), 1);
    }

    #[test]
    fn a_zone_matches_whole_labels_only() {
        assert_eq!(table().closest(b"\x08xexample\x00"), 1);
        assert_eq!(table().closest(b"\x0a\x01a\x07example\x00"), 1);
    }

    #[test]
    fn what_is_no_name_is_in_the_root_zone() {
        for broken in [&b""[..], b"\x05ab", b"\x3f", b"\xc0\x0c", b"\x01a"] {
            assert_eq!(table().closest(broken), 1);
        }
    }

    /// RFC 4035 §3.1.4.1: DS records live on the parent's side of a zone cut.
    #[test]
    fn a_ds_question_for_an_apex_goes_to_the_zone_above() {
        let table = table();
        assert_eq!(table.closest_for_question(CORP, TYPE_DS), 2);
        assert_eq!(table.closest_for_question(CORP, 1), 0);
        assert_eq!(
            table.closest_for_question(b"\x01a\x04corp\x07example\x00", 43),
            0
        );
        assert_eq!(table.closest_for_question(ROOT, TYPE_DS), 1);
    }
}
