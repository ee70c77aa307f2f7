//! One connection to an upstream: the stream around a [`Conversation`].
//!
//! Source: RFC 7766 §6.2.1.1 (many questions at a time), §8 (length and message in one segment).

#![expect(
    clippy::disallowed_methods,
    reason = "a shell: the timer of a connection is here"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::super::super::upstream::UpstreamIndex;
use super::conversation::{Ask, Conversation, Outcome};

/// Limit for the connection to be made. A SYN that is lost costs 1 s: better to ask another.
const CONNECT_TIME: Duration = Duration::from_millis(500);
/// Limit for questions to be taken by the kernel.
const WRITE_TIME: Duration = Duration::from_millis(500);
/// Octets that are read at a time.
const READ: usize = 4096;

/// What the owner of a connection has of it.
pub(super) struct Link {
    inbox: RefCell<VecDeque<Ask>>,
    under_way: Cell<usize>,
    is_closed: Cell<bool>,
    bell: Notify,
    outcomes: Rc<RefCell<VecDeque<Outcome>>>,
}

/// How a connection has ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) upstream: UpstreamIndex,
    /// Answers that it has brought.
    pub(super) answered: usize,
    pub(super) unanswered: Vec<Ask>,
    pub(super) error: Option<io::Error>,
}

impl Link {
    pub(super) fn new(outcomes: Rc<RefCell<VecDeque<Outcome>>>) -> Self {
        Self {
            inbox: RefCell::default(),
            under_way: Cell::new(0),
            is_closed: Cell::new(false),
            bell: Notify::new(),
            outcomes,
        }
    }

    /// Asks with the connection's next turn.
    pub(super) fn push(&self, ask: Ask) {
        self.inbox.borrow_mut().push_back(ask);
        self.under_way.set(self.under_way.get() + 1);
        self.bell.notify_one();
    }

    /// Questions without an answer.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// It takes no more questions.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Lets it end; to be called when nothing is under way.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.bell.notify_one();
    }

    fn take(&self) -> Option<Ask> {
        self.inbox.borrow_mut().pop_front()
    }

    fn tell(&self, outcomes: &mut Vec<Outcome>) {
        let under_way = self.under_way.get();
        self.under_way.set(under_way.saturating_sub(outcomes.len()));
        self.outcomes.borrow_mut().extend(outcomes.drain(..));
    }
}

/// Connects, and talks until nothing is left to say. The second of the addresses is the source, for
/// siblings.
pub(super) async fn run(
    addresses: (SocketAddr, Option<IpAddr>),
    upstream: UpstreamIndex,
    link: Rc<Link>,
) -> End {
    let mut conversation = Conversation::new(now());
    let error = converse(addresses, &link, &mut conversation).await.err();
    // From here on there is no point at which somebody else could push.
    link.is_closed.set(true);
    let answered = conversation.answered();
    let mut unanswered: Vec<_> = conversation.into_unanswered().collect();
    unanswered.extend(std::iter::from_fn(|| link.take()));
    End {
        upstream,
        answered,
        unanswered,
        error,
    }
}

async fn converse(
    addresses: (SocketAddr, Option<IpAddr>),
    link: &Link,
    conversation: &mut Conversation,
) -> io::Result<()> {
    let mut stream = timeout(CONNECT_TIME, connect(addresses)).await??;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    let (mut out, mut outcomes) = (Vec::new(), Vec::new());
    loop {
        while let Some(ask) = link.take() {
            conversation.ask(ask, rand::random, &mut out, &mut outcomes, now());
        }
        if !out.is_empty() {
            timeout(WRITE_TIME, writer.write_all(&out)).await??;
            out.clear();
        }
        let wake_at = conversation.poll_timeout();
        conversation.buffer().reserve(READ);
        tokio::select! {
            read = reader.read_buf(conversation.buffer()) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => conversation.handle_received(now(), &mut outcomes),
            },
            () = link.bell.notified() => {}
            () = sleep_until(wake_at.into()) => conversation.handle_timeout(now(), &mut outcomes),
        }
        link.tell(&mut outcomes);
        let is_left = link.is_closed() && link.under_way() == 0;
        // What came in while this one waited would be told that the upstream had closed.
        if conversation.is_over(link.under_way() > 0, now()) || is_left {
            return Ok(());
        }
    }
}

async fn connect((remote, source): (SocketAddr, Option<IpAddr>)) -> io::Result<TcpStream> {
    let socket = match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if let Some(source) = source {
        // When this host has lost the address, the kernel's choice is better than nothing.
        let _ = socket.bind((source, 0).into());
    }
    socket.connect(remote).await
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_has_the_source_that_is_wanted_as_long_as_there_is_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = listener.local_addr().unwrap();
        for (wanted, expected) in [
            (None, "127.0.0.1"),
            (Some("127.0.0.2"), "127.0.0.2"),
            (Some("192.0.2.77"), "127.0.0.1"),
        ] {
            let wanted = wanted.map(|wanted: &str| wanted.parse().unwrap());
            let stream = connect((remote, wanted)).await.unwrap();
            let local = stream.local_addr().unwrap();
            assert_eq!(local.ip(), expected.parse::<IpAddr>().unwrap());
        }
    }
}
