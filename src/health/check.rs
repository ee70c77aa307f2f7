//! Extra checks of a service: what they ask, when, and what became of them.
//!
//! A check is evidence that an operator adds: that a backend takes connections, that a page has the
//! right status, that a program of theirs is content. By default its failure is a *shared* fault,
//! for what it asks may be the same for all nodes; with `fault = "local"` it is one of this node.
//! `checker` asks, [`Board`] keeps what was found, and the machine of health counts the streaks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::CheckOutcome;
use super::question::Question;

pub mod metrics;

/// What the check of the names of a target is called.
pub const NAMES: &str = "names";
/// Octets of a text that goes into a reason.
const TEXT_MAX: usize = 200;
/// Results that may be missing before that is a bad result itself.
const MISSED_MAX: u32 = 3;

/// One check, as it is to be made.
#[derive(Clone, Debug)]
pub struct CheckSettings {
    /// Position of the service in the configuration.
    pub service: usize,
    /// Position among the checks of the service.
    pub check: usize,
    /// What is asked.
    pub kind: CheckKind,
    /// From the start of one to the start of the next, 1 s or more. Default 5 s.
    pub interval: Duration,
    /// One that takes longer is bad; less than the interval. Default 2 s.
    pub timeout: Duration,
}

/// What a check asks.
#[derive(Clone, Debug)]
pub enum CheckKind {
    /// Whether a TCP connection can be made.
    Tcp(SocketAddr),
    /// Whether a page has one of these status codes.
    Http(Page),
    /// Whether a program ends with exit code 0.
    Exec(Command),
    /// Whether names resolve.
    Names(Names),
}

/// A page, asked for by HTTP/1.1 without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where.
    pub address: SocketAddr,
    /// The value of `Host`. RFC 9110 §7.2.
    pub host: String,
    /// Path and query, from the slash on: no blanks, no control characters.
    pub path: String,
    /// The status codes that are good.
    pub status: Vec<RangeInclusive<u16>>,
}

/// A program and its arguments; no shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program.
    pub program: String,
    /// What follows it.
    pub arguments: Vec<String>,
    /// What it is told in its environment, which has nothing else but `PATH`.
    pub environment: Vec<(String, String)>,
}

/// Names, of which so many have to resolve.
#[derive(Clone, Debug)]
pub struct Names {
    /// Whom to ask, each from this address or any. A name is good when all answer well.
    pub servers: Vec<(SocketAddr, Option<std::net::IpAddr>)>,
    /// The names.
    pub questions: Vec<Question>,
    /// How many have to be good.
    pub needed: usize,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// As in [`CheckSettings`].
    pub service: usize,
    /// As in [`CheckSettings`].
    pub check: usize,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// What it took.
    pub duration: Duration,
}

/// What is known of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The latest result; `None`: not known yet.
    pub latest: Option<CheckOutcome>,
    /// Since when they are all good or all bad.
    pub since: Instant,
    /// A result is missed after this.
    due: Instant,
    patience: Duration,
}

/// The latest result of each check.
#[derive(Clone, Debug, Default)]
pub struct Board {
    known: BTreeMap<(usize, usize), Known>,
}

impl Board {
    /// Nothing is known at `now`.
    #[must_use]
    pub fn new(settings: &[CheckSettings], now: Instant) -> Self {
        let known = settings.iter().map(|settings| {
            let patience = (settings.interval + settings.timeout) * MISSED_MAX;
            let known = Known {
                latest: None,
                since: now,
                due: now + patience,
                patience,
            };
            ((settings.service, settings.check), known)
        });
        Self {
            known: known.collect(),
        }
    }

    /// Takes a result. Whether the check has turned good or bad with it.
    pub fn record(&mut self, now: Instant, report: &CheckReport) -> bool {
        let known = self.known.get_mut(&(report.service, report.check));
        known.is_some_and(|known| {
            known.due = now + known.patience;
            known.take(now, report.outcome.clone())
        })
    }

    /// The checks whose results have been missing for too long, each once per that time: whoever
    /// makes them hangs. A bad result for each is recorded, and returned.
    pub fn missed(&mut self, now: Instant) -> Vec<(usize, usize, CheckOutcome)> {
        let overdue = self.known.iter_mut().filter(|(_, known)| known.due <= now);
        overdue
            .map(|((service, check), known)| {
                known.due = now + known.patience;
                let waited_s = known.patience.as_secs();
                let outcome = bad(&format!("no result for {waited_s} s"));
                known.take(now, outcome.clone());
                (*service, *check, outcome)
            })
            .collect()
    }

