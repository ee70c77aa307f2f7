//! Answers: from whom, how long, how large, and how often upstreams are asked for them.

use std::net::Ipv4Addr;

use hickory_proto::rr::{DNSClass, RecordType};

use crate::support::client::{Answer, Client, Question, a};
use crate::support::node::{NAME, Site};
use crate::support::upstream::{BIG, HUGE, TTL_S, Upstream};
use crate::support::{node, wait_until};

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;

/// RFC 5001: NSID. RFC 4892: `id.server` and `hostname.bind`.
#[test]
fn every_answer_tells_which_node_gave_it_if_asked() {
    let upstream = Upstream::start(FIRST);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let client = Client::new(site.service);
    for answer in [
        client.ask(&a("www.example.")),
        client.ask_tcp(&a("www.example.")),
        client.ask_tcp(&a("new.example.")),
    ] {
        assert_eq!(answer.addresses(), [FIRST]);
        assert!(answer.message.metadata.recursion_available);
        assert_eq!(answer.nsid().as_deref(), Some(NAME));
    }
    for name in ["id.server.", "hostname.bind."] {
        let question = Question {
            rtype: RecordType::TXT,
            class: DNSClass::CH,
            ..a(name)
        };
        for answer in [client.ask(&question), client.ask_tcp(&question)] {
            assert_eq!(answer.text(), NAME);
        }
    }
}

#[test]
fn the_longest_zone_that_matches_decides_whom_is_asked() {
    let (root, corp) = (Upstream::start(FIRST), Upstream::start(SECOND));
    let mut site = Site::new(&[root.address]);
    site.forward("corp.example.", &[corp.address]);
    let _node = site.start();
    let client = Client::new(site.service);
    for (name, address) in [
        ("example.", FIRST),
        ("corp.example.", SECOND),
        ("www.CORP.example.", SECOND),
        ("a.b.corp.example.", SECOND),
        ("notcorp.example.", FIRST),
        ("corp.example.org.", FIRST),
    ] {
        assert_eq!(client.ask(&a(name)).addresses(), [address], "{name}");
    }
}

/// RFC 2308 §5: both kinds of negative answers are kept, and so are their SOA records.
#[test]
fn a_negative_answer_is_asked_for_once() {
    let upstream = Upstream::start(FIRST);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let client = Client::new(site.service);
    for (name, rcode) in [("nx-1.example.", NXDOMAIN), ("empty-1.example.", 0)] {
        for _ in 0..3 {
            let answer = client.ask(&a(name));
            assert_eq!(answer.rcode(), rcode);
            assert!(answer.message.answers.is_empty());
            let soa = &answer.message.authorities[0];
            assert_eq!(soa.record_type(), RecordType::SOA);
            assert!(soa.ttl <= TTL_S);
        }
        assert_eq!(upstream.asked(name), 1, "{name}");
    }
}

/// RFC 1035 §3.2.1.
#[test]
fn the_ttl_of_a_cached_answer_runs_down() {
    let upstream = Upstream::start(FIRST);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let client = Client::new(site.service);
    assert_eq!(client.ask(&a("www.example.")).ttl(), TTL_S);
    wait_until("a smaller TTL", || {
        client.ask(&a("www.example.")).ttl() < TTL_S - 1
    });
    assert_eq!(upstream.asked("www.example."), 1);
}

#[test]
fn an_expired_answer_is_asked_for_again() {
    let upstream = Upstream::start(FIRST);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let client = Client::new(site.service);
    wait_until("a second question", || {
        assert_eq!(client.ask(&a("brief-1.example.")).addresses(), [FIRST]);
        upstream.asked("brief-1.example.") == 2
    });
}

fn is_cut(answer: &Answer) -> bool {
    answer.message.metadata.truncation
}

