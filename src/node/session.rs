//! One neighbour's session as a task of the routing thread, with the ends that lead to it.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::admin::status::{Neighbor, SessionState};
use crate::bgp::connection::State;
use crate::bgp::driver::{self, Command, PeerChannels, RouteTable};
use crate::bgp::metrics::PeerMetrics;
use crate::bgp::peer::{PeerParameters, PeerStatus};
use crate::bgp::{PeerAsn, Route};

/// Commands that the session has not taken yet. More are lost, with a warning.
const COMMANDS_WAITING: usize = 16;

/// A neighbour that should be talked to, with everything resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) parameters: PeerParameters,
    pub(super) interface_index: Option<u32>,
    /// Position of its `[[bgp.neighbor]]`.
    pub(super) setting: usize,
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
}

impl Session {
    /// Starts its task; `changed` is notified of each change of state and of the end.
    pub(super) fn start(
        wanted: Wanted,
        routes: watch::Receiver<RouteTable>,
        metrics: PeerMetrics,
        changed: Rc<Notify>,
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
        let running = driver::run_peer(wanted.parameters.clone(), channels, metrics);
        let task = tokio::task::spawn_local(async move {
            tokio::pin!(running);
            loop {
                tokio::select! {
                    () = &mut running => break,
                    Ok(()) = seen.changed() => changed.notify_one(),
                }
            }
            changed.notify_one();
        });
        Self {
            wanted,
            commands,
            inbound,
            status,
            task,
            obsolete_since: None,
            is_closing: false,
        }
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The neighbour's address, which tells sessions apart.
    pub(super) fn address(&self) -> IpAddr {
        self.wanted.parameters.remote.ip()
    }

    /// Where connections that the neighbour opened are to be put.
    pub(super) fn inbound(&self) -> mpsc::Sender<TcpStream> {
        self.inbound.clone()
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

    /// It is no longer wanted, but stays until its successor is up.
    pub(super) fn make_obsolete(&mut self, now: Instant) {
        self.obsolete_since.get_or_insert(now);
    }

    /// How long it has not been wanted; `None`: it is.
    pub(super) fn obsolete_for(&self, now: Instant) -> Option<Duration> {
        self.obsolete_since
            .map(|since| now.saturating_duration_since(since))
    }

    /// Carrier of the interface that it runs over.
    pub(super) fn take_link(&self, is_up: bool) {
        self.order(if is_up {
            Command::LinkUp
        } else {
            Command::LinkDown
        });
    }

    /// Closes it with a Cease; its task ends once that is written.
    pub(super) fn close(&mut self, text: &str) {
        if !self.is_closing {
            self.is_closing = true;
            self.order(Command::Shutdown {
                text: text.to_owned(),
            });
        }
    }

    fn order(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!(peer = %self.address(), "session takes no orders");
        }
    }

    /// Its state in the words that go outwards; `routes` is what every neighbour should have.
    pub(super) fn describe(&self, now: Instant, routes: &[Route]) -> Neighbor {
        let status = self.status.borrow();
        let is_up = status.state == State::Established;
        let offered = routes.iter().filter(|route| {
            is_up
                && match route.prefix {
                    IpNet::V4(_) => status.families.ipv4,
                    IpNet::V6(_) => status.families.ipv6,
                }
        });
        Neighbor {
            address: self.address().to_string(),
            state: match status.state {
                State::Idle => SessionState::Idle,
                State::Connect => SessionState::Connect,
                State::Active => SessionState::Active,
                State::OpenSent => SessionState::OpenSent,
                State::OpenConfirm => SessionState::OpenConfirm,
                State::Established => SessionState::Established,
            },
            since_s: now.saturating_duration_since(status.since).as_secs(),
            asn: status.peer_asn.or(match self.wanted.parameters.peer_asn {
                PeerAsn::Number(number) => Some(number),
                PeerAsn::Internal => Some(self.wanted.parameters.local_asn),
                PeerAsn::External => None,
            }),
            router_id: status.peer_identifier,
            source: status.local.or(self.wanted.parameters.local),
            hold_time_s: is_up.then(|| {
                let agreed = status.hold_time.unwrap_or_default().as_secs();
                u16::try_from(agreed).unwrap_or(u16::MAX)
            }),
            announced: offered.map(|route| route.prefix.to_string()).collect(),
            last_error: status.last_end.clone(),
        }
    }
}
