//! Messages, decoded without the code that is tested, and as text.
//!
//! Source: RFC 1035 §4.1, RFC 6891 §6.1.

use std::fmt::{self, Display, Write};

use fake_upstream::words::{rcode_name, type_name};

const OPT: u16 = 41;
/// The sections by name.
pub(crate) const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// A decoded message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) octets: usize,
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// Name, type, class, as octets.
    pub(crate) questions: Vec<Vec<u8>>,
    /// Without OPT.
    pub(crate) sections: [Vec<Record>; 3],
    pub(crate) opt: Option<Opt>,
}

/// A record as text.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) owner: String,
    pub(crate) ttl_s: u32,
    /// With the class before it, unless that is IN.
    pub(crate) rtype: String,
    pub(crate) data: String,
}

/// What OPT says.
#[derive(Clone, Debug)]
pub(crate) struct Opt {
    pub(crate) udp_size: u16,
    pub(crate) extended_rcode: u8,
    pub(crate) version: u8,
    pub(crate) flags: u16,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u8(&mut self) -> Result<u8, String> {
        let octet = self.message.get(self.at).ok_or("it ends too soon")?;
        self.at += 1;
        Ok(*octet)
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// A name, perhaps compressed; pointers have to point backwards. RFC 1035 §4.1.4.
    fn name(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut octets = 0;
        let mut behind = None;
        let mut least = self.at;
        loop {
            let length = self.u8()?;
            if length >= 0xC0 {
                let target = usize::from(length & 0x3F) << 8 | usize::from(self.u8()?);
                if target >= least {
                    return Err("a pointer points forwards".to_owned());
                }
                behind.get_or_insert(self.at);
                (self.at, least) = (target, target);
                continue;
            }
            octets += 1 + usize::from(length);
            if length > 63 || octets > 255 {
                return Err("a name is too long".to_owned());
            }
            if length == 0 {
                break;
            }
            for _ in 0..length {
                push_octet(&mut text, self.u8()?, b".");
            }
            text.push('.');
        }
        self.at = behind.unwrap_or(self.at);
        Ok(if text.is_empty() {
            ".".to_owned()
        } else {
            text
        })
    }
}

fn push_octet(text: &mut String, octet: u8, escaped: &[u8]) {
    if escaped.contains(&octet) || octet == b'\\' {
        text.push('\\');
        text.push(char::from(octet));
    } else if octet.is_ascii_graphic() {
        text.push(char::from(octet));
    } else {
        text.push_str(&format!("\\{octet:03}"));
    }
}

impl Message {
    /// Decodes a message, which has to end where its last record ends.
    pub(crate) fn decode(octets: &[u8]) -> Result<Self, String> {
        let mut reader = Reader {
            message: octets,
            at: 0,
        };
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let question_count = reader.u16()?;
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?];
        let mut questions = Vec::new();
        for _ in 0..question_count {
            let start = reader.at;
            reader.name()?;
            reader.u32()?;
            questions.push(octets.get(start..reader.at).unwrap_or_default().to_vec());
        }
        let mut sections = [const { Vec::new() }; 3];
        let mut opt = None;
        for (section, count) in sections.iter_mut().zip(counts) {
            for _ in 0..count {
                match read_record(&mut reader)? {
                    Either::Record(record) => section.push(record),
                    Either::Opt(_) if opt.is_some() => return Err("two OPT".to_owned()),
                    Either::Opt(one) => opt = Some(one),
                }
            }
        }
        if reader.at != octets.len() {
            return Err(format!("{} octets too many", octets.len() - reader.at));
        }
        Ok(Self {
            octets: octets.len(),
            id,
            flags,
            questions,
            sections,
            opt,
        })
    }

    /// With the upper bits from OPT.
    pub(crate) fn rcode(&self) -> u16 {
        let upper = self.opt.as_ref().map_or(0, |opt| opt.extended_rcode);
        u16::from(upper) << 4 | self.flags & 0x0F
    }

