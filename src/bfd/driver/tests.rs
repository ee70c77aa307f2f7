#![expect(
    clippy::disallowed_methods,
    reason = "tests run tasks and threads of their own"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use prometheus::Registry;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::timeout;

use super::*;
use crate::bfd::State;
use crate::bfd::path::Hops;

mod flood;
mod saturation;

/// Nothing here takes so long, unless it never ends.
const PATIENCE: Duration = Duration::from_secs(20);
/// A machine under load may let a test wait so long without a fault of the test.
const SLACK: Duration = Duration::from_secs(2);

const QUICK: Duration = Duration::from_millis(50);

fn settings(interval: Duration) -> Settings {
    Settings {
        interval,
        multiplier: 3,
        authentication: None,
    }
}

/// From `local` to `remote`, which have ports of their own where they must share an address.
fn path(local: SocketAddr, remote: SocketAddr) -> Path {
    Path {
        remote,
        local,
        hops: Hops::One,
    }
}

/// Two ends on this host that no other test has.
fn ends(number: u8, is_ipv4: bool) -> (SocketAddr, SocketAddr) {
    if is_ipv4 {
        let end = |side| SocketAddr::new(IpAddr::from([127, 53, number, side]), 3784);
        (end(1), end(2))
    } else {
        let end = |side| SocketAddr::new(IpAddr::from(std::net::Ipv6Addr::LOCALHOST), side);
        let first = 37_000 + u16::from(number) * 2;
        (end(first), end(first + 1))
    }
}

/// A node as far as BFD goes.
struct Node {
    driver: Driver,
    registry: Registry,
    task: JoinHandle<()>,
}

impl Node {
    fn start() -> Self {
        let registry = Registry::new();
        let driver = Driver::new(Metrics::register(&registry).unwrap());
        Self {
            task: tokio::task::spawn_local(driver.clone().run()),
            driver,
            registry,
        }
    }

    fn watch(&self, interval: Duration, path: Path) -> Watch {
        let peer = path.remote.to_string();
        self.driver.watch(&settings(interval), path, peer)
    }

    /// A counter's value; all of this crate have one label.
    fn counted(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let series = family.into_iter().flat_map(|family| family.get_metric());
        let mut of = series.filter(|one| one.get_label().iter().any(|l| l.value() == label));
        of.next()
            .map_or(0, |one| one.get_counter().get_value() as u64)
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.counted("sidestep_bfd_dropped_total", reason)
    }

    async fn until_dropped(&self, reason: &str, count: u64) {
        let counted = async {
            while self.dropped(reason) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, counted).await.unwrap();
    }
}

async fn until_path(watch: &Watch, path: PathState) {
    let mut reports = watch.reports();
    let told = reports.wait_for(|report| report.path == path);
    timeout(PATIENCE, told).await.expect("it is told").unwrap();
}

