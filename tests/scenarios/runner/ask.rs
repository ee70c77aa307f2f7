//! `ask`: a client's question, in octets.
//!
//! Source: RFC 1035 §4.1, RFC 6891 §6.1.

use std::net::IpAddr;
use std::time::Duration;

use fake_upstream::words::{duration, hex, items, long_name, number, type_code};
use sidestep::dns::request::Transport;

const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const NSID: u16 = 3;
/// The option by which nodes of a service know each other.
const MARKER: u16 = 65_053;
const UDP_SIZE: u16 = 1232;

/// A question, or many of a kind; `{n}` counts them, in the name on and in the address up to 249.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) times: u32,
    pub(crate) gap: Duration,
    /// The next `ask` begins at the same time.
    pub(crate) is_meanwhile: bool,
    pub(crate) transport: Transport,
    client: String,
    name: String,
    qtype: u16,
    qclass: u16,
    id: u16,
    flags: u16,
    opt: Option<Opt>,
    faults: Faults,
}

#[derive(Clone, Debug)]
struct Opt {
    udp_size: u16,
    version: u8,
    flags: u16,
    options: Vec<(u16, Value)>,
}

#[derive(Clone, Debug)]
enum Value {
    Octets(Vec<u8>),
    /// Of the last answer that had one.
    LastCookie,
    /// The same with its last octet wrong.
    BadCookie,
}

/// What no ordinary question has.
#[derive(Clone, Debug, Default)]
struct Faults {
    /// Sent instead, behind the id.
    raw: Option<Vec<u8>>,
    /// QDCOUNT is 0.
    no_question: bool,
    /// QDCOUNT is 2.
    second: bool,
    /// The second question begins with a pointer to the first.
    compressed: bool,
    two_opts: bool,
    /// OPT stands in the answer section.
    opt_in_answer: bool,
    /// OPT belongs to `a.`, not to the root.
    opt_owner: bool,
    /// An SOA in the authority section, as IXFR has it.
    soa: bool,
    trailing: Vec<u8>,
    cut: Option<usize>,
}

