//! A fake upstream: the right answer for each name of the bench, over UDP and TCP.
//!
//! Answers also what resolvers ask while they prime, probe or try to validate, so that none of
//! them takes it for broken. The case of a question's letters is kept (resolvers check it), an OPT is
//! answered by an OPT without options. Source: RFC 1035 §4.1, RFC 2308 §2 (SOA beside "no such"),
//! RFC 6891 §6.1, RFC 3225 §3 (DO), RFC 9619 (one question).

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::names;
use crate::sys::{self, Batch, DATAGRAM_OCTETS, Names, Wait};

const BATCH: usize = 64;
const BUFFER_OCTETS: i32 = 4 << 20;
const TCP_CONNECTIONS_MAX: usize = 256;
const NAME_OCTETS_MAX: usize = 255;
const UDP_OCTETS: u16 = 1232;

const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const OPT: u16 = 41;
const DS: u16 = 43;
const NXDOMAIN: u8 = 3;

const ROOT: &[u8] = b"\0";
const PARENT: &[u8] = b"\x07example\0";
const ZONE: &[u8] = b"\x05bench\x07example\0";
const SERVER: &[u8] = b"\x02ns\x05bench\x07example\0";
/// Serial, refresh, retry, expire, and the TTL of "no such": a minute each, which no run outlasts.
const SOA_NUMBERS: &[u8; 20] = &[
    0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 60,
];

/// How the fake upstream runs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Upstream {
    /// For UDP and TCP.
    #[arg(long)]
    listen: SocketAddr,
    /// The core on which it stays.
    #[arg(long)]
    core: Option<usize>,
}

impl Upstream {
    /// Answers until it is killed. `s` on standard input makes it silent, `a` answering again;
    /// the end of the input changes nothing.
    pub(crate) fn run(&self) -> io::Result<()> {
        if let Some(core) = self.core {
            sys::pin(core)?;
        }
        let socket = UdpSocket::bind(self.listen)?;
        sys::set_buffers(&socket, BUFFER_OCTETS);
        let listener = TcpListener::bind(self.listen)?;
        let silent = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&silent);
        thread::Builder::new().spawn(move || obey(io::stdin().lock(), &told))?;
        let over_tcp = Arc::clone(&silent);
        thread::Builder::new().spawn(move || accept(&listener, &over_tcp))?;
        serve(&socket, &silent, || false)
    }
}

fn obey(orders: impl BufRead, silent: &AtomicBool) {
    for order in orders.bytes().map_while(Result::ok) {
        match order {
            b's' => silent.store(true, Ordering::Relaxed),
            b'a' => silent.store(false, Ordering::Relaxed),
            _ => {}
        }
    }
}

fn serve(socket: &UdpSocket, silent: &AtomicBool, stop: impl Fn() -> bool) -> io::Result<()> {
    let mut batch = Batch::new(BATCH, Names::Received);
    while !stop() {
        let received = batch.receive(socket, Wait::First)?;
        if silent.load(Ordering::Relaxed) {
            continue;
        }
        let answers = batch.answer(received, answer);
        batch.send(socket, answers)?;
    }
    Ok(())
}

fn accept(listener: &TcpListener, silent: &Arc<AtomicBool>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if open.load(Ordering::Relaxed) == TCP_CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (silent, count) = (Arc::clone(silent), Arc::clone(&open));
        let started = thread::Builder::new().spawn(move || {
            // However a connection ends, the client may open another one.
            let _ = converse(stream, &silent);
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// RFC 7766 §8: two octets of length before each message.
fn converse(mut stream: TcpStream, silent: &AtomicBool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; DATAGRAM_OCTETS];
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let octets = usize::from(u16::from_be_bytes(length));
        let query = buffer.get_mut(..octets).ok_or(io::ErrorKind::InvalidData)?;
        stream.read_exact(query)?;
        if silent.load(Ordering::Relaxed) {
            continue;
        }
        let octets = answer(&mut buffer, octets).ok_or(io::ErrorKind::InvalidData)?;
        let mut frame = [0; 2 + DATAGRAM_OCTETS];
        frame[..2].copy_from_slice(&(octets as u16).to_be_bytes());
        frame[2..2 + octets].copy_from_slice(&buffer[..octets]);
        stream.write_all(&frame[..2 + octets])?;
    }
}

/// Turns the query of `octets` at the start of the buffer into its answer; `None` for what is not a
/// query.
fn answer(buffer: &mut [u8; DATAGRAM_OCTETS], octets: usize) -> Option<usize> {
    let query = buffer.get(..octets)?;
    // Not a response, opcode 0, one question.
    if octets < 12 || query[2] & 0xF8 != 0 || query[4..6] != [0, 1] {
        return None;
    }
    let question_end = name_end(query, 12)? + 4;
    let name = query.get(12..question_end - 4)?;
    let kind = query.get(question_end - 4..question_end)?;
    let kind = u16::from_be_bytes([kind[0], kind[1]]);
    let checking_disabled = query[3] & 0x10;
    let name_octets = name.len();
    let dnssec_ok = opt(query, question_end);
    // A question with everything behind it always fits: at most 12 + 255 + 4 octets, two records
    // of at most 100 each, and the OPT of 11.
    let mut reply = Reply {
        message: buffer,
        octets: question_end,
    };
    let [rcode, answers, authorities] = reply.fill(name_octets, kind);
    if let Some(dnssec_ok) = dnssec_ok {
        let flags = if dnssec_ok { [0, 0, 0x80, 0] } else { [0; 4] };
        reply.record(ROOT, OPT, UDP_OCTETS, flags, &[]);
    }
    let octets = reply.octets;
    // QR and AA beside the RD that came, RA; CD is copied (RFC 4035 §3.2.2).
    buffer[2] |= 0x84;
    buffer[3] = 0x80 | checking_disabled | rcode;
    let additional = u8::from(dnssec_ok.is_some());
    buffer[6..12].copy_from_slice(&[0, answers, 0, authorities, 0, additional]);
    Some(octets)
}

/// Where the uncompressed name at `start` ends.
fn name_end(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1 + length;
        if length > 63 || at - start > NAME_OCTETS_MAX {
            return None;
        }
        if length == 0 {
            return Some(at);
        }
    }
}

