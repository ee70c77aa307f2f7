//! Names that are answered here, aliases that lead to others, and nodes that forward to each other.

use std::fs;
use std::net::Ipv4Addr;

use hickory_proto::rr::RecordType;

use crate::support::client::{Client, Question, a};
use crate::support::node::{Node, Site};
use crate::support::upstream::Upstream;
use crate::support::wait_until;

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NXDOMAIN: u16 = 3;
const LOOPING: &str = "sidestep_dns_looping_upstreams";

fn looping(node: &Node) -> f64 {
    node.find_metric(LOOPING).unwrap_or_default()
}

/// The zone whose upstreams are each other is found out; the root, whose upstream is a real one, is
/// above suspicion and answers.
#[test]
fn two_nodes_that_forward_a_zone_to_each_other_say_so() {
    let upstream = Upstream::start(FIRST);
    let (mut one, mut other) = (
        Site::new(&[upstream.address]),
        Site::new(&[upstream.address]),
    );
    one.forward("corp.example.", &[other.service]);
    other.forward("corp.example.", &[one.service]);
    let nodes = [one.start(), other.start()];
    wait_until("the loop found", || {
        nodes.iter().any(|node| looping(node) > 0.0)
    });
    let told = nodes.iter().find(|node| looping(node) > 0.0).unwrap();
    assert!(looping(told) <= 1.0);
    assert!(told.log().contains("forwarding loop"), "{}", told.log());
    assert!(told.metric("sidestep_dns_forwarding_loops_total") >= 1.0);
    for site in [&one, &other] {
        let answer = Client::new(site.service).ask(&a("www.example."));
        assert_eq!(answer.addresses(), [FIRST]);
    }
}

/// RFC 6761 §6, RFC 6303 §3.
#[test]
fn special_names_never_reach_an_upstream_unless_a_zone_takes_them() {
    let (root, lab) = (Upstream::start(FIRST), Upstream::start(FIRST));
    let mut site = Site::new(&[root.address]);
    site.forward("lab.test.", &[lab.address]);
    let node = site.start();
    let client = Client::new(site.service);
    for name in ["www.test.", "a.onion.", "5.0.0.10.in-addr.arpa."] {
        let answer = client.ask(&a(name));
        assert_eq!(answer.rcode(), NXDOMAIN, "{name}");
        assert_eq!(answer.message.authorities.len(), 1);
        assert_eq!(root.asked(name), 0);
    }
    let localhost = client.ask(&a("localhost."));
    assert_eq!(localhost.addresses(), [Ipv4Addr::LOCALHOST]);
    assert_eq!(client.ask(&a("www.lab.test.")).addresses(), [FIRST]);
    assert_eq!(lab.asked("www.lab.test."), 1);
    assert!(looping(&node) == 0.0);
}

/// hosts(5). RFC 1034 §4.3.2 (3a): clients do not follow an alias by themselves.
#[test]
fn hosts_files_and_aliases_are_answered() {
    let root = Upstream::start(FIRST);
    let mut site = Site::new(&[root.address]);
    let hosts = site.path("hosts");
    fs::write(
        &hosts,
        "# ours\n10.0.0.5 nas.corp nas\n0.0.0.0 ads.example\n",
    )
    .unwrap();
    site.dns.push_str(&format!("hosts_files = [{hosts:?}]\n"));
    site.tables.push_str(
        "[[local]]\nname = \"www.corp.\"\ntype = \"CNAME\"\ndata = \"www.example.\"\n\
         [[local]]\nname = \"files.corp.\"\ntype = \"CNAME\"\ndata = \"nas.corp.\"\n",
    );
    let _node = site.start();
    let client = Client::new(site.service);
    let nas = Ipv4Addr::new(10, 0, 0, 5);
    for (name, address) in [
        ("nas.corp.", nas),
        ("nas.", nas),
        ("files.corp.", nas),
        ("ads.example.", Ipv4Addr::UNSPECIFIED),
        ("www.corp.", FIRST),
        ("www.corp.", FIRST),
    ] {
        assert_eq!(client.ask(&a(name)).addresses(), [address], "{name}");
        assert_eq!(client.ask_tcp(&a(name)).addresses(), [address], "{name}");
    }
    assert_eq!(root.asked("www.example."), 1);
    let reverse = client.ask(&Question {
        rtype: RecordType::PTR,
        ..a("5.0.0.10.in-addr.arpa.")
    });
    assert_eq!(reverse.message.answers[0].data.to_string(), "nas.corp.");
}
