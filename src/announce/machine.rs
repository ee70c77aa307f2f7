#![warn(clippy::wildcard_enum_match_arm)]
//! Announcing as a value: it asks for addresses, hands out the table of routes, and at the end
//! takes everything back in the one order that loses nothing.
//!
//! ```text
//! start  Bind → address present → lease says ready → Routes
//! stop   Routes (none) → linger → CloseSessions → closed → Unbind → gone → Done
//! ```
//! The table is a whole one each time: the speaker compares it with what it has told, so that a
//! change of level is one replacing UPDATE.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::ServiceSettings;
use super::order::{Input, Order, Step};
use super::plan::{Allowed, PlannedRoute, plan};
use crate::health::{Family, FloorLevel, Grant, Lease, Target};

/// The system is asked for the same address at most this often.
const BIND_RETRY: Duration = Duration::from_secs(1);
/// Sessions that do not close are waited for this long: half a second for a neighbour that does not
/// read, and three until it knows that BFD is switched off.
const CLOSE_LIMIT: Duration = Duration::from_secs(4);
/// Addresses that do not go are waited for this long.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// Which routes should be announced, and which addresses bound.
#[derive(Clone, Debug)]
pub struct Announcer {
    services: Vec<ServiceSettings>,
    linger: Duration,
    addresses: Vec<Address>,
    lease: Lease,
    phase: Phase,
    /// When the last route went.
    withdrawn_at: Option<Instant>,
    table: Vec<PlannedRoute>,
    is_table_told: bool,
    is_close_due: bool,
    is_done_due: bool,
}

/// What the owner of [`Announcer`] has to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Announce these routes and withdraw all others.
    Routes(Vec<PlannedRoute>),
    /// Add the address to the interface of its service; then tell
    /// [`Announcer::handle_address`] or [`Announcer::handle_bind_failed`].
    Bind(Target, IpAddr),
    /// Close all sessions with a Cease; then tell [`Announcer::handle_sessions_closed`].
    CloseSessions,
    /// Remove the address, if the node added it; then tell [`Announcer::handle_address`].
    Unbind(Target, IpAddr),
    /// Nothing is left to do: the process may end.
    Done,
}

/// Where the node is between start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Withdrawn for good; late queries are answered.
    Lingering,
    /// The sessions are closing.
    Closing {
        until: Instant,
    },
    /// The addresses are going.
    Unbinding {
        until: Instant,
    },
    Done,
}

#[derive(Clone, Debug)]
struct Address {
    target: Target,
    ip: IpAddr,
    is_own: bool,
    step: Step,
    next_bind_at: Instant,
    order: Option<Order>,
}

impl Announcer {
    /// Asks for all addresses at once and announces nothing; `linger` is the least time between
    /// the last withdrawal and the end of the sessions.
    #[must_use]
    pub fn new(services: Vec<ServiceSettings>, linger: Duration, now: Instant) -> Self {
        let addresses = services.iter().enumerate().flat_map(|(service, settings)| {
            settings.addresses.iter().map(move |ip| Address {
                target: Target {
                    service,
                    family: Family::of(*ip),
                },
                ip: *ip,
                is_own: settings.interface.is_some(),
                step: Step::Unbound,
                next_bind_at: now,
                order: None,
            })
        });
        let mut announcer = Self {
            addresses: addresses.collect(),
            services,
            linger,
            lease: Lease::default(),
            phase: Phase::Running,
            withdrawn_at: None,
            table: Vec::new(),
            is_table_told: true,
            is_close_due: false,
            is_done_due: false,
        };
        announcer.advance(now);
        announcer
    }

    /// Takes whether an address is on its interface; for a service that somebody else binds,
    /// whether it is on any.
    pub fn handle_address(&mut self, now: Instant, target: Target, is_present: bool) {
        let input = if is_present {
            Input::Present
        } else {
            Input::Absent
        };
        self.step(target, input);
        self.advance(now);
    }

    /// The system would not add an address. It is asked again after a second.
    pub fn handle_bind_failed(&mut self, now: Instant, target: Target) {
        self.step(target, Input::BindFailed);
        self.advance(now);
    }

    /// Takes what health allows. Due after every input of health.
    pub fn handle_lease(&mut self, now: Instant, lease: &Lease) {
        self.lease.clone_from(lease);
        self.advance(now);
    }

