//! `[[forward]]`: where misses go.

use std::net::{IpAddr, SocketAddr};

use crate::announce::ServiceSettings;
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List};
use crate::dns::record_text::name_from_text;
use crate::dns::{DialectSettings, ForwardZone, UpstreamAddress, ZoneAction};

use super::{Checker, elements, owner};

const ROOT: &[u8] = &[0];

impl Checker<'_> {
    /// Without any `[[forward]]`, everything goes to the system's resolvers.
    pub(super) fn zones(
        &mut self,
        raw: &List<raw::Forward>,
        services: &[ServiceSettings],
        listen: &[SocketAddr],
        path: &KeyPath,
    ) -> Vec<ForwardZone> {
        if raw.is_empty() && !self.has_failed(path) {
            return vec![ForwardZone {
                zone: ROOT.to_vec(),
                zone_text: ".".to_owned(),
                action: ZoneAction::Forward,
                upstreams: vec![UpstreamAddress::System],
                last_resort: Vec::new(),
                dialect: DialectSettings::default(),
                critical: true,
            }];
        }
        let mut zones: Vec<ForwardZone> = Vec::new();
        let mut all_known = raw.iter().all(Option::is_some) && !self.has_failed(path);
        for (path, raw) in elements(raw, path) {
            let apex = self.apex(raw, &zones, &path);
            let action = self.action(raw, &path);
            let upstreams = match action {
                ZoneAction::Forward => self.upstreams(raw, services, listen, &path),
                ZoneAction::Local | ZoneAction::Refuse => Vec::new(),
            };
            let siblings = path.key("last_resort");
            let last_resort = self.last_resort(&raw.last_resort, &upstreams, services, &siblings);
            let Some((zone, zone_text)) = apex else {
                all_known = false;
                continue;
            };
            let default = DialectSettings::default();
            zones.push(ForwardZone {
                critical: raw
                    .critical
                    .unwrap_or(zone == ROOT && action == ZoneAction::Forward),
                zone,
                zone_text,
                action,
                upstreams,
                last_resort,
                dialect: DialectSettings {
                    mixed_case: raw.mixed_case.unwrap_or(default.mixed_case),
                    cookies: raw.cookies.unwrap_or(default.cookies),
                },
            });
        }
        if all_known && !zones.iter().any(|zone| zone.zone == ROOT) {
            let text = "no forward zone for the root; add a [[forward]] with zone = \".\"";
            self.error(path, text);
        }
        zones
    }

    fn action(&mut self, raw: &raw::Forward, path: &KeyPath) -> ZoneAction {
        let (word, action) = match raw.action.as_deref() {
            None | Some("forward") => return ZoneAction::Forward,
            Some("local") => ("local", ZoneAction::Local),
            Some("refuse") => ("refuse", ZoneAction::Refuse),
            Some(other) => {
                let text = format!("write \"forward\", \"local\" or \"refuse\", not {other:?}");
                self.error(&path.key("action"), &text);
                return ZoneAction::Forward;
            }
        };
        let useless = [
            (
                "upstreams",
                raw.upstreams.as_ref().is_some_and(|list| !list.is_empty()),
            ),
            ("last_resort", !raw.last_resort.is_empty()),
            ("mixed_case", raw.mixed_case == Some(true)),
            ("cookies", raw.cookies == Some(true)),
            ("critical", raw.critical == Some(true)),
        ];
        for (key, _) in useless.iter().filter(|(_, is_set)| *is_set) {
            let text = format!("nobody is asked where action is {word:?}; remove this key");
            self.error(&path.key(key), &text);
        }
        action
    }

    fn apex(
        &mut self,
        raw: &raw::Forward,
        before: &[ForwardZone],
        path: &KeyPath,
    ) -> Option<(Vec<u8>, String)> {
        let Some(text) = &raw.zone else {
            self.missing(path, "zone", "\".\" for the root, or the name of a zone");
            return None;
        };
        let path = path.key("zone");
        let zone = match name_from_text(text) {
            Ok(zone) => zone,
            Err(error) => {
                self.error(&path, &format!("write a domain name: {error}"));
                return None;
            }
        };
        if before.iter().any(|other| other.zone == zone) {
            let text = format!("zone {text:?} is there already; put all upstreams into one");
            self.error(&path, &text);
            return None;
        }
        let mut zone_text = text.to_lowercase();
        if !zone_text.ends_with('.') {
            zone_text.push('.');
        }
        Some((zone, zone_text))
    }

    fn upstreams(
        &mut self,
        raw: &raw::Forward,
        services: &[ServiceSettings],
        listen: &[SocketAddr],
        path: &KeyPath,
    ) -> Vec<UpstreamAddress> {
        let Some(list) = raw.upstreams.as_ref() else {
            self.missing(path, "upstreams", "[\"system\"], or a list of addresses");
            return Vec::new();
        };
        let path = path.key("upstreams");
        if list.is_empty() {
            self.error(&path, "list at least one upstream; \"system\" will do");
        }
        let mut upstreams: Vec<UpstreamAddress> = Vec::new();
        for (path, text) in elements(list, &path) {
            let upstream = match super::upstream::parse(text) {
                Ok(upstream) => upstream,
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            if let UpstreamAddress::Socket(socket) = &upstream
                && let Some(text) = upstream_problem(*socket, services, listen)
            {
                self.error(&path, &text);
            } else if upstreams.contains(&upstream) {
                self.error(&path, &format!("{text:?} is listed twice; remove one"));
            } else {
                upstreams.push(upstream);
            }
        }
        upstreams
    }
}

fn upstream_problem(
    socket: SocketAddr,
    services: &[ServiceSettings],
    listen: &[SocketAddr],
) -> Option<String> {
    if listen.contains(&socket) {
        return Some(format!(
            "dns.listen has {socket} too, so the node would ask itself; write another upstream"
        ));
    }
    service_problem(socket.ip(), services)
}

/// Why nobody else can be asked at `address`, if so.
pub(super) fn service_problem(address: IpAddr, services: &[ServiceSettings]) -> Option<String> {
    if let Some(service) = owner(services, address) {
        return Some(format!(
            "{address} is the anycast address of service {:?}, so the node would ask itself; \
             write another upstream",
            service.name
        ));
    }
    super::service::covered_by_floor(services, address)
}
