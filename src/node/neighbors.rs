//! The set of BGP neighbours: found, dialled, replaced without a gap, closed at the end.
//!
//! Source: RFC 4271 §4.2 (one identifier for all sessions of a node).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use self::inquiry::{Answer, Inquiry};
use self::reconcile::{Fate, fate};
use self::resolve::{Resolver, name, warning};
use self::unnumbered::Unnumbered;
use super::session::{self, Record, Session, Wanted};
use crate::bfd::driver::{Driver, Watch};
use crate::bgp::driver::RouteTable;
use crate::bgp::listener;
use crate::bgp::{self, NeighborAddress, Route};
use crate::os::advertisement;
use crate::os::gateway::View;
use crate::os::netlink::Netlink;

pub(super) use self::reconcile::Running;

mod inquiry;
mod links;
mod reconcile;
mod resolve;
mod unnumbered;

/// Events of addresses and routes come in bursts: they are looked at together.
const REFRESH_DELAY: Duration = Duration::from_millis(20);
/// What cannot be found is looked for again, event or not.
const REFRESH_RETRY: Duration = Duration::from_secs(2);
/// A first session waits so long for the check of the IPv6 address (RFC 4862 §5.4), so that it need
/// not be replaced, and IPv4 withdrawn with it, a second later.
const TENTATIVE_LIMIT: Duration = Duration::from_secs(5);
/// A session that is no longer wanted waits so long for its successor to be Established.
const SUCCESSION_LIMIT: Duration = Duration::from_secs(30);

/// All neighbours.
pub(super) struct Neighbors {
    settings: Option<Arc<bgp::Settings>>,
    /// A router has just begun to speak, perhaps again: sessions need not wait any longer.
    has_heard: bool,
    /// `None`: nothing of the settings needs the kernel's tables.
    inquiry: Option<Inquiry>,
    identifier: Option<Ipv4Addr>,
    routes: watch::Sender<RouteTable>,
    sessions: Vec<Session>,
    unnumbered: Unnumbered,
    directory: watch::Sender<listener::Neighbors>,
    metrics: bgp::metrics::Metrics,
    bfd: Driver,
    changed: Rc<Notify>,
    refresh_at: Option<Instant>,
    warnings: Vec<String>,
    tentative_since: Option<Instant>,
    is_shut_down: bool,
}

impl Neighbors {
    pub(super) fn new(
        settings: Option<bgp::Settings>,
        services: Vec<IpAddr>,
        netlink: Option<Netlink>,
        metrics: bgp::metrics::Metrics,
        discovery: &advertisement::Metrics,
        bfd: Driver,
    ) -> Result<Self, listener::BindError> {
        let (directory, neighbors) = watch::channel(listener::Neighbors::default());
        let addresses = settings.iter().flat_map(|settings| settings.listen.clone());
        let listeners = listener::bind(&addresses.collect::<Vec<_>>())?;
        if !listeners.is_empty() {
            let accepting = listener::run(listeners, neighbors, metrics.listener());
            tokio::task::spawn_local(accepting);
        }
        let routes = RouteTable {
            routes: Arc::from([]),
            changed: Instant::now(),
            is_lease_good: false,
        };
        let inquiry = netlink
            .zip(settings.as_ref())
            .map(|(netlink, settings)| Inquiry::new(netlink, services, &settings.neighbors));
        let changed = Rc::default();
        let unnumbered = Unnumbered::start(settings.as_ref(), discovery, &changed);
        Ok(Self {
            identifier: settings.as_ref().and_then(|settings| settings.router_id),
            has_heard: false,
            inquiry,
            settings: settings.map(Arc::new),
            routes: watch::Sender::new(routes),
            sessions: Vec::new(),
            unnumbered,
            directory,
            metrics,
            bfd,
            changed,
            refresh_at: None,
            warnings: Vec::new(),
            tentative_since: None,
            is_shut_down: false,
        })
    }

    /// The whole table that every neighbour should have, and when that was decided.
    pub(super) fn announce(&self, routes: Vec<Route>, is_lease_good: bool, decided: Instant) {
        self.routes.send_replace(RouteTable {
            routes: routes.into(),
            changed: decided,
            is_lease_good,
        });
    }

    /// Whether health renews its lease. A neighbour that refuses to come back waits for this, and
    /// perhaps for no change of routes.
    pub(super) fn tell_lease(&self, is_good: bool) {
        self.routes.send_if_modified(|table| {
            let is_news = table.is_lease_good != is_good;
            if is_news {
                table.is_lease_good = is_good;
                table.changed = Instant::now();
            }
            is_news
        });
    }

