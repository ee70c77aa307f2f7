//! What strangers, and those who pretend to be the neighbour, may cost.

use std::net::UdpSocket;
use std::thread;

use super::*;
use crate::bfd::Diagnostic;
use crate::bfd::packet::Packet;
use crate::os::socket::datagram;

/// Of each kind.
const FLOOD: usize = 100_000;

fn packet(your_discriminator: u32) -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state: State::Down,
        is_poll: true,
        is_final: false,
        is_control_plane_independent: false,
        is_authenticated: false,
        is_demand: false,
        multiplier: 3,
        my_discriminator: 7,
        your_discriminator,
        desired_min_tx: Duration::from_secs(1),
        required_min_rx: Duration::from_millis(1),
        required_min_echo_rx: Duration::ZERO,
    }
}

fn socket(from: SocketAddr, to: SocketAddr, ttl: u8) -> UdpSocket {
    let from = SocketAddr::new(from.ip(), 0);
    let socket = datagram::sender(from, to).unwrap();
    let options = socket2::SockRef::from(&socket);
    if from.is_ipv4() {
        options.set_ttl_v4(ttl.into()).unwrap();
    } else {
        options.set_unicast_hops_v6(ttl.into()).unwrap();
    }
    socket
}

/// RFC 5881 §5: from one hop away packets arrive with 255; both where the kernel filters and where
/// a socket has to take less for another session.
#[tokio::test]
async fn a_packet_that_came_over_a_router_is_dropped() {
    for is_ipv4 in [true, false] {
        locally(async {
            let (local, remote) = ends(100, is_ipv4);
            let node = Node::start();
            let near = node.watch(QUICK, path(local, remote));
            let octets = packet(0).encode();
            let send = |ttl| socket(remote, local, ttl).send(octets.as_ref()).unwrap();
            let init = async {
                while near.status().unwrap().state != State::Init {
                    send(254);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if node.dropped("kernel") >= 3 {
                        send(255);
                    }
                }
            };
            timeout(PATIENCE, init).await.unwrap();
            if !is_ipv4 {
                // There is no second address for another neighbour.
                return;
            }
            let mut far = path(local, SocketAddr::from(([127, 53, 100, 3], 3784)));
            far.hops = Hops::Several { ttl_min: 200 };
            let _far = node.watch(QUICK, far);
            let taken = async {
                while node.dropped("ttl") == 0 {
                    send(254);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(PATIENCE, taken).await.unwrap();
        })
        .await;
    }
}

/// RFC 5880 §6.8.6: a number that this node has not given.
#[tokio::test]
async fn packets_of_no_session_are_counted_and_dropped() {
    locally(async {
        let (local, remote) = ends(101, true);
        let node = Node::start();
        let watch = node.watch(QUICK, path(local, remote));
        let own = watch.status().unwrap().discriminator;
        let socket = socket(remote, local, 255);
        let octets = packet(own ^ 1).encode();
        let dropped = async {
            while node.dropped("unknown") == 0 {
                // Refused until the node listens.
                let _ = socket.send(octets.as_ref());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, dropped).await.unwrap();
        socket.send(&[0x20; 11]).unwrap();
        node.until_dropped("short", 1).await;
        assert_eq!(watch.status().unwrap().counts.received, 0);
    })
    .await;
}

/// RFC 5880 §9: strangers, and strangers with the neighbour's address, cost a bounded number of
/// looks at their packets; the session stays up, and answers to its Polls stay few.
#[tokio::test]
async fn a_flood_of_packets_breaks_no_session() {
    locally(async {
        let ends = ends(102, true);
        // Ten times what is to hold, so that a busy machine does not break it.
        let [(node, here), (_, there)] = pair(10 * QUICK, ends).await;
        let own = here.status().unwrap().discriminator;
        let sent_before = here.status().unwrap().counts.sent;
        let start = clock();
        let flood = thread::spawn(move || {
            let stranger = SocketAddr::from(([127, 53, 102, 9], 0));
            let mut unknown = packet(own ^ 1);
            unknown.state = State::Up;
            for (from, packet) in [(stranger, packet(own)), (ends.1, unknown)] {
                let socket = socket(from, ends.0, 255);
                let octets = packet.encode();
                for _ in 0..FLOOD {
                    let _ = socket.send(octets.as_ref());
                }
            }
            // These are taken for the neighbour's, by somebody who cannot know the number.
            let mut nameless = packet(0);
            nameless.state = State::AdminDown;
            nameless.my_discriminator = 0;
            let socket = socket(ends.1, ends.0, 255);
            let octets = nameless.encode();
            for _ in 0..FLOOD {
                let _ = socket.send(octets.as_ref());
            }
        });
        // Others on this thread have their turns meanwhile.
        let mut turns = 0_u32;
        while !flood.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            turns += 1;
        }
        flood.join().unwrap();
        let took = start.elapsed();
        assert!(turns >= 20, "{turns} turns in {took:?}");
        let status = here.status().unwrap();
        assert_eq!((status.state, status.counts.downs), (State::Up, 0));
        assert_eq!(there.status().unwrap().counts.downs, 0);
        let dropped = |reason| node.dropped(reason);
        assert!(dropped("kernel") >= FLOOD as u64, "{}", dropped("kernel"));
        assert!(dropped("flood") > 0);
        // Twice the wanted rate and a burst, however many have come.
        let looks = took.as_secs_f64() / (5.0 * QUICK.as_secs_f64()) + 16.0;
        let looked_at = status.counts.rejected;
        assert!((looked_at as f64) <= looks + 1.0, "{looked_at} of {looks}");
        let answers = status.counts.sent - sent_before;
        assert!((answers as f64) < looks + 8.0, "{answers} answers");
        // And it goes on being heard.
        until_heard(&here, 3).await;
    })
    .await;
}