impl Ask {
    /// `[N times every D] NAME TYPE, option, …`, or `raw HEX, option, …`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut items = items(text).map(str::trim);
        let mut ask = Self {
            times: 1,
            gap: Duration::ZERO,
            is_meanwhile: false,
            transport: Transport::Udp,
            client: "10.0.0.1".to_owned(),
            name: ".".to_owned(),
            qtype: 1,
            qclass: 1,
            id: 0x1234,
            flags: 0x0100,
            opt: None,
            faults: Faults::default(),
        };
        let mut words: Vec<_> = items.next().unwrap_or_default().split(' ').collect();
        if let [times, "times", "every", gap, rest @ ..] = words.as_slice() {
            (ask.times, ask.gap) = (number(Some(times))?, duration(gap)?);
            words = rest.to_vec();
        }
        match words.as_slice() {
            ["raw", ..] => ask.faults.raw = Some(hex(&words[1..].concat())?),
            [name, qtype] => {
                ask.name = (*name).to_owned();
                ask.qtype = type_code(qtype)?;
            }
            _ => return Err("write: ask NAME TYPE".to_owned()),
        }
        for item in items {
            let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
            ask.take(word, rest.trim())?;
        }
        Ok(ask)
    }

    fn take(&mut self, word: &str, rest: &str) -> Result<(), String> {
        match (word, rest) {
            ("from", client) => self.client = client.to_owned(),
            ("meanwhile", _) => self.is_meanwhile = true,
            ("tcp", _) => self.transport = Transport::Tcp,
            ("id", id) => self.id = number(Some(id))?,
            ("class", class) => {
                self.qclass = match class {
                    "IN" => 1,
                    "CH" => 3,
                    "HS" => 4,
                    "NONE" => 254,
                    "ANY" => 255,
                    other => number(Some(other))?,
                }
            }
            ("opcode", opcode) => self.flags |= number::<u16>(Some(opcode))? << 11,
            ("no", "rd") => self.flags &= !0x0100,
            ("no", "question") => self.faults.no_question = true,
            ("qr", _) => self.flags |= 0x8000,
            ("aa", _) => self.flags |= 0x0400,
            ("tc", _) => self.flags |= 0x0200,
            ("ra", _) => self.flags |= 0x0080,
            ("z", _) => self.flags |= 0x0040,
            ("ad", _) => self.flags |= 0x0020,
            ("cd", _) => self.flags |= 0x0010,
            ("rcode", rcode) => self.flags |= number::<u16>(Some(rcode))?,
            ("trailing", octets) => self.faults.trailing = hex(octets)?,
            ("cut", octets) => self.faults.cut = Some(number(Some(octets))?),
            ("second", "question") => self.faults.second = true,
            ("compressed", _) => self.faults.compressed = true,
            ("two", "opts") => self.faults.two_opts = true,
            ("opt", "in answer") => self.faults.opt_in_answer = true,
            ("opt", "with owner") => self.faults.opt_owner = true,
            ("soa", _) => self.faults.soa = true,
            _ => self.take_option(word, rest)?,
        }
        Ok(())
    }

    /// What needs OPT.
    fn take_option(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let opt = self.opt.get_or_insert(Opt {
            udp_size: UDP_SIZE,
            version: 0,
            flags: 0,
            options: Vec::new(),
        });
        let mut put = |code, value| opt.options.push((code, value));
        match word {
            "edns" if rest.is_empty() => {}
            "edns" => opt.udp_size = number(Some(rest))?,
            "version" => opt.version = number(Some(rest))?,
            "edns-flags" => opt.flags |= u16::from_str_radix(rest, 16).map_err(|_| "no flags")?,
            "do" => opt.flags |= 0x8000,
            "nsid" => put(NSID, Value::Octets(Vec::new())),
            "keepalive" => put(KEEPALIVE, Value::Octets(hex(rest)?)),
            "cookie" if rest == "last" => put(COOKIE, Value::LastCookie),
            "cookie" if rest == "bad" => put(COOKIE, Value::BadCookie),
            "cookie" => put(COOKIE, Value::Octets(hex(rest)?)),
            "marked" => put(MARKER, Value::Octets(vec![1])),
            "option" => {
                let (code, value) = rest.split_once(' ').unwrap_or((rest, ""));
                put(number(Some(code))?, Value::Octets(hex(value)?));
            }
            _ => return Err(format!("what is {word:?}?")),
        }
        Ok(())
    }

    pub(crate) fn client(&self, n: u32) -> Result<IpAddr, String> {
        let text = self.client.replace("{n}", &(n % 250).to_string());
        text.parse().map_err(|_| format!("{text:?} is no address"))
    }

    /// The message; `cookie` is the last that an answer had.
    pub(crate) fn build(&self, n: u32, cookie: &[u8]) -> Result<Vec<u8>, String> {
        let faults = &self.faults;
        let mut message = self.id.to_be_bytes().to_vec();
        if let Some(raw) = &faults.raw {
            message.extend_from_slice(raw);
            return Ok(message);
        }
        let questions = 1 - u16::from(faults.no_question) + u16::from(faults.second);
        let opts = u16::from(self.opt.is_some()) + u16::from(faults.two_opts);
        let additionals = if faults.opt_in_answer { 0 } else { opts };
        let authorities = u16::from(faults.soa);
        for word in [
            self.flags,
            questions,
            opts - additionals,
            authorities,
            additionals,
        ] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        let name = long_name(&self.name.replace("{n}", &n.to_string()))?;
        if !faults.no_question {
            if faults.compressed {
                message.extend_from_slice(&[0xC0, 0x0C]);
            } else {
                message.extend_from_slice(&name);
            }
            self.put_type(&mut message);
        }
        if faults.second {
            message.extend_from_slice(&name);
            self.put_type(&mut message);
        }
        if faults.soa {
            message.extend_from_slice(b"\0\0\x06\0\x01\0\0\0\0\0\x16\0\0");
            message.extend_from_slice(&[0; 20]);
        }
        if let Some(opt) = &self.opt {
            for _ in 0..opts {
                message.extend_from_slice(if faults.opt_owner { b"\x01a\0" } else { b"\0" });
                opt.put(&mut message, cookie)?;
            }
        }
        message.extend_from_slice(&faults.trailing);
        message.truncate(faults.cut.unwrap_or(usize::MAX));
        Ok(message)
    }

    fn put_type(&self, message: &mut Vec<u8>) {
        message.extend_from_slice(&self.qtype.to_be_bytes());
        message.extend_from_slice(&self.qclass.to_be_bytes());
    }
}

impl Opt {
    /// Behind its owner.
    fn put(&self, message: &mut Vec<u8>, cookie: &[u8]) -> Result<(), String> {
        let mut options = Vec::new();
        for (code, value) in &self.options {
            let mut value = match value {
                Value::Octets(octets) => octets.clone(),
                Value::LastCookie | Value::BadCookie if cookie.is_empty() => {
                    return Err("no answer has had a cookie".to_owned());
                }
                Value::LastCookie | Value::BadCookie => cookie.to_vec(),
            };
            if let (Some((_, Value::BadCookie)), Some(last)) =
                (self.options.last(), value.last_mut())
            {
                *last ^= 0xFF;
            }
            options.extend_from_slice(&code.to_be_bytes());
            // At most 65,535, as in the text.
            options.extend_from_slice(&(value.len() as u16).to_be_bytes());
            options.extend_from_slice(&value);
        }
        message.extend_from_slice(&41_u16.to_be_bytes());
        message.extend_from_slice(&self.udp_size.to_be_bytes());
        message.extend_from_slice(&[0, self.version]);
        message.extend_from_slice(&self.flags.to_be_bytes());
        message.extend_from_slice(&(options.len() as u16).to_be_bytes());
        message.extend_from_slice(&options);
        Ok(())
    }
}
