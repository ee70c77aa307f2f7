//! Peers that flood, or never read, beside one that behaves: real sockets, one thread.

use std::io::{Read, Write};
use std::net::TcpListener as StdListener;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use socket2::{Domain, SockRef, Socket, Type};

use super::*;

const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 66);
/// OPEN of AS 65000, hold time 3 s, both families, route refresh, four-octet AS.
pub(super) const OPEN: [u8; 51] = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 51, 1, 4,
    0xFD, 0xE8, 0, 3, 127, 53, 0, 66, 22, 2, 20, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0,
    0xFD, 0xE8, 2, 0,
];
/// An UPDATE that withdraws a thousand prefixes.
fn update() -> Vec<u8> {
    let prefixes: Vec<u8> = (0..1000_u16)
        .flat_map(|n| [vec![24, 10], n.to_be_bytes().to_vec()].concat())
        .collect();
    let length = u16::try_from(prefixes.len()).unwrap().to_be_bytes();
    let body = [length.to_vec(), prefixes, vec![0, 0]].concat();
    crate::bgp::message::encode(crate::bgp::message::Kind::Update, &body).unwrap()
}

/// A peer in a thread of its own. Its end comes with the value's.
struct Hostile {
    address: SocketAddr,
    has_ended: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Hostile {
    /// Sends `message` again and again, and reads if `reads`.
    fn start(message: Vec<u8>, pause: Duration, reads: bool) -> Self {
        Self::behind(
            StdListener::bind((HOSTILE, 0)).unwrap(),
            message,
            pause,
            reads,
        )
    }

    /// Sends KEEPALIVEs, reads nothing, and has a window that is soon full.
    fn start_deaf() -> Self {
        let listener = StdListener::bind((HOSTILE, 0)).unwrap();
        // What is accepted inherits it.
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        Self::behind(listener, keepalive(), Duration::from_millis(500), false)
    }

    fn behind(listener: StdListener, message: Vec<u8>, pause: Duration, reads: bool) -> Self {
        let hostile = Self {
            address: listener.local_addr().unwrap(),
            has_ended: Arc::default(),
            sent: Arc::default(),
            connections: Arc::default(),
        };
        let has_ended = Arc::clone(&hostile.has_ended);
        let (sent, connections) = (Arc::clone(&hostile.sent), Arc::clone(&hostile.connections));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if has_ended.load(Ordering::Relaxed) {
                    return;
                }
                connections.fetch_add(1, Ordering::Relaxed);
                let mut stream = stream.unwrap();
                if reads {
                    let mut reader = stream.try_clone().unwrap();
                    thread::spawn(
                        move || while reader.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {},
                    );
                }
                let mut say = |octets: &[u8]| stream.write_all(octets).is_ok();
                let mut goes_on = say(&OPEN) && say(&keepalive());
                while goes_on && !has_ended.load(Ordering::Relaxed) {
                    goes_on = say(&message) && say(&keepalive());
                    sent.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                }
            }
        });
        hostile
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
        // Wakes it up if it waits for a connection.
        let _ = StdStream::connect(self.address);
    }
}

fn large_table(count: u32, is_lease_good: bool) -> RouteTable {
    let prefixes: Vec<String> = (0..count)
        .map(|n| format!("{}/32", Ipv4Addr::from(0x0A35_0000 + n)))
        .collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    RouteTable {
        is_lease_good,
        ..table(&prefixes, None)
    }
}

fn towards(hostile: &Hostile) -> Handle {
    start(
        PeerParameters {
            hold_time: Some(Duration::from_secs(3)),
            ..parameters(NODE, hostile.address, 65053)
        },
        false,
    )
}

impl Handle {
    async fn wait_for(&mut self, wanted: impl Fn(&PeerStatus) -> bool) -> PeerStatus {
        let last = self.status.clone();
        let reached = timeout(PATIENCE, self.status.wait_for(|status| wanted(status))).await;
        let reached = reached.unwrap_or_else(|_| panic!("it stays at {:?}", last.borrow()));
        reached.unwrap().clone()
    }
}

/// Own rule: a peer that sends without end costs no other session, and not its own node's orders.
#[tokio::test]
async fn a_flooding_peer_delays_neither_other_sessions_nor_orders() {
    locally(async {
        let hostile = Hostile::start(update(), Duration::ZERO, true);
        let mut flooded = towards(&hostile);
        let (mut router, node, _neighbors, _) = pair().await;
        flooded.until(State::Established).await;
        assert!(matches!(router.next().await, Notice::Established(_)));
        let before = hostile.sent();
        for med in 0..20 {
            node.routes
                .send_replace(table(&["10.53.53.53/32"], Some(med)));
            while router.next_update().await.med != Some(med) {}
        }
        flooded
            .wait_for(|status| status.messages.received.update > before + 100)
            .await;
        assert_eq!(flooded.status.borrow().state, State::Established);
        assert_eq!(router.status.borrow().established_total, 1);
        let text = String::new();
        flooded
            .commands
            .send(Command::Shutdown { text })
            .await
            .unwrap();
        timeout(PATIENCE, flooded.task)
            .await
            .expect("the task ends")
            .unwrap();
    })
    .await;
}

