//! What a router hears of the node, from its first route to its last word.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use sidestep::admin::status::{FaultClass, Level, SessionState};
use sidestep::bgp::connection::End;
use sidestep::bgp::notification::Notification;

use crate::support::client::{Client, a};
use crate::support::node::Site;
use crate::support::router::{Path, Router, Said};
use crate::support::upstream::Upstream;
use crate::support::{http, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn is_down(said: &Said) -> bool {
    matches!(said, Said::Down(_))
}

/// An address for benchmarks (RFC 2544) is on no interface, so that nobody answers there.
#[test]
fn nothing_is_announced_while_the_self_probe_is_not_answered() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let [.., high, low] = site.anycast.octets();
    site.service_keys = format!("addresses = [\"198.18.{high}.{low}\"]\n");
    site.dns
        .push_str(&format!("listen = [\"{}\"]\n", site.service));
    let router = Router::beside(&mut site, "9s");
    let node = site.launch();
    router.wait_for(0, "a session", |said| *said == Said::Established);
    let unanswered = "sidestep_health_probes_total\
                      {family=\"ipv4\",outcome=\"unanswered\",protocol=\"udp\",service=\"resolver\"}";
    wait_until("many probes", || {
        node.find_metric(unanswered)
            .is_some_and(|count| count >= 15.0)
    });
    let client = Client::new(site.service);
    assert_eq!(client.ask(&a("www.example.")).addresses(), [ADDRESS]);
    assert_eq!(router.said(), [Said::Established]);
    let service = node.service();
    assert_eq!(service.level, Level::Withdrawn);
    let (code, reasons) = http::get(site.admin, "/readyz").unwrap();
    assert_eq!(code, 503);
    assert!(reasons.contains("withdrawn"), "{reasons}");
    assert_eq!(http::get(site.admin, "/healthz").unwrap().0, 200);
}

#[test]
fn dead_upstreams_turn_the_route_into_a_backup_without_a_withdraw() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    let (preferred, backup) = (Path::preferred(site.unicast), Path::backup(site.unicast));
    router.wait_for_path(0, &preferred);
    upstream.set_silent(true);
    let position = router.wait_for_path(0, &backup);
    upstream.set_silent(false);
    router.wait_for_path(position, &preferred);
    let expected = [
        Said::Established,
        Said::Announced(preferred.clone()),
        Said::Announced(backup),
        Said::Announced(preferred),
    ];
    assert_eq!(router.said(), expected);
    let neighbor = &node.status().neighbors[0];
    assert_eq!(neighbor.state, SessionState::Established);
    assert_eq!(neighbor.announced, [format!("{}/32", site.anycast)]);
}

/// Sockets that share the port take the queries away from the only worker: its probes go
/// unanswered while nothing else of the node is wrong.
#[test]
fn a_node_whose_probes_are_lost_withdraws_and_comes_back_over_the_same_session() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    let preferred = Path::preferred(site.unicast);
    let position = router.wait_for_path(0, &preferred);
    let thieves: Vec<_> = (0..200).map(|_| thief(&site)).collect();
    let (position, _) = router.wait_for(position, "a withdraw", |said| *said == Said::Withdrawn);
    wait_until("the reason", || {
        node.service().class == Some(FaultClass::Local)
    });
    drop(thieves);
    router.wait_for_path(position, &preferred);
    assert!(!router.said().iter().any(is_down), "{:?}", router.said());
}

fn thief(site: &Site) -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&site.service.into()).unwrap();
    socket.into()
}

/// RFC 8326 §4.1 (first less attractive), RFC 9003 (the text). The node answers to the end.
#[test]
fn a_node_that_is_stopped_leaves_in_good_order() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    site.health
        .push_str("drain_wait = \"300ms\"\nlinger = \"2s\"\n");
    let router = Router::beside(&mut site, "9s");
    let mut node = site.start();
    let (preferred, leaving) = (Path::preferred(site.unicast), Path::leaving(site.unicast));
    router.wait_for_path(0, &preferred);
    let client = Client::new(site.service);
    node.signal("TERM");
    let (_, withdrawn) = router.wait_for(0, "a withdraw", |said| *said == Said::Withdrawn);
    let mut answered = 0;
    let patience = Duration::from_millis(500);
    let first_unanswered = loop {
        let name = format!("late-{answered}.example.");
        let sent = Instant::now();
        match client.try_ask(&a(&name), patience) {
            Some(answer) => assert_eq!(answer.addresses(), [ADDRESS]),
            None => break sent,
        }
        answered += 1;
    };
    assert!(answered > 10, "{answered} answers after the withdraw");
    assert_eq!(node.wait(), Some(0));
    let cease = Notification::administrative_shutdown("node is stopping");
    let expected = [
        Said::Established,
        Said::Announced(preferred),
        Said::Announced(leaving),
        Said::Withdrawn,
        Said::Down(End::Received(cease)),
    ];
    router.wait_for(0, "the end", is_down);
    assert_eq!(router.said(), expected);
    let lingered = first_unanswered - withdrawn;
    assert!(lingered > Duration::from_secs(1), "{lingered:?}");
}

/// No graceful restart: the route cannot outlive the process.
#[test]
fn a_node_that_is_killed_loses_its_session_at_once_and_its_successor_takes_over() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "90s");
    let preferred = Path::preferred(site.unicast);
    let mut position = 0;
    for _ in 0..3 {
        let node = site.start();
        position = router.wait_for_path(position, &preferred);
        let killed = Instant::now();
        node.signal("KILL");
        let (down, at) = router.wait_for(position, "the end", is_down);
        let gap = at.saturating_duration_since(killed);
        assert!(gap < Duration::from_secs(3), "{gap:?}");
        assert_eq!(router.said()[down], Said::Down(End::Closed));
        position = down;
    }
}

/// RFC 4271 §6.5.
#[test]
fn a_node_that_hangs_loses_its_session_by_the_hold_time_and_comes_back() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "3s");
    let node = site.start();
    let preferred = Path::preferred(site.unicast);
    let position = router.wait_for_path(0, &preferred);
    node.signal("STOP");
    let (down, _) = router.wait_for(position, "the end", is_down);
    node.signal("CONT");
    let expired = Said::Down(End::Sent(Notification::hold_timer_expired()));
    assert_eq!(router.said()[down], expired);
    router.wait_for_path(down, &preferred);
    let client = Client::new(site.service);
    assert_eq!(client.ask(&a("www.example.")).addresses(), [ADDRESS]);
}
