//! As many queries for cached names as can be sent: no reason to leave.

#![expect(clippy::disallowed_methods, reason = "measures in real time")]

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use super::journal::Journal;
use super::{note, ready};
use crate::client::{CACHED_NAMES, cached_name};
use crate::message::{self, TYPE_A};
use crate::place::{CLIENT, FIRST, SERVICE};
use crate::results::Repetition;
use crate::routes::Family;
use crate::runner::{Lab, Paths};
use crate::{http, namespace, stop};

const LENGTH: Duration = Duration::from_secs(30);
/// As many as keep a worker on each core busy.
const FLOODERS: usize = 2;
/// Source ports of each, so that the kernel spreads them over the workers.
const PORTS: usize = 16;
/// What the supervisor allows between two signs of life.
const WATCHDOG: Duration = Duration::from_secs(2);
const TURN: Duration = Duration::from_millis(100);

/// What the node is started by: a supervisor with a watchdog.
pub(super) fn supervised(paths: &Paths) -> Vec<String> {
    vec![
        "env".to_owned(),
        format!("NOTIFY_SOCKET={}", notify_socket(paths).display()),
        format!("WATCHDOG_USEC={}", WATCHDOG.as_micros()),
    ]
}

/// Floods for 30 s, and looks at level, route, lease and watchdog.
pub(super) fn run(lab: &mut Lab) -> Result<Repetition> {
    let supervisor = Supervisor::start(&lab.paths)?;
    let journal = Journal::open(lab, FIRST.node)?;
    let mut violations = Vec::new();
    let before = taken(lab)?;
    let sent = flood(lab, &mut violations)?;
    let after = taken(lab)?;
    let (longest, fed) = supervisor.finish()?;
    for change in journal.changes()? {
        violations.push(format!(
            "{} went to {}: {}",
            change.family, change.to, change.reason
        ));
    }
    if journal.lost_its_lease()? {
        violations.push("the lease ran out".to_owned());
    }
    if longest > WATCHDOG || fed == 0 {
        violations.push(format!("watchdog not fed for {longest:.1?}"));
    }
    note(ready::wait_until_ready(lab), &mut violations)?;
    let per_second = |count: u64| count / LENGTH.as_secs();
    Ok(Repetition {
        seen: vec![format!(
            "{} queries/s sent, {} taken, {} dropped; watchdog fed after {longest:.1?} at most",
            per_second(sent),
            per_second(after.0.saturating_sub(before.0)),
            per_second(after.1.saturating_sub(before.1)),
        )],
        violations,
        ..Repetition::default()
    })
}

fn flood(lab: &mut Lab, violations: &mut Vec<String>) -> Result<u64> {
    let sockets = namespace::inside(&lab.paths.namespace(CLIENT), || {
        let open = |_| -> Result<UdpSocket> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            let [service, _] = SERVICE;
            socket.connect((service, 53))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        (0..FLOODERS * PORTS).map(open).collect::<Result<Vec<_>>>()
    })?;
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for ports in sockets.chunks(PORTS) {
            scope.spawn(|| send(ports, &is_over, &sent));
        }
        let mut look = || -> Result<()> {
            for family in Family::ALL {
                let path = ready::path_from_node(lab, &FIRST, family)?;
                let text = format!("the router has no good route for {family:?}");
                if path.is_none_or(|path| path.is_shutting_down) && !violations.contains(&text) {
                    violations.push(text);
                }
            }
            Ok(())
        };
        // Each look takes time from the flood.
        let mut next = Instant::now();
        let kept = stop::keep_for(LENGTH, || {
            if Instant::now() < next {
                return Ok(());
            }
            next = Instant::now() + Duration::from_secs(2);
            look()
        });
        is_over.store(true, Ordering::Relaxed);
        kept
    })?;
    Ok(sent.load(Ordering::Relaxed))
}

fn send(ports: &[UdpSocket], is_over: &AtomicBool, sent: &AtomicU64) {
    let mut queries = Vec::new();
    for index in 0..CACHED_NAMES {
        let question = message::question(&cached_name(index), TYPE_A);
        queries.push(message::query(7, &question));
    }
    while !is_over.load(Ordering::Relaxed) {
        for (socket, query) in ports.iter().zip(queries.iter().cycle()) {
            // Answers are thrown away when their queue is full.
            sent.fetch_add(u64::from(socket.send(query).is_ok()), Ordering::Relaxed);
        }
    }
}

/// Queries that the workers took, and that were dropped before.
fn taken(lab: &Lab) -> Result<(u64, u64)> {
    let page = http::get(&lab.paths.namespace(FIRST.node), "/status")?;
    let status: Value = serde_json::from_str(&page).context("not JSON")?;
    let workers = status["workers"].as_array().map_or(&[][..], Vec::as_slice);
    let sum = |key: &str| {
        let values = workers.iter().filter_map(|worker| worker[key].as_u64());
        values.sum()
    };
    Ok((sum("queries"), sum("dropped")))
}

fn notify_socket(paths: &Paths) -> PathBuf {
    paths.state.join("notify.sock")
}

/// Takes what the node tells its supervisor.
struct Supervisor {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(Duration, usize)>,
}

impl Supervisor {
    fn start(paths: &Paths) -> Result<Self> {
        let path = notify_socket(paths);
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        let socket = UnixDatagram::bind(&path).context("cannot bind the supervisor's socket")?;
        socket.set_read_timeout(Some(TURN))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || listen(&socket, &flag))?;
        Ok(Self { is_over, thread })
    }

    /// The longest time without a sign of life, and how many there were.
    fn finish(self) -> Result<(Duration, usize)> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("supervisor panicked"))
    }
}

fn listen(socket: &UnixDatagram, is_over: &AtomicBool) -> (Duration, usize) {
    let mut buffer = [0; 1024];
    let (mut longest, mut fed) = (Duration::ZERO, 0);
    let mut last = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut buffer) else {
            continue;
        };
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        if text.lines().any(|line| line == "WATCHDOG=1") {
            longest = longest.max(last.elapsed());
            last = Instant::now();
            fed += 1;
        }
    }
    (longest.max(last.elapsed()), fed)
}
