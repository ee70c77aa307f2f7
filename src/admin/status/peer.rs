//! Another node of the service, as it is told outwards.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An address of a sibling that is asked how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// As on the list (`last_resort`).
    pub address: SocketAddr,
    /// Which node it is, as eight hexadecimal digits: equal for all of its addresses. `None`: it has not
    /// said so.
    pub node: Option<String>,
    /// Whether it has answered within the last 3 s.
    pub reached: bool,
    /// Whether it says that it can resolve; `None`: not known.
    pub able: Option<bool>,
    /// Whether it says that this node answers it; `None`: not known.
    pub hears_us: Option<bool>,
    /// How long its last answer took, in microseconds; `None`: there was none.
    pub rtt_us: Option<u64>,
    /// Seconds since it is reached, or not.
    pub since_s: u64,
}

/// One that answers, for tests.
#[cfg(test)]
pub(super) fn example() -> Peer {
    Peer {
        address: "10.0.2.1:53".parse().unwrap(),
        node: Some("89abcdef".into()),
        reached: true,
        able: Some(true),
        hears_us: None,
        rtt_us: Some(870),
        since_s: 3_725,
    }
}
