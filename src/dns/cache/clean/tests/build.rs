//! Responses written as records of names, compressed as servers do.

use std::collections::HashMap;

use hickory_proto::op::Message;

use super::*;

/// A piece of RDATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Octets(Vec<u8>),
    Name(String),
}

/// A record before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) owner: String,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl_s: u32,
    pub(super) rdata: Vec<Part>,
}

pub(super) fn line(owner: &str, rtype: u16, rdata: Vec<Part>) -> Line {
    Line {
        owner: owner.into(),
        rtype,
        class: 1,
        ttl_s: 300,
        rdata,
    }
}

pub(super) fn address(owner: &str, last: u8) -> Line {
    line(owner, rtype::A, vec![Part::Octets(vec![192, 0, 2, last])])
}

pub(super) fn alias(owner: &str, target: &str) -> Line {
    line(owner, rtype::CNAME, vec![Part::Name(target.into())])
}

pub(super) fn server(owner: &str, name: &str) -> Line {
    line(owner, rtype::NS, vec![Part::Name(name.into())])
}

pub(super) fn start_of(zone: &str) -> Line {
    let numbers = [[0; 16].to_vec(), 60_u32.to_be_bytes().to_vec()].concat();
    let names = ["ns.example.", "mail.example."].map(|name| Part::Name(name.into()));
    let rdata = names.into_iter().chain([Part::Octets(numbers)]).collect();
    line(zone, rtype::SOA, rdata)
}

/// A signature of `covered` by the zone `example.`
pub(super) fn signature(owner: &str, covered: u16) -> Line {
    let mut rdata = covered.to_be_bytes().to_vec();
    rdata.extend_from_slice(&[0; 16]);
    rdata.extend_from_slice(b"\x07example\x00signature");
    line(owner, rtype::RRSIG, vec![Part::Octets(rdata)])
}

pub(super) fn opaque(owner: &str, rtype: u16) -> Line {
    // What looks like a pointer is none. RFC 3597 §4.
    line(owner, rtype, vec![Part::Octets(b"\xC0\x0C\x01x".to_vec())])
}

struct Writing {
    message: Vec<u8>,
    known: HashMap<String, usize>,
}

impl Writing {
    /// Letters compare with their case: servers that do otherwise change it.
    fn name(&mut self, name: &str) {
        let mut rest = name;
        while !rest.is_empty() && rest != "." {
            if let Some(at) = self.known.get(rest) {
                let pointer = 0xC000 | u16::try_from(*at).unwrap();
                self.message.extend_from_slice(&pointer.to_be_bytes());
                return;
            }
            self.known.insert(rest.into(), self.message.len());
            let (label, behind) = rest.split_once('.').unwrap();
            self.message.push(u8::try_from(label.len()).unwrap());
            self.message.extend_from_slice(label.as_bytes());
            rest = behind;
        }
        self.message.push(0);
    }

    fn line(&mut self, line: &Line) {
        self.name(&line.owner);
        for number in [line.rtype, line.class] {
            self.message.extend_from_slice(&number.to_be_bytes());
        }
        self.message.extend_from_slice(&line.ttl_s.to_be_bytes());
        self.message.extend_from_slice(&[0; 2]);
        let start = self.message.len();
        for part in &line.rdata {
            match part {
                Part::Octets(octets) => self.message.extend_from_slice(octets),
                Part::Name(name) => self.name(name),
            }
        }
        let octets = u16::try_from(self.message.len() - start).unwrap();
        self.message[start - 2..start].copy_from_slice(&octets.to_be_bytes());
    }
}

