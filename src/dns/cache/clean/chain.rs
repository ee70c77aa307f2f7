//! The chain of aliases from the name in the question to the one that the answer is about.
//!
//! Source: RFC 1034 §3.6.2 and §4.3.2 (aliases), RFC 2181 §10.1 (one alias for a name), RFC 6672 §3.1
//! (an alias for all names below comes with one for the name itself), RFC 4034 §2.4, §3 and §4 (what
//! an alias may have beside it).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::super::super::key::Key;
use super::super::super::walk::{HEADER, Name, Record, rtype};
use super::{ANSWER, Head, Unusable};

/// Aliases that are followed. BIND and PowerDNS follow 16 as well, Unbound 11.
pub(super) const LINKS_MAX: usize = 16;
/// Records that are looked at to find the aliases: the largest message has fewer than 6,000 records,
/// and a look finds those that stand in order soon.
const LOOKS_MAX: usize = 24_000;

/// Where the names of the chain stand in the message: the question's first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    places: [usize; LINKS_MAX + 1],
    links: usize,
}

impl Chain {
    /// Follows the aliases in the answer section of a checked message, in whatever order they stand.
    ///
    /// Of two aliases for one name the first counts; what else the name has is left behind.
    ///
    /// # Errors
    /// [`Unusable::Aliases`].
    pub(super) fn follow(key: &Key, message: &[u8], head: Head) -> Result<Self, Unusable> {
        let mut chain = Self {
            places: [HEADER; LINKS_MAX + 1],
            links: 0,
        };
        let answers = || {
            let records = head.records(message);
            let answers = records.take_while(|(section, _)| *section == ANSWER);
            answers.filter(|(_, record)| record.class == key.qclass())
        };
        if !follows_aliases(key.qtype()) || is_beside_alias(key, message, answers()) {
            return Ok(chain);
        }
        let mut looks = 0;
        loop {
            let end = chain.end(message);
            let next = answers().find(|(_, record)| {
                looks += 1;
                record.rtype == rtype::CNAME && Name::new(message, record.owner_at).is(end)
            });
            match next {
                Some(_) if looks > LOOKS_MAX => return Err(Unusable::Aliases),
                Some((_, record)) => chain.add(message, record.rdata_at)?,
                None => return Ok(chain),
            }
        }
    }

    fn add(&mut self, message: &[u8], target_at: usize) -> Result<(), Unusable> {
        let target = Name::new(message, target_at);
        let is_loop = self.names(message).any(|name| name.is(target));
        let place = self.places.get_mut(self.links + 1).filter(|_| !is_loop);
        *place.ok_or(Unusable::Aliases)? = target_at;
        self.links += 1;
        Ok(())
    }

    fn all(&self) -> &[usize] {
        self.places.get(..=self.links).unwrap_or_default()
    }

    /// All names of the chain.
    pub(super) fn names<'a>(&self, message: &'a [u8]) -> impl Iterator<Item = Name<'a>> {
        self.all().iter().map(|&at| Name::new(message, at))
    }

    /// The names that are aliases.
    pub(super) fn aliases<'a>(&self, message: &'a [u8]) -> impl Iterator<Item = Name<'a>> {
        self.names(message).take(self.links)
    }

    /// The name that the answer is about.
    pub(super) fn end<'a>(&self, message: &'a [u8]) -> Name<'a> {
        let at = self.all().last().copied().unwrap_or(HEADER);
        Name::new(message, at)
    }

    /// Whether the alias with this target is one of the chain.
    pub(super) fn has_link(&self, target_at: usize) -> bool {
        self.all().iter().skip(1).any(|&at| at == target_at)
    }
}

/// RFC 1034 §4.3.2: a question for the alias itself, or for all that there is, ends there.
fn follows_aliases(qtype: u16) -> bool {
    !matches!(qtype, rtype::CNAME | rtype::ANY)
}

/// Whether the question is for one of the types that an alias may have beside it, and has got it.
fn is_beside_alias<'a>(
    key: &Key,
    message: &[u8],
    mut answers: impl Iterator<Item = (usize, Record<'a>)>,
) -> bool {
    use rtype::{KEY, NSEC, NXT, RRSIG, SIG};
    let asked = Name::new(message, HEADER);
    matches!(key.qtype(), SIG | KEY | NXT | RRSIG | NSEC)
        && answers.any(|(_, record)| {
            record.rtype == key.qtype() && Name::new(message, record.owner_at).is(asked)
        })
}
