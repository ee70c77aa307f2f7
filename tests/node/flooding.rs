//! Floods of random octets on every port: the node goes on serving, and keeps its size.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use sidestep::admin::status::Level;

use crate::support::client::{Client, Question, a, connect, framed, read_message};
use crate::support::garbage::{Garbage, connect_from};
use crate::support::node::{Node, Site, own_address};
use crate::support::router::{Path, Router, bgp_listen};
use crate::support::upstream::Upstream;
use crate::support::{http, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// A flood may cost this much memory: buffers, connections, a few thousand cached answers.
const GROWTH_MAX_KIB: u64 = 24 * 1024;
/// And so many log lines, however many messages it has.
const LOG_LINES_MAX: usize = 20;

/// The node before a flood.
struct Before {
    resident_kib: u64,
    log_lines: usize,
}

impl Before {
    fn of(node: &Node, site: &Site) -> Self {
        let client = Client::new(site.service);
        assert_eq!(client.ask(&a("before.example.")).addresses(), [ADDRESS]);
        node.wait_for_level(Level::Preferred);
        Self {
            resident_kib: node.resident_kib(),
            log_lines: node.log().lines().count(),
        }
    }

    /// Same level, still serving, not much bigger, not much said.
    fn compare(&self, node: &mut Node, site: &Site) {
        assert!(!node.has_ended());
        let client = Client::new(site.service);
        let after = [a("after.example."), a("before.example.")];
        for question in &after {
            assert_eq!(client.ask(question).addresses(), [ADDRESS]);
            assert_eq!(client.ask_tcp(question).addresses(), [ADDRESS]);
        }
        let service = node.service();
        assert_eq!(service.level, Level::Preferred, "{}", service.reason);
        let grown = node.resident_kib().saturating_sub(self.resident_kib);
        assert!(grown < GROWTH_MAX_KIB, "grown by {grown} KiB");
        let log = node.log();
        let said = log.lines().count() - self.log_lines;
        assert!(said <= LOG_LINES_MAX, "{said} new lines in\n{log}");
        for trouble in ["panicked", " ERROR ", "to=backup", "to=withdrawn"] {
            let new = log.lines().skip(self.log_lines);
            assert_eq!(new.filter(|line| line.contains(trouble)).count(), 0);
        }
    }
}

#[test]
fn garbage_on_the_service_port_changes_nothing() {
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[upstream.address]);
    let mut node = site.start();
    let mut garbage = Garbage::new();
    let before = Before::of(&node, &site);
    garbage.flood_udp(site.service, 20_000);
    garbage.flood_tcp(Ipv4Addr::LOCALHOST, site.service, 500);
    assert!(node.metric("sidestep_dns_malformed_messages_total") > 1000.0);
    assert!(node.metric("sidestep_dns_tcp_connections_total") > 100.0);
    before.compare(&mut node, &site);
}

/// From strangers and from the neighbour's own address, beside the session that is up.
#[test]
fn garbage_on_the_bgp_port_changes_nothing() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let mut node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    let mut garbage = Garbage::new();
    let before = Before::of(&node, &site);
    let said = router.said();
    garbage.flood_tcp(Ipv4Addr::LOCALHOST, bgp_listen(&site), 300);
    garbage.flood_tcp(router.address, bgp_listen(&site), 300);
    let refused = |reason: &str| {
        let family = "sidestep_bgp_refused_connections_total";
        node.metric(&format!("{family}{{reason=\"{reason}\"}}"))
    };
    assert!(refused("unknown") > 100.0);
    before.compare(&mut node, &site);
    assert_eq!(router.said(), said);
}

/// A neighbour that is not Established may send anything, too.
#[test]
fn garbage_from_a_neighbor_changes_nothing() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let neighbor = own_address();
    let listen = bgp_listen(&site);
    site.tables.push_str(&format!(
        "[bgp]\nasn = 65053\nlisten = [\"{listen}\"]\n[[bgp.neighbor]]\naddress = \"{neighbor}\"\n\
         asn = 65000\npassive = true\nsource = \"{}\"\n",
        site.unicast
    ));
    let mut node = site.launch();
    node.wait_for_level(Level::Preferred);
    let mut garbage = Garbage::new();
    let before = Before::of(&node, &site);
    garbage.flood_tcp(neighbor, listen, 500);
    let sent = format!(
        "sidestep_bgp_messages_total{{direction=\"sent\",neighbor=\"{neighbor}\",type=\"notification\"}}"
    );
    assert!(node.metric(&sent) > 10.0);
    before.compare(&mut node, &site);
}

