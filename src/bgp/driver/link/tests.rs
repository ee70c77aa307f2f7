//! Real sockets on loopback: what a neighbour sees of a connection that was dialled.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::bgp::{Password, Ttl};

const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 53, 8, 1));
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 53, 8, 2));
const PATIENCE: Duration = Duration::from_secs(20);

fn parameters(remote: SocketAddr, security: Security) -> PeerParameters {
    PeerParameters {
        local: Some(NODE),
        security,
        ..PeerParameters::new(remote, 65_053, Ipv4Addr::new(10, 0, 0, 1))
    }
}

fn with_password(password: &str) -> Security {
    Security {
        password: Password::new(password.as_bytes()),
        ..Security::default()
    }
}

/// A listener, and links to it.
async fn ends(security: Security) -> (TcpListener, Links) {
    let listener = TcpListener::bind((ROUTER, 0)).await.unwrap();
    let remote = listener.local_addr().unwrap();
    (listener, Links::new(&parameters(remote, security)))
}

async fn accepted(listener: &TcpListener, links: &mut Links) -> TcpStream {
    links.dial();
    let connected = async {
        loop {
            // Or a goodbye has been said.
            if let Some((slot, signal)) = links.signal(true).await {
                break assert!(matches!(
                    (slot, signal),
                    (Slot::Dialled, Signal::Connected(NODE))
                ));
            }
        }
    };
    timeout(PATIENCE, connected).await.unwrap();
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    stream
}

/// RFC 5082 §3: a direct neighbour is sent 255, whether it looks or not; RFC 4271 Appendix E.
#[tokio::test]
async fn a_neighbour_gets_the_hops_that_were_configured() {
    for (ttl, sent) in [
        (Ttl::Direct, 255),
        (Ttl::Security, 255),
        (Ttl::Multihop(7), 7),
    ] {
        let security = Security {
            ttl,
            password: None,
        };
        let (listener, mut links) = ends(security).await;
        if ttl == Ttl::Security {
            // Else its answer would not be taken.
            guard::set_hops(&listener, ROUTER, guard::HOPS_MAX, 0).unwrap();
        }
        let stream = accepted(&listener, &mut links).await;
        assert_eq!(guard::handshake_hops(&stream, NODE).unwrap(), sent);
        let Link::Up(dialled) = &links.dialled else {
            panic!("not connected");
        };
        let dialled = socket2::SockRef::from(&dialled.tcp);
        assert_eq!(dialled.tos_v4().unwrap(), 0xC0);
        assert_eq!(
            dialled.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(9))
        );
        assert!(dialled.tcp_nodelay().unwrap());
    }
}

/// RFC 4271 §8.2.2, event 9: before a connect is given up it is asked whether it has succeeded.
#[tokio::test]
async fn a_connect_that_has_succeeded_is_known_without_waiting() {
    let (_listener, mut links) = ends(Security::default()).await;
    assert!(links.waiting(Slot::Dialled).is_none(), "nothing is dialled");
    links.dial();
    let mut signal = links.waiting(Slot::Dialled);
    for _ in 0..1000 {
        if signal.is_some() {
            break;
        }
        tokio::task::yield_now().await;
        signal = links.waiting(Slot::Dialled);
    }
    assert!(
        matches!(signal, Some(Signal::Connected(NODE))),
        "{signal:?}"
    );
}

/// RFC 4271 §4.2: a hold time of 0 is no hold timer; RFC 9293 §3.8.4 finds out that nobody is there.
#[tokio::test]
async fn a_connection_notices_by_itself_that_the_other_end_is_gone() {
    let (listener, mut links) = ends(Security::default()).await;
    let stream = accepted(&listener, &mut links).await;
    links.accept(stream);
    for link in [&links.dialled, &links.accepted] {
        let Link::Up(up) = link else {
            panic!("not connected");
        };
        let socket = socket2::SockRef::from(&up.tcp);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), SILENCE);
        let probing = PROBE_INTERVAL * PROBES;
        assert_eq!(SILENCE + probing, PATIENCE_WITHOUT_HOLD_TIME);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
    }
}

