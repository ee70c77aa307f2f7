//! Questions about the server itself (class CH), and the self-probe of health.
//!
//! Source: RFC 4892 §2 (`id.server`, `hostname.bind`; an operator decides who is told what: the
//! version is told to nobody unless configured). Other names of class CH, such as `authors.bind`, are
//! refused.
//! The self-probe asks for a name that only this process knows, from a loopback address, and learns
//! which worker answered. From anywhere else that name is an unknown one.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::IpAddr;

use super::key::Key;
use super::sections::{BuiltSections, Sections};
use super::walk::{Cursor, HEADER, Malformed, class, rtype};

const ID_SERVER: &[u8] = b"\x02id\x06server\x00";
const HOSTNAME_BIND: &[u8] = b"\x08hostname\x04bind\x00";
const VERSION_SERVER: &[u8] = b"\x07version\x06server\x00";
const VERSION_BIND: &[u8] = b"\x07version\x04bind\x00";
const VERSION: &str = concat!("sidestep ", env!("CARGO_PKG_VERSION"));
const PROBE_SUFFIX: &[u8] = b"\x05probe\x08sidestep\x00";

/// The unguessable name of the self-probe; made once at start.
#[derive(Clone, PartialEq, Eq)]
pub struct ProbeName(Box<[u8]>);

impl ProbeName {
    /// From 16 octets that come from a secure generator: `<32 hex digits>.probe.sidestep.`
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        let mut name = vec![32];
        for octet in random {
            name.extend_from_slice(format!("{octet:02x}").as_bytes());
        }
        name.extend_from_slice(PROBE_SUFFIX);
        Self(name.into())
    }

    fn question(&self) -> Vec<u8> {
        let mut question = self.0.to_vec();
        question.extend_from_slice(&rtype::TXT.to_be_bytes());
        question.extend_from_slice(&class::CH.to_be_bytes());
        question
    }
}

/// Keeps the name out of logs.
impl std::fmt::Debug for ProbeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProbeName(…)")
    }
}

/// The message that asks which worker answers; no length prefix.
#[must_use]
pub fn probe_query(name: &ProbeName, id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend_from_slice(&name.question());
    message
}

/// The index of the worker that wrote `message`, if that is the answer to [`probe_query`].
#[must_use]
pub fn probe_worker(name: &ProbeName, id: u16, message: &[u8]) -> Option<usize> {
    let question = name.question();
    let read = || {
        let mut cursor = Cursor::new(message, 0);
        let head = (cursor.u16()?, cursor.u16()? & 0xFA0F);
        let counts = (cursor.u16()?, cursor.u16()?);
        let mut cursor = Cursor::new(message, HEADER);
        let asked = cursor.take(question.len())?;
        if head != (id, 0x8000) || counts != (1, 1) || asked != question {
            return Err(Malformed);
        }
        cursor.record()
    };
    let record = read().ok().filter(|record| record.rtype == rtype::TXT)?;
    let (length, digits) = record.rdata.split_first()?;
    if usize::from(*length) != digits.len() {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What the server says about itself.
#[derive(Clone, Debug)]
pub struct Identity {
    name: Box<[u8]>,
    name_answer: BuiltSections,
    version_answer: Option<BuiltSections>,
    probe: ProbeName,
    worker_answers: Box<[BuiltSections]>,
    nothing: BuiltSections,
}

impl Identity {
    /// `name` has 1 to 255 octets; more are not told. `workers` is how many there are.
    #[must_use]
    pub fn new(name: &str, show_version: bool, probe: ProbeName, workers: usize) -> Self {
        let name = name.as_bytes();
        let name = name.get(..255).unwrap_or(name);
        Self {
            name: name.into(),
            name_answer: text_answer(name),
            version_answer: show_version.then(|| text_answer(VERSION.as_bytes())),
            probe,
            worker_answers: (0..workers)
                .map(|worker| text_answer(worker.to_string().as_bytes()))
                .collect(),
            nothing: BuiltSections::default(),
        }
    }

    /// The node's name, as NSID has it.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The answer of `worker` to the self-probe, if `key` is that and `client` is this host.
    #[must_use]
    pub fn probe_answer(&self, key: &Key, client: IpAddr, worker: usize) -> Option<Sections<'_>> {
        if key.qclass() != class::CH || key.qtype() != rtype::TXT {
            return None;
        }
        if *key.name() != *self.probe.0 || !client.to_canonical().is_loopback() {
            return None;
        }
        self.worker_answers.get(worker).map(BuiltSections::lend)
    }

    /// The answer to a question of class CH; `None` means that it is refused.
    #[must_use]
    pub fn chaos_answer(&self, key: &Key) -> Option<Sections<'_>> {
        let told = match key.name() {
            ID_SERVER | HOSTNAME_BIND => &self.name_answer,
            VERSION_SERVER | VERSION_BIND => self.version_answer.as_ref()?,
            _ => return None,
        };
        let answer = match key.qtype() {
            rtype::TXT | rtype::ANY => told,
            _ => &self.nothing,
        };
        Some(answer.lend())
    }
}

/// One TXT record of class CH, which nobody should keep.
pub(super) fn text_answer(text: &[u8]) -> BuiltSections {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut rdata = vec![length];
    rdata.extend_from_slice(text);
    BuiltSections::answers([(rtype::TXT, class::CH, 0, &rdata[..])])
}

#[cfg(test)]
mod tests;
