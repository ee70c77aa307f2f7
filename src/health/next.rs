//! What it would take for a verdict to change, in words.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Awaited, Level};

/// What it would take to change a verdict. [`Self::in_words`] tells it to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is at its best: only a finding changes that.
    Stays,
    /// The end of the start.
    Announced(Awaited),
    /// So many good probes in a row.
    Proven {
        /// How many.
        probes: u32,
        /// The level that they lead to.
        to: Level,
    },
    /// The end of a fault that is plain to see, and then as many good probes in a row.
    Mended {
        /// How many.
        probes: u32,
        /// The level that they lead to.
        to: Level,
    },
    /// An answer of any upstream of the zone.
    Answered {
        /// The zone's apex.
        zone: Arc<str>,
    },
    /// Better answers to the zone's clients.
    Improved {
        /// The zone's apex.
        zone: Arc<str>,
    },
    /// Enough canaries of the zone.
    Resolved {
        /// The zone's apex.
        zone: Arc<str>,
        /// How many.
        needed: u8,
    },
    /// Good results of an extra check.
    Checked {
        /// Its name.
        check: Arc<str>,
        /// How many in a row.
        results: u32,
    },
    /// Siblings that hear this node again, for as long as that.
    Heard {
        /// How long.
        lasting: Duration,
    },
    /// A sibling that can resolve would lower the level; the end of the fault ends all.
    Consented {
        /// What ends the fault.
        end: Box<Self>,
    },
    /// `withdrawn` at that time, but for what ends the fault.
    WithdrawnAt {
        /// When.
        at: Instant,
        /// What ends the fault.
        unless: Box<Self>,
    },
    /// `preferred` at that time when nothing fails.
    PreferredAt {
        /// When.
        at: Instant,
    },
    /// Overload that is over; it changes no level.
    Unloaded,
    /// A link to a neighbour.
    Linked,
    /// The end of a drain.
    Undrained {
        /// When it ends by itself.
        until: Option<Instant>,
    },
    /// Nothing: the process ends.
    Ended,
}

impl Next {
    /// As one clause without a full stop, such as `returns to preferred in 7.2 s if nothing fails`.
    pub fn in_words(&self, now: Instant) -> impl fmt::Display + '_ {
        Words { next: self, now }
    }

    /// The time at which it comes about by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::PreferredAt { at } | Self::WithdrawnAt { at, .. } => Some(*at),
            Self::Stays
            | Self::Announced(_)
            | Self::Proven { .. }
            | Self::Mended { .. }
            | Self::Answered { .. }
            | Self::Improved { .. }
            | Self::Resolved { .. }
            | Self::Checked { .. }
            | Self::Heard { .. }
            | Self::Consented { .. }
            | Self::Unloaded
            | Self::Linked
            | Self::Undrained { .. }
            | Self::Ended => None,
        }
    }
}

struct Words<'a> {
    next: &'a Next,
    now: Instant,
}

