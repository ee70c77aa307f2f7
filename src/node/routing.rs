//! The routing thread: health, announcing, BGP and netlink meet here, one turn per event.
//!
//! Nothing here waits for the query path: workers leave counters in atomics, and the prober asks
//! the service sockets as a client would.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::host::{Host, News};
use super::neighbors::Neighbors;
use super::quality::Quality;
use super::records::Records;
use super::signals::Signals;
use super::status::Reporter;
use crate::admin::Order;
use crate::announce::{Action, Announcer, PlannedLevel};
use crate::bgp;
use crate::dns::upstream::Upstreams;
use crate::health::check::CheckReport;
use crate::health::{self, DrainPhase, Event, Family, Health, ProbeReport, StartGate, Target};
use crate::os::link::{self, Monitor};
use crate::os::process::{self, Wish};

/// What the last words of the node to its neighbours are. RFC 9003.
const SHUTDOWN_TEXT: &str = "node is stopping";

/// Everything that the routing thread owns.
pub(super) struct Routing {
    pub(super) health: Health,
    pub(super) announcer: Announcer,
    pub(super) host: Host,
    pub(super) neighbors: Neighbors,
    pub(super) signals: Signals,
    pub(super) quality: Quality,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) metrics: health::metrics::Metrics,
    pub(super) reporter: Reporter,
    pub(super) records: Records,
    /// Between two samples of the workers' counters.
    pub(super) interval: Duration,
    pub(super) service_names: Vec<String>,
    pub(super) is_stopping: bool,
}

/// Where events come from.
pub(super) struct Inputs {
    pub(super) probes: Receiver<ProbeReport>,
    pub(super) orders: Receiver<Order>,
    /// What a start need not wait for any more; `None` once all was told.
    pub(super) gates: Option<Receiver<StartGate>>,
    pub(super) monitor: Option<Monitor>,
    pub(super) wishes: process::Signals,
    pub(super) checks: Receiver<CheckReport>,
}

/// The self-probe has ended, which it does by a panic alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the self-probe has ended, so nothing could be announced any more")]
pub struct Blind;

enum Turn {
    GoOn,
    Done,
}

impl Routing {
    /// Runs until everything is withdrawn, closed and unbound after a stop.
    ///
    /// # Errors
    /// [`Blind`] when it was no stop that anybody asked for.
    pub(super) async fn run(mut self, mut inputs: Inputs) -> Result<(), Blind> {
        self.neighbors.refresh(Instant::now());
        self.take_zones(Instant::now());
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let upstreams = Arc::clone(&self.upstreams);
        // Without a service there is nothing to probe.
        let (is_probing, mut is_blind) = (!self.service_names.is_empty(), false);
        while let Turn::GoOn = self.settle() {
            let due = [self.health.poll_timeout(), self.announcer.poll_timeout()];
            let due = due
                .into_iter()
                .flatten()
                .chain(self.neighbors.poll_timeout())
                .min();
            tokio::select! {
                biased;
                event = next_link_event(&mut inputs.monitor) => self.take_link_event(&event),
                news = self.host.next() => self.take_host(news),
                report = inputs.probes.recv(), if is_probing && !is_blind => match report {
                    Some(report) => self.take_probe(report),
                    None => {
                        is_blind = true;
                        self.take_blindness();
                    }
                },
                () = upstreams.flips().notified() => self.take_zones(Instant::now()),
                wish = inputs.wishes.next() => self.take_wish(wish),
                due = ticks.tick() => self.tick(due.into_std()),
                () = self.neighbors.changed() => self.take_neighbors(),
                () = self.reporter.peers.changed() => self.take_peers(),
                gate = next_gate(&mut inputs.gates) => self.take_gate(gate, &mut inputs.gates),
                Some(report) = inputs.checks.recv() => self.take_check(&report),
                Some(order) = inputs.orders.recv() => self.take_order(order),
                () = at(due) => self.take_timeout(),
            }
        }
        self.host.remove_routes(&self.reporter.services).await;
        if !is_blind {
            self.records.end(Instant::now(), &self.health);
        }
        if is_blind { Err(Blind) } else { Ok(()) }
    }

