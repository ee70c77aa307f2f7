//! The dead-man switch: a withdraw on a stale lease arrives soon, or the session goes.
//!
//! Source: the design's section 3 (lease); RFC 9293 §3.8 (what TCP acknowledges). "Arrives" means
//! that the neighbour's TCP has acknowledged every octet: what the kernel has merely taken may lie
//! in a socket whose far end is gone.

use std::time::{Duration, Instant};

use crate::bgp::connection::End;

/// How long a withdraw may take. A delayed acknowledgement takes 40 to 200 ms, and a lost segment
/// is sent again after 200 ms or so; what takes longer is not a path that routes should rely on.
pub(super) const LIMIT: Duration = Duration::from_millis(500);
/// The kernel does not tell when something is acknowledged: it is asked so often.
const LOOK: Duration = Duration::from_millis(20);

/// Whether the neighbour has heard that a lease is stale.
#[derive(Debug, Default)]
pub(super) struct DeadMan {
    is_stale: bool,
    waiting: Option<Waiting>,
    has_fired: bool,
}

#[derive(Debug)]
struct Waiting {
    deadline: Instant,
    next_look: Instant,
}

impl DeadMan {
    /// `is_session`: there is somebody who has to hear of it.
    pub(super) fn handle_lease(&mut self, now: Instant, is_good: bool, is_session: bool) {
        if is_good {
            *self = Self::default();
        } else if !self.is_stale {
            self.is_stale = true;
            self.waiting = is_session.then(|| Waiting {
                deadline: now + LIMIT,
                next_look: now + LOOK,
            });
        }
    }

    /// Everything has arrived.
    pub(super) fn handle_delivered(&mut self) {
        self.waiting = None;
    }

    /// The session is over; `true`: without the neighbour's having heard, as far as can be known.
    /// What it says itself it knows; a closed connection may also be one that broke. An operator's
    /// goodbye has its own time to arrive.
    pub(super) fn handle_end(&mut self, end: &End) -> bool {
        let is_known = match end {
            End::Received(_) => true,
            End::Sent(notification) => notification.is_administrative(),
            End::ConnectTimeout
            | End::ConnectFailed
            | End::Closed
            | End::Dropped
            | End::Undelivered => false,
        };
        let fires = self.waiting.take().is_some() && !is_known;
        self.has_fired |= fires;
        fires
    }

    /// `true`: the withdraw is overdue.
    pub(super) fn is_overdue(&mut self, now: Instant) -> bool {
        let Some(waiting) = &mut self.waiting else {
            return false;
        };
        if waiting.next_look <= now {
            waiting.next_look = now + LOOK;
        }
        waiting.deadline <= now
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.as_ref()?;
        Some(waiting.deadline.min(waiting.next_look))
    }

    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// There is no session until the lease is good again.
    pub(super) fn has_fired(&self) -> bool {
        self.has_fired
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use super::*;
    use crate::bgp::notification::Notification;

    const TICK: Duration = Duration::from_millis(1);

    fn stale() -> (DeadMan, Instant) {
        let now = Instant::now();
        let mut dead_man = DeadMan::default();
        dead_man.handle_lease(now, false, true);
        (dead_man, now)
    }

    /// Own rule: just before and at the limit; saying "stale" again does not move it.
    #[test]
    fn a_withdraw_is_overdue_after_its_limit() {
        let (mut dead_man, start) = stale();
        dead_man.handle_lease(start + LIMIT - TICK, false, true);
        assert!(!dead_man.is_overdue(start + LIMIT - TICK));
        assert!(dead_man.is_overdue(start + LIMIT));
        assert!(!dead_man.has_fired());
        assert!(dead_man.handle_end(&End::Undelivered));
        assert!(dead_man.has_fired() && !dead_man.is_overdue(start + LIMIT));
        dead_man.handle_lease(start + LIMIT, false, true);
        assert!(dead_man.has_fired() && !dead_man.is_waiting());
        dead_man.handle_lease(start + LIMIT, true, false);
        assert!(!dead_man.has_fired() && !dead_man.is_stale());
    }

    /// Nobody to tell, or told in time: no harm.
    #[test]
    fn a_withdraw_that_arrives_in_time_changes_nothing() {
        let (mut dead_man, start) = stale();
        dead_man.handle_delivered();
        assert!(!dead_man.is_overdue(start + LIMIT));
        assert!(!dead_man.handle_end(&End::Closed));
        let mut lonely = DeadMan::default();
        lonely.handle_lease(start, false, false);
        assert_eq!(lonely.poll_timeout(), None);
        assert!(!lonely.is_overdue(start + LIMIT));
        assert!(lonely.is_stale());
    }

    /// The kernel is asked every 20 ms, and the limit is never slept over.
    #[test]
    fn it_looks_often_while_it_waits() {
        let (mut dead_man, start) = stale();
        let (mut now, mut looks) = (start, 0);
        while !dead_man.is_overdue(now) {
            let next = dead_man.poll_timeout().unwrap();
            assert!(next > now && next <= now + LOOK);
            now = next;
            looks += 1;
        }
        assert_eq!((now, looks), (start + LIMIT, 25));
    }

    /// A session that ends while it waits has not told its neighbour, unless that one ended it.
    #[test]
    fn an_end_before_the_withdraw_has_arrived_fires_too() {
        let shutdown = Notification::administrative_shutdown("");
        for (end, fires) in [
            (End::Closed, true),
            (End::Dropped, true),
            (End::Sent(Notification::hold_timer_expired()), true),
            (End::Sent(shutdown.clone()), false),
            (End::Received(shutdown), false),
        ] {
            let (mut dead_man, _) = stale();
            assert_eq!(dead_man.handle_end(&end), fires, "{end}");
            assert_eq!(dead_man.has_fired(), fires, "{end}");
        }
    }
}
