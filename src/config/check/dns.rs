//! `[node] name`, `[dns]` and what belongs to the query path.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use crate::announce::ServiceSettings;
use crate::config::LoadOptions;
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, Raw, Word};
use crate::dns::record_text::name_from_text;
use crate::dns::{
    CacheSettings, RebindingSettings, Settings, SpecialNameSettings, StaleSettings, WarmSettings,
};
use crate::health::AnsweredBy;

use super::{Checker, elements, file, listen};

/// What fits into one character-string of a TXT record. RFC 1035 §3.3.
const NODE_NAME_MAX: usize = 255;
const WORKERS_MAX: i64 = 256;
/// The cache uses no more: its shards have positions of 32 bits.
const CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

impl Checker<'_> {
    pub(super) fn dns(
        &mut self,
        raw: &Raw,
        services: &[ServiceSettings],
        options: &LoadOptions,
    ) -> Settings {
        let root = KeyPath::root();
        let path = root.key("dns");
        let listen = self.listen(raw, services, &path.key("listen"));
        let listen_path = path.key("listen");
        let any_failed = self.has_failed(&root.key("service")) || self.has_failed(&listen_path);
        if raw.dns.listen.is_empty() && raw.service.is_empty() && !any_failed {
            let text = "nobody could ask this node; add a [[service]] or an address here";
            self.error(&listen_path, text);
        }
        let own = services
            .iter()
            .filter(|service| service.answered_by == AnsweredBy::Workers);
        let service_sockets: Vec<SocketAddr> = own
            .flat_map(|service| {
                let port = service.port;
                let addresses = service.addresses.iter();
                addresses.map(move |address| SocketAddr::new(*address, port))
            })
            .collect();
        let mut zones = self.zones(
            &raw.forward,
            services,
            &listen::literal(&listen),
            &root.key("forward"),
        );
        self.siblings_may_ask(&raw.forward, &zones, &listen);
        if service_sockets.is_empty() && listen.is_empty() && raw.forward.is_empty() {
            // Other programs answer for all services: the system's resolvers are not ours to watch.
            zones.clear();
        }
        let (hosts_files, hosts) = self.hosts_files(&raw.dns.hosts_files, &path.key("hosts_files"));
        let mut local = self.local(&raw.local, &root.key("local"));
        file::add_hosts(&mut local, hosts);
        Settings {
            node_name: self.node_name(&raw.node, options, &root.key("node").key("name")),
            show_version: raw.dns.show_version == Some(true),
            service_sockets,
            access: self.access(&raw.dns, &path),
            limits: self.limits(&raw.dns.rate_limit, &path.key("rate_limit")),
            cookie_secrets: self.cookie_secrets(
                raw.dns.cookie_secret_file.as_deref(),
                &path.key("cookie_secret_file"),
            ),
            special_names: SpecialNameSettings {
                enabled: raw.dns.special_names.enabled.unwrap_or_default(),
                private_reverse: raw.dns.special_names.private_reverse.unwrap_or_default(),
                canary: raw.dns.special_names.canary.unwrap_or_default(),
            },
            prefetch: raw.dns.prefetch.unwrap_or_default(),
            warm_start: self.warm_start(&raw.dns.warm_start, &path.key("warm_start")),
            rebinding: self.rebinding(&raw.dns.rebinding, &path.key("rebinding")),
            hosts_files,
            workers: self.workers(raw.dns.workers.as_ref(), options, &path.key("workers")),
            cache: self.cache(&raw.dns.cache, &path.key("cache")),
            stale: self.stale(&raw.dns.stale, &path.key("stale")),
            local,
            zones,
            listen,
        }
    }

    fn warm_start(&mut self, raw: &raw::WarmStart, path: &KeyPath) -> WarmSettings {
        let s = std::time::Duration::from_secs;
        WarmSettings {
            enabled: raw.enabled.unwrap_or_default(),
            names: self.number(&path.key("names"), raw.names, 0..=10_000),
            wait: self.duration(&path.key("wait"), raw.wait.as_ref(), s(0)..=s(30)),
            interval: self.duration(
                &path.key("interval"),
                raw.interval.as_ref(),
                s(10)..=s(DAY_S),
            ),
        }
    }

    fn rebinding(&mut self, raw: &raw::Rebinding, path: &KeyPath) -> RebindingSettings {
        let mut allowed: Vec<Vec<u8>> = Vec::new();
        for (path, text) in elements(&raw.allow, &path.key("allow")) {
            match name_from_text(text) {
                Ok(name) if allowed.contains(&name) => {
                    self.error(&path, &format!("{text:?} is listed twice; remove one"));
                }
                Ok(name) => allowed.push(name),
                Err(error) => self.error(&path, &format!("write a domain name: {error}")),
            }
        }
        RebindingSettings {
            enabled: raw.enabled.unwrap_or_default(),
            allowed,
        }
    }

    fn node_name(&mut self, raw: &raw::Node, options: &LoadOptions, path: &KeyPath) -> String {
        let configured = raw.name.as_deref().filter(|name| *name != "auto");
        let name = configured.unwrap_or(&options.host_name);
        let fits = (1..=NODE_NAME_MAX).contains(&name.len()) && !name.contains(char::is_control);
        if !fits && !self.has_failed(path) {
            let whose = match configured {
                Some(_) => "write",
                None => "the host name cannot be used; write",
            };
            let text =
                format!("{whose} a name of 1 to {NODE_NAME_MAX} octets without control characters");
            self.error(path, &text);
        }
        name.to_owned()
    }

    fn workers(
        &mut self,
        raw: Option<&Word>,
        options: &LoadOptions,
        path: &KeyPath,
    ) -> NonZeroUsize {
        match raw {
            Some(Word::Number(number)) => {
                let number = self.number(path, Some(*number), 1..=WORKERS_MAX);
                NonZeroUsize::new(number).unwrap_or(options.processors)
            }
            Some(Word::Text(text)) if text != "auto" => {
                let text = format!("write \"auto\" or a number, not {text:?}");
                self.error(path, &text);
                options.processors
            }
            Some(Word::Text(_)) | None => options.processors,
        }
    }

    fn cache(&mut self, raw: &raw::Cache, path: &KeyPath) -> CacheSettings {
        let min_ttl = self.seconds(&path.key("min_ttl"), raw.min_ttl.as_ref(), 0..=HOUR_S);
        let max_ttl = self.seconds(&path.key("max_ttl"), raw.max_ttl.as_ref(), 1..=7 * DAY_S);
        let negative_path = path.key("max_negative_ttl");
        let max_negative_ttl =
            self.seconds(&negative_path, raw.max_negative_ttl.as_ref(), 0..=DAY_S);
        let min_path = path.key("min_ttl");
        let both_are_good = !self.has_failed(&min_path) && !self.has_failed(&path.key("max_ttl"));
        if min_ttl > max_ttl && both_are_good {
            self.error(&min_path, "write a duration that is not over max_ttl");
        }
        CacheSettings {
            size_bytes: self.size(raw.size.as_ref(), CACHE_BYTES, &path.key("size")),
            min_ttl,
            max_ttl,
            max_negative_ttl,
        }
    }

    /// A number of octets.
    pub(super) fn size(
        &mut self,
        raw: Option<&Word>,
        range: RangeInclusive<u64>,
        path: &KeyPath,
    ) -> u64 {
        let least = *range.start();
        let size = match raw {
            None => {
                self.no_value(path);
                return least;
            }
            Some(Word::Number(number)) => u64::try_from(*number).ok(),
            Some(Word::Text(text)) => text.parse().ok().map(|bytesize::ByteSize(octets)| octets),
        };
        match size {
            Some(octets) if range.contains(&octets) => return octets,
            Some(octets) if octets < least => {
                let text = format!("write at least \"{}MiB\"", least >> 20);
                self.error(path, &text);
            }
            Some(_) => {
                let text = format!("write at most \"{}GiB\"", range.end() >> 30);
                self.error(path, &text);
            }
            None => self.error(path, "write a size with its unit, such as \"256MiB\""),
        }
        least
    }

    /// RFC 8767 §4 and §5 give the defaults.
    fn stale(&mut self, raw: &raw::Stale, path: &KeyPath) -> StaleSettings {
        let s = std::time::Duration::from_secs;
        StaleSettings {
            enabled: raw.enabled.unwrap_or_default(),
            client_timeout: self.duration(
                &path.key("client_timeout"),
                raw.client_timeout.as_ref(),
                s(0)..=s(10),
            ),
            reply_ttl: self.seconds(&path.key("reply_ttl"), raw.reply_ttl.as_ref(), 1..=HOUR_S),
            max_age: self.seconds(&path.key("max_age"), raw.max_age.as_ref(), 1..=7 * DAY_S),
        }
    }
}
