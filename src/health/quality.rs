//! Whether the answers that clients of a forward zone get are poor: a judge as a value.
//!
//! Once a second it takes what workers have counted, by pairs of a domain and a client prefix (both are
//! buckets of a keyed hash). All is judged over the last 10 s, but for what is said of *the last 800 ms*:
//!
//! | what | is active | is bad |
//! |---|---|---|
//! | a pair | when it had a question | when at least half of its questions failed |
//! | a domain | when a prefix asked for it | when at least half of its pairs are bad |
//! | a prefix | when it asked for a domain | when at least half of its pairs are bad |
//!
//! A share of bad ones is taken twice, of the active ones and of these by the number of their pairs, and
//! the higher one counts: who alone asks for many good domains hides nothing, nor does a good domain that
//! everybody asks for.
//!
//! - A **fault begins** when 8 domains and 3 prefixes are active, at least half of the prefixes are bad,
//!   and of the domains so many that they exceed their baseline by 30 points, and half at least; and
//!   when all that is still so without any one prefix, and without any one domain (7 or 2 active ones
//!   then do).
//! - It begins **at once**, too, when nearly all fails in the last 800 ms, which are looked at every 200 ms:
//!   16 pairs, 8 domains and 3 prefixes are active, at least 90 % of the pairs, of the domains and of the
//!   prefixes are bad (each of these one by one), also without any one prefix and without any one domain;
//!   the prefixes are at least half of those of the last 10 s; and the baseline is below 25 %. What went
//!   well before is then left out of the question whether it is over.
//! - It **ends** when in the last 5 s, with as much evidence, less than a quarter of the domains is bad,
//!   or no more than 10 points over their baseline; or when that is so without some one prefix or
//!   domain; or when there is too little evidence, because the fault has moved the clients to other
//!   nodes, and most *witnesses* resolve: questions that failed and are asked again. Without any
//!   witness it ends after 60 s.
//! - So no single client prefix and no single domain makes a fault or keeps one up, however many
//!   questions it asks, not even on top of what always fails; nor does it hide or end one, for each has
//!   one vote wherever it asks.
//! - The **baseline** is the share of bad domains itself, smoothed over 5 min. It is learned while there
//!   is no fault and from shares below 50 % alone: what fails for most never becomes normal.
//! - An answer counts as failed when it comes later than 8 times the median of the zone, which is
//!   learned in the same way, and later than 800 ms; not while the node is overloaded, unless the fault
//!   was there before.
//!
//! Left out on purpose: sites whose clients share fewer than three prefixes get no evidence from this,
//! nor do those where hardly anybody asks; canaries and breakers are there for them. Half of the
//! prefixes together (or whoever forges so many) can make a fault with domains of their own making: it
//! is a shared one and no more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::PoorAnswers;

mod canaries;
mod lately;
pub mod metrics;
mod table;

pub use canaries::CanaryJudge;
use lately::Lately;
use table::{Shares, Table, Without};

/// What is judged.
const WINDOW: Duration = Duration::from_secs(10);
/// What is judged to see whether a fault is over.
const END_WINDOW: Duration = Duration::from_secs(5);
/// Samples in a window at most: one each second, and a few that came early.
const SLOTS_MAX: usize = 16;
/// Of the baselines.
const SMOOTHING: Duration = Duration::from_secs(300);
/// A fault without clients and witnesses lasts so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
const DOMAINS_MIN: usize = 8;
const PREFIXES_MIN: usize = 3;
const BAD_PERCENT: u8 = 50;
const RISE_PERCENT: u8 = 30;
const OVER_PERCENT: u8 = 25;
const REST_PERCENT: u8 = 10;
/// Good answers in a window that give a median.
const TIMES_MIN: u32 = 16;
const LATE_FACTOR: u32 = 8;
/// No answer that comes sooner is late.
pub const LATE_MIN: Duration = Duration::from_millis(800);

/// What all workers together have counted of one zone since the start; all of it wraps round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    /// Good and failed questions of each pair; the prefixes of a domain stand together.
    pub pairs: Vec<(u16, u16)>,
    /// Good answers by the time that they took.
    pub times: Vec<u32>,
}

/// Questions that failed and are asked again while a fault lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WitnessCount {
    /// How many there are.
    pub of: u8,
    /// How many of them resolve.
    pub resolving: u8,
}

/// The judge of one zone.
#[derive(Clone, Debug)]
pub struct AnswerJudge {
    prefixes: usize,
    /// The upper bound of each time.
    bounds: Vec<Duration>,
    last: Option<(Instant, AnswerCounts)>,
    slots: VecDeque<Slot>,
    lately: Lately,
    present: Option<Shares>,
    baseline: f64,
    median: Option<f64>,
    fault: Option<Fault>,
}

