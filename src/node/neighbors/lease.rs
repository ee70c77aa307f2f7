//! What all sessions are told: the routes, and whether health renews its lease.

use std::time::Instant;

use super::Neighbors;
use crate::bgp::Route;
use crate::bgp::driver::RouteTable;

impl Neighbors {
    /// The whole table that every neighbour should have, and when that was decided.
    pub(in crate::node) fn announce(
        &self,
        routes: Vec<Route>,
        is_lease_good: bool,
        decided: Instant,
    ) {
        self.routes.send_replace(RouteTable {
            routes: routes.into(),
            changed: decided,
            is_lease_good,
        });
    }

    /// Whether health renews its lease. A neighbour that refuses to come back waits for this, and
    /// perhaps for no change of routes. What they are told.
    pub(in crate::node) fn tell_lease(&self, is_fresh: bool, is_ending: bool) -> bool {
        let mut is_good = is_fresh;
        self.routes.send_if_modified(|table| {
            is_good = is_lease_good(is_fresh, is_ending, table.is_lease_good);
            let is_news = table.is_lease_good != is_good;
            if is_news {
                table.is_lease_good = is_good;
                table.changed = Instant::now();
            }
            is_news
        });
        is_good
    }
}

/// Once the routes are taken back for good no lease is needed, so that it may run out while the node
/// ends. Before that, a stop needs it as everything does; and a lease that had run out is none: a
/// neighbour that could not be told so must not be met again.
const fn is_lease_good(is_fresh: bool, is_ending: bool, was_good: bool) -> bool {
    is_fresh || (is_ending && was_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Design §3, lease: once any stop counted as a good lease, from its beginning on, which let a
    /// neighbour come back that had not taken the withdraw.
    #[test]
    fn a_stop_needs_a_lease_until_the_routes_are_taken_back_and_makes_none_good() {
        for (is_fresh, is_ending, was_good, is_good) in [
            (true, false, false, true),
            (true, true, false, true),
            (false, false, true, false),
            (false, false, false, false),
            // The routes are gone: what runs out now runs out by the stop.
            (false, true, true, true),
            (false, true, false, false),
        ] {
            assert_eq!(is_lease_good(is_fresh, is_ending, was_good), is_good);
        }
    }
}
