//! What the node and its routers tell each other, as it crosses the node's interfaces.
//!
//! Source: RFC 791 §3.1, RFC 8200 §3 (headers), RFC 9293 §3.1 (TCP), RFC 4271 §4.1 (port 179),
//! RFC 5881 §4 and RFC 5880 §4.1 (BFD).

#![expect(clippy::disallowed_methods, reason = "says when a packet was seen")]
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::message::{self, Message};
use crate::packets;
use crate::runner::Paths;

const PORT: u16 = 179;
const BFD_PORT: u16 = 3784;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;
/// Segments that came before their turn, for each stream; more than the lab's are ever.
const HELD: usize = 64;

/// A message, seen.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) at: Instant,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// TTL or hop limit that it came with, which at its sender's interface is the one that was sent.
    pub(super) ttl: u8,
    pub(super) message: Message,
}

/// A listener at work.
pub(super) struct Capture {
    told: Arc<Mutex<Vec<Told>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Capture {
    /// Listens in the namespace of a node.
    pub(super) fn start(paths: &Paths, node: &str) -> Result<Self> {
        let socket = packets::open(&paths.namespace(node))?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (into, flag) = (Arc::clone(&told), Arc::clone(&is_over));
        let work = move || {
            let mut streams = Streams::default();
            let mut states = States::default();
            packets::listen(&socket, &flag, |packet| {
                let at = Instant::now();
                let tell = |from, to, ttl, message| {
                    let told = Told {
                        at,
                        from,
                        to,
                        ttl,
                        message,
                    };
                    into.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(told);
                };
                if let Some((from, to, ttl, state)) = read_bfd(packet) {
                    if states.insert((from, to), state) != Some(state) {
                        tell((from, 0).into(), (to, 0).into(), ttl, Message::Bfd(state));
                    }
                } else if let Some(segment) = read(packet) {
                    for message in streams.take(&segment) {
                        tell(segment.from, segment.to, segment.ttl, message);
                    }
                }
            })
        };
        let thread = std::thread::Builder::new().name("capture".to_owned());
        Ok(Self {
            told,
            is_over,
            thread: Some(thread.spawn(work)?),
        })
    }

    /// All that was told since then, in order.
    pub(super) fn since(&self, from: Instant) -> Vec<Told> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter()
            .filter(|told| told.at >= from)
            .cloned()
            .collect()
    }

    /// Ends, and says what went wrong meanwhile.
    pub(super) fn finish(mut self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().map(JoinHandle::join);
        thread.map_or(Ok(()), |end| {
            end.map_err(|_| anyhow!("capture panicked"))?
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// A TCP segment of a BGP session.
#[derive(Debug, PartialEq, Eq)]
struct Segment<'a> {
    from: SocketAddr,
    to: SocketAddr,
    ttl: u8,
    sequence: u32,
    is_first: bool,
    payload: &'a [u8],
}

/// What each end of a BFD session said last.
type States = HashMap<(IpAddr, IpAddr), u8>;

/// Both directions of every connection.
#[derive(Default)]
struct Streams(HashMap<(SocketAddr, SocketAddr), Stream>);

#[derive(Default)]
struct Stream {
    next: Option<u32>,
    /// Came before its turn.
    held: BTreeMap<u32, Vec<u8>>,
    buffer: Vec<u8>,
}

impl Streams {
    /// The messages that are complete with this segment.
    fn take(&mut self, segment: &Segment) -> Vec<Message> {
        let stream = self.0.entry((segment.from, segment.to)).or_default();
        if segment.is_first {
            *stream = Stream {
                next: Some(segment.sequence.wrapping_add(1)),
                ..Stream::default()
            };
        }
        if !segment.payload.is_empty() && stream.held.len() < HELD {
            let payload = segment.payload.to_vec();
            stream.next.get_or_insert(segment.sequence);
            stream.held.insert(segment.sequence, payload);
        }
        while let Some((sequence, payload)) = stream.due() {
            let next = stream.next.unwrap_or(sequence);
            // Sent again, in part or as a whole.
            let old = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            let new = payload.get(old..).unwrap_or_default();
            stream.buffer.extend_from_slice(new);
            let length = u32::try_from(new.len()).unwrap_or(u32::MAX);
            stream.next = Some(next.wrapping_add(length));
        }
        std::iter::from_fn(|| message::take(&mut stream.buffer)).collect()
    }
}

impl Stream {
    /// A held segment that begins at or before the next octet.
    fn due(&mut self) -> Option<(u32, Vec<u8>)> {
        let next = self.next?;
        let is_due = |sequence: &&u32| next.wrapping_sub(**sequence) <= u32::MAX / 2;
        let sequence = *self.held.keys().find(is_due)?;
        self.held.remove_entry(&sequence)
    }
}

/// Reads an IP packet that holds a segment of a BGP session.
fn read(packet: &[u8]) -> Option<Segment<'_>> {
    let version = packet.first()? >> 4;
    let (from, to, ttl, segment) = if version == 4 {
        v4(packet, TCP)?
    } else {
        v6(packet, TCP)?
    };
    let header: &[u8; 20] = segment.first_chunk()?;
    let [a, b, c, d, e, f, g, h, _, _, _, _, offset, flags, ..] = *header;
    let from = SocketAddr::new(from, u16::from_be_bytes([a, b]));
    let to = SocketAddr::new(to, u16::from_be_bytes([c, d]));
    if from.port() != PORT && to.port() != PORT {
        return None;
    }
    Some(Segment {
        from,
        to,
        ttl,
        sequence: u32::from_be_bytes([e, f, g, h]),
        is_first: flags & SYN != 0,
        payload: segment.get(usize::from(offset >> 4) * 4..)?,
    })
}

/// Reads the state out of a BFD packet.
fn read_bfd(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, u8)> {
    let version = packet.first()? >> 4;
    let (from, to, ttl, datagram) = if version == 4 {
        v4(packet, UDP)?
    } else {
        v6(packet, UDP)?
    };
    let port: &[u8; 2] = datagram.get(2..)?.first_chunk()?;
    let state = datagram.get(9)? >> 6;
    (u16::from_be_bytes(*port) == BFD_PORT).then_some((from, to, ttl, state))
}

fn v4(packet: &[u8], wanted: u8) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let [
        first,
        _,
        high,
        low,
        _,
        _,
        _,
        _,
        ttl,
        protocol,
        _,
        _,
        addresses @ ..,
    ] = *header;
    let [a, b, c, d, e, f, g, h] = addresses;
    let total = usize::from(u16::from_be_bytes([high, low]));
    let segment = packet.get(usize::from(first & 0x0F) * 4..total)?;
    let (from, to) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
    (first >> 4 == 4 && protocol == wanted).then_some((from.into(), to.into(), ttl, segment))
}

fn v6(packet: &[u8], wanted: u8) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let [first, _, _, _, high, low, next, ttl, addresses @ ..] = *header;
    let (from, to) = addresses.split_first_chunk::<16>()?;
    let (from, to) = (
        Ipv6Addr::from(*from),
        Ipv6Addr::from(*to.first_chunk::<16>()?),
    );
    let segment = rest.get(..usize::from(u16::from_be_bytes([high, low])))?;
    (first >> 4 == 6 && next == wanted).then_some((from.into(), to.into(), ttl, segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32, is_first: bool, payload: &[u8]) -> Segment<'_> {
        Segment {
            from: "10.0.1.2:40000".parse().unwrap(),
            to: "10.0.1.1:179".parse().unwrap(),
            ttl: 64,
            sequence,
            is_first,
            payload,
        }
    }

