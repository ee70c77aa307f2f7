//! Upstreams that answer probes and do not resolve: found out by what clients get, and by canaries.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use fake_upstream::script::Script;
use fake_upstream::serve::Server;
use sidestep::admin::status::{Canaries, FaultClass, Level, Zone};

use crate::support::client::{Client, a};
use crate::support::node::{Node, Site};
use crate::support::{wait_for, wait_until};

/// Probes ask for NS of the root.
const BROKEN: &str = ". NS -> rcode NOERROR\n* -> rcode SERVFAIL";
const WELL: &str = ". NS -> rcode NOERROR\n* -> echo";
const SERVFAIL: u16 = 2;

fn upstream(script: &str) -> Server {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Server::start(listen, Script::parse(script).unwrap(), 1).unwrap()
}

fn follow(server: &Server, script: &str) {
    server.follow(Script::parse(script).unwrap());
}

/// Clients of so many /24s.
fn clients(site: &Site, count: u8) -> Vec<Client> {
    let of = |number| Client::from(IpAddr::from([127, 53, number, 7]), site.service);
    (1..=count).map(of).collect()
}

/// Asks for a name that nobody has asked for, in a domain with this number; the RCODE.
fn ask(client: &Client, domain: usize, top: &str) -> u16 {
    let host: u32 = rand::random();
    client.ask(&a(&format!("n{host}.d{domain}.{top}"))).rcode()
}

fn root(node: &Node) -> Zone {
    node.status().zones[0].clone()
}

/// How many questions have failed, or been answered in time.
fn answers(node: &Node, outcome: &str) -> f64 {
    let sample = format!("sidestep_zone_answers_total{{outcome=\"{outcome}\",zone=\".\"}}");
    node.find_metric(&sample).unwrap_or_default()
}

/// No breaker opens, for the apex is answered; the service returns although no client asks meanwhile.
#[test]
fn answers_that_fail_for_many_domains_and_clients_are_a_shared_fault_until_they_resolve_again() {
    let upstream = upstream(WELL);
    let site = Site::new(&[upstream.address()]);
    let node = site.start();
    let clients = clients(&site, 12);
    for (number, client) in clients.iter().enumerate() {
        assert_ne!(ask(client, number, "well."), SERVFAIL);
    }
    assert_eq!(node.service().level, Level::Preferred);
    follow(&upstream, BROKEN);
    let mut domain = 0;
    wait_until("backup", || {
        for client in &clients {
            domain += 1;
            assert_eq!(ask(client, domain % 64, "broken."), SERVFAIL);
        }
        node.service().level == Level::Backup
    });
    assert_eq!(node.service().class, Some(FaultClass::Shared));
    let zone = root(&node);
    assert!(zone.usable && zone.failed_percent > Some(50), "{zone:?}");
    assert!(zone.baseline_percent < Some(50));
    wait_until("they are counted", || answers(&node, "failed") > 0.0);
    follow(&upstream, WELL);
    node.wait_for_level(Level::Preferred);
}

/// Asks on and on for new names, in 16 domains; from an answer that fails until the service is at backup.
fn until_backup(node: &Node, clients: &[Client], top: &str) -> Duration {
    let mut failing_since = None;
    wait_for("backup", || {
        for (number, client) in clients.iter().enumerate() {
            let domain = usize::from(rand::random::<u8>()) + number;
            if ask(client, domain % 16, top) == SERVFAIL {
                failing_since.get_or_insert_with(Instant::now);
            }
        }
        let is_backup = node.service().level == Level::Backup;
        is_backup.then(|| failing_since.map(|since| since.elapsed()))
    })
    .expect("nothing failed")
}

