//! How long failures are remembered.
//!
//! Source: RFC 9520 §3.2 (at least 1 s, at most 5 minutes, longer each time).

use std::time::Duration;

/// How long a failure is remembered at first.
pub const FAILURE_LIFETIME: Duration = Duration::from_secs(1);
/// How long a failure is remembered at most.
pub const FAILURE_LIFETIME_MAX: Duration = Duration::from_secs(60);
/// How long after its end a failure still makes the next one of the same question last longer.
pub const FAILURE_MEMORY: Duration = Duration::from_secs(60);

/// How long failures of one question are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// [`FAILURE_LIFETIME`] each: for want of upstreams, whose recovery it must not outlive.
    Constant,
    /// Twice as long as the one before, up to [`FAILURE_LIFETIME_MAX`]: it is about the name.
    Doubling,
}

impl Backoff {
    /// How long the next failure is remembered; `last` is the lifetime of the one before, and how
    /// long ago it was.
    pub(super) fn lifetime(self, last: Option<(Duration, Duration)>) -> Duration {
        let Some((lifetime, age)) = last.filter(|_| self == Self::Doubling) else {
            return FAILURE_LIFETIME;
        };
        match age.checked_sub(lifetime) {
            // Another worker has asked at the same time.
            None => lifetime,
            Some(since) if since <= FAILURE_MEMORY => (lifetime * 2).min(FAILURE_LIFETIME_MAX),
            Some(_) => FAILURE_LIFETIME,
        }
    }
}
