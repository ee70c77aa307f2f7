//! From shapes to settings that the node may run with: every value, then every rule that needs
//! more than one of them. Looks on after an error, so that all are told at once.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::announce::ServiceSettings;
use crate::{admin, health};

use super::diagnostic::{Diagnostic, Findings, Severity};
use super::extract::extract;
use super::key_path::KeyPath;
use super::layer::{Layers, Target};
use super::raw::{self, DurationText, Raw};
use super::{Config, LoadOptions};

mod access;
mod address;
mod bgp;
mod canary;
mod dns;
mod extra;
mod file;
mod listen;
mod local;
mod service;
mod sibling;
mod state;
mod target;
mod upstream;
mod zone;

/// Reads and checks everything. `None` after an error; the findings tell which.
pub(super) fn check(
    layers: &Layers,
    options: &LoadOptions,
    findings: &mut Findings,
) -> Option<Config> {
    let mut checker = Checker {
        layers,
        findings,
        failed: layers.failed.clone(),
    };
    let raw = extract(&mut checker)?;
    let config = checker.config(&raw, options);
    (!findings.has_errors()).then_some(config)
}

/// Reports what is wrong. After an error its methods return some value that fits the type, which
/// nobody gets to see, because [`check`] then returns none.
pub(super) struct Checker<'a> {
    pub(super) layers: &'a Layers,
    findings: &'a mut Findings,
    failed: Vec<KeyPath>,
}

