//! House rules that clippy cannot check: size and place of things, and who may know whom.
#![expect(
    clippy::expect_used,
    reason = "a tree that cannot be read has no rules to check"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files that may wait, spawn, read the clock and touch the operating system.
const SHELLS: &[&str] = &[
    "src/main.rs",
    "src/cli",
    "src/node",
    "src/os",
    "src/telemetry.rs",
    "src/admin/http.rs",
    "src/admin/socket.rs",
    "src/bfd/driver",
    "src/bgp/driver",
    "src/bgp/listener.rs",
    "src/dns/bootstrap.rs",
    "src/dns/exchange.rs",
    "src/dns/exchange/bell.rs",
    "src/dns/exchange/socket.rs",
    "src/dns/exchange/sockets.rs",
    "src/dns/exchange/tcp",
    "src/dns/listener",
    "src/dns/loops/search.rs",
    "src/dns/peers/ask.rs",
    "src/dns/serve",
    "src/dns/upkeep.rs",
    "src/health/prober",
];

const FORBIDDEN_MODULES: &[&str] = &[
    "utils", "util", "common", "helpers", "misc", "types", "manager", "mod",
];

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text without its `#[cfg(test)]` part and without comments.
    fn code(&self) -> String {
        let end = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        let code = self.text.get(..end).unwrap_or_default();
        code.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    fn is_shell(&self) -> bool {
        SHELLS.iter().any(|shell| {
            self.path == *shell
                || self.path == format!("{shell}.rs")
                || self.path.starts_with(&format!("{shell}/"))
        })
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, into: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a folder of the repository").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let path = path
                .strip_prefix(root())
                .expect("below the root")
                .to_string_lossy()
                .into_owned();
            into.push(Source { path, text });
        }
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut found);
    }
    assert!(!found.is_empty(), "no sources below {folders:?}");
    found
}

fn report(rule: &str, offenders: &[String]) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}",
        offenders.join("\n  ")
    );
}

#[test]
fn no_file_is_longer_than_450_lines() {
    let long: Vec<_> = sources(&["src", "tests", "examples", "lab", "benches"])
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > 450)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    report("a file does one thing, in 450 lines at most", &long);
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    let vague: Vec<_> = sources(&["src", "lab"])
        .into_iter()
        .filter(|source| {
            let stem = Path::new(&source.path)
                .file_stem()
                .unwrap()
                .to_string_lossy();
            FORBIDDEN_MODULES.contains(&stem.as_ref())
        })
        .map(|source| source.path)
        .collect();
    report("name a module after what it does", &vague);
}

#[test]
fn no_core_waits_or_spawns() {
    let words = [
        ".await;",
        ".await?",
        ".await\n",
        ".await.",
        ".await)",
        "async fn",
        "spawn(",
        "spawn_local(",
        "std::thread",
        "Instant::now",
    ];
    let mut offenders = Vec::new();
    for source in sources(&["src"])
        .iter()
        .filter(|s| !s.is_shell() && !s.is_test())
    {
        let code = source.code();
        for word in words.iter().filter(|word| code.contains(**word)) {
            offenders.push(format!("{}: {word}", source.path));
        }
    }
    report(
        "a core takes (state, event, now); list a shell in SHELLS",
        &offenders,
    );
}

#[test]
fn foreign_crates_are_named_in_their_own_place_only() {
    let places: &[(&str, &[&str])] = &[
        ("zettabgp", &["src/bgp/wire.rs", "src/bgp/wire/"]),
        ("rtnetlink", &["src/os/"]),
        ("netlink_packet_route", &["src/os/"]),
        ("hickory_proto", &["src/dns/"]),
        ("hickory_resolver", &["src/dns/bootstrap"]),
        ("figment", &["src/config"]),
        ("axum", &["src/admin/"]),
        (
            "prometheus",
            &["metrics.rs", "src/telemetry.rs", "src/admin/http.rs"],
        ),
        ("anyhow", &["src/main.rs", "src/cli"]),
        ("bytemuck", &["src/dns/cache"]),
        ("sha1", &["src/bfd/authentication"]),
    ];
    let mut offenders = Vec::new();
    for source in sources(&["src"]).iter().filter(|s| !s.is_test()) {
        let code = source.code();
        for (name, allowed) in places {
            let used = code.contains(&format!("{name}::"));
            if used && !allowed.iter().any(|place| source.path.contains(place)) {
                offenders.push(format!("{}: {name}", source.path));
            }
        }
    }
    report("wrap a foreign crate in one place", &offenders);
}

