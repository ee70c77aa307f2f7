//! Bidirectional forwarding detection: a frozen node disappears in a fraction of a second.
//!
//! Source: RFC 5880 (the protocol), RFC 5881 (one hop), RFC 5883 (several hops).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub mod authentication;
pub mod driver;
mod intake;
pub mod metrics;
pub mod packet;
pub mod path;
pub mod session;
mod state;
pub mod status;
pub mod timing;

pub use state::{Diagnostic, State};

/// BFD beside one session; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Wanted between two packets in either direction, 10 ms to 60 s. Default 300 ms.
    pub interval: Duration,
    /// So many packets in a row may be missed, 1 to 255. Default 3.
    pub multiplier: u8,
    /// `None`: packets are not signed.
    pub authentication: Option<Authentication>,
}

impl Settings {
    /// After how much silence a neighbour on the same terms counts as gone. RFC 5880 §6.8.4.
    #[must_use]
    pub fn detection(&self) -> Duration {
        self.interval * u32::from(self.multiplier)
    }
}

/// How packets are signed. RFC 5880 §6.7.4.
#[derive(Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Auth Key ID.
    pub key_id: u8,
    /// The sequence number grows with each packet, not only now and then.
    pub is_meticulous: bool,
    /// 1 to 20 octets.
    pub key: Arc<[u8]>,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("key_id", &self.key_id)
            .field("is_meticulous", &self.is_meticulous)
            .finish_non_exhaustive()
    }
}