    /// Looks for neighbours soon: something on the host has changed.
    pub(super) fn refresh_soon(&mut self, now: Instant) {
        if self.settings.is_some() && !self.is_shut_down {
            let due = now + REFRESH_DELAY;
            self.refresh_at = Some(self.refresh_at.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// When [`Self::refresh`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.refresh_at
    }

    /// Begins to find out who the neighbours are now.
    pub(super) fn refresh(&mut self, now: Instant) {
        self.refresh_at = None;
        match &mut self.inquiry {
            Some(inquiry) => inquiry.begin(&self.changed),
            None => self.take_view(now, None),
        }
    }

    fn take_answer(&mut self, now: Instant) {
        let Some(inquiry) = &mut self.inquiry else {
            return;
        };
        let Some(answer) = inquiry.take() else {
            return;
        };
        if inquiry.is_outdated() {
            self.refresh_soon(now);
        }
        match answer {
            Answer::Told(Ok(view)) => self.take_view(now, Some(&view)),
            // What is known stays true until the kernel says otherwise.
            Answer::Told(Err(error)) => self.take_warnings(now, vec![error.to_string()]),
            Answer::Lost => self.refresh_at = Some(now + REFRESH_RETRY),
        }
    }

    fn take_view(&mut self, now: Instant, view: Option<&View>) {
        let Some(settings) = self.settings.clone().filter(|_| !self.is_shut_down) else {
            return;
        };
        if let Some(view) = view {
            self.unnumbered.attach(view);
        }
        let Some(identifier) = self.find_identifier(view) else {
            let text = "no unicast IPv4 address to take the router id from; set node.router_id";
            return self.take_warnings(now, vec![text.to_owned()]);
        };
        let (mut warnings, mut wanted) = (Vec::new(), Vec::new());
        let resolver = Resolver {
            settings: &settings,
            identifier,
            view,
        };
        for (setting, neighbor) in settings.neighbors.iter().enumerate() {
            let choice = match (&neighbor.address, view) {
                (NeighborAddress::Interface(interface), Some(view)) => {
                    let (current, is_up) = self.current_router(setting);
                    let links = &self.unnumbered;
                    links.choose(interface, view, current, is_up, now)
                }
                _ => advertisement::Choice::default(),
            };
            let others = choice.others.iter();
            warnings.extend(others.map(|other| {
                let name = name(neighbor);
                format!("neighbor {name}: {other} is a router on the same link, and left alone")
            }));
            match resolver.resolve(setting, neighbor, choice.router) {
                Ok(found) => wanted.extend(found),
                Err(error) => warnings.push(warning(neighbor, &error)),
            }
        }
        self.take_warnings(now, warnings);
        self.reconcile(now, &wanted);
    }

    fn take_warnings(&mut self, now: Instant, warnings: Vec<String>) {
        for warning in warnings
            .iter()
            .filter(|warning| !self.warnings.contains(warning))
        {
            tracing::warn!(reason = warning, "neighbor not as configured; waiting");
        }
        if !warnings.is_empty() {
            self.refresh_at = Some(self.refresh_at.unwrap_or(now + REFRESH_RETRY));
        }
        self.warnings = warnings;
    }

    /// Whom an unnumbered neighbour's session is with, and whether it is up.
    fn current_router(&self, setting: usize) -> (Option<Ipv6Addr>, bool) {
        let mut sessions = self.sessions.iter();
        let current =
            sessions.find(|session| session.wanted().setting == setting && !session.is_obsolete());
        match current {
            Some(session) => (
                unnumbered::v6(session.wanted().parameters.remote.ip()),
                session.is_established(),
            ),
            None => (None, false),
        }
    }

    /// The next change of any session's state, or the end of a session.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes what changed: closes sessions whose successors are up, forgets those that ended.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.unnumbered.take_news() {
            self.has_heard = true;
            self.refresh(now);
        }
        self.take_answer(now);
        self.part(now);
        let sessions = &self.sessions;
        self.unnumbered.take_sessions(|interface| {
            let mut there = sessions.iter().filter(|session| {
                session.wanted().parameters.interface.as_deref() == Some(interface)
            });
            there.any(Session::is_established)
        });
    }

