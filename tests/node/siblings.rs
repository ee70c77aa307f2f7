//! Three nodes that ask each other how they are.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hickory_proto::rr::{DNSClass, RecordType};
use sidestep::admin::status::{FaultClass, Level, Peer};

use crate::support::client::{Client, Question, a};
use crate::support::node::{Node, Site};
use crate::support::upstream::Upstream;
use crate::support::{LIMIT, wait_until};

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 5300;
const REFUSED: u16 = 5;

/// Three nodes with an upstream each; their configuration differs in addresses alone.
struct Fleet {
    upstreams: [Upstream; 3],
    sites: [Site; 3],
}

impl Fleet {
    fn new() -> Self {
        let upstreams = [(); 3].map(|()| Upstream::start(FIRST));
        let sites = upstreams.each_ref().map(|upstream| {
            let mut site = Site::new(&[upstream.address]);
            let listen = format!("listen = [\"{}\"]\n", listed(&site));
            site.dns.push_str(&listen);
            site
        });
        Self { upstreams, sites }
    }

    /// With this list for the node at `of`.
    fn set_list(&mut self, of: usize, list: &[SocketAddr]) {
        let list: Vec<_> = list.iter().map(SocketAddr::to_string).collect();
        let line = format!("last_resort = {list:?}\n");
        self.sites[of].tables.push_str(&line);
    }

    fn list(&self) -> [SocketAddr; 3] {
        self.sites.each_ref().map(listed)
    }

    fn start(&self) -> [Node; 3] {
        let nodes = self.sites.each_ref().map(Site::start);
        wait_until("all reach each other and can resolve", || {
            nodes.iter().all(|node| {
                let peers = node.status().peers;
                let is_fine =
                    |p: &Peer| p.reached && p.able == Some(true) && p.hears_us == Some(true);
                peers.len() == 2 && peers.iter().all(is_fine)
            })
        });
        nodes
    }

    /// Lets the upstream of a node fall silent.
    fn make_dead(&self, of: usize) {
        self.upstreams[of].set_silent(true);
    }
}

/// Where other nodes ask a node.
fn listed(site: &Site) -> SocketAddr {
    SocketAddr::from((site.unicast, PORT))
}

fn of<'a>(peers: &'a [Peer], site: &Site) -> &'a Peer {
    let mut peers = peers.iter();
    peers
        .find(|peer| peer.address.ip() == site.unicast)
        .unwrap()
}

#[test]
fn nodes_on_one_list_know_of_each_other_and_tell_nobody_else() {
    let mut fleet = Fleet::new();
    let list = fleet.list();
    (0..3).for_each(|node| fleet.set_list(node, &list));
    let nodes = fleet.start();
    let statuses = nodes.each_ref().map(Node::status);
    let numbers = [0, 1, 2].map(|node: usize| {
        let others = [0, 1, 2].into_iter().filter(|other| *other != node);
        let told = others.map(|other| of(&statuses[other].peers, &fleet.sites[node]).node.clone());
        let told: Vec<_> = told.collect();
        assert_eq!(told[0], told[1], "a node has one number");
        told[0].clone().unwrap()
    });
    assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2] && numbers[0] != numbers[2]);
    let sample = |name: &str, of: usize| format!("sidestep_peer_{name}{{peer=\"{}\"}}", list[of]);
    for name in ["reached", "able", "hears_us"] {
        assert_eq!(nodes[0].metric(&sample(name, 1)), 1.0, "{name}");
    }
    assert!(nodes[0].metric(&sample("rtt_seconds", 2)) < 0.5);
    assert!(nodes[0].metric(&sample("answers_total", 2)) >= 1.0);
    assert!(nodes[0].metric("sidestep_dns_peer_questions_total") >= 2.0);
    // None of that is a client's question, or one of last resort.
    assert_eq!(nodes[0].metric("sidestep_dns_sibling_queries_total"), 0.0);
    let udp = "sidestep_dns_queries_total{protocol=\"udp\"}";
    assert_eq!(nodes[0].metric(udp), 0.0);
    let table = fleet.sites[0].control(&["status"]).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("\nSIBLING "), "{table}");
    assert!(table.contains(&numbers[1]), "{table}");
    // A client is no sibling, and neither is who asks from a sibling's address without the marker.
    let question = Question {
        rtype: RecordType::TXT,
        class: DNSClass::CH,
        ..a("peer.sidestep.")
    };
    for source in [Ipv4Addr::LOCALHOST, fleet.sites[1].unicast] {
        let answer = Client::from(source.into(), list[0]).ask(&question);
        assert_eq!((answer.rcode(), answer.message.answers.len()), (REFUSED, 0));
    }
}

#[test]
fn a_node_without_upstreams_is_a_backup_while_its_siblings_can_resolve() {
    let mut fleet = Fleet::new();
    let list = fleet.list();
    (0..3).for_each(|node| fleet.set_list(node, &list));
    let nodes = fleet.start();
    fleet.make_dead(0);
    nodes[0].wait_for_level(Level::Backup);
    assert_eq!(nodes[0].service().class, Some(FaultClass::Shared));
    wait_until("the others know", || {
        [1, 2].iter().all(|node: &usize| {
            let status = nodes[*node].status();
            of(&status.peers, &fleet.sites[0]).able == Some(false)
        })
    });
    for node in &nodes[1..] {
        assert_eq!(node.service().level, Level::Preferred);
    }
    fleet.upstreams[0].set_silent(false);
    nodes[0].wait_for_level(Level::Preferred);
    wait_until("the others know that too", || {
        let status = nodes[1].status();
        of(&status.peers, &fleet.sites[0]).able == Some(true)
    });
}

