//! `[[service]] target`: another program that answers, and what it is asked.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::announce::ServiceSettings;
use crate::config::TargetSettings;
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List, Texts};
use crate::dns;
use crate::dns::inquiry::Inquiry;
use crate::health::check::NAMES;
use crate::health::{CheckFault, CheckPolicy};

use super::{Checker, address, elements, listen};

/// The port of DNS over UDP and TCP.
const PORT: u16 = 53;
/// Each is asked for every two seconds.
const NAMES_MAX: usize = 16;
/// So many rounds with too few good names are a failure, and so many with enough end it.
const NAMES_FALL: u32 = 3;
const NAMES_RISE: u32 = 2;

impl Checker<'_> {
    /// Those of all services, which get the check of their names as their last one.
    pub(super) fn targets(
        &mut self,
        raw: &List<raw::Service>,
        services: &mut [ServiceSettings],
        dns: &dns::Settings,
        path: &KeyPath,
    ) -> Vec<TargetSettings> {
        let own = own_sockets(dns);
        let mut targets = Vec::new();
        // There is a service for each element; where there is none, an error is known already.
        let each = elements(raw, path).zip(services.iter_mut()).enumerate();
        for (service, ((path, raw), settings)) in each {
            let Some(texts) = &raw.target else {
                self.nothing_without_target(raw, &path);
                continue;
            };
            let addresses = self.target_addresses(texts, &own, &path.key("target"));
            let probe = raw.probe.as_deref();
            let probe = probe.and_then(|text| self.inquiry(text, &path.key("probe")));
            let names = self.names(&raw.names, &path.key("names"));
            let names_needed = self.names_needed(raw, names.len(), &path.key("names_needed"));
            if !names.is_empty() {
                settings.checks.push(CheckPolicy {
                    name: Arc::from(NAMES),
                    fault: CheckFault::Shared,
                    fall: NAMES_FALL,
                    rise: NAMES_RISE,
                });
            }
            targets.push(TargetSettings {
                service,
                addresses,
                tcp: settings.tcp,
                probe,
                names,
                names_needed,
            });
        }
        targets
    }

    fn nothing_without_target(&mut self, raw: &raw::Service, path: &KeyPath) {
        let written = [
            ("tcp", raw.tcp.is_some()),
            ("probe", raw.probe.is_some()),
            ("names", !raw.names.is_empty()),
            ("names_needed", raw.names_needed.is_some()),
        ];
        for (key, _) in written.iter().filter(|(_, is_written)| *is_written) {
            let text = "this is about another program that answers; add target, or remove this key";
            self.error(&path.key(key), text);
        }
    }

    fn target_addresses(
        &mut self,
        texts: &Texts,
        own: &[SocketAddr],
        path: &KeyPath,
    ) -> Vec<SocketAddr> {
        let written: Vec<(KeyPath, &String)> = match texts {
            Texts::One(text) => vec![(path.clone(), text)],
            Texts::Several(list) => elements(list, path).collect(),
        };
        if matches!(texts, Texts::Several(list) if list.is_empty()) {
            self.error(
                path,
                "write an address of this host, such as \"127.0.0.1:5353\"",
            );
        }
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for (path, text) in written {
            let found = address::socket(text, Some(PORT))
                .and_then(|found| target_problem(found, &addresses, own).map_or(Ok(found), Err));
            match found {
                Ok(found) => addresses.push(found),
                Err(text) => self.error(&path, &text),
            }
        }
        addresses
    }

    fn names(&mut self, list: &List<String>, path: &KeyPath) -> Vec<Inquiry> {
        let mut names: Vec<Inquiry> = Vec::new();
        if list.len() > NAMES_MAX {
            self.error(path, &format!("write at most {NAMES_MAX} names"));
        }
        for (path, text) in elements(list, path) {
            let Some(name) = self.inquiry(text, &path) else {
                continue;
            };
            if names.contains(&name) {
                self.error(&path, &format!("{text:?} is listed twice; remove one"));
            } else {
                names.push(name);
            }
        }
        names
    }

    fn names_needed(&mut self, raw: &raw::Service, names: usize, path: &KeyPath) -> usize {
        let Some(_) = raw.names_needed else {
            return names / 2 + 1;
        };
        if raw.names.is_empty() {
            self.error(path, "there are no names; add names, or remove this key");
            return 0;
        }
        let most = i64::try_from(raw.names.len()).unwrap_or(i64::MAX);
        self.number(path, raw.names_needed, 1..=most)
    }

    fn inquiry(&mut self, text: &str, path: &KeyPath) -> Option<Inquiry> {
        match Inquiry::from_text(text) {
            Ok(inquiry) => Some(inquiry),
            Err(error) => {
                self.error(path, &error.to_string());
                None
            }
        }
    }
}

/// Where this node itself answers, as far as that is known before it starts.
fn own_sockets(dns: &dns::Settings) -> Vec<SocketAddr> {
    let of_services = dns.service_sockets.iter().copied();
    of_services.chain(listen::literal(&dns.listen)).collect()
}

fn target_problem(found: SocketAddr, before: &[SocketAddr], own: &[SocketAddr]) -> Option<String> {
    if let Some(reason) = address::not_a_host(found.ip()) {
        return Some(format!("write another address: {} {reason}", found.ip()));
    }
    if own.contains(&found) {
        return Some(format!(
            "this node answers at {found} itself; write where the other program does"
        ));
    }
    let same_family = before
        .iter()
        .find(|other| other.is_ipv4() == found.is_ipv4())?;
    Some(format!(
        "a target has one address per family, and this one has {same_family} already"
    ))
}
