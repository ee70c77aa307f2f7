//! Runs all sessions of a node: their sockets, their clock, and whoever wants to know.
//!
//! Source: RFC 5880 §6.3 (which session a packet is for), §6.8.16 (a session that is switched off),
//! RFC 5881 §3 to §5, RFC 5883 §3 to §5.
//!
//! One task does it all, on the thread that the watched sessions of BGP run on: if that thread is
//! stuck, its BFD falls silent, as it should. Packets are read before timers are looked at, so that
//! a neighbour whose packet has come while the thread was busy does not count as silent.
//! A socket takes packets to one local address only. Another BFD daemon of this host may have the
//! ports at all addresses, as FRR's and BIRD's have: but it no longer gets what comes to an address
//! that a session here has as its source, so those sessions need a source of their own.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: reads the clock, and waits for sockets and time"
)]

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::Settings;
use super::metrics::Metrics;
use super::path::Path;
use super::status::Status;

mod journal;
mod sessions;
mod sockets;

use sessions::Sessions;

/// What a session says about its path. RFC 5882 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Both ends hear each other.
    Up,
    /// They do not, or not yet.
    Down,
    /// The neighbour's operator has switched BFD off: that says nothing about the path.
    AdminDown,
}

/// What a [`Watch`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// About the path.
    pub path: PathState,
    /// How often it was lost, since the start: it may be up again when that is read.
    pub losses: u64,
    /// The neighbour has been told long enough that this side switches BFD off.
    pub is_parted: bool,
}

/// All sessions; each clone leads to the same ones.
#[derive(Clone, Debug)]
pub struct Driver {
    sessions: Rc<RefCell<Sessions>>,
    /// The task has something to do.
    wake: Rc<Notify>,
}

impl Driver {
    /// Without a session, and without a socket.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self {
            sessions: Rc::new(RefCell::new(Sessions::new(metrics))),
            wake: Rc::default(),
        }
    }

    /// Begins a session, which lasts as long as the value that is given back. `peer` is its name in
    /// logs and metrics. One on the same path that nobody wants any more is forgotten at once.
    #[must_use]
    pub fn watch(&self, settings: &Settings, path: Path, peer: String) -> Watch {
        let (key, reports) = self
            .sessions
            .borrow_mut()
            .add(clock(), settings, path, peer);
        self.wake.notify_one();
        Watch {
            key,
            reports,
            driver: self.clone(),
        }
    }

    /// Does the work, without an end. Until it runs, nothing is sent.
    pub async fn run(self) {
        loop {
            let (is_more, deadline) = {
                let mut sessions = self.sessions.borrow_mut();
                let is_more = sessions.receive(clock());
                (is_more, sessions.settle(clock()))
            };
            if is_more {
                // Under a flood everybody else has a turn after each batch.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = poll_fn(|cx| self.sessions.borrow().poll_readable(cx)) => {}
                () = until(deadline) => {}
            }
        }
    }
}

/// A session that somebody wants. Dropped, it is switched off and then forgotten.
#[derive(Debug)]
pub struct Watch {
    key: u64,
    reports: watch::Receiver<Report>,
    driver: Driver,
}

impl Watch {
    /// What it tells, the latest first; nothing is told about steps on the way up.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Report> {
        self.reports.clone()
    }

    /// All that it knows of itself; `None`: it has been replaced.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.driver.sessions.borrow().status(self.key)
    }

    /// The link has lost its carrier: the session goes down at once.
    pub fn path_down(&self) {
        self.order(Order::PathDown);
    }

    /// While held, the session is down and says so to the neighbour, whatever that says.
    pub fn hold_down(&self, is_held: bool) {
        self.order(Order::HoldDown(is_held));
    }

    /// Tells the neighbour that BFD is switched off here, which is no fault. To be called after
    /// what the neighbour watches by it is closed: some (FRR 8.4) take it for a fault all the same.
    pub fn admin_down(&self) {
        self.order(Order::AdminDown);
    }

    /// Waits until [`Self::admin_down`] has been told for a detection time. RFC 5880 §6.8.16.
    pub async fn parted(&self) {
        // An error: the session has been replaced, so there is nothing to wait for.
        let _ = self.reports().wait_for(|report| report.is_parted).await;
    }

    fn order(&self, order: Order) {
        let mut sessions = self.driver.sessions.borrow_mut();
        sessions.obey(clock(), self.key, order);
        self.driver.wake.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.order(Order::Forget);
    }
}

/// What is asked of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    PathDown,
    HoldDown(bool),
    AdminDown,
    /// After [`Order::AdminDown`] has been told.
    Forget,
}

/// The clock of the runtime, which tests may stop.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
