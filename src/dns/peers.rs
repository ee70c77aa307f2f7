//! What siblings ask each other once a second: is the other one there, can it resolve, and does it get
//! answers from who asks?
//!
//! The question goes from a listed address to a listed address, through the network and the ordinary
//! sockets and workers of the other node, which makes it a probe from the outside.
//!
//! ```text
//! question  peer.sidestep. CH TXT, with the marker of siblings, over UDP
//! answer    "v=1 able=1 heard=0 preferred=0 low=00000010 n=89abcdef"
//! ```
//!
//! | word | says |
//! |---|---|
//! | `v` | the version of these words; of another one no more is known than that there was an answer |
//! | `able` | `1`: can resolve its critical zones and announces all its services, none of which is being drained; `0`: not all of that; `-`: does not know yet |
//! | `heard` | `1`: who asks answers questions like this; `0`: it does not; `-`: not known |
//! | `preferred` | `1`: announces all its services as the best there is; `0`: not all; `-`: not known |
//! | `low` | the services that are not the best there is: a bit for each, by a hash of its name; left out when that is not known |
//! | `n` | which node this is: equal for all of its addresses, another number on every other node |
//!
//! Words that are not known are passed over. Only a sibling is told (address and marker): for everybody
//! else the name is an unknown one of class CH. Whatever is asked, the question goes nowhere from here.
//!
//! Source: RFC 4892 §2 (class CH for questions about a server), RFC 1035 §3.3.14 (TXT).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use siphasher::sip::SipHasher24;

use super::exchange::query::{self, Edns};
use super::exchange::response::{self, Response};
use super::identity::text_answer;
use super::key::Key;
use super::sections::{BuiltSections, Sections};
use super::walk::{Cursor, HEADER, class, rtype};

mod ask;

pub use ask::{Asked, ask};

const NAME: &[u8] = b"\x04peer\x08sidestep\x00";
const VERSION: &[u8] = b"v=1";
/// Where the number of answers stands. RFC 1035 §4.1.1.
const ANSWERS: usize = 6;
/// Sets of lowered services that can be told, and one that tells nothing.
const SETS_MAX: usize = 16;
/// Unknown, no and yes, of each word.
const STATES: u8 = 3;

/// What a node says to a sibling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Whether it can resolve its critical zones, and announces its services.
    pub able: Option<bool>,
    /// Whether who asks answers its questions.
    pub heard: Option<bool>,
    /// Whether all of its services are preferred.
    pub preferred: Option<bool>,
    /// Which of them are not, as bits.
    pub lowered: Option<u32>,
    /// Which node it is, see [`node_number`].
    pub node: Option<u32>,
}

impl Word {
    /// Reads the text of an answer; what cannot be read is not known.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut word = Self::default();
        let fields = || text.split(|octet| *octet == b' ');
        if fields().next() != Some(VERSION) {
            return word;
        }
        for field in fields() {
            if let Some(value) = field.strip_prefix(b"able=") {
                word.able = word.able.or(flag(value));
            } else if let Some(value) = field.strip_prefix(b"heard=") {
                word.heard = word.heard.or(flag(value));
            } else if let Some(value) = field.strip_prefix(b"preferred=") {
                word.preferred = word.preferred.or(flag(value));
            } else if let Some(value) = field.strip_prefix(b"low=") {
                word.lowered = word.lowered.or(number(value));
            } else if let Some(value) = field.strip_prefix(b"n=") {
                word.node = word.node.or(number(value));
            }
        }
        word
    }

    /// As it is sent: at most 54 octets.
    #[must_use]
    pub fn text(&self) -> String {
        let flag = |flag| match flag {
            None => '-',
            Some(false) => '0',
            Some(true) => '1',
        };
        let (able, heard, preferred) = (flag(self.able), flag(self.heard), flag(self.preferred));
        let mut words = format!("v=1 able={able} heard={heard} preferred={preferred}");
        if let Some(lowered) = self.lowered {
            words.push_str(&format!(" low={lowered:08x}"));
        }
        if let Some(node) = self.node {
            words.push_str(&format!(" n={node:08x}"));
        }
        words
    }
}