impl Checker<'_> {
    fn config(&mut self, raw: &Raw, options: &LoadOptions) -> Config {
        let root = KeyPath::root();
        let mut services = self.services(&raw.service, &root.key("service"));
        let dns = self.dns(raw, &services, options);
        let checks = self.extra_checks(&raw.service, &mut services, &root.key("service"));
        let targets = self.targets(&raw.service, &mut services, &dns, &root.key("service"));
        let bgp = self.bgp(raw, &services);
        self.nothing_announced(raw);
        Config {
            node_name: dns.node_name.clone(),
            state: self.state(&raw.node, &root.key("node"), options),
            health: self.health(&raw.health, &root.key("health")),
            canary: self.canaries(
                &raw.health.canary,
                &dns.zones,
                &root.key("health").key("canary"),
            ),
            admin: self.admin(
                &raw.admin,
                &listen::literal(&dns.listen),
                &services,
                &root.key("admin"),
            ),
            services,
            targets,
            checks,
            dns,
            bgp,
            sources: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn nothing_announced(&mut self, raw: &Raw) {
        let service = KeyPath::root().key("service");
        let neighbor = KeyPath::root().key("bgp").key("neighbor");
        match (raw.service.is_empty(), raw.bgp.neighbor.is_empty()) {
            (false, true) if !self.has_failed(&neighbor) => {
                let text = "nothing is announced, for there is no [[bgp.neighbor]]; add one";
                self.warning(&service, text);
            }
            (true, false) if !self.has_failed(&service) => {
                let text = "nothing is announced, for there is no [[service]]; add one";
                self.warning(&neighbor, text);
            }
            _ => {}
        }
    }

    fn health(&mut self, raw: &raw::Health, path: &KeyPath) -> health::Settings {
        let s = Duration::from_secs;
        health::Settings {
            interval: self.duration(
                &path.key("interval"),
                raw.interval.as_ref(),
                Duration::from_millis(20)..=s(10),
            ),
            fall: self.number(&path.key("fall"), raw.fall, 1..=100),
            rise: self.number(&path.key("rise"), raw.rise, 1..=100),
            hold_down: self.duration(
                &path.key("hold_down"),
                raw.hold_down.as_ref(),
                s(0)..=s(300),
            ),
            drain_wait: self.duration(
                &path.key("drain_wait"),
                raw.drain_wait.as_ref(),
                s(0)..=s(300),
            ),
            linger: self.duration(&path.key("linger"), raw.linger.as_ref(), s(0)..=s(60)),
            jitter: self.duration(&path.key("jitter"), raw.jitter.as_ref(), s(0)..=s(60)),
            promotions_per_hour: self.number(
                &path.key("promotions_per_hour"),
                raw.promotions_per_hour,
                1..=3600,
            ),
            seed: 0,
        }
    }

    fn admin(
        &mut self,
        raw: &raw::Admin,
        dns_listen: &[std::net::SocketAddr],
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> admin::Settings {
        let listen_path = path.key("listen");
        let listen = raw.listen.as_deref().filter(|text| *text != "none");
        let listen = listen.and_then(|text| match address::socket(text, None) {
            Ok(socket) => Some(socket),
            Err(text) => {
                self.error(&listen_path, &format!("{text}; \"none\" serves nothing"));
                None
            }
        });
        if let Some(socket) = listen {
            if let Some(service) = owner(services, socket.ip()) {
                let text = format!(
                    "use an address of this node alone: {} is the anycast address of service {:?}",
                    socket.ip(),
                    service.name
                );
                self.error(&listen_path, &text);
            }
            if dns_listen.contains(&socket) {
                let text = format!("use another port: dns.listen has {socket} too");
                self.error(&listen_path, &text);
            }
        }
        admin::Settings {
            listen,
            socket: self.socket_path(raw.socket.as_deref(), &path.key("socket")),
        }
    }

    fn socket_path(&mut self, text: Option<&str>, path: &KeyPath) -> Option<std::path::PathBuf> {
        /// What `sun_path` takes besides its final zero octet. unix(7).
        const LENGTH_MAX: usize = 107;
        let text = text.filter(|text| *text != "none")?;
        if !text.starts_with('/') || text.contains('\0') {
            self.error(path, "write a path that begins with / or \"none\"");
        } else if text.len() > LENGTH_MAX {
            let text = format!("use a path of at most {LENGTH_MAX} octets, as the kernel asks");
            self.error(path, &text);
        }
        Some(text.into())
    }

    /// Reports an error in the value at `path`.
    pub(super) fn error(&mut self, path: &KeyPath, text: &str) {
        self.error_at(path, Target::Value, text);
    }

    /// Reports an error at a place of one's choice.
    pub(super) fn error_at(&mut self, path: &KeyPath, target: Target, text: &str) {
        self.failed.push(path.clone());
        self.report(Severity::Error, path, target, text);
    }

    /// Reports that the table at `table` lacks a key, unless that key has been reported already.
    fn missing(&mut self, table: &KeyPath, key: &str, what: &str) {
        let path = table.key(key);
        if !self.has_failed(&path) {
            self.error(&path, &format!("missing; add {key} = {what}"));
        }
    }

    /// For a key that has a default: it has a value unless the one written was of no use.
    fn no_value(&mut self, path: &KeyPath) {
        if !self.has_failed(path) {
            self.error(path, "missing; add a value");
        }
    }

    /// Whether an error has been reported for the value at `path` or for what it lies in.
    fn has_failed(&self, path: &KeyPath) -> bool {
        self.failed.iter().any(|failed| failed.contains(path))
    }

    fn warning(&mut self, path: &KeyPath, text: &str) {
        self.report(Severity::Warning, path, Target::Value, text);
    }

    fn report(&mut self, severity: Severity, path: &KeyPath, target: Target, text: &str) {
        let key = path.to_string();
        self.findings.push(Diagnostic {
            severity,
            origin: self.layers.origin(path, target),
            key: (!key.is_empty()).then_some(key),
            text: text.to_owned(),
        });
    }

    fn duration(
        &mut self,
        path: &KeyPath,
        raw: Option<&DurationText>,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(DurationText(text)) = raw else {
            self.no_value(path);
            return *range.start();
        };
        let Ok(duration) = humantime::parse_duration(text) else {
            let text = format!(
                "write a duration with its unit, such as \"200ms\", \"9s\" or \"1d\", not {text:?}"
            );
            self.error(path, &text);
            return *range.start();
        };
        if !range.contains(&duration) {
            self.error(path, &out_of_range(text, &range));
        }
        duration
    }

    /// A duration of which the wire format or the protocol keeps whole seconds only.
    fn seconds(
        &mut self,
        path: &KeyPath,
        raw: Option<&DurationText>,
        range: RangeInclusive<u64>,
    ) -> Duration {
        let range = Duration::from_secs(*range.start())..=Duration::from_secs(*range.end());
        let duration = self.duration(path, raw, range);
        if duration.subsec_nanos() != 0 && !self.has_failed(path) {
            self.error(path, "write whole seconds: smaller units are lost here");
        }
        duration
    }

    fn number<T: TryFrom<i64> + Default>(
        &mut self,
        path: &KeyPath,
        raw: Option<i64>,
        range: RangeInclusive<i64>,
    ) -> T {
        let Some(number) = raw else {
            self.no_value(path);
            return T::default();
        };
        if range.contains(&number)
            && let Ok(number) = T::try_from(number)
        {
            return number;
        }
        let (low, high) = range.into_inner();
        let text = format!("write a number from {low} to {high}, not {number}");
        self.error(path, &text);
        T::default()
    }

    /// A port, or `default` where none is written.
    fn port(&mut self, path: &KeyPath, raw: Option<i64>, default: u16) -> u16 {
        match raw {
            Some(_) => self.number(path, raw, 1..=65535),
            None => default,
        }
    }
}

fn out_of_range(text: &str, range: &RangeInclusive<Duration>) -> String {
    format!(
        "write a duration from {} to {}, not {text:?}",
        humantime::format_duration(*range.start()),
        humantime::format_duration(*range.end()),
    )
}

/// The service that has this address.
fn owner(services: &[ServiceSettings], address: IpAddr) -> Option<&ServiceSettings> {
    services
        .iter()
        .find(|service| service.addresses.contains(&address))
}

/// The elements of a list that could be read, each with its place.
fn elements<'l, T>(
    list: &'l [Option<T>],
    path: &KeyPath,
) -> impl Iterator<Item = (KeyPath, &'l T)> + use<'l, T> {
    let path = path.clone();
    list.iter()
        .enumerate()
        .filter_map(move |(index, element)| Some((path.index(index), element.as_ref()?)))
}
