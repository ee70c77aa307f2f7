//! Questions to another program that answers for a service: whether it lives, whether it resolves.
//!
//! Source: RFC 1035 §4.1 (message), §3.2.2 and §3.2.4 (types, classes), RFC 4892 §2 (`id.server`).
//! Left out on purpose: what the answer section says. That an answer comes shows that the program
//! lives, and its RCODE whether it resolves.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use hickory_proto::rr::RecordType;

use super::code::Rcode;
use super::key::NAME_MAX;
use super::record_text::{RecordTextError, name_from_text};
use super::walk::{Cursor, HEADER, Malformed, class};

/// What every name server has an opinion on, without asking anybody.
const DEFAULT: &str = "id.server. CH TXT";
/// Before a name: a label that nobody has asked for yet takes its place.
const CHANCE: &str = "*.";
/// Octets of such a label: 16 hexadecimal digits.
const CHANCE_LENGTH: u8 = 16;
/// QR, OPCODE: an answer to a standard query.
const KIND: u16 = 0xF800;
const ANSWER: u16 = 0x8000;
const RECURSION_DESIRED: u16 = 0x0100;

/// A question that is asked again and again.
#[derive(Clone, PartialEq, Eq)]
pub struct Inquiry {
    text: Box<str>,
    /// In wire form, without the label of chance.
    name: Box<[u8]>,
    has_chance: bool,
    rtype: u16,
    class: u16,
}

/// Why a text is no question. Says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InquiryError {
    /// Not two or three words.
    #[error("write a name and a type, such as \"example.com. A\", not {0:?}")]
    Words(String),
    /// The first word.
    #[error("write a domain name first: {0}")]
    Name(#[from] RecordTextError),
    /// With 16 octets before it.
    #[error("write a shorter name: a label of 16 octets comes before it")]
    TooLong,
    /// The word before the type.
    #[error("write IN or CH as the class, not {0:?}")]
    Class(String),
    /// The last word.
    #[error("write a type such as A, AAAA, NS, SOA or TXT, not {0:?}")]
    Type(String),
}

impl Default for Inquiry {
    /// `id.server. CH TXT`.
    fn default() -> Self {
        Self {
            text: DEFAULT.into(),
            name: (*b"\x02id\x06server\x00").into(),
            has_chance: false,
            rtype: super::walk::rtype::TXT,
            class: class::CH,
        }
    }
}

