//! Answers in simulated time: a look each second, nothing sleeps.

use super::*;
use crate::health::machine::tests::start;

mod lately;
mod properties;

const DOMAINS: usize = 32;
const PREFIXES: usize = 16;
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const NOBODY: WitnessCount = WitnessCount {
    of: 0,
    resolving: 0,
};

/// A zone whose clients ask as a test says.
#[derive(Clone)]
struct Bench {
    judge: AnswerJudge,
    now: Instant,
    counts: AnswerCounts,
    witnesses: WitnessCount,
}

impl Bench {
    fn new() -> Self {
        let bounds = (0..16).map(|place| Duration::from_micros(256 << place));
        let mut bench = Self {
            judge: AnswerJudge::new(PREFIXES, bounds.collect()),
            now: start(),
            counts: AnswerCounts {
                // Close to where they wrap round.
                pairs: vec![(65_530, 65_530); DOMAINS * PREFIXES],
                times: vec![u32::MAX - 3; 16],
            },
            witnesses: NOBODY,
        };
        bench.look();
        bench
    }

    /// So many good and failed questions of one pair.
    fn count(&mut self, domain: usize, prefix: usize, (good, failed): (u16, u16)) {
        let pair = &mut self.counts.pairs[domain * PREFIXES + prefix];
        *pair = (pair.0.wrapping_add(good), pair.1.wrapping_add(failed));
    }

    /// Each of so many prefixes asks for each of so many domains; the share of the domains that fails
    /// is the first ones.
    fn ask(&mut self, domains: usize, prefixes: usize, failing: usize) {
        for domain in 0..domains {
            for prefix in 0..prefixes {
                let fails = domain < failing;
                self.count(domain, prefix, (u16::from(!fails), u16::from(fails)));
            }
        }
    }

    fn look(&mut self) -> bool {
        self.now += SECOND;
        self.judge
            .handle_counts(self.now, &self.counts, self.witnesses)
    }

    /// Seconds until the fault is there, or gone.
    fn until(&mut self, is_poor: bool, mut each: impl FnMut(&mut Self)) -> u32 {
        for second in 1..10_000 {
            each(self);
            self.look();
            if self.is_poor() == is_poor {
                return second;
            }
        }
        panic!("never: {:?}", self.judge.failed_percent());
    }

    fn seconds(&mut self, seconds: u32, mut each: impl FnMut(&mut Self)) {
        for _ in 0..seconds {
            each(self);
            self.look();
        }
    }

    fn is_poor(&self) -> bool {
        self.judge.poor().is_some()
    }

    /// In a fault, and nobody asks any longer.
    fn forsaken() -> Self {
        let mut bench = Self::new();
        bench.until(true, |bench| bench.ask(16, 8, 16));
        bench
    }
}

#[test]
fn under_overload_no_answer_is_late_unless_the_fault_was_there_before() {
    assert_eq!(Bench::new().judge.late_after(true), Duration::MAX);
    let poor = Bench::forsaken();
    assert!(poor.is_poor());
    assert_eq!(poor.judge.late_after(true), LATE_MIN);
}

#[test]
fn a_fault_takes_eight_domains_and_three_prefixes() {
    for (domains, prefixes, expected) in [(8, 3, true), (7, 3, false), (8, 2, false)] {
        let mut bench = Bench::new();
        bench.seconds(30, |bench| bench.ask(domains, prefixes, domains));
        assert_eq!(bench.is_poor(), expected, "{domains} {prefixes}");
        assert_eq!(bench.judge.failed_percent().is_some(), expected);
    }
}

/// One or two domains more than half: with one of the bad ones left out it is still half, for every
/// prefix too.
#[test]
fn a_fault_takes_half_of_the_domains_without_any_one_of_them() {
    for (failing, expected) in [(16, false), (17, true)] {
        let mut bench = Bench::new();
        bench.seconds(30, |bench| bench.ask(32, 8, failing));
        assert_eq!(bench.is_poor(), expected, "{failing} of 32");
    }
}

