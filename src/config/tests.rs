use std::time::Duration;

use super::*;
use crate::bgp::{GRACEFUL_SHUTDOWN, NeighborAddress, PeerAsn};
use crate::dns::{LimitSettings, ListenAddress, SpecialNameSettings, UpstreamAddress, ZoneAction};
use crate::health::OnSharedFault;

mod canary;
mod mutation;
mod neighbors;
mod targets;

const EXAMPLES: [&str; 5] = [
    include_str!("../../examples/anycast.toml"),
    include_str!("../../examples/cache.toml"),
    include_str!("../../examples/minimal.toml"),
    include_str!("../../examples/sidestep.toml"),
    include_str!("../../examples/announce-only.toml"),
];

fn options() -> LoadOptions {
    LoadOptions {
        file: None,
        default_file: DEFAULT_FILE.into(),
        environment: Vec::new(),
        host_name: "ams1".to_owned(),
        processors: NonZeroUsize::new(2).unwrap(),
    }
}

/// Reads `texts` as `0.toml`, `1.toml` and so on, each over the one before.
fn read(texts: &[&str], variables: &[(&str, &str)]) -> Result<Config, Vec<Diagnostic>> {
    let files: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| (PathBuf::from(format!("{index}.toml")), (*text).to_owned()))
        .collect();
    let environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let options = LoadOptions {
        environment,
        ..options()
    };
    from_texts(&files, &options, Findings::default())
}

fn good(texts: &[&str]) -> Config {
    read(texts, &[]).unwrap()
}

/// The diagnostics of a text that is laid over the minimal example.
fn bad(overlay: &str) -> Vec<String> {
    let diagnostics = read(&[EXAMPLES[2], overlay], &[]).unwrap_err();
    diagnostics.iter().map(ToString::to_string).collect()
}

fn is_good(overlay: &str) -> bool {
    read(&[EXAMPLES[2], overlay], &[]).is_ok()
}

fn socket(text: &str) -> ListenAddress {
    ListenAddress::Socket(text.parse().unwrap())
}

#[test]
fn without_a_file_the_node_is_a_cache_on_port_5300_that_announces_nothing() {
    let config = good(&[]);
    assert_eq!(config.dns.listen, [socket("127.0.0.1:5300")]);
    assert_eq!(config.dns.zones[0].upstreams, [UpstreamAddress::System]);
    assert_eq!(config.dns.zones[0].zone, [0]);
    assert_eq!((config.bgp, config.services.len()), (None, 0));
    assert_eq!(config.admin.socket, None);
    assert_eq!(config.node_name, "ams1");
    assert!(config.sources.is_empty() && config.warnings.is_empty());
}

#[test]
fn the_commented_example_shows_the_defaults() {
    let required = r#"
        [[service]]
        name = "resolver"
        addresses = ["10.53.53.53", "fd53::53"]
        [bgp]
        asn = 65053
        [[bgp.neighbor]]
        address = "default-gateway"
        asn = "external"
    "#;
    let (example, plain) = (good(&[EXAMPLES[3]]), good(&[required]));
    assert_eq!(format!("{example:?}"), format!("{plain:?}"));
}

#[test]
fn a_service_announces_as_documented_by_default() {
    let config = good(&[EXAMPLES[2]]);
    let service = &config.services[0];
    assert_eq!(service.port, 53);
    assert_eq!(service.interface.as_deref(), Some("lo"));
    assert_eq!(service.on_shared_fault, OnSharedFault::Backup);
    assert_eq!(
        (service.backup.prepend, service.backup.med),
        (3, Some(1000))
    );
    assert_eq!(service.backup.communities, [GRACEFUL_SHUTDOWN]);
    assert_eq!(
        config.dns.service_sockets,
        ["10.53.53.53:53".parse().unwrap()]
    );
    let bgp = config.bgp.unwrap();
    assert_eq!(bgp.neighbors[0].hold_time, Some(Duration::from_secs(9)));
    assert_eq!(bgp.neighbors[0].address, NeighborAddress::DefaultGateway);
    assert_eq!(bgp.neighbors[0].asn, PeerAsn::External);
    assert_eq!(bgp.neighbors[0].port, 179);
}

