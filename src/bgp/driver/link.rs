//! The TCP connections of one neighbour: at most one per slot, and some that say goodbye.
//!
//! Source: RFC 4271 §8.2.1 (TCP), Appendix E (TCP options), RFC 2385 (TCP-MD5), RFC 5082 (GTSM), RFC
//! 5482 (user timeout).

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};

use super::{FAREWELL, TURN};
use crate::bgp::Security;
use crate::bgp::peer::{Ends, Peer, PeerParameters, Slot};
use crate::os::socket::{guard, queue};

/// So many connections may be saying goodbye; the next one is closed without.
const FAREWELLS_MAX: usize = 4;
/// RFC 4271 §4.2.
const HOLD_TIME_MIN: Duration = Duration::from_secs(3);
/// What is sent may stay unacknowledged for so long if no hold time is offered. RFC 4271 §10.
const PATIENCE_WITHOUT_HOLD_TIME: Duration = Duration::from_secs(90);
/// Without a hold time nobody says anything, and a neighbour that lost its power would be Established
/// for hours, with its own new connection refused: so the kernel asks, after this silence, at this
/// interval, and so often. With a hold time there is never such a silence.
const SILENCE: Duration = Duration::from_secs(30);
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 6;
/// A wrong key looks like a peer that is not there: its kernel drops the SYN (RFC 2385 §2).
const UNSIGNED: &str = "if one side alone has a password, or another one, its kernel drops what \
     comes without a word: see TcpExtTCPMD5* in `nstat -az` on both sides";
/// So does a peer that is on the link and does not know of GTSM: most routers send a TTL of 1.
const TOO_FAR: &str = "with ttl_security all that comes with a TTL below 255 is dropped, so the \
     neighbor must send 255, as it does with GTSM: see TcpExtTCPMinTTLDrop in `nstat -az`";

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// The connection is closed or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// What a slot's TCP has to say.
#[derive(Debug)]
pub(super) enum Signal {
    /// Up, from this own address.
    Connected(IpAddr),
    /// Could not be opened.
    Failed,
    /// There may be octets.
    Readable,
    /// There may be room.
    Writable,
}

enum Link {
    Down,
    Dialling(Task<io::Result<TcpStream>>),
    Up(Stream),
}

struct Stream {
    tcp: TcpStream,
    /// Taken from the peer and not yet written: at most one turn and one message.
    outgoing: Vec<u8>,
    written: usize,
    /// Octets have come.
    was_heard: bool,
}

/// What all connections with a neighbour have in common.
#[derive(Clone)]
struct Terms {
    remote: SocketAddr,
    local: Option<IpAddr>,
    security: Security,
    /// The kernel sends a withdraw again and again, for 15 minutes if it may. A neighbour that has
    /// acknowledged nothing for a whole hold time has lost the session on its side too, so this is
    /// when a withdraw that lingers must not wait any longer.
    patience: Duration,
}

pub(super) struct Links {
    terms: Terms,
    dialled: Link,
    accepted: Link,
    dial_error: Option<io::Error>,
    farewells: FuturesUnordered<Task<()>>,
}

impl Links {
    pub(super) fn new(parameters: &PeerParameters) -> Self {
        Self {
            terms: Terms {
                remote: parameters.remote,
                local: parameters.local,
                security: parameters.security.clone(),
                patience: parameters
                    .hold_time
                    .map_or(PATIENCE_WITHOUT_HOLD_TIME, |time| time.max(HOLD_TIME_MIN)),
            },
            dialled: Link::Down,
            accepted: Link::Down,
            dial_error: None,
            farewells: FuturesUnordered::new(),
        }
    }

    pub(super) fn dial(&mut self) {
        self.dial_error = None;
        self.dialled = Link::Dialling(Box::pin(connect(self.terms.clone())));
    }

    pub(super) fn accept(&mut self, tcp: TcpStream) {
        // Refused only for a socket that is already broken, which reading will show.
        let _ = tcp.set_nodelay(true);
        let _ = self.terms.apply(&tcp);
        self.accepted = Link::Up(Stream::new(tcp));
    }

    /// Why the last connect failed, once.
    pub(super) fn take_dial_error(&mut self) -> Option<io::Error> {
        self.dial_error.take()
    }

