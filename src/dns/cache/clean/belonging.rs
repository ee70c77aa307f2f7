//! Which records of a response belong to its question.
//!
//! Source: RFC 2308 §2 (the SOA of a negative answer), RFC 4035 §3.1 and §3.2.1 (signatures and
//! proofs, for those alone who ask for them), RFC 6672 §3.1 (DNAME), RFC 5452 §6 (what is out of
//! place). Servers in the authority section and all additional records are left out: stubs have no
//! use for them, and answers without them are truncated less often.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::super::super::key::Key;
use super::super::super::walk::{Name, Record, rtype};
use super::chain::Chain;
use super::{ANSWER, AUTHORITY};

/// So many records are compared with each name of the chain: more than there are signatures of
/// sixteen aliases, and no burden when somebody sends thousands with long names.
const COMPARED_MAX: usize = 128;

/// Tells record after record, in their order.
pub(super) struct Belonging<'a> {
    key: &'a Key,
    message: &'a [u8],
    chain: &'a Chain,
    answered: bool,
    has_soa: bool,
    compared: usize,
}

impl<'a> Belonging<'a> {
    pub(super) fn new(key: &'a Key, message: &'a [u8], chain: &'a Chain) -> Self {
        Self {
            key,
            message,
            chain,
            answered: false,
            has_soa: false,
            compared: 0,
        }
    }

    /// Whether there was what the question asks for.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether the next record belongs to the question.
    pub(super) fn includes(&mut self, section: usize, record: &Record<'_>) -> bool {
        if record.class != self.key.qclass() {
            return false;
        }
        let owner = Name::new(self.message, record.owner_at);
        match section {
            ANSWER if self.wants(record.rtype) && owner.is(self.end()) => {
                self.answered = true;
                true
            }
            ANSWER if record.rtype == rtype::CNAME => self.chain.has_link(record.rdata_at),
            ANSWER => self.may_compare() && self.leads_on(owner, record),
            AUTHORITY if record.rtype == rtype::SOA => {
                let is_first = self.ends_in(owner) && !self.has_soa;
                self.has_soa |= is_first;
                is_first
            }
            AUTHORITY if self.key.dnssec_ok() && self.may_compare() => {
                match (record.rtype, record.covered()) {
                    (rtype::RRSIG, rtype::SOA) => self.ends_in(owner),
                    (rtype::NSEC | rtype::NSEC3, _) => self.is_proof(record.rtype, owner),
                    (rtype::RRSIG, covered) => self.is_proof(covered, owner),
                    (_, _) => false,
                }
            }
            _ => false,
        }
    }

    fn may_compare(&mut self) -> bool {
        self.compared += 1;
        self.compared <= COMPARED_MAX
    }

    /// Whether a record of the answer is an alias of names above, or signs something that belongs.
    fn leads_on(&self, owner: Name<'_>, record: &Record<'_>) -> bool {
        let is_above = || {
            let mut names = self.chain.names(self.message);
            names.any(|name| name.is_below(owner))
        };
        match (record.rtype, record.covered()) {
            (rtype::DNAME, _) => is_above(),
            (rtype::RRSIG, _) if !self.key.dnssec_ok() => false,
            (rtype::RRSIG, rtype::DNAME) if is_above() => true,
            (rtype::RRSIG, rtype::CNAME)
                if self.chain.aliases(self.message).any(|name| name.is(owner)) =>
            {
                true
            }
            (rtype::RRSIG, covered) => self.wants(covered) && owner.is(self.end()),
            (_, _) => false,
        }
    }

    /// Whether the question asks for this type.
    fn wants(&self, rtype: u16) -> bool {
        match self.key.qtype() {
            // RFC 6895 §3.1: types of questions and of messages are no data.
            rtype::ANY => !matches!(rtype, 0 | rtype::OPT | 128..=255),
            qtype => rtype == qtype,
        }
    }

    fn end(&self) -> Name<'a> {
        self.chain.end(self.message)
    }

    /// Whether `zone` may speak of a record that there is not.
    fn ends_in(&self, zone: Name<'_>) -> bool {
        !self.answered && self.end().is_within(zone)
    }

    /// Whether `owner` may belong to a proof about a name of the chain.
    fn is_proof(&self, rtype: u16, owner: Name<'_>) -> bool {
        let mut names = self.chain.names(self.message);
        match rtype {
            // RFC 4034 §4: the zone is known to the signature alone. One above the names has at
            // least their last label; with one label, or none, it may be the root that speaks.
            rtype::NSEC => {
                owner.labels().nth(1).is_none() || names.any(|name| name.shares_top(owner))
            }
            // RFC 5155 §3: a hash in front of the zone.
            rtype::NSEC3 => owner
                .parent()
                .is_some_and(|zone| names.any(|name| name.is_within(zone))),
            _ => false,
        }
    }
}
