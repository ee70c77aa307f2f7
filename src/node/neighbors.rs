//! The set of BGP neighbours: found, dialled, replaced without a gap, closed at the end.
//!
//! Source: RFC 4271 §4.2 (one identifier for all sessions of a node).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::session::{self, Session, Wanted};
use crate::admin::status::Neighbor;
use crate::bfd::driver::{Driver, Watch};
use crate::bgp::driver::RouteTable;
use crate::bgp::listener;
use crate::bgp::peer::PeerParameters;
use crate::bgp::{self, NeighborAddress, NeighborSettings, Route};
use crate::os::gateway::{self, Gateway, GatewayError, Local, NoNextHop};
use crate::os::netlink::Netlink;

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
    settings: Option<bgp::Settings>,
    services: Vec<IpAddr>,
    netlink: Option<Netlink>,
    identifier: Option<Ipv4Addr>,
    routes: watch::Sender<RouteTable>,
    sessions: Vec<Session>,
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
        Ok(Self {
            identifier: settings.as_ref().and_then(|settings| settings.router_id),
            settings,
            services,
            netlink,
            routes: watch::Sender::new(routes),
            sessions: Vec::new(),
            directory,
            metrics,
            bfd,
            changed: Rc::default(),
            refresh_at: None,
            warnings: Vec::new(),
            tentative_since: None,
            is_shut_down: false,
        })
    }

    /// The whole table that every neighbour should have.
    pub(super) fn announce(&self, routes: Vec<Route>, is_lease_good: bool) {
        self.routes.send_replace(RouteTable {
            routes: routes.into(),
            changed: Instant::now(),
            is_lease_good,
        });
    }

    /// Looks for neighbours soon: something on the host has changed.
    pub(super) fn refresh_soon(&mut self, now: Instant) {
        if self.settings.is_some() {
            let due = now + REFRESH_DELAY;
            self.refresh_at = Some(self.refresh_at.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// When [`Self::refresh`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.refresh_at
    }

    /// Finds out who the neighbours are now; starts, keeps and closes sessions accordingly.
    pub(super) async fn refresh(&mut self) {
        self.refresh_at = None;
        let Some(settings) = self.settings.clone().filter(|_| !self.is_shut_down) else {
            return;
        };
        let mut warnings = Vec::new();
        let mut wanted = Vec::new();
        match self.find_identifier().await {
            Ok(identifier) => {
                for (position, neighbor) in settings.neighbors.iter().enumerate() {
                    match self
                        .resolve(&settings, neighbor, position, identifier)
                        .await
                    {
                        Ok(found) => wanted.extend(found),
                        Err(error) => warnings.push(warning(neighbor, &error)),
                    }
                }
            }
            Err(error) => warnings.push(error),
        }
        for warning in warnings
            .iter()
            .filter(|warning| !self.warnings.contains(warning))
        {
            tracing::warn!(reason = warning, "neighbor not available; waiting");
        }
        if !warnings.is_empty() {
            self.refresh_at = Some(Instant::now() + REFRESH_RETRY);
        }
        self.warnings = warnings;
        self.reconcile(&wanted);
    }

    /// The next change of any session's state, or the end of a session.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes what changed: closes sessions whose successors are up, forgets those that ended.
    pub(super) fn settle(&mut self, now: Instant) {
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
            if waited > SUCCESSION_LIMIT || has_heir.contains(&session.wanted().setting) {
                session.close("neighbor is no longer the default gateway");
            }
        }
        if self.sessions.len() != before {
            // Somebody may have waited for the address to be free.
            self.refresh_soon(now);
        }
    }

    /// Carrier of an interface; true when that is news to a session that runs over it.
    pub(super) fn take_link(&mut self, index: u32, is_up: bool) -> bool {
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

    pub(super) fn status(&self, now: Instant) -> Vec<Neighbor> {
        let routes = self.routes.borrow();
        self.sessions
            .iter()
            .map(|session| session.describe(now, &routes.routes))
            .collect()
    }

    async fn find_identifier(&mut self) -> Result<Ipv4Addr, String> {
        if let Some(identifier) = self.identifier {
            return Ok(identifier);
        }
        let found = match &self.netlink {
            Some(netlink) => gateway::router_id(netlink, &self.services).await,
            None => Ok(None),
        };
        match found {
            Ok(Some(identifier)) => {
                tracing::info!(%identifier, "router id chosen");
                self.identifier = Some(identifier);
                Ok(identifier)
            }
            Ok(None) => Err("no unicast IPv4 address to take the router id from; \
                             set node.router_id"
                .to_owned()),
            Err(error) => Err(format!("router id: {error}")),
        }
    }

    async fn resolve(
        &self,
        settings: &bgp::Settings,
        neighbor: &NeighborSettings,
        setting: usize,
        identifier: Ipv4Addr,
    ) -> Result<Vec<Wanted>, GatewayError> {
        let parameters = |remote, source, local: Option<&Local>| PeerParameters {
            remote,
            local: source,
            local_asn: settings.asn,
            peer_asn: neighbor.asn,
            identifier,
            hold_time: neighbor.hold_time,
            passive: neighbor.passive,
            delay_open: neighbor.delay_open,
            security: neighbor.security.clone(),
            role: neighbor.role,
            families: neighbor.families,
            marks: neighbor.marks.clone(),
            has_bfd: neighbor.bfd.is_some(),
            next_hop_v4: local.and_then(|local| local.next_hop_v4.ok()),
            next_hop_v6: local.and_then(|local| local.next_hop_v6.ok()),
        };
        let wanted = |parameters, local: Option<&Local>| Wanted {
            parameters,
            interface_index: local.map(|local| local.interface_index),
            setting,
            is_tentative: local.is_some_and(|l| l.next_hop_v6 == Err(NoNextHop::Tentative)),
        };
        match (&neighbor.address, &self.netlink) {
            (NeighborAddress::Interface(_), _) => Err(GatewayError::NoDefaultRoute),
            (NeighborAddress::Ip(address), netlink) => {
                let address = *address;
                let remote = SocketAddr::new(address, neighbor.port);
                let local = match netlink {
                    Some(netlink) => {
                        Some(gateway::local_for(netlink, address, &self.services).await)
                    }
                    None => None,
                };
                let local = match (local, neighbor.source) {
                    // With a source of its own it can be dialled whatever netlink thinks.
                    (Some(Err(_)), Some(_)) | (None, _) => None,
                    (Some(Err(error)), None) => return Err(error),
                    (Some(Ok(local)), _) => Some(local),
                };
                let source = neighbor.source.or(local.as_ref().map(|local| local.source));
                let parameters = parameters(remote, source, local.as_ref());
                Ok(vec![wanted(parameters, local.as_ref())])
            }
            (NeighborAddress::DefaultGateway, None) => Err(GatewayError::NoDefaultRoute),
            (NeighborAddress::DefaultGateway, Some(netlink)) => {
                let gateways = gateway::default_gateways(netlink, &self.services).await?;
                let found = gateways.iter().map(|gateway| {
                    let local = &gateway.local;
                    let source = neighbor.source.unwrap_or(local.source);
                    let remote = remote(gateway, neighbor.port);
                    wanted(parameters(remote, Some(source), Some(local)), Some(local))
                });
                Ok(found.collect())
            }
        }
    }

    /// Begins BFD beside a session, if that is configured.
    fn watch(&self, wanted: &Wanted) -> Option<Watch> {
        let settings = self.settings.as_ref()?.neighbors.get(wanted.setting)?;
        let path = session::bfd::path(&wanted.parameters);
        let peer = wanted.parameters.remote.ip().to_string();
        Some(self.bfd.watch(settings.bfd.as_ref()?, path, peer))
    }

    /// How long some interface has been without a checked IPv6 address.
    fn tentative_for(&mut self, now: Instant, wanted: &[Wanted]) -> Duration {
        if !wanted.iter().any(|new| new.is_tentative) {
            self.tentative_since = None;
            return Duration::ZERO;
        }
        now.saturating_duration_since(*self.tentative_since.get_or_insert(now))
    }

    fn reconcile(&mut self, wanted: &[Wanted]) {
        let now = Instant::now();
        for session in &mut self.sessions {
            let old = session.wanted();
            let (address, setting) = (session.address(), old.setting);
            if wanted.iter().any(|new| old.still_fits(new)) {
                session.keep();
            } else if wanted
                .iter()
                .any(|new| new.parameters.remote.ip() == address)
            {
                // The same neighbour under new terms: two sessions would only collide.
                session.close("addresses of this node have changed");
            } else if wanted.iter().any(|new| new.setting == setting) {
                session.make_obsolete(now);
            }
        }
        let tentative_for = self.tentative_for(now, wanted);
        for new in wanted {
            let remote = new.parameters.remote;
            if new.is_tentative && tentative_for < TENTATIVE_LIMIT {
                // An event of the address follows; if it is lost, the clock.
                self.refresh_at = Some(now + REFRESH_RETRY);
                continue;
            }
            if self
                .sessions
                .iter()
                .any(|session| session.address() == remote.ip())
            {
                continue;
            }
            tracing::info!(peer = %remote, source = ?new.parameters.local, "neighbor found");
            let metrics = self.metrics.peer(remote.ip());
            let changed = Rc::clone(&self.changed);
            let routes = self.routes.subscribe();
            let bfd = self.watch(new);
            self.sessions
                .push(Session::start(new.clone(), routes, metrics, changed, bfd));
        }
        let directory = self
            .sessions
            .iter()
            .map(|s| (s.address(), s.inbound()))
            .collect();
        self.directory.send_replace(Arc::new(directory));
        self.settle(now);
    }
}

fn remote(gateway: &Gateway, port: u16) -> SocketAddr {
    match gateway.address {
        IpAddr::V4(address) => SocketAddr::from((address, port)),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, gateway.scope_id).into(),
    }
}

fn warning(neighbor: &NeighborSettings, error: &GatewayError) -> String {
    match &neighbor.address {
        NeighborAddress::Ip(address) => format!("neighbor {address}: {error}"),
        NeighborAddress::Interface(name) => format!("neighbor interface:{name}: {error}"),
        NeighborAddress::DefaultGateway => format!("neighbor default-gateway: {error}"),
    }
}
