//! The listening sockets with what they demand of a packet before anything is answered or read.
//!
//! Source: RFC 2385 §2 (an unsigned segment is dropped silently), RFC 5082 §3 (GTSM).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::directory::{Entry, Neighbors, PeerKey};
use crate::bgp::{Password, Ttl};
use crate::os::socket::guard;

/// Connections per socket that the kernel may hold back for us.
const BACKLOG: i32 = 16;

/// Every socket of the listener, and what they demand.
#[derive(Debug)]
pub(super) struct Doorway {
    listeners: Vec<TcpListener>,
    /// Which of them is asked first: after each connection another one, or a flood of one address
    /// would shut the others.
    first: usize,
    /// By the address that a packet comes from: the kernel looks at nothing else.
    keys: BTreeMap<IpAddr, Key>,
    /// Neighbours whose address has the key of another one.
    clashes: BTreeSet<PeerKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    password: Password,
    is_in_force: bool,
}

/// Why a neighbour's connection is closed unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its packets are not signed with its password.
    Unsigned,
    /// It comes from farther away than the link.
    Far,
}

impl Refusal {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Unsigned => "not signed with this neighbor's password",
            Self::Far => "from farther away than the link (ttl_security)",
        }
    }
}

impl Doorway {
    pub(super) fn new(listeners: Vec<TcpListener>) -> Self {
        Self {
            listeners,
            first: 0,
            keys: BTreeMap::new(),
            clashes: BTreeSet::new(),
        }
    }

    pub(super) fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (late, early) = self.listeners.split_at(self.first);
        for (steps, listener) in early.iter().chain(late).enumerate() {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                self.first = (self.first + steps + 1) % self.listeners.len();
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    /// Demands what these neighbours have to show. How many connections were closed that had been
    /// made on easier terms and not been looked at: they were good for nothing, for the kernel gives
    /// an accepted connection the key that the listener had when it was made.
    pub(super) fn take(&mut self, known: &Neighbors) -> usize {
        let Passwords { wanted, clashes } = passwords(known);
        for peer in clashes.difference(&self.clashes) {
            tracing::error!(
                peer = %peer.address(), interface_index = peer.scope_id(),
                "another neighbor has this address and another password, and the kernel knows one \
                 per address: connections of this one are refused"
            );
        }
        self.clashes = clashes;
        let gone = self.keys.keys().filter(|peer| !wanted.contains_key(peer));
        for peer in gone {
            for listener in self.of_family(*peer) {
                if let Err(error) = guard::stop_signing(listener, *peer) {
                    tracing::warn!(%peer, %error, "key of a former neighbor stays in the kernel");
                }
            }
        }
        self.keys.retain(|peer, _| wanted.contains_key(peer));
        let mut is_stricter = false;
        for (peer, password) in wanted {
            if self
                .keys
                .get(&peer)
                .is_some_and(|key| key.password == password)
            {
                continue;
            }
            is_stricter = true;
            let key = Key {
                is_in_force: self.demand_signature(peer, &password),
                password,
            };
            self.keys.insert(peer, key);
        }
        self.demand_nearness(known);
        if is_stricter { self.close_waiting() } else { 0 }
    }

    /// Whether the neighbour's connection may be read; from now on it takes nothing from afar.
    pub(super) fn admit(
        &self,
        peer: PeerKey,
        entry: &Entry,
        stream: &TcpStream,
    ) -> Result<(), Refusal> {
        if let Some(password) = &entry.security.password {
            let key = self.keys.get(&peer.address());
            if !key.is_some_and(|key| key.is_in_force && key.password == *password) {
                return Err(Refusal::Unsigned);
            }
        }
        let ttl = entry.security.ttl;
        if ttl == Ttl::Security {
            let address = peer.address();
            // In this order: what arrived before came behind a handshake from nearby.
            let hops = guard::set_hops(stream, address, ttl.sent(), ttl.least())
                .and_then(|()| guard::handshake_hops(stream, address));
            if !hops.is_ok_and(|hops| hops >= ttl.least()) {
                return Err(Refusal::Far);
            }
        }
        Ok(())
    }

    fn of_family(&self, peer: IpAddr) -> impl Iterator<Item = &TcpListener> {
        self.listeners.iter().filter(move |listener| {
            let own = listener.local_addr();
            own.is_ok_and(|own| own.is_ipv4() == peer.is_ipv4())
        })
    }

    fn demand_signature(&self, peer: IpAddr, password: &Password) -> bool {
        for listener in self.of_family(peer) {
            if let Err(error) = guard::sign(listener, peer, password.octets()) {
                tracing::error!(%peer, %error, "connections of this neighbor are refused");
                return false;
            }
        }
        true
    }

    /// The socket itself drops packets from afar as soon as no neighbour may be far away; then not
    /// even a handshake comes to be. What one neighbour alone demands, [`Self::admit`] sees to.
    fn demand_nearness(&self, known: &Neighbors) {
        for listener in &self.listeners {
            let Ok(own) = listener.local_addr() else {
                continue;
            };
            let of_family = known
                .iter()
                .filter(|(peer, _)| peer.address().is_ipv4() == own.is_ipv4());
            let least = of_family.map(|(_, entry)| entry.security.ttl.least()).min();
            let least = least.unwrap_or(0);
            if let Err(error) = guard::set_hops(listener, own.ip(), guard::HOPS_MAX, least) {
                tracing::warn!(address = %own, %error, "packets from afar are dropped late");
            }
        }
    }

    /// Asks the kernel itself, for the runtime may not have heard yet of who waits.
    fn close_waiting(&self) -> usize {
        let waiting = self.listeners.iter().flat_map(|listener| {
            // The queue has one place more than it was asked for. Whoever comes now has a key.
            (0..=BACKLOG).map_while(move |_| SockRef::from(listener).accept().ok())
        });
        waiting.count()
    }
}

/// What the kernel is told.
pub(super) struct Passwords {
    pub(super) wanted: BTreeMap<IpAddr, Password>,
    pub(super) clashes: BTreeSet<PeerKey>,
}

/// One password per address. A link-local address may be two neighbours', on two links: these must
/// have the same one.
pub(super) fn passwords(known: &Neighbors) -> Passwords {
    let mut sorted: Vec<_> = known.iter().collect();
    sorted.sort_by_key(|(peer, _)| **peer);
    let mut passwords = Passwords {
        wanted: BTreeMap::new(),
        clashes: BTreeSet::new(),
    };
    for (peer, entry) in sorted {
        let Some(password) = &entry.security.password else {
            continue;
        };
        let first = passwords.wanted.entry(peer.address());
        if first.or_insert_with(|| password.clone()) != password {
            passwords.clashes.insert(*peer);
        }
    }
    passwords
}

/// A socket that listens, and answers in a way that a neighbour with GTSM takes.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // So that 0.0.0.0 and [::] can both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    guard::set_hops(&socket, address.ip(), guard::HOPS_MAX, 0)?;
    guard::set_precedence(&socket, address.ip())?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
