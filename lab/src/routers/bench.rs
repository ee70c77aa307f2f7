//! The lab with one setup in force: starts it, asks the routers, and writes down what came out.

#![expect(clippy::disallowed_methods, reason = "measures in real time")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::capture::{Capture, Told};
use super::kind::{Kind, Session};
use super::message::{Message, Prefix};
use super::setup::Setup;
use super::table::{Outcome, Table};
use super::view;
use crate::report::say;
use crate::routes::Family;
use crate::runner::Lab;
use crate::{http, stop};

/// The node under test.
pub(super) const NODE: &str = "node";
/// A node that does not answer by then, never will. It is ready only once a neighbour is Established,
/// which is what the checks are about.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a router, which is a program started each time.
const PAUSE: Duration = Duration::from_millis(20);

/// What is still missing; nothing when all is as it should be.
pub(super) type Missing = Option<String>;

/// The running lab and the report so far.
pub(super) struct Bench {
    pub(super) lab: Lab,
    captures: Vec<Capture>,
    pub(super) table: Table,
    pub(super) setup: &'static Setup,
    pub(super) sessions: Vec<Session>,
    /// When the node was started.
    pub(super) started: Instant,
}

impl Bench {
    /// Listens in these nodes of the topology.
    pub(super) fn new(lab: Lab, setup: &'static Setup, listened: &[&str]) -> Result<Self> {
        let captures = listened.iter().map(|node| Capture::start(&lab.paths, node));
        Ok(Self {
            captures: captures.collect::<Result<_>>()?,
            lab,
            table: Table::default(),
            setup,
            sessions: setup.sessions(),
            started: Instant::now(),
        })
    }

    /// Ends all, and returns the report; what it was written for can still be looked at.
    pub(super) fn finish(self) -> Result<(Lab, Table)> {
        for capture in self.captures {
            capture.finish()?;
        }
        Ok((self.lab, self.table))
    }

    /// Ends the programs of the setup before, starts those of this one, and waits until the node is
    /// ready. `false`, with a line in the report: it cannot be had.
    pub(super) fn enter(&mut self, setup: &'static Setup) -> Result<bool> {
        say(setup.name);
        self.setup = setup;
        self.sessions = setup.sessions();
        self.lab.kill_programs(NODE)?;
        for kind in Kind::ALL {
            self.end_router(kind, Signal::SIGKILL)?;
        }
        for (node, file) in setup.write(&self.lab.paths.folder, &self.lab.paths.state)? {
            self.lab.configure(node, file);
        }
        for (kind, edits) in Kind::ALL.into_iter().zip(setup.routers) {
            if edits.is_some() {
                self.lab.start(kind.node())?;
            }
        }
        let log = self.lab.paths.log(NODE);
        let told_before = std::fs::read_to_string(&log)?.len();
        self.started = Instant::now();
        self.lab.start(NODE)?;
        let namespace = self.lab.paths.namespace(NODE);
        let mut is_running = true;
        let waited = stop::wait_until("the node is alive", READY_LIMIT, || {
            is_running = self.lab.is_running(NODE)?;
            Ok(!is_running || http::get(&namespace, "/healthz").is_ok())
        });
        stop::check()?;
        let why = match waited {
            Ok(_) if is_running => {
                self.name_routers()?;
                return Ok(true);
            }
            Ok(_) => {
                let told = std::fs::read_to_string(&log)?;
                let told = told.get(told_before..).unwrap_or_default().trim();
                format!(
                    "the node ended: {}",
                    told.lines().next().unwrap_or_default()
                )
            }
            Err(error) => format!("{error:#}"),
        };
        let cells = self.sessions.iter().cloned();
        let cells = cells.map(|session| (session, Outcome::Wrong(why.clone())));
        self.table.add(setup.name, "started", cells.collect());
        say(&format!("  started: WRONG: {why}"));
        Ok(false)
    }

    /// Finds the addresses of routers that have none of their own for the session.
    fn name_routers(&mut self) -> Result<()> {
        for session in self.sessions.iter_mut().filter(|s| s.router.is_none()) {
            let command = [
                "ip", "-6", "-o", "address", "show", "dev", "eth1", "scope", "link",
            ];
            let text = self.lab.run(session.kind.node(), &command)?;
            let address = text
                .split_whitespace()
                .find_map(|word| word.strip_suffix("/64"));
            session.router = Some(address.context("no link-local address")?.parse()?);
        }
        Ok(())
    }

    /// Ends the routing daemon of a router, if it runs.
    pub(super) fn end_router(&mut self, kind: Kind, signal: Signal) -> Result<()> {
        let (node, daemon) = (kind.node(), kind.daemon());
        if !self.lab.has_daemon(node, daemon) {
            return Ok(());
        }
        self.lab.end_daemon(node, daemon, signal)
    }

