//! What one domain or one prefix can do, whatever the others do.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Good and failed questions, often none.
fn pair() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![
        2 => Just((0, 0)),
        1 => (0_u16..20, 0_u16..20),
        1 => (0_u16..40_000, 0_u16..40_000),
    ]
}

fn table() -> impl Strategy<Value = Vec<(u16, u16)>> {
    vec(pair(), DOMAINS * PREFIXES)
}

/// Without what this domain or prefix asks.
fn without(pairs: &[(u16, u16)], out: Without) -> Vec<(u16, u16)> {
    let pairs = pairs.iter().enumerate();
    pairs
        .map(|(place, pair)| {
            let is_out = out == Without::Domain(place / PREFIXES)
                || out == Without::Prefix(place % PREFIXES);
            if is_out { (0, 0) } else { *pair }
        })
        .collect()
}

fn any_one() -> impl Strategy<Value = Without> {
    prop_oneof![
        (0..DOMAINS).prop_map(Without::Domain),
        (0..PREFIXES).prop_map(Without::Prefix),
    ]
}

fn count_all(bench: &mut Bench, pairs: &[(u16, u16)]) {
    for (place, pair) in pairs.iter().enumerate() {
        bench.count(place / PREFIXES, place % PREFIXES, *pair);
    }
}

/// What each second brings: every pair is all good or all failed.
fn uniform(is_good: bool, domains: usize, prefixes: usize) -> Vec<(u16, u16)> {
    let mut pairs = vec![(0, 0); DOMAINS * PREFIXES];
    for domain in 0..domains {
        for prefix in 0..prefixes {
            pairs[domain * PREFIXES + prefix] = (u16::from(is_good), u16::from(!is_good));
        }
    }
    pairs
}

/// `background`, but for one domain or prefix, which does as `loud` says.
fn but_for(background: &[(u16, u16)], out: Without, loud: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let rest = without(background, out);
    let others = without(loud, out);
    let own = loud.iter().zip(&others);
    let own = own.map(|(all, others)| if others == all { (0, 0) } else { *all });
    rest.iter()
        .zip(own)
        .map(|(rest, own)| if own == (0, 0) { *rest } else { own })
        .collect()
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever the traffic: where there is a fault, there is one without any one of them too.
    #[test]
    fn no_fault_hangs_on_one_domain_or_one_prefix(pairs in table(), out in any_one()) {
        let mut bench = Bench::new();
        count_all(&mut bench, &pairs);
        bench.look();
        if bench.is_poor() {
            let rest = without(&pairs, out);
            let rest = Table::sum(PREFIXES, [rest.as_slice()].into_iter());
            let shares = rest.shares(Without::Nothing);
            prop_assert!(shares.bad_domains_percent >= BAD_PERCENT, "{shares:?}");
            prop_assert!(shares.bad_prefixes_percent >= BAD_PERCENT, "{shares:?}");
        }
    }

    #[test]
    fn one_domain_or_prefix_makes_no_fault_when_all_others_are_well(
        seconds in vec(table(), 1..5),
        out in any_one(),
        (domains, prefixes) in (0..=DOMAINS, 0..=PREFIXES),
    ) {
        let mut bench = Bench::new();
        let well = uniform(true, domains, prefixes);
        for loud in seconds {
            count_all(&mut bench, &but_for(&well, out, &loud));
            bench.look();
            prop_assert!(!bench.is_poor(), "{:?}", bench.judge.poor());
        }
    }

    /// As long as others ask for a third of the domains.
    #[test]
    fn one_domain_or_prefix_hides_no_fault(
        seconds in vec(table(), 2..4),
        out in any_one(),
        (domains, prefixes) in (12..=DOMAINS, 4..=PREFIXES),
    ) {
        let mut bench = Bench::new();
        let ill = uniform(false, domains, prefixes);
        for mut loud in seconds {
            loud.iter_mut().for_each(|pair| pair.1 = 0);
            count_all(&mut bench, &but_for(&ill, out, &loud));
            bench.look();
        }
        prop_assert!(bench.is_poor(), "{:?}", bench.judge.failed_percent());
    }

    #[test]
    fn one_domain_or_prefix_ends_no_fault_that_all_others_see(
        seconds in vec(table(), 1..5),
        out in any_one(),
        (domains, prefixes) in (9..=DOMAINS, 4..=PREFIXES),
        resolving in 0_u8..=8,
    ) {
        let mut bench = Bench::new();
        let ill = uniform(false, domains, prefixes);
        count_all(&mut bench, &ill);
        bench.look();
        prop_assert!(bench.is_poor());
        bench.witnesses = WitnessCount { of: 8, resolving };
        for mut loud in seconds {
            loud.iter_mut().for_each(|pair| pair.1 = 0);
            count_all(&mut bench, &but_for(&ill, out, &loud));
            bench.look();
            prop_assert!(bench.is_poor());
        }
    }

    #[test]
    fn one_domain_or_prefix_keeps_no_fault_up_when_all_others_are_well(
        seconds in vec(table(), 6..7),
        out in any_one(),
        (domains, prefixes) in (9..=DOMAINS, 4..=PREFIXES),
    ) {
        let mut bench = Bench::new();
        count_all(&mut bench, &uniform(false, domains, prefixes));
        bench.look();
        prop_assert!(bench.is_poor());
        let well = uniform(true, domains, prefixes);
        for loud in seconds {
            count_all(&mut bench, &but_for(&well, out, &loud));
            bench.look();
        }
        prop_assert!(!bench.is_poor(), "{:?}", bench.judge.failed_percent());
    }

    #[test]
    fn nothing_that_is_counted_makes_it_panic_or_leave_its_ranges(
        seconds in vec((table(), vec(any::<u32>(), 16), 0_u64..100_000, any::<(u8, u8)>()), 1..8),
    ) {
        let mut bench = Bench::new();
        for (pairs, times, ms, (of, resolving)) in seconds {
            bench.counts = AnswerCounts { pairs, times };
            bench.witnesses = WitnessCount { of, resolving };
            bench.now += Duration::from_millis(ms);
            bench.look();
            prop_assert!(bench.judge.failed_percent().is_none_or(|percent| percent <= 100));
            prop_assert!(bench.judge.baseline_percent() <= 50);
            prop_assert!(bench.judge.late_after(false) >= LATE_MIN);
        }
    }
}
