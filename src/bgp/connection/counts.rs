//! How many messages of each kind went each way.
//!
//! Source: RFC 4271 §4.1 (kinds).

use crate::bgp::message::Kind;

/// Messages in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed out for writing.
    pub sent: MessageCounts,
    /// Read as whole messages.
    pub received: MessageCounts,
}

/// Messages by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl MessageCounts {
    /// Adds one message.
    pub fn add(&mut self, kind: Kind) {
        let count = match kind {
            Kind::Open => &mut self.open,
            Kind::Update => &mut self.update,
            Kind::Notification => &mut self.notification,
            Kind::Keepalive => &mut self.keepalive,
            Kind::RouteRefresh => &mut self.route_refresh,
        };
        *count += 1;
    }

    /// Each kind's name and count.
    #[must_use]
    pub fn by_kind(&self) -> [(&'static str, u64); 5] {
        [
            ("open", self.open),
            ("update", self.update),
            ("notification", self.notification),
            ("keepalive", self.keepalive),
            ("route_refresh", self.route_refresh),
        ]
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            open: self.open + other.open,
            update: self.update + other.update,
            notification: self.notification + other.notification,
            keepalive: self.keepalive + other.keepalive,
            route_refresh: self.route_refresh + other.route_refresh,
        }
    }
}
