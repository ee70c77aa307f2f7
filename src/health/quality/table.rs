//! Pairs of a domain and a client prefix, with one vote each.

/// Good and failed questions of each pair.
#[derive(Clone, Debug)]
pub(super) struct Table {
    prefixes: usize,
    pairs: Vec<(u32, u32)>,
}

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    Nothing,
    Domain(usize),
    Prefix(usize),
}

/// How many are active, and how many of them are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) domains: usize,
    pub(super) prefixes: usize,
    pub(super) pairs: usize,
    /// Of the active ones, or of these by the number of their pairs: whichever is higher.
    pub(super) bad_domains_percent: u8,
    pub(super) bad_prefixes_percent: u8,
    /// Of the active pairs, of the active domains and of the active prefixes, each one counted once:
    /// whichever is lowest.
    pub(super) bad_of_each_percent: u8,
}

/// Active pairs of one domain or prefix, and how many of them are bad.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    all: usize,
    bad: usize,
}

impl Votes {
    fn add(&mut self, is_bad: bool) {
        self.all += 1;
        self.bad += usize::from(is_bad);
    }

    fn is_active(self) -> bool {
        self.all > 0
    }

    fn is_bad(self) -> bool {
        self.is_active() && self.bad * 2 >= self.all
    }
}

impl Table {
    /// The sum of tables with so many prefixes for each domain.
    pub(super) fn sum<'a>(prefixes: usize, slots: impl Iterator<Item = &'a [(u16, u16)]>) -> Self {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for slot in slots {
            pairs.resize(pairs.len().max(slot.len()), (0, 0));
            for (sum, (good, failed)) in pairs.iter_mut().zip(slot) {
                sum.0 += u32::from(*good);
                sum.1 += u32::from(*failed);
            }
        }
        Self { prefixes, pairs }
    }

    pub(super) fn shares(&self, without: Without) -> Shares {
        let mut of_prefixes = vec![Votes::default(); self.prefixes];
        let mut of_domains = Vec::with_capacity(self.pairs.len() / self.prefixes);
        for (domain, pairs) in self.pairs.chunks(self.prefixes).enumerate() {
            let mut of_domain = Votes::default();
            let by_prefix = pairs.iter().zip(&mut of_prefixes).enumerate();
            for (prefix, ((good, failed), of_prefix)) in by_prefix {
                let is_out =
                    without == Without::Domain(domain) || without == Without::Prefix(prefix);
                if is_out || good + failed == 0 {
                    continue;
                }
                let is_bad = failed >= good;
                of_domain.add(is_bad);
                of_prefix.add(is_bad);
            }
            of_domains.push(of_domain);
        }
        let (by_domains, by_prefixes) = (Count::of(&of_domains), Count::of(&of_prefixes));
        let pairs = of_domains.iter().map(|votes| votes.all).sum();
        let bad_pairs = of_domains.iter().map(|votes| votes.bad).sum();
        Shares {
            domains: by_domains.active,
            prefixes: by_prefixes.active,
            pairs,
            bad_domains_percent: by_domains.bad_percent.max(by_domains.bad_percent_by_pairs),
            bad_prefixes_percent: by_prefixes
                .bad_percent
                .max(by_prefixes.bad_percent_by_pairs),
            bad_of_each_percent: percent(bad_pairs, pairs)
                .min(by_domains.bad_percent)
                .min(by_prefixes.bad_percent),
        }
    }

    /// The shares without each prefix, and without each domain.
    pub(super) fn without_one(&self) -> impl Iterator<Item = Shares> {
        let domains = (0..self.pairs.len().div_ceil(self.prefixes)).map(Without::Domain);
        let prefixes = (0..self.prefixes).map(Without::Prefix);
        let each = prefixes.chain(domains);
        each.map(|without| self.shares(without))
    }
}

/// Domains or prefixes: how many are active, and the share of the bad ones, counted in both ways.
#[derive(Clone, Copy, Debug)]
struct Count {
    active: usize,
    bad_percent: u8,
    bad_percent_by_pairs: u8,
}

impl Count {
    fn of(all: &[Votes]) -> Self {
        let bad = || all.iter().filter(|votes| votes.is_bad());
        let active = all.iter().filter(|votes| votes.is_active()).count();
        let pairs = |votes: usize, of: &Votes| votes + of.all;
        Self {
            active,
            bad_percent: percent(bad().count(), active),
            bad_percent_by_pairs: percent(bad().fold(0, pairs), all.iter().fold(0, pairs)),
        }
    }
}