impl Inquiry {
    /// Reads `name type` or `name class type`; a name that begins with `*.` is asked for with
    /// another first label each time.
    ///
    /// # Errors
    /// Any [`InquiryError`].
    pub fn from_text(text: &str) -> Result<Self, InquiryError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (name, class, rtype) = match *words.as_slice() {
            [name, rtype] => (name, class::IN, rtype),
            [name, class, rtype] => (name, class_from_text(class)?, rtype),
            _ => return Err(InquiryError::Words(text.to_owned())),
        };
        let (name, has_chance) = match name.strip_prefix(CHANCE) {
            Some(rest) => (if rest.is_empty() { "." } else { rest }, true),
            None => (name, false),
        };
        let name = name_from_text(name)?;
        let chance = if has_chance { CHANCE_LENGTH + 1 } else { 0 };
        if name.len() + usize::from(chance) > NAME_MAX {
            return Err(InquiryError::TooLong);
        }
        Ok(Self {
            text: words.join(" ").into(),
            name: name.into(),
            has_chance,
            rtype: type_from_text(rtype)?,
            class,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The message that asks with this id; `chance` becomes the label where the text has `*.`.
    #[must_use]
    pub fn message(&self, id: u16, chance: u64) -> Vec<u8> {
        let mut message = id.to_be_bytes().to_vec();
        message.extend_from_slice(&RECURSION_DESIRED.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        if self.has_chance {
            message.push(CHANCE_LENGTH);
            message.extend_from_slice(format!("{chance:016x}").as_bytes());
        }
        message.extend_from_slice(&self.name);
        message.extend_from_slice(&self.rtype.to_be_bytes());
        message.extend_from_slice(&self.class.to_be_bytes());
        message
    }
}

impl std::fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inquiry({:?})", self.text)
    }
}

/// What `reply` says to the message `asked`; `None` when it is no reply to that.
///
/// A reply has the id and the question of what was asked; where its RCODE is an error it may have
/// no question at all.
#[must_use]
pub fn rcode(asked: &[u8], reply: &[u8]) -> Option<Rcode> {
    let read = || {
        let (mut one, mut other) = (Cursor::new(asked, 0), Cursor::new(reply, 0));
        let is_same_id = one.u16()? == other.u16()?;
        let flags = other.u16()?;
        let questions = other.u16()?;
        let [_, low] = flags.to_be_bytes();
        let rcode = Rcode::from_parts(low, 0);
        let question = asked.get(HEADER..).ok_or(Malformed)?;
        let is_same_question = match questions {
            0 => rcode != Rcode::NOERROR && reply.len() >= HEADER,
            1 => {
                let mut cursor = Cursor::new(reply, HEADER);
                // Case does not matter in names, and other octets have no case. RFC 4343 §3.
                cursor.take(question.len())?.eq_ignore_ascii_case(question)
            }
            _ => false,
        };
        if !is_same_id || !is_same_question || flags & KIND != ANSWER {
            return Err(Malformed);
        }
        Ok(rcode)
    };
    read().ok()
}

/// Whether the name was looked up with success: there is such a name, or it is known that there is
/// none.
#[must_use]
pub fn is_resolved(rcode: Rcode) -> bool {
    rcode == Rcode::NOERROR || rcode == Rcode::NXDOMAIN
}

/// The word for an RCODE that is none of the good ones.
#[must_use]
pub fn name_of(rcode: Rcode) -> String {
    match rcode {
        Rcode::FORMERR => "FORMERR".to_owned(),
        Rcode::SERVFAIL => "SERVFAIL".to_owned(),
        Rcode::NOTIMP => "NOTIMP".to_owned(),
        Rcode::REFUSED => "REFUSED".to_owned(),
        other => format!("RCODE {}", other.low()),
    }
}

fn class_from_text(text: &str) -> Result<u16, InquiryError> {
    match text.to_ascii_uppercase().as_str() {
        "IN" => Ok(class::IN),
        "CH" => Ok(class::CH),
        _ => Err(InquiryError::Class(text.to_owned())),
    }
}

fn type_from_text(text: &str) -> Result<u16, InquiryError> {
    let refused = || InquiryError::Type(text.to_owned());
    let rtype: RecordType = text.to_ascii_uppercase().parse().map_err(|_| refused())?;
    match rtype {
        // Not types of data that one message asks for and one answers. RFC 6895 §3.1.
        RecordType::OPT
        | RecordType::AXFR
        | RecordType::IXFR
        | RecordType::TSIG
        | RecordType::ZERO => Err(refused()),
        other => Ok(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(asked: &[u8], rcode: u8) -> Vec<u8> {
        let mut reply = asked.to_vec();
        reply[2] |= 0x80;
        reply[3] = 0x80 | rcode;
        reply
    }

    #[test]
    fn the_default_asks_for_the_name_of_the_server_itself() {
        let written = Inquiry::from_text(DEFAULT).unwrap();
        assert_eq!(Inquiry::default(), written);
        let message = Inquiry::default().message(0x1234, 7);
        assert_eq!(
            message,
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02id\x06server\x00\x00\x10\x00\x03"
        );
    }

    /// RFC 1035 §2.3.4: 255 octets, of which the label of chance takes 17.
    #[test]
    fn a_star_becomes_a_label_that_nobody_asked_for_before() {
        let inquiry = Inquiry::from_text("*.probe.Example. a").unwrap();
        let message = inquiry.message(1, 0xAB);
        assert!(
            message.ends_with(b"\x1000000000000000ab\x05probe\x07example\x00\x00\x01\x00\x01"),
            "{message:?}"
        );
        assert_ne!(message, inquiry.message(1, 0xAC));
        let long = |last: usize| {
            let labels = [
                "a".repeat(63),
                "b".repeat(63),
                "c".repeat(63),
                "d".repeat(last),
            ];
            format!("*.{}. A", labels.join("."))
        };
        // 3 × 64 + 1 + 44 + 1 = 238 octets and 17 before them.
        assert!(Inquiry::from_text(&long(44)).is_ok());
        assert_eq!(Inquiry::from_text(&long(45)), Err(InquiryError::TooLong));
        assert!(Inquiry::from_text("*. NS").is_ok());
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for text in [
            "",
            "example.com.",
            "example.com. IN A A",
            "example.com. HS A",
            "example.com. AXFR",
            "example.com. nothing",
            "ex..ample A",
            "a.*.example. nothing",
        ] {
            assert!(Inquiry::from_text(text).is_err(), "{text:?} was accepted");
        }
    }

    /// RFC 1035 §4.1.1.
    #[test]
    fn a_reply_has_the_id_and_the_question_of_what_was_asked() {
        let asked = Inquiry::from_text("www.example. A").unwrap().message(77, 0);
        assert_eq!(rcode(&asked, &reply(&asked, 0)), Some(Rcode::NOERROR));
        assert_eq!(rcode(&asked, &reply(&asked, 2)), Some(Rcode::SERVFAIL));
        let upper = reply(&asked, 3).to_ascii_uppercase();
        assert_eq!(rcode(&asked, &upper), Some(Rcode::NXDOMAIN));
        assert_eq!(rcode(&asked, &asked), None, "a query is no answer");
        for at in [0, 1, 2, 5, 14, asked.len() - 1] {
            let mut other = reply(&asked, 0);
            other[at] ^= 0x10;
            assert_eq!(rcode(&asked, &other), None, "octet {at}");
        }
        let mut short = reply(&asked, 5);
        short[5] = 0;
        short.truncate(HEADER);
        assert_eq!(rcode(&asked, &short), Some(Rcode::REFUSED));
        short[3] = 0x80;
        assert_eq!(rcode(&asked, &short), None, "good, but without a question");
        short.pop();
        assert_eq!(rcode(&asked, &short), None);
    }

    #[test]
    fn nxdomain_is_a_look_up_that_succeeded_and_servfail_is_none() {
        assert!(is_resolved(Rcode::NOERROR) && is_resolved(Rcode::NXDOMAIN));
        assert!(!is_resolved(Rcode::SERVFAIL) && !is_resolved(Rcode::REFUSED));
        assert_eq!(name_of(Rcode::SERVFAIL), "SERVFAIL");
        assert_eq!(name_of(Rcode::YXDOMAIN), "RCODE 6");
    }

    proptest! {
        #[test]
        fn no_octets_make_reading_panic(
            asked in proptest::collection::vec(any::<u8>(), 0..64),
            reply in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = rcode(&asked, &reply);
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,80}") {
            let _ = Inquiry::from_text(&text);
        }
    }
}
