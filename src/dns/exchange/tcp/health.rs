//! What is told of an upstream's TCP, until [`Upstreams`] has methods of these names: those then win.
//!
//! Source: RFC 7766 §6.2.3 (who may close a connection, and when).

use std::time::Instant;

use super::super::super::upstream::{UpstreamIndex, Upstreams};

/// Believes the best of everybody.
pub(super) trait TcpHealth {
    /// A connection was not made, or brought nothing in time.
    fn tcp_failed(&self, _upstream: UpstreamIndex, _now: Instant) {}
    /// An answer came.
    fn tcp_answered(&self, _upstream: UpstreamIndex, _now: Instant) {}
    /// Whether it is worth trying.
    fn tcp_usable(&self, _upstream: UpstreamIndex, _now: Instant) -> bool {
        true
    }
}

impl TcpHealth for Upstreams {}
