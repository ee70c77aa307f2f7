//! Runs one neighbour: sockets, clock and channels around a `Peer`.
//!
//! Source: RFC 4271 §8 (events from and to TCP), RFC 9003 (text of a shutdown, in the log).
#![expect(clippy::disallowed_methods, reason = "a shell: reads the clocks")]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::connection::End;
use super::metrics::PeerMetrics;
use super::open::Negotiated;
use super::peer::{Ends, Event, Peer, PeerParameters, PeerStatus, Slot};
use super::update::Update;
use super::{BfdState, Route};

mod journal;
mod link;

use journal::Journal;
use link::{Links, Signal};

/// Octets of a neighbour that are worked through before others have their turn.
const TURN: usize = 16 * 1024;
/// The longest time that a last message may take. The peer's own close ends it sooner.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the node tells a neighbour's task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Cease 6/2 with a text (RFC 9003), then the task ends.
    Shutdown {
        /// At most 255 octets are sent.
        text: String,
    },
    /// Cease 6/4 with a text, then the session is opened anew.
    Reset {
        /// At most 255 octets are sent.
        text: String,
    },
    /// The link towards the neighbour has lost its carrier.
    LinkDown,
    /// The link towards the neighbour is back.
    LinkUp,
    /// What BFD says about the path to the neighbour.
    Bfd(BfdState),
    /// The routes lead elsewhere from now on: the neighbour is told by UPDATEs. For changes that
    /// leave [`PeerParameters::offered`] as it is.
    NextHops {
        /// See [`PeerParameters::next_hop_v4`].
        v4: Option<Ipv4Addr>,
        /// See [`PeerParameters::next_hop_v6`].
        v6: Option<Ipv6Addr>,
    },
}

/// The routes that every neighbour should know; the latest is what counts.
#[derive(Clone, Debug)]
pub struct RouteTable {
    /// All of them, each prefix once.
    pub routes: Arc<[Route]>,
    /// When the verdict fell that they follow from: the time to the last UPDATE written is measured
    /// from here.
    pub changed: Instant,
    /// Health renews its lease. If not, there are no routes, and a neighbour that cannot be told
    /// so must lose the session.
    pub is_lease_good: bool,
}

/// What a session tells to somebody who follows the neighbour's routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Routes flow; nothing is known yet.
    Established(Negotiated),
    /// The neighbour announced or withdrew something.
    Update(Update),
    /// The session is over, and with it every route of the neighbour.
    Down(End),
}

/// How a neighbour's task is connected to the rest.
#[derive(Debug)]
pub struct PeerChannels {
    /// The wanted routes.
    pub routes: watch::Receiver<RouteTable>,
    /// Orders. A closed channel is a shutdown.
    pub commands: mpsc::Receiver<Command>,
    /// Connections that the neighbour opened; one place is enough, the listener drops the surplus.
    pub inbound: mpsc::Receiver<TcpStream>,
    /// Where the neighbour's state is shown.
    pub status: watch::Sender<PeerStatus>,
    /// Who follows the neighbour's routes; the node does not. While the channel is full, nothing more
    /// is read from the neighbour.
    pub observer: Option<mpsc::Sender<Notice>>,
}

