//! Hosts files: an address and its names in each line.
//!
//! Source: hosts(5), RFC 1035 §3.5 and RFC 3596 §2.5 (names of addresses). The first name that a file
//! has for an address is the one that the address leads back to. The addresses 0.0.0.0 and ::, by
//! which block lists say that a name leads nowhere, lead back to none.
//! An address with a zone (`fe80::1%eth0`) means something on one host alone: such lines are left out.

use std::collections::HashSet;
use std::net::IpAddr;

use super::super::LocalRecord;
use super::super::record_text::name_from_text;

/// Seconds: a file that is read again at the next start should not live on for long elsewhere.
pub const TTL_S: u32 = 300;
/// Most records that one file may give.
pub const RECORDS_MAX: usize = 1_000_000;

const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_AAAA: u16 = 28;

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct HostsError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: HostsProblem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostsProblem {
    /// It does not start with an address.
    #[error("begin with an IPv4 or IPv6 address such as 10.0.0.40, not {text:?}")]
    Address {
        /// As written.
        text: String,
    },
    /// Nothing behind the address.
    #[error("write at least one name behind the address")]
    NoName,
    /// RFC 1123 §2.1, and underscores.
    #[error(
        "{name:?} is no host name: write labels of letters, digits, _, and - but for the first character"
    )]
    Name {
        /// As written.
        name: String,
    },
    /// More than [`RECORDS_MAX`].
    #[error("use a smaller file: before this line it has as many records as may be, {most}")]
    TooMany {
        /// The limit.
        most: usize,
    },
}

/// What a hosts file says, in its order; nothing twice.
///
/// # Errors
/// [`HostsError`] for the first line that cannot be used.
pub fn parse(text: &str) -> Result<Vec<LocalRecord>, HostsError> {
    parse_up_to(RECORDS_MAX, text)
}

fn parse_up_to(most: usize, text: &str) -> Result<Vec<LocalRecord>, HostsError> {
    let mut records = Vec::new();
    let mut seen = HashSet::new();
    let mut reversed = HashSet::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let failed = |problem| HostsError {
            line: index + 1,
            problem,
        };
        let Some(Line { address, names }) = read(line).map_err(failed)? else {
            continue;
        };
        if let Some(first) = names.first()
            && !address.is_unspecified()
            && reversed.insert(address)
        {
            records.push(record(reverse_name(address), TYPE_PTR, first.clone()));
        }
        for name in names {
            if seen.insert((name.clone(), address)) {
                records.push(address_record(name, address));
            }
        }
        if records.len() > most {
            return Err(failed(HostsProblem::TooMany { most }));
        }
    }
    Ok(records)
}

/// The name that leads from an address to its host: wire form, lower case.
///
/// RFC 1035 §3.5, RFC 3596 §2.5.
#[must_use]
pub fn reverse_name(address: IpAddr) -> Vec<u8> {
    let mut wire = Vec::new();
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                let label = octet.to_string();
                wire.extend(u8::try_from(label.len()));
                wire.extend_from_slice(label.as_bytes());
            }
            wire.extend_from_slice(b"\x07in-addr");
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                let digits = format!("{octet:02x}");
                for digit in digits.bytes().rev() {
                    wire.extend_from_slice(&[1, digit]);
                }
            }
            wire.extend_from_slice(b"\x03ip6");
        }
    }
    wire.extend_from_slice(b"\x04arpa\x00");
    wire
}

/// What a line says.
struct Line {
    address: IpAddr,
    /// At least one.
    names: Vec<Vec<u8>>,
}

/// `None`: it says nothing.
fn read(line: &str) -> Result<Option<Line>, HostsProblem> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let Some(text) = words.next() else {
        return Ok(None);
    };
    let plain = text.split_once('%').map_or(text, |(plain, _)| plain);
    let address = plain.parse().map_err(|_| HostsProblem::Address {
        text: text.to_owned(),
    })?;
    let names = words.map(host_name).collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        return Err(HostsProblem::NoName);
    }
    Ok((plain == text).then_some(Line { address, names }))
}

fn host_name(text: &str) -> Result<Vec<u8>, HostsProblem> {
    let failed = || HostsProblem::Name {
        name: text.to_owned(),
    };
    let is_usual =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || !c.is_ascii();
    if text == "." || !text.chars().all(is_usual) {
        return Err(failed());
    }
    name_from_text(text).map_err(|_| failed())
}

fn address_record(name: Vec<u8>, address: IpAddr) -> LocalRecord {
    match address {
        IpAddr::V4(address) => record(name, TYPE_A, address.octets().to_vec()),
        IpAddr::V6(address) => record(name, TYPE_AAAA, address.octets().to_vec()),
    }
}

fn record(name: Vec<u8>, rtype: u16, rdata: Vec<u8>) -> LocalRecord {
    LocalRecord {
        name,
        rtype,
        ttl_s: TTL_S,
        rdata,
    }
}

#[cfg(test)]
mod tests;