#[test]
fn a_fault_is_told_once_with_the_figures_of_its_beginning() {
    let mut bench = Bench::new();
    bench.ask(20, 5, 20);
    assert!(bench.look());
    let poor = PoorAnswers {
        failed_percent: 100,
        baseline_percent: 0,
        domains: 20,
        prefixes: 5,
    };
    assert_eq!(bench.judge.poor(), Some(poor));
    bench.seconds(60, |bench| {
        bench.ask(32, 16, 30);
        assert!(!bench.look());
    });
    assert_eq!(bench.judge.poor(), Some(poor));
}

#[test]
fn upstreams_that_begin_to_fail_for_most_are_found_out_within_six_seconds() {
    let mut bench = Bench::new();
    bench.seconds(600, |bench| bench.ask(32, 16, 1));
    let seconds = bench.until(true, |bench| bench.ask(32, 16, 28));
    assert!((4..=6).contains(&seconds), "{seconds}");
}

/// Answers that fail now and then, as they do everywhere.
#[test]
fn a_tenth_of_failures_is_no_fault_however_many_ask() {
    let mut bench = Bench::new();
    let mut turn = 0_u32;
    bench.seconds(900, |bench| {
        for domain in 0..DOMAINS {
            for prefix in 0..PREFIXES {
                turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let fails = (turn >> 16).is_multiple_of(10);
                bench.count(domain, prefix, (u16::from(!fails) * 3, u16::from(fails)));
            }
        }
        assert!(!bench.is_poor());
    });
    assert!(bench.judge.baseline_percent() < 5);
}

/// One of nine might be to blame alone, and is left out.
#[test]
fn a_fault_ends_when_less_than_a_quarter_fails() {
    let mut bench = Bench::forsaken();
    bench.seconds(60, |bench| bench.ask(32, 8, 9));
    assert!(bench.is_poor(), "8 of 31 are no less");
    let seconds = bench.until(false, |bench| bench.ask(32, 8, 8));
    assert!(seconds <= 5, "{seconds}");
    bench.seconds(60, |bench| {
        bench.ask(32, 8, 8);
        assert!(!bench.is_poor());
    });
}

#[test]
fn witnesses_do_not_end_what_clients_still_see() {
    let mut bench = Bench::forsaken();
    bench.witnesses = WitnessCount {
        of: 8,
        resolving: 8,
    };
    bench.seconds(60, |bench| bench.ask(16, 8, 16));
    assert!(bench.is_poor());
}

#[test]
fn without_clients_most_witnesses_have_to_resolve() {
    for (resolving, expected) in [(4, true), (5, false)] {
        let mut bench = Bench::forsaken();
        bench.witnesses = WitnessCount { of: 8, resolving };
        bench.seconds(3600, |_| {});
        assert_eq!(bench.is_poor(), expected, "{resolving} of 8");
    }
    let mut bench = Bench::forsaken();
    bench.witnesses = WitnessCount {
        of: 1,
        resolving: 1,
    };
    assert!(bench.until(false, |_| {}) <= 5);
}

#[test]
fn without_clients_and_witnesses_a_fault_ends_after_a_minute() {
    let mut bench = Bench::forsaken();
    let seconds = bench.until(false, |_| {});
    assert!((64..=66).contains(&seconds), "{seconds}");
}

/// A witness that comes late starts the minute anew.
#[test]
fn the_minute_is_one_without_any_witness() {
    let mut bench = Bench::forsaken();
    bench.seconds(60, |_| {});
    bench.witnesses.of = 1;
    bench.seconds(120, |_| {});
    assert!(bench.is_poor());
    bench.witnesses.of = 0;
    assert_eq!(bench.until(false, |_| {}), 61);
}

#[test]
fn what_failed_before_its_end_makes_no_new_fault() {
    let mut bench = Bench::forsaken();
    bench.witnesses = WitnessCount {
        of: 8,
        resolving: 8,
    };
    bench.until(false, |_| {});
    bench.witnesses = NOBODY;
    bench.seconds(60, |bench| {
        bench.ask(9, 4, 0);
        assert!(!bench.is_poor());
    });
}

