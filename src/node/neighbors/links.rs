//! The links that neighbours are behind, as health wants to know them.

use std::collections::BTreeMap;

use super::Neighbors;

/// No interface has this index: it stands for the way to neighbours that no single link leads to.
const ANY_LINK: u32 = 0;

impl Neighbors {
    /// How many of the links that sessions live by are up, and of how many; `None` while there is no
    /// session, as for a moment after the only link was lost.
    pub(in crate::node) fn links(&self) -> Option<(usize, usize)> {
        let mut links = BTreeMap::new();
        for session in &self.sessions {
            let (index, is_up) = match session.wanted().interface_index {
                Some(index) => (index, session.running().is_link_up),
                None => (ANY_LINK, true),
            };
            *links.entry(index).or_insert(false) |= is_up;
        }
        let up = links.values().filter(|is_up| **is_up).count();
        (!links.is_empty()).then_some((up, links.len()))
    }
}
