//! Two tasks and the listener on loopback, with real sockets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;

use super::*;
use crate::bgp::connection::State;
use crate::bgp::listener;
use crate::bgp::message::keepalive;
use crate::bgp::metrics::Metrics;
use crate::bgp::notification::Notification;
use crate::bgp::{Attributes, Preference};

mod hostile;
mod pauses;

const ROUTER: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);
const NODE: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 2);

/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

fn parameters(local: Ipv4Addr, remote: SocketAddr, asn: u32) -> PeerParameters {
    PeerParameters {
        local: Some(IpAddr::V4(local)),
        next_hop_v6: Some("2001:db8::2".parse().unwrap()),
        ..PeerParameters::new(remote, asn, local)
    }
}

fn table(prefixes: &[&str], med: Option<u32>) -> RouteTable {
    let routes = prefixes.iter().map(|prefix| Route {
        prefix: prefix.parse().unwrap(),
        preference: Preference::Preferred,
        attributes: Attributes {
            med,
            ..Attributes::default()
        },
    });
    RouteTable {
        routes: routes.collect(),
        changed: clock(),
        is_lease_good: true,
    }
}

/// A running task and the far ends of its channels.
struct Handle {
    task: JoinHandle<()>,
    routes: watch::Sender<RouteTable>,
    commands: mpsc::Sender<Command>,
    inbound: mpsc::Sender<TcpStream>,
    status: watch::Receiver<PeerStatus>,
    notices: mpsc::Receiver<Notice>,
    registry: prometheus::Registry,
}

/// As the node starts it, if `observed` is false.
fn start(parameters: PeerParameters, observed: bool) -> Handle {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let (routes, wanted) = watch::channel(table(&[], None));
    let (commands, orders) = mpsc::channel(4);
    let (inbound, accepted) = mpsc::channel(1);
    let (shown, status) = watch::channel(PeerStatus::new(clock()));
    let (observer, notices) = mpsc::channel(1);
    let channels = PeerChannels {
        routes: wanted,
        commands: orders,
        inbound: accepted,
        status: shown,
        observer: observed.then_some(observer),
    };
    let metrics = metrics.peer(&parameters.name());
    Handle {
        task: spawn_local(run_peer(parameters, channels, metrics)),
        routes,
        commands,
        inbound,
        status,
        notices,
        registry,
    }
}

impl Handle {
    async fn next(&mut self) -> Notice {
        let notice = timeout(PATIENCE, self.notices.recv()).await;
        notice.expect("a notice in time").expect("a task that runs")
    }

    async fn next_update(&mut self) -> Update {
        loop {
            if let Notice::Update(update) = self.next().await {
                return update;
            }
        }
    }

    async fn until(&mut self, state: State) -> PeerStatus {
        let reached = self.status.wait_for(|status| status.state == state);
        let reached = timeout(PATIENCE, reached).await;
        reached.expect("the state in time").unwrap().clone()
    }
}

async fn locally<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

/// A router's task behind the listener, and a node's that dials it.
async fn pair() -> (
    Handle,
    Handle,
    watch::Sender<listener::Neighbors>,
    SocketAddr,
) {
    let listeners = listener::bind(&[SocketAddr::from((ROUTER, 0))]).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let nowhere = SocketAddr::from((NODE, 1));
    let waiting = PeerParameters {
        passive: true,
        ..parameters(ROUTER, nowhere, 65000)
    };
    let router = start(waiting, true);
    let known = HashMap::from([(IpAddr::V4(NODE).into(), router.inbound.clone().into())]);
    let (neighbors, known) = watch::channel(Arc::new(known));
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    spawn_local(listener::run(listeners, known, metrics.listener()));
    let node = start(parameters(NODE, address, 65053), false);
    (router, node, neighbors, address)
}

/// Own rule: the whole life of a route, and a goodbye with text, over real sockets.
#[tokio::test]
async fn a_route_is_announced_replaced_and_withdrawn_and_the_goodbye_arrives() {
    locally(async {
        let (mut router, mut node, _neighbors, _) = pair().await;
        node.routes
            .send_replace(table(&["10.53.53.53/32", "fd53::53/128"], None));
        assert!(matches!(router.next().await, Notice::Established(_)));
        let four = router.next_update().await;
        assert_eq!(four.next_hop(&four.announced[0]), Some(IpAddr::V4(NODE)));
        let six = router.next_update().await;
        assert_eq!(six.announced, ["fd53::53/128".parse().unwrap()]);
        assert!(router.next_update().await.end_of_rib.is_some());
        assert!(router.next_update().await.end_of_rib.is_some());

        node.routes
            .send_replace(table(&["10.53.53.53/32", "fd53::53/128"], Some(1000)));
        let replaced = router.next_update().await;
        assert_eq!((replaced.med, replaced.withdrawn.len()), (Some(1000), 0));
        router.next_update().await;
        node.routes.send_replace(table(&[], None));
        assert_eq!(router.next_update().await.withdrawn.len(), 1);
        assert_eq!(router.next_update().await.withdrawn.len(), 1);

        let status = node.until(State::Established).await;
        assert_eq!(status.peer_asn, Some(65000));
        assert_eq!(status.hold_time, Some(Duration::from_secs(9)));
        let text = "drained".to_owned();
        node.commands
            .send(Command::Shutdown { text })
            .await
            .unwrap();
        timeout(PATIENCE, node.task)
            .await
            .expect("the task ends")
            .unwrap();
        let goodbye = Notification::administrative_shutdown("drained");
        assert_eq!(router.next().await, Notice::Down(End::Received(goodbye)));

        let written = node.registry.gather().into_iter();
        let written = written.filter(|m| m.name() == "sidestep_bgp_route_write_seconds");
        let counts: Vec<u64> = written
            .map(|m| m.get_metric()[0].get_histogram().get_sample_count())
            .collect();
        // The first table was there before the session.
        assert_eq!(counts, [2]);
    })
    .await;
}