/// RFC 1035 §4.2.1: 512 octets without EDNS. RFC 6891 §6.2.5, and never over 1232 octets.
#[test]
fn a_large_answer_is_cut_over_udp_and_whole_over_tcp() {
    let upstream = Upstream::start(FIRST);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let client = Client::new(site.service);
    for (name, records) in [("big-1.example.", BIG), ("huge-1.example.", HUGE)] {
        let question = a(name);
        let plain = client.ask(&question.clone().with_edns(None));
        assert!(is_cut(&plain), "{name}");
        assert!(plain.octets <= 512, "{}", plain.octets);
        let large = client.ask(&question.clone().with_edns(Some(4096)));
        assert!(large.octets <= 1232, "{}", large.octets);
        assert_eq!(is_cut(&large), records == HUGE, "{name}");
        if records == BIG {
            assert_eq!(large.addresses().len(), usize::from(BIG));
        }
        let whole = client.ask_tcp(&question.with_edns(None));
        assert!(!is_cut(&whole));
        assert_eq!(whole.addresses().len(), usize::from(records));
    }
}

/// RFC 7766 §5.
#[test]
fn an_upstream_that_cuts_its_answer_is_asked_over_tcp() {
    let upstream = Upstream::start(FIRST);
    let site = Site::new(&[upstream.address]);
    let _node = site.start();
    let answer = Client::new(site.service).ask(&a("cut-1.example."));
    assert!(!is_cut(&answer));
    assert_eq!(answer.addresses(), [FIRST]);
    assert_eq!(upstream.asked("cut-1.example."), 1);
    assert_eq!(upstream.asked_tcp("cut-1.example."), 1);
}

#[test]
fn clients_that_ask_the_same_at_the_same_time_cost_one_question_for_each_worker() {
    const WORKERS: usize = 2;
    let upstream = Upstream::start(FIRST);
    let mut site = Site::new(&[upstream.address]);
    site.dns = format!("workers = {WORKERS}\nallow = [\"loopback\"]\n");
    let node = site.start();
    let clients: Vec<_> = (0..40).map(|_| Client::new(site.service)).collect();
    let question = a("slow-1.example.");
    for client in &clients {
        client.send(&question);
    }
    wait_until("all questions under way", || {
        node.metric("sidestep_dns_queries_total{protocol=\"udp\"}") >= 40.0
    });
    for client in &clients {
        assert_eq!(client.receive().addresses(), [FIRST]);
    }
    // A slow name may be asked for a second time, for one datagram may have been lost.
    let asked = upstream.asked("slow-1.example.");
    assert!((1..=2 * WORKERS).contains(&asked), "{asked} questions");
}

#[test]
fn only_clients_on_the_list_are_answered() {
    let (friend, stranger) = (node::own_address(), node::own_address());
    let upstream = Upstream::start(FIRST);
    let mut site = Site::new(&[upstream.address]);
    site.dns = format!("workers = 1\nallow = [\"{friend}/32\"]\n");
    let _node = site.start();
    let friend = Client::from(friend.into(), site.service);
    assert_eq!(friend.ask(&a("www.example.")).addresses(), [FIRST]);
    let stranger = Client::from(stranger.into(), site.service);
    for name in ["www.example.", "new.example."] {
        let answer = stranger.ask(&a(name));
        assert_eq!(answer.rcode(), REFUSED);
        assert_eq!(answer.extended_error(), Some(18));
        assert!(answer.message.answers.is_empty());
    }
    assert_eq!(upstream.asked("new.example."), 0);
}

/// What the configuration says needs no upstream.
#[test]
fn local_records_are_answered_while_the_upstream_is_silent() {
    let upstream = Upstream::start(FIRST);
    upstream.set_silent(true);
    let mut site = Site::new(&[upstream.address]);
    site.tables
        .push_str("[[local]]\nname = \"printer.example.\"\ntype = \"A\"\ndata = \"10.0.0.40\"\n");
    let _node = site.launch();
    let client = Client::new(site.service);
    wait_until("an answer", || {
        let patience = std::time::Duration::from_millis(200);
        let answer = client.try_ask(&a("printer.example."), patience);
        answer.is_some_and(|answer| answer.addresses() == [Ipv4Addr::new(10, 0, 0, 40)])
    });
}