/// A withdraw lingers for as long as the neighbour believes in the session, 3 s at least.
#[test]
fn patience_follows_the_hold_time() {
    let remote = SocketAddr::new(ROUTER, 179);
    for (hold_time_s, patience_s) in [(None, 90), (Some(1), 3), (Some(3), 3), (Some(240), 240)] {
        let parameters = PeerParameters {
            hold_time: hold_time_s.map(Duration::from_secs),
            ..parameters(remote, Security::default())
        };
        let patience = Links::new(&parameters).terms.patience;
        assert_eq!(patience, Duration::from_secs(patience_s));
    }
}

/// RFC 2385 §2.
#[tokio::test]
async fn the_same_password_connects() {
    let (listener, mut links) = ends(with_password("sesame")).await;
    guard::sign(&listener, NODE, b"sesame").unwrap();
    accepted(&listener, &mut links).await;
}

/// A kernel says nothing about a wrong key, so the log has to say where to look.
#[tokio::test]
async fn a_dial_that_is_given_up_hints_at_the_password() {
    let (listener, mut links) = ends(with_password("sesame")).await;
    guard::sign(&listener, NODE, b"sesam").unwrap();
    links.dial();
    let limit = crate::bgp::timers::CONNECT_LIMIT;
    assert!(timeout(limit, links.signal(true)).await.is_err());
    links.hang_up(Slot::Dialled, &[]);
    let error = links.take_dial_error().unwrap().to_string();
    assert!(
        error.contains("its kernel drops") && !error.contains("sesame"),
        "{error}"
    );

    let (_listener, mut plain) = ends(Security::default()).await;
    plain.dial();
    plain.hang_up(Slot::Dialled, &[]);
    assert!(plain.take_dial_error().is_none());
}

/// RFC 5082 §3: as silent as a wrong key, and often after the connection came to be.
#[tokio::test]
async fn a_neighbour_that_was_not_heard_is_told_with_a_hint_at_its_ttl() {
    let security = Security {
        ttl: Ttl::Security,
        password: None,
    };
    let (listener, mut links) = ends(security).await;
    guard::set_hops(&listener, ROUTER, guard::HOPS_MAX, 0).unwrap();
    let stream = accepted(&listener, &mut links).await;
    links.hang_up(Slot::Dialled, b"last");
    let error = links.take_dial_error().unwrap().to_string();
    assert!(error.contains("TcpExtTCPMinTTLDrop"), "{error}");

    drop(stream);
    let mut stream = accepted(&listener, &mut links).await;
    stream.write_all(b"heard").await.unwrap();
    let signal = timeout(PATIENCE, async {
        while !matches!(links.signal(true).await, Some((_, Signal::Readable))) {}
    });
    signal.await.unwrap();
    let read = links
        .read(Slot::Dialled, &mut [0; 16])
        .unwrap()
        .map(<[u8]>::len);
    assert_eq!(read, Some(5));
    links.hang_up(Slot::Dialled, &[]);
    assert!(links.take_dial_error().is_none());
}

/// Own rule: a withdraw that cannot be written ends in a TCP reset.
#[tokio::test]
async fn an_aborted_slot_resets_its_connection() {
    let (listener, mut links) = ends(Security::default()).await;
    let mut stream = accepted(&listener, &mut links).await;
    links.abort(Slot::Dialled);
    let read = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    links.abort(Slot::Dialled);
    links.abort(Slot::Accepted);
}

/// What a neighbour opened is guarded as what was dialled.
#[tokio::test]
async fn an_accepted_connection_has_the_same_terms() {
    let listener = TcpListener::bind((NODE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let _dialled = TcpStream::connect(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let security = Security {
        ttl: Ttl::Multihop(9),
        password: None,
    };
    let mut links = Links::new(&parameters((ROUTER, 179).into(), security));
    links.accept(stream);
    let Link::Up(accepted) = &links.accepted else {
        panic!("not taken");
    };
    let accepted = socket2::SockRef::from(&accepted.tcp);
    assert_eq!(
        (accepted.ttl_v4().unwrap(), accepted.tos_v4().unwrap()),
        (9, 0xC0)
    );
}
