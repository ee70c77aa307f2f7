//! Real sockets on loopback: who gets through, and who is not even heard.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use super::*;

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 53, 7, 1));
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 53, 7, 2));
const SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A SYN that is dropped is sent again after 1 s: nothing that is let through takes so long.
const PATIENCE: Duration = Duration::from_millis(700);

fn socket(own: IpAddr) -> Socket {
    let socket = Socket::new(Domain::for_address((own, 0).into()), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
    socket
}

fn listener(own: IpAddr) -> (Socket, SocketAddr) {
    let socket = socket(own);
    socket.listen(16).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn connects(socket: &Socket, to: SocketAddr) -> bool {
    match socket.connect_timeout(&to.into(), PATIENCE) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            false
        }
    }
}

/// Whether a connection from one end to the other comes to be, with these keys.
fn signed(own: IpAddr, peer: IpAddr, key: Option<&str>, peers_key: Option<&str>) -> bool {
    let (listener, address) = listener(peer);
    let dialled = socket(own);
    if let Some(key) = key {
        sign(&dialled, peer, key.as_bytes()).unwrap();
    }
    if let Some(key) = peers_key {
        sign(&listener, own, key.as_bytes()).unwrap();
    }
    connects(&dialled, address)
}

/// linux/tcp.h: where the kernel looks for address, length and key.
#[test]
fn a_key_is_laid_out_as_the_kernel_reads_it() {
    let octets = signature("192.0.2.1".parse().unwrap(), b"key").unwrap();
    assert_eq!(octets.len(), 216);
    assert_eq!(octets[..2], 2_u16.to_ne_bytes());
    assert_eq!(octets[4..8], [192, 0, 2, 1]);
    assert_eq!(octets[128..132], [[0, 0], 3_u16.to_ne_bytes()].concat());
    assert_eq!(octets[136..140], *b"key\0");
    let octets = signature("2001:db8::1".parse().unwrap(), b"").unwrap();
    assert_eq!(octets[..2], 10_u16.to_ne_bytes());
    assert_eq!(octets[8..12], [0x20, 0x01, 0x0d, 0xb8]);
    assert_eq!((octets[23], octets[24..].iter().max()), (1, Some(&0)));
}

/// RFC 2385 §2: with the same key on both sides, and only then.
#[test]
fn the_right_password_connects_and_any_other_is_not_answered() {
    assert!(signed(NODE, ROUTER, Some("sesame"), Some("sesame")));
    assert!(signed(SIX, SIX, Some("sesame"), Some("sesame")));
    let wrong = [
        (Some("sesame"), Some("sesam")),
        (Some("sesame"), None),
        (None, Some("sesame")),
    ];
    // Each waits for its time to run out: side by side.
    std::thread::scope(|threads| {
        let tries =
            wrong.map(|(key, peers)| threads.spawn(move || signed(NODE, ROUTER, key, peers)));
        for attempt in tries {
            assert!(!attempt.join().unwrap());
        }
    });
}

/// tcp(7): TCP_MD5SIG_MAXKEYLEN.
#[test]
fn a_key_has_1_to_80_octets() {
    let socket = socket(NODE);
    for (octets, fits) in [(0, false), (1, true), (80, true), (81, false)] {
        assert_eq!(
            sign(&socket, ROUTER, &vec![b'k'; octets]).is_ok(),
            fits,
            "{octets}"
        );
    }
    let error = sign(&socket, ROUTER, b"").unwrap_err();
    assert!(error.to_string().contains("127.53.7.2"), "{error}");
}

/// The words that an operator reads behind "bgp connection attempt failed".
#[test]
fn a_kernel_without_signatures_is_told_apart_from_one_that_is_full() {
    for (code, said) in [
        (libc::ENOPROTOOPT, "CONFIG_TCP_MD5SIG"),
        (libc::EINVAL, "CONFIG_TCP_MD5SIG"),
        (libc::ENOKEY, "CONFIG_TCP_MD5SIG"),
        (libc::ENOMEM, "os error 12"),
    ] {
        let error = SignError::new(ROUTER, io::Error::from_raw_os_error(code));
        let told = io::Error::from(error).to_string();
        assert!(told.contains(said) && told.contains("127.53.7.2"), "{told}");
    }
}

#[test]
fn a_forgotten_key_is_asked_for_no_more() {
    let (listener, address) = listener(ROUTER);
    stop_signing(&listener, NODE).unwrap();
    sign(&listener, NODE, b"old").unwrap();
    // A second key takes the place of the first.
    sign(&listener, NODE, b"new").unwrap();
    let dialled = socket(NODE);
    sign(&dialled, ROUTER, b"new").unwrap();
    assert!(connects(&dialled, address));
    stop_signing(&listener, NODE).unwrap();
    stop_signing(&listener, NODE).unwrap();
    assert!(connects(&socket(NODE), address));
}

/// RFC 5082 §3: 255 alone comes from the link; the handshake of anything less is not answered.
#[test]
fn a_listener_that_asks_for_255_does_not_hear_254() {
    for own in [NODE, SIX] {
        let (listener, address) = listener(own);
        set_hops(&listener, own, HOPS_MAX, HOPS_MAX).unwrap();
        std::thread::scope(|threads| {
            let tries = [1, 64, 254, 255].map(|sent| {
                let attempt = threads.spawn(move || {
                    let dialled = socket(own);
                    set_hops(&dialled, own, sent, 0).unwrap();
                    connects(&dialled, address)
                });
                (sent, attempt)
            });
            for (sent, attempt) in tries {
                assert_eq!(attempt.join().unwrap(), sent == 255, "{own} {sent}");
            }
        });
    }
}

/// What [`handshake_hops`] relies on in the kernel.
#[test]
fn an_accepted_connection_knows_how_far_its_handshake_came() {
    for own in [NODE, SIX] {
        for sent in [1, 64, 254, 255] {
            let (listener, address) = listener(own);
            let dialled = socket(own);
            set_hops(&dialled, own, sent, 0).unwrap();
            assert!(connects(&dialled, address));
            let (accepted, _) = listener.accept().unwrap();
            assert_eq!(handshake_hops(&accepted, own).unwrap(), sent, "{own}");
            assert_ne!(handshake_hops(&dialled, own).unwrap(), 255);
        }
    }
}

/// RFC 4271 Appendix E, RFC 5482.
#[test]
fn precedence_and_patience_are_what_was_asked_for() {
    let four = socket(NODE);
    set_precedence(&four, NODE).unwrap();
    assert_eq!(four.tos_v4().unwrap(), 0xC0);
    set_patience(&four, Duration::from_secs(9)).unwrap();
    assert_eq!(
        four.tcp_user_timeout().unwrap(),
        Some(Duration::from_secs(9))
    );
    let six = socket(SIX);
    set_precedence(&six, SIX).unwrap();
    assert_eq!(six.tclass_v6().unwrap(), 0xC0);
}

#[test]
fn an_aborted_connection_ends_with_a_reset() {
    let (listener, address) = listener(ROUTER);
    let dialled = socket(NODE);
    assert!(connects(&dialled, address));
    let (mut accepted, _) = listener.accept().unwrap();
    abort_on_close(&dialled).unwrap();
    drop(dialled);
    let error = accepted.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
