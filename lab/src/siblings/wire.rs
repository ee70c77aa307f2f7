//! What the nodes ask each other, as it leaves their interfaces: not what they say about it.
//!
//! Source: RFC 791 §3.1 (IPv4), RFC 768 (UDP), RFC 9293 §3.1 (TCP), RFC 1035 §4.2 (port 53).

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, anyhow};
use socket2::Socket;

use super::NODES;
use super::record::Heard;
use crate::runner::Paths;
use crate::{message, packets};

/// EDNS option of a question from node to node.
const MARKER: u16 = 65_053;
const PORT: u16 = 53;
const UDP: u8 = 17;
const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A listener in the namespace of each node.
pub(super) struct Wire {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<Heard>>>>,
}

/// Where a packet goes to, and what it asks.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    from: Ipv4Addr,
    to: Ipv4Addr,
    is_marked: bool,
    name: Option<String>,
}

impl Wire {
    /// Starts to listen; times count from `start`.
    pub(super) fn start(paths: &Paths, start: Instant) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (name, own) in NODES {
            let socket = packets::open(&paths.namespace(name))?;
            let flag = Arc::clone(&is_over);
            let thread = std::thread::Builder::new()
                .name(format!("wire-{name}"))
                .spawn(move || listen(&socket, own, start, &flag))?;
            threads.push(thread);
        }
        Ok(Self { is_over, threads })
    }

    /// Ends, and returns all that was heard.
    pub(super) fn finish(self) -> Result<Vec<Heard>> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut heard = Vec::new();
        for thread in self.threads {
            heard.extend(thread.join().map_err(|_| anyhow!("listener panicked"))??);
        }
        heard.sort_by_key(|heard| heard.at);
        Ok(heard)
    }
}

fn listen(
    socket: &Socket,
    own: Ipv4Addr,
    start: Instant,
    is_over: &AtomicBool,
) -> Result<Vec<Heard>> {
    let index = |address: Ipv4Addr| NODES.iter().position(|(_, node)| *node == address);
    let mut heard = Vec::new();
    packets::listen(socket, is_over, |packet| {
        let at = start.elapsed();
        if let Some(packet) = read(packet)
            && packet.from == own
            && packet.to != own
            && let (Some(from), Some(to)) = (index(packet.from), index(packet.to))
        {
            heard.push(Heard {
                at,
                from,
                to,
                is_marked: packet.is_marked,
                name: packet.name,
            });
        }
    })?;
    Ok(heard)
}

/// Reads an IPv4 packet that asks something: a query over UDP, or the start of a connection.
fn read(packet: &[u8]) -> Option<Packet> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let [
        first,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        protocol,
        _,
        _,
        addresses @ ..,
    ] = *header;
    if first >> 4 != 4 {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = addresses;
    let payload = packet.get(usize::from(first & 0x0F) * 4..)?;
    let port: &[u8; 2] = payload.get(2..)?.first_chunk()?;
    if u16::from_be_bytes(*port) != PORT {
        return None;
    }
    let (is_marked, name) = match protocol {
        UDP => {
            let query = message::read_query(payload.get(8..)?)?;
            (query.options.contains(&MARKER), Some(query.name))
        }
        TCP if payload.get(13)? & (SYN | ACK) == SYN => (true, None),
        _ => return None,
    };
    Some(Packet {
        from: Ipv4Addr::new(a, b, c, d),
        to: Ipv4Addr::new(e, f, g, h),
        is_marked,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        bytes.extend_from_slice(&[10, 0, 21, 2, 10, 0, 22, 2]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn udp(port: u16, message: &[u8]) -> Vec<u8> {
        let mut payload = vec![0xC0, 0];
        payload.extend_from_slice(&port.to_be_bytes());
        payload.extend_from_slice(&[0; 4]);
        payload.extend_from_slice(message);
        packet(UDP, &payload)
    }

    #[test]
    fn a_marked_query_between_nodes_is_read() {
        let plain = message::query(1, &message::question("s0-1-2.unique.lab.test", 1));
        let mut marked = plain.clone();
        let end = marked.len() - 4;
        marked.truncate(end - 2);
        marked.extend_from_slice(&[0, 5, 0xFE, 0x1D, 0, 1, 1]);
        let known = |is_marked| Packet {
            from: Ipv4Addr::new(10, 0, 21, 2),
            to: Ipv4Addr::new(10, 0, 22, 2),
            is_marked,
            name: Some("s0-1-2.unique.lab.test".to_owned()),
        };
        assert_eq!(read(&udp(PORT, &marked)), Some(known(true)));
        assert_eq!(read(&udp(PORT, &plain)), Some(known(false)));
        assert_eq!(read(&udp(5353, &plain)), None);
        let whole = udp(PORT, &marked);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_none_or(|p| !p.is_marked));
        }
    }

    #[test]
    fn of_a_connection_the_first_packet_counts() {
        let segment = |flags| {
            packet(
                TCP,
                &[&[0, 0, 0, 53][..], &[0; 9], &[flags], &[0; 6]].concat(),
            )
        };
        assert!(read(&segment(SYN)).is_some_and(|p| p.name.is_none()));
        assert_eq!(read(&segment(SYN | ACK)), None);
        assert_eq!(read(&segment(ACK)), None);
    }
}