    /// Closes a slot; what the peer still has to hear is written first.
    pub(super) fn hang_up(&mut self, slot: Slot, last: &[u8]) {
        if !last.is_empty() && self.farewells.len() >= FAREWELLS_MAX {
            // A peer that calls again and again and takes no goodbye is owed none.
            return self.abort(slot);
        }
        match std::mem::replace(self.link(slot), Link::Down) {
            Link::Up(mut stream) => {
                if !stream.was_heard {
                    self.dial_error = self.terms.silence(None);
                }
                if !last.is_empty() {
                    stream.outgoing.extend_from_slice(last);
                    self.farewells.push(Box::pin(farewell(stream)));
                }
            }
            Link::Dialling(_) => {
                let unsigned = self.terms.security.password.as_ref().map(|_| UNSIGNED);
                self.dial_error = self.terms.silence(unsigned);
            }
            Link::Down => {}
        }
    }

    /// Closes a slot with a RST: what waits for room, or in the kernel, is sent no more.
    pub(super) fn abort(&mut self, slot: Slot) {
        if let Link::Up(stream) = std::mem::replace(self.link(slot), Link::Down) {
            // Refused only for a socket that is already broken.
            let _ = guard::abort_on_close(&stream.tcp);
        }
    }

    /// Ends when all goodbyes have been said.
    pub(super) async fn parted(&mut self) {
        while self.farewells.next().await.is_some() {}
    }

    /// Whether something taken from the peer waits for room.
    pub(super) fn is_writing(&self) -> bool {
        [&self.dialled, &self.accepted]
            .into_iter()
            .any(|link| matches!(link, Link::Up(stream) if !stream.outgoing.is_empty()))
    }

    /// Both ends of a slot's TCP; `None`: it has none, or is broken.
    pub(super) fn ends(&mut self, slot: Slot) -> Option<Ends> {
        let Link::Up(stream) = self.link(slot) else {
            return None;
        };
        Some(Ends {
            local: stream.tcp.local_addr().ok()?,
            remote: stream.tcp.peer_addr().ok()?,
        })
    }

    /// The next thing that happens to either slot; `None` when a goodbye has been said. Without
    /// `reads`, octets stay where they are.
    pub(super) async fn signal(&mut self, reads: bool) -> Option<(Slot, Signal)> {
        let (slot, result) = tokio::select! {
            Some(()) = self.farewells.next() => return None,
            result = self.dialled.signal(reads) => (Slot::Dialled, result),
            result = self.accepted.signal(reads) => (Slot::Accepted, result),
        };
        Some((slot, self.signal_of(result)))
    }

    /// What has happened to a slot already, without waiting for it.
    pub(super) fn waiting(&mut self, slot: Slot) -> Option<Signal> {
        let result = self.link(slot).signal(true).now_or_never()?;
        Some(self.signal_of(result))
    }

    fn signal_of(&mut self, result: io::Result<Signal>) -> Signal {
        result.unwrap_or_else(|error| {
            self.dial_error = Some(error);
            Signal::Failed
        })
    }

