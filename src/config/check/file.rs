//! Files that the configuration names: secrets of cookies and sessions, hosts files.
//!
//! Source: RFC 9018 §5 (all nodes of an anycast service have the same secrets), hosts(5).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::key_path::KeyPath;
use crate::config::raw::List;
use crate::dns::local::hosts::{self, HostsError};
use crate::dns::{CookieSecrets, LocalRecord};

use super::{Checker, elements};

/// Two lines of 32 digits, and room for a comment.
const SECRETS_MAX_BYTES: u64 = 4096;
/// Some hundred thousand names, as blocklists have; a slip such as `/dev/zero` ends here.
const HOSTS_MAX_BYTES: u64 = 32 << 20;
const OTHERS: u32 = 0o007;
const CNAME: u16 = 5;

impl Checker<'_> {
    /// `None`: clients get no cookies.
    pub(super) fn cookie_secrets(
        &mut self,
        file: Option<&str>,
        path: &KeyPath,
    ) -> Option<CookieSecrets> {
        let file = Path::new(file?);
        let read = absolute(file)
            .and_then(|()| read(file, SECRETS_MAX_BYTES))
            .and_then(|(text, mode)| {
                closed(file, mode, "who could then forge cookies")?;
                secrets(&text).map_err(|text| format!("{}: {text}", file.display()))
            });
        match read {
            Ok(secrets) => Some(secrets),
            Err(text) => {
                self.error(path, &text);
                None
            }
        }
    }

    /// The files and what they say, in their order.
    pub(super) fn hosts_files(
        &mut self,
        list: &List<String>,
        path: &KeyPath,
    ) -> (Vec<PathBuf>, Vec<LocalRecord>) {
        let mut files = Vec::new();
        let mut records = Vec::new();
        for (path, text) in elements(list, path) {
            let file = PathBuf::from(text);
            let found = absolute(&file)
                .and_then(|()| read(&file, HOSTS_MAX_BYTES))
                .and_then(|(text, _)| {
                    hosts::parse(&text).map_err(|HostsError { line, problem }| {
                        format!("{}:{line}: {problem}", file.display())
                    })
                });
            match found {
                Ok(found) if files.contains(&file) => {
                    drop(found);
                    self.error(&path, &format!("{text:?} is listed twice; remove one"));
                }
                Ok(found) => {
                    files.push(file);
                    records.extend(found);
                }
                Err(text) => self.error(&path, &text),
            }
        }
        (files, records)
    }
}

/// Records of hosts files beside those of the configuration, which have the last word: a file that
/// something else writes must not make an answer that no configuration could ask for.
pub(super) fn add_hosts(local: &mut Vec<LocalRecord>, hosts: Vec<LocalRecord>) {
    let configured: std::collections::HashSet<(Vec<u8>, u16)> = local
        .iter()
        .map(|record| (record.name.clone(), record.rtype))
        .collect();
    let mut seen = std::collections::HashSet::new();
    local.extend(hosts.into_iter().filter(|record| {
        let is_taken = |rtype| configured.contains(&(record.name.clone(), rtype));
        let key = (record.name.clone(), record.rtype, record.rdata.clone());
        !is_taken(record.rtype) && !is_taken(CNAME) && seen.insert(key)
    }));
}

/// The same file whoever starts the node, and from wherever.
fn absolute(file: &Path) -> Result<(), String> {
    if file.is_absolute() {
        Ok(())
    } else {
        Err("write a path that begins with /".to_owned())
    }
}

/// The text of a file, and its permissions.
fn read(file: &Path, most_bytes: u64) -> Result<(String, u32), String> {
    let shown = file.display();
    let refused = |error| format!("check path and permissions of {shown}: {error}");
    // A pipe would keep the start waiting.
    let metadata = std::fs::metadata(file).map_err(refused)?;
    if !metadata.is_file() {
        return Err(format!("name a file: {shown} is none"));
    }
    let mut octets = Vec::new();
    let mut rest = File::open(file).map_err(refused)?.take(most_bytes + 1);
    rest.read_to_end(&mut octets).map_err(refused)?;
    if rest.limit() == 0 {
        return Err(format!(
            "{shown} has more than {most_bytes} octets; use a smaller file"
        ));
    }
    let text = text(octets).map_err(|octet| {
        format!("{shown} is not text (octet {octet}); is it another program's file?")
    })?;
    Ok((text, metadata.permissions().mode()))
}

/// Which octet, from 1, does not belong into a text, if so.
fn text(octets: Vec<u8>) -> Result<String, usize> {
    let is_odd = |octet: &u8| octet.is_ascii_control() && !octet.is_ascii_whitespace();
    let odd = octets.iter().position(is_odd);
    let read = String::from_utf8(octets).map_err(|error| error.utf8_error().valid_up_to());
    match (read, odd) {
        (Ok(text), None) => Ok(text),
        (Ok(_), Some(odd)) => Err(odd + 1),
        (Err(bad), odd) => Err(odd.map_or(bad, |odd| odd.min(bad)) + 1),
    }
}