/// Ten times what it takes in simulated time, and less than the five seconds of good answers before.
#[test]
fn upstreams_that_begin_to_answer_nothing_but_servfail_are_found_out_in_a_fraction_of_the_time_before()
 {
    let upstreams = [upstream(WELL), upstream(WELL)];
    let site = Site::new(&upstreams.each_ref().map(Server::address));
    let node = site.start();
    let clients = clients(&site, 12);
    let begun = Instant::now();
    wait_until("five seconds of good answers", || {
        for (number, client) in clients.iter().enumerate() {
            assert_ne!(ask(client, number, "well."), SERVFAIL);
        }
        begun.elapsed() > Duration::from_secs(5)
    });
    assert_eq!(node.service().level, Level::Preferred);
    for upstream in &upstreams {
        follow(upstream, "* -> rcode SERVFAIL");
    }
    let took = until_backup(&node, &clients, "broken.");
    assert!(took < Duration::from_millis(4500), "{took:?}");
    assert_eq!(node.service().class, Some(FaultClass::Shared));
}

/// The same but for the probes, which are answered well: no breaker tells.
#[test]
fn names_that_begin_to_fail_all_at_once_are_found_out_although_probes_are_answered() {
    let upstreams = [upstream(WELL), upstream(WELL)];
    let site = Site::new(&upstreams.each_ref().map(Server::address));
    let node = site.start();
    let clients = clients(&site, 12);
    wait_until("good answers", || {
        for client in &clients {
            assert_ne!(
                ask(client, usize::from(rand::random::<u8>()), "well."),
                SERVFAIL
            );
        }
        answers(&node, "good") >= 1000.0
    });
    for upstream in &upstreams {
        follow(upstream, BROKEN);
    }
    let took = until_backup(&node, &clients, "broken.");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let zone = root(&node);
    assert!(zone.usable && zone.failed_percent >= Some(90), "{zone:?}");
    for upstream in &upstreams {
        follow(upstream, WELL);
    }
    node.wait_for_level(Level::Preferred);
}

/// One client prefix with a thousand domains of its own making.
#[test]
fn one_client_prefix_moves_no_level_whatever_it_asks_for() {
    let upstream = upstream("*.bad. -> rcode SERVFAIL\n. NS -> rcode NOERROR\n* -> echo");
    let site = Site::new(&[upstream.address()]);
    let node = site.start();
    let mut clients = clients(&site, 5);
    let loud = clients.pop().unwrap();
    let mut judged = Vec::new();
    let mut failed = 0;
    while failed < 1000 || judged.is_empty() {
        assert_eq!(ask(&loud, failed, "bad."), SERVFAIL);
        failed += 1;
        let quiet = &clients[failed % clients.len()];
        assert_ne!(ask(quiet, failed, "well."), SERVFAIL);
        if failed.is_multiple_of(25) {
            assert_eq!(node.service().level, Level::Preferred);
            judged.extend(root(&node).failed_percent);
        }
    }
    let counted = f64::from(u32::try_from(failed).unwrap());
    wait_until("all of it judged", || answers(&node, "failed") >= counted);
    assert_eq!(node.service().level, Level::Preferred);
    assert!(judged.iter().all(|percent| *percent < 50), "{judged:?}");
}

#[test]
fn canaries_that_do_not_resolve_are_a_shared_fault_although_nobody_asks() {
    let upstream = upstream(BROKEN);
    let mut site = Site::new(&[upstream.address()]);
    let canaries = "[health.canary]\ninterval = \"1s\"\n\
                    names = [\"example.com.\", \"example.net. MX\", \"*.example.org.\"]\n";
    site.health.push_str(canaries);
    let node = site.start();
    node.wait_for_level(Level::Backup);
    assert_eq!(node.service().class, Some(FaultClass::Shared));
    let all = |good| Some(Canaries { good, of: 3 });
    wait_until("none resolves", || root(&node).canaries == all(0));
    follow(&upstream, WELL);
    node.wait_for_level(Level::Preferred);
    wait_until("all resolve", || root(&node).canaries == all(3));
    assert_eq!(node.metric("sidestep_zone_canaries_good{zone=\".\"}"), 3.0);
}
