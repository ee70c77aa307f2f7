//! What is answered here, and no upstream is asked for: local records, zones that are local or
//! refused, special names.
//!
//! Source: RFC 1034 §4.3.2 (names, aliases), RFC 2308 §2 (NXDOMAIN and NODATA with SOA), RFC 8020 (what
//! lies between names exists), RFC 4035 §3.1.4.1 (DS belongs to the parent's side), RFC 8482 §4.1 (one
//! RRset for ANY), RFC 6604 §3 (RCODE of an alias), RFC 8914 §4.16 (Blocked).
//!
//! - A name with a record has its types and no others (NODATA), wherever it lies.
//! - Any other name is left to the closest zone at or above it: a forward zone sends it to its
//!   upstreams, a local one says that it does not exist, a refused one refuses. Special names are
//!   zones like that, unless a configured zone other than the root is at or above them.
//! - An alias (CNAME) is followed as long as its target is answered here too. A target that upstreams
//!   know is told in [`LocalAnswer::target`]: what they say of it goes behind the alias. An alias that
//!   never ends is a failure.
//!
//! Wildcards are not known. Local answers have AA set, as Unbound's have: this node is where they
//! come from.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::HashMap;
use std::sync::Arc;

use super::answer::Answer;
use super::code::{ExtendedError, Rcode};
use super::key::NAME_MAX;
use super::sections::{BuiltSections, Sections};
use super::walk::rtype;
use super::{ForwardZone, LocalRecord, SpecialNameSettings};

mod alias;
mod build;
pub(super) mod graft;
pub mod hosts;
pub mod special;
mod tops;

pub use alias::LINKS_MAX;

/// DS: the one type whose records at a zone's apex are the parent's.
const TYPE_DS: u16 = 43;
/// A name has at most 127 labels, the root's not counted.
const LABELS_MAX: usize = NAME_MAX / 2;

/// Everything that is answered here; built once.
///
/// A look-up walks down from the root and ends at the first name that is not there; most names of the
/// Internet end in a label that is not known here, which needs no look at the table. That has the
/// keyed hash of the standard library.
#[derive(Clone, Debug, Default)]
pub struct LocalTree {
    root: Node,
    tops: tops::Tops,
    nodes: HashMap<Box<[u8]>, Node>,
    zones: Vec<Zone>,
}

/// What the node says to a question of class IN.
#[derive(Clone, Copy, Debug)]
pub struct LocalAnswer<'a> {
    /// NOERROR, NXDOMAIN, REFUSED, or SERVFAIL for an alias that never ends.
    pub rcode: Rcode,
    /// Answer and authority section; TTLs are sent as they are.
    pub sections: Sections<'a>,
    /// The policy behind a refusal. RFC 8914 §4.16.
    pub extended_error: Option<ExtendedError>,
    /// Where the alias in the answer leads, when only upstreams know that name: wire form, lower case.
    pub target: Option<&'a [u8]>,
}

/// A name that is known here, or has others below it.
#[derive(Clone, Debug, Default)]
struct Node {
    /// A zone begins here.
    cut: Option<Cut>,
    /// Whether the name exists in the zone around it: RFC 8020.
    exists: bool,
    /// For a name with records.
    said: Option<Box<Said>>,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    /// `None`: its names are forwarded.
    zone: Option<usize>,
    /// DS at the apex is a matter of the zone above.
    has_parent: bool,
}

/// A zone whose names are not forwarded.
#[derive(Clone, Debug)]
struct Zone {
    apex: Box<[u8]>,
    nature: build::Nature,
    /// What is said of its names that have no records.
    said: Said,
}

/// Ready answers for a name.
#[derive(Clone, Debug)]
struct Said {
    by_type: Box<[(u16, BuiltSections)]>,
    otherwise: Arc<Otherwise>,
}

/// The answer for all other types.
#[derive(Clone, Debug)]
struct Otherwise {
    rcode: Rcode,
    sections: BuiltSections,
    extended_error: Option<ExtendedError>,
    target: Option<Box<[u8]>>,
}

