//! A client that asks every 5 ms, never repeats a question, and notes who answered and when.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::upstream;

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(5);
/// A later answer counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// So many names are asked over and over; all other names are asked once.
const CACHED_NAMES: u16 = 16;

/// One question and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) sent: Instant,
    pub(crate) is_cached: bool,
    /// When the right answer came, and the NSID of the node that gave it.
    pub(crate) answer: Option<(Instant, String)>,
}

/// Everything that was asked so far; the index is the query id.
#[derive(Clone, Default)]
pub(crate) struct Samples(Arc<Mutex<Vec<Sample>>>);

impl Samples {
    fn with<T>(&self, f: impl FnOnce(&mut Vec<Sample>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Questions sent in `from..until`.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> Vec<Sample> {
        self.with(|all| {
            all.iter()
                .filter(|s| s.sent >= from && s.sent < until)
                .cloned()
                .collect()
        })
    }

    /// The node behind the newest answer to a question sent after `since`.
    pub(crate) fn answered_by(&self, since: Instant) -> Option<String> {
        self.with(|all| {
            let newest = all.iter().rev().take_while(|sample| sample.sent >= since);
            newest
                .filter_map(|sample| sample.answer.clone())
                .next()
                .map(|(_, node)| node)
        })
    }
}

/// Asks until `stop`; at most 65,536 questions.
pub(crate) fn start(to: SocketAddr, stop: Arc<AtomicBool>) -> io::Result<Samples> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let samples = Samples::default();
    let (sender, receiver) = (socket.try_clone()?, socket);
    let (sent, received, stopped) = (samples.clone(), samples.clone(), Arc::clone(&stop));
    thread::spawn(move || send(&sender, &sent, &stop));
    thread::spawn(move || receive(&receiver, &received, &stopped));
    Ok(samples)
}

/// Asks one site for every cached name, so that it has them when its upstream dies.
pub(crate) fn warm(site: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(site)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 1500];
    for id in (0..CACHED_NAMES * 2).step_by(2) {
        socket.send(&question(id, true).ok_or(io::ErrorKind::InvalidInput)?)?;
        socket.recv(&mut buffer)?;
    }
    Ok(())
}

fn send(socket: &UdpSocket, samples: &Samples, stop: &AtomicBool) {
    let mut due = Instant::now();
    for id in 0..=u16::MAX {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += INTERVAL;
        let is_cached = id % 2 == 0;
        let Some(question) = question(id, is_cached) else {
            return;
        };
        samples.with(|all| {
            all.push(Sample {
                sent: Instant::now(),
                is_cached,
                answer: None,
            })
        });
        // What cannot be sent is a lost question, and counted as one.
        drop(socket.send(&question));
    }
}

fn receive(socket: &UdpSocket, samples: &Samples, stop: &AtomicBool) {
    let mut buffer = [0; 1500];
    while !stop.load(Ordering::Relaxed) {
        let Ok(len) = socket.recv(&mut buffer) else {
            continue;
        };
        let now = Instant::now();
        let Some(message) = buffer
            .get(..len)
            .and_then(|bytes| Message::from_vec(bytes).ok())
        else {
            continue;
        };
        if let Some(node) = good_answer(&message) {
            samples.with(|all| {
                if let Some(sample) = all.get_mut(usize::from(message.metadata.id))
                    && now.duration_since(sample.sent) <= PATIENCE
                {
                    sample.answer.get_or_insert((now, node));
                }
            });
        }
    }
}

fn question(id: u16, is_cached: bool) -> Option<Vec<u8>> {
    let name = if is_cached {
        format!("cached-{}.demo.", id / 2 % CACHED_NAMES)
    } else {
        format!("new-{id}.demo.")
    };
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).ok()?, RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut()
        .insert(EdnsOption::NSID(NSIDPayload::new(Vec::new()).ok()?));
    message.set_edns(edns);
    message.to_vec().ok()
}

/// The name of the node, when the answer is right.
fn good_answer(message: &Message) -> Option<String> {
    let is_right = message
        .answers
        .iter()
        .any(|record| matches!(&record.data, RData::A(address) if address.0 == upstream::ADDRESS));
    if !is_right || message.metadata.response_code != ResponseCode::NoError {
        return None;
    }
    match message.edns.as_ref()?.option(EdnsCode::NSID)? {
        EdnsOption::NSID(id) => Some(String::from_utf8_lossy(id.as_ref()).into_owned()),
        _ => None,
    }
}
