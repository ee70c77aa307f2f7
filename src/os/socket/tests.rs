use super::*;

/// RFC 5737: an address that no host has.
const ABSENT: &str = "192.0.2.53:0";

fn loopback(family: &str) -> SocketAddr {
    family.parse().unwrap()
}

#[test]
fn workers_share_a_port_and_nobody_else_gets_it_unnoticed() {
    let first = udp(loopback("127.0.0.1:0"), Purpose::Service).unwrap();
    let address = first.local_addr().unwrap();
    udp(address, Purpose::Service).unwrap();
    assert!(matches!(
        ensure_free(address, Purpose::Service),
        Err(SocketError::InUse {
            protocol: "UDP",
            ..
        })
    ));
    let listener = tcp(loopback("127.0.0.1:0"), Purpose::Unicast).unwrap();
    let address = listener.local_addr().unwrap();
    tcp(address, Purpose::Unicast).unwrap();
    assert!(matches!(
        ensure_free(address, Purpose::Unicast),
        Err(SocketError::InUse {
            protocol: "TCP",
            ..
        })
    ));
    drop(listener);
}

#[test]
fn a_service_socket_needs_no_address_and_a_unicast_socket_does() {
    let absent = loopback(ABSENT);
    udp(absent, Purpose::Service).unwrap();
    tcp(absent, Purpose::Service).unwrap();
    ensure_free(absent, Purpose::Service).unwrap();
    assert!(matches!(
        udp(absent, Purpose::Unicast),
        Err(SocketError::Absent { .. })
    ));
}

#[test]
fn sockets_do_not_block() {
    let socket = udp(loopback("127.0.0.1:0"), Purpose::Service).unwrap();
    let error = socket.recv(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let listener = tcp(loopback("127.0.0.1:0"), Purpose::Service).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn datagrams_that_find_the_buffer_full_are_counted() {
    let receiver = udp(loopback("127.0.0.1:0"), Purpose::Unicast).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    assert_eq!(udp_drops(&receiver).unwrap(), 0);
    // More than twice the buffer, whatever the kernel makes of the size asked for.
    for _ in 0..2_000 {
        sender.send(&[0; 1_400]).unwrap();
    }
    assert!(udp_drops(&receiver).unwrap() > 0);
}

#[test]
fn a_thread_may_always_become_nicer() {
    let known = || niceness().unwrap();
    for steps in [0, 1, 3, i32::MAX] {
        let lower = || {
            let before = known();
            lower_priority(steps).unwrap();
            (before, known())
        };
        let (before, after) = std::thread::scope(|scope| scope.spawn(lower).join()).unwrap();
        assert_eq!(after, before.saturating_add(steps).min(19));
    }
    let inherited = || {
        lower_priority(2).unwrap();
        std::thread::scope(|scope| scope.spawn(known).join()).unwrap() == known()
    };
    assert!(std::thread::scope(|scope| scope.spawn(inherited).join()).unwrap());
}

#[test]
fn the_message_of_an_occupied_port_tells_how_to_find_its_owner() {
    let error = SocketError::InUse {
        protocol: "UDP",
        address: loopback("127.0.0.1:53"),
    };
    let text = error.to_string();
    assert!(text.contains("ss -lnp 'sport = :53'"), "{text}");
}
