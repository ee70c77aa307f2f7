//! Answers as a script wants them, in wire form.
//!
//! Source: RFC 1035 §4.1, RFC 6891 §6.1 (OPT), RFC 7873 §4 (COOKIE), RFC 8914 §2 (EDE).

use crate::record::{Record, rdata};
use crate::script::Reaction;
use crate::words::type_name;

const A: u16 = 1;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const COOKIE: u16 = 10;
const EDE: u16 = 15;
/// The option by which one node tells another that it is asked as a last resort.
const MARKER: u16 = 65_053;
const IN: u16 = 1;
const TTL_S: u32 = 60;

/// A question as a server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of the message.
    pub id: u16,
    /// Header flags.
    pub flags: u16,
    /// As written, wire form.
    pub name: Vec<u8>,
    /// Type code.
    pub qtype: u16,
    /// Class code.
    pub qclass: u16,
    /// `None` without OPT.
    pub edns: Option<Edns>,
}

/// What OPT says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// The DO bit.
    pub dnssec_ok: bool,
    /// Octets over UDP.
    pub udp_size: u16,
    /// The COOKIE option.
    pub cookie: Option<Vec<u8>>,
    /// A sibling asks.
    pub is_marked: bool,
}

impl Question {
    /// Reads a question; `None` for what is none.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
        if word(4)? != 1 || word(2)? & 0x8000 != 0 {
            return None;
        }
        let mut at = 12;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1 + length;
            match length {
                0 => break,
                1..=63 => {}
                _ => return None,
            }
        }
        let edns = (word(10)? > 0).then(|| Edns::parse(message.get(at + 4..)?));
        Some(Self {
            id: word(0)?,
            flags: word(2)?,
            name: message.get(12..at)?.to_vec(),
            qtype: word(at)?,
            qclass: word(at + 2)?,
            edns: edns.flatten(),
        })
    }

    /// The name in lower case.
    #[must_use]
    pub fn lower_name(&self) -> Vec<u8> {
        self.name.to_ascii_lowercase()
    }
}

impl Edns {
    /// The record must be the first of the additional section.
    fn parse(record: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(*record.get(at..)?.first_chunk()?));
        if record.first() != Some(&0) || word(1)? != OPT {
            return None;
        }
        let mut edns = Self {
            dnssec_ok: word(7)? & 0x8000 != 0,
            udp_size: word(3)?,
            ..Self::default()
        };
        let mut options = record.get(11..11 + usize::from(word(9)?))?;
        while let Some((head, rest)) = options.split_first_chunk::<4>() {
            let [code_high, code_low, high, low] = *head;
            let (value, behind) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
            match u16::from_be_bytes([code_high, code_low]) {
                COOKIE => edns.cookie = Some(value.to_vec()),
                MARKER => edns.is_marked = true,
                _ => {}
            }
            options = behind;
        }
        Some(edns)
    }
}

