//! A name server that knows every name: the first label says what the answer is.
//!
//! `nx-…` does not exist, `empty-…` has no addresses, `brief-…` lives for a second, `big-…` has 60
//! addresses, `cut-…` is always cut over UDP, `slow-…` takes a while; all others have one address.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::client::framed;

/// How long a `slow-…` name takes.
pub(crate) const SLOW: Duration = Duration::from_millis(500);
/// Of answers that are not `brief-…`.
pub(crate) const TTL_S: u32 = 300;
/// Addresses of a `big-…` name: about 1,000 octets.
pub(crate) const BIG: u8 = 60;
/// Addresses of a `huge-…` name: about 4,000 octets.
pub(crate) const HUGE: u8 = 250;

/// How often each name was asked for; apexes asked by probes are among them.
#[derive(Default)]
struct Asked {
    udp: HashMap<String, usize>,
    tcp: HashMap<String, usize>,
}

/// A name server on a loopback port, over UDP and TCP; it stops with the test process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// What every name resolves to.
    answer: Ipv4Addr,
    silent: AtomicBool,
    asked: Mutex<Asked>,
}

impl Upstream {
    /// Every name resolves to `answer`.
    pub(crate) fn start(answer: Ipv4Addr) -> Self {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer,
            silent: AtomicBool::new(false),
            asked: Mutex::default(),
        });
        let (of_udp, of_tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || serve_udp(&Arc::new(udp), &of_udp));
        thread::spawn(move || serve_tcp(&tcp, &of_tcp));
        Self { address, shared }
    }

    /// While silent it reads questions and answers none, as a server behind a dead link would.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// How often it was asked for `name` over UDP.
    pub(crate) fn asked(&self, name: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.udp.get(name).copied().unwrap_or(0)
    }

    /// The same over TCP.
    pub(crate) fn asked_tcp(&self, name: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.tcp.get(name).copied().unwrap_or(0)
    }
}

/// Both with the same port.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

fn serve_udp(socket: &Arc<UdpSocket>, shared: &Shared) {
    let mut buffer = [0; 1500];
    loop {
        // What a node that is gone has left behind is no error of this socket.
        let Ok((octets, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Ok(question) = Message::from_vec(&buffer[..octets]) else {
            continue;
        };
        let name = name(&question);
        let mut asked = shared.asked.lock().unwrap();
        *asked.udp.entry(name.clone()).or_default() += 1;
        drop(asked);
        if shared.silent.load(Ordering::Relaxed) {
            continue;
        }
        let reply = cut(answer(&question, shared.answer), &question);
        let socket = Arc::clone(socket);
        let send = move || drop(socket.send_to(&reply, from));
        if name.starts_with("slow-") {
            thread::spawn(move || {
                thread::sleep(SLOW);
                send();
            });
        } else {
            send();
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        let shared = Arc::clone(shared);
        thread::spawn(move || converse(stream, &shared));
    }
}

fn converse(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).ok()?;
        let question = Message::from_vec(&message).ok()?;
        let mut asked = shared.asked.lock().unwrap();
        *asked.tcp.entry(name(&question)).or_default() += 1;
        drop(asked);
        if !shared.silent.load(Ordering::Relaxed) {
            let reply = answer(&question, shared.answer).to_vec().unwrap();
            stream.write_all(&framed(&reply)).ok()?;
        }
    }
}

fn name(question: &Message) -> String {
    let name = question
        .queries
        .first()
        .map(|query| query.name().to_ascii());
    name.unwrap_or_default().to_lowercase()
}

fn answer(question: &Message, address: Ipv4Addr) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    let Some(query) = question.queries.first() else {
        reply.metadata.response_code = ResponseCode::FormErr;
        return reply;
    };
    reply.add_query(query.clone());
    let asked = name(question);
    let (kind, _) = asked.split_once('-').unwrap_or_default();
    if matches!(kind, "nx" | "empty") || query.query_type() != RecordType::A {
        reply.add_authority(start_of_authority());
        if kind == "nx" {
            reply.metadata.response_code = ResponseCode::NXDomain;
        }
        return reply;
    }
    let ttl = if kind == "brief" { 1 } else { TTL_S };
    let records = match kind {
        "big" => BIG,
        "huge" => HUGE,
        _ => 1,
    };
    for number in 0..records {
        let [a, b, c, d] = address.octets();
        let data = RData::A(A(Ipv4Addr::new(a, b, c, d.wrapping_add(number))));
        reply.add_answer(Record::from_rdata(query.name().clone(), ttl, data));
    }
    reply
}

fn start_of_authority() -> Record {
    let (mname, rname) = (name_of("ns.example."), name_of("admin.example."));
    let soa = SOA::new(mname, rname, 1, 3600, 600, 86_400, TTL_S);
    Record::from_rdata(Name::root(), TTL_S, RData::SOA(soa))
}

fn name_of(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// As sent over UDP: without records, when there are too many, or for a `cut-…` name.
fn cut(reply: Message, question: &Message) -> Vec<u8> {
    let bytes = reply.to_vec().unwrap();
    let size = question
        .edns
        .as_ref()
        .map_or(512, |edns| edns.max_payload());
    if bytes.len() <= usize::from(size) && !name(question).starts_with("cut-") {
        return bytes;
    }
    let mut short = reply.truncate();
    short.metadata.truncation = true;
    short.answers.clear();
    short.to_vec().unwrap()
}
