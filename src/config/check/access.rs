//! `[dns] allow` and its like, and `[dns.rate_limit]`: who may ask, and how much.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List};
use crate::dns::client::PrefixLengths;
use crate::dns::{AccessSettings, LimitSettings};

use super::{Checker, address, elements};

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
/// Nobody's load: an upper bound against slips of the pen.
const PER_SECOND_MAX: i64 = 10_000_000;
const AMPLIFICATION_MAX: i64 = 1000;
const SLIP_MAX: i64 = 10;

impl Checker<'_> {
    pub(super) fn access(&mut self, raw: &raw::Dns, path: &KeyPath) -> AccessSettings {
        let allow_path = path.key("allow");
        if raw.allow.is_empty() && !self.has_failed(&allow_path) {
            let text = "list who may ask, such as \"private\" and \"loopback\"";
            self.error(&allow_path, text);
        }
        AccessSettings {
            allow: self.open_list(&raw.allow, &allow_path),
            allow_cached: self.open_list(&raw.allow_cached, &path.key("allow_cached")),
            allow_chaos: self.prefixes(&raw.allow_chaos, &path.key("allow_chaos")),
        }
    }

    /// RFC 5358 §4: a resolver for everybody is a reflector.
    fn open_list(&mut self, list: &List<String>, path: &KeyPath) -> Vec<IpNet> {
        for (path, text) in elements(list, path) {
            if matches!(text.as_str(), "any" | "0.0.0.0/0" | "::/0") {
                let text = "everybody may ask: an open resolver is abused for attacks on others; \
                            list your own prefixes";
                self.warning(&path, text);
            }
        }
        self.prefixes(list, path)
    }

    fn prefixes(&mut self, list: &List<String>, path: &KeyPath) -> Vec<IpNet> {
        let mut found: Vec<IpNet> = Vec::new();
        for (path, text) in elements(list, path) {
            let prefixes = match text.as_str() {
                "private" => &PRIVATE[..],
                "loopback" => &LOOPBACK[..],
                "any" => &ANY[..],
                other => &[other][..],
            };
            for prefix in prefixes {
                let alone = prefix.parse::<IpAddr>();
                let alone = alone.map(|address| IpNet::from(address).to_string());
                match address::prefix(alone.as_deref().unwrap_or(prefix)) {
                    Ok(prefix) => found.push(prefix),
                    Err(text) => {
                        let text = format!("{text}; or \"private\", \"loopback\" or \"any\"");
                        self.error(&path, &text);
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Where 0 is no limit at all.
    pub(super) fn limits(&mut self, raw: &raw::RateLimit, path: &KeyPath) -> LimitSettings {
        let mut per_second = |key: &str, number| {
            let number = self.number(&path.key(key), number, 0..=PER_SECOND_MAX);
            std::num::NonZeroU32::new(number)
        };
        let queries_per_second = per_second("queries_per_second", raw.queries_per_second);
        let responses_per_second = per_second("responses_per_second", raw.responses_per_second);
        let amplification_path = path.key("amplification");
        let amplification = self.number(
            &amplification_path,
            raw.amplification,
            0..=AMPLIFICATION_MAX,
        );
        LimitSettings {
            // Behind a /64 is one link, where anybody has any address. RFC 4291 §2.5.1.
            prefix: PrefixLengths {
                v4: self.number(&path.key("ipv4_prefix"), raw.ipv4_prefix, 1..=32),
                v6: self.number(&path.key("ipv6_prefix"), raw.ipv6_prefix, 1..=64),
            },
            queries_per_second,
            responses_per_second,
            slip: self.number(&path.key("slip"), raw.slip, 0..=SLIP_MAX),
            amplification: std::num::NonZeroU32::new(amplification),
            allowance_bytes: self.size(
                raw.allowance.as_ref(),
                0..=u64::MAX,
                &path.key("allowance"),
            ),
            exempt: self.prefixes(&raw.exempt, &path.key("exempt")),
        }
    }
}
