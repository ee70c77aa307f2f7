//! What the driver logs: one event per fact.

use std::time::{Duration, Instant};

use super::PathState;
use crate::bfd::status::Status;
use crate::bfd::{Diagnostic, State};

/// A neighbour that comes and goes is told about so often ...
const EVENTS: u32 = 6;
/// ... in such a time; the rest is counted.
const PERIOD: Duration = Duration::from_secs(10);

/// Writes about one session, and holds back what repeats.
#[derive(Debug)]
pub(super) struct Journal {
    peer: String,
    period_ends: Option<Instant>,
    written: u32,
    suppressed: u64,
    /// The last trouble with sockets, which is told once.
    trouble: Option<String>,
}

impl Journal {
    pub(super) fn new(peer: String) -> Self {
        Self {
            peer,
            period_ends: None,
            written: 0,
            suppressed: 0,
            trouble: None,
        }
    }

    pub(super) fn state(&self, from: State, to: State, reason: Diagnostic) {
        tracing::debug!(peer = self.peer, %from, %to, %reason, "bfd state changed");
    }

    /// The path's state has changed for somebody who watches it.
    pub(super) fn path(&mut self, now: Instant, path: PathState, status: &Status) {
        let Some(suppressed) = self.allow(now) else {
            return;
        };
        let peer = self.peer.as_str();
        match path {
            PathState::Up => tracing::info!(peer, suppressed, "bfd session up"),
            PathState::Down => tracing::warn!(
                peer,
                reason = %status.diagnostic,
                remote_reason = %status.remote_diagnostic,
                suppressed,
                "bfd session lost"
            ),
            PathState::AdminDown => {
                tracing::info!(peer, suppressed, "bfd switched off by the neighbor");
            }
        }
    }

    /// There is no socket; tried again every second, told when it is news.
    pub(super) fn no_socket(&mut self, error: &std::io::Error) {
        let text = error.to_string();
        if self.trouble.as_ref() == Some(&text) {
            return;
        }
        if error.kind() == std::io::ErrorKind::AddrInUse {
            tracing::error!(
                peer = self.peer,
                %error,
                "no bfd: another BFD daemon has the port; `ss -lnup 'sport = :3784 or sport = :4784'` \
                 tells which one"
            );
        } else {
            tracing::warn!(peer = self.peer, %error, "no bfd yet: no socket");
        }
        self.trouble = Some(text);
    }

    pub(super) fn socket(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(peer = self.peer, "bfd has its sockets");
        }
    }

    /// `Some` with the number left out since the last one: say it. `None`: leave it out.
    fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.period_ends.is_none_or(|end| end <= now) {
            self.period_ends = Some(now + PERIOD);
            self.written = 0;
        }
        if self.written == EVENTS {
            self.suppressed += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Just at and after the limit, and at the end of the time.
    #[test]
    fn a_neighbour_that_comes_and_goes_does_not_fill_the_log() {
        let start = super::super::clock();
        let mut journal = Journal::new("192.0.2.1".to_owned());
        for _ in 0..EVENTS {
            assert_eq!(journal.allow(start), Some(0));
        }
        let late = start + PERIOD - Duration::from_nanos(1);
        assert_eq!((journal.allow(start), journal.allow(late)), (None, None));
        assert_eq!(journal.allow(start + PERIOD), Some(2));
    }
}