#[test]
fn domains_meet_in_node_only() {
    let domains: &[(&str, &[&str])] = &[
        (
            "dns",
            &[
                "bgp", "health", "announce", "admin", "config", "node", "cli",
            ],
        ),
        (
            "bgp",
            &[
                "dns", "health", "announce", "admin", "config", "node", "cli",
            ],
        ),
        (
            "bfd",
            &[
                "dns", "bgp", "health", "announce", "admin", "config", "node", "cli",
            ],
        ),
        (
            "health",
            &["dns", "bgp", "announce", "admin", "config", "node", "cli"],
        ),
        (
            "announce",
            &["dns", "bgp", "admin", "config", "node", "cli"],
        ),
        (
            "os",
            &[
                "dns", "bgp", "health", "announce", "admin", "config", "node", "cli",
            ],
        ),
        (
            "admin",
            &["dns", "bgp", "health", "announce", "config", "node", "cli"],
        ),
        ("config", &["node", "cli"]),
        ("node", &["cli"]),
    ];
    let mut offenders = Vec::new();
    for source in sources(&["src"]) {
        for (domain, strangers) in domains {
            let own = source.path == format!("src/{domain}.rs")
                || source.path.starts_with(&format!("src/{domain}/"));
            for stranger in strangers.iter().filter(|_| own) {
                if source.code().contains(&format!("crate::{stranger}::")) {
                    offenders.push(format!("{}: crate::{stranger}", source.path));
                }
            }
        }
    }
    report("a domain knows no other", &offenders);
}

#[test]
fn every_protocol_module_names_its_source() {
    // What no RFC describes.
    let own = [
        "src/dns/upstream",
        "src/dns/inflight",
        "src/dns/counters.rs",
        "src/dns/prefetch.rs",
        "src/dns/cache/atomics.rs",
        "src/dns/cache/ghosts.rs",
        "src/dns/cache/hash.rs",
        "src/dns/cache/index.rs",
        "src/dns/cache/plan.rs",
        "src/dns/cache/ring.rs",
        "src/dns/cache/shard.rs",
        "src/dns/cache/slot.rs",
        "src/dns/cache/words.rs",
    ];
    let nameless: Vec<_> = sources(&["src/bfd", "src/bgp", "src/dns"])
        .into_iter()
        .filter(|source| !source.is_test() && !source.path.ends_with("metrics.rs"))
        .filter(|source| !own.iter().any(|own| source.path.starts_with(own)))
        .filter(|source| {
            let head: Vec<_> = source
                .text
                .lines()
                .take_while(|line| line.starts_with("//!"))
                .collect();
            head.is_empty() || !(head.join(" ").contains("RFC") || source.is_shell())
        })
        .map(|source| source.path)
        .collect();
    report(
        "a protocol module names the RFC sections that it follows",
        &nameless,
    );
}

#[test]
fn every_direct_dependency_is_justified_in_the_crate_documentation() {
    let mut missing = Vec::new();
    for (manifest, documentation) in [
        ("Cargo.toml", "src/lib.rs"),
        ("lab/Cargo.toml", "lab/src/main.rs"),
    ] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let said = fs::read_to_string(root().join(documentation)).unwrap();
        for section in ["dependencies", "dev-dependencies"] {
            let Some(crates) = table.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            let unsaid = crates
                .keys()
                .filter(|name| !said.contains(&format!("//! | `{name}` |")));
            missing.extend(unsaid.map(|name| format!("{manifest}: {name}")));
        }
    }
    report(
        "say in the crate documentation in one line why it is needed",
        &missing,
    );
}

#[test]
fn there_is_at_most_one_tls_provider_and_no_deprecated_yaml() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let has = |name: &&&str| lock.contains(&format!("name = \"{name}\"\n"));
    let providers = [
        "ring",
        "aws-lc-rs",
        "openssl",
        "native-tls",
        "mbedtls",
        "boring",
    ];
    let found: Vec<_> = providers.iter().filter(has).collect();
    assert!(found.len() <= 1, "more than one TLS provider: {found:?}");
    let deprecated = [
        "serde_yaml",
        "async-std",
        "structopt",
        "term",
        "lazy_static_include",
    ];
    let found: Vec<_> = deprecated.iter().filter(has).collect();
    assert!(found.is_empty(), "deprecated crates: {found:?}");
}
