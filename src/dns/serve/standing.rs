//! Who asks: whether the address is proven, whether it is a sibling, and what the options of the
//! answer have to be.
//!
//! Source: RFC 7873 §5.2 (cookies), RFC 7828 §3.3 (keepalive).

use std::net::IpAddr;

use super::super::request::{Edns, Keepalive, Standing, Transport};
use super::Worker;

/// Milliseconds of a unit of edns-tcp-keepalive. RFC 7828 §3.1.
const KEEPALIVE_UNIT_MS: u64 = 100;

impl Worker {
    /// What is known of `client` once its options have been read.
    pub(super) fn standing(
        &self,
        edns: Option<&Edns>,
        (client, transport): (IpAddr, Transport),
    ) -> Standing {
        let mut standing = Standing {
            is_verified: transport == Transport::Tcp,
            ..Standing::default()
        };
        let Some(edns) = edns else { return standing };
        // A node that asks from an address that is not listed must not make a loop either.
        standing.is_marked = edns.has_sibling_marker;
        standing.is_sibling = standing.is_marked && self.shared.is_sibling(client);
        if let (Some(cookie), Some(secrets)) = (&edns.cookie, self.shared.cookie_secrets()) {
            let judged = cookie.judge(secrets, client, self.shared.unix_time_s());
            let is_good = judged.is_some_and(|judged| judged.is_good);
            standing.is_verified |= is_good;
            standing.has_bad_cookie = !is_good && cookie.has_server_part();
            match (is_good, standing.has_bad_cookie) {
                (true, _) => self.counters().cookies_good.bump(),
                (false, true) => self.counters().cookies_bad.bump(),
                (false, false) => self.counters().cookies_new.bump(),
            }
            // RFC 7873 §5.2.2.
            standing.has_bad_option |= judged.is_none();
            standing.cookie = judged.map(|judged| judged.reply);
        }
        if transport == Transport::Tcp {
            // RFC 7828 §3.1 and §3.2.1: no time from a client; by UDP the option is ignored.
            standing.has_bad_option |= edns.keepalive == Some(Keepalive::Malformed);
            standing.keepalive = self.keepalive(edns);
        }
        standing
    }

    /// Counts a readable question of a client or a sibling.
    pub(super) fn count(&self, standing: &Standing, transport: Transport) {
        self.counters().count_query(transport);
        if standing.is_sibling {
            self.counters().sibling_queries.bump();
        }
    }

    /// How long a TCP connection may be silent, for who wants to know. RFC 7828 §3.3.2: a node that
    /// clients are moved away from tells all of them that none should stay.
    pub(super) fn keepalive(&self, edns: &Edns) -> Option<u16> {
        if self.shared.is_draining() {
            return Some(0);
        }
        edns.keepalive?;
        let units = self.counters().tcp_idle_ms.value() / KEEPALIVE_UNIT_MS;
        Some(u16::try_from(units).unwrap_or(u16::MAX))
    }
}

#[cfg(test)]
mod tests;