#[test]
fn what_always_fails_is_a_baseline_that_a_fault_has_to_exceed_by_thirty_points() {
    let mut bench = Bench::new();
    bench.seconds(3600, |bench| bench.ask(20, 8, 8));
    assert_eq!(bench.judge.baseline_percent(), 40);
    bench.seconds(60, |bench| bench.ask(20, 8, 13));
    assert!(!bench.is_poor(), "65 % are not 30 points over 40 %");
    bench.until(true, |bench| bench.ask(20, 8, 16));
    let poor = bench.judge.poor().unwrap();
    assert_eq!(poor.baseline_percent, 40);
}

/// Else it would never end where so much always fails.
#[test]
fn a_fault_ends_when_hardly_more_fails_than_usual() {
    let mut bench = Bench::new();
    bench.seconds(3600, |bench| bench.ask(20, 8, 8));
    bench.until(true, |bench| bench.ask(20, 8, 20));
    bench.seconds(60, |bench| bench.ask(20, 8, 11));
    assert!(bench.is_poor(), "55 % are more than 10 points over 40 %");
    let seconds = bench.until(false, |bench| bench.ask(20, 8, 9));
    assert!(seconds <= 5, "{seconds}");
}

#[test]
fn what_fails_for_half_never_becomes_normal() {
    let mut bench = Bench::new();
    // Half of them, which is no fault as such: one domain of them might be to blame.
    bench.seconds(7200, |bench| bench.ask(32, 8, 16));
    let present = bench.judge.failed_percent();
    assert_eq!((bench.is_poor(), present), (false, Some(50)));
    assert_eq!(bench.judge.baseline_percent(), 0);
}

/// A slow brown-out: a little more fails each minute.
#[test]
fn answers_that_get_worse_over_hours_are_found_out() {
    let mut bench = Bench::new();
    for failing in 0..=DOMAINS {
        bench.seconds(600, |bench| {
            if !bench.is_poor() {
                bench.ask(DOMAINS, PREFIXES, failing);
            }
        });
        if bench.is_poor() {
            return assert!(failing * 100 <= DOMAINS * 85, "at {failing}");
        }
    }
    panic!("never found out");
}

#[test]
fn the_baseline_is_not_learned_from_a_fault() {
    let mut bench = Bench::new();
    bench.seconds(600, |bench| bench.ask(32, 8, 2));
    let before = bench.judge.baseline_percent();
    bench.seconds(3600, |bench| bench.ask(32, 8, 32));
    assert!(bench.is_poor());
    assert_eq!(bench.judge.baseline_percent(), before);
}

#[test]
fn an_answer_is_late_after_eight_times_the_usual_and_never_within_800_ms() {
    let mut bench = Bench::new();
    assert_eq!(bench.judge.late_after(false), LATE_MIN);
    // 128 to 256 ms.
    let with_times = |place: usize| {
        move |bench: &mut Bench| {
            bench.ask(32, 8, 0);
            let time = &mut bench.counts.times[place];
            *time = time.wrapping_add(100);
        }
    };
    bench.seconds(10, with_times(0));
    assert_eq!(bench.judge.median(), Some(Duration::from_micros(192)));
    assert_eq!(bench.judge.late_after(false), LATE_MIN);
    bench.seconds(3600, with_times(10));
    let median = bench.judge.median().unwrap();
    assert!((MS * 190..MS * 200).contains(&median), "{median:?}");
    assert!((MS * 1520..MS * 1600).contains(&bench.judge.late_after(false)));
}

#[test]
fn a_pause_of_the_node_is_no_fault_and_spoils_no_baseline() {
    let mut bench = Bench::new();
    bench.seconds(600, |bench| bench.ask(32, 8, 1));
    let before = bench.judge.baseline_percent();
    bench.now += Duration::from_secs(7200);
    bench.look();
    bench.seconds(30, |bench| bench.ask(32, 8, 1));
    assert_eq!(
        (bench.is_poor(), bench.judge.baseline_percent()),
        (false, before)
    );
}
