//! How much of EDNS an upstream bears.
//!
//! Source: RFC 6891 §6.2.2 (remember what a server cannot do), §7 (FORMERR of servers without EDNS).
//! Two signs are believed:
//! - an error that is about the form (FORMERR, NOTIMP, BADVERS), and then a good answer to the same
//!   question without OPT. Once is enough while nothing speaks against it; where a question with OPT
//!   has had a good answer it takes [`STRIKES`] in a row, for an odd name may lead to such errors too;
//! - silence. After [`SILENCES`] questions with OPT in a row without any answer every second question is
//!   put without, as a trial. When [`TRIALS`] of them are answered while still no question with OPT is,
//!   OPT is to blame. One answer to a question with OPT, even an error, starts that anew. A loss or an
//!   outage hits both kinds and leads to nothing.

use std::time::Instant;

use super::super::query::Edns;
use super::{OFF_TIME, Part, Sent};

/// See above.
pub(super) const STRIKES: u32 = 3;
/// See above.
pub(super) const SILENCES: u32 = 8;
/// See above.
pub(super) const TRIALS: u32 = 3;

/// How a question can be put, from poor to rich.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Plain,
    Edns,
    Cookies,
}

impl Level {
    pub(super) fn of(sent: Sent) -> Self {
        match sent.edns {
            Edns::Without => Self::Plain,
            Edns::With | Edns::Sibling if sent.has_cookie => Self::Cookies,
            Edns::With | Edns::Sibling => Self::Edns,
        }
    }
}

#[derive(Debug)]
pub(super) struct Fallback {
    highest: Level,
    level: Level,
    /// When the highest level is tried again.
    until: Option<Instant>,
    /// A question of this level has had a good answer.
    is_proven: bool,
    /// The level of the latest question whose form was complained of.
    complaint: Option<Level>,
    strikes: u32,
    /// Questions with OPT in a row without an answer.
    silences: u32,
    /// Answers to questions without OPT in that time.
    trials: u32,
    is_trial_next: bool,
}

impl Fallback {
    pub(super) fn new(highest: Level) -> Self {
        Self {
            highest,
            level: highest,
            until: None,
            is_proven: false,
            complaint: None,
            strikes: 0,
            silences: 0,
            trials: 0,
            is_trial_next: false,
        }
    }

    /// What the upstream bears, as far as is known.
    pub(super) fn level(&mut self, now: Instant) -> Level {
        if self.until.is_some_and(|until| until <= now) {
            *self = Self::new(self.highest);
        }
        self.level
    }

    /// The level of the next question.
    pub(super) fn choose(&mut self, now: Instant) -> Level {
        let level = self.level(now);
        if self.silences < SILENCES {
            return level;
        }
        self.is_trial_next = !self.is_trial_next;
        if self.is_trial_next {
            Level::Plain
        } else {
            level
        }
    }

    /// An answer to a question of this level has come; its RCODE if it can be read.
    ///
    /// `is_plain_wanted`: it repeats one whose form was complained of. Says what is left out from now
    /// on, if that has changed.
    pub(super) fn heard(
        &mut self,
        level: Level,
        is_plain_wanted: bool,
        rcode: Option<u16>,
        now: Instant,
    ) -> Option<Part> {
        let is_good = matches!(rcode, Some(0 | 3 | 6));
        if level > Level::Plain {
            (self.silences, self.trials) = (0, 0);
            if matches!(rcode, Some(1 | 4 | 16)) {
                self.complaint = Some(level);
            } else if is_good && level == self.level {
                (self.complaint, self.strikes, self.is_proven) = (None, 0, true);
            }
            return None;
        }
        if !is_plain_wanted {
            self.trials += u32::from(self.silences >= SILENCES);
            return None;
        }
        // Of many at a time only the first counts: the others were complained of at the old level.
        if !is_good || self.complaint.take() != Some(self.level) {
            return None;
        }
        self.strikes += 1;
        let enough = if self.is_proven { STRIKES } else { 1 };
        (self.strikes >= enough).then(|| {
            if self.level == Level::Cookies {
                self.drop_to(Level::Edns, now)
            } else {
                self.drop_to(Level::Plain, now)
            }
        })
    }

    /// So many questions with OPT have come to nothing. Says what is left out from now on, if that has
    /// changed.
    pub(super) fn unanswered(&mut self, questions: u32, now: Instant) -> Option<Part> {
        if self.level(now) == Level::Plain {
            return None;
        }
        self.silences = self.silences.saturating_add(questions);
        (self.trials >= TRIALS && self.silences >= SILENCES + TRIALS)
            .then(|| self.drop_to(Level::Plain, now))
    }

    fn drop_to(&mut self, level: Level, now: Instant) -> Part {
        *self = Self {
            level,
            until: Some(now + OFF_TIME),
            ..Self::new(self.highest)
        };
        if level == Level::Plain {
            Part::Edns
        } else {
            Part::CookieOption
        }
    }
}
