//! `expect`: what an answer has to be, and what every answer has to be.
//!
//! Source of what holds for every answer: RFC 1035 §4.1 (id, question, Z), RFC 6891 §6.1.1 and §7 (OPT
//! only for OPT, version 0), §6.2.5 (size), RFC 6840 §5.8 (AD), RFC 4035 §3.2.2 (CD).

use std::time::Duration;

use fake_upstream::words::{RCODES, duration, hex, items, number, quoted, rcode_name};
use sidestep::dns::request::Transport;

use super::message::{Message, Record, SECTIONS};

const QR: u16 = 1 << 15;
const AA: u16 = 1 << 10;
const TC: u16 = 1 << 9;
const RD: u16 = 1 << 8;
const RA: u16 = 1 << 7;
const Z: u16 = 1 << 6;
const AD: u16 = 1 << 5;
const CD: u16 = 1 << 4;

/// What was asked, and what came when.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) question: &'a [u8],
    pub(crate) transport: Transport,
    pub(crate) answer: &'a [u8],
    pub(crate) took: Duration,
}

/// Checks an answer against the items of an `expect`.
pub(crate) fn check(text: &str, answered: &Answered<'_>) -> Result<(), String> {
    let message = Message::decode(answered.answer).map_err(|error| {
        let digits: String = answered
            .answer
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        format!("the answer cannot be decoded: {error}: {digits}")
    })?;
    let wrong = |what: String| format!("{what}; what came after {:?}:\n{message}", answered.took);
    obeys_rules(answered, &message).map_err(wrong)?;
    // RFC 3597 §5 lets RDATA be empty, which that one does not.
    let has_empty = message
        .sections
        .iter()
        .flatten()
        .any(|record| record.data == r"\# 0");
    let other = hickory_proto::op::Message::from_vec(answered.answer);
    if let (Err(error), false) = (other, has_empty) {
        return Err(wrong(format!("another decoder refuses it: {error}")));
    }
    let mut wanted: [Option<Vec<&str>>; 3] = [const { None }; 3];
    for item in items(text).map(str::trim) {
        let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
        let rest = rest.trim();
        if let Some(at) = SECTIONS.iter().position(|section| *section == word) {
            let records = wanted[at].get_or_insert_default();
            if rest != "none" {
                records.push(quoted(rest)?);
            }
            continue;
        }
        let is_so = item_holds(word, rest, answered, &message)?;
        if !is_so {
            return Err(wrong(format!("expected {item}")));
        }
    }
    for ((name, wanted), records) in SECTIONS.iter().zip(wanted).zip(&message.sections) {
        if let Some(wanted) = wanted {
            same_records(name, &wanted, records).map_err(wrong)?;
        }
    }
    Ok(())
}

fn item_holds(
    word: &str,
    rest: &str,
    answered: &Answered<'_>,
    message: &Message,
) -> Result<bool, String> {
    if RCODES.iter().any(|(name, _)| *name == word) {
        return Ok(rcode_name(message.rcode()) == word);
    }
    Ok(match (word, rest) {
        ("no", "opt") => message.opt.is_none(),
        ("no", "ede") => message.reasons().is_empty(),
        ("no", "question") => message.questions.is_empty(),
        ("no", "do") => message
            .opt
            .as_ref()
            .is_some_and(|opt| opt.flags & 0x8000 == 0),
        ("no", "records") => message.sections.iter().all(Vec::is_empty),
        ("no", other) => match other.strip_prefix("option ") {
            Some(code) => message.options(number(Some(code))?).next().is_none(),
            None => !message.has(flag(other)?),
        },
        ("opt", "") => message.opt.is_some(),
        ("do", "") => message
            .opt
            .as_ref()
            .is_some_and(|opt| opt.flags & 0x8000 != 0),
        ("ede", codes) => {
            let wanted: Result<Vec<u16>, _> =
                codes.split(' ').map(|code| number(Some(code))).collect();
            message.reasons() == wanted?
        }
        ("option", value) => {
            let (code, value) = value.split_once(' ').unwrap_or((value, ""));
            let mut values = message.options(number(Some(code))?);
            let wanted = hex(value)?;
            values.any(|value| wanted.is_empty() || value == wanted)
        }
        ("nsid", text) => message.options(3).any(|value| value == text.as_bytes()),
        ("cookie", octets) => {
            let wanted: usize = number(octets.strip_suffix(" octets"))?;
            message.options(10).any(|value| value.len() == wanted)
        }
        ("answers", count) => message.sections[0].len() == number::<usize>(Some(count))?,
        ("size", size) => {
            let (most, least) = (size.strip_prefix("<= "), size.strip_prefix(">= "));
            match (most, least) {
                (Some(most), _) => message.octets <= number(Some(most))?,
                (_, Some(least)) => message.octets >= number(Some(least))?,
                _ => message.octets == number::<usize>(Some(size))?,
            }
        }
        ("no-larger-than-question", extra) => {
            message.octets <= answered.question.len() + number::<usize>(Some(extra))?
        }
        ("at", "once") => answered.took.is_zero(),
        ("within", most) => answered.took <= duration(most)?,
        ("after", least) => answered.took >= duration(least)?,
        (name, "") => message.has(flag(name)?),
        _ => return Err(format!("what is \"{word} {rest}\"?")),
    })
}

