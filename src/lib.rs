//! Sidestep: an anycast DNS node in one process.
pub mod admin;
pub mod announce;
pub mod bgp;
pub mod config;
pub mod dns;
pub mod health;
pub mod os;
pub mod telemetry;
