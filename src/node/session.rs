//! One neighbour's session as a task of the routing thread, with the ends that lead to it.

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::neighbors::Running;
use crate::bfd::driver::Watch;
use crate::bgp::connection::State;
use crate::bgp::driver::{self, Command, PeerChannels, RouteTable};
use crate::bgp::listener::{self, PeerKey};
use crate::bgp::message::Family;
use crate::bgp::metrics::PeerMetrics;
use crate::bgp::peer::{PeerParameters, PeerStatus};
use crate::os::gateway::NoNextHop;

mod describe;

pub(super) use describe::Record;

pub(super) mod bfd;

/// Commands that the session has not taken yet. More are lost, with a warning.
const COMMANDS_WAITING: usize = 16;

/// A neighbour that should be talked to, with everything resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) parameters: PeerParameters,
    /// The link whose carrier the session lives by.
    pub(super) interface_index: Option<u32>,
    /// The neighbour is on the link itself, not behind a gateway.
    pub(super) is_on_link: bool,
    /// Position of its `[[bgp.neighbor]]`.
    pub(super) setting: usize,
    /// The interface's IPv6 address is still being checked for duplicates: there will be more to
    /// offer in a second or two.
    pub(super) is_tentative: bool,
    /// Families that are configured and cannot be offered, with the reason as far as it is known.
    pub(super) missing: Vec<(Family, Option<NoNextHop>)>,
}

/// What a running session needs in order to be one on new terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Nothing.
    Same,
    /// To be told where its routes lead now.
    NextHops {
        v4: Option<Ipv4Addr>,
        v6: Option<Ipv6Addr>,
    },
    /// To be replaced: addresses of the connection, and what an OPEN says, are for the life of it.
    Unfit,
}

impl Wanted {
    /// Tells neighbours apart, and one neighbour's sessions not.
    pub(super) fn key(&self) -> PeerKey {
        PeerKey::of(self.parameters.remote)
    }

    /// What a session on these terms needs for those of `new`.
    pub(super) fn fit(&self, new: &Self) -> Fit {
        let is_elsewhere =
            self.interface_index != new.interface_index || self.setting != new.setting;
        let v6 = match new.is_tentative && new.parameters.next_hop_v6.is_none() {
            // It had one before its link went down, most likely the one that is being checked.
            true => self.parameters.next_hop_v6,
            false => new.parameters.next_hop_v6,
        };
        let terms = PeerParameters {
            next_hop_v6: v6,
            ..new.parameters.clone()
        };
        if !is_elsewhere && terms == self.parameters {
            return Fit::Same;
        }
        let v4 = terms.next_hop_v4;
        let told = PeerParameters {
            next_hop_v4: v4,
            next_hop_v6: v6,
            ..self.parameters.clone()
        };
        if !is_elsewhere && told == terms && told.offered() == self.parameters.offered() {
            return Fit::NextHops { v4, v6 };
        }
        Fit::Unfit
    }
}

/// A running session.
pub(super) struct Session {
    wanted: Wanted,
    commands: mpsc::Sender<Command>,
    inbound: mpsc::Sender<TcpStream>,
    status: watch::Receiver<PeerStatus>,
    task: JoinHandle<()>,
    obsolete_since: Option<Instant>,
    is_closing: bool,
    /// BFD beside it.
    bfd: Option<Rc<Watch>>,
    /// The goodbye has been ordered: what accompanies the session knows it from here.
    is_leaving: Rc<Cell<bool>>,
    /// What it knows of its link; it begins in the belief that it is up.
    link_up: bool,
}