    /// What is known of the check at `check` of the service at `service`.
    #[must_use]
    pub fn get(&self, service: usize, check: usize) -> Option<&Known> {
        self.known.get(&(service, check))
    }
}

impl Known {
    fn take(&mut self, now: Instant, outcome: CheckOutcome) -> bool {
        let was_good = self.latest.as_ref().map(|l| *l == CheckOutcome::Good);
        let has_turned = was_good != Some(outcome == CheckOutcome::Good);
        if has_turned {
            self.since = now;
        }
        self.latest = Some(outcome);
        has_turned
    }
}

/// A bad result with this text: one line, without control characters, cut to 200 octets.
#[must_use]
pub fn bad(text: &str) -> CheckOutcome {
    let mut kept = String::new();
    for c in text.lines().next().unwrap_or_default().trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if kept.len() + c.len_utf8() > TEXT_MAX {
            break;
        }
        kept.push(c);
    }
    CheckOutcome::Bad(Arc::from(kept))
}

/// Whether enough names resolve; `found` has the text of each that does not.
#[must_use]
pub fn judge_names(found: &[Result<(), String>], needed: usize) -> CheckOutcome {
    let good = found.iter().filter(|found| found.is_ok()).count();
    if good >= needed {
        return CheckOutcome::Good;
    }
    let first = found.iter().find_map(|found| found.as_ref().err());
    let first = first.map_or("", String::as_str);
    let of = found.len();
    bad(&format!(
        "{good} of {of} names resolve, {needed} needed; {first}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::tests::start;

    fn settings() -> CheckSettings {
        CheckSettings {
            service: 1,
            check: 2,
            kind: CheckKind::Tcp("127.0.0.1:80".parse().unwrap()),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
        }
    }

    fn report(outcome: CheckOutcome) -> CheckReport {
        CheckReport {
            service: 1,
            check: 2,
            outcome,
            duration: Duration::from_millis(3),
        }
    }

    #[test]
    fn a_check_is_good_or_bad_since_its_first_such_result_in_a_row() {
        let start = start();
        let at = |s| start + Duration::from_secs(s);
        let mut board = Board::new(&[settings()], at(0));
        assert_eq!(board.get(1, 2).unwrap().latest, None);
        assert_eq!(board.get(1, 1), None);
        for (s, outcome, since) in [
            (5, CheckOutcome::Good, 5),
            (10, CheckOutcome::Good, 5),
            (15, bad("no"), 15),
            (20, bad("never"), 15),
            (25, CheckOutcome::Good, 25),
        ] {
            let has_turned = board.record(at(s), &report(outcome.clone()));
            assert_eq!(has_turned, s == since);
            let known = board.get(1, 2).unwrap();
            assert_eq!((&known.latest, known.since), (&Some(outcome), at(since)));
        }
    }

    /// Three times interval and time limit: 21 s.
    #[test]
    fn results_that_fail_to_come_are_bad_ones() {
        let start = start();
        let at = |ms| start + Duration::from_millis(ms);
        let mut board = Board::new(&[settings()], at(0));
        board.record(at(1_000), &report(CheckOutcome::Good));
        assert_eq!(board.missed(at(21_999)), []);
        let expected = [(1, 2, bad("no result for 21 s"))];
        assert_eq!(board.missed(at(22_000)), expected);
        assert_eq!(board.missed(at(42_999)), []);
        assert_eq!(board.missed(at(43_000)), expected);
        assert_eq!(board.get(1, 2).unwrap().since, at(22_000));
    }

    #[test]
    fn a_text_is_one_printable_line_of_bounded_length() {
        let CheckOutcome::Bad(text) = bad(" disk\u{7}full\u{1b}[2J \nsecond line") else {
            panic!("it is bad");
        };
        assert_eq!(&*text, "disk full [2J");
        let CheckOutcome::Bad(text) = bad(&"ü".repeat(150)) else {
            panic!("it is bad");
        };
        assert_eq!(text.len(), 200);
    }

    #[test]
    fn names_are_good_when_as_many_as_needed_resolve() {
        let failed = || Err("example.com. A: SERVFAIL".to_owned());
        let found = [Ok(()), failed(), Ok(()), failed()];
        assert_eq!(judge_names(&found, 2), CheckOutcome::Good);
        let expected = bad("2 of 4 names resolve, 3 needed; example.com. A: SERVFAIL");
        assert_eq!(judge_names(&found, 3), expected);
    }
}
