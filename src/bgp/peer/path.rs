//! When a report of BFD's ends the session.
//!
//! Source: RFC 5882 §3.2 (what a change of state means), §4.2 (routing protocols), RFC 5880 §6.8.3
//! (at least a second between packets while a session is not Up).
//!
//! Only a change from Up to Down counts: a neighbour without BFD, or whose operator switches it off,
//! loses nothing. One such change is forgiven while a session is young, if BFD comes back soon:
//! FRR 8 makes its BFD session anew when BGP gets Established, and the old one falls silent.

use std::time::{Duration, Instant};

use crate::bgp::BfdState;

/// So long a session is young.
const YOUNG: Duration = Duration::from_secs(5);
/// So long BFD may take to come back: three packets (Down, Init, Up) a second apart. The hold timer
/// runs all the while.
const RETURN: Duration = Duration::from_secs(3);

/// What BFD last said, and what is made of it.
#[derive(Debug, Default)]
pub(super) struct Path {
    state: Option<BfdState>,
    /// When the session got Established.
    established: Option<Instant>,
    /// BFD went Down while the session was young; until then it may come back.
    doubt: Option<Instant>,
    /// The session has had its one flap.
    has_flapped: bool,
}

impl Path {
    /// `is_session`: a connection is in OpenConfirm or Established. `true`: it has to be closed.
    pub(super) fn handle_bfd(&mut self, now: Instant, state: BfdState, is_session: bool) -> bool {
        let before = self.state.replace(state);
        match state {
            BfdState::Up | BfdState::AdminDown => {
                self.doubt = None;
                false
            }
            BfdState::Down if before != Some(BfdState::Up) || !is_session => false,
            BfdState::Down => {
                let is_young = self
                    .established
                    .is_none_or(|since| now.saturating_duration_since(since) < YOUNG);
                if is_young && !self.has_flapped {
                    self.has_flapped = true;
                    self.doubt = Some(now + RETURN);
                    return false;
                }
                true
            }
        }
    }

    /// The session is Established. What BFD did in OpenConfirm counts, for the neighbour may have
    /// been Established by then.
    pub(super) fn handle_established(&mut self, now: Instant) {
        self.established = Some(now);
    }

    /// No connection is in OpenConfirm or Established any more.
    pub(super) fn handle_end(&mut self) {
        *self = Self {
            state: self.state,
            ..Self::default()
        };
    }

    /// `true`: BFD has not come back, and the session has to be closed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        self.doubt.take_if(|until| *until <= now).is_some()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.doubt
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use super::*;
    use BfdState::{AdminDown, Down, Up};

    const TICK: Duration = Duration::from_millis(1);

    /// A session that got Established at the instant given, with BFD Up.
    fn up() -> (Path, Instant) {
        let start = Instant::now();
        let mut path = Path::default();
        assert!(!path.handle_bfd(start, Up, false));
        path.handle_established(start);
        (path, start)
    }

    /// RFC 5882 §3.2: every report after every other, for a session that is no longer young.
    #[test]
    fn only_a_change_from_up_to_down_ends_a_session() {
        for before in [None, Some(Up), Some(Down), Some(AdminDown)] {
            for report in [Up, Down, AdminDown] {
                let (mut path, start) = up();
                path.state = before;
                let ends = path.handle_bfd(start + YOUNG, report, true);
                assert_eq!(ends, (before, report) == (Some(Up), Down));
                assert_eq!(path.poll_timeout(), None);
            }
        }
    }

    /// Facts on FRR: just before and at 5 s after Established, and in OpenConfirm.
    #[test]
    fn one_flap_of_a_young_session_is_forgiven() {
        let (mut path, start) = up();
        let at = start + YOUNG - TICK;
        assert!(!path.handle_bfd(at, Down, true));
        assert!(!path.handle_timeout(at + RETURN - TICK));
        assert!(!path.handle_bfd(at + RETURN - TICK, Up, true));
        assert!(!path.handle_timeout(at + RETURN));
        assert!(path.handle_bfd(at + RETURN + TICK, Down, true));

        let (mut path, start) = up();
        assert!(path.handle_bfd(start + YOUNG, Down, true));

        let (mut path, start) = up();
        path.established = None;
        assert!(!path.handle_bfd(start, Down, true));
        assert_eq!(path.poll_timeout(), Some(start + RETURN));
    }

    /// A second flap shows that the path is bad, however young the session is.
    #[test]
    fn a_second_flap_of_a_young_session_ends_it() {
        let (mut path, start) = up();
        assert!(!path.handle_bfd(start + TICK, Down, true));
        assert!(!path.handle_bfd(start + 2 * TICK, Up, true));
        assert!(path.handle_bfd(start + 3 * TICK, Down, true));
    }

    /// Just before and at the limit; a neighbour that has switched BFD off meanwhile is not blamed.
    #[test]
    fn a_path_that_stays_down_ends_a_young_session() {
        let (mut path, start) = up();
        assert!(!path.handle_bfd(start, Down, true));
        assert_eq!(path.poll_timeout(), Some(start + RETURN));
        assert!(!path.handle_timeout(start + RETURN - TICK));
        assert!(path.handle_timeout(start + RETURN));
        assert!(!path.handle_timeout(start + RETURN));

        let (mut path, start) = up();
        assert!(!path.handle_bfd(start, Down, true));
        assert!(!path.handle_bfd(start + TICK, AdminDown, true));
        assert!(!path.handle_timeout(start + RETURN));
    }

    /// Own rule: a session during which BFD was never Up is not BFD's to end.
    #[test]
    fn a_session_whose_bfd_was_never_up_is_left_alone() {
        let (mut path, start) = up();
        path.handle_end();
        assert!(!path.handle_bfd(start, Down, false));
        path.handle_established(start);
        assert!(!path.handle_bfd(start + 2 * YOUNG, Down, true));
        assert!(!path.handle_bfd(start + 2 * YOUNG, AdminDown, true));
        assert!(!path.handle_bfd(start + 2 * YOUNG, Down, true));
        assert_eq!(path.poll_timeout(), None);
    }
}