    /// The routers that take part.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let kinds = Kind::ALL.into_iter().zip(self.setup.routers);
        kinds
            .filter(|(_, edits)| edits.is_some())
            .map(|(kind, _)| kind)
            .collect()
    }

    /// Looks at all sessions at once, again and again until nothing is missing, and writes down for
    /// each how long that took `since` then.
    pub(super) fn until(
        &mut self,
        check: &'static str,
        since: Instant,
        limit: Duration,
        look: impl Fn(&Self, &Session) -> Result<Missing> + Sync,
    ) -> Result<()> {
        let watch = |session: &Session| loop {
            let missing = match look(self, session) {
                Ok(None) => return Outcome::Good(Some(since.elapsed())),
                Ok(Some(missing)) => missing,
                Err(error) => format!("{error:#}"),
            };
            if since.elapsed() > limit || stop::check().is_err() {
                return Outcome::Wrong(format!("{missing}, after {limit:?}"));
            }
            std::thread::sleep(PAUSE);
        };
        let cells = each(&self.sessions, watch);
        self.add(check, cells)
    }

    /// Looks at all sessions once.
    pub(super) fn judge(
        &mut self,
        check: &'static str,
        look: impl Fn(&Self, &Session) -> Result<Missing> + Sync,
    ) -> Result<()> {
        let once = |session: &Session| match look(self, session) {
            Ok(None) => Outcome::Good(None),
            Ok(Some(missing)) => Outcome::Wrong(missing),
            Err(error) => Outcome::Wrong(format!("{error:#}")),
        };
        let cells = each(&self.sessions, once);
        self.add(check, cells)
    }

    /// Waits that long, and no session may be Established at any time.
    pub(super) fn never_established(
        &mut self,
        check: &'static str,
        length: Duration,
    ) -> Result<()> {
        let end = Instant::now() + length;
        let watch = |session: &Session| loop {
            if view::state(&self.lab, session).is_ok_and(|state| state.is_established) {
                return Outcome::Wrong("it is Established".to_owned());
            }
            if Instant::now() > end || stop::check().is_err() {
                return Outcome::Good(None);
            }
            std::thread::sleep(PAUSE * 5);
        };
        let cells = each(&self.sessions, watch);
        self.add(check, cells)
    }

    fn add(&mut self, check: &'static str, cells: Vec<(Session, Outcome)>) -> Result<()> {
        stop::check()?;
        self.table.add(self.setup.name, check, cells);
        say(&self.table.last());
        Ok(())
    }

    /// Whether the node calls the session Established; `None`: it has no such neighbour.
    pub(super) fn is_established_here(&self, session: &Session) -> Result<Option<bool>> {
        let page = http::get(&self.lab.paths.namespace(NODE), "/status")?;
        let status: Value = serde_json::from_str(&page).context("not JSON")?;
        let neighbors = status["neighbors"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let is_it = |neighbor: &&Value| {
            let address = neighbor["address"].as_str().unwrap_or_default();
            let address = address.split('%').next().unwrap_or_default();
            address.parse().ok() == session.router
        };
        Ok(neighbors
            .iter()
            .find(is_it)
            .map(|n| n["state"] == "Established"))
    }

    /// What node and router told each other in that session since then; whether it was the node.
    pub(super) fn told(&self, session: &Session, since: Instant) -> Vec<(bool, Told)> {
        let is_router = |address: IpAddr| session.router == Some(address);
        let told = self
            .captures
            .iter()
            .flat_map(|capture| capture.since(since));
        let told = told.filter_map(|told| {
            let to_router = is_router(told.to.ip());
            let is_it = to_router || is_router(told.from.ip());
            is_it.then_some((to_router, told))
        });
        told.collect()
    }

    /// What the node told the router about the service's prefix since then: attributes, or `None`
    /// where it was withdrawn.
    pub(super) fn updates(&self, session: &Session, since: Instant) -> Vec<Update> {
        let prefix = service(session.family);
        let told = self.told(session, since).into_iter();
        told.filter_map(|(by_node, told)| match told.message {
            Message::Update {
                announced,
                withdrawn,
                attributes,
            } if by_node => {
                let announced = announced.contains(&prefix);
                let is_about = announced || withdrawn.contains(&prefix);
                is_about.then_some(Update {
                    at: told.at,
                    attributes: announced.then_some(attributes),
                })
            }
            _ => None,
        })
        .collect()
    }
}

/// One UPDATE about the service's prefix.
pub(super) struct Update {
    pub(super) at: Instant,
    /// `None`: it withdraws.
    pub(super) attributes: Option<std::collections::BTreeMap<u8, Vec<u8>>>,
}

fn service(family: Family) -> Prefix {
    match family {
        Family::V4 => (crate::place::SERVICE[0], 32),
        Family::V6 => (crate::place::SERVICE[1], 128),
    }
}

/// On a thread for each session.
fn each(
    sessions: &[Session],
    look: impl Fn(&Session) -> Outcome + Sync,
) -> Vec<(Session, Outcome)> {
    std::thread::scope(|scope| {
        let look = &look;
        let threads: Vec<_> = sessions
            .iter()
            .map(|session| (session, scope.spawn(move || look(session))))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Outcome>| {
            let panicked = |_| Outcome::Wrong("the check panicked".to_owned());
            thread.join().unwrap_or_else(panicked)
        };
        let joined = threads
            .into_iter()
            .map(|(session, thread)| (session.clone(), join(thread)));
        joined.collect()
    })
}
