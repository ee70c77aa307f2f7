//! Scripts: from text to rules.

use std::time::Duration;

use crate::record::Record;
use crate::words::{duration, hex, items, name, number, quoted, rcode, type_code};

/// How long a question waits at most at a server that has more of them than it can serve.
pub const QUEUE: Duration = Duration::from_millis(50);

/// Rules in their order.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The first one that matches holds.
    pub rules: Vec<Rule>,
}

/// What follows which questions.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which.
    pub condition: Condition,
    /// What.
    pub reaction: Reaction,
}

/// Which questions a rule is for; `None`: any.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// Of the name.
    pub name: Name,
    /// Type code.
    pub qtype: Option<u16>,
    /// Over TCP.
    pub tcp: Option<bool>,
    /// With OPT.
    pub edns: Option<bool>,
    /// With the DO bit.
    pub dnssec_ok: bool,
    /// With the marker of a sibling.
    pub marked: bool,
    /// With a server's cookie.
    pub server_cookie: Option<bool>,
    /// Holds so many times.
    pub first: Option<u32>,
    /// Holds each time whose number is a multiple of this.
    pub every: Option<u32>,
}

/// A condition of the name; wire form, lower case.
#[derive(Clone, Debug, Default)]
pub enum Name {
    /// Every name.
    #[default]
    Any,
    /// This one.
    Is(Vec<u8>),
    /// Those below, and it itself not.
    Below(Vec<u8>),
}

/// What follows.
#[derive(Clone, Debug, Default)]
pub struct Reaction {
    /// RDATA for the type asked for, as text.
    pub answers: Vec<String>,
    /// Answer, authority, additional.
    pub records: [Vec<Record>; 3],
    /// An address from the name.
    pub echo: bool,
    /// Seconds; `None`: 60.
    pub ttl_s: Option<u32>,
    /// With the upper bits for OPT.
    pub rcode: u16,
    /// INFO-CODE.
    pub reason: Option<u16>,
    /// Header bits.
    pub flags: Flags,
    /// When.
    pub delay: Delay,
    /// 0 to 100.
    pub loss_percent: u32,
    /// Questions a second that can be served; what would wait for over [`QUEUE`] is lost.
    pub capacity: Option<u32>,
    /// Instead of an answer.
    pub instead: Option<Instead>,
    /// What is wrong with the answer.
    pub faults: Faults,
    /// A server's cookie, 8 to 32 octets.
    pub cookie: Option<Vec<u8>>,
    /// Other options of OPT, by code.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// Header bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// AA.
    pub authoritative: bool,
    /// AD.
    pub authentic: bool,
    /// TC.
    pub truncated: bool,
}

/// How long an answer takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delay {
    /// None.
    #[default]
    None,
    /// Evenly between the two.
    Between(Duration, Duration),
    /// Exponentially, with this mean.
    Exponential(Duration),
}

/// What happens instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Nothing.
    Silent,
    /// The port is closed.
    Refuse,
    /// The connection is closed.
    Close,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Another id.
    pub wrong_id: bool,
    /// The letters of the name have the other case.
    pub wrong_case: bool,
    /// A wrong client cookie.
    pub wrong_cookie: bool,
    /// QDCOUNT is 0.
    pub no_question: bool,
    /// RA is 0: it does not resolve.
    pub no_ra: bool,
    /// Name and type of another question.
    pub wrong_question: Option<(Vec<u8>, u16)>,
    /// Without OPT.
    pub no_opt: bool,
    /// Owners that equal the question are written out.
    pub uncompressed: bool,
    /// Forged answers with ids of chance, before and after the real one.
    pub forged: [u32; 2],
    /// Octets of TXT on top.
    pub huge: usize,
    /// Octets that are sent of the message.
    pub cut: Option<usize>,
    /// Sent instead of the message, behind the id.
    pub raw: Option<Vec<u8>>,
    /// Sent again.
    pub twice: bool,
}

/// Where a script is wrong, and how.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ScriptError {
    /// From 1 on.
    pub line: usize,
    /// What to mend.
    pub problem: String,
}

impl Script {
    /// Reads one script.
    ///
    /// # Errors
    /// [`ScriptError`] for the first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut rules = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let rule = Rule::parse(line).map_err(|problem| ScriptError {
                line: number + 1,
                problem,
            })?;
            rules.push(rule);
        }
        Ok(Self { rules })
    }

    /// Reads a file of scripts by name; what stands before the first name is called "".
    ///
    /// # Errors
    /// [`ScriptError`] for the first line that cannot be read.
    pub fn parse_all(text: &str) -> Result<Vec<(String, Self)>, ScriptError> {
        let mut parts = vec![(String::new(), 0, String::new())];
        for (number, line) in text.lines().enumerate() {
            if let Some(name) = line.trim().strip_prefix("== ") {
                parts.push((name.trim().to_owned(), number + 1, String::new()));
            } else if let Some((_, _, text)) = parts.last_mut() {
                text.push_str(line);
                text.push('\n');
            }
        }
        parts
            .into_iter()
            .filter(|(name, _, text)| !name.is_empty() || !text.trim().is_empty())
            .map(|(name, before, text)| {
                let script = Self::parse(&text).map_err(|error| ScriptError {
                    line: error.line + before,
                    ..error
                })?;
                Ok((name, script))
            })
            .collect()
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Self, String> {
        let (condition, reaction) = line
            .split_once("->")
            .ok_or("write: name … -> what follows")?;
        Ok(Self {
            condition: Condition::parse(condition)?,
            reaction: Reaction::parse(reaction)?,
        })
    }
}