    /// The node ends: withdraws what is left, at once and for good.
    pub fn handle_stop(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            self.phase = Phase::Lingering;
            self.addresses.iter_mut().for_each(Address::take_back_bind);
        }
        self.advance(now);
    }

    /// The node has taken back its routes for good, or is about to: [`Self::handle_stop`].
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.phase != Phase::Running
    }

    /// Every session is closed. Counts only after [`Action::CloseSessions`].
    pub fn handle_sessions_closed(&mut self, now: Instant) {
        if let Phase::Closing { .. } = self.phase
            && !self.is_close_due
        {
            self.release(now);
        }
        self.advance(now);
    }

    /// Does what is due at `now`. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => {
                let unbound = self
                    .addresses
                    .iter()
                    .filter(|a| a.is_own && a.step == Step::Unbound);
                let expiry = self.lease.expires_at().filter(|_| !self.table.is_empty());
                unbound
                    .map(|address| address.next_bind_at)
                    .chain(expiry)
                    .min()
            }
            Phase::Lingering => self.withdrawn_at.map(|at| at + self.linger),
            Phase::Closing { until } | Phase::Unbinding { until } => Some(until),
            Phase::Done => None,
        }
    }

    /// The next thing to do. Of several tables only the latest is handed out.
    pub fn poll_action(&mut self) -> Option<Action> {
        if !self.is_table_told {
            self.is_table_told = true;
            return Some(Action::Routes(self.table.clone()));
        }
        if std::mem::take(&mut self.is_close_due) {
            return Some(Action::CloseSessions);
        }
        for address in &mut self.addresses {
            match address.order.take() {
                Some(Order::Bind) => return Some(Action::Bind(address.target, address.ip)),
                Some(Order::Unbind) => return Some(Action::Unbind(address.target, address.ip)),
                None => {}
            }
        }
        std::mem::take(&mut self.is_done_due).then_some(Action::Done)
    }

    /// The routes that should be announced now, sorted by prefix.
    #[must_use]
    pub fn routes(&self) -> &[PlannedRoute] {
        &self.table
    }

    /// How far each address is.
    pub fn steps(&self) -> impl Iterator<Item = (Target, Step)> {
        self.addresses
            .iter()
            .map(|address| (address.target, address.step))
    }

    fn step(&mut self, target: Target, input: Input) {
        if let Some(address) = self.addresses.iter_mut().find(|a| a.target == target) {
            address.take(input);
        }
    }

    fn advance(&mut self, now: Instant) {
        self.bind_what_is_missing(now);
        self.renew_table(now);
        self.go_on_stopping(now);
    }

    fn bind_what_is_missing(&mut self, now: Instant) {
        if self.phase != Phase::Running {
            return;
        }
        for address in &mut self.addresses {
            if address.step == Step::Unbound && address.next_bind_at <= now {
                address.take(Input::Begin);
                address.next_bind_at = now + BIND_RETRY;
            }
        }
    }

    fn renew_table(&mut self, now: Instant) {
        let grants = match self.phase {
            Phase::Running => self.lease.grants(now),
            Phase::Lingering | Phase::Closing { .. } | Phase::Unbinding { .. } | Phase::Done => &[],
        };
        let mut allowed = Vec::with_capacity(self.addresses.len());
        for address in &mut self.addresses {
            let grant = grants.iter().find(|grant| grant.target == address.target);
            let level = grant.filter(|grant| grant.ready).map(|grant| grant.level);
            address.take(Input::Allow(level));
            allowed.push(address.allowed(grant));
        }
        let table = plan(&self.services, &allowed);
        if table != self.table {
            if table.is_empty() {
                self.withdrawn_at = Some(now);
            }
            self.table = table;
            self.is_table_told = false;
        }
    }

    fn go_on_stopping(&mut self, now: Instant) {
        if self.phase == Phase::Lingering
            && self.withdrawn_at.is_none_or(|at| at + self.linger <= now)
        {
            self.phase = Phase::Closing {
                until: now + CLOSE_LIMIT,
            };
            self.is_close_due = true;
        }
        if let Phase::Closing { until } = self.phase
            && until <= now
        {
            self.release(now);
        }
        if let Phase::Unbinding { until } = self.phase
            && (until <= now || self.addresses.iter().all(|a| a.step == Step::Released))
        {
            self.phase = Phase::Done;
            self.is_done_due = true;
        }
    }

    fn release(&mut self, now: Instant) {
        self.phase = Phase::Unbinding {
            until: now + STOP_LIMIT,
        };
        for address in &mut self.addresses {
            address.take(Input::Release);
        }
    }
}

impl Address {
    fn take(&mut self, input: Input) {
        let (step, order) = self.step.next(input, self.is_own);
        self.step = step;
        // A later order replaces one that was not taken yet.
        self.order = order.or(self.order);
    }

    /// Forgets an order to bind that nobody has taken yet.
    fn take_back_bind(&mut self) {
        if self.order == Some(Order::Bind) {
            self.order = None;
            self.take(Input::BindFailed);
        }
    }

    fn allowed(&self, grant: Option<&Grant>) -> Allowed {
        let floor = grant.filter(|grant| grant.ready && self.step.is_bound());
        Allowed {
            service: self.target.service,
            address: self.ip,
            level: self.step.level(),
            is_leaving: grant.is_some_and(|grant| grant.leaving),
            floor: floor.map_or(FloorLevel::Withdrawn, |grant| grant.floor),
        }
    }
}

#[cfg(test)]
mod tests;
