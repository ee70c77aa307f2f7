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
    /// Of the active domains, each as often as prefixes asked for it.
    bad_domains_percent: u8,
    bad_prefixes_percent: u8,
}

impl Shares {
    pub(super) fn lower(&self) -> u8 {
        self.bad_domains_percent.min(self.bad_prefixes_percent)
    }

    pub(super) fn higher(&self) -> u8 {
        self.bad_domains_percent.max(self.bad_prefixes_percent)
    }
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
        let (mut domains, mut all, mut bad) = (0, 0, 0);
        for (domain, pairs) in self.pairs.chunks(self.prefixes).enumerate() {
            let mut of_domain = Votes::default();
            let by_prefix = pairs.iter().zip(&mut of_prefixes).enumerate();
            for (prefix, ((good, failed), of_prefix)) in by_prefix {
                let is_out = without == Without::Domain(domain) || without == Without::Prefix(prefix);
                if is_out || good + failed == 0 {
                    continue;
                }
                let is_bad = failed >= good;
                of_domain.add(is_bad);
                of_prefix.add(is_bad);
            }
            domains += usize::from(of_domain.is_active());
            all += of_domain.all;
            bad += if of_domain.is_bad() { of_domain.all } else { 0 };
        }
        let prefixes = of_prefixes.iter().filter(|votes| votes.is_active()).count();
        let bad_prefixes = of_prefixes.iter().filter(|votes| votes.is_bad()).count();
        Shares {
            domains,
            prefixes,
            bad_domains_percent: percent(bad, all),
            bad_prefixes_percent: percent(bad_prefixes, prefixes),
        }
    }

    /// Whether something holds without any one prefix, and without any one domain.
    pub(super) fn all_without_one(&self, holds: impl Fn(&Shares) -> bool) -> bool {
        let domains = (0..self.pairs.len().div_ceil(self.prefixes)).map(Without::Domain);
        let prefixes = (0..self.prefixes).map(Without::Prefix);
        prefixes
            .chain(domains)
            .all(|without| holds(&self.shares(without)))
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

    const NO: (u16, u16) = (0, 0);
    const GOOD: (u16, u16) = (2, 1);
    const BAD: (u16, u16) = (1, 1);

    #[test]
    fn half_is_bad_and_a_question_less_is_not() {
        let one = |pair| shares(&[[pair, NO, NO, NO]], Without::Nothing);
        assert_eq!((one(BAD).lower(), one(GOOD).higher()), (100, 0));
        let two = shares(&[[BAD, GOOD, NO, NO]], Without::Nothing);
        assert_eq!((two.bad_domains_percent, two.bad_prefixes_percent), (100, 50));
        let three = shares(&[[BAD, GOOD, GOOD, NO]], Without::Nothing);
        assert_eq!((three.bad_domains_percent, three.bad_prefixes_percent), (0, 33));
    }

    #[test]
    fn a_loud_pair_has_one_vote_like_any_other() {
        let loud = (0, 60_000);
        let rows = [[loud, GOOD, GOOD, NO], [loud, GOOD, GOOD, NO]];
        assert_eq!(shares(&rows, Without::Nothing).lower(), 0);
    }

    #[test]
    fn a_domain_counts_as_often_as_prefixes_asked_for_it() {
        let rows = [[BAD, BAD, BAD, NO], [NO, NO, NO, GOOD]];
        assert_eq!(shares(&rows, Without::Nothing).bad_domains_percent, 75);
    }

    #[test]
    fn what_is_left_out_is_not_active() {
        let rows = [[BAD, NO, NO, GOOD], [BAD, NO, NO, NO]];
        let all = shares(&rows, Without::Nothing);
        assert_eq!((all.domains, all.prefixes), (2, 2));
        let rest = shares(&rows, Without::Prefix(0));
        assert_eq!((rest.domains, rest.prefixes, rest.higher()), (1, 1, 0));
        let rest = shares(&rows, Without::Domain(0));
        assert_eq!((rest.domains, rest.prefixes, rest.lower()), (1, 1, 100));
    }

    #[test]
    fn nothing_at_all_is_no_share_of_anything() {
        let empty = Table::sum(4, std::iter::empty()).shares(Without::Nothing);
        assert_eq!((empty.domains, empty.prefixes, empty.higher()), (0, 0, 0));
    }
}
