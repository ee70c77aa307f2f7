//! The program that a socket's filter runs for each packet, before it takes room in the buffer.
//!
//! Source: socket(7) (SO_ATTACH_FILTER), RFC 791 §3.1 and RFC 8200 §3 (where TTL and source stand).

use std::net::IpAddr;

use socket2::SockFilter;

use super::Admission;

/// Classic BPF: load an octet or four from a place, compare, return.
const LOAD_OCTET: u16 = 0x30;
const LOAD_WORD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// `SKF_NET_OFF`, -0x100000: places are counted from the IP header.
const IP_HEADER: u32 = 0xFFF0_0000;
/// As many octets of the packet are kept.
const TAKE: u32 = 0xFFFF;
const DROP: u32 = 0;

/// Takes packets that are admitted, and no others.
pub(super) fn program(is_ipv4: bool, admission: &Admission) -> Vec<SockFilter> {
    let mut program = Vec::new();
    let mut step = |code, if_so, if_not, value| {
        program.push(SockFilter::new(code, if_so, if_not, value));
    };
    let (ttl_at, source_at) = if is_ipv4 { (8, 12) } else { (7, 8) };
    step(LOAD_OCTET, 0, 0, IP_HEADER + ttl_at);
    step(IF_AT_LEAST, 1, 0, admission.ttl_min.into());
    step(RETURN, 0, 0, DROP);
    for source in &admission.sources {
        match source {
            IpAddr::V4(address) if is_ipv4 => {
                step(LOAD_WORD, 0, 0, IP_HEADER + source_at);
                step(IF_EQUAL, 0, 1, address.to_bits());
                step(RETURN, 0, 0, TAKE);
            }
            IpAddr::V6(address) if !is_ipv4 => {
                let octets = address.octets();
                let (words, _) = octets.as_chunks::<4>();
                // What differs anywhere goes behind the return: that many steps ahead.
                for ((word, place), steps) in words.iter().zip([0, 4, 8, 12]).zip([7, 5, 3, 1]) {
                    step(LOAD_WORD, 0, 0, IP_HEADER + source_at + place);
                    step(IF_EQUAL, 0, steps, u32::from_be_bytes(*word));
                }
                step(RETURN, 0, 0, TAKE);
            }
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
    }
    step(RETURN, 0, 0, DROP);
    program
}
