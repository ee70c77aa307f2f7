//! The bare loops: what the kernel alone costs, and what nothing in front of a cache can beat.
//!
//! Each is one thread without a runtime, a clock, a cache or a log.

use std::io;
use std::net::SocketAddr;

use clap::Subcommand;

use crate::names::{self, NAME_OCTETS, QUERY_OCTETS};

mod relay;
mod tcp;
mod udp;

/// Octets of a datagram's or frame's answer.
const ANSWER_OCTETS: usize = QUERY_OCTETS + names::RECORD_OCTETS;

/// Which loop.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Limit {
    /// Answers over UDP.
    Udp {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Answers over TCP.
    Tcp {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Asks another server over UDP.
    Relay {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        upstream: SocketAddr,
    },
}

impl Limit {
    /// Runs until it is killed.
    pub(crate) fn run(&self) -> io::Result<()> {
        let for_ever = || false;
        match self {
            Self::Udp { listen } => udp::serve(&udp::bind(*listen)?, for_ever),
            Self::Tcp { listen } => tcp::serve(&tcp::bind(*listen)?, for_ever),
            Self::Relay { listen, upstream } => {
                relay::serve(&udp::bind(*listen)?, *upstream, for_ever)
            }
        }
    }
}

/// Turns a query at the start of the buffer, of `octets`, into its answer; `None` when it is not
/// one that the generator asks.
fn answer(buffer: &mut [u8], octets: usize) -> Option<usize> {
    let message = buffer.get_mut(..ANSWER_OCTETS)?;
    // Not a response, opcode 0, one question, for an A record of class IN.
    if octets < QUERY_OCTETS
        || message[2] & 0xF8 != 0
        || message[4..6] != [0, 1]
        || message[12 + NAME_OCTETS..QUERY_OCTETS] != [0, 1, 0, 1]
    {
        return None;
    }
    let address = names::address(&message[12..12 + NAME_OCTETS])?;
    // QR beside the RD that came, RA; one record, none of the others.
    message[2] |= 0x80;
    message[3] = 0x80;
    message[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    message[QUERY_OCTETS..].copy_from_slice(&names::record(address));
    Some(ANSWER_OCTETS)
}

#[cfg(test)]
mod tests;