/// Design §4: when a process dies its kernel closes TCP, and the route is gone with it.
#[tokio::test]
async fn a_killed_speaker_is_noticed_at_once_and_comes_back() {
    locally(async {
        let (mut router, node, _neighbors, address) = pair().await;
        assert!(matches!(router.next().await, Notice::Established(_)));
        node.task.abort();
        while !matches!(router.next().await, Notice::Down(End::Closed)) {}
        let _node = start(parameters(NODE, address, 65053), false);
        assert!(matches!(router.next().await, Notice::Established(_)));
    })
    .await;
}

/// RFC 9003 §2: a reset is told, and the session returns.
#[tokio::test]
async fn a_reset_is_told_and_the_session_returns() {
    locally(async {
        let (mut router, node, _neighbors, _) = pair().await;
        assert!(matches!(router.next().await, Notice::Established(_)));
        let text = "again".to_owned();
        node.commands.send(Command::Reset { text }).await.unwrap();
        let again = Notification::administrative_reset("again");
        loop {
            match router.next().await {
                Notice::Down(end) => break assert_eq!(end, End::Received(again)),
                Notice::Established(_) | Notice::Update(_) => {}
            }
        }
        assert!(matches!(router.next().await, Notice::Established(_)));
    })
    .await;
}

/// RFC 4271 §6: the very octets that a peer reads: OPEN, KEEPALIVE, and the NOTIFICATION whole,
/// although unread octets of the peer's lie in the socket.
#[tokio::test]
async fn a_notification_reaches_a_peer_that_sends_garbage() {
    locally(async {
        let server = TcpListener::bind((ROUTER, 0)).await.unwrap();
        let address = server.local_addr().unwrap();
        let mut node = start(parameters(NODE, address, 65053), false);
        let (mut stream, from) = server.accept().await.unwrap();
        assert_eq!(from.ip(), IpAddr::V4(NODE));
        stream.write_all(&keepalive()).await.unwrap();
        stream.write_all(&[0xAA; 100_000]).await.unwrap();
        let mut heard = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut heard))
            .await
            .unwrap()
            .unwrap();
        assert!(heard.ends_with(&[0, 22, 3, 5, 1, 4]), "{heard:?}");
        assert_eq!(heard[18], 1);
        drop(stream);
        let status = node.until(State::Idle).await;
        assert!(status.last_error_sent.unwrap().starts_with("5/1"));
        // It comes back after a second or so: a refusal asks for back-off.
        timeout(PATIENCE, server.accept()).await.unwrap().unwrap();
    })
    .await;
}

/// A consumer that is slow holds back the neighbour's octets, not the node's own orders.
#[tokio::test]
async fn a_slow_observer_does_not_delay_a_shutdown() {
    locally(async {
        let (mut router, node, _neighbors, _) = pair().await;
        assert!(matches!(router.next().await, Notice::Established(_)));
        for med in 0..50 {
            node.routes
                .send_replace(table(&["10.53.53.53/32"], Some(med)));
            tokio::task::yield_now().await;
        }
        let text = String::new();
        router
            .commands
            .send(Command::Shutdown { text })
            .await
            .unwrap();
        timeout(PATIENCE, router.task)
            .await
            .expect("the task ends")
            .unwrap();
    })
    .await;
}

/// Own rule: an operator sees which routes went out and between which ends, and the time that they took
/// counts from the verdict and not from when the table came here.
#[tokio::test]
async fn a_session_shows_its_ends_and_routes_and_measures_from_the_verdict() {
    locally(async {
        let (_router, mut node, _neighbors, address) = pair().await;
        let status = node.until(State::Established).await;
        let ends = status.ends.unwrap();
        assert_eq!(ends.local.ip(), IpAddr::V4(NODE));
        assert_eq!(ends.remote, address);
        let offer = status.opens.received.unwrap();
        assert_eq!(offer.hold_time_s, 9);
        assert!(offer.capabilities.contains(65), "{offer:?}");
        let long_ago = Duration::from_secs(3);
        let mut late = table(&["10.53.53.53/32"], Some(7));
        late.changed -= long_ago;
        node.routes.send_replace(late);
        let told = node.status.wait_for(|status| !status.routes.is_empty());
        let told = timeout(PATIENCE, told).await.unwrap().unwrap().clone();
        assert_eq!(told.routes[0].next_hops, [IpAddr::V4(NODE)]);
        assert_eq!((told.routes[0].med, told.announced), (Some(7), 1));
        let families = node.registry.gather();
        let family = families
            .iter()
            .find(|m| m.name() == "sidestep_bgp_route_write_seconds");
        let measured = family.unwrap().get_metric()[0].get_histogram();
        assert!(measured.get_sample_sum() >= long_ago.as_secs_f64());
    })
    .await;
}

/// Own rule: what only TCP knows about a failed connect is shown, for it tells an operator where to look.
#[tokio::test]
async fn a_connect_that_is_refused_says_why() {
    locally(async {
        let nobody = SocketAddr::from((ROUTER, 1));
        let mut node = start(parameters(NODE, nobody, 65053), false);
        let ended = node.status.wait_for(|status| status.last_end.is_some());
        let status = timeout(PATIENCE, ended).await.unwrap().unwrap().clone();
        let end = status.last_end.unwrap();
        assert!(
            end.starts_with("connect failed: Connection refused"),
            "{end}"
        );
        assert!(status.error_times.end.is_some());
    })
    .await;
}