/// Where a question leads.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    zone: Option<usize>,
    node: Option<&'a Node>,
    /// It is for DS at an apex: `zone` is the one above, and the records here do not count.
    is_parents: bool,
}

impl LocalTree {
    /// Builds the answers once. `records` are those of the configuration and of hosts files, `zones`
    /// all of the configuration.
    #[must_use]
    pub fn new(
        records: &[LocalRecord],
        zones: &[ForwardZone],
        special: &SpecialNameSettings,
    ) -> Self {
        build::build(records, zones, special)
    }

    /// The answer to a question of class IN for `name` (lower case, wire form); `None` means that
    /// upstreams are to be asked.
    #[must_use]
    pub fn find(&self, name: &[u8], qtype: u16) -> Option<LocalAnswer<'_>> {
        if self.root.cut.is_none() && !self.tops.may_have(name)? {
            return None;
        }
        let place = self.locate(name, qtype)?;
        if let Some(said) = place.node.and_then(|node| node.said.as_deref())
            && !place.is_parents
        {
            return Some(said.answer(qtype));
        }
        let zone = self.zones.get(place.zone?)?;
        let exists = place.is_parents || place.node.is_some_and(|node| node.exists);
        Some(zone.answer(qtype, exists))
    }

    /// The closest zone at or above a name, and its node; `None` for what is no name.
    fn locate(&self, name: &[u8], qtype: u16) -> Option<Place<'_>> {
        let mut starts = [0_u8; LABELS_MAX];
        let labels = label_starts(name, &mut starts)?;
        let mut place = Place {
            zone: self.root.cut.and_then(|cut| cut.zone),
            node: labels.is_empty().then_some(&self.root),
            is_parents: false,
        };
        for &start in labels.iter().rev() {
            let Some(node) = self.nodes.get(name.get(usize::from(start)..)?) else {
                return Some(place);
            };
            let is_whole = start == 0;
            place.node = is_whole.then_some(node);
            match node.cut {
                Some(cut) if is_whole && qtype == TYPE_DS && cut.has_parent => {
                    place.is_parents = true;
                }
                Some(cut) => place.zone = cut.zone,
                None => {}
            }
        }
        Some(place)
    }
}

impl Zone {
    fn answer(&self, qtype: u16, exists: bool) -> LocalAnswer<'_> {
        let mut answer = self.said.answer(qtype);
        if exists && answer.rcode == Rcode::NXDOMAIN {
            answer.rcode = Rcode::NOERROR;
        }
        answer
    }
}

impl Said {
    fn answer(&self, qtype: u16) -> LocalAnswer<'_> {
        let mut types = self.by_type.iter();
        let found = if qtype == rtype::ANY {
            types.next()
        } else {
            types.find(|(rtype, _)| *rtype == qtype)
        };
        match found {
            Some((_, sections)) => LocalAnswer {
                rcode: Rcode::NOERROR,
                sections: sections.lend(),
                extended_error: None,
                target: None,
            },
            None => LocalAnswer {
                rcode: self.otherwise.rcode,
                sections: self.otherwise.sections.lend(),
                extended_error: self.otherwise.extended_error,
                target: self.otherwise.target.as_deref(),
            },
        }
    }
}

impl<'a> From<LocalAnswer<'a>> for Answer<'a> {
    fn from(local: LocalAnswer<'a>) -> Self {
        Answer {
            authoritative: matches!(local.rcode, Rcode::NOERROR | Rcode::NXDOMAIN),
            sections: Some(local.sections),
            target: local.target,
            ..Answer::bare(local.rcode, local.extended_error)
        }
    }
}

/// Where each label of `name` starts, the root's left out; `None` for what is no name.
fn label_starts<'a>(name: &[u8], starts: &'a mut [u8; LABELS_MAX]) -> Option<&'a [u8]> {
    let mut at = 0;
    let mut count = 0;
    loop {
        match *name.get(at)? {
            0 => return starts.get(..count),
            length => {
                *starts.get_mut(count)? = u8::try_from(at).ok()?;
                count += 1;
                at += usize::from(length) + 1;
            }
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
mod tests;