/// Speaks BGP with one neighbour until a [`Command::Shutdown`]; the Cease is then written, or 500 ms
/// have passed, before this returns.
pub async fn run_peer(parameters: PeerParameters, channels: PeerChannels, metrics: PeerMetrics) {
    let now = clock();
    let PeerChannels {
        mut routes,
        mut commands,
        mut inbound,
        status,
        observer,
    } = channels;
    let mut task = Task {
        journal: Journal::new(parameters.name()),
        links: Links::new(&parameters),
        peer: Peer::new(parameters, rand::random(), now),
        status,
        observer,
        notices: VecDeque::new(),
        metrics,
        unwritten: None,
        ends: None,
        buffer: vec![0; TURN],
    };
    task.take_routes(&routes.borrow_and_update());
    task.peer.handle_start(now);
    let (mut has_routes, mut has_inbound) = (true, true);
    loop {
        task.catch_up().await;
        task.settle();
        let deadline = task.peer.poll_timeout();
        let reads = task.notices.is_empty();
        // In order of urgency: whatever a neighbour sends, orders and routes come first.
        tokio::select! {
            biased;
            command = commands.recv() => {
                let command = command.unwrap_or(Command::Shutdown { text: String::new() });
                if task.obey(command) {
                    break;
                }
            }
            changed = routes.changed(), if has_routes => {
                has_routes = changed.is_ok();
                task.take_routes(&routes.borrow_and_update());
            }
            () = until(deadline) => {}
            stream = inbound.recv(), if has_inbound => match stream {
                Some(stream) => task.accept(stream),
                None => has_inbound = false,
            },
            told = tell(task.observer.as_ref(), &mut task.notices) => {
                if !told {
                    task.observer = None;
                    task.notices.clear();
                }
            }
            signal = task.links.signal(reads) => {
                if signal.is_some_and(|(slot, signal)| task.take(slot, signal)) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    task.settle();
    task.links.parted().await;
}

struct Task {
    peer: Peer,
    links: Links,
    journal: Journal,
    status: watch::Sender<PeerStatus>,
    observer: Option<mpsc::Sender<Notice>>,
    /// At most what one turn's octets hold: nothing is read while one is left.
    notices: VecDeque<Notice>,
    metrics: PeerMetrics,
    /// When the first of the routes changed that are not yet all written.
    unwritten: Option<Instant>,
    /// Of the TCP connection that carries the session.
    ends: Option<Ends>,
    buffer: Vec<u8>,
}

impl Task {
    /// Before timers are looked at: what came while this process, or the whole machine, got no time is
    /// no silence of the neighbour's. One turn of octets for each connection, however much waits.
    async fn catch_up(&mut self) {
        let is_due = self.peer.poll_timeout().is_some_and(|at| at <= clock());
        if !is_due || !self.notices.is_empty() {
            return;
        }
        // The runtime asks the kernel meanwhile: timers may have come to it before sockets did.
        tokio::task::yield_now().await;
        for slot in Slot::ALL {
            if let Some(signal) = self.links.waiting(slot) {
                self.take(slot, signal);
            }
        }
    }

    /// Timers, then what the peer wants, then all that can be written, until nothing is left.
    fn settle(&mut self) {
        // First of all: what has arrived while others had their turn is not overdue.
        self.look_at_delivery();
        loop {
            let now = clock();
            self.peer.handle_timeout(now);
            while let Some(event) = self.peer.poll_event() {
                self.carry_out(now, event);
            }
            for slot in Slot::ALL {
                self.links.write(now, slot, &mut self.peer);
            }
            let Some(event) = self.peer.poll_event() else {
                break;
            };
            self.carry_out(now, event);
        }
        self.look_at_delivery();
        self.measure_writing();
        let status = PeerStatus {
            ends: self.ends,
            ..self.peer.status()
        };
        self.metrics.status(&status);
        self.status.send_if_modified(|shown| {
            let changed = *shown != status;
            *shown = status;
            changed
        });
    }

    fn carry_out(&mut self, now: Instant, event: Event) {
        match event {
            Event::Dial => self.links.dial(),
            Event::HangUp {
                slot,
                last,
                is_abrupt: false,
            } => self.links.hang_up(slot, &last),
            Event::HangUp {
                slot,
                last,
                is_abrupt: true,
            } => {
                self.links.say(slot, &last);
                self.links.abort(slot);
            }
            Event::State { from, to } => {
                self.journal.state(from, to);
                let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                self.metrics.transition(to, since_epoch.unwrap_or_default());
            }
            Event::Ended { established, end } => {
                let error = self.links.take_dial_error();
                if let Some(error) = &error {
                    self.peer.explain_end(&error.to_string());
                }
                self.journal.ended(now, established, &end, error);
                self.metrics.ended(&end);
                if established {
                    self.unwritten = None;
                    self.ends = None;
                    self.note(Notice::Down(end));
                }
            }
            Event::Established(agreed) => {
                self.journal.established(&agreed);
                let slot = self.peer.session();
                self.ends = slot.and_then(|slot| self.links.ends(slot));
                self.note(Notice::Established(agreed));
            }
            Event::Update(update) => {
                if let Some(error) = update.treated_as_withdraw {
                    self.metrics.update_error();
                    self.journal.update_error(now, error);
                }
                self.note(Notice::Update(update));
            }
            Event::DeadMan => self.journal.dead_man(),
        }
    }

    fn note(&mut self, notice: Notice) {
        if self.observer.is_some() {
            self.notices.push_back(notice);
        }
    }

    /// `true` when the task is to end.
    fn obey(&mut self, command: Command) -> bool {
        let now = clock();
        match command {
            Command::Shutdown { text } => {
                self.peer.handle_shutdown(now, &text);
                return true;
            }
            Command::Reset { text } => self.peer.handle_reset(now, &text),
            Command::LinkDown => self.peer.handle_link_down(now),
            Command::LinkUp => self.peer.handle_link_up(now),
            Command::Bfd(state) => self.peer.handle_bfd(now, state),
            Command::NextHops { v4, v6 } => self.peer.handle_next_hops(v4, v6),
        }
        false
    }

    fn take_routes(&mut self, table: &RouteTable) {
        self.peer.handle_lease(clock(), table.is_lease_good);
        let refused = self.peer.handle_routes(&table.routes);
        for prefix in refused {
            self.journal.route_refused(&prefix);
        }
        if self.peer.has_pending_routes() {
            self.unwritten.get_or_insert(table.changed);
        }
    }

    fn look_at_delivery(&mut self) {
        if let Some(slot) = self.peer.poll_delivery()
            && self.links.is_delivered(slot)
        {
            self.peer.handle_delivered();
        }
    }

    fn measure_writing(&mut self) {
        if self.peer.has_pending_routes() || self.links.is_writing() {
            return;
        }
        if let Some(changed) = self.unwritten.take() {
            let after = clock().saturating_duration_since(changed);
            self.metrics.routes_written(after);
        }
    }

    fn accept(&mut self, stream: TcpStream) {
        let now = clock();
        let Ok(local) = stream.local_addr() else {
            return;
        };
        if self.peer.handle_accepted(now, local.ip()) {
            while let Some(event) = self.peer.poll_event() {
                self.carry_out(now, event);
            }
            self.links.accept(stream);
        }
    }

    /// `true` when there may be more to read at once.
    fn take(&mut self, slot: Slot, signal: Signal) -> bool {
        let now = clock();
        match signal {
            Signal::Writable => {}
            Signal::Connected(local) => self.peer.handle_connected(now, slot, local),
            Signal::Failed => self.peer.handle_closed(now, slot),
            Signal::Readable => match self.links.read(slot, &mut self.buffer) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    self.peer.handle_bytes(now, slot, bytes);
                    // However little it was: who sends on and on must let the others have a turn.
                    return true;
                }
                Err(link::Gone) => self.peer.handle_closed(now, slot),
            },
        }
        false
    }
}

/// The clock of the runtime, which tests may stop.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Hands over one notice. `false`: nobody listens any more.
async fn tell(observer: Option<&mpsc::Sender<Notice>>, notices: &mut VecDeque<Notice>) -> bool {
    let Some(observer) = observer.filter(|_| !notices.is_empty()) else {
        return std::future::pending().await;
    };
    match observer.reserve().await {
        Ok(place) => {
            if let Some(notice) = notices.pop_front() {
                place.send(notice);
            }
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
