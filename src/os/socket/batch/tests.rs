use std::net::UdpSocket;
use std::time::Duration;

use super::*;

fn pair(address: &str) -> (UdpSocket, UdpSocket, SocketAddr) {
    let server = UdpSocket::bind(address).unwrap();
    let client = UdpSocket::bind(address).unwrap();
    let at = server.local_addr().unwrap();
    for socket in [&server, &client] {
        socket.set_nonblocking(true).unwrap();
    }
    (server, client, at)
}

/// Loopback delivers while the sender is in the kernel; the margin is for a machine that swaps.
fn receive(inbox: &mut Inbox, socket: &UdpSocket) -> usize {
    for _ in 0..1000 {
        match inbox.receive(socket) {
            Ok(count) => return count,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        socket
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        socket.set_nonblocking(false).unwrap();
        let _ = socket.peek_from(&mut [0]);
        socket.set_nonblocking(true).unwrap();
    }
    panic!("nothing came");
}

#[test]
fn datagrams_come_back_to_whoever_sent_them() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (server, client, at) = pair(address);
        let mut outbox = Outbox::new(3);
        for number in 1..=3 {
            outbox
                .buffer()
                .extend_from_slice(&vec![number; number.into()]);
            outbox.finish(Some(at.into()));
        }
        assert!(outbox.is_full());
        let sent = outbox.send(&client);
        assert_eq!((sent.sent, sent.failed), (3, 0), "{sent:?}");
        assert!(outbox.is_empty());

        let mut inbox = Inbox::new(8, 100);
        assert_eq!(receive(&mut inbox, &server), 3);
        for index in 0..3 {
            assert_eq!(inbox.peer(index).ip(), at.ip());
            inbox.message_mut(index).reverse();
            outbox.buffer().extend_from_slice(inbox.message(index));
            outbox.finish(Some(inbox.peer(index)));
        }
        assert!(inbox.message(3).is_empty());
        assert_eq!(outbox.send(&server).sent, 3);
        assert_eq!(receive(&mut inbox, &client), 3);
        assert_eq!(inbox.message(2), [3, 3, 3]);
        let nothing = inbox.receive(&client).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert!(inbox.message(0).is_empty());
    }
}

#[test]
fn more_datagrams_than_there_is_room_for_come_with_the_next_call() {
    let (server, client, at) = pair("127.0.0.1:0");
    for number in 0..5_u8 {
        client.send_to(&[number], at).unwrap();
    }
    let mut inbox = Inbox::new(3, 100);
    assert_eq!(receive(&mut inbox, &server), 3);
    assert_eq!(receive(&mut inbox, &server), 2);
    assert_eq!((inbox.message(1), inbox.message(2)), (&[4][..], &[][..]));
}

#[test]
fn a_long_datagram_is_cut_and_its_neighbours_are_whole() {
    let (server, client, at) = pair("127.0.0.1:0");
    client.send_to(&[1; 40], at).unwrap();
    client.send_to(&[2; 8], at).unwrap();
    let mut inbox = Inbox::new(2, 16);
    assert_eq!(receive(&mut inbox, &server), 2);
    assert_eq!(inbox.message(0), [1; 16]);
    assert_eq!(inbox.message(1), [2; 8]);
}

#[test]
fn a_message_that_cannot_be_sent_does_not_hold_up_the_others() {
    let (server, client, at) = pair("127.0.0.1:0");
    let mut outbox = Outbox::new(8);
    outbox.buffer().push(1);
    outbox.finish(Some(at.into()));
    outbox.buffer().resize(70_000, 0);
    outbox.finish(Some(at.into()));
    outbox.buffer().push(2);
    outbox.finish(Some(at.into()));
    let sent = outbox.send(&client);
    assert_eq!((sent.sent, sent.failed), (2, 1));
    assert_eq!(sent.error.unwrap().raw_os_error(), Some(libc::EMSGSIZE));
    let mut inbox = Inbox::new(8, 100);
    assert_eq!(receive(&mut inbox, &server), 2);
    assert_eq!((inbox.message(0), inbox.message(1)), (&[1][..], &[2][..]));
}

/// The refusal is about the first datagram and is handed out instead of sending the second.
#[test]
fn a_refusal_of_an_earlier_datagram_is_told_and_the_next_one_sent() {
    let (server, client, at) = pair("127.0.0.1:0");
    drop(server);
    client.connect(at).unwrap();
    client.send(&[1]).unwrap();
    let mut outbox = Outbox::new(1);
    outbox.buffer().push(2);
    outbox.finish(None);
    let sent = outbox.send(&client);
    assert_eq!((sent.sent, sent.failed), (1, 0));
    assert_eq!(sent.error.unwrap().kind(), io::ErrorKind::ConnectionRefused);
}