#[test]
fn the_anycast_example_means_what_it_says() {
    let config = good(&[EXAMPLES[0]]);
    assert_eq!(config.services[0].floor.len(), 2);
    assert_eq!(config.services[1].on_shared_fault, OnSharedFault::Keep);
    assert_eq!(config.services[1].backup.med, None);
    assert_eq!(config.services[1].backup.communities, [65000 << 16 | 90]);
    assert_eq!(config.dns.cache.size_bytes, 1 << 30);
    assert_eq!(config.dns.workers.get(), 4);
    assert_eq!(config.dns.zones[1].zone, b"\x04corp\x07example\x00");
    assert_eq!(config.dns.zones[1].zone_text, "corp.example.");
    assert!(config.dns.zones[0].critical && !config.dns.zones[1].critical);
    assert_eq!(config.dns.zones[0].last_resort.len(), 3);
    assert_eq!(config.dns.listen[0], ListenAddress::RouterId { port: 53 });
    assert_eq!(config.bgp.unwrap().neighbors[1].asn, PeerAsn::Number(65001));
    assert!(config.warnings.is_empty());
}

#[test]
fn the_settings_of_the_query_path_are_the_documented_ones_by_default() {
    let dns = good(&[EXAMPLES[2]]).dns;
    assert_eq!(dns.limits, LimitSettings::default());
    assert_eq!(dns.special_names, SpecialNameSettings::default());
    assert!(dns.prefetch && !dns.rebinding.enabled);
    assert_eq!(dns.access.allow_chaos, dns.access.allow);
    assert!(dns.access.allow_cached.is_empty());
    assert_eq!(dns.cookie_secrets, None);
    assert!(dns.zones[0].dialect.cookies && !dns.zones[0].dialect.mixed_case);
}

#[test]
fn a_limit_of_zero_is_no_limit() {
    let zero = "dns.rate_limit = { queries_per_second = 0, responses_per_second = 0, \
                amplification = 0, slip = 0, allowance = 0 }";
    let limits = good(&[EXAMPLES[2], zero]).dns.limits;
    assert_eq!(limits.queries_per_second, None);
    assert_eq!(limits.responses_per_second, None);
    assert_eq!(limits.amplification, None);
    assert_eq!((limits.slip, limits.allowance_bytes), (0, 0));
}

#[test]
fn a_zone_that_is_answered_here_has_no_upstreams_and_is_no_evidence() {
    for (word, action) in [("local", ZoneAction::Local), ("refuse", ZoneAction::Refuse)] {
        let text = format!("[[forward]]\nzone = \".\"\naction = \"{word}\"\nupstreams = []");
        let zones = good(&[EXAMPLES[2], &text]).dns.zones;
        assert_eq!(zones[0].action, action);
        assert!(zones[0].upstreams.is_empty() && !zones[0].critical);
    }
}

#[test]
fn a_router_id_that_is_configured_is_where_the_node_listens() {
    let listen = |router_id: &str| {
        let text = format!("node.router_id = \"{router_id}\"\ndns.listen = [\"router-id\"]");
        good(&[EXAMPLES[2], &text]).dns.listen
    };
    assert_eq!(listen("10.0.0.5"), [socket("10.0.0.5:53")]);
    assert_eq!(listen("auto"), [ListenAddress::RouterId { port: 53 }]);
}

/// Who asks its siblings in need must be there for them.
#[test]
fn siblings_without_an_address_to_be_asked_at_are_warned_about() {
    let siblings =
        "[[forward]]\nzone = \".\"\nupstreams = [\"192.0.2.1\"]\nlast_resort = [\"10.0.0.2\"]";
    for (listen, expected) in [
        ("[]", 1),
        ("[\"127.0.0.1:5300\"]", 1),
        ("[\"127.0.0.1:5300\", \"10.0.0.1\"]", 0),
        ("[\"router-id\"]", 0),
        ("[\"interface:eth0\"]", 0),
    ] {
        let text = format!("dns.listen = {listen}\n{siblings}");
        let config = good(&[EXAMPLES[2], &text]);
        assert_eq!(config.warnings.len(), expected, "{listen}");
        let place = "1.toml:5:15: warning: forward.last_resort: ";
        let mut shown = config.warnings.iter().map(ToString::to_string);
        assert!(shown.all(|text| text.starts_with(place)));
    }
}

