//! TCP: accepting connections, and many questions on each at a time.
//!
//! Source: RFC 1035 §4.2.2 (two octets of length), RFC 7766 §6.2.1.1 (pipelining), §7 (answers in
//! any order), §8 (length and message in one write), §6.2.3 (idle connections), RFC 7828 §3.3.2 (what
//! clients are told of that, in `serve`).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]
#![expect(
    clippy::disallowed_methods,
    reason = "idle connections are ended by the clock"
)]

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::forward::Forward;
use super::connections::Connections;
use super::desk::{Desk, Waiter};
use super::mailbox::{Held, Mailbox};
use super::session::{Buffers, Session};

/// Octets of a length.
pub(super) const PREFIX: usize = 2;
/// A client that does not take its answers for this long is left.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be silent while clients are moved to other nodes.
const IDLE_WHILE_DRAINING: Duration = Duration::from_secs(1);
/// Accepting fails for want of something (descriptors, memory) that others have to give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What the connections of one worker share; clones are the same.
pub(super) struct Tcp<F> {
    pub(super) desk: Rc<Desk<F>>,
    pub(super) connections: Connections,
    pub(super) buffers: Rc<RefCell<Buffers>>,
    held: Held,
    mailboxes: Rc<RefCell<Vec<Weak<Mailbox>>>>,
}

impl<F> Clone for Tcp<F> {
    fn clone(&self) -> Self {
        Self {
            desk: Rc::clone(&self.desk),
            connections: self.connections.clone(),
            buffers: Rc::clone(&self.buffers),
            held: self.held.clone(),
            mailboxes: Rc::clone(&self.mailboxes),
        }
    }
}

impl<F: Forward<Waiter> + 'static> Tcp<F> {
    pub(super) fn new(desk: Rc<Desk<F>>, connections: Connections) -> Self {
        let tcp = Self {
            desk,
            connections,
            buffers: Rc::default(),
            held: Held::default(),
            mailboxes: Rc::default(),
        };
        tcp.note_open();
        tcp
    }

    /// Leaves behind how many connections there are, and how long they may be silent.
    fn note_open(&self) {
        let counters = self.desk.worker.counters();
        counters.tcp_open.set(self.connections.open());
        let idle_ms = self.connections.idle_limit().as_millis();
        let idle_ms = u64::try_from(idle_ms).unwrap_or(u64::MAX);
        counters.tcp_idle_ms.set(idle_ms);
    }

    /// Accepts connections for ever, at the socket with this number.
    pub(super) async fn accept(self, socket: usize, listener: TcpListener) {
        let counters = self.desk.worker.counters();
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = sessions.join_next() => continue,
            };
            let Ok((stream, client)) = accepted else {
                counters.tcp_rejected.bump();
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let client = client.ip();
            if !self.desk.worker.may_connect(client) {
                // Whoever may not ask must not hold a place of those who may.
                counters.refused_clients.bump();
                continue;
            }
            let Some(permit) = self.connections.admit(client) else {
                counters.tcp_rejected.bump();
                continue;
            };
            counters.tcp_accepted.bump();
            // Without it an answer in two segments may wait for an acknowledgement; not vital.
            let _ = stream.set_nodelay(true);
            let mailbox = Mailbox::new(self.held.clone(), Instant::now().into_std());
            let mailbox = Rc::new(mailbox.at(socket));
            self.mailboxes.borrow_mut().push(Rc::downgrade(&mailbox));
            let tcp = self.clone();
            let session = Session::new(stream, client, tcp.desk.clone(), mailbox, &tcp.buffers);
            sessions.spawn_local(async move {
                tcp.note_open();
                session.await;
                drop(permit);
                tcp.note_open();
            });
        }
    }

    /// Lets connections go on whose clients had asked too much.
    pub(super) fn resume(&self) {
        for mailbox in self.mailboxes.borrow().iter() {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.resume();
            }
        }
    }

    /// Ends connections that have been silent for too long: sooner when there are many.
    pub(super) fn end_silent(&self, now: std::time::Instant) {
        let idle_limit = self.connections.idle_limit();
        let shared = self.desk.worker.shared();
        self.mailboxes.borrow_mut().retain(|mailbox| {
            let Some(mailbox) = mailbox.upgrade() else {
                return false;
            };
            let limit = if mailbox.is_holding() {
                WRITE_TIMEOUT
            } else if shared.is_draining(mailbox.socket()) {
                idle_limit.min(IDLE_WHILE_DRAINING)
            } else {
                idle_limit
            };
            let is_idle = mailbox.is_holding() || mailbox.waiting() == 0;
            if is_idle && mailbox.silent_for(now) >= limit {
                mailbox.end();
            }
            true
        });
    }
}