async fn locally(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

/// Both ends keep to the configured interval.
async fn until_agreed(watch: &Watch, interval: Duration) {
    let agreed = async {
        loop {
            let status = watch.status().unwrap();
            let times = (status.transmit_interval, status.detection_time);
            if times == (Some(interval), Some(3 * interval)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, agreed).await.unwrap();
}

/// So many more packets are taken in.
async fn until_heard(watch: &Watch, packets: u64) {
    let before = watch.status().unwrap().counts.received;
    let heard = async {
        while watch.status().unwrap().counts.received < before + packets {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, heard).await.unwrap();
}

/// Two nodes that watch each other, both up and at their pace.
async fn pair(interval: Duration, ends: (SocketAddr, SocketAddr)) -> [(Node, Watch); 2] {
    let start = |local, remote| {
        let node = Node::start();
        let watch = node.watch(interval, path(local, remote));
        (node, watch)
    };
    let pair = [start(ends.0, ends.1), start(ends.1, ends.0)];
    for (_, watch) in &pair {
        until_path(watch, PathState::Up).await;
        until_agreed(watch, interval).await;
    }
    pair
}

/// RFC 5880 §6.8.4: both families; a frozen neighbour is lost after one detection time.
#[tokio::test]
async fn two_nodes_find_each_other_and_silence_is_noticed() {
    for is_ipv4 in [true, false] {
        locally(async {
            let [(_, here), (there, watch)] = pair(QUICK, ends(90, is_ipv4)).await;
            let status = here.status().unwrap();
            assert_eq!(status.state, State::Up);
            assert_eq!(status.remote_state, State::Up);
            there.task.abort();
            let fell_silent = clock();
            until_path(&here, PathState::Down).await;
            let took = fell_silent.elapsed();
            assert!(took >= QUICK, "{took:?}");
            assert!(took < 3 * QUICK + SLACK, "{took:?}");
            drop(watch);
        })
        .await;
    }
}

/// RFC 5880 §6.8.3: fast once both are up; the agreed interval is what packets keep to.
#[tokio::test]
async fn packets_come_at_the_agreed_interval() {
    locally(async {
        let [(_, here), _there] = pair(QUICK, ends(91, true)).await;
        // Answers to Polls come between.
        until_heard(&here, 5).await;
        let start = clock();
        until_heard(&here, 40).await;
        let took = start.elapsed();
        // A quarter less at most, and no more but for the machine's delays.
        assert!(took >= QUICK * 3 / 4 * 39, "{took:?}");
        assert!(took < QUICK * 40 + SLACK, "{took:?}");
    })
    .await;
}

/// RFC 5880 §6.8.16: the neighbour hears of it for a detection time, and takes it for no fault.
#[tokio::test]
async fn a_session_that_ends_is_told_for_a_detection_time_and_then_forgotten() {
    locally(async {
        let interval = Duration::from_millis(100);
        let [(node, here), (_, there)] = pair(interval, ends(92, true)).await;
        // Polls are answered then: the neighbour counts on three of the agreed intervals.
        until_heard(&here, 10).await;
        here.admin_down();
        let start = clock();
        until_path(&there, PathState::AdminDown).await;
        timeout(PATIENCE, here.parted()).await.unwrap();
        let took = start.elapsed();
        assert!(took >= 3 * interval, "{took:?}");
        assert!(took < 3 * interval + SLACK, "{took:?}");
        assert_eq!(there.status().unwrap().remote_state, State::AdminDown);
        drop(here);
        let forgotten = async {
            while node.driver.sessions.borrow().status(1).is_some() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, forgotten).await.unwrap();
        // Its socket is gone too.
        std::net::UdpSocket::bind(ends(92, true).0).unwrap();
    })
    .await;
}

/// A session that was never up has nobody to take leave of.
#[tokio::test]
async fn a_session_that_was_never_up_ends_at_once() {
    locally(async {
        let (local, remote) = ends(93, true);
        let node = Node::start();
        let watch = node.watch(Duration::from_secs(60), path(local, remote));
        watch.admin_down();
        timeout(SLACK, watch.parted()).await.unwrap();
    })
    .await;
}

/// Design §3, lease: a node that is not fit says so, and comes back when it is.
#[tokio::test]
async fn a_session_that_is_held_down_comes_up_after_it_is_released() {
    locally(async {
        let [(_, here), (_, there)] = pair(QUICK, ends(94, true)).await;
        here.hold_down(true);
        until_path(&there, PathState::Down).await;
        until_path(&here, PathState::Down).await;
        // The neighbour goes on asking.
        until_heard(&here, 3).await;
        assert_eq!(here.status().unwrap().state, State::Down);
        here.hold_down(false);
        until_path(&here, PathState::Up).await;
        until_path(&there, PathState::Up).await;
        assert_eq!(here.reports().borrow().losses, 1);
        assert_eq!(there.reports().borrow().losses, 1);
    })
    .await;
}

/// RFC 5880 §6.8.16: what the link tells is not waited for.
#[tokio::test]
async fn a_link_that_is_lost_takes_the_session_down_at_once() {
    locally(async {
        let slow = Duration::from_secs(30);
        let [(_, here), _there] = pair(slow, ends(95, true)).await;
        here.path_down();
        timeout(SLACK, until_path(&here, PathState::Down))
            .await
            .unwrap();
    })
    .await;
}

/// Somebody else's port is no reason to give up for good.
#[tokio::test]
async fn a_port_that_is_in_use_is_tried_again() {
    locally(async {
        let (local, remote) = ends(96, true);
        let occupant = std::net::UdpSocket::bind(local).unwrap();
        let here = Node::start();
        let watch = here.watch(QUICK, path(local, remote));
        let there = Node::start();
        let other = there.watch(QUICK, path(remote, local));
        let waiting = async {
            let sent = "sidestep_bfd_packets_sent_total";
            while there.counted(sent, &local.to_string()) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
        assert_eq!(watch.status().unwrap().counts.received, 0);
        drop(occupant);
        until_path(&watch, PathState::Up).await;
        until_path(&other, PathState::Up).await;
    })
    .await;
}

/// RFC 5883 §3: several hops have another port, and sessions of both kinds get along.
#[tokio::test]
async fn one_address_serves_sessions_of_both_kinds() {
    locally(async {
        let (local, remote) = ends(97, true);
        let nodes = [Node::start(), Node::start()];
        let mut watches = Vec::new();
        for hops in [Hops::One, Hops::within(3)] {
            for (node, (from, to)) in nodes.iter().zip([(local, remote), (remote, local)]) {
                let path = Path::new(to, Some(from.ip()), hops);
                watches.push(node.watch(QUICK, path));
            }
        }
        for watch in &watches {
            until_path(watch, PathState::Up).await;
        }
    })
    .await;
}

/// Where no source is configured the kernel chooses it, once.
#[tokio::test]
async fn a_path_without_a_source_gets_the_kernels() {
    locally(async {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 3784));
        let remote = ends(98, true).1;
        let here = Node::start();
        let mut from_anywhere = Path::new(remote, None, Hops::One);
        from_anywhere.local.set_port(37_984);
        let watch = here.watch(QUICK, from_anywhere);
        let there = Node::start();
        let mut back = path(remote, loopback);
        back.remote.set_port(37_984);
        let other = there.watch(QUICK, back);
        until_path(&watch, PathState::Up).await;
        until_path(&other, PathState::Up).await;
    })
    .await;
}
