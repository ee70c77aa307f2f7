//! What an operator sees and does: the admin port, and the commands that use the control socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::Output;

use sidestep::admin::Status;
use sidestep::admin::status::{Level, SessionState, UpstreamState};

use crate::support::client::{Client, a};
use crate::support::node::{NAME, Site};
use crate::support::router::{Path, Router, Said};
use crate::support::upstream::Upstream;
use crate::support::{http, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Samples by name, with labels and value as they are written.
fn samples(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut samples: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, rest) = line.split_at(end);
        samples.entry(name).or_default().push(rest);
    }
    samples
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

fn exit_code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn the_metrics_tell_what_the_node_has_done() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    let client = Client::new(site.service);
    client.ask(&a("www.example."));
    client.ask(&a("www.example."));
    client.ask(&a("nx-1.example."));
    client.ask_tcp(&a("www.example."));
    let (upstream, router) = (upstream.address, router.address);
    let wanted = [
        ("sidestep_build_info{version=\"0.1.0\"}", 1.0),
        ("sidestep_dns_queries_total{protocol=\"udp\"}", 3.0),
        ("sidestep_dns_queries_total{protocol=\"tcp\"}", 1.0),
        ("sidestep_dns_responses_total{rcode=\"noerror\"}", 3.0),
        ("sidestep_dns_responses_total{rcode=\"nxdomain\"}", 1.0),
        (
            "sidestep_dns_response_duration_seconds_count{path=\"hit\"}",
            2.0,
        ),
        (
            "sidestep_dns_response_duration_seconds_count{path=\"miss\"}",
            2.0,
        ),
        ("sidestep_dns_cache_entries", 2.0),
        (
            &format!("sidestep_upstream_up{{upstream=\"{upstream}\",zone=\".\"}}"),
            1.0,
        ),
        (
            "sidestep_service_level{family=\"ipv4\",level=\"preferred\",service=\"resolver\"}",
            1.0,
        ),
        (
            "sidestep_service_level{family=\"ipv4\",level=\"withdrawn\",service=\"resolver\"}",
            0.0,
        ),
        (
            "sidestep_service_reason{class=\"none\",family=\"ipv4\",service=\"resolver\"}",
            1.0,
        ),
        (&format!("sidestep_bgp_state{{neighbor=\"{router}\"}}"), 6.0),
        (
            &format!("sidestep_bgp_announced_prefixes{{family=\"ipv4\",neighbor=\"{router}\"}}"),
            1.0,
        ),
    ];
    for (sample, value) in wanted {
        wait_until(&format!("{sample} {value}"), || {
            node.metric(sample) == value
        });
    }
    assert!(node.metric("sidestep_dns_cache_bytes") > 0.0);
    let rtt = format!("sidestep_upstream_rtt_seconds{{upstream=\"{upstream}\",zone=\".\"}}");
    assert!((0.0..1.0).contains(&node.metric(&rtt)));
}

/// Prometheus text format 0.0.4.
#[test]
fn every_metric_has_the_name_of_the_product_a_help_text_and_a_type() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let _node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    let (code, text) = http::get(site.admin, "/metrics").unwrap();
    assert_eq!(code, 200);
    let described = |keyword: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(keyword));
        let names = lines.filter_map(|line| line.split_once(' '));
        names.map(|(name, _)| name.to_owned()).collect()
    };
    let (helps, types) = (described("# HELP "), described("# TYPE "));
    assert_eq!(helps, types);
    let samples = samples(&text);
    assert!(samples.len() > 30, "{samples:?}");
    for (name, values) in samples {
        assert!(name.starts_with("sidestep_"), "{name}");
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|f| helps.contains(*f)));
        assert!(helps.contains(family.unwrap_or(name)), "{name}");
        let distinct: BTreeSet<_> = values
            .iter()
            .map(|value| value.rsplit_once(' ').unwrap().0)
            .collect();
        assert_eq!(
            distinct.len(),
            values.len(),
            "{name}: the same labels twice"
        );
    }
}