    /// Does all that follows from what was taken in.
    fn settle(&mut self) -> Turn {
        let mut verdict_at: Option<Instant> = None;
        while let Some(event) = self.health.poll_event() {
            if let Event::Verdict { verdict, .. } = &event {
                let since = verdict.since;
                verdict_at = Some(verdict_at.map_or(since, |first| first.min(since)));
            }
            self.metrics.record_event(&event);
            self.tell(&event);
            self.take_drain_event(&event);
            if event == Event::Drain(DrainPhase::Finished) {
                self.announcer.handle_stop(Instant::now());
            }
        }
        let now = Instant::now();
        self.announcer.handle_lease(now, self.health.lease());
        let is_fresh = self.health.lease().is_fresh(now);
        let is_good = (self.neighbors).tell_lease(is_fresh, self.announcer.is_ending());
        while let Some(action) = self.announcer.poll_action() {
            match action {
                Action::Routes(routes) => {
                    tell_routes(&routes, is_good);
                    let routes = routes.into_iter().map(bgp_route).collect();
                    let decided = verdict_at.unwrap_or(now);
                    self.neighbors.announce(routes, is_good, decided);
                }
                Action::Bind(target, address) => {
                    if !self.host.bind(target, address) {
                        self.announcer.handle_bind_failed(now, target);
                    }
                }
                Action::CloseSessions => self.neighbors.shut_down(SHUTDOWN_TEXT),
                Action::Unbind(target, address) => {
                    if !self.host.unbind(target, address) {
                        self.announcer.handle_address(now, target, false);
                    }
                }
                Action::Done => return Turn::Done,
            }
        }
        Turn::GoOn
    }

    fn tick(&mut self, due: Instant) {
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        self.health.handle_lateness(now, late);
        self.signals.tell(now, &mut self.health);
        for (service, check, outcome) in self.reporter.checks.missed(now) {
            self.health.handle_check(now, service, check, &outcome);
        }
        self.signals.feed_watchdog(now);
        if self.quality.tick(now, &mut self.health) {
            self.reporter.answers = self.quality.zones().collect();
        }
        self.reporter.peers.tick(&self.health);
        self.records.note(now, &self.health);
        self.publish(now);
        self.metrics
            .refresh(&self.health, now, super::status::unix_time());
    }

    fn take_presence(&mut self, now: Instant, target: Target, is_present: bool) {
        self.health.handle_address(now, target, is_present);
        self.announcer.handle_address(now, target, is_present);
    }

    fn take_probe(&mut self, report: ProbeReport) {
        self.metrics.record_probe(&report);
        self.health.handle_probe(Instant::now(), report);
    }

    fn take_check(&mut self, report: &CheckReport) {
        let now = Instant::now();
        self.reporter.checks.take(now, report);
        self.health
            .handle_check(now, report.service, report.check, &report.outcome);
    }

    /// Without its prober the node could announce nothing ever again, and nobody would know why:
    /// it leaves in good order, and its supervisor starts it anew.
    fn take_blindness(&mut self) {
        tracing::error!("the self-probe has ended: withdrawing and stopping");
        self.announcer.handle_stop(Instant::now());
    }

    /// Whoever opens gates may end early; a start must not wait for ever.
    fn take_gate(&mut self, gate: Option<StartGate>, gates: &mut Option<Receiver<StartGate>>) {
        let now = Instant::now();
        match gate {
            Some(gate) => self.health.handle_gate(now, gate),
            None => {
                *gates = None;
                for gate in StartGate::ALL {
                    self.health.handle_gate(now, gate);
                }
            }
        }
    }

    fn take_zones(&mut self, now: Instant) {
        for zone in self.upstreams.zones().filter(|zone| zone.critical) {
            self.health.handle_zone(now, zone.zone, !zone.usable);
        }
        self.reporter.peers.tell_able(&self.health);
    }

    fn take_link_event(&mut self, event: &link::Event) {
        let concerns_host = match event {
            link::Event::Link { index, name, up } => {
                if self.neighbors.take_link(*index, *up) {
                    tracing::info!(interface = name, up, "link changed");
                    self.upstreams.way_changed();
                }
                false
            }
            link::Event::LinkGone { index, name } => {
                if self.neighbors.take_link(*index, false) {
                    tracing::info!(interface = name, "link gone");
                }
                true
            }
            link::Event::Overrun => {
                tracing::warn!("netlink events were lost; looking at all");
                self.neighbors.forget_links();
                true
            }
            link::Event::AddressAdded { address, .. }
            | link::Event::AddressRemoved { address, .. } => self.host.binds(*address),
            link::Event::DefaultRoute => {
                self.upstreams.way_changed();
                false
            }
        };
        // Of events of other programs' interfaces and addresses there may be hundreds in a second.
        if concerns_host {
            self.host.look();
        }
        self.take_links(Instant::now());
        self.neighbors.refresh_soon(Instant::now());
    }

    /// Without a session the last word on the links holds: they go soon after their link.
    fn take_links(&mut self, now: Instant) {
        if let Some((up, of)) = self.neighbors.links() {
            self.health.handle_links(now, up, of);
        }
    }

