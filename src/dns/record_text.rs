//! Names and records as operators write them, to wire form.
//!
//! Source: RFC 1035 §5.1 (text form), §3.3 (character-strings), RFC 2782 (SRV), RFC 3596 (AAAA).
//! Not done on purpose: `\DDD` escapes, which the library reads as octal.

use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

/// Longest character-string. RFC 1035 §3.3.
const STRING_MAX: usize = 255;
/// RDLENGTH has 16 bits. RFC 1035 §3.2.1.
const RDATA_MAX: usize = 65535;

/// How many words the RDATA of each type is written in.
const WORDS: [(RecordType, usize); 7] = [
    (RecordType::A, 1),
    (RecordType::AAAA, 1),
    (RecordType::CNAME, 1),
    (RecordType::MX, 2),
    (RecordType::NS, 1),
    (RecordType::PTR, 1),
    (RecordType::SRV, 4),
];

/// Why a text is no name or no record; says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordTextError {
    /// A name must have at least one label, or be the root.
    #[error("\".\" is the root; a name may not be empty")]
    EmptyName,
    /// RFC 1035 §2.3.4, §5.1.
    #[error(
        "{name:?} has an empty label, one over 63 octets, or is over 255 octets, or has a character that a name cannot have"
    )]
    Name {
        /// As written.
        name: String,
    },
    /// A backslash and a digit.
    #[error("escapes by number are not supported; write the character itself")]
    NumericEscape,
    /// No such type, or none that can be written here.
    #[error("write one of A, AAAA, CNAME, MX, NS, PTR, SRV, TXT, not {rtype:?}")]
    Type {
        /// As written.
        rtype: String,
    },
    /// The wrong number of words.
    #[error("write {wanted} word(s) for this type, such as {example}")]
    Words {
        /// As many as the type has fields.
        wanted: usize,
        /// A good one.
        example: &'static str,
    },
    /// A word that does not fit its field.
    #[error("write data that fits the type, such as {example}")]
    Data {
        /// A good one.
        example: &'static str,
    },
    /// Quotes that are not closed, or text outside of them.
    #[error("write one text without quotes, or several, each in quotes")]
    Quotes,
    /// A character-string takes 255 octets, RDATA 65535.
    #[error("write less: a text in quotes may have 255 octets, all together 65535")]
    TooLong,
}

impl RecordTextError {
    /// Whether the type is wrong, and not the data.
    #[must_use]
    pub const fn is_about_type(&self) -> bool {
        matches!(self, Self::Type { .. })
    }
}

/// Reads a domain name; without a final dot it is taken as complete all the same.
///
/// The result is in uncompressed wire form and lower case. Names that are not ASCII become A-labels.
///
/// # Errors
/// [`RecordTextError::EmptyName`], [`RecordTextError::NumericEscape`], [`RecordTextError::Name`].
pub fn name_from_text(text: &str) -> Result<Vec<u8>, RecordTextError> {
    let name = name(text)?;
    let mut wire = Vec::with_capacity(text.len() + 2);
    uncompressed(&name.to_lowercase(), &mut wire).ok_or_else(|| RecordTextError::Name {
        name: text.to_owned(),
    })?;
    Ok(wire)
}

/// Reads a type that can be asked for; `None`: there is none such, or it stands for several (ANY), or
/// for no data (OPT and the like). RFC 6895 §3.1.
#[must_use]
pub fn type_from_text(text: &str) -> Option<u16> {
    let rtype: RecordType = text.to_ascii_uppercase().parse().ok()?;
    let code: u16 = rtype.into();
    (!matches!(code, 0 | 41 | 128..=255)).then_some(code)
}

