//! The states of a connection, why it ends, and what it tells.
//!
//! Source: RFC 4271 §8.2.2 (states).

use crate::bgp::message::Family;
use crate::bgp::notification::Notification;
use crate::bgp::open::Negotiated;
use crate::bgp::update::Update;

/// RFC 4271 §8.2.2. Ordered by how near to Established it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing is tried.
    Idle,
    /// A TCP connect is under way.
    Connect,
    /// Waits for the next connect, or for the peer to connect.
    Active,
    /// TCP is up and the own OPEN is on its way.
    OpenSent,
    /// Both OPENs fit; waits for the peer's KEEPALIVE.
    OpenConfirm,
    /// Routes may be exchanged.
    Established,
}

impl State {
    /// All six, in order.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::Connect,
        Self::Active,
        Self::OpenSent,
        Self::OpenConfirm,
        Self::Established,
    ];

    /// The name that RFC 4271 gives it, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Active => "active",
            Self::OpenSent => "open_sent",
            Self::OpenConfirm => "open_confirm",
            Self::Established => "established",
        }
    }
}

/// Who opened the TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side; after a failed connect it tries again by itself.
    Dialled,
    /// The peer.
    Accepted,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// TCP did not come up within [`crate::bgp::timers::CONNECT_LIMIT`].
    #[error("connect timed out")]
    ConnectTimeout,
    /// TCP could not be opened.
    #[error("connect failed")]
    ConnectFailed,
    /// The peer closed TCP, or it broke.
    #[error("connection closed")]
    Closed,
    /// This side ended it.
    #[error("sent {0}")]
    Sent(Notification),
    /// The peer ended it.
    #[error("received {0}")]
    Received(Notification),
    /// Given up without a word: no longer needed, or the link is gone.
    #[error("dropped")]
    Dropped,
    /// The peer's TCP did not take in time that all routes are withdrawn.
    #[error("withdraw not delivered")]
    Undelivered,
}

impl End {
    /// Whether the peer is not expected to read anything more, so that TCP is reset at once: what
    /// lies in the socket would else be sent for minutes to come.
    #[must_use]
    pub fn is_abrupt(&self) -> bool {
        match self {
            Self::Undelivered => true,
            Self::Sent(notification) => {
                *notification == Notification::bfd_down()
                    || *notification == Notification::send_hold_timer_expired()
            }
            Self::ConnectTimeout
            | Self::ConnectFailed
            | Self::Closed
            | Self::Received(_)
            | Self::Dropped => false,
        }
    }
}

/// What the machine wants, or has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Open TCP to the peer.
    Dial,
    /// Both OPENs fit, the state is OpenConfirm: time to look for a collision.
    Opened(Negotiated),
    /// The state is Established.
    Established(Negotiated),
    /// The peer announced or withdrew something.
    Update(Update),
    /// The peer wants to hear everything of a family again.
    RouteRefresh(Family),
    /// The connection is over; `last` is to be written before TCP is closed.
    Ended {
        /// Why.
        end: End,
        /// Whole messages that were not yet polled, a NOTIFICATION at the end if one was due.
        last: Vec<u8>,
    },
}
