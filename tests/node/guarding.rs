//! A node that announces what another program answers, and services that depend on more.
//!
//! The other program is a node of its own, without routes: it can be killed, stopped and robbed of its
//! upstream.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use sidestep::admin::status::{Check, FaultClass, Level};

use crate::support::client::{Client, a};
use crate::support::node::{Node, Site};
use crate::support::router::{Router, Said};
use crate::support::upstream::Upstream;
use crate::support::{wait_for, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const WITHDRAWN: fn(&Said) -> bool = |said| *said == Said::Withdrawn;

/// A node that guards `target` and has no DNS sockets of its own.
fn guard(target: &str, keys: &str) -> Site {
    let mut site = Site::new(&[]);
    site.tables.clear();
    site.service_keys
        .push_str(&format!("target = \"{target}\"\n{keys}"));
    site
}

/// A service of this node's workers with a check.
fn checked(keys: &str) -> (Upstream, Site) {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    site.service_keys
        .push_str(&format!("[[service.check]]\nname = \"extra\"\n{keys}"));
    (upstream, site)
}

/// A check of a file that must be there, once a second.
fn file_check(path: &Path) -> String {
    format!("type = \"exec\"\ncommand = [\"/usr/bin/test\", \"-e\", {path:?}]\ninterval = \"1s\"\n")
}

fn wait_for_fault(node: &Node) {
    wait_until("a local fault", || {
        node.service().class == Some(FaultClass::Local)
    });
}

fn first_check(node: &Node) -> Check {
    node.status().services[0].checks[0].clone()
}

#[test]
fn a_program_that_answers_is_announced_and_the_node_opens_no_socket_for_it() {
    let upstream = Upstream::start(ADDRESS);
    let behind = Site::new(&[upstream.address]);
    let _program = behind.start();
    let mut site = guard(&behind.service.to_string(), "");
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    router.wait_for(0, "a route", |said| matches!(said, Said::Announced(_)));
    assert_eq!(node.service().level, Level::Preferred);
    let zones = node.status().zones;
    assert!(
        zones.iter().all(|zone| zone.upstreams.is_empty()),
        "{zones:?}"
    );
    UdpSocket::bind(site.service).unwrap();
    let good = |protocol: &str| {
        format!(
            "sidestep_health_probes_total{{family=\"ipv4\",outcome=\"good\",\
             protocol=\"{protocol}\",service=\"resolver\"}}"
        )
    };
    wait_until("probes over both", || {
        [good("udp"), good("tcp")]
            .iter()
            .all(|sample| node.find_metric(sample).is_some_and(|count| count >= 3.0))
    });
}

#[test]
fn a_program_that_is_killed_is_withdrawn_and_its_successor_announced() {
    let upstream = Upstream::start(ADDRESS);
    let behind = Site::new(&[upstream.address]);
    let program = behind.start();
    let mut site = guard(&behind.service.to_string(), "");
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    let (position, _) = router.wait_for(0, "a route", |said| matches!(said, Said::Announced(_)));
    let killed = Instant::now();
    program.signal("KILL");
    let (position, at) = router.wait_for(position, "a withdraw", WITHDRAWN);
    let gap = at.saturating_duration_since(killed);
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    wait_for_fault(&node);
    drop(program);
    let _successor = behind.start();
    router.wait_for(position, "the route again", |said| {
        matches!(said, Said::Announced(_))
    });
    node.wait_for_level(Level::Preferred);
    let was_down = router
        .said()
        .iter()
        .any(|said| matches!(said, Said::Down(_)));
    assert!(!was_down, "{:?}", router.said());
}

/// The kernel goes on taking its datagrams and connections.
#[test]
fn a_program_that_stands_still_is_withdrawn_within_two_seconds() {
    let upstream = Upstream::start(ADDRESS);
    let behind = Site::new(&[upstream.address]);
    let program = behind.start();
    let mut site = guard(&behind.service.to_string(), "");
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    let (position, _) = router.wait_for(0, "a route", |said| matches!(said, Said::Announced(_)));
    let stopped = Instant::now();
    program.signal("STOP");
    let (position, at) = router.wait_for(position, "a withdraw", WITHDRAWN);
    let gap = at.saturating_duration_since(stopped);
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    wait_for_fault(&node);
    program.signal("CONT");
    router.wait_for(position, "the route again", |said| {
        matches!(said, Said::Announced(_))
    });
}

/// What all sites may have alike never takes the route.
#[test]
fn a_program_that_answers_and_resolves_nothing_is_a_backup() {
    let upstream = Upstream::start(ADDRESS);
    let behind = Site::new(&[upstream.address]);
    let _program = behind.start();
    let names = "names = [\"*.one.example. A\", \"*.two.example. A\", \"three.example. A\"]\n";
    let mut site = guard(&behind.service.to_string(), names);
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    node.wait_for_level(Level::Preferred);
    wait_until("names that resolve", || {
        first_check(&node).good == Some(true)
    });
    assert_eq!(first_check(&node).name, "names");
    upstream.set_silent(true);
    node.wait_for_level(Level::Backup);
    let service = node.service();
    assert_eq!(service.class, Some(FaultClass::Shared));
    assert!(
        service.reason.contains("names resolve"),
        "{}",
        service.reason
    );
    let check = first_check(&node);
    assert_eq!(check.good, Some(false));
    let sample = "sidestep_check_up{check=\"names\",service=\"resolver\"}";
    assert_eq!(node.metric(sample), 0.0);
    upstream.set_silent(false);
    node.wait_for_level(Level::Preferred);
    assert!(!router.said().iter().any(WITHDRAWN), "{:?}", router.said());
}

#[test]
fn a_check_that_fails_makes_a_backup_by_default_and_withdraws_as_a_local_fault() {
    for (fault, level, class) in [
        ("", Level::Backup, FaultClass::Shared),
        ("fault = \"local\"\n", Level::Withdrawn, FaultClass::Local),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("content");
        fs::write(&path, "").unwrap();
        let (_upstream, site) = checked(&format!("{}fall = 2\n{fault}", file_check(&path)));
        let node = site.start();
        node.wait_for_level(Level::Preferred);
        fs::remove_file(&path).unwrap();
        node.wait_for_level(level);
        assert_eq!(node.service().class, Some(class));
        let told = "reason=check extra failed 2 times in a row: exit code 1";
        assert!(node.log().contains(told), "{}", node.log());
        assert!(first_check(&node).text.contains("exit code 1"));
        let client = Client::new(site.service);
        assert_eq!(client.ask(&a("www.example.")).addresses(), [ADDRESS]);
        fs::write(&path, "").unwrap();
        node.wait_for_level(Level::Preferred);
    }
}

#[test]
fn a_check_that_hangs_is_killed_and_neither_it_nor_the_next_holds_up_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; sleep 600; exit 0",
        path.display()
    );
    let (_upstream, mut site) = checked(&format!(
        "type = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\ninterval = \"1s\"\n\
         timeout = \"900ms\"\n"
    ));
    site.health
        .push_str("drain_wait = \"100ms\"\nlinger = \"100ms\"\n");
    let mut node = site.start();
    let first = wait_for("a run", || fs::read_to_string(&path).ok());
    wait_until("a result", || first_check(&node).good == Some(false));
    assert_eq!(first_check(&node).text, "killed after 900 ms");
    let second = wait_for("another run", || {
        let id = fs::read_to_string(&path).ok()?;
        (id != first).then_some(id)
    });
    wait_until("the first to be gone", || is_gone(&first));
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    let last = fs::read_to_string(&path).unwrap();
    wait_until("the last to be gone", || is_gone(&second) && is_gone(&last));
    assert!(
        !node.log().contains("did not end in time"),
        "{}",
        node.log()
    );
}

