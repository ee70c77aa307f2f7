//! Drains: of one service, for a while, over restarts; and what a node remembers of its last run.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Output;

use sidestep::admin::Status;
use sidestep::admin::status::{DrainPhase, FaultClass, Level};
use sidestep::state::State;

use crate::support::client::{Client, a};
use crate::support::node::{Node, Site, own_address};
use crate::support::router::{Path, Router, Said};
use crate::support::upstream::Upstream;
use crate::support::wait_until;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

fn good(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    text(&output.stdout)
}

/// A site that keeps its state, and the file.
fn keeping(site: &mut Site) -> PathBuf {
    let directory = site.path("state");
    site.state = directory.to_str().unwrap().to_owned();
    site.health
        .push_str("drain_wait = \"300ms\"\nlinger = \"100ms\"\n");
    directory.join("state.json")
}

fn kept(file: &PathBuf) -> State {
    State::from_json(&fs::read(file).unwrap_or_default()).unwrap_or_default()
}

/// Waits until the self-probe was answered so often that only a drain can be why nothing is announced.
fn wait_for_good_probes(node: &Node) {
    let good = "sidestep_health_probes_total\
                {family=\"ipv4\",outcome=\"good\",protocol=\"udp\",service=\"resolver\"}";
    wait_until("many good probes", || {
        node.find_metric(good).is_some_and(|count| count >= 15.0)
    });
}

fn announcements(said: &[Said]) -> usize {
    let announced = said
        .iter()
        .filter(|said| matches!(said, Said::Announced(_)));
    announced.count()
}

#[test]
fn a_drain_for_a_while_says_when_the_clients_have_left_and_ends_by_itself() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let file = keeping(&mut site);
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    let preferred = Path::preferred(site.unicast);
    let position = router.wait_for_path(0, &preferred);
    let client = Client::new(site.service);
    client.ask(&a("www.example."));
    let output = site.control(&["drain", "--for", "3s", "--reason", "new kernel"]);
    let told = good(&output);
    assert!(told.contains("draining all services: "), "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("drained after 0."), "{told}");
    assert!(last.ends_with(" queries/s left"), "{told}");
    let status = node.status();
    let drain = &status.drains[0];
    assert_eq!((drain.phase, &drain.service), (DrainPhase::Drained, &None));
    assert_eq!(
        (drain.reason.as_str(), drain.who.is_empty()),
        ("new kernel", false)
    );
    assert!(drain.left_s.is_some_and(|left_s| left_s < 3));
    assert_eq!(
        node.metric("sidestep_service_drained{service=\"resolver\"}"),
        1.0
    );
    assert_eq!(kept(&file).drains.len(), 1);
    let (position, _) = router.wait_for(position, "a withdraw", |said| *said == Said::Withdrawn);
    router.wait_for_path(position, &preferred);
    wait_until("no drain", || node.status().drains.is_empty());
    wait_until("forgotten", || kept(&file).drains.is_empty());
    wait_until("no drain in metrics", || {
        node.metric("sidestep_service_drained{service=\"resolver\"}") == 0.0
    });
    let log = node.log();
    for line in ["draining", "drained", "drain over"] {
        let lines = log.lines().filter(|logged| logged.contains(line));
        let mut lines = lines.filter(|logged| logged.contains("reason=\"new kernel\""));
        assert!(lines.next().is_some(), "no {line} in\n{log}");
    }
}

#[test]
fn a_node_that_restarts_in_the_middle_of_a_drain_stays_away_until_it_is_taken_back() {
    for signal in ["KILL", "TERM"] {
        let upstream = Upstream::start(ADDRESS);
        let mut site = Site::new(&[upstream.address]);
        let file = keeping(&mut site);
        let router = Router::beside(&mut site, "9s");
        let mut node = site.start();
        let preferred = Path::preferred(site.unicast);
        router.wait_for_path(0, &preferred);
        let output = site.control(&["drain", "--no-wait", "--reason", "new kernel"]);
        assert_eq!(good(&output).lines().count(), 1);
        wait_until("a drain in the file", || kept(&file).drains.len() == 1);
        node.signal(signal);
        node.wait();
        assert_eq!(kept(&file).running, signal == "KILL");
        drop(node);
        let before = announcements(&router.said());
        let node = site.start();
        wait_for_good_probes(&node);
        let service = node.service();
        assert_eq!(
            (service.level, service.class),
            (Level::Withdrawn, Some(FaultClass::Operator))
        );
        assert!(service.reason.contains("new kernel"), "{}", service.reason);
        assert_eq!(announcements(&router.said()), before, "{signal}");
        assert!(node.status().drain.is_some());
        let table = site.control(&["status"]);
        assert!(good(&table).contains("\nall    drained  "), "{table:?}");
        let answer = Client::new(site.service).ask(&a("www.example."));
        assert_eq!(answer.addresses(), [ADDRESS]);
        let position = router.said().len();
        assert_eq!(good(&site.control(&["undrain"])), "the drain is over\n");
        router.wait_for_path(position, &preferred);
        assert_eq!(
            good(&site.control(&["undrain"])),
            "not drained as a whole\n"
        );
    }
}

