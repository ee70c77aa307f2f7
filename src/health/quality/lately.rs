//! The last 800 ms of a zone's answers: whether nearly all of them fail.
//!
//! Stricter than what is judged over 10 s in every respect, for there is less of it: nearly all pairs, all
//! domains and all prefixes have to be bad, each of them counted one by one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::table::{Shares, Table};
use super::{is_enough, is_enough_of_the_rest};

/// What is judged. A pair that was asked all the time is bad when half of this has failed.
pub(super) const WINDOW: Duration = Duration::from_millis(800);
/// So much of it has to have been seen: after a pause there is less.
const SEEN_MIN: Duration = Duration::from_millis(500);
/// Samples in it at most; of more, which would come sooner than every 66 ms, the oldest are left out.
const SLOTS_MAX: usize = 12;
/// Pairs that have to be active.
const PAIRS_MIN: usize = 16;
/// The same when one prefix or one domain has been left out.
const PAIRS_MIN_OF_THE_REST: usize = 8;
/// Of the pairs, of the domains and of the prefixes.
const BAD_PERCENT: u8 = 90;

/// What has grown lately.
#[derive(Clone, Debug)]
pub(super) struct Lately {
    prefixes: usize,
    last: Option<(Instant, Vec<(u16, u16)>)>,
    slots: VecDeque<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    since: Instant,
    grown: Vec<(u16, u16)>,
}

impl Lately {
    pub(super) fn new(prefixes: usize) -> Self {
        Self {
            prefixes,
            last: None,
            slots: VecDeque::new(),
        }
    }

    /// Takes the counts of each pair, which wrap round.
    pub(super) fn take(&mut self, now: Instant, pairs: &[(u16, u16)]) {
        if let Some((since, last)) = self.last.take() {
            let both = pairs.iter().zip(&last);
            let grown = both.map(|(now, then)| growth(*now, *then)).collect();
            self.slots.push_back(Slot { since, grown });
        }
        self.last = Some((now, pairs.to_vec()));
        // One that began earlier may hold what was asked earlier: after a pause, hours of it.
        let is_over = |slot: &Slot| now.saturating_duration_since(slot.since) > WINDOW;
        while self.slots.len() > SLOTS_MAX || self.slots.front().is_some_and(is_over) {
            self.slots.pop_front();
        }
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.slots.clear();
    }

    /// Nearly all answers fail, without any one prefix and without any one domain too.
    pub(super) fn bad(&self) -> Option<Shares> {
        let (until, _) = self.last.as_ref()?;
        let seen = until.saturating_duration_since(self.slots.front()?.since);
        if seen < SEEN_MIN {
            return None;
        }
        let slots = self.slots.iter().map(|slot| slot.grown.as_slice());
        let table = Table::sum(self.prefixes, slots);
        let all = table.shares(super::Without::Nothing);
        let is_bad = |shares: &Shares, pairs: usize| {
            shares.pairs >= pairs && shares.bad_of_each_percent >= BAD_PERCENT
        };
        let is_bad_without_one = || {
            table
                .without_one()
                .all(|rest| is_enough_of_the_rest(&rest) && is_bad(&rest, PAIRS_MIN_OF_THE_REST))
        };
        (is_enough(&all) && is_bad(&all, PAIRS_MIN) && is_bad_without_one()).then_some(all)
    }
}

/// Of good and of failed questions.
pub(super) fn growth(now: (u16, u16), then: (u16, u16)) -> (u16, u16) {
    (now.0.wrapping_sub(then.0), now.1.wrapping_sub(then.1))
}