/// The address that `echo` gives a name, whatever the case of its letters: 10.x.y.z.
#[must_use]
pub fn echo(name: &[u8]) -> [u8; 4] {
    // FNV-1a: the same in every run and on every machine.
    let hash = name.iter().fold(0x811c_9dc5_u32, |hash, octet| {
        (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    let [_, b, c, d] = hash.to_be_bytes();
    [10, b, c, d]
}

/// The answer to a question.
#[must_use]
pub fn build(question: &Question, reaction: &Reaction, is_tcp: bool) -> Vec<u8> {
    let faults = &reaction.faults;
    let mut sections = records(question, reaction);
    if faults.huge > 0 {
        let mut rdata = Vec::new();
        for start in (0..faults.huge).step_by(255) {
            let octets = (faults.huge - start).min(255);
            // At most 255.
            rdata.push(octets as u8);
            rdata.resize(rdata.len() + octets, b'x');
        }
        for chunk in rdata.chunks(256 * 60) {
            sections[0].push(Record {
                owner: question.name.clone(),
                ttl_s: TTL_S,
                rtype: TXT,
                class: IN,
                rdata: chunk.to_vec(),
            });
        }
    }
    let mut message = compose(question, reaction, &sections);
    let limit = match &question.edns {
        _ if is_tcp => usize::from(u16::MAX),
        Some(edns) => usize::from(edns.udp_size.max(512)),
        None => 512,
    };
    if message.len() > limit {
        message = compose(question, reaction, &[const { Vec::new() }; 3]);
        message[2] |= 0x02;
    }
    message
}

fn records(question: &Question, reaction: &Reaction) -> [Vec<Record>; 3] {
    let mut sections = reaction.records.clone();
    let ttl_s = reaction.ttl_s.unwrap_or(TTL_S);
    let own = |rtype, rdata| Record {
        owner: question.name.clone(),
        ttl_s,
        rtype,
        class: question.qclass,
        rdata,
    };
    let address = echo(&question.name);
    match question.qtype {
        A if reaction.echo => sections[0].push(own(A, address.to_vec())),
        AAAA if reaction.echo => {
            let address = [&[0xfd, 0x53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &address].concat();
            sections[0].push(own(AAAA, address));
        }
        _ => {}
    }
    let rtype = type_name(question.qtype);
    let given = reaction.answers.iter();
    // A rule whose data does not fit the type gives none.
    let data = given.filter_map(|data| rdata(&rtype, data).ok());
    let first = sections[0].len();
    sections[0].extend(data.map(|rdata| own(question.qtype, rdata)));
    // Before what `rr` has added: a set before its signatures.
    sections[0].rotate_left(first);
    sections
}

fn compose(question: &Question, reaction: &Reaction, sections: &[Vec<Record>; 3]) -> Vec<u8> {
    let faults = &reaction.faults;
    let flags = 0x8000
        | u16::from(!faults.no_ra) << 7
        | question.flags & 0x0110
        | u16::from(reaction.flags.authoritative) << 10
        | u16::from(reaction.flags.truncated) << 9
        | u16::from(reaction.flags.authentic) << 5
        | reaction.rcode & 0x0F;
    let opt = question.edns.as_ref().filter(|_| !faults.no_opt);
    // A test that wants more than 65,535 records wants something else.
    let [answers, authorities, additionals] = [0, 1, 2].map(|at: usize| sections[at].len() as u16);
    let id = question.id.wrapping_add(u16::from(faults.wrong_id));
    let questions = u16::from(!faults.no_question);
    let additionals = additionals + u16::from(opt.is_some());
    let mut message = Vec::new();
    for word in [id, flags, questions, answers, authorities, additionals] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    if !faults.no_question {
        let (mut name, qtype) = match &faults.wrong_question {
            Some((name, qtype)) => (name.clone(), *qtype),
            None => (question.name.clone(), question.qtype),
        };
        if faults.wrong_case {
            for letter in name.iter_mut().filter(|octet| octet.is_ascii_alphabetic()) {
                *letter ^= 0x20;
            }
        }
        message.extend_from_slice(&name);
        message.extend_from_slice(&qtype.to_be_bytes());
        message.extend_from_slice(&question.qclass.to_be_bytes());
    }
    let has_question = !faults.no_question && faults.wrong_question.is_none();
    for record in sections.iter().flatten() {
        let is_asked_for = has_question && record.owner.eq_ignore_ascii_case(&question.name);
        if is_asked_for && !faults.uncompressed {
            // RFC 1035 §4.1.4: the question stands behind the header.
            message.extend_from_slice(&[0xC0, 12]);
        } else {
            message.extend_from_slice(&record.owner);
        }
        message.extend_from_slice(&record.rtype.to_be_bytes());
        message.extend_from_slice(&record.class.to_be_bytes());
        message.extend_from_slice(&record.ttl_s.to_be_bytes());
        message.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
        message.extend_from_slice(&record.rdata);
    }
    if let Some(edns) = opt {
        put_opt(&mut message, edns, reaction);
    }
    message
}

fn put_opt(message: &mut Vec<u8>, edns: &Edns, reaction: &Reaction) {
    let mut options = Vec::new();
    let mut put = |code: u16, value: &[u8]| {
        options.extend_from_slice(&code.to_be_bytes());
        options.extend_from_slice(&(value.len() as u16).to_be_bytes());
        options.extend_from_slice(value);
    };
    if let Some(reason) = reaction.reason {
        put(EDE, &reason.to_be_bytes());
    }
    for (code, value) in &reaction.options {
        put(*code, value);
    }
    if let (Some(theirs), Some(own)) = (&edns.cookie, &reaction.cookie) {
        let mut client = theirs.get(..8).unwrap_or(theirs).to_vec();
        if reaction.faults.wrong_cookie
            && let Some(first) = client.first_mut()
        {
            *first ^= 0xFF;
        }
        put(COOKIE, &[client, own.clone()].concat());
    }
    message.push(0);
    message.extend_from_slice(&OPT.to_be_bytes());
    message.extend_from_slice(&1232_u16.to_be_bytes());
    let [_, high] = (reaction.rcode >> 4).to_be_bytes();
    message.extend_from_slice(&[high, 0, u8::from(edns.dnssec_ok) << 7, 0]);
    message.extend_from_slice(&(options.len() as u16).to_be_bytes());
    message.extend_from_slice(&options);
}