#[test]
fn a_drain_ends_in_time_although_the_node_was_killed_meanwhile() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let file = keeping(&mut site);
    let mut node = site.start();
    let output = site.control(&["drain", "--service", "resolver", "--for", "4s"]);
    good(&output);
    let until_ms = kept(&file).drains[0].until_ms.unwrap();
    node.signal("KILL");
    node.wait();
    drop(node);
    let node = site.start();
    let drain = node.status().drains.first().cloned();
    if let Some(drain) = drain {
        assert_eq!(drain.service.as_deref(), Some("resolver"));
        assert_eq!(drain.reason, "no reason given");
        let error_ms = (drain.until_unix_s.unwrap() * 1000).abs_diff(until_ms);
        assert!(error_ms <= 1_500, "{error_ms} ms");
    }
    node.wait_for_level(Level::Preferred);
    assert!(node.status().drains.is_empty());
}

#[test]
fn a_node_remembers_that_it_did_not_end_in_good_order() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let file = keeping(&mut site);
    let told = "the last run did not end in good order";
    let mut node = site.start();
    assert!(kept(&file).running);
    assert!(!node.log().contains(told));
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert!(!kept(&file).running);
    let mut node = site.start();
    assert!(!node.log().contains(told), "{}", node.log());
    node.signal("KILL");
    node.wait();
    let node = site.start();
    wait_until("a word about it", || node.log().contains(told));
}

/// Both of them would write the same file: who comes second leaves it as it is, and obeys it, for it may
/// well be the successor.
#[test]
fn two_nodes_with_one_state_directory_do_not_forget_each_others_drains() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let file = keeping(&mut site);
    let mut other = Site::new(&[upstream.address]);
    other.state = site.state.clone();
    let _node = site.start();
    good(&site.control(&["drain"]));
    let mut second = other.start();
    let warnings = second.status().warnings;
    assert!(warnings[0].contains("state is not kept"), "{warnings:?}");
    assert!(
        warnings[0].ends_with("its drains hold here too"),
        "{warnings:?}"
    );
    second.wait_for_level(Level::Withdrawn);
    let output = other.control(&["undrain"]);
    let told = good(&output);
    assert!(told.contains("a restart may bring it back"), "{told}");
    second.wait_for_level(Level::Preferred);
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    assert!(kept(&file).running && kept(&file).drains.len() == 1);
}

#[test]
fn one_of_two_services_is_drained_by_its_name() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    keeping(&mut site);
    let second = own_address();
    site.tables.push_str(&format!(
        "[[service]]\nname = \"second\"\nport = 5300\ninterface = \"none\"\n\
         addresses = [\"{second}\"]\n"
    ));
    let node = site.start();
    let levels = |status: &Status| {
        let services = status.services.iter();
        services.map(|s| s.families[0].level).collect::<Vec<_>>()
    };
    let output = site.control(&["drain", "--service", "third"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("no service third; known: resolver, second"),
        "{told}"
    );
    let output = site.control(&["drain", "--service", "second", "--reason", "test"]);
    assert!(good(&output).contains("draining second"), "{output:?}");
    wait_until("one drained and one not", || {
        levels(&node.status()) == [Level::Preferred, Level::Withdrawn]
    });
    let drained = |service| format!("sidestep_service_drained{{service=\"{service}\"}}");
    wait_until("metrics", || node.metric(&drained("second")) == 1.0);
    assert_eq!(node.metric(&drained("resolver")), 0.0);
    let output = site.control(&["undrain"]);
    let told = good(&output);
    assert!(told.contains("sidestep undrain --service second"), "{told}");
    good(&site.control(&["undrain", "--service", "second"]));
    wait_until("both announced", || {
        levels(&node.status()) == [Level::Preferred, Level::Preferred]
    });
}

#[test]
fn what_no_drain_lasts_is_wrong_usage() {
    let site = Site::new(&[]);
    for wrong in ["0s", "31d", "soon"] {
        let output = site.control(&["drain", "--for", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(text(&output.stderr).contains("from 1s to 30d"));
    }
}
