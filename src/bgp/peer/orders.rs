//! What the node tells a neighbour: orders, and the state of link, path and lease.
//!
//! Source: RFC 9003 (text of a shutdown), RFC 5882 §3, RFC 9384 (BFD).

use std::time::Instant;

use super::{Peer, Slot};
use crate::bgp::BfdState;
use crate::bgp::connection::State;
use crate::bgp::notification::Notification;

impl Peer {
    /// Says goodbye with a text (Cease 6/2) and stays away. RFC 9003.
    pub fn handle_shutdown(&mut self, now: Instant, text: &str) {
        self.running = false;
        self.restart = None;
        for slot in Slot::ALL {
            let goodbye = Notification::administrative_shutdown(text);
            self.side(slot).connection.handle_stop(goodbye);
        }
        self.settle(now);
    }

    /// Says goodbye with a text (Cease 6/4) and comes back.
    pub fn handle_reset(&mut self, now: Instant, text: &str) {
        for slot in Slot::ALL {
            let goodbye = Notification::administrative_reset(text);
            self.side(slot).connection.handle_stop(goodbye);
        }
        self.settle(now);
    }

    /// The link towards the neighbour is gone: nothing that is written would arrive.
    pub fn handle_link_down(&mut self, now: Instant) {
        for slot in Slot::ALL {
            self.side(slot).connection.handle_drop();
        }
        self.settle(now);
    }

    /// The link is back: what waits for its next attempt need not wait.
    pub fn handle_link_up(&mut self, now: Instant) {
        if self.restart.is_some() {
            self.restart = Some(self.opens_at.map_or(now, |at| at.max(now)));
        }
        self.dialled.connection.handle_hurry(now);
        self.handle_timeout(now);
    }

    /// What BFD says about the path to the neighbour.
    pub fn handle_bfd(&mut self, now: Instant, state: BfdState) {
        let is_session = self.state >= State::OpenConfirm;
        if self.path.handle_bfd(now, state, is_session) {
            self.close_for_bfd();
        }
        self.settle(now);
    }

    /// Whether health renews its lease. While it does not, the table counts as empty, whatever it
    /// says; the table has to be told again afterwards.
    pub fn handle_lease(&mut self, now: Instant, is_good: bool) {
        let had_fired = self.dead_man.has_fired();
        let is_session = self.established.is_some();
        self.dead_man.handle_lease(now, is_good, is_session);
        if !is_good {
            self.rib_out.set_routes(&[]);
        } else if had_fired && self.running {
            self.begin(now);
        }
        self.settle(now);
    }

    /// The session whose TCP is to be asked whether everything has been acknowledged: all that the
    /// neighbour must hear on a stale lease has been handed out. The answer is
    /// [`Self::handle_delivered`].
    #[must_use]
    pub fn poll_delivery(&self) -> Option<Slot> {
        self.established
            .filter(|_| self.dead_man.is_waiting() && !self.rib_out.is_pending())
    }

    /// The neighbour's TCP has acknowledged every octet.
    pub fn handle_delivered(&mut self) {
        self.dead_man.handle_delivered();
    }

    /// RFC 9384 §3.
    pub(super) fn close_for_bfd(&mut self) {
        for slot in Slot::ALL {
            let connection = &mut self.side(slot).connection;
            if connection.state() >= State::OpenConfirm {
                connection.handle_stop(Notification::bfd_down());
            }
        }
    }

    /// The withdraw is overdue: nothing may be left that could keep the routes alive.
    pub(super) fn part(&mut self) {
        for slot in Slot::ALL {
            match self.established == Some(slot) {
                true => self.side(slot).connection.handle_undelivered(),
                false => self.side(slot).connection.handle_drop(),
            }
        }
    }
}