/// The growth of the counts between two samples.
#[derive(Clone, Debug)]
struct Slot {
    until: Instant,
    grown: AnswerCounts,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    poor: PoorAnswers,
    /// Since when there has been neither evidence nor a witness.
    forsaken_since: Option<Instant>,
}

impl AnswerJudge {
    /// For counts of so many prefixes, and with these upper bounds of the times.
    #[must_use]
    pub fn new(prefixes: usize, bounds: Vec<Duration>) -> Self {
        Self {
            lately: Lately::new(prefixes.max(1)),
            prefixes: prefixes.max(1),
            bounds,
            last: None,
            slots: VecDeque::new(),
            present: None,
            baseline: 0.0,
            median: None,
            fault: None,
        }
    }

    /// Takes the counts of `now`, about a second after the last ones; says whether
    /// [`AnswerJudge::poor`] has changed.
    pub fn handle_counts(
        &mut self,
        now: Instant,
        counts: &AnswerCounts,
        witnesses: WitnessCount,
    ) -> bool {
        let elapsed = self.take(now, counts);
        let before = self.poor();
        self.present = self.shares(now, WINDOW);
        if self.fault.is_none() {
            self.begin(now);
        } else {
            self.look_for_the_end(now, witnesses);
        }
        self.look_at_the_last_moment(now, counts);
        if self.fault.is_none() {
            self.learn(elapsed);
        }
        self.poor() != before
    }

    /// Takes the counts of `now`, 200 ms after the last ones or sooner, and sees whether nearly all fails:
    /// that may not wait for [`AnswerJudge::handle_counts`]. Whether a fault has begun.
    pub fn glance(&mut self, now: Instant, counts: &AnswerCounts) -> bool {
        let before = self.poor();
        self.look_at_the_last_moment(now, counts);
        self.poor() != before
    }

    /// The fault, as it was when it began; `None`: there is none.
    #[must_use]
    pub fn poor(&self) -> Option<PoorAnswers> {
        self.fault.map(|fault| fault.poor)
    }

    /// The share of bad domains in the last 10 s; `None`: too few have asked.
    #[must_use]
    pub fn failed_percent(&self) -> Option<u8> {
        self.present.map(|shares| shares.bad_domains_percent)
    }

    /// What that share usually is.
    #[must_use]
    pub fn baseline_percent(&self) -> u8 {
        percent(self.baseline)
    }