    fn part(&mut self, now: Instant) {
        let before = self.sessions.len();
        self.sessions.retain(|session| !session.is_finished());
        let has_heir: Vec<usize> = self
            .sessions
            .iter()
            .filter(|session| session.obsolete_for(now).is_none() && session.is_established())
            .map(|session| session.wanted().setting)
            .collect();
        for session in &mut self.sessions {
            let Some(waited) = session.obsolete_for(now) else {
                continue;
            };
            // One that is up does no harm until its heir is, should that one never come up.
            let is_given_up = waited > SUCCESSION_LIMIT && !session.is_established();
            if is_given_up || has_heir.contains(&session.wanted().setting) {
                session.close("another neighbor has taken its place");
            }
        }
        if self.sessions.len() != before {
            // Somebody may have waited for the address to be free.
            self.refresh_soon(now);
        }
    }

    /// Carrier of an interface; true when that is news to a session that runs over it.
    pub(super) fn take_link(&mut self, index: u32, is_up: bool) -> bool {
        if !is_up {
            self.unnumbered.take_link_down(index);
        }
        let over_it = |session: &&mut Session| session.wanted().interface_index == Some(index);
        let sessions = self.sessions.iter_mut().filter(over_it);
        // All of them are told.
        sessions.fold(false, |is_news, session| session.take_link(is_up) | is_news)
    }

    /// Events of links were lost.
    pub(super) fn forget_links(&mut self) {
        self.sessions.iter_mut().for_each(Session::forget_link);
    }

    /// Closes all sessions for good with a Cease that carries this text (RFC 9003).
    pub(super) fn shut_down(&mut self, text: &str) {
        self.is_shut_down = true;
        for session in &mut self.sessions {
            session.close(text);
        }
        self.changed.notify_one();
    }

    pub(super) fn all_are_closed(&self) -> bool {
        self.is_shut_down && self.sessions.iter().all(Session::is_finished)
    }

    /// What is worse than configured.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// What is known of each.
    pub(super) fn records(&self) -> Vec<Record> {
        self.sessions.iter().map(Session::record).collect()
    }

    fn find_identifier(&mut self, view: Option<&View>) -> Option<Ipv4Addr> {
        if self.identifier.is_none() {
            self.identifier = view.and_then(View::router_id);
            if let Some(identifier) = self.identifier {
                tracing::info!(%identifier, "router id chosen");
            }
        }
        self.identifier
    }

    /// Begins BFD beside a session, if that is configured.
    fn watch(&self, wanted: &Wanted) -> Option<Watch> {
        let settings = self.settings.as_ref()?.neighbors.get(wanted.setting)?;
        let settings = settings.bfd.as_ref()?;
        Some(session::bfd::begin(&self.bfd, settings, &wanted.parameters))
    }

    /// How long some interface has been without a checked IPv6 address.
    fn tentative_for(&mut self, now: Instant, wanted: &[Wanted]) -> Duration {
        if !wanted.iter().any(|new| new.is_tentative) {
            self.tentative_since = None;
            return Duration::ZERO;
        }
        now.saturating_duration_since(*self.tentative_since.get_or_insert(now))
    }

    fn reconcile(&mut self, now: Instant, wanted: &[Wanted]) {
        let has_heard = std::mem::take(&mut self.has_heard);
        for session in &mut self.sessions {
            match fate(session.running(), wanted) {
                Fate::Keep => {
                    session.keep();
                    if has_heard {
                        session.hurry();
                    }
                }
                Fate::Tell { v4, v6 } => {
                    session.keep();
                    session.take_next_hops(v4, v6);
                }
                Fate::Close => session.close("addresses of this node have changed"),
                Fate::Retire => session.make_obsolete(now),
                Fate::Leave => {}
            }
        }
        let tentative_for = self.tentative_for(now, wanted);
        for new in wanted {
            let is_growing = new.is_tentative && !new.parameters.offered().ipv6;
            if is_growing && tentative_for < TENTATIVE_LIMIT {
                // An event of the address follows; if it is lost, the clock.
                self.refresh_at = Some(now + REFRESH_RETRY);
                continue;
            }
            let mut sessions = self.sessions.iter();
            if sessions.any(|session| session.wanted().key() == new.key()) {
                continue;
            }
            let name = new.parameters.name();
            tracing::info!(peer = name, source = ?new.parameters.local, "neighbor found");
            let metrics = self.metrics.peer(&name);
            let changed = Rc::clone(&self.changed);
            let routes = self.routes.subscribe();
            let bfd = self.watch(new);
            self.sessions
                .push(Session::start(new.clone(), routes, metrics, changed, bfd));
        }
        let sessions = self.sessions.iter();
        let directory = sessions.map(|session| (session.wanted().key(), session.inbound()));
        self.directory.send_replace(Arc::new(directory.collect()));
        self.part(now);
    }
}