/// The response to a question for `qtype` of `name`, in lower case.
pub(super) fn written(
    (name, qtype): (&str, u16),
    flags: u16,
    [answers, authorities, additionals]: [&[Line]; 3],
) -> Vec<u8> {
    let mut writing = Writing {
        message: vec![0xAB, 0xCD],
        known: HashMap::new(),
    };
    writing.message.extend_from_slice(&flags.to_be_bytes());
    for count in [1, answers.len(), authorities.len(), additionals.len()] {
        let count = u16::try_from(count).unwrap();
        writing.message.extend_from_slice(&count.to_be_bytes());
    }
    writing.name(name);
    writing.message.extend_from_slice(&qtype.to_be_bytes());
    writing.message.extend_from_slice(&[0, 1]);
    for line in [answers, authorities, additionals].concat() {
        writing.line(&line);
    }
    writing.message
}

pub(super) fn asked(name: &str, qtype: u16, dnssec_ok: bool) -> Key {
    let message = written((name, qtype), 0x8180, [&[]; 3]);
    let name = &message[HEADER..message.len() - 4];
    Key::new(name, qtype, 1, dnssec_ok, false).unwrap()
}

/// Cleans the response to `key`, and again, which must change nothing.
pub(super) fn cleaned_twice(key: &Key, message: &mut [u8]) -> Result<Owned, Unusable> {
    let octets = message.len();
    let owned = |cleaned: Cleaned<'_>| Owned {
        rcode: cleaned.rcode,
        counts: cleaned.sections.counts(),
        records: cleaned.sections.records().to_vec(),
        lifetime: cleaned.lifetime,
    };
    let first = clean(key, message, &limits()).map(owned)?;
    assert!(first.records.len() <= octets);
    let second = clean(key, message, &limits()).map(owned);
    assert_eq!(Ok(&first), second.as_ref());
    Ok(first)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) rcode: Rcode,
    pub(super) counts: [u16; 3],
    pub(super) records: Vec<u8>,
    pub(super) lifetime: Option<Duration>,
}

impl Owned {
    /// As another implementation reads it behind the question of `key`.
    pub(super) fn read(&self, key: &Key) -> Message {
        let mut message = vec![0, 0, 0x81, 0x80, 0, 1];
        for count in self.counts {
            message.extend_from_slice(&count.to_be_bytes());
        }
        message.extend_from_slice(key.name());
        message.extend_from_slice(&key.qtype().to_be_bytes());
        message.extend_from_slice(&key.qclass().to_be_bytes());
        message.extend_from_slice(&self.records);
        Message::from_vec(&message).expect("what is kept can be read")
    }

    /// The records of all sections as text: owner, type, data.
    pub(super) fn lines(&self, key: &Key) -> Vec<String> {
        let message = self.read(key);
        let records = message.answers.iter().chain(&message.authorities);
        records
            .map(|record| format!("{} {} {}", record.name, record.record_type(), record.data))
            .collect()
    }
}

/// Whether what is kept of `all` are `kept`, as another implementation reads them.
pub(super) fn assert_kept(key: &Key, flags: u16, sections: [&[Line]; 3], kept: [&[Line]; 2]) {
    let (name, qtype) = (text(key.name()), key.qtype());
    let mut message = written((&name, qtype), flags, sections);
    let found = cleaned_twice(key, &mut message).unwrap();
    let [answers, authorities] = kept;
    let only = written((&name, qtype), flags, [answers, authorities, &[]]);
    let start = HEADER + key.name().len() + 4;
    let expected = Owned {
        counts: [answers.len(), authorities.len(), 0].map(|count| u16::try_from(count).unwrap()),
        records: only[start..].to_vec(),
        ..found.clone()
    };
    assert_eq!(found.lines(key), expected.lines(key));
    assert_eq!(found.counts, expected.counts);
    // Rewriting compresses as well as the server did.
    assert!(found.records.len() <= expected.records.len());
}

pub(super) fn text(name: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((&length @ 1.., behind)) = rest.split_first() {
        let (label, behind) = behind.split_at(length.into());
        text.push_str(std::str::from_utf8(label).unwrap());
        text.push('.');
        rest = behind;
    }
    if text.is_empty() { ".".into() } else { text }
}
