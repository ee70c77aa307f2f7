//! What the operating system is asked for: addresses, links, gateways, router discovery, sockets,
//! signals.
//!
//! Every file below is a shell; what they decide stands in pure functions with their own tests.
//! Requests and events use two rtnetlink connections ([`netlink`], [`link`]), for notifications
//! about a connection's own requests never reach that connection.

pub mod address;
pub mod advertisement;
pub mod gateway;
pub mod link;
pub mod netlink;
pub mod process;
pub mod socket;
pub mod udp_table;
pub mod unicast;
pub mod user;