/// Rings when the task ends, be it by a panic: else nobody would know that it is over.
pub(super) struct Bell(pub(super) Rc<Notify>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Session {
    /// Starts its task; `changed` is notified of each change of state and of the end.
    pub(super) fn start(
        wanted: Wanted,
        routes: watch::Receiver<RouteTable>,
        metrics: PeerMetrics,
        changed: Rc<Notify>,
        bfd: Option<Watch>,
    ) -> Self {
        let (commands, orders) = mpsc::channel(COMMANDS_WAITING);
        let (inbound, accepted) = mpsc::channel(1);
        let (told, status) = watch::channel(PeerStatus::new(Instant::now()));
        let mut seen = status.clone();
        let channels = PeerChannels {
            routes,
            commands: orders,
            inbound: accepted,
            status: told,
            observer: None,
        };
        // In a task of its own: this one is woken by each change of state that the session itself makes,
        // and a session that is woken does not wait until all others have had their turn.
        let running = driver::run_peer(wanted.parameters.clone(), channels, metrics);
        let mut running = tokio::task::spawn_local(running);
        let bfd = bfd.map(Rc::new);
        let watch = bfd.clone();
        let is_leaving = Rc::<Cell<bool>>::default();
        let accompanying = bfd::accompany(
            watch.clone(),
            commands.downgrade(),
            status.clone(),
            Rc::clone(&is_leaving),
        );
        let task = tokio::task::spawn_local(async move {
            let bell = Bell(changed);
            tokio::pin!(accompanying);
            loop {
                tokio::select! {
                    // By a panic too.
                    _ = &mut running => break,
                    never = &mut accompanying => match never {},
                    Ok(()) = seen.changed() => bell.0.notify_one(),
                }
            }
            bfd::take_leave(watch).await;
        });
        Self {
            wanted,
            commands,
            inbound,
            status,
            task,
            obsolete_since: None,
            is_closing: false,
            bfd,
            is_leaving,
            link_up: true,
        }
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The neighbour's address, with its link if that is part of it.
    pub(super) fn name(&self) -> String {
        self.wanted.parameters.name()
    }

    /// Where connections that the neighbour opened are to be put.
    pub(super) fn inbound(&self) -> listener::Entry {
        listener::Entry {
            inbound: self.inbound.clone(),
            security: self.wanted.parameters.security.clone(),
        }
    }

    pub(super) fn is_established(&self) -> bool {
        self.status.borrow().state == State::Established
    }

    pub(super) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// It is wanted (again).
    pub(super) fn keep(&mut self) {
        self.obsolete_since = None;
    }

    /// Its routes lead elsewhere from now on. What is not taken is found missing at the next look.
    pub(super) fn take_next_hops(&mut self, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) {
        if self.order(Command::NextHops { v4, v6 }) {
            tracing::info!(peer = self.name(), ?v4, ?v6, "next hops changed");
            self.wanted.parameters.next_hop_v4 = v4;
            self.wanted.parameters.next_hop_v6 = v6;
        }
    }

    /// What decides on its fate.
    pub(super) fn running(&self) -> Running<'_> {
        let status = self.status.borrow();
        Running {
            terms: &self.wanted,
            is_link_up: self.link_up,
            lacks_ipv4: status.state == State::Established && !status.families.ipv4,
        }
    }

    /// It is no longer wanted, but stays until its successor is up.
    pub(super) fn make_obsolete(&mut self, now: Instant) {
        self.obsolete_since.get_or_insert(now);
    }

    /// Whether it is no longer wanted.
    pub(super) fn is_obsolete(&self) -> bool {
        self.obsolete_since.is_some() || self.is_closing
    }

    /// Whether its goodbye has been ordered.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// How long it has not been wanted; `None`: it is.
    pub(super) fn obsolete_for(&self, now: Instant) -> Option<Duration> {
        self.obsolete_since
            .map(|since| now.saturating_duration_since(since))
    }

    /// Carrier of the interface that it runs over; true when that is news. The kernel repeats
    /// itself for every other change of a link, and each "up" would cut the pause after a refusal.
    pub(super) fn take_link(&mut self, is_up: bool) -> bool {
        let is_news = self.link_up != is_up;
        let command = if is_up {
            Command::LinkUp
        } else {
            Command::LinkDown
        };
        if is_news && self.order(command) {
            self.link_up = is_up;
        }
        if let Some(bfd) = self.bfd.as_ref().filter(|_| is_news && !is_up) {
            bfd.path_down();
        }
        is_news
    }

    /// The neighbour on its link has just spoken: the next attempt need not wait.
    pub(super) fn hurry(&mut self) {
        let is_waiting = self.link_up && !self.is_established();
        if is_waiting && self.wanted.parameters.interface.is_some() {
            self.order(Command::LinkUp);
        }
    }

    /// Events of links were lost: whatever comes next is news if it is bad.
    pub(super) fn forget_link(&mut self) {
        self.link_up = true;
    }

    /// Closes it with a Cease; its task ends once that is written.
    pub(super) fn close(&mut self, text: &str) {
        if !self.is_closing {
            tracing::info!(peer = self.name(), reason = text, "closing session");
            self.is_closing = self.order(Command::Shutdown {
                text: text.to_owned(),
            });
            self.is_leaving.set(self.is_closing);
        }
    }

    /// Whether the order was taken.
    fn order(&self, command: Command) -> bool {
        let is_taken = self.commands.try_send(command).is_ok();
        if !is_taken {
            tracing::warn!(peer = self.name(), "session takes no orders");
        }
        is_taken
    }
}

#[cfg(test)]
mod tests;