/// Rounded down; 0 of nothing.
fn percent(part: usize, whole: usize) -> u8 {
    (part * 100)
        .checked_div(whole)
        .and_then(|percent| u8::try_from(percent).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of four prefixes; a row for each domain.
    fn shares(rows: &[[(u16, u16); 4]], without: Without) -> Shares {
        let pairs: Vec<_> = rows.iter().flatten().copied().collect();
        Table::sum(4, [pairs.as_slice()].into_iter()).shares(without)
    }

    /// Of domains and of prefixes.
    fn percents(shares: Shares) -> (u8, u8) {
        (shares.bad_domains_percent, shares.bad_prefixes_percent)
    }

    const NO: (u16, u16) = (0, 0);
    const GOOD: (u16, u16) = (2, 1);
    const BAD: (u16, u16) = (1, 1);

    #[test]
    fn half_is_bad_and_a_question_less_is_not() {
        let one = |pair| shares(&[[pair, NO, NO, NO]], Without::Nothing);
        assert_eq!(percents(one(BAD)), (100, 100));
        assert_eq!(percents(one(GOOD)), (0, 0));
        let two = shares(&[[BAD, GOOD, NO, NO]], Without::Nothing);
        assert_eq!(percents(two), (100, 50));
        let three = shares(&[[BAD, GOOD, GOOD, NO]], Without::Nothing);
        assert_eq!(percents(three), (0, 33));
    }

    #[test]
    fn a_loud_pair_has_one_vote_like_any_other() {
        let loud = (0, 60_000);
        let rows = [[loud, GOOD, GOOD, NO], [loud, GOOD, GOOD, NO]];
        assert_eq!(percents(shares(&rows, Without::Nothing)), (0, 33));
    }

    #[test]
    fn of_the_two_ways_to_count_the_worse_one_counts() {
        let rows = [[BAD, BAD, BAD, NO], [NO, NO, NO, GOOD]];
        assert_eq!(shares(&rows, Without::Nothing).bad_domains_percent, 75);
        let rows = [[GOOD, GOOD, GOOD, NO], [NO, NO, NO, BAD]];
        assert_eq!(shares(&rows, Without::Nothing).bad_domains_percent, 50);
        let rows = [[BAD, NO, NO, NO], [BAD, NO, NO, NO], [NO, GOOD, GOOD, NO]];
        assert_eq!(shares(&rows, Without::Nothing).bad_prefixes_percent, 50);
    }

    #[test]
    fn of_pairs_domains_and_prefixes_each_is_counted_once_and_the_lowest_share_counts() {
        let of_each = |rows: &[[(u16, u16); 4]]| {
            let shares = shares(rows, Without::Nothing);
            (shares.pairs, shares.bad_of_each_percent)
        };
        // Three of four pairs, one of two domains, three of four prefixes.
        let rows = [[BAD, BAD, BAD, NO], [NO, NO, NO, GOOD]];
        assert_eq!(of_each(&rows), (4, 50));
        // Three of five pairs, all three domains, one of three prefixes.
        let rows = [[BAD, GOOD, NO, NO], [BAD, NO, GOOD, NO], [BAD, NO, NO, NO]];
        assert_eq!(of_each(&rows), (5, 33));
        assert_eq!(of_each(&[[BAD, BAD, NO, NO]]), (2, 100));
        assert_eq!(of_each(&[[NO; 4]]), (0, 0));
    }

    #[test]
    fn what_is_left_out_is_not_active() {
        let rows = [[BAD, NO, NO, GOOD], [BAD, NO, NO, NO]];
        let all = shares(&rows, Without::Nothing);
        assert_eq!((all.domains, all.prefixes), (2, 2));
        let rest = shares(&rows, Without::Prefix(0));
        assert_eq!(
            (rest.domains, rest.prefixes, percents(rest)),
            (1, 1, (0, 0))
        );
        let rest = shares(&rows, Without::Domain(0));
        assert_eq!(
            (rest.domains, rest.prefixes, percents(rest)),
            (1, 1, (100, 100))
        );
    }

    #[test]
    fn nothing_at_all_is_no_share_of_anything() {
        let empty = Table::sum(4, std::iter::empty()).shares(Without::Nothing);
        assert_eq!(
            (empty.domains, empty.prefixes, percents(empty)),
            (0, 0, (0, 0))
        );
    }
}
