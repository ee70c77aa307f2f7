//! What was done for one question, step by step: evidence for tools, kept without allocation.

use std::fmt;
use std::time::{Duration, Instant};

use super::super::forward::Failure;
use super::super::key::Key;
use super::super::upstream::{UpstreamIndex, Upstreams, is_acceptable};

/// Steps that are kept of each question; of more only the number.
pub const STEPS_MAX: usize = 12;
/// Questions whose steps are kept.
pub const TRACES_MAX: usize = 64;
/// A question that takes longer is kept although it was answered.
pub const SLOW: Duration = Duration::from_millis(400);

/// Why an upstream was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The best at the time.
    First,
    /// The one before was slower than usual.
    Hedge,
    /// The one before was silent, or gave nothing usable.
    FailOver,
    /// Once more, for the datagram may be lost.
    Retry,
    /// Half of the time was gone.
    Overtime,
    /// Once more without EDNS. RFC 6891 §7.
    Plain,
    /// Once more over TCP, after a truncated answer. RFC 7766 §5.
    Tcp,
    /// No upstream of the zone was usable: another node of the service.
    Sibling,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Nothing yet when the question ended, which was not late yet.
    Unwanted,
    /// Nothing in the time that is usual for this upstream.
    Late,
    /// An answer.
    Answered {
        /// With the upper bits from OPT.
        rcode: u16,
        /// The INFO-CODE of an Extended DNS Error. RFC 8914 §2.
        reason: Option<u16>,
    },
    /// An answer that was cut short.
    Truncated,
    /// An answer that cannot be read.
    Malformed,
    /// An answer that says nothing about the question: a referral, endless aliases, other names.
    Unusable,
    /// The network refused it, it could not be sent, or TCP failed.
    Failed,
}

/// One question to one upstream. Times are µs since the question began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whom.
    pub upstream: UpstreamIndex,
    /// Why.
    pub why: Why,
    /// When.
    pub asked_us: u32,
    /// What came of it,
    pub came: Came,
    /// and when; 0: nothing has come.
    pub came_us: u32,
}

/// The steps of one question, in the order in which they were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    steps: [Option<Step>; STEPS_MAX],
    count: usize,
}

impl Steps {
    /// Those that were kept.
    pub fn iter(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().flatten()
    }

    /// How many there were, kept or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn push(&mut self, upstream: UpstreamIndex, why: Why, asked: Duration) {
        if let Some(vacant) = self.steps.get_mut(self.count) {
            *vacant = Some(Step {
                upstream,
                why,
                asked_us: micros(asked),
                came: Came::Unwanted,
                came_us: 0,
            });
        }
        self.count += 1;
    }

    /// Something came of the latest step with this upstream that is still open.
    pub(super) fn note(&mut self, upstream: UpstreamIndex, came: Came, after: Duration) {
        let mut latest_first = self.steps.iter_mut().flatten().rev();
        let step = latest_first.find(|step| {
            step.upstream == upstream && matches!(step.came, Came::Unwanted | Came::Late)
        });
        if let Some(step) = step {
            (step.came, step.came_us) = (came, micros(after));
        }
    }
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer of this RCODE.
    Answered(u16),
    /// With an answer that no client may see.
    Unusable,
    /// Without any.
    Failed(Failure),
}

impl End {
    /// With the best of the poor answers.
    pub(super) fn of_poor(rcode: u16) -> Self {
        if is_acceptable(rcode) {
            Self::Unusable
        } else {
            Self::Answered(rcode)
        }
    }
}

/// Everything about one question.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// The question.
    pub key: Key,
    /// When it began.
    pub begun: Instant,
    /// How long it waited for its turn, and took in all.
    pub queued: Duration,
    /// From beginning to end.
    pub took: Duration,
    /// How it ended.
    pub end: End,
    /// What was done.
    pub steps: Steps,
}

impl Trace {
    /// For humans: a line for the question and one for each step.
    #[must_use]
    pub fn describe<'a>(&'a self, upstreams: &'a Upstreams) -> impl fmt::Display + 'a {
        Description {
            trace: self,
            upstreams,
        }
    }
}

