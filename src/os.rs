//! What the operating system is asked for: addresses, links, gateways, sockets, signals.
//!
//! Every file below is a shell; what they decide stands in pure functions with their own tests.

pub mod process;
pub mod socket;