    fn take_host(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Bound(target, true) => self.take_presence(now, target, true),
            News::Bound(target, false) => self.announcer.handle_bind_failed(now, target),
            News::Unbound(target) => self.announcer.handle_address(now, target, false),
            News::Looked(changes) => {
                for (target, is_present) in changes {
                    self.take_presence(now, target, is_present);
                }
            }
        }
    }

    fn take_neighbors(&mut self) {
        self.neighbors.settle(Instant::now());
        self.take_links(Instant::now());
        if self.neighbors.all_are_closed() {
            self.announcer.handle_sessions_closed(Instant::now());
        }
    }

    fn take_wish(&mut self, wish: Wish) {
        let now = Instant::now();
        match wish {
            Wish::Interrupt if self.is_stopping => {
                tracing::warn!("interrupted again: withdrawing at once");
                self.announcer.handle_stop(now);
            }
            Wish::Stop | Wish::Interrupt => {
                tracing::info!("stopping: draining first");
                process::notify_stopping("draining").unwrap_or_else(ignore_supervisor);
                self.is_stopping = true;
                self.health.handle_stop(now, "stop requested");
            }
            Wish::Reload => {
                tracing::warn!("reloading is not supported in this version; nothing was changed");
            }
        }
    }

    fn take_timeout(&mut self) {
        let now = Instant::now();
        self.health.handle_timeout(now);
        self.announcer.handle_timeout(now);
        // A tick may be 10 s away, more than the supervisor allows.
        self.signals.feed_watchdog(now);
        if self.neighbors.poll_timeout().is_some_and(|due| due <= now) {
            self.neighbors.refresh(now);
        }
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::Verdict {
                target,
                from,
                lasted,
                verdict,
            } => {
                if matches!(verdict.reason, health::Reason::Starting(_)) && *from == verdict.level {
                    // What a start waits for next is for `/status`.
                    return;
                }
                let service = self
                    .service_names
                    .get(target.service)
                    .map_or("", String::as_str);
                tracing::info!(
                    service,
                    family = target.family.as_str(),
                    %from,
                    to = %verdict.level,
                    class = verdict.class.map(health::FaultClass::as_str),
                    reason = %verdict.reason,
                    next = %verdict.next.in_words(verdict.since),
                    lasted_ms = lasted.as_millis(),
                    "verdict changed"
                );
            }
            Event::Departure(departure) => self.tell_departure(departure),
            Event::Drain(phase) => tracing::debug!(%phase, "drain of the node went on"),
        }
    }
}

/// The verdicts stay as they are when the lease runs out: nothing else tells about that.
fn tell_routes(routes: &[crate::announce::PlannedRoute], is_allowed: bool) {
    let routes: Vec<_> = routes.iter().map(|r| (r.prefix, r.level)).collect();
    if is_allowed {
        tracing::info!(?routes, "routes changed");
    } else {
        tracing::error!("health has had no fresh inputs for a second: all routes withdrawn");
    }
}

/// The announcer's words in the speaker's.
fn bgp_route(route: crate::announce::PlannedRoute) -> bgp::Route {
    bgp::Route {
        prefix: route.prefix,
        preference: match route.level {
            PlannedLevel::Preferred => bgp::Preference::Preferred,
            PlannedLevel::Backup | PlannedLevel::Leaving | PlannedLevel::LastResort => {
                let times = route.level.times();
                bgp::Preference::Backup { times }
            }
        },
        attributes: bgp::Attributes {
            prepend: route.marks.prepend,
            med: route.marks.med,
            local_pref: route.marks.local_pref,
            communities: route.marks.communities,
            large_communities: route.marks.large_communities,
        },
    }
}

/// A supervisor that does not listen is its own problem; the node goes on.
pub(super) fn ignore_supervisor(error: std::io::Error) {
    tracing::debug!(%error, "supervisor not told");
}

async fn next_link_event(monitor: &mut Option<Monitor>) -> link::Event {
    match monitor {
        Some(open) => match open.next().await {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(%error, "netlink events end; opening a new socket");
                *monitor = Monitor::open().ok();
                link::Event::Overrun
            }
        },
        None => std::future::pending().await,
    }
}

async fn next_gate(gates: &mut Option<Receiver<StartGate>>) -> Option<StartGate> {
    match gates {
        Some(gates) => gates.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever when there is nothing to wait for.
pub(super) async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Which target each service address is, in the order of the configuration.
pub(super) fn targets(
    services: &[crate::announce::ServiceSettings],
) -> impl Iterator<Item = (Target, std::net::SocketAddr)> {
    services.iter().enumerate().flat_map(|(service, settings)| {
        settings.addresses.iter().map(move |address| {
            let target = Target {
                service,
                family: Family::of(*address),
            };
            (target, std::net::SocketAddr::new(*address, settings.port))
        })
    })
}