#[test]
fn garbage_on_the_admin_port_and_the_control_socket_changes_nothing() {
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[upstream.address]);
    let mut node = site.start();
    let mut garbage = Garbage::new();
    let before = Before::of(&node, &site);
    garbage.flood_tcp(Ipv4Addr::LOCALHOST, site.admin, 300);
    for _ in 0..300 {
        let mut stream = UnixStream::connect(&site.socket).unwrap();
        // It may have been closed already.
        let _ = stream.write_all(&garbage.octets(6000));
        let _ = stream.write_all(b"\n");
    }
    before.compare(&mut node, &site);
    assert_eq!(http::get(site.admin, "/healthz").unwrap().0, 200);
    let told = site.control(&["status"]);
    assert!(told.status.success(), "{told:?}");
}

/// RFC 7766 §6.2.1.1 and §8: pipelined questions, and a message that comes octet by octet.
#[test]
fn questions_over_tcp_are_answered_however_they_are_cut() {
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let mut stream = connect(site.service).unwrap();
    for octet in framed(&a("drop-by-drop.example.").to_vec()) {
        stream.write_all(&[octet]).unwrap();
    }
    assert_eq!(read_message(&mut stream).unwrap().addresses(), [ADDRESS]);
    let questions: Vec<_> = (0..500_u16)
        .map(|id| Question {
            id,
            ..a(&format!("piped-{}.example.", id % 250))
        })
        .collect();
    let octets: Vec<u8> = questions
        .iter()
        .flat_map(|question| framed(&question.to_vec()))
        .collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = std::thread::spawn(move || writer.write_all(&octets).unwrap());
    let mut ids: Vec<u16> = questions
        .iter()
        .map(|_| {
            let answer = read_message(&mut stream).unwrap();
            assert_eq!(answer.addresses(), [ADDRESS]);
            answer.message.metadata.id
        })
        .collect();
    sent.join().unwrap();
    ids.sort_unstable();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
}

/// RFC 7766 §6.2.2: one client's share of the connections is bounded.
#[test]
fn idle_connections_of_one_client_leave_room_for_others() {
    let (greedy, other) = (own_address(), own_address());
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[upstream.address]);
    let mut node = site.start();
    let before = Before::of(&node, &site);
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..200 {
        let mut stream = connect_from(greedy, site.service).unwrap();
        // Half a length: the connection says nothing more.
        let _ = stream.write_all(&[0]);
        held.push(stream);
    }
    wait_until("all but 64 turned away", || {
        node.metric("sidestep_dns_tcp_rejected_connections_total") >= 136.0
    });
    let start = Instant::now();
    let mut stream = connect_from(other, site.service).unwrap();
    stream
        .write_all(&framed(&a("www.example.").to_vec()))
        .unwrap();
    assert_eq!(read_message(&mut stream).unwrap().addresses(), [ADDRESS]);
    assert!(start.elapsed().as_secs() < 5);
    before.compare(&mut node, &site);
    drop(held);
}

/// Connections that say nothing once took every descriptor: new names failed, the operator was not
/// heard, and the unanswered self-probe looked like a fault of the node, which withdrew.
#[test]
fn connections_of_clients_leave_descriptors_for_everything_else() {
    let upstream = Upstream::start(ADDRESS);
    let site = Site::new(&[upstream.address]);
    let node = site.start_with_descriptors(256, 256);
    node.wait_for_level(Level::Preferred);
    let mut held = Vec::new();
    for _ in 0..10 {
        let client = own_address();
        held.extend((0..60).filter_map(|_| connect_from(client, site.service).ok()));
    }
    let probes = || {
        let outcomes = ["good", "bad", "unanswered"].map(|outcome| {
            let sample = node.find_metric(&format!(
                "sidestep_health_probes_total{{family=\"ipv4\",outcome=\"{outcome}\",\
                 protocol=\"tcp\",service=\"resolver\"}}"
            ));
            sample.unwrap_or(0.0)
        });
        outcomes.iter().sum::<f64>()
    };
    let (client, seen) = (Client::new(site.service), probes());
    let mut number = 0;
    wait_until("four more probes over TCP", || {
        number += 1;
        let answer = client.ask(&a(&format!("new-{number}.example.")));
        assert_eq!(answer.addresses(), [ADDRESS]);
        assert_eq!(node.service().level, Level::Preferred);
        probes() >= seen + 4.0
    });
    assert!(node.metric("sidestep_dns_tcp_rejected_connections_total") > 0.0);
}
