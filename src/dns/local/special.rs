//! Names that are answered here because no public server should be asked for them.
//!
//! Source: RFC 6761 §6 and the registries "Special-Use Domain Names" and "Locally-Served DNS Zones"
//! (RFC 6303 §4 and §5); each entry has its own.
//! Not here on purpose: `ipv4only.arpa.` (RFC 8880 §7), for upstreams with DNS64 tell their prefix by
//! it; `example.` (RFC 6761 §6.5), which is a name like any other; `hostname.as112.arpa.` and
//! `hostname.as112.net.` (RFC 7534 §3.5), which say what AS112 server is near.

use super::super::SpecialNameSettings;

/// What is said of a special name and the names below it, unless there are local records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every name is this host: 127.0.0.1 and ::1, and nothing else. RFC 6761 §6.3.
    Loopback,
    /// No name exists, the topmost included.
    Absent,
    /// A zone with SOA and NS and nothing else. RFC 6303 §3.
    Empty,
    /// Every name exists and has nothing. RFC 9462 §4.
    NoData,
}

/// A special name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialName {
    /// Wire form, lower case.
    pub name: Vec<u8>,
    /// What is said.
    pub kind: Kind,
    /// Where that stands.
    pub source: &'static str,
    /// Whether the public tree delegates it, so that its parent zone proves there that it is not
    /// signed: DS is asked of the upstreams. RFC 8375 §4.
    pub is_delegated: bool,
}

const NAMES: &[(&str, Kind, &str)] = &[
    ("localhost", Kind::Loopback, "RFC 6761 §6.3"),
    ("test", Kind::Absent, "RFC 6761 §6.2"),
    ("invalid", Kind::Absent, "RFC 6761 §6.4"),
    ("local", Kind::Absent, "RFC 6762 §22.1"),
    ("onion", Kind::Absent, "RFC 7686 §2"),
    ("alt", Kind::Absent, "RFC 9476 §2"),
    ("home.arpa", Kind::Empty, "RFC 8375 §4"),
    ("service.arpa", Kind::Empty, "RFC 9665 §10"),
    ("eap.arpa", Kind::Empty, "RFC 9965"),
    ("resolver.arpa", Kind::NoData, "RFC 9462 §4"),
    ("empty.as112.arpa", Kind::Empty, "RFC 7535 §3"),
];

/// Browsers that look for this name and do not find it keep to this resolver.
const CANARY: &str = "use-application-dns.net";

const REVERSE: &[(&str, &str)] = &[
    ("0.in-addr.arpa", "RFC 6303 §4.2"),
    ("10.in-addr.arpa", "RFC 6303 §4.1"),
    ("127.in-addr.arpa", "RFC 6303 §4.2"),
    ("254.169.in-addr.arpa", "RFC 6303 §4.2"),
    ("168.192.in-addr.arpa", "RFC 6303 §4.1"),
    ("2.0.192.in-addr.arpa", "RFC 6303 §4.2"),
    ("100.51.198.in-addr.arpa", "RFC 6303 §4.2"),
    ("113.0.203.in-addr.arpa", "RFC 6303 §4.2"),
    ("255.255.255.255.in-addr.arpa", "RFC 6303 §4.2"),
    (
        "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
        "RFC 6303 §4.3",
    ),
    (
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
        "RFC 6303 §4.3",
    ),
    ("d.f.ip6.arpa", "RFC 6303 §4.4"),
    ("8.e.f.ip6.arpa", "RFC 6303 §4.5"),
    ("9.e.f.ip6.arpa", "RFC 6303 §4.5"),
    ("a.e.f.ip6.arpa", "RFC 6303 §4.5"),
    ("b.e.f.ip6.arpa", "RFC 6303 §4.5"),
    ("8.b.d.0.1.0.0.2.ip6.arpa", "RFC 6303 §4.6"),
];

/// All special names that `settings` turn on, none of them twice.
#[must_use]
pub fn names(settings: &SpecialNameSettings) -> Vec<SpecialName> {
    let mut all = Vec::new();
    if settings.enabled {
        all.extend(NAMES.iter().map(|(name, kind, source)| SpecialName {
            name: wire(name),
            kind: *kind,
            source,
            is_delegated: name.ends_with(".arpa"),
        }));
    }
    if settings.private_reverse {
        let listed = REVERSE
            .iter()
            .map(|(name, source)| reverse_zone(name, source));
        let private = (16..=31)
            .map(|octet| reverse_zone(&format!("{octet}.172.in-addr.arpa"), "RFC 6303 §4.1"));
        let shared =
            (64..=127).map(|octet| reverse_zone(&format!("{octet}.100.in-addr.arpa"), "RFC 7793"));
        all.extend(listed.chain(private).chain(shared));
    }
    if settings.canary {
        all.push(SpecialName {
            name: wire(CANARY),
            kind: Kind::Absent,
            source: "Mozilla: canary domain",
            is_delegated: false,
        });
    }
    all
}

/// Whether it is the name that [`SpecialNameSettings::canary`] is about.
pub(super) fn is_canary(name: &[u8]) -> bool {
    name == wire(CANARY)
}

fn reverse_zone(name: &str, source: &'static str) -> SpecialName {
    SpecialName {
        name: wire(name),
        kind: Kind::Empty,
        source,
        is_delegated: true,
    }
}

/// The wire form of one of the names above: labels of lower-case letters, digits and hyphens.
pub(super) fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        wire.extend(u8::try_from(label.len()));
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

#[cfg(test)]
mod tests {
    use super::super::super::record_text::name_from_text;
    use super::*;

    fn every() -> Vec<SpecialName> {
        names(&SpecialNameSettings {
            canary: true,
            ..SpecialNameSettings::default()
        })
    }

    #[test]
    fn every_name_is_a_name_and_stands_once() {
        let all = every();
        for special in &all {
            let twins = all.iter().filter(|other| other.name == special.name);
            assert_eq!(twins.count(), 1, "{special:?}");
            assert!(special.source.starts_with("RFC ") || is_canary(&special.name));
        }
        for (text, ..) in NAMES {
            assert_eq!(wire(text), name_from_text(text).unwrap());
        }
        for (text, _) in REVERSE {
            assert_eq!(wire(text), name_from_text(text).unwrap());
        }
    }

    /// RFC 6303 §4 has 33 zones, RFC 7793 another 64.
    #[test]
    fn the_reverse_zones_are_those_of_the_registry() {
        let only = |enabled, private_reverse, canary| {
            names(&SpecialNameSettings {
                enabled,
                private_reverse,
                canary,
            })
        };
        assert_eq!(only(false, true, false).len(), 17 + 16 + 64);
        assert_eq!(only(true, false, false).len(), NAMES.len());
        assert_eq!(only(false, false, true).len(), 1);
        assert!(only(false, false, false).is_empty());
        let has = |name: &str| every().iter().any(|special| special.name == wire(name));
        for (name, expected) in [
            ("15.172.in-addr.arpa", false),
            ("16.172.in-addr.arpa", true),
            ("31.172.in-addr.arpa", true),
            ("32.172.in-addr.arpa", false),
            ("63.100.in-addr.arpa", false),
            ("64.100.in-addr.arpa", true),
            ("127.100.in-addr.arpa", true),
            ("128.100.in-addr.arpa", false),
            ("c.f.ip6.arpa", false),
            ("ipv4only.arpa", false),
        ] {
            assert_eq!(has(name), expected, "{name}");
        }
    }
}
