//! Upstreams that play a script, and the answers that they give.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

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

/// An upstream that plays a script over UDP and one over TCP, on the same port.
pub(super) struct Both {
    pub(super) udp: Fake,
    pub(super) connections: Rc<Cell<usize>>,
    pub(super) asked_over_tcp: Rc<Cell<usize>>,
}

/// What becomes of a question over TCP.
pub(super) enum OverTcp {
    Answer(Vec<u8>),
    Silence,
    /// With questions open or not.
    Close,
}

/// `stream` gets the question, its number on its connection and the connection's, from 1.
pub(super) async fn both(
    datagrams: impl FnMut(&[u8], usize) -> Vec<Vec<u8>> + Clone + 'static,
    stream: impl Fn(&[u8], usize, usize) -> OverTcp + 'static,
) -> Both {
    // Somebody else may have the port that is free for UDP.
    let mut taken = Vec::new();
    let (udp, listener) = loop {
        let udp = fake(datagrams.clone()).await;
        match TcpListener::bind(udp.address).await {
            Ok(listener) => break (udp, listener),
            Err(_) => taken.push(udp),
        }
        assert!(taken.len() < 20, "no port is free for UDP and TCP");
    };
    let (connections, asked_over_tcp) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (opened, asked) = (Rc::clone(&connections), Rc::clone(&asked_over_tcp));
    let stream = Rc::new(stream);
    tokio::task::spawn_local(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            opened.set(opened.get() + 1);
            let (stream, asked, number) = (Rc::clone(&stream), Rc::clone(&asked), opened.get());
            tokio::task::spawn_local(async move {
                let _ = serve(connection, number, &*stream, &asked).await;
            });
        }
    });
    Both {
        udp,
        connections,
        asked_over_tcp,
    }
}

async fn serve(
    mut connection: TcpStream,
    number: usize,
    script: &dyn Fn(&[u8], usize, usize) -> OverTcp,
    asked: &Cell<usize>,
) -> std::io::Result<()> {
    for count in 1.. {
        let length = connection.read_u16().await?;
        let mut question = vec![0; length.into()];
        connection.read_exact(&mut question).await?;
        asked.set(asked.get() + 1);
        match script(&question, count, number) {
            OverTcp::Answer(message) => {
                let length = u16::try_from(message.len()).unwrap();
                let framed = [&length.to_be_bytes()[..], &message].concat();
                connection.write_all(&framed).await?;
            }
            OverTcp::Silence => {}
            OverTcp::Close => break,
        }
    }
    Ok(())
}

/// The value of the COOKIE option of a question.
pub(super) fn cookie(question: &[u8]) -> Option<Vec<u8>> {
    let opt = question.windows(3).rposition(|part| part == b"\0\0\x29")?;
    let options = &question[opt + 11..];
    let length = usize::from(*options.get(3)?);
    (options[..2] == [0, 10]).then(|| options[4..4 + length].to_vec())
}

/// [`answer`] with OPT that has this cookie, and the upper bits of the RCODE.
pub(super) fn answer_with_cookie(question: &[u8], rcode: u16, cookie: &[u8]) -> Vec<u8> {
    let mut message = answer(question, u8::try_from(rcode & 0x0f).unwrap());
    message[11] = 1;
    let length = u8::try_from(cookie.len()).unwrap();
    message.extend_from_slice(&[
        0,
        0,
        41,
        4,
        0xd0,
        u8::try_from(rcode >> 4).unwrap(),
        0,
        0,
        0,
    ]);
    message.extend_from_slice(&[0, length + 4, 0, 10, 0, length]);
    message.extend_from_slice(cookie);
    message
}
