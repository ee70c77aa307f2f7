//! How much of EDNS an upstream bears.
//!
//! Source: RFC 6891 §6.2.2 (remember what a server cannot do), §7 (FORMERR of servers without EDNS).
//! Two signs are believed:
//! - an error that is about the form (FORMERR, NOTIMP, BADVERS), and then a good answer to the same
//!   question without OPT. Once is enough while nothing speaks against it; where a question with OPT
//!   has had a good answer it takes [`STRIKES`] in a row, for an odd name may lead to such errors too;
//! - silence. After [`SILENCES`] questions with OPT in a row without any answer those among them that
//!   are asked again are put without, as a trial. When [`TRIALS`] different ones have had a good answer
//!   so while still no question with OPT has had any, OPT is to blame. One answer to a question with OPT,
//!   even an error, starts that anew. A loss or an outage hits both kinds and leads to nothing; nor do
//!   names that nobody answers for: other names go on with OPT and have their answers, and an error
//!   instead of the silence before (an upstream that has given up on a name tells the next one who
//!   asks) is no good answer.

use std::time::{Duration, Instant};

use super::super::query::Edns;
use super::{OFF_TIME, Part, Sent};

/// See above.
pub(super) const STRIKES: u32 = 3;
/// See above.
pub(super) const SILENCES: u64 = 8;
/// See above.
pub(super) const TRIALS: u64 = 3;
/// Questions that are remembered as silent with OPT.
pub(super) const SILENT_MAX: usize = 32;
/// How long one keeps its place from others when it is not asked again: longer than clients and what
/// is remembered of failures let it wait for the next time.
pub(super) const SILENT_TIME: Duration = Duration::from_secs(30);

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
    silences: u64,
    /// Some of these.
    silent: [Option<Silent>; SILENT_MAX],
    /// How many of them have been answered without OPT.
    trials: u64,
}

/// A question that was not answered with OPT.
#[derive(Clone, Copy, Debug)]
struct Silent {
    fingerprint: u64,
    since: Instant,
    /// It has had a good answer without.
    is_answered: bool,
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
            silent: [None; SILENT_MAX],
            trials: 0,
        }
    }

    /// What the upstream bears, as far as is known.
    pub(super) fn level(&mut self, now: Instant) -> Level {
        if self.until.is_some_and(|until| until <= now) {
            *self = Self::new(self.highest);
        }
        self.level
    }

    /// The level of the next question, which has this fingerprint.
    pub(super) fn choose(&mut self, fingerprint: u64, now: Instant) -> Level {
        let level = self.level(now);
        if self.on_trial(fingerprint).is_some() {
            Level::Plain
        } else {
            level
        }
    }

    /// The question, if it is to be put without OPT for once.
    fn on_trial(&mut self, fingerprint: u64) -> Option<&mut Silent> {
        let mut silent = self.silent.iter_mut().flatten();
        silent
            .find(|silent| silent.fingerprint == fingerprint && !silent.is_answered)
            .filter(|_| self.silences >= SILENCES)
    }

    /// An answer to a question of this level has come; its RCODE if it can be read.
    ///
    /// `is_plain_wanted`: it repeats one whose form was complained of. Says what is left out from now
    /// on, if that has changed.
    pub(super) fn heard(
        &mut self,
        (level, fingerprint): (Level, u64),
        is_plain_wanted: bool,
        rcode: Option<u16>,
        now: Instant,
    ) -> Option<Part> {
        let is_good = matches!(rcode, Some(0 | 3 | 6));
        if level > Level::Plain {
            if self.silences > 0 {
                (self.silences, self.trials) = (0, 0);
                self.silent = [None; SILENT_MAX];
            }
            if matches!(rcode, Some(1 | 4 | 16)) {
                self.complaint = Some(level);
            } else if is_good && level == self.level {
                (self.complaint, self.strikes, self.is_proven) = (None, 0, true);
            }
            return None;
        }
        if !is_plain_wanted {
            if is_good && let Some(silent) = self.on_trial(fingerprint) {
                silent.is_answered = true;
                self.trials += 1;
            }
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

    /// A question with OPT has come to nothing. Says what is left out from now on, if that has changed.
    pub(super) fn unanswered(&mut self, fingerprint: u64, now: Instant) -> Option<Part> {
        if self.level(now) == Level::Plain {
            return None;
        }
        self.silences = self.silences.saturating_add(1);
        self.remember(fingerprint, now);
        (self.trials >= TRIALS && self.silences >= SILENCES + TRIALS)
            .then(|| self.drop_to(Level::Plain, now))
    }

    /// Whoever comes first stays: new names in masses must not push out those that will be asked again.
    fn remember(&mut self, fingerprint: u64, now: Instant) {
        let mut known = self.silent.iter().flatten();
        if known.any(|silent| silent.fingerprint == fingerprint) {
            return;
        }
        let vacant = self.silent.iter_mut().find(|place| {
            place.is_none_or(|silent| !silent.is_answered && silent.since + SILENT_TIME <= now)
        });
        if let Some(vacant) = vacant {
            *vacant = Some(Silent {
                fingerprint,
                since: now,
                is_answered: false,
            });
        }
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
