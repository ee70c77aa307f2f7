//! The lease: proof that health itself runs, with what it allows to be announced.
//!
//! Announcing reads levels from nowhere else, and a stale lease hands out none: when health
//! stops, everything is withdrawn, floors too, without anybody deciding so.

use std::time::{Duration, Instant};

use super::{Level, Target};

/// How long a lease is good for after its renewal.
pub const LEASE_VALIDITY: Duration = Duration::from_secs(1);

/// A stamp of health with the levels that it allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    renewed_at: Option<Instant>,
    grants: Vec<Grant>,
}

/// What may be announced for one target at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// For whom.
    pub target: Target,
    /// Whether every self-probe of it was good at least once since the start.
    pub ready: bool,
    /// The best level for the service's own address.
    pub level: Level,
    /// The node is being drained: a route that is still announced asks its readers to move away.
    pub leaving: bool,
    /// The best level for the covering prefixes.
    pub floor: FloorLevel,
}

/// How the covering prefixes of a service may be announced; ordered from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FloorLevel {
    /// Not at all: starting or drained.
    Withdrawn,
    /// Less attractive than any backup: the node has a local fault.
    LastResort,
    /// As a backup.
    Backup,
}

impl Lease {
    /// A lease renewed at `now`.
    #[must_use]
    pub fn new(now: Instant, grants: Vec<Grant>) -> Self {
        Self {
            renewed_at: Some(now),
            grants,
        }
    }

    /// Lowers what is allowed to what `grants` allow, without renewing the stamp: bad news does
    /// not wait for fresh inputs.
    pub(super) fn restrict(&mut self, grants: &[Grant]) {
        for new in grants {
            if let Some(old) = self.grants.iter_mut().find(|old| old.target == new.target) {
                old.ready &= new.ready;
                old.level = old.level.min(new.level);
                old.leaving |= new.leaving;
                old.floor = old.floor.min(new.floor);
            }
        }
    }

    /// Whether it may be acted upon at `now`.
    #[must_use]
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.expires_at().is_some_and(|expiry| now < expiry)
    }

    /// From when on it is stale; `None` when it was never renewed.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        self.renewed_at.map(|at| at + LEASE_VALIDITY)
    }

    /// When it was renewed last.
    #[must_use]
    pub fn renewed_at(&self) -> Option<Instant> {
        self.renewed_at
    }

    /// What is allowed at `now`; nothing when stale.
    #[must_use]
    pub fn grants(&self, now: Instant) -> &[Grant] {
        if self.is_fresh(now) {
            &self.grants
        } else {
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Family;

    fn grant(level: Level) -> Grant {
        Grant {
            target: Target {
                service: 0,
                family: Family::V4,
            },
            ready: true,
            level,
            leaving: false,
            floor: FloorLevel::Backup,
        }
    }

    #[test]
    fn a_lease_is_fresh_for_just_under_a_second_and_then_allows_nothing() {
        let start = crate::health::machine::tests::start();
        assert!(!Lease::default().is_fresh(start));
        let lease = Lease::new(start, vec![grant(Level::Preferred)]);
        let last = start + LEASE_VALIDITY - Duration::from_nanos(1);
        assert_eq!(lease.grants(last).len(), 1);
        assert!(!lease.is_fresh(start + LEASE_VALIDITY));
        assert_eq!(lease.grants(start + LEASE_VALIDITY), []);
    }

    #[test]
    fn restricting_lowers_but_neither_raises_nor_renews() {
        let start = crate::health::machine::tests::start();
        let mut lease = Lease::new(start, vec![grant(Level::Preferred)]);
        lease.restrict(&[Grant {
            floor: FloorLevel::LastResort,
            ..grant(Level::Backup)
        }]);
        lease.restrict(&[grant(Level::Preferred)]);
        let [only] = lease.grants(start) else {
            panic!("one grant")
        };
        assert_eq!(
            (only.level, only.floor),
            (Level::Backup, FloorLevel::LastResort)
        );
        assert_eq!(lease.renewed_at(), Some(start));
    }
}
