//! The configuration as it is written: shapes only, every key optional, nothing understood yet.
//!
//! An element of a list is `None` where something of another shape stood, which is already
//! reported; so the places of the others stay right.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A list whose elements have each been read or reported.
pub(super) type List<T> = Vec<Option<T>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Raw {
    pub(super) node: Node,
    pub(super) service: List<Service>,
    pub(super) dns: Dns,
    pub(super) local: List<Local>,
    pub(super) forward: List<Forward>,
    pub(super) bgp: Bgp,
    pub(super) health: Health,
    pub(super) admin: Admin,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Node {
    pub(super) name: Option<String>,
    pub(super) router_id: Option<String>,
    pub(super) state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Service {
    pub(super) name: Option<String>,
    pub(super) addresses: Option<List<String>>,
    pub(super) port: Option<i64>,
    pub(super) interface: Option<String>,
    pub(super) on_shared_fault: Option<String>,
    pub(super) on_local_fault: Option<String>,
    pub(super) backup: Marks,
    pub(super) floor: List<String>,
    pub(super) target: Option<Texts>,
    pub(super) tcp: Option<bool>,
    pub(super) probe: Option<String>,
    pub(super) names: List<String>,
    pub(super) names_needed: Option<i64>,
    pub(super) check: List<Check>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Check {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) address: Option<String>,
    pub(super) url: Option<String>,
    pub(super) status: Option<List<Word>>,
    pub(super) command: Option<List<String>>,
    pub(super) interval: Option<DurationText>,
    pub(super) timeout: Option<DurationText>,
    pub(super) fall: Option<i64>,
    pub(super) rise: Option<i64>,
    pub(super) fault: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Marks {
    pub(super) prepend: Option<i64>,
    pub(super) med: Option<Word>,
    pub(super) local_pref: Option<i64>,
    pub(super) communities: Option<List<String>>,
    pub(super) large_communities: List<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Dns {
    pub(super) listen: List<String>,
    pub(super) allow: List<String>,
    pub(super) allow_cached: List<String>,
    pub(super) allow_chaos: List<String>,
    pub(super) cookie_secret_file: Option<String>,
    pub(super) prefetch: Option<bool>,
    pub(super) hosts_files: List<String>,
    pub(super) workers: Option<Word>,
    pub(super) show_version: Option<bool>,
    pub(super) cache: Cache,
    pub(super) stale: Stale,
    pub(super) rate_limit: RateLimit,
    pub(super) special_names: SpecialNames,
    pub(super) rebinding: Rebinding,
    pub(super) warm_start: WarmStart,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct WarmStart {
    pub(super) enabled: Option<bool>,
    pub(super) names: Option<i64>,
    pub(super) wait: Option<DurationText>,
    pub(super) interval: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct RateLimit {
    pub(super) queries_per_second: Option<i64>,
    pub(super) responses_per_second: Option<i64>,
    pub(super) slip: Option<i64>,
    pub(super) amplification: Option<i64>,
    pub(super) allowance: Option<Word>,
    pub(super) ipv4_prefix: Option<i64>,
    pub(super) ipv6_prefix: Option<i64>,
    pub(super) exempt: List<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct SpecialNames {
    pub(super) enabled: Option<bool>,
    pub(super) private_reverse: Option<bool>,
    pub(super) canary: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Rebinding {
    pub(super) enabled: Option<bool>,
    pub(super) allow: List<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Cache {
    pub(super) size: Option<Word>,
    pub(super) min_ttl: Option<DurationText>,
    pub(super) max_ttl: Option<DurationText>,
    pub(super) max_negative_ttl: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Stale {
    pub(super) enabled: Option<bool>,
    pub(super) client_timeout: Option<DurationText>,
    pub(super) reply_ttl: Option<DurationText>,
    pub(super) max_age: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Local {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) rtype: Option<String>,
    pub(super) data: Option<String>,
    pub(super) ttl: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Forward {
    pub(super) zone: Option<String>,
    pub(super) action: Option<String>,
    pub(super) upstreams: Option<List<String>>,
    pub(super) last_resort: List<String>,
    pub(super) mixed_case: Option<bool>,
    pub(super) cookies: Option<bool>,
    pub(super) critical: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Bgp {
    pub(super) asn: Option<i64>,
    pub(super) hold_time: Option<DurationText>,
    pub(super) listen: List<String>,
    pub(super) neighbor: List<Neighbor>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Neighbor {
    pub(super) address: Option<String>,
    pub(super) asn: Option<Word>,
    pub(super) port: Option<i64>,
    pub(super) source: Option<String>,
    pub(super) passive: Option<bool>,
    pub(super) hold_time: Option<DurationText>,
    pub(super) delay_open: Option<DurationText>,
    pub(super) password_file: Option<String>,
    pub(super) tcp_ao: Option<TcpAo>,
    pub(super) ttl_security: Option<bool>,
    pub(super) multihop_ttl: Option<i64>,
    pub(super) role: Option<String>,
    pub(super) families: Option<List<String>>,
    pub(super) preferred: Marks,
    pub(super) backup: Marks,
    pub(super) bfd: Option<Bfd>,
}

/// Refused, whatever it says: only its shape is known.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct TcpAo {
    #[serde(rename = "key_file")]
    _key_file: Option<String>,
    #[serde(rename = "send_id")]
    _send_id: Option<i64>,
    #[serde(rename = "receive_id")]
    _receive_id: Option<i64>,
    #[serde(rename = "algorithm")]
    _algorithm: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Bfd {
    pub(super) interval: Option<DurationText>,
    pub(super) multiplier: Option<i64>,
    pub(super) key_file: Option<String>,
    pub(super) key_id: Option<i64>,
    pub(super) meticulous: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Health {
    pub(super) interval: Option<DurationText>,
    pub(super) fall: Option<i64>,
    pub(super) rise: Option<i64>,
    pub(super) hold_down: Option<DurationText>,
    pub(super) jitter: Option<DurationText>,
    pub(super) promotions_per_hour: Option<i64>,
    pub(super) drain_wait: Option<DurationText>,
    pub(super) linger: Option<DurationText>,
    pub(super) canary: Canaries,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Canaries {
    pub(super) names: List<String>,
    pub(super) needed: Option<i64>,
    pub(super) interval: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Admin {
    pub(super) listen: Option<String>,
    pub(super) socket: Option<String>,
}

/// A number or a text, where either may stand: `65001` or `"external"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a text in quotes")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Word, E> {
                Ok(Word::Number(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Word, E> {
                // A variable of the environment is always a text.
                Ok(text.parse().map_or_else(
                    |_| Word::Text(text.to_owned()),
                    |number: i64| Word::Number(number),
                ))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A text, or a list of them, where one is usual: `"127.0.0.1"` or `["127.0.0.1", "::1"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    One(String),
    Several(List<String>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, sequence: A) -> Result<Texts, A::Error> {
                let list = de::value::SeqAccessDeserializer::new(sequence);
                List::deserialize(list).map(Texts::Several)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A text that should be a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DurationText(pub(super) String);

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = DurationText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a duration with its unit in quotes, such as "200ms" or "9s""#)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DurationText, E> {
                Ok(DurationText(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
