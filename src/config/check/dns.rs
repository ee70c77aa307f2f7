//! `[node] name`, `[dns]` and what belongs to the query path.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

use ipnet::IpNet;

use crate::announce::ServiceSettings;
use crate::config::LoadOptions;
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List, Raw, Word};
use crate::dns::{
    AccessSettings, CacheSettings, LimitSettings, RebindingSettings, Settings, SpecialNameSettings,
    StaleSettings,
};

use super::{Checker, address, elements};

/// What fits into one character-string of a TXT record. RFC 1035 §3.3.
const NODE_NAME_MAX: usize = 255;
const WORKERS_MAX: i64 = 256;
const CACHE_MIN_BYTES: u64 = 1 << 20;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

/// RFC 1918, RFC 4193, and link-local addresses (RFC 3927, RFC 4291 §2.5.6), which cannot come
/// from farther than the link.
const PRIVATE: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
const ANY: [&str; 2] = ["0.0.0.0/0", "::/0"];

impl Checker<'_> {
    pub(super) fn dns(
        &mut self,
        raw: &Raw,
        services: &[ServiceSettings],
        options: &LoadOptions,
    ) -> Settings {
        let root = KeyPath::root();
        let path = root.key("dns");
        let listen = self.listen(&raw.dns.listen, services, &path.key("listen"));
        let listen_path = path.key("listen");
        let any_failed = self.has_failed(&root.key("service")) || self.has_failed(&listen_path);
        if raw.dns.listen.is_empty() && raw.service.is_empty() && !any_failed {
            let text = "nobody could ask this node; add a [[service]] or an address here";
            self.error(&listen_path, text);
        }
        let service_sockets = services
            .iter()
            .flat_map(|service| {
                let port = service.port;
                let addresses = service.addresses.iter();
                addresses.map(move |address| SocketAddr::new(*address, port))
            })
            .collect();
        Settings {
            node_name: self.node_name(&raw.node, options, &root.key("node").key("name")),
            show_version: raw.dns.show_version == Some(true),
            service_sockets,
            access: AccessSettings {
                allow: self.allow(&raw.dns.allow, &path.key("allow")),
                ..AccessSettings::default()
            },
            limits: LimitSettings::default(),
            cookie_secrets: None,
            special_names: SpecialNameSettings::default(),
            prefetch: true,
            rebinding: RebindingSettings::default(),
            hosts_files: Vec::new(),
            workers: self.workers(raw.dns.workers.as_ref(), options, &path.key("workers")),
            cache: self.cache(&raw.dns.cache, &path.key("cache")),
            stale: self.stale(&raw.dns.stale, &path.key("stale")),
            local: self.local(&raw.local, &root.key("local")),
            zones: self.zones(&raw.forward, services, &listen, &root.key("forward")),
            listen,
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

    fn listen(
        &mut self,
        list: &List<String>,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Vec<SocketAddr> {
        let mut sockets: Vec<SocketAddr> = Vec::new();
        for (path, text) in elements(list, path) {
            let socket = match address::socket(text, Some(53)) {
                Ok(socket) => socket,
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            let of_service = services.iter().find(|service| {
                service.port == socket.port() && service.addresses.contains(&socket.ip())
            });
            let problem = if socket.ip().is_unspecified() {
                Some(
                    "list each address by itself: answers must leave from the address that was \
                     asked"
                        .to_owned(),
                )
            } else if let Some(reason) = address::not_a_host(socket.ip()) {
                Some(format!("write another address: {} {reason}", socket.ip()))
            } else if let Some(service) = of_service {
                Some(format!(
                    "service {:?} listens on {socket} by itself; remove it here",
                    service.name
                ))
            } else if sockets.contains(&socket) {
                Some(format!("{socket} is listed twice; remove one"))
            } else {
                None
            };
            match problem {
                Some(text) => self.error(&path, &text),
                None => sockets.push(socket),
            }
        }
        sockets
    }

    fn allow(&mut self, list: &List<String>, path: &KeyPath) -> Vec<IpNet> {
        if list.is_empty() && !self.has_failed(path) {
            self.error(
                path,
                "list who may ask, such as \"private\" and \"loopback\"",
            );
        }
        let mut allowed: Vec<IpNet> = Vec::new();
        for (path, text) in elements(list, path) {
            let prefixes = match text.as_str() {
                "private" => &PRIVATE[..],
                "loopback" => &LOOPBACK[..],
                "any" => &ANY[..],
                other => &[other][..],
            };
            for prefix in prefixes {
                let alone = prefix.parse::<IpAddr>().map(IpNet::from);
                match alone.or_else(|_| address::prefix(prefix)) {
                    Ok(prefix) => allowed.push(prefix),
                    Err(text) => {
                        let text = format!("{text}; or \"private\", \"loopback\" or \"any\"");
                        self.error(&path, &text);
                    }
                }
            }
            if allowed.last().is_some_and(|last| last.prefix_len() == 0) {
                let text = "everybody may ask: an open resolver is abused for attacks on others; \
                            list your own prefixes";
                self.warning(&path, text);
            }
        }
        allowed.sort_unstable();
        allowed.dedup();
        allowed
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
            size_bytes: self.size(raw.size.as_ref(), &path.key("size")),
            min_ttl,
            max_ttl,
            max_negative_ttl,
        }
    }

    fn size(&mut self, raw: Option<&Word>, path: &KeyPath) -> u64 {
        let size = match raw {
            None => return CACHE_MIN_BYTES,
            Some(Word::Number(number)) => u64::try_from(*number).ok(),
            Some(Word::Text(text)) => text.parse().ok().map(|bytesize::ByteSize(octets)| octets),
        };
        match size {
            Some(octets) if octets >= CACHE_MIN_BYTES => octets,
            Some(_) => {
                self.error(path, "write at least \"1MiB\"");
                CACHE_MIN_BYTES
            }
            None => {
                self.error(path, "write a size with its unit, such as \"256MiB\"");
                CACHE_MIN_BYTES
            }
        }
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
