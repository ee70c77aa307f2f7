//! Who gets in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use super::*;
use crate::bgp::metrics::Metrics;

mod guarded;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    timeout(PATIENCE, socket.connect(to))
        .await
        .unwrap()
        .unwrap()
}

async fn closed(mut stream: TcpStream) {
    let mut octet = [0];
    let read = timeout(PATIENCE, stream.read(&mut octet)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
}

/// RFC 4271 §8.2.1: neighbours get in, everybody else and any surplus is closed at once, and a
/// neighbour that becomes known later gets in from then on.
#[tokio::test]
async fn only_neighbours_get_in_and_only_one_at_a_time() {
    let test = async {
        let address = SocketAddr::from((Ipv4Addr::new(127, 53, 0, 9), 0));
        let listeners = bind(&[address]).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let metrics = Metrics::register(&prometheus::Registry::new())
            .unwrap()
            .listener();
        let (sender, known) = watch::channel(Neighbors::default());
        let task = spawn_local(run(listeners, known, metrics.clone()));

        let neighbor = Ipv4Addr::new(127, 53, 0, 8);
        for _ in 0..20 {
            closed(connect(neighbor, address).await).await;
        }
        assert_eq!(metrics.unknown.get(), 20);

        let (inbound, mut streams) = mpsc::channel(1);
        sender.send_replace(Arc::new(HashMap::from([(
            PeerKey::from(IpAddr::V4(neighbor)),
            inbound.into(),
        )])));
        let _kept = connect(neighbor, address).await;
        let surplus = connect(neighbor, address).await;
        closed(surplus).await;
        assert_eq!(metrics.busy.get(), 1);
        let stream = timeout(PATIENCE, streams.recv()).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), IpAddr::V4(neighbor));

        drop(sender);
        timeout(PATIENCE, task).await.unwrap().unwrap();
    };
    LocalSet::new().run_until(test).await;
}

/// The address at fault is named.
#[tokio::test]
async fn an_address_that_is_not_here_is_named() {
    let elsewhere: SocketAddr = "192.0.2.77:179".parse().unwrap();
    let error = bind(&[elsewhere]).unwrap_err();
    assert_eq!(error.address, elsewhere);
    assert!(error.to_string().contains("192.0.2.77:179"));
}

/// Design §8: a router daemon on the same host has the port already, often on all addresses.
#[tokio::test]
async fn who_shares_its_host_with_a_router_daemon_is_told_what_to_do() {
    let daemon = std::net::TcpListener::bind((Ipv4Addr::new(127, 53, 0, 10), 0)).unwrap();
    let taken = daemon.local_addr().unwrap();
    let error = bind(&[taken]).unwrap_err().to_string();
    assert!(error.contains("router daemon"), "{error}");
    // Another address of the same host will do.
    let beside = SocketAddr::new(Ipv4Addr::new(127, 53, 0, 11).into(), taken.port());
    bind(&[beside]).unwrap();
}

/// Own rule: whoever floods one address of the listener does not shut the others.
#[tokio::test]
async fn each_address_is_listened_on_in_turn() {
    let own = |last| SocketAddr::from((Ipv4Addr::new(127, 53, 0, last), 0));
    let listeners = bind(&[own(12), own(13), own(14)]).unwrap();
    let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
    let mut doorway = Doorway::new(listeners);
    let mut waiting = Vec::new();
    for (address, connections) in addresses.iter().zip([3, 0, 2]) {
        for _ in 0..connections {
            waiting.push(std::net::TcpStream::connect(address).unwrap());
        }
    }
    let mut taken = Vec::new();
    for _ in &waiting {
        // The runtime hears of all that wait.
        tokio::task::yield_now().await;
        let accepting = poll_fn(|context| doorway.poll_accept(context));
        let (stream, _) = timeout(PATIENCE, accepting).await.unwrap().unwrap();
        taken.push(stream.local_addr().unwrap());
    }
    assert_eq!(taken, [0, 2, 0, 2, 0].map(|at: usize| addresses[at]));
}