#[test]
fn overlays_merge_tables_and_replace_lists() {
    let config = good(&[
        EXAMPLES[0],
        "health.fall = 7\n[[bgp.neighbor]]\naddress = \"10.9.9.9\"\nasn = 65009",
        "health.fall = 8",
    ]);
    assert_eq!(config.health.fall, 8);
    assert_eq!(config.health.drain_wait, Duration::from_secs(10));
    assert_eq!(config.bgp.unwrap().neighbors.len(), 1);
}

#[test]
fn the_environment_is_above_all_files() {
    let config = read(
        &[EXAMPLES[0], "node.name = \"file\""],
        &[
            ("SIDESTEP_NODE__NAME", "0042"),
            ("SIDESTEP_HEALTH__FALL", "9"),
            ("SIDESTEP_DNS__LISTEN", "127.0.0.1, [::1]:5300"),
            ("SIDESTEP_DNS__STALE__ENABLED", "false"),
            (
                "SIDESTEP_FORWARD",
                r#"[{ zone = ".", upstreams = ["192.0.2.9"] }]"#,
            ),
            ("SIDESTEP_SERVICE_HOST", "10.96.0.1"),
            ("OTHER_NODE__NAME", "other"),
        ],
    )
    .unwrap();
    assert_eq!(config.node_name, "0042");
    assert_eq!(config.health.fall, 9);
    assert_eq!(config.dns.listen.len(), 2);
    assert!(!config.dns.stale.enabled);
    assert_eq!(config.dns.zones.len(), 1);
}

#[test]
fn a_variable_sets_keys_and_lists_but_no_whole_table() {
    let variables = [
        ("SIDESTEP_DNS__CACHE", "{ size = \"1GiB\" }"),
        ("SIDESTEP_BGP__NEIGHBOR__0__ASN", "65001"),
        ("SIDESTEP_HEALTH____FALL", "1"),
    ];
    let diagnostics = read(&[EXAMPLES[2]], &variables).unwrap_err();
    let texts: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(
        texts[0].ends_with("set the whole list in one variable, as in TOML"),
        "{texts:?}"
    );
    assert!(
        texts[1].ends_with("one by one, as SIDESTEP_DNS__CACHE__KEY"),
        "{texts:?}"
    );
    assert!(
        texts[2].ends_with("name it SIDESTEP_TABLE__KEY"),
        "{texts:?}"
    );
}

/// RFC 4271 §4.2: zero or at least three seconds, in 16 bits.
#[test]
fn hold_times_of_one_and_two_seconds_are_refused() {
    let hold_time = |text: &str| {
        let overlay = format!("bgp.hold_time = \"{text}\"");
        let config = read(&[EXAMPLES[2], &overlay], &[]).ok()?;
        Some(config.bgp.unwrap().neighbors[0].hold_time)
    };
    assert_eq!(hold_time("0s"), Some(None));
    assert_eq!(hold_time("1s"), None);
    assert_eq!(hold_time("2s"), None);
    assert_eq!(hold_time("2999ms"), None);
    assert_eq!(hold_time("3s"), Some(Some(Duration::from_secs(3))));
    assert_eq!(hold_time("65535s"), Some(Some(Duration::from_secs(65535))));
    assert_eq!(hold_time("65536s"), None);
}

/// RFC 7607, RFC 6793 §9, RFC 7300: numbers that no AS may have.
#[test]
fn reserved_as_numbers_are_refused() {
    for asn in ["0", "23456", "65535", "4294967295", "4294967296", "-1"] {
        assert_eq!(bad(&format!("bgp.asn = {asn}")).len(), 1, "{asn}");
    }
    for asn in ["1", "64512", "65536", "4294967294"] {
        assert!(is_good(&format!("bgp.asn = {asn}")), "{asn}");
    }
}