fn flag(name: &str) -> Result<u16, String> {
    Ok(match name {
        "aa" => AA,
        "tc" => TC,
        "rd" => RD,
        "ra" => RA,
        "ad" => AD,
        "cd" => CD,
        _ => return Err(format!("what is {name:?}?")),
    })
}

/// What has to be so whatever was asked.
fn obeys_rules(answered: &Answered<'_>, message: &Message) -> Result<(), String> {
    let Some(([high, low, flags_high, flags_low], rest)) = answered.question.split_first_chunk()
    else {
        return Err("there is an answer to less than a header".to_owned());
    };
    let asked = Message::decode(answered.question).ok();
    let flags = u16::from_be_bytes([*flags_high, *flags_low]);
    let opt = asked.as_ref().and_then(|asked| asked.opt.as_ref());
    let least = opt.map_or(512, |opt| opt.udp_size.clamp(512, 1232));
    let too_large = answered.transport == Transport::Udp && message.octets > usize::from(least);
    let is_echoed = message.questions.is_empty()
        || rest
            .get(8..)
            .is_some_and(|rest| rest.starts_with(&message.questions[0]));
    let rules = [
        (
            message.id == u16::from_be_bytes([*high, *low]),
            "the id of the question",
        ),
        (
            message.has(QR) && message.has(RA) && !message.has(Z),
            "QR and RA, and no Z",
        ),
        (
            message.opcode() == flags >> 11 & 0x0F,
            "the opcode of the question",
        ),
        (message.has(RD) == (flags & RD != 0), "RD as it was"),
        (is_echoed, "the question octet by octet"),
        (!too_large, "an answer that the client can take"),
        (
            message.opt.is_none() || opt.is_some() || asked.is_none(),
            "no OPT without OPT",
        ),
        (
            message
                .opt
                .as_ref()
                .is_none_or(|opt| opt.version == 0 && opt.flags & 0x7FFF == 0),
            "EDNS version 0, and no flag besides DO",
        ),
        (
            !message.has(TC) || message.sections.iter().all(Vec::is_empty),
            "no records in what is cut short",
        ),
    ];
    match rules.iter().find(|(is_so, _)| !is_so) {
        Some((_, rule)) => Err(format!("every answer has {rule}")),
        None => Ok(()),
    }
}

fn same_records(section: &str, wanted: &[&str], records: &[Record]) -> Result<(), String> {
    if wanted.len() != records.len() {
        let (wanted, came) = (wanted.len(), records.len());
        return Err(format!(
            "{section}: expected {wanted} record(s), not {came}"
        ));
    }
    for (wanted, record) in wanted.iter().zip(records) {
        if !fits(wanted, record)? {
            return Err(format!(
                "{section}: expected \"{wanted}\", not \"{record}\""
            ));
        }
    }
    Ok(())
}

/// `OWNER TTL TYPE DATA`; each but the type may be `*`, the TTL also `N..M`.
fn fits(wanted: &str, record: &Record) -> Result<bool, String> {
    let mut words = wanted.splitn(3, ' ');
    let (owner, ttl) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let rest = words.next().unwrap_or_default();
    let ttl_fits = match ttl.split_once("..") {
        _ if ttl == "*" => true,
        Some((least, most)) => (number(Some(least))?..=number(Some(most))?).contains(&record.ttl_s),
        None => record.ttl_s == number::<u32>(Some(ttl))?,
    };
    let data = rest
        .strip_prefix(record.rtype.as_str())
        .and_then(|rest| rest.strip_prefix(' ').or(rest.is_empty().then_some(rest)));
    let data_fits = data.is_some_and(|data| data == "*" || data == record.data);
    let owner_fits = owner == "*" || owner == record.owner;
    Ok(owner_fits && ttl_fits && data_fits)
}