/// Reads a type and the RDATA that is written for it; names in it are complete without a final dot.
///
/// The RDATA is in wire form, uncompressed.
///
/// # Errors
/// Any [`RecordTextError`] but [`RecordTextError::EmptyName`].
pub fn rdata_from_text(rtype: &str, data: &str) -> Result<(u16, Vec<u8>), RecordTextError> {
    let upper = rtype.to_ascii_uppercase();
    if upper == "TXT" {
        return Ok((RecordType::TXT.into(), txt(data)?));
    }
    let parsed: Option<RecordType> = upper.parse().ok();
    let known = WORDS.iter().find(|(known, _)| Some(*known) == parsed);
    let Some((known, wanted)) = known else {
        return Err(RecordTextError::Type {
            rtype: rtype.to_owned(),
        });
    };
    let example = example(*known);
    let words: Vec<&str> = data.split_whitespace().collect();
    if words.len() != *wanted {
        return Err(RecordTextError::Words {
            wanted: *wanted,
            example,
        });
    }
    let has_name = !matches!(known, RecordType::A | RecordType::AAAA);
    if has_name && let Some(last) = words.last() {
        name(last)?;
    }
    // Characters that mean something in a zone file, which this is not.
    if data.contains(['"', ';', '(', ')', '@', '$']) {
        return Err(RecordTextError::Data { example });
    }
    let rdata = RData::try_from_str(*known, &words.join(" "));
    let mut wire = Vec::new();
    rdata
        .ok()
        .and_then(|rdata| uncompressed(&rdata, &mut wire))
        .ok_or(RecordTextError::Data { example })?;
    Ok(((*known).into(), wire))
}

fn example(rtype: RecordType) -> &'static str {
    match rtype {
        RecordType::A => "\"10.0.0.40\"",
        RecordType::AAAA => "\"2001:db8::40\"",
        RecordType::MX => "\"10 mail.example.\"",
        RecordType::SRV => "\"0 5 5060 sip.example.\"",
        _ => "\"host.example.\"",
    }
}

fn name(text: &str) -> Result<Name, RecordTextError> {
    if text.is_empty() {
        return Err(RecordTextError::EmptyName);
    }
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet == b'\\' && octets.next().is_some_and(|next| next.is_ascii_digit()) {
            return Err(RecordTextError::NumericEscape);
        }
    }
    let parsed = if text.is_ascii() {
        Name::from_ascii(text)
    } else {
        Name::from_utf8(text)
    };
    parsed.map_err(|_| RecordTextError::Name {
        name: text.to_owned(),
    })
}

fn uncompressed(item: &impl BinEncodable, wire: &mut Vec<u8>) -> Option<()> {
    let mut encoder = BinEncoder::new(wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    item.emit(&mut encoder).ok()
}

/// Texts in quotes are one character-string each; text without quotes is one text, cut to size.
fn txt(data: &str) -> Result<Vec<u8>, RecordTextError> {
    let mut wire = Vec::new();
    if data.trim_start().starts_with('"') {
        let mut rest = data.trim();
        while !rest.is_empty() {
            let (string, after) = quoted(rest).ok_or(RecordTextError::Quotes)?;
            character_string(&string, &mut wire)?;
            rest = after.trim_start();
        }
    } else if data.is_empty() {
        wire.push(0);
    } else {
        for chunk in data.as_bytes().chunks(STRING_MAX) {
            character_string(chunk, &mut wire)?;
        }
    }
    if wire.len() > RDATA_MAX {
        return Err(RecordTextError::TooLong);
    }
    Ok(wire)
}

fn character_string(octets: &[u8], wire: &mut Vec<u8>) -> Result<(), RecordTextError> {
    wire.push(u8::try_from(octets.len()).map_err(|_| RecordTextError::TooLong)?);
    wire.extend_from_slice(octets);
    Ok(())
}

/// The octets between the quotes at the start of `text`, and what follows them.
fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut octets = Vec::new();
    let mut rest = text.strip_prefix('"')?.chars();
    loop {
        let next = match rest.next()? {
            '"' => return Some((octets, rest.as_str())),
            '\\' => rest.next()?,
            other => other,
        };
        octets.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests;
