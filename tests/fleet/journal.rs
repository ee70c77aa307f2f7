//! The last things that happened in a run, for the text of a failure.

use std::collections::VecDeque;
use std::env;
use std::fmt::{self, Write};

use sidestep::health::{DrainPhase, Level, Verdict};

use crate::router::Offer;
use crate::setup::Time;

/// More would not be read, unless `SIDESTEP_FLEET_EVENTS` says so.
const NOTES_MAX: usize = 80;

/// What happened, kept as it is: only a failure makes text of it.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    Deed(String),
    Verdict {
        node: usize,
        from: Level,
        verdict: Verdict,
    },
    Phase {
        node: usize,
        phase: DrainPhase,
    },
    Offer {
        node: usize,
        offer: Offer,
    },
    Started {
        node: usize,
    },
    Ended {
        node: usize,
        is_clean: bool,
    },
    Route {
        region: usize,
        has_route: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Journal {
    notes: VecDeque<(Time, Note)>,
    notes_max: usize,
    /// A number that two equal runs share.
    pub(crate) digest: u64,
}

impl Default for Journal {
    fn default() -> Self {
        let asked = env::var("SIDESTEP_FLEET_EVENTS").ok();
        let notes_max = asked.and_then(|count| count.parse().ok());
        Self {
            notes: VecDeque::new(),
            notes_max: notes_max.unwrap_or(NOTES_MAX),
            digest: 0,
        }
    }
}

impl Journal {
    pub(crate) fn note(&mut self, now: Time, note: Note) {
        let code = match &note {
            Note::Deed(_) => 1,
            Note::Verdict { node, verdict, .. } => 8 + 4 * *node as u64 + verdict.level as u64,
            Note::Phase { node, .. } => 1_000_003 + *node as u64,
            Note::Offer { node, offer } => 2_000_003 + 8 * *node as u64 + *offer as u64,
            Note::Started { node } => 3_000_017 + *node as u64,
            Note::Ended { node, .. } => 4_000_037 + *node as u64,
            Note::Route { region, .. } => 5_000_011 + *region as u64,
        };
        let event = code.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ now.as_micros() as u64;
        self.digest = (self.digest.rotate_left(5) ^ event).wrapping_mul(0xA076_1D64_78BD_642F);
        self.notes.push_back((now, note));
        if self.notes.len() > self.notes_max {
            self.notes.pop_front();
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (at, note) in &self.notes {
            let _ = writeln!(text, "  {:10.3} s  {note}", at.as_secs_f64());
        }
        text
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deed(deed) => write!(f, "{deed}"),
            Self::Verdict {
                node,
                from,
                verdict,
            } => {
                let class = verdict.class.map_or("none", |class| class.as_str());
                let (to, reason) = (verdict.level, &verdict.reason);
                write!(f, "node {node}: {from} → {to} ({class}: {reason})")
            }
            Self::Phase { node, phase } => write!(f, "node {node}: {phase}"),
            Self::Offer { node, offer } => write!(f, "node {node} announces {offer:?}"),
            Self::Started { node } => write!(f, "node {node} starts"),
            Self::Ended { node, is_clean } => {
                let how = if *is_clean { "in order" } else { "killed" };
                write!(f, "node {node} ends, {how}")
            }
            Self::Route { region, has_route } => {
                let word = if *has_route { "a" } else { "no" };
                write!(f, "region {region} has {word} route")
            }
        }
    }
}