    pub(crate) fn opcode(&self) -> u16 {
        self.flags >> 11 & 0x0F
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The values of an option.
    pub(crate) fn options(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        let options = self.opt.iter().flat_map(|opt| &opt.options);
        options
            .filter(move |(other, _)| *other == code)
            .map(|(_, value)| value.as_slice())
    }

    /// INFO-CODEs. RFC 8914 §2.
    pub(crate) fn reasons(&self) -> Vec<u16> {
        let words = self.options(15).filter_map(|value| value.first_chunk());
        words.map(|code| u16::from_be_bytes(*code)).collect()
    }
}

enum Either {
    Record(Record),
    Opt(Opt),
}

fn read_record(reader: &mut Reader<'_>) -> Result<Either, String> {
    let owner = reader.name()?;
    let (rtype, class) = (reader.u16()?, reader.u16()?);
    let ttl_s = reader.u32()?;
    let end = usize::from(reader.u16()?) + reader.at;
    if end > reader.message.len() {
        return Err("RDATA ends behind the message".to_owned());
    }
    if rtype == OPT {
        let [extended_rcode, version, high, low] = ttl_s.to_be_bytes();
        let mut options = Vec::new();
        while reader.at < end {
            let (code, octets) = (reader.u16()?, reader.u16()?);
            let mut value = Vec::new();
            for _ in 0..octets {
                value.push(reader.u8()?);
            }
            options.push((code, value));
        }
        return Ok(Either::Opt(Opt {
            udp_size: class,
            extended_rcode,
            version,
            flags: u16::from_be_bytes([high, low]),
            options,
        }));
    }
    let data = data(reader, rtype, end)?;
    if reader.at != end {
        return Err(format!(
            "RDATA of {owner} has another length than its fields"
        ));
    }
    let class = match class {
        1 => String::new(),
        3 => "CH ".to_owned(),
        other => format!("CLASS{other} "),
    };
    let rtype = class + &type_name(rtype);
    Ok(Either::Record(Record {
        owner,
        ttl_s,
        rtype,
        data,
    }))
}

/// RDATA as text: names and numbers of the types of RFC 1035, octets of all others.
fn data(reader: &mut Reader<'_>, rtype: u16, end: usize) -> Result<String, String> {
    let octets = end - reader.at;
    match rtype {
        1 if octets == 4 => Ok(std::net::Ipv4Addr::from(reader.u32()?).to_string()),
        28 if octets == 16 => {
            let halves = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
            let whole = halves
                .iter()
                .fold(0, |sum, half| sum << 32 | u128::from(*half));
            Ok(std::net::Ipv6Addr::from(whole).to_string())
        }
        2 | 5 | 12 | 39 => reader.name(),
        6 => {
            let mut text = format!("{} {}", reader.name()?, reader.name()?);
            for _ in 0..5 {
                let _ = write!(text, " {}", reader.u32()?);
            }
            Ok(text)
        }
        15 => Ok(format!("{} {}", reader.u16()?, reader.name()?)),
        33 => {
            let numbers = [reader.u16()?, reader.u16()?, reader.u16()?];
            let [priority, weight, port] = numbers;
            Ok(format!("{priority} {weight} {port} {}", reader.name()?))
        }
        13 | 16 => {
            let mut strings = Vec::new();
            while reader.at < end {
                let mut text = String::new();
                for _ in 0..reader.u8()? {
                    push_octet(&mut text, reader.u8()?, b"\"");
                }
                strings.push(format!("\"{text}\""));
            }
            Ok(strings.join(" "))
        }
        46 => {
            let rest = reader.message.get(reader.at..end).unwrap_or_default();
            let covered = rest
                .first_chunk()
                .map_or(0, |code| u16::from_be_bytes(*code));
            reader.at += 18.min(octets);
            let signer = reader.name()?;
            reader.at = end;
            Ok(format!("{} {signer}", type_name(covered)))
        }
        47 => {
            let next = reader.name()?;
            reader.at = end;
            Ok(next)
        }
        _ => {
            let mut text = format!("\\# {octets} ");
            for _ in 0..octets {
                let _ = write!(text, "{:02X}", reader.u8()?);
            }
            Ok(text.trim_end().to_owned())
        }
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, ttl_s, rtype, data) = (&self.owner, self.ttl_s, &self.rtype, &self.data);
        write!(f, "{owner} {ttl_s} {rtype} {data}")
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    {}, id {}", rcode_name(self.rcode()), self.id)?;
        let flags = [
            ("qr", 15),
            ("aa", 10),
            ("tc", 9),
            ("rd", 8),
            ("ra", 7),
            ("z", 6),
            ("ad", 5),
            ("cd", 4),
        ];
        for (name, _) in flags.iter().filter(|(_, bit)| self.has(1 << bit)) {
            write!(f, " {name}")?;
        }
        writeln!(f, ", {} octets", self.octets)?;
        for question in &self.questions {
            let mut reader = Reader {
                message: question,
                at: 0,
            };
            let read = (reader.name(), reader.u16(), reader.u16());
            if let (Ok(name), Ok(qtype), Ok(qclass)) = read {
                writeln!(
                    f,
                    "    question \"{name} {}\" class {qclass}",
                    type_name(qtype)
                )?;
            }
        }
        for (name, records) in SECTIONS.iter().zip(&self.sections) {
            for record in records {
                writeln!(f, "    {name} \"{record}\"")?;
            }
        }
        if let Some(opt) = &self.opt {
            let (version, size, flags) = (opt.version, opt.udp_size, opt.flags);
            write!(
                f,
                "    opt version {version}, size {size}, flags {flags:04x}"
            )?;
            for (code, value) in &opt.options {
                let digits: String = value.iter().map(|octet| format!("{octet:02X}")).collect();
                write!(f, ", option {code} {digits}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