/// Whether no process has this number, or nobody has looked at its end yet.
fn is_gone(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_check_inherits_no_socket_and_learns_whom_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seen");
    let script = format!(
        "{{ readlink /proc/self/fd/*; env; }} > {0}.new; mv {0}.new {0}",
        path.display()
    );
    let (_upstream, site) = checked(&format!(
        "type = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n"
    ));
    let _node = site.start();
    let seen = wait_for("a run", || fs::read_to_string(&path).ok());
    assert!(!seen.contains("socket:"), "{seen}");
    let anycast = site.anycast;
    for told in [
        "SIDESTEP_SERVICE=resolver".to_owned(),
        "SIDESTEP_CHECK=extra".to_owned(),
        format!("SIDESTEP_ADDRESS={anycast}"),
    ] {
        assert!(
            seen.lines().any(|line| line == told),
            "{told} not in {seen}"
        );
    }
}

#[test]
fn a_node_refuses_to_guard_itself() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let own = site.unicast;
    site.dns.push_str(&format!("listen = [\"{own}:5300\"]\n"));
    site.service_keys
        .push_str(&format!("target = \"{own}:5300\"\n"));
    let mut node = site.launch();
    assert_eq!(node.wait(), Some(1));
    assert!(node.log().contains("answers at"), "{}", node.log());
}