fn flag(value: &[u8]) -> Option<bool> {
    match value {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

/// Eight hexadecimal digits, and nothing else that Rust would take for a number.
fn number(value: &[u8]) -> Option<u32> {
    if value.len() != 8 || !value.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(value).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// The number that stands for a node. The name alone would not do: it may be the same everywhere, for
/// one file serves all nodes; the addresses on the list are each node's own.
#[must_use]
pub fn node_number(name: &str, listed: &[IpAddr]) -> u32 {
    // Nothing is kept secret by it: a key would have to be the same on all nodes.
    let mut hasher = SipHasher24::new_with_key(&[0; 16]);
    hasher.write(name.as_bytes());
    for address in listed {
        hasher.write_u8(0xFF);
        match address.to_canonical() {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
    }
    let [_, _, _, _, number @ ..] = hasher.finish().to_be_bytes();
    u32::from_be_bytes(number)
}

/// A question to a sibling.
#[derive(Clone, Debug)]
pub struct Question {
    id: u16,
    key: Key,
}

impl Question {
    /// `id` is one of chance.
    #[must_use]
    pub fn new(id: u16) -> Self {
        let key = Key::new(NAME, rtype::TXT, class::CH, false, false);
        Self {
            id,
            // The name is a good one.
            key: key.unwrap_or_else(Key::empty),
        }
    }

    /// The message that is sent.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        query::build(&self.key, self.id, Edns::Sibling)
    }

    /// What `message` says, if it is an answer to this question. A refusal is one, too: whoever sent it
    /// was reached, and no more is known of it.
    #[must_use]
    pub fn read(&self, message: &[u8]) -> Option<Word> {
        match response::read(message, self.id, &self.key) {
            Response::Complete { rcode: 0, .. } => {
                let text = self.answered_text(message);
                Some(text.map_or_else(Word::default, Word::parse))
            }
            Response::Complete { .. } | Response::Truncated => Some(Word::default()),
            Response::Foreign | Response::Headless { .. } | Response::Malformed => None,
        }
    }

    /// The first string of the first answer. RFC 1035 §3.3.14.
    fn answered_text<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        let answers = Cursor::new(message, ANSWERS).u16().ok()?;
        let question = self.key.name().len() + 4;
        let record = Cursor::new(message, HEADER + question).record().ok()?;
        if answers == 0 || (record.rtype, record.class) != (rtype::TXT, class::CH) {
            return None;
        }
        let (length, rest) = record.rdata.split_first()?;
        rest.get(..usize::from(*length))
    }
}

/// What is told to whom: written by the routing thread, read by the workers without a lock.
#[derive(Debug)]
pub struct Board {
    /// Sorted by address; with what is known of each, as `put` writes it.
    siblings: Box<[(IpAddr, AtomicU8)]>,
    node: u32,
    able: AtomicU8,
    preferred: AtomicU8,
    /// Which of `answers` holds.
    lowered: AtomicUsize,
    /// For each of the first sets of lowered services that there were; the first one tells of none.
    answers: [OnceLock<Answers>; SETS_MAX],
}

/// The answers that go with one set of lowered services.
#[derive(Debug)]
struct Answers {
    lowered: Option<u32>,
    /// For each three states: of `able`, of `preferred`, of `heard`.
    each: Box<[BuiltSections]>,
}

impl Answers {
    fn new(lowered: Option<u32>, node: u32) -> Self {
        let flags = [None, Some(false), Some(true)];
        let pairs = flags
            .into_iter()
            .flat_map(|able| flags.map(|preferred| (able, preferred)));
        let each = pairs.flat_map(|(able, preferred)| {
            flags.map(|heard| {
                let word = Word {
                    able,
                    heard,
                    preferred,
                    lowered,
                    node: Some(node),
                };
                text_answer(word.text().as_bytes())
            })
        });
        Self {
            lowered,
            each: each.collect(),
        }
    }
}

impl Board {
    /// For siblings at these addresses; of them and of this node nothing is known yet.
    #[must_use]
    pub fn new(siblings: &[IpAddr], node: u32) -> Self {
        let mut siblings: Vec<_> = siblings.iter().map(IpAddr::to_canonical).collect();
        siblings.sort_unstable();
        siblings.dedup();
        let mut answers = [const { OnceLock::new() }; SETS_MAX];
        if let Some(first) = answers.first_mut() {
            *first = OnceLock::from(Answers::new(None, node));
        }
        Self {
            node,
            siblings: siblings.into_iter().map(|ip| (ip, 0.into())).collect(),
            able: AtomicU8::new(0),
            preferred: AtomicU8::new(0),
            lowered: AtomicUsize::new(0),
            answers,
        }
    }

    /// The same for a node with another number.
    #[must_use]
    pub fn named(&self, node: u32) -> Self {
        let siblings: Vec<_> = self.siblings.iter().map(|(address, _)| *address).collect();
        Self::new(&siblings, node)
    }

    /// Says whether this node can resolve its critical zones, and announces its services.
    pub fn tell_able(&self, able: Option<bool>) {
        put(&self.able, able);
    }

    /// Says whether all services of this node are preferred.
    pub fn tell_preferred(&self, preferred: Option<bool>) {
        put(&self.preferred, preferred);
    }

    /// Says which services of this node are not preferred, as bits. Of more than fifteen different sets
    /// in the life of the process the later ones are not told.
    pub fn tell_lowered(&self, lowered: u32) {
        let mut answers = self.answers.iter();
        let place = answers.position(|answers| {
            let known = answers.get_or_init(|| Answers::new(Some(lowered), self.node));
            known.lowered == Some(lowered)
        });
        let place = place.unwrap_or(0);
        if self.lowered.load(Ordering::Relaxed) != place {
            self.lowered.store(place, Ordering::Relaxed);
        }
    }

    /// Says whether the sibling at this address answers this node's questions.
    pub fn tell_heard(&self, sibling: IpAddr, heard: Option<bool>) {
        if let Some((_, told)) = self.find(sibling) {
            put(told, heard);
        }
    }

    /// The answer to `key`, if that is the question and `client` a sibling's address.
    pub(super) fn answer(&self, key: &Key, client: IpAddr) -> Option<Sections<'_>> {
        if (key.qclass(), key.qtype(), key.name()) != (class::CH, rtype::TXT, NAME) {
            return None;
        }
        let (_, heard) = self.find(client)?;
        let [able, preferred, heard] =
            [&self.able, &self.preferred, heard].map(|state| state.load(Ordering::Relaxed));
        let index = (able * STATES + preferred) * STATES + heard;
        let answers = self.answers.get(self.lowered.load(Ordering::Relaxed))?;
        let answer = answers.get()?.each.get(usize::from(index));
        answer.map(BuiltSections::lend)
    }

    fn find(&self, sibling: IpAddr) -> Option<&(IpAddr, AtomicU8)> {
        let sibling = sibling.to_canonical();
        let place = self.siblings.binary_search_by_key(&sibling, |(ip, _)| *ip);
        self.siblings.get(place.ok()?)
    }
}

/// Written to when it changes only: workers read it from their own cache.
fn put(state: &AtomicU8, flag: Option<bool>) {
    let new = match flag {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    };
    if state.load(Ordering::Relaxed) != new {
        state.store(new, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
