//! `[[service.check]]`: what else a service depends on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::announce::ServiceSettings;
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, DurationText, List, Word};
use crate::health::check::{CheckKind, CheckSettings, Command, NAMES, Page};
use crate::health::{CheckFault, CheckPolicy};

use super::{Checker, address, elements};

/// Each takes a program, a connection or a datagram at a time.
const CHECKS_MAX: usize = 32;
/// Octets; the name is a label of metrics.
const NAME_MAX: usize = 64;
/// RFC 9110 §15.
const STATUS: RangeInclusive<i64> = 100..=599;
const HTTP_PORT: u16 = 80;

impl Checker<'_> {
    /// Those of all services; each service gets what health has to know of its own.
    pub(super) fn extra_checks(
        &mut self,
        raw: &List<raw::Service>,
        services: &mut [ServiceSettings],
        path: &KeyPath,
    ) -> Vec<CheckSettings> {
        let mut checks = Vec::new();
        let each = elements(raw, path).zip(services.iter_mut()).enumerate();
        for (service, ((path, raw), settings)) in each {
            let path = path.key("check");
            if raw.check.len() > CHECKS_MAX {
                self.error(&path, &format!("write at most {CHECKS_MAX} checks"));
            }
            for (path, raw) in elements(&raw.check, &path) {
                let policy = self.check_policy(raw, &settings.checks, &path);
                let (interval, timeout) = self.check_times(raw, &path);
                let Some(kind) = self.check_kind(raw, settings, &policy.name, &path) else {
                    continue;
                };
                checks.push(CheckSettings {
                    service,
                    check: settings.checks.len(),
                    kind,
                    interval,
                    timeout,
                });
                settings.checks.push(policy);
            }
        }
        checks
    }

    fn check_policy(
        &mut self,
        raw: &raw::Check,
        before: &[CheckPolicy],
        path: &KeyPath,
    ) -> CheckPolicy {
        let name = raw.name.as_deref().unwrap_or_default();
        let name_path = path.key("name");
        if raw.name.is_none() {
            self.missing(path, "name", "\"backend\", or whatever you call it");
        } else if !is_name(name) {
            let text =
                format!("write a name of 1 to {NAME_MAX} letters, digits, \"-\", \"_\" or \".\"");
            self.error(&name_path, &text);
        } else if name == NAMES {
            let text = format!("choose another name: {NAMES:?} is the check of the target's names");
            self.error(&name_path, &text);
        } else if before.iter().any(|other| *other.name == *name) {
            let text = format!("another check is named {name:?} already; choose another name");
            self.error(&name_path, &text);
        }
        CheckPolicy {
            name: Arc::from(name),
            fault: self.check_fault(raw, &path.key("fault")),
            fall: self.number(&path.key("fall"), raw.fall.or(Some(3)), 1..=100),
            rise: self.number(&path.key("rise"), raw.rise.or(Some(2)), 1..=100),
        }
    }

    fn check_fault(&mut self, raw: &raw::Check, path: &KeyPath) -> CheckFault {
        match raw.fault.as_deref() {
            None | Some("shared") => CheckFault::Shared,
            Some("local") => CheckFault::Local,
            Some(other) => {
                let text = format!(
                    "write \"shared\" (others may have the fault too: backup at most) or \
                     \"local\" (this node alone: withdraws), not {other:?}"
                );
                self.error(path, &text);
                CheckFault::default()
            }
        }
    }

    fn check_times(&mut self, raw: &raw::Check, path: &KeyPath) -> (Duration, Duration) {
        let s = Duration::from_secs;
        let default = |seconds: u64| DurationText(format!("{seconds}s"));
        let (interval_path, timeout_path) = (path.key("interval"), path.key("timeout"));
        let interval = raw.interval.clone().unwrap_or_else(|| default(5));
        let interval = self.duration(&interval_path, Some(&interval), s(1)..=s(3600));
        // The usual limit fits into all but the shortest intervals, and half of those is enough.
        let timeout = match &raw.timeout {
            None => s(2).min(interval / 2),
            written => self.duration(
                &timeout_path,
                written.as_ref(),
                Duration::from_millis(10)..=s(600),
            ),
        };
        let both_are_good = !self.has_failed(&interval_path) && !self.has_failed(&timeout_path);
        if timeout >= interval && both_are_good {
            self.error(&timeout_path, "write a duration that is less than interval");
        }
        (interval, timeout)
    }

    fn check_kind(
        &mut self,
        raw: &raw::Check,
        service: &ServiceSettings,
        name: &str,
        path: &KeyPath,
    ) -> Option<CheckKind> {
        let wanted: &[&str] = match raw.kind.as_deref() {
            Some("tcp") => &["address"],
            Some("http") => &["url", "status"],
            Some("exec") => &["command"],
            Some(other) => {
                let text = format!("write \"tcp\", \"http\" or \"exec\", not {other:?}");
                self.error(&path.key("type"), &text);
                return None;
            }
            None => {
                self.missing(path, "type", "\"tcp\", \"http\" or \"exec\"");
                return None;
            }
        };
        let written = [
            ("address", raw.address.is_some()),
            ("url", raw.url.is_some()),
            ("status", raw.status.is_some()),
            ("command", raw.command.is_some()),
        ];
        for (key, is_written) in written {
            if is_written && !wanted.contains(&key) {
                let text = format!(
                    "a check of this type has {}; remove this key",
                    wanted.join(", ")
                );
                self.error(&path.key(key), &text);
            }
        }
        match raw.kind.as_deref()? {
            "tcp" => self.tcp_check(raw, path).map(CheckKind::Tcp),
            "http" => self.http_check(raw, path).map(CheckKind::Http),
            _ => self
                .exec_check(raw, service, name, path)
                .map(CheckKind::Exec),
        }
    }

    fn tcp_check(&mut self, raw: &raw::Check, path: &KeyPath) -> Option<SocketAddr> {
        let Some(text) = raw.address.as_deref() else {
            self.missing(path, "address", "\"127.0.0.1:443\", with its port");
            return None;
        };
        let found = address::socket(text, None);
        self.found(found, &path.key("address"))
    }

    fn http_check(&mut self, raw: &raw::Check, path: &KeyPath) -> Option<Page> {
        let Some(url) = raw.url.as_deref() else {
            self.missing(path, "url", "\"http://127.0.0.1:8080/health\"");
            return None;
        };
        let status = match &raw.status {
            None => vec![200..=200],
            Some(list) => self.statuses(list, &path.key("status")),
        };
        let page = self.found(page(url), &path.key("url"))?;
        Some(Page { status, ..page })
    }

    fn statuses(&mut self, list: &List<Word>, path: &KeyPath) -> Vec<RangeInclusive<u16>> {
        if list.is_empty() {
            self.error(
                path,
                "list the good status codes, such as [200] or [\"200-399\"]",
            );
        }
        let mut found = Vec::new();
        for (path, word) in elements(list, path) {
            match status_range(word) {
                Some(range) => found.push(range),
                None => {
                    let text = "write a status code from 100 to 599, or two as \"200-399\"";
                    self.error(&path, text);
                }
            }
        }
        found
    }

    fn exec_check(
        &mut self,
        raw: &raw::Check,
        service: &ServiceSettings,
        name: &str,
        path: &KeyPath,
    ) -> Option<Command> {
        let path = path.key("command");
        let words: Vec<&String> = match &raw.command {
            Some(list) => elements(list, &path).map(|(_, word)| word).collect(),
            None => {
                let text = "missing; add command = [\"/usr/local/bin/check\", \"argument\"]";
                if !self.has_failed(&path) {
                    self.error(&path, text);
                }
                return None;
            }
        };
        let Some((program, arguments)) = words.split_first().filter(|(p, _)| !p.is_empty()) else {
            self.error(
                &path,
                "write the program and its arguments, each in quotes; no shell",
            );
            return None;
        };
        if words.iter().any(|word| word.contains('\0')) {
            self.error(&path, "write words without zero octets");
            return None;
        }
        let variable = |name: &str, value: String| (name.to_owned(), value);
        let mut environment = vec![
            variable("SIDESTEP_SERVICE", service.name.clone()),
            variable("SIDESTEP_CHECK", name.to_owned()),
            variable("SIDESTEP_PORT", service.port.to_string()),
        ];
        let texts: Vec<String> = service.addresses.iter().map(IpAddr::to_string).collect();
        if let Some(first) = texts.first() {
            environment.push(variable("SIDESTEP_ADDRESS", first.clone()));
        }
        environment.push(variable("SIDESTEP_ADDRESSES", texts.join(" ")));
        Some(Command {
            program: (*program).clone(),
            arguments: arguments.iter().map(|word| (*word).clone()).collect(),
            environment,
        })
    }

    fn found<T>(&mut self, found: Result<T, String>, path: &KeyPath) -> Option<T> {
        found.map_err(|text| self.error(path, &text)).ok()
    }
}

fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_MAX).contains(&name.len()) && name.chars().all(is_good)
}

fn status_range(word: &Word) -> Option<RangeInclusive<u16>> {
    let (low, high) = match word {
        Word::Number(number) => (*number, *number),
        Word::Text(text) => {
            let (low, high) = text.split_once('-')?;
            (low.trim().parse().ok()?, high.trim().parse().ok()?)
        }
    };
    let is_good = STATUS.contains(&low) && STATUS.contains(&high) && low <= high;
    is_good.then(|| Some(u16::try_from(low).ok()?..=u16::try_from(high).ok()?))?
}

/// `http://address[:port][/path]`; no TLS, and no name that would have to be resolved first.
fn page(url: &str) -> Result<Page, String> {
    if url.starts_with("https://") {
        return Err(
            "write an http:// address: checks speak no TLS; type = \"exec\" with curl does"
                .to_owned(),
        );
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(format!(
            "write an address such as \"http://127.0.0.1:8080/health\", not {url:?}"
        ));
    };
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    let is_clean = |c: char| c.is_ascii_graphic() && c != '#';
    if !path.chars().all(is_clean) {
        return Err("write a path without blanks, \"#\" and what is not ASCII".to_owned());
    }
    let path = match path {
        "" => "/".to_owned(),
        path if path.starts_with('?') => format!("/{path}"),
        path => path.to_owned(),
    };
    let address = authority(host).ok_or_else(|| {
        format!(
            "write the address of the host instead of {host:?}: a check must not wait for a name \
             to be resolved"
        )
    })?;
    Ok(Page {
        address,
        host: host.to_owned(),
        path,
        status: Vec::new(),
    })
}

fn authority(text: &str) -> Option<SocketAddr> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return (socket.port() != 0).then_some(socket);
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().ok().filter(|port| *port != 0)?;
        return Some((Ipv4Addr::LOCALHOST, port).into());
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = match (text, bare) {
        ("localhost", _) => Ipv4Addr::LOCALHOST.into(),
        (_, Some(bare)) => IpAddr::V6(bare.parse().ok()?),
        (text, None) => IpAddr::V4(text.parse().ok()?),
    };
    Some((address, HTTP_PORT).into())
}
