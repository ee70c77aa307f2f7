//! Upstreams that play a script, and the answers that they give.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::UdpSocket;

/// An upstream that plays a script: the question and its number in, datagrams out.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    pub(super) asked: Rc<Cell<usize>>,
}

pub(super) async fn fake(mut script: impl FnMut(&[u8], usize) -> Vec<Vec<u8>> + 'static) -> Fake {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, source) = socket.recv_from(&mut buffer).await.unwrap();
            count.set(count.get() + 1);
            for datagram in script(&buffer[..length], count.get()) {
                socket.send_to(&datagram, source).await.unwrap();
            }
        }
    });
    Fake { address, asked }
}

pub(super) async fn answering(rcode: u8) -> Fake {
    fake(move |question, _| vec![answer(question, rcode)]).await
}

pub(super) async fn silent() -> Fake {
    fake(|_, _| Vec::new()).await
}

/// An address where nobody listens.
pub(super) async fn closed() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.local_addr().unwrap()
}

/// The header and question of a question, as an answer with one A record if the RCODE is 0.
pub(super) fn answer(question: &[u8], rcode: u8) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|&octet| octet == 0).unwrap() + 5;
    let mut message = question[..end].to_vec();
    message[2] = 0x81;
    message[3] = 0x80 | rcode;
    message[6..12].fill(0);
    if rcode == 0 {
        message[7] = 1;
        message.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
    }
    message
}

pub(super) fn truncated(question: &[u8]) -> Vec<u8> {
    let mut message = answer(question, 0);
    message[2] |= 0x02;
    message
}
