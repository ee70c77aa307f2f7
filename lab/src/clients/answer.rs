//! What clients print, in the same words for all.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// What a client knows of a name now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Addresses(BTreeSet<IpAddr>),
    /// NXDOMAIN.
    Missing,
    /// SERVFAIL.
    Failing,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(all) => match all.first() {
                Some(first) => write!(f, "{} addresses from {first} on", all.len()),
                None => f.write_str("no addresses"),
            },
            Self::Missing => f.write_str("no such name"),
            Self::Failing => f.write_str("a failure"),
        }
    }
}

/// A message as dig, kdig and drill print it.
pub(super) fn read_message(text: &str) -> Option<Answer> {
    let code = text.lines().find_map(|line| {
        let header = line.strip_prefix(";; ->>HEADER<<-")?;
        let (_, rest) = header
            .split_once("status: ")
            .or_else(|| header.split_once("rcode: "))?;
        rest.split([',', ';']).next()
    });
    match code? {
        "NOERROR" => {
            let (_, answer) = text.split_once(";; ANSWER SECTION:").unwrap_or_default();
            let mut records = answer.lines().take_while(|line| !line.starts_with(';'));
            let addresses = records.try_fold(BTreeSet::new(), |mut all, line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                if let [_, _, "IN", "A" | "AAAA", address] = words[..] {
                    all.insert(address.parse().ok()?);
                }
                Some(all)
            });
            addresses.map(Answer::Addresses)
        }
        "NXDOMAIN" => Some(Answer::Missing),
        "SERVFAIL" => Some(Answer::Failing),
        _ => None,
    }
}

/// What the programs in `lab/clients` print.
pub(super) fn read_lookup(text: &str) -> Option<Answer> {
    match text.trim_end() {
        "missing" => Some(Answer::Missing),
        "failing" => Some(Answer::Failing),
        addresses => {
            let parsed: Result<BTreeSet<IpAddr>, _> = addresses.lines().map(str::parse).collect();
            parsed.ok().map(Answer::Addresses)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Option<Answer> {
        let parsed = texts.iter().map(|text| text.parse().unwrap());
        Some(Answer::Addresses(parsed.collect()))
    }

    #[test]
    fn messages_of_dig_and_drill_are_read_by_their_answer_section() {
        let dig = ";; Truncated, retrying in TCP mode.\n\
            ;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 7\n\
            ;; QUESTION SECTION:\n;a.example.\t\tIN\tA\n\n;; ANSWER SECTION:\n\
            a.example.\t\t60\tIN\tCNAME\tb.example.\nb.example.\t60\tIN\tA\t192.0.2.1\n\n\
            ;; ADDITIONAL SECTION:\nns.example.\t60\tIN\tA\t192.0.2.53\n";
        assert_eq!(read_message(dig), addresses(&["192.0.2.1"]));
        let drill = ";; ->>HEADER<<- opcode: QUERY, rcode: SERVFAIL, id: 7\n";
        assert_eq!(read_message(drill), Some(Answer::Failing));
        let kdig = ";; ->>HEADER<<- opcode: QUERY; status: NXDOMAIN; id: 7\n";
        assert_eq!(read_message(kdig), Some(Answer::Missing));
        assert_eq!(read_message("timed out"), None);
    }

    #[test]
    fn lookups_are_read_as_they_are_printed() {
        assert_eq!(
            read_lookup("192.0.2.1\n::1\n"),
            addresses(&["192.0.2.1", "::1"])
        );
        assert_eq!(read_lookup("missing\n"), Some(Answer::Missing));
        assert_eq!(read_lookup("Name has no usable address\n"), None);
    }
}