fn closed(file: &Path, mode: u32, danger: &str) -> Result<(), String> {
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let shown = file.display();
    Err(format!(
        "{shown} is open to everybody, {danger}; run chmod o= {shown}"
    ))
}

/// The one line of a file that is for the node alone, without blanks around it: 1 to `most_bytes`
/// octets. What is wrong is told without what stands there.
pub(super) fn secret_line(file: &str, most_bytes: usize, danger: &str) -> Result<Vec<u8>, String> {
    let file = Path::new(file);
    absolute(file)?;
    let (text, mode) = read(file, SECRETS_MAX_BYTES)?;
    closed(file, mode, danger)?;
    let (line, shown) = (text.trim(), file.display());
    if line.is_empty() {
        Err(format!("{shown} is empty; write the secret into it"))
    } else if line.contains(['\n', '\r']) {
        Err(format!("{shown} has several lines; write the secret alone"))
    } else if line.len() > most_bytes {
        Err(format!(
            "{shown} has a longer secret than the {most_bytes} octets that may be; use a shorter one"
        ))
    } else {
        Ok(line.as_bytes().to_vec())
    }
}

/// One secret a line, in the order of Unbound's `cookie-secret-file`: the active one first.
///
/// What is wrong is told without what stands there.
fn secrets(text: &str) -> Result<CookieSecrets, String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let secret = secret(line).ok_or_else(|| {
            let number = index + 1;
            format!("write 32 hexadecimal digits in line {number}, as `openssl rand -hex 16` gives")
        })?;
        found.push(secret);
    }
    match found[..] {
        [active] => Ok(CookieSecrets {
            active,
            other: None,
        }),
        [active, other] if active == other => {
            Err("both secrets are the same; remove one, or write a new one".to_owned())
        }
        [active, other] => Ok(CookieSecrets {
            active,
            other: Some(other),
        }),
        [] => {
            Err("write 32 hexadecimal digits in a line, as `openssl rand -hex 16` gives".to_owned())
        }
        _ => Err(
            "write two secrets at most: the active one, and the one before or to come".to_owned(),
        ),
    }
}

fn secret(line: &str) -> Option<[u8; 16]> {
    let digits: Option<Vec<u8>> = line
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits: [u8; 32] = digits?.try_into().ok()?;
    let mut octets = [0; 16];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = pair.iter().fold(0, |octet, digit| octet << 4 | digit);
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const OTHER: &str = "445536BCD2513298075A5D379663C962";

    /// RFC 9018 §5: while secrets are rolled over, cookies of both are good.
    #[test]
    fn the_first_secret_is_the_active_one() {
        let one = secrets(ACTIVE).unwrap();
        assert_eq!(one.active[..3], [0xe5, 0xe9, 0x73]);
        assert_eq!(one.other, None);
        let both = secrets(&format!("# of June\n{ACTIVE} \r\n\n{OTHER}\n")).unwrap();
        assert_eq!(both.active, one.active);
        assert_eq!(both.other.unwrap()[14..], [0xc9, 0x62]);
    }

    #[test]
    fn what_is_no_secret_is_told_by_its_line_and_not_repeated() {
        let longer = format!("{ACTIVE}0");
        for (text, line) in [
            (&ACTIVE[1..], 1),
            (&longer, 1),
            ("\nnot a secret", 2),
            ("e5e973e5a6b2a43f48e7dc849e37bf+f", 1),
            ("ä5e973e5a6b2a43f48e7dc849e37bfcf", 1),
        ] {
            let error = secrets(text).unwrap_err();
            assert!(error.contains(&format!("in line {line}")), "{error}");
            assert!(!error.contains("e5e9"), "{error}");
        }
        assert!(secrets("# none\n").is_err());
        assert!(secrets(&format!("{ACTIVE}\n{ACTIVE}")).is_err());
        let three = format!("{ACTIVE}\n{OTHER}\n{}", ACTIVE.replace('e', "f"));
        assert!(secrets(&three).is_err());
    }

    fn record(name: &[u8], rtype: u16, rdata: &[u8]) -> LocalRecord {
        LocalRecord {
            name: name.to_vec(),
            rtype,
            ttl_s: 60,
            rdata: rdata.to_vec(),
        }
    }

    #[test]
    fn the_configuration_has_the_last_word_over_hosts_files() {
        let (a, aaaa) = (record(b"\x01a\0", 1, &[1]), record(b"\x01a\0", 28, &[2]));
        let alias = record(b"\x01b\0", CNAME, &[0]);
        let mut local = vec![a.clone(), alias.clone()];
        let hosts = vec![
            record(b"\x01a\0", 1, &[9]),
            aaaa.clone(),
            aaaa.clone(),
            record(b"\x01b\0", 1, &[9]),
        ];
        add_hosts(&mut local, hosts);
        assert_eq!(local, [a, alias, aaaa]);
    }
}