struct Description<'a> {
    trace: &'a Trace,
    upstreams: &'a Upstreams,
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = self.trace;
        write_name(f, trace.key.name())?;
        let (qtype, qclass) = (trace.key.qtype(), trace.key.qclass());
        write!(f, " type {qtype} class {qclass}: ")?;
        match trace.end {
            End::Answered(rcode) => write!(f, "answered (rcode {rcode})")?,
            End::Unusable => f.write_str("no answer of use")?,
            End::Failed(failure) => write!(f, "failed ({failure:?})")?,
        }
        let (took_ms, queued_ms) = (trace.took.as_millis(), trace.queued.as_millis());
        writeln!(f, " after {took_ms} ms, {queued_ms} of them in the queue")?;
        for step in trace.steps.iter() {
            let address = self.upstreams.address(step.upstream);
            let (asked_us, why, coming) = (step.asked_us, step.why, Coming(step));
            writeln!(f, "  {asked_us:>9} µs {address} {why}: {coming}")?;
        }
        match trace.steps.count().saturating_sub(STEPS_MAX) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Hedge => "hedge",
            Self::FailOver => "fail-over",
            Self::Retry => "retry",
            Self::Overtime => "overtime",
            Self::Plain => "without edns",
            Self::Tcp => "over tcp",
            Self::Sibling => "sibling",
        })
    }
}

struct Coming<'a>(&'a Step);

impl fmt::Display for Coming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.came {
            Came::Unwanted => return f.write_str("no longer wanted"),
            Came::Late => f.write_str("late")?,
            Came::Answered { rcode, reason } => {
                write!(f, "rcode {rcode}")?;
                if let Some(reason) = reason {
                    write!(f, " (ede {reason})")?;
                }
            }
            Came::Truncated => f.write_str("truncated")?,
            Came::Malformed => f.write_str("malformed")?,
            Came::Unusable => f.write_str("of no use")?,
            Came::Failed => f.write_str("failed")?,
        }
        write!(f, " at {} µs", self.0.came_us)
    }
}

/// RFC 1035 §5.1: `\DDD` for what is no letter, digit, hyphen or underscore.
fn write_name(f: &mut fmt::Formatter<'_>, name: &[u8]) -> fmt::Result {
    let mut rest = name;
    let mut is_root = true;
    while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        is_root = false;
        let (label, others) = behind.split_at(usize::from(length).min(behind.len()));
        for octet in label {
            match octet {
                b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    write!(f, "{}", char::from(*octet))?;
                }
                _ => write!(f, "\\{octet:03}")?,
            }
        }
        f.write_str(".")?;
        rest = others;
    }
    f.write_str(if is_root { "." } else { "" })
}

/// The last questions that are worth a look, and one that somebody wants to see.
#[derive(Debug)]
pub(super) struct Traces {
    recent: std::collections::VecDeque<Trace>,
    wanted: Option<Key>,
    found: Option<Trace>,
}

impl Traces {
    pub(super) fn new() -> Self {
        Self {
            recent: std::collections::VecDeque::with_capacity(TRACES_MAX),
            wanted: None,
            found: None,
        }
    }

    pub(super) fn recent(&self) -> impl Iterator<Item = &Trace> {
        self.recent.iter()
    }

    pub(super) fn want(&mut self, key: &Key) {
        (self.wanted, self.found) = (Some(*key), None);
    }

    pub(super) fn take_wanted(&mut self) -> Option<Trace> {
        self.found.take()
    }

    /// A question has ended; `trace` is asked for it only if it is kept.
    pub(super) fn ended(&mut self, key: &Key, is_notable: bool, trace: impl FnOnce() -> Trace) {
        let is_wanted = self.wanted.as_ref() == Some(key);
        if !is_wanted && !is_notable {
            return;
        }
        let trace = trace();
        if is_wanted {
            (self.wanted, self.found) = (None, Some(trace));
        }
        if is_notable {
            if self.recent.len() >= TRACES_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(trace);
        }
    }
}

/// Up to 71 minutes.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