    /// What the median time of good answers usually is; `None`: not known yet.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        self.median.map(Duration::from_secs_f64)
    }

    /// After which time an answer counts as failed. Under overload none does for being late, except
    /// while there is a fault already, which that must not end.
    #[must_use]
    pub fn late_after(&self, is_overloaded: bool) -> Duration {
        if is_overloaded && self.fault.is_none() {
            return Duration::MAX;
        }
        let usual = self.median().unwrap_or_default();
        usual.saturating_mul(LATE_FACTOR).max(LATE_MIN)
    }

    /// Keeps what has grown; how long that took.
    fn take(&mut self, now: Instant, counts: &AnswerCounts) -> Duration {
        let mut elapsed = Duration::ZERO;
        if let Some((at, last)) = &self.last {
            elapsed = now.saturating_duration_since(*at);
            let pairs = counts.pairs.iter().zip(&last.pairs);
            let times = counts.times.iter().zip(&last.times);
            self.slots.push_back(Slot {
                until: now,
                grown: AnswerCounts {
                    pairs: pairs
                        .map(|(now, then)| lately::growth(*now, *then))
                        .collect(),
                    times: times.map(|(now, then)| now.wrapping_sub(*then)).collect(),
                },
            });
        }
        self.last = Some((now, counts.clone()));
        let is_over = |slot: &Slot| now.saturating_duration_since(slot.until) >= WINDOW;
        while self.slots.len() > SLOTS_MAX || self.slots.front().is_some_and(is_over) {
            self.slots.pop_front();
        }
        elapsed
    }

    fn table(&self, now: Instant, window: Duration) -> Table {
        let slots = self.slots.iter();
        let recent = slots.filter(|slot| now.saturating_duration_since(slot.until) < window);
        Table::sum(
            self.prefixes,
            recent.map(|slot| slot.grown.pairs.as_slice()),
        )
    }

    /// `None` without enough evidence.
    fn shares(&self, now: Instant, window: Duration) -> Option<Shares> {
        let shares = self.table(now, window).shares(Without::Nothing);
        is_enough(&shares).then_some(shares)
    }

    fn begin(&mut self, now: Instant) {
        let limit = BAD_PERCENT.max(self.baseline_percent().saturating_add(RISE_PERCENT));
        let is_bad = |shares: &Shares| {
            is_enough_of_the_rest(shares)
                && shares.bad_prefixes_percent >= BAD_PERCENT
                && shares.bad_domains_percent >= limit
        };
        let Some(shares) = self.present.filter(is_bad) else {
            return;
        };
        let table = self.table(now, WINDOW);
        if !table.without_one().all(|rest| is_bad(&rest)) {
            return;
        }
        self.enter_fault(&shares);
    }

    fn look_at_the_last_moment(&mut self, now: Instant, counts: &AnswerCounts) {
        self.lately.take(now, &counts.pairs);
        if self.fault.is_some() || self.baseline_percent() >= OVER_PERCENT {
            return;
        }
        // Whoever fails alone in a moment in which nobody else asks is not yet everybody.
        let usual = self.present.map_or(0, |shares| shares.prefixes);
        let Some(shares) = self.lately.bad().filter(|bad| bad.prefixes * 2 >= usual) else {
            return;
        };
        self.enter_fault(&shares);
        self.present = Some(shares);
        // What went well before it does not end it.
        self.slots.clear();
        self.last = Some((now, counts.clone()));
    }

    fn enter_fault(&mut self, shares: &Shares) {
        self.fault = Some(Fault {
            poor: PoorAnswers {
                failed_percent: shares.bad_domains_percent,
                baseline_percent: self.baseline_percent(),
                domains: u16::try_from(shares.domains).unwrap_or(u16::MAX),
                prefixes: u16::try_from(shares.prefixes).unwrap_or(u16::MAX),
            },
            forsaken_since: None,
        });
    }

    fn look_for_the_end(&mut self, now: Instant, witnesses: WitnessCount) {
        let is_over = if self.shares(now, END_WINDOW).is_some() {
            self.set_forsaken(None);
            self.is_well_lately(now)
        } else if witnesses.of > 0 {
            self.set_forsaken(None);
            u32::from(witnesses.resolving) * 2 > u32::from(witnesses.of)
        } else {
            let before = self.fault.and_then(|fault| fault.forsaken_since);
            let since = before.unwrap_or(now);
            self.set_forsaken(Some(since));
            now.saturating_duration_since(since) >= FORGOTTEN_AFTER
        };
        if is_over {
            self.fault = None;
            // What failed before must not make a new one.
            self.slots.clear();
            self.lately.forget();
            self.present = None;
        }
    }

    fn set_forsaken(&mut self, since: Option<Instant>) {
        if let Some(fault) = &mut self.fault {
            fault.forsaken_since = since;
        }
    }

    fn is_well_lately(&self, now: Instant) -> bool {
        let limit = OVER_PERCENT.max(self.baseline_percent().saturating_add(REST_PERCENT));
        let table = self.table(now, END_WINDOW);
        let is_well =
            |shares: Shares| is_enough_of_the_rest(&shares) && shares.bad_domains_percent < limit;
        is_well(table.shares(Without::Nothing)) || table.without_one().any(is_well)
    }

    fn learn(&mut self, elapsed: Duration) {
        let is_usual = |shares: &Shares| shares.bad_domains_percent < BAD_PERCENT;
        let Some(shares) = self.present.filter(is_usual) else {
            return;
        };
        let weight = 1.0 - (-elapsed.as_secs_f64() / SMOOTHING.as_secs_f64()).exp();
        self.baseline += (f64::from(shares.bad_domains_percent) - self.baseline) * weight;
        if let Some(median) = self.present_median() {
            let usual = self.median.get_or_insert(median);
            *usual += (median - *usual) * weight;
        }
    }

    /// In seconds, of the window.
    fn present_median(&self) -> Option<f64> {
        let sum_of = |place: usize| {
            let slots = self.slots.iter();
            let grown = slots.filter_map(|slot| slot.grown.times.get(place).copied());
            grown.fold(0_u32, u32::saturating_add)
        };
        let sums: Vec<u32> = (0..self.bounds.len()).map(sum_of).collect();
        let all = sums.iter().copied().fold(0_u32, u32::saturating_add);
        if all < TIMES_MIN {
            return None;
        }
        let mut below = 0_u32;
        let place = sums.iter().position(|sum| {
            below = below.saturating_add(*sum);
            below >= all.div_ceil(2)
        });
        // A bucket ends at twice the time that it begins at: three quarters of its end are its middle.
        let bound = self.bounds.get(place?)?;
        Some(bound.as_secs_f64() * 0.75)
    }
}

/// Whether there is enough evidence.
fn is_enough(shares: &Shares) -> bool {
    shares.domains >= DOMAINS_MIN && shares.prefixes >= PREFIXES_MIN
}

/// Whether there is enough evidence when one prefix or one domain has been left out.
fn is_enough_of_the_rest(shares: &Shares) -> bool {
    shares.domains + 1 >= DOMAINS_MIN && shares.prefixes + 1 >= PREFIXES_MIN
}

/// Rounded, of a number from 0 to 100.
fn percent(share: f64) -> u8 {
    (0..=100_u8)
        .rev()
        .find(|percent| f64::from(*percent) <= share + 0.5)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