#[test]
fn a_node_without_a_session_is_alive_but_not_ready() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let nobody = crate::support::node::own_address();
    site.tables.push_str(&format!(
        "[bgp]\nasn = 65053\n[[bgp.neighbor]]\naddress = \"{nobody}\"\nasn = \"external\"\n\
         port = 1790\nsource = \"{}\"\n",
        site.unicast
    ));
    let node = site.launch();
    wait_until("healthy", || {
        http::get(site.admin, "/healthz").is_ok_and(|(code, _)| code == 200)
    });
    node.wait_for_level(Level::Preferred);
    let (code, reason) = http::get(site.admin, "/readyz").unwrap();
    assert_eq!(code, 503);
    assert!(reason.contains("no neighbour has been told"), "{reason}");
    for path in ["/", "/status/", "/metrics/../healthz"] {
        assert_eq!(http::get(site.admin, path).unwrap().0, 404, "{path}");
    }
}

#[test]
fn the_status_is_the_same_over_http_and_the_socket() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    Client::new(site.service).ask(&a("www.example."));
    let is_settled = |status: &Status| {
        let neighbor = &status.neighbors[0];
        status.cache.entries == 1
            && neighbor.state == SessionState::Established
            && neighbor.announced == [format!("{}/32", site.anycast)]
            && status.zones[0].upstreams[0].state == UpstreamState::Up
    };
    wait_until("a status with everything in it", || {
        is_settled(&node.status())
    });
    let output = site.control(&["status", "--json"]);
    assert_eq!(exit_code(&output), 0);
    let status: Status = serde_json::from_slice(&output.stdout).unwrap();
    assert!(is_settled(&status), "{status:?}");
    assert_eq!(status.node, NAME);
    assert_eq!(status.services[0].families[0].address, site.anycast);
    assert_eq!(status.neighbors[0].hold_time_s, Some(9));
    assert_eq!(status.workers.len(), 1);

    let output = site.control(&["status"]);
    assert_eq!(exit_code(&output), 0);
    let table = text(&output.stdout);
    let anycast = site.anycast.to_string();
    let line = table.lines().find(|line| line.contains(&anycast)).unwrap();
    assert!(
        line.contains("resolver") && line.contains("preferred"),
        "{table}"
    );
    for part in [NAME, "Established", &upstream.address.to_string()] {
        assert!(table.contains(part), "no {part} in\n{table}");
    }
}

#[test]
fn a_drain_moves_away_withdraws_and_keeps_answering_until_it_is_taken_back() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    site.health.push_str("drain_wait = \"300ms\"\n");
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    let (preferred, leaving) = (Path::preferred(site.unicast), Path::leaving(site.unicast));
    router.wait_for_path(0, &preferred);
    let output = site.control(&["drain", "--reason", "new kernel"]);
    assert_eq!(exit_code(&output), 0, "{output:?}");
    router.wait_for(0, "a withdraw", |said| *said == Said::Withdrawn);
    wait_until("drained", || {
        let status = node.status();
        status.services[0].families[0].level == Level::Withdrawn
            && status
                .drain
                .is_some_and(|drain| drain.reason == "new kernel")
    });
    assert_eq!(http::get(site.admin, "/readyz").unwrap().0, 200);
    let answer = Client::new(site.service).ask(&a("www.example."));
    assert_eq!(answer.addresses(), [ADDRESS]);
    let output = site.control(&["undrain"]);
    assert_eq!(exit_code(&output), 0, "{output:?}");
    router.wait_for_path(3, &preferred);
    let expected = [
        Said::Established,
        Said::Announced(preferred.clone()),
        Said::Announced(leaving),
        Said::Withdrawn,
        Said::Announced(preferred),
    ];
    assert_eq!(router.said(), expected);
    wait_until("no drain", || node.status().drain.is_none());
    // Less attractive, withdrawn, back.
    wait_until("three changes that were measured", || {
        node.metric("sidestep_bgp_route_write_seconds_count") >= 3.0
    });
    let output = site.control(&["drain", "--reason", " "]);
    assert_eq!(exit_code(&output), 1);
}

#[test]
fn commands_to_a_node_that_is_not_there_exit_with_3() {
    let site = Site::new(&[]);
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["drain"],
        &["undrain"],
    ] {
        let output = site.control(arguments);
        assert_eq!(exit_code(&output), 3, "{arguments:?}");
        assert!(text(&output.stderr).contains("no node is running"));
        assert!(output.stdout.is_empty());
    }
}