impl Condition {
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let wanted = words.next().ok_or("write a name or *")?;
        let mut condition = Self {
            name: match wanted.strip_prefix("*.") {
                _ if wanted == "*" => Name::Any,
                Some(above) => Name::Below(name(above)?.to_ascii_lowercase()),
                None => Name::Is(name(wanted)?.to_ascii_lowercase()),
            },
            ..Self::default()
        };
        while let Some(word) = words.next() {
            match word {
                "udp" => condition.tcp = Some(false),
                "tcp" => condition.tcp = Some(true),
                "edns" => condition.edns = Some(true),
                "plain" => condition.edns = Some(false),
                "do" => condition.dnssec_ok = true,
                "marked" => condition.marked = true,
                "with-cookie" => condition.server_cookie = Some(true),
                "without-cookie" => condition.server_cookie = Some(false),
                "first" => condition.first = Some(number(words.next())?),
                "every" => condition.every = Some(number(words.next())?),
                rtype => condition.qtype = Some(type_code(rtype)?),
            }
        }
        Ok(condition)
    }
}

impl Reaction {
    fn parse(text: &str) -> Result<Self, String> {
        let mut reaction = Self::default();
        for item in items(text) {
            let item = item.trim();
            let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
            reaction.take(word, rest.trim())?;
        }
        Ok(reaction)
    }

    fn take(&mut self, word: &str, rest: &str) -> Result<(), String> {
        match word {
            "answer" => self.answers.push(quoted(rest)?.to_owned()),
            "rr" => self.records[0].push(Record::parse(quoted(rest)?)?),
            "authority" => self.records[1].push(Record::parse(quoted(rest)?)?),
            "additional" => self.records[2].push(Record::parse(quoted(rest)?)?),
            "echo" => self.echo = true,
            "ttl" => self.ttl_s = Some(number(Some(rest))?),
            "rcode" => self.rcode = rcode(rest)?,
            "ede" => self.reason = Some(number(Some(rest))?),
            "aa" => self.flags.authoritative = true,
            "ad" => self.flags.authentic = true,
            "tc" => self.flags.truncated = true,
            "delay" => self.delay = Delay::parse(rest)?,
            "capacity" => self.capacity = Some(number(Some(rest))?),
            "loss" => self.loss_percent = number(rest.strip_suffix('%'))?,
            "silent" | "half-open" => self.instead = Some(Instead::Silent),
            "refuse" => self.instead = Some(Instead::Refuse),
            "close" => self.instead = Some(Instead::Close),
            "cookie" => self.cookie = Some(hex(rest)?),
            "option" => {
                let (code, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.options.push((number(Some(code))?, hex(value)?));
            }
            _ => self.faults.take(word, rest)?,
        }
        Ok(())
    }
}

impl Faults {
    fn take(&mut self, word: &str, rest: &str) -> Result<(), String> {
        match word {
            "wrong-id" => self.wrong_id = true,
            "wrong-case" => self.wrong_case = true,
            "wrong-cookie" => self.wrong_cookie = true,
            "no-question" => self.no_question = true,
            "no-ra" => self.no_ra = true,
            "wrong-question" => {
                let (other, rtype) = quoted(rest)?.split_once(' ').ok_or("write \"NAME TYPE\"")?;
                self.wrong_question = Some((name(other)?, type_code(rtype.trim())?));
            }
            "no-opt" => self.no_opt = true,
            "uncompressed" => self.uncompressed = true,
            "spoof" => self.forged[1] = number(Some(rest))?,
            "spoof-first" => self.forged[0] = number(Some(rest))?,
            "huge" => self.huge = number(Some(rest))?,
            "cut" => self.cut = Some(number(Some(rest))?),
            "raw" => self.raw = Some(hex(rest)?),
            "twice" => self.twice = true,
            _ => return Err(format!("what is {word:?}?")),
        }
        Ok(())
    }
}

impl Delay {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(mean) = text.strip_prefix("exp ") {
            return Ok(Self::Exponential(duration(mean)?));
        }
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        Ok(Self::Between(duration(least)?, duration(most)?))
    }
}