/// Whether there is an OPT behind the question, and its DO.
fn opt(query: &[u8], at: usize) -> Option<bool> {
    let record = query.get(at..at + 11)?;
    let is_opt = record[..3] == [0, 0, OPT as u8];
    is_opt.then(|| record[7] & 0x80 != 0)
}

/// An answer in the making: the question at the start stays where it is.
struct Reply<'a> {
    message: &'a mut [u8; DATAGRAM_OCTETS],
    octets: usize,
}

impl Reply<'_> {
    /// Appends what answers the question, whose name has so many octets; RCODE, and the number of
    /// answers and authorities.
    fn fill(&mut self, name_octets: usize, kind: u16) -> [u8; 3] {
        let name = &self.message[12..12 + name_octets];
        if let Some(address) = names::address(name).filter(|_| name.len() == names::NAME_OCTETS) {
            if kind != A {
                return self.none(0, ZONE);
            }
            self.push(&names::record(address));
            return [0, 1, 0];
        }
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let zone = if is(ROOT) { ROOT } else { ZONE };
        if is(ROOT) || is(ZONE) {
            match kind {
                NS => self.record(&[0xC0, 12], NS, 1, names::TTL_S.to_be_bytes(), SERVER),
                SOA => self.soa(zone),
                // The parent speaks about DS (RFC 4035 §3.1.4.1).
                DS => return self.none(0, ROOT),
                _ => return self.none(0, zone),
            }
            return [0, 1, 0];
        }
        if is(SERVER) {
            if kind != A {
                return self.none(0, ZONE);
            }
            let ttl = names::TTL_S.to_be_bytes();
            self.record(&[0xC0, 12], A, 1, ttl, &[127, 0, 0, 1]);
            return [0, 1, 0];
        }
        if is(PARENT) {
            return self.none(0, ROOT);
        }
        let tail = name.len().saturating_sub(ZONE.len());
        let inside = name[tail..].eq_ignore_ascii_case(ZONE);
        self.none(NXDOMAIN, if inside { ZONE } else { ROOT })
    }

    /// No such record (RFC 2308 §2.2), or no such name (§2.1).
    fn none(&mut self, rcode: u8, zone: &[u8]) -> [u8; 3] {
        self.soa(zone);
        [rcode, 0, 1]
    }

    fn soa(&mut self, zone: &[u8]) {
        let mut data = [0; 2 * SERVER.len() + SOA_NUMBERS.len()];
        let (names, numbers) = data.split_at_mut(2 * SERVER.len());
        names[..SERVER.len()].copy_from_slice(SERVER);
        names[SERVER.len()..].copy_from_slice(SERVER);
        numbers.copy_from_slice(SOA_NUMBERS);
        self.record(zone, SOA, 1, [0, 0, 0, 60], &data);
    }

    fn record(&mut self, owner: &[u8], kind: u16, class: u16, ttl: [u8; 4], data: &[u8]) {
        self.push(owner);
        self.push(&kind.to_be_bytes());
        self.push(&class.to_be_bytes());
        self.push(&ttl);
        self.push(&(data.len() as u16).to_be_bytes());
        self.push(data);
    }

    fn push(&mut self, octets: &[u8]) {
        let end = self.octets + octets.len();
        self.message[self.octets..end].copy_from_slice(octets);
        self.octets = end;
    }
}

#[cfg(test)]
mod tests;
