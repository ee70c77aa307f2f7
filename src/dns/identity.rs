//! Questions about the server itself (class CH), and the self-probe of health.
//!
//! Source: RFC 4892 §2 (`id.server`, `hostname.bind`). The version is told to nobody.
//! The self-probe asks for a name that only this process knows, from a loopback address, and learns
//! which worker answered. From anywhere else that name is an unknown one.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::IpAddr;

use super::key::Key;
use super::sections::Sections;
use super::walk::{Cursor, HEADER, Malformed, class, rtype};

const ID_SERVER: &[u8] = b"\x02id\x06server\x00";
const HOSTNAME_BIND: &[u8] = b"\x08hostname\x04bind\x00";
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
    name_answer: Sections,
    probe: ProbeName,
    worker_answers: Box<[Sections]>,
    nothing: Sections,
}

impl Identity {
    /// `name` has 1 to 255 octets; more are not told. `workers` is how many there are.
    #[must_use]
    pub fn new(name: &str, probe: ProbeName, workers: usize) -> Self {
        let name = name.as_bytes();
        let name = name.get(..255).unwrap_or(name);
        Self {
            name: name.into(),
            name_answer: text_answer(name),
            probe,
            worker_answers: (0..workers)
                .map(|worker| text_answer(worker.to_string().as_bytes()))
                .collect(),
            nothing: Sections::default(),
        }
    }

    /// The node's name, as NSID has it.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The answer of `worker` to the self-probe, if `key` is that and `client` is this host.
    #[must_use]
    pub fn probe_answer(&self, key: &Key, client: IpAddr, worker: usize) -> Option<&Sections> {
        if key.qclass() != class::CH || key.qtype() != rtype::TXT {
            return None;
        }
        if *key.name() != *self.probe.0 || !client.to_canonical().is_loopback() {
            return None;
        }
        self.worker_answers.get(worker)
    }

    /// The answer to a question of class CH; `None` means that it is refused.
    #[must_use]
    pub fn chaos_answer(&self, key: &Key) -> Option<&Sections> {
        if ![ID_SERVER, HOSTNAME_BIND].contains(&key.name()) {
            return None;
        }
        Some(match key.qtype() {
            rtype::TXT | rtype::ANY => &self.name_answer,
            _ => &self.nothing,
        })
    }
}

/// One TXT record of class CH, which nobody should keep.
fn text_answer(text: &[u8]) -> Sections {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut rdata = vec![length];
    rdata.extend_from_slice(text);
    Sections::answers([(rtype::TXT, class::CH, 0, &rdata[..])])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::answer::{self, Answer};
    use crate::dns::code::Rcode;
    use crate::dns::request::Request;

    const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];

    fn identity() -> Identity {
        Identity::new("node-1", ProbeName::new([0xAB; 16]), 3)
    }

    fn key(name: &[u8], qtype: u16) -> Key {
        Key::new(name, qtype, class::CH, false, false).unwrap()
    }

    fn probe_answer(worker: usize, id: u16) -> Vec<u8> {
        let identity = identity();
        let request = Request::parse(&probe_query(&identity.probe, id)).unwrap();
        let client = LOOPBACK[0].parse().unwrap();
        let sections = identity.probe_answer(request.key(), client, worker);
        let answer = Answer {
            authoritative: true,
            sections,
            ..Answer::bare(Rcode::NOERROR, None)
        };
        let mut out = Vec::new();
        assert!(!answer::write(
            &mut out,
            &request,
            512,
            identity.name(),
            &answer
        ));
        out
    }

    #[test]
    fn the_probe_learns_which_worker_answered() {
        let name = ProbeName::new([0xAB; 16]);
        for worker in 0..3 {
            let message = probe_answer(worker, 77);
            assert_eq!(probe_worker(&name, 77, &message), Some(worker));
            assert_eq!(probe_worker(&name, 78, &message), None);
            let other = ProbeName::new([0xAC; 16]);
            assert_eq!(probe_worker(&other, 77, &message), None);
        }
    }

    #[test]
    fn an_error_or_a_query_is_no_probe_answer() {
        let name = ProbeName::new([0xAB; 16]);
        let good = probe_answer(1, 77);
        for (at, value) in [(3, 0x82), (2, 0x06), (2, 0x86), (7, 0), (5, 2)] {
            let mut message = good.clone();
            message[at] = value;
            assert_eq!(probe_worker(&name, 77, &message), None, "{at} {value}");
        }
        for length in 0..good.len() {
            assert_eq!(probe_worker(&name, 77, &good[..length]), None);
        }
    }

    #[test]
    fn the_probe_is_answered_to_this_host_alone() {
        let identity = identity();
        let name = identity.probe.0.clone();
        for client in LOOPBACK {
            let client = client.parse().unwrap();
            assert!(identity.probe_answer(&key(&name, 16), client, 0).is_some());
            assert!(identity.probe_answer(&key(&name, 1), client, 0).is_none());
            assert!(
                identity
                    .probe_answer(&key(b"\x01a\x00", 16), client, 0)
                    .is_none()
            );
        }
        for client in ["192.0.2.1", "2001:db8::1", "::"] {
            let client = client.parse().unwrap();
            assert!(identity.probe_answer(&key(&name, 16), client, 0).is_none());
        }
        assert!(identity.chaos_answer(&key(&name, 16)).is_none());
    }

    /// RFC 4892 §2.
    #[test]
    fn the_name_is_told_and_the_version_is_not() {
        let identity = identity();
        for name in [ID_SERVER, HOSTNAME_BIND] {
            let told = identity.chaos_answer(&key(name, 16)).unwrap();
            assert_eq!(told, &text_answer(b"node-1"));
            assert_eq!(identity.chaos_answer(&key(name, 255)), Some(told));
            let other = identity.chaos_answer(&key(name, 1)).unwrap();
            assert_eq!(other.counts(), [0; 3]);
        }
        let version = key(b"\x07version\x04bind\x00", 16);
        assert_eq!(identity.chaos_answer(&version), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_prober_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = probe_worker(&ProbeName::new([0xAB; 16]), 77, &bytes);
        }
    }
}