impl Words<'_> {
    fn left(&self, until: Instant) -> Left {
        Left(until.saturating_duration_since(self.now))
    }

    /// What has to happen, as the rest of a sentence that ends with "when" or "unless".
    fn condition(&self, next: &Next, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match next {
            Next::Answered { zone } => write!(f, "an upstream of {zone} answers"),
            Next::Improved { zone } => write!(f, "names of {zone} resolve again"),
            Next::Resolved { zone, needed } => {
                write!(f, "{needed} canaries of {zone} resolve")
            }
            Next::Checked { check, results } => {
                write!(f, "check {check} is good {results} times in a row")
            }
            Next::Stays
            | Next::Announced(_)
            | Next::Proven { .. }
            | Next::Mended { .. }
            | Next::Heard { .. }
            | Next::Consented { .. }
            | Next::WithdrawnAt { .. }
            | Next::PreferredAt { .. }
            | Next::Unloaded
            | Next::Linked
            | Next::Undrained { .. }
            | Next::Ended => f.write_str("the fault ends"),
        }
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.next {
            Next::Stays => f.write_str("stays while nothing fails"),
            Next::Announced(awaited) => write!(f, "announced when {}", Wanted(awaited)),
            Next::Proven { probes, to } => {
                write!(f, "returns to {to} after {probes} good probes in a row")
            }
            Next::Mended { probes, to } => write!(
                f,
                "returns to {to} when that ends and then {probes} probes in a row are good"
            ),
            Next::Answered { .. }
            | Next::Improved { .. }
            | Next::Resolved { .. }
            | Next::Checked { .. } => {
                f.write_str("over when ")?;
                self.condition(self.next, f)
            }
            Next::Heard { lasting } => write!(
                f,
                "returns to preferred when fewer than 2 siblings have said so for {}",
                Left(*lasting)
            ),
            Next::Consented { end } => {
                f.write_str("goes to backup when a sibling can resolve; over when ")?;
                self.condition(end, f)
            }
            Next::WithdrawnAt { at, unless } => {
                write!(f, "withdrawn in {} unless ", self.left(*at))?;
                self.condition(unless, f)
            }
            Next::PreferredAt { at } => write!(
                f,
                "returns to preferred in {} if nothing fails",
                self.left(*at)
            ),
            Next::Unloaded => f.write_str("over when the load falls; the level does not change"),
            Next::Linked => f.write_str("over when a link is up; the level does not change"),
            Next::Undrained { until: Some(until) } => write!(
                f,
                "returns when the drain ends in {} or is taken back",
                self.left(*until)
            ),
            Next::Undrained { until: None } => f.write_str("returns when the drain is taken back"),
            Next::Ended => f.write_str("does not return: the process ends"),
        }
    }
}

/// What a start waits for, as what has to happen.
struct Wanted<'a>(&'a Awaited);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Awaited::Address => f.write_str("the address is on the interface"),
            Awaited::Heartbeat(worker) => write!(f, "worker {worker} shows a heartbeat"),
            Awaited::Probe(worker) => write!(f, "a probe of worker {worker} is good"),
            Awaited::AddressProbe => f.write_str("a probe of the address is good"),
            Awaited::TcpProbe => f.write_str("a tcp probe is good"),
            Awaited::Check(check) => write!(f, "check {check} is good"),
            Awaited::Upstreams => f.write_str("each upstream was reached or is given up on"),
            Awaited::HotNames => f.write_str("the hot names are fetched or their time is up"),
        }
    }
}

/// A time that is left, as people say it.
struct Left(Duration);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.as_secs();
        match s {
            0..=119 => write!(f, "{s}.{} s", self.0.subsec_millis() / 100),
            120..=7199 => write!(f, "{} min", s / 60),
            7200.. => write!(f, "{} h {} min", s / 3600, s / 60 % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_in_the_unit_that_people_would_use() {
        for (ms, text) in [
            (0, "0.0 s"),
            (7_290, "7.2 s"),
            (119_999, "119.9 s"),
            (120_000, "2 min"),
            (7_199_999, "119 min"),
            (7_200_000, "2 h 0 min"),
            (90_061_000, "25 h 1 min"),
        ] {
            assert_eq!(Left(Duration::from_millis(ms)).to_string(), text);
        }
    }

    #[test]
    fn what_it_takes_is_one_clause_with_the_time_left() {
        let now = crate::health::machine::tests::start();
        let at = now + Duration::from_millis(3_250);
        let zone: Arc<str> = ".".into();
        let end = Box::new(Next::Answered { zone });
        let words = |next: Next| next.in_words(now).to_string();
        assert_eq!(
            words(Next::PreferredAt { at }),
            "returns to preferred in 3.2 s if nothing fails"
        );
        assert_eq!(
            words(Next::WithdrawnAt {
                at,
                unless: end.clone()
            }),
            "withdrawn in 3.2 s unless an upstream of . answers"
        );
        assert_eq!(
            words(Next::Consented { end }),
            "goes to backup when a sibling can resolve; over when an upstream of . answers"
        );
        assert_eq!(
            words(Next::Undrained { until: Some(at) }),
            "returns when the drain ends in 3.2 s or is taken back"
        );
        assert_eq!(
            words(Next::Announced(Awaited::Upstreams)),
            "announced when each upstream was reached or is given up on"
        );
    }
}