    /// What there is to read, at most a buffer full; `None` if it was a false alarm.
    pub(super) fn read<'a>(
        &mut self,
        slot: Slot,
        buffer: &'a mut [u8],
    ) -> Result<Option<&'a [u8]>, Gone> {
        let Link::Up(stream) = self.link(slot) else {
            return Ok(None);
        };
        match stream.tcp.try_read(buffer) {
            Ok(0) => Err(Gone),
            Ok(count) => {
                stream.was_heard = true;
                Ok(buffer.get(..count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(_) => Err(Gone),
        }
    }

    /// Writes what the peer has to say, as far as there is room and at most a few turns' worth.
    pub(super) fn write(&mut self, now: Instant, slot: Slot, peer: &mut Peer) {
        let Link::Up(stream) = self.link(slot) else {
            return;
        };
        for _ in 0..4 {
            stream.refill(slot, peer);
            let Some(rest) = stream.rest() else {
                return;
            };
            match stream.tcp.try_write(rest) {
                Ok(count) => {
                    peer.handle_written(slot);
                    stream.advance(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return peer.handle_blocked(now, slot);
                }
                Err(_) => return peer.handle_closed(now, slot),
            }
        }
        // The rest waits for the next turn, which comes with the room for it.
        stream.refill(slot, peer);
    }

    /// Writes last words as far as there is room, and only if nothing stands before them.
    pub(super) fn say(&mut self, slot: Slot, last: &[u8]) {
        if let Link::Up(stream) = self.link(slot)
            && stream.rest().is_none()
            && !last.is_empty()
        {
            // Whoever does not read them learns it from the end of the connection.
            let _ = stream.tcp.try_write(last);
        }
    }

    /// Whether the peer's TCP has acknowledged all that was written, and nothing waits.
    pub(super) fn is_delivered(&mut self, slot: Slot) -> bool {
        let Link::Up(stream) = self.link(slot) else {
            return false;
        };
        stream.rest().is_none() && queue::unacknowledged(&stream.tcp).is_ok_and(|rest| rest == 0)
    }

    fn link(&mut self, slot: Slot) -> &mut Link {
        match slot {
            Slot::Dialled => &mut self.dialled,
            Slot::Accepted => &mut self.accepted,
        }
    }
}

impl Link {
    async fn signal(&mut self, reads: bool) -> io::Result<Signal> {
        match self {
            Self::Down => pending().await,
            Self::Dialling(connect) => {
                let result = connect.await;
                // A finished future must not be asked again.
                *self = Self::Down;
                let tcp = result?;
                let local = tcp.local_addr()?;
                *self = Self::Up(Stream::new(tcp));
                Ok(Signal::Connected(local.ip()))
            }
            Self::Up(stream) => Ok(stream.signal(reads).await),
        }
    }
}

impl Stream {
    fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            outgoing: Vec::new(),
            written: 0,
            was_heard: false,
        }
    }

    async fn signal(&self, reads: bool) -> Signal {
        let interest = match (reads, self.outgoing.is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => return pending().await,
        };
        match self.tcp.ready(interest).await {
            Ok(ready) if ready.is_writable() && !ready.is_readable() => Signal::Writable,
            // An error shows itself when it is read.
            Ok(_) | Err(_) => match reads {
                true => Signal::Readable,
                false => Signal::Writable,
            },
        }
    }

    fn refill(&mut self, slot: Slot, peer: &mut Peer) {
        if self.rest().is_some() {
            return;
        }
        while self.outgoing.len() < TURN
            && let Some(message) = peer.poll_transmit(slot)
        {
            self.outgoing.extend_from_slice(&message);
        }
    }

    fn rest(&self) -> Option<&[u8]> {
        self.outgoing
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
    }

    fn advance(&mut self, count: usize) {
        self.written += count;
        if self.rest().is_none() {
            self.outgoing.clear();
            self.written = 0;
        }
    }
}

impl Terms {
    fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let (peer, ttl) = (self.remote.ip(), self.security.ttl);
        guard::set_hops(socket, peer, ttl.sent(), ttl.least())?;
        guard::set_precedence(socket, peer)?;
        guard::probe_silence(socket, SILENCE, PROBE_INTERVAL, PROBES)?;
        guard::set_patience(socket, self.patience)
    }

    /// Why a peer that may be there was not heard, as far as this side's guards can be the reason.
    fn silence(&self, unsigned: Option<&str>) -> Option<io::Error> {
        let far = (self.security.ttl.least() > 0).then_some(TOO_FAR);
        let reasons: Vec<&str> = unsigned.into_iter().chain(far).collect();
        (!reasons.is_empty()).then(|| {
            let text = format!("no answer; {}", reasons.join("; "));
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }
}

async fn connect(terms: Terms) -> io::Result<TcpStream> {
    let remote = terms.remote;
    let socket = match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    terms.apply(&socket)?;
    if let Some(password) = &terms.security.password {
        guard::sign(&socket, remote.ip(), password.octets())?;
    }
    match (terms.local, remote) {
        (Some(IpAddr::V6(address)), SocketAddr::V6(remote)) => {
            // The scope matters for link-local addresses only, and both ends share it.
            let local = SocketAddrV6::new(address, 0, 0, remote.scope_id());
            socket.bind(SocketAddr::V6(local))?;
        }
        (Some(address), _) => socket.bind(SocketAddr::new(address, 0))?,
        (None, _) => {}
    }
    socket.connect(remote).await
}

/// Writes what is left and waits for the peer to close: closing with unread octets would send a RST,
/// which may overtake the NOTIFICATION.
async fn farewell(mut stream: Stream) {
    let say = async {
        if let Some(rest) = stream.outgoing.get(stream.written..) {
            stream.tcp.write_all(rest).await?;
        }
        stream.tcp.shutdown().await?;
        let mut waste = [0; 4096];
        while stream.tcp.read(&mut waste).await? > 0 {}
        io::Result::Ok(())
    };
    // Nobody is left to be told of a failure.
    let _ = tokio::time::timeout(FAREWELL, say).await;
}

#[cfg(test)]
mod tests;
