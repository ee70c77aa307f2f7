//! A start that fails tells why and leaves nothing behind; one without a file needs none.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};

use hickory_proto::rr::{DNSClass, RecordType};
use sidestep::admin::status::Level;
use sidestep::config::DEFAULT_FILE;

use crate::support::client::{Client, Question, a};
use crate::support::node::{NAME, Node, Site, own_address, sidestep};
use crate::support::upstream::Upstream;
use crate::support::{http, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// Runs a node that is expected to end by itself.
fn run(site: &Site) -> Output {
    site.command().output().unwrap()
}

fn assert_refused(output: &Output, site: &Site, part: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    let error = told.lines().find(|line| line.contains("error: ")).unwrap();
    assert!(error.contains(part), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    assert!(!site.socket.exists(), "the control socket is left");
}

#[test]
fn a_port_in_use_is_told_with_its_address() {
    let site = Site::new(&[SocketAddr::from((ADDRESS, 53))]);
    let udp = UdpSocket::bind(site.service).unwrap();
    let address = site.service.to_string();
    assert_refused(&run(&site), &site, &address);
    drop(udp);
    let tcp = TcpListener::bind(site.service).unwrap();
    assert_refused(&run(&site), &site, &address);
    drop(tcp);
    let _admin = TcpListener::bind(site.admin).unwrap();
    let address = format!("admin.listen {}", site.admin);
    assert_refused(&run(&site), &site, &address);
}

/// A supervisor that wants the node to end must not have to wait for a network.
#[test]
fn a_node_that_waits_for_an_address_to_listen_on_can_be_stopped() {
    let mut site = Site::new(&[SocketAddr::from((ADDRESS, 53))]);
    site.dns.push_str("listen = [\"interface:no-such-link\"]\n");
    let mut node = site.launch();
    wait_until("a word about it", || {
        node.log().contains("waiting for addresses of dns.listen")
    });
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    assert!(node.log().contains("stopped while starting"));
}

#[test]
fn a_second_node_in_the_place_of_the_first_refuses_to_start_and_harms_nothing() {
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let output = run(&site);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains(&site.service.to_string()), "{told}");
    let client = Client::new(site.service);
    assert_eq!(client.ask(&a("www.example.")).addresses(), [ADDRESS]);
    assert!(site.control(&["status"]).status.success());
}

/// Who opens a pipe for reading waits for somebody to write, as for a disk that does not answer.
#[test]
fn a_disk_that_does_not_give_the_hot_names_holds_no_start_up() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let state = site.path("state");
    std::fs::create_dir(&state).unwrap();
    let made = Command::new("mkfifo").arg(state.join("hot-names")).status();
    assert!(made.unwrap().success());
    site.state = state.display().to_string();
    let node = site.start();
    wait_until("a word about it", || {
        node.log().contains("hot names not read in time")
    });
    node.wait_for_level(Level::Preferred);
}

#[test]
fn a_bad_configuration_is_refused_before_anything_is_bound() {
    let mut site = Site::new(&[SocketAddr::from((ADDRESS, 53))]);
    site.dns.push_str("wrokers = 3\n");
    site.health.push_str("fall = 0\n");
    // With a port taken: the configuration comes first, the port is not even tried.
    let _udp = UdpSocket::bind(site.service).unwrap();
    let output = run(&site);
    assert_refused(&output, &site, "wrokers");
    let told = text(&output.stderr);
    assert!(told.contains("workers"), "no suggestion in\n{told}");
    assert!(told.contains("health.fall"), "{told}");
    assert!(!told.contains("starting"), "{told}");
    assert!(!told.contains(&site.service.to_string()), "{told}");
}

#[test]
fn a_missing_file_is_an_error_when_it_was_asked_for() {
    let mut command = sidestep();
    command.args(["run", "--config", "/nonexistent/sidestep.toml"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nonexistent/sidestep.toml"));
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["--frobnicate"][..],
        &["run", "--frobnicate"],
        &["run", "extra"],
        &["status", "--socket"],
        &["frobnicate"],
        &[],
    ] {
        let output = sidestep().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

/// A plain forwarding cache, moved away from 127.0.0.1:5300 by the environment.
#[test]
fn a_node_without_a_file_is_a_forwarding_cache() {
    if Path::new(DEFAULT_FILE).exists() {
        return;
    }
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[]);
    let upstreams = format!("[{{zone=\".\", upstreams=[\"{}\"]}}]", upstream.address);
    let listen = SocketAddr::from((own_address(), 5300));
    let mut command = sidestep();
    command
        .arg("run")
        .env("SIDESTEP_NODE__NAME", NAME)
        .env("SIDESTEP_DNS__LISTEN", format!("[\"{listen}\"]"))
        .env("SIDESTEP_ADMIN__LISTEN", site.admin.to_string())
        .env("SIDESTEP_FORWARD", upstreams);
    let mut node = Node::spawn(command, site.path("log"), site.admin);
    wait_until("ready", || {
        assert!(!node.has_ended());
        http::get(site.admin, "/readyz").is_ok_and(|(code, _)| code == 200)
    });
    let client = Client::new(listen);
    assert_eq!(client.ask(&a("www.example.")).addresses(), [ADDRESS]);
    let question = Question {
        rtype: RecordType::TXT,
        class: DNSClass::CH,
        ..a("id.server.")
    };
    assert_eq!(client.ask_tcp(&question).text(), NAME);
    assert!(node.status().services.is_empty());
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
}

/// The usual soft limit is 1024, which four workers' clients alone could take.
#[test]
fn a_node_may_open_as_many_descriptors_as_its_hard_limit_allows() {
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[upstream.address]);
    let node = site.start_with_descriptors(200, 300);
    let limits = node.proc("limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[3..5], ["300", "300"], "{limits}");
}
