//! The real binary on loopback, without root: what clients, upstreams, a router, an operator and
//! an attacker see of it.
//!
//! Each test has a loopback address, ports and children of its own, so that all run in parallel.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails fails its test"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "real processes are watched in real time"
)]

mod announcing;
mod flooding;
mod hostile;
mod naming;
mod neighbors;
mod outage;
mod resolving;
mod siblings;
mod starting;
mod support;
mod watching;