#[test]
fn nodes_that_have_all_lost_their_upstreams_stay_equal() {
    let mut fleet = Fleet::new();
    let list = fleet.list();
    (0..3).for_each(|node| fleet.set_list(node, &list));
    let nodes = fleet.start();
    (0..3).for_each(|node| fleet.make_dead(node));
    wait_until("nobody moves, for it would help nobody", || {
        nodes.iter().all(|node| {
            let service = node.service();
            assert_ne!(service.level, Level::Withdrawn);
            let reason = "none of 2 siblings says that it can resolve (2 answer)";
            service.level == Level::Preferred && service.reason.contains(reason)
        })
    });
    for node in &nodes {
        assert_eq!(node.service().class, Some(FaultClass::Shared));
    }
    fleet.upstreams[0].set_silent(false);
    for node in &nodes[1..] {
        node.wait_for_level(Level::Backup);
    }
    assert_eq!(nodes[0].service().level, Level::Preferred);
}

/// What stands between a node's address and the others, in both directions.
struct Way {
    is_blocked: Arc<AtomicBool>,
}

impl Way {
    /// Passes on what comes to `from`, with the address of who sent it.
    fn open(from: SocketAddr, to: SocketAddr) -> Self {
        let outside = UdpSocket::bind(from).unwrap();
        let is_blocked = Arc::new(AtomicBool::new(false));
        let blocked = Arc::clone(&is_blocked);
        thread::spawn(move || {
            let mut buffer = [0; 1500];
            loop {
                let (octets, client) = outside.recv_from(&mut buffer).unwrap();
                if blocked.load(Ordering::Relaxed) {
                    continue;
                }
                let inside = UdpSocket::bind((client.ip(), 0)).unwrap();
                inside.connect(to).unwrap();
                inside.set_read_timeout(Some(LIMIT)).unwrap();
                let sent = inside.send(&buffer[..octets]);
                if let Ok(octets) = sent.and_then(|_| inside.recv(&mut buffer)) {
                    outside.send_to(&buffer[..octets], client).unwrap();
                }
            }
        });
        Self { is_blocked }
    }
}

/// The others cannot reach it, while it reaches them: it is told so, and not because of one of them.
#[test]
fn a_node_that_does_not_answer_its_siblings_is_told_so_by_them() {
    let mut fleet = Fleet::new();
    let list = fleet.list();
    let door = SocketAddr::from((fleet.sites[2].unicast, PORT + 1));
    fleet.set_list(0, &[list[0], list[1], door]);
    fleet.set_list(1, &[list[0], list[1], door]);
    fleet.set_list(2, &list);
    let way = Way::open(door, list[2]);
    let nodes = fleet.start();
    way.is_blocked.store(true, Ordering::Relaxed);
    nodes[2].wait_for_level(Level::Backup);
    let reason = nodes[2].service().reason;
    assert!(
        reason.contains("2 of 2 siblings that answer this node get no answer from it"),
        "{reason}"
    );
    let peers = nodes[2].status().peers;
    assert!(peers.iter().all(|p| p.reached && p.hears_us == Some(false)));
    for node in &nodes[..2] {
        let peers = node.status().peers;
        let blocked = of(&peers, &fleet.sites[2]);
        assert_eq!((blocked.reached, blocked.able), (false, None));
        assert!(!node.log().contains("blind=1"));
        assert_eq!(node.service().level, Level::Preferred);
    }
    way.is_blocked.store(false, Ordering::Relaxed);
    wait_until("nobody is blind any more", || {
        let peers = nodes[2].status().peers;
        peers.iter().all(|peer| peer.hears_us == Some(true))
    });
    nodes[2].wait_for_level(Level::Preferred);
}

/// A node that is stopped and goes on is asked again before anybody is called anything.
#[test]
fn a_node_that_was_frozen_calls_nobody_unreached() {
    let mut fleet = Fleet::new();
    let list = fleet.list();
    (0..3).for_each(|node| fleet.set_list(node, &list));
    let nodes = fleet.start();
    nodes[0].signal("STOP");
    wait_until("the others miss it", || {
        [1, 2].iter().all(|node: &usize| {
            let status = nodes[*node].status();
            !of(&status.peers, &fleet.sites[0]).reached
        })
    });
    nodes[0].signal("CONT");
    wait_until("all is well again", || {
        nodes.iter().all(|node| {
            let peers = node.status().peers;
            peers
                .iter()
                .all(|peer| peer.reached && peer.hears_us == Some(true))
        })
    });
    let log = nodes[0].log();
    assert!(!log.contains("no longer reached"), "{log}");
    assert!(
        !log.contains("blind=1") && !log.contains("blind=2"),
        "{log}"
    );
}
