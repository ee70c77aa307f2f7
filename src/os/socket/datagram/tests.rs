use super::*;

fn admission(source: &str, ttl_min: u8) -> Admission {
    Admission {
        sources: vec![source.parse().unwrap()],
        ttl_min,
    }
}

/// Loopback delivers while the sender is in the kernel.
fn take(socket: &UdpSocket) -> Option<Arrival> {
    let mut buffer = [0; 16];
    match receive(socket, &mut buffer) {
        Ok(arrival) => Some(arrival),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            None
        }
    }
}

fn with_ttl(socket: &UdpSocket, ttl: u8) {
    let socket = SockRef::from(socket);
    match socket.domain().unwrap() {
        Domain::IPV4 => socket.set_ttl_v4(ttl.into()).unwrap(),
        _ => socket.set_unicast_hops_v6(ttl.into()).unwrap(),
    }
}

/// RFC 5881 §5: the TTL that a packet arrived with is known, be it 255 or less.
#[test]
fn a_datagram_tells_its_ttl_and_its_sender() {
    for address in ["127.0.0.1", "::1"] {
        let local = SocketAddr::new(address.parse().unwrap(), 0);
        let receiver = receiver(local, &admission(address, 0)).unwrap();
        let sender = sender(local, receiver.local_addr().unwrap()).unwrap();
        for ttl in [TTL_MAX, 254, 1] {
            with_ttl(&sender, ttl);
            sender.send(&[1, 2, 3]).unwrap();
            let arrival = take(&receiver).unwrap();
            assert_eq!((arrival.ttl, arrival.octets), (Some(ttl), 3));
            assert_eq!(arrival.from, sender.local_addr().unwrap());
        }
        assert_eq!(take(&receiver), None);
    }
}

/// RFC 5881 §5: without asking for anything, packets leave with 255.
#[test]
fn a_sender_begins_with_the_most_hops() {
    for address in ["127.0.0.1", "::1"] {
        let local = SocketAddr::new(address.parse().unwrap(), 0);
        let receiver = receiver(local, &admission(address, TTL_MAX)).unwrap();
        let sender = sender(local, receiver.local_addr().unwrap()).unwrap();
        sender.send(&[1]).unwrap();
        assert_eq!(take(&receiver).unwrap().ttl, Some(TTL_MAX));
    }
}

/// What is dropped takes no room in the buffer: just below and at the least TTL.
#[test]
fn strangers_and_far_senders_do_not_reach_the_buffer() {
    for (address, stranger) in [("127.0.0.1", "127.53.85.1"), ("::1", "::2")] {
        let local = SocketAddr::new(address.parse().unwrap(), 0);
        let receiver = receiver(local, &admission(address, 250)).unwrap();
        let sender = sender(local, receiver.local_addr().unwrap()).unwrap();
        for (ttl, is_taken) in [(249, false), (250, true), (255, true)] {
            with_ttl(&sender, ttl);
            sender.send(&[1]).unwrap();
            assert_eq!(take(&receiver).is_some(), is_taken, "{address} {ttl}");
        }
        admit(&receiver, &admission(stranger, 250)).unwrap();
        sender.send(&[1]).unwrap();
        assert_eq!(take(&receiver), None, "{address}");
        assert!(super::super::udp_drops(&receiver).unwrap() >= 2);
    }
}

/// Each place of an IPv6 address is compared, and each of several sources is admitted.
#[test]
fn of_several_sources_each_is_admitted() {
    let mut sources: Vec<IpAddr> = ["::1:0:0:1", "1::1", "0:0:1::1", "::2"]
        .map(|text| text.parse().unwrap())
        .into();
    let local: SocketAddr = "[::1]:0".parse().unwrap();
    let mut admission = Admission {
        sources: sources.clone(),
        ttl_min: 0,
    };
    let receiver = receiver(local, &admission).unwrap();
    let sender = sender(local, receiver.local_addr().unwrap()).unwrap();
    sender.send(&[1]).unwrap();
    assert_eq!(take(&receiver), None);
    sources.push(local.ip());
    admission.sources = sources;
    admit(&receiver, &admission).unwrap();
    sender.send(&[1]).unwrap();
    assert!(take(&receiver).is_some());
}

/// FRR and BIRD take BFD at all addresses, with `SO_REUSEADDR`: whoever comes first, the one with
/// the address of its own gets the packets to it.
#[test]
fn a_receiver_gets_along_with_somebody_who_takes_all_other_addresses() {
    for is_first in [true, false] {
        let somebody = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket
        };
        let local: SocketAddr = "127.53.85.3:37853".parse().unwrap();
        let anywhere: SocketAddr = "0.0.0.0:37853".parse().unwrap();
        let other = somebody();
        if is_first {
            other.bind(&anywhere.into()).unwrap();
        }
        let receiver = receiver(local, &admission("127.53.85.3", 255)).unwrap();
        if !is_first {
            other.bind(&anywhere.into()).unwrap();
        }
        let sender = sender("127.53.85.3:0".parse().unwrap(), local).unwrap();
        sender.send(&[1]).unwrap();
        assert!(take(&receiver).is_some());
    }
}

#[test]
fn a_port_that_somebody_does_not_share_is_in_use() {
    let owner = UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = receiver(owner.local_addr().unwrap(), &admission("127.0.0.1", 255));
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn the_source_is_the_one_that_the_kernel_would_take() {
    for remote in ["127.53.85.2:1", "[::1]:1"] {
        let remote: SocketAddr = remote.parse().unwrap();
        assert!(source_towards(remote).unwrap().is_loopback());
    }
}

/// cmsg(3): whatever stands there, it is walked through without a panic and with an end.
#[test]
fn control_messages_of_any_length_are_walked_through() {
    let mut message = Vec::new();
    for (kind, value) in [(libc::SO_TIMESTAMP, 7_i32), (libc::IP_TTL, 254)] {
        let level = if kind == libc::IP_TTL {
            libc::IPPROTO_IP
        } else {
            libc::SOL_SOCKET
        };
        let length = size_of::<usize>() + 12;
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&level.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&value.to_ne_bytes());
        message.resize(message.len().next_multiple_of(size_of::<usize>()), 0);
    }
    assert_eq!(ttl(&message), Some(254));
    for end in 0..message.len() {
        let _ = ttl(&message[..end]);
    }
    for length in [0_usize, 1, 15, 17, usize::MAX] {
        message[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
        let _ = ttl(&message);
    }
}
