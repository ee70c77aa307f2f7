//! The words of scripts and scenarios: names, types, codes, durations.
//!
//! Source: RFC 1035 §5.1 (names as text), RFC 3597 §5 (types by number).

use std::time::Duration;

/// Types by name.
pub const TYPES: [(&str, u16); 30] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("WKS", 11),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DNAME", 39),
    ("OPT", 41),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("TLSA", 52),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("MAILB", 253),
    ("MAILA", 254),
    ("ANY", 255),
    ("CAA", 257),
];

/// Result codes by name. RFC 6895 §2.3.
pub const RCODES: [(&str, u16); 9] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
];

const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 255;

/// Splits at commas that are not within quotation marks.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
    .filter(|item| !item.trim().is_empty())
}

/// What stands between the first and the last quotation mark.
///
/// # Errors
/// When there are none.
pub fn quoted(text: &str) -> Result<&str, String> {
    text.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or_else(|| format!("{text:?} is not in quotation marks"))
}

/// A name in wire form, its letters as written. `\DDD` stands for an octet, and a label such as
/// `a*63` for that many of its letter.
///
/// # Errors
/// When it is no name of at most 255 octets.
pub fn name(text: &str) -> Result<Vec<u8>, String> {
    let wire = long_name(text)?;
    if wire.len() > NAME_MAX {
        return Err(format!("{text:?} has {} octets", wire.len()));
    }
    Ok(wire)
}

/// The same, however long it is: what may be asked, and no name may have.
///
/// # Errors
/// When a label is empty or too long, or an escape cannot be read.
pub fn long_name(text: &str) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    if text == "." {
        return Ok(vec![0]);
    }
    for label in labels(text.strip_suffix('.').unwrap_or(text))? {
        if label.is_empty() || label.len() > LABEL_MAX {
            return Err(format!("{text:?} has a label of {} octets", label.len()));
        }
        // At most 63.
        wire.push(label.len() as u8);
        wire.extend_from_slice(&label);
    }
    wire.push(0);
    Ok(wire)
}

fn labels(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut labels = vec![Vec::new()];
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'.', _) => labels.push(Vec::new()),
            (b'\\', [a, b, c, ..]) if a.is_ascii_digit() => {
                let digits = [*a, *b, *c];
                let digits = String::from_utf8_lossy(&digits);
                let octet = digits
                    .parse()
                    .map_err(|_| format!("no octet: \\{digits}"))?;
                push(&mut labels, octet);
                rest = behind.get(3..).unwrap_or_default();
            }
            (b'\\', [next, ..]) => {
                push(&mut labels, *next);
                rest = behind.get(1..).unwrap_or_default();
            }
            (octet, _) => push(&mut labels, *octet),
        }
    }
    for label in &mut labels {
        let text = String::from_utf8_lossy(label);
        let many = text.split_once('*').filter(|(one, _)| one.len() == 1);
        if let Some((one, Ok(count))) = many.map(|(one, count)| (one, count.parse())) {
            *label = one.repeat(count).into_bytes();
        }
    }
    Ok(labels)
}

fn push(labels: &mut [Vec<u8>], octet: u8) {
    if let Some(label) = labels.last_mut() {
        label.push(octet);
    }
}

/// The code of a type by name, or of `TYPEn`. RFC 3597 §5.
///
/// # Errors
/// When there is none.
pub fn type_code(text: &str) -> Result<u16, String> {
    let code = TYPES.iter().find(|(name, _)| *name == text);
    let numbered = || text.strip_prefix("TYPE")?.parse().ok();
    code.map(|(_, code)| *code)
        .or_else(numbered)
        .ok_or_else(|| format!("what is {text:?}?"))
}

/// The name of a type.
#[must_use]
pub fn type_name(code: u16) -> String {
    let known = TYPES.iter().find(|(_, known)| *known == code);
    known.map_or_else(|| format!("TYPE{code}"), |(name, _)| (*name).to_owned())
}

/// The code of an RCODE by name or number.
///
/// # Errors
/// When there is none.
pub fn rcode(text: &str) -> Result<u16, String> {
    match RCODES.iter().find(|(name, _)| *name == text) {
        Some((_, code)) => Ok(*code),
        None => number(Some(text)),
    }
}

/// The name of an RCODE, or its number.
#[must_use]
pub fn rcode_name(code: u16) -> String {
    let known = RCODES.iter().find(|(_, known)| *known == code);
    known.map_or_else(|| code.to_string(), |(name, _)| (*name).to_owned())
}

/// `250us`, `10ms`, `2s`, `5m` or `1h`.
///
/// # Errors
/// When it is none of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let count: u64 = number(Some(digits))?;
    match unit {
        "us" => Ok(Duration::from_micros(count)),
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        "h" => Ok(Duration::from_secs(count * 3600)),
        _ => Err(format!("{text:?} has no unit: us, ms, s, m or h")),
    }
}

/// A number of any kind.
///
/// # Errors
/// When there is none.
pub fn number<N: std::str::FromStr>(text: Option<&str>) -> Result<N, String> {
    let text = text.ok_or("a number is missing")?;
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// Octets in hexadecimal; blanks are left aside.
///
/// # Errors
/// When there is anything else, or half an octet.
pub fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let octet = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16)
            .ok()
            .filter(|_| pair.len() == 2)
    };
    digits
        .chunks(2)
        .map(|pair| octet(pair).ok_or_else(|| format!("{text:?} is not hexadecimal")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_letters_and_may_have_any_octet() {
        assert_eq!(name("wWw.a*3.").unwrap(), b"\x03wWw\x03aaa\0");
        assert_eq!(name(r"a\.b.\000").unwrap(), b"\x03a.b\x01\0\0");
        assert_eq!(name(".").unwrap(), [0]);
        assert!(name("a..b").is_err() && name("a*64").is_err());
    }

    /// RFC 1035 §2.3.4.
    #[test]
    fn a_name_has_255_octets_and_no_more() {
        assert!(name("a*63.b*63.c*63.d*61").is_ok());
        assert!(name("a*63.b*63.c*63.d*62").is_err());
    }

    #[test]
    fn types_go_by_name_or_number() {
        assert_eq!(type_code("HTTPS"), Ok(65));
        assert_eq!(type_code("TYPE65"), Ok(65));
        assert_eq!(type_name(65280), "TYPE65280");
        assert!(type_code("type1").is_err());
    }
}
