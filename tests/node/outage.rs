//! Upstreams that fall silent: some of them, then all.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use sidestep::admin::status::{FaultClass, Level};

use crate::support::client::{Client, a};
use crate::support::node::Site;
use crate::support::upstream::Upstream;
use crate::support::wait_until;

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SERVFAIL: u16 = 2;
/// RFC 8914 §4.4 and §4.23.
const STALE_ANSWER: u16 = 3;
const NO_REACHABLE_AUTHORITY: u16 = 22;

/// How long each of `count` new names took, one after the other.
fn times(client: &Client, prefix: &str, count: usize, address: Ipv4Addr) -> Vec<Duration> {
    let names = (0..count).map(|number| format!("{prefix}-{number}.example."));
    names
        .map(|name| {
            let start = Instant::now();
            assert_eq!(client.ask(&a(&name)).addresses(), [address], "{name}");
            start.elapsed()
        })
        .collect()
}

fn over_a_second(times: &[Duration]) -> usize {
    let limit = Duration::from_secs(1);
    times.iter().filter(|time| **time > limit).count()
}

#[test]
fn a_first_upstream_that_is_dead_costs_no_time_out_for_each_query() {
    let (first, second) = (Upstream::start(FIRST), Upstream::start(SECOND));
    first.set_silent(true);
    let site = Site::new(&[first.address, second.address]);
    let node = site.start();
    let client = Client::new(site.service);
    let times = times(&client, "new", 50, SECOND);
    assert!(over_a_second(&times) <= 2, "{times:?}");
    assert_eq!(node.service().level, Level::Preferred);
    wait_until("the first upstream known to be dead", || {
        node.metric(&format!(
            "sidestep_upstream_up{{upstream=\"{}\",zone=\".\"}}",
            first.address
        )) == 0.0
    });
    first.set_silent(false);
    wait_until("the first upstream in use again", || {
        let name = format!("again-{}.example.", rand::random::<u32>());
        client.ask(&a(&name));
        first.asked(&name) > 0
    });
}

#[test]
fn an_upstream_that_falls_silent_stops_nobody() {
    let (first, second) = (Upstream::start(FIRST), Upstream::start(FIRST));
    let site = Site::new(&[first.address, second.address]);
    let _node = site.start();
    let client = Client::new(site.service);
    assert_eq!(over_a_second(&times(&client, "before", 10, FIRST)), 0);
    first.set_silent(true);
    let times = times(&client, "after", 50, FIRST);
    assert!(over_a_second(&times) <= 2, "{times:?}");
}

/// The policy for a fault that others may share: backup, never withdrawn; RFC 8767 for what is
/// cached, an error at once for what is not.
#[test]
fn without_upstreams_the_node_is_a_backup_that_answers_what_it_knows() {
    let upstreams = [Upstream::start(FIRST), Upstream::start(FIRST)];
    let mut site = Site::new(&upstreams.each_ref().map(|upstream| upstream.address));
    site.health.push_str("hold_down = \"1s\"\n");
    let node = site.start();
    let client = Client::new(site.service);
    assert_eq!(client.ask(&a("brief-1.example.")).addresses(), [FIRST]);
    assert_eq!(client.ask(&a("cached.example.")).addresses(), [FIRST]);
    node.wait_for_level(Level::Preferred);
    upstreams
        .iter()
        .for_each(|upstream| upstream.set_silent(true));
    let mut levels = Vec::new();
    wait_until("backup", || {
        let name = format!("new-{}.example.", rand::random::<u32>());
        let start = Instant::now();
        assert_eq!(client.ask(&a(&name)).rcode(), SERVFAIL);
        assert!(start.elapsed() < Duration::from_secs(10));
        levels.push(node.service().level);
        levels.last() == Some(&Level::Backup)
    });
    assert!(!levels.contains(&Level::Withdrawn));
    assert_eq!(node.service().class, Some(FaultClass::Shared));

    let answer = client.ask(&a("cached.example."));
    assert_eq!(answer.addresses(), [FIRST]);
    assert_eq!(answer.extended_error(), None);
    wait_until("a stale answer", || {
        let answer = client.ask(&a("brief-1.example."));
        assert_eq!(answer.addresses(), [FIRST]);
        answer.extended_error() == Some(STALE_ANSWER)
    });
    let start = Instant::now();
    for number in 0..20 {
        let answer = client.ask(&a(&format!("unknown-{number}.example.")));
        assert_eq!(answer.rcode(), SERVFAIL);
        assert_eq!(answer.extended_error(), Some(NO_REACHABLE_AUTHORITY));
    }
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?} for 20 names");
    assert_eq!(node.service().level, Level::Backup);

    upstreams
        .iter()
        .for_each(|upstream| upstream.set_silent(false));
    node.wait_for_level(Level::Preferred);
    let answer = client.ask(&a("unknown-new.example."));
    assert_eq!(answer.addresses(), [FIRST]);
}

/// A zone that is not critical is no evidence against the node.
#[test]
fn the_upstreams_of_another_zone_do_not_move_the_level() {
    let (root, corp) = (Upstream::start(FIRST), Upstream::start(SECOND));
    corp.set_silent(true);
    let mut site = Site::new(&[root.address]);
    site.forward("corp.example.", &[corp.address]);
    let node = site.start();
    let client = Client::new(site.service);
    wait_until("the zone known to be dead", || {
        !node.status().zones.iter().all(|zone| zone.usable)
    });
    assert_eq!(client.ask(&a("www.corp.example.")).rcode(), SERVFAIL);
    assert_eq!(client.ask(&a("www.example.")).addresses(), [FIRST]);
    assert_eq!(node.service().level, Level::Preferred);
}
