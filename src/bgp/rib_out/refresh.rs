//! A family that is told once more, because the peer has asked.
//!
//! Source: RFC 2918 §4 (the request), RFC 7313 §3.2 and §4 (the marks around the answer).

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::bgp::message::Family;

/// Requests of one family, and the answer that is under way. However often the peer asks, there is
/// at most one more answer to come: what was asked before it begins is answered by it.
#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) family: Family,
    is_wanted: bool,
    /// What the answer that is under way still has to tell.
    rest: Option<BTreeSet<IpNet>>,
}

/// What comes next in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It begins: BoRR goes out, if the peer knows it.
    Begin,
    /// Some of the rest.
    Tell,
    /// Nothing is left: EoRR goes out, if the peer knows it.
    End,
}

impl Refresh {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            is_wanted: false,
            rest: None,
        }
    }

    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// `None`: nobody has asked.
    pub(super) fn step(&self) -> Option<Step> {
        match &self.rest {
            Some(rest) if rest.is_empty() => Some(Step::End),
            Some(_) => Some(Step::Tell),
            None => self.is_wanted.then_some(Step::Begin),
        }
    }

    /// An answer of `prefixes`, all that the peer has been told of the family.
    pub(super) fn begin(&mut self, prefixes: BTreeSet<IpNet>) {
        self.is_wanted = false;
        self.rest = Some(prefixes);
    }

    pub(super) fn end(&mut self) {
        self.rest = None;
    }

    pub(super) fn rest(&self) -> impl Iterator<Item = &IpNet> {
        self.rest.iter().flatten()
    }

    /// Told again, or withdrawn, since the answer began.
    pub(super) fn strike(&mut self, prefix: &IpNet) {
        if let Some(rest) = &mut self.rest {
            rest.remove(prefix);
        }
    }
}