/// RFC 9687 §3: a peer that never reads is left after a hold time, however often it says that it is
/// there, with a TCP reset that frees what the kernel keeps for it.
#[tokio::test]
async fn a_peer_that_never_reads_is_reset_after_a_hold_time() {
    locally(async {
        let nowhere = SocketAddr::from((HOSTILE, 1));
        let mut deaf = start(
            PeerParameters {
                passive: true,
                hold_time: Some(Duration::from_secs(3)),
                ..parameters(NODE, nowhere, 65053)
            },
            false,
        );
        deaf.routes.send_replace(large_table(4000, true));
        let (mut router, _node, _neighbors, _) = pair().await;
        assert!(matches!(router.next().await, Notice::Established(_)));
        let listener = StdListener::bind((NODE, 0)).unwrap();
        let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        peer.set_recv_buffer_size(4096).unwrap();
        let address = listener.local_addr().unwrap();
        peer.connect(&address.into()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        SockRef::from(&accepted).set_send_buffer_size(4096).unwrap();
        accepted.set_nonblocking(true).unwrap();
        let accepted = TcpStream::from_std(accepted).unwrap();
        deaf.inbound.send(accepted).await.unwrap();
        let talker = thread::spawn(move || {
            let mut stream = StdStream::from(peer);
            stream.write_all(&OPEN).unwrap();
            while stream.write_all(&keepalive()).is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        let status = deaf
            .wait_for(|status| status.last_error_sent.is_some())
            .await;
        let expired = Some("8/0 send hold timer expired");
        assert_eq!(status.last_error_sent.as_deref(), expired, "{status:?}");
        assert!(status.messages.received.keepalive > 10);
        // Only a reset makes its writing fail.
        talker.join().unwrap();
        assert_eq!(router.status.borrow().established_total, 1);
        assert_eq!(router.status.borrow().state, State::Established);
    })
    .await;
}

/// Own rule: a withdraw on a stale lease that a peer does not take costs it the session at once, and
/// nothing is dialled until the lease is good.
#[tokio::test]
async fn a_peer_that_does_not_take_the_withdraw_is_reset_until_the_lease_is_good() {
    locally(async {
        let hostile = Hostile::start_deaf();
        let mut deaf = towards(&hostile);
        // More than the window takes.
        deaf.routes.send_replace(large_table(4000, true));
        // The kernel has taken all of it, and has room for the withdraw too.
        deaf.wait_for(|status| status.announced == 4000).await;
        let stale = clock();
        deaf.routes.send_replace(large_table(4000, false));
        let status = deaf.wait_for(|status| status.is_dead_man).await;
        assert!(clock() - stale >= Duration::from_millis(500));
        assert_eq!(status.last_end.as_deref(), Some("withdraw not delivered"));
        assert_eq!((status.state, status.announced), (State::Idle, 0));
        let before = hostile.connections();
        deaf.routes.send_replace(table(&[], None));
        deaf.wait_for(|status| status.established_total == 2).await;
        assert_eq!(hostile.connections(), before + 1);
        assert!(!deaf.status.borrow().is_dead_man);
    })
    .await;
}

/// Own rule: a peer whose TCP acknowledges keeps its session through a stale lease.
#[tokio::test]
async fn a_peer_that_takes_the_withdraw_keeps_its_session() {
    locally(async {
        let (mut router, node, _neighbors, _) = pair().await;
        node.routes.send_replace(table(&["10.53.53.53/32"], None));
        while router.next_update().await.announced.is_empty() {}
        let stale = RouteTable {
            is_lease_good: false,
            ..table(&["10.53.53.53/32"], None)
        };
        for _ in 0..2 {
            node.routes.send_replace(stale.clone());
            while router.next_update().await.withdrawn.is_empty() {}
            // Long after the limit of 500 ms the session is still the same one.
            let mut keepalives = router.status.clone();
            let heard = keepalives.borrow().messages.received.keepalive;
            let later = keepalives.wait_for(|s| s.messages.received.keepalive > heard);
            timeout(PATIENCE, later).await.unwrap().unwrap();
            node.routes.send_replace(table(&["10.53.53.53/32"], None));
            while router.next_update().await.announced.is_empty() {}
        }
        assert_eq!(router.status.borrow().established_total, 1);
        assert!(!node.status.borrow().is_dead_man);
    })
    .await;
}