    fn keepalive() -> Vec<u8> {
        [&[0xFF; 16][..], &[0, 19, 4]].concat()
    }

    #[test]
    fn segments_out_of_order_and_sent_twice_are_put_together() {
        let mut streams = Streams::default();
        let start = u32::MAX - 5;
        assert!(streams.take(&segment(start, true, &[])).is_empty());
        let bytes = keepalive();
        let at = |offset: u32| start.wrapping_add(1).wrapping_add(offset);
        assert!(
            streams
                .take(&segment(at(10), false, &bytes[10..]))
                .is_empty()
        );
        assert!(streams.take(&segment(at(0), false, &bytes[..4])).is_empty());
        let found = streams.take(&segment(at(2), false, &bytes[2..10]));
        assert_eq!(found, [Message::Keepalive]);
        assert!(streams.take(&segment(at(0), false, &bytes)).is_empty());
        let found = streams.take(&segment(at(19), false, &bytes));
        assert_eq!(found, [Message::Keepalive]);
    }

    #[test]
    fn a_new_connection_on_the_same_ports_starts_afresh() {
        let mut streams = Streams::default();
        let bytes = keepalive();
        streams.take(&segment(7, true, &[]));
        streams.take(&segment(8, false, &bytes[..12]));
        streams.take(&segment(900, true, &[]));
        let found = streams.take(&segment(901, false, &bytes));
        assert_eq!(found, [Message::Keepalive]);
    }

    #[test]
    fn packets_of_both_families_are_read_and_others_are_not() {
        let mut tcp = vec![
            0x9C, 0x40, 0, 179, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, SYN, 0, 0, 0, 0, 0, 0,
        ];
        tcp.extend(b"xy");
        let v4 = [
            &[
                0x45, 0, 0, 42, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 1, 2, 10, 0, 1, 1,
            ][..],
            &tcp,
        ];
        // What a network card appends to a short packet.
        let v4 = [&v4.concat()[..], &[0; 4]].concat();
        let found = read(&v4).unwrap();
        assert_eq!(
            found,
            Segment {
                payload: b"xy",
                ..segment(7, true, &[])
            }
        );
        let mut v6 = vec![0x60, 0, 0, 0, 0, 22, 6, 64];
        v6.extend([0xFD; 32]);
        v6.extend(&tcp);
        assert_eq!(read(&v6).unwrap().payload, b"xy");
        assert_eq!(read_bfd(&v4), None);
        let mut datagram = vec![0xC0, 0, 0x0E, 0xC8, 0, 32, 0, 0, 0x20, 0xC0, 3, 24];
        datagram.extend([0; 20]);
        let mut bfd = v4[..20].to_vec();
        (bfd[3], bfd[9]) = (52, UDP);
        bfd.extend(&datagram);
        assert_eq!(
            read_bfd(&bfd).map(|(_, _, ttl, state)| (ttl, state)),
            Some((64, 3))
        );
        let mut other = v4.clone();
        other[23] = 53;
        assert_eq!(read(&other), None);
        for length in 0..v4.len() - 4 {
            assert_eq!(read(&v4[..length]), None);
        }
    }
}