#[test]
fn values_are_good_up_to_their_limits_and_no_further() {
    let service = |rest: &str| {
        format!("[[service]]\nname = \"resolver\"\naddresses = [\"10.53.53.53\"]\n{rest}")
    };
    let name = |octets: usize| format!("node.name = \"{}\"", "n".repeat(octets));
    for (inside, outside) in [
        (
            service("backup.prepend = 16"),
            service("backup.prepend = 17"),
        ),
        (
            service("backup.prepend = 0"),
            service("backup.prepend = -1"),
        ),
        (
            service("backup.med = 4294967295"),
            service("backup.med = 4294967296"),
        ),
        (service("port = 65535"), service("port = 65536")),
        (service("port = 1"), service("port = 0")),
        (
            service("interface = \"fifteen-octets0\""),
            service("interface = \"sixteen-octets00\""),
        ),
        (name(255), name(256)),
        (
            "health.interval = \"20ms\"".into(),
            "health.interval = \"19ms\"".into(),
        ),
        (
            "health.interval = \"10s\"".into(),
            "health.interval = \"10001ms\"".into(),
        ),
        ("health.fall = 1".into(), "health.fall = 0".into()),
        (
            "dns.cache.size = \"1MiB\"".into(),
            "dns.cache.size = 1048575".into(),
        ),
        (
            "dns.cache.max_ttl = \"7d\"".into(),
            "dns.cache.max_ttl = \"8d\"".into(),
        ),
        ("dns.workers = 256".into(), "dns.workers = 257".into()),
        (
            "dns.rate_limit.ipv4_prefix = 1".into(),
            "dns.rate_limit.ipv4_prefix = 0".into(),
        ),
        (
            "dns.rate_limit.ipv4_prefix = 32".into(),
            "dns.rate_limit.ipv4_prefix = 33".into(),
        ),
        (
            "dns.rate_limit.ipv6_prefix = 64".into(),
            "dns.rate_limit.ipv6_prefix = 65".into(),
        ),
        (
            "dns.rate_limit.slip = 10".into(),
            "dns.rate_limit.slip = 11".into(),
        ),
    ] {
        assert!(is_good(&inside), "{inside}");
        assert_eq!(bad(&outside).len(), 1, "{outside}");
    }
}

#[test]
fn everybody_may_ask_only_with_a_warning() {
    for allow in ["any", "0.0.0.0/0", "::/0"] {
        for key in ["allow", "allow_cached"] {
            let config = good(&[EXAMPLES[2], &format!("dns.{key} = [\"{allow}\"]")]);
            assert_eq!(config.warnings.len(), 1, "{allow}");
            assert_eq!(config.warnings[0].severity, Severity::Warning);
        }
    }
    let config = good(&[
        EXAMPLES[2],
        "dns.allow = [\"198.51.100.7\", \"2001:db8::/32\"]",
    ]);
    assert!(config.warnings.is_empty());
    assert_eq!(config.dns.access.allow[0].to_string(), "198.51.100.7/32");
    assert_eq!(bad("dns.allow = []").len(), 1);
}

#[test]
fn a_service_without_neighbors_is_good_and_warned_about() {
    let config = good(&["[[service]]\nname = \"r\"\naddresses = [\"127.0.0.53\"]"]);
    assert_eq!(config.bgp, None);
    let warning = config.warnings[0].to_string();
    assert!(
        warning.starts_with("0.toml:1:1: warning: service: nothing is announced"),
        "{warning}"
    );
}

#[test]
fn a_host_without_a_usable_name_must_be_given_one() {
    let options = LoadOptions {
        host_name: String::new(),
        ..options()
    };
    let errors = from_texts(&[], &options, Findings::default()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].origin, None);
    assert_eq!(errors[0].key.as_deref(), Some("node.name"));
}

#[test]
fn errors_of_several_files_come_in_the_order_of_their_layers() {
    let diagnostics = read(
        &[
            "node.name = 1\nbgp.asn = \"x\"",
            "health.fall = []",
            "dns = 1",
        ],
        &[("SIDESTEP_HEALTH__RISE", "z")],
    )
    .unwrap_err();
    let places: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| diagnostic.origin.as_ref().unwrap().to_string())
        .collect();
    let expected = ["0.toml:1:13", "0.toml:2:11", "1.toml:1:15", "2.toml:1:7"];
    assert_eq!(places[..4], expected);
    assert_eq!(places[4..], ["environment SIDESTEP_HEALTH__RISE"]);
}

#[test]
fn columns_count_characters() {
    let errors = bad("node = { router_id = \"ä\", naem = \"x\" }");
    assert!(
        errors[0].starts_with("1.toml:1:22: error: node.router_id: "),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("1.toml:1:27: error: node.naem: "),
        "{errors:?}"
    );
}

#[test]
fn a_file_with_very_many_errors_is_refused_all_the_same() {
    let text: String = (0..1000)
        .map(|number| format!("unknown{number} = 1\n"))
        .collect();
    assert!(read(&[&text], &[]).unwrap_err().len() >= 100);
}
